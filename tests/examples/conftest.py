"""Footage small enough for programs that are started many times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

RATE = 15  # frames a second


def draw(path: Path, seconds: float, covered: Callable[[float], bool]) -> Path:
    """Write a still scene without sound that is dark wherever it is covered."""
    import av
    import numpy as np

    scene = np.random.default_rng(3).integers(90, 200, (120, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(round(seconds * RATE)):
            picture = np.full_like(scene, 20) if covered(number / RATE) else scene
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def footage() -> Callable[[Path, float, Callable[[float], bool]], Path]:
    """Draws a scene of some seconds that is covered at some times."""
    return draw


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 15 frames a second without sound; from 6 s on the camera is covered."""
    return draw(tmp_path_factory.mktemp("clips") / "covered.mp4", 10, lambda at: at >= 6)
