"""Tests for `mmcrime.analyzers.motion_thread`."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import pytest

from mmcrime.analyzers.motion_thread import one_thread


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    yield
    cv2.setNumThreads(before)


def test_inside_there_is_one_thread_and_outside_as_many_as_before() -> None:
    with one_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == 3


def test_an_error_inside_sets_the_threads_back() -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert cv2.getNumThreads() == 3


def test_of_blocks_that_overlap_the_last_sets_the_threads_back() -> None:
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cv2.getNumThreads() == 1
    second.__exit__(None, None, None)
    assert cv2.getNumThreads() == 3
