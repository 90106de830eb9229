"""The fused answer over all assessments, and the incidents in it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, computed_field, model_validator

from mmcrime.results.words import (
    Amount,
    Confidence,
    Count,
    Flag,
    Outcome,
    Probability,
    ProbabilitySource,
    ReasonCode,
    Record,
    Seconds,
    Severity,
)


class Incident(Record):
    """One event in time, supported by assessments.

    Attributes:
        id: Unique within the report.
        start: Media seconds.
        end: Media seconds.
        start_uncertainty: Seconds by which it may have begun earlier or later; None if unknown.
        end_uncertainty: Seconds by which it may have ended earlier or later; None if unknown.
        peak: Media time at which it is strongest.
        crime_type: Taxonomy id.
        alternatives: Further taxonomy ids that were named for it.
        severity: The highest of its crime types.
        probability: That it is an incident, by its strongest segment.
        verification: Whether another kind of analyzer confirmed or rejected it.
        assessment_ids: Who supports it.
        frames: Times of the kept frames in it, the one shown at its peak among them, or
            else of the frame nearest to its peak.
    """

    id: str
    start: Seconds
    end: Seconds
    start_uncertainty: Amount | None = None
    end_uncertainty: Amount | None = None
    peak: Seconds
    crime_type: str
    alternatives: tuple[str, ...] = ()
    severity: Severity
    probability: Probability
    verification: Literal["confirmed", "rejected", "not_verified"] = "not_verified"
    assessment_ids: tuple[str, ...]
    frames: tuple[float, ...] = ()


class Reason(Record):
    """Why the verdict is what it is, and what to do next.

    Attributes:
        code: One of a few fixed words.
        text: The reason in a sentence.
        next_step: What the reader can do about it.
    """

    code: ReasonCode
    text: str
    next_step: str


class CrossVerification(Record):
    """Whether two answering voters agree.

    Attributes:
        first: Id of an assessment.
        second: Id of another one.
        agree: Whether both say the same.
        text: The same in words.
    """

    first: str
    second: str
    agree: Flag
    text: str = ""


class Timeline(Record):
    """The fused score over time: ``scores[i]`` holds from ``times[i]`` on.

    Attributes:
        times: Media seconds.
        scores: Chance that an incident is under way, 0 to 1.
    """

    times: tuple[Seconds, ...] = ()
    scores: tuple[Probability, ...] = ()

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.times) != len(self.scores):
            raise ValueError(f"{len(self.times)} times for {len(self.scores)} scores")
        return self


class Verdict(Record):
    """The fused answer over all assessments: an automated result, unconfirmed.

    Attributes:
        outcome: What is said.
        reasons: Why nothing can be said; never empty under ``undetermined``.
        crime_type: Taxonomy id of the worst incident.
        probability: That the Media holds an incident, of the kind that is surest of one.
        probability_source: Where the probability comes from.
        confidence: How many independent kinds of analyzer stand behind it.
        severity: That of the worst incident.
        severity_reasons: Why, in sentences.
        evidence_description: What was seen and heard; untrusted text.
        alternative_interpretations: Innocent explanations.
        recommendations: What a person should do.
        votes_asked: Distinct voters that were asked.
        votes_answered: Distinct voters that answered.
        agreement: Share of determined votes that say ``outcome``; None without any.
        effective_votes: What the votes are worth together, if models of one kind err
            together.
        cross_verification: Each pair of determined votes compared.
        timeline: The fused score over time.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    crime_type: str | None = None
    probability: Probability | None = None
    probability_source: ProbabilitySource | None = None
    confidence: Confidence = "low"
    severity: Severity = "none"
    severity_reasons: tuple[str, ...] = ()
    evidence_description: str = ""
    alternative_interpretations: tuple[str, ...] = ()
    recommendations: tuple[str, ...] = ()
    votes_asked: Count = 0
    votes_answered: Count = 0
    agreement: Probability | None = None
    effective_votes: Amount = 0.0
    cross_verification: tuple[CrossVerification, ...] = ()
    timeline: Timeline = Field(default_factory=Timeline)

    @model_validator(mode="before")
    @classmethod
    def _derived_fields_are_recomputed(cls, data: Any) -> Any:
        if isinstance(data, dict) and "crime_detected" in data:
            data = {k: v for k, v in data.items() if k != "crime_detected"}
        return data

    @model_validator(mode="after")
    def _honest(self) -> Self:
        if self.outcome == "undetermined":
            if not self.reasons or not all(r.text and r.next_step for r in self.reasons):
                raise ValueError("an undetermined verdict says why and what to do next")
        elif self.votes_answered < 1:
            raise ValueError(f"outcome {self.outcome!r} without a single answered vote")
        if self.votes_answered > self.votes_asked:
            raise ValueError(f"{self.votes_answered} votes answered of {self.votes_asked} asked")
        if (self.probability is None) != (self.probability_source is None):
            raise ValueError("a probability and its source come together")
        return self

    @computed_field  # type: ignore[prop-decorator]  # pydantic documents this order
    @property
    def crime_detected(self) -> bool | None:
        """True or False only when determined; None otherwise."""
        return {"detected": True, "not_detected": False}.get(self.outcome)
