"""Which files of a folder are analysed."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from mmcrime.errors import ConfigError
from mmcrime.media.walk import files_below


def files_of(folder: str | os.PathLike[str], pattern: str | None) -> Iterator[Path]:
    """Yield the files to analyse; a folder that cannot be read becomes a report of its own.

    Raises:
        ConfigError: If ``folder`` is no directory.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ConfigError(f"{os.fspath(folder)!r} is no directory.", next_step="Name a folder.")
    closed: list[Path] = []

    def left_out(path: Path, _why: str, failed: bool) -> None:
        if failed:
            closed.append(path)

    for path in files_below(root, left_out=left_out):
        if pattern is None or fnmatch.fnmatch(path.name, pattern):
            yield path
    yield from closed
