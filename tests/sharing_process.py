"""One of several processes that share what is before a service; started by tests.

Each line that comes in is a list of things to do at the same time, each line that goes out what
was seen of them, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from pathlib import Path
from typing import Any

from mmcrime.calls import link as link_module
from mmcrime.calls import shared_limits
from mmcrime.calls.breaker import Door
from mmcrime.calls.link import Link
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.config import ProviderSettings
from mmcrime.errors import ConfigError, UnavailableError

DOOR = Door("acme", "https://service.test", "m")
DOWN = UnavailableError("502", provider="acme")


def limiter(link: Link, given: dict[str, Any]) -> SharedLimiter:
    settings = ProviderSettings(**given["limits"])
    return SharedLimiter("acme", settings, link=link, endpoint="e", window=given["window"])


async def hammer(link: Link, given: dict[str, Any]) -> dict[str, Any]:
    """Ask for more than is allowed, all the time; return what was let through."""
    line, dice = limiter(link, given), random.Random(given["seed"])  # noqa: S311  # sizes
    passed: list[tuple[float, int]] = []
    failed: list[float] = []

    async def caller() -> None:
        while time.time() < given["end"]:
            await asyncio.sleep(dice.uniform(0, given["pause"]))
            tokens = dice.randint(1, given["largest"])
            try:
                async with asyncio.timeout(given["end"] - time.time()):
                    place = await line.enter(tokens, deadline=None)
            except TimeoutError:
                return
            except ConfigError:
                failed.append(time.time())
                await asyncio.sleep(0.05)
                continue
            passed.append((place.at, tokens))
            await asyncio.sleep(dice.uniform(0, 0.01))
            line.leave()

    await asyncio.sleep(given["begin"] - time.time())
    await asyncio.gather(*(caller() for _ in range(10)))
    await line.aclose()
    return {"passed": passed, "failed": failed}


async def hold(link: Link, given: dict[str, Any]) -> None:
    """Take a place and keep it."""
    await limiter(link, given).enter(1, deadline=None)
    print(json.dumps("holds"), flush=True)
    await asyncio.sleep(60)


async def probe(link: Link, given: dict[str, Any]) -> dict[str, Any]:
    """Try a door without a break; return from when to when a call was let through."""
    doors, let = SharedBreakers(link, **given["rules"]), []
    await asyncio.sleep(given["begin"] - time.time())
    while time.time() < given["end"]:
        try:
            ticket = await doors.admit(DOOR)
        except UnavailableError:
            await asyncio.sleep(0.002)
            continue
        began = time.time()
        await asyncio.sleep(given["seconds"])
        let.append((began, time.time()))
        await doors.failed(DOOR, ticket, DOWN)
        doors.gave_up(DOOR, ticket)
    await doors.aclose()
    return {"let": let}


async def hold_door(link: Link, given: dict[str, Any]) -> None:
    """Be the one call that is let through, and never end."""
    await SharedBreakers(link, **given["rules"]).admit(DOOR)
    print(json.dumps("holds"), flush=True)
    await asyncio.sleep(60)


WORK = {"hammer": hammer, "hold": hold, "probe": probe, "hold_door": hold_door}


async def work(given: dict[str, Any]) -> Any:
    folder = Path(given["folder"])
    link = Link(given["url"], namespace=given["namespace"], directory=folder, patience=1.5)
    try:
        return await WORK[given["work"]](link, given)
    finally:
        await link.aclose()


async def together(works: list[dict[str, Any]]) -> list[Any]:
    return await asyncio.gather(*(work(given) for given in works))


def main(forgetful: float, lease: float) -> None:
    logging.disable(logging.WARNING)  # that Redis is away
    link_module._FORGETFUL = forgetful
    shared_limits._LEASE = lease
    shared_limits._BEAT = lease / 6
    for line in sys.stdin:
        print(json.dumps(asyncio.run(together(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
