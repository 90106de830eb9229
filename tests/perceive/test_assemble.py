"""From an open Media to Evidence: stages fail alone, and coverage says what was missed."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from footage import damaged_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from perceive_kit import ArrayReader, assert_partition
from PIL import Image

from mmcrime.config import Settings
from mmcrime.egress import Gate
from mmcrime.errors import ConfigError, CorruptMediaError, UnsafeMediaError
from mmcrime.evidence import (
    SAMPLE_RATE,
    AudioWindow,
    Gap,
    Reliability,
    SoundEvent,
    TranscriptSegment,
)
from mmcrime.media import open_media
from mmcrime.perceive import assemble, gather
from mmcrime.perceive.assemble import Gathered, OpenMedia
from mmcrime.perceive.look import sample_times
from mmcrime.perceive.sphinx import SphinxTranscriber
from mmcrime.plugins import Transcriber


class Quick(Transcriber):
    """An engine that hears one word a window, or fails, or hangs."""

    name: ClassVar[str] = "quick"
    remote: ClassVar[bool] = False
    reliability: ClassVar[Reliability] = "medium"

    def __init__(self, *, fails: bool = False, hangs: bool = False) -> None:
        self.fails = fails
        self.hangs = hangs

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.fails:
            raise RuntimeError("the engine is down")
        word = TranscriptSegment(
            start=window.start, end=window.end, text="word", engine="", reliability="low"
        )
        return [word]


class FailingDetector:
    """A sound detector that raises at its second window, or at the end."""

    at_end: ClassVar[bool] = False
    audible: ClassVar[bool] = True

    def __init__(self) -> None:
        self.windows = 0

    def feed(self, window: AudioWindow) -> list[SoundEvent]:
        self.windows += 1
        if self.windows == 2 and not self.at_end:
            raise ZeroDivisionError("no sound at all")
        return []

    def finish(self) -> list[SoundEvent]:
        if self.at_end:
            raise ZeroDivisionError("no end")
        return []


class FailingAtEnd(FailingDetector):
    at_end: ClassVar[bool] = True


def perceive(
    handle: OpenMedia,
    *,
    transcriber: Transcriber | None = None,
    config: dict[str, Any] | None = None,
    patience: float | None = None,
    frame_interval: float | None = None,
    shares: list[float] | None = None,
) -> Gathered:
    async def run() -> Gathered:
        now = asyncio.get_running_loop().time()
        return await gather(
            handle,
            settings=Settings.model_validate(config or {}),
            frame_interval=frame_interval,
            transcriber=transcriber,
            gate=Gate(offline=True),
            deadline=None if patience is None else now + patience,
            progress=(shares if shares is not None else []).append,
        )

    return asyncio.run(run())


def babble(seconds: int) -> np.ndarray:
    """Return a synthetic vowel in syllables, which the voice check takes for speech."""
    t = np.arange(6 * SAMPLE_RATE) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    phrase = 0.2 * voice * np.clip(np.sin(2 * np.pi * 3 * t), 0, 1) * (t < 3)
    return np.resize(phrase.astype(np.float32), seconds * SAMPLE_RATE)


@pytest.mark.parametrize(
    ("span", "interval", "most", "times", "used"),
    [
        ((0.0, 20.0), 5.0, 64, (0.0, 5.0, 10.0, 15.0), 5.0),
        ((2.0, 20.0), 5.0, 64, (2.0, 7.0, 12.0, 17.0), 5.0),
        ((0.0, 2.0), 5.0, 64, (0.0, 1.0, 2.0), 5.0),
        ((0.0, 9.9), 5.0, 2, (0.0, 9.9), 5.0),
        ((0.0, 9.0), 5.0, 1, (4.5,), 5.0),
        ((0.0, 3600.0), 5.0, 4, (0.0, 900.0, 1800.0, 2700.0), 900.0),
        ((0.0, 3600.0), 5.0, 1, (0.0,), 3600.0),
    ],
)
def test_sample_times_keep_to_the_interval_until_there_are_too_many(
    span: tuple[float, float], interval: float, most: int, times: tuple[float, ...], used: float
) -> None:
    assert sample_times(span, interval, most) == (times, used)


def test_a_video_with_sound_gives_everything_with_full_coverage() -> None:
    shares: list[float] = []
    reader = ArrayReader(babble(60), frames=60)
    got = perceive(reader, transcriber=Quick(), shares=shares)
    evidence = got.evidence
    assert [still.time for still in evidence.stills] == [5.0 * k for k in range(12)]
    assert got.frame_interval == 5.0
    assert len(evidence.motion.scores) == 60
    assert evidence.transcript.segments
    assert evidence.video.examined == evidence.sound.examined == ((0.0, 60.0),)
    assert evidence.transcript.coverage.examined == ((0.0, 60.0),)
    assert got.errors == ()
    assert set(got.timings) == {"frames", "motion", "sounds", "transcribe"}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_sampled_frames_are_capped_and_the_interval_says_so() -> None:
    got = perceive(
        ArrayReader(np.zeros(0, np.float32), frames=100), config={"media": {"max_frames": 4}}
    )
    assert [still.time for still in got.evidence.stills] == [0.0, 25.0, 50.0, 75.0]
    assert got.frame_interval == 25.0


def test_the_interval_of_the_call_goes_before_the_setting() -> None:
    got = perceive(ArrayReader(np.zeros(0, np.float32), frames=100), frame_interval=50.0)
    assert [still.time for still in got.evidence.stills] == [0.0, 50.0]


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan"), float("inf")])
def test_an_interval_that_is_no_positive_number_is_refused(interval: float) -> None:
    with pytest.raises(ConfigError, match="interval"):
        perceive(ArrayReader(babble(1)), frame_interval=interval)


def test_speech_that_was_not_asked_for_is_a_gap() -> None:
    got = perceive(ArrayReader(babble(10)))
    (gap,) = got.evidence.transcript.coverage.gaps
    assert (gap.start, gap.end, gap.reason) == (0.0, 10.0, "not_requested")


def test_a_silent_video_states_that_there_is_no_sound() -> None:
    got = perceive(ArrayReader(np.zeros(0, np.float32), frames=8), transcriber=Quick())
    gap = Gap(start=0.0, end=8.0, reason="no_stream")
    assert got.evidence.sound.gaps == got.evidence.transcript.coverage.gaps == (gap,)


def test_a_track_of_digital_silence_is_not_examined_sound() -> None:
    got = perceive(ArrayReader(np.zeros(8 * SAMPLE_RATE, np.float32), frames=8))
    assert got.evidence.sound.examined == ()
    assert got.evidence.sound.gaps == (Gap(start=0.0, end=8.0, reason="silent"),)


def test_the_limit_of_the_setting_goes_before_the_engine_s_own() -> None:
    config = {"analyzers": {"speech": {"limit_seconds": 7}}}
    got = perceive(ArrayReader(babble(20)), transcriber=Quick(), config=config)
    assert got.evidence.transcript.coverage.gaps == (
        Gap(start=7.0, end=20.0, reason="speech_limit"),
    )


def test_media_beyond_the_longest_duration_is_a_gap() -> None:
    config = {"media": {"limits": {"max_duration": 20}}}
    got = perceive(ArrayReader(babble(60), frames=60), transcriber=Quick(), config=config)
    gap = Gap(start=20.0, end=60.0, reason="over_limit")
    assert got.evidence.sound.gaps == got.evidence.transcript.coverage.gaps == (gap,)
    assert max(still.time for still in got.evidence.stills) < 20.0


def test_sound_that_ends_in_damage_is_used_up_to_there() -> None:
    got = perceive(ArrayReader(babble(60), audio_fails_at=40.0), transcriber=Quick())
    gap = Gap(start=40.0, end=60.0, reason="damaged")
    assert got.evidence.sound.gaps == got.evidence.transcript.coverage.gaps == (gap,)
    assert [(e.stage, e.type) for e in got.errors] == [("prepare", "OSError")]


def test_frames_that_end_in_damage_are_kept_and_the_sound_is_not_touched() -> None:
    reader = ArrayReader(babble(60), frames=60, frames_fail_at=12.0)
    got = perceive(reader, transcriber=Quick())
    assert [still.time for still in got.evidence.stills] == [0.0, 5.0, 10.0]
    assert got.evidence.sound.examined == ((0.0, 60.0),)
    assert {e.stage for e in got.errors} == {"prepare", "motion"}
    # Only the sampled frames were seen: one second each, at one frame a second.
    assert got.evidence.video.examined == ((0.0, 1.0), (5.0, 6.0), (10.0, 11.0))
    assert {g.reason for g in got.evidence.video.gaps} == {"motion_failed: OSError"}


def test_sampled_frames_that_do_not_decode_are_in_the_record() -> None:
    with open_media(damaged_clip(5, 2.0, 3.0)) as handle:
        got = perceive(handle, frame_interval=0.5)
    assert [s.time for s in got.evidence.stills] == pytest.approx(
        [0, 0.48, 1, 1.48, 3, 3.48, 4, 4.48]
    )
    (found,) = got.errors
    assert (found.stage, found.type) == ("frames", "FramesNotDecoded")
    assert found.message == (
        "The file is damaged where 2 of 10 frames were to be sampled, first at 2.0 s: "
        "nobody looked at them."
    )


def test_damage_between_two_looks_for_motion_that_a_sampled_frame_met_is_a_gap() -> None:
    with open_media(damaged_clip(8, 2.28, 2.9)) as handle:
        assert handle.motion().coverage.gaps == (), "only heads of keyframe intervals are looked at"
        got = perceive(handle, frame_interval=0.5)
    (gap,) = got.evidence.video.gaps
    assert (gap.start, gap.end, gap.reason) == (pytest.approx(2.48), pytest.approx(2.52), "damaged")
    assert all(end <= gap.start or start >= gap.end for start, end in got.evidence.video.examined)


def test_frames_that_do_not_decode_one_after_the_other_are_all_counted() -> None:
    with open_media(damaged_clip(5, 2.0, 3.0)) as handle:
        got = perceive(handle, frame_interval=0.08)
    (found,) = got.errors
    assert "where 13 of 63 frames were to be sampled" in found.message


def test_a_sound_detector_that_fails_costs_its_own_coverage_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assemble, "SoundEventDetector", FailingDetector)
    got = perceive(ArrayReader(babble(90), frames=90), transcriber=Quick())
    # The window before goes too: what was still open in it is lost.
    gap = Gap(start=0.0, end=90.0, reason="sounds_failed: ZeroDivisionError")
    assert got.evidence.sound.gaps == (gap,)
    assert got.evidence.transcript.coverage.examined == ((0.0, 90.0),)
    assert len(got.evidence.stills) == 18
    assert [e.stage for e in got.errors] == ["sounds"]


def test_a_sound_detector_that_fails_at_the_end_has_not_examined_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assemble, "SoundEventDetector", FailingAtEnd)
    got = perceive(ArrayReader(babble(90)))
    assert got.evidence.sound.examined == ((0.0, 60.0),)
    assert got.evidence.sound.gaps[0].reason == "sounds_failed: ZeroDivisionError"


def test_a_transcriber_that_fails_costs_the_words_only() -> None:
    got = perceive(ArrayReader(babble(60), frames=60), transcriber=Quick(fails=True))
    coverage = got.evidence.transcript.coverage
    assert {g.reason for g in coverage.gaps} == {"transcriber_failed: RuntimeError"}
    assert coverage.examined  # the pauses were listened to
    assert got.evidence.sound.examined == ((0.0, 60.0),)
    assert [e.stage for e in got.errors] == ["transcribe"]


def test_at_the_deadline_what_was_decoded_is_used_and_the_rest_is_a_gap() -> None:
    reader = ArrayReader(babble(3600), frames=3600, seconds_a_step=0.05)
    began = time.monotonic()
    got = perceive(reader, transcriber=Quick(hangs=True), patience=0.7)
    assert time.monotonic() - began < 4.0
    assert got.evidence.stills
    assert 30.0 <= got.evidence.sound.seconds < 3600.0
    assert {g.reason for g in got.evidence.sound.gaps} == {"deadline"}
    assert {g.reason for g in got.evidence.video.gaps} == {"deadline"}
    assert {g.reason for g in got.evidence.transcript.coverage.gaps} == {"deadline"}


def test_motion_that_takes_too_long_is_stopped_and_what_it_saw_stays() -> None:
    reader = ArrayReader(np.zeros(0, np.float32), frames=30, seconds_a_step=0.05)
    got = perceive(reader, patience=0.8)
    assert len(got.evidence.stills) == 6
    assert 0 < len(got.evidence.motion.scores) < 30
    assert 0 < got.evidence.video.seconds < 30
    assert {g.reason for g in got.evidence.video.gaps} == {"deadline"}


def test_a_deadline_that_is_over_gives_empty_evidence_and_no_claim_of_damage() -> None:
    got = perceive(ArrayReader(babble(10), frames=10), transcriber=Quick(), patience=-1.0)
    assert got.evidence.stills == ()
    assert [g.reason for g in got.evidence.video.gaps] == ["deadline"]
    assert [g.reason for g in got.evidence.sound.gaps] == ["deadline"]
    assert [g.reason for g in got.evidence.transcript.coverage.gaps] == ["deadline"]


def test_a_cancelled_call_stops_decoding() -> None:
    reader = ArrayReader(babble(3600), seconds_a_step=0.1)  # 120 windows

    async def run() -> None:
        task = asyncio.create_task(
            gather(
                reader,
                settings=Settings(),
                frame_interval=1.0,
                transcriber=None,
                gate=Gate(offline=True),
                deadline=None,
            )
        )
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())  # returns when its threads have ended
    assert reader.steps < 60


def test_media_of_which_nothing_decodes_is_refused_by_name() -> None:
    reader = ArrayReader(
        babble(10), frames=10, frames_fail_at=0.0, audio_fails_at=0.0, motion_fails=OSError("gone")
    )
    with pytest.raises(CorruptMediaError, match="'array'"):
        perceive(reader, transcriber=Quick())


def test_the_reason_why_nothing_decodes_is_kept() -> None:
    reason = UnsafeMediaError("too many pixels.", source="array")
    reader = ArrayReader(np.zeros(0, np.float32), frames=10, frames_fail_at=0, motion_fails=reason)
    with pytest.raises(UnsafeMediaError, match="too many pixels"):
        perceive(reader)


def test_an_animated_picture_gives_its_frames_and_a_still_one_gives_one(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (40, 30), color) for color in ("red", "green", "blue")]
    animated = io.BytesIO()
    pictures[0].save(animated, "GIF", save_all=True, append_images=pictures[1:], duration=5000)
    for data, count in ((animated.getvalue(), 3), (_png(pictures[0]), 1)):
        with open_media(data) as handle:
            got = perceive(handle, transcriber=Quick())
            assert len(got.evidence.stills) == count
            assert got.evidence.video.frames == count
            assert got.evidence.video.examined == ()
            assert got.frame_interval is None
            assert next(iter(got.evidence.frames())).pixels.shape == (30, 40, 3)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_real_media_gives_frames_motion_words_and_covered_sound(shared: Path) -> None:
    with open_media(shared / "media" / "videos" / "mmaction2_test.avi") as handle:
        got = perceive(handle, transcriber=SphinxTranscriber())
        assert len(got.evidence.stills) == 3
        assert len(got.evidence.motion.scores) == 7
        assert got.evidence.transcript.segments
        assert {s.reliability for s in got.evidence.transcript.segments} == {"low"}
        # The sound ends 0.04 s before the pictures do.
        assert [g.reason for g in got.evidence.sound.gaps] == ["no_stream"]
        assert got.errors == ()


faults = st.none() | st.floats(0.0, 40.0)


@settings(max_examples=60, deadline=None)
@given(
    audio=faults,
    frames=faults,
    motion=st.sampled_from([None, OSError("x"), UnsafeMediaError("x", source="array")]),
    detector=st.sampled_from([None, FailingDetector, FailingAtEnd]),
    speech=st.sampled_from([None, Quick(), Quick(fails=True)]),
    longest=st.sampled_from([10.0, 33.3, 1000.0]),
)
def test_whatever_fails_examined_and_gaps_cover_the_media_and_never_overlap(
    audio: float | None,
    frames: float | None,
    motion: Exception | None,
    detector: type[FailingDetector] | None,
    speech: Transcriber | None,
    longest: float,
) -> None:
    reader = ArrayReader(
        _BABBLE, frames=40, audio_fails_at=audio, frames_fail_at=frames, motion_fails=motion
    )
    config = {"media": {"limits": {"max_duration": longest}}}
    with pytest.MonkeyPatch.context() as patch:
        if detector is not None:
            patch.setattr(assemble, "SoundEventDetector", detector)
        try:
            got = perceive(reader, transcriber=speech, config=config)
        except (CorruptMediaError, UnsafeMediaError):
            assert audio == 0.0
            assert frames == 0.0
            return
    for coverage in (got.evidence.video, got.evidence.sound, got.evidence.transcript.coverage):
        assert_partition(coverage, (0.0, 40.0))
    decoded = min(40.0 if audio is None else audio, longest)
    assert got.evidence.sound.seconds <= decoded + 1e-3
    assert got.evidence.transcript.coverage.seconds <= decoded + 1e-3


_BABBLE = babble(40)


class HalfSilent(ArrayReader):
    """A reader of silence whose sound cannot be decoded after ten seconds."""

    def audio(self, *args: Any, **options: Any) -> Iterator[AudioWindow]:
        for window in super().audio(*args, **options):
            if window.start >= 10.0:
                raise CorruptMediaError("bad packets", source="x")
            yield AudioWindow(start=window.start, samples=window.samples[: 10 * SAMPLE_RATE])


def test_sound_that_did_not_decode_is_never_called_silent() -> None:
    got = perceive(HalfSilent(np.zeros(60 * SAMPLE_RATE, np.float32)), transcriber=Quick())
    for coverage in (got.evidence.sound, got.evidence.transcript.coverage):
        reasons = [(gap.start, gap.end, gap.reason.partition(":")[0]) for gap in coverage.gaps]
        assert reasons == [(0.0, 10.0, "silent"), (10.0, 60.0, "damaged")]
        assert coverage.examined == ()


def test_nobody_listened_for_speech_in_silence_either() -> None:
    got = perceive(ArrayReader(np.zeros(20 * SAMPLE_RATE, np.float32)), transcriber=Quick())
    assert [gap.reason for gap in got.evidence.transcript.coverage.gaps] == ["silent"]
    unasked = perceive(ArrayReader(np.zeros(20 * SAMPLE_RATE, np.float32)))
    assert [gap.reason for gap in unasked.evidence.transcript.coverage.gaps] == ["not_requested"]


def test_filling_that_a_codec_adds_to_silence_is_silence_too() -> None:
    class Padded(ArrayReader):
        @property
        def audio_span(self) -> tuple[float, float]:
            return (0.0, 20.05)

    got = perceive(Padded(np.zeros(20 * SAMPLE_RATE, np.float32)), transcriber=Quick())
    assert [(g.end, g.reason) for g in got.evidence.sound.gaps] == [(20.05, "silent")]
