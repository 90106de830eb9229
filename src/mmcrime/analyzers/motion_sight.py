"""Does a picture show anything? A black, covered or overexposed camera sees no fight.

Such a picture does not move, and a model that looks at motion alone takes it for a calm
place. So it is told apart from one that shows something before any motion is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DETAIL", "detail", "shows_nothing"]

DETAIL = 1.6
"""Grey levels of `detail` (of 255) below which a picture shows nothing. Measured at 160 x 120:
noise of 20 levels on grey gives 1.2, a soft gradient 1.2; a still place dimmed to a tenth of
its contrast 2.2; the least of 178 real clips 2.1 (an empty road), the next 8."""
_SIZE = (80, 60)
_FINE, _COARSE = 2.0, 8.0
"""Standard deviations of two blurs in pixels of `_SIZE`: sensor noise is finer than the first,
a shade over the whole lens coarser than the second; what lies between is things."""


def detail(pixels: NDArray[np.uint8]) -> float:
    """Return how much a grey picture ``(height, width)`` shows, in grey levels.

    It is the standard deviation of the picture's structure between two scales.
    """
    small = cv2.resize(pixels, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(small, (0, 0), sigma) for sigma in (_FINE, _COARSE))
    return float((fine - coarse).std())


def shows_nothing(pixels: NDArray[np.uint8]) -> bool:
    """Whether a grey picture is dark, covered, overexposed or otherwise without structure."""
    return detail(pixels) < DETAIL
