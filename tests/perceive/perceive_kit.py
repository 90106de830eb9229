"""Readers, engines and sounds for the tests of the room: real implementations of the doors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmcrime.evidence import (
    SAMPLE_RATE,
    AudioWindow,
    Coverage,
    Frame,
    Gap,
    Interval,
    Media,
    MotionCurve,
)
from mmcrime.media.stills import Stills


def load(path: Path) -> NDArray[np.float32]:
    """Decode a sound file with PyAV, without the room under it."""
    import av

    parts: list[Any] = []
    with av.open(str(path), metadata_errors="replace") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        for frame in (*container.decode(audio=0), None):
            parts += (part.to_ndarray().ravel() for part in resampler.resample(frame))
    return np.concatenate(parts)


class ArrayReader:
    """A MediaReader over samples in memory; fails on purpose where it is told to.

    Args:
        samples: The sound, from media time 0.
        frames: Number of pictures, one a second.
        audio_fails_at: Media second at which decoding the sound raises.
        frames_fail_at: Media second from which decoding pictures raises.
        motion_fails: What measuring the motion raises.
        lost_video: Why pictures do not decode; makes it a video without a span of them.
        lost_audio: Why sound does not decode.
        skipped: What of the file is not used.
        missing: What the headers state beyond the end.
        seconds_a_step: How long each frame and window takes to decode.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        *,
        frames: int = 0,
        audio_fails_at: float | None = None,
        frames_fail_at: float | None = None,
        motion_fails: BaseException | None = None,
        lost_video: str | None = None,
        lost_audio: str | None = None,
        skipped: tuple[str, ...] = (),
        missing: Gap | None = None,
        seconds_a_step: float = 0.0,
    ) -> None:
        self.samples = samples
        self.count = frames
        self.audio_fails_at = audio_fails_at
        self.frames_fail_at = frames_fail_at
        self.motion_fails = motion_fails
        self.lost_video = lost_video
        self.lost_audio = lost_audio
        self.skipped = skipped
        self.missing = missing
        self.pause = seconds_a_step
        self.steps = 0
        self.asked: list[Interval] = []
        length = max(len(samples) / SAMPLE_RATE, float(frames))
        self.media = Media(
            kind="video" if frames or lost_video else "audio",
            name="array",
            content_id="blake3:00",
            format="wav",
            size_bytes=1,
            duration=length,
            fps=1.0 if frames else None,
            has_audio=bool(len(samples)) or lost_audio is not None,
        )

    @property
    def audio_span(self) -> Interval | None:
        return (0.0, len(self.samples) / SAMPLE_RATE) if len(self.samples) else None

    @property
    def video_span(self) -> Interval | None:
        return (0.0, float(self.count)) if self.count else None

    def stills(self, *, max_side: int | None = None) -> Stills:
        return Stills.none()

    def motion(self, *, stop: Callable[[float], bool] | None = None) -> MotionCurve:
        if self.motion_fails is not None:
            raise self.motion_fails
        times: list[float] = []
        for frame in self.clip(0.0, float(self.count), grey=True):
            if stop is not None and stop(frame.time):
                break
            times.append(frame.time)
        whole = (0.0, float(self.count))
        return MotionCurve(
            times=tuple(times),
            scores=tuple(0.0 for _ in times),
            method="none",
            coverage=Coverage.from_times(times, reach=1.0, whole=whole, reason="deadline"),
        )

    def frames(self, at: Sequence[float], *, max_side: int | None = None) -> Iterator[Frame]:
        for one in at:
            yield self._frame(one)

    def clip(
        self,
        start: float,
        end: float,
        *,
        fps: float | None = None,
        max_side: int | None = None,
        grey: bool = False,
    ) -> Iterator[Frame]:
        for second in range(int(start), min(self.count, int(np.ceil(end)))):
            yield self._frame(float(second), grey=grey)

    def audio(self, start: float, end: float, *, seconds: float = 30.0) -> Iterator[AudioWindow]:
        self.asked.append((start, end))
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        step = round(seconds * SAMPLE_RATE)
        stop = self.audio_fails_at
        for at in range(first, min(last, len(self.samples)), step):
            self._step()
            if stop is not None and at / SAMPLE_RATE >= stop:
                raise OSError("the disk went away")
            cut = min(at + step, last)
            if stop is not None:
                cut = min(cut, round(stop * SAMPLE_RATE))
            yield AudioWindow(start=at / SAMPLE_RATE, samples=self.samples[at:cut])
            if stop is not None and cut < min(at + step, last):
                raise OSError("the disk went away")

    def _frame(self, at: float, *, grey: bool = False) -> Frame:
        if self.frames_fail_at is not None and at >= self.frames_fail_at:
            raise OSError("the disk went away")
        self._step()
        shown = float(min(max(int(at), 0), self.count - 1))
        shape = (24, 32) if grey else (24, 32, 3)
        return Frame(time=shown, pixels=np.full(shape, int(shown) * 16 % 256, np.uint8))

    def _step(self) -> None:
        self.steps += 1
        time.sleep(self.pause)


def assert_partition(coverage: Coverage, whole: Interval) -> None:
    """Fail unless examined stretches and gaps cover ``whole`` and never overlap."""
    gaps = [(gap.start, gap.end) for gap in coverage.gaps]
    at = whole[0]
    for start, end in sorted([*coverage.examined, *gaps]):
        assert abs(start - at) < 2e-3, coverage
        assert end > start, coverage
        at = end
    assert abs(at - whole[1]) < 2e-3, coverage
