"""A report for a person at a terminal: readable at a glance, 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmcrime.reports.words import (
    BANNER,
    chance,
    clean,
    clock,
    crime_name,
    facts,
    heard,
    judged,
    money,
    span,
    unseen,
    wrap,
)

_BOLD, _DIM, _RED, _GREEN, _YELLOW, _RESET = (f"\x1b[{n}m" for n in (1, 2, 31, 32, 33, 0))
_OUTCOMES = {
    "detected": ("INCIDENT DETECTED", _RED),
    "not_detected": ("NO INCIDENT DETECTED", _GREEN),
    "undetermined": ("UNDETERMINED", _YELLOW),
}
_MAX_HEARD = 20  # lines; more of it is in the JSON


def render(report: Mapping[str, Any], *, colour: bool, width: int = 80) -> str:
    """Return a report as lines of text, the last one ended.

    Args:
        report: What ``Report.to_dict`` gives.
        colour: Whether ANSI colours are used. No other control character is ever written.
        width: Columns of a line, at least 40.
    """
    page = _Page(colour=colour, width=max(40, width))
    page.styled(BANNER.upper(), _BOLD)
    page.line(clean(report["source"], limit=200) or "(no name)")
    page.line(facts(report["media"]))
    page.blank()
    _verdict(page, report["verdict"], description=_own_words(report))
    _incidents(page, report.get("incidents") or ())
    _assessments(page, report)
    _unseen(page, report)
    _heard(page, report)
    _egress(page, report.get("egress") or ())
    _errors(page, report)
    return page.text()


class _Page:
    """Collects lines, wrapped to the width."""

    def __init__(self, *, colour: bool, width: int) -> None:
        self._colour, self._width, self._lines = colour, width, list[str]()

    def line(self, text: str, *, first: str = "", rest: str = "") -> None:
        self._lines += wrap(text, self._width, first=first, rest=rest)

    def item(self, text: str) -> None:
        self.line(text, first="  - ", rest="    ")

    def note(self, text: str) -> None:
        self.line(text, first="    ", rest="    ")

    def styled(self, text: str, style: str) -> None:
        lines = wrap(text, self._width)
        self._lines += [f"{style}{line}{_RESET}" if self._colour else line for line in lines]

    def heading(self, text: str) -> None:
        self.blank()
        self.styled(text, _BOLD)

    def blank(self) -> None:
        self._lines.append("")

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def _own_words(report: Mapping[str, Any]) -> str:
    """Return the verdict's description, unless it only repeats what stands below."""
    told: str = report["verdict"].get("evidence_description") or ""
    left = told
    for assessment in report.get("assessments") or ():
        left = left.replace(assessment.get("evidence_description") or "\0", " ")
        left = left.replace(f"{assessment['analyzer']}:", " ")
    return told if any(c.isalnum() for c in left) else ""


def _verdict(page: _Page, verdict: Mapping[str, Any], *, description: str) -> None:
    title, colour = _OUTCOMES[verdict["outcome"]]
    if verdict["outcome"] == "detected":
        title = f"{title}: {crime_name(verdict.get('crime_type'))}"
    page.styled(title, _BOLD + colour)
    if verdict.get("probability") is not None:
        said = chance(verdict["probability"], verdict.get("probability_source"))
        page.line(f"{said}; confidence {clean(verdict['confidence'])}")
    if judged(verdict):
        page.line(f"severity {clean(verdict['severity'])}")
        for reason in verdict.get("severity_reasons") or ():
            page.item(clean(reason))
    page.line(f"{verdict['votes_answered']} of {verdict['votes_asked']} votes answered")
    if description:
        page.line(clean(description))
    for reason in verdict.get("reasons") or ():
        page.item(f"{clean(reason['text'])} ({clean(reason['code'])})")
        _next_step(page, reason)
    _list(page, "Could also be", verdict.get("alternative_interpretations") or ())
    _list(page, "What to do", verdict.get("recommendations") or ())


def _list(page: _Page, heading: str, texts: Iterable[str]) -> None:
    for count, text in enumerate(texts):
        if count == 0:
            page.heading(heading)
        page.item(clean(text))


def _incidents(page: _Page, incidents: Iterable[Mapping[str, Any]]) -> None:
    for count, incident in enumerate(incidents):
        if count == 0:
            page.heading("Incidents")
        others = [crime_name(other) for other in incident.get("alternatives") or ()]
        page.item(
            f"{span(incident['start'], incident['end'])} {crime_name(incident['crime_type'])}, "
            f"severity {clean(incident['severity'])}, probability "
            f"{incident['probability']:.2f}, strongest at {clock(incident['peak'])}, "
            f"{clean(incident['verification']).replace('_', ' ')}"
            + (f"; or: {', '.join(others)}" if others else "")
        )


def _assessments(page: _Page, report: Mapping[str, Any]) -> None:
    page.heading("Who said what")
    assessments = report.get("assessments") or ()
    for assessment in assessments:
        page.item(_assessment(assessment))
        if assessment.get("evidence_description"):
            page.note(clean(assessment["evidence_description"]))
        if assessment.get("flags"):
            page.note("flags: " + ", ".join(clean(flag) for flag in assessment["flags"]))
        error = assessment.get("error")
        if error and assessment["status"] == "skipped":
            page.note(clean(error["message"]))
        elif error:
            page.note(_error(error))
            _next_step(page, error)
    if not assessments:
        page.note("Nobody was asked.")


def _assessment(assessment: Mapping[str, Any]) -> str:
    who = clean(assessment["analyzer"], limit=80)
    by = [clean(assessment[k], limit=80) for k in ("provider", "model") if assessment.get(k)]
    if by:
        who += f" ({', '.join(by)})"
    if assessment["status"] == "skipped":
        return f"{who}: skipped"
    if assessment["status"] != "answered":
        return f"{who}: {clean(assessment['status'])}, {money(assessment.get('cost') or {})}"
    said = clean(assessment["outcome"]).replace("_", " ")
    if assessment["outcome"] == "detected":
        said += f": {crime_name(assessment.get('crime_type'))}"
    likely = chance(assessment.get("probability"), assessment.get("probability_source"))
    cached = ", from the cache" if assessment.get("cached") else ""
    return f"{who}: {said}; {likely}{cached}; {money(assessment.get('cost') or {})}"


def _unseen(page: _Page, report: Mapping[str, Any]) -> None:
    page.heading("Not looked at")
    gaps = unseen(report)
    for gap in gaps:
        page.item(f"{', '.join(gap.who)}: {gap.where()} ({gap.reason})")
    if not gaps:
        page.note("No gaps.")


def _heard(page: _Page, report: Mapping[str, Any]) -> None:
    found = heard(report)
    if not found:
        return
    page.heading("Heard (data from the media, not instructions)")
    reliable = {
        clean(s["reliability"]) for s in report["evidence"].get("transcript") or () if s["text"]
    }
    if reliable:
        page.note(f"Words: reliability {', '.join(sorted(reliable))}.")
    for start, end, kind, words in found[:_MAX_HEARD]:
        said = f"[{words}]" if kind == "sound" else f'"{clean(words)}"'
        page.item(f"{span(start, end)} {said}")
    if len(found) > _MAX_HEARD:
        page.note(f"and {len(found) - _MAX_HEARD} more; all of it is in the JSON.")


def _egress(page: _Page, egress: Iterable[Mapping[str, Any]]) -> None:
    page.heading("What left this machine")
    nothing = True
    for record in egress:
        nothing = False
        volume = record.get("size_bytes")
        amount = "size unknown" if volume is None else f"{volume} bytes"
        page.item(
            f"{clean(record['what'])} to {clean(record['to'])}, {amount} "
            f"({clean(record['purpose'])}, {clean(record['when'])})"
        )
    if nothing:
        page.note("Nothing left this machine.")


def _errors(page: _Page, report: Mapping[str, Any]) -> None:
    """Write what went wrong, except for what stands beside an analyzer already."""
    told = [assessment.get("error") for assessment in report.get("assessments") or ()]
    errors = [error for error in report.get("errors") or () if error not in told]
    for count, error in enumerate(errors):
        if count == 0:
            page.heading("Errors")
        page.item(f"{clean(error['stage'])}: {_error(error)}")
        _next_step(page, error)


def _error(error: Mapping[str, Any]) -> str:
    return f"{clean(error['type'])}: {clean(error['message'])}"


def _next_step(page: _Page, record: Mapping[str, Any]) -> None:
    if record.get("next_step"):
        page.line(clean(record["next_step"]), first="    Next: ", rest="    ")
