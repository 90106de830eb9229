"""The line before a service that processes share; here two limiters stand for two processes."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from calls_kit import ANSWER, Service, question
from lines_kit import SPAN, Scene, answer, now, passes, played, slow_down

from mmcrime.calls.limits import Limited
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.errors import BudgetExceededError, RateLimitedError, UnfitMediaError
from mmcrime.plugins import RateStatus, TokenUsage
from shared_redis import raw


def test_requests_and_tokens_of_all_count_for_each(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here = scene.line(requests_per_minute=2)
        there = scene.line(requests_per_minute=2)
        first = await passes(here)
        await passes(there)
        assert await passes(here) >= first + SPAN
        tokens, more = (scene.line(tokens_per_minute=10**6) for _ in range(2))
        await passes(tokens, 600_000)
        at = await passes(more, 300_000)
        assert await passes(more, 200_000) >= at + SPAN - 0.1

    played(work, tmp_path)


def test_each_heeds_its_own_limits(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        strict, free = scene.line(requests_per_minute=1), scene.line()
        first = await passes(free)
        assert await passes(strict) >= first + SPAN
        stricter = scene.line(requests_per_minute=1, window=60)
        waiting = asyncio.create_task(passes(stricter))
        await asyncio.sleep(1.1)  # longer than a first in line is overtaken
        async with asyncio.timeout(10):
            await passes(free)  # not held up by one that must wait
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})

    played(work, tmp_path)


def test_places_are_those_of_all_and_are_given_back(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(max_concurrency=2), scene.line(max_concurrency=2)
        await here.enter(1, deadline=None)
        await here.enter(1, deadline=None)
        with pytest.raises(RateLimitedError, match=r"providers\.acme\.max_concurrency=2"):
            await there.enter(1, deadline=now() + 0.2)
        waiting = asyncio.create_task(there.enter(1, deadline=None))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        here.leave()
        await waiting
        here.leave()
        there.leave()

    played(work, tmp_path)


def test_within_a_process_nobody_is_overtaken(tmp_path: Path) -> None:
    async def work(scene: Scene) -> list[int]:
        line, order = scene.line(tokens_per_minute=100), list[int]()

        async def one(tokens: int) -> None:
            await passes(line, tokens)
            order.append(tokens)

        await asyncio.gather(*(one(tokens) for tokens in (60, 90, 1, 2, 3)))
        return order

    assert played(work, tmp_path) == [60, 90, 1, 2, 3]


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones_of_others(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        large, *small = (scene.line(tokens_per_minute=100) for _ in range(3))

        async def busy(line: SharedLimiter) -> None:
            while True:
                await passes(line, 10)
                await asyncio.sleep(0.01)

        others = [asyncio.create_task(busy(line)) for line in small]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            await passes(large, 95)
        for other in others:
            other.cancel()
        await asyncio.wait(others)

    played(work, tmp_path)


def test_use_beyond_the_reservation_is_a_debt_of_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = (scene.line(tokens_per_minute=100) for _ in range(2))
        place = await here.enter(10, deadline=None)
        here.answered(place, answer(usage=TokenUsage(input=80, output=10)))
        here.leave()
        await here.aclose()  # by then it is told
        assert await passes(there, 10) < place.at + SPAN
        assert await passes(there, 10) >= place.at + SPAN

    played(work, tmp_path)


def test_all_pause_after_a_refusal_and_the_rate_is_halved_once(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        lines = [scene.line(requests_per_minute=16) for _ in range(2)]
        places = [(line, await line.enter(1, deadline=None)) for line in lines for _ in range(4)]
        for line, place in places:
            line.refused(place, slow_down(retry_after=0.3))
            line.leave()
        for line in lines:
            await line.aclose()
        at = [await passes(lines[1]) for _ in range(4)]
        assert at[0] >= places[-1][1].at + 0.3
        assert at[-1] < at[0] + SPAN  # half of what had passed
        with pytest.raises(RateLimitedError, match="acme"):
            await lines[1].enter(1, deadline=now() + 0.1)

    played(work, tmp_path)


def test_a_used_up_quota_slows_nobody_down(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line()
        place = await line.enter(1, deadline=None)
        line.refused(place, slow_down(retryable=False, retry_after=50))
        line.leave()
        assert await passes(line) < place.at + 20

    played(work, tmp_path)


def test_a_wait_of_an_hour_is_refused_unless_a_deadline_allows_it(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(), scene.line()
        place = await here.enter(1, deadline=None)
        here.refused(place, slow_down(retry_after=3600))
        here.leave()
        await here.aclose()  # by then it is told
        began = now()
        for deadline in (None, now() + 600):
            with pytest.raises(RateLimitedError, match="asked to wait") as refusal:
                await there.enter(1, deadline=deadline)
            assert refusal.value.out_of_time is (deadline is not None)
            assert not refusal.value.retryable
        assert now() < began + 10

    played(work, tmp_path)


def test_what_the_service_states_holds_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(requests_per_minute=500), scene.line()
        place = await here.enter(10, deadline=None)
        status = RateStatus(requests_per_minute=2, tokens_per_minute=50)
        here.answered(place, answer(rate=status))
        here.leave()
        await here.aclose()  # by then it is told
        await passes(there)
        assert await passes(there) >= place.at + SPAN
        with pytest.raises(UnfitMediaError, match="service's own limit of 50 tokens"):
            await there.enter(51, deadline=None)

    played(work, tmp_path)


def test_what_the_service_says_is_left_holds_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(), scene.line()
        place = await here.enter(10, deadline=None)
        here.answered(place, answer(rate=RateStatus(requests_left=1, requests_reset=0.5)))
        here.leave()
        await here.aclose()  # by then it is told
        await passes(there)
        assert await passes(there) >= place.at + 0.45

    played(work, tmp_path)


@pytest.mark.parametrize("left", [math.nan, math.inf])
def test_limits_that_cannot_be_meant_are_passed_over(left: float, tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line()
        place = await line.enter(10, deadline=None)
        said = RateStatus(requests_per_minute=left, requests_left=left, requests_reset=50)
        line.answered(place, answer(rate=said))
        line.leave()
        assert await passes(line) < place.at + 20

    played(work, tmp_path)


def test_a_request_that_no_minute_holds_is_refused_at_once(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(UnfitMediaError, match=r"providers\.acme\.tokens_per_minute=500"):
            await scene.line(tokens_per_minute=500).enter(501, deadline=None)

    played(work, tmp_path)


def test_a_turn_after_the_deadline_is_refused_without_waiting(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(requests_per_minute=1, window=60)
        await passes(line)
        began = now()
        with pytest.raises(RateLimitedError, match="requests_per_minute=1") as refusal:
            await line.enter(1, deadline=began + 50)
        assert now() < began + 10
        assert refusal.value.out_of_time
        with pytest.raises(BudgetExceededError, match="deadline"):
            await line.enter(1, deadline=now())
        await passes(scene.line(requests_per_minute=2), deadline=now() + 10)

    played(work, tmp_path)


@pytest.mark.parametrize("ends", ["cancelled", "refused"])
def test_others_do_not_wait_for_one_that_has_gone_away(ends: str, tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(requests_per_minute=1, window=60)
        await passes(line)
        if ends == "refused":
            with pytest.raises(RateLimitedError):
                await line.enter(1, deadline=now() + 30)
        else:
            waiting = asyncio.create_task(line.enter(1, deadline=None))
            while not waits(scene):  # noqa: ASYNC110  # Redis sends no events
                await asyncio.sleep(0.005)
            waiting.cancel()
            await asyncio.wait({waiting})
        await line.aclose()
        assert not waits(scene)

    def waits(scene: Scene) -> bool:
        key = scene.links[0].key("limits", "acme", "e", "processes")
        return any("first" in json.loads(process) for process in raw().hvals(key))

    played(work, tmp_path)


@pytest.mark.parametrize("moment", ["in the line", "with its turn"])
def test_a_cancelled_wait_leaves_no_trace(moment: str, tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line, other = scene.line(max_concurrency=1), scene.line(max_concurrency=1)
        if moment == "in the line":
            await line.enter(1, deadline=None)
        waiting = asyncio.create_task(line.enter(1, deadline=None))
        behind = asyncio.create_task(line.enter(1, deadline=None))
        if moment == "in the line":
            await asyncio.sleep(0.05)
            waiting.cancel()
        else:
            let = line._let

            def and_cancel(*given: Any) -> None:
                let(*given)
                waiting.cancel()

            line._let = and_cancel  # type: ignore[method-assign]  # at just this moment
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        if moment == "in the line":
            line.leave()
        await behind
        line.leave()
        await other.enter(1, deadline=now() + 2)
        other.leave()

    played(work, tmp_path)


def test_a_call_goes_through_it_as_through_the_line_of_one_process(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(max_concurrency=1)
        service = Service(slow_down(retry_after=0.2), ANSWER)
        provider = Limited(service, name="acme", limiter=line, deadline=None)
        began = now()
        with pytest.raises(RateLimitedError, match="429"):
            await provider.generate(question())
        assert await provider.generate(question()) == ANSWER
        assert now() >= began + 0.2

    played(work, tmp_path)
