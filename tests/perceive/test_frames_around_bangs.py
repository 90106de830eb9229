"""What the sound detector hears decides which frames are looked at."""

from pathlib import Path

import numpy as np
import pytest
from footage import steady, write_clip
from numpy.typing import NDArray
from perceive_kit import load

from mmcrime.evidence import SAMPLE_RATE, SoundEvent
from mmcrime.media import FrameSelection, MediaHandle, open_media, select_frames
from mmcrime.perceive import SoundEventDetector
from mmcrime.testing.footage import write_footage

SHOT = 31.0
FPS = 10.0


def heard(handle: MediaHandle) -> list[SoundEvent]:
    """Return what the detector hears in a whole recording."""
    detector = SoundEventDetector()
    found = [event for window in handle.audio(0.0, 600.0) for event in detector.feed(window)]
    return found + detector.finish()


def near(selection: FrameSelection, time: float) -> list[float]:
    """Return the times of the frames around a moment, from a second before to two after."""
    return [k.frame.time for k in selection.frames if time - 1.0 <= k.frame.time < time + 2.0]


def walkers(pixels: NDArray[np.uint8], number: int) -> None:
    """Somebody walks to and fro before a wall, all the time."""
    pixels[:] = np.linspace(60, 180, pixels.shape[1], dtype=np.uint8)[None, :, None]
    left = int((pixels.shape[1] - 12) * (0.5 + 0.5 * np.sin(number / FPS)))
    pixels[60:84, left : left + 12] = 20


def filmed(path: Path, sound: NDArray[np.float32]) -> Path:
    """Write a minute of the walkers with faint noise, and a sound that begins at `SHOT`."""
    track = np.random.default_rng(3).normal(0, 1e-3, 60 * SAMPLE_RATE).astype(np.float32)
    at = round(SHOT * SAMPLE_RATE)
    track[at : at + len(sound)] += sound
    write_clip(
        path,
        times=steady(60, FPS),
        paint=walkers,
        options={"g": "20"},
        sound=track,
        sound_rate=SAMPLE_RATE,
    )
    return path


@pytest.mark.shared
def test_frames_are_dense_around_a_recorded_shot_that_changes_nothing_in_the_picture(
    shared: Path, tmp_path: Path
) -> None:
    shot = load(shared / "media/sounds/gunshot/ASUCICREPO_171237__alukahn__gunshot1.wav")
    loudest = int(np.argmax(np.abs(shot)))
    begins = max(0, loudest - SAMPLE_RATE // 10)
    with open_media(filmed(tmp_path / "shot.mp4", shot[begins : begins + SAMPLE_RATE])) as handle:
        events = heard(handle)
        deaf = select_frames(handle, frames=12)
        told = select_frames(handle, frames=12, sounds=events)
    (bang,) = [event for event in events if event.label == "impulsive"]
    assert bang.peak == pytest.approx(SHOT + 0.1, abs=0.1)
    assert len(near(deaf, bang.peak)) <= 1
    assert len(near(told, bang.peak)) >= 4
    assert min(abs(time - bang.peak) for time in near(told, bang.peak)) <= 1 / FPS


def test_the_frames_of_the_made_up_scene_are_dense_around_its_bang(tmp_path: Path) -> None:
    """Ten seconds of the struggle in the scene of the demo, with a bang at 4.5 s."""
    with open_media(write_footage(tmp_path / "scene.mp4", start=34.0, end=44.0)) as handle:
        events = heard(handle)
        selection = select_frames(handle, frames=8, sounds=events)
    bang = max((e for e in events if e.label == "impulsive"), key=lambda e: e.score)
    assert bang.peak == pytest.approx(4.5, abs=0.2)
    assert len(near(selection, bang.peak)) >= 4
    assert any(abs(one.asked - bang.peak) < 1e-6 for one in selection.frames)
