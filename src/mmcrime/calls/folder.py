"""Folders that only their owner can look into."""

from __future__ import annotations

from pathlib import Path

__all__ = ["private_folder"]


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
    if ours:
        path.chmod(0o700)
