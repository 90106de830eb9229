"""Sampled frames: which ones, and keeping them small."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmcrime.evidence import EncodedFrame, Interval, MediaReader
from mmcrime.perceive.stages import Halt

__all__ = ["look", "sample_times"]


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


def look(
    reader: MediaReader, times: Sequence[float], *, max_side: int, halt: Halt
) -> tuple[tuple[EncodedFrame, ...], BaseException | None]:
    """Decode the frames shown at the asked times and keep them as JPEG. Blocks.

    Args:
        reader: Decodes the Media.
        times: Sorted media seconds; two of them may show one frame, which is kept once.
        max_side: Longest side in pixels.
        halt: Ends the work between two frames.

    Returns:
        The frames, and the error that ended the work early, if one did.
    """
    stills: dict[float, EncodedFrame] = {}
    try:
        for frame in reader.frames(times, max_side=max_side):
            if halt.due:
                break
            if frame.time not in stills:
                stills[frame.time] = frame.encode()
    except BaseException as error:  # noqa: BLE001 - border: hostile media; what was decoded is used
        return tuple(stills.values()), error
    return tuple(stills.values()), None
