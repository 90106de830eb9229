"""What the index of an MP4 or QuickTime file says it holds, checked before FFmpeg believes it.

FFmpeg reserves memory for as many samples as a table states, so that a file of a few
kilobytes can ask for gigabytes. Here the tables are only counted: none may state more
entries than it has room for, and all of one kind together no more than a day of media.
Boxes are looked for wherever FFmpeg looks for them, at any place in the file.
"""

from __future__ import annotations

import io
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import BinaryIO

from mmcrime.errors import UnsafeMediaError

__all__ = ["Index", "Track", "check_boxes"]

_CONTAINERS = frozenset(
    (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex", b"edts", b"udta")
) | frozenset((b"dinf", b"tref", b"sinf", b"schi", b"wave", b"iprp", b"ilst"))
_NOT_PLAIN = frozenset((b"mvex", b"moof", b"senc", b"saiz", b"saio", b"pssh"))
"""Boxes of files in fragments and of encrypted ones."""
_DISGUISES = frozenset((b"free", b"hoov"))  # FFmpeg takes these for moov if a mvhd comes first
_TABLES = {  # where the number of entries stands behind version and flags, and bytes of an entry
    b"stts": (4, 8),
    b"ctts": (4, 8),
    b"stsc": (4, 12),
    b"stco": (4, 4),
    b"co64": (4, 8),
    b"stss": (4, 4),
    b"stps": (4, 4),
}
_MOST_ENTRIES = 8_000_000  # samples; 24 hours at 90 packets a second
_MOST_BOXES = 500_000  # a day of fragments of two seconds; counting them takes 2 s
_DEEPEST = 10  # where FFmpeg stops too
_HEAD = 24  # bytes of a table that are read: all its counts stand there


@dataclass(slots=True)
class Track:
    """What is remembered of a track.

    Attributes:
        number: By which FFmpeg names it, too.
        shifts: Where the entries of each table of composition times begin, and how many it has.
        durations: The same for each table of durations.
        edited: Whether an edit list does more than say where the track begins.
    """

    number: int = 0
    shifts: list[tuple[int, int]] = field(default_factory=list)
    durations: list[tuple[int, int]] = field(default_factory=list)
    edited: bool = False
    # What decides whether FFmpeg makes an entry for each sample of one size.
    sound: bool = False
    steady: bool = False  # every sample lasts one tick
    samples: int = 0
    size: int = 1


@dataclass(frozen=True, slots=True)
class Index:
    """What was found in the boxes of a file.

    Attributes:
        plain: Whether the index is all in one place and nothing is encrypted.
        size: Bytes of the file.
        tracks: The tracks.
    """

    plain: bool
    size: int
    tracks: list[Track]


def check_boxes(file: BinaryIO, *, source: str) -> Index:
    """Refuse a file whose index states more than it can hold.

    Args:
        file: Open for reading; its position is changed.
        source: The name of the input, for messages.

    Raises:
        UnsafeMediaError: For a table with more entries than bytes for them, too many
            entries or boxes, or a compressed index, which hides its tables.
    """
    size = file.seek(0, io.SEEK_END)
    walk = _Walk(file, size, source)
    walk.children(0, size, depth=0)
    walk.settle()
    return Index(walk.plain, size, walk.tracks)


class _Walk:
    """One pass over the boxes of a file; see `Index` for what it finds."""

    def __init__(self, file: BinaryIO, size: int, source: str) -> None:
        self._file = file
        self._size = size
        self._source = source
        self._boxes = 0
        self.plain = True
        self.tracks: list[Track] = []
        self._entries: Counter[bytes] = Counter()
        self._track = Track()

    def children(self, at: int, end: int, *, depth: int) -> None:
        """Check the boxes in a stretch of the file."""
        while at + 8 <= end:
            self._boxes += 1
            if self._boxes > _MOST_BOXES:
                raise self._unsafe(f"its index has more than {_MOST_BOXES} boxes.")
            length, kind, body = self._header(at)
            stop = end if length == 0 else min(at + length, end)
            if stop < body:
                return  # nonsense: FFmpeg gives up here too
            self._box(kind, body, stop, depth)
            at = stop

    def _header(self, at: int) -> tuple[int, bytes, int]:
        head = self._read(at, 16)
        length, kind = struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == 16:
            return max(struct.unpack_from(">Q", head, 8)[0], 16), kind, at + 16
        return length, kind, at + 8

    def _box(self, kind: bytes, body: int, stop: int, depth: int) -> None:
        head = self._read(body, min(_HEAD, stop - body))
        if kind == b"cmov":
            raise self._unsafe("its index is compressed.")
        if kind == b"trak":
            self.settle()
        self.plain &= kind not in _NOT_PLAIN
        inside = self._inside(kind, head, body, stop)
        if inside is not None and depth < _DEEPEST:
            self.children(inside, stop, depth=depth + 1)
        elif inside is None:
            self._table(kind, head, body, stop)

    def _inside(self, kind: bytes, head: bytes, body: int, stop: int) -> int | None:
        """Return where the boxes in a box begin; None if it holds none."""
        if kind in _CONTAINERS or (kind in _DISGUISES and head[4:8] in (b"mvhd", b"cmov")):
            return body
        if kind == b"meta":
            # FFmpeg looks for the first handler box, with or without version and flags before.
            found = self._read(body, min(4096, stop - body)).find(b"hdlr")
            return body + found - 4 if found >= 4 else None
        return None

    def _table(self, kind: bytes, head: bytes, body: int, stop: int) -> None:
        """Check the entries that a box states."""
        length = stop - body
        if kind == b"hdlr":
            self._track.sound |= head[8:12] == b"soun"
        elif kind == b"tkhd":
            self._track.number = _number(head, 20 if head[:1] == b"\1" else 12)
        elif kind == b"elst":
            self._track.edited |= _is_cut(head)
        elif kind in _TABLES:
            where, each = _TABLES[kind]
            count = _number(head, where)
            self._count(kind, count, room=(length - where - 4) // each)
            if kind == b"ctts":
                self._track.shifts.append((body + 8, count))
            if kind == b"stts":
                self._track.durations.append((body + 8, count))
                self._track.steady = count == 1 and _number(head, 12) == 1
        elif kind in (b"stsz", b"stz2"):
            self._sizes(kind, head, length)
        elif kind == b"trun":
            each = 4 * (_number(head, 0) & 0xF00).bit_count()
            room = (length - 8) // each if each else _MOST_ENTRIES
            self._count(kind, _number(head, 4), room=room)

    def _sizes(self, kind: bytes, head: bytes, length: int) -> None:
        """Check a table of sample sizes; samples of one size need no table, but bytes."""
        size, count = _number(head, 4), _number(head, 8)
        if kind == b"stz2":
            bits = max(size & 0xFF, 4)
            self._count(kind, count, room=(length - 12) * 8 // bits)
        elif size == 0:
            self._count(kind, count, room=(length - 12) // 4)
        else:
            self._track.samples, self._track.size = count, size

    def settle(self) -> None:
        """Check the samples of one size of the track that ends here."""
        track, self._track = self._track, Track()
        self.tracks.append(track)
        if not (track.sound and track.steady) or track.shifts:
            self._count(b"stsz", track.samples, room=self._size // track.size)

    def _count(self, kind: bytes, count: int, *, room: int) -> None:
        name = kind.decode("ascii")
        if count > max(room, 0):
            raise self._unsafe(
                f"its table {name!r} states {count} entries and has room for {max(room, 0)}."
            )
        self._entries[kind] += count
        if self._entries[kind] > _MOST_ENTRIES:
            raise self._unsafe(f"its tables {name!r} have more than {_MOST_ENTRIES} entries.")

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)

    def _unsafe(self, message: str) -> UnsafeMediaError:
        return UnsafeMediaError(
            message,
            source=self._source,
            next_step="Convert it with a tool that you trust, if you trust the file.",
        )


def _is_cut(head: bytes) -> bool:
    """Whether an edit list is more than one stretch of the track, which may begin late."""
    count, wide = _number(head, 4), head[:1] == b"\1"
    late = (head[16:24] if wide else head[12:16]).strip(b"\xff") == b""
    return count > 1 + late


def _number(head: bytes, at: int) -> int:
    return int.from_bytes(head[at : at + 4], "big")
