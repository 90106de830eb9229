"""A small made-up scene that looks like a street camera, for the demo and for tests.

Nobody is in it and nothing happened: two drawn figures walk towards each other, struggle,
and one runs away. It shows that the machinery works and says nothing about accuracy.
"""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDTH: Final = 640
HEIGHT: Final = 360
FPS: Final = 15
SECONDS: Final = 24
STRUGGLE: Final = (12.0, 18.0)
"""When the figures struggle, in media seconds."""
BANG: Final = 13.5
"""When the impulsive sound starts, in media seconds."""

_WALK = 6.0  # seconds of an empty street before the figures come in
_RATE = 16_000
_GROUND = 300  # the row on which feet stand
_SEED = 20_240_601


def write_footage(path: str | os.PathLike[str]) -> Path:
    """Write the scene as MP4: 24 s, 640x360, 15 frames a second, mono sound, about 1.3 MB.

    The same release of PyAV writes the same bytes each time.

    Args:
        path: The file to write; it is replaced.

    Returns:
        The path.
    """
    import av
    import numpy as np

    target = Path(path)
    background = _background(np.random.default_rng(_SEED))
    noise = np.random.default_rng(_SEED + 1)
    with av.open(os.fspath(target), "w", format="mp4", options={"fflags": "+bitexact"}) as out:
        video: Any = out.add_stream("mpeg4", rate=FPS, options={"flags": "+bitexact"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 400_000
        video.thread_count = 1
        audio: Any = out.add_stream(
            "aac", rate=_RATE, layout="mono", options={"flags": "+bitexact"}
        )
        for index in range(SECONDS * FPS):
            pixels = _picture(background, index / FPS)
            grain = noise.integers(-1, 2, pixels.shape[:2], dtype=np.int16)[..., None]
            frame = av.VideoFrame.from_ndarray(
                np.clip(pixels.astype(np.int16) + grain, 0, 255).astype(np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        _encode_sound(out, audio, _sound(np.random.default_rng(_SEED + 2)))
    return target


def _encode_sound(out: Any, stream: Any, samples: NDArray[np.float32]) -> None:
    import av

    for start in range(0, len(samples), 1024):
        chunk = samples[start : start + 1024]
        frame = av.AudioFrame.from_ndarray(chunk[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, start, Fraction(1, _RATE)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def _sound(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return quiet street noise with steps, and one bang that decays in 0.4 s."""
    import numpy as np

    count = SECONDS * _RATE
    sound = rng.normal(0.0, 0.004, count)
    for at in np.arange(_WALK + 0.5, STRUGGLE[0], 0.5):
        step = int(at * _RATE)
        length = _RATE // 50
        sound[step : step + length] += rng.normal(0, 0.03, length) * np.linspace(1, 0, length)
    start, length = int(BANG * _RATE), int(0.4 * _RATE)
    decay = np.exp(-np.arange(length) / (0.05 * _RATE))
    sound[start : start + length] += rng.normal(0.0, 0.45, length) * decay
    return np.clip(sound, -0.98, 0.98).astype(np.float32)


def _background(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a street at dusk: a brick wall, a door, a window, the pavement."""
    import numpy as np

    scene = np.zeros((HEIGHT, WIDTH, 3), np.float64)
    scene[:250] = (96, 84, 78)
    scene[250:] = (70, 72, 76)
    scene[:250:14] -= 18
    for row in range(0, 250, 14):
        scene[row : row + 14, (row // 14 % 2) * 16 :: 32] -= 18
    scene[110:250, 470:540] = (48, 40, 36)
    scene[60:130, 90:190] = (120, 118, 92)
    scene[60:130, 138:142] = (60, 58, 52)
    scene[250:256] = (110, 110, 108)
    coarse = rng.normal(0.0, 7.0, (HEIGHT // 4, WIDTH // 4)).repeat(4, axis=0).repeat(4, axis=1)
    return np.clip(scene + coarse[..., None], 0, 255).astype(np.uint8)


def _picture(background: NDArray[np.uint8], time: float) -> NDArray[np.uint8]:
    """Return the scene at a media time: uint8, ``(HEIGHT, WIDTH, 3)`` RGB."""
    picture = background.copy()
    start, end = STRUGGLE
    if time < _WALK:
        return picture
    if time < start:
        share = (time - _WALK) / (start - _WALK)
        _walker(picture, -20 + share * 315, time, (150, 60, 50))
        _walker(picture, 660 - share * 315, time + 0.3, (60, 80, 140))
    elif time < end:
        # Sums of incommensurable waves: jerky, and the same in each run.
        for side, coat, phase in ((-1, (150, 60, 50), 0.0), (1, (60, 80, 140), 2.1)):
            sway = 14 * math.sin(9.7 * time + phase) + 10 * math.sin(23.3 * time + 2 * phase)
            lift = 6 * math.sin(17.9 * time + phase)
            _fighter(picture, 320 + side * 22 + sway, lift, time + phase, side=side, coat=coat)
    else:
        _lying(picture, 300, (60, 80, 140))
        _walker(picture, 340 + (time - end) * 140, 2.2 * time, (150, 60, 50))
    return picture


def _walker(picture: NDArray[np.uint8], x: float, time: float, coat: tuple[int, int, int]) -> None:
    swing = 16 * math.sin(2 * math.pi * 1.6 * time)
    for side in (-1, 1):
        _limb(picture, (x, _GROUND - 50), (x + side * swing, _GROUND), 6, (40, 40, 46))
        _limb(picture, (x, _GROUND - 92), (x - side * swing, _GROUND - 56), 4, coat)
    _body(picture, x, _GROUND - 50, coat)


def _fighter(
    picture: NDArray[np.uint8],
    x: float,
    lift: float,
    time: float,
    *,
    side: int,
    coat: tuple[int, int, int],
) -> None:
    hip = _GROUND - 48 + lift
    for step in (-1, 1):
        foot = x + step * (14 + 8 * math.sin(13.1 * time + step))
        _limb(picture, (x, hip), (foot, _GROUND), 6, (40, 40, 46))
        reach = 34 + 22 * math.sin((21.7 + 3 * step) * time)
        hand = (x - side * reach, hip - 46 + 30 * math.sin(18.3 * time + step))
        _limb(picture, (x, hip - 42), hand, 5, coat)
    _body(picture, x, hip, coat)


def _lying(picture: NDArray[np.uint8], x: float, coat: tuple[int, int, int]) -> None:
    _limb(picture, (x - 50, _GROUND - 6), (x, _GROUND - 8), 7, (40, 40, 46))
    _limb(picture, (x, _GROUND - 10), (x + 42, _GROUND - 10), 11, coat)
    _disc(picture, x + 62, _GROUND - 10, 11, (188, 150, 130))


def _body(picture: NDArray[np.uint8], x: float, hip: float, coat: tuple[int, int, int]) -> None:
    _limb(picture, (x, hip), (x, hip - 44), 13, coat)
    _disc(picture, x, hip - 66, 11, (188, 150, 130))


def _limb(
    picture: NDArray[np.uint8],
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
    colour: tuple[int, int, int],
) -> None:
    steps = max(2, int(math.dist(start, end) / 3))
    for step in range(steps + 1):
        share = step / steps
        x = start[0] + share * (end[0] - start[0])
        y = start[1] + share * (end[1] - start[1])
        _disc(picture, x, y, radius, colour)


def _disc(
    picture: NDArray[np.uint8], x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    import numpy as np

    left, right = max(0, int(x - radius)), min(WIDTH, int(x + radius) + 1)
    top, bottom = max(0, int(y - radius)), min(HEIGHT, int(y + radius) + 1)
    if left >= right or top >= bottom:
        return
    rows, columns = np.ogrid[top:bottom, left:right]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    picture[top:bottom, left:right][inside] = colour
