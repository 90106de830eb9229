"""What a day has cost, in one file that several processes share.

A call is booked in full before it is sent, and corrected when its cost is known. A process
that dies in between leaves the whole of what it had booked, which is right: the service may
have charged for it.

Calls that come at the same time are written together, and corrections wait for a moment, so
that the file is rewritten no more often than it can be: replacing a file costs more than all
else in a call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from mmcrime.calls.caps import NOTHING, Amount, Refusal, Spending, first_crossed
from mmcrime.calls.folder import private_folder, replace_file
from mmcrime.config import BudgetSettings
from mmcrime.errors import ConfigError
from mmcrime.logs import get_logger

__all__ = ["Booking", "DayBudget"]

_log = get_logger("mmcrime.calls.budget")
_FORMAT = 1
_KEPT_DAYS = 7
_LOCK_SECONDS = 30.0
_APART = 0.01  # seconds between the beginnings of two rewritings
_LATEST = 0.25  # seconds that a correction waits for something to be written with
_MOST_BYTES = 16 * 1024 * 1024
_KEYS = {"picodollars": "picos", "calls": "calls", "tokens": "tokens", "unpriced": "unpriced"}

_Days = dict[str, dict[str, Amount]]


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
class _Change:
    """A line to enter: booked if it is within the caps, or a correction of what was booked."""

    tenant: str
    amount: Amount
    day: str = ""


@dataclass(kw_only=True, slots=True)
class _Entry:
    """A line that waits to be written, for somebody who waits as well unless withdrawn."""

    change: _Change
    outcome: asyncio.Future[Booking | Refusal]
    withdrawn: bool = False


class DayBudget:
    """The caps of a day; one for each pipeline, used from its event loop.

    A file that is damaged, cannot be written or is locked for 30 s stops every call as long as
    a cap of a day is set, since what was spent is not known; without such a cap that is
    logged, and nothing is recorded.

    Args:
        path: The file. It is made when it is needed; beside it lies a lock.
        settings: The caps. What a day has cost is recorded even where none is set, so that
            a cap that is set later the same day knows it.
        clock: Says what time it is.
    """

    def __init__(
        self,
        path: Path,
        settings: BudgetSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self.settings = settings
        self._clock = clock
        self._capped = any(
            cap is not None
            for cap in (settings.usd_per_day, settings.calls_per_day, settings.tokens_per_day)
        )
        self._pending: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None
        self._began = -_APART  # loop time of the last rewriting
        self._late: asyncio.TimerHandle | None = None
        self._warned = False

    async def reserve(self, tenant: str, ask: Amount) -> Booking | Refusal:
        """Book what a call may come to; when cancelled, it is taken back.

        Where no cap of a day is set, nothing can be refused, and nobody waits for the file: a
        process that is killed leaves out what it booked in its last quarter of a second.

        Raises:
            ConfigError: If a cap is set and the file cannot be used.
        """
        if not self._capped:
            booking = Booking(tenant=tenant, day=self._today(), amount=ask)
            self._enter(_Change(tenant=tenant, amount=ask, day=booking.day), at_once=False)
            return booking
        entry = self._enter(_Change(tenant=tenant, amount=ask))
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
            ConfigError: If a cap is set and the file cannot be used; the booking then stays.
        """
        difference = actual - booking.amount
        if not booking.day or difference == NOTHING:
            return
        change = _Change(tenant=booking.tenant, amount=difference, day=booking.day)
        await asyncio.shield(self._enter(change).outcome)

    def settle_soon(self, booking: Booking, actual: Amount) -> None:
        """Correct a booking with whatever is written next, within a quarter of a second.

        Until then, and if it cannot be written, which is logged, the booking stays: it is the
        most that the call may have come to.
        """
        difference = actual - booking.amount
        if not booking.day or difference == NOTHING:
            return
        change = _Change(tenant=booking.tenant, amount=difference, day=booking.day)
        self._enter(change, at_once=False).outcome.add_done_callback(_complain)

    async def spent(self, tenant: str = "default") -> Spending:
        """Return what has been booked today.

        Raises:
            ConfigError: If the file cannot be used.
        """
        await self.aclose()
        days = await asyncio.to_thread(self._read_locked)
        return days.get(self._today(), {}).get(tenant, NOTHING).spending

    async def aclose(self) -> None:
        """Write what waits, and wait until all is written."""
        self._wake()
        while self._writer is not None and not self._writer.done():
            await asyncio.shield(self._writer)

    def _enter(self, change: _Change, *, at_once: bool = True) -> _Entry:
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
                self._enter(_Change(tenant=booking.tenant, amount=undo, day=booking.day))

    async def _write_pending(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            if (pause := self._began + _APART - loop.time()) > 0:
                await asyncio.sleep(pause)
            self._began = loop.time()
            batch = [entry for entry in self._pending if not entry.withdrawn]
            self._pending = []
            if not batch:
                continue
            try:
                outcomes = await asyncio.to_thread(self._apply, [entry.change for entry in batch])
            except asyncio.CancelledError:
                for entry in batch:
                    entry.outcome.cancel()
                raise
            except Exception as error:  # noqa: BLE001  # handed to whoever waits
                for entry in batch:
                    entry.outcome.set_exception(error)
                continue
            for entry, outcome in zip(batch, outcomes, strict=True):
                entry.outcome.set_result(outcome)
                if entry.withdrawn:
                    self._take_back(entry)

    def _today(self) -> str:
        return self._clock().astimezone(UTC).date().isoformat()

    def _apply(self, changes: list[_Change]) -> list[Booking | Refusal]:
        """Enter some changes in one go. Blocks."""
        try:
            with self._locked():
                days = self._read()
                outcomes = [self._book(days, change) for change in changes]
                if any(isinstance(outcome, Booking) for outcome in outcomes):
                    self._write(days)
                return outcomes
        except (ConfigError, OSError) as error:
            problem = self._unusable(error)
            if self._capped:
                raise problem from error
            if not self._warned:
                _log.warning("%s No cap of a day is set, so that calls go on.", problem.message)
            self._warned = True
            return [Booking(tenant=c.tenant, day="", amount=c.amount) for c in changes]

    def _book(self, days: _Days, change: _Change) -> Booking | Refusal:
        day = change.day or self._today()
        accounts = days.setdefault(day, {})
        spent = accounts.get(change.tenant, NOTHING)
        if not change.day:
            refusal = first_crossed(
                self.settings, "day", spent=spent, reserved=NOTHING, ask=change.amount
            )
            if refusal is not None:
                return refusal
        accounts[change.tenant] = _not_below_zero(spent + change.amount)
        return Booking(tenant=change.tenant, day=day, amount=change.amount)

    def _locked(self) -> Any:
        from filelock import FileLock

        private_folder(self.path.parent)
        return FileLock(f"{self.path}.lock", timeout=_LOCK_SECONDS)

    def _read_locked(self) -> _Days:
        try:
            with self._locked():
                return self._read()
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self) -> _Days:
        try:
            with self.path.open("rb") as file:
                raw = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return {}
        try:
            return _parsed(raw)
        except (ValueError, RecursionError) as error:
            raise self._unusable(error) from error

    def _write(self, days: _Days) -> None:
        oldest = (self._clock().astimezone(UTC).date() - timedelta(days=_KEPT_DAYS)).isoformat()
        kept = {
            day: {
                tenant: {key: getattr(amount, part) for key, part in _KEYS.items()}
                for tenant, amount in accounts.items()
            }
            for day, accounts in sorted(days.items())
            if accounts and day >= oldest
        }
        replace_file(self.path, json.dumps({"format": _FORMAT, "days": kept}))

    def _unusable(self, error: Exception) -> ConfigError:
        if isinstance(error, ConfigError):
            return error
        why = str(error) or type(error).__name__
        return ConfigError(
            f"The record of what a day has cost, {str(self.path)!r}, cannot be used: {why}.",
            next_step="Repair it, or delete it to begin at zero; the caps of a day need it.",
        )


def _parsed(raw: bytes) -> _Days:
    """Read the file strictly: what is spent must not become less by damage."""
    if len(raw) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
    held = _mapping(json.loads(raw))
    if held.get("format") != _FORMAT or set(held) != {"format", "days"}:
        raise ValueError("it is no such record, or one of another version")
    return {_day(day): _accounts(accounts) for day, accounts in _mapping(held["days"]).items()}


def _day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError(f"{text!r:.80} is no day")
    return text


def _accounts(accounts: Any) -> dict[str, Amount]:
    return {tenant: _amount(counts) for tenant, counts in _mapping(accounts).items()}


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.80} stands where entries should")  # noqa: TRY004
    return value


def _amount(counts: Any) -> Amount:
    if set(_mapping(counts)) != set(_KEYS):
        raise ValueError(f"an entry has the keys {sorted(counts)!r:.200}")
    for key, count in counts.items():
        if type(count) is not int or count < 0:
            raise ValueError(f"{key} is {count!r:.80}")
    return Amount(**{part: counts[key] for key, part in _KEYS.items()})


def _not_below_zero(amount: Amount) -> Amount:
    """Return an amount as it can be read again: somebody may have deleted what is corrected."""
    return Amount(
        picos=max(0, amount.picos),
        calls=max(0, amount.calls),
        tokens=max(0, amount.tokens),
        unpriced=max(0, amount.unpriced),
    )


def _complain(outcome: asyncio.Future[Booking | Refusal]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        _log.warning("%s", error)


def _noticed(outcome: asyncio.Future[Booking | Refusal]) -> None:
    if not outcome.cancelled():
        outcome.exception()
