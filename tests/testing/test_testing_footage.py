"""The made-up scene holds what it says, when it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mmcrime import CrimeDetectionPipeline, Report, Settings
from mmcrime.testing.footage import (
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
    TITLE,
    WALKERS,
    WIDTH,
    write_footage,
)
from mmcrime.testing.footage.camera import Camera
from mmcrime.testing.footage.script import cast

CAPTION = np.s_[12:36, 14:450]  # rows and columns of the picture


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_footage(tmp_path_factory.mktemp("scene") / "scene.mp4")


@pytest.fixture(scope="module")
def report(scene: Path) -> Report:
    """What the embedded detectors measure, without the speech engine: nobody speaks."""
    settings = Settings.model_validate({"analyzers": {"speech": {"enabled": False}}})
    with CrimeDetectionPipeline(settings) as pipeline:
        return pipeline.analyze(scene, offline=True)


def inside(curve: Any, start: float, end: float, *, values: str) -> NDArray[np.float64]:
    """Return the values of a curve well inside a stretch: a value stands for a second."""
    times = np.asarray(curve.times)
    return np.asarray(getattr(curve, values))[(times >= start + 1.0) & (times + 1.0 <= end - 0.5)]


def test_it_is_a_minute_of_640_by_360_with_sound_below_4_mb(scene: Path, report: Report) -> None:
    media = report.media
    assert (media.width, media.height, media.has_audio) == (WIDTH, HEIGHT, True)
    assert media.duration == pytest.approx(SECONDS, abs=0.1)
    assert scene.stat().st_size < 4_000_000
    with av.open(str(scene)) as opened:
        assert opened.streams.video[0].frames == SECONDS * FPS
        assert opened.streams.audio[0].rate == RATE
        assert opened.metadata["title"] == TITLE


def test_nothing_moves_in_the_still_stretches_and_much_in_the_others(report: Report) -> None:
    motion = report.evidence.motion
    still = np.concatenate([inside(motion, *span, values="scores") for span in STILL])
    moving = np.concatenate(
        [inside(motion, *span, values="scores") for span in (*WALKERS, STRUGGLE)]
    )
    assert len(still) > 20
    assert len(moving) > 15
    assert still.max() < 0.5 * moving.min()


def test_the_stretches_leave_no_second_untold() -> None:
    """Still, walking, struggling and running follow each other without a hole."""
    spans = sorted([*STILL, *WALKERS, STRUGGLE, RUNNING])
    assert spans[0][0] == 0.0
    assert spans[-1][1] == SECONDS
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]


@pytest.mark.parametrize("span", [span for span in STILL if span[1] <= STRUGGLE[0]])
def test_nobody_is_in_the_picture_before_the_struggle_but_the_walkers(
    span: tuple[float, float],
) -> None:
    """Only the clock and the noise change: without them, all still frames are one picture."""
    camera = Camera()
    frames = [camera.picture(round(t * FPS)) for t in np.arange(*span, 0.2)]
    empty = camera.picture(0)[: HEIGHT - 40].astype(int)
    for frame in frames:
        assert np.abs(frame[: HEIGHT - 40].astype(int) - empty).max() < 60  # noise of two frames


def test_one_walks_alone_two_pass_and_two_meet() -> None:
    alone, passing, meeting = WALKERS
    assert len(cast(sum(alone) / 2)) == 1
    for time in np.arange(*passing, 0.1):
        near, far = cast(time)
        # Even when they are at one place, one passes behind the other.
        assert abs(near.y - far.y) > 15
    left, right = (actor.x for actor in cast(meeting[1] - 0.01))
    assert abs(left - right) < 80


def test_one_runs_off_and_the_other_stays_lying() -> None:
    assert len(cast(RUNNING[0] + 0.2)) == 2
    left = [cast(time) for time in np.arange(RUNNING[1], LYING[1], 0.5)]
    assert all(actors == left[0] for actors in left)
    (lying,) = left[0]
    assert lying.pose.hip[1] < 0.1


def test_the_bang_starts_at_its_time(report: Report) -> None:
    (bang,) = [sound for sound in report.evidence.sounds if sound.label == "impulsive"]
    assert bang.start == pytest.approx(BANG, abs=0.02)


def test_the_siren_is_heard_from_its_start_and_grows_to_the_end(report: Report) -> None:
    levels = inside(report.evidence.loudness, *SIREN, values="levels")
    assert (np.diff(levels) > 0).all()
    assert levels[-1] - levels[0] > 10.0
    before = inside(report.evidence.loudness, RUNNING[1], SIREN[0], values="levels")
    assert levels[0] > before.max() + 6.0
    (siren,) = [sound for sound in report.evidence.sounds if sound.label == "siren"]
    assert siren.start == pytest.approx(SIREN[0], abs=0.5)
    assert siren.end == pytest.approx(SIREN[1], abs=0.5)


def test_each_frame_says_that_it_is_synthetic(scene: Path) -> None:
    """The caption is as bright as it was drawn, also after compression."""
    letters = Camera().picture(0)[CAPTION].min(axis=2) > 200
    assert letters.mean() > 0.1
    with av.open(str(scene)) as opened:
        for index, frame in enumerate(opened.decode(video=0)):
            part = frame.to_ndarray(format="gray")[CAPTION]
            assert part[letters].mean() > part[~letters].mean() + 100, index


def test_the_same_part_is_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_footage(tmp_path / name, start=38.0, end=41.0) for name in ("1", "2"))
    assert one.read_bytes() == two.read_bytes()


def test_in_a_part_times_count_from_its_start(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "part.mp4", start=37.0, end=40.0)
    with av.open(str(path)) as opened:
        assert opened.streams.video[0].frames == 3 * FPS
    with av.open(str(path)) as opened:
        sound = np.hstack([f.to_ndarray()[0] for f in opened.decode(audio=0)])
        begun = float(next(f.time or 0.0 for f in av.open(str(path)).decode(audio=0)))
    assert np.argmax(np.abs(sound) > 0.3) / RATE + begun == pytest.approx(BANG - 37.0, abs=0.02)


@pytest.mark.parametrize(("start", "end"), [(-1.0, 5.0), (5.0, 5.0), (0.0, 61.0)])
def test_a_part_that_is_not_there_is_refused(tmp_path: Path, start: float, end: float) -> None:
    with pytest.raises(ValueError, match="the scene has no part"):
        write_footage(tmp_path / "x.mp4", start=start, end=end)
    assert not list(tmp_path.iterdir())
