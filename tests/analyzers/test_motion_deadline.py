"""The deadline through the real pipeline: what was examined before it counts."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from motion_scenes import TEXTURE

from mmcrime import CrimeDetectionPipeline

RATE = 12
SECONDS = 240


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of a square that crosses an empty place."""
    path = tmp_path_factory.mktemp("long") / "walk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for i in range(RATE * SECONDS):
            picture = TEXTURE[:120, :160].copy()
            picture[50:80, 2 * i % 140 :][:, :20] //= 2
            frame = av.VideoFrame.from_ndarray(np.stack([picture] * 3, axis=-1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_at_a_deadline_the_pipeline_gets_what_motion_examined_until_then(long_clip: Path) -> None:
    settings = {"analyzers": {"speech": {"enabled": False}, "sound": {"enabled": False}}}
    with CrimeDetectionPipeline(settings) as pipeline:
        free = pipeline.analyze(long_clip)
        spent = free.timings["analyze:motion"]
        report = pipeline.analyze(long_clip, deadline=free.timings["total"] - 0.5 * spent)
    (whole,), (part,) = free.assessments, report.assessments
    assert whole.coverage.seconds > 0.9 * SECONDS
    assert part.status == "answered"
    assert 0 < part.coverage.seconds < 0.9 * whole.coverage.seconds
    assert "deadline" in {gap.reason for gap in part.coverage.gaps}
    assert part.outcome == "undetermined"
    assert report.verdict.outcome == "undetermined"
