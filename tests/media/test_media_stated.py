"""A WAV or MP3 file that was cut off does not pass for a whole one."""

from __future__ import annotations

import io
import struct
import wave
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime import CrimeDetectionPipeline
from mmcrime.media.stated import mp3_states_length, wav_seconds

RATE = 16_000


def wav(seconds: float) -> bytes:
    noise = np.random.default_rng(3).normal(0, 300, round(seconds * RATE)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(noise.tobytes())
    return buffer.getvalue()


def mp3(seconds: float) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(4).normal(0, 0.01, (1, round(seconds * RATE)))
    with av.open(buffer, "w", format="mp3") as out:
        stream: Any = out.add_stream("libmp3lame", rate=RATE, layout="mono")
        for start in range(0, noise.shape[1], 1152):
            chunk = np.ascontiguousarray(noise[:, start : start + 1152], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize("make", [wav, mp3])
def test_a_file_that_lost_its_end_is_never_called_clear(make: Any) -> None:
    whole = make(12.0)
    settings = {"analyzers": {"speech": {"enabled": False}}}
    with CrimeDetectionPipeline(settings) as pipeline:
        intact = pipeline.analyze(whole)
        cut = pipeline.analyze(whole[: len(whole) // 4])
    assert intact.verdict.outcome == "not_detected"
    assert not [gap for gap in intact.coverage.sound.gaps if "header" in gap.reason]
    assert cut.verdict.outcome == "undetermined"
    assert [gap.reason for gap in cut.coverage.sound.gaps][
        -1
    ] == "damaged: the header states 12.0 s"
    for page in (cut.to_html(), cut.to_text(), cut.to_markdown()):
        assert "the end of it" in page
    assert "all but the lost end" in cut.to_html()
    assert "x" in next(line for line in cut.to_text().splitlines() if line.startswith("Timeline"))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_size_that_a_program_wrote_which_did_not_know_states_nothing(size: int) -> None:
    whole = bytearray(wav(1.0))
    at = whole.index(b"data") + 4
    whole[at : at + 4] = struct.pack("<I", size)
    assert wav_seconds(io.BytesIO(whole)) is None


def test_chunks_before_the_sound_are_passed_over() -> None:
    whole = wav(2.0)
    listed = whole[:12] + b"LIST" + struct.pack("<I", 5) + b"abcde\0" + whole[12:]
    assert wav_seconds(io.BytesIO(listed)) == pytest.approx(2.0)
    assert wav_seconds(io.BytesIO(b"RIFX" + whole[4:])) is None


def test_an_mp3_without_a_stated_length_says_so() -> None:
    whole = mp3(1.0)
    assert mp3_states_length(io.BytesIO(whole))
    blank = whole.replace(b"Xing", b"\0\0\0\0").replace(b"Info", b"\0\0\0\0")
    assert not mp3_states_length(io.BytesIO(blank))


@given(st.binary(max_size=300), st.sampled_from([b"RIFF\0\0\0\0WAVE", b"ID3\4\0\0", b""]))
def test_no_header_breaks_the_reading(rest: bytes, start: bytes) -> None:
    for read in (wav_seconds, mp3_states_length):
        read(io.BytesIO(start + rest))
