"""One turn of one process with the Redis that is shared, by a clock that is set by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from lines_kit import Turns

from mmcrime.calls.window import SPAN
from shared_redis import own_namespace

BEGAN = 1_700_000_000.0


@pytest.fixture
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


def first(number: int, tokens: int = 1) -> dict[str, int]:
    return {"number": number, "tokens": tokens}


@pytest.mark.parametrize("limits", [{}, {"requests": 500}, {"requests": 500, "tokens": 10_000}])
def test_what_is_older_than_a_window_is_kept_nowhere_with_and_without_limits(
    limits: dict[str, int], namespace: str
) -> None:
    turns = Turns(limits, namespace)
    for number in range(150):
        turns.turn(BEGAN + number, first=first(number))
    assert [turns.redis.zcard(key) for key in turns.keys[3:]] == [math.ceil(SPAN)] * 2


@pytest.mark.parametrize(("configured", "stated"), [(5, 2), (2, 5), (None, 2)])
def test_what_a_service_stated_before_a_loss_is_told_again_and_only_tightens(
    configured: int | None, stated: int, namespace: str
) -> None:
    turns = Turns({} if configured is None else {"requests": configured}, namespace)
    known = {"stated": {"requests": stated}}
    said = [turns.turn(BEGAN, first=first(number), **known).why for number in range(3)]
    assert said == ["go", "go", "requests"]


def test_one_that_waits_and_says_nothing_any_more_goes_first_for_some_seconds_only(
    namespace: str,
) -> None:
    turns = Turns({"tokens": 100}, namespace)
    turns.turn(BEGAN, first=first(1, 50))
    assert turns.turn(BEGAN, process="q", first=first(1, 90)).why == "tokens"
    said = {
        after: turns.turn(BEGAN + after, first=first(number, 5)).why
        for number, after in enumerate((0.9, 1.1, 6.9, 7.1), 2)
    }
    # It would have asked again after five seconds, and may be late by two.
    assert said == {0.9: "go", 1.1: "turn", 6.9: "turn", 7.1: "go"}


def test_places_of_one_that_says_nothing_any_more_are_free_after_half_a_minute(
    namespace: str,
) -> None:
    turns = Turns({}, namespace)
    for number in range(8):
        assert turns.turn(BEGAN, process="q", active=number, first=first(number)).why == "go"
    said = {after: turns.turn(BEGAN + after, first=first(1)).why for after in (0.1, 29.9, 30.1)}
    assert said == {0.1: "places", 29.9: "places", 30.1: "go"}
