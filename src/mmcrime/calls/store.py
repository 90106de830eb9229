"""Answers and made media on disk, so that nothing is paid for or encoded twice."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from blake3 import blake3

from mmcrime.calls.batches import Batches
from mmcrime.calls.folder import private_folder
from mmcrime.calls.stored import from_json, to_json
from mmcrime.errors import ConfigError
from mmcrime.logs import get_logger
from mmcrime.plugins import Response

__all__ = ["AnswerStore", "StoreStats"]

_log = get_logger("mmcrime.calls")
_P = ParamSpec("_P")
_T = TypeVar("_T")

_LOCK_SECONDS = 10.0  # another process holds the database for milliseconds
_LATEST = 0.25  # seconds that what is to be done soon waits for something to be done with
_CHECK = 32  # bytes of the BLAKE3 in front of a blob
_LARGEST_SHARE = 4  # what is larger than this part of the store would drive out too much


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreStats:
    """How full a store is.

    Attributes:
        entries: Answers and pieces of media.
        bytes: What they take on disk, the database included.
    """

    entries: int
    bytes: int


class AnswerStore:
    """Answers by key and media by id, in the folder ``answers`` of the cache directory.

    The folder is opened when something is first looked for. Safe for threads, and for
    processes that share the directory. Everything happens in one thread of its own, since
    a connection to the database belongs to a thread; `run` takes work to that thread from
    an event loop, and the other methods wait for it.

    What cannot be read counts as absent and is removed; what cannot be written is not
    stored, and a warning is logged: neither is an error in a run.

    Args:
        directory: The cache directory; made with mode 0700 where it is missing.
        size_bytes: Size at which what was stored first gives way, at most ten entries for
            each that is stored.
    """

    def __init__(self, directory: Path, *, size_bytes: int) -> None:
        self._home = directory.absolute()
        self._folder = self._home / "answers"
        self._size = size_bytes
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._ident: int | None = None
        self._cache: Any = None  # of diskcache, which ships no types; used in the thread only
        self._troubles: tuple[type[Exception], ...] = ()
        self._batches: Batches[Callable[[], Any], Any] = Batches(self._all)
        self._later: deque[Callable[[], object]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call something in the thread of the store, where its methods do not wait.

        Raises:
            ConfigError: If the directory cannot be used.
        """
        here = copy_context()  # the request id of what is logged in the thread
        return cast("_T", await self._batches.enter(partial(here.run, work, *args, **kwargs)))

    def soon(self, work: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Call something in the thread of the store before all that is asked of it later.

        It waits a moment for something to be done with. What is stored like this is found by
        whoever looks for it next, and `close` sees to it. For an event loop.
        """
        self._later.append(partial(copy_context().run, work, *args, **kwargs))
        loop = asyncio.get_running_loop()
        # A timer of the past belongs to a loop that has ended.
        if self._timer is None or self._timer.when() < loop.time():
            self._timer = loop.call_later(_LATEST, self._see_to_it)

    def _see_to_it(self) -> None:
        self._timer = None
        if self._later:
            self._submit(_nothing)

    def get(self, key: str) -> Response | None:
        """Return the answer that is stored under a key, without a cost.

        Raises:
            ConfigError: If the directory cannot be used.
        """
        return self._here(self._read, f"answer/{key}", lambda data: _answer(key, data))

    def put(self, key: str, response: Response) -> None:
        """Store an answer.

        Raises:
            ValueError: If it is a refusal, truncated or empty: none of these is ever served.
            ConfigError: If the directory cannot be used.
        """
        if response.status != "answered" or not response.text:
            raise ValueError(f"a reply of status {response.status!r} is not stored")
        self._here(self._write, f"answer/{key}", to_json(key, response))

    def blob(self, key: str) -> bytes | None:
        """Return bytes that were stored under a key, if they are whole.

        Raises:
            ConfigError: If the directory cannot be used.
        """
        return self._here(self._read, f"blob/{key}", _whole)

    def put_blob(self, key: str, data: bytes) -> None:
        """Store bytes.

        Raises:
            ConfigError: If the directory cannot be used.
        """
        self._here(self._write, f"blob/{key}", blake3(data).digest() + data)

    def stats(self) -> StoreStats:
        """Return how full the store is.

        Raises:
            ConfigError: If the directory cannot be used.
        """
        return self._here(self._stats)

    def clear(self) -> None:
        """Remove everything.

        Raises:
            ConfigError: If the directory cannot be used.
        """
        self._here(self._clear)

    def close(self) -> None:
        """Let go of the files; a later call opens them again."""
        if self._later:
            self._submit(_nothing).result()
        with self._lock:
            executor, self._executor = self._executor, None
            if executor is not None:
                executor.submit(self._let_go).result()
                executor.shutdown()
                self._ident = None

    def _submit(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(
                    1, thread_name_prefix="mmcrime-store", initializer=self._began
                )
            return self._executor.submit(self._in_turn, partial(work, *args, **kwargs))

    async def _all(self, works: list[Callable[[], Any]]) -> list[Any]:
        return await asyncio.wrap_future(self._submit(_outcomes, works))

    def _in_turn(self, work: Callable[[], _T]) -> _T:
        """Do what was to be done soon, then what is asked for."""
        if len(self._later) > 1 and self._cache is not None:
            try:
                with self._cache.transact():
                    self._do_later()
            except self._troubles as error:
                _log.warning("entries could not be stored: %r", error)
        self._do_later()
        return work()

    def _do_later(self) -> None:
        while self._later:
            try:
                self._later.popleft()()
            except Exception:  # noqa: BLE001  # nobody waits who could be told
                _log.exception("the store failed")

    def _began(self) -> None:
        self._ident = threading.get_ident()

    def _here(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if threading.get_ident() == self._ident:
            return work(*args, **kwargs)
        return self._submit(work, *args, **kwargs).result()

    # What is below runs in the thread of the store.

    def _read(self, key: str, understood: Callable[[bytes], _T | None]) -> _T | None:
        cache = self._opened()
        try:
            data = cache.get(key)
            if data is None:
                return None
            if (found := understood(data)) is not None:
                return found
        except self._troubles as error:
            _log.warning("a stored entry could not be read: %s", error)
        try:
            cache.delete(key)
        except self._troubles as error:
            _log.warning("a damaged entry could not be removed: %r", error)
        return None

    def _write(self, key: str, data: bytes) -> None:
        cache = self._opened()
        if len(data) > self._size // _LARGEST_SHARE:
            return
        try:
            cache.set(key, data)
        except self._troubles as error:
            _log.warning("an entry could not be stored: %r", error)

    def _stats(self) -> StoreStats:
        cache = self._opened()
        try:
            return StoreStats(entries=len(cache), bytes=cache.volume())
        except self._troubles as error:
            raise self._unusable(error) from error

    def _clear(self) -> None:
        cache = self._opened()
        try:
            cache.clear()
        except self._troubles as error:
            raise self._unusable(error) from error

    def _opened(self) -> Any:
        if self._cache is None:
            # It looks for Django, and costs time that only a run with a provider needs.
            from diskcache import Cache, Timeout

            from mmcrime.calls.disk import PlainDisk, RefusedRowError

            # TypeError: settings in the database that the library does not know.
            self._troubles = (OSError, sqlite3.Error, Timeout, TypeError, RefusedRowError)
            if os.path.expandvars(self._folder) != str(self._folder):
                raise ConfigError(
                    f"The cache directory {str(self._home)!r} cannot hold the name of a variable.",
                    next_step="Set cache.directory to a path without '$'.",
                )
            try:
                private_folder(self._home)
                private_folder(self._folder, ours=True)
                self._cache = Cache(
                    str(self._folder),
                    timeout=_LOCK_SECONDS,
                    disk=PlainDisk,
                    size_limit=self._size,
                    eviction_policy="least-recently-stored",
                    statistics=0,  # counting would make every look-up a write
                )
            except (*self._troubles, ValueError) as error:
                raise self._unusable(error) from error
        return self._cache

    def _unusable(self, error: Exception) -> ConfigError:
        return ConfigError(
            f"The cache directory {str(self._home)!r} cannot be used: {error}.",
            next_step="Set cache.directory to a folder that can be written, or delete its "
            "folder 'answers' if it is damaged.",
        )

    def _let_go(self) -> None:
        if self._cache is not None:
            self._cache.close()
            self._cache = None


def _nothing() -> None:
    """What was to be done soon is done before this."""


def _outcomes(works: list[Callable[[], Any]]) -> list[Any]:
    found: list[Any] = []
    for work in works:
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001  # for whoever waits for this one
            found.append(error)
    return found


def _answer(key: str, data: object) -> Response | None:
    response = from_json(key, data)
    return response if response is not None and response.status == "answered" else None


def _whole(data: bytes) -> bytes | None:
    """Return a blob without its check; None when a crash or somebody changed it."""
    body = data[_CHECK:]
    return body if blake3(body).digest() == data[:_CHECK] else None
