"""A told bang lasts as long as blows like it follow; nothing is told for that."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmcrime.evidence import SAMPLE_RATE, AudioWindow, SoundEvent
from mmcrime.media import open_media
from mmcrime.perceive.sound_events import SoundEventDetector
from mmcrime.perceive.sound_features import colour
from mmcrime.perceive.sound_series import BangSeries, Blow

Array = NDArray[np.float64]
GAPS = [0.3, 0.5, 0.8, 1.0]
SHOTS = 8
ECHOING = "ASUCICREPO_Sample_1_"
"""Start of the name of a recording whose echoes after 0.3 s hide the next shot."""


def track(
    seconds: float, times: Iterable[float], *, decay: float = 0.06, gain: float = 0.3
) -> Array:
    """Broadband blows over a quiet room; each falls to a third within ``decay`` seconds."""
    length = round(seconds * SAMPLE_RATE)
    sound = np.random.default_rng(0).normal(scale=1e-3 * gain, size=length)
    for number, at in enumerate(times):
        first = round(at * SAMPLE_RATE)
        fade = np.exp(-np.arange(min(SAMPLE_RATE, length - first)) / SAMPLE_RATE / decay)
        blow = np.random.default_rng(1 + number).normal(scale=gain, size=len(fade))
        sound[first : first + len(fade)] += fade * blow
    return sound


def series(gap: float, start: float = 2.0) -> list[float]:
    return [start + gap * number for number in range(SHOTS)]


def hear(sound: Array, cuts: Sequence[float] = ()) -> list[SoundEvent]:
    """Return the bangs by start; ``cuts`` are seconds at which a window ends."""
    detector = SoundEventDetector()
    events: list[SoundEvent] = []
    edges = [0, *(round(cut * SAMPLE_RATE) for cut in cuts), len(sound)]
    for low, high in pairwise(edges):
        part = sound[low:high].astype(np.float32)
        events += detector.feed(AudioWindow(start=low / SAMPLE_RATE, samples=part))
    events += detector.finish()
    bangs = (event for event in events if event.label == "impulsive")
    return sorted(bangs, key=lambda event: event.start)


@pytest.mark.parametrize("gap", GAPS)
def test_the_event_of_the_first_shot_covers_the_burst(gap: float) -> None:
    times = series(gap)
    first = hear(track(14.0, times))[0]
    assert (first.start, first.end) == pytest.approx((times[0], times[-1] + 0.14), abs=0.05)


@pytest.mark.parametrize("gap", GAPS)
def test_shots_of_unlike_strength_are_covered(gap: float) -> None:
    times, gains = series(gap), [0.3, 0.2, 0.35, 0.25] * 2
    sound = sum(
        (track(14.0, [at], gain=gain) for at, gain in zip(times, gains, strict=True)),
        np.zeros(14 * SAMPLE_RATE),
    )
    events = hear(sound)
    covered = [any(e.start - 0.25 <= at <= e.end + 0.25 for e in events) for at in times]
    assert covered == [True] * SHOTS


@pytest.mark.shared
@pytest.mark.parametrize("gap", GAPS)
def test_bursts_of_recorded_shots_are_covered_from_the_first_to_the_last(
    shared: Path, gap: float
) -> None:
    judged = 0
    for path in _recorded_shots(shared):
        with open_media(path) as handle:
            sound = np.concatenate([w.samples for w in handle.audio(0.0, float("inf"))])
        alone = hear(sound.astype(np.float64))
        if not alone or (path.name.startswith(ECHOING) and gap == 0.3):
            continue
        first = max(round((alone[0].start - 0.02) * SAMPLE_RATE), 0)
        shot = sound[first : first + SAMPLE_RATE] / np.abs(sound).max()
        burst = track(14.0, [])
        for at in series(gap):
            burst[round(at * SAMPLE_RATE) :][: len(shot)] += 0.5 * shot
        times = [at + min(alone[0].start, 0.02) for at in series(gap)]
        found = hear(burst)[0]
        assert found.start == pytest.approx(times[0], abs=0.25), path.name
        assert times[-1] <= found.end <= times[-1] + 0.75, path.name
        judged += 1
    assert judged >= 8


def _recorded_shots(shared: Path) -> list[Path]:
    folder = shared / "media" / "sounds"
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [folder / row["file"] for row in csv.DictReader(file) if row["label"] == "gunshot"]


def test_a_single_shot_ends_where_it_has_died_away() -> None:
    (event,) = hear(track(8.0, [2.0]))
    assert event.end == pytest.approx(2.0 + 0.06 * np.log(10.0), abs=0.03)


def test_a_burst_across_the_border_of_windows_is_one() -> None:
    times = series(0.5, 28.0)
    whole = hear(track(40.0, times))
    assert whole[0].end >= times[-1]
    assert hear(track(40.0, times), cuts=(29.0, 30.0)) == whole


def test_a_burst_that_the_end_of_the_sound_cuts_off_ends_with_it() -> None:
    times = series(0.5)
    sound = track(times[-1] + 0.05, times)
    assert hear(sound)[0].end == pytest.approx(len(sound) / SAMPLE_RATE, abs=0.02)


def test_after_a_pause_of_two_seconds_a_shot_belongs_to_no_earlier_burst() -> None:
    times = series(0.5)
    before = hear(track(14.0, times))
    after = hear(track(14.0, [*times, times[-1] + 2.0]))
    assert after[: len(before)] == before


@pytest.mark.parametrize(
    ("decay", "gain"), [(0.008, 0.3), (0.06, 0.03)], ids=["gone at once", "much quieter"]
)
def test_blows_unlike_the_shot_before_them_do_not_prolong_it(decay: float, gain: float) -> None:
    alone = hear(track(10.0, [2.0]))
    steps = track(10.0, [3.0, 3.6, 4.2, 4.8, 5.4, 6.0], decay=decay, gain=gain)
    first = hear(track(10.0, [2.0]) + steps)[0]
    assert (first.start, first.end) == pytest.approx((alone[0].start, alone[0].end), abs=0.02)


def test_a_series_whose_first_blows_are_not_told_stays_untold() -> None:
    times = [2.0 + 0.5 * number for number in range(12)]
    assert hear(track(10.0, times, decay=0.008)) == []


def test_of_sustained_fire_only_what_is_open_is_kept() -> None:
    detector = SoundEventDetector()
    minute = track(60.0, [0.5 * number for number in range(120)])
    events: list[SoundEvent] = []
    for number in range(10):
        events += detector.feed(AudioWindow(start=60.0 * number, samples=minute.astype(np.float32)))
    run = detector._run
    assert run is not None
    assert len(run._bangs._series._held) <= 3
    events += detector.finish()
    first = min(events, key=lambda event: event.start)
    assert first.end == pytest.approx(599.6, abs=0.1)
    assert len(events) <= 4


def blow(at: float, *, level: float = -20.0, tilt: float = 0.0, told: bool = False) -> Blow:
    event = SoundEvent(start=at - 0.01, end=at + 0.1, peak=at, label="impulsive", score=0.9)
    return Blow(
        peak=at,
        end=at + 0.1,
        level=level,
        colour=tilt * np.array([-2.0, -1.0, 0.0, 1.0, 2.0]),
        told=event if told else None,
    )


def spans(*blows: Blow) -> list[tuple[float, float, float]]:
    held = BangSeries()
    for each in blows:
        held.add(each)
    return [(event.start, event.peak, event.end) for event in held.settled()]


def test_the_peak_is_that_of_the_strongest_blow() -> None:
    following = (blow(2.5, level=-22.0), blow(3.0, level=-17.0), blow(3.5, level=-18.0))
    assert spans(blow(2.0, told=True), *following) == [pytest.approx((1.99, 3.0, 3.6))]


@pytest.mark.parametrize(
    "other",
    [
        blow(2.5, level=-27.0),
        blow(2.5, level=-13.0),
        blow(2.5, tilt=3.0),
        blow(2.1),
        blow(3.7),
    ],
    ids=["quieter", "louder", "of another colour", "an echo", "too late"],
)
def test_a_blow_unlike_the_told_one_changes_nothing(other: Blow) -> None:
    assert spans(blow(2.0, told=True), other) == spans(blow(2.0, told=True))


def test_a_shot_told_within_a_burst_keeps_its_own_event() -> None:
    found = spans(blow(2.0, told=True), blow(2.5, told=True), blow(3.0))
    assert found == [pytest.approx((1.99, 2.0, 3.1)), pytest.approx((2.49, 2.5, 2.6))]


def test_an_event_is_held_back_as_long_as_a_blow_can_follow() -> None:
    held = BangSeries()
    held.add(blow(2.0, told=True))
    assert held.settled(3.5) == []
    assert [event.peak for event in held.settled(3.7)] == [2.0]
    assert held.empty


def test_the_colour_of_a_blow_does_not_depend_on_its_strength() -> None:
    hiss = np.random.default_rng(3).normal(size=1024)
    rumble = np.cumsum(hiss)
    assert colour(0.1 * hiss, 128) == pytest.approx(colour(hiss, 128), abs=1e-3)
    assert float(np.abs(colour(rumble, 128) - colour(hiss, 128)).mean()) > 6.0
