"""The closed vocabularies and number ranges of the published records."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION: Literal["1"] = "1"
"""Version of the report JSON. Readers accept this one and, later, the one before."""

# Strict: True is no probability and "0.5" is no number (promise 3).
Probability = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Amount = Annotated[float, Field(strict=True, ge=0.0, allow_inf_nan=False)]
"""A duration, an uncertainty or a sum of money."""
Count = Annotated[int, Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]
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
EgressPurpose = Literal[
    "provider", "speech", "fetch", "model", "notification", "telemetry", "cache"
]
SEVERITIES: tuple[Severity, ...] = ("none", "low", "medium", "high", "critical")
"""Severities from least to most."""


class EgressGate(Protocol):
    """The one gate for what leaves this machine (promise 8)."""

    @property
    def offline(self) -> bool:
        """Whether everything that wants to leave is refused."""

    def announce(
        self, *, what: str, to: str, purpose: EgressPurpose, size_bytes: int | None = None
    ) -> None:
        """Record that something is about to leave.

        Raises:
            EgressError: If ``offline`` is set; then nothing may be sent.
        """


class Record(BaseModel):
    """Base of all published records: frozen, no unknown fields, and numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
