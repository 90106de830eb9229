"""What a picture would cost Pillow, counted before Pillow is asked.

Pillow reads headers in Python, one marker, chunk or block at a time, and decodes every
scan of a progressive JPEG over the whole picture, so that a small file can keep it busy
for minutes.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from mmcrime.errors import UnsafeMediaError
from mmcrime.media.gif import MOST_BLOCKS, is_costly

__all__ = ["check_costs"]

_MOST_SCANS = 100  # encoders write about ten
_MOST_MARKERS = 10_000  # and bytes between them; a large colour profile has some hundreds
_MOST_CHUNKS = 100_000  # 50 megapixels in chunks of 4 KiB
_MOST_RLE_BYTES = 8 * 1024 * 1024  # Pillow unpacks them in Python, about 2 MB a second
_READ = 1024 * 1024
_HEADERS = 8 * _READ  # where the headers of a JPEG must have ended
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_ALONE = frozenset((0x01, *range(0xD0, 0xDA)))  # markers without a length
_SCAN = b"\xff\xda"


def check_costs(file: BinaryIO, format_name: str, *, source: str) -> None:
    """Refuse a picture whose structure costs out of proportion.

    Args:
        file: Open for reading; its position is changed.
        format_name: The sniffed format.
        source: The name of the input, for messages.

    Raises:
        UnsafeMediaError: If it does.
    """
    file.seek(0)
    found = ""
    if format_name == "jpeg":
        found = _jpeg(file)
    elif format_name == "png":
        found = _png(file)
    elif format_name == "bmp":
        found = _bmp(file)
    elif format_name == "gif" and is_costly(file):
        found = f"it has more than {MOST_BLOCKS} blocks of data."
    if found:
        raise UnsafeMediaError(
            found, source=source, next_step="Open it in an image viewer and save it again."
        )


def _jpeg(file: BinaryIO) -> str:
    head = file.read(_HEADERS)
    at, cost = 2, 0
    while cost <= _MOST_MARKERS:
        marker = _MARKER.search(head, at)
        if marker is None:
            cost += len(head) - at
            break
        cost += 1 + marker.start() - at  # Pillow goes byte by byte through what is between
        at = marker.end()
        if head[at - 1] == _SCAN[1]:
            break
        if head[at - 1] not in _ALONE:
            at += max(2, int.from_bytes(head[at : at + 2], "big"))
    if cost > _MOST_MARKERS:
        return f"it has more than {_MOST_MARKERS} markers before its first scan."
    scans, last = head.count(_SCAN), head[-1:]
    while chunk := file.read(_READ):
        scans += (last + chunk).count(_SCAN)
        last = chunk[-1:]
    return f"it has {scans} scans, more than {_MOST_SCANS}." if scans > _MOST_SCANS else ""


def _png(file: BinaryIO) -> str:
    at, chunks = 8, 0
    while chunks <= _MOST_CHUNKS:
        file.seek(at)
        header = file.read(8)
        if len(header) < 8 or header[4:] == b"IEND":
            return ""
        at += 12 + int.from_bytes(header[:4], "big")
        chunks += 1
    return f"it has more than {_MOST_CHUNKS} chunks."


def _bmp(file: BinaryIO) -> str:
    header = file.read(34)
    packed = int.from_bytes(header[30:34], "little") in (1, 2) and header[14:18] != b"\x0c\0\0\0"
    if packed and file.seek(0, 2) > _MOST_RLE_BYTES:
        return f"it is run-length encoded and has more than {_MOST_RLE_BYTES} bytes."
    return ""
