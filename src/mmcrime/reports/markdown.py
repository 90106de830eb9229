"""A report as Markdown (CommonMark with tables) for tickets, wikis and chats.

All text of the report is escaped: nothing from the media can become markup, a link, an
image, HTML, a mention or a table cell of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmcrime.reports.missed import closeness, unseen
from mmcrime.reports.voices import doubts, family, marked
from mmcrime.reports.words import (
    BANNER,
    OUTCOMES,
    agreement,
    chance,
    clean,
    clock,
    crime_name,
    facts,
    heard,
    hundredths,
    judged,
    money,
    span,
    volume,
    wall,
)

_SPECIAL = re.compile(
    r"[\\`*_{}\[\]()<>&#!|~$^@]"  # markup, HTML, references, mathematics, mentions
    r"|^[-+=]"  # lists and headings, at the start of a text
    r"|(?<!\d):|:(?!\d)|(?<=www)[.]",  # addresses and emoji; not the times 0:13.5
    re.IGNORECASE,
)
_MAX_MARKED = 10  # stretches of one analyzer
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;&#8203;"}


def escape(text: object) -> str:
    """Return text that Markdown shows as it is, on one line.

    An ``@`` is followed by a zero-width space, so that no one is mentioned or mailed.
    """
    escaped = _SPECIAL.sub(lambda m: _ENTITIES.get(m[0], "\\" + m[0]), clean(text))
    return re.sub(r"^(\d+)[.]", r"\1\\.", escaped)  # "7." would start a numbered list


def render(report: Mapping[str, Any]) -> str:
    """Return a report as Markdown that ends in a line break."""
    verdict = report["verdict"]
    title = OUTCOMES[verdict["outcome"]]
    if verdict["outcome"] == "detected":
        title += f": {escape(crime_name(verdict.get('crime_type')))}"
    lines = [f"**{BANNER}**", "", f"## {title}", ""]
    lines += [f"{escape(report['source'])} ({escape(facts(report['media']))})", ""]
    lines += _verdict(verdict, cost=report.get("cost") or {})
    lines += _incidents(report)
    lines += _table(
        "Who said what",
        ("Analyzer", "Status", "Outcome", "Probability", "Cost", "Remarks"),
        [_assessment(assessment, verdict) for assessment in report.get("assessments") or ()],
    )
    lines += _list("What they marked", _marked(report))
    lines += _list(
        "Who agrees with whom", [agreement(c) for c in verdict.get("cross_verification") or ()]
    )
    lines += _list(
        "Not looked at",
        [f"{', '.join(g.who)}: {g.where()} ({g.reason})" for g in unseen(report)],
        empty="No gaps.",
    )
    if looks := closeness(report):
        lines += [
            f"Preprocessing: {looks} at the pictures; it may have missed what is shorter.",
            "",
        ]
    lines += _list("Heard (data from the media, not instructions)", _heard(report))
    lines += _list(
        "What left this machine",
        [
            f"{e['what']} to {e['to']}, {volume(e.get('size_bytes'))} ({e['purpose']}, {e['when']})"
            for e in report.get("egress") or ()
        ],
        empty="Nothing left this machine.",
    )
    lines += _list(
        "Errors",
        [f"{e['stage']}: {e['type']}: {_with_step(e)}" for e in report.get("errors") or ()],
    )
    return "\n".join(lines).rstrip("\n") + "\n"


def _verdict(verdict: Mapping[str, Any], *, cost: Mapping[str, Any]) -> list[str]:
    said = chance(verdict.get("probability"), verdict.get("probability_source"))
    items = [
        f"{said}; confidence {verdict['confidence']}",
        *([f"severity {verdict['severity']}"] if judged(verdict) else []),
        *(f"severity: {reason}" for reason in verdict.get("severity_reasons") or ()),
        f"{verdict['votes_answered']} of {verdict['votes_asked']} votes answered",
        money(cost),
        *(
            f"{reason['text']} ({reason['code']}) Next: {reason['next_step']}"
            for reason in verdict.get("reasons") or ()
        ),
    ]
    lines = [f"- {escape(item)}" for item in items]
    if verdict.get("evidence_description"):
        lines += ["", escape(verdict["evidence_description"])]
    return [
        *lines,
        "",
        *_list("Could also be", verdict.get("alternative_interpretations") or ()),
        *_list("What to do", verdict.get("recommendations") or ()),
    ]


def _with_step(error: Mapping[str, Any]) -> str:
    step = error.get("next_step")
    return f"{error['message']} Next: {step}" if step else str(error["message"])


def _incidents(report: Mapping[str, Any]) -> list[str]:
    incidents = report.get("incidents") or ()
    recorded_at = report["media"].get("recorded_at")
    clocks = [wall(recorded_at, incident["start"]) for incident in incidents]
    columns = ["From", "To", "Kind", "Severity", "Probability", "Strongest at", "Checked"]
    rows = [_incident(incident) for incident in incidents]
    if any(clocks):
        columns.append("Wall clock")
        rows = [(*row, moment or "") for row, moment in zip(rows, clocks, strict=True)]
    return _table("Incidents", columns, rows)


def _incident(incident: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = [incident["crime_type"], *(incident.get("alternatives") or ())]
    return (
        clock(incident["start"]),
        clock(incident["end"]),
        " or ".join(crime_name(kind) for kind in kinds),
        incident["severity"],
        hundredths(incident["probability"]),
        clock(incident["peak"]),
        incident["verification"].replace("_", " "),
    )


def _assessment(assessment: Mapping[str, Any], verdict: Mapping[str, Any]) -> tuple[str, ...]:
    who = [assessment["analyzer"], assessment.get("provider"), assessment.get("model")]
    error = assessment.get("error") or {}
    remarks = [assessment.get("evidence_description"), *(assessment.get("flags") or ())]
    remarks += [f"could also be: {other}" for other in doubts(assessment, verdict)]
    remarks += [f"tried before: {other}" for other in assessment.get("fallbacks") or ()]
    remarks += [error.get("message"), error.get("next_step")]
    return (
        ", ".join([*(str(name) for name in who if name), *family(assessment)]),
        assessment["status"] + (" (from the cache)" if assessment.get("cached") else ""),
        _said(assessment),
        chance(assessment.get("probability"), assessment.get("probability_source")),
        money(assessment.get("cost") or {}),
        "; ".join(str(remark) for remark in remarks if remark),
    )


def _said(assessment: Mapping[str, Any]) -> str:
    said: str = assessment["outcome"].replace("_", " ")
    if assessment["outcome"] == "detected":
        said += f": {crime_name(assessment.get('crime_type'))}"
    return said


def _marked(report: Mapping[str, Any]) -> list[str]:
    items = []
    for assessment in report.get("assessments") or ():
        told, left = marked(assessment, most=_MAX_MARKED)
        items += [f"{assessment['analyzer']}: {text}" for text in told]
        if left:
            items.append(f"{assessment['analyzer']}: and {left} more; all of it is in the JSON.")
    return items


def _heard(report: Mapping[str, Any]) -> list[str]:
    transcript = (report.get("evidence") or {}).get("transcript") or ()
    reliable = sorted({segment["reliability"] for segment in transcript})
    items = [f"Words: reliability {', '.join(reliable)}"] if reliable else []
    for start, end, kind, words in heard(report):
        items.append(f"{span(start, end)} " + (f"[{words}]" if kind == "sound" else f'"{words}"'))
    return items


def _list(heading: str, items: Sequence[str], *, empty: str = "") -> list[str]:
    if not items:
        return [f"### {heading}", "", empty, ""] if empty else []
    return [f"### {heading}", "", *(f"- {escape(item)}" for item in items), ""]


def _table(heading: str, columns: Iterable[str], rows: Sequence[Iterable[str]]) -> list[str]:
    if not rows:
        return []
    names = list(columns)
    head = [f"### {heading}", "", f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return [*head, *(f"| {' | '.join(escape(cell) for cell in row)} |" for row in rows), ""]
