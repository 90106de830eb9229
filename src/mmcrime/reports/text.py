"""A report for a person at a terminal: readable at a glance, 80 columns.

The verdict stands first in a block of its own; plain characters carry everything, colours
only repeat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmcrime.reports.missed import closeness, timed, unseen
from mmcrime.reports.text_page import BOLD, GREEN, RED, YELLOW, Page, gaps, marks
from mmcrime.reports.voices import doubts, family, marked, usage
from mmcrime.reports.words import (
    BANNER,
    agreement,
    cells,
    chance,
    clean,
    clock,
    crime_name,
    facts,
    finite,
    hundredths,
    judged,
    money,
    shortlist,
    span,
    volume,
    wall,
)

_OUTCOMES = {
    "detected": ("INCIDENT DETECTED", RED),
    "not_detected": ("NO INCIDENT DETECTED", GREEN),
    "undetermined": ("UNDETERMINED: neither yes nor no", YELLOW),
}
_METERS = {"none": "----", "low": "#---", "medium": "##--", "high": "###-", "critical": "####"}
_LOST_END = 0.15  # seconds at the end of the line that stand for an end of unknown length
_MAX_HEARD = 20  # lines; more of it is in the JSON
_MAX_MARKED = 3  # stretches of one analyzer
_FREE = "no cost, ran on this machine"


def render(report: Mapping[str, Any], *, colour: bool, width: int = 80) -> str:
    """Return a report as lines of text, the last one ended.

    Args:
        report: What ``Report.to_dict`` gives.
        colour: Whether ANSI colours are used. No other control character is ever written.
        width: Columns of a line, at least 40.
    """
    page = Page(colour=colour, width=max(40, width))
    _verdict(page, report["verdict"])
    _about(page, report)
    _timeline(page, report)
    _incidents(page, report)
    _advice(page, report["verdict"])
    _assessments(page, report)
    _unseen(page, report)
    _heard(page, report)
    _egress(page, report.get("egress") or ())
    _errors(page, report)
    return page.text()


def _verdict(page: Page, verdict: Mapping[str, Any]) -> None:
    title, style = _OUTCOMES[verdict["outcome"]]
    if verdict["outcome"] == "detected":
        title = f"{title}: {crime_name(verdict.get('crime_type'))}"
    page.rule(style)
    page.styled(BANNER.upper(), BOLD)
    page.styled(title, BOLD + style)
    facts_of_it = []
    if judged(verdict):
        severity = clean(verdict["severity"])
        facts_of_it.append(f"severity {severity.upper()} [{_METERS.get(severity, '????')}]")
    if verdict.get("probability") is not None:
        facts_of_it.append(chance(verdict["probability"], verdict.get("probability_source")))
        facts_of_it.append(f"confidence {clean(verdict['confidence'])}")
    if facts_of_it:
        page.line("; ".join(facts_of_it), rest="  ")
    page.rule(style)


def _about(page: Page, report: Mapping[str, Any]) -> None:
    verdict = report["verdict"]
    page.label("Source", [clean(report["source"], limit=200) or "(no name)"])
    page.label("Input", [facts(report["media"])])
    votes = f"{verdict['votes_answered']} of {verdict['votes_asked']} votes answered"
    page.label("Votes", [f"{votes}; {money(report.get('cost') or {})}"])
    reasons = list(verdict.get("reasons") or ())
    page.label("Why", [f"{clean(r['text'])} ({clean(r['code'])})" for r in reasons])
    page.label("Next", dict.fromkeys(clean(r["next_step"]) for r in reasons if r.get("next_step")))
    page.label("Severity", [clean(text) for text in verdict.get("severity_reasons") or ()])
    description = _own_words(report)
    page.label("What", [clean(description)] if description else [])


def _own_words(report: Mapping[str, Any]) -> str:
    """Return the verdict's description, unless it only repeats what stands below."""
    told: str = report["verdict"].get("evidence_description") or ""
    left = told
    for assessment in report.get("assessments") or ():
        left = left.replace(assessment.get("evidence_description") or "\0", " ")
        left = left.replace(f"{assessment['analyzer']}:", " ")
    return told if any(c.isalnum() for c in left) else ""


def _timeline(page: Page, report: Mapping[str, Any]) -> None:
    """Draw where the incidents and the gaps are, where there is any."""
    end = finite(report["media"].get("duration")) or 0.0
    incidents = timed((i["start"], i["end"]) for i in report.get("incidents") or ())
    missed = gaps(report, end=end)
    if any(lost.end for lost in unseen(report)):
        missed = [*missed, (end - max(_LOST_END, end / 70), end)]
    line = marks(page.axis_width, end=end, incidents=incidents, gaps=missed) if end > 0 else ""
    meanings = {"#": "# incident", "x": "x not looked at by all"}
    found = [meaning for mark, meaning in meanings.items() if mark in line]
    if found:
        page.axis(line, end=end, legend=", ".join(found))


def _advice(page: Page, verdict: Mapping[str, Any]) -> None:
    _list(page, "Could also be", verdict.get("alternative_interpretations") or ())
    told = {reason.get("next_step") for reason in verdict.get("reasons") or ()}
    _list(page, "What to do", (t for t in verdict.get("recommendations") or () if t not in told))


def _list(page: Page, heading: str, texts: Iterable[str]) -> None:
    for count, text in enumerate(texts):
        if count == 0:
            page.heading(heading)
        page.item(clean(text))


def _incidents(page: Page, report: Mapping[str, Any]) -> None:
    incidents = report.get("incidents") or ()
    if not incidents:
        return
    checked = {clean(i["verification"]).replace("_", " ") for i in incidents}
    alike = f", {checked.pop()}" if len(checked) == 1 else ""
    page.heading(f"Incidents: {len(incidents)}{alike}")
    page.table(
        ("Time", "Strongest", *_zone(report), "Severity", "Prob.", "Kind"),
        [_incident(incident, report, alike=bool(alike)) for incident in incidents],
    )


def _zone(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the title of the column of wall-clock times: none where they are unknown."""
    start = wall(report["media"].get("recorded_at"), 0.0)
    return (f"Clock {start[20:]}",) if start else ()


def _incident(incident: Mapping[str, Any], report: Mapping[str, Any], *, alike: bool) -> list[str]:
    recorded_at = report["media"].get("recorded_at")
    start, moment = (wall(recorded_at, at) or "" for at in (0.0, incident["start"]))
    # The day stands above, with "recorded"; it is told again once it has changed.
    same_day = moment[:10] == start[:10]
    clocks = [moment[11:19] if same_day else moment[:19]] if start else []
    kinds = [incident["crime_type"], *(incident.get("alternatives") or ())]
    kind = " or ".join(crime_name(kind) for kind in kinds)
    checked = "" if alike else f", {clean(incident['verification']).replace('_', ' ')}"
    return [
        span(incident["start"], incident["end"]),
        clock(incident["peak"]),
        *clocks,
        clean(incident["severity"]),
        hundredths(incident["probability"]),
        kind + checked,
    ]


def _assessments(page: Page, report: Mapping[str, Any]) -> None:
    page.heading("Who said what")
    assessments = report.get("assessments") or ()
    names = [clean(a["analyzer"], limit=80) for a in assessments]
    wide = min(24, max(map(cells, names), default=0))
    for name, assessment in zip(names, assessments, strict=True):
        page.row([(name, wide)], _answer(assessment))
        by = [clean(assessment[k], limit=80) for k in ("provider", "model") if assessment.get(k)]
        by += family(assessment)
        cost = money(assessment.get("cost") or {})
        # Said once at the top for all that ran on this machine.
        paid = [] if assessment["status"] == "skipped" or cost == _FREE else [cost]
        if by or paid:
            counted = [usage(assessment)] if paid and usage(assessment) else []
            page.note("; ".join([*([f"by {', '.join(by)}"] if by else []), *counted, *paid]))
        _remarks(page, assessment, report["verdict"])
    for check in report["verdict"].get("cross_verification") or ():
        page.item(agreement(check))
    if not assessments:
        page.note("Nobody was asked.")


def _answer(assessment: Mapping[str, Any]) -> str:
    if assessment["status"] != "answered":
        return clean(assessment["status"])
    said = clean(assessment["outcome"]).replace("_", " ")
    if assessment["outcome"] == "detected":
        said += f": {crime_name(assessment.get('crime_type'))}"
    likely = chance(assessment.get("probability"), assessment.get("probability_source"))
    cached = "; from the cache" if assessment.get("cached") else ""
    return f"{said}; {likely}{cached}"


def _remarks(page: Page, assessment: Mapping[str, Any], verdict: Mapping[str, Any]) -> None:
    if assessment.get("evidence_description"):
        page.note(clean(assessment["evidence_description"]))
    others = doubts(assessment, verdict)
    if others:
        page.note("could also be: " + "; ".join(clean(text, limit=200) for text in others))
    told, left = marked(assessment, most=_MAX_MARKED)
    for text in told:
        page.note(f"marked {text}")
    if left:
        page.note(f"and {left} more; all of it is in the JSON.")
    if assessment.get("flags"):
        page.note("flags: " + ", ".join(clean(text) for text in assessment["flags"]))
    if assessment.get("fallbacks"):
        page.note("tried before: " + "; ".join(clean(text) for text in assessment["fallbacks"]))
    error = assessment.get("error")
    if error and assessment["status"] == "skipped":
        page.note(clean(error["message"]))
    elif error:
        page.note(_error(error))
        _next_step(page, error)


def _unseen(page: Page, report: Mapping[str, Any]) -> None:
    page.heading("Not looked at")
    missed = unseen(report)
    for gap in missed:
        page.item(f"{', '.join(gap.who)}: {gap.where()} ({gap.reason})")
    if not missed:
        page.note("No gaps.")
    if looks := closeness(report):
        page.note(f"Preprocessing: {looks} at the pictures; it may have missed what is shorter.")


def _heard(page: Page, report: Mapping[str, Any]) -> None:
    shown, left = shortlist(report, _MAX_HEARD)
    if not shown:
        return
    page.heading("Heard (data from the media, not instructions)")
    reliable = {
        clean(s["reliability"]) for s in report["evidence"].get("transcript") or () if s["text"]
    }
    if reliable:
        page.note(f"Words: reliability {', '.join(sorted(reliable))}.")
    wide = max(cells(span(start, end)) for start, end, _, _ in shown)
    for start, end, kind, words in shown:
        said = f"[{words}]" if kind == "sound" else f'"{clean(words)}"'
        page.row([(span(start, end), wide)], said)
    if left:
        page.note(f"and {left} more, sounds being told before words; all of it is in the JSON.")


def _egress(page: Page, egress: Sequence[Mapping[str, Any]]) -> None:
    page.heading("What left this machine")
    for record in egress:
        amount = volume(record.get("size_bytes"))
        page.item(
            f"{clean(record['what'])} to {clean(record['to'])}, {amount} "
            f"({clean(record['purpose'])}, {clean(record['when'])})"
        )
    if not egress:
        page.note("Nothing left this machine.")


def _errors(page: Page, report: Mapping[str, Any]) -> None:
    """Write what went wrong, except for what stands beside an analyzer already."""
    told = [assessment.get("error") for assessment in report.get("assessments") or ()]
    why = " ".join(reason["text"] for reason in report["verdict"].get("reasons") or ())
    errors = [error for error in report.get("errors") or () if error not in told]
    for count, error in enumerate(errors):
        if count == 0:
            page.heading("Errors")
        if error["message"] and error["message"] in why:
            page.item(f"{clean(error['stage'])}: {clean(error['type'])}, as told under Why")
            continue
        page.item(f"{clean(error['stage'])}: {_error(error)}")
        _next_step(page, error)


def _error(error: Mapping[str, Any]) -> str:
    return f"{clean(error['type'])}: {clean(error['message'])}"


def _next_step(page: Page, record: Mapping[str, Any]) -> None:
    if record.get("next_step"):
        page.line(clean(record["next_step"]), first="    Next: ", rest="    ")
