"""Running the stages of one Media: each may fail or be late without hurting the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from mmcrime.perceive.spans import record
from mmcrime.results import ErrorRecord

__all__ = ["GRACE", "Halt", "Stages"]

GRACE = 2.0
"""Seconds past the deadline in which work that was told to stop hands in what it has."""

_T = TypeVar("_T")


class Halt:
    """Tells work in threads to stop, because of a deadline or a cancelled call.

    Args:
        seconds: Seconds from now until the deadline; None for none.
    """

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds
        self._called = threading.Event()

    def call(self) -> None:
        """Ask everybody to stop now."""
        self._called.set()

    @property
    def due(self) -> bool:
        """Whether work must stop."""
        return self._called.is_set() or (self._at is not None and time.monotonic() >= self._at)


class Stages:
    """Runs stages and keeps the accounts of one Media.

    Args:
        count: Number of stages, for the share that is reported.
        deadline: `asyncio` loop time, or None.
        progress: Is called with a share between 0 and 1 after each stage.

    Attributes:
        deadline: As given.
        halt: What work in threads must heed.
        errors: What went wrong and was survived.
        causes: The exceptions themselves, in order.
        timings: Wall seconds by stage.
    """

    def __init__(
        self, *, count: int, deadline: float | None, progress: Callable[[float], None]
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._count = count
        self._progress = progress
        self.deadline = deadline
        self.halt = Halt(None if deadline is None else deadline - now)
        self.errors: list[ErrorRecord] = []
        self.causes: list[Exception] = []
        self.timings: dict[str, float] = {}

    async def run(
        self, name: str, work: Callable[[], _T], *, grace: float = 0.0
    ) -> tuple[_T | None, str]:
        """Run blocking work in a thread.

        Args:
            name: The stage.
            work: Is left to itself when the time is up; a thread cannot be ended.
            grace: Seconds past the deadline; for work that heeds `halt`.

        Returns:
            Its result, or None and the reason for the gap that this leaves.
        """
        if self.halt.due:  # a thread that was started cannot be taken back
            return None, "deadline"
        began = time.perf_counter()
        end = None if self.deadline is None else self.deadline + grace
        try:
            async with asyncio.timeout_at(end) as scope:
                return await asyncio.to_thread(work), ""
        except Exception as error:  # noqa: BLE001 - border: hostile media; a failing stage costs its own part
            if isinstance(error, TimeoutError) and scope.expired():
                return None, "deadline"
            self.note(name, error)
            return None, f"{name}_failed: {type(error).__name__}"
        finally:
            self.ended(name, began)

    def ended(self, name: str, began: float, errors: Iterable[ErrorRecord] = ()) -> None:
        """Book a stage that began at ``began`` (`time.perf_counter`)."""
        self.errors += errors
        self.timings[name] = time.perf_counter() - began
        self._progress(len(self.timings) / self._count)

    def note(self, stage: str, error: Exception) -> None:
        """Record an error that was survived."""
        self.causes.append(error)
        self.errors.append(record(stage, error))
