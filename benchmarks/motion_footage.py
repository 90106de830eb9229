"""Made-up camera footage with known movement: the clips of the motion matrix.

A still, textured scene; one textured square after another moves over it for exactly one
keyframe interval (at least a second), at a random moment of the interval. Half of the
squares stand there before and after and half only while they move. One disturbance lies
over all of it. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FPS = 25
SIZE = (480, 270)  # pixels; small enough to encode hours of it, large enough for 1 %
DISTURBANCES = ("none", "noise", "flicker", "rain", "light")
AREAS = (0.01, 0.02, 0.06)  # shares of the picture
SPEEDS = (0.05, 0.25, 1.0)  # picture widths a second: a stroll far away, a walk, a run
GOPS = (25, 50, 100, 250)


@dataclass(frozen=True)
class Cell:
    """One clip of the matrix."""

    disturbance: str
    gop: int
    bframes: int
    codec: str
    seed: int

    @property
    def name(self) -> str:
        """A name for files and tables."""
        return f"{self.disturbance}-g{self.gop}-b{self.bframes}-{self.codec}-s{self.seed}"


@dataclass(frozen=True)
class Event:
    """One movement, in media seconds."""

    start: float
    end: float
    area: float
    speed: float
    stays: bool
    contrast: float
    way: tuple[float, float, float]  # start x, start y (shares of the free room), direction


def matrix(seed: int) -> list[Cell]:
    """Return all cells: disturbances x keyframe intervals x B-frames x codecs."""
    return [
        Cell(disturbance, gop, bframes, codec, seed)
        for disturbance in DISTURBANCES
        for gop in GOPS
        for codec in ("libx264", "libx265")
        for bframes in (0, 3)
    ]


def events(cell: Cell) -> list[Event]:
    """Return the movements of a clip: each size at each speed, in random order."""
    random = np.random.default_rng([cell.seed, cell.gop, DISTURBANCES.index(cell.disturbance)])
    kinds = [(area, speed) for area in AREAS for speed in SPEEDS]
    length = max(cell.gop / FPS, 1.0)
    at, found = 2.0, []
    for kind in random.permutation(len(kinds)):
        at += float(random.uniform(0, cell.gop / FPS))
        start = round(at * FPS) / FPS
        x, y, turn = random.uniform(0, 1, 3)
        found.append(
            Event(
                start=start,
                end=start + length,
                area=kinds[kind][0],
                speed=kinds[kind][1],
                stays=bool(random.integers(2)),
                contrast=float(random.choice((-1, 1)) * random.uniform(45, 80)),
                way=(float(x), float(y), float(2 * np.pi * turn)),
            )
        )
        at = start + length + max(4.0, length)
    return found


def pictures(cell: Cell) -> Iterator[NDArray[np.uint8]]:
    """Yield the grey pictures of a clip."""
    found = events(cell)
    random = np.random.default_rng([cell.seed, cell.gop, 77])
    scene = _texture(random, SIZE, 115, 40)
    squares = [_square(random, event) for event in found]
    disturb = _Disturbance(cell.disturbance, random)
    for number in range(round((found[-1].end + 3) * FPS)):
        time = number / FPS
        picture = scene.copy()
        for event, square in zip(found, squares, strict=True):
            if event.stays or event.start <= time < event.end:
                _draw(picture, square, event, time)
        yield np.clip(disturb(picture, time), 0, 255).astype(np.uint8)


def _texture(
    random: np.random.Generator, size: tuple[int, int], mean: float, spread: float
) -> NDArray[np.float32]:
    """Return soft large shapes with some finer ones on them."""
    coarse = cv2.resize(random.normal(0, 1, (5, 8)).astype(np.float32), size, interpolation=2)
    fine = cv2.resize(random.normal(0, 1, (34, 60)).astype(np.float32), size, interpolation=2)
    return np.clip(mean + spread * (0.7 * coarse + 0.3 * fine), 25, 225).astype(np.float32)


def _square(random: np.random.Generator, event: Event) -> NDArray[np.float32]:
    side = round((event.area * SIZE[0] * SIZE[1]) ** 0.5)
    spots = random.normal(event.contrast, 12, (4, 4)).astype(np.float32)
    return cv2.resize(spots, (side, side)).astype(np.float32)


def _draw(
    picture: NDArray[np.float32], square: NDArray[np.float32], event: Event, time: float
) -> None:
    side = len(square)
    room = (SIZE[0] - side, SIZE[1] - side)
    moved = event.speed * SIZE[0] * (min(max(time, event.start), event.end) - event.start)
    x = _bounced(event.way[0] * room[0] + moved * np.cos(event.way[2]), room[0])
    y = _bounced(event.way[1] * room[1] + moved * np.sin(event.way[2]), room[1])
    picture[y : y + side, x : x + side] += square


def _bounced(place: float, room: int) -> int:
    place = place % (2 * room)
    return round(min(place, 2 * room - place))


class _Disturbance:
    """What lies over the whole picture."""

    def __init__(self, kind: str, random: np.random.Generator) -> None:
        self._kind = kind
        self._random = random
        self._across = np.linspace(0.5, 1.0, SIZE[0], dtype=np.float32)[None, :]

    def __call__(self, picture: NDArray[np.float32], time: float) -> NDArray[np.float32]:
        random = self._random
        if self._kind == "noise":
            return picture + random.normal(0, 8, picture.shape).astype(np.float32)
        if self._kind == "flicker":
            return picture * np.float32(1 + 0.1 * random.uniform(-1, 1)) + np.float32(
                random.uniform(-8, 8)
            )
        if self._kind == "light":  # a cloud passes: darker by up to 45 % on one side in 15 s
            return picture * (1 - 0.45 * np.float32(np.sin(np.pi * time / 15) ** 2) * self._across)
        if self._kind == "rain":
            drops = np.zeros(picture.shape, np.float32)
            for _ in range(120):
                x, y = int(random.integers(SIZE[0])), int(random.integers(SIZE[1]))
                end = (x + int(random.integers(-3, 4)), y + int(random.integers(10, 26)))
                cv2.line(drops, (x, y), end, float(random.uniform(40, 90)), 1, cv2.LINE_AA)
            return picture + drops
        return picture


def write(cell: Cell, path: Path) -> None:
    """Encode a clip: fixed keyframe interval, the encoder's other defaults."""
    if cell.codec == "libx264":
        options = {"preset": "superfast", "crf": "25", "bf": str(cell.bframes)}
        options |= {"g": str(cell.gop), "keyint_min": str(cell.gop), "sc_threshold": "0"}
    else:  # B-frames come with open GOPs by default: keyframes are followed by older pictures
        params = f"keyint={cell.gop}:min-keyint={cell.gop}:scenecut=0:bframes={cell.bframes}"
        options = {"preset": "ultrafast", "crf": "27"}
        options |= {"x265-params": f"{params}:log-level=none:pools=1:frame-threads=1"}
    partial = path.with_suffix(".part")
    with av.open(str(partial), "w", format="mp4") as container:
        stream: Any = container.add_stream(cell.codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for grey in pictures(cell):
            planes = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)
            planes[: SIZE[1]] = grey
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())
    partial.rename(path)
