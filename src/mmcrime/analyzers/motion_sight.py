"""Does a picture show anything? A black, covered or overexposed camera sees no fight.

Such a picture does not move, and a model that looks at motion alone takes it for a calm
place. So it is told apart from one that shows something before any motion is measured.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.float32]

__all__ = ["DETAIL", "detail", "shows_nothing"]

DETAIL = 1.6
"""Grey levels of `detail` (of 255) below which a picture shows nothing. Measured at 160 x 120:
noise of 20 levels on grey gives 1.2, a soft gradient 1.2; a still place dimmed to a tenth of
its contrast 2.2; the least of 178 real clips 2.1 (an empty road), the next 8."""
_SIZE = (80, 60)
_FINE, _COARSE = 2.0, 8.0
"""Standard deviations of two blurs in pixels of `_SIZE`: sensor noise is finer than the first,
a shade over the whole lens coarser than the second; what lies between is things."""
_WAVES = 12  # along each side: of the structure's most, which has 6 to 8 waves of them
_ROUNDING = 0.01  # grey levels, above what 32 bits make of a picture


def detail(pixels: NDArray[np.uint8]) -> float:
    """Return how much a grey picture ``(height, width)`` shows, in grey levels.

    It is the standard deviation of the picture's structure between two scales.
    """
    return _detail(_small(pixels))


def shows_nothing(pixels: NDArray[np.uint8]) -> bool:
    """Whether a grey picture is dark, covered, overexposed or otherwise without structure."""
    small = _small(pixels)
    return _least_detail(small) < DETAIL and _detail(small) < DETAIL


def _small(pixels: NDArray[np.uint8]) -> Picture:
    return cv2.resize(pixels, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)


def _detail(small: Picture) -> float:
    fine, coarse = (cv2.GaussianBlur(small, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    return float((fine - coarse).std())


def _least_detail(small: Picture) -> float:
    """Return what `_detail` is at least, in a quarter of its time.

    The structure is the sum of waves, and only the part of it that lies in a few long ones
    is measured. Most pictures show far more than `DETAIL` in these alone.
    """
    fine, coarse = (down @ small @ across for down, across in _waves())
    waves = fine - coarse
    waves[0, 0] = 0.0  # the mean is no structure
    return math.sqrt(float(np.vdot(waves, waves)) / small.size) - _ROUNDING


@cache
def _waves() -> list[tuple[Picture, Picture]]:
    """Return for both blurs the matrices that blur a picture and measure waves in it."""
    found = []
    for sigma in (_FINE, _COARSE):
        down, across = (
            _cosines(side) @ cv2.GaussianBlur(np.eye(side), (0, 0), sigmaX=1e-3, sigmaY=sigma)
            for side in reversed(_SIZE)
        )
        found.append((down.astype(np.float32), across.T.astype(np.float32)))
    return found


def _cosines(side: int) -> NDArray[np.float64]:
    """Return the longest `_WAVES` waves of the cosine transform; at right angles, of length 1."""
    places, numbers = np.arange(side) + 0.5, np.arange(_WAVES)[:, None]
    waves = np.cos(np.pi / side * numbers * places) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves
