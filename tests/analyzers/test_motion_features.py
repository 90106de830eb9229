from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_scenes import Scene, brawl, drawn, pan, still, walker

from mmcrime.analyzers.motion_features import (
    FEATURES,
    HOP,
    LONGEST_PAIR,
    STATS,
    WINDOW,
    FlowMeter,
    Pair,
    Window,
    windows,
)
from mmcrime.evidence import Frame


def pairs(frames: Iterable[Frame]) -> list[Pair]:
    meter = FlowMeter()
    return [pair for frame in frames if (pair := meter.push(frame)) is not None]


def stats(scene: Scene, seconds: float = 3.0, fps: float = 6.25) -> dict[str, float]:
    measured = pairs(drawn(scene, seconds, fps=fps).clip(0, seconds))
    mean = np.mean([pair.stats for pair in measured], axis=0)
    return dict(zip(STATS, mean.tolist(), strict=True))


def dull_pairs(*runs: tuple[float, float], step: float = 0.16) -> list[Pair]:
    """Pairs without content that cover some runs."""
    zero = np.zeros(len(STATS))
    times = [
        [start + step * i for i in range(round((end - start) / step) + 1)] for start, end in runs
    ]
    return [Pair(start=a, end=b, stats=zero) for run in times for a, b in pairwise(run)]


def test_a_still_picture_has_finite_features_and_no_motion() -> None:
    measured = pairs(drawn(still, 3.0).clip(0, 3.0))
    (first, *_) = list(windows(measured))
    assert np.isfinite(first.features).all()
    assert first.features.shape == (len(FEATURES),)
    assert stats(still)["mean"] == pytest.approx(0.0, abs=0.01)


def test_a_pan_of_the_camera_is_taken_off() -> None:
    """A pan at 0.25 widths a second leaves less than a tenth of that in most of the picture."""
    measured = pairs(drawn(pan, 3.0, fps=6.25).clip(0, 3.0))
    left = [np.expm1(pair.stats[STATS.index("mean")]) / 10 for pair in measured]
    assert np.mean(left) < 0.025


def test_a_brawl_is_faster_and_less_coherent_than_a_walker() -> None:
    rough, calm = stats(brawl), stats(walker)
    assert rough["mean"] > 1.3 * calm["mean"]
    assert rough["acceleration"] > 1.3 * calm["acceleration"]
    assert rough["coherence"] < calm["coherence"]


def test_speed_does_not_depend_on_the_frame_rate() -> None:
    slow, fast = stats(walker, fps=6.25), stats(walker, fps=12.5)
    assert slow["p99"] == pytest.approx(fast["p99"], rel=0.15)


def test_speed_does_not_depend_on_the_size_of_the_frames() -> None:
    def large(t: float) -> np.ndarray:
        return np.kron(walker(t), np.ones((3, 3), np.uint8))

    small, big = stats(walker), stats(large)
    assert big["mean"] == pytest.approx(small["mean"], rel=0.1)


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
    assert all(np.array_equal(a.stats, b.stats) for a, b in zip(one, four, strict=True))


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
