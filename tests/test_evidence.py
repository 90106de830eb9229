"""Intervals, coverage and frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.evidence import (
    AudioWindow,
    Coverage,
    Frame,
    merge_intervals,
    subtract_intervals,
)

TIMES = st.floats(0, 100, allow_nan=False)
INTERVALS = st.lists(st.tuples(TIMES, TIMES), max_size=12)


@given(INTERVALS)
def test_merged_intervals_are_sorted_disjoint_and_cover_the_same_instants(
    intervals: list[tuple[float, float]],
) -> None:
    merged = merge_intervals(intervals)
    assert all(a[1] < b[0] for a, b in pairwise(merged))
    for start, end in intervals:
        if end > start:
            assert any(s <= start and end <= e for s, e in merged)


@given(INTERVALS)
def test_parts_and_what_they_leave_over_fill_the_whole(
    intervals: list[tuple[float, float]],
) -> None:
    left = subtract_intervals((0.0, 100.0), intervals)
    total = sum(e - s for s, e in left) + sum(e - s for s, e in merge_intervals(intervals))
    assert total == pytest.approx(100.0)


@given(INTERVALS)
def test_coverage_states_as_a_gap_whatever_was_not_examined(
    intervals: list[tuple[float, float]],
) -> None:
    """Promise 4: examined and gaps together are the whole, and never overlap."""
    coverage = Coverage.from_intervals(intervals, whole=(0.0, 100.0))
    pieces = sorted([*coverage.examined, *((g.start, g.end) for g in coverage.gaps)])
    assert sum(e - s for s, e in pieces) == pytest.approx(100.0, abs=0.03)
    assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(pieces))
    assert all(g.reason for g in coverage.gaps)


def test_a_missing_frame_becomes_a_gap_where_it_is_missing() -> None:
    coverage = Coverage.from_times([0.0, 1.0, 3.0], reach=1.0, whole=(0.0, 4.0), reason="damaged")
    assert coverage.examined == ((0.0, 2.0), (3.0, 4.0))
    (gap,) = coverage.gaps
    assert (gap.start, gap.end, gap.reason) == (2.0, 3.0, "damaged")
    assert coverage.frames == 3
    assert coverage.seconds == 3.0


def test_a_frame_survives_encoding() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 200
    encoded = Frame(time=1.5, pixels=pixels).encode()
    assert (encoded.width, encoded.height, encoded.time) == (60, 40, 1.5)
    assert np.abs(encoded.decode().pixels.astype(int) - pixels).mean() < 3


def test_an_audio_window_knows_where_it_ends() -> None:
    assert AudioWindow(start=2.0, samples=np.zeros(8000, np.float32)).end == 2.5
