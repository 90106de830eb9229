"""What a verdict tells people in words: why it is severe, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from mmcrime import taxonomy
from mmcrime.evidence import MediaKind
from mmcrime.reports.words import clock, span
from mmcrime.results import SEVERITIES, Incident, Outcome, Reason, Severity

_MOST_TOLD = 5  # incidents that sentences name one by one; all of them are listed anyway
_CONTEXT = 5.0  # seconds before and after an incident that a person needs to judge it


def severity_reasons(found: Sequence[Incident], severity: Severity) -> tuple[str, ...]:
    """Say of the incidents that give the verdict its severity why they have it."""
    giving = [i for i in found if i.severity == severity]
    told = [_because(i) for i in giving[:_MOST_TOLD]]
    if len(giving) > _MOST_TOLD:
        told.append(f"and {len(giving) - _MOST_TOLD} more incidents of severity {severity}")
    return tuple(told)


def _because(incident: Incident) -> str:
    """Say which crime type gives an incident its severity, and who stands behind it."""
    types = taxonomy.crime_types()
    named = [t for t in (incident.crime_type, *incident.alternatives) if t in types]
    giving = [t for t in named if types[t].severity == incident.severity]
    at = clock(incident.peak)
    cause = (
        f"{types[giving[0]].name} at {at} is rated {incident.severity} in the taxonomy"
        if giving
        else f"{incident.severity} at {at}, since only words point at it"
    )
    if incident.verification == "confirmed":
        return f"{cause}; two kinds of analyzer agree"
    return f"{cause}; no other kind of analyzer confirms it"


def recommendations(
    outcome: Outcome,
    reasons: Sequence[Reason],
    found: Sequence[Incident],
    *,
    kind: MediaKind,
    duration: float | None,
) -> tuple[str, ...]:
    """Return what people should do next about a verdict."""
    watch = _to_check(found, kind, duration) if found else ()
    if outcome == "undetermined":
        return (*watch, *dict.fromkeys(r.next_step for r in reasons))
    if outcome == "not_detected":
        return ("Absence of a detection is no proof of absence; keep the recording if in doubt.",)
    return watch


def _to_check(
    found: Sequence[Incident], kind: MediaKind, duration: float | None
) -> tuple[str, ...]:
    """Say what a person should look at: the worst incidents, with what came before and after."""
    if kind == "image":
        return ("Have a person look at the picture before anything is done about it.",)
    verb = "listen to" if kind == "audio" else "watch"
    worst = sorted(found, key=lambda i: (-SEVERITIES.index(i.severity), -i.probability, i.start))
    end = float("inf") if duration is None else duration
    told = [
        f"Have a person {verb} "
        f"{span(max(0.0, i.start - _CONTEXT), max(0.0, i.end, min(end, i.end + _CONTEXT)))} "
        "before anything is done about it."
        for i in sorted(worst[:_MOST_TOLD], key=lambda i: i.start)
    ]
    if len(found) > _MOST_TOLD:
        told.append(f"The other {len(found) - _MOST_TOLD} incidents are listed; check them too.")
    return tuple(told)
