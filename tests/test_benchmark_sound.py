"""The sound benchmark mixes at the time and ratio it states, and counts hits and alarms right."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from mmcrime.evidence import SoundEvent, SoundLabel

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

from soundscape import drawing, figures, recordings, scoring  # noqa: E402 - from the folder above
from soundscape.harmless import HARMLESS  # noqa: E402
from soundscape.incidents import INCIDENTS  # noqa: E402
from soundscape.mixing import (  # noqa: E402
    PEAK,
    Mix,
    Piece,
    Truth,
    active_level,
    long_background,
    made_incident,
    mix,
)
from soundscape.parts import RATE, Sound, noise  # noqa: E402

sys.path.remove(str(BENCHMARKS))


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def recording(sound: Sound, label: SoundLabel | None, source: str, group: str = "g") -> Piece:
    return Piece(sound=sound, label=label, source=source, group=group)


def tone(seconds: float) -> Sound:
    return np.sin(2 * np.pi * 900 * np.arange(round(seconds * RATE)) / RATE)


BEHIND = recording(0.01 * noise(rng(), 8.0), None, "speech")


@pytest.mark.parametrize("ratio", [0.0, 10.0, 30.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_sound_lies_where_the_mix_says_at_the_ratio_it_states(ratio: float, seed: int) -> None:
    padded = np.concatenate([np.zeros(RATE // 2), tone(2.0), np.zeros(RATE // 2)])
    mixed = mix(rng(seed), BEHIND, [recording(padded, "scream", "tone")], ratio)
    (truth,) = mixed.truths
    assert np.abs(mixed.samples).max() == pytest.approx(PEAK)
    start, end = round(truth.start * RATE), round(truth.end * RATE)
    assert (end - start) / RATE == pytest.approx(2.0, abs=0.04)
    behind = np.mean(np.delete(mixed.samples, np.s_[start:end]) ** 2)
    # The background goes on behind the sound, so that its power is added to the ratio's.
    inside = np.mean(mixed.samples[start + 512 : end - 512] ** 2)
    assert inside / behind == pytest.approx(10 ** (ratio / 10) + 1, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_the_start_of_a_bang_is_its_onset(seed: int) -> None:
    bang = np.concatenate([np.zeros(320), np.exp(-np.arange(RATE // 4) / 400) * tone(0.25)])
    piece = Piece(sound=bang, label="impulsive", source="shot", group="g", onset=0.02)
    mixed = mix(rng(seed), BEHIND, [piece], 30.0)
    first = int(np.flatnonzero(np.abs(mixed.samples) > 0.4 * PEAK)[0])
    assert first / RATE == pytest.approx(mixed.truths[0].start, abs=0.005)


def test_sounds_follow_each_other_and_what_does_not_fit_is_left_out() -> None:
    pieces = [recording(tone(2.0), "scream", str(number)) for number in range(5)]
    mixed = mix(rng(), BEHIND, pieces, 10.0)
    assert [truth.source for truth in mixed.truths] == ["0", "1"]
    assert mixed.truths[0].end < mixed.truths[1].start
    assert mixed.truths[1].end < 8.0


def test_the_active_level_leaves_out_what_is_silent() -> None:
    level, start, end = active_level(np.concatenate([np.zeros(RATE), np.ones(RATE), np.zeros(99)]))
    assert level == pytest.approx(0.0, abs=0.1)
    assert (start, end) == pytest.approx((1.0, 2.0), abs=0.02)


def test_a_short_background_is_repeated_without_holes() -> None:
    sound = long_background(rng(), [recording(np.ones(RATE), None, "speech")], 5.0).sound
    assert len(sound) == 5 * RATE
    assert sound.min() > 0.3


@pytest.mark.parametrize("source", INCIDENTS)
def test_made_incidents_are_finite_vary_and_can_be_made_again(source: str) -> None:
    first, again, other = (made_incident(rng(seed), source).sound for seed in (1, 1, 2))
    assert np.isfinite(first).all()
    assert first.std() > 0.0
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:4000], other[:4000])


@pytest.mark.parametrize("source", HARMLESS)
def test_harmless_sounds_are_finite_and_as_long_as_asked(source: str) -> None:
    sound = HARMLESS[source](rng(), 3.0)
    assert np.isfinite(sound).all()
    assert sound.std() > 0.0
    assert 3.0 <= len(sound) / RATE < 4.0


def test_shots_are_cut_out_where_they_start() -> None:
    sound = 1e-4 * noise(rng(), 6.0)
    for at in (1.0, 4.0):
        tail = noise(rng(), 0.5) * np.exp(-np.arange(RATE // 2) / 800)
        sound[round(at * RATE) : round(at * RATE) + len(tail)] += tail
    events = recordings.events_of(recording(sound, "impulsive", "gunshot"))
    assert [event.onset for event in events] == pytest.approx([0.02, 0.02], abs=0.01)
    for event in events:
        loud = np.flatnonzero(np.abs(event.sound) > 0.1)
        assert loud[0] / RATE == pytest.approx(event.onset, abs=0.01)


def test_screams_are_cut_out_without_the_silence_between_them() -> None:
    hush = 1e-4 * noise(rng(), 1.0)
    sound = np.concatenate([hush, tone(1.0), hush, tone(2.0), hush])
    events = recordings.events_of(recording(sound, "scream", "scream"))
    assert [len(e.sound) / RATE for e in events] == pytest.approx([1.0, 2.0], abs=0.11)


def test_cuts_of_one_recording_are_one_group() -> None:
    assert recordings.group_of("nimiadas_damm_0") == recordings.group_of("nimiadas_damm_7")
    assert recordings.group_of("shot_1") != recordings.group_of("shot_2")


def test_recorded_and_made_sounds_are_never_in_one_mix_and_one_seed_is_one_mix() -> None:
    pool = drawing.pool_of(
        [
            BEHIND,
            recording(tone(3.0), "scream", "scream"),
            recording(noise(rng(), 3.0), None, "crying_baby"),
            recording(noise(rng(), 3.0), None, recordings.STREET),
        ]
    )
    assert [piece.source for piece in pool.harmless] == ["speech", "crying_baby"]
    for seed in range(3):
        for recorded, groups in ((True, {"g"}), (False, {"made"})):
            mixed = drawing.draw_mix(rng(seed), pool, ratio=10.0, recorded=recorded)
            again = drawing.draw_mix(rng(seed), pool, ratio=10.0, recorded=recorded)
            assert {truth.group for truth in mixed.truths} == groups
            assert len(mixed.samples) == drawing.SECONDS * RATE
            assert np.array_equal(mixed.samples, again.samples)


def truth(start: float, end: float, label: SoundLabel | None, source: str = "s") -> Truth:
    return Truth(start=start, end=end, label=label, source=source, group="made")


def event(start: float, end: float, label: SoundLabel = "scream") -> SoundEvent:
    return SoundEvent(start=start, end=end, peak=start, label=label, score=0.9)


def test_an_event_is_found_only_by_one_that_starts_with_it() -> None:
    there = truth(2.0, 4.0, "scream")
    found = scoring.match([there], [event(2.2, 3.0), event(3.5, 4.0), event(8.0, 9.0)], "scream")
    assert (found.found, found.late, found.missed) == ((there,), (), ())
    assert found.errors == pytest.approx((0.2,))
    assert [alarm.start for alarm in found.alarms] == [8.0]
    late = scoring.match([there], [event(2.5, 4.0)], "scream")
    assert (late.found, late.late, late.errors, late.alarms) == ((), (there,), (0.5,), ())
    other = scoring.match([there], [event(2.0, 4.0, "siren")], "scream")
    assert (other.missed, other.alarms) == ((there,), ())


def test_a_bang_prolonged_by_the_blows_after_it_finds_and_excuses_nothing_there() -> None:
    there = truth(6.0, 6.5, "impulsive")
    result = scoring.match([there], [event(2.0, 7.0, "impulsive")], "impulsive")
    assert (result.missed, [alarm.start for alarm in result.alarms]) == ((there,), [2.0])


def test_precision_and_recall_count_hits_misses_and_alarms() -> None:
    silent = np.zeros(RATE)
    first = Mix(
        samples=silent,
        truths=(truth(2.0, 4.0, "scream", "a"), truth(6.0, 8.0, None, "music")),
        background="street",
    )
    second = Mix(samples=silent, truths=(truth(2.0, 4.0, "scream", "b"),), background="speech")
    heard = [
        (first, [event(2.1, 4.0), event(6.5, 7.0), event(6.5, 7.0, "siren")]),
        (second, [event(10.0, 11.0)]),
    ]
    row = figures.score(heard, "scream")
    assert (row["events"], row["found"], row["late"], row["alarms"]) == (2, 1, 0, 2)
    assert (row["precision"], row["recall"]) == (pytest.approx(1 / 3), 0.5)
    assert row["recall_low"] < 0.5 < row["recall_high"]
    assert {name: part["found"] for name, part in row["by_source"].items()} == {"a": 1, "b": 0}
    assert row["alarms_by_source"] == {"music": 1, "speech behind": 1}
    assert row["onset_error_median"] == pytest.approx(0.1)
    assert figures.score(heard, "siren")["recall"] is None


def test_the_interval_is_wilsons_and_that_of_nothing_is_everything() -> None:
    assert scoring.wilson(0, 0) == (0.0, 1.0)
    assert scoring.wilson(9, 10) == pytest.approx((0.596, 0.982), abs=0.001)


def test_the_benchmark_holds_no_function_that_nothing_uses() -> None:
    files = [BENCHMARKS / "sound_accuracy.py", *(BENCHMARKS / "soundscape").glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    made = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert len(made) > 30
    assert made - used == set()
