"""A process of its own that spends from a shared day; `test_shared_properties` starts several.

It writes a line to a file before each call is sent (what it may cost) and one after it (what it
did), so that what it spent is known even when it is killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mmcrime.calls.budget import RunBudget
from mmcrime.calls.link import Link
from mmcrime.calls.shared_day import SharedDayBudget
from mmcrime.config import BudgetSettings
from mmcrime.errors import BudgetExceededError, ConfigError
from spending import Reply, Till, asking, budgeted


def spend(door: Connection, given: dict[str, Any]) -> None:
    logging.disable(logging.WARNING)  # that Redis is away
    asyncio.run(_spend(door, given))


async def _spend(door: Connection, given: dict[str, Any]) -> None:
    dice = random.Random(given["seed"])  # noqa: S311  # a seed
    folder = Path(given["folder"])
    link = Link(given["url"], namespace=given["namespace"], directory=folder, patience=10.0)
    settings = BudgetSettings(usd_per_run=None, **given["caps"])
    day, run = SharedDayBudget(link, settings), RunBudget(settings)
    stopped = 0
    with (folder / "spent").open("a", buffering=1, encoding="utf-8") as record:

        async def call(number: int) -> None:
            nonlocal stopped
            await asyncio.sleep(dice.random() * given["seconds"])
            most = dice.randint(1, 6)
            reply = Reply(usd=dice.randint(0, most), tokens=dice.randint(0, most + 64))
            till = Till(replies=[reply])
            sent = [number, most, most + 64]
            till.at_sending = lambda: print(json.dumps(["sent", *sent]), file=record)
            reply.turns = dice.randint(0, 40)
            try:
                await budgeted(till, run, day).generate(asking(most))
            except BudgetExceededError:
                return
            except ConfigError:
                stopped += 1
                return
            print(json.dumps(["done", number, reply.usd, reply.tokens]), file=record)

        door.send("ready")
        door.recv()
        await asyncio.gather(*(call(number) for number in range(given["calls"])))
    await day.aclose()
    await link.aclose()
    door.send(stopped)
