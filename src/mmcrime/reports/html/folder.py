"""The page of a folder: one row a report, the worst first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.reports.html.answer import blind, title
from mmcrime.reports.html.environment import fill
from mmcrime.reports.html.figures import figure
from mmcrime.reports.html.incidents import badness, rank
from mmcrime.reports.html.lanes import looks
from mmcrime.reports.html.pictures import at_peak, pictures
from mmcrime.reports.words import (
    BANNER,
    OUTCOMES,
    clean,
    crime_name,
    facts,
    span,
    volume,
    wall_span,
)
from mmcrime.reports.words import (
    judged as weighed,
)

_ADDRESS = re.compile(r"(?!/)(?:[A-Za-z0-9._~/-]|%[0-9A-Fa-f]{2})+")
"""A relative address, percent-encoded: no scheme, no host, no query."""
_ORDER = {"detected": 0, "undetermined": 1, "not_detected": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What a folder's page says about one report; small, so that many fit into memory.

    Attributes:
        href: Relative address of the report's page.
        name: What was analysed.
        place: Where it is, as far as that says more than its name.
        facts: Kind, length and size of it.
        outcome: ``detected``, ``not_detected`` or ``undetermined``.
        readable: Whether it could be read at all.
        kind: What kind of incident, empty unless detected.
        severity: The word, or "not judged".
        rank: The severity, 0 to 4; -1 when it was not judged.
        probability: 0 to 1, or None.
        source: Where that number comes from.
        confidence: Of the verdict.
        votes_answered: How many voted.
        votes_asked: How many were asked.
        incidents: How many were found.
        when: When the worst of them is, media time.
        wall: The same in wall-clock time, empty when nobody knows it.
        judged: How much of each sense was judged, in words.
        blind: Whether some sense was not judged at all, or a picture only in part.
        reason: The first reason of the verdict.
        sent: How many things left this machine for it.
        sent_bytes: How large they were, as far as known; None when nobody knows of any.
        thumbnail: The frame at the peak of the worst incident as a data URI.
    """

    href: str
    name: str
    place: str
    facts: str
    outcome: str
    readable: bool
    kind: str
    severity: str
    rank: int
    probability: float | None
    source: str
    confidence: str
    votes_answered: int
    votes_asked: int
    incidents: int
    when: str
    wall: str
    judged: str
    blind: bool
    reason: str
    sent: int
    sent_bytes: int | None
    thumbnail: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many rows have an outcome."""

    outcome: str
    words: str
    number: int


def row(report: Mapping[str, Any], *, href: str) -> Row:
    """Return what a folder's page says about one report.

    Args:
        report: What ``Report.to_dict(thumbnails=True)`` gives.
        href: Relative address of the report's page, percent-encoded.

    Raises:
        ValueError: If ``href`` could lead anywhere else.
    """
    if not _ADDRESS.fullmatch(href):
        raise ValueError(f"no relative, percent-encoded address: {href!r}")
    media, verdict = report["media"], report["verdict"]
    name, source = title(report)
    found = report.get("incidents") or ()
    worst = max(found, key=badness, default=None)
    timed = worst is not None and media.get("kind") != "image"
    judgements = looks(report)
    reasons = verdict.get("reasons") or ()
    egress = report.get("egress") or ()
    sizes = [record["size_bytes"] for record in egress if record.get("size_bytes") is not None]
    has_weight = weighed(verdict)
    return Row(
        href=href,
        name=name,
        place="" if source == name else source,
        facts=facts({**media, "recorded_at": None}),
        outcome=verdict["outcome"],
        readable=media.get("kind") is not None,
        kind=crime_name(verdict.get("crime_type")) if verdict["outcome"] == "detected" else "",
        severity=clean(verdict["severity"]) if has_weight else "not judged",
        rank=rank(verdict["severity"]) if has_weight else -1,
        probability=verdict.get("probability"),
        source=clean(verdict.get("probability_source"), limit=40),
        confidence=clean(verdict["confidence"]),
        votes_answered=verdict["votes_answered"],
        votes_asked=verdict["votes_asked"],
        incidents=len(found),
        when=span(worst["start"], worst["end"]) if timed and worst else "",
        wall=wall_span(media.get("recorded_at"), worst["start"], worst["end"])
        if timed and worst
        else "",
        judged=", ".join(f"{look.sense}: {look.words}" for look in judgements),
        blind=bool(blind(report)),
        reason=clean(reasons[0]["text"], limit=300) if reasons else "",
        sent=len(egress),
        sent_bytes=sum(sizes) if sizes else None,
        thumbnail=_thumbnail(report, worst),
    )


def _thumbnail(report: Mapping[str, Any], worst: Mapping[str, Any] | None) -> str | None:
    if worst is None and report["media"].get("kind") != "image":
        return None
    shown = pictures(report)
    picture = at_peak(shown, worst) if worst else next(iter(shown), None)
    return picture.uri if picture else None


def worst_first(rows: Iterable[Row]) -> list[Row]:
    """Return rows in the order in which a person should look at them.

    Detected ones by severity, then by probability. Then the undetermined ones, those with
    a judged severity first. What nobody found anything in comes last.
    """
    return sorted(
        rows,
        key=lambda row: (
            _ORDER.get(row.outcome, 1),
            -row.rank,
            -(row.probability if row.probability is not None else -1.0),
            row.name,
            row.href,
        ),
    )


def index(rows: Sequence[Row], *, title: str, note: str = "", page: int = 1, pages: int = 1) -> str:
    """Return the page of a folder as HTML.

    Args:
        rows: The rows of this page, in any order; they are shown the worst first.
        title: What was analysed.
        note: A remark above the counts, such as that the run was stopped.
        page: Number of this page, from 1. It is called ``index.html``, then
            ``index-2.html`` and so on.
        pages: How many there are.
    """
    shown = worst_first(rows)
    return fill(
        "index.html",
        banner=BANNER,
        title=clean(title, limit=300),
        note=clean(note),
        rows=shown,
        counts=_counts(shown),
        sent=_sent(shown),
        page=page,
        pages=pages,
        before=_page_name(page - 1) if page > 1 else "",
        after=_page_name(page + 1) if page < pages else "",
        outcomes=OUTCOMES,
        figure=figure,
    )


def _page_name(page: int) -> str:
    return "index.html" if page == 1 else f"index-{page}.html"


def _counts(rows: Sequence[Row]) -> list[Count]:
    """Return how many rows have each outcome; what could not be read counts apart."""
    counts = [
        Count(
            outcome=outcome,
            words=OUTCOMES[outcome].lower(),
            number=sum(row.readable and row.outcome == outcome for row in rows),
        )
        for outcome in _ORDER
    ]
    unreadable = sum(not row.readable for row in rows)
    return [*counts, Count(outcome="undetermined", words="could not be read", number=unreadable)]


def _sent(rows: Sequence[Row]) -> str:
    things = sum(row.sent for row in rows)
    if not things:
        return "Nothing left this machine."
    known = [row.sent_bytes for row in rows if row.sent_bytes is not None]
    much = f"{volume(sum(known))} as far as known" if known else volume(None)
    of = sum(row.sent > 0 for row in rows)
    noun = "thing" if things == 1 else "things"
    return f"{things} {noun} left this machine for {of} of these reports, {much}."
