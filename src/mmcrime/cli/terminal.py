"""What goes to the terminal beside the results: errors, remarks, logs, progress."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

import typer

from mmcrime.errors import MmcrimeError
from mmcrime.logs import JsonFormatter, json_line
from mmcrime.reports.words import clean, wrap

_MAX_WIDTH = 100  # longer lines are hard to read
_as_json: ContextVar[bool] = ContextVar("mmcrime_log_as_json", default=False)


def write_json_lines(wanted: bool) -> None:
    """Settle whether what goes to stderr is for a program: one JSON object a line."""
    _as_json.set(wanted)


def writes_json_lines() -> bool:
    """Tell whether stderr is for a program, which has no use for a bar."""
    return _as_json.get()


def _say(level: str, message: str, **extra: str) -> None:
    line = json_line(
        level=level, logger="mmcrime.cli", message=message, time=time.time(), extra=extra
    )
    sys.stderr.write(f"{line}\n")


def complain(error: MmcrimeError) -> None:
    """Write an error to stderr: what happened, then what to do about it."""
    if _as_json.get():
        _say("ERROR", error.message, error=type(error).__name__, next_step=error.next_step)
        return
    typer.echo(f"error: {clean(error.message, limit=2000)}", err=True)
    if error.next_step:
        typer.echo(f"  next: {clean(error.next_step, limit=2000)}", err=True)


def remark(text: str) -> None:
    """Write a remark to stderr."""
    if _as_json.get():
        _say("INFO", text)
        return
    typer.echo(clean(text, limit=2000), err=True)


def summary(line: str, details: Sequence[str]) -> None:
    """Write the end of a run over several sources to stderr.

    Args:
        line: The whole of it in one line.
        details: More lines, for a person: left out where results go elsewhere.
    """
    if sys.stdout.isatty() and not _as_json.get():
        typer.echo("", err=True)
        for part in wrap(clean(line), width(), rest="  "):
            typer.echo(part, err=True)
        for detail in ["worst first:", *details] if details else []:
            for part in wrap(clean(detail), width(), first="  ", rest="    "):
                typer.echo(part, err=True)
    else:
        remark(line)


def table_line(mark: str, label: str, text: str) -> None:
    """Write one part of a list to stdout: how it is, its name, what there is to say."""
    start = f"{mark:<8} {clean(label, limit=80):<23} "
    for line in wrap(clean(text), width(), first=start, rest=" " * 33):
        typer.echo(line.rstrip())


def colour() -> bool:
    """Tell whether results may be coloured."""
    dumb = os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not dumb and not os.environ.get("NO_COLOR")


def width() -> int:
    """Return the columns to write results in."""
    return min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH)


class _CleanFormatter(logging.Formatter):
    """One harmless line a record; a traceback keeps its lines, each cleaned."""

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines()
        return "\n".join(line if not line else clean_line(line) for line in lines)


class _ToStderr(logging.Handler):
    """Writes to what stderr is at that moment: above the bar while there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  # as every handler: a log line must not end a run
            self.handleError(record)


def clean_line(line: str) -> str:
    """Return a line of a log, its indentation kept."""
    indent = len(line) - len(line.lstrip(" "))
    return " " * indent + clean(line, limit=2000)


@contextmanager
def logs_to_stderr() -> Iterator[None]:
    """Send warnings and errors of mmcrime's logs to stderr while a command runs.

    Those of other libraries go nowhere: they describe the inside of a hostile file.
    """
    handler = _ToStderr()
    handler.setLevel(logging.WARNING)
    cleaned = _CleanFormatter("%(levelname)s: %(message)s")
    handler.setFormatter(JsonFormatter() if _as_json.get() else cleaned)
    logger = logging.getLogger("mmcrime")
    logger.addHandler(handler)
    # Without any handler above them, logging prints other libraries' errors by itself.
    nowhere = logging.NullHandler()
    logging.getLogger().addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logging.getLogger().removeHandler(nowhere)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop what C libraries (libtiff, FFmpeg) write to file descriptor 2 by themselves.

    A hostile file decides what that is and how much. Our own messages still arrive: they
    go through ``sys.stderr``, which gets a descriptor of its own for that time.
    """
    before = sys.stderr
    if before is None:  # closed by the caller: nothing to keep apart
        yield
        return
    before.flush()
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    if _descriptor(before) == 2:
        sys.stderr = os.fdopen(
            os.dup(saved), "w", buffering=1, encoding=before.encoding, errors="backslashreplace"
        )
    try:
        yield
    finally:
        if sys.stderr is not before:
            sys.stderr.close()
            sys.stderr = before
        os.dup2(saved, 2)
        os.close(saved)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # a stream in memory has none
        return None
