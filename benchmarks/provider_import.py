"""What importing a provider costs, against importing its SDK alone.

    python benchmarks/provider_import.py [--json] [--rounds N]

Each in a process of its own, in turn: an empty one with what a provider imports of mmcrime,
the same and the SDK, and the provider. CPU; each figure is the lowest of the rounds. Goal: a
provider costs at most 1.05 of its SDK, and nothing of an SDK is loaded before it is used:
neither by `import mmcrime`, nor by the registry, nor by a pipeline that names no provider.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from _common import result

GOAL = 1.05
SDKS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google.genai"}
_BASE = "import mmcrime.plugins, mmcrime.errors, mmcrime.results, pydantic, httpx2, json, asyncio"
_TIMED = """
import sys, time
began = time.process_time()
{code}
print(time.process_time() - began)
"""
_BEFORE_USE = """
import sys, tempfile
from mmcrime import CrimeDetectionPipeline
from mmcrime.registry import available
available("providers")
with tempfile.TemporaryDirectory() as folder:
    quiet = {"analyzers": {"speech": {"enabled": False}}, "cache": {"directory": folder}}
    with CrimeDetectionPipeline(quiet):
        pass
names = ("openai", "anthropic", "google", "mmcrime_providers")
print([m for m in sys.modules if m.split(".")[0] in names])
"""


def run(code: str) -> str:
    """Return what a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def cpu_s(code: str) -> float:
    """Return the CPU seconds of some code in a fresh process."""
    return float(run(_TIMED.format(code=code)))


def measure(rounds: int) -> dict[str, Any]:
    """Return all figures."""
    codes = {"base": _BASE}
    for name, sdk in SDKS.items():
        codes[f"{name} SDK"] = f"{_BASE}, {sdk}"
        codes[name] = f"{_BASE}, mmcrime_providers.{name}"
    times: dict[str, list[float]] = {name: [] for name in codes}
    for code in codes.values():
        cpu_s(code)  # compiled, and read from the disk
    for _ in range(rounds):
        for name, code in codes.items():
            times[name].append(cpu_s(code))
    least = {name: min(each) for name, each in times.items()}
    rows = {
        name: {
            "sdk_ms": round(1000 * least[f"{name} SDK"]),
            "provider_ms": round(1000 * least[name]),
            "ratio": round(least[name] / least[f"{name} SDK"], 3),
        }
        for name in SDKS
    }
    loaded = run(_BEFORE_USE)
    return {
        "providers": rows,
        "base_ms": round(1000 * least["base"]),
        "loaded_before_use": json.loads(loaded.replace("'", '"')),
        "worst_ratio": max(row["ratio"] for row in rows.values()),
        "goal": GOAL,
        "rounds": rounds,
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures for a person."""
    lines = [f"{'CPU ms of an import':<20}{'SDK':>7}{'provider':>10}{'ratio':>8}"]
    lines += [
        f"{name:<20}{row['sdk_ms']:>7}{row['provider_ms']:>10}{row['ratio']:>8.3f}"
        for name, row in found["providers"].items()
    ]
    before = ", ".join(found["loaded_before_use"]) or "nothing"
    return "\n".join([*lines, f"Loaded before a provider is used: {before}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each (7)")
    given = parser.parse_args()
    found = measure(given.rounds)
    if given.json:
        result("provider_import", **found)
    else:
        print(table(found))


if __name__ == "__main__":
    main()
