"""Footage small enough for programs that are started many times."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 15 frames a second without sound; from 6 s on the camera is covered."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("clips") / "covered.mp4"
    scene = np.random.default_rng(3).integers(90, 200, (120, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(150):
            picture = scene if number < 90 else np.full_like(scene, 20)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
