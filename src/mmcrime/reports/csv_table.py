"""Reports as a table: one row a report, the columns never change their order.

A spreadsheet that opens the table computes nothing from it: a cell that would start a
formula gets a leading apostrophe, every cell is quoted, and no cell holds a line break.
A program may split lines otherwise than we join them, at ``;`` or at ``|``, and drop
quotation marks of its own choice: so a comma, semicolon or bar that a sign of a formula
follows gets a raised comma (U+2019) behind it.
"""

from __future__ import annotations

import bisect
import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mmcrime.reports.missed import unseen
from mmcrime.reports.words import agreement, clean, finite, heard, judged, shortlist, wall

COLUMNS: tuple[str, ...] = (
    "source",
    "note",
    "kind",
    "duration",
    "outcome",
    "crime_detected",
    "crime_type",
    "probability",
    "probability_source",
    "confidence",
    "severity",
    "reasons",
    "incidents",
    "first_start",
    "first_end",
    "votes_asked",
    "votes_answered",
    "assessments",
    "description",
    "heard",
    "not_looked_at",
    "egress",
    "cost_usd",
    "cost_source",
    "errors",
    "source_id",
    "recorded_at",
    "content_id",
    "request_id",
    "timestamp",
    "schema_version",
    "first_start_wall",
    "first_end_wall",
    "egress_bytes",
    "cached",
    "cross_verification",
    "severity_reasons",
    "recommendations",
)
"""The columns. New ones are added at the end only.

``note`` is "automated result, unconfirmed". Empty means unknown or none. Times and
``duration`` are media seconds. ``assessments`` is ``name=status:outcome`` and
``reasons`` are codes, separated by ``; ``. ``egress`` counts what left this machine;
``egress_bytes`` is empty when the size of any of it is unknown. ``first_start_wall`` and
``first_end_wall`` are wall-clock times of the first incident, with time zone. ``cached``
counts the answers that came from the cache.
"""

# The wide and small forms too: some spreadsheets read them as the plain ones.
_SIGN = r"[=+\-@＝＋－＠﹦﹢﹣﹫−]"  # noqa: RUF001  # see above
# What a reader may drop before the sign: spaces, quotation marks, escape characters.
_FORMULA = re.compile(rf"^(?=[\s\"'`\\]*{_SIGN})")
_INNER_FORMULA = re.compile(rf"[,;|](?=[\s\"'`\\,;|]*{_SIGN})")
_GUARD = "\u2019"
"""An apostrophe that no reader takes for a quotation mark, which it would drop."""
_MAX_CELL = 2000


def row(report: Mapping[str, Any]) -> dict[str, str]:
    """Return one report as cells by column, safe to open in a spreadsheet."""
    media, verdict = report["media"], report["verdict"]
    incidents = report.get("incidents") or ()
    first = min(incidents, key=lambda i: i["start"]) if incidents else {}
    cost = report.get("cost") or {}
    values: dict[str, object] = {
        "source": report["source"],
        "note": "automated result, unconfirmed",
        **{key: media.get(key) for key in ("kind", "duration", "source_id", "recorded_at")},
        **{key: verdict.get(key) for key in _OF_VERDICT},
        "severity": verdict["severity"] if judged(verdict) else None,
        "content_id": media.get("content_id"),
        "reasons": _joined(reason["code"] for reason in verdict.get("reasons") or ()),
        "incidents": len(incidents),
        "first_start": first.get("start"),
        "first_end": first.get("end"),
        "assessments": _joined(
            f"{a['analyzer']}={a['status']}:{a['outcome']}" for a in report.get("assessments") or ()
        ),
        "description": verdict.get("evidence_description"),
        "heard": _heard(report),
        "not_looked_at": _joined(
            f"{', '.join(gap.who)}: {gap.where()} ({gap.reason})" for gap in unseen(report)
        ),
        "egress": len(report.get("egress") or ()),
        "cost_usd": cost.get("usd"),
        "cost_source": cost.get("source"),
        "errors": _joined(f"{e['stage']}: {e['type']}" for e in report.get("errors") or ()),
        **{key: report[key] for key in ("request_id", "timestamp", "schema_version")},
        **_added_later(report, first),
    }
    return {column: _cell(values[column]) for column in COLUMNS}


def _added_later(report: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, object]:
    verdict, recorded_at = report["verdict"], report["media"].get("recorded_at")
    sizes = [record.get("size_bytes") for record in report.get("egress") or ()]
    return {
        "first_start_wall": wall(recorded_at, first["start"]) if first else None,
        "first_end_wall": wall(recorded_at, first["end"]) if first else None,
        "egress_bytes": None if None in sizes else sum(sizes),
        "cached": sum(bool(a.get("cached")) for a in report.get("assessments") or ()),
        "cross_verification": _joined(
            agreement(check) for check in verdict.get("cross_verification") or ()
        ),
        "severity_reasons": _joined(verdict.get("severity_reasons") or ()),
        "recommendations": _joined(verdict.get("recommendations") or ()),
    }


_OF_VERDICT = (
    "outcome",
    "crime_detected",
    "crime_type",
    "probability",
    "probability_source",
    "confidence",
    "votes_asked",
    "votes_answered",
)


def header() -> str:
    """Return the line of column names."""
    return _line(COLUMNS)


def line(report: Mapping[str, Any]) -> str:
    """Return one report as a line of the table, ended by CR LF as RFC 4180 says."""
    return _line(row(report).values())


def render(reports: Iterable[Mapping[str, Any]]) -> str:
    """Return a whole table with its header."""
    return header() + "".join(line(report) for report in reports)


def _line(values: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerow(values)
    return buffer.getvalue()


def _heard(report: Mapping[str, Any]) -> str:
    """Return what was heard, as much of it as a cell holds: sounds before words."""
    found = heard(report)
    if len(_sayings(found)) <= _MAX_CELL:
        return _sayings(found)
    room = _MAX_CELL - 30  # for how many are left out
    # More of it is longer, so that the longest list that fits can be searched for.
    fits = bisect.bisect_right(
        range(1, len(found)), room, key=lambda most: len(_sayings(shortlist(report, most)[0]))
    )
    shown, left = shortlist(report, fits)
    return f"{_sayings(shown)}; … ({left} more)"


def _sayings(found: Iterable[tuple[float, float, str, str]]) -> str:
    return _joined(f"[{words}]" if kind == "sound" else clean(words) for *_, kind, words in found)


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(texts)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and finite(value) is None:
        return ""  # "nan" is no number that anybody can use
    if isinstance(value, int | float):
        return str(value)  # a number computes nothing, and an apostrophe would make it a text
    text = _INNER_FORMULA.sub(lambda found: found[0] + _GUARD, clean(value, limit=_MAX_CELL))
    return _FORMULA.sub("'", text)
