"""From grey frames to the numbers that the motion model judges.

Dense optical flow between successive frames, minus its median over the picture (a
camera that pans moves every pixel alike), is summarised per pair of frames by
`STATS`, and over a window of about two seconds by `FEATURES`. Speeds are in picture
widths a second, computed with the true presentation times, so that neither the frame
rate nor the size of a recording is visible to the model; nothing of the container is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmcrime.evidence import Frame, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Map = NDArray[np.float32]

__all__ = [
    "FEATURES",
    "FPS",
    "HOP",
    "MAX_SIDE",
    "STATS",
    "WINDOW",
    "FlowMeter",
    "Pair",
    "Window",
    "fastest",
    "pair_stats",
    "window_features",
    "windows",
]

FPS = 6.25
"""Most frames a second that are looked at. Twice as many cost twice as much and were two
points of AUC worse (measured out of fold): larger steps stand out better from noise."""
MAX_SIDE = 160
"""Long side, in pixels, that frames are decoded to."""
WINDOW = 2.0
"""Seconds that one score stands for: the length of the clips the model learnt from."""
HOP = 1.0
"""Seconds between the ends of successive windows."""
LONGEST_PAIR = 0.3
"""Frames further apart than this (seconds) are not compared: flow means little then."""
SHORTEST_WINDOW = 0.4
"""Seconds of compared frames below which nothing is scored."""
FEWEST_PAIRS = 3
"""Pairs of frames below which nothing is scored."""

_SLACK = 0.5 / FPS
"""Seconds (half a frame) by which a window may miss its length."""
_SIZE = (80, 60)
"""Width and height at which flow is computed, whatever the shape of the recording. Flow
costs an eighth of that at 160 x 120 and loses one point of AUC (measured out of fold)."""
_FARNEBACK = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 9,
    "iterations": 2,
    "poly_n": 5,
    "poly_sigma": 1.1,
    "flags": 0,
}
"""OpenCV's usual values with a window for small pictures. Farneback gives the same flow for
any number of threads; DIS at 160 x 120 cost about the same and was no better (measured)."""
_CELL = 10
"""Side, in pixels, of the cells in which motion is called concentrated or coherent."""
_FAST = 0.3
"""Widths a second from which a pixel is fast: a person fills about a third of a picture
of a fight, and limbs cross their own body in about a second or less."""
_STILL = 1e-3
"""Widths a second (0.08 pixels) below which motion is sensor noise and has no direction."""
_COMPRESSION = 10.0  # rates of a tenth and more are compressed by `_log`
_FLOOR = 0.02
"""Added before a logarithm, so that a still picture has one."""

STATS = (
    "mean",  # speed, after the camera's own motion was taken off
    "std",
    "p90",
    "p99",
    "fast",  # share of fast pixels
    "concentration",  # share of all motion in the five busiest cells
    "spread",  # how far from its centre motion reaches
    "entropy",  # of directions, 0 (one way) to 1 (all ways)
    "coherence",  # 1 where the pixels of a cell move alike
    "divergence",
    "curl",
    "acceleration",  # change of speed since the pair before
)
"""What is measured for each pair of frames. The camera's own speed is left out on purpose:
people film fights by hand, and a model that is told so takes every moving camera for one."""
_AGGREGATES = ("mean", "std", "max", "change")
FEATURES = tuple(f"{stat}.{how}" for stat in STATS for how in _AGGREGATES)
"""Names of the numbers the model sees, in order."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two successive frames, summarised.

    Attributes:
        start: Media time of the first frame.
        end: Media time of the second frame.
        stats: float64, shape ``(len(STATS),)``.
    """

    start: float
    end: float
    stats: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """A stretch of video as the model sees it.

    Attributes:
        start: Media time of its first compared frame.
        end: Media time of its last compared frame.
        features: float64, shape ``(len(FEATURES),)``.
    """

    start: float
    end: float
    features: Array

    @property
    def span(self) -> Interval:
        """The interval it covers."""
        return (self.start, self.end)


class FlowMeter:
    """Compares each frame with the one before; holds one frame, never more."""

    def __init__(self) -> None:
        self._time: float | None = None
        self._picture: NDArray[np.uint8] | None = None
        self._speed: Map | None = None

    def forget(self) -> None:
        """Start afresh: the next frame has none before it."""
        self._time = self._picture = self._speed = None

    def push(self, frame: Frame) -> Pair | None:
        """Take the next frame (grey, any size) and return its pair with the one before.

        None for the first frame, and for one that is not later than the one before or
        more than `LONGEST_PAIR` later: then measuring starts afresh.
        """
        picture = np.asarray(
            cv2.resize(frame.pixels, _SIZE, interpolation=cv2.INTER_AREA), np.uint8
        )
        before, since = self._picture, self._time
        self._picture, self._time = picture, frame.time
        if before is None or since is None or not 0 < frame.time - since <= LONGEST_PAIR:
            self._speed = None
            return None
        flow = np.asarray(cv2.calcOpticalFlowFarneback(before, picture, None, **_FARNEBACK))  # type: ignore[call-overload]  # cv2's stub forgets that None means "allocate"
        stats, self._speed = pair_stats(flow, frame.time - since, self._speed)
        return Pair(start=since, end=frame.time, stats=stats)


def pair_stats(
    flow: NDArray[np.float32], seconds: float, before: Map | None = None
) -> tuple[Array, Map]:
    """Summarise the flow between two frames.

    Args:
        flow: Shape ``(60, 80, 2)``, displacement in pixels.
        seconds: Time between the frames, above 0.
        before: Speed map of the pair before, for the acceleration; None at the start.

    Returns:
        The `STATS`, and the speed map ``(60, 80)`` in widths a second.
    """
    scale = np.float32(1.0 / (seconds * _SIZE[0]))
    x, y = (_without_median(flow[..., axis] * scale) for axis in (0, 1))
    speed, angle = (np.asarray(part, np.float32) for part in cv2.cartToPolar(x, y))
    ranks = [int(share * (speed.size - 1)) for share in (0.90, 0.99)]
    p90, p99 = np.partition(speed, ranks, axis=None)[ranks]
    cells = _cells(speed)
    moving = cells.mean() > _STILL
    shape = _shape(x, y, speed, angle, cells) if moving else (0.0, 0.0, 0.0, 1.0)
    x_dx, y_dx = ((part[1:, 1:] - part[1:, :-1]) * _SIZE[0] for part in (x, y))
    x_dy, y_dy = ((part[1:, 1:] - part[:-1, 1:]) * _SIZE[0] for part in (x, y))
    acceleration = 0.0 if before is None else float(np.abs(speed - before).mean()) / seconds
    stats = np.array(
        [
            _log(speed.mean()),
            _log(speed.std()),
            _log(p90),
            _log(p99),
            (speed > _FAST).mean(),
            *shape,
            _log(np.abs(x_dx + y_dy).mean()),
            _log(np.abs(y_dx - x_dy).mean()),
            _log(acceleration),
        ]
    )
    return stats, speed


def _without_median(part: Map) -> Map:
    middle = part.size // 2
    return np.asarray(part - np.partition(part, middle, axis=None)[middle])


def _log(value: float) -> float:
    """Compress a rate, so that one violent jerk does not drown the rest."""
    return float(np.log1p(_COMPRESSION * value))


def fastest(features: Array) -> float:
    """Return the widths a second that a hundredth of the picture reached at the most."""
    logarithm = min(
        float(features[FEATURES.index("p99.max")]), 100.0
    )  # far beyond any speed, and no overflow
    return math.expm1(logarithm) / _COMPRESSION


def _cells(values: Map) -> Map:
    """Return the mean over each cell, shape ``(6, 8)``."""
    rows, columns = _SIZE[1] // _CELL, _SIZE[0] // _CELL
    blocks = values.reshape(rows, _CELL, columns, _CELL)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _shape(x: Map, y: Map, speed: Map, angle: Map, cells: Map) -> tuple[float, float, float, float]:
    """Return concentration, spread, entropy and coherence of a picture that moves."""
    total = cells.sum()
    concentration = np.sort(cells, axis=None)[-5:].sum() / total
    rows, columns = np.indices(cells.shape)
    row, column = (cells * rows).sum() / total, (cells * columns).sum() / total
    away = (cells * ((rows - row) ** 2 + (columns - column) ** 2)).sum() / total
    spread = np.sqrt(away) / cells.shape[1]
    octants = (angle * (8 / (2 * np.pi))).astype(np.int64) % 8
    turns = np.bincount(octants.ravel(), weights=speed.ravel(), minlength=8)
    share = turns / turns.sum()
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum() / np.log(8)
    coherence = np.hypot(_cells(x), _cells(y)).sum() / total
    return float(concentration), float(spread), float(entropy), float(coherence)


def window_features(pairs: Sequence[Pair]) -> Array:
    """Return the `FEATURES` of some pairs in time order (at least one)."""
    stats = np.stack([pair.stats for pair in pairs])
    middles = np.array([(pair.start + pair.end) / 2 for pair in pairs])
    change = np.zeros(stats.shape[1])
    if len(pairs) > 1:
        change = (np.abs(np.diff(stats, axis=0)) / np.diff(middles)[:, None]).mean(axis=0)
    # Spread and change are ratios by nature: their logarithm is what differs evenly.
    spread, change = np.log(stats.std(axis=0) + _FLOOR), np.log(change + _FLOOR)
    aggregates = (stats.mean(axis=0), spread, stats.max(axis=0), change)
    return np.stack(aggregates, axis=1).reshape(-1)


def windows(pairs: Iterable[Pair]) -> Iterator[Window]:
    """Yield the windows of a stream of pairs, holding no more than one window's pairs.

    A run of frames without a break gives a window of `WINDOW` seconds every `HOP`
    seconds and one that ends with the run; a run shorter than `WINDOW` gives one, and
    one that is too short to say anything (`SHORTEST_WINDOW`, `FEWEST_PAIRS`) none.
    """
    held: deque[Pair] = deque()
    due, scored = 0.0, 0.0
    for pair in pairs:
        if held and pair.start > held[-1].end:
            if scored < held[-1].end:
                yield from _window(held)
            held.clear()
        if not held:
            due, scored = pair.start + WINDOW, pair.start
        held.append(pair)
        while held[0].start < pair.end - WINDOW - _SLACK:
            held.popleft()
        if pair.end >= due - _SLACK:
            yield from _window(held)
            due, scored = due + HOP, pair.end
    if held and scored < held[-1].end:
        yield from _window(held)


def _window(pairs: Sequence[Pair]) -> Iterator[Window]:
    start, end = pairs[0].start, pairs[-1].end
    if len(pairs) >= FEWEST_PAIRS and end - start >= SHORTEST_WINDOW:
        yield Window(start=start, end=end, features=window_features(pairs))
