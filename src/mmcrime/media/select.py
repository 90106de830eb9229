"""The frames of a video that matter most, within a limit, without near-duplicates."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice

from mmcrime.evidence import EncodedFrame, Frame, MotionCurve, SoundEvent
from mmcrime.media.choose import Choice, Reason, ranked_times
from mmcrime.media.handle import MediaHandle, open_media
from mmcrime.media.similar import Look, look_of, nearest
from mmcrime.media.source import Source

__all__ = ["DroppedFrame", "FrameSelection", "SelectedFrame", "select_frames"]

_TRIES = 2
"""Most moments that are decoded for each frame of the budget."""
_EPSILON = 1e-6  # seconds; below the finest clock of the containers
_MOMENT = 2.0
"""Seconds around a sound in which a frame that shows the same can stand for its own."""
_IMPORTANCE: tuple[Reason, ...] = ("sound", "motion", "cut", "look", "spread")
"""Of two near-duplicates that are decoded together, the one named earlier is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedFrame:
    """A chosen frame.

    Attributes:
        frame: The picture as JPEG, with its true time.
        asked: The moment that was chosen, in media seconds; the frame is shown then.
        reason: What the moment was chosen for.
    """

    frame: EncodedFrame
    asked: float
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppedFrame:
    """A frame that was looked at and left out, because a chosen one shows the same.

    Attributes:
        time: Its presentation time in media seconds.
        reason: What its moment was chosen for.
        like: Presentation time of the chosen frame that is most like it.
    """

    time: float
    reason: Reason
    like: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSelection:
    """The frames that were chosen, and what became of the other moments.

    Attributes:
        frames: In time order; fewer than the budget where the rest would show the same.
        budget: Most frames that were allowed.
        dropped: Near-duplicates, in time order.
        undecoded: Chosen moments at which no picture decodes, in media seconds. What is
            shown there is not known.
    """

    frames: tuple[SelectedFrame, ...]
    budget: int
    dropped: tuple[DroppedFrame, ...] = ()
    undecoded: tuple[float, ...] = ()


def select_frames(
    source: Source | MediaHandle,
    *,
    frames: int | None = None,
    tokens: int | None = None,
    tokens_per_frame: int | None = None,
    motion: MotionCurve | None = None,
    sounds: Sequence[SoundEvent] = (),
    looks: Sequence[Look] | None = None,
    max_side: int | None = 768,
) -> FrameSelection:
    """Choose the frames of a video that matter most within a limit.

    Motion peaks, sound events, scene changes and what looks like nothing else come
    first, the rest is spread; see `mmcrime.media.choose`. A near-duplicate of a chosen
    frame is dropped and the next best moment takes its place, as long as no more than
    twice the limit has been decoded. A frame in which so much as a 32 x 24th part of the
    picture changed visibly is no duplicate, and a frame of a sound event is none of a frame
    more than two seconds away.

    Args:
        source: What `open_media` takes except URLs, or an open handle (which stays open).
        frames: Most frames.
        tokens: Most tokens instead, with ``tokens_per_frame``.
        tokens_per_frame: What a model counts for one frame.
        motion: The motion curve if it is known; else it is measured.
        sounds: Sound events, from a detector.
        looks: `MediaHandle.looks` if they are known; else they are taken. Empty to do
            without, which finds much less where there are no cuts.
        max_side: Longest side of the frames in pixels; None keeps the size.

    Returns:
        The frames as JPEG, so that memory is bounded by the limit. A picture gives
        itself; a sound recording gives nothing.

    Raises:
        ValueError: If not exactly one limit is given, or it does not pay for one frame.
        MediaError: If the input cannot be read.
    """
    budget = _budget(frames, tokens, tokens_per_frame)
    with nullcontext(source) if isinstance(source, MediaHandle) else open_media(source) as handle:
        if handle.media.kind == "image":
            return _picture(handle, budget, max_side)
        span = handle.video_span
        if span is None:
            return FrameSelection(frames=(), budget=budget)
        if motion is None:
            motion = handle.motion()
        if looks is None:
            looks = handle.looks()
        span = (span[0], min(span[1], handle.limits.max_duration))
        ranked = ranked_times(span, motion=motion, sounds=sounds, looks=looks)
        choosing = _Choosing(handle, budget, max_side)
        choosing.run(ranked)
        return choosing.selection()


def _budget(frames: int | None, tokens: int | None, tokens_per_frame: int | None) -> int:
    """Return the most frames that a limit pays for.

    Raises:
        ValueError: As `select_frames`.
    """
    given: dict[str, object] = {
        "frames": frames,
        "tokens": tokens,
        "tokens_per_frame": tokens_per_frame,
    }
    for name, value in given.items():
        if value is not None and not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    if frames is not None and tokens is None and tokens_per_frame is None:
        return frames
    if frames is not None or tokens is None or tokens_per_frame is None:
        raise ValueError("give either frames, or tokens together with tokens_per_frame")
    if tokens < tokens_per_frame:
        raise ValueError(f"{tokens!r} tokens do not pay for one frame of {tokens_per_frame!r}")
    return tokens // tokens_per_frame


def _picture(handle: MediaHandle, budget: int, max_side: int | None) -> FrameSelection:
    shown = tuple(
        SelectedFrame(frame=frame.encode(), asked=frame.time, reason="spread")
        for frame in handle.frames([0.0], max_side=max_side)
    )
    return FrameSelection(frames=shown, budget=budget)


class _Choosing:
    """Decodes ranked moments in rounds until the budget is full."""

    def __init__(self, handle: MediaHandle, budget: int, max_side: int | None) -> None:
        self._handle = handle
        self._budget = budget
        self._max_side = max_side
        self._kept: dict[float, tuple[SelectedFrame, Look]] = {}
        self._dropped: dict[float, DroppedFrame] = {}
        self._undecoded: list[float] = []

    def run(self, ranked: Iterator[Choice]) -> None:
        """Take moments, the best first, until the budget or the most tries are used up."""
        left = _TRIES * self._budget
        while left and len(self._kept) < self._budget:
            wanted = list(islice(ranked, min(left, self._budget - len(self._kept))))
            if not wanted:
                return
            left -= len(wanted)
            rank = {choice.time: number for number, choice in enumerate(wanted)}
            found = list(self._decode(wanted))
            found.sort(key=lambda k: (_IMPORTANCE.index(k[0].reason), rank[k[0].asked]))
            for chosen, look in found:
                self._judge(chosen, look)

    def selection(self) -> FrameSelection:
        """Return what was chosen so far."""
        return FrameSelection(
            frames=tuple(self._kept[time][0] for time in sorted(self._kept)),
            budget=self._budget,
            dropped=tuple(self._dropped[time] for time in sorted(self._dropped)),
            undecoded=tuple(sorted(self._undecoded)),
        )

    def _judge(self, chosen: SelectedFrame, look: Look) -> None:
        """Keep a frame, or drop it if one that is kept shows the same."""
        time = chosen.frame.time
        if time in self._kept or time in self._dropped:
            return  # the same picture is still on screen
        reach = _MOMENT if chosen.reason == "sound" else math.inf
        same = nearest(look, (k for t, (_, k) in self._kept.items() if abs(t - time) <= reach))
        if same is None:
            self._kept[time] = (chosen, look)
        else:
            self._dropped[time] = DroppedFrame(time=time, reason=chosen.reason, like=same.time)

    def _decode(self, wanted: Sequence[Choice]) -> Iterator[tuple[SelectedFrame, Look]]:
        """Yield the frames shown at some moments; where nothing decodes is noted."""
        wanted = sorted(wanted)
        times = [choice.time for choice in wanted]
        due = 0
        for frame in self._handle.frames(times, max_side=self._max_side):
            here = bisect_left(times, frame.time - _EPSILON, lo=due)
            # What is asked before this frame's time has either the frame before it, which
            # comes once only, or none: asking for it alone tells.
            for choice in wanted[due:here]:
                yield from self._alone(choice)
            yield self._made(frame, wanted[min(here, len(wanted) - 1)])
            due = here + 1
        for choice in wanted[due:]:
            yield from self._alone(choice)

    def _alone(self, choice: Choice) -> Iterator[tuple[SelectedFrame, Look]]:
        frame = next(self._handle.frames([choice.time], max_side=self._max_side), None)
        if frame is None:
            self._undecoded.append(choice.time)
        else:
            yield self._made(frame, choice)

    def _made(self, frame: Frame, choice: Choice) -> tuple[SelectedFrame, Look]:
        made = SelectedFrame(frame=frame.encode(), asked=choice.time, reason=choice.reason)
        return made, look_of(frame)
