"""The deadline through the real pipeline: what was examined before it counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from motion_scenes import TEXTURE

from mmcrime import CrimeDetectionPipeline, Frame
from mmcrime.media.handle import MediaHandle

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


def test_at_a_deadline_the_pipeline_gets_what_motion_examined_until_then(
    long_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"analyzers": {"speech": {"enabled": False}, "sound": {"enabled": False}}}
    clip = MediaHandle.clip

    def slow_from_the_middle_on(self: MediaHandle, *args: Any, **options: Any) -> Iterator[Frame]:
        for frame in clip(self, *args, **options):
            if frame.time >= SECONDS / 2:
                time.sleep(0.05)
            yield frame

    with CrimeDetectionPipeline(settings) as pipeline:
        whole_run = pipeline.analyze(long_clip)
        monkeypatch.setattr(MediaHandle, "clip", slow_from_the_middle_on)
        # Enough for the first half on a machine three times as busy as a moment ago, and
        # not for the second half on any.
        report = pipeline.analyze(long_clip, deadline=3 * whole_run.timings["total"] + 2)
    (whole,), (part,) = whole_run.assessments, report.assessments
    assert whole.coverage.seconds > 0.9 * SECONDS
    assert part.status == "answered"
    assert 0.4 * SECONDS < part.coverage.seconds < 0.9 * SECONDS
    assert "deadline" in {gap.reason for gap in part.coverage.gaps}
    assert part.outcome == "undetermined"
    assert report.verdict.outcome == "undetermined"
