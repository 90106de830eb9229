"""The embedded speech engine."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from perceive_kit import load

from mmcrime.errors import ConfigError, MmcrimeError
from mmcrime.evidence import SAMPLE_RATE, AudioWindow, TranscriptSegment
from mmcrime.perceive import sphinx
from mmcrime.perceive.sphinx import SphinxTranscriber
from mmcrime.registry import load_transcriber


def words(
    samples: np.ndarray, *, start: float = 0.0, language: str = "en"
) -> list[TranscriptSegment]:
    window = AudioWindow(start=start, samples=samples)
    return list(asyncio.run(SphinxTranscriber().transcribe(window, language=language)))


def test_clear_english_gives_words_of_low_reliability_at_their_media_time(shared: Path) -> None:
    samples = load(shared / "media" / "speech" / "new_home_16k.wav")
    said = words(samples, start=100.0)
    text = " ".join(s.text for s in said)
    assert "home in the stars" in text
    assert {s.reliability for s in said} == {"low"}
    assert {s.engine for s in said} == {"sphinx"}
    assert all(100.0 <= s.start < s.end <= 100.0 + len(samples) / SAMPLE_RATE for s in said)


def test_a_long_pause_parts_two_segments(shared: Path) -> None:
    samples = load(shared / "media" / "speech" / "speechbrain_spk1_snt1.wav")
    pause = np.zeros(3 * SAMPLE_RATE, np.float32)
    said = words(np.concatenate((samples, pause, samples)))
    second = 3.0 + len(samples) / SAMPLE_RATE
    assert any(s.end < second for s in said)
    assert any(s.start >= second for s in said)


def test_quiet_speech_is_brought_to_level(shared: Path) -> None:
    samples = load(shared / "media" / "speech" / "new_home_16k.wav")
    assert "stars" in " ".join(s.text for s in words(samples * np.float32(0.01)))


@pytest.mark.parametrize("length", [0, 1, 160, 2000])
def test_sound_too_short_for_a_word_gives_none_and_no_error(length: int) -> None:
    assert words(np.zeros(length, np.float32)) == []


@pytest.mark.parametrize("language", ["en-US", "en-GB", "EN", "en_AU"])
def test_any_english_is_accepted(language: str) -> None:
    assert words(np.zeros(160, np.float32), language=language) == []


@pytest.mark.parametrize("language", ["de", "eng", "../../en-US", ""])
def test_any_other_language_is_refused_with_the_next_step(language: str) -> None:
    with pytest.raises(ConfigError, match="English only") as caught:
        words(np.zeros(160, np.float32), language=language)
    assert "whisper" in caught.value.next_step


def test_the_event_loop_stays_responsive_while_it_listens(speech: np.ndarray) -> None:
    async def run() -> float:
        window = AudioWindow(start=0.0, samples=speech[: 6 * SAMPLE_RATE])
        work = asyncio.create_task(SphinxTranscriber().transcribe(window, language="en"))
        longest, last = 0.0, time.monotonic()
        while not work.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert await work
        return longest

    assert asyncio.run(run()) < 1.0  # in the loop's own process it is over a second


def test_cancelling_ends_the_work_at_once(speech: np.ndarray) -> None:
    async def run() -> float:
        window = AudioWindow(start=0.0, samples=np.tile(speech, 2))
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await SphinxTranscriber().transcribe(window, language="en")
        return time.monotonic() - began

    assert asyncio.run(run()) < 2.0


def test_a_worker_that_dies_is_a_typed_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "worker.py"
    broken.write_text("raise SystemExit('no model here')")
    monkeypatch.setattr(sphinx, "_WORKER", broken)
    with pytest.raises(MmcrimeError, match="no model here"):
        words(np.zeros(SAMPLE_RATE, np.float32))


def test_a_module_in_the_working_directory_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pydub.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    words(np.zeros(SAMPLE_RATE, np.float32))


def test_it_is_found_under_its_name() -> None:
    assert load_transcriber("sphinx") is SphinxTranscriber
    assert SphinxTranscriber.limit_seconds == 60.0
    assert not SphinxTranscriber.remote
