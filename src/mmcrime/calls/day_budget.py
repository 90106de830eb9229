"""What a day has cost, in one file that several processes share.

It is rewritten no more often than it can be: replacing a file costs more than all else in a
call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from mmcrime.calls.caps import NOTHING, Amount, Refusal, Spending, first_crossed
from mmcrime.calls.day_book import Booking, Change, DayBook
from mmcrime.calls.folder import private_folder, replace_file
from mmcrime.config import BudgetSettings
from mmcrime.errors import ConfigError
from mmcrime.logs import get_logger

__all__ = ["DayBudget"]

_log = get_logger("mmcrime.calls.budget")
_FORMAT = 1
_KEPT_DAYS = 7
_LOCK_SECONDS = 30.0
_MOST_BYTES = 16 * 1024 * 1024
_KEYS = {"picodollars": "picos", "calls": "calls", "tokens": "tokens", "unpriced": "unpriced"}

_Days = dict[str, dict[str, Amount]]


class DayBudget(DayBook):
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

    apart = 0.01  # it is rewritten no more often

    def __init__(
        self,
        path: Path,
        settings: BudgetSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(settings)
        self.path = path
        self._clock = clock
        self._warned = False

    async def reserve(self, tenant: str, ask: Amount) -> Booking | Refusal:
        """Book what a call may come to; when cancelled, it is taken back.

        Where no cap of a day is set, nothing can be refused, and nobody waits for the file: a
        process that is killed leaves out what it booked in its last quarter of a second.

        Raises:
            ConfigError: If a cap is set and the file cannot be used.
        """
        if self._capped:
            return await super().reserve(tenant, ask)
        booking = Booking(tenant=tenant, day=self._today(), amount=ask)
        self._enter(Change(tenant=tenant, amount=ask, day=booking.day), at_once=False)
        return booking

    async def spent(self, tenant: str = "default") -> Spending:
        """Return what has been booked today.

        Raises:
            ConfigError: If the file cannot be used.
        """
        await self.aclose()
        days = await asyncio.to_thread(self._read_locked)
        return days.get(self._today(), {}).get(tenant, NOTHING).spending

    def _today(self) -> str:
        return self._clock().astimezone(UTC).date().isoformat()

    async def _apply(self, changes: list[Change]) -> list[Booking | Refusal]:
        return await asyncio.to_thread(self._enter_all, changes)

    def _enter_all(self, changes: list[Change]) -> list[Booking | Refusal]:
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

    def _book(self, days: _Days, change: Change) -> Booking | Refusal:
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
