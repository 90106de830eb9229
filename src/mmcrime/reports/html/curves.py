"""Curves on the time axis: values that hold for a while, and nothing where there are none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from mmcrime.evidence import SILENT, Interval, merge_intervals
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.figures import FAR, figure
from mmcrime.reports.html.lanes import coverage_by
from mmcrime.reports.words import SOUND_NAMES, clean, clock

_TOLD = 4
COLUMNS = 600
"""Most values drawn of one curve: about one a pixel on a phone, two on paper."""
_SECOND = 1.0
"""Motion and sound are measured once a second."""

_FINER = 4
"""The shortest hole that is drawn is this part of a column."""
_SILENCE = -100.0
"""The lowest level there is, in dBFS."""

Piece = tuple[float, float, float]
"""A value that holds: start and end in media seconds, then the value, 0 to 1 of the scale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A point of interest on a curve."""

    at: float
    width: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """SVG paths of a line and of the surface below it."""

    line: str = ""
    area: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One curve, ready to draw in a box of 1000 x 100 units.

    Attributes:
        name: What it shows.
        path: What is drawn; empty when there is no curve.
        top: Label of the upper border.
        bottom: Label of the lower border.
        facts: What a reader who cannot see it needs to know.
        notes: How it was measured and drawn, or why there is none.
        marks: Stretches marked on it.
    """

    name: str
    path: Path = field(default_factory=Path)
    top: str = ""
    bottom: str = ""
    facts: str = ""
    notes: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


def score(report: Mapping[str, Any], axis: Axis) -> Curve:
    """Return the fused score. It holds until the next value, where somebody looked.

    Before the first value it is 0 there: those who looked said nothing yet.
    """
    timeline = (report.get("verdict") or {}).get("timeline") or {}
    times, scores = _measured(timeline, "scores")
    name = "Fused score"
    if not times:
        return Curve(
            name=name,
            notes=("There is none: no analyzer that answered gave scores over time.",),
        )
    starts, values = [axis.start, *times], [0.0, *scores]
    pieces = list(zip(starts, [*times, axis.end], values, strict=True))
    drawn, cut = _columns(_inside(pieces, _looked(report)), axis)
    best = max(range(len(scores)), key=lambda i: scores[i])
    return Curve(
        name=name,
        path=_path(drawn, axis),
        top="1",
        bottom="0",
        facts=f"Highest {figure(scores[best])} from {clock(times[best])} on.",
        notes=("Blank where no analyzer that answered looked.", *cut),
    )


def _looked(report: Mapping[str, Any]) -> tuple[Interval, ...]:
    """Return where an analyzer that answered looked at all.

    Of one that does not say where it looked, only what it found is known.
    """
    coverage = report.get("coverage") or {}
    found: list[Interval] = []
    for vote in report.get("assessments") or ():
        if vote["status"] == "answered":
            told = ((s["start"], s["end"]) for s in vote.get("segments") or ())
            found += coverage_by(vote, coverage).get("examined") or told
    return merge_intervals((start, end) for start, end in found)


def _decoded(
    report: Mapping[str, Any], sense: str, pieces: list[Piece]
) -> tuple[list[Piece], tuple[str, ...]]:
    """Cut what was measured to what was decoded, as far as the report says what was."""
    covered = (report.get("coverage") or {}).get(sense) or {}
    gaps = covered.get("gaps") or ()
    known = [(start, end) for start, end in covered.get("examined") or ()]
    known += [(gap["start"], gap["end"]) for gap in gaps if gap["reason"] == SILENT]
    if not known:
        return pieces, ()
    kept = _inside(pieces, merge_intervals(known))
    lost = sum(e - s for s, e, _ in pieces) - sum(e - s for s, e, _ in kept)
    return kept, ("Blank where nothing was decoded.",) if lost > _SECOND else ()


def motion(report: Mapping[str, Any], axis: Axis) -> Curve:
    """Return how much moves, or why nobody knows."""
    found = (report.get("evidence") or {}).get("motion") or {}
    times, values = _measured(found, "scores")
    if not times:
        kind = (report.get("media") or {}).get("kind")
        why = "this input has no pictures" if kind == "audio" else "motion was not measured"
        return Curve(name="Motion", notes=(f"There is none: {why}.",))
    pieces, blank = _decoded(report, "video", _seconds(times, values))
    drawn, cut = _columns(pieces, axis)
    best = max(range(len(values)), key=lambda i: values[i])
    return Curve(
        name="Motion",
        path=_path(drawn, axis),
        top="1",
        bottom="0 still",
        facts=f"Highest {figure(values[best])} at {clock(times[best])}.",
        notes=(*_method(found), *blank, *cut),
    )


def sound(report: Mapping[str, Any], axis: Axis) -> Curve:
    """Return the level of the sound with the sound events on it, or why there is none."""
    evidence = report.get("evidence") or {}
    found = evidence.get("loudness") or {}
    times, levels = _measured(found, "levels")
    marks = tuple(_event(event, axis) for event in evidence.get("sounds") or ())
    told, marks = _told(marks), marks[:COLUMNS]
    if not times:
        silent = (report.get("media") or {}).get("has_audio") is False
        why = "this input has no sound" if silent else "the level was not measured"
        return Curve(name="Sound", notes=(f"There is none: {why}.", *told), marks=marks)
    if max(levels) <= _SILENCE:
        return Curve(name="Sound", notes=(_quiet(report), *told), marks=marks)
    floor = _floor(levels)
    shares = [1 - max(level, floor) / floor for level in levels]
    pieces, blank = _decoded(report, "sound", _seconds(times, shares))
    drawn, cut = _columns(pieces, axis)
    best = max(range(len(levels)), key=lambda i: levels[i])
    return Curve(
        name="Sound",
        path=_path(drawn, axis),
        top="0 dBFS",
        bottom=f"{floor} or less",
        facts=f"Loudest {round(levels[best])} dBFS at {clock(times[best])}.",
        notes=(*_method(found), *blank, *cut, *told),
        marks=marks,
    )


def _quiet(report: Mapping[str, Any]) -> str:
    """Say why there is no level to draw: silence only where the coverage says so."""
    covered = (report.get("coverage") or {}).get("sound") or {}
    reasons = {gap["reason"] for gap in covered.get("gaps") or ()}
    if reasons == {SILENT} and not covered.get("examined"):
        return "There is none to draw: all of it is digital silence."
    return f"There is none to draw: no level that was measured is above {_SILENCE:.0f} dBFS."


def _event(event: Mapping[str, Any], axis: Axis) -> Mark:
    said = SOUND_NAMES.get(event["label"], clean(event["label"], limit=80))
    return Mark(
        at=axis.at(event["start"]),
        width=axis.width((event["start"], event["end"])),
        text=f"{said} at {clock(event['peak'])}",
    )


def _told(marks: Sequence[Mark]) -> tuple[str, ...]:
    """Say what is marked: a colour alone tells nobody."""
    if not marks:
        return ()
    more = f" and {len(marks) - _TOLD} more, see below" if len(marks) > _TOLD else ""
    return (f"Marked: {', '.join(mark.text for mark in marks[:_TOLD])}{more}.",)


def _floor(levels: Sequence[float]) -> int:
    """Return the lowest level of the scale in dBFS: silence does not squash the rest."""
    quietest = min((level for level in levels if level > _SILENCE), default=-60.0)
    return next(floor for floor in (-60, -80, -100) if quietest >= floor or floor == -100)


def _measured(found: Mapping[str, Any], key: str) -> tuple[list[float], list[float]]:
    """Return times in order and their values, as far as both are there."""
    pairs = sorted(
        (time, value)
        for time, value in zip(found.get("times") or (), found.get(key) or (), strict=False)
        if abs(time) < FAR and abs(value) < FAR
    )
    return [time for time, _ in pairs], [value for _, value in pairs]


def _method(found: Mapping[str, Any]) -> tuple[str, ...]:
    method = clean(found.get("method"), limit=200)
    return (f"Once a second: {method}.",) if method else ()


def _seconds(times: Sequence[float], values: Sequence[float]) -> list[Piece]:
    """Let each value hold for its second, or until the next one."""
    ends = [min(next_, start + _SECOND) for start, next_ in pairwise(times)]
    ends.append(times[-1] + _SECOND)
    return list(zip(times, ends, values, strict=True))


def _inside(pieces: Iterable[Piece], looked: Sequence[Interval]) -> list[Piece]:
    """Cut pieces in order of time to sorted, separate intervals."""
    kept: list[Piece] = []
    first = 0
    for start, end, value in pieces:
        while first < len(looked) and looked[first][1] <= start:
            first += 1
        at = first
        while at < len(looked) and looked[at][0] < end:
            kept.append((max(start, looked[at][0]), min(end, looked[at][1]), value))
            at += 1
    return kept


def _columns(pieces: Sequence[Piece], axis: Axis) -> tuple[list[Piece], tuple[str, ...]]:
    """Return at most `COLUMNS` pieces, the largest value of each, and say so.

    More only where holes cut them: what was not measured is never filled.
    """
    pieces = [p for p in pieces if p[1] > p[0]]
    if len(pieces) <= COLUMNS:
        return pieces, ()
    wide = axis.length / COLUMNS
    wide = float(math.ceil(wide)) if wide > 1 else wide
    largest: dict[int, float] = {}
    for start, end, value in pieces:
        first = int((max(start, axis.start) - axis.start) / wide)
        last = math.ceil((min(end, axis.end) - axis.start) / wide)
        for column in range(first, max(last, first + 1)):
            largest[column] = max(value, largest.get(column, 0.0))
    drawn = [
        (axis.start + column * wide, axis.start + (column + 1) * wide, value)
        for column, value in sorted(largest.items())
    ]
    known, closed = _visible([(start, end) for start, end, _ in pieces], wide / _FINER)
    notes = [f"Drawn: the largest value of each {wide:g} s."]
    if closed:
        notes.append(f"Holes of up to {wide / _FINER:g} s are too short to be drawn.")
    return _inside(drawn, known), tuple(notes)


def _visible(known: Sequence[Interval], least: float) -> tuple[tuple[Interval, ...], bool]:
    """Make every stretch long enough to be seen; tell whether that closed a hole."""
    exact = merge_intervals(known, join=least / 1000)
    seen = merge_intervals(((s, max(e, s + least)) for s, e in exact), join=least)
    return seen, len(seen) < len(exact)


def _path(pieces: Sequence[Piece], axis: Axis) -> Path:
    """Return the line and the surface of pieces in order of time; a hole stays a hole."""
    line: list[str] = []
    area: list[str] = []
    behind = -1.0
    for start, end, value in pieces:
        left, right = 10 * axis.at(start), 10 * axis.at(end)
        high = 100 * (1 - min(max(value, 0.0), 1.0))
        touches = left - behind < 0.05
        line.append(f"{'L' if touches else 'M'}{left:.1f} {high:.1f}H{right:.1f}")
        area.append(f"M{left:.1f} 100V{high:.1f}H{right:.1f}V100Z")
        behind = right
    return Path(line="".join(line), area="".join(area))
