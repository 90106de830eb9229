"""What was examined and what was not: intervals of media time, gaps, coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NO_STREAM = "no_stream"
"""Reason of a gap in which there is nothing to examine, for want of such a stream."""
SILENT = "silent"
"""Reason of a gap in which there is nothing to examine: digital silence."""
CUT_OFF = "damaged: the header states"
"""How the reason of a gap begins that stands for a lost end of the file; the length follows."""

Interval = tuple[float, float]
"""Half-open ``[start, end)`` in media seconds."""


def merge_intervals(intervals: Iterable[Interval], *, join: float = 0.0) -> tuple[Interval, ...]:
    """Sort intervals and join those that overlap or lie at most ``join`` seconds apart."""
    merged: list[Interval] = []
    for start, end in sorted(i for i in intervals if i[1] > i[0]):
        if merged and start <= merged[-1][1] + join:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def subtract_intervals(whole: Interval, parts: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return what of ``whole`` no interval of ``parts`` covers."""
    left: list[Interval] = []
    at = whole[0]
    for start, end in merge_intervals(parts):
        if start > at:
            left.append((at, min(start, whole[1])))
        at = max(at, end)
        if at >= whole[1]:
            break
    if at < whole[1]:
        left.append((at, whole[1]))
    return tuple(i for i in left if i[1] > i[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A stretch that was not examined, and why.

    Attributes:
        start: Media seconds.
        end: Media seconds; equal to ``start`` for a picture or an unknown length.
        reason: One of a few fixed words (``damaged``, ``not_requested``, ``not_judged``,
            ``over_limit``, ``speech_limit``, ``no_stream``, ``silent``, ``deadline`` …),
            then optionally ``": "`` and a detail.
    """

    start: float
    end: float
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """What was examined, computed from what was decoded and never from the plan.

    Attributes:
        examined: Merged half-open intervals in media seconds.
        frames: Number of pictures looked at.
        gaps: What was not looked at, with the reason.
    """

    examined: tuple[Interval, ...] = ()
    frames: int = 0
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def from_times(
        cls, times: Sequence[float], *, reach: float, whole: Interval, reason: str = "damaged"
    ) -> Coverage:
        """Build coverage from the presentation times of decoded frames.

        Args:
            times: Presentation times of the decoded frames.
            reach: Seconds that one decoded frame stands for.
            whole: The interval that ought to have been examined.
            reason: The reason given for what is missing of it.
        """
        spans = ((t, t + reach) for t in times)
        clipped = ((max(s, whole[0]), min(e, whole[1])) for s, e in spans)
        return cls.from_intervals(clipped, frames=len(times), whole=whole, reason=reason)

    @classmethod
    def from_intervals(
        cls,
        intervals: Iterable[Interval],
        *,
        whole: Interval,
        frames: int = 0,
        reason: str = "damaged",
    ) -> Coverage:
        """Build coverage from decoded intervals; the rest of ``whole`` becomes gaps.

        Slivers under a millisecond, which rounding of timestamps makes, are not gaps.
        """
        examined = merge_intervals(intervals, join=1e-3)
        gaps = tuple(
            Gap(start=s, end=e, reason=reason)
            for s, e in subtract_intervals(whole, examined)
            if e - s > 1e-3
        )
        return cls(examined=examined, frames=frames, gaps=gaps)

    @property
    def seconds(self) -> float:
        """Total length of what was examined."""
        return sum(end - start for start, end in self.examined)
