"""Results on stdout or in one file: text, JSON, CSV, Markdown or one HTML page."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mmcrime.cli import terminal
from mmcrime.cli.choices import Format
from mmcrime.cli.target import spare
from mmcrime.cli.unfinished import unfinished, usual_mode
from mmcrime.errors import ConfigError
from mmcrime.reports import csv_table, markdown, text
from mmcrime.results import Report


class Writer:
    """Writes reports one after the other in one form.

    Args:
        out: Where to.
        form: The form.
    """

    def __init__(self, out: TextIO, form: Format) -> None:
        self._out, self._form, self._count = out, form, 0
        self._on_terminal = out is sys.stdout
        if form is Format.csv:
            out.write(csv_table.header())

    def write(self, report: Report) -> None:
        """Write one report and hand it on at once."""
        self._out.write(self._rendered(report))
        self._out.flush()
        self._count += 1

    def _rendered(self, report: Report) -> str:
        if self._form is Format.json:
            return report.to_json() + "\n"
        if self._form is Format.html:
            return report.to_html()
        data = report.to_dict()
        if self._form is Format.csv:
            return csv_table.line(data)
        if self._form is Format.md:
            return ("\n---\n\n" if self._count else "") + markdown.render(data)
        between = "\n\n" if self._count else ""
        if self._on_terminal:
            return between + text.render(data, colour=terminal.colour(), width=terminal.width())
        return between + text.render(data, colour=False)


@contextmanager
def opened(path: Path | None, *, sources: Sequence[Path | str] = ()) -> Iterator[TextIO]:
    """Give stdout, or a file that appears whole at the end or not at all.

    Args:
        path: The file; None for stdout.
        sources: What is analyzed; none of it is ever overwritten.

    Raises:
        ConfigError: If the file cannot be written, or what is there is to stay.
    """
    if path is None:
        yield sys.stdout
        return
    for source in sources:
        if isinstance(source, Path) and _same(source, path):
            raise ConfigError(
                f"-o {str(path)!r} is one of the sources.", next_step="Name another file."
            )
    with written(path, spare=spare) as out:
        yield out


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, or may not be looked at
        return False


@contextmanager
def written(
    path: Path, *, mode: int | None = None, spare: Callable[[Path], None] | None = None
) -> Iterator[TextIO]:
    """Give a file that replaces ``path`` when it is complete; an error leaves ``path`` alone.

    A symbolic link stays one; the file it leads to is replaced.

    Args:
        path: The file. A device such as ``/dev/null`` is written to directly.
        mode: Permissions; None for those of the file that is there, else the usual ones.
        spare: Raises where the file that is there is to stay; asked before anything is done,
            and once more just before the file is replaced, which may be hours later.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{str(path)!r} is a folder.", next_step="Name a file.")
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8", errors="backslashreplace") as out:
                yield out
            return
        # A link stays a link: what it leads to is replaced.
        path = _real(path)
        if spare:
            spare(path)
        if mode is None:
            mode = path.stat().st_mode & 0o777 if path.exists() else usual_mode()
        with unfinished(path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(
                handle, "w", encoding="utf-8", errors="backslashreplace", newline=""
            ) as out:
                yield out
            temporary.chmod(mode)
            if spare:
                spare(path)
            temporary.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{str(path)!r} cannot be written: {error.strerror or error}.",
            next_step="Name a file in a folder that exists and that you may write to.",
        ) from error


def _real(path: Path) -> Path:
    """Return what links lead to, whether it is there or not; OSError where they go in circles."""
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return real
