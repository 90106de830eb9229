"""The files below a folder, and what is left out of them and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["LeftOut", "files_below", "ignore"]

LeftOut = Callable[[Path, str, bool], None]
"""Is told what is left out: the path, why in words, and whether that was an error."""


def ignore(path: Path, why: str, failed: bool) -> None:
    """Let what is left out pass unheard."""


def files_below(folder: Path, *, left_out: LeftOut = ignore) -> Iterator[Path]:
    """Yield the regular files below a folder, sorted by name, files before sub-folders.

    Hidden entries are left out, and symbolic links, which could lead anywhere or in
    circles, and what is no regular file, such as a pipe that would block its reader.

    Args:
        folder: Where to look; a folder that cannot be read yields nothing and is told
            to ``left_out``.
        left_out: Is called while walking with ``(path, why, failed)``. ``why`` is "hidden",
            "symbolic link" or "no regular file", or "cannot be read: ..." with ``failed``.
    """

    def closed(error: OSError) -> None:
        left_out(Path(error.filename), f"cannot be read: {error.strerror}", True)

    for where, folders, names in os.walk(folder, onerror=closed, followlinks=False):
        kept = []
        for name in sorted(folders):
            path = Path(where, name)
            if why := _entry_reason(path):
                left_out(path, why, False)
            else:
                kept.append(name)
        folders[:] = kept  # os.walk goes on into these
        for name in sorted(names):
            path = Path(where, name)
            why = _entry_reason(path) or _file_reason(path)
            if why:
                left_out(path, why, False)
            else:
                yield path


def _entry_reason(path: Path) -> str:
    """Return why an entry is left out whatever it is; empty when it is not."""
    if path.name.startswith("."):
        return "hidden"
    return "symbolic link" if os.path.islink(path) else ""  # noqa: PTH114  # pathlib's may raise


def _file_reason(path: Path) -> str:
    """Return why a file is left out; empty when it is not."""
    return "" if os.path.isfile(path) else "no regular file"  # noqa: PTH113  # pathlib's may raise
