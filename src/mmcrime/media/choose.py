"""Which moments of a video to look at when only some can be paid for. Needs no media.

The moments are *ranked*, and a budget takes the first of them: so a larger budget holds
all moments of a smaller one, and a first look over few frames can go on where it stopped.

Two lanes take turns. The sound lane gives each sound event the frame at its peak, the
strongest first, then more frames around each bang. The picture lane always takes the
second that differs most from all that are chosen (farthest-point selection), so that
what is rare gets a frame before what is common gets its second one. Two seconds differ

- by how they look, beyond how much the picture changes around each of them anyway: an
  energy distance (Székely and Rizzo, 2013). Where a camera shakes or a crowd moves, one
  more picture of that is nothing new;
- if one moves more than the other; less movement is no difference, so an empty scene is
  not interesting because somebody has left it;
- if a cut lies between them, less in a shot of few seconds; and by the time between them,
  which spreads the rest.

The weights were set on composed videos of other seeds than those of
``benchmarks/frame_choice.py``.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal

from mmcrime.evidence import Interval, MotionCurve, SoundEvent
from mmcrime.media.novelty import Seconds
from mmcrime.media.similar import Look

__all__ = ["Choice", "Reason", "choose_times", "ranked_times"]

Reason = Literal["sound", "motion", "look", "cut", "spread"]
"""Why a moment was chosen: it is heard, moves, looks like nothing else that was chosen,
is the first of its shot, or is far from the others in time."""

_AROUND_BANG = (0.5, -0.5, 1.5)
"""Seconds from the peak of a sudden sound at which more frames are wanted, in this order:
what it did, what came before, who runs."""
_SAME_MOMENT = 0.25
"""Seconds up to which two asked times are one moment."""
_FINEST = 0.02
"""Seconds between chosen times at which filling up ends: 50 frames a second."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Choice:
    """A chosen moment.

    Attributes:
        time: Media seconds.
        reason: What it was chosen for.
    """

    time: float
    reason: Reason


def choose_times(
    span: Interval,
    frames: int,
    *,
    motion: MotionCurve | None = None,
    sounds: Sequence[SoundEvent] = (),
    looks: Sequence[Look] = (),
) -> tuple[Choice, ...]:
    """Choose the moments of a video that matter most.

    Args:
        span: The stretch that pictures fill, in media seconds.
        frames: Most moments.
        motion: How much moves; without it, nothing is known to move.
        sounds: Sound events. Each gets a frame if there are at least twice as many frames
            as events.
        looks: What the video looks like here and there; see `MediaHandle.looks`.

    Returns:
        At most ``frames`` moments inside the span, sorted and none twice. All of them are
        among those of any larger number.

    Raises:
        ValueError: If ``frames`` is not positive, or a time or a score is not finite.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, not {frames!r}")
    ranked = ranked_times(span, motion=motion, sounds=sounds, looks=looks)
    return tuple(sorted(islice(ranked, frames)))


def ranked_times(
    span: Interval,
    *,
    motion: MotionCurve | None = None,
    sounds: Sequence[SoundEvent] = (),
    looks: Sequence[Look] = (),
) -> Iterator[Choice]:
    """Yield the moments of a video, the most important first; see `choose_times`.

    Moments are less than 0.02 s apart when it ends.

    Raises:
        ValueError: If a time or a score is not finite.
    """
    start, end = span
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(f"a span must be of finite times, not {span!r}")
    motion = motion or MotionCurve()
    numbers = [*motion.times, *motion.scores, *motion.cuts]
    numbers += [n for event in sounds for n in (event.peak, event.score)]
    numbers += [look.time for look in looks]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("motion, sounds and looks must be of finite times and scores")
    if not end > start:
        return iter(())
    if end - start < _FINEST:  # its middle may not lie inside of it, by rounding
        return iter((Choice(time=start, reason="spread"),))
    seconds = Seconds(span, motion=motion, looks=looks)
    return _ranked(span, seconds, _heard(span, sounds))


def _ranked(span: Interval, seconds: Seconds, heard: list[float]) -> Iterator[Choice]:
    """Let the two lanes take turns, then fill the gaps; never yield a moment twice."""
    taken: list[float] = []

    def free(time: float) -> bool:
        return all(abs(time - other) >= _SAME_MOMENT for other in taken)

    waiting = iter(heard)
    picked = seconds.picks(taken)
    while True:
        sound = next((time for time in waiting if free(time)), None)
        if sound is not None:
            taken.append(sound)
            yield Choice(time=sound, reason="sound")
        picture = next(picked, None)
        if picture is not None:
            taken.append(picture[0])
            yield Choice(time=picture[0], reason=picture[1])
        if sound is None and picture is None:
            break
    yield from _filled(span, taken)


def _heard(span: Interval, sounds: Sequence[SoundEvent]) -> list[float]:
    """Return the times that sounds ask for inside a span: all peaks, then around bangs."""
    loudest = sorted(sounds, key=lambda s: (-s.score, s.peak))
    wanted = [event.peak for event in loudest]
    bangs = [event for event in loudest if event.label == "impulsive"]
    wanted += [event.peak + offset for offset in _AROUND_BANG for event in bangs]
    return [time for time in wanted if span[0] <= time < span[1]]


def _filled(span: Interval, taken: Sequence[float]) -> Iterator[Choice]:
    """Halve the longest gap between chosen moments again and again."""
    edges = [span[0], *sorted(taken), span[1]]
    gaps = [(-(b - a), a, b) for a, b in pairwise(edges) if b > a]
    heapq.heapify(gaps)
    while gaps:
        width, a, b = heapq.heappop(gaps)
        if -width < 2 * _FINEST:
            return
        middle = (a + b) / 2
        yield Choice(time=middle, reason="spread")
        for gap in ((a, middle), (middle, b)):
            heapq.heappush(gaps, (gap[0] - gap[1], *gap))
