"""Shots are told from steps, knocks and music, and a burst is found from its first shot on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, SoundEvent
from mmcrime.perceive.sound_events import SoundEventDetector
from mmcrime.perceive.sound_features import mean_level, steadiness

Array = NDArray[np.float64]
T = np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE


def noise(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=len(T))


def blows(*times: float, decay: float) -> Array:
    """Broadband blows that fall to a third within ``decay`` seconds, over a quiet room."""
    track = 1e-3 * noise(0)
    for number, at in enumerate(times):
        track += np.where(at <= T, np.exp(-(T - at) / decay), 0.0) * noise(1 + number)
    return track


def chords(seconds: float) -> Array:
    """Held chords, the next one every ``seconds``."""
    roots = 220.0 * 2.0 ** (np.array([0, 5, 7, 3, 0, 5, 7, 3])[(T / seconds).astype(int) % 8] / 12)
    phase = 2 * np.pi * np.cumsum(roots) / SAMPLE_RATE
    partials = (np.sin(k * ratio * phase) / k for k in range(1, 9) for ratio in (1.0, 1.26, 1.5))
    return np.asarray(sum(partials))


def bangs(samples: Array) -> list[SoundEvent]:
    detector = SoundEventDetector()
    scaled = (samples * (0.7 / np.abs(samples).max())).astype(np.float32)
    events = detector.feed(AudioWindow(start=0.0, samples=scaled)) + detector.finish()
    found = [event for event in events if event.label == "impulsive"]
    return sorted(found, key=lambda event: event.start)


@pytest.mark.parametrize("times", [(2.0,), (2.0, 2.5, 3.0, 3.5, 4.0), (1.0, 1.2, 1.4, 5.0)])
def test_blows_that_are_gone_within_50_milliseconds_are_no_bangs(times: tuple[float, ...]) -> None:
    assert bangs(blows(*times, decay=0.008)) == []
    assert bangs(blows(times[0], decay=0.08)) != []


@pytest.mark.parametrize("gap", [0.09, 0.16, 0.3, 0.5, 0.9])
def test_the_first_shot_of_a_burst_is_found(gap: float) -> None:
    found = bangs(blows(*(2.0 + gap * n for n in range(5)), decay=0.03))
    assert found[0].start == pytest.approx(2.0, abs=0.05)


def test_a_blow_after_three_like_it_within_three_seconds_is_not_told() -> None:
    found = bangs(blows(*(1.0 + 0.6 * n for n in range(10)), decay=0.06))
    assert [event.start for event in found] == pytest.approx([1.0, 1.6, 2.2], abs=0.05)


def test_a_bang_after_three_weaker_blows_is_told() -> None:
    louder = 8.0 * blows(4.0, decay=0.08)
    found = bangs(louder + blows(2.2, 2.8, 3.4, decay=0.008))
    assert [event.start for event in found] == pytest.approx([4.0], abs=0.05)


def test_a_drum_among_held_chords_is_no_bang_and_a_shot_before_them_is_one() -> None:
    drum = 60.0 * blows(4.0, decay=0.06)
    assert bangs(drum + chords(2.0)) == []
    assert bangs(drum + chords(2.0) * (T > 4.5)) != []


def test_drums_among_held_chords_do_not_prolong_the_shot_before_them() -> None:
    shot, drums = blows(1.0, decay=0.06), blows(*np.arange(2.5, 7.0, 0.5), decay=0.06)
    among = bangs(60.0 * (shot + drums) + chords(2.0) * (T > 1.2))
    assert [event.end for event in among] == pytest.approx([1.14], abs=0.1)
    assert bangs(60.0 * (shot + drums))[0].end > 6.0


def test_held_notes_are_steady_and_noise_glides_and_silence_are_not() -> None:
    glide = np.sin(2 * np.pi * np.cumsum(400 + 300 * np.sin(6 * np.pi * T)) / SAMPLE_RATE)
    assert steadiness(chords(2.0)) > 0.7
    assert steadiness(noise(1)) < 0.1
    assert steadiness(glide) < 0.3
    assert steadiness(np.zeros(SAMPLE_RATE)) == 0.0


def test_the_mean_level_is_that_of_the_mean_power() -> None:
    assert mean_level(np.array([-20.0, -20.0])) == pytest.approx(-20.0)
    assert mean_level(np.array([-10.0, -90.0])) == pytest.approx(-13.01, abs=0.01)
