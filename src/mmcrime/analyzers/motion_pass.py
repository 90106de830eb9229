"""One pass over a video: frames to judged windows, in memory that does not grow with it.

The analyzer and the training script share this code, so that a model is measured on what
it will see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mmcrime.analyzers.motion_features import (
    FPS,
    LONGEST_PAIR,
    MAX_SIDE,
    FlowMeter,
    Pair,
    Window,
    windows,
)
from mmcrime.errors import CorruptMediaError
from mmcrime.evidence import NO_STREAM, Coverage, Evidence, Gap, Interval

__all__ = ["Examined", "Scored", "coverage", "examine"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One window with its calibrated log-odds of a fight.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        logit: Calibrated log-odds.
    """

    start: float
    end: float
    logit: float


@dataclass(kw_only=True, slots=True)
class Examined:
    """What one pass over a video found. Grows by one `Scored` a second, never by pictures.

    Attributes:
        scored: The judged windows in time order.
        spoiled: Windows whose numbers were not finite, and so were not judged.
        frames: Frames looked at.
        last: Media time of the last frame; None when there was none.
        stopped: Why the pass ended early, as a gap's reason; empty if it did not.
    """

    scored: list[Scored] = field(default_factory=list)
    spoiled: list[Interval] = field(default_factory=list)
    frames: int = 0
    last: float | None = None
    stopped: str = ""


def examine(
    evidence: Evidence,
    judge: Callable[[Window], float | None],
    *,
    until: float | None = None,
    cancelled: threading.Event | None = None,
    progress: Callable[[float], None] | None = None,
) -> Examined:
    """Pass once over a video and judge its windows. Blocks: use a thread.

    Args:
        evidence: A video.
        judge: Gives a window's log-odds, or None if it cannot.
        until: `time.monotonic` time at which to stop; None for no limit.
        cancelled: Once it is set, the pass stops at the next frame.
        progress: Called with the share that is done, after each window.

    Raises:
        MediaError: If nothing of the video can be decoded.
    """
    found = Examined()
    length = evidence.media.duration
    for window in windows(_pairs(evidence, found, until, cancelled)):
        logit = judge(window)
        if logit is None:
            found.spoiled.append(window.span)
        else:
            found.scored.append(Scored(start=window.start, end=window.end, logit=logit))
        if progress and length:
            progress(min(1.0, window.end / length))
    return found


def _pairs(
    evidence: Evidence,
    found: Examined,
    until: float | None,
    cancelled: threading.Event | None,
) -> Iterator[Pair]:
    meter = FlowMeter()
    try:
        for frame in evidence.clip(0.0, float("inf"), FPS, max_side=MAX_SIDE, grey=True):
            if cancelled is not None and cancelled.is_set():
                found.stopped = "cancelled"
                return
            if until is not None and time.monotonic() >= until:
                found.stopped = "deadline"
                return
            found.frames += 1
            found.last = frame.time
            pair = meter.push(frame)
            if pair is not None:
                yield pair
    except CorruptMediaError as error:
        if not found.frames:
            raise
        found.stopped = f"damaged: {error.message}"


def coverage(found: Examined, evidence: Evidence) -> Coverage:
    """Return what was judged, and why the rest was not.

    Stretches shorter than `LONGEST_PAIR` are no gaps: sampling makes them.
    """
    reach = 1.0 / FPS
    end = max(evidence.media.duration or 0.0, 0.0 if found.last is None else found.last + reach)
    judged = Coverage.from_intervals(
        ((max(w.start, 0.0), min(w.end + reach, end)) for w in found.scored),
        whole=(0.0, end),
        frames=found.frames,
    )
    gaps = tuple(
        Gap(start=gap.start, end=gap.end, reason=_reason(gap, found, evidence))
        for gap in judged.gaps
        if gap.end - gap.start >= LONGEST_PAIR or not found.scored
    )
    return Coverage(examined=judged.examined, frames=judged.frames, gaps=gaps)


def _reason(gap: Gap, found: Examined, evidence: Evidence) -> str:
    if any(start < gap.end and gap.start < end for start, end in found.spoiled):
        return "damaged: motion could not be measured"
    if found.stopped and (found.last is None or gap.end > found.last):
        return found.stopped
    for known in evidence.video.gaps:
        told = known.reason.startswith(("over_limit", NO_STREAM))
        if told and known.start < gap.end <= known.end:
            return known.reason
    return gap.reason
