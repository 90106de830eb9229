"""Counting the packets of one stream: when it starts and ends, and where its keyframes lie."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmcrime.evidence import Interval
from mmcrime.media.holes import LEAST_BYTES, LEAST_SECONDS, Suspect, lost_pictures
from mmcrime.media.streams import LATE_ORDER, READ_ERRORS, Ahead, Lost, has_true_times, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from av.packet import Packet
    from av.stream import Stream
    from numpy.typing import NDArray

__all__ = ["StreamSpan", "Tally"]

_MOST_SUSPECTS = 100_000  # 20 MiB; a day has as many stretches of a second


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StreamSpan:
    """What was measured of one stream, in media seconds.

    Attributes:
        start: Presentation time of its first packet.
        end: End of its last packet.
        packets: Number of packets.
        times: Sorted presentation times of its packets (pictures only).
        keyframes: Sorted presentation times of its keyframes (pictures only).
        lost: Where its pictures are lost without an error, up to the next keyframe.
        ahead: How decoded pictures are timed whose presentation times are made up; None
            where they are not.
    """

    start: float
    end: float
    packets: int
    times: NDArray[np.float64]
    keyframes: NDArray[np.float64]
    lost: tuple[Interval, ...] = ()
    ahead: Ahead | None = None

    @property
    def interval(self) -> Interval:
        """The stretch of media time that the stream fills."""
        return (self.start, self.end)

    @property
    def spacing(self) -> float:
        """Mean seconds between packets; 0.04 where there is but one."""
        return (self.end - self.start) / self.packets if self.end > self.start else 0.04

    def shown_at(self, time: float) -> float:
        """Return when the picture that is on screen at a time was put there."""
        index = int(np.searchsorted(self.times, time + 1e-6, side="right")) - 1
        return float(self.times[max(index, 0)])

    def shown_until(self, time: float) -> float:
        """Return when the picture that is on screen at a time gives way to the next.

        Where the next one is lost, that is when it would have.
        """
        index = int(np.searchsorted(self.times, time + 1e-6, side="right"))
        until = float(self.times[index]) if index < len(self.times) else max(self.end, time)
        return min(self.lost_from(time), until)

    def lost_from(self, time: float) -> float:
        """Return when the first stretch of lost pictures begins behind a time; inf for none."""
        at = bisect_right(self.lost, (time, np.inf)) if self.lost else 0
        return self.lost[at][0] if at < len(self.lost) else np.inf

    def lost_at(self, time: float) -> Interval | None:
        """Return the stretch of lost pictures in which a time lies, if it lies in one."""
        if not self.lost:
            return None
        at = bisect_right(self.lost, (time + 1e-6, np.inf)) - 1
        return self.lost[at] if at >= 0 and time < self.lost[at][1] - 1e-6 else None


class Tally:
    """Counts the packets of one stream, in seconds on the container's own clock.

    The first frame that decodes is kept, and nothing behind it is decoded.

    Args:
        used: The selected stream, if there is one.
        lost: The stream that cannot be decoded, if there is none to select.
        demuxer: FFmpeg's name of what reads the file.
    """

    def __init__(self, used: Stream | None, lost: Lost | None, *, demuxer: str | None) -> None:
        self.stream = stream = lost.stream if lost is not None else used
        self._decoder: Any = used.codec_context if used is not None else None
        self._first: Any = None
        self._begun: Any = None  # the first packet that decodes, of a keyframe if there is one
        self._fed = self._failed = 0  # packets behind it until a frame came; that do not decode
        self._holds_one = False  # the decoder holds back one picture
        self._lag = 0.0  # by which made-up presentation times of keyframes are late
        self._reason = lost.reason if lost is not None else ""
        # What the closed container's stream says is not asked later.
        self._name = "" if stream is None else name_of(stream)
        self._states_packets = stream is not None and stream.frames > 0
        self.packets = 0
        self.start = 0.0
        self._true = stream is None or has_true_times(stream, demuxer)
        self._visual = stream is not None and stream.type == "video"
        self._late = used is not None and used.codec_context.name in LATE_ORDER
        self._base = float(stream.time_base or 0) if stream is not None else 0.0
        self._last = self._end = float("-inf")
        self._next = 0.0
        self._times = array("d")
        self._keys = array("d")
        self._place = self._read = 0  # of the packet before, in bytes
        self.suspects: list[Suspect] = []

    def add(self, packet: Packet[Any], read: int) -> None:
        """Count one packet of the stream.

        Args:
            packet: The packet.
            read: Bytes of all packets before it, with what the container spent on them.
        """
        if self._first is None and self._decoder is not None:
            self._decode(packet)
        if packet.is_discard:  # cut away by an edit list; decoders drop it
            return
        stamp, other = packet.pts, packet.dts
        if stamp is None or not (self._true or other is None):
            stamp = other
        time = self._next if stamp is None else stamp * self._base
        if self.packets == 0 and packet.pts is not None:
            self._lag = packet.pts * self._base - time
        self._next = time + (packet.duration or 0) * self._base
        self.start = time if self.packets == 0 else min(self.start, time)
        if self._visual:
            place = packet.pos or 0
            unread = place - self._place - (read - self._read)
            jumps = unread > LEAST_BYTES and time > self._last + LEAST_SECONDS
            if jumps and self.packets and len(self.suspects) < _MOST_SUSPECTS:
                self.suspects.append(Suspect(self._last, self._place, place))
            self._place, self._read = place, read
        self._last = max(self._last, time)
        self._end = max(self._end, self._next)
        self.packets += 1
        if self._visual:
            self._times.append(time)
            if packet.is_keyframe:
                made_up = None if self._true else packet.pts
                self._keys.append(time if made_up is None else made_up * self._base - self._lag)

    def end_of(self, packet: Packet[Any]) -> float:
        """Return when a packet with a presentation time ends."""
        return (packet.pts or 0) * self._base + (packet.duration or 0) * self._base

    def fill(
        self,
        *,
        packets: int,
        first: int,
        last: int,
        end: float,
        shown: Iterable[NDArray[np.int64]],
        keys: Iterable[NDArray[np.int64]],
    ) -> None:
        """Take over what an index says of all packets, those already added included.

        An index that is believed names every packet, so that none can have vanished.

        Args:
            packets: How many there are, without those that an edit list cuts away.
            first: The earliest presentation time, in ticks of the stream.
            last: The latest one.
            end: When the last packet ends, in seconds.
            shown: The presentation times of pictures, in parts.
            keys: Those of keyframes.
        """
        self.packets = packets
        self.start, self._last, self._end = first * self._base, last * self._base, end
        self._times, self._keys = array("d"), array("d")
        self.suspects = []
        for times, parts in ((self._times, shown), (self._keys, keys)):
            for part in parts:
                times.frombytes((part * self._base).tobytes())

    @property
    def has_frame(self) -> bool:
        """Whether a frame of the stream has decoded."""
        return self._first is not None

    @property
    def is_lost(self) -> bool:
        """Whether the stream cannot be decoded."""
        return self._decoder is None

    def finish(self) -> Any:
        """Return the first frame that decodes, once all packets were added; or None."""
        if self._first is None and self._decoder is not None and self.packets:
            self._decode(None)
        return self._first

    def _decode(self, packet: Packet[Any] | None) -> None:
        self._fed += self._begun is not None
        try:
            self._first = next(iter(self._decoder.decode(packet)), None)
        except READ_ERRORS:
            self._failed += self._begun is not None
            return
        self._holds_one = self._visual and self._decoder.has_b_frames
        begun = self._begun
        if packet is not None and (begun is None or packet.is_keyframe > begun.is_keyframe):
            self._begun, self._fed, self._failed = packet, 0, 0

    @property
    def _ahead(self) -> Ahead | None:
        """How pictures are timed by their decoding stamps, where these are true."""
        if self._true:
            return None
        begun = self._begun
        if begun is None or begun.dts is None or self._first.dts is None:
            return Ahead(0.0, self._lag)
        waited = (self._first.dts - begun.dts) * self._base
        each = waited / self._fed if self._fed else self.seconds / self.packets
        held = self._fed - self._failed if self._late else self._holds_one
        return Ahead(each * held, self._lag)

    @property
    def seconds(self) -> float:
        """How much media time the packets so far fill."""
        return max(self._end - self.start, 0.0) if self.packets else 0.0

    def loss(self, *, encrypted: int) -> str | None:
        """Return why nothing of the stream decodes; None if there is nothing in it to lose.

        Args:
            encrypted: Packets of the file that were left out, of whichever stream.
        """
        if not (self.packets or self._states_packets or encrypted):
            return None  # some cameras declare a track that they never fill
        return self._reason or (self._name and f"nothing of {self._name} decodes") or None

    def span(self, origin: float, lost: Sequence[tuple[Suspect, int]] = ()) -> StreamSpan:
        """Return what was measured, in media time that starts at an origin in seconds.

        Args:
            origin: Start of media time on the container's own clock.
            lost: The suspects that are confirmed.
        """
        end = self._end
        if self._end == self._last and self.packets > 1:  # the last packet states no duration
            end += (self._end - self.start) / (self.packets - 1)
        times, keys = np.sort(np.asarray(self._times)), np.sort(np.asarray(self._keys))
        holes = lost_pictures(lost, times, keys, end)
        return StreamSpan(
            start=self.start - origin,
            end=end - origin,
            packets=self.packets,
            times=times - origin,
            keyframes=keys - origin,
            lost=tuple((since - origin, until - origin) for since, until in holes),
            ahead=self._ahead,
        )
