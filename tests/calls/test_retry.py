"""Attempts of one call: only where they may help, when the service asked for, in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from _virtual_time import run
from mmcrime.calls.retry import Retrying
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    EgressError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Provider, Request, Response

QUESTION = Request(instructions="?", parts=())
ANSWER = Response(status="answered", text="yes", model="m")


class Service(Provider):
    """Fails as it is told, call by call, then answers."""

    def __init__(self, *failures: BaseException, seconds: float = 0.0) -> None:
        self.asked: list[float] = []
        self._failures: Iterator[BaseException] = iter(failures)
        self._seconds = seconds

    async def generate(self, request: Request) -> Response:
        self.asked.append(asyncio.get_running_loop().time() - 1000)
        await asyncio.sleep(self._seconds)
        for failure in self._failures:
            raise failure
        return ANSWER


def ask(service: Service, *, deadline: float | None = None, **given: Any) -> Response:
    """Ask on virtual time, which begins at 0 seconds as far as this module is concerned."""
    absolute = None if deadline is None else 1000 + deadline
    return run(Retrying(service, name="acme", deadline=absolute, **given).generate(QUESTION))


def down(**given: Any) -> UnavailableError:
    return UnavailableError("502 from the service.", provider="acme", **given)


def busy(seconds: float | None) -> RateLimitedError:
    return RateLimitedError("429", provider="acme", retry_after=seconds)


def test_what_may_help_is_tried_again() -> None:
    service = Service(down(), busy(None), down())
    assert ask(service) == ANSWER
    assert len(service.asked) == 4


@pytest.mark.parametrize(
    "failure",
    [
        AuthenticationError("401", provider="acme"),
        ProviderError("400", provider="acme"),
        InvalidResponseError("no JSON", provider="acme"),
        RateLimitedError("quota", provider="acme", retryable=False, retry_after=1),
        UnavailableError("open", provider="acme", retryable=False),
        BudgetExceededError("cap"),
        EgressError("offline"),
        ConfigError("wrong"),
        ValueError("a stranger's mistake"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_would_not_help_is_raised_as_it_is(failure: Exception) -> None:
    service = Service(failure)
    with pytest.raises(type(failure)) as raised:
        ask(service)
    assert raised.value is failure
    assert service.asked == [0]


def test_the_wait_is_what_the_current_error_asks_for_and_a_little_more() -> None:
    service = Service(busy(7), busy(0.5), busy(60))
    ask(service)
    waits = [b - a for a, b in zip(service.asked, service.asked[1:], strict=False)]
    assert 7 <= waits[0] <= 7.8
    assert 0.5 <= waits[1] <= 0.65
    assert 60 <= waits[2] <= 62


def test_without_a_word_from_the_service_waits_are_random_below_a_bound_that_doubles() -> None:
    rounds = []
    for _ in range(200):
        service = Service(*(down() for _ in range(7)))
        ask(service, attempts=8)
        rounds.append([b - a for a, b in zip(service.asked, service.asked[1:], strict=False)])
    for waits, bound in zip(zip(*rounds, strict=True), (1, 2, 4, 8, 16, 30, 30), strict=True):
        assert max(waits) <= bound
        assert max(waits) > 0.9 * bound
        assert min(waits) < 0.1 * bound


@pytest.mark.parametrize("nonsense", [-5.0, float("nan"), float("inf")])
def test_a_wait_that_cannot_be_meant_is_passed_over(nonsense: float) -> None:
    service = Service(busy(nonsense))
    ask(service)
    assert 0 <= service.asked[1] <= 1


def test_the_last_error_says_how_often_was_tried() -> None:
    service = Service(*(down(next_step="Look at its status page.") for _ in range(9)))
    with pytest.raises(UnavailableError) as raised:
        ask(service, attempts=3)
    assert len(service.asked) == 3
    assert str(raised.value) == ("502 from the service (asked 3 times). Look at its status page.")
    assert raised.value.provider == "acme"
    assert raised.value.may_be_billed
    assert isinstance(raised.value.__cause__, UnavailableError)


def test_an_error_class_of_a_stranger_stays_what_it_is() -> None:
    class OddError(UnavailableError):
        def __init__(self, code: int) -> None:
            super().__init__(f"odd {code}", provider="acme")
            self.code = code

    with pytest.raises(OddError, match=r"odd 7 \(asked 2 times\)") as raised:
        ask(Service(OddError(7), OddError(7)), attempts=2)
    assert raised.value.code == 7


def test_an_error_that_is_raised_again_and_again_does_not_grow() -> None:
    failure = down()
    for _ in range(2):
        with pytest.raises(UnavailableError) as raised:
            ask(Service(failure, failure), attempts=2)
        assert raised.value.message == "502 from the service (asked 2 times)."


def test_no_wait_ends_after_the_deadline() -> None:
    service = Service(busy(30), busy(30), busy(30))
    with pytest.raises(RateLimitedError, match="asked 2 times; not again, because the deadline"):
        ask(service, deadline=59)
    assert len(service.asked) == 2
    assert service.asked[-1] < 33  # and raised then, not at the deadline


def test_one_deadline_holds_for_all_attempts() -> None:
    service = Service(*(down() for _ in range(50)), seconds=10)
    with pytest.raises(UnavailableError, match="deadline"):
        ask(service, deadline=35, attempts=50)
    assert 2 <= len(service.asked) <= 4


def test_a_budget_that_stops_a_further_attempt_does_not_hide_why_the_last_one_failed() -> None:
    refused = BudgetExceededError("budget.usd_per_run is 1.0 USD.", next_step="Raise it.")
    service = Service(down(), down(), refused)
    with pytest.raises(UnavailableError, match=r"502 .*\(asked 2 times; not again, .*1\.0 USD\)"):
        ask(service)
    assert len(service.asked) == 3
    with pytest.raises(BudgetExceededError, match=r"usd_per_run"):
        ask(Service(refused))
    with pytest.raises(UnavailableError) as stopped:
        ask(Service(down(), refused))
    assert stopped.value.out_of_time  # of this run: another one has a budget of its own


def test_after_the_deadline_nobody_is_asked() -> None:
    service = Service()
    with pytest.raises(BudgetExceededError, match="deadline passed before 'acme'"):
        ask(service, deadline=0)
    assert not service.asked


def test_a_wait_of_an_hour_is_not_begun_unless_a_deadline_allows_it() -> None:
    service = Service(busy(3600))
    with pytest.raises(RateLimitedError, match=r"asked once; not again.* 3600 s"):
        ask(service)
    assert ask(Service(busy(120))) == ANSWER
    assert ask(Service(busy(3600)), deadline=4000) == ANSWER


@pytest.mark.parametrize("service", [lambda: Service(busy(60)), lambda: Service(seconds=60)])
def test_a_cancelled_call_ends_at_once(service: Callable[[], Service]) -> None:
    asked = service()

    async def work() -> float:
        retrying = Retrying(asked, name="acme", deadline=None)
        call = asyncio.create_task(retrying.generate(QUESTION))
        await asyncio.sleep(5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return asyncio.get_running_loop().time() - 1000

    assert run(work()) == 5
    assert len(asked.asked) == 1


def test_calls_at_the_same_time_count_their_own_attempts() -> None:
    class Half(Service):
        async def generate(self, request: Request) -> Response:
            if request.recipe == "bad":
                self.asked.append(0)
                raise down()
            return ANSWER

    service = Half()

    async def work() -> list[Any]:
        retrying = Retrying(service, name="acme", deadline=None, attempts=2)
        bad = Request(instructions="?", parts=(), recipe="bad")
        return await asyncio.gather(
            *(retrying.generate(r) for r in (bad, QUESTION, bad)), return_exceptions=True
        )

    results = run(work())
    assert results[1] == ANSWER
    assert ["asked 2 times" in str(r) for r in results] == [True, False, True]
    assert len(service.asked) == 4
