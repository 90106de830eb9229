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
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from mmcrime.errors import ConfigError
from mmcrime.logs import get_logger

T = TypeVar("T")
_log = get_logger("mmcrime.pipeline")
THREADS = 32
"""Most threads for blocking work; more than any run needs, so that a stuck one starves nobody."""


class LoopThread:
    """Starts its loop on first use; refuses work once closing and in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closing = False

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the loop.

        Raises:
            ConfigError: If the pipeline was closed, or the process was forked since.
        """
        with self._lock:
            try:
                loop = self._running()
            except ConfigError:
                work.close()
                raise
            # Still under the lock: what is accepted comes before the last work of `close`.
            return asyncio.run_coroutine_threadsafe(work, loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for it; an interrupt cancels it.

        Raises:
            ConfigError: If called from the pipeline's own loop, which would never end.
        """
        if self._is_here():
            work.close()
            raise _from_inside("analyze_async")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Refuse new work, run the last work, stop the loop and join its thread. Safe twice.

        Raises:
            ConfigError: If called from the pipeline's own loop.
        """
        if self._is_here():
            last.close()
            raise _from_inside("aclose")
        with self._lock:
            if self._closing or self._pid != os.getpid():
                # In a forked child, what is open belongs to the parent.
                last.close()
                return
            loop = self._running()
            self._closing = True
            future = asyncio.run_coroutine_threadsafe(last, loop)
        try:
            future.result()
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the loop without last work; what is under way is cancelled. Safe twice."""
        with self._lock:
            self._closing = True
            loop, self._loop = self._loop, None
            thread = self._thread
        if loop is None or thread is None or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        if not self._is_here():
            thread.join()

    def _is_here(self) -> bool:
        return threading.current_thread() is self._thread

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._closing:
            raise ConfigError("This pipeline is closed.", next_step="Create a new one.")
        if self._pid != os.getpid():
            raise ConfigError(
                "This pipeline was created before the process was forked.",
                next_step="Create one pipeline in each process, after the fork.",
            )
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name="mmcrime-pipeline", daemon=True
            )
            self._thread.start()
        return self._loop


def _from_inside(instead: str) -> ConfigError:
    return ConfigError(
        "The sync door was called from inside the pipeline's own loop.",
        next_step=f"Await {instead} there.",
    )


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, whatever a plug-in raises in it."""
    asyncio.set_event_loop(loop)
    # Its own, so that closing need not wait for a plug-in's thread that never ends.
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mmcrime")
    loop.set_default_executor(threads)
    stopped = False
    while not stopped:
        try:
            loop.run_forever()
            stopped = True
        except (SystemExit, KeyboardInterrupt):
            # asyncio lets these through; the other callers of this loop must not hang.
            _log.exception("a plug-in tried to end the process")
    for task in (left := asyncio.all_tasks(loop)):
        task.cancel()
    if left:
        # One that swallows its cancellation is left behind.
        loop.run_until_complete(asyncio.wait(left, timeout=1.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    threads.shutdown(wait=False, cancel_futures=True)
    loop.close()
