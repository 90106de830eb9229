"""Which form results take and where they go, settled before anything is analyzed."""

from __future__ import annotations

import codecs
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mmcrime.cli.choices import Format
from mmcrime.cli.sources import Sources
from mmcrime.errors import ConfigError, UnsupportedMediaError

PAGES = frozenset({".html", ".htm"})
"""Endings of pages."""
_LIKE_PAGES = PAGES | {".shtml", ".shtm", ".ehtml", ".xhtml", ".xht"}
"""Endings under which a browser may run what a file holds: nothing but pages may have them."""

SUFFIXES = dict.fromkeys(PAGES, Format.html) | {
    ".json": Format.json,
    ".jsonl": Format.json,
    ".csv": Format.csv,
    ".md": Format.md,
    ".txt": Format.text,
}
"""The forms that the name of a result file stands for."""

_TEXT_BYTES = 65536
"""How much of a file is looked at to tell whether it is text."""

_KNOWN = ".html, .json, .jsonl, .csv, .md or .txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where results go.

    Attributes:
        form: Their form.
        path: A file, or a folder for pages; None for stdout.
        folder: Whether ``path`` is a folder for pages.
    """

    form: Format
    path: Path | None
    folder: bool = False


def plan(form: Format | None, output: str | None, found: Sources) -> Target:
    """Settle the form and the place of the results.

    Args:
        form: What ``--format`` says; None for what the name of the output stands for.
        output: What ``-o`` says; None for stdout.
        found: What is analyzed.

    Raises:
        ConfigError: If the results cannot go there in that form.
    """
    if output is None:
        if form is Format.html:
            _page_to_stdout(found)
        return Target(form=form or Format.text, path=None)
    if not output:
        raise ConfigError("-o is the empty text ''.", next_step="Name a file or a folder.")
    path = Path(output)
    # Path.is_dir raises for names that are too long.
    is_folder = os.path.isdir(output) or output.endswith(os.sep)  # noqa: PTH112  # see above
    if form is None:
        form = SUFFIXES.get(_suffix(path), Format.text) if is_folder else _meant(path)
    if form is not Format.html:
        _not_a_page(path, form, is_folder=is_folder)
        return Target(form=form, path=path)
    if is_folder or _suffix(path) not in PAGES:
        if os.path.lexists(path) and not is_folder:
            raise ConfigError(
                f"{output!r} is there already and is no folder.",
                next_step="Name a folder for the pages, or one page that ends in .html.",
            )
        return Target(form=form, path=path, folder=True)
    if len(found.items) > 1:
        raise ConfigError(
            f"{len(found.items)} reports do not go into the one page {output!r}.",
            next_step="Name a folder, such as -o reports/.",
        )
    return Target(form=form, path=path)


def spare(path: Path) -> None:
    """Let a result replace what is nobody's footage, no foreign page and may be written.

    Args:
        path: What would be replaced; no link. It need not be there.

    Raises:
        ConfigError: If it is to stay.
        OSError: If it cannot be looked at.
    """
    from mmcrime.cli import pages
    from mmcrime.media.sniff import HEAD_BYTES, sniff
    from mmcrime.reports import html

    if not path.is_file():
        return
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise ConfigError(f"{str(path)!r} may not be written.", next_step="Name another file.")
    if _suffix(path) in PAGES and not pages.is_ours(path, html.REPORT_MARK):
        raise ConfigError(
            f"{str(path)!r} is there already and is no report of mmcrime.",
            next_step="Name another file with -o, or move that one away.",
        )
    with path.open("rb") as there:
        head = there.read(_TEXT_BYTES)
    try:
        sniff(head[:HEAD_BYTES], source=path.name)
    except UnsupportedMediaError:
        if _is_text(head):
            return
        raise ConfigError(
            f"{str(path)!r} is no text, and may be footage; a result never replaces it.",
            next_step="Name another file with -o.",
        ) from None
    raise ConfigError(
        f"{str(path)!r} is a picture, a sound or a video; a result never replaces one.",
        next_step="Name another file with -o.",
    )


def _is_text(head: bytes) -> bool:
    """Tell whether a file that begins like this is text; a character at the end may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _suffix(path: Path) -> str:
    """Return the ending that decides what opens a file; some systems drop dots at the end."""
    name = path.name.rstrip(". ").lower()
    return name if name in _LIKE_PAGES else Path(name).suffix


def _meant(path: Path) -> Format:
    suffix = _suffix(path)
    if suffix and suffix not in SUFFIXES:
        raise ConfigError(
            f"The ending {suffix!r} of {str(path)!r} says no form that results have.",
            next_step=f"Name a file that ends in {_KNOWN}, or say the form with --format.",
        )
    return SUFFIXES.get(suffix, Format.text)


def _not_a_page(path: Path, form: Format, *, is_folder: bool) -> None:
    """Raise ConfigError where results that are no page would be opened like one."""
    if is_folder:
        raise ConfigError(
            f"{str(path)!r} is a folder.",
            next_step="Name a file, or add --format html for a folder of pages.",
        )
    # A link is followed, so the name that it leads to counts as well.
    if {_suffix(path), _suffix(Path(os.path.realpath(path)))} & _LIKE_PAGES:
        raise ConfigError(
            f"{str(path)!r} is the name of a web page, and --format {form} makes none.",
            next_step=f"Name a file that ends in {_KNOWN.removeprefix('.html, ')}.",
        )


def _page_to_stdout(found: Sources) -> None:
    if len(found.items) > 1:
        raise ConfigError(
            f"{len(found.items)} reports do not go into one page on standard output.",
            next_step="Name a folder for them, such as -o reports/.",
        )
    if sys.stdout.isatty():
        raise ConfigError(
            "An HTML page is nothing to read in a terminal.",
            next_step="Name a file for it, such as -o report.html.",
        )
