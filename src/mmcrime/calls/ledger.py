"""The record of every reply that was paid for, written before the reply is used."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

from mmcrime.calls.batches import Batches
from mmcrime.calls.database import open_database
from mmcrime.calls.meter import BROKEN_OFF, attempted, current_meter
from mmcrime.calls.prices import NO_TOKENS
from mmcrime.calls.stored import from_json, to_json
from mmcrime.calls.wrapper import Wrapper
from mmcrime.errors import ConfigError, MmcrimeError, ProviderError
from mmcrime.logs import get_logger
from mmcrime.plugins import Provider, Request, Response, TokenUsage
from mmcrime.results import Cost

__all__ = ["Ledger", "Recorded"]

_log = get_logger("mmcrime.calls")

_VERSION = 1
_KEPT_SECONDS = 90 * 24 * 3600.0
_APART = 0.003  # seconds between two commits, where there is so much to write
_CANDIDATES = 8  # rows that are looked at before an unreadable reply counts as none
_TABLES = """
CREATE TABLE replies (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    request_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    reply BLOB,
    usd REAL,
    cost_source TEXT NOT NULL,
    cost_detail TEXT NOT NULL
);
CREATE INDEX replies_by_key ON replies (key);
CREATE INDEX replies_by_time ON replies (time);
"""
_INSERT = """
INSERT INTO replies (time, request_id, tenant, provider, endpoint, model, key, status, reply,
    usd, cost_source, cost_detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND = """
SELECT reply FROM replies
WHERE key = ? AND reply IS NOT NULL AND (status = 'answered' OR request_id = ?)
ORDER BY status = 'answered' DESC, id DESC LIMIT ?
"""


class Row(TypedDict):
    """One reply that is billed, or may be.

    Attributes:
        key: Of the request.
        request_id: Of the run.
        tenant: On whose behalf.
        provider: Registered name of the provider.
        endpoint: Where the request went.
        model: The model that was asked.
        cost: What the reply costs.
        response: What came back; None for an attempt without a reply.
    """

    key: str
    request_id: str
    tenant: str
    provider: str
    endpoint: str
    model: str | None
    cost: Cost
    response: Response | None


class Ledger:
    """The file ``ledger.sqlite3`` in the cache directory, of mode 0600.

    Opened when something is first asked of it; rows older than 90 days are dropped then.
    Safe for threads, and for processes that share the directory. A row outlives the death
    of the process that wrote it; the last rows may be lost when the machine loses power.

    Args:
        directory: The cache directory; made with mode 0700 where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "ledger.sqlite3"
        self._lock = threading.Lock()
        self._held: sqlite3.Connection | None = None
        self._batches: Batches[Row, None] = Batches(self._written, apart=_APART)
        self.failed = 0  # rows that could not be written

    @property
    def is_open(self) -> bool:
        """Whether `open` has nothing to do; does not wait."""
        return self._held is not None

    def open(self) -> None:
        """Open the file, so that trouble with it shows before money is spent.

        Raises:
            ConfigError: If it cannot be used.
        """
        with self._lock:
            self._connection()

    def record(self, **row: Unpack[Row]) -> None:
        """Write down one reply that is billed, or may be; see `Row`. Blocks.

        A row that cannot be written is a warning in the log: the reply is paid for, and
        losing it as well would help nobody. The file is then opened again before the next
        call, so that no further one is paid for and forgotten.

        Raises:
            ConfigError: If the file cannot be used.
        """
        self._write([row])

    def enter(self, **row: Unpack[Row]) -> asyncio.Future[None]:
        """Write down one reply together with others that come at the same time; see `record`.

        Whoever is cancelled while it waits shields it: it is paid for.
        """
        return self._batches.enter(row)

    async def _written(self, rows: list[Row]) -> list[Exception | None]:
        await asyncio.to_thread(self._write, rows)
        return [None] * len(rows)

    def _write(self, rows: Sequence[Row]) -> None:
        with self._lock:
            connection = self._connection()
            if len(rows) > 1 and _together(connection, rows):
                return
            for row in rows:
                try:
                    self._connection().execute(_INSERT, _values(row))
                except (sqlite3.Error, UnicodeEncodeError) as error:
                    self.failed += 1
                    extra = {"request_id": row["request_id"]}
                    _log.warning("a billed reply could not be recorded: %s", error, extra=extra)
                    if isinstance(error, sqlite3.Error):
                        self._let_go()

    def find(self, key: str, *, request_id: str) -> Response | None:
        """Return a reply to a request that was paid for already, without a cost.

        An answer of any run serves. A refusal or a truncated reply serves only the run that
        got it, which would ask again for the same money.

        Args:
            key: Of the request.
            request_id: Of the run that asks.

        Raises:
            ConfigError: If the file cannot be used.
        """
        with self._lock:
            connection = self._connection()
            try:
                rows = connection.execute(_FIND, (key, request_id, _CANDIDATES)).fetchall()
            except sqlite3.Error as error:
                extra = {"request_id": request_id}
                _log.warning("the ledger could not be read: %s", error, extra=extra)
                return None
        found = (from_json(key, data) for (data,) in rows)
        return next((response for response in found if response is not None), None)

    def forget(self) -> None:
        """Remove what the replies said, so that none serves again; what was paid stays.

        Raises:
            ConfigError: If the file cannot be used.
        """
        with self._lock:
            connection = self._connection()
            try:
                connection.execute("UPDATE replies SET reply = NULL")
            except sqlite3.Error as error:
                raise self._unusable(error) from error

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _connection(self) -> sqlite3.Connection:
        if self._held is None:
            try:
                self._held = self._opened()
            except (OSError, sqlite3.Error) as error:
                raise self._unusable(error) from error
        return self._held

    def _opened(self) -> sqlite3.Connection:
        connection = open_database(self._path, tables=_TABLES, version=_VERSION)
        try:
            oldest = time.time() - _KEPT_SECONDS
            connection.execute("DELETE FROM replies WHERE time < ?", (oldest,))
        except BaseException:
            connection.close()
            raise
        return connection

    def _unusable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"The record of what was paid, {str(self._path)!r}, cannot be used: {error}.",
            next_step="Set cache.directory to a folder that can be written, or move the file "
            "away if it is damaged.",
        )


def _values(row: Row) -> tuple[object, ...]:
    response, cost = row["response"], row["cost"]
    return (
        *(time.time(), row["request_id"], row["tenant"], row["provider"], row["endpoint"]),
        *(row["model"], row["key"], "failed" if response is None else response.status),
        None if response is None else to_json(row["key"], response),
        *(cost.usd, cost.source, cost.detail),
    )


def _together(connection: sqlite3.Connection, rows: Sequence[Row]) -> bool:
    """Write rows in one transaction; where one of them is bad, none is written."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT, map(_values, rows))
        connection.execute("COMMIT")
    except (sqlite3.Error, UnicodeEncodeError):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False
    return True


class Recorded(Wrapper):
    """Prices each reply, and writes it down before it is used.

    The meter of whoever asks is told of every attempt that was sent, as `mark_sent` says: of
    replies, of failed attempts (at no cost where the service does not bill them, else of
    unknown cost), and of those that were cancelled or broke.

    Args:
        inner: What sends the request.
        name: Registered name of the provider.
        ledger: Where replies are written down.
        price: What the tokens of a model cost, given the request.
        tenant: On whose behalf.
        request_id: Of the run.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        name: str,
        ledger: Ledger,
        price: Callable[[str | None, TokenUsage, Request], Cost],
        tenant: str,
        request_id: str,
    ) -> None:
        super().__init__(inner)
        self._name = name
        self._ledger = ledger
        self._price = price
        self._tenant = tenant
        self._request_id = request_id

    async def generate(self, request: Request) -> Response:
        """Ask, and record what came of it.

        Raises:
            ProviderError: If the service did not answer.
            ConfigError: If the ledger cannot be used; nothing is sent then.
        """
        if not self._ledger.is_open:
            await asyncio.to_thread(self._ledger.open)
        with attempted() as attempt:
            try:
                response = await self._inner.generate(request)
            except ProviderError as error:
                if attempt.sent:
                    await self._failed(request, error)
                raise
            except MmcrimeError:  # offline, or out of time before its turn came: nothing left
                raise
            except BaseException:
                if attempt.sent:
                    _count(Cost(detail=BROKEN_OFF))
                raise
        cost = self._priced(response, request)
        response = replace(response, cost=cost, provider=self._name)
        _count(cost, response.usage)
        await self._record(request, cost, response)
        return response

    def _priced(self, response: Response, request: Request) -> Cost:
        """Return what a reply costs. It is paid for: no count of a plug-in may lose it."""
        try:
            return self._price(response.model, response.usage, request)
        except (ArithmeticError, ValueError, TypeError) as error:
            _log.warning("the price of a reply of %r: %s", self._name, error)
            return Cost(detail=f"the token counts of {self._name} are none")

    async def _failed(self, request: Request, error: ProviderError) -> None:
        if error.may_be_billed:
            cost = Cost(detail="an attempt failed; it may be billed")
            _count(cost)
            await self._record(request, cost, None)
        else:
            # Whoever knows the price of a token knows that none costs nothing.
            _count(self._price(request.model or self.model, NO_TOKENS, request))

    async def _record(self, request: Request, cost: Cost, response: Response | None) -> None:
        written = self._ledger.enter(
            key=request.key,
            request_id=self._request_id,
            tenant=self._tenant,
            provider=self._name,
            endpoint=self.endpoint,
            model=request.model or self.model,
            cost=cost,
            response=response,
        )
        try:
            await asyncio.shield(written)
        except asyncio.CancelledError:
            await asyncio.wait([written])  # it is paid for: the record takes a moment
            raise


def _count(cost: Cost, usage: TokenUsage | None = None) -> None:
    if (meter := current_meter()) is not None:
        meter.sent(cost, usage)
