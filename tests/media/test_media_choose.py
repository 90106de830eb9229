"""Which moments are chosen when only some can be paid for; no media needed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmcrime.evidence import Coverage, Gap, Interval, MotionCurve, SoundEvent
from mmcrime.media.choose import choose_times
from mmcrime.media.similar import COLUMNS, ROWS, Look

RNG = np.random.default_rng(5)
STREET, YARD = (
    RNG.integers(20, 220, (ROWS // 4, COLUMNS // 4), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    for _ in range(2)
)

moments = st.floats(-5.0, 400.0)


def curve(length: int, moving: range = range(0), cuts: tuple[float, ...] = ()) -> MotionCurve:
    """Return motion in some seconds of a length, and a little noise in the others."""
    scores = tuple(0.8 if second in moving else 0.01 for second in range(length))
    return MotionCurve(times=tuple(map(float, range(length))), scores=scores, cuts=cuts)


def sound(peak: float, score: float = 0.5, label: str = "impulsive") -> SoundEvent:
    return SoundEvent(start=peak - 0.1, end=peak + 0.3, peak=peak, label=label, score=score)  # type: ignore[arg-type]


def looks(length: int, other: range = range(0)) -> list[Look]:
    """Return a look every two seconds: of the street, and of the yard in some seconds."""
    return [
        Look(time=float(second), levels=YARD if second in other else STREET)
        for second in range(0, length, 2)
    ]


@st.composite
def motions(draw: st.DrawFn) -> MotionCurve:
    seconds = sorted(draw(st.sets(st.integers(0, 400), max_size=60)))
    scores = draw(st.lists(st.floats(0, 1), min_size=len(seconds), max_size=len(seconds)))
    return MotionCurve(
        times=tuple(map(float, seconds)),
        scores=tuple(scores),
        moving_from=draw(st.sampled_from([0.0, 0.05, 0.4])),
        cuts=tuple(draw(st.lists(moments, max_size=5))),
    )


@st.composite
def views(draw: st.DrawFn) -> list[Look]:
    times = draw(st.lists(moments, max_size=30))
    shown = draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times)))
    return [Look(time=t, levels=STREET if s else YARD) for t, s in zip(times, shown, strict=True)]


spans = st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 350.0)).map(lambda p: (p[0], p[0] + p[1]))
heard = st.lists(
    st.builds(
        sound, moments, st.floats(0.0, 1.0), st.sampled_from(["impulsive", "siren", "scream"])
    ),
    max_size=6,
)


@given(spans, st.integers(1, 60), motions(), heard, views())
def test_at_most_the_budget_is_chosen_sorted_once_each_and_inside_the_span(
    span: Interval, frames: int, motion: MotionCurve, sounds: list[SoundEvent], seen: list[Look]
) -> None:
    times = [c.time for c in choose_times(span, frames, motion=motion, sounds=sounds, looks=seen)]
    assert len(times) <= frames
    assert all(a < b for a, b in pairwise(times))
    assert all(span[0] <= time < span[1] for time in times)
    if span[1] - span[0] > 3.0:  # there is room for all of them
        assert len(times) == frames


def test_a_span_that_begins_a_hair_before_a_second_has_no_moment_twice() -> None:
    chosen = choose_times((32.99999999999999, 33.99999999999999), 12)
    assert all(a.time < b.time for a, b in pairwise(chosen))


def test_a_span_of_a_few_steps_of_a_number_has_one_moment_its_start() -> None:
    span = (2.00001, 2.0000100000000005)
    assert [choice.time for choice in choose_times(span, 9)] == [span[0]]


@given(spans, st.integers(1, 30), st.integers(1, 30), motions(), heard, views())
def test_a_larger_budget_keeps_every_moment_of_a_smaller_one(
    span: Interval,
    frames: int,
    more: int,
    motion: MotionCurve,
    sounds: list[SoundEvent],
    seen: list[Look],
) -> None:
    known = {"motion": motion, "sounds": sounds, "looks": seen}
    few = choose_times(span, frames, **known)  # type: ignore[arg-type]
    many = choose_times(span, frames + more, **known)  # type: ignore[arg-type]
    assert set(few) <= set(many)


@given(st.lists(st.floats(0.0, 299.0), min_size=1, max_size=8), motions(), views())
def test_every_sound_event_has_a_frame_at_its_peak_if_there_are_twice_as_many_frames(
    peaks: list[float], motion: MotionCurve, seen: list[Look]
) -> None:
    sounds = [sound(peak, 0.3 + 0.01 * k) for k, peak in enumerate(peaks)]
    chosen = choose_times((0.0, 300.0), 2 * len(peaks), motion=motion, sounds=sounds, looks=seen)
    for peak in peaks:
        assert min(abs(choice.time - peak) for choice in chosen) <= 0.25


@given(st.floats(5.0, 290.0), st.integers(9, 20))
def test_frames_are_dense_around_a_bang(peak: float, frames: int) -> None:
    chosen = choose_times((0.0, 300.0), frames, motion=curve(300), sounds=[sound(peak)])
    times = [c.time for c in chosen if c.reason == "sound"]
    assert times == pytest.approx([peak - 0.5, peak, peak + 0.5, peak + 1.5])


def test_sounds_take_no_more_than_every_second_frame() -> None:
    sounds = [sound(float(second)) for second in range(5, 295, 3)]
    chosen = choose_times((0.0, 300.0), 20, motion=curve(300, range(100, 105)), sounds=sounds)
    assert sum(choice.reason == "sound" for choice in chosen) == 10
    assert any(100 <= choice.time < 105 for choice in chosen)


@given(st.integers(0, 50), st.integers(1, 10), st.integers(1, 20))
def test_the_subject_is_chosen_and_not_the_empty_scene_behind_it(
    start: int, length: int, frames: int
) -> None:
    moving = range(start, start + length)
    chosen = choose_times((0.0, 60.0), frames, motion=curve(60, moving))
    assert any(start <= choice.time < start + length for choice in chosen)
    assert all(
        start <= choice.time < start + length for choice in chosen if choice.reason == "motion"
    )


@settings(max_examples=25)  # each is ten minutes of looks
@given(st.integers(0, 590), st.integers(5, 10), st.integers(3, 30))
def test_what_looks_like_nothing_else_is_chosen_without_motion_or_cut(
    start: int, length: int, frames: int
) -> None:
    assume(start + length <= 600)
    seen = looks(600, range(start, start + length))
    chosen = choose_times((0.0, 600.0), frames, motion=curve(600), looks=seen)
    assert any(start <= choice.time < start + length for choice in chosen)


def test_each_shot_has_a_frame_before_one_has_two() -> None:
    cuts = (7.3, 9.1, 30.0, 55.5)
    chosen = choose_times((0.0, 60.0), 5, motion=curve(60, cuts=cuts))
    shots = [sum(cut <= choice.time for cut in cuts) for choice in chosen]
    assert shots == [0, 1, 2, 3, 4]


def test_a_camera_that_is_swung_around_does_not_use_up_a_small_budget() -> None:
    """Ten cuts in five seconds are no ten shots beside four that last."""
    swung = tuple(20.0 + k / 2 for k in range(11))
    chosen = choose_times((0.0, 80.0), 5, motion=curve(80, cuts=(10.0, *swung, 50.0, 65.0)))
    assert sum(20.0 <= choice.time < 25.0 for choice in chosen) <= 1
    lasting = [(0, 10), (10, 20), (25, 50), (50, 65), (65, 80)]
    found = [any(a <= choice.time < b for choice in chosen) for a, b in lasting]
    assert sum(found) >= 4


def test_a_place_that_always_changes_gets_no_more_than_its_turn() -> None:
    """A camera that is shaken for minutes does not hide five seconds of another place."""
    shaken = [
        Look(time=float(second), levels=RNG.integers(0, 255, (ROWS, COLUMNS), dtype=np.uint8))
        for second in range(0, 300, 2)
    ]
    seen = [*shaken, *(Look(time=300.0 + k.time, levels=k.levels) for k in looks(300))]
    other = [Look(time=k.time, levels=YARD) if 450 <= k.time < 455 else k for k in seen]
    chosen = choose_times((0.0, 600.0), 5, looks=other)
    assert any(450 <= choice.time < 456 for choice in chosen)


@given(st.floats(1.0, 2000.0), st.integers(1, 100))
def test_where_nothing_is_known_moments_are_spread(length: float, frames: int) -> None:
    chosen = choose_times((0.0, length), frames)
    edges = [0.0, *(choice.time for choice in chosen), length]
    widest = max(b - a for a, b in pairwise(edges))
    assert widest <= 2.0 * length / frames + 1.0
    assert {choice.reason for choice in chosen} == {"spread"}


def test_a_frame_is_not_taken_where_the_picture_is_about_to_change() -> None:
    """In the second of a cut, the longer side is shown."""
    chosen = choose_times((0.0, 3.0), 3, motion=curve(3, cuts=(1.2,)))
    assert [choice.time for choice in chosen] == pytest.approx([0.5, 1.6, 2.5])


def test_a_day_is_chosen_from() -> None:
    chosen = choose_times((0.0, 86_400.0), 8, motion=curve(86_400, range(50_000, 50_060)))
    assert len(chosen) == 8
    assert any(50_000 <= choice.time < 50_060 for choice in chosen)


def test_an_empty_span_has_no_moments() -> None:
    assert choose_times((5.0, 5.0), 3) == ()


@pytest.mark.parametrize("frames", [0, -1])
def test_a_budget_without_a_frame_is_refused(frames: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        choose_times((0.0, 10.0), frames)


@pytest.mark.parametrize(
    "known",
    [
        {"sounds": [sound(float("nan"))]},
        {"sounds": [sound(3.0, float("inf"))]},
        {"motion": MotionCurve(times=(0.0,), scores=(float("nan"),))},
        {"motion": MotionCurve(cuts=(float("inf"),))},
        {"looks": [Look(time=float("nan"), levels=STREET)]},
    ],
)
def test_numbers_that_are_none_are_refused(known: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="finite"):
        choose_times((0.0, 10.0), 3, **known)  # type: ignore[arg-type]


def test_an_endless_span_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        choose_times((0.0, float("inf")), 3)


def test_seconds_that_were_not_measured_are_not_taken_for_still() -> None:
    """Half of the street was not measured: still seconds wait, unmeasured ones do not."""
    measured = curve(100)
    chosen = choose_times((0.0, 200.0), 20, motion=measured, looks=looks(200))
    assert sum(choice.time >= 100 for choice in chosen) >= 15


def test_what_is_known_to_be_damaged_is_asked_for_last() -> None:
    gap = Gap(start=2.28, end=32.0, reason="damaged")
    times = tuple(float(t) for t in (0, 1, 2, *range(32, 40)))
    motion = MotionCurve(
        times=times,
        scores=tuple(0.5 for _ in times),
        coverage=Coverage(examined=((0.0, 2.28), (32.0, 40.0)), frames=18, gaps=(gap,)),
    )
    chosen = choose_times((0.0, 40.0), 11, motion=motion)
    assert sum(2.28 <= choice.time < 32.0 for choice in chosen) <= 1
    assert any(2.28 <= c.time < 32.0 for c in choose_times((0.0, 40.0), 20, motion=motion))
