from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_scenes import Scene, brawl, drawn, noisy, pan, still, walker

from mmcrime.analyzers.motion_features import (
    FEATURES,
    HOP,
    LONGEST_PAIR,
    WINDOW,
    FlowMeter,
    Pair,
    Window,
    windows,
)
from mmcrime.analyzers.motion_window import CHANNELS, fastest
from mmcrime.evidence import Frame


def pairs(frames: Iterable[Frame]) -> list[Pair]:
    meter = FlowMeter()
    return [pair for frame in frames if (pair := meter.push(frame)) is not None]


def measured(scene: Scene, seconds: float = 3.0, fps: float = 6.25) -> dict[str, float]:
    """Mean features of the windows of a scene."""
    found = list(windows(pairs(drawn(scene, seconds, fps=fps).clip(0, seconds))))
    mean = np.mean([window.features for window in found], axis=0)
    return dict(zip(FEATURES, mean.tolist(), strict=True))


def dull_pairs(*runs: tuple[float, float], step: float = 0.16) -> list[Pair]:
    """Pairs without content that cover some runs."""
    zero = np.zeros((len(CHANNELS), 15, 20), np.float32)
    times = [
        [start + step * i for i in range(round((end - start) / step) + 1)] for start, end in runs
    ]
    return [
        Pair(start=a, end=b, cells=zero, fastest=0.0) for run in times for a, b in pairwise(run)
    ]


def test_a_still_picture_has_finite_features_and_no_motion() -> None:
    (first, *_) = list(windows(pairs(drawn(still, 3.0).clip(0, 3.0))))
    assert np.isfinite(first.features).all()
    assert first.features.shape == (len(FEATURES),)
    assert fastest(first.features) == pytest.approx(0.0, abs=0.01)
    assert measured(still)["near.speed.mean"] == pytest.approx(0.0, abs=0.01)


def test_motion_that_sets_in_after_stillness_is_a_change_of_motion() -> None:
    """Still pairs are not measured, and still are what the next pair is compared with."""

    def sudden(t: float) -> np.ndarray:
        return brawl(max(t - 0.5, 0.0))

    first = next(p for p in pairs(drawn(sudden, 2.0).clip(0, 2.0)) if p.cells.any())
    speed, turn = (first.cells[CHANNELS.index(name)] for name in ("speed", "turn"))
    assert speed.max() > 0.1
    assert turn == pytest.approx(speed, abs=1e-5)


@pytest.mark.parametrize("level", [1, 2, 5, 10])
def test_sensor_noise_does_not_move_even_where_there_is_little_contrast(level: int) -> None:
    def night(t: float) -> np.ndarray:
        return still(t) // 10 + 40

    assert measured(noisy(night, level))["near.speed.mean"] == 0.0


def test_motion_that_is_little_brighter_than_the_noise_is_still_seen() -> None:
    def night(t: float) -> np.ndarray:
        return brawl(t) // 6 + 40

    assert measured(noisy(night, 2))["near.speed.mean"] > 0.3 * measured(brawl)["near.speed.mean"]


def test_a_pan_of_the_camera_is_taken_off() -> None:
    """A pan at 0.25 widths a second leaves less than a tenth of that in most of the picture."""
    assert np.expm1(measured(pan)["all.speed.mean"]) / 10 < 0.025


def test_a_brawl_turns_more_and_goes_nowhere_beside_a_walker() -> None:
    rough, calm = measured(brawl), measured(walker)
    assert rough["near.turn.mean"] > 1.3 * calm["near.turn.mean"]
    assert rough["near.persistence"] < calm["near.persistence"]
    assert rough["near.net"] < calm["near.net"]
    assert rough["near.coherence.mean"] < calm["near.coherence.mean"]


def test_the_busiest_place_is_seen_alike_wherever_in_the_picture_it_is() -> None:
    """The whole picture dilutes a small mover; its surroundings do not, nor do they move."""

    def elsewhere(t: float) -> np.ndarray:
        return np.roll(brawl(t), -30, axis=1)

    here, there = measured(brawl), measured(elsewhere)
    assert here["near.speed.mean"] > 1.5 * here["all.speed.mean"]
    assert there["near.speed.mean"] == pytest.approx(here["near.speed.mean"], rel=0.15)


def test_speed_does_not_depend_on_the_frame_rate() -> None:
    slow, fast = measured(walker, fps=6.25), measured(walker, fps=12.5)
    assert slow["near.speed.mean"] == pytest.approx(fast["near.speed.mean"], rel=0.15)


def test_speed_does_not_depend_on_the_size_of_the_frames() -> None:
    def large(t: float) -> np.ndarray:
        return np.kron(walker(t), np.ones((3, 3), np.uint8))

    small, big = measured(walker), measured(large)
    assert big["near.speed.mean"] == pytest.approx(small["near.speed.mean"], rel=0.1)


def test_black_bars_do_not_change_what_the_busiest_place_does() -> None:
    def barred(t: float) -> np.ndarray:
        picture = brawl(t)
        picture[:15] = picture[-15:] = 0
        return picture

    plain, framed = measured(brawl), measured(barred)
    for name in ("near.speed.mean", "near.turn.mean", "core.speed.mean"):
        assert framed[name] == pytest.approx(plain[name], rel=0.1)


def test_frames_of_another_shape_are_not_compared() -> None:
    meter = FlowMeter()
    assert meter.push(Frame(time=0.0, pixels=still(0))) is None
    assert meter.push(Frame(time=0.1, pixels=still(0).T.copy())) is None
    assert meter.push(Frame(time=0.2, pixels=still(0).T.copy())) is not None


def test_frames_too_far_apart_or_out_of_order_are_not_compared() -> None:
    picture = still(0)
    meter = FlowMeter()
    assert meter.push(Frame(time=0.0, pixels=picture)) is None
    assert meter.push(Frame(time=LONGEST_PAIR + 0.01, pixels=picture)) is None
    assert meter.push(Frame(time=0.2, pixels=picture)) is None
    assert meter.push(Frame(time=0.2, pixels=picture)) is None
    assert meter.push(Frame(time=0.3, pixels=picture)) is not None


def test_the_flow_is_the_same_with_any_number_of_threads() -> None:
    frames = list(drawn(brawl, 1.0).clip(0, 1.0))
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = pairs(frames)
        cv2.setNumThreads(4)
        four = pairs(frames)
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(a.cells, b.cells) for a, b in zip(one, four, strict=True))


def test_a_long_run_gives_a_window_every_second_and_one_at_its_end() -> None:
    found = list(windows(dull_pairs((0.0, 30.4))))
    assert found[0].start == 0.0
    assert found[0].end == pytest.approx(WINDOW, abs=0.1)
    steps = np.diff([w.end for w in found])
    assert steps[:-1] == pytest.approx(HOP, abs=0.16)
    assert found[-1].end == pytest.approx(30.4)
    assert all(w.end - w.start == pytest.approx(WINDOW, abs=0.17) for w in found)


def test_a_run_shorter_than_a_window_gives_one() -> None:
    (only,) = windows(dull_pairs((5.0, 5.8)))
    assert (only.start, only.end) == pytest.approx((5.0, 5.8))


def test_a_run_too_short_to_say_anything_gives_none() -> None:
    assert list(windows(dull_pairs((0.0, 0.32)))) == []
    assert list(windows([])) == []


def test_no_window_bridges_a_break() -> None:
    found = list(windows(dull_pairs((0.0, 3.2), (10.0, 13.2))))
    assert any(w.start >= 10.0 for w in found)
    assert all(w.end <= 3.21 or w.start >= 10.0 for w in found)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.floats(0.001, 0.4), min_size=1, max_size=20),
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_any_frames_at_any_times_give_finite_features_in_order(
    steps: list[float], seed: int, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    frames = [
        Frame(time=t, pixels=rng.integers(0, 256, shape).astype(np.uint8))
        for t in np.cumsum(steps).tolist()
    ]
    found: list[Window] = list(windows(pairs(frames)))
    assert all(np.isfinite(w.features).all() for w in found)
    assert all(w.start < w.end for w in found)
    assert [w.end for w in found] == sorted(w.end for w in found)
