"""What limits that processes share through Redis cost, and how much of them is used.

    python benchmarks/shared_limits.py [--calls N] [--spans N] [--url URL] [--json]

Cost: requests through the line of one process and through the shared one, in turns in one run,
one after the other and 50 at the same time; CPU of this process, wall clock, the median of
several rounds. Redis is on the same machine: a network adds its round trip to each. There is no
goal: a request to a model takes a second or more.

Use and violations: 4 processes on real time with more demand than they may let through
together, windows of two seconds instead of 60. What is used is the average over whole spans, a
span being the window and its margin, of the limit of which the largest share is used. A
violation is a window, beginning at any request, with more requests or reserved tokens
than configured. Goal: no violation, and at least 95 %.

Keys are under a namespace of their own, and are removed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis import Redis

from _common import result
from mmcrime.calls.limits import Limiter, Line
from mmcrime.calls.link import Link
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.calls.window import MARGIN
from mmcrime.config import ProviderSettings

URL = "redis://127.0.0.1:6379/0"
ROUNDS = 5
AT_ONCE = (1, 50)
PROCESSES = 4
WINDOW = 2.0  # seconds
SPAN = WINDOW + MARGIN
MIXES = {
    "requests bind": {"requests_per_minute": 200, "tokens_per_minute": 10_000_000},
    "tokens bind": {"requests_per_minute": 5_000, "tokens_per_minute": 100_000},
}
LARGEST = 1_000  # tokens of a request
FREE = ProviderSettings(max_concurrency=1000)


async def _through(line: Line, calls: int, at_once: int) -> dict[str, float]:
    async def caller() -> None:
        for _ in range(calls // at_once):
            await line.enter(100, deadline=None)
            line.leave()

    await line.enter(100, deadline=None)  # connects, and brings the script
    line.leave()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    done = calls // at_once * at_once
    return {
        "cpu_us": (time.process_time() - cpu) / done * 1e6,
        "wall_us": (time.perf_counter() - wall) / done * 1e6,
    }


async def _local(calls: int, at_once: int) -> dict[str, float]:
    return await _through(Limiter("benchmark", FREE), calls, at_once)


def _shared(url: str, namespace: str, folder: Path) -> Callable[..., Any]:
    async def work(calls: int, at_once: int) -> dict[str, float]:
        link = Link(url, namespace=namespace, directory=folder)
        line = SharedLimiter("benchmark", FREE, link=link, endpoint=uuid.uuid4().hex)
        try:
            return await _through(line, calls, at_once)
        finally:
            await line.aclose()
            await link.aclose()

    return work


def costs(calls: int, url: str, namespace: str, folder: Path) -> dict[str, dict[str, float]]:
    """Return microseconds a call, by where the line is and how many call at the same time."""
    ways = {"in the process": _local, "through Redis": _shared(url, namespace, folder)}
    found: dict[str, dict[str, float]] = {}
    for at_once in AT_ONCE:
        seen: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, work in ways.items():
                seen[way].append(asyncio.run(work(calls, at_once)))
        for way, rounds in seen.items():
            found[f"{way}, {at_once} at once"] = {
                unit: round(statistics.median(r[unit] for r in rounds), 1) for unit in rounds[0]
            }
    return found


def hammer(given: dict[str, Any]) -> list[tuple[float, int]]:
    """Ask for more than is allowed until it is over; run in a process of its own."""
    dice, passed = random.Random(given["seed"]), list[tuple[float, int]]()  # noqa: S311  # sizes

    async def work() -> None:
        link = Link(given["url"], namespace=given["namespace"], directory=Path(given["folder"]))
        settings = ProviderSettings(**given["limits"], max_concurrency=1000)
        line = SharedLimiter("benchmark", settings, link=link, endpoint=given["mix"], window=WINDOW)

        async def caller() -> None:
            while True:
                tokens = dice.randint(LARGEST // 20, LARGEST)
                place = await line.enter(tokens, deadline=None)
                passed.append((place.at, tokens))
                await asyncio.sleep(dice.uniform(0, 0.05))
                line.leave()

        callers = [asyncio.create_task(caller()) for _ in range(50)]
        await asyncio.sleep(given["end"] - time.time())
        for task in callers:
            task.cancel()
        await asyncio.wait(callers)
        await line.aclose()
        await link.aclose()

    asyncio.run(work())
    return passed


def use(mix: str, spans: int, pool: ProcessPoolExecutor, **where: str) -> dict[str, Any]:
    """Let all processes ask at the same time; return what of the limits was used."""
    limits, whole = MIXES[mix], spans * SPAN
    given = {**where, "mix": mix, "limits": limits, "end": time.time() + whole + 1}
    every = pool.map(hammer, [{**given, "seed": seed} for seed in range(PROCESSES)])
    by_process = list(every)
    passed = sorted(one for process in by_process for one in process)
    inside = [tokens for at, tokens in passed if at < passed[0][0] + whole]
    shares = {
        "requests": len(inside) / (spans * limits["requests_per_minute"]),
        "tokens": sum(inside) / (spans * limits["tokens_per_minute"]),
    }
    binding = max(shares, key=shares.__getitem__)
    return {
        # A minute's limit is stated for the window, and heeded for the window and its margin.
        "used_of_what_a_span_may": shares[binding],
        "binding": binding,
        "violations": violations(passed, limits),
        "calls": len(passed),
        "least_of_a_process": min(len(process) for process in by_process) / len(passed),
    }


def violations(passed: list[tuple[float, int]], limits: dict[str, int]) -> int:
    """Return how many requests ended a window that held too much."""
    inside: deque[tuple[float, int]] = deque()
    tokens = found = 0
    for at, size in passed:
        inside.append((at, size))
        tokens += size
        while inside[0][0] <= at - WINDOW:
            tokens -= inside.popleft()[1]
        too_many = len(inside) > limits["requests_per_minute"]
        found += too_many or tokens > limits["tokens_per_minute"]
    return found


def measure(calls: int, spans: int, url: str) -> dict[str, Any]:
    """Return all figures."""
    namespace = f"benchmark-{uuid.uuid4().hex}"
    try:
        with TemporaryDirectory() as name:
            where = {"url": url, "namespace": namespace, "folder": name}
            cost = costs(calls, url, namespace, Path(name))
            with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
                list(pool.map(time.sleep, [1] * PROCESSES))  # all have started
                mixes = {mix: use(mix, spans, pool, **where) for mix in MIXES}
    finally:
        with Redis.from_url(url) as redis:
            if keys := list(redis.scan_iter(f"{namespace}:*", count=10_000)):
                redis.unlink(*keys)
    return {
        "cost_a_call": cost,
        "processes": PROCESSES,
        "least_used": min(row["used_of_what_a_span_may"] for row in mixes.values()),
        "goal_used": 0.95,
        "violations": sum(row["violations"] for row in mixes.values()),
        "goal_violations": 0,
        "mixes": mixes,
    }


def table(figures: dict[str, Any]) -> str:
    """Return the figures for a person."""
    lines = [f"{'A place in the line':<32} CPU us  wall us"]
    for way, cost in figures["cost_a_call"].items():
        lines.append(f"  {way:<30} {cost['cpu_us']:6.0f}  {cost['wall_us']:7.0f}")
    lines.append(f"{figures['processes']} processes together{'':<14} calls    used  over  least")
    for mix, row in figures["mixes"].items():
        lines.append(
            f"  {mix:<30} {row['calls']:6}  {row['used_of_what_a_span_may']:6.1%}  "
            f"{row['violations']:4}  {row['least_of_a_process']:5.1%} by one process"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=2_000, help="calls of each round of the cost")
    parser.add_argument("--spans", type=int, default=6, help="spans of each mix, 2.5 s each")
    parser.add_argument("--url", default=URL, help="the Redis")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    arguments = parser.parse_args()
    figures = measure(arguments.calls, arguments.spans, arguments.url)
    if arguments.json:
        result("shared_limits", **json.loads(json.dumps(figures)))
    else:
        print(table(figures))


if __name__ == "__main__":
    main()
