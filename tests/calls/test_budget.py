"""A call is reserved before it is sent and settled after it; what would cross a cap is not sent."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mmcrime.calls.budget import DayBudget, RunBudget, Spending
from mmcrime.config import BudgetSettings
from mmcrime.errors import (
    BudgetExceededError,
    ConfigError,
    EgressError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from spending import USD, Reply, Till, asking, budgeted, in_loop, until

INPUT_TOKENS = 64  # what an empty question is estimated to be; `USD` makes it free


def caps(**values: float | None) -> BudgetSettings:
    return BudgetSettings.model_validate({"usd_per_run": None, **values})


def open_day(folder: Path) -> DayBudget:
    return DayBudget(folder / "day.json", BudgetSettings(usd_per_run=None))


@in_loop
async def test_what_fits_is_sent_and_settled_at_what_it_cost(tmp_path: Path) -> None:
    run, day = RunBudget(caps(usd_per_run=10.0)), open_day(tmp_path)
    till = Till(replies=[Reply(usd=0.25, tokens=7)])
    response = await budgeted(till, run, day).generate(asking(8))
    assert response.cost.usd == 0.25
    assert run.spent == Spending(usd=0.25, calls=1, tokens=7)
    assert run.reserved == Spending()
    assert await day.spent() == run.spent


@pytest.mark.parametrize(
    ("cap", "value"),
    [("usd_per_run", 7.999), ("calls_per_run", 0), ("tokens_per_run", INPUT_TOKENS + 7)],
)
@in_loop
async def test_what_would_cross_a_cap_of_the_run_is_not_sent(
    tmp_path: Path, cap: str, value: float
) -> None:
    run, day, till = RunBudget(caps(**{cap: value})), open_day(tmp_path), Till()
    with pytest.raises(BudgetExceededError) as caught:
        await budgeted(till, run, day).generate(asking(8))
    assert f"budget.{cap} is {value!r}" in caught.value.message
    assert f"budget.{cap}" in caught.value.next_step
    assert till.sent == 0
    assert run.spent == run.reserved == await day.spent() == Spending()


@pytest.mark.parametrize(
    ("cap", "value"),
    [("usd_per_day", 7.999), ("calls_per_day", 0), ("tokens_per_day", INPUT_TOKENS + 7)],
)
@in_loop
async def test_what_would_cross_a_cap_of_the_day_is_not_sent(
    tmp_path: Path, cap: str, value: float
) -> None:
    settings = caps(**{cap: value})
    run, day, till = RunBudget(settings), DayBudget(tmp_path / "day.json", settings), Till()
    with pytest.raises(BudgetExceededError, match=rf"budget\.{cap} is .* today \(UTC\)"):
        await budgeted(till, run, day).generate(asking(8))
    assert till.sent == 0
    assert run.spent == run.reserved == await day.spent() == Spending()


@in_loop
async def test_exactly_the_cap_is_within_it(tmp_path: Path) -> None:
    """Ten times 0.1 is 1, though not in binary fractions."""
    run, day = RunBudget(caps(usd_per_run=1.0)), open_day(tmp_path)
    price = USD.model_copy(update={"output_per_million": 100_000.0})
    till = Till(replies=[Reply(usd=0.1)])
    provider = budgeted(till, run, day, price=price)
    for _ in range(10):
        await provider.generate(asking(1))
    assert run.spent.usd == 1.0
    with pytest.raises(BudgetExceededError):
        await provider.generate(asking(1))


@in_loop
async def test_the_refusal_says_what_is_spent_reserved_and_asked(tmp_path: Path) -> None:
    run, day = RunBudget(caps(usd_per_run=5.0)), open_day(tmp_path)
    held = asyncio.Event()
    provider = budgeted(Till(replies=[Reply(usd=2.5), Reply(until=held)]), run, day)
    await provider.generate(asking(3))
    under_way = asyncio.create_task(provider.generate(asking(1)))
    await until(lambda: run.reserved.calls == 1)
    with pytest.raises(BudgetExceededError) as caught:
        await provider.generate(asking(4))
    assert caught.value.message == (
        "budget.usd_per_run is 5.0 USD: 2.500000 USD spent, 1.000000 USD reserved for calls under "
        "way, and this call may come to 4.000000 USD."
    )
    assert "--budget" in caught.value.next_step
    held.set()
    await under_way


@in_loop
async def test_without_configuration_a_run_stops_at_one_dollar_and_says_so(tmp_path: Path) -> None:
    run = RunBudget(BudgetSettings())
    with pytest.raises(BudgetExceededError, match=r"is 1\.0 USD, which is the default"):
        await budgeted(Till(), run, open_day(tmp_path)).generate(asking(2))
    stated = RunBudget(BudgetSettings(usd_per_run=1.0))
    with pytest.raises(BudgetExceededError) as caught:
        await budgeted(Till(), stated, open_day(tmp_path)).generate(asking(2))
    assert "default" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "usd", "tokens"),
    [
        (RateLimitedError("slow", provider="till"), 0.0, 0),
        (ProviderError("no", provider="till"), 0.0, 0),
        (ProviderError("no", provider="till", may_be_billed=True), 3.0, INPUT_TOKENS + 3),
        (UnavailableError("broke", provider="till"), 3.0, INPUT_TOKENS + 3),
        (UnavailableError("never sent", provider="till", may_be_billed=False), 0.0, 0),
        (InvalidResponseError("html", provider="till"), 3.0, INPUT_TOKENS + 3),
        (RuntimeError("unforeseen"), 3.0, INPUT_TOKENS + 3),
    ],
)
@in_loop
async def test_a_failed_attempt_is_a_call_and_costs_all_unless_it_is_not_billed(
    tmp_path: Path, error: Exception, usd: float, tokens: int
) -> None:
    run, day = RunBudget(caps(usd_per_run=10.0)), open_day(tmp_path)
    with pytest.raises(type(error)):
        await budgeted(Till(replies=[Reply(error=error)]), run, day).generate(asking(3))
    assert run.spent == Spending(usd=usd, calls=1, tokens=tokens)
    assert run.reserved == Spending()
    assert await day.spent() == run.spent


@pytest.mark.parametrize(
    "error",
    [
        EgressError("offline"),
        BudgetExceededError("too late"),
        ConfigError("no ledger"),
        RateLimitedError("no place in time", provider="till"),
    ],
)
@in_loop
async def test_what_was_stopped_before_it_left_is_no_call(tmp_path: Path, error: Exception) -> None:
    run, day = RunBudget(caps(calls_per_run=1)), open_day(tmp_path)
    till = Till(replies=[Reply(error=error, left=False)])
    with pytest.raises(type(error)):
        await budgeted(till, run, day).generate(asking(3))
    assert run.spent == run.reserved == await day.spent() == Spending()


@in_loop
async def test_a_call_that_is_cancelled_in_flight_may_be_billed(tmp_path: Path) -> None:
    run, day = RunBudget(caps(usd_per_run=10.0)), open_day(tmp_path)
    till = Till(replies=[Reply(until=asyncio.Event())])
    task = asyncio.create_task(budgeted(till, run, day).generate(asking(3)))
    await until(lambda: till.sent == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.spent == Spending(usd=3.0, calls=1, tokens=INPUT_TOKENS + 3)
    assert run.reserved == Spending()
    assert await day.spent() == run.spent


@in_loop
async def test_a_call_that_is_cancelled_while_it_waits_for_its_turn_costs_nothing(
    tmp_path: Path,
) -> None:
    run, day = RunBudget(caps(usd_per_run=10.0)), open_day(tmp_path)
    till = Till(replies=[Reply(until=asyncio.Event(), left=False)])
    task = asyncio.create_task(budgeted(till, run, day).generate(asking(3)))
    await until(lambda: till.sent == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.spent == run.reserved == await day.spent() == Spending()


@in_loop
async def test_a_call_that_is_cancelled_at_any_time_leaves_no_reservation(tmp_path: Path) -> None:
    """Whenever it is cancelled on the way through the file of the day."""
    for turns in range(40):
        run, till = RunBudget(caps(usd_per_run=10.0)), Till(replies=[Reply(turns=3)])
        day = open_day(tmp_path / str(turns))
        task = asyncio.create_task(budgeted(till, run, day).generate(asking(3)))
        for _ in range(turns):
            await asyncio.sleep(0.0001)
        sent = till.sent
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await day.aclose()
        assert run.reserved == Spending()
        assert run.spent.calls == till.sent == sent
        assert await day.spent() == run.spent


@in_loop
async def test_an_answer_that_nobody_can_price_keeps_what_was_reserved(tmp_path: Path) -> None:
    run, day = RunBudget(caps(usd_per_run=10.0)), open_day(tmp_path)
    provider = budgeted(Till(replies=[Reply(usd=None, tokens=None)]), run, day)
    await provider.generate(asking(3))
    assert run.spent == Spending(usd=3.0, calls=1, tokens=INPUT_TOKENS + 3)
    assert await day.spent() == run.spent


@in_loop
async def test_what_cost_more_than_reserved_is_booked_in_full(tmp_path: Path) -> None:
    settings = caps(usd_per_run=4.0, usd_per_day=4.0)
    run, day = RunBudget(settings), DayBudget(tmp_path / "day.json", settings)
    provider = budgeted(Till(replies=[Reply(usd=6.0, tokens=900)]), run, day)
    await provider.generate(asking(3))
    assert run.spent == Spending(usd=6.0, calls=1, tokens=900)
    assert await day.spent() == run.spent
    with pytest.raises(BudgetExceededError):
        await provider.generate(asking(1))


@in_loop
async def test_a_call_waits_for_those_under_way_when_they_may_leave_room(tmp_path: Path) -> None:
    """Most calls cost far less than they may: refusing at once would stop a run at a fraction."""
    settings = caps(usd_per_run=5.0, usd_per_day=5.0)
    run, day = RunBudget(settings), DayBudget(tmp_path / "day.json", settings)
    provider = budgeted(Till(replies=[Reply(usd=0.02, tokens=1)]), run, day)
    await asyncio.gather(*(provider.generate(asking(3)) for _ in range(50)))
    assert run.spent == await day.spent() == Spending(usd=1.0, calls=50, tokens=50)


@in_loop
async def test_calls_that_only_the_day_refuses_wait_and_then_stop(tmp_path: Path) -> None:
    """Five calls of 1 out of a day of 3: three are sent, and none waits for ever."""
    settings = caps(usd_per_day=3.0)
    run, day = RunBudget(settings), DayBudget(tmp_path / "day.json", settings)
    till = Till(replies=[Reply(usd=1.0, turns=3)])
    provider = budgeted(till, run, day)
    async with asyncio.timeout(60):
        calls = (provider.generate(asking(1)) for _ in range(5))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, BudgetExceededError) for outcome in outcomes) == 2
    assert till.sent == 3
    assert run.spent == await day.spent() == Spending(usd=3.0, calls=3)
    assert run.reserved == Spending()


@in_loop
async def test_a_waiting_call_can_be_cancelled(tmp_path: Path) -> None:
    run, day = RunBudget(caps(usd_per_run=5.0)), open_day(tmp_path)
    held = asyncio.Event()
    till = Till(replies=[Reply(until=held)])
    provider = budgeted(till, run, day)
    first = asyncio.create_task(provider.generate(asking(3)))
    await until(lambda: till.sent == 1)
    waiting = asyncio.create_task(provider.generate(asking(3)))
    for _ in range(20):
        await asyncio.sleep(0.001)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert till.sent == 1
    assert run.reserved.calls == 1
    held.set()
    await first
    assert run.reserved == Spending()


@pytest.mark.parametrize("cap", ["usd_per_run", "usd_per_day"])
@in_loop
async def test_an_unpriced_model_is_refused_when_only_money_is_capped(
    tmp_path: Path, cap: str
) -> None:
    settings = caps(**{cap: 5.0})
    run, day, till = RunBudget(settings), DayBudget(tmp_path / "day.json", settings), Till()
    with pytest.raises(BudgetExceededError) as caught:
        await budgeted(till, run, day, price=None).generate(asking(1))
    assert f"budget.{cap} is 5.0 USD" in caught.value.message
    assert "'till-1'" in caught.value.message
    assert "providers.till.price" in caught.value.next_step
    assert "budget.calls_per_run" in caught.value.next_step
    assert till.sent == 0
    assert run.spent == run.reserved == Spending()


@pytest.mark.parametrize("cap", ["calls_per_run", "calls_per_day"])
@in_loop
async def test_an_unpriced_model_is_asked_under_a_cap_of_calls(tmp_path: Path, cap: str) -> None:
    settings = BudgetSettings.model_validate({cap: 2})
    run, day = RunBudget(settings), DayBudget(tmp_path / "day.json", settings)
    provider = budgeted(Till(replies=[Reply(usd=None, tokens=4)]), run, day, price=None)
    for _ in range(2):
        await provider.generate(asking(1))
    assert run.spent == Spending(calls=2, tokens=8, unpriced=2)
    with pytest.raises(BudgetExceededError, match=cap):
        await provider.generate(asking(1))


@in_loop
async def test_an_unpriced_model_is_not_asked_when_the_money_is_used_up(tmp_path: Path) -> None:
    settings = BudgetSettings(usd_per_run=1.0, calls_per_run=9)
    run, day = RunBudget(settings), open_day(tmp_path)
    await budgeted(Till(replies=[Reply(usd=1.0)]), run, day).generate(asking(1))
    till = Till()
    with pytest.raises(BudgetExceededError, match="usd_per_run"):
        await budgeted(till, run, day, price=None).generate(asking(1))
    assert till.sent == 0


@in_loop
async def test_without_any_cap_an_unpriced_model_is_asked(tmp_path: Path) -> None:
    run, till = RunBudget(caps()), Till(replies=[Reply(usd=None, tokens=None)])
    await budgeted(till, run, open_day(tmp_path), price=None).generate(asking(1))
    assert run.spent == Spending(calls=1, tokens=INPUT_TOKENS + 1, unpriced=1)


@in_loop
async def test_an_unpriced_call_that_turns_out_to_have_a_cost_is_booked(tmp_path: Path) -> None:
    run = RunBudget(caps())
    till = Till(replies=[Reply(usd=0.5, tokens=2)])
    await budgeted(till, run, open_day(tmp_path), price=None).generate(asking(1))
    assert run.spent == Spending(usd=0.5, calls=1, tokens=2)


@in_loop
async def test_the_day_counts_other_runs_and_pipelines_and_each_tenant_apart(
    tmp_path: Path,
) -> None:
    settings = caps(usd_per_day=5.0)
    till = Till(replies=[Reply(usd=2.0)])
    for _ in range(2):
        day = DayBudget(tmp_path / "day.json", settings)
        await budgeted(till, RunBudget(settings), day).generate(asking(2))
        await day.aclose()
    with pytest.raises(BudgetExceededError, match=r"4\.000000 USD spent today"):
        await budgeted(till, RunBudget(settings), day).generate(asking(2))
    other = RunBudget(settings, tenant="other")
    await budgeted(till, other, day).generate(asking(2))
    assert await day.spent("other") == Spending(usd=2.0, calls=1)
    assert await day.spent() == Spending(usd=4.0, calls=2)


@in_loop
async def test_what_is_recorded_without_a_cap_counts_once_there_is_one(tmp_path: Path) -> None:
    till = Till(replies=[Reply(usd=4.0)])
    day = open_day(tmp_path)
    await budgeted(till, RunBudget(caps()), day).generate(asking(4))
    await day.aclose()
    capped = DayBudget(tmp_path / "day.json", caps(usd_per_day=5.0))
    with pytest.raises(BudgetExceededError, match="usd_per_day"):
        await budgeted(till, RunBudget(caps()), capped).generate(asking(4))


@in_loop
async def test_a_new_day_in_utc_begins_at_zero_and_late_replies_belong_to_the_old_one(
    tmp_path: Path,
) -> None:
    now = [datetime(2026, 11, 30, 23, 59, tzinfo=UTC)]
    settings = caps(usd_per_day=5.0)
    day = DayBudget(tmp_path / "day.json", settings, clock=lambda: now[0])
    held = asyncio.Event()
    till = Till(replies=[Reply(usd=1.0, until=held)])
    provider = budgeted(till, RunBudget(settings), day)
    late = asyncio.create_task(provider.generate(asking(5)))
    await until(lambda: till.sent == 1)
    now[0] += timedelta(minutes=2)
    assert await day.spent() == Spending()
    held.set()
    await asyncio.gather(late, provider.generate(asking(5)))
    assert await day.spent() == Spending(usd=1.0, calls=1)
    now[0] -= timedelta(minutes=2)
    assert await day.spent() == Spending(usd=1.0, calls=1)
    now[0] += timedelta(days=30)
    await provider.generate(asking(5))
    assert list(json.loads((tmp_path / "day.json").read_text())["days"]) == ["2026-12-30"]


@in_loop
async def test_a_process_that_dies_leaves_what_it_had_booked(tmp_path: Path) -> None:
    """It may be billed: another one sees the whole of it as spent."""
    run, day = RunBudget(caps()), DayBudget(tmp_path / "day.json", caps(usd_per_day=9.0))
    till = Till(replies=[Reply(until=asyncio.Event())])
    task = asyncio.create_task(budgeted(till, run, day).generate(asking(3)))
    await until(lambda: till.sent == 1)
    assert await open_day(tmp_path).spent() == Spending(usd=3.0, calls=1, tokens=INPUT_TOKENS + 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def entry(**changes: object) -> str:
    counts = {"picodollars": 1, "calls": 1, "tokens": 1, "unpriced": 0} | changes
    return json.dumps({"format": 1, "days": {"2026-11-30": {"default": counts}}})


DAMAGED = {
    "empty": "",
    "cut": entry()[:-3],
    "not JSON": "\x00\x01",
    "a list": "[]",
    "another version": '{"format": 2, "days": {}}',
    "no days": '{"format": 1}',
    "days as a list": '{"format": 1, "days": []}',
    "a day that is none": '{"format": 1, "days": {"yesterday": {}}}',
    "a day in another form": '{"format": 1, "days": {"20261130": {}}}',
    "an account as text": '{"format": 1, "days": {"2026-11-30": {"default": "1"}}}',
    "a negative count": entry(calls=-1),
    "a flag": entry(calls=True),
    "a fraction": entry(picodollars=1.5),
    "text": entry(tokens="1"),
    "a missing key": entry().replace('"calls": 1, ', ""),
    "an unknown key": entry(more=1),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
@in_loop
async def test_a_damaged_file_stops_the_calls_under_a_cap_of_a_day(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "day.json"
    path.write_text(text)
    run, till = RunBudget(caps()), Till()
    day = DayBudget(path, caps(usd_per_day=1000.0))
    with pytest.raises(ConfigError) as caught:
        await budgeted(till, run, day).generate(asking(1))
    assert repr(str(path)) in caught.value.message
    assert "delete it" in caught.value.next_step
    assert till.sent == 0
    assert run.reserved == Spending()
    assert path.read_text() == text
    with pytest.raises(ConfigError):
        await day.spent()


@in_loop
async def test_a_damaged_file_only_warns_when_no_day_is_capped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "day.json"
    path.write_text("{")
    run = RunBudget(caps(usd_per_run=5.0))
    day = DayBudget(path, run.settings)
    with caplog.at_level(logging.WARNING, logger="mmcrime.calls.budget"):
        for _ in range(3):
            await budgeted(Till(replies=[Reply(usd=1.0)]), run, day).generate(asking(1))
        await day.aclose()
    assert run.spent.usd == 3.0
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]
    assert path.read_text() == "{"


@in_loop
async def test_a_folder_that_cannot_be_made_stops_the_calls_under_a_cap_of_a_day(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    day = DayBudget(tmp_path / "file" / "day.json", caps(calls_per_day=1))
    till = Till()
    with pytest.raises(ConfigError, match=r"day\.json"):
        await budgeted(till, RunBudget(caps()), day).generate(asking(1))
    assert till.sent == 0


@in_loop
async def test_an_answer_is_kept_when_its_day_cannot_be_settled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is paid for; that the day holds too much is the safe side."""
    settings = caps(usd_per_day=5.0)
    path, held = tmp_path / "day.json", asyncio.Event()
    day = DayBudget(path, settings)
    till = Till(replies=[Reply(usd=1.0, until=held)])
    task = asyncio.create_task(budgeted(till, RunBudget(settings), day).generate(asking(2)))
    await until(lambda: till.sent == 1)
    path.write_text("{")
    held.set()
    with caplog.at_level(logging.WARNING, logger="mmcrime.calls.budget"):
        assert (await task).cost.usd == 1.0
        await day.aclose()
    assert str(path) in caplog.text


@in_loop
async def test_a_file_is_rewritten_no_more_often_than_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes one after the other is written together, corrections with what comes next."""
    day, rewritten = DayBudget(tmp_path / "day.json", caps(usd_per_day=99.0)), 0
    write = DayBudget._write

    def counting(self: DayBudget, days: Any) -> None:
        nonlocal rewritten
        rewritten += 1
        write(self, days)

    monkeypatch.setattr(DayBudget, "_write", counting)
    monkeypatch.setattr(DayBudget, "apart", 0.5)
    provider = budgeted(Till(replies=[Reply(usd=1.0)]), RunBudget(caps(usd_per_run=99)), day)
    await provider.generate(asking(2))
    assert rewritten == 1  # its correction waits
    await asyncio.gather(*(provider.generate(asking(2)) for _ in range(20)))
    assert rewritten == 2
    await day.aclose()
    assert rewritten == 3
    assert await DayBudget(tmp_path / "day.json", caps()).spent() == Spending(usd=21.0, calls=21)


@in_loop
async def test_a_correction_is_written_within_a_moment_by_itself(tmp_path: Path) -> None:
    day = DayBudget(tmp_path / "day.json", caps(usd_per_day=99.0))
    await budgeted(Till(replies=[Reply(usd=1.0)]), RunBudget(caps()), day).generate(asking(2))
    text = (tmp_path / "day.json").read_text
    assert str(2 * 10**12) in text()
    await until(lambda: str(2 * 10**12) not in text())
    assert str(10**12) in text()


@in_loop
async def test_a_file_that_was_deleted_meanwhile_begins_at_zero_and_stays_readable(
    tmp_path: Path,
) -> None:
    path, held = tmp_path / "day.json", asyncio.Event()
    day = DayBudget(path, caps(usd_per_day=5.0))
    till = Till(replies=[Reply(usd=1.0, until=held)])
    task = asyncio.create_task(budgeted(till, RunBudget(caps()), day).generate(asking(2)))
    await until(lambda: till.sent == 1)
    path.unlink()
    held.set()
    await task
    assert await day.spent() == Spending()
