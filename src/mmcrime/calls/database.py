"""SQLite files in the cache directory that only their owner can look into."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from mmcrime.calls.folder import private_folder

__all__ = ["open_database"]

_LOCK_SECONDS = 30.0  # another process holds a database for milliseconds


def open_database(path: Path, *, tables: str, version: int) -> sqlite3.Connection:
    """Open a file of mode 0600 for any thread; tables are made where there are none.

    Readers and a writer work at the same time. What was committed outlives the death of the
    process; the last of it may be lost when the machine loses power. Blocks.

    Args:
        path: The file; its folder is made with mode 0700 where it is missing.
        tables: Statements that make the tables, with ``;`` between them.
        version: Which tables these are.

    Raises:
        OSError: If the file cannot be used, or is a link.
        sqlite3.Error: If it is no such database, or one of another version.
    """
    private_folder(path.parent)
    try:
        # Never opened again like this: closing a file lets go of all locks on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise OSError("it is a link, which may lead anywhere") from None
        path.chmod(0o600)
    connection = sqlite3.connect(
        path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, tables, version)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, tables: str, version: int) -> None:
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("BEGIN IMMEDIATE")
    ((found,),) = connection.execute("PRAGMA user_version").fetchall()
    if found == 0:
        for statement in tables.split(";"):
            connection.execute(statement)
    elif found != version:
        raise sqlite3.DatabaseError(f"it is of version {found!r}, not {version!r}")
    # Written even where it is so already: that it can be is what must be known.
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at the same time; a property of the file."""
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            # SQLite does not wait here for another process that does the same.
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
