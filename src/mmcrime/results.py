"""The published result types: assessments, incidents, the verdict and the report.

All of them are frozen pydantic models; ``Report.from_json`` reads back what
``Report.to_json`` wrote. The models refuse states that would break a promise:
an assessment that did not answer can hold no outcome and no probability, and an
undetermined verdict must say why and what to do next.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    computed_field,
    model_validator,
)

from mmcrime.errors import ConfigError
from mmcrime.evidence import (
    Coverage,
    MediaKind,
    MotionCurve,
    SoundEvent,
    TranscriptSegment,
)

SCHEMA_VERSION: Literal["1"] = "1"
"""Version of the report JSON. Readers accept this one and, later, the one before."""

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
Outcome = Literal["detected", "not_detected", "undetermined"]
Status = Literal["answered", "refused", "failed", "skipped"]
Severity = Literal["none", "low", "medium", "high", "critical"]
Confidence = Literal["low", "medium", "high"]
AssessmentKind = Literal["llm", "video", "sound", "speech", "motion", "objects"]
ProbabilitySource = Literal["claimed", "measured", "calibrated"]
ReasonCode = Literal[
    "no_capable_analyzer",
    "all_failed",
    "all_refused",
    "too_few_votes",
    "low_coverage",
    "uncertain",
    "conflict",
]
EgressPurpose = Literal["provider", "speech", "fetch", "model", "notification", "telemetry"]
SEVERITIES: tuple[Severity, ...] = ("none", "low", "medium", "high", "critical")
"""Severities from least to most."""


class Record(BaseModel):
    """Base of all published records: frozen, and no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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

    calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class Cost(Record):
    """Money with its source. ``usd`` None means unknown, never free.

    Attributes:
        usd: US dollars.
        source: Where the figure comes from: ``local`` (nothing was bought),
            ``price_table``, ``reported``, ``user`` or ``unknown``.
    """

    usd: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    source: Literal["local", "price_table", "reported", "user", "unknown"] = "unknown"


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
        error: What went wrong, unless it answered.
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
    cached: bool = False
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
    latency: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
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


class Incident(Record):
    """One event in time, supported by assessments."""

    id: str
    start: Seconds
    end: Seconds
    start_uncertainty: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    end_uncertainty: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    peak: Seconds
    crime_type: str
    alternatives: tuple[str, ...] = ()
    severity: Severity
    probability: Probability
    verification: Literal["confirmed", "rejected", "not_verified"] = "not_verified"
    assessment_ids: tuple[str, ...]
    frames: tuple[float, ...] = ()


class Reason(Record):
    """Why the verdict is what it is, and what to do next."""

    code: ReasonCode
    text: str
    next_step: str


class CrossVerification(Record):
    """Whether two answering voters agree."""

    first: str
    second: str
    agree: bool
    text: str = ""


class Timeline(Record):
    """The fused score over time: ``scores[i]`` holds from ``times[i]`` on."""

    times: tuple[Seconds, ...] = ()
    scores: tuple[Probability, ...] = ()

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.times) != len(self.scores):
            raise ValueError(f"{len(self.times)} times for {len(self.scores)} scores")
        return self


class Verdict(Record):
    """The fused answer over all assessments: an automated result, unconfirmed."""

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
    votes_asked: int = 0
    votes_answered: int = 0
    agreement: Probability | None = None
    effective_votes: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
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


class FrameRecord(Record):
    """One sampled frame. ``thumbnail`` (JPEG) is in the JSON only when asked for."""

    time: Seconds
    width: int
    height: int
    thumbnail: Base64Bytes | None = None


class EvidenceRecord(Record):
    """What preprocessing found. All text in it is data from the media."""

    transcription: str = ""
    transcript: tuple[TranscriptSegment, ...] = ()
    sounds: tuple[SoundEvent, ...] = ()
    motion: MotionCurve = Field(default_factory=MotionCurve)
    frames: tuple[FrameRecord, ...] = ()
    frame_interval: float | None = None


class CoverageRecord(Record):
    """What was and was not looked at, over the whole run.

    Attributes:
        duration: Media seconds, None for a picture or when unknown.
        video: Pictures that preprocessing decoded.
        sound: Audio that preprocessing decoded.
        speech: Audio that a transcriber listened to.
        analyzers: For each analyzer name, what it examined.
    """

    duration: float | None = None
    video: Coverage = Field(default_factory=Coverage)
    sound: Coverage = Field(default_factory=Coverage)
    speech: Coverage = Field(default_factory=Coverage)
    analyzers: dict[str, Coverage] = Field(default_factory=dict)


class EgressRecord(Record):
    """One thing that left this machine: what, to whom, when, how large."""

    what: str
    to: str
    purpose: EgressPurpose
    when: AwareDatetime
    size_bytes: int | None = None


class MediaRecord(Record):
    """The published facts about the Media."""

    kind: MediaKind | None
    name: str
    content_id: str | None = None
    format: str | None = None
    size_bytes: int | None = None
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    has_audio: bool | None = None
    source_id: str | None = None
    recorded_at: AwareDatetime | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class Report(Record):
    """Everything about one Media."""

    banner: ClassVar[str] = "automated result, unconfirmed"

    schema_version: Literal["1"] = SCHEMA_VERSION
    request_id: str
    timestamp: AwareDatetime
    source: str
    media: MediaRecord
    verdict: Verdict
    incidents: tuple[Incident, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    evidence: EvidenceRecord = Field(default_factory=EvidenceRecord)
    coverage: CoverageRecord = Field(default_factory=CoverageRecord)
    egress: tuple[EgressRecord, ...] = ()
    cost: Cost = Field(default_factory=Cost)
    timings: dict[str, float] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    errors: tuple[ErrorRecord, ...] = ()

    def to_dict(self, *, thumbnails: bool = False) -> dict[str, Any]:
        """Return the published form as plain JSON values.

        Args:
            thumbnails: Whether frames carry their JPEG as base64.
        """
        exclude: Any = None if thumbnails else {"evidence": {"frames": {"__all__": {"thumbnail"}}}}
        data: dict[str, Any] = self.model_dump(mode="json", exclude=exclude)
        return data

    def to_json(self, *, thumbnails: bool = False, indent: int | None = None) -> str:
        """Return the report as JSON; one line unless ``indent`` is given."""
        return json.dumps(
            self.to_dict(thumbnails=thumbnails), indent=indent, ensure_ascii=False, allow_nan=False
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """Read a report that `to_json` wrote.

        Raises:
            ConfigError: If it is no report, or of a version this release cannot read.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise ConfigError(
                f"not a report of schema version {SCHEMA_VERSION!r}: {where}: {first['msg']}",
                next_step="Read it with the release that wrote it.",
            ) from error


class Prepared(Record):
    """Preprocessing of a source is done."""

    event: Literal["prepared"] = "prepared"
    source: str
    media: MediaRecord
    evidence: EvidenceRecord


class Assessed(Record):
    """One analyzer is done."""

    event: Literal["assessed"] = "assessed"
    source: str
    assessment: Assessment


class IncidentFound(Record):
    """The verdict holds this incident."""

    event: Literal["incident"] = "incident"
    source: str
    incident: Incident


class Spent(Record):
    """What the run has cost so far."""

    event: Literal["spent"] = "spent"
    source: str
    cost: Cost


class Reported(Record):
    """The report is ready; the last event of a source."""

    event: Literal["report"] = "report"
    source: str
    report: Report


Event = Prepared | Assessed | IncidentFound | Spent | Reported
"""What ``pipeline.stream`` yields, told apart by ``event``."""
