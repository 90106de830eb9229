"""The ID3v2 tags in front of sound, which FFmpeg reads whole into memory."""

from __future__ import annotations

from typing import BinaryIO

from mmcrime.errors import UnsafeMediaError

__all__ = ["check_tags"]

_LARGEST = 8 * 1024 * 1024
"""Bytes of all tags together: cover pictures in print quality fit; small frames cost FFmpeg
fifteen times their size."""
_HEADER = 10


def check_tags(file: BinaryIO, *, source: str) -> None:
    """Refuse a file that begins with more tags than any music has.

    Args:
        file: Open for reading; its position is changed.
        source: The name of the input, for messages.

    Raises:
        UnsafeMediaError: If the tags fill more than 8 MiB.
    """
    at = 0
    while True:
        file.seek(at)
        header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(b"ID3"):
            return
        length = 0
        for byte in header[6:]:  # seven bits each
            length = length << 7 | byte & 0x7F
        footer = _HEADER if header[5] & 0x10 else 0
        at += _HEADER + length + footer
        if at > _LARGEST:
            raise UnsafeMediaError(
                f"its tags fill more than {_LARGEST} bytes.",
                source=source,
                next_step="Remove the tags with a tool that you trust.",
            )
