"""What the calls of one analyzer come to is counted where they are made."""

from __future__ import annotations

import asyncio
import contextlib

from mmcrime.calls.meter import Meter, attempted, current_meter, mark_sent, metered
from mmcrime.plugins import Response, TokenUsage
from mmcrime.results import Cost, Usage
from spending import in_loop

UNKNOWN = Cost(detail="the price of 'm' is not known")


def told(usd: float, detail: str = "a") -> Cost:
    return Cost(usd=usd, source="price_table", detail=detail)


def answer(*, cached: bool = False) -> Response:
    return Response(status="answered", text="{}", model="m", cached=cached)


def test_calls_tokens_and_money_add_up() -> None:
    meter = Meter()
    meter.sent(told(0.25), TokenUsage(input=10, output=3))
    meter.sent(told(0.5), TokenUsage(input=5, output=1))
    assert meter.usage == Usage(calls=2, input_tokens=15, output_tokens=4)
    assert meter.cost == Cost(usd=0.75, source="price_table", detail="a")


def test_a_failed_attempt_is_a_call_without_tokens() -> None:
    meter = Meter()
    meter.sent(told(0.5))
    assert meter.usage == Usage(calls=1, input_tokens=None, output_tokens=None)
    meter.sent(told(0.0), TokenUsage(input=4, output=0))
    assert meter.usage == Usage(calls=2, input_tokens=4, output_tokens=0)


def test_one_unknown_cost_makes_the_sum_unknown_and_says_why() -> None:
    meter = Meter()
    meter.sent(told(0.5))
    meter.sent(UNKNOWN)
    assert meter.cost == UNKNOWN


def test_the_sum_names_every_source_of_prices_once() -> None:
    meter = Meter()
    for detail in ("a", "b", "a"):
        meter.sent(told(1.0, detail))
    assert meter.cost.detail == "a; b"
    assert meter.cost.source == "price_table"


def test_prices_of_the_user_among_those_of_the_table_are_named() -> None:
    meter = Meter()
    meter.sent(told(1.0))
    meter.sent(Cost(usd=1.0, source="user", detail="u"))
    assert meter.cost == Cost(usd=2.0, source="user", detail="a; u")


def test_nothing_sent_costs_nothing_only_if_a_stored_answer_served() -> None:
    """An analyzer that asked nobody has no cost that could be stated."""
    meter = Meter()
    assert meter.cost == Cost()
    meter.answered(answer(cached=True))
    assert meter.cost == Cost(usd=0.0, source="cache")
    assert meter.cached
    assert meter.usage.calls == 0


def test_one_sent_call_among_stored_answers_is_not_cached() -> None:
    meter = Meter()
    meter.answered(answer(cached=True))
    meter.sent(told(0.5))
    last = answer()
    meter.answered(last)
    assert not meter.cached
    assert meter.hits == 1
    assert meter.last is last
    assert meter.cost.usd == 0.5


@in_loop
async def test_tasks_that_are_begun_inside_count_and_others_do_not() -> None:
    async def call() -> None:
        meter = current_meter()
        if meter is not None:
            meter.sent(told(1.0))

    async def analyzer(calls: int) -> Meter:
        with metered() as meter:
            await asyncio.gather(*(call() for _ in range(calls)))
            await asyncio.to_thread(lambda: None)
        return meter

    outside = asyncio.create_task(call())
    meters = await asyncio.gather(analyzer(2), analyzer(3), analyzer(0))
    await outside
    assert [meter.calls for meter in meters] == [2, 3, 0]
    assert current_meter() is None


def test_the_meter_is_put_back_after_a_failure() -> None:
    with metered() as outer:
        with contextlib.suppress(RuntimeError), metered() as inner:
            assert current_meter() is inner
            raise RuntimeError
        assert current_meter() is outer
    assert current_meter() is None


def test_a_stored_answer_is_cached_whoever_failed_before_it() -> None:
    """The attempts of a provider that is down do not make the answer of another one new."""
    meter = Meter()
    meter.sent(UNKNOWN)
    meter.answered(answer(cached=True))
    assert meter.cached
    assert meter.cost == UNKNOWN


def test_an_attempt_around_another_hears_that_the_request_left() -> None:
    with attempted() as outer:
        with attempted():
            pass
        assert not outer.sent
        with attempted():
            mark_sent()
        assert outer.sent
