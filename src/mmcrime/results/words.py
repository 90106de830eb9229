"""The closed vocabularies and number ranges of the published records."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
