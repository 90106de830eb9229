"""One event loop in one thread, shared by every caller of a pipeline.

All work of a pipeline runs in its own loop. So the sync door works inside a running
loop (notebooks), threads and tasks can share one pipeline, and clients that belong to
a loop are always used in theirs.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from mmcrime.errors import ConfigError

T = TypeVar("T")


class LoopThread:
    """Starts its loop on first use; refuses work after `stop` and in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._stopped = False

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the loop.

        Raises:
            ConfigError: If the pipeline was closed, or the process was forked since.
        """
        try:
            loop = self._running()
        except ConfigError:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for it; an interrupt cancels it.

        Raises:
            ConfigError: If called from the pipeline's own loop, which would never end.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise ConfigError(
                "The sync door was called from inside the pipeline's own loop.",
                next_step="Await analyze_async there.",
            )
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Stop the loop and join its thread. Safe twice."""
        with self._lock:
            self._stopped = True
            loop, thread = self._loop, self._thread
            self._loop = None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            raise ConfigError(
                "This pipeline was created before the process was forked.",
                next_step="Create one pipeline in each process, after the fork.",
            )
        with self._lock:
            if self._stopped:
                raise ConfigError("This pipeline is closed.", next_step="Create a new one.")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="mmcrime-pipeline", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
