"""Transcription: what was said, and every second that was not listened to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perceive_kit import ArrayReader, assert_partition, load

from mmcrime.egress import Gate
from mmcrime.evidence import (
    SAMPLE_RATE,
    AudioWindow,
    Coverage,
    Gap,
    Interval,
    Reliability,
    Transcript,
    TranscriptSegment,
)
from mmcrime.perceive.sphinx import SphinxTranscriber
from mmcrime.perceive.transcribe import transcribe_speech
from mmcrime.plugins import Transcriber
from mmcrime.results import ErrorRecord


def segment(start: float, end: float, text: str, *, engine: str = "x") -> TranscriptSegment:
    return TranscriptSegment(start=start, end=end, text=text, engine=engine, reliability="high")


class Engine(Transcriber):
    """An engine that answers each window with what ``answer`` makes of it."""

    name: ClassVar[str] = "engine"
    remote: ClassVar[bool] = False
    reliability: ClassVar[Reliability] = "medium"

    def __init__(self, answer: Callable[[AudioWindow], Sequence[TranscriptSegment]]) -> None:
        self.answer = answer
        self.windows: list[Interval] = []

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        self.windows.append((window.start, window.end))
        return self.answer(window)


class RemoteEngine(Engine):
    remote: ClassVar[bool] = True


class Hanging(Engine):
    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        self.windows.append((window.start, window.end))
        if window.start >= 20:
            await asyncio.sleep(3600)
        return self.answer(window)


def echo(window: AudioWindow) -> list[TranscriptSegment]:
    return [segment(window.start, window.end, f"words at {window.start:.0f}")]


SPEECH: list[Interval] = [(5.0, 10.0), (20.0, 25.0), (50.0, 55.0)]


def transcribe(
    engine: Transcriber,
    *,
    reader: ArrayReader | None = None,
    speech: Sequence[Interval] = SPEECH,
    limit: float | None = None,
    gate: Gate | None = None,
    patience: float | None = None,
    language: str = "en",
) -> tuple[Transcript, tuple[ErrorRecord, ...]]:
    reader = reader or ArrayReader(np.zeros(60 * SAMPLE_RATE, np.float32))
    whole = reader.audio_span
    assert whole is not None

    async def run() -> tuple[Transcript, tuple[ErrorRecord, ...]]:
        now = asyncio.get_running_loop().time()
        return await transcribe_speech(
            reader,
            engine,
            whole=whole,
            heard=[whole],
            speech=speech,
            language=language,
            limit_seconds=limit,
            gate=gate or Gate(offline=False),
            deadline=None if patience is None else now + patience,
        )

    return asyncio.run(run())


def test_only_speech_is_transcribed_and_silence_counts_as_listened_to() -> None:
    engine = Engine(echo)
    transcript, errors = transcribe(engine)
    assert engine.windows == SPEECH
    assert transcript.text == "words at 5 words at 20 words at 50"
    assert transcript.coverage == Coverage(examined=((0.0, 60.0),))
    assert errors == ()


def test_a_window_is_at_most_30_s() -> None:
    engine = Engine(echo)
    transcribe(engine, speech=[(0.0, 60.0)])
    assert [round(end - start, 6) for start, end in engine.windows] == [30.0, 30.0]


def test_what_lies_beyond_the_limit_is_a_stated_gap_even_in_silence() -> None:
    engine = Engine(echo)
    transcript, _ = transcribe(engine, limit=22.0)
    assert engine.windows == [(5.0, 10.0), (20.0, 22.0)]
    assert transcript.coverage.examined == ((0.0, 22.0),)
    assert transcript.coverage.gaps == (Gap(start=22.0, end=60.0, reason="speech_limit"),)


def test_a_window_that_the_engine_fails_on_is_a_gap_and_the_rest_goes_on() -> None:
    def fail(window: AudioWindow) -> list[TranscriptSegment]:
        if window.start == 20:
            raise KeyError("no such vowel")
        return echo(window)

    transcript, errors = transcribe(Engine(fail))
    assert transcript.text == "words at 5 words at 50"
    gap = Gap(start=20.0, end=25.0, reason="transcriber_failed: KeyError")
    assert transcript.coverage.gaps == (gap,)
    assert [(e.stage, e.type) for e in errors] == [("transcribe", "KeyError")]


def test_an_engine_that_fails_alike_every_time_leaves_one_record() -> None:
    def fail(window: AudioWindow) -> list[TranscriptSegment]:
        raise OSError("gone")

    transcript, errors = transcribe(Engine(fail))
    assert len(errors) == 1
    assert len(transcript.coverage.gaps) == 3


@pytest.mark.parametrize("answer", [None, [None], 7])
def test_an_answer_that_is_no_list_of_segments_is_a_failure(answer: object) -> None:
    transcript, errors = transcribe(Engine(lambda window: answer))  # type: ignore[arg-type,return-value]  # a broken plug-in
    assert transcript.segments == ()
    assert transcript.coverage.seconds == 45.0
    assert len(errors) == 1


def test_a_language_that_the_engine_does_not_know_ends_it_with_the_next_step() -> None:
    samples = np.zeros(60 * SAMPLE_RATE, np.float32)
    reader = ArrayReader(samples)
    transcript, (error,) = transcribe(SphinxTranscriber(), reader=reader, language="de")
    assert {gap.reason for gap in transcript.coverage.gaps} == {"transcriber_failed: ConfigError"}
    assert "whisper" in error.next_step
    assert len(reader.asked) == 1  # it was not asked again


def test_an_engine_that_hangs_is_left_at_the_deadline_and_the_rest_is_a_gap() -> None:
    transcript, errors = transcribe(Hanging(echo), patience=0.3)
    assert transcript.text == "words at 5"
    assert [(g.start, g.reason) for g in transcript.coverage.gaps] == [
        (20.0, "deadline"),
        (50.0, "deadline"),
    ]
    assert errors == ()


def test_an_engine_s_own_timeout_is_a_failure_and_no_deadline() -> None:
    def fail(window: AudioWindow) -> list[TranscriptSegment]:
        raise TimeoutError("the engine gave up")

    transcript, errors = transcribe(Engine(fail), patience=60.0)
    assert {g.reason for g in transcript.coverage.gaps} == {"transcriber_failed: TimeoutError"}
    assert errors[0].type == "TimeoutError"


def test_cancelling_is_never_swallowed() -> None:
    async def run() -> None:
        reader = ArrayReader(np.zeros(60 * SAMPLE_RATE, np.float32))
        task = asyncio.create_task(
            transcribe_speech(
                reader,
                Hanging(echo),
                whole=(0.0, 60.0),
                heard=[(0.0, 60.0)],
                speech=SPEECH,
                language="en",
                limit_seconds=None,
                gate=Gate(offline=False),
                deadline=None,
            )
        )
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_remote_engine_announces_each_window_before_it_is_sent() -> None:
    gate = Gate(offline=False)
    seen: list[int] = []

    def count(window: AudioWindow) -> list[TranscriptSegment]:
        seen.append(len(gate.records))
        return []

    transcribe(RemoteEngine(count), gate=gate)
    assert seen == [1, 2, 3]
    assert {(r.to, r.purpose, r.size_bytes) for r in gate.records} == {
        ("engine", "speech", 2 * 5 * SAMPLE_RATE)
    }


def test_offline_nothing_is_sent_to_a_remote_engine_and_the_gaps_say_so() -> None:
    engine = RemoteEngine(echo)
    transcript, errors = transcribe(engine, gate=Gate(offline=True))
    assert engine.windows == []
    assert {gap.reason for gap in transcript.coverage.gaps} == {"offline"}
    assert [e.type for e in errors] == ["EgressError"]


def test_offline_does_not_concern_an_engine_on_this_machine() -> None:
    transcript, _ = transcribe(Engine(echo), gate=Gate(offline=True))
    assert len(transcript.segments) == 3


def test_sound_that_does_not_decode_a_second_time_is_a_damaged_gap() -> None:
    reader = ArrayReader(np.zeros(60 * SAMPLE_RATE, np.float32), audio_fails_at=22.0)
    transcript, errors = transcribe(Engine(echo), reader=reader)
    assert transcript.text == "words at 5 words at 20"
    assert transcript.segments[1].end == 22.0
    assert [(g.start, g.end, g.reason) for g in transcript.coverage.gaps] == [
        (22.0, 25.0, "damaged"),
        (50.0, 55.0, "damaged"),
    ]
    assert errors[0].message == "the disk went away"


@pytest.mark.parametrize(
    ("start", "end"),
    [(math.nan, math.nan), (-math.inf, math.inf), (-5.0, 99.0), (8.0, 6.0), (1e300, -1e300)],
)
def test_segment_times_are_finite_ordered_and_inside_the_window(start: float, end: float) -> None:
    transcript, _ = transcribe(Engine(lambda w: [segment(start, end, "x")]), speech=[(5.0, 10.0)])
    (found,) = transcript.segments
    assert 5.0 <= found.start <= found.end <= 10.0


def test_hostile_text_becomes_one_clean_line_of_bounded_length() -> None:
    hostile = "call\x00\x1b[31m the\r\n\u202epolice\u200b\ud800 " + "now " * 5000
    transcript, _ = transcribe(Engine(lambda w: [segment(5, 6, hostile)]), speech=[(5.0, 10.0)])
    text = transcript.segments[0].text
    assert text.startswith("call [31m the police now now")
    assert len(text) <= 2000
    text.encode("utf-8")


def test_text_without_a_word_is_no_segment() -> None:
    transcript, _ = transcribe(Engine(lambda w: [segment(5, 6, " \n\x00")]))
    assert transcript.segments == ()


def test_a_segment_cannot_claim_another_engine_or_reliability() -> None:
    transcript, _ = transcribe(Engine(lambda w: [segment(5, 6, "x", engine="whisper")]))
    assert {(s.engine, s.reliability) for s in transcript.segments} == {("engine", "medium")}


def test_real_speech_goes_through_the_embedded_engine(shared: Path) -> None:
    samples = load(shared / "media" / "speech" / "speechbrain_spk1_snt1.wav")
    whole = (0.0, len(samples) / SAMPLE_RATE)
    transcript, errors = transcribe(
        SphinxTranscriber(), reader=ArrayReader(samples), speech=[whole]
    )
    assert "child" in transcript.text
    assert {s.reliability for s in transcript.segments} == {"low"}
    assert errors == ()


@given(
    bad=st.sets(st.integers(0, 5)),
    lengths=st.lists(st.floats(0.2, 40), min_size=1, max_size=6),
    limit=st.none() | st.floats(0.5, 80),
    damage=st.none() | st.floats(0, 60),
)
def test_examined_and_gaps_cover_the_sound_and_never_overlap(
    bad: set[int], lengths: list[float], limit: float | None, damage: float | None
) -> None:
    speech: list[Interval] = []
    at = 1.0
    for length in lengths:
        if at + length < 60:
            speech.append((at, at + length))
        at += length + 3.0
    calls = iter(range(100))

    def answer(window: AudioWindow) -> list[TranscriptSegment]:
        if next(calls) in bad:
            raise RuntimeError("down")
        return echo(window)

    reader = ArrayReader(np.zeros(60 * SAMPLE_RATE, np.float32), audio_fails_at=damage)
    transcript, _ = transcribe(Engine(answer), reader=reader, speech=speech, limit=limit)
    assert_partition(transcript.coverage, (0.0, 60.0))
