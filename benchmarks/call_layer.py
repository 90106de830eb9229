"""What the call layer costs: CPU of a call beyond the bare SDK, at 100 calls at the same time.

    python benchmarks/call_layer.py [--json] [--calls N] [--rounds N] [--without litellm]

Every call sends a picture that is base64 of 300 KB, no two the same, to a service in another
process that answers at once. Five ways in turn, in one process:

- the SDK of OpenAI alone, with a client made as ours is made, and the body made by hand;
- our provider alone;
- the whole call layer around it as a pipeline builds it, with stored answers, the record of
  what was paid, budgets, limits, attempts and doors, none of which is known before;
- the same with a cap of a day, whose file is written before each call is sent;
- the same as the third without stored answers.

CPU is that of the whole process, all threads; the service counts for nobody. Each figure is
the lowest of the rounds, and a difference that of a round's neighbours, its median.
Goal: the whole layer at most 1 ms beyond the bare SDK, and every picture encoded once.

LiteLLM is measured beside it, through chat completions, in an environment of its own:
it needs other versions of libraries than we do.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from _common import result
from _service import service

AT_ONCE = 100
BYTES = 225_000  # of a picture: 300,000 as base64
GOAL_MS = 1.0
INSTRUCTIONS = "You look at footage of a camera. " * 60
SCHEMA = {
    "type": "object",
    "properties": {"incident": {"type": "string"}, "probability": {"type": "number"}},
    "required": ["incident", "probability"],
    "additionalProperties": False,
}
Call = Callable[[bytes], Awaitable[object]]

_noise = random.Random(5).randbytes(BYTES)  # noqa: S311  # the body of a picture
_numbers = itertools.count()


def picture(size: int = BYTES) -> bytes:
    """Return the bytes of a picture that nobody has seen before."""
    return b"\xff\xd8\xff" + next(_numbers).to_bytes(8, "big") + _noise[:size]


def bare(url: str) -> Call:
    """Return a call of the SDK alone."""
    import openai  # noqa: TID251  # it is compared with

    from mmcrime_providers._http import http_client

    client = openai.AsyncOpenAI(
        api_key="k", base_url=url, max_retries=0, http_client=http_client(timeout=60.0)
    )

    async def call(data: bytes) -> object:
        image = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
        content: list[Any] = [
            {"type": "input_text", "text": "What happens?"},
            {"type": "input_image", "image_url": image, "detail": "auto"},
        ]
        form: Any = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
        return await client.responses.create(
            model="m",
            instructions=INSTRUCTIONS,
            input=[{"role": "user", "content": content}],
            max_output_tokens=4096,
            store=False,
            text={"format": form},
        )

    return call


def provider(url: str) -> Any:
    """Return our provider."""
    from pydantic import SecretStr

    from mmcrime_providers.openai import OpenAIProvider

    return OpenAIProvider(api_key=SecretStr("k"), base_url=url, model="m", api="responses")


def request(data: bytes) -> Any:
    """Return the question that `bare` asks, as an analyzer would make it."""
    from mmcrime.plugins import Part, Request

    known = f"fit-1/{data[3:11].hex()}"
    image = Part(data=data, media_type="image/jpeg", id=known, width=1024, height=768)
    return Request(
        instructions=INSTRUCTIONS,
        parts=(Part(text="What happens?"), image),
        schema=SCHEMA,
        recipe="1",
    )


def layered(
    asked: Any, folder: Path, *, stored: bool = True, at_once: int = AT_ONCE, **caps: float
) -> Call:
    """Return a call of a provider through the whole layer, as a run of a pipeline makes it."""
    from mmcrime.calls.budget import RunBudget
    from mmcrime.calls.layer import CallLayer, Run
    from mmcrime.config import load_settings
    from mmcrime.egress import Gate

    section = {
        "price": {"input_per_million": 0.05, "output_per_million": 0.4},
        "max_concurrency": at_once,
        "requests_per_minute": 1_000_000,
        "tokens_per_minute": 10_000_000_000,
    }
    settings = load_settings(
        {
            "providers": {"openai": section},
            "cache": {"directory": str(folder), "enabled": stored},
            "budget": {"usd_per_run": 1000.0, **caps},
        }
    )
    run = Run(
        request_id="r",
        tenant="default",
        gate=Gate(offline=False),
        budget=RunBudget(settings.budget),
        deadline=None,
    )
    wrapped = CallLayer(settings).wrap(
        asked,
        name="openai",
        section=settings.providers["openai"],
        options="{}",
        run=run,
    )

    async def call(data: bytes) -> object:
        return await wrapped.generate(request(data))

    return call


async def cpu_ms(call: Call, calls: int) -> float:
    """Return CPU milliseconds of one call, `AT_ONCE` at the same time."""
    pictures = [picture() for _ in range(calls)]
    waiting = iter(pictures)

    async def worker() -> None:
        for data in waiting:
            await call(data)

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return (time.process_time() - began) / calls * 1000


class Counted:
    """Counts how often a picture is turned into base64 while it is in use."""

    def __init__(self) -> None:
        self.encodings = 0
        self._whole = base64.b64encode

    def __enter__(self) -> Counted:
        def encode(s: Any, altchars: Any = None) -> bytes:
            self.encodings += len(s) >= BYTES
            return self._whole(s, altchars)

        base64.b64encode = encode
        return self

    def __exit__(self, *_: object) -> None:
        base64.b64encode = self._whole


async def measure(url: str, folder: Path, *, calls: int, rounds: int) -> dict[str, Any]:
    """Return all figures of this environment."""
    plain = provider(url)
    ways: dict[str, Call] = {
        "bare SDK": bare(url),
        "our provider": lambda data: plain.generate(request(data)),
        "call layer": layered(provider(url), folder / "stored"),
        "call layer, cap of a day": layered(provider(url), folder / "capped", usd_per_day=1000.0),
        "call layer, no store": layered(provider(url), folder / "not", stored=False),
    }
    for call in ways.values():
        await cpu_ms(call, AT_ONCE)  # connections, files and tables are opened
    with Counted() as counted:
        await cpu_ms(ways["call layer"], AT_ONCE)
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # In another order each time: whoever comes first does not always find the same machine.
        for name in sorted(ways, key=lambda n: hash((number, n))):
            runs[name].append(await cpu_ms(ways[name], calls))
    beyond = {
        name: statistics.median(a - b for a, b in zip(runs[name], runs["bare SDK"], strict=True))
        for name in ways
        if name != "bare SDK"
    }
    return {
        "cpu_ms": {name: round(min(each), 3) for name, each in runs.items()},
        "cpu_ms_median": {n: round(statistics.median(each), 3) for n, each in runs.items()},
        "beyond_bare_ms": {name: round(each, 3) for name, each in beyond.items()},
        "encodings_a_picture": counted.encodings / AT_ONCE,
        "goal_ms": GOAL_MS,
        "met": beyond["call layer"] <= GOAL_MS and counted.encodings == AT_ONCE,
        "calls": calls,
        "rounds": rounds,
        "at_once": AT_ONCE,
    }


_LITELLM = """
import asyncio, base64, itertools, json, random, sys, time
import litellm
url, calls, rounds, at_once, size = sys.argv[1], *map(int, sys.argv[2:6])
litellm.suppress_debug_info = True
noise = random.Random(5).randbytes(size)
numbers = itertools.count()
async def call(data):
    image = {"url": "data:image/jpeg;base64," + base64.b64encode(data).decode()}
    content = [{"type": "text", "text": "What happens?"}, {"type": "image_url", "image_url": image}]
    await litellm.acompletion(
        model="openai/m", api_base=url, api_key="k", max_tokens=4096, num_retries=0,
        messages=[{"role": "system", "content": "You look at footage of a camera. " * 60},
                  {"role": "user", "content": content}],
    )
async def work(calls):
    pictures = [next(numbers).to_bytes(8, "big") + noise for _ in range(calls)]
    waiting = iter(pictures)
    async def worker():
        for data in waiting:
            await call(data)
    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return (time.process_time() - began) / calls * 1000
async def main():
    await work(at_once)
    return [await work(calls) for _ in range(rounds)]
from importlib.metadata import version
print(json.dumps({"runs": asyncio.run(main()), "version": version("litellm")}))
"""


def litellm(url: str, *, calls: int, rounds: int) -> dict[str, Any]:
    """Return the figures of LiteLLM, from an environment that is made where there is none."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "mmcrime-benchmarks" / "litellm"
    python = folder / "bin" / "python"
    try:
        if not (folder / "ready").exists():
            venv.create(folder, with_pip=True, clear=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "litellm"]
            subprocess.run(pip, check=True, capture_output=True, text=True)
            (folder / "ready").touch()
        done = subprocess.run(
            [python, "-c", _LITELLM, url, *map(str, (calls, rounds, AT_ONCE, BYTES))],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": ""},
        )
    except subprocess.CalledProcessError as error:
        return {"said": f"not measured: {(error.stderr or '').strip().splitlines()[-1:]}"}
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "version": found["version"],
        "cpu_ms": round(min(found["runs"]), 3),
        "cpu_ms_median": round(statistics.median(found["runs"]), 3),
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures for a person."""
    lines = [f"{'CPU ms of a call':<26}{'lowest':>8}{'median':>8}{'beyond the bare SDK':>21}"]
    for name, lowest in found["cpu_ms"].items():
        beyond = found["beyond_bare_ms"].get(name)
        told = "" if beyond is None else f"{beyond:>21.3f}"
        lines.append(f"{name:<26}{lowest:>8.3f}{found['cpu_ms_median'][name]:>8.3f}{told}")
    other = found["litellm"]
    if "cpu_ms" in other:
        name = f"LiteLLM {other['version']}"
        lines.append(f"{name:<26}{other['cpu_ms']:>8.3f}{other['cpu_ms_median']:>8.3f}")
    else:
        lines.append(f"LiteLLM: {other['said']}")
    met = "met" if found["met"] else "missed"
    lines.append(
        f"Encodings of a picture: {found['encodings_a_picture']:g}; "
        f"goal {GOAL_MS:g} ms beyond the bare SDK and 1 encoding: {met}"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--calls", type=int, default=150, help="calls in each round (150)")
    parser.add_argument("--rounds", type=int, default=25, help="rounds of each way (25)")
    parser.add_argument("--without", choices=["litellm"], help="leave this one out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, service(0.0) as url:
        found = asyncio.run(measure(url, Path(folder), calls=given.calls, rounds=given.rounds))
        if given.without:
            found["litellm"] = {"said": "left out"}
        else:
            found["litellm"] = litellm(url, calls=given.calls, rounds=given.rounds)
    if given.json:
        result("call_layer", **found)
    else:
        print(table(found))


if __name__ == "__main__":
    main()
