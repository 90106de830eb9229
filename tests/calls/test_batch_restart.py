"""Processes come and go while a batch runs; what was paid for once is not paid for again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_kit import QUICK, Asking, pending, rows, said
from calls_kit import until

from batch_service import BatchService, batch_service
from mmcrime.calls import batch_lane
from mmcrime.errors import (
    EgressError,
)
from spending import in_loop


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lane, "PACE", QUICK)


CODE = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
from batch_kit import QUICK, Asking
from mmcrime.calls import batch_lane
batch_lane.PACE = QUICK
service = SimpleNamespace(kind=sys.argv[1], url=sys.argv[2])
async def main():
    async with Asking(service, Path(sys.argv[3]), run=sys.argv[4]) as run:
        await run.ask('a', 'b')
asyncio.run(main())
"""


def process(service: BatchService, folder: Path, run: str) -> subprocess.Popen[str]:
    """Begin to ask in a process of its own."""
    command = [sys.executable, "-c", CODE, service.kind, service.url, str(folder), run]
    env = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def killed(service: BatchService, folder: Path, when: Callable[[], bool]) -> None:
    """Ask in a process that is killed at some moment, without a last word."""
    first = process(service, folder, "run-1")
    try:
        asyncio.run(until(when))
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


async def after(service: BatchService, folder: Path) -> int:
    """Ask the same in another pipeline; return how many calls that came to."""
    async with Asking(service, folder, run="run-2") as later:
        assert said(await later.ask("a", "b")) == ["seen: a", "seen: b"]
    return later.budget.spent.calls


async def left_behind(service: BatchService, folder: Path) -> None:
    """Ask, and leave as soon as the batch is at the service and its name written down."""
    async with Asking(service, folder) as run:
        task = asyncio.ensure_future(run.ask("a"))
        await until(lambda: any(batch.looks for batch in service.batches))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_run_that_is_killed_while_it_waits_pays_once(tmp_path: Path) -> None:
    with batch_service("anthropic", runs=10**9) as service:
        killed(service, tmp_path, lambda: any(batch.looks > 1 for batch in service.batches))
        service.runs = 0
        assert asyncio.run(after(service, tmp_path)) == 0
        assert len(service.batches) == 1
        assert len(rows(tmp_path)) == 2


def test_a_run_that_is_killed_before_it_learns_the_name_of_its_batch_pays_once(
    tmp_path: Path,
) -> None:
    """The service has taken it; the next process finds it by what it is called there."""
    held = threading.Event()
    with batch_service("gemini", runs=0, held=held) as service:
        killed(service, tmp_path, lambda: bool(service.batches))
        held.set()
        assert asyncio.run(after(service, tmp_path)) == 0
        assert len(service.batches) == 1
        assert len(rows(tmp_path)) == 2
        assert pending(tmp_path) == 0


def test_what_a_killed_run_never_handed_over_is_handed_over_by_the_next(tmp_path: Path) -> None:
    held = threading.Event()
    with batch_service("openai", runs=0, held=held, held_at="/files") as service:
        killed(service, tmp_path, lambda: "POST /v1/files" in service.asked)
        assert pending(tmp_path) == 1
        service.held_at = ""
        held.set()
        assert asyncio.run(after(service, tmp_path)) == 2
        assert len(service.batches) == 1


@in_loop
async def test_under_offline_not_even_the_state_of_a_batch_is_asked_for(tmp_path: Path) -> None:
    with batch_service("gemini", runs=10**9) as service:
        await left_behind(service, tmp_path)
        service.asked.clear()
        async with Asking(service, tmp_path, run="run-2", offline=True, deadline=3) as later:
            (outcome,) = await later.ask("a")
        assert isinstance(outcome, EgressError)
        assert service.asked == []


@in_loop
async def test_asking_for_batches_of_other_runs_is_told_like_all_that_leaves(
    tmp_path: Path,
) -> None:
    with batch_service("gemini", runs=10**9) as service:
        await left_behind(service, tmp_path)
        service.runs = 0
        async with Asking(service, tmp_path, run="run-2") as other:
            await other.ask("b")
        asked = [record.what for record in other.gate.records]
        assert asked == ["image and text of a request", "the name of a batch"]


@in_loop
async def test_a_batch_that_is_waited_for_is_told_once(tmp_path: Path) -> None:
    with batch_service("gemini", runs=10**9) as service:
        await left_behind(service, tmp_path)
        service.runs = 0
        async with Asking(service, tmp_path, run="run-2") as later:
            await later.ask("a")
        assert [record.what for record in later.gate.records] == ["the name of a batch"]
