"""Whatever a plug-in, a caller or hostile media raises costs one part and ends no loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import pytest
from perceive_kit import ArrayReader
from test_assemble import babble, perceive

from mmcrime.config import Settings
from mmcrime.egress import Gate
from mmcrime.errors import MmcrimeError
from mmcrime.evidence import (
    CUT_OFF,
    AudioWindow,
    Gap,
    Reliability,
    SoundEvent,
    TranscriptSegment,
)
from mmcrime.perceive import assemble, gather
from mmcrime.perceive.spans import record
from mmcrime.perceive.stages import Stages
from mmcrime.plugins import Transcriber


class Unspeakable(Exception):
    """An error that cannot be asked for its text."""

    def __str__(self) -> str:
        raise SystemExit("no")


class Headless(MmcrimeError):
    """An error of our tree whose class forgot to call ours."""

    def __init__(self) -> None:
        Exception.__init__(self, "x")


HOSTILE = [
    SystemExit(3),
    KeyboardInterrupt(),
    StopIteration(),
    Unspeakable(),
    Headless(),
    type("Own\x1b", (BaseException,), {})("a\ud800b\x1b[2J"),
    GeneratorExit(),
]


class Raising(Transcriber):
    """An engine that raises what it is given."""

    name: ClassVar[str] = "raising"
    remote: ClassVar[bool] = False
    reliability: ClassVar[Reliability] = "medium"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        raise self.error


@pytest.mark.parametrize("error", HOSTILE[:-1], ids=lambda e: ascii(type(e).__name__))
def test_an_engine_may_raise_anything(error: BaseException) -> None:
    got = perceive(ArrayReader(babble(20), frames=20), transcriber=Raising(error))
    assert [e.stage for e in got.errors] == ["transcribe"]
    (reason,) = {g.reason for g in got.evidence.transcript.coverage.gaps}
    assert reason.startswith("transcriber_failed: ")
    got.errors[0].model_dump_json().encode()
    assert got.evidence.sound.examined == ((0.0, 20.0),)


@pytest.mark.parametrize("error", HOSTILE, ids=lambda e: ascii(type(e).__name__))
def test_a_stage_in_a_thread_may_raise_anything(error: BaseException) -> None:
    reader = ArrayReader(np.zeros(0, np.float32), frames=10, motion_fails=error)
    got = perceive(reader, patience=20.0)
    assert [e.stage for e in got.errors] == ["motion"]
    (reason,) = {g.reason for g in got.evidence.video.gaps}
    assert reason.startswith("motion_failed: ")
    reason.encode()


@pytest.mark.parametrize("error", HOSTILE, ids=lambda e: ascii(type(e).__name__))
def test_a_sound_detector_may_raise_anything(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        audible = True

        def feed(self, window: AudioWindow) -> list[SoundEvent]:
            raise error

        def finish(self) -> list[SoundEvent]:
            return []

    monkeypatch.setattr(assemble, "SoundEventDetector", Broken)
    got = perceive(ArrayReader(babble(10), frames=10))
    assert [e.stage for e in got.errors] == ["sounds"]
    assert got.evidence.video.examined == ((0.0, 10.0),)


def test_a_cancelled_engine_is_a_cancelled_call() -> None:
    with pytest.raises(asyncio.CancelledError):
        perceive(ArrayReader(babble(20)), transcriber=Raising(asyncio.CancelledError()))


def gathered_with(progress: Callable[[float], None]) -> tuple[object, ...]:
    async def run() -> tuple[object, ...]:
        got = await gather(
            ArrayReader(babble(10), frames=10),
            settings=Settings(),
            frame_interval=None,
            transcriber=None,
            gate=Gate(offline=True),
            deadline=None,
            progress=progress,
        )
        return got.errors

    return asyncio.run(run())


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt()])
def test_a_progress_callback_that_raises_is_ignored_and_logged(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def progress(_: float) -> None:
        raise error

    with caplog.at_level(logging.WARNING, "mmcrime.perceive"):
        assert gathered_with(progress) == ()
    assert type(error).__name__ in caplog.text


def test_a_progress_callback_may_cancel() -> None:
    def progress(_: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        gathered_with(progress)


def test_a_stage_that_raises_a_timeout_of_its_own_is_no_deadline() -> None:
    async def run() -> tuple[object, str]:
        stages = Stages(count=1, deadline=None, progress=lambda _: None)

        def work() -> None:
            raise TimeoutError("the disk")

        return await stages.run("frames", work)

    assert asyncio.run(run()) == (None, "frames_failed: TimeoutError")


def test_the_record_of_an_error_is_short_and_printable() -> None:
    found = record("x", ValueError("a\ud800" + 10_000_000 * "b"))
    assert found.message.startswith("a bbb")
    assert len(found.message) == 500
    assert record("x", Unspeakable()).message == "Unspeakable"
    assert record("x", Headless()).message == "Headless"


def test_pictures_that_cannot_be_decoded_are_damage_over_everything() -> None:
    reader = ArrayReader(babble(10), lost_video="no decoder for video stream 0", skipped=("why",))
    got = perceive(reader)
    damage = Gap(start=0.0, end=10.0, reason="damaged: no decoder for video stream 0")
    assert got.evidence.media.kind == "video"
    assert got.evidence.video.gaps == (damage,)
    assert got.evidence.sound.examined == ((0.0, 10.0),)
    assert [(e.stage, e.type) for e in got.errors] == [("prepare", "StreamNotExamined")]
    assert "why" in got.errors[0].message


def test_sound_that_cannot_be_decoded_is_damage_over_everything() -> None:
    reader = ArrayReader(np.zeros(0, np.float32), frames=10, lost_audio="no decoder for it")
    got = perceive(reader, transcriber=Raising(ValueError()))
    damage = Gap(start=0.0, end=10.0, reason="damaged: no decoder for it")
    assert got.evidence.sound.gaps == (damage,)
    assert got.evidence.transcript.coverage.gaps == (damage,)


@pytest.mark.parametrize(("sound", "frames"), [(10, 10), (10, 0), (0, 10)])
def test_what_a_cut_off_file_lost_is_a_gap_of_the_streams_that_it_has(
    sound: int, frames: int
) -> None:
    lost = Gap(start=10.0, end=10.0, reason=f"{CUT_OFF} 60.0 s")
    got = perceive(ArrayReader(babble(10)[: sound * 16_000], frames=frames, missing=lost))
    heard = (got.evidence.sound, got.evidence.transcript.coverage)
    for there, coverage in ((frames, got.evidence.video), *((sound, one) for one in heard)):
        if there:
            assert coverage.gaps[-1] == lost
        else:
            assert [gap.reason for gap in coverage.gaps] == ["no_stream"]
