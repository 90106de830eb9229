"""Stretches whose pictures are lost without any error, told from pictures that stay on screen.

A demuxer that meets overwritten bytes looks for the next place that it can read, and says
nothing. What remains is a hole in the pictures, like the one that a screen recording or a
camera of variable frame rate has while nothing changes. The difference lies in the file: where
pictures were lost there are bytes between two packets that belong to no packet.

Containers that count pictures instead of timing them (AVI) show no hole: what follows moves up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmcrime.evidence import Interval, merge_intervals

if TYPE_CHECKING:
    from av.packet import Packet
    from numpy.typing import NDArray

__all__ = ["LEAST_BYTES", "LEAST_SECONDS", "OVERHEAD", "Suspect", "confirmed", "lost_pictures"]

LEAST_SECONDS = 0.1
"""Between two packets of pictures in the order of the file: less is no hole."""
LEAST_BYTES = 1024
"""That belong to no packet: two sectors of a disk; headers of clusters have some dozens."""
OVERHEAD = 32
"""Bytes that a container may spend on a packet: Matroska takes 7 to 20, Ogg 28 a page."""
_MISSED = 1.5  # usual distances between pictures: in a longer one at least one is missing
_SMALLEST = 16  # bytes of a picture in which nothing changed


class Suspect(NamedTuple):
    """Two packets of pictures in a row that may have lost others between them.

    Attributes:
        time: Latest presentation time so far, in seconds on the container's own clock.
        start: Where the first packet lies in the file, in bytes.
        stop: Where the second one does.
    """

    time: float
    start: int
    stop: int


def confirmed(
    suspects: Sequence[Suspect], packets: Iterable[Packet[Any]]
) -> list[tuple[Suspect, int]]:
    """Return the suspects between which bytes belong to no packet, and how many these are.

    Args:
        suspects: Of one stream.
        packets: All packets of the file, of every stream.
    """
    apart: list[Suspect] = []
    for suspect in sorted(suspects, key=lambda one: one.start):
        if not apart or suspect.start >= apart[-1].stop:
            apart.append(suspect)
    starts = [one.start for one in apart]
    left = [one.stop - one.start for one in apart]
    for packet in packets:
        position = packet.pos
        at = -1 if position is None else bisect_right(starts, position) - 1
        if position is not None and at >= 0 and position < apart[at].stop:
            left[at] -= packet.size + OVERHEAD
    return [
        (one, unknown) for one, unknown in zip(apart, left, strict=True) if unknown > LEAST_BYTES
    ]


def lost_pictures(
    found: Iterable[tuple[Suspect, int]],
    times: NDArray[np.float64],
    keyframes: NDArray[np.float64],
    end: float,
) -> tuple[Interval, ...]:
    """Return the stretches in which nobody can see what was on screen.

    They begin where the picture before the hole would usually give way to the next, and last
    to the first keyframe behind the hole: decoders make up what needs a lost picture.

    Args:
        found: What `confirmed` gave.
        times: Sorted presentation times of all packets of pictures, on the same clock.
        keyframes: Those of the keyframes.
        end: End of the stream.
    """
    if len(times) < 2:
        return ()
    usual = float(np.median(np.diff(times)))
    lost: list[Interval] = []
    for suspect, unknown in found:
        # Pictures are not stored in the order in which they are shown.
        after = int(np.searchsorted(times, suspect.time, side="right"))
        if after == len(times):
            continue
        hole = float(times[after]) - suspect.time
        if hole < max(_MISSED * usual, LEAST_SECONDS) or unknown < _SMALLEST * hole / usual:
            continue
        key = int(np.searchsorted(keyframes, times[after]))
        behind = float(keyframes[key]) if key < len(keyframes) else end
        lost.append((suspect.time + usual, behind))
    return merge_intervals(lost)
