"""The line before a service: no limit is exceeded, nobody overtaken, nothing left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from _virtual_time import run
from mmcrime.calls.estimate import total_tokens
from mmcrime.calls.limits import Limited, Limiter
from mmcrime.calls.window import SPAN, Window
from mmcrime.config import ProviderSettings
from mmcrime.errors import BudgetExceededError, RateLimitedError, UnavailableError, UnfitMediaError
from mmcrime.plugins import Provider, RateStatus, Request, Response, TokenUsage

QUESTION = Request(instructions="?", parts=(), max_output_tokens=1000)


class Service(Provider):
    """Answers after a while, or fails, as it is told call by call."""

    endpoint = "https://service.test"

    def __init__(self, *outcomes: Response | Exception, seconds: float = 0.0) -> None:
        self.model = "m"
        self.asked: list[float] = []
        self._outcomes: Iterator[Response | Exception] = iter(outcomes)
        self._seconds = seconds

    async def generate(self, request: Request) -> Response:
        self.asked.append(asyncio.get_running_loop().time())
        outcome = next(self._outcomes, answer())
        await asyncio.sleep(self._seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def answer(**given: Any) -> Response:
    return Response(status="answered", text="yes", model="m", **given)


def line(**limits: int) -> Limiter:
    return Limiter("acme", ProviderSettings(**limits))


def slow_down(**given: Any) -> RateLimitedError:
    return RateLimitedError("429", provider="acme", **given)


def limited(service: Provider, limiter: Limiter, deadline: float | None = None) -> Limited:
    return Limited(service, name="acme", limiter=limiter, deadline=deadline)


async def ask(provider: Provider, times: int) -> None:
    await asyncio.gather(*(provider.generate(QUESTION) for _ in range(times)))


def asked_after(
    work: Callable[[Service], Coroutine[Any, Any, Any]], service: Service
) -> list[float]:
    """Run the work on virtual time; return when the service was asked, from the first."""
    run(work(service))
    return [round(t - service.asked[0], 1) for t in service.asked]


def test_a_minute_holds_as_many_requests_as_configured() -> None:
    times = asked_after(lambda s: ask(limited(s, line(requests_per_minute=3)), 7), Service())
    assert times == [0, 0, 0, SPAN, SPAN, SPAN, 2 * SPAN]


def test_a_minute_holds_as_many_reserved_tokens_as_configured() -> None:
    each = total_tokens(QUESTION, Service.capabilities)
    limiter = line(tokens_per_minute=2 * each + 1)
    assert asked_after(lambda s: ask(limited(s, limiter), 5), Service()) == [
        *(0, 0),
        *(SPAN, SPAN),
        2 * SPAN,
    ]


def test_no_more_than_max_concurrency_are_under_way() -> None:
    limiter = line(max_concurrency=2)
    times = asked_after(lambda s: ask(limited(s, limiter), 6), Service(seconds=5))
    assert times == [0, 0, 5, 5, 10, 10]


def test_a_request_that_no_minute_holds_is_refused_at_once_and_names_the_setting() -> None:
    service = Service()

    async def work() -> float:
        with pytest.raises(UnfitMediaError, match=r"providers\.acme\.tokens_per_minute=500") as e:
            await limited(service, line(tokens_per_minute=500)).generate(QUESTION)
        assert not e.value.retryable
        assert not e.value.may_be_billed
        return asyncio.get_running_loop().time()

    assert run(work()) == 1000
    assert not service.asked


def test_use_beyond_the_reservation_is_a_debt_and_use_below_it_stays_reserved() -> None:
    each = total_tokens(QUESTION, Service.capabilities)

    def times(used: int) -> list[float]:
        service = Service(answer(usage=TokenUsage(input=used, output=0)))

        async def work(service: Service) -> None:
            provider = limited(service, line(tokens_per_minute=2 * each))
            await provider.generate(QUESTION)
            await provider.generate(QUESTION)
            await provider.generate(QUESTION)

        return asked_after(work, service)

    assert times(each) == times(1) == [0, 0, SPAN]
    assert times(each + 1) == [0, SPAN, SPAN]


def test_a_large_request_is_not_overtaken_by_small_ones() -> None:
    order: list[int] = []

    async def work() -> None:
        limiter = line(tokens_per_minute=100)

        async def one(tokens: int) -> None:
            await limiter.enter(tokens, deadline=None)
            order.append(tokens)
            limiter.leave()

        await asyncio.gather(*(one(tokens) for tokens in (60, 90, 1, 2, 3)))

    run(work())
    assert order == [60, 90, 1, 2, 3]


def test_a_turn_after_the_deadline_is_refused_without_waiting() -> None:
    service = Service()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        limiter = line(requests_per_minute=2)
        await ask(limited(service, limiter), 2)
        with pytest.raises(RateLimitedError, match="requests_per_minute=2") as refusal:
            await limited(service, limiter, loop.time() + 30).generate(QUESTION)
        assert loop.time() == 1000
        assert refusal.value.retry_after == pytest.approx(SPAN)
        assert (refusal.value.retryable, refusal.value.may_be_billed) == (False, False)
        await limited(service, limiter, loop.time() + 61).generate(QUESTION)  # this one waits

    run(work())
    assert len(service.asked) == 3


def test_those_ahead_in_the_line_are_reckoned_with() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        limiter = line(requests_per_minute=2)
        waiting = asyncio.gather(*(limiter.enter(1, deadline=None) for _ in range(4)))
        await asyncio.sleep(0)
        with pytest.raises(RateLimitedError):
            await limiter.enter(1, deadline=loop.time() + 2 * SPAN - 0.1)
        assert loop.time() == 1000
        await waiting

    run(work())


def test_a_deadline_that_passes_while_all_places_are_taken_ends_the_wait() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        limiter = line(max_concurrency=1)
        await limiter.enter(1, deadline=None)
        with pytest.raises(RateLimitedError, match="max_concurrency=1"):
            await limiter.enter(1, deadline=loop.time() + 7)
        assert loop.time() == 1007
        limiter.leave()
        await limiter.enter(1, deadline=loop.time() + 1)

    run(work())


def test_after_the_deadline_nothing_is_sent() -> None:
    service = Service()
    with pytest.raises(BudgetExceededError, match="deadline"):
        run(limited(service, line(), deadline=999).generate(QUESTION))
    assert not service.asked


@pytest.mark.parametrize("woken", [False, True])
def test_a_cancelled_wait_leaves_no_trace(woken: bool) -> None:
    async def work() -> None:
        limiter = line(max_concurrency=1, tokens_per_minute=100)
        await limiter.enter(10, deadline=None)
        waiting = asyncio.create_task(limiter.enter(90, deadline=None))
        behind = asyncio.create_task(limiter.enter(90, deadline=None))
        await asyncio.sleep(1)
        if woken:
            limiter.leave()  # its turn has come, and it has not looked yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if not woken:
            limiter.leave()
        place = await behind  # nothing that was cancelled is in its way
        assert place.at == 1001

    run(work())


def test_a_cancelled_call_gives_its_place_to_the_next() -> None:
    async def work() -> None:
        provider = limited(Service(seconds=1e6), line(max_concurrency=1))
        first = asyncio.create_task(provider.generate(QUESTION))
        await asyncio.sleep(1)
        second = asyncio.create_task(provider.generate(QUESTION))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.wait({first, second}, timeout=1)
        assert first.cancelled()
        assert not second.done()
        second.cancel()
        await asyncio.wait({second})

    service = Service()
    run(work())
    assert not service.asked


def test_everybody_waits_as_long_as_the_service_asked_one_of_them() -> None:
    service = Service(slow_down(retry_after=20))

    async def work(service: Service) -> None:
        provider = limited(service, line())
        with pytest.raises(RateLimitedError):
            await provider.generate(QUESTION)
        await asyncio.gather(*(provider.generate(QUESTION) for _ in range(2)))

    assert asked_after(work, service)[:2] == [0, 20]


def test_a_wait_of_an_hour_is_refused_unless_a_deadline_allows_it() -> None:
    service = Service(slow_down(retry_after=3600))

    async def work() -> None:
        limiter = line()
        with pytest.raises(RateLimitedError, match="429"):
            await limited(service, limiter).generate(QUESTION)
        with pytest.raises(RateLimitedError, match="asked to wait"):
            await limited(service, limiter).generate(QUESTION)
        assert asyncio.get_running_loop().time() == 1000
        await limited(service, limiter, deadline=1000 + 3700).generate(QUESTION)
        assert asyncio.get_running_loop().time() == 1000 + 3600

    run(work())


def test_the_rate_is_halved_once_for_all_that_was_under_way() -> None:
    window = Window(setting="s", unit="requests", limit=60)
    window.add(0, 40)
    window.slow(0, 1)
    assert window.ready(1, 20) == 1
    assert window.ready(1, 21) > 1

    async def work() -> None:
        limiter = line(requests_per_minute=60, max_concurrency=100)
        places = [await limiter.enter(1, deadline=None) for _ in range(40)]
        for place in places:
            limiter.refused(place, slow_down(retry_after=0))
        for _ in range(20):
            await limiter.enter(1, deadline=None)
        assert asyncio.get_running_loop().time() == 1000
        await limiter.enter(1, deadline=None)
        assert asyncio.get_running_loop().time() > 1000

    run(work())


def test_a_rate_that_was_halved_grows_back_to_the_limit_and_not_beyond() -> None:
    window = Window(setting="s", unit="requests", limit=60)
    window.add(0, 60)
    window.slow(0, 0)
    allowed = [max(n for n in range(1, 61) if window.ready(t, n) <= t) for t in (70, 90, 119, 121)]
    assert allowed == sorted(allowed)
    assert allowed[-1] == 60
    assert window.ready(121, 61) > 1e9


def test_a_service_without_known_limits_is_slowed_by_what_it_refused() -> None:
    async def work() -> list[float]:
        limiter = line(max_concurrency=100)
        places = [await limiter.enter(10, deadline=None) for _ in range(8)]
        limiter.refused(places[-1], slow_down(retry_after=1))
        passed = []
        for _ in range(200):
            passed.append((await limiter.enter(10, deadline=None)).at)
            limiter.leave()
        return passed

    times = run(work())
    assert times[3] == 1001
    assert times[4] > 1001.5
    assert times[-1] < 1001 + 120  # the brake comes off again


def test_a_used_up_quota_slows_nobody_down() -> None:
    service = Service(slow_down(retryable=False, retry_after=50))

    async def work(service: Service) -> None:
        provider = limited(service, line())
        with pytest.raises(RateLimitedError):
            await provider.generate(QUESTION)
        await ask(provider, 3)

    assert asked_after(work, service) == [0, 0, 0, 0]


def told(limiter: Limiter, status: RateStatus, times: int) -> list[float]:
    """Return when requests pass after one that was answered with this status."""

    async def work() -> list[float]:
        first = await limiter.enter(10, deadline=None)
        limiter.answered(first, answer(rate=status))
        limiter.leave()
        passed = []
        for _ in range(times):
            passed.append((await limiter.enter(10, deadline=None)).at - first.at)
            limiter.leave()
        return passed

    return run(work())


def test_the_services_own_limit_tightens_and_never_loosens() -> None:
    assert told(line(requests_per_minute=5), RateStatus(requests_per_minute=2), 2) == [0, SPAN]
    assert told(line(requests_per_minute=2), RateStatus(requests_per_minute=5), 2) == [0, SPAN]
    assert told(line(), RateStatus(tokens_per_minute=20), 2) == [0, SPAN]


def test_what_the_service_says_is_left_is_not_exceeded_before_it_refills() -> None:
    status = RateStatus(requests_per_minute=60, requests_left=1, requests_reset=59)
    assert told(line(), status, 3) == pytest.approx([0, 1, 2])
    unknown = RateStatus(tokens_left=15, tokens_reset=30)
    assert told(line(), unknown, 2) == pytest.approx([0, 30])


@pytest.mark.parametrize(
    "status",
    [
        RateStatus(requests_per_minute=0, tokens_per_minute=-5),
        RateStatus(requests_per_minute=float("nan"), tokens_per_minute=float("inf")),
        RateStatus(requests_left=float("nan"), requests_reset=5),
        RateStatus(requests_left=0, requests_reset=float("inf")),
        RateStatus(requests_left=0, requests_reset=-1),
        RateStatus(tokens_left=0, tokens_reset=86_400),  # a day's quota, not a rate
    ],
)
def test_limits_that_cannot_be_meant_are_passed_over(status: RateStatus) -> None:
    assert told(line(), status, 3) == [0, 0, 0]


def test_a_limit_that_shrinks_below_a_waiting_request_refuses_it() -> None:
    async def work() -> None:
        limiter = line(max_concurrency=1)
        first = await limiter.enter(10, deadline=None)
        waiting = asyncio.create_task(limiter.enter(5000, deadline=None))
        await asyncio.sleep(1)
        limiter.answered(first, answer(rate=RateStatus(tokens_per_minute=1000)))
        limiter.leave()
        with pytest.raises(UnfitMediaError, match="service's own limit of 1000 tokens"):
            await waiting

    run(work())


def test_other_failures_do_not_slow_down() -> None:
    service = Service(UnavailableError("502", provider="acme"))

    async def work(service: Service) -> None:
        provider = limited(service, line(max_concurrency=1))
        with pytest.raises(UnavailableError):
            await provider.generate(QUESTION)
        await ask(provider, 2)

    assert asked_after(work, service) == [0, 0, 0]


def test_a_window_of_millions_of_tokens_takes_no_memory_for_them() -> None:
    window = Window(setting="s", unit="tokens", limit=10**12)
    for step in range(10_000):
        window.add(step / 1000, 10**7)
    assert len(window._times) <= 10 / 0.05 + 1
    assert window.used(10) == 10_000 * 10**7


def test_a_window_without_a_limit_forgets_what_is_old_as_well() -> None:
    window = Window(setting="s", unit="tokens", limit=None)
    for step in range(10_000):
        window.add(float(step), 1)
    assert len(window._times) < 5_000


def test_what_passes_close_together_counts_until_the_last_of_it_is_a_minute_old() -> None:
    window = Window(setting="s", unit="tokens", limit=10)
    for at in (100.0, 100.01, 100.02):
        window.add(at, 3)
    assert window.ready(101, 8) == 100.02 + SPAN
    assert window.used(100.02 + SPAN - 1e-6) == 9
    assert window.used(100.02 + SPAN) == 0


def test_what_was_said_of_an_older_request_does_not_replace_what_is_newer() -> None:
    async def work() -> float:
        limiter = line()
        older, newer = [await limiter.enter(10, deadline=None) for _ in range(2)]
        for place, left in ((newer, 0), (older, 50)):
            status = RateStatus(requests_left=left, requests_reset=40)
            limiter.answered(place, answer(rate=status))
            limiter.leave()
        return (await limiter.enter(10, deadline=None)).at - newer.at

    assert run(work()) == 40


def test_it_waits_on_a_real_loop_too() -> None:
    async def work() -> float:
        began = time.monotonic()
        await ask(limited(Service(seconds=0.05), line(max_concurrency=2)), 6)
        return time.monotonic() - began

    assert asyncio.run(work()) >= 0.15
