"""What pictures and stretches that go to a provider stand for."""

from __future__ import annotations

from collections.abc import Sequence

from mmcrime.evidence import (
    Coverage,
    Evidence,
    Gap,
    Interval,
    merge_intervals,
    subtract_intervals,
)

__all__ = ["REACH", "heard", "seen", "spans"]

REACH = 10.0
"""Seconds that one picture of a video may stand for; what is further from it was not seen."""
_SLIVER = 1e-3  # seconds; rounding of times leaves such slivers, they are not gaps
_UNANSWERED = "not_judged: nothing usable was said of it"


def spans(times: Sequence[float], *, end: float) -> tuple[Interval, ...]:
    """Return what pictures of a video stand for: what follows each, but not for long.

    Args:
        times: Of the pictures, in order.
        end: Of the video.
    """
    return tuple(
        (max(time, 0.0), min(after, time + REACH))
        for time, after in zip(times, [*times[1:], end], strict=True)
    )


def seen(
    looked: Sequence[Interval], evidence: Evidence, *, failed: Sequence[Interval] = ()
) -> Coverage:
    """Return the coverage of pictures of a video, without what nobody could decode.

    Args:
        looked: What the pictures stand for that were looked at, one each.
        evidence: What the video is.
        failed: The same of those that were sent and not judged.
    """
    decoded = evidence.video.examined
    holes = subtract_intervals((0.0, evidence.media.duration or 0.0), decoded)
    examined = _without(looked, holes)
    lost = _without(failed, holes)
    unseen = [
        Gap(start=start, end=end, reason="not_requested: no picture of it was sent")
        for interval in decoded
        for start, end in subtract_intervals(interval, (*examined, *lost))
        if end - start > _SLIVER
    ]
    return _coverage(examined, (*evidence.video.gaps, *unseen), lost, frames=len(looked))


def heard(
    listened: Sequence[Interval], evidence: Evidence, *, failed: Sequence[Interval] = ()
) -> Coverage:
    """Return the coverage of stretches of sound; see `seen`."""
    return _coverage(merge_intervals(listened), evidence.sound.gaps, merge_intervals(failed))


def _without(parts: Sequence[Interval], holes: Sequence[Interval]) -> tuple[Interval, ...]:
    return merge_intervals(left for part in parts for left in subtract_intervals(part, holes))


def _coverage(
    examined: tuple[Interval, ...],
    gaps: Sequence[Gap],
    lost: Sequence[Interval],
    *,
    frames: int = 0,
) -> Coverage:
    unanswered = (Gap(start=start, end=end, reason=_UNANSWERED) for start, end in lost)
    ordered = sorted((*gaps, *unanswered), key=lambda gap: gap.start)
    return Coverage(examined=examined, frames=frames, gaps=tuple(ordered))
