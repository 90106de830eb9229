"""Folders and files that only their owner can look into."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["private_folder", "replace_file"]


def private_folder(path: Path, *, ours: bool = False) -> None:
    """Make a folder of mode 0700; one that is there already keeps its mode.

    Args:
        path: Its parents are made as well, with the mode that the system gives.
        ours: Nobody but us has business in it: it is closed to others even if it is there.

    Raises:
        OSError: If it cannot be made, or belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        _refuse_strangers(path)
    if ours:
        path.chmod(0o700)


def replace_file(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: whoever dies while writing leaves it as it was.

    Not for two at a time. A link that lies where the new file is begun is not followed.

    Raises:
        OSError: If it cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def _refuse_strangers(path: Path) -> None:
    """Raise for a folder in which another user could put links and answers of their own."""
    if not hasattr(os, "geteuid"):
        return  # there are no such owners on Windows
    user, owner = os.geteuid(), path.stat().st_uid
    if user != 0 and owner not in (user, 0):  # root uses the folders of those it works for
        raise PermissionError(f"the folder {str(path)!r} belongs to another user")
