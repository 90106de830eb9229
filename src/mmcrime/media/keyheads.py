"""Whether a stored picture of H.264 or HEVC is one that decoding can begin with.

An index states which pictures are. Here the first bytes of a picture are asked, by the rules
of FFmpeg's parsers, which ask them of every packet that is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KeyHeads"]

_MOST_UNITS = 12  # up to the picture itself; encoders write up to eight
_HEAD = 64  # bytes of a unit: the messages that matter stand first
_MESSAGES, _IDR, _RECOVERY_POINT = 6, 5, 6  # of H.264 (ITU-T H.264, 7.4.1 and D.1)
_IRAP = range(16, 24)  # of HEVC (ITU-T H.265, 7.4.2.2)


class KeyHeads:
    """Looks at the first bytes of pictures as MP4 stores them: units with their lengths before.

    Args:
        file: Where they are; its position is changed.
        codec: ``"h264"`` or ``"hevc"``.
        setup: What the index says of the decoder.
    """

    def __init__(self, file: BinaryIO, codec: str, setup: bytes) -> None:
        self._file = file
        self._hevc = codec == "hevc"
        at = 21 if self._hevc else 4
        # Else the units are told apart in another way, which is rare.
        self._prefix = (setup[at] & 3) + 1 if setup[:1] == b"\1" and len(setup) > at else 0

    def begins(self, place: int, size: int) -> bool:
        """Whether decoding can begin with a picture.

        Args:
            place: Where it lies, in bytes.
            size: Its bytes.
        """
        recovers = False
        for unit in self._units(place, place + size):
            if self._hevc:
                kind = unit[0] >> 1 & 63
                if kind < 32:  # a part of a picture
                    return kind in _IRAP
                continue
            kind = unit[0] & 31
            recovers |= kind == _MESSAGES and _RECOVERY_POINT in _messages(unit)
            if 1 <= kind <= _IDR:  # a part of a picture
                return recovers or kind == _IDR
        return False

    def _units(self, at: int, end: int) -> Iterator[bytes]:
        for _ in range(_MOST_UNITS):
            self._file.seek(at)
            head = self._file.read(min(self._prefix + _HEAD, end - at))
            if not self._prefix or len(head) <= self._prefix:
                return
            length = int.from_bytes(head[: self._prefix], "big")
            if length > end - at - self._prefix:
                return
            if length:
                yield head[self._prefix : self._prefix + length]
            at += self._prefix + length


def _messages(unit: bytes) -> list[int]:
    """Return the kinds of the messages in the head of a unit of H.264."""
    kinds, at = [], 1
    while at + 1 < len(unit):
        numbers = []
        for _ in range(2):  # kind and length: as many 255 as fit, and the rest
            number = 0
            while at < len(unit) - 1 and unit[at] == 255:
                number, at = number + 255, at + 1
            number, at = number + (unit[at] if at < len(unit) else 0), at + 1
            numbers.append(number)
        kinds.append(numbers[0])
        at += numbers[1]
    return kinds
