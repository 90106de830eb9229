"""How long 1,000 pictures take that are each answered in 200 ms, 50 at the same time.

    python benchmarks/fan_out.py [--json] [--pictures N] [--rounds N]

Every picture is another one of 64 KB, so that each is a call. In turn, in one process:

- the SDK of OpenAI alone, to a service in another process that answers after 200 ms;
- our provider with the whole call layer around it, to the same service;
- `FakeProvider`, which sleeps for 200 ms, with the whole call layer around it, against the
  4 s that sleeping takes; it alone is there to show what of that is the machine's.

Stored answers, the record of what was paid, budgets, limits, attempts and doors are all there,
and know nothing of these pictures. Wall time; each figure is the median of the rounds, and a
ratio that of a round's neighbours. Goal: at most 1.10 of the bare SDK, and of 4 s.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import call_layer
from _common import result
from _service import service
from call_layer import Call

AT_ONCE = 50
SECONDS = 0.2
BYTES = 64_000
GOAL = 1.10


def fake(folder: Path) -> tuple[Call, Call]:
    """Return a call of a provider that only sleeps, alone and through the whole layer."""
    from mmcrime.plugins import Request, Response, TokenUsage
    from mmcrime.testing import FakeProvider

    async def slept(_: Request) -> Response:
        await asyncio.sleep(SECONDS)
        usage = TokenUsage(input=1000, output=100)
        return Response(status="answered", text="{}", model="m", usage=usage)

    alone = FakeProvider(slept)
    layered = call_layer.layered(FakeProvider(slept), folder, at_once=AT_ONCE)
    return lambda data: alone.generate(call_layer.request(data)), layered


async def wall_s(call: Call, pictures: int) -> float:
    """Return the seconds that all pictures take."""
    waiting = iter([call_layer.picture(BYTES) for _ in range(pictures)])

    async def worker() -> None:
        for data in waiting:
            await call(data)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return time.perf_counter() - began


async def measure(url: str, folder: Path, *, pictures: int, rounds: int) -> dict[str, Any]:
    """Return all figures."""
    ours = call_layer.layered(call_layer.provider(url), folder / "ours", at_once=AT_ONCE)
    sleeping, layered = fake(folder / "fake")
    ways: dict[str, Call] = {
        "bare SDK": call_layer.bare(url),
        "call layer": ours,
        "FakeProvider alone": sleeping,
        "call layer, FakeProvider": layered,
    }
    for call in ways.values():
        await wall_s(call, AT_ONCE)  # connections, files and tables are opened
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 else list(reversed(ways))
        for name in names:
            runs[name].append(await wall_s(ways[name], pictures))
    ideal = pictures / AT_ONCE * SECONDS
    ratios = {
        "of_the_bare_sdk": _ratio(runs["call layer"], runs["bare SDK"]),
        "of_the_ideal": _ratio(runs["call layer, FakeProvider"], [ideal] * rounds),
    }
    return {
        "wall_s": {name: round(statistics.median(each), 3) for name, each in runs.items()},
        "ideal_s": ideal,
        **ratios,
        "goal": GOAL,
        "met": max(ratios.values()) <= GOAL,
        "pictures": pictures,
        "rounds": rounds,
        "at_once": AT_ONCE,
    }


def _ratio(ours: list[float], others: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(ours, others, strict=True)), 3)


def table(found: dict[str, Any]) -> str:
    """Return the figures for a person."""
    lines = [f"{found['pictures']} pictures, {AT_ONCE} at once, {SECONDS * 1000:g} ms each"]
    lines += [f"  {name:<26}{wall:>7.3f} s" for name, wall in found["wall_s"].items()]
    met = "met" if found["met"] else "missed"
    return "\n".join(
        [
            *lines,
            f"of the bare SDK: {found['of_the_bare_sdk']:.3f}",
            f"FakeProvider of {found['ideal_s']:g} s: {found['of_the_ideal']:.3f}",
            f"goal: at most {GOAL:.2f}: {met}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pictures", type=int, default=1000, help="pictures in a round (1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way (5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, service(SECONDS) as url:
        found = asyncio.run(
            measure(url, Path(folder), pictures=given.pictures, rounds=given.rounds)
        )
    if given.json:
        result("fan_out", **found)
    else:
        print(table(found))


if __name__ == "__main__":
    main()
