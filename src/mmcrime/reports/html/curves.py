"""Curves on the time axis: values that hold for a while, and nothing where there are none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from mmcrime.evidence import Interval, merge_intervals
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.words import SOUND_NAMES, clean, clock

_TOLD = 4
COLUMNS = 600
"""Most values drawn of one curve: about one a pixel on a phone, two on paper."""
_SECOND = 1.0
"""Motion and sound are measured once a second."""

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
    """Return the fused score. It holds until the next value, where somebody looked."""
    timeline = (report.get("verdict") or {}).get("timeline") or {}
    times, scores = timeline.get("times") or (), timeline.get("scores") or ()
    name = "Fused score"
    if not times:
        return Curve(
            name=name,
            notes=("There is none: no analyzer that answered gave scores over time.",),
        )
    ends = [*times[1:], axis.end]
    pieces = list(zip(times, ends, scores, strict=True))
    looked = _looked(report)
    if looked:
        pieces = _inside(pieces, looked)
    drawn, cut = _columns(pieces, axis)
    best = max(range(len(scores)), key=lambda i: scores[i])
    return Curve(
        name=name,
        path=_path(drawn, axis),
        top="1",
        bottom="0",
        facts=f"Highest {scores[best]:.2f} from {clock(times[best])} on.",
        notes=("Blank where no analyzer that answered looked.", *cut),
    )


def _looked(report: Mapping[str, Any]) -> tuple[Interval, ...]:
    """Return where an analyzer that answered looked at all."""
    analyzers = (report.get("coverage") or {}).get("analyzers") or {}
    return merge_intervals(
        (start, end)
        for covered in analyzers.values()
        for start, end in covered.get("examined") or ()
    )


def motion(report: Mapping[str, Any], axis: Axis) -> Curve:
    """Return how much moves, or why nobody knows."""
    found = (report.get("evidence") or {}).get("motion") or {}
    times, values = _measured(found, "scores")
    if not times:
        kind = (report.get("media") or {}).get("kind")
        why = "this input has no pictures" if kind == "audio" else "motion was not measured"
        return Curve(name="Motion", notes=(f"There is none: {why}.",))
    drawn, cut = _columns(_seconds(times, values), axis)
    best = max(range(len(values)), key=lambda i: values[i])
    return Curve(
        name="Motion",
        path=_path(drawn, axis),
        top="1",
        bottom="0 still",
        facts=f"Highest {values[best]:.2f} at {clock(times[best])}.",
        notes=(*_method(found), *cut),
    )


def sound(report: Mapping[str, Any], axis: Axis) -> Curve:
    """Return the level of the sound with the sound events on it, or why there is none."""
    evidence = report.get("evidence") or {}
    found = evidence.get("loudness") or {}
    times, levels = _measured(found, "levels")
    marks = tuple(_event(event, axis) for event in (evidence.get("sounds") or ())[:COLUMNS])
    if not times:
        silent = (report.get("media") or {}).get("has_audio") is False
        why = "this input has no sound" if silent else "the level was not measured"
        return Curve(name="Sound", notes=(f"There is none: {why}.",), marks=marks)
    if max(levels) <= _SILENCE:
        return Curve(
            name="Sound",
            notes=("There is none to draw: all of it is digital silence.",),
            marks=marks,
        )
    floor = _floor(levels)
    shares = [1 - max(level, floor) / floor for level in levels]
    drawn, cut = _columns(_seconds(times, shares), axis)
    best = max(range(len(levels)), key=lambda i: levels[i])
    return Curve(
        name="Sound",
        path=_path(drawn, axis),
        top="0 dBFS",
        bottom=f"{floor} or less",
        facts=f"Loudest {levels[best]:.0f} dBFS at {clock(times[best])}.",
        notes=(*_method(found), *cut, *_told(marks)),
        marks=marks,
    )


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
    pairs = sorted(zip(found.get("times") or (), found.get(key) or (), strict=False))
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
    """Return at most `COLUMNS` pieces, the largest value of each, and say so."""
    pieces = [p for p in pieces if all(map(math.isfinite, p)) and p[1] > p[0]]
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
    return drawn, (f"Drawn: the largest value of each {wide:g} s.",)


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
