"""Ctrl-C ends the command with 130, whatever the main thread is doing.

Python runs a signal's handler in the main thread, between two of its instructions. For a
program that waits for other threads that is not enough:

- a main thread that is just going to wait for a lock misses the signal, and waits on until
  the lock is released, which here is when a report is ready, maybe an hour later;
- a KeyboardInterrupt raised inside a callback of the import machinery or of the garbage
  collector is printed and dropped;
- a second one breaks off the tidying-up after the first.

So a thread learns of the signal through a pipe at once, wakes the main thread until it has
noticed, and ends the process if it has not tidied up in time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

INTERRUPTED = 130
"""The exit code: 128 + SIGINT, as shells do."""

_TIDYING = 3.0  # seconds that tidying up may take
_AGAIN = 0.05  # seconds between two attempts to wake the main thread

unfinished: set[Path] = set()
"""Files that must not outlive an interrupted process."""


def leave() -> NoReturn:
    """End the process with 130 from the main thread, after writing out what is buffered."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    _end()


def _end() -> NoReturn:
    for path in tuple(unfinished):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    # At a normal exit Python waits for the threads that decode, maybe for minutes.
    os._exit(INTERRUPTED)


@contextmanager
def interruptible() -> Iterator[None]:
    """See that an interrupt ends what is done inside; it arrives as one KeyboardInterrupt.

    Whoever runs it in the main thread catches that, tidies up within three seconds and
    calls `leave`. Where SIGINT is ignored (``nohup``, a job in the background of a script)
    or this is not the main thread, nothing changes.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not callable(signal.getsignal(signal.SIGINT)):
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    guard = _Guard()
    watcher = threading.Thread(target=guard.watch, args=(reader,), daemon=True)
    watcher.start()
    old_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    old_handler = signal.signal(signal.SIGINT, guard.handle)
    try:
        yield
    finally:
        guard.over = True
        signal.signal(signal.SIGINT, old_handler)
        signal.set_wakeup_fd(old_fd)
        os.close(writer)
        watcher.join()
        os.close(reader)


class _Guard:
    """What the handler in the main thread and the watching thread know of each other."""

    def __init__(self) -> None:
        self.noticed = False
        self.over = False

    def handle(self, *_: object) -> None:
        """Run in the main thread: raise once, so that tidying up is never broken off."""
        if not self.noticed:
            self.noticed = True
            raise KeyboardInterrupt

    def watch(self, reader: int) -> None:
        """Wait for the signal, then see to it that the process ends."""
        while (said := os.read(reader, 1)) != bytes([signal.SIGINT]):
            if not said:
                return
        main = threading.main_thread().ident
        latest = time.monotonic() + _TIDYING
        while time.monotonic() < latest and not self.over:
            if main is not None and not self.noticed:
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(_AGAIN)
        if not self.over:
            _end()
