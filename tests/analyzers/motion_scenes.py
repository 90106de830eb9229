"""Synthetic scenes and a reader that draws them on demand, for the motion tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmcrime.errors import CorruptMediaError, MediaError
from mmcrime.evidence import AudioWindow, Evidence, Frame, Media

Scene = Callable[[float], NDArray[np.uint8]]

_RNG = np.random.default_rng(7)
_COARSE = _RNG.integers(40, 215, (48, 64)).astype(np.uint8)
TEXTURE = np.kron(_COARSE, np.ones((10, 10), np.uint8))  # 480 x 640, cells of 10 pixels


def _smooth(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 3), np.uint8)


TEXTURE = _smooth(TEXTURE)


def still(_: float) -> NDArray[np.uint8]:
    """An empty place."""
    return TEXTURE[:120, :160].copy()


def pan(t: float) -> NDArray[np.uint8]:
    """A camera that pans by a quarter of its width a second."""
    x = round(40 * t) % 400
    return TEXTURE[100:220, x : x + 160].copy()


def walker(t: float) -> NDArray[np.uint8]:
    """A bright square that crosses an empty place once in four seconds."""
    picture = still(t)
    x = round(40 * t) % 140
    picture[50:80, x : x + 20] = 250
    return picture


def brawl(t: float) -> NDArray[np.uint8]:
    """Patches that jerk to and fro in the middle of the picture, each its own way."""
    picture = still(t)
    for k in range(12):
        x = 50 + (k % 4) * 14 + round(9 * np.sin(17 * t + 2.1 * k))
        y = 35 + (k // 4) * 16 + round(9 * np.cos(13 * t + 1.3 * k))
        picture[y : y + 14, x : x + 12] = TEXTURE[200 + 9 * k : 214 + 9 * k, 300:312] // 2 + 110
    return picture


def wild(t: float) -> NDArray[np.uint8]:
    """Another picture every time, unlike any video of a camera."""
    x, y = np.random.default_rng(round(1000 * t)).integers(0, 300, 2).tolist()
    return TEXTURE[y : y + 120, x : x + 160].copy()


def noisy(scene: Scene, level: float) -> Scene:
    """A scene with sensor noise of a standard deviation in grey levels."""

    def draw(t: float) -> NDArray[np.uint8]:
        noise = np.random.default_rng(round(1000 * t)).normal(0, level, (120, 160))
        return np.clip(scene(t) + noise, 0, 255).astype(np.uint8)

    return draw


def flat(level: int) -> Scene:
    """A camera that shows one grey level: covered, dark (0) or overexposed (255)."""
    return lambda _: np.full((120, 160), level, np.uint8)


@dataclass(kw_only=True)
class DrawnReader:
    """A `MediaReader` whose frames are drawn: real pictures, no file.

    Attributes:
        scene: Draws the picture of a time.
        times: Presentation times of the frames that exist.
        duration: What the Media says its length is.
        breaks_at: Media time at which decoding fails for good.
        breaks_with: How it fails then.
        delay: Seconds that each frame takes.
        given: Frames handed out so far.
    """

    scene: Scene = still
    times: Sequence[float] = ()
    duration: float | None = None
    breaks_at: float | None = None
    breaks_with: type[MediaError] = CorruptMediaError
    delay: float = 0.0
    kind: str = "video"
    given: int = field(default=0, init=False)

    @property
    def media(self) -> Media:
        return Media(
            kind=self.kind,  # type: ignore[arg-type]  # tests pass the three words
            name="drawn",
            content_id="blake3:0",
            format="drawn",
            size_bytes=0,
            duration=self.duration,
        )

    def frames(self, at: Sequence[float], *, max_side: int | None = None) -> Iterator[Frame]:
        for t in sorted(at):
            yield Frame(time=t, pixels=self.scene(t))

    def clip(
        self,
        start: float,
        end: float,
        *,
        fps: float | None = None,
        max_side: int | None = None,
        grey: bool = False,
    ) -> Iterator[Frame]:
        cell = -1
        for t in self.times:
            if self.breaks_at is not None and t >= self.breaks_at:
                raise self.breaks_with("it breaks off.", source="drawn")
            here = cell + 1 if fps is None else int((t - start) * fps + 1e-6)
            if start <= t < end and here > cell:
                cell = here
                self.given += 1
                time.sleep(self.delay)
                yield Frame(time=t, pixels=self.scene(t))

    def audio(self, start: float, end: float, *, seconds: float = 30.0) -> Iterator[AudioWindow]:
        return iter(())

    def evidence(self) -> Evidence:
        return Evidence(media=self.media, reader=self)


def drawn(scene: Scene, seconds: float, *, fps: float = 25.0, **more: object) -> DrawnReader:
    """A reader of a scene of some seconds."""
    times = [i / fps for i in range(round(seconds * fps))]
    return DrawnReader(scene=scene, times=times, **{"duration": seconds, **more})  # type: ignore[arg-type]  # passed on
