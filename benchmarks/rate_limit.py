"""How much of an allowed rate is used, whether it is ever exceeded, and what the line costs.

    python benchmarks/rate_limit.py [--minutes N] [--calls N] [--json]

Use and violations: the real limiter on virtual time, with more demand than it may let through
from the first moment to the last. A violation is a span of 60 seconds, beginning at any
request, with more requests or more reserved tokens than configured. What is used is the
average, against the limit of which the largest share is used.
Goal: no violation, and at least 95 %.

Sizes are drawn evenly between a twentieth of the largest and the largest. What no limiter can
use, because the next in line is larger than what is left, is part of the figures.

CPU: requests through the limiter, the attempts and the door, beyond the same requests without
them, on a real event loop at 100 at the same time; the lowest of several rounds. Part of the
goal of 1 ms for the whole call layer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from _common import result
from _virtual_time import run
from mmcrime.calls.breaker import Breakers, Guarded
from mmcrime.calls.limits import Limited, Limiter
from mmcrime.calls.retry import Retrying
from mmcrime.calls.window import SPAN, WINDOW
from mmcrime.config import ProviderSettings
from mmcrime.plugins import Provider, Request, Response

ROUNDS = 5
AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Limits, and what is asked for.

    Attributes:
        requests: A minute; None for no limit.
        tokens: A minute; None for no limit.
        largest: Tokens of the largest request.
        seconds: How long the longest request takes.
        at_once: Most requests at the same time.
    """

    requests: int | None
    tokens: int | None
    largest: int
    seconds: float = 5.0
    at_once: int = 1000


MIXES = {
    "a free account": Mix(requests=10, tokens=250_000, largest=8_000, at_once=8),
    "small account, pictures": Mix(requests=60, tokens=60_000, largest=1_500),
    "requests bind": Mix(requests=500, tokens=10_000_000, largest=2_000),
    "tokens bind": Mix(requests=5_000, tokens=2_000_000, largest=20_000),
    "tokens bind, videos of a sixth": Mix(requests=None, tokens=1_000_000, largest=160_000),
    "a large account": Mix(requests=10_000, tokens=30_000_000, largest=8_000),
}


def use(mix: Mix, minutes: float) -> dict[str, Any]:
    """Let requests through for so many minutes; return what of the limits was used."""
    passed, cpu = run(_saturated(mix, minutes))
    # What passes repeats itself after a span, so that only whole spans give an average.
    last = passed[-1][0] // SPAN * SPAN
    before = [size for at, size in passed if at < last]
    counts = {"requests": len(before), "tokens": sum(before)}
    limits = {"requests": mix.requests, "tokens": mix.tokens}
    shares = {
        unit: counts[unit] / (limit * last / WINDOW)
        for unit, limit in limits.items()
        if limit is not None
    }
    return {
        "used": max(shares.values()),
        "binding": max(shares, key=shares.__getitem__),
        "violations": violations(passed, mix),
        "calls": len(passed),
        "limiter_us_a_call": cpu / len(passed) * 1e6,
    }


async def _saturated(mix: Mix, minutes: float) -> tuple[list[tuple[float, int]], float]:
    loop = asyncio.get_running_loop()
    dice = random.Random(1)  # noqa: S311  # the same sizes in every run
    limiter = Limiter(
        "benchmark",
        ProviderSettings(
            requests_per_minute=mix.requests,
            tokens_per_minute=mix.tokens,
            max_concurrency=mix.at_once,
        ),
    )
    began, passed = loop.time(), list[tuple[float, int]]()

    async def caller() -> None:
        while loop.time() - began < minutes * 60:
            tokens = dice.randint(mix.largest // 20, mix.largest)
            place = await limiter.enter(tokens, deadline=None)
            passed.append((place.at - began, tokens))
            await asyncio.sleep(dice.uniform(0, mix.seconds))
            limiter.leave()

    cpu = time.process_time()
    await asyncio.gather(*(caller() for _ in range(2 * mix.at_once)))
    return passed, time.process_time() - cpu


def violations(passed: list[tuple[float, int]], mix: Mix) -> int:
    """Return how many requests ended a window of 60 seconds that held too much."""
    inside: deque[tuple[float, int]] = deque()
    tokens = found = 0
    for at, size in passed:
        inside.append((at, size))
        tokens += size
        while inside[0][0] <= at - WINDOW:
            tokens -= inside.popleft()[1]
        found += len(inside) > (mix.requests or math.inf) or tokens > (mix.tokens or math.inf)
    return found


class Instant(Provider):
    """Answers after one turn of the loop."""

    async def generate(self, request: Request) -> Response:  # noqa: ARG002  # always the same
        """Answer."""
        await asyncio.sleep(0)
        return Response(status="answered", text="yes", model="m")


def layers(provider: Provider) -> Provider:
    limiter = Limiter("benchmark", ProviderSettings(max_concurrency=AT_ONCE // 2))
    inner = Limited(provider, name="benchmark", limiter=limiter, deadline=None)
    guarded = Guarded(inner, name="benchmark", breakers=Breakers(None))
    return Retrying(guarded, name="benchmark", deadline=None)


def cpu_a_call(provider: Provider, calls: int) -> float:
    """Return the CPU seconds of a call, at `AT_ONCE` at the same time."""
    request = Request(instructions="What do you see?", parts=())

    async def work() -> float:
        async def caller() -> None:
            for _ in range(calls // AT_ONCE):
                await provider.generate(request)

        began = time.process_time()
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        return (time.process_time() - began) / calls

    return asyncio.run(work())


def measure(minutes: float, calls: int) -> dict[str, Any]:
    """Return all figures."""
    mixes = {name: use(mix, minutes) for name, mix in MIXES.items()}
    bare = min(cpu_a_call(Instant(), calls) for _ in range(ROUNDS))
    whole = min(cpu_a_call(layers(Instant()), calls) for _ in range(ROUNDS))
    return {
        "minutes": minutes,
        "least_used": min(row["used"] for row in mixes.values()),
        "goal_used": 0.95,
        "violations": sum(row["violations"] for row in mixes.values()),
        "goal_violations": 0,
        "limits_retry_breaker_us_a_call": round((whole - bare) * 1e6, 1),
        "mixes": mixes,
    }


def table(figures: dict[str, Any]) -> str:
    """Return the figures for a person."""
    lines = [f"{figures['minutes']:g} virtual minutes each{'':<11}    calls   used  of        over"]
    for name, row in figures["mixes"].items():
        lines.append(
            f"  {name:<31} {row['calls']:8} {row['used']:6.1%}  {row['binding']:<8} "
            f"{row['violations']:5}  {row['limiter_us_a_call']:5.0f} us of CPU a call"
        )
    cost = figures["limits_retry_breaker_us_a_call"]
    return "\n".join([*lines, f"Line, attempts and door together: {cost:.0f} us of CPU a call"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="virtual minutes of each mix")
    parser.add_argument("--calls", type=int, default=10_000, help="calls of the CPU measurement")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    arguments = parser.parse_args()
    figures = measure(arguments.minutes, arguments.calls)
    if arguments.json:
        result("rate_limit", **json.loads(json.dumps(figures)))
    else:
        print(table(figures))


if __name__ == "__main__":
    main()
