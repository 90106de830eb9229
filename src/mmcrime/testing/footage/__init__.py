"""A made-up scene that looks like a street camera at night, for the demo and for tests.

Nobody is in it and nothing happened: drawn figures walk past, two of them struggle, one
runs off and one stays lying, a siren comes nearer. Each frame says that it is synthetic.
It shows that the machinery works and says nothing about accuracy.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mmcrime.testing.footage.script import (
    BANG,
    FPS,
    HEIGHT,
    LYING,
    RATE,
    RUNNING,
    SECONDS,
    SIREN,
    STILL,
    STRUGGLE,
    WALKERS,
    WIDTH,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "BANG",
    "FPS",
    "HEIGHT",
    "LYING",
    "RATE",
    "RUNNING",
    "SECONDS",
    "SIREN",
    "STILL",
    "STRUGGLE",
    "TITLE",
    "WALKERS",
    "WIDTH",
    "write_footage",
]

TITLE: Final = "SYNTHETIC: a drawn scene made by mmcrime; nobody was in it"
"""The title in the file's own metadata."""


def write_footage(
    path: str | os.PathLike[str], *, start: float = 0.0, end: float = SECONDS
) -> Path:
    """Write the scene, or a part of it, as MP4: 640x360, 15 frames a second, mono sound.

    The same release of PyAV writes the same bytes each time. The whole is about 2 MB.

    Args:
        path: The file to write; it is replaced.
        start: Where in the scene the file starts, in seconds. Times in the file count from
            there: ``BANG`` is then at ``BANG - start``.
        end: Where it ends, later than ``start``, at most ``SECONDS``.

    Returns:
        The path.

    Raises:
        ValueError: If there is no such part.
    """
    if not 0.0 <= start < end <= SECONDS:
        raise ValueError(f"the scene has no part from {start!r} s to {end!r} s")
    import av

    from mmcrime.testing.footage.camera import Camera
    from mmcrime.testing.footage.sound import sound

    target = Path(path)
    camera = Camera()
    options = {"fflags": "+bitexact"}
    with av.open(os.fspath(target), "w", format="mp4", options=options) as out:
        out.metadata["title"] = TITLE
        # One thread and no B-frames: the same bytes each time, and frames in their own order.
        video: Any = out.add_stream(
            "libx264",
            rate=FPS,
            options={"preset": "veryfast", "crf": "27", "bf": "0", "flags": "+bitexact"},
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.thread_count, video.gop_size = 1, 2 * FPS
        audio: Any = out.add_stream("aac", rate=RATE, layout="mono", options={"flags": "+bitexact"})
        first = round(start * FPS)
        for index in range(first, round(end * FPS)):
            frame = av.VideoFrame.from_ndarray(camera.picture(index), format="rgb24")
            frame.pts, frame.time_base = index - first, Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        _encode_sound(out, audio, sound()[round(start * RATE) : round(end * RATE)])
    return target


def _encode_sound(out: Any, stream: Any, samples: NDArray[np.float32]) -> None:
    import av

    for start in range(0, len(samples), 1024):
        chunk = samples[start : start + 1024]
        frame = av.AudioFrame.from_ndarray(chunk[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
