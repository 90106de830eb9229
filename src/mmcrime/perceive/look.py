"""Sampled frames: which ones, and keeping them small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmcrime.evidence import EncodedFrame, Gap, Interval, MediaReader
from mmcrime.media import FrameSampling
from mmcrime.perceive.stages import Halt

__all__ = ["Looked", "look", "sample_times"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What came of asking for some frames.

    Attributes:
        frames: Those that decode, in time order.
        missing: Stretches whose frames were asked for and do not decode.
        failure: The error that ended the work early, if one did.
    """

    frames: tuple[EncodedFrame, ...] = ()
    missing: tuple[Gap, ...] = ()
    failure: BaseException | None = None


def sample_times(span: Interval, interval: float, most: int) -> tuple[tuple[float, ...], float]:
    """Return the times at which frames are sampled, and the interval really used.

    A span shorter than two intervals is sampled at its beginning, middle and end.

    Args:
        span: The stretch that pictures fill, in media seconds.
        interval: Seconds between samples.
        most: Most samples; a longer interval is used where there would be more.
    """
    start, end = span
    length = end - start
    if length < 2 * interval:
        middle = start + length / 2
        few = {1: (middle,), 2: (start, end)}
        return few.get(most, (start, middle, end)), interval
    count = math.ceil(length / interval - 1e-9)
    if count > most:
        count, interval = most, length / most
    return tuple(start + k * interval for k in range(count)), interval


def look(reader: MediaReader, times: Sequence[float], *, max_side: int, halt: Halt) -> Looked:
    """Decode the frames shown at the asked times and keep them as JPEG. Blocks.

    Args:
        reader: Decodes the Media.
        times: Sorted media seconds; two of them may show one frame, which is kept once.
        max_side: Longest side in pixels.
        halt: Ends the work between two frames.
    """
    stills: dict[float, EncodedFrame] = {}
    failure: BaseException | None = None
    asked = reader.frames(times, max_side=max_side)
    try:
        for frame in asked:
            if halt.due:
                break
            if frame.time not in stills:
                stills[frame.time] = frame.encode()
    except BaseException as error:  # noqa: BLE001 - border: hostile media; what was decoded is used
        failure = error
    missing: tuple[Gap, ...] = ()
    if isinstance(asked, FrameSampling):  # the other readers do not know what they left out
        asked.close()
        missing = asked.coverage.gaps
    return Looked(frames=tuple(stills.values()), missing=missing, failure=failure)
