"""Booking calls on the account of a day, wherever it is kept.

A call is booked in full before it is sent, and corrected when its cost is known. A process
that dies in between leaves the whole of what it had booked, which is right: the service may
have charged for it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmcrime.calls.caps import NOTHING, Amount, Refusal, Spending
from mmcrime.config import BudgetSettings
from mmcrime.logs import get_logger

__all__ = ["Booking", "Change", "DayBook"]

_log = get_logger("mmcrime.calls.budget")
_LATEST = 0.25  # seconds that a correction waits for something to be written with


@dataclass(frozen=True, kw_only=True, slots=True)
class Booking:
    """What was booked for one call.

    Attributes:
        tenant: On whose account.
        day: On which day, in UTC; empty when it could not be recorded.
        amount: What was booked.
    """

    tenant: str
    day: str
    amount: Amount


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A line to enter: booked if it is within the caps, or a correction of what was booked.

    Attributes:
        tenant: On whose account.
        amount: What is added; the parts of a correction may be negative.
        day: The day that is corrected; empty to book on today.
    """

    tenant: str
    amount: Amount
    day: str = ""


@dataclass(kw_only=True, slots=True)
class _Entry:
    """A line that waits to be written, for somebody who waits as well unless withdrawn."""

    change: Change
    outcome: asyncio.Future[Booking | Refusal]
    withdrawn: bool = False


class DayBook(ABC):
    """The caps of a day; one for each pipeline, used from its event loop.

    Calls that come at the same time are written together, and corrections wait for a moment
    to be written with them.

    Args:
        settings: The caps. What a day has cost is recorded even where none is set, so that
            a cap that is set later the same day knows it.

    Attributes:
        settings: The caps.
        apart: Seconds between the beginnings of two writings.
    """

    apart: ClassVar[float] = 0.0

    def __init__(self, settings: BudgetSettings) -> None:
        self.settings = settings
        self._capped = any(
            cap is not None
            for cap in (settings.usd_per_day, settings.calls_per_day, settings.tokens_per_day)
        )
        self._pending: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None
        self._began = -self.apart  # loop time of the last writing
        self._late: asyncio.TimerHandle | None = None

    async def reserve(self, tenant: str, ask: Amount) -> Booking | Refusal:
        """Book what a call may come to; when cancelled, it is taken back.

        Raises:
            ConfigError: If what was spent cannot be known.
        """
        entry = self._enter(Change(tenant=tenant, amount=ask))
        try:
            return await asyncio.shield(entry.outcome)
        except asyncio.CancelledError:
            entry.withdrawn = True
            if entry.outcome.done():
                self._take_back(entry)
            raise

    async def settle(self, booking: Booking, actual: Amount) -> None:
        """Correct a booking to what the call came to; done even when the caller is cancelled.

        Raises:
            ConfigError: If it cannot be written; the booking then stays.
        """
        difference = actual - booking.amount
        if not booking.day or difference == NOTHING:
            return
        change = Change(tenant=booking.tenant, amount=difference, day=booking.day)
        await asyncio.shield(self._enter(change).outcome)

    def settle_soon(self, booking: Booking, actual: Amount) -> None:
        """Correct a booking with whatever is written next, within a quarter of a second.

        Until then, and if it cannot be written, which is logged, the booking stays: it is the
        most that the call may have come to.
        """
        difference = actual - booking.amount
        if not booking.day or difference == NOTHING:
            return
        change = Change(tenant=booking.tenant, amount=difference, day=booking.day)
        self._enter(change, at_once=False).outcome.add_done_callback(_complain)

    @abstractmethod
    async def spent(self, tenant: str = "default") -> Spending:
        """Return what has been booked today.

        Raises:
            ConfigError: If it cannot be known.
        """

    async def aclose(self) -> None:
        """Write what waits, and wait until all is written."""
        self._wake()
        while self._writer is not None and not self._writer.done():
            await asyncio.shield(self._writer)

    @abstractmethod
    async def _apply(self, changes: list[Change]) -> Sequence[Booking | Refusal | Exception]:
        """Enter some changes in one go; an exception is for whoever waits for that one."""

    def _enter(self, change: Change, *, at_once: bool = True) -> _Entry:
        loop = asyncio.get_running_loop()
        entry = _Entry(change=change, outcome=loop.create_future())
        # Whoever waits may be cancelled, and then nobody asks how it went.
        entry.outcome.add_done_callback(_noticed)
        self._pending.append(entry)
        if at_once:
            self._wake()
        elif self._late is None:
            self._late = loop.call_later(_LATEST, self._wake)
        return entry

    def _wake(self) -> None:
        """See to it that what waits is written."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._pending and (self._writer is None or self._writer.done()):
            self._writer = asyncio.get_running_loop().create_task(self._write_pending())

    def _take_back(self, entry: _Entry) -> None:
        """Undo a booking that was withdrawn while it was written."""
        if entry.outcome.exception() is None:
            booking = entry.outcome.result()
            if isinstance(booking, Booking) and booking.day:
                undo = NOTHING - booking.amount
                self._enter(Change(tenant=booking.tenant, amount=undo, day=booking.day))

    async def _write_pending(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            if (pause := self._began + self.apart - loop.time()) > 0:
                await asyncio.sleep(pause)
            self._began = loop.time()
            batch = [entry for entry in self._pending if not entry.withdrawn]
            self._pending = []
            if not batch:
                continue
            try:
                outcomes = await self._apply([entry.change for entry in batch])
            except asyncio.CancelledError:
                for entry in batch:
                    entry.outcome.cancel()
                raise
            except Exception as error:  # noqa: BLE001  # handed to whoever waits
                for entry in batch:
                    entry.outcome.set_exception(error)
                continue
            for entry, outcome in zip(batch, outcomes, strict=True):
                self._come_to(entry, outcome)

    def _come_to(self, entry: _Entry, outcome: Booking | Refusal | Exception) -> None:
        if isinstance(outcome, Exception):
            entry.outcome.set_exception(outcome)
        else:
            entry.outcome.set_result(outcome)
        if entry.withdrawn:
            self._take_back(entry)


def _complain(outcome: asyncio.Future[Booking | Refusal]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        _log.warning("%s", error)


def _noticed(outcome: asyncio.Future[Booking | Refusal]) -> None:
    if not outcome.cancelled():
        outcome.exception()
