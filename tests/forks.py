"""Processes of their own for tests, each a fork of one that has imported what they need."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["mmcrime.pipeline.core", "mmcrime.calls.layer", "redis.asyncio", "httpx2", "pytest"]
)


class Worker:
    """A process that says it is ready, and begins when it is told to.

    Args:
        work: What it does, with its end of a pipe and what is given.
        *given: What is given.
    """

    def __init__(self, work: Callable[..., None], *given: Any) -> None:
        self._door, there = _FORKS.Pipe()
        self._process = _FORKS.Process(target=work, args=(there, *given))
        self._process.start()
        there.close()

    def go(self) -> None:
        self._door.send("go")

    def heard(self) -> Any:
        assert self._door.poll(60)
        return self._door.recv()

    def said(self) -> Any:
        """Return what it has found out, after it has ended."""
        said = self.heard()
        self._process.join(60)
        assert self._process.exitcode == 0
        return said

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._door.close()


@contextmanager
def workers(work: Callable[..., None], given: list[tuple[Any, ...]]) -> Iterator[list[Worker]]:
    """Start some processes, and kill what is left of them in the end."""
    started = [Worker(work, *arguments) for arguments in given]
    try:
        for process in started:
            assert process.heard() == "ready"
        yield started
    finally:
        for process in started:
            process.kill()
