"""The one time axis that everything on a page is drawn on, in per cent of its width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from mmcrime.evidence import Interval
from mmcrime.reports.words import clock, wall_clock

_STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14400, 21600, 43200, 86400),
)
"""Seconds between labels that people can count in."""
_MOST_TICKS = 6
_SHORTEST = 1e-3
"""Seconds under which nothing can be told apart."""
_LONGEST = 1e9
"""Seconds, three decades: a time beyond them is a mistake, and would squash all others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """One label of the axis.

    Attributes:
        at: Per cent of the width.
        media: Media time in words.
        wall: Wall-clock time, empty when nobody knows it.
        date: The day of it, where it is another day than at the labels before.
        minor: Whether it is left out where there is little room.
        anchor: ``start``, ``middle`` or ``end``: labels at the borders stay inside.
    """

    at: float
    media: str
    wall: str
    date: str
    minor: bool
    anchor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A stretch of media time, longer than nothing.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        recorded_at: Wall-clock time of media time 0, None when nobody knows it.
        cut: Whether the input states a length that does not fit on any axis.
    """

    start: float
    end: float
    recorded_at: str | None = None
    cut: bool = False

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self | None:
        """Return the axis on which all of a report fits; None when it has no time."""
        media = report.get("media") or {}
        if media.get("kind") in (None, "image"):
            return None
        stated = _stated(report)
        times = [t for t in (*stated, *_times(report)) if abs(t) < _LONGEST]
        start, end = min([0.0, *times]), max([0.0, *times])
        if end - start < _SHORTEST:
            return None
        return cls(
            start=start,
            end=end,
            recorded_at=media.get("recorded_at"),
            cut=not all(abs(t) < _LONGEST for t in stated),
        )

    @property
    def length(self) -> float:
        """Seconds from the start to the end."""
        return self.end - self.start

    def at(self, seconds: float) -> float:
        """Return where a time lies, 0 to 100; what lies outside stands at the border."""
        # In this order what is no number stands at the start.
        share = (min(max(self.start, seconds), self.end) - self.start) / self.length
        return round(100 * share, 3)

    def width(self, interval: Interval) -> float:
        """Return how wide an interval is, in per cent; nothing where it ends before it starts."""
        return max(0.0, round(self.at(interval[1]) - self.at(interval[0]), 3))

    def ticks(self) -> tuple[Tick, ...]:
        """Return at most seven labels at times people can count in."""
        step = _step(self.length)
        first = math.ceil(self.start / step)
        last = math.floor(self.end / step)
        made: list[Tick] = []
        before = lasting = ""  # days of the last label, and of the last that always shows
        for number in range(first, last + 1):
            minor = (number - first) % 2 == 1
            day, time = self._wall(number * step)
            changed = day != before or (not minor and day != lasting)
            at = self.at(number * step)
            made.append(
                Tick(
                    at=at,
                    media=_label(number * step, step),
                    wall=time,
                    date=day if changed else "",
                    minor=minor,
                    anchor=_anchor(at),
                )
            )
            before = day or before
            lasting = lasting if minor else day or lasting
        return tuple(made)

    @property
    def zone(self) -> str:
        """The offset of all wall-clock times from UTC, empty when nobody knows them."""
        moment = wall_clock(self.recorded_at, 0.0)
        if moment is None or moment.tzinfo is None:
            return ""
        offset = f"{moment:%z}"
        return "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:5]}"

    def _wall(self, seconds: float) -> tuple[str, str]:
        """Return the day and the time of day; a label between two seconds has none."""
        if not self.zone or abs(seconds - round(seconds)) >= 1e-6:
            return "", ""
        moment = wall_clock(self.recorded_at, round(seconds))
        return (f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}") if moment else ("", "")


def _step(length: float) -> float:
    for step in _STEPS:
        if length / step <= _MOST_TICKS:
            return step
    return math.ceil(length / _MOST_TICKS / 86400) * 86400.0


def _label(seconds: float, step: float) -> str:
    said = clock(seconds)
    return said if step < 1 else said.rpartition(".")[0]


def _anchor(at: float) -> str:
    if at < 4:
        return "start"
    return "end" if at > 96 else "middle"


def _stated(report: Mapping[str, Any]) -> list[float]:
    """Return the lengths that are stated."""
    media, coverage = report.get("media") or {}, report.get("coverage") or {}
    lengths = (media.get("duration"), coverage.get("duration"))
    return [length for length in lengths if length is not None]


def _times(report: Mapping[str, Any]) -> Iterator[float]:
    """Yield every other time that must fit on the axis."""
    evidence, coverage = report.get("evidence") or {}, report.get("coverage") or {}
    yield from ((report.get("verdict") or {}).get("timeline") or {}).get("times") or ()
    for name in ("motion", "loudness"):
        yield from (evidence.get(name) or {}).get("times") or ()
    yield from _borders(report.get("incidents") or ())
    yield from _borders(evidence.get("sounds") or ())
    yield from _borders(evidence.get("transcript") or ())
    for covered in coverage_of(coverage):
        for interval in covered.get("examined") or ():
            yield from interval


def _borders(stretches: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    for stretch in stretches:
        yield stretch["start"]
        yield stretch["end"]


def coverage_of(coverage: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the coverage of each observer."""
    for name in ("video", "sound", "speech"):
        yield coverage.get(name) or {}
    yield from (coverage.get("analyzers") or {}).values()
