"""From grey frames to pairs of frames, and from those to windows of about two seconds.

Dense optical flow between successive frames, minus its median over the picture (a camera
that pans moves every pixel alike), is kept as a map of cells for each pair. What the model
sees of a window is computed from these maps in `motion_window`. Speeds are in lengths of
the picture's long side a second, computed with the true presentation times, so that
neither the frame rate nor the size of a recording is visible to the model; nothing of the
container is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mmcrime.analyzers.motion_window import CHANNELS, FEATURES, window_features
from mmcrime.evidence import Frame, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Map = NDArray[np.float32]

__all__ = [
    "FEATURES",
    "FPS",
    "HOP",
    "LONGEST_PAIR",
    "MAX_SIDE",
    "SHORTEST_WINDOW",
    "WINDOW",
    "FlowMeter",
    "Pair",
    "Window",
    "flow_cells",
    "windows",
]

FPS = 6.25
"""Most frames a second that are looked at."""
MAX_SIDE = 160
"""Long side, in pixels, of the pictures between which flow is computed."""
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
_SHORTEST_SIDE = 48
"""Pixels: a narrower picture is stretched, because the flow looks at several scales."""
_GRAIN = 8
"""Sides are multiples of this, in pixels: of two pixels of flow and four of a cell."""
_MEANS = len(CHANNELS) - 8
"""Channels other than the octants, which follow them."""
_CELL = 4
"""Side of a cell in samples of the flow, which is halved first: 20 cells along the long side."""
_LEAST_CHANGE = 1.0
"""Grey levels by which a block of `_GRAIN` pixels a side must change in a hundredth of the
picture; less is rounding. Blocks average out what is finer than things."""
_NOISE_LEFT = 4.0
"""Standard deviations of a block's noise; a hundredth of the blocks is beyond 2.6 by chance."""
_MEDIAN_OF_NOISE = 0.6745
"""Median of the absolute value of normal noise, in standard deviations."""
_FAST = 0.3
"""Long sides a second from which a sample is fast: a person fills about a third of a picture
of a fight, and limbs cross their own body in about a second or less."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pair:
    """Two successive frames, compared.

    Attributes:
        start: Media time of the first frame.
        end: Media time of the second frame.
        cells: float32, shape ``(len(CHANNELS), rows, columns)``: means over the cells.
        fastest: Long sides a second that a hundredth of the picture reached.
    """

    start: float
    end: float
    cells: Map
    fastest: float


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
        self._method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.forget()

    def forget(self) -> None:
        """Start afresh: the next frame has none before it."""
        self._time: float | None = None
        self._picture: _Picture | None = None
        self._flow: Map | None = None

    def push(self, frame: Frame) -> Pair | None:
        """Take the next frame (grey, any size) and return its pair with the one before.

        None for the first frame, and for one that is not later than the one before, more
        than `LONGEST_PAIR` later or of another shape: then measuring starts afresh.
        """
        picture = _Picture(frame.pixels)
        before, since = self._picture, self._time
        self._picture, self._time = picture, frame.time
        if before is None or since is None or before.pixels.shape != picture.pixels.shape:
            self._flow = None
            return None
        if not 0 < frame.time - since <= LONGEST_PAIR:
            self._flow = None
            return None
        cells, fastest = self._compared(before, picture, frame.time - since)
        return Pair(start=since, end=frame.time, cells=cells, fastest=fastest)

    def _compared(self, before: _Picture, picture: _Picture, seconds: float) -> tuple[Map, float]:
        """Return the cells of two pictures, and what a hundredth of them reached."""
        flow = np.zeros((*picture.pixels.shape, 2), np.float32)
        if _changed(before, picture):
            self._method.calc(before.pixels, picture.pixels, flow)
        elif self._flow is None or not self._flow.any():  # still, as before: most of a day
            rows, columns = (side // 2 for side in picture.pixels.shape)
            self._flow = np.zeros((2, rows, columns), np.float32)
            return np.zeros((len(CHANNELS), rows // _CELL, columns // _CELL), np.float32), 0.0
        cells, fastest, self._flow = flow_cells(flow, seconds, self._flow)
        return cells, fastest


class _Picture:
    """A picture at the size at which flow is computed, its shape all but kept.

    Attributes:
        pixels: Grey levels.
        blocks: Their means over blocks of `_GRAIN` pixels a side.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        scale = MAX_SIDE / max(pixels.shape)
        height, width = (
            min(MAX_SIDE, max(_SHORTEST_SIDE, round(side * scale / _GRAIN) * _GRAIN))
            for side in pixels.shape
        )
        self.pixels = _shrunk(pixels, (width, height))
        self.blocks = _shrunk(self.pixels, (width // _GRAIN, height // _GRAIN)).astype(np.int16)


def _shrunk(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _changed(before: _Picture, picture: _Picture) -> bool:
    """Whether more than sensor noise lies between two pictures; noise has a flow, too."""
    change = np.abs(picture.blocks - before.blocks)
    rank = int(0.99 * (change.size - 1))
    highest = float(np.partition(change, rank, axis=None)[rank])
    if highest <= _LEAST_CHANGE:
        return False
    # It is noise if the median of what the pixels differ by reaches this: counting them
    # takes an eighth of the time of finding the median.
    noisy = highest * _GRAIN / _NOISE_LEFT * _MEDIAN_OF_NOISE
    difference = cv2.absdiff(before.pixels, picture.pixels)
    return bool(np.count_nonzero(difference < math.ceil(noisy)) > difference.size // 2)


def flow_cells(flow: Map, seconds: float, before: Map | None = None) -> tuple[Map, float, Map]:
    """Summarise the flow between two frames by cells.

    Args:
        flow: Shape ``(height, width, 2)``, displacement in pixels; sides as `FlowMeter`
            makes them.
        seconds: Time between the frames, above 0.
        before: Velocity of the pair before, for the changes; None at the start.

    Returns:
        The `CHANNELS` by cell; what a hundredth of the picture reached; and the velocity
        ``(2, height / 2, width / 2)``, both in long sides a second.
    """
    height, width = flow.shape[0] // 2, flow.shape[1] // 2
    long = max(height, width)
    half = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
    half *= 1.0 / (seconds * 2 * long)
    maps = np.empty((_MEANS, height, width), np.float32)
    velocity = maps[:2]
    for part, into in zip(cv2.split(half), velocity, strict=True):
        np.subtract(part, _ranked(part, part.size // 2), out=into)
    x, y, speed = maps[:3]
    _, angle = cv2.cartToPolar(x, y, speed)
    np.multiply(speed, speed, out=maps[3])
    np.multiply(maps[3], maps[3], out=maps[4])
    np.greater(speed, _FAST, out=maps[5])
    _gradients(velocity, long, out=maps[6:9])
    if before is not None and before.shape == velocity.shape:
        # Not `cv2.magnitude`: how it rounds depends on where the arrays lie in memory.
        np.sqrt(_squares(velocity - before), out=maps[9])
        np.abs(speed - np.sqrt(_squares(before)), out=maps[10])
        np.multiply(x, before[0], out=maps[11])
        maps[11] += y * before[1]
    else:
        maps[9:] = 0.0
    fastest = float(_ranked(speed, int(0.99 * (speed.size - 1))))
    return np.concatenate([_cells(maps), _octants(speed, angle)]), fastest, velocity


def _ranked(values: NDArray[Any], rank: int) -> np.float32:
    """Return the value that as many as ``rank`` are not above."""
    found: np.float32 = np.partition(values, rank, axis=None)[rank]
    return found


def _squares(vectors: Map) -> Map:
    squares = vectors * vectors
    return np.asarray(squares[0] + squares[1])


def _gradients(velocity: Map, long: int, *, out: Map) -> None:
    """Write divergence, curl and boundary; of the first row and column nothing is known."""
    width = velocity.shape[2]
    flat = velocity.reshape(2, -1)  # rows run on: what this puts in the first column is wiped
    across = flat[:, width:] - flat[:, width - 1 : -1]
    down = flat[:, width:] - flat[:, :-width]
    rest = out.reshape(3, -1)[:, width:]
    np.abs(across[0] + down[1], out=rest[0])
    np.abs(across[1] - down[0], out=rest[1])
    squares = across * across
    squares += down * down
    np.sqrt(squares[0] + squares[1], out=rest[2])
    rest *= np.float32(long)
    out[:, 0] = out[:, :, 0] = 0.0


def _cells(maps: Map) -> Map:
    """Return the means over the cells of ``(channels, height, width)``, in one pass."""
    channels, height, width = maps.shape
    size = (width // _CELL, channels * height // _CELL)
    means = cv2.resize(maps.reshape(-1, width), size, interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float32).reshape(channels, -1, size[0])


def _octants(speed: Map, angle: Map) -> Map:
    """Return the mean speed in each of 8 directions over the cells."""
    cells, columns = _places(*speed.shape)
    count = int(cells[-1, -1]) + 1
    octant = (angle * np.float32(8 / (2 * np.pi))).astype(np.uint8)
    octant &= 7  # a full turn is none
    place = octant * np.intp(count)
    place += cells
    sums = np.bincount(place.ravel(), weights=speed.ravel(), minlength=8 * count)
    return (sums / _CELL**2).astype(np.float32).reshape(8, -1, columns)


@lru_cache(maxsize=4)
def _places(height: int, width: int) -> tuple[NDArray[np.intp], int]:
    """Return in which cell each sample lies, row by row, and how many cells a row has."""
    columns = width // _CELL
    down, across = np.ogrid[:height, :width]
    return np.asarray(down // _CELL * columns + across // _CELL, np.intp), columns


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
        features = window_features(
            np.stack([pair.cells for pair in pairs]),
            np.array([(pair.start + pair.end) / 2 for pair in pairs]),
            np.array([pair.fastest for pair in pairs]),
        )
        yield Window(start=start, end=end, features=features)
