"""What ``pipeline.stream`` yields while a run goes on."""

from __future__ import annotations

from typing import Literal

from mmcrime.results.assessment import Assessment, Cost
from mmcrime.results.report import EvidenceRecord, MediaRecord, Report
from mmcrime.results.verdict import Incident
from mmcrime.results.words import Record


class Prepared(Record):
    """Preprocessing of a source is done.

    Attributes:
        event: Tells the events apart.
        source: Display name of the source.
        media: What it is.
        evidence: What was found in it.
    """

    event: Literal["prepared"] = "prepared"
    source: str
    media: MediaRecord
    evidence: EvidenceRecord


class Assessed(Record):
    """One analyzer is done.

    Attributes:
        event: Tells the events apart.
        source: Display name of the source.
        assessment: Its answer, or why there is none.
    """

    event: Literal["assessed"] = "assessed"
    source: str
    assessment: Assessment


class IncidentFound(Record):
    """The verdict holds this incident.

    Attributes:
        event: Tells the events apart.
        source: Display name of the source.
        incident: The incident.
    """

    event: Literal["incident"] = "incident"
    source: str
    incident: Incident


class Spent(Record):
    """What the run has cost so far.

    Attributes:
        event: Tells the events apart.
        source: Display name of the source.
        cost: Money, with its source.
    """

    event: Literal["spent"] = "spent"
    source: str
    cost: Cost


class Reported(Record):
    """The report is ready; the last event of a source.

    Attributes:
        event: Tells the events apart.
        source: Display name of the source.
        report: The report.
    """

    event: Literal["report"] = "report"
    source: str
    report: Report


Event = Prepared | Assessed | IncidentFound | Spent | Reported
"""What ``pipeline.stream`` yields, told apart by ``event``."""
