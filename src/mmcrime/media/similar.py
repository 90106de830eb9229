"""Whether two pictures show the same: a perceptual hash that sees small things.

A difference hash of 64 bits is blind to a person far away and changes at random where a
picture is flat. So the hash here is the picture itself, in 32 x 24 grey levels, and the
distance is that of the *most different* of its 768 blocks, after the change of the whole
picture (flicker, exposure) is taken out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.evidence import Frame

__all__ = ["COLUMNS", "ROWS", "SAME", "Look", "alike", "look_of", "nearest"]

COLUMNS = 32
ROWS = 24
_THIN_FROM = 240
"""Shorter side in pixels from which every second or further pixel is enough."""
SAME = 10.0
"""Grey levels of 255 by which no block differs in pictures that show the same.

Noise and compression of a fixed camera reach 4 to 6 levels; a person in dark clothes who
fills a quarter of a block differs by 15.
"""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Look:
    """What a picture looks like, in 768 bytes.

    Attributes:
        time: Presentation time in media seconds.
        levels: Mean brightness of each block, uint8 of shape ``(ROWS, COLUMNS)``.
    """

    time: float
    levels: NDArray[np.uint8]


def look_of(frame: Frame) -> Look:
    """Return the look of a frame, RGB or grey, of any size."""
    pixels = frame.pixels
    step = max(1, min(pixels.shape[:2]) // (_THIN_FROM // 2))
    small = cv2.resize(pixels[::step, ::step], (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return Look(time=frame.time, levels=small.astype(np.uint8, copy=False))


def alike(one: Look, other: Look) -> bool:
    """Whether two pictures are near-duplicates: no block of one differs from the other's."""
    return _largest_change(one.levels, other.levels) < SAME


def nearest(look: Look, among: Iterable[Look]) -> Look | None:
    """Return the near-duplicate of a picture that is most like it, if there is one."""
    changes = [(_largest_change(look.levels, other.levels), other) for other in among]
    change, other = min(changes, key=lambda pair: pair[0], default=(np.inf, None))
    return other if change < SAME else None


def _largest_change(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    change = one.astype(np.float32) - other
    return float(np.abs(change - np.median(change)).max())
