"""Which form results take and where they go, settled before anything is analyzed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mmcrime.cli.choices import Format
from mmcrime.cli.sources import Sources
from mmcrime.errors import ConfigError

SUFFIXES = {
    ".html": Format.html,
    ".json": Format.json,
    ".jsonl": Format.json,
    ".csv": Format.csv,
    ".md": Format.md,
    ".txt": Format.text,
}
"""The forms that the name of a result file stands for."""


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
    path = Path(output)
    form = form or SUFFIXES.get(path.suffix.lower(), Format.text)
    is_folder = os.path.isdir(output)  # noqa: PTH112  # Path.is_dir raises for names that are too long
    if form is not Format.html:
        if is_folder or output.endswith(os.sep):
            raise ConfigError(
                f"{output!r} is a folder.",
                next_step="Name a file, or add --format html for a folder of pages.",
            )
        return Target(form=form, path=path)
    if not output:
        raise ConfigError("-o is the empty text ''.", next_step="Name a file or a folder.")
    several = len(found.items) != 1 or bool(found.folders)
    if is_folder or output.endswith(os.sep) or (several and not _names_a_file(path)):
        return Target(form=form, path=path, folder=True)
    if len(found.items) > 1:
        raise ConfigError(
            f"{len(found.items)} reports do not go into the one page {output!r}.",
            next_step="Name a folder, such as -o reports/.",
        )
    return Target(form=form, path=path)


def _names_a_file(path: Path) -> bool:
    return os.path.lexists(path) or path.suffix.lower() in SUFFIXES


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
