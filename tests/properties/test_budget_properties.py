"""Promise 9: no schedule of calls overspends a cap, and none leaves anything reserved."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmcrime.calls.budget import DayBudget, RunBudget, Spending
from mmcrime.config import BudgetSettings
from mmcrime.errors import (
    BudgetExceededError,
    InvalidResponseError,
    RateLimitedError,
    UnavailableError,
)
from spending import Reply, Till, asking, budgeted, in_loop

INPUT_TOKENS = 64  # what an empty question is estimated to be
ERRORS = (RateLimitedError, UnavailableError, InvalidResponseError)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a schedule.

    Attributes:
        most: What it may cost in US dollars, and in tokens that come out.
        reply: What it comes to.
        start: After how many turns it is made.
        cancel: After how many further turns it is cancelled; None for never.
    """

    most: int
    reply: Reply
    start: int
    cancel: int | None


def random_call(dice: random.Random, *, may_exceed: bool) -> Call:
    most = dice.randint(0, 6)
    share = dice.choice((0.0, 0.1, 0.5, 1.0, dice.random()))
    usd = most * share + (dice.randint(1, 5) if may_exceed and dice.random() < 0.2 else 0)
    kind = dice.random()
    error: BaseException | None = None
    if kind < 0.25:
        chosen = dice.choice((*ERRORS, None))
        error = RuntimeError("odd") if chosen is None else chosen("no", provider="till")
    return Call(
        most=most,
        reply=Reply(
            usd=None if 0.25 <= kind < 0.35 else usd,
            tokens=None if 0.35 <= kind < 0.45 else int(usd),
            error=error,
            turns=dice.randint(0, 6),
        ),
        start=dice.randint(0, 8),
        cancel=dice.randint(0, 25) if dice.random() < 0.25 else None,
    )


def random_caps(dice: random.Random) -> BudgetSettings:
    tops = {"usd": 15, "calls": 6, "tokens": 400}
    values: dict[str, Any] = {
        f"{part}_per_{period}": dice.randint(0, top) if dice.random() < 0.4 else None
        for period in ("run", "day")
        for part, top in tops.items()
    }
    return BudgetSettings(**values)


def worth(call: Call, *, begun: bool, answered: bool) -> Spending:
    """Return what a call must count for, worked out from what happened to it."""
    full = Spending(usd=float(call.most), calls=1, tokens=INPUT_TOKENS + call.most)
    if not begun:
        return Spending()
    if answered:
        return Spending(
            usd=full.usd if call.reply.usd is None else call.reply.usd,
            calls=1,
            tokens=full.tokens if call.reply.tokens is None else call.reply.tokens,
        )
    if isinstance(call.reply.error, RateLimitedError):
        return Spending(calls=1) if call.cancel is None else full
    return full


def crossed(settings: BudgetSettings, spent: Spending, period: str, excess: Spending) -> list[str]:
    """Return the caps that some spending is over by more than the excess of actual costs."""
    return [
        f"{part}_per_{period}"
        for part in ("usd", "calls", "tokens")
        if (cap := getattr(settings, f"{part}_per_{period}")) is not None
        and getattr(spent, part) > cap + getattr(excess, part) + 1e-9
    ]


async def play(calls: list[Call], settings: BudgetSettings, folder: Path, number: int) -> int:
    """Play one schedule and hold it against the promise; returns how many calls were sent."""
    tenant = f"schedule-{number}"  # begins at zero in the file that all schedules share
    run = RunBudget(settings, tenant=tenant)
    day = DayBudget(folder / f"day-{number // 50}.json", settings)
    till = Till(replies=[call.reply for call in calls])
    over = [max(0.0, (call.reply.usd or 0.0) - call.most) for call in calls]
    excess = Spending(usd=sum(over), tokens=int(sum(over)) + len(over))

    def check() -> None:
        now = Spending(
            usd=run.spent.usd + run.reserved.usd,
            calls=run.spent.calls + run.reserved.calls,
            tokens=run.spent.tokens + run.reserved.tokens,
        )
        assert not crossed(settings, now, "run", excess)

    till.at_sending = check
    provider = budgeted(till, run, day)

    async def make(index: int, call: Call) -> None:
        for _ in range(call.start):
            await asyncio.sleep(0)
        task = asyncio.create_task(provider.generate(asking(call.most, number=str(index))))
        if call.cancel is not None:
            for _ in range(call.cancel):
                await asyncio.sleep(0)
            task.cancel()
        try:
            await task
        except (BudgetExceededError, *ERRORS, RuntimeError, asyncio.CancelledError):
            pass

    async with asyncio.timeout(120):  # a call that waits for ever
        await asyncio.gather(*(make(index, call) for index, call in enumerate(calls)))
    await day.aclose()
    assert run.reserved == Spending()
    assert run.spent.calls == till.sent == len(till.begun)
    booked = await day.spent(tenant)
    assert booked == run.spent
    assert not crossed(settings, run.spent, "run", excess)
    assert not crossed(settings, booked, "day", excess)
    if all(c.cancel is None or not isinstance(c.reply.error, RateLimitedError) for c in calls):
        parts = [
            worth(call, begun=i in till.begun, answered=i in till.answered)
            for i, call in enumerate(calls)
        ]
        assert run.spent.usd == pytest.approx(sum(part.usd for part in parts))
        assert run.spent.tokens == sum(part.tokens for part in parts)
    return till.sent


@pytest.mark.slow
@pytest.mark.parametrize("may_exceed", [False, True], ids=["within", "beyond"])
@in_loop
async def test_no_random_schedule_overspends_a_cap(tmp_path: Path, *, may_exceed: bool) -> None:
    """10,000 schedules: estimates, costs, failures and cancellations at random."""
    sent = asked = 0
    for number in range(5_000):
        dice = random.Random(f"budget {may_exceed} {number}")  # noqa: S311  # a seed
        calls = [random_call(dice, may_exceed=may_exceed) for _ in range(dice.randint(1, 8))]
        try:
            sent += await play(calls, random_caps(dice), tmp_path, number)
        except AssertionError as error:
            raise AssertionError(f"schedule {number}: {error}") from error
        asked += len(calls)
    assert 0.3 * asked < sent < 0.9 * asked  # neither all let through nor all refused


@in_loop
async def test_fifty_concurrent_calls_cannot_overspend(tmp_path: Path) -> None:
    """Each may cost 1 and does; of a cap of 7 exactly 7 are sent."""
    for settings in (
        BudgetSettings(usd_per_run=7.0),
        BudgetSettings(usd_per_run=None, usd_per_day=7.0),
        BudgetSettings(usd_per_run=None, calls_per_run=7),
        BudgetSettings(usd_per_run=None, calls_per_day=7),
    ):
        name = "-".join(settings.model_fields_set) + ".json"
        run, day = RunBudget(settings), DayBudget(tmp_path / name, settings)
        till = Till(replies=[Reply(usd=1.0, tokens=1, turns=5)])
        provider = budgeted(till, run, day)
        outcomes = await asyncio.gather(
            *(provider.generate(asking(1)) for _ in range(50)), return_exceptions=True
        )
        assert till.sent == 7
        assert sum(isinstance(outcome, BudgetExceededError) for outcome in outcomes) == 43
        assert run.spent == await day.spent() == Spending(usd=7.0, calls=7, tokens=7)
        assert run.reserved == Spending()


WORKER = """
import asyncio, sys
from pathlib import Path
from mmcrime.calls.budget import DayBudget, RunBudget
from mmcrime.config import BudgetSettings
from mmcrime.errors import BudgetExceededError
from spending import Reply, Till, asking, budgeted

async def main():
    settings = BudgetSettings(usd_per_run=None, usd_per_day=300.0)
    day = DayBudget(Path(sys.argv[1]), settings)
    till = Till(replies=[Reply(usd=1.0, tokens=1, turns=2)])
    provider = budgeted(till, RunBudget(settings), day)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(60):
        calls = (provider.generate(asking(1)) for _ in range(2))
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(
                outcome, BudgetExceededError
            ), outcome
    print(till.sent, flush=True)

asyncio.run(main())
"""


def test_processes_that_share_a_day_cannot_overspend_it(tmp_path: Path) -> None:
    """Four processes want 120 calls each of 1 US dollar, of a day of 300."""
    path = tmp_path / "day.json"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        for _ in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [(p.returncode, err) for p, (_, err) in zip(processes, outputs, strict=True)] == [
        (0, "")
    ] * 4
    assert sum(int(out) for out, _ in outputs) == 300
    (accounts,) = json.loads(path.read_text(encoding="utf-8"))["days"].values()
    assert accounts == {
        "default": {"picodollars": 300 * 10**12, "calls": 300, "tokens": 300, "unpriced": 0}
    }
