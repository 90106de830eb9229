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
from mmcrime.analyzers.motion_model import Basis, Score
from mmcrime.analyzers.motion_sight import shows_nothing
from mmcrime.analyzers.motion_thread import one_thread
from mmcrime.errors import CorruptMediaError, MediaError, UnsafeMediaError
from mmcrime.evidence import Evidence, Frame, Interval

__all__ = ["REACH", "Examined", "Scored", "examine"]

REACH = 1.0 / FPS
"""Seconds that one frame stands for."""
_MOST_HELD = 32  # frames: 800 KiB
_LONGEST_HELD = 0.2  # seconds, so that of what decodes slowly progress is told as often as ever


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One window with its calibrated log-odds of a fight.

    Attributes:
        start: Media seconds.
        end: Media seconds.
        logit: Calibrated log-odds.
        basis: What they rest on.
    """

    start: float
    end: float
    logit: float
    basis: Basis = "model"


@dataclass(kw_only=True, slots=True)
class Examined:
    """What one pass over a video found. Grows by one `Scored` a second, never by pictures.

    Attributes:
        windows: The windows in time order, those that could not be judged included.
        spoiled: Windows whose numbers were not finite, and so were not judged.
        blind: Stretches in which the picture shows nothing.
        frames: Frames looked at.
        last: Media time of the last frame; None when there was none.
        stopped: Why the pass ended early, as a gap's reason; empty if it did not.
    """

    windows: list[Scored] = field(default_factory=list)
    spoiled: list[Interval] = field(default_factory=list)
    blind: list[Interval] = field(default_factory=list)
    frames: int = 0
    last: float | None = None
    stopped: str = ""

    @property
    def scored(self) -> list[Scored]:
        """The windows of which something can be said, in time order."""
        return [window for window in self.windows if window.basis != "strange"]


def examine(
    evidence: Evidence,
    judge: Callable[[Window], Score | None],
    *,
    until: float | None = None,
    cancelled: threading.Event | None = None,
    progress: Callable[[float], None] | None = None,
) -> Examined:
    """Pass once over a video and judge its windows. Blocks: use a thread.

    Args:
        evidence: A video.
        judge: Scores a window, or gives None if its numbers are not finite.
        until: `time.monotonic` time at which to stop; None for no limit.
        cancelled: Once it is set, the pass stops at the next frame.
        progress: Called with the share that is done, after each window.

    Raises:
        MediaError: If nothing of the video can be decoded.
    """
    found = Examined()
    length = evidence.media.duration
    with one_thread():
        for window in windows(_pairs(evidence, found, until, cancelled)):
            score = judge(window)
            if score is None:
                found.spoiled.append(window.span)
            else:
                found.windows.append(
                    Scored(start=window.start, end=window.end, logit=score.logit, basis=score.basis)
                )
            if progress and length:
                progress(min(1.0, window.end / length))
    return found


def _pairs(
    evidence: Evidence,
    found: Examined,
    until: float | None,
    cancelled: threading.Event | None,
) -> Iterator[Pair]:
    def stopped() -> str:
        if cancelled is not None and cancelled.is_set():
            return "cancelled"
        return "deadline" if until is not None and time.monotonic() >= until else ""

    meter = FlowMeter()
    frames = evidence.clip(0.0, float("inf"), FPS, max_side=MAX_SIDE, grey=True)
    try:
        for frame in _together(frames, stopped):
            found.stopped = stopped()
            if found.stopped:
                return
            found.frames += 1
            found.last = frame.time
            if shows_nothing(frame.pixels):
                meter.forget()  # what comes out of the dark is no motion
                _extend(found.blind, frame.time)
                continue
            pair = meter.push(frame)
            if pair is not None:
                yield pair
    except (CorruptMediaError, UnsafeMediaError) as error:
        # Whatever ends it, what was examined before stands.
        if not found.frames:
            raise
        word = "damaged" if isinstance(error, CorruptMediaError) else "over_limit"
        found.stopped = f"{word}: {error.message}"


def _together(frames: Iterator[Frame], stopped: Callable[[], str]) -> Iterator[Frame]:
    """Decode some frames, then pass them on, and so forth.

    Decoding and measuring drive each other's code and data out of the processor's caches:
    taking turns less often saves an eighth of the CPU time of both.
    """
    held: list[Frame] = []
    since = 0.0
    try:
        for frame in frames:
            if not held:
                since = time.monotonic()
            held.append(frame)
            late = time.monotonic() - since >= _LONGEST_HELD
            if late or len(held) >= _MOST_HELD or stopped():
                yield from held
                held.clear()
    except MediaError:
        yield from held
        raise
    yield from held


def _extend(blind: list[Interval], at: float) -> None:
    """Add a frame that shows nothing; a dark hour is one stretch."""
    if blind and blind[-1][0] <= at <= blind[-1][1] + LONGEST_PAIR:
        blind[-1] = (blind[-1][0], at + REACH)
    else:
        blind.append((at, at + REACH))
