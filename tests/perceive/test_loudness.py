"""The level curve: one number a second, of what was really decoded."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.evidence import SAMPLE_RATE, AudioWindow
from mmcrime.perceive.loudness import QUIETEST, LoudnessMeter


def measured(*windows: AudioWindow) -> LoudnessMeter:
    meter = LoudnessMeter()
    for window in windows:
        meter.feed(window)
    meter.finish()
    return meter


def tone(seconds: float, amplitude: float, start: float = 0.0) -> AudioWindow:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (amplitude * np.sin(2 * math.pi * 440 * times)).astype(np.float32)
    return AudioWindow(start=start, samples=samples)


def test_a_sine_at_full_scale_is_three_decibels_below_it() -> None:
    curve = measured(tone(3.0, 1.0)).curve
    assert curve.times == (0.0, 1.0, 2.0)
    assert curve.levels == pytest.approx((-3.0, -3.0, -3.0), abs=0.05)


def test_digital_silence_is_the_lowest_level_and_no_sound_is_no_curve() -> None:
    assert measured(tone(1.0, 0.0)).curve.levels == (QUIETEST,)
    assert measured().curve.times == ()
    assert measured(AudioWindow(start=3.0, samples=np.zeros(0, np.float32))).curve.times == ()


def test_a_loud_second_stands_out_at_its_own_time() -> None:
    curve = measured(tone(2.0, 0.01), tone(1.0, 0.5, start=2.0), tone(2.0, 0.01, start=3.0)).curve
    assert curve.times[int(np.argmax(curve.levels))] == 2.0


def test_seconds_of_which_nothing_was_decoded_are_absent() -> None:
    curve = measured(tone(1.5, 0.1), tone(1.0, 0.1, start=10.0)).curve
    assert curve.times == (0.0, 1.0, 10.0)
    assert curve.levels == pytest.approx([curve.levels[0]] * 3, abs=0.2)


@given(
    cuts=st.lists(st.integers(1, 4 * SAMPLE_RATE - 1), max_size=6, unique=True),
    seed=st.integers(0, 9),
)
def test_the_curve_does_not_depend_on_how_the_sound_is_cut_into_windows(
    cuts: list[int], seed: int
) -> None:
    sound = np.random.default_rng(seed).normal(0, 0.1, 4 * SAMPLE_RATE).astype(np.float32)
    whole = measured(AudioWindow(start=0.0, samples=sound)).curve
    edges = [0, *sorted(cuts), len(sound)]
    parts = [AudioWindow(start=a / SAMPLE_RATE, samples=sound[a:b]) for a, b in pairwise(edges)]
    assert measured(*parts).curve.times == whole.times
    assert measured(*parts).curve.levels == pytest.approx(whole.levels, abs=0.11)
