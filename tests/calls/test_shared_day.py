"""What a day has cost is counted once, exactly, and for all who share a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mmcrime.calls import shared_day
from mmcrime.calls.caps import Amount, Refusal
from mmcrime.calls.day_book import Booking
from mmcrime.calls.link import Link
from mmcrime.calls.shared_day import SharedDayBudget
from mmcrime.config import BudgetSettings
from mmcrime.errors import ConfigError
from shared_redis import URL, Cutter, OwnServer, own_namespace, raw
from spending import in_loop

PICOS = 10**12


@pytest.fixture
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


def link(namespace: str, folder: Path, url: str = URL, patience: float = 5.0) -> Link:
    return Link(url, namespace=namespace, directory=folder, patience=patience)


def caps(**values: float | None) -> BudgetSettings:
    return BudgetSettings(**{"usd_per_run": None, **values})  # type: ignore[arg-type]  # whatever is capped


def usd(dollars: int, *, tokens: int = 0) -> Amount:
    return Amount(picos=dollars * PICOS, calls=1, tokens=tokens)


async def booked(day: SharedDayBudget, ask: Amount, tenant: str = "default") -> Booking:
    booking = await day.reserve(tenant, ask)
    assert isinstance(booking, Booking)
    return booking


@in_loop
async def test_two_machines_share_the_caps_of_a_day_for_each_tenant(
    namespace: str, tmp_path: Path
) -> None:
    one, other = (link(namespace, tmp_path / name) for name in ("one", "other"))
    settings = caps(usd_per_day=5, calls_per_day=3, tokens_per_day=100)
    here, there = SharedDayBudget(one, settings), SharedDayBudget(other, settings)
    booking = await booked(here, usd(3, tokens=40))
    assert booking.day == datetime.now(UTC).date().isoformat()
    refusal = await there.reserve("default", usd(3))
    assert isinstance(refusal, Refusal)
    assert (refusal.part, refusal.over) == ("picos", PICOS)
    assert "3.000000 USD spent today" in str(refusal.error)
    assert isinstance(await there.reserve("default", usd(1, tokens=61)), Refusal)
    await booked(there, usd(3), tenant="some:one else")
    await here.settle(booking, usd(1, tokens=10))
    await booked(there, usd(4, tokens=90))
    assert (await here.spent()).usd == 5
    await booked(here, Amount(calls=1))
    refusal = await there.reserve("default", Amount(calls=1))
    assert isinstance(refusal, Refusal)
    assert refusal.part == "calls"
    await one.aclose()
    await other.aclose()


@in_loop
async def test_counts_are_exact_beyond_what_a_double_holds(namespace: str, tmp_path: Path) -> None:
    """Of 9007.2 US dollars on, doubles skip every other picodollar."""
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps(usd_per_day=9008))
    cap = 9008 * PICOS
    await booked(day, Amount(picos=cap - 3, calls=1))
    assert isinstance(await day.reserve("default", Amount(picos=4, calls=1)), Refusal)
    await booked(day, Amount(picos=3, calls=1))
    refusal = await day.reserve("default", Amount(picos=1, calls=1))
    assert isinstance(refusal, Refusal)
    assert refusal.over == 1
    assert isinstance(await day.reserve("default", Amount(calls=1, unpriced=1)), Refusal)
    await booked(day, Amount(calls=1))  # a free call passes
    await held.aclose()


@in_loop
async def test_a_cost_beyond_all_counting_fills_the_day(namespace: str, tmp_path: Path) -> None:
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps(usd_per_day=10**9))
    booking = await booked(day, usd(5))
    await day.settle(booking, Amount(picos=10**30, calls=1))
    await booked(day, Amount(calls=1))
    with pytest.raises(ConfigError, match="cost more than can be counted"):
        await day.reserve("default", usd(1))
    await held.aclose()


@in_loop
async def test_a_booking_whose_reply_is_lost_counts_once(namespace: str, tmp_path: Path) -> None:
    with Cutter() as way:
        held = link(namespace, tmp_path, way.url)
        day = SharedDayBudget(held, caps(usd_per_day=100))
        first = await booked(day, usd(2))
        way.lose = 1
        await booked(day, usd(2))
        assert way.lose == 0
        way.lose = 1
        await day.settle(first, usd(1))
        assert way.lose == 0
        assert (await day.spent()).usd == 3
        await held.aclose()


@in_loop
async def test_a_booking_that_is_cancelled_is_taken_back(namespace: str, tmp_path: Path) -> None:
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps(usd_per_day=100))
    for turns in range(12):
        task = asyncio.create_task(day.reserve("default", usd(2)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # And once it is booked, before the caller knows.
    task = asyncio.create_task(day.reserve("default", usd(2)))
    await asyncio.sleep(0)
    day._pending[-1].outcome.add_done_callback(lambda _: task.cancel())
    with pytest.raises(asyncio.CancelledError):
        await task
    await day.aclose()
    await day.aclose()
    assert (await day.spent()).usd == 0
    await held.aclose()


@in_loop
async def test_what_comes_together_is_booked_in_one_round_trip(
    namespace: str, tmp_path: Path
) -> None:
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps(usd_per_day=30))
    await booked(day, usd(0))
    with raw() as redis:
        outcomes = await asyncio.gather(*(day.reserve("default", usd(1)) for _ in range(50)))
        assert sum(isinstance(outcome, Booking) for outcome in outcomes) == 30
        assert len(redis.keys(f"{namespace}:1:batch:*")) == 2
    await held.aclose()


@in_loop
async def test_without_a_cap_a_day_is_counted_all_the_same(namespace: str, tmp_path: Path) -> None:
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps())
    day.settle_soon(await booked(day, usd(4)), usd(3))
    capped = SharedDayBudget(held, caps(usd_per_day=3))
    assert (await day.spent()).usd == 3
    assert isinstance(await capped.reserve("default", usd(1)), Refusal)
    await held.aclose()


@in_loop
async def test_a_redis_that_lost_the_day_refuses_what_is_capped_until_somebody_accepts_it(
    tmp_path: Path,
) -> None:
    with OwnServer(tmp_path / "data") as server:
        held = link("shop", tmp_path, server.url)
        day, uncapped = SharedDayBudget(held, caps(usd_per_day=9)), SharedDayBudget(held, caps())
        booking = await booked(day, usd(7))
        server.restart()
        with pytest.raises(ConfigError, match="has lost what was spent on") as refused:
            await day.reserve("default", usd(3))
        await day.settle(booking, usd(1))  # of what is not there any more
        await booked(uncapped, usd(3))
        with pytest.raises(ConfigError):
            await day.reserve("default", usd(3))
        assert "appendonly yes" in refused.value.next_step
        command = refused.value.next_step.rpartition("redis-cli ")[2].split()
        assert command == ["HDEL", "shop:1:epoch", "lost"]
        with raw(server.url) as redis:
            redis.execute_command(*command)
        await booked(day, usd(6))
        assert (await day.spent()).usd == 9
        await held.aclose()


@in_loop
async def test_while_redis_is_away_nothing_is_booked_anywhere(tmp_path: Path) -> None:
    server = OwnServer(tmp_path / "data")
    held = link("shop", tmp_path, server.url, patience=0.2)
    for settings in (caps(usd_per_day=9), caps()):
        with pytest.raises(ConfigError, match="cannot be used"):
            await SharedDayBudget(held, settings).reserve("default", usd(1))
    await held.aclose()


@in_loop
async def test_a_damaged_count_stops_what_is_capped(namespace: str, tmp_path: Path) -> None:
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps(usd_per_day=9))
    booking = await booked(day, usd(1))
    with raw() as redis:
        redis.hset(f"{namespace}:1:day:{booking.day}", "picos:default", "none")
    with pytest.raises(ConfigError, match="not an integer"):
        await day.reserve("default", usd(1))
    await held.aclose()


@in_loop
async def test_a_day_expires_eight_days_after_it_ended_and_never_while_it_counts(
    namespace: str, tmp_path: Path
) -> None:
    held = link(namespace, tmp_path)
    day = SharedDayBudget(held, caps(usd_per_day=9))
    ended = (datetime.now(UTC).date() - timedelta(days=3)).isoformat()
    with raw() as redis:
        redis.set(f"{namespace}:1:day", ended)
        redis.hset(f"{namespace}:1:day:{ended}", "picos:default", PICOS)
        today = (await booked(day, usd(1))).day
        assert redis.ttl(f"{namespace}:1:day:{today}") == -1
        assert 0 < redis.ttl(f"{namespace}:1:day:{ended}") <= 8 * 24 * 3600
        assert redis.get(f"{namespace}:1:day") == today.encode()
        # What is corrected late counts on its own day, and makes no day that has gone.
        await day.settle(Booking(tenant="default", day=ended, amount=usd(1)), usd(0))
        assert redis.hget(f"{namespace}:1:day:{ended}", "picos:default") == b"0"
        await day.settle(Booking(tenant="default", day="2026-01-01", amount=usd(1)), usd(2))
        assert not redis.exists(f"{namespace}:1:day:2026-01-01")
    await held.aclose()


def test_the_calendar_of_the_script_is_that_of_python() -> None:
    source = shared_day._APPLY.source
    begin, end = source.index("local floor"), source.index("local parts")
    calendar = source[begin:end].replace("redis.call('TIME')[1]", "second")
    script = (
        "local found = {} for i, second in ipairs(ARGV) do\n"
        f"{calendar}\nfound[i] = today end return found"
    )
    days = [date(1970, 1, 1) + timedelta(days=97 * n) for n in range(600)]
    days += [date(year, *end) for year in (2000, 2024, 2026, 2100) for end in ((2, 28), (12, 31))]
    days += [day + timedelta(days=1) for day in days[-8:]]
    seconds = [(day - date(1970, 1, 1)).days * 86_400 + 86_399 for day in days]
    with raw() as redis:
        found = redis.eval(script, 0, *seconds)
    assert [text.decode() for text in found] == [day.isoformat() for day in days]
