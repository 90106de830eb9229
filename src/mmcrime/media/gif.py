"""Counting the frames of a GIF without decoding them, and without counting for ever."""

from __future__ import annotations

import io
import sys
from typing import BinaryIO

__all__ = ["MOST_BLOCKS", "count_gif_frames", "is_costly"]

MOST_BLOCKS = 2_000_000
"""Encoders write 255 bytes a block, so that this is 500 MB; Pillow reads 1 us a block."""

# Block introducers of the GIF89a specification.
_EXTENSION, _IMAGE = b"!", b","


def count_gif_frames(file: BinaryIO, *, cap: int) -> int:
    """Count the image blocks of a GIF, up to a cap; a broken file counts up to the break.

    A file with more than `MOST_BLOCKS` blocks of data counts up to there; see `is_costly`.

    Args:
        file: Open for reading; its position is changed.
        cap: Counting ends here.
    """
    return _scan(file, cap=cap)[0]


def is_costly(file: BinaryIO) -> bool:
    """Whether a GIF has so many blocks of data that Pillow would read it for minutes.

    Args:
        file: Open for reading; its position is changed.
    """
    return _scan(file, cap=sys.maxsize)[1] >= MOST_BLOCKS


def _scan(file: BinaryIO, *, cap: int) -> tuple[int, int]:
    """Count frames and blocks of data."""
    file.seek(0)
    header = file.read(13)
    if len(header) < 13:
        return 0, 0
    _skip_palette(file, header[10])
    frames = blocks = 0
    while frames < cap and blocks < MOST_BLOCKS:
        introducer = file.read(1)
        if introducer == _EXTENSION:
            file.seek(1, io.SEEK_CUR)
        elif introducer == _IMAGE and len(descriptor := file.read(9)) == 9:
            _skip_palette(file, descriptor[8])
            file.seek(1, io.SEEK_CUR)  # the code size of the pixels that follow
            frames += 1
        else:
            break
        blocks += 1 + _skip_blocks(file, MOST_BLOCKS - blocks)
    return frames, blocks


def _skip_palette(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), io.SEEK_CUR)


def _skip_blocks(file: BinaryIO, most: int) -> int:
    """Skip the blocks up to the next empty one, at most some; return how many they were."""
    for count in range(most):
        length = file.read(1)
        if length in (b"", b"\0"):
            return count
        file.seek(length[0], io.SEEK_CUR)
    return most
