"""The seconds of a video, and how much each differs from those that were chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np

from mmcrime.evidence import Interval, MotionCurve
from mmcrime.media.similar import SAME, Look

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]
    Times: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]

__all__ = ["Difference", "Scenes", "Seconds"]

Difference = Literal["look", "motion", "cut", "spread"]
_DIFFERENCES: tuple[Difference, ...] = ("look", "motion", "cut", "spread")
_LOOK, _MOTION, _CUT, _TIME = 1.0, 0.3, 0.3, 0.3
"""Weights of the four differences, each of which is 0 to 1."""
_SHORT_SHOT = 4.0
"""Seconds below which the cuts of a shot count in proportion to its length: a camera that
is swung around, or a film cut fast, would use up a small budget."""
_OTHER_PLACE = 30.0
"""Grey levels of 255 by which pictures of different places differ on average."""
_GUESSED = 0.8
"""Part of the difference by look that counts in a second of which no look is known."""
_AROUND = 3.0
"""Seconds before and after a look in which its neighbour stands for the same moment."""
_COARSE = (16, 12)
"""Columns and rows to which looks are reduced: enough to tell places apart."""
_FAR = 60.0
"""Seconds at which the difference by time is half of what it can be."""
_STILL = 0.03
"""Score below which nothing moves where the curve does not say; above, the scale of motion
is logarithmic."""
_SLIVER = 1e-3
"""Seconds that are no second of their own: the middle of less may round to its end."""
_MOST = 20_000
"""Most stretches that are told apart, and most looks: in videos of more seconds (5.5 hours)
a stretch is longer than one second."""


class Seconds:
    """The seconds of a span; in very long spans, stretches of several.

    Args:
        span: Media seconds, not empty.
        motion: How much moves in them.
        looks: What they look like.
    """

    def __init__(self, span: Interval, *, motion: MotionCurve, looks: Sequence[Look]) -> None:
        step = max(1, math.ceil((span[1] - span[0]) / _MOST))
        edges = np.arange(math.floor(span[0]), span[1] + step, step, dtype=np.float64)
        inner = edges[(edges > span[0] + _SLIVER) & (edges < span[1] - _SLIVER)]
        edges = np.array([span[0], *inner, span[1]])
        self._starts, self._ends = edges[:-1], edges[1:]
        scores = self._scores(motion)
        # Where nothing was measured, nobody knows that nothing moves.
        self._still = np.nan_to_num(scores, nan=1.0) < (motion.moving_from or _STILL)
        still = motion.moving_from / 2 or _STILL
        level = np.log1p(np.nan_to_num(scores) / still) / np.log1p(1 / still)
        self._motion = level.astype(np.float32)  # from 0 to 1
        cuts = np.array(sorted(c for c in set(motion.cuts) if span[0] < c < span[1]))
        seen = sorted((k for k in looks if span[0] <= k.time < span[1]), key=lambda k: k.time)
        seen = seen[:: math.ceil(len(seen) / _MOST) or 1]
        shown = np.array([look.time for look in seen], dtype=np.float64)
        self._times = self._moments(shown, cuts)
        self._lost = self._damaged(motion)
        self._shots = np.searchsorted(cuts, self._times, side="right")
        lengths = np.diff(np.concatenate([[span[0]], cuts, [span[1]]]))
        self._lasting = np.minimum(1.0, lengths / _SHORT_SHOT).astype(np.float32)[self._shots]
        shots = np.searchsorted(cuts, shown, side="right")
        self._scenes = Scenes(seen, shots) if seen else None
        self._looks, self._beside = _closest(shown, shots, self._times, self._shots)
        self._sure = np.where(np.isin(self._times, shown), 1.0, _GUESSED).astype(np.float32)

    def picks(self, taken: Sequence[float]) -> Iterator[tuple[float, Difference]]:
        """Yield the time of the second that differs most from all that are taken, and why.

        Every second comes once at most, and none in which a taken time lies. Seconds in
        which nothing moves and that look like a taken one come last, as do those of which
        the curve says that they are damaged: they would use up what pays for the others.

        Args:
            taken: What was chosen so far. It may grow between two picks, and what is
                yielded here has to be added to it.
        """
        least = np.full((len(_DIFFERENCES), len(self._times)), np.inf, dtype=np.float32)
        used = np.zeros(len(self._times), dtype=np.bool_)
        same = self._lost.copy()
        known = 0
        while True:
            for time in taken[known:]:
                index = min(int(np.searchsorted(self._ends, time, "right")), len(used) - 1)
                parts = self._differences(index, time)
                nearer = parts.sum(axis=0) < least.sum(axis=0)
                least[:, nearer] = parts[:, nearer]
                used[index] = True
                same |= self._same(index)
            known = len(taken)
            if used.all():
                return
            left = ~used if (same | used).all() else ~(same | used)
            index = int(np.argmax(np.where(left, least.sum(axis=0), -1.0)))
            reason = _DIFFERENCES[int(np.argmax(least[:, index]))]
            if not known:
                index = self._strongest()
                reason = "motion" if self._motion[index] > 0 else "spread"
            yield float(self._times[index]), reason

    def _damaged(self, motion: MotionCurve) -> NDArray[np.bool_]:
        """Return which seconds lie in damage, as far as the motion curve knows."""
        lost = np.zeros(len(self._times), dtype=np.bool_)
        for gap in motion.coverage.gaps:
            if gap.reason == "damaged":
                lost |= (self._times >= gap.start) & (self._times < gap.end)
        return lost

    def _scores(self, motion: MotionCurve) -> Floats:
        """Return the score of each second, of at most 1, and NaN where none was measured."""
        scores = np.full(len(self._starts), np.nan, dtype=np.float32)
        for time, score in zip(motion.times, motion.scores, strict=True):
            index = int(np.searchsorted(self._ends, time + 1e-6, "right"))
            if index < len(scores) and time > self._starts[0] - 1.0:
                scores[index] = np.fmax(scores[index], min(1.0, score))
        return scores

    def _moments(self, shown: Times, cuts: Times) -> Times:
        """Return where to look in each second: where a look is known, else in its middle.

        If a cut lies in it, that is the middle of the longer side.
        """
        moments: Times = (self._starts + self._ends) / 2
        for cut in cuts:
            index = int(np.searchsorted(self._ends, cut, "right"))
            start, end = self._starts[index], self._ends[index]
            moments[index] = (start + cut) / 2 if cut - start > end - cut else (cut + end) / 2
        # The first of a second wins.
        moments[np.searchsorted(self._ends, shown[::-1], "right")] = shown[::-1]
        return moments

    def _strongest(self) -> int:
        """Return the middle one of the seconds that move most."""
        most = np.flatnonzero(self._motion >= self._motion.max() - 1e-6)
        return int(most[len(most) // 2])

    def _same(self, index: int) -> NDArray[np.bool_]:
        """Return in which seconds nothing moves, between looks that are like one second's."""
        if self._scenes is None or not (self._still[index] or self._sure[index] == 1.0):
            return np.zeros(len(self._times), dtype=np.bool_)
        alike = self._scenes.alike(int(self._looks[index]))
        beside = alike[self._beside] | (self._sure == 1.0)
        return np.asarray(alike[self._looks] & beside & self._still)

    def _differences(self, index: int, time: float) -> Floats:
        """Return how all seconds differ from a time in one of them, in `_DIFFERENCES`."""
        parts = np.zeros((len(_DIFFERENCES), len(self._times)), dtype=np.float32)
        if self._scenes is not None:
            differences = self._scenes.differences(int(self._looks[index]))
            parts[0] = _LOOK * self._sure * differences[self._looks]
        parts[1] = _MOTION * np.maximum(0.0, self._motion - self._motion[index])
        parts[2] = _CUT * self._lasting * (self._shots != self._shots[index])
        apart = np.abs(self._times - time) / _FAR
        parts[3] = _TIME * apart / (1 + apart)
        return parts


class Scenes:
    """How looks differ, beyond how much the picture changes around them anyway.

    The larger of two measures: the energy distance between the neighbourhoods of two
    looks, and what the two themselves differ by more than the looks of either
    neighbourhood. The first finds stretches of a few looks in footage that changes much,
    the second also what is shorter.

    Args:
        looks: In time order, at least one.
        shots: The number of the shot of each.
    """

    def __init__(self, looks: Sequence[Look], shots: Indices) -> None:
        small = [cv2.resize(k.levels, _COARSE, interpolation=cv2.INTER_AREA) for k in looks]
        levels = np.stack(small).reshape(len(looks), -1).astype(np.float32)
        self._whole = np.stack([look.levels for look in looks]).astype(np.int16)
        self._levels = levels - np.median(levels, axis=1, keepdims=True)
        times = np.array([look.time for look in looks])
        joined = (np.diff(times) <= _AROUND) & (np.diff(shots) == 0)
        index = np.arange(len(looks))
        self._first = index - np.concatenate([[False], joined])
        self._stop = index + 1 + np.concatenate([joined, [False]])
        self._within = np.array([self._inside(i) for i in range(len(looks))], dtype=np.float32)

    def differences(self, index: int) -> Floats:
        """Return how each look differs from one, 0 to 1."""
        first, stop = int(self._first[index]), int(self._stop[index])
        from_each = [self._from(i, slice(None)) for i in range(first, stop)]
        to_here = np.mean(from_each, axis=0, dtype=np.float64)
        summed = np.concatenate([[0.0], np.cumsum(to_here)])
        between = (summed[self._stop] - summed[self._first]) / (self._stop - self._first)
        energy = between - (self._within + self._within[index]) / 2
        itself = from_each[index - first] - np.maximum(self._within, self._within[index])
        larger = np.maximum(energy, itself) / _OTHER_PLACE
        return np.asarray(np.clip(larger, 0.0, 1.0), dtype=np.float32)

    def alike(self, index: int) -> NDArray[np.bool_]:
        """Return which looks are near-duplicates of one; see `mmcrime.media.similar`."""
        change = self._whole - self._whole[index]
        change -= change.mean(axis=(1, 2), keepdims=True).astype(np.int16)
        return np.asarray(np.abs(change).max(axis=(1, 2)) < SAME)

    def _from(self, index: int, others: slice) -> Floats:
        """Return the mean difference in grey levels between one look and others."""
        change = np.abs(self._levels[others] - self._levels[index])
        return np.asarray(change.mean(axis=1), dtype=np.float32)

    def _inside(self, index: int) -> float:
        """Return the mean difference between two looks of one neighbourhood."""
        first, stop = int(self._first[index]), int(self._stop[index])
        count = stop - first
        total = sum(float(self._from(i, slice(first, stop)).sum()) for i in range(first, stop))
        return total / (count * (count - 1)) if count > 1 else 0.0


def _closest(
    looks: Times, shots: Indices, times: Times, shot_of: Indices
) -> tuple[Indices, Indices]:
    """Return the indices of the nearest look of each time, and of that on its other side.

    The nearest is of the same shot where one of the two is.
    """
    if not len(looks):
        return np.zeros(len(times), dtype=np.intp), np.zeros(len(times), dtype=np.intp)
    after = np.clip(np.searchsorted(looks, times), 0, len(looks) - 1)
    sides = np.stack([np.maximum(after - 1, 0), after])
    cost = np.abs(looks[sides] - times) + 1e9 * (shots[sides] != shot_of)
    nearer = np.argmin(cost, axis=0)
    every = np.arange(len(times))
    return sides[nearer, every], sides[1 - nearer, every]
