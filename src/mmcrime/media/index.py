"""The packets of an MP4 counted from its index, without reading them.

FFmpeg builds the index from the tables of the file before it reads the first packet, and
gives out packets as the index says. So what the index says of a packet is what reading it
would find, at a tenth of the cost. Only when a picture is shown, as opposed to decoded, is
not in it: that comes from the table of composition times, which is read here.

It is believed of plain files alone, if all packets lie inside the file, if what it takes for
keyframes begins like some, and if the first packets and those from the last keyframe on are as
it says when they are read. All packets of other files are read. Neither way shows whether a
packet decodes.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mmcrime.media.keyheads import KeyHeads
from mmcrime.media.streams import READ_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.packet import Packet
    from numpy.typing import NDArray

    from mmcrime.media.boxes import Index
    from mmcrime.media.container import Container
    from mmcrime.media.tally import Tally

__all__ = ["IndexedStreams"]

_CODECS = frozenset(("h264", "hevc", "aac"))  # their packets are given out as they are stored
_BLOCK = 8_192  # entries that are looked at together
_MOST_KEYS = 200_000  # in a file of more, all packets are as soon read as their heads
_LATEST = 1 << 60  # ticks; far beyond what a file of a day has, far below what overflows
_MOST_DELAY = 1 << 31  # ticks; FFmpeg holds it in 32 bits
_KEYFRAME, _DISCARD = 1, 2  # AVINDEX_KEYFRAME and AVINDEX_DISCARD_FRAME of FFmpeg


class IndexedStreams:
    """Compares packets with the index as they are read, and counts the rest from it.

    Args:
        tables: What the index says of the streams, by their number.
    """

    def __init__(self, tables: dict[int, _Table]) -> None:
        self._tables = tables

    @classmethod
    def of(cls, file: BinaryIO, index: Index, tallies: Sequence[Tally]) -> IndexedStreams | None:
        """Read what the index says of some streams; None where it is not to be believed.

        Args:
            file: A handle of the file that is not the container's; its position is changed.
            index: What was found in its boxes.
            tallies: Of the streams.
        """
        tables: dict[int, _Table] = {}
        for tally in tallies:
            stream: Any = tally.stream
            context = stream.codec_context
            if not index.plain or context is None or context.name not in _CODECS:
                return None
            shifts = _shifts(file, index, stream.id, len(stream.index_entries))
            if shifts is None:
                return None
            table = tables[stream.index] = _Table(stream, tally, shifts)
            if not table.read(file, index.size):
                return None
        return cls(tables)

    def agrees(self, packet: Packet[Any]) -> bool:
        """Whether a packet is as the index says of the next one of its stream."""
        return self._tables[packet.stream_index].agrees(packet)

    def complete(self, container: Container) -> bool:
        """Fill the tallies, once the first packets were read.

        Args:
            container: It is sought, and read to its end.

        Returns:
            Whether the last packets are as the index says; if not, nothing was filled.
        """
        tables = list(self._tables.values())
        lead = min(tables, key=lambda table: table.stream.type != "video")
        try:
            container.raw.seek(lead.last_key, stream=lead.stream, backward=True)
        except READ_ERRORS:
            return False
        for table in tables:
            table.jump()
        for packet in container.packets(*(table.stream for table in tables)):
            if not self.agrees(packet):
                return False
        if container.encrypted or not all(table.is_whole for table in tables):
            return False
        for table in tables:
            table.fill()
        return True


def _shifts(file: BinaryIO, index: Index, number: int, samples: int) -> NDArray[np.int32] | None:
    """Return how much later each picture of a track is shown than decoded, up to a constant.

    Nothing of a track that shows all as it is decoded; None for one that is not plain.
    """
    tracks = [track for track in index.tracks if track.number == number]
    if len(tracks) != 1 or tracks[0].edited:
        return None
    (track,) = tracks
    durations, shifts = _runs(file, track.durations), _runs(file, track.shifts)
    if durations is None or durations[0].sum(dtype=np.int64) < samples:
        return None
    if not track.shifts:
        return np.zeros(0, np.int32)
    if shifts is None or shifts[0].sum(dtype=np.int64) != samples:
        return None
    return np.repeat(shifts[1].astype(np.int32), shifts[0])


def _runs(file: BinaryIO, places: Sequence[tuple[int, int]]) -> NDArray[np.int32] | None:
    """Return for how many samples each value of a table holds, and the values."""
    if len(places) != 1:
        return None
    ((at, count),) = places
    file.seek(at)
    table = file.read(8 * count)
    if len(table) < 8 * count:
        return None
    runs = np.frombuffer(table, ">i4").reshape(-1, 2).T
    return None if (runs[0] < 0).any() else runs


class _Table:
    """What the index says of one stream, in ticks of its clock.

    Args:
        stream: The stream.
        tally: Counts its packets.
        shifts: See `_shifts`.

    Attributes:
        stream: The stream.
        last_key: When its last keyframe is decoded.
    """

    def __init__(self, stream: Any, tally: Tally, shifts: NDArray[np.int32]) -> None:
        self.stream = stream
        self.last_key = 0
        self._tally = tally
        self._shifts = shifts
        self._entries = stream.index_entries
        self._delay: int | None = None  # the constant that `_shifts` leaves open
        self._at: int | None = 0  # the entry that the next packet must be; None after a seek
        self._packets = 0
        self._first = self._last = 0  # of the packets, when they are shown, without the delay
        self._shown: list[NDArray[np.int64]] = []  # pictures only, as below
        self._keys: list[NDArray[np.int64]] = []
        self._seen = -1  # the last of those that were read
        self._end = float("-inf")  # seconds

    def read(self, file: BinaryIO, size: int) -> bool:
        """Look through all entries; return whether they are those of sound packets.

        Args:
            file: Its position is changed.
            size: Bytes of the file.
        """
        context = self.stream.codec_context
        heads, looked = KeyHeads(file, context.name, context.extradata or b""), 0
        for at in range(0, len(self._entries), _BLOCK):
            flat = array("q")
            for entry in self._entries[at : at + _BLOCK]:
                flat.extend((entry.timestamp, entry.pos, entry.size, entry.flags))
            decoded, places, sizes, flags = np.frombuffer(flat, np.int64).reshape(-1, 4).T
            if (sizes <= 0).any() or (places < 0).any() or (places > size - sizes).any():
                return False
            if (decoded > _LATEST).any() or (decoded < -_LATEST).any():
                return False
            keys = flags & _KEYFRAME > 0
            if keys.any():
                self.last_key = int(decoded[keys][-1])
            if self.stream.type == "video":
                stated = zip(places[keys].tolist(), sizes[keys].tolist(), strict=True)
                looked += int(keys.sum())
                if looked > _MOST_KEYS or not all(heads.begins(*one) for one in stated):
                    return False
            shown = decoded + self._shifts[at : at + len(decoded)] if len(self._shifts) else decoded
            self._note(shown, flags & _DISCARD == 0, keys)
        return self._packets > 0

    def _note(
        self, shown: NDArray[np.int64], kept: NDArray[np.bool_], keys: NDArray[np.bool_]
    ) -> None:
        if not kept.any():
            return
        first, last = int(shown[kept].min()), int(shown[kept].max())
        self._first = min(self._first, first) if self._packets else first
        self._last = max(self._last, last) if self._packets else last
        self._packets += int(kept.sum())
        if self.stream.type == "video":
            self._shown.append(shown[kept])
            self._keys.append(shown[kept & keys])

    def agrees(self, packet: Packet[Any]) -> bool:
        """Whether a packet is as the next entry says."""
        if packet.dts is None or packet.pts is None or not packet.duration:
            return False
        at = self._at
        if at is None:
            at = self._entries.search_timestamp(packet.dts, any_frame=True)
        if not 0 <= at < len(self._entries):
            return False
        entry, self._at = self._entries[at], at + 1
        shown = entry.timestamp + (int(self._shifts[at]) if len(self._shifts) else 0)
        if self._delay is None:
            self._delay = packet.pts - shown
            if abs(self._delay) > _MOST_DELAY:
                return False
        if not packet.is_discard:
            self._seen = max(self._seen, shown) if self._end > float("-inf") else shown
            self._end = max(self._end, self._tally.end_of(packet))
        return (
            (packet.dts, packet.pts) == (entry.timestamp, shown + self._delay)
            and (packet.pos, packet.size) == (entry.pos, entry.size)
            and (packet.is_keyframe, packet.is_discard) == (entry.is_keyframe, entry.is_discard)
        )

    def jump(self) -> None:
        """Take any packet for the next one."""
        self._at = None

    @property
    def is_whole(self) -> bool:
        """Whether the last packet was read, and the one that is shown last."""
        return self._at == len(self._entries) and self._seen == self._last

    def fill(self) -> None:
        """Let the tally know of all packets."""
        delay = self._delay or 0
        self._tally.fill(
            packets=self._packets,
            first=self._first + delay,
            last=self._last + delay,
            end=self._end,
            shown=(part + delay for part in self._shown),
            keys=(part + delay for part in self._keys),
        )
