"""A folder of HTML pages: one a report, and an index with the worst first.

Whatever else is in the folder stays as it was. A page is replaced only by one of its kind, when
it carries our mark, appears whole or not at all, and never leads out of the folder through a link.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mmcrime.cli import pages
from mmcrime.cli.sources import Sources
from mmcrime.cli.tally import Tally
from mmcrime.cli.terminal import remark
from mmcrime.errors import ConfigError, MmcrimeError
from mmcrime.reports import html
from mmcrime.results import Report

_REPORTS = "reports"
_PAGE = 500  # rows of one page of the index: a browser shows them at once
_SLUG = 60  # characters of a page's name that come from the source's
_DIGITS = 8  # of a hash, so that sources of one name get pages of their own
_INDEX = re.compile(r"index-\d+\.html")


def page_names(sources: Sequence[Path | str]) -> list[str]:
    """Return a page's name for every source: harmless, the same in each run, each once.

    Args:
        sources: Files and URLs, each once.
    """
    slugs = [_slug(source) for source in sources]
    # Absolute: two files "clip.mp4" of two working folders are two sources.
    hashes = [hashlib.sha256(_identity(source)).hexdigest() for source in sources]
    names = [f"{slug}-{digest[:_DIGITS]}" for slug, digest in zip(slugs, hashes, strict=True)]
    seen = Counter(names)
    return [
        f"{slug}-{digest}.html" if seen[name] > 1 else f"{name}.html"
        for name, slug, digest in zip(names, slugs, hashes, strict=True)
    ]


def _identity(source: Path | str) -> bytes:
    return os.fsencode(os.path.abspath(source) if isinstance(source, Path) else source)  # noqa: PTH100  # Path.absolute keeps ".."


def _slug(source: Path | str) -> str:
    name = source.name if isinstance(source, Path) else _last_part(source)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_SLUG].strip("-") or "source"


def _called(folder: Path) -> str:
    """Return what people call a folder: "." is the name of none."""
    return folder.resolve().name or str(folder) if folder.name in ("", "..") else str(folder)


def _last_part(url: str) -> str:
    # What stands behind "?" or before "@" may be a key.
    return re.split(r"[?#]", url, maxsplit=1)[0].rstrip("/").rpartition("/")[2].rpartition("@")[2]


class Folder:
    """Writes a page for every report and, at the end, the index.

    An interrupt or an error in the middle leaves an index of what is there, which says so.
    Where even that cannot be written (a full disk, a process that is killed) the index is
    the one from the start, which says that the run has not ended.

    Args:
        path: The folder; it is made when it is not there.
        found: What is analyzed; its reports come in this order.
        tally: The counts of the reports that were written.

    Raises:
        ConfigError: If the pages cannot go there.
    """

    def __init__(self, path: Path, found: Sources, tally: Tally) -> None:
        self._path, self._total = path, len(found.items)
        self._names = page_names(found.items)
        self._title = ", ".join(map(_called, found.folders)) or (
            f"{self._total} source{'' if self._total == 1 else 's'}"
        )
        self._pictured: list[html.Row] = []  # with their pictures
        self._plain: list[html.Row] = []
        self._tally = tally
        self._made: list[Path] = []
        self._before: bytes | None = None  # the index of an earlier run
        self._started = b""  # the index from the start of this one
        _outside(path, found.folders)
        self._look(found)

    def __enter__(self) -> Self:
        with _writable(self._path):
            wanted = (self._reports, self._path, *self._path.parents)
            self._made = [folder for folder in wanted if not folder.exists()]
            self._reports.mkdir(parents=True, exist_ok=True)
            self._start_index()
        return self

    def write(self, report: Report) -> None:
        """Write the page of the next report."""
        name = self._names[self._written]
        data = report.to_dict(thumbnails=True)
        page = html.render(data)
        with _writable(self._path):
            self._check_reports()
            _replace(self._reports / name, page, html.REPORT_MARK)
        self._pictured.append(html.row(data, href=f"{_REPORTS}/{name}"))
        # From here on the earlier index is untrue; one that came in between is another run's.
        if self._written == 1 and not self._replaced():
            with _writable(self._path):
                self._drop_old_pages(1)
        if len(self._pictured) > 4 * _PAGE:
            self._lighten()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._written:
            self._undo()
            return
        if kind is None:
            self._write_index(note="")
            remark(f"Wrote {str(self._index)!r}.")
            return
        note = f"stopped after {self._written} of {self._total} sources"
        if self._replaced():
            remark(f"{note.capitalize()}; {str(self._index)!r} is of another run and stays.")
            return
        # What went wrong first is what has to be said.
        with contextlib.suppress(MmcrimeError):
            self._write_index(note=note)
            remark(f"{note.capitalize()}; they are in {str(self._index)!r}.")

    @property
    def _reports(self) -> Path:
        return self._path / _REPORTS

    @property
    def _written(self) -> int:
        return len(self._pictured) + len(self._plain)

    @property
    def _index(self) -> Path:
        return self._path / "index.html"

    def _start_index(self) -> None:
        """Say that the run has not ended, for the case that it never does."""
        self._before = self._index.read_bytes() if self._index.exists() else None
        note = f"not finished: 0 of {self._total} sources when this page was written"
        self._started = pages.encoded(html.index([], title=self._title, note=note))
        _replace(self._index, self._started, html.INDEX_MARK)

    def _replaced(self) -> bool:
        """Tell whether the index is no more what this run wrote: another run works here too."""
        try:
            ordinary = stat.S_ISREG(self._index.lstat().st_mode)
            return not ordinary or self._index.read_bytes() != self._started
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _undo(self) -> None:
        """Leave things as they were: nothing came of this run."""
        if self._replaced():
            return
        with contextlib.suppress(MmcrimeError, OSError):
            if self._before is None:
                self._index.unlink(missing_ok=True)
            elif self._index.exists():
                _replace(self._index, self._before, html.INDEX_MARK)
            for made in self._made:
                made.rmdir()

    def _check_reports(self) -> None:
        """Raise ConfigError where the pages would go elsewhere, now or in the middle of a run."""
        if os.path.lexists(self._reports) and not _is_real_folder(self._reports):
            raise ConfigError(
                f"{str(self._reports)!r} is no folder of its own.",
                next_step="Name another folder with -o.",
            )

    def _lighten(self) -> None:
        """Drop the pictures of all but the worst: 100,000 of them would fill the memory."""
        ranked = html.worst_first(self._pictured)
        self._pictured = ranked[:_PAGE]
        self._plain += [replace(row, thumbnail=None) for row in ranked[_PAGE:]]

    def _write_index(self, *, note: str) -> None:
        rows = html.worst_first(self._pictured + self._plain)
        count = _pages(len(rows))
        # A page counts its own rows only.
        said = "; ".join(filter(None, [note, self._tally.line() if count > 1 else ""]))
        with _writable(self._path):
            for page in range(1, count + 1):
                part = rows[(page - 1) * _PAGE : page * _PAGE]
                text = html.index(part, title=self._title, note=said, page=page, pages=count)
                _replace(self._path / _index_name(page), text, html.INDEX_MARK)
            self._drop_old_pages(count)

    def _drop_old_pages(self, count: int) -> None:
        """Remove further pages of an earlier, longer index: they would tell of another run."""
        current = {_index_name(page) for page in range(1, count + 1)}
        for path in self._path.iterdir():
            old = _INDEX.fullmatch(path.name) and path.name not in current
            if old and pages.is_ours(path, html.INDEX_MARK):
                path.unlink()

    def _look(self, found: Sources) -> None:
        """Check everything that is there already.

        Raises:
            ConfigError: If something of it would be lost.
        """
        with _writable(self._path):
            self._check_reports()
            count = _pages(self._total)
            ours = {self._path: {_index_name(page) for page in range(1, count + 1)}}
            ours[self._reports] = set(self._names)
            there = [
                path
                for folder, names in ours.items()
                if folder.is_dir()
                for path in folder.iterdir()
                if path.name in names
            ]
            for path in there:
                _check(path, html.INDEX_MARK if path.parent == self._path else html.REPORT_MARK)
            _spare(found.items, {_place(path) for path in there})


def _pages(rows: int) -> int:
    return -(-rows // _PAGE)


def _index_name(page: int) -> str:
    return "index.html" if page == 1 else f"index-{page}.html"


def _outside(path: Path, folders: Sequence[Path]) -> None:
    """Raise ConfigError where the pages would be among what is analyzed."""
    # Path.resolve raises RuntimeError where links go in circles.
    real = Path(os.path.realpath(path))
    for folder in folders:
        if real.is_relative_to(os.path.realpath(folder)):
            raise ConfigError(
                f"The folder {str(path)!r} is inside {str(folder)!r}, which is analyzed.",
                next_step="Name a folder outside of it with -o.",
            )


def _spare(sources: Sequence[Path | str], taken: set[tuple[int, int]]) -> None:
    """Raise ConfigError where a page would replace a source."""
    for source in sources if taken else ():
        if isinstance(source, Path):
            with contextlib.suppress(OSError, ValueError):
                if _place(source) in taken:
                    raise ConfigError(
                        f"{str(source)!r} is a source, and a page would replace it.",
                        next_step="Name another folder with -o.",
                    )


def _place(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _is_real_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _check(path: Path, mark: str) -> None:
    if os.path.lexists(path) and not pages.is_ours(path, mark):
        raise ConfigError(
            f"{str(path)!r} is there already and is no {pages.KINDS[mark]} of mmcrime.",
            next_step="Name another folder with -o, or move that file away.",
        )


def _replace(path: Path, text: str | bytes, mark: str) -> None:
    """Write a page; what is there is replaced only if it is ours and of the same kind."""
    _check(path, mark)
    pages.put(path, text)


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"The folder {str(path)!r} cannot be written: {error.strerror or error}.",
            next_step="Name a folder that you may write to.",
        ) from error
