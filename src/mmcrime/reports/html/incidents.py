"""Incidents: the worst as cards, all of them on the axis, the rest in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.figures import as_time, figure
from mmcrime.reports.html.pictures import Picture, at_peak
from mmcrime.reports.words import clean, clock, crime_name, span, wall_span

CARDS = 12
_ROWS = 200
_NUMBER, _PICTURE = 8.0, 12.0  # per cent of the axis that each takes
_RANKS = {"none": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}
_CHECKED = {
    "confirmed": "two kinds of analyzers name this group of crimes here",
    "rejected": "another kind of analyzer contradicts it",
    "not_verified": "not verified",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One incident in words.

    Attributes:
        number: Its place in time, from 1.
        worst: Its place among the worst, from 1.
        kind: The kind people read.
        alternatives: Other kinds it could be.
        when: Its stretch of media time.
        wall: Its wall-clock time, empty when nobody knows it.
        about: How uncertain its borders are, empty when not stated.
        strongest: Media time of its peak.
        severity: The word.
        rank: The severity, 0 to 4.
        probability: The number in words.
        instant: Whether that is the score at its strongest instant.
        checked: Whether another kind of analyzer says the same.
        by: Who supports it.
        picture: The frame at its peak, or the nearest there is.
        away: How far that frame is from the peak, empty when it is the frame of the peak.
        at: Where it begins on the axis, per cent.
        width: How wide it is, per cent.
        peak_at: Where its peak is, per cent.
    """

    number: int
    worst: int
    kind: str
    alternatives: str
    when: str
    wall: str
    about: str
    strongest: str
    severity: str
    rank: int
    probability: str
    instant: bool
    checked: str
    by: str
    picture: Picture | None
    away: str
    at: float
    width: float
    peak_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Incidents:
    """All incidents of a report.

    Attributes:
        cards: The worst ones, in order of time.
        rest: Those for the table, the worst of what is left, in order of time.
        more: How many stand in neither.
        cut: How severe those are, in words.
        marks: All of them, in order of time.
        labels: The numbers that have room on the axis.
        strip: Those whose pictures have room above the axis.
    """

    cards: tuple[Card, ...] = ()
    rest: tuple[Card, ...] = ()
    more: int = 0
    cut: str = ""
    marks: tuple[Card, ...] = ()
    labels: frozenset[int] = frozenset()
    strip: tuple[Card, ...] = ()


def rank(severity: object) -> int:
    """Return a severity as a number, 0 (none) to 4 (critical)."""
    return _RANKS.get(str(severity), 0)


def badness(incident: Mapping[str, Any]) -> tuple[int, float]:
    """Return what incidents are compared by: severity, then probability."""
    return rank(incident["severity"]), incident["probability"]


def incidents(
    report: Mapping[str, Any], axis: Axis | None, shown: Sequence[Picture], *, cards: int = CARDS
) -> Incidents:
    """Return the incidents of a report; ``cards`` of them in full."""
    found = sorted(report.get("incidents") or (), key=lambda i: (i["start"], i["end"]))
    worst = sorted(range(len(found)), key=lambda n: badness(found[n]), reverse=True)
    place = {number: order for order, number in enumerate(worst, 1)}
    made = [
        _card(
            incident,
            report,
            axis,
            number=number + 1,
            worst=place[number],
            picture=at_peak(shown, incident) if place[number] <= cards else None,
        )
        for number, incident in enumerate(found)
    ]
    cut = [card for card in made if card.worst > cards + _ROWS]
    full = tuple(card for card in made if card.worst <= cards)
    return Incidents(
        cards=full,
        rest=tuple(card for card in made if cards < card.worst <= cards + _ROWS),
        more=len(cut),
        cut=_by_severity(cut),
        marks=tuple(made),
        labels=frozenset(card.number for card in _apart(full, _NUMBER)),
        strip=_apart([card for card in full if card.picture], _PICTURE),
    )


def _by_severity(cards: Sequence[Card]) -> str:
    """Return how many there are of each severity, the worst first."""
    counted = Counter(card.severity for card in cards)
    worst_first = sorted(counted, key=rank, reverse=True)
    return ", ".join(f"{counted[severity]} {severity}" for severity in worst_first)


def _apart(cards: Sequence[Card], room: float) -> tuple[Card, ...]:
    """Choose what to write on the axis, the worst first, none over another."""
    kept: list[Card] = []
    for card in sorted(cards, key=lambda card: card.worst):
        if all(abs(card.peak_at - other.peak_at) >= room for other in kept):
            kept.append(card)
    return tuple(kept)


def _card(
    incident: Mapping[str, Any],
    report: Mapping[str, Any],
    axis: Axis | None,
    *,
    number: int,
    worst: int,
    picture: Picture | None,
) -> Card:
    start, end, peak = incident["start"], incident["end"], incident["peak"]
    media = report.get("media") or {}
    recorded_at = media.get("recorded_at")
    votes = {a["id"]: a for a in report.get("assessments") or ()}
    ids = incident.get("assessment_ids") or ()
    scores = {s["score"] for i in ids if i in votes for s in votes[i].get("segments") or ()}
    supporters = [votes[i]["analyzer"] if i in votes else i for i in ids]
    off = abs(picture.time - as_time(peak)) if picture else 0.0
    return Card(
        number=number,
        worst=worst,
        kind=crime_name(incident["crime_type"]),
        alternatives=" or ".join(crime_name(k) for k in incident.get("alternatives") or ()),
        when=span(start, end) if axis else "",
        wall=wall_span(recorded_at, start, end) if axis else "",
        about=_about(incident),
        strongest=clock(peak) if axis else "",
        severity=clean(incident["severity"]),
        rank=rank(incident["severity"]),
        probability=figure(incident["probability"]),
        instant=incident["probability"] in scores,
        checked=_CHECKED.get(incident.get("verification", ""), "not verified"),
        by=", ".join(clean(name, limit=80) for name in supporters),
        picture=picture,
        away=f"{figure(off, 1)} s from the peak" if axis and off > _one_frame(media) else "",
        at=axis.at(start) if axis else 0.0,
        width=axis.width((start, end)) if axis else 0.0,
        peak_at=axis.at(peak) if axis else 0.0,
    )


def _one_frame(media: Mapping[str, Any]) -> float:
    """Return how long a frame is shown, in seconds, as far as the input says; never long."""
    fps = media.get("fps") or 0.0
    return min(1.0, max(0.05, 1 / fps)) if fps > 0 else 0.05


def _about(incident: Mapping[str, Any]) -> str:
    """Return how far the borders may be off, empty when nobody said."""
    said = [
        f"{name} ±{figure(incident[key], 1)} s"
        for name, key in (("start", "start_uncertainty"), ("end", "end_uncertainty"))
        if incident.get(key) is not None
    ]
    return ", ".join(said)
