"""How long a WAV or MP3 file says that it is, where its demuxer does not tell.

FFmpeg takes the length of a WAV file from what is there, and that of an MP3 file from its bit
rate, unless the first frame states it. A file that was cut off would pass for a whole one.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

_LEAST_UNKNOWN = 0x7FFFF000
"""Programs that write a WAV file to a pipe state sizes from here on: they did not know better."""
_MOST_CHUNKS = 64  # before the sound; real files have a handful
_TAG_WITHIN = 2048  # bytes: the first MP3 frame, in which "Xing" or "Info" states the length


def wav_seconds(file: BinaryIO) -> float | None:
    """Return how long the sound of a RIFF WAVE file is by its header; None where it is unknown.

    Args:
        file: At any position.
    """
    file.seek(0)
    if file.read(12)[:4] != b"RIFF":  # its relatives count in other ways
        return None
    rate = 0
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return None
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            return size / rate if rate and 0 < size < _LEAST_UNKNOWN else None
        if name == b"fmt ":
            body = file.read(min(size, 64))
            rate = struct.unpack_from("<I", body, 8)[0] if len(body) >= 12 else 0
            file.seek(max(0, size - 64) + size % 2, 1)
        else:
            file.seek(size + size % 2, 1)
    return None


def mp3_states_length(file: BinaryIO) -> bool:
    """Return whether the first frame of an MP3 file states how many frames there are.

    Args:
        file: At any position.
    """
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        size = 0
        for byte in head[6:10]:  # seven bits each
            size = size << 7 | byte & 0x7F
        start = 10 + size
    file.seek(start)
    frame = file.read(_TAG_WITHIN)
    return b"Xing" in frame or b"Info" in frame
