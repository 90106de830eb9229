"""Ctrl-C ends the command with 130, whatever the main thread is doing.

A request to end (SIGTERM, 143) and a terminal that is closed (SIGHUP, 129) do the same.

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
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

INTERRUPTED = 130
"""The exit code of Ctrl-C: 128 + SIGINT, as shells do."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_TIDYING = 3.0  # seconds that tidying up may take
_AGAIN = 0.05  # seconds between two attempts to wake the main thread

unfinished: set[Path] = set()
"""Files and folders that must not outlive an interrupted process."""


def leave(code: int = INTERRUPTED) -> NoReturn:
    """End the process from the main thread, after writing out what is buffered."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    _end(code)


def _end(code: int) -> NoReturn:
    for path in tuple(unfinished):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    # At a normal exit Python waits for the threads that decode, maybe for minutes.
    os._exit(code)


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Keep the temporary files of this process in one folder that goes away with it.

    Copies of URLs are made by threads, which an interrupted process cannot wait for.
    """
    before = tempfile.tempdir
    room = Path(tempfile.gettempdir(), f"mmcrime-{secrets.token_hex(8)}")
    unfinished.add(room)
    try:
        # Where no folder can be made, only what needs one fails, and says so.
        with contextlib.suppress(OSError):
            room.mkdir(mode=0o700)
            tempfile.tempdir = str(room)
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(room, ignore_errors=True)
        unfinished.discard(room)


@contextmanager
def interruptible() -> Iterator[Guard]:
    """See that an interrupt ends what is done inside; it arrives as one KeyboardInterrupt.

    Whoever runs it in the main thread catches that, tidies up within three seconds and
    calls `leave`. A signal that is ignored stays so (SIGHUP under ``nohup``, SIGINT for a
    job in the background of a script); where this is not the main thread nothing changes.

    Yields:
        What knows the exit code afterwards.
    """
    guard = Guard()
    if threading.current_thread() is not threading.main_thread():
        yield guard
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=guard.watch, args=(reader,), daemon=True)
    watcher.start()
    old_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ignored = (signal.SIG_IGN, None)  # None: a handler that is not Python's
    wanted = [number for number in _ENDING if signal.getsignal(number) not in ignored]
    old = {number: signal.signal(number, guard.handle) for number in wanted}
    try:
        yield guard
    finally:
        guard.over = True
        for number, handler in old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(old_fd)
        os.close(writer)
        watcher.join()
        os.close(reader)


class Guard:
    """What the handler in the main thread and the watching thread know of each other."""

    def __init__(self) -> None:
        self.code = INTERRUPTED
        self.noticed = False
        self.over = False

    def handle(self, number: int, *_: object) -> None:
        """Run in the main thread: raise once, so that tidying up is never broken off."""
        if not self.noticed:
            self.noticed = True
            self.code = 128 + number
            raise KeyboardInterrupt

    def watch(self, reader: int) -> None:
        """Wait for a signal, then see to it that the process ends."""
        while (said := os.read(reader, 1)) and said[0] not in _ENDING:
            pass
        if not said:
            return
        number = said[0]
        main = threading.main_thread().ident
        latest = time.monotonic() + _TIDYING
        while time.monotonic() < latest and not self.over:
            if main is not None and not self.noticed:
                signal.pthread_kill(main, number)
            time.sleep(_AGAIN)
        if not self.over:
            _end(self.code if self.noticed else 128 + number)
