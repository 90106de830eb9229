"""Running the stages of one Media: each may fail or be late without hurting the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from mmcrime.logs import get_logger
from mmcrime.perceive.spans import failure_of, record
from mmcrime.results import ErrorRecord

__all__ = ["GRACE", "Halt", "Stages"]

GRACE = 2.0
"""Seconds past the deadline in which work that was told to stop hands in what it has."""

_STEP = 0.01  # shares closer than this are not worth a call: pictures come by the hundred
_T = TypeVar("_T")
_log = get_logger("mmcrime.perceive")


def _outcome(work: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    """Run work in a thread and return what it returned or raised.

    Raising is no way out of the thread: SystemExit and KeyboardInterrupt would end the
    event loop of whoever waits, and a StopIteration would leave him waiting for ever.
    """
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - border: hostile media and plug-ins; asyncio never cancels a thread
        return None, error


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
        progress: Is called in the event loop with a share between 0 and 1.

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
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._progress = progress
        self._shares: dict[str, float] = {}
        self.deadline = deadline
        self.halt = Halt(None if deadline is None else deadline - self._loop.time())
        self.errors: list[ErrorRecord] = []
        self.causes: list[BaseException] = []
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
                result, error = await asyncio.to_thread(_outcome, work)
        except TimeoutError:
            if not scope.expired():
                raise
            return None, "deadline"
        finally:
            self.ended(name, began)
        if error is None:
            return result, ""
        self.note(name, error)
        return None, f"{name}_failed: {failure_of(error)}"

    def ended(self, name: str, began: float, errors: Iterable[ErrorRecord] = ()) -> None:
        """Book a stage that began at ``began`` (`time.perf_counter`)."""
        self.errors += errors
        self.timings[name] = time.perf_counter() - began
        self._shares[name] = 1.0
        self.report(self._done())

    def advance(self, name: str, share: float) -> None:
        """Note, from any thread, that this share of a running stage is done."""
        if share < self._shares.get(name, 0.0) + _STEP:
            return
        self._shares[name] = min(share, 1.0)
        # Summed here and not when the loop gets to it: by then a fast stage may be through.
        with contextlib.suppress(RuntimeError):  # the loop of a cancelled run may be closed
            self._loop.call_soon_threadsafe(self.report, self._done())

    def _done(self) -> float:
        # A list, because other threads add their stages meanwhile.
        return min(1.0, sum(list(self._shares.values())) / self._count)

    def report(self, share: float) -> None:
        """Tell the caller how much is done; a caller who raises misses it, and no more."""
        try:
            self._progress(share)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - border: a caller's code; SystemExit would end the event loop
            _log.warning("The progress callback raised %s; it is ignored.", failure_of(error))

    def note(self, stage: str, error: BaseException) -> None:
        """Record an error that was survived."""
        self.causes.append(error)
        self.errors.append(record(stage, error))
