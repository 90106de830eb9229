"""The published result types: assessments, incidents, the verdict and the report.

All of them are frozen pydantic models; ``Report.from_json`` reads back what
``Report.to_json`` wrote. The models refuse states that would break a promise:
an assessment that did not answer can hold no outcome and no probability, and an
undetermined verdict must say why and what to do next.
"""

from __future__ import annotations

from mmcrime.results.assessment import LOCAL_COST, Assessment, Cost, ErrorRecord, Segment, Usage
from mmcrime.results.events import Assessed, Event, IncidentFound, Prepared, Reported, Spent
from mmcrime.results.report import (
    CoverageRecord,
    EgressRecord,
    EvidenceRecord,
    FrameRecord,
    MediaRecord,
    Report,
)
from mmcrime.results.verdict import CrossVerification, Incident, Reason, Timeline, Verdict
from mmcrime.results.words import (
    SCHEMA_VERSION,
    SEVERITIES,
    Amount,
    AssessmentKind,
    Confidence,
    Count,
    EgressGate,
    EgressPurpose,
    Flag,
    Outcome,
    Probability,
    ProbabilitySource,
    ReasonCode,
    Record,
    Seconds,
    Severity,
    Status,
)

__all__ = [
    "LOCAL_COST",
    "SCHEMA_VERSION",
    "SEVERITIES",
    "Amount",
    "Assessed",
    "Assessment",
    "AssessmentKind",
    "Confidence",
    "Cost",
    "Count",
    "CoverageRecord",
    "CrossVerification",
    "EgressGate",
    "EgressPurpose",
    "EgressRecord",
    "ErrorRecord",
    "Event",
    "EvidenceRecord",
    "Flag",
    "FrameRecord",
    "Incident",
    "IncidentFound",
    "MediaRecord",
    "Outcome",
    "Prepared",
    "Probability",
    "ProbabilitySource",
    "Reason",
    "ReasonCode",
    "Record",
    "Report",
    "Reported",
    "Seconds",
    "Segment",
    "Severity",
    "Spent",
    "Status",
    "Timeline",
    "Usage",
    "Verdict",
]
