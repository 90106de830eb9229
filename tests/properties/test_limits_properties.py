"""Random schedules before one service, on virtual time: no window is exceeded, none is wasted."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _virtual_time import run
from mmcrime.calls.limits import Limiter
from mmcrime.calls.window import SPAN, WINDOW, Window
from mmcrime.config import ProviderSettings
from mmcrime.errors import BudgetExceededError, RateLimitedError, UnfitMediaError
from mmcrime.plugins import RateStatus, Response, TokenUsage

SCHEDULES = 10_000


@dataclass(frozen=True)
class Arrival:
    """One request: when it comes, what it uses, how it ends."""

    at: float
    tokens: int
    used: int
    seconds: float
    ends: str
    deadline: float | None
    cancelled_after: float | None
    retry_after: float | None


@dataclass
class Seen:
    """What happened: who passed in which order, with which tokens, and who did not."""

    passed: list[tuple[float, int]] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    cancelled: int = 0
    refused: int = 0
    most_at_once: int = 0
    at_once: int = 0


def most_in_a_window(passed: list[tuple[float, int]]) -> tuple[int, int]:
    """Return the most requests and the most tokens of any 60 seconds."""
    inside: deque[tuple[float, int]] = deque()
    tokens = most_requests = most_tokens = 0
    for at, size in passed:
        inside.append((at, size))
        tokens += size
        while inside[0][0] <= at - WINDOW:
            tokens -= inside.popleft()[1]
        most_requests = max(most_requests, len(inside))
        most_tokens = max(most_tokens, tokens)
    return most_requests, most_tokens


async def play(limiter: Limiter, arrivals: list[Arrival]) -> Seen:
    """Let all arrivals come, wait, be served, fail or be cancelled."""
    loop = asyncio.get_running_loop()
    began, seen = loop.time(), Seen()

    async def one(number: int, arrival: Arrival) -> None:
        await asyncio.sleep(arrival.at)
        deadline = None if arrival.deadline is None else loop.time() + arrival.deadline
        place = await limiter.enter(arrival.tokens, deadline=deadline)
        seen.passed.append((loop.time() - began, arrival.tokens))
        seen.order.append(number)
        seen.at_once += 1
        seen.most_at_once = max(seen.most_at_once, seen.at_once)
        try:
            await asyncio.sleep(arrival.seconds)
            if arrival.ends == "429":
                limiter.refused(
                    place, RateLimitedError("", provider="p", retry_after=arrival.retry_after)
                )
            elif arrival.ends == "answer":
                usage = TokenUsage(input=arrival.used, output=0)
                limiter.answered(place, Response(status="answered", text="", model="", usage=usage))
        finally:
            seen.at_once -= 1
            limiter.leave()

    async def settled(number: int, arrival: Arrival) -> None:
        task = asyncio.create_task(one(number, arrival))
        if arrival.cancelled_after is not None:
            loop.call_later(arrival.at + arrival.cancelled_after, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            seen.cancelled += 1
        except (RateLimitedError, UnfitMediaError, BudgetExceededError):
            seen.refused += 1

    await asyncio.gather(*(settled(n, a) for n, a in enumerate(arrivals)))
    return seen


def schedule(seed: int) -> tuple[ProviderSettings, list[Arrival]]:
    """Return limits and arrivals; sizes, rates and mishaps differ between seeds by orders."""
    dice = random.Random(seed)  # noqa: S311
    rpm = dice.choice([None, 1, 3, 10, 60])
    tpm = dice.choice([None, 100, 1_000, 1_000_000])
    limits = ProviderSettings(
        requests_per_minute=rpm, tokens_per_minute=tpm, max_concurrency=dice.choice([1, 3, 50])
    )
    mishaps = dice.choice([0.0, 0.1, 0.5])
    spread = dice.choice([0.0, 1.0, 60.0, 300.0])
    largest = (tpm or 10_000) * dice.choice([0.01, 0.2, 0.7, 1.1])

    def some(value: float) -> float | None:
        return value if dice.random() < mishaps else None

    def arrival() -> Arrival:
        tokens = dice.randint(1, max(1, int(largest)))
        return Arrival(
            at=dice.uniform(0, spread),
            tokens=tokens,
            used=int(tokens * dice.uniform(0, 1.2)),
            seconds=dice.choice([0.0, 0.01, 2.0, 40.0]) * dice.random(),
            ends="429" if dice.random() < mishaps / 4 else dice.choice(["answer", "error"]),
            deadline=some(dice.uniform(0, 200)),
            cancelled_after=some(dice.uniform(0, 100)),
            retry_after=some(dice.uniform(0, 90)),
        )

    return limits, sorted((arrival() for _ in range(dice.randint(1, 25))), key=lambda a: a.at)


@pytest.mark.slow
def test_no_schedule_exceeds_a_window_or_leaves_anything_behind() -> None:
    passed = cancelled = refused = 0
    for seed in range(SCHEDULES):
        limits, arrivals = schedule(seed)
        limiter = Limiter("p", limits)
        seen = run(play(limiter, arrivals))
        requests, tokens = most_in_a_window(seen.passed)
        assert requests <= (limits.requests_per_minute or requests), seed
        assert tokens <= (limits.tokens_per_minute or tokens), seed
        assert seen.most_at_once <= limits.max_concurrency, seed
        assert seen.order == sorted(seen.order), f"{seed}: somebody was overtaken"
        assert not limiter._line, seed
        assert (limiter._line_tokens, limiter._active, limiter._timer) == (0, 0, None), seed
        passed, cancelled = passed + len(seen.passed), cancelled + seen.cancelled
        refused += seen.refused
    assert min(passed, cancelled, refused) > SCHEDULES / 2, "the schedules are too tame"


@pytest.mark.parametrize("seed", range(24))
def test_with_enough_demand_at_least_95_percent_is_used(seed: int) -> None:
    """Requests of more than a twentieth of the limit may leave as much of it free as they are."""
    dice = random.Random(seed)  # noqa: S311
    rpm = dice.choice([None, 5, 60, 300])
    tpm = dice.choice([10_000, 1_000_000]) if rpm is None else dice.choice([None, 100_000])
    limits = ProviderSettings(requests_per_minute=rpm, tokens_per_minute=tpm, max_concurrency=1000)
    largest = int((tpm or 1000) * dice.choice([0.005, 0.02, 0.3]))
    minutes = 12

    def sizes() -> list[int]:
        found: list[int] = []
        while sum(found) < (tpm or 1e9) * minutes and len(found) < (rpm or 1e9) * minutes:
            found.append(dice.randint(1, largest))
        return found

    arrivals = [
        Arrival(0.0, size, 0, dice.uniform(0, 5), "answer", None, None, None) for size in sizes()
    ]
    seen = run(play(Limiter("p", limits), arrivals))
    # Until the last one passed there was always demand; what passes repeats itself after a span.
    last = seen.passed[-1][0] // SPAN * SPAN
    before = [size for at, size in seen.passed if at < last]
    used = [] if rpm is None else [len(before) / (rpm * last / WINDOW)]
    if tpm is not None:
        free = 0 if largest <= 0.05 * tpm else largest * last / WINDOW
        used.append((sum(before) + free) / (tpm * last / WINDOW))
    assert last > 5 * WINDOW
    assert max(used) >= 0.95, (limits, largest, used)


@pytest.mark.parametrize("rpm", [20, 600])
def test_a_service_that_states_what_is_left_refuses_nobody_and_is_used_in_full(rpm: int) -> None:
    """The service is a bucket that refills steadily, as those are that state a reset."""

    async def work() -> float:
        loop = asyncio.get_running_loop()
        limiter = Limiter("p", ProviderSettings(max_concurrency=8))
        level, seen_at = float(rpm), loop.time()
        count = rpm * 10

        async def one() -> None:
            nonlocal level, seen_at
            place = await limiter.enter(100, deadline=None)
            level = min(rpm, level + (loop.time() - seen_at) * rpm / 60) - 1
            seen_at = loop.time()
            assert level >= -1e-6, "a 429"
            left = max(0.0, level)
            rate = RateStatus(
                requests_per_minute=rpm, requests_left=left, requests_reset=(rpm - left) * 60 / rpm
            )
            await asyncio.sleep(0.2)
            limiter.answered(place, Response(status="answered", text="", model="", rate=rate))
            limiter.leave()

        began = loop.time()
        await asyncio.gather(*(one() for _ in range(count)))
        return count / (loop.time() - began) * 60

    assert run(work()) >= 0.95 * rpm


@given(
    limit=st.integers(1, 10**12),
    steps=st.lists(
        st.tuples(st.floats(0, 100), st.floats(0.0, 1.0, exclude_min=True)), max_size=40
    ),
)
def test_a_window_tells_the_first_moment_at_which_units_fit(
    limit: int, steps: list[tuple[float, float]]
) -> None:
    window, now, passed = Window(setting="s", unit="u", limit=limit), 0.0, []
    for pause, share in steps:
        units = max(1, int(limit * share))
        now += pause
        at = window.ready(now, units)
        assert at >= window.earliest(now, units)
        assert window.used(now) + units > limit or at == now
        now = at
        assert window.used(now) + units <= limit
        window.add(now, units)
        passed.append((now, units))
        assert most_in_a_window(passed)[1] <= limit
        assert window.ready(now, limit + 1) == float("inf")


@given(
    sizes=st.lists(st.integers(1, 100), min_size=1, max_size=30),
    before=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 100)), max_size=10),
)
def test_the_forecast_is_never_later_than_the_turn(
    sizes: list[int], before: list[tuple[float, int]]
) -> None:
    window, now = Window(setting="s", unit="u", limit=100), 0.0
    for pause, units in before:
        now = window.ready(now + pause, units)
        window.add(now, units)
    forecast = window.earliest(now, sum(sizes))
    for units in sizes:
        now = window.ready(now, units)
        window.add(now, units)
    assert forecast <= now
