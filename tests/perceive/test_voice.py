"""Voice activity: where somebody may be speaking."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perceive_kit import load

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, Interval
from mmcrime.perceive.voice import VoiceActivity, pack_speech, to_pcm16


def heard(samples: np.ndarray, *cuts: int, start: float = 0.0) -> list[Interval]:
    """Return the speech found when the samples are fed in pieces cut at ``cuts``."""
    voice = VoiceActivity()
    found: list[Interval] = []
    edges = [0, *sorted(cuts), len(samples)]
    for first, last in pairwise(edges):
        window = AudioWindow(start=start + first / SAMPLE_RATE, samples=samples[first:last])
        found += voice.feed(window)
    return found + voice.finish()


def test_speech_is_found_in_every_recording_of_speech(shared: Path) -> None:
    for path in sorted((shared / "media" / "speech").glob("*.wav")):
        assert heard(load(path)), path.name


def test_most_of_a_speech_is_covered_and_nothing_beyond_it(speech: np.ndarray) -> None:
    silence = np.zeros(5 * SAMPLE_RATE, np.float32)
    found = heard(np.concatenate((silence, speech, silence)))
    assert sum(end - start for start, end in found) > 8.0
    assert found[0][0] > 4.5
    assert found[-1][1] < 5 + len(speech) / SAMPLE_RATE + 0.5


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_and_the_hum_of_an_idle_microphone_hold_no_speech(level: float) -> None:
    noise = np.random.default_rng(1).normal(0, 1, 10 * SAMPLE_RATE).astype(np.float32)
    assert heard(level * noise) == []


def test_steady_noise_holds_no_speech_and_a_bang_in_it_makes_only_its_surroundings_lively() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 120 * SAMPLE_RATE).astype(np.float32)
    assert heard(noise) == []
    noise[70 * SAMPLE_RATE : 71 * SAMPLE_RATE] *= 8
    assert sum(end - start for start, end in heard(noise)) < 31.0


def test_speech_over_steady_noise_is_found(speech: np.ndarray) -> None:
    noise = np.random.default_rng(3).normal(0, 0.02, len(speech)).astype(np.float32)
    assert sum(end - start for start, end in heard(speech + noise)) > 8.0


def test_a_click_is_too_short_to_be_speech() -> None:
    samples = np.zeros(2 * SAMPLE_RATE, np.float32)
    samples[SAMPLE_RATE : SAMPLE_RATE + 160] = 0.9
    assert heard(samples) == []


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 11 * SAMPLE_RATE), max_size=6))
def test_the_cuts_between_windows_do_not_matter(speech: np.ndarray, cuts: list[int]) -> None:
    whole = heard(speech)
    pieces = heard(speech, *(min(cut, len(speech)) for cut in cuts))
    assert np.allclose(np.array(whole), np.array(pieces), atol=1e-6)


def test_speech_never_reaches_over_a_hole(speech: np.ndarray) -> None:
    part = speech[: 3 * SAMPLE_RATE]
    voice = VoiceActivity()
    found = voice.feed(AudioWindow(start=0.0, samples=part))
    found += voice.feed(AudioWindow(start=3.2, samples=part))
    found += voice.finish()
    assert len(found) >= 2
    assert all(end <= 3.0 or start >= 3.2 for start, end in found)


def test_sound_that_starts_late_keeps_its_media_time(speech: np.ndarray) -> None:
    early, late = heard(speech), heard(speech, start=100.0)
    assert np.allclose(np.array(early) + 100.0, np.array(late), atol=1e-6)


def test_broken_samples_and_empty_windows_are_survived() -> None:
    voice = VoiceActivity()
    broken = np.full(SAMPLE_RATE, np.nan, np.float32)
    broken[::3], broken[1::3] = np.inf, -np.inf
    voice.feed(AudioWindow(start=0.0, samples=np.empty(0, np.float32)))
    voice.feed(AudioWindow(start=0.0, samples=broken))
    voice.feed(AudioWindow(start=1.0, samples=np.full(100, 1e30, np.float32)))
    voice.finish()


def test_pcm_clips_and_turns_nan_into_silence() -> None:
    samples = np.array([0.0, 1.0, -1.0, 7.0, np.nan], np.float32)
    assert np.frombuffer(to_pcm16(samples), "<i2").tolist() == [0, 32767, -32767, 32767, 0]


def _laid_out(pairs: list[tuple[float, float]]) -> list[Interval]:
    """Turn (pause, length) pairs into sorted, disjoint intervals."""
    found, at = [], 0.0
    for pause, length in pairs:
        found.append((at + pause, at + pause + length))
        at += pause + length
    return found


pairs = st.tuples(st.floats(0.01, 90), st.floats(0.01, 90))
intervals = st.lists(pairs, max_size=12).map(_laid_out)


@given(speech=intervals)
def test_packed_windows_hold_all_speech_are_disjoint_and_at_most_30_s(
    speech: list[Interval],
) -> None:
    windows = pack_speech(speech)
    assert all(0 < end - start <= 30.0 + 1e-6 for start, end in windows)
    assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(windows))
    for start, end in speech:
        inside = sum(max(0.0, min(end, e) - max(start, s)) for s, e in windows)
        assert inside == pytest.approx(end - start, abs=1e-5)


def test_rounding_leaves_no_empty_window() -> None:
    assert pack_speech([(226.18196242207463, 256.18196242207466)]) == (
        (226.18196242207463, 256.18196242207466),
    )


def test_near_neighbours_share_a_window_and_far_ones_do_not() -> None:
    assert pack_speech([(0, 2), (3, 5), (9, 10)]) == ((0, 5), (9, 10))
