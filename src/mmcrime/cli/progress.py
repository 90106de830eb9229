"""The bar on stderr while something takes more than a moment."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmcrime.cli.terminal import writes_json_lines
from mmcrime.reports.words import cells, clean

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_PATIENCE = 0.7  # seconds before the bar shows: what is over by then needs none
_ROOMY = 70  # columns from which on there is room for a bar and the time


class Progress:
    """A bar on stderr while that is a terminal that can move its cursor; silent otherwise.

    It is taken away at the end and while results are written, and shows nothing before
    0.7 s have passed.

    Args:
        total: Number of things to do; None for one of which the share may stay unknown.
        text: What is shown before anything was heard.
    """

    def __init__(self, total: int | None, *, text: str = "") -> None:
        self._bar: Bar | None = None
        self._total, self._done = total, 0
        self._shares: dict[str, float] = {}
        self._lock = threading.Lock()
        self._shown = self._paused = self._over = False
        if total != 0 and _is_shown():
            self._terminal = sys.stderr.fileno()
            self._bar = _bar(self._columns())
            self._task = self._bar.add_task(
                text or "starting", total=total, count=self._count(), percent=""
            )
            self._timer = threading.Timer(_PATIENCE, self._show)
            self._timer.daemon = True

    def __enter__(self) -> Progress:
        if self._bar:
            self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar:
            self._timer.cancel()
            with self._lock:
                self._over = True
                with contextlib.suppress(OSError):
                    self._bar.stop()

    def heard(self, name: str, share: float) -> None:
        """Note how far one thing is. May be called in any thread.

        Args:
            name: What people call it; untrusted text.
            share: 0 to 1.
        """
        if self._bar is None:
            return
        with self._lock:
            self._shares[name] = share
            self._update(name)

    @contextmanager
    def result(self, name: str) -> Iterator[None]:
        """Take the bar away while a result is written, then count it.

        Args:
            name: As `heard` was told it.
        """
        if self._bar is None:
            yield
            return
        with self._lock:
            self._paused = True
            with contextlib.suppress(OSError):
                self._bar.stop()
        yield
        with self._lock:
            self._done += 1
            self._shares.pop(name, None)
            self._update(next(reversed(self._shares), ""))
            self._paused = False
            if self._shown:
                with contextlib.suppress(OSError):
                    self._bar.start()

    def _show(self) -> None:
        with self._lock:
            self._shown = True
            if self._bar and not self._paused and not self._over:
                with contextlib.suppress(OSError):
                    self._bar.start()

    def _count(self) -> str:
        return f"{self._done} of {self._total}" if self._total and self._total > 1 else ""

    def _columns(self) -> int:
        # Asked again each time, as windows change; and not left to rich, which asks the
        # descriptors 0 to 2, none of which need be the terminal here.
        try:
            return os.get_terminal_size(self._terminal).columns or 80
        except OSError:
            return 80

    def _update(self, name: str) -> None:
        if self._bar:
            from rich.console import ConsoleDimensions

            columns = self._columns()
            self._bar.console.size = ConsoleDimensions(columns, 24)
            room = _room(columns) - 2 * len(str(self._total))
            shown = _middle_out(clean(name.rstrip("/").rpartition("/")[2]), room)
            total, done = self._total or 1, self._so_far()
            self._bar.update(
                self._task,
                description=shown or ("" if self._done else "starting"),
                completed=done,
                total=total,
                count=self._count(),
                percent=f"{int(100 * done / total):>3}%",
            )

    def _so_far(self) -> float:
        """Return how many things are done: all of them only when all were delivered."""
        total = self._total or 1
        if self._done >= total:
            return total
        # What is analyzed still has to be written; and 100 of 100 at 0.99 are 99 %.
        shares = sum(min(share, 0.99) for share in self._shares.values())
        return min(self._done + shares, 0.99 * total)


@contextmanager
def working(text: str) -> Iterator[Callable[[float], None]]:
    """Show a bar while one piece of work goes on.

    Args:
        text: What is being done.

    Yields:
        What to call with the share that is done, 0 to 1, from any thread. Until it is
        called the bar only shows that something goes on.
    """
    with Progress(None, text=text) as progress:
        yield lambda share: progress.heard(text, share)


def _is_shown() -> bool:
    terminal = sys.stderr is not None and sys.stderr.isatty() and not writes_json_lines()
    return terminal and os.environ.get("TERM") not in ("dumb", None)


def _room(width: int) -> int:
    """Return the columns that a name may take beside all but the two counts."""
    return width - (52 if width >= _ROOMY else 12)


def _middle_out(name: str, room: int) -> str:
    """Cut a name to the room: names of one camera differ at their ends."""
    room = max(8, room)
    if cells(name) <= room:
        return name
    head, tail = name[: room // 3], name[len(name) - (room - room // 3 - 3) :]
    while tail and cells(f"{head}...{tail}") > room:  # wide characters take two columns
        tail = tail[1:]
    return f"{head}...{tail}"


def _bar(width: int) -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.table import Column

    class Steady(Console):
        """Never hides the cursor: however the process ends, the terminal is as it was."""

        def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002  # rich's signature
            return False

    console = Steady(stderr=True, width=width)
    name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False, table_column=name),
        TextColumn("{task.fields[percent]}", style="progress.percentage"),
        TextColumn("{task.fields[count]}"),
    ]
    if width >= _ROOMY:
        # Plain colours: of rich's own, eight-colour terminals make one and the same.
        bar = BarColumn(bar_width=20, style="dim", complete_style="green", pulse_style="green")
        columns.insert(1, bar)
        columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(compact=True)]
    # Results are written while the bar is away: rich need not catch them.
    return Bar(*columns, console=console, transient=True, expand=True, redirect_stdout=False)
