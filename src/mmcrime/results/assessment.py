"""One analyzer's answer, or why there is none."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from mmcrime.evidence import Coverage
from mmcrime.results.words import (
    Amount,
    AssessmentKind,
    Count,
    Flag,
    Outcome,
    Probability,
    ProbabilitySource,
    Record,
    Seconds,
    Severity,
    Status,
)


class Segment(Record):
    """A stretch of an assessment.

    Attributes:
        start: Media seconds.
        end: Media seconds, not before ``start``.
        score: Chance that an incident is under way at an instant of the segment.
        crime_type: Taxonomy id, or None when the analyzer cannot say.
        text: What the analyzer noticed; untrusted text.
    """

    start: Seconds
    end: Seconds
    score: Probability
    crime_type: str | None = None
    text: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end < self.start:
            raise ValueError(
                f"a segment cannot end ({self.end!r}) before it starts ({self.start!r})"
            )
        return self


class Usage(Record):
    """What one analyzer consumed. None means unknown, never zero."""

    calls: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None


class Cost(Record):
    """Money with its source. ``usd`` None means unknown, never free.

    Attributes:
        usd: US dollars.
        source: Where the figure comes from: ``local`` (nothing was bought), ``none`` (nothing
            was sent), ``cache`` (a stored answer was used), ``price_table``, ``reported``,
            ``user`` or ``unknown``.
        detail: Which prices, of which date, in words.
    """

    usd: Amount | None = None
    source: Literal["local", "none", "cache", "price_table", "reported", "user", "unknown"] = (
        "unknown"
    )
    detail: str = ""

    @model_validator(mode="after")
    def _an_amount_has_a_source(self) -> Self:
        if (self.usd is None) != (self.source == "unknown"):
            raise ValueError(f"usd={self.usd!r} cannot come from source {self.source!r}")
        if self.source in ("local", "none", "cache") and self.usd:
            raise ValueError(f"usd={self.usd!r} for something that bought nothing")
        return self


LOCAL_COST = Cost(usd=0.0, source="local")
"""The cost of something that ran on this machine and bought nothing."""


class ErrorRecord(Record):
    """Something that went wrong and was survived.

    Attributes:
        stage: Where: ``prepare``, ``transcribe``, ``sounds``, ``motion``,
            ``analyze:<name>``, ``fuse`` …
        type: Name of the error class.
        message: What happened.
        next_step: What the reader can do about it.
    """

    stage: str
    type: str
    message: str
    next_step: str = ""


class Assessment(Record):
    """One analyzer's answer, or why there is none.

    Attributes:
        id: Unique within the report.
        analyzer: Registered name.
        kind: What it listens or looks with.
        runs: Whether media left this machine for it.
        family: Models of one family share their mistakes.
        provider: The service that answered, after any fallback.
        model: The model that answered, after any fallback.
        status: ``answered``, ``refused``, ``failed`` or ``skipped``.
        cached: Whether the answer came from the cache.
        outcome: What it says; ``undetermined`` unless it answered.
        crime_type: Taxonomy id.
        probability: That the Media holds an incident; None unless answered.
        probability_source: ``claimed`` by a model, ``measured`` by a detector, or
            ``calibrated`` on labelled data.
        severity: What it would call the severity.
        evidence_description: What it saw or heard; untrusted text.
        alternative_interpretations: Innocent explanations.
        segments: Scores over time.
        coverage: What it examined, computed from what was decoded.
        usage: Calls and tokens.
        cost: Money, with its source.
        latency: Wall seconds this analyzer took, as measured by the pipeline.
        fallbacks: Providers that were tried before this one.
        flags: Remarks for a reader, such as ``suspected_instructions``.
        error: Why it did not answer; of one that answered, why it judged only a part.
        card: Facts about the model that voted (data, licence, how measured).
    """

    id: str
    analyzer: str
    kind: AssessmentKind
    runs: Literal["cloud", "local"]
    family: str
    provider: str | None = None
    model: str | None = None
    status: Status
    cached: Flag = False
    outcome: Outcome = "undetermined"
    crime_type: str | None = None
    probability: Probability | None = None
    probability_source: ProbabilitySource | None = None
    severity: Severity = "none"
    evidence_description: str = ""
    alternative_interpretations: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    coverage: Coverage = Field(default_factory=Coverage)
    usage: Usage = Field(default_factory=Usage)
    cost: Cost = Field(default_factory=Cost)
    latency: Amount | None = None
    fallbacks: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    error: ErrorRecord | None = None
    card: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _only_the_living_vote(self) -> Self:
        if self.status == "answered":
            if (self.probability is None) != (self.probability_source is None):
                raise ValueError("a probability and its source come together")
            if self.outcome != "undetermined" and self.probability is None:
                raise ValueError(f"outcome {self.outcome!r} needs a probability")
            return self
        if self.outcome != "undetermined" or self.probability is not None or self.segments:
            raise ValueError(f"an assessment that is {self.status!r} cannot hold an answer")
        if self.error is None:
            raise ValueError(f"an assessment that is {self.status!r} must say why")
        return self

    @property
    def vote_key(self) -> tuple[str, str, str]:
        """What is counted once: (kind, provider, model) of what actually answered.

        An analyzer that names no provider or model stands for itself.
        """
        return (self.kind, self.provider or self.analyzer, self.model or self.analyzer)
