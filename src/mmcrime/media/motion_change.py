"""How much moved between two small grey pictures, and whether the scene was cut.

Mean differences between pictures miss what is small and far away, and rise with every
flicker of the light. So the largest *local* change counts, after three steps:

1. What the light did to the whole picture is fitted and taken away: brighter or darker by
   a factor, by an amount, or by an amount that rises across the picture (flicker, exposure
   steps, fades, a passing cloud). The fit leaves out the blocks that it explains worst, so
   that something that moves does not pull it along.
2. A median filter takes out what is thin: rain, snow, sensor noise.
3. The rest is averaged over blocks, and the block that changed most is compared with how
   much all the blocks of this pair differ: in noise a block must change more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIDE", "Change", "change"]

SIDE = 160
"""Longest side in pixels of the pictures: 1 % of the picture is 12 x 12 pixels of it."""
_BLOCK = 8  # pixels; something of 1 % covers at least one such block whole
_THIN = 5  # pixels; what is less than half as wide does not pass the median filter
_FEWEST = 16  # blocks; of fewer only the median is taken
_MIDDLE = np.float32(128)  # keeps the numbers of the fit alike in size
_KEPT = 0.7  # share of the blocks that the light is fitted to the second time
_RIDGE = 1e-9 * np.eye(4)  # of the fits that a scene of one brightness leaves open, the smallest
_MISFIT = 0.2  # share of a change of the light by which the fit may be wrong
_BLACK, _WHITE = 6.0, 249.0  # levels at which a camera shows no more difference
_NOISE = 4.0  # spreads between blocks that a change must exceed to be more than noise
_MOST_NOISE = 12.0  # levels; more is no noise: a crowd, a fire or a camera that moves
_FULL_SCALE = 128.0  # brightness levels of 255 in one block that count as full motion
# Two different scenes: of 19 pairs of the shared clips 17 are like that, and no pair of looks
# a quarter of a second apart within one clip, except where the camera is swung around.
_CUT_LIKENESS = 0.45  # correlation of coarse pictures
_CUT_AREA = 0.35  # share of the blocks that change
_CUT_LEVELS = 10.0  # brightness levels from which a block has changed
_COARSE = (20, 12)  # columns and rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What happened between two pictures.

    Attributes:
        score: 0 (nothing) to 1; the largest local change.
        cut: Whether they show different scenes: a hard cut, or a camera that was swung around.
    """

    score: float
    cut: bool


def change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Change:
    """Compare two grey pictures of one size; of different sizes they are a cut."""
    if before.shape != after.shape:
        return Change(score=0.0, cut=True)
    first, second = before.astype(np.float32), after.astype(np.float32)
    rest = _without_light(first, second - first)
    if min(rest.shape) >= _THIN:
        rest = cv2.medianBlur(rest, _THIN).astype(np.float32)
    size = (min(_BLOCK, rest.shape[1]), min(_BLOCK, rest.shape[0]))
    blocks = cv2.blur(np.abs(rest), size)[:: size[1] // 2 or 1, :: size[0] // 2 or 1]
    middle = _median(blocks)
    spread = 1.4826 * _median(np.abs(blocks - middle))
    noise = min(middle + _NOISE * spread, _MOST_NOISE)
    score = min(max((float(blocks.max()) - noise) / _FULL_SCALE, 0.0), 1.0)
    changed = float(np.mean(blocks > _CUT_LEVELS))
    return Change(score=score, cut=changed > _CUT_AREA and _likeness(first, second) < _CUT_LIKENESS)


def _median(values: NDArray[np.floating[Any] | np.integer[Any]]) -> float:
    """Return the median; `np.median` takes six times as long for so few values."""
    below, above = (values.size - 1) // 2, values.size // 2
    ranked = np.partition(values, (below, above), axis=None)
    return (float(ranked[below]) + float(ranked[above])) / 2


def _likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the correlation of two pictures at a size at which details do not matter."""
    a, b = (
        cv2.resize(one, _COARSE, interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
        for one in (first, second)
    )
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Fit:
    """What fitting the light needs to know of the pictures' size."""

    size: tuple[int, int]  # columns and rows of blocks
    ramps: NDArray[np.float32]  # of each block: one, how far right, how far down
    across: NDArray[np.float32]  # of each column of pixels: how far right, -1 to 1
    down: NDArray[np.float32]


@lru_cache(maxsize=4)
def _fit(shape: tuple[int, int]) -> _Fit:
    rows, columns = (max(1, side // _BLOCK) for side in shape)
    down, across = np.meshgrid(
        np.linspace(-1, 1, rows, dtype=np.float32),
        np.linspace(-1, 1, columns, dtype=np.float32),
        indexing="ij",
    )
    ramps = np.column_stack([np.ones(rows * columns), across.ravel(), down.ravel()])
    return _Fit(
        size=(columns, rows),
        ramps=ramps.astype(np.float32),
        across=np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :],
        down=np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None],
    )


def _without_light(before: NDArray[np.float32], rest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take from a difference what a change of the light over the whole picture explains.

    Where a picture is black or white the light may have done less than the fit says.
    """
    fit = _fit(before.shape)
    light = cv2.resize(before, fit.size, interpolation=cv2.INTER_AREA).ravel()
    shift = cv2.resize(rest, fit.size, interpolation=cv2.INTER_AREA).ravel()
    if len(light) < _FEWEST:
        return rest - _median(rest)
    known = np.column_stack([fit.ramps, light / _MIDDLE])
    off = np.abs(shift - _median(shift))
    most = int(_KEPT * len(off))
    for _ in range(2):
        kept = off <= np.partition(off, most)[most]
        found = _fitted(known[kept], shift[kept])
        off = np.abs(shift - known @ found)
    constant, across, down, gain = found
    lit = fit.across * across + (fit.down * down + constant) + before * (gain / _MIDDLE)
    after = before + rest
    clipped = (np.minimum(before, after) <= _BLACK) | (np.maximum(before, after) >= _WHITE)
    doubt = np.abs(lit)
    np.multiply(doubt, np.float32(_MISFIT), out=doubt, where=~clipped)
    moved = rest - lit
    left: NDArray[np.float32] = moved - np.minimum(np.maximum(moved, -doubt), doubt)
    return left


def _fitted(known: NDArray[np.float32], shift: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the least squares fit, by the normal equations: there are four unknowns."""
    wide = known.astype(np.float64)
    squares = wide.T @ wide + len(wide) * _RIDGE
    return np.linalg.solve(squares, wide.T @ shift).astype(np.float32)
