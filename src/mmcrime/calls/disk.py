"""How `diskcache` keeps keys and values here: texts as keys, bytes as values, nothing else.

The library's own way is pickle, which runs whatever the stored bytes say. A row of the
database may also name any file, to be read or deleted. Neither is believed here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from diskcache import UNKNOWN, Disk
from diskcache.core import MODE_BINARY, MODE_RAW

__all__ = ["PlainDisk", "RefusedRowError"]

_OURS = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")


class RefusedRowError(Exception):
    """A row of the store is none that we wrote."""


class PlainDisk(Disk):  # type: ignore[misc]  # diskcache ships no types
    """Refuses every key that is no text, every value that is no bytes, and foreign files."""

    def put(self, key: object) -> tuple[str, bool]:
        """Return how a key is written in the database."""
        if type(key) is not str:
            raise RefusedRowError(f"a key must be a text, not {type(key).__name__!r}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Return a key as it was before it was written in the database."""
        if not raw or type(key) is not str:
            raise RefusedRowError(f"a key that is no text: {type(key).__name__!r}")
        return key

    def store(self, value: object, read: bool, key: object = UNKNOWN) -> Any:
        """Return how a value is written: size, mode, file name, value."""
        if read or type(value) is not bytes:
            raise RefusedRowError(f"a value must be bytes, not {type(value).__name__!r}")
        return super().store(value, read, key=key)

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> bytes:
        """Return a value, from the database or from a file."""
        if mode == MODE_RAW and type(value) is bytes and not read:
            return value
        if mode == MODE_BINARY and _is_ours(filename) and not read:
            # A link would lead out of the store.
            descriptor = os.open(Path(self._directory, str(filename)), os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                return file.read()
        raise RefusedRowError("a value that is no bytes, or in a file that is not of the store")

    def remove(self, file_path: object) -> None:
        """Delete the file of a value."""
        if _is_ours(file_path):
            super().remove(file_path)


def _is_ours(filename: object) -> bool:
    return isinstance(filename, str) and _OURS.fullmatch(filename) is not None
