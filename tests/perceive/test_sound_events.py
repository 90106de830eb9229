"""Bangs, screams and sirens are found; what resembles them is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, SoundEvent
from mmcrime.perceive.sound_events import SoundEventDetector

Array = NDArray[np.float64]
SECONDS = 8
T = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


def noise(seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=len(T))


def pink(seed: int = 1) -> Array:
    spectrum = np.fft.rfft(noise(seed))
    scale = np.maximum(np.arange(len(spectrum)), 1.0) ** 0.5
    shaped = np.fft.irfft(spectrum / scale, len(T))
    return np.asarray(shaped / shaped.std())


def harmonics(pitch: Array | float, count: int = 5, slope: float = 1.0) -> Array:
    """A tone with partials that fall off as ``1 / k ** slope``, none above 7.5 kHz."""
    track = np.broadcast_to(np.asarray(pitch, dtype=float), T.shape)
    phase = 2 * np.pi * np.cumsum(track) / SAMPLE_RATE
    partials = (np.sin(k * phase) / k**slope * (k * track < 7500) for k in range(1, count + 1))
    return np.asarray(sum(partials))


def notes(*pitches: float) -> Array:
    return np.repeat(np.array(pitches), len(T) // len(pitches))


def bang(at: float, decay: float = 0.1) -> Array:
    return np.where(at <= T, np.exp(-(T - at) / decay), 0.0) * noise(round(at * 1000))


def scream(pitch: float = 1100.0, start: float = 2.0, end: float = 3.2) -> Array:
    wobble = 2 * np.sin(np.pi * (T - start)) + 0.4 * np.sin(2 * np.pi * 8 * T)
    rough = 1 + 0.5 * np.sin(2 * np.pi * 70 * T)
    voice = harmonics(pitch * 2 ** (wobble / 12), 6, 0.5) * rough
    return np.where((start <= T) & (end > T), voice, 0.0) + 0.01 * pink()


SIRENS = {
    "wail": lambda: harmonics(1000 + 400 * np.sin(2 * np.pi * T / 5), 3),
    "slow wail": lambda: harmonics(950 + 350 * np.sin(2 * np.pi * T / 10), 3),
    "yelp": lambda: harmonics(1000 + 400 * np.sin(2 * np.pi * 3.3 * T), 3),
    "two-tone horn": lambda: harmonics(np.where(T % 1.0 < 0.5, 435.0, 580.0), 6),
}
QUIETENED: dict[str, Callable[[], Array]] = {
    "silence": lambda: np.zeros_like(T),
    "white noise": noise,
    "pink noise": pink,
    "noise that is switched on": lambda: noise() * (T > 3),
    "clipped noise": lambda: np.clip(100 * noise(), -1, 1),
    "a step of direct current": lambda: np.where(T > 3, 0.5, 0.0),
    "a digital click": lambda: np.where(np.arange(len(T)) == 40_000, 1.0, 1e-4 * pink()),
    "a low thud": lambda: np.where(T >= 2, np.exp((2 - T) / 0.1), 0) * np.sin(120 * np.pi * T),
    "rolling thunder": lambda: (
        np.clip((T - 2) / 0.3, 0, 1) * np.exp(-np.maximum(T - 2, 0)) * np.cumsum(noise())
    ),
    "a steady 1 kHz tone": lambda: harmonics(1000.0, 1),
    "beeps": lambda: harmonics(1000.0, 1) * (T % 1 < 0.3),
    "a held horn": lambda: harmonics(440.0, 8),
    "chords": lambda: sum((harmonics(f, 6) for f in (262.0, 330.0, 392.0)), np.zeros_like(T)),
    "a tune": lambda: harmonics(notes(440, 494, 523, 587, 659, 587, 523, 494), 6),
    "a whistled tune": lambda: harmonics(notes(784, 880, 988, 1047, 1175, 1047, 988, 880), 2),
    "a low voice": lambda: harmonics(120 + 20 * np.sin(4 * T), 30) * np.sin(2 * np.pi * T) ** 2,
    "a high voice": lambda: harmonics(250 + 60 * np.sin(4 * T), 20) * np.sin(2 * np.pi * T) ** 2,
}


def detect(
    samples: Array, cuts: tuple[int, ...] = (), gain: float | None = 0.7, start: float = 0.0
) -> list[SoundEvent]:
    """Run a fresh detector over samples cut at the given places, peak set to ``gain``."""
    peak = float(np.abs(samples).max())
    scaled = samples if gain is None or peak == 0 else samples * (gain / peak)
    detector = SoundEventDetector()
    events: list[SoundEvent] = []
    for low, high in pieces(len(scaled), cuts):
        part = scaled[low:high].astype(np.float32)
        events += detector.feed(AudioWindow(start=start + low / SAMPLE_RATE, samples=part))
    return events + detector.finish()


def pieces(length: int, cuts: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    edges = [0, *sorted(cuts), length]
    return pairwise(edges)


def labels(events: list[SoundEvent]) -> list[str]:
    return [event.label for event in events]


@pytest.mark.parametrize("kind", SIRENS)
def test_a_siren_is_one_siren_from_its_start_to_its_end(kind: str) -> None:
    (event,) = detect(SIRENS[kind]())
    assert event.label == "siren"
    assert event.start <= 0.5
    assert event.end >= SECONDS - 0.5


@pytest.mark.parametrize("decay", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("at", [0.0, 1.02, 2.7])
def test_bangs_are_found_within_a_quarter_of_a_second(at: float, decay: float) -> None:
    events = detect(bang(at, decay) + bang(at + 3.5, decay) + 1e-3 * pink())
    assert labels(events) == ["impulsive", "impulsive"]
    assert [e.start for e in events] == pytest.approx([at, at + 3.5], abs=0.05)
    assert all(e.start <= e.peak <= e.end for e in events)


@pytest.mark.parametrize("pitch", [800.0, 1100.0, 1700.0])
def test_a_scream_is_found_with_its_borders(pitch: float) -> None:
    (event,) = detect(scream(pitch))
    assert event.label == "scream"
    assert (event.start, event.end) == pytest.approx((2.0, 3.2), abs=0.1)


@pytest.mark.parametrize("rough", [0.2, 0.5, 0.8])
def test_a_scream_that_is_rough_at_first_starts_where_it_becomes_loud(rough: float) -> None:
    """Only what follows the roughness has a pitch."""
    hoarse = np.where((T >= 2.0) & (rough + 2.0 > T), noise() * scream(end=5.0).std(), 0.0)
    (event,) = detect(scream(start=2.0 + rough, end=3.5 + rough) + hoarse)
    assert event.label == "scream"
    assert (event.start, event.end) == pytest.approx((2.0, 3.5 + rough), abs=0.1)


def test_a_scream_without_a_rise_before_it_starts_with_its_pitch() -> None:
    (event,) = detect(scream(start=4.0, end=5.5) + np.where(T < 4.0, noise(), 0.0))
    assert event.start == pytest.approx(4.0, abs=0.1)


def test_a_scream_broken_by_roughness_is_one_scream_and_too_short_parts_are_none() -> None:
    """Neither half is long enough alone; what holds them together is that the level holds."""
    parts = scream(start=2.0, end=2.2) + scream(start=2.45, end=2.65)
    hoarse = np.where((T >= 2.2) & (T < 2.45), noise() * scream(end=5.0).std(), 0.0)
    assert detect(parts) == []
    (event,) = detect(parts + hoarse)
    assert (event.start, event.end) == pytest.approx((2.0, 2.65), abs=0.1)


@pytest.mark.parametrize("kind", QUIETENED)
def test_what_only_resembles_an_incident_is_no_event(kind: str) -> None:
    assert detect(QUIETENED[kind]()) == []


@pytest.mark.parametrize(("pause", "count"), [(0.3, 1), (1.0, 2)])
def test_screams_between_breaths_are_one_event(pause: float, count: int) -> None:
    events = detect(scream(start=1.0, end=2.0) + scream(start=2.0 + pause, end=3.0 + pause))
    assert labels(events) == ["scream"] * count


def test_a_scream_of_a_fifth_of_a_second_is_too_short() -> None:
    assert detect(scream(start=2.0, end=2.2)) == []


def test_a_bang_far_quieter_than_what_surrounds_it_is_not_found() -> None:
    assert detect(bang(3.0) * 0.05 + noise(5)) == []


def mixture() -> Array:
    siren = harmonics(np.where(T % 1.0 < 0.5, 435.0, 580.0), 6)
    late = np.where(T > 5.2, siren, 0.0)
    return bang(0.9) + 0.5 * np.asarray(scream()) + 0.3 * late + 1e-3 * pink()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(T)), max_size=12))
def test_the_same_events_come_out_however_the_sound_is_cut(cuts: list[int]) -> None:
    whole = detect(mixture())
    assert labels(whole) == ["impulsive", "scream", "siren"]
    assert detect(mixture(), cuts=tuple(cuts)) == whole


def test_windows_of_ten_milliseconds_give_the_same_events() -> None:
    assert detect(mixture(), cuts=tuple(range(160, len(T), 160))) == detect(mixture())


@pytest.mark.parametrize("gain", [0.03, 0.1, 0.3, 1.0])
def test_the_gain_of_the_recording_does_not_matter(gain: float) -> None:
    events = detect(mixture(), gain=gain)
    reference = detect(mixture())
    assert labels(events) == labels(reference)
    assert [e.start for e in events] == pytest.approx([e.start for e in reference], abs=0.05)


def test_below_the_noise_floor_nothing_is_claimed() -> None:
    assert detect(mixture(), gain=1e-5) == []


def test_media_time_is_kept() -> None:
    shifted = detect(mixture(), start=100.0)
    assert [e.start - 100.0 for e in shifted] == pytest.approx([e.start for e in detect(mixture())])


def test_after_a_gap_times_are_still_media_times() -> None:
    detector = SoundEventDetector()
    sound = (bang(1.0) + 1e-3 * pink()).astype(np.float32)
    events = detector.feed(AudioWindow(start=0.0, samples=sound))
    events += detector.feed(AudioWindow(start=60.0, samples=sound))
    events += detector.finish()
    assert [e.start for e in events] == pytest.approx([1.0, 61.0], abs=0.05)


def test_sound_heard_twice_counts_once() -> None:
    detector = SoundEventDetector()
    sound = (bang(1.0) + 1e-3 * pink()).astype(np.float32)
    first = sound[: 2 * SAMPLE_RATE]
    events = detector.feed(AudioWindow(start=0.0, samples=first))
    events += detector.feed(AudioWindow(start=0.0, samples=sound))
    assert labels(events + detector.finish()) == ["impulsive"]


def test_an_event_is_told_soon_and_not_only_at_the_end() -> None:
    detector = SoundEventDetector()
    told = detector.feed(AudioWindow(start=0.0, samples=mixture().astype(np.float32)))
    assert labels(told)[:2] == ["impulsive", "scream"]


def test_memory_does_not_grow_with_the_recording() -> None:
    detector = SoundEventDetector()
    samples = harmonics(1000 + 400 * np.sin(2 * np.pi * T / 5), 3).astype(np.float32)
    for k in range(40):
        detector.feed(AudioWindow(start=k * SECONDS, samples=samples))
    run = detector._run
    assert run is not None
    assert len(run._buffer) < 4 * SAMPLE_RATE
    assert len(run._tracker._stretch) <= 320
    assert labels(detector.finish()) == ["siren"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_do_not_hide_a_bang(value: float) -> None:
    sound = (bang(3.0) + 1e-3 * pink()).astype(np.float32)
    sound[100:110] = value
    (event,) = detect(sound, gain=None)
    assert event.start == pytest.approx(3.0, abs=0.05)


def test_samples_that_are_no_numbers_are_silence() -> None:
    detector = SoundEventDetector()
    broken = np.where(np.arange(SAMPLE_RATE) % 2, np.nan, -np.inf).astype(np.float32)
    broken[::3] = 0.0
    assert detector.feed(AudioWindow(start=0.0, samples=broken)) == []
    assert detector.finish() == []
    assert not detector.audible


def test_absurdly_loud_samples_give_finite_numbers() -> None:
    detector = SoundEventDetector()
    window = AudioWindow(start=0.0, samples=(1e37 * mixture()).astype(np.float32))
    for event in detector.feed(window) + detector.finish():
        assert np.isfinite([event.start, event.end, event.peak, event.score]).all()


def test_empty_and_tiny_windows_are_taken() -> None:
    detector = SoundEventDetector()
    for count in (0, 1, 63, 65):
        assert detector.feed(AudioWindow(start=0.0, samples=np.ones(count, np.float32))) == []
    assert detector.finish() == []
    assert SoundEventDetector().finish() == []


def test_scores_and_times_are_in_range() -> None:
    for event in detect(mixture()):
        assert 0.0 < event.score <= 1.0
        assert 0.0 <= event.start <= event.peak <= event.end <= SECONDS


def test_a_detector_can_be_used_again_after_finish() -> None:
    detector = SoundEventDetector()
    window = AudioWindow(start=0.0, samples=mixture().astype(np.float32))
    first = detector.feed(window) + detector.finish()
    assert detector.feed(window) + detector.finish() == first


def test_sound_at_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="8000"):
        SoundEventDetector().feed(
            AudioWindow(start=0.0, samples=np.zeros(10, np.float32), rate=8000)
        )


def test_a_track_without_a_microphone_is_told_from_a_quiet_room() -> None:
    for samples, audible in ((np.zeros(SAMPLE_RATE), False), (1e-3 * noise(), True)):
        detector = SoundEventDetector()
        detector.feed(AudioWindow(start=0.0, samples=samples.astype(np.float32)))
        assert detector.audible is audible
