"""Which requests are in which batch, in one file that outlives the process."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mmcrime.calls.database import open_database
from mmcrime.errors import ConfigError
from mmcrime.logs import get_logger

__all__ = ["BATCHES_FILE", "Batch", "BatchBook", "Item"]

_log = get_logger("mmcrime.calls.batch")

BATCHES_FILE = "batches.sqlite3"
"""Name of the file in the cache directory."""
_VERSION = 1
_KEPT_SECONDS = 30 * 24 * 3600.0  # services keep answers no longer
_TABLES = """
CREATE TABLE batches (
    label TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    time REAL NOT NULL,
    requests INTEGER NOT NULL,
    service_id TEXT,
    holder TEXT NOT NULL DEFAULT '',
    held_until REAL NOT NULL DEFAULT 0
);
CREATE TABLE items (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    key TEXT NOT NULL,
    request_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    silent INTEGER NOT NULL
);
CREATE INDEX items_by_label ON items (label);
CREATE INDEX items_by_key ON items (key);
"""
_BATCH = "label, provider, endpoint, model, time, requests, service_id, holder"
_INSERT = f"INSERT INTO batches ({_BATCH}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # ours
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """A batch that was submitted, or was about to be.

    Attributes:
        label: Our name of it.
        provider: Registered name of the provider.
        endpoint: Where it went.
        model: The model that was asked.
        time: When it was about to be submitted, in seconds since 1970.
        requests: How many requests went into it.
        service_id: The service's name of it; None if nobody lived to write it down.
        holder: Who collects its answers, or began to; empty for nobody yet.
    """

    label: str
    provider: str
    endpoint: str
    model: str
    time: float
    requests: int
    service_id: str | None = None
    holder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A request of a batch that has no answer yet.

    Attributes:
        id: Its name in the batch.
        key: The key under which its answer is stored.
        request_id: Of the run that sent it.
        tenant: On whose behalf.
        silent: Whether it has neither sound nor video, so that no token of it is one of sound.
    """

    id: str
    key: str
    request_id: str
    tenant: str
    silent: bool


class BatchBook:
    """The file ``batches.sqlite3`` in the cache directory, of mode 0600.

    It holds no media and no words. Opened when something is first asked of it; batches of
    which nobody collected the answers for 30 days are dropped then. Safe for threads, and for
    processes that share the directory. Every method but `run` blocks.

    Args:
        directory: The cache directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / BATCHES_FILE
        self._lock = threading.Lock()
        self._held: sqlite3.Connection | None = None

    async def run(self, do: Callable[..., _T], *args: Any) -> _T:
        """Call a method of this book in a thread."""
        return await asyncio.to_thread(do, *args)

    def intend(self, batch: Batch, items: Sequence[Item]) -> None:
        """Write down what is about to be submitted.

        Raises:
            ConfigError: If the file cannot be used; nothing may be submitted then.
        """
        rows = [(o.id, batch.label, o.key, o.request_id, o.tenant, o.silent) for o in items]
        values = (
            *(batch.label, batch.provider, batch.endpoint, batch.model, batch.time),
            *(batch.requests, batch.service_id, batch.holder),
        )
        with self._transaction() as connection:
            connection.execute(_INSERT, values)
            connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", rows)

    def submitted(self, label: str, service_id: str) -> None:
        """Write down what the service calls a batch."""
        with self._transaction() as connection:
            change = "UPDATE batches SET service_id = ? WHERE label = ?"
            connection.execute(change, (service_id, label))

    def get(self, label: str) -> Batch | None:
        """Return a batch; None once its answers were collected."""
        found = self._batches("label = ?", label)
        return found[0] if found else None

    def pending(self, provider: str | None = None, endpoint: str = "") -> list[Batch]:
        """Return the batches of a provider at an address, or all of them, the oldest first."""
        if provider is None:
            return self._batches("1")
        return self._batches("provider = ? AND endpoint = ?", provider, endpoint)

    def find(self, key: str) -> tuple[Batch, str] | None:
        """Return the newest batch that holds a request, and the id of the request in it."""
        with self._transaction() as connection:
            query = "SELECT label, id FROM items WHERE key = ? ORDER BY rowid DESC LIMIT 1"
            row = connection.execute(query, (key,)).fetchone()
        batch = self.get(row[0]) if row else None
        return (batch, row[1]) if batch else None

    def items(self, label: str) -> dict[str, Item]:
        """Return the requests of a batch that have no answer yet, by their ids."""
        with self._transaction() as connection:
            query = "SELECT id, key, request_id, tenant, silent FROM items WHERE label = ?"
            rows = connection.execute(query, (label,)).fetchall()
        return {
            name: Item(id=name, key=key, request_id=run, tenant=tenant, silent=bool(silent))
            for name, key, run, tenant, silent in rows
        }

    def claim(self, label: str, holder: str, seconds: float) -> bool:
        """Let one process alone collect the answers of a batch, for some seconds from now."""
        now = time.time()
        with self._transaction() as connection:
            change = """UPDATE batches SET holder = ?, held_until = ?
                WHERE label = ? AND (holder IN ('', ?) OR held_until < ?)"""
            values = (holder, now + seconds, label, holder, now)
            return connection.execute(change, values).rowcount > 0

    def done(self, ids: Sequence[str]) -> None:
        """Take requests out that have their answer."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM items WHERE id = ?", [(one,) for one in ids])

    def forget(self, label: str) -> None:
        """Take a batch out, with all of it that has no answer."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM items WHERE label = ?", (label,))
            connection.execute("DELETE FROM batches WHERE label = ?", (label,))

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            if self._held is not None:
                self._held.close()
                self._held = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._held is None:
                    self._held = self._opened()
                self._held.execute("BEGIN IMMEDIATE")
                try:
                    yield self._held
                    self._held.execute("COMMIT")
                finally:
                    if self._held.in_transaction:
                        self._held.execute("ROLLBACK")
            except (OSError, sqlite3.Error) as error:
                raise ConfigError(
                    f"The record of batches, {str(self._path)!r}, cannot be used: {error}.",
                    next_step="Set cache.directory to a folder that can be written, or move the "
                    "file away if it is damaged; what is in it would then be paid for again.",
                ) from error

    def _opened(self) -> sqlite3.Connection:
        connection = open_database(self._path, tables=_TABLES, version=_VERSION)
        try:
            oldest = (time.time() - _KEPT_SECONDS,)
            connection.execute(
                "DELETE FROM items WHERE label IN (SELECT label FROM batches WHERE time < ?)",
                oldest,
            )
            lost = connection.execute("DELETE FROM batches WHERE time < ?", oldest).rowcount
        except BaseException:
            connection.close()
            raise
        if lost:
            _log.warning("the answers of %d batches were paid for and never collected", lost)
        return connection

    def _batches(self, where: str, *values: object) -> list[Batch]:
        with self._transaction() as connection:
            query = f"SELECT {_BATCH} FROM batches WHERE {where} ORDER BY time"  # noqa: S608  # ours
            rows = connection.execute(query, values).fetchall()
        names = _BATCH.split(", ")
        return [Batch(**dict(zip(names, row, strict=True))) for row in rows]
