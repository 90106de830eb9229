"""Counting the frames of a GIF without decoding them, and without counting for ever."""

from __future__ import annotations

import io
from typing import BinaryIO

__all__ = ["count_gif_frames"]

# Block introducers of the GIF89a specification.
_EXTENSION, _IMAGE = b"!", b","


def count_gif_frames(file: BinaryIO, *, cap: int) -> int:
    """Count the image blocks of a GIF, up to a cap; a broken file counts up to the break.

    Args:
        file: Open for reading; its position is changed.
        cap: Counting ends here.
    """
    file.seek(0)
    header = file.read(13)
    if len(header) < 13:
        return 0
    _skip_palette(file, header[10])
    frames = 0
    while frames < cap:
        introducer = file.read(1)
        if introducer == _EXTENSION:
            file.seek(1, io.SEEK_CUR)
        elif introducer == _IMAGE and len(descriptor := file.read(9)) == 9:
            _skip_palette(file, descriptor[8])
            file.seek(1, io.SEEK_CUR)  # the code size of the pixels that follow
            frames += 1
        else:
            break
        _skip_blocks(file)
    return frames


def _skip_palette(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), io.SEEK_CUR)


def _skip_blocks(file: BinaryIO) -> None:
    while length := file.read(1):
        if length == b"\0":
            return
        file.seek(length[0], io.SEEK_CUR)
