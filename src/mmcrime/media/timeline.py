"""What a packet scan measures: where streams start and end, and where keyframes lie.

Headers lie, so nothing here is taken from them. A scan reads every packet and decodes
only the first picture and the first sound: 60 minutes of 25 frames a second take about
0.6 s of CPU. Of a plain MP4 it reads the index and the first and last packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from mmcrime.config import Limits
from mmcrime.errors import (
    CorruptMediaError,
    MediaError,
    UnsafeMediaError,
    UnsupportedMediaError,
)
from mmcrime.media.boxes import Index, check_boxes
from mmcrime.media.container import Container, FrameClock, open_container
from mmcrime.media.holes import OVERHEAD, Suspect, confirmed
from mmcrime.media.index import IndexedStreams
from mmcrime.media.stated import mp3_states_length, wav_seconds
from mmcrime.media.tags import check_tags
from mmcrime.media.tally import StreamSpan, Tally

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.stream import Stream
    from av.video.frame import VideoFrame

    from mmcrime.media.sniff import Sniffed

__all__ = ["Recording", "StreamSpan", "Timeline", "measure"]

_MOST_PACKETS = 8_000_000  # 24 hours at 90 packets a second; 64 MiB of time stamps
_FREE_PACKETS = 200_000
_PACKETS_A_SECOND = 2_000  # ten times what any sensible file has; each costs 5 to 10 us
_LONGEST_PRIMING = 0.2  # seconds of encoder priming that a sound decoder drops at the start


class Spool(Protocol):
    """Where the bytes are: gives a fresh, independent handle each time."""

    def open(self) -> BinaryIO:
        """Return a new handle, positioned at the beginning."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Timeline:
    """The measured clock of one file.

    Attributes:
        origin: Media time 0 on the container's own clock, in seconds.
        video: The selected picture stream, if something of it decodes.
        audio: The selected sound stream, if something of it decodes.
        size: Upright width and height of the first picture.
        fps: Frames a second that the container states, if it does.
        tags: The container's tags.
        lost_video: Why there are no pictures although there is a stream of them.
        lost_audio: Why there is no sound although there is a stream of it.
        duration: Seconds from media time 0 to the end of the last stream, the streams
            that cannot be decoded included.
        skipped: What of the file is not used, and why, in words.
        claimed: Seconds that the headers state; they may lie. None where they say
            nothing or FFmpeg only estimates.
        by_header: Whether what the header says of the pictures is enough to decode them.
    """

    origin: float
    video: StreamSpan | None
    audio: StreamSpan | None
    size: tuple[int, int] | None
    fps: float | None
    tags: dict[str, str]
    lost_video: str | None
    lost_audio: str | None
    duration: float
    skipped: tuple[str, ...]
    claimed: float | None
    by_header: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recording:
    """A measured sound or video file that every reader opens for itself.

    Attributes:
        spool: Where the bytes are.
        sniffed: What the content is.
        limits: What the input may cost.
        source: The name of the input, for messages.
        timeline: Its measured clock.
    """

    spool: Spool
    sniffed: Sniffed
    limits: Limits
    source: str
    timeline: Timeline

    @contextmanager
    def open(self, *, frame_threads: bool = False) -> Iterator[Container]:
        """Open the file anew; see `open_container`."""
        with (
            self.spool.open() as file,
            open_container(
                file,
                self.sniffed,
                limits=self.limits,
                source=self.source,
                frame_threads=frame_threads,
                by_header=self.timeline.by_header,
            ) as container,
        ):
            yield container

    def clock(self, stream: Stream, span: StreamSpan) -> FrameClock:
        """Return the clock of one decoding run.

        Args:
            stream: The stream that is decoded.
            span: What was measured of it.
        """
        origin = self.timeline.origin
        return FrameClock(stream, origin=origin, spacing=span.spacing, ahead=span.ahead)

    @property
    def end(self) -> float:
        """Where decoding stops: the end of the media or the duration limit."""
        return min(self.timeline.duration, self.limits.max_duration)


def measure(spool: Spool, sniffed: Sniffed, *, limits: Limits, source: str) -> Timeline:
    """Scan all packets and decode the first picture and sound.

    Raises:
        MediaError: As `open_container`; CorruptMediaError also if nothing decodes, and
            UnsupportedMediaError if what does not decode is encrypted, UnsafeMediaError for
            an index, tags or packets that no honest file has.
    """
    index: Index | None = None
    with spool.open() as file:
        check_tags(file, source=source)
        if sniffed.demuxer == "mov":
            index = check_boxes(file, source=source)
    if index is not None and index.plain:
        # FFmpeg's own look is for all that does not fit, which may be fine.
        with suppress(MediaError):
            return _measured(spool, sniffed, limits=limits, source=source, index=index)
    return _measured(spool, sniffed, limits=limits, source=source, index=None)


def _measured(
    spool: Spool, sniffed: Sniffed, *, limits: Limits, source: str, index: Index | None
) -> Timeline:
    """Measure a file by what an index says of it, where there is one.

    Raises:
        MediaError: As `measure`; CorruptMediaError also if the index says too little.
    """
    by_header = index is not None
    with (
        spool.open() as file,
        open_container(file, sniffed, limits=limits, source=source, by_header=by_header) as c,
    ):
        # What the headers say is asked before FFmpeg adds what it finds on the way.
        rate = c.video.average_rate if c.video is not None else None
        if by_header and c.video is not None and not rate:
            raise CorruptMediaError("its index states no frame rate.", source=source)
        skipped, tags, claimed = list(c.skipped), dict(c.raw.metadata), _claimed(c)
        video = Tally(c.video, c.lost_video, demuxer=sniffed.demuxer)
        audio = Tally(c.audio, c.lost_audio, demuxer=sniffed.demuxer)
        if index is None:
            _count(c, (video, audio), source=source)
        else:
            with spool.open() as tables:
                _count_indexed(c, (video, audio), source=source, index=index, tables=tables)
        picture, sound_start = video.finish(), _start_of(audio.finish())
        encrypted = c.encrypted
    lost: list[tuple[Suspect, int]] = []
    if video.suspects:  # only packets of the streams that are not used can clear them
        with spool.open() as file, open_container(file, sniffed, limits=limits, source=source) as c:
            lost = confirmed(video.suspects, c.packets())
    if picture is None and sound_start is None:
        raise _nothing_decodes(source, video.packets + audio.packets, encrypted)
    if encrypted:
        skipped.append(f"{encrypted} packets are encrypted")
    starts = [] if picture is None else [video.start]
    if sound_start is not None:
        if 0 <= sound_start - audio.start <= _LONGEST_PRIMING:
            audio.start = sound_start
        starts.append(audio.start)
    origin = min(starts)
    lost_video = video.loss(encrypted=encrypted) if picture is None else None
    lost_audio = audio.loss(encrypted=encrypted) if sound_start is None else None
    skipped += (lost for lost in (lost_video, lost_audio) if lost and lost not in skipped)
    return Timeline(
        origin=origin,
        video=video.span(origin, lost) if picture is not None else None,
        audio=audio.span(origin) if sound_start is not None else None,
        size=_upright_size(picture) if picture is not None else None,
        fps=float(rate) if picture is not None and rate else None,
        tags=tags,
        lost_video=lost_video,
        lost_audio=lost_audio,
        duration=max(tally.span(origin).end for tally in (video, audio) if tally.packets),
        skipped=tuple(skipped),
        claimed=_stated(spool, sniffed.demuxer, claimed),
        by_header=by_header,
    )


def _count(container: Container, tallies: Sequence[Tally], *, source: str) -> None:
    """Count all packets of the streams that matter; more than media needs are refused."""
    by_stream = {tally.stream.index: tally for tally in tallies if tally.stream is not None}
    streams = [tally.stream for tally in by_stream.values() if tally.stream is not None]
    allowed, read = 0.0, 0
    for number, packet in enumerate(container.packets(*streams), start=1):
        by_stream[packet.stream_index].add(packet, read)
        read += packet.size + OVERHEAD
        if number > allowed:  # it grows with the time that the packets fill
            allowed = _allowed(tallies, source=source)


def _count_indexed(
    container: Container, tallies: Sequence[Tally], *, source: str, index: Index, tables: BinaryIO
) -> None:
    """Count all packets by an index; only the first and the last are read.

    Raises:
        CorruptMediaError: If the index is not to be believed.
        UnsafeMediaError: As `_count`.
    """
    by_stream = {tally.stream.index: tally for tally in tallies if tally.stream is not None}
    used = list(by_stream.values())
    indexed = None if any(t.is_lost for t in used) else IndexedStreams.of(tables, index, used)
    if indexed is not None:
        streams = [tally.stream for tally in used if tally.stream is not None]
        read = 0
        for packet in container.packets(*streams):
            by_stream[packet.stream_index].add(packet, read)
            read += packet.size + OVERHEAD
            if not indexed.agrees(packet):
                break
            if all(tally.has_frame for tally in used):
                if indexed.complete(container):
                    _allowed(tallies, source=source)
                    return
                break
    raise CorruptMediaError("its index does not fit its packets.", source=source)


def _allowed(tallies: Sequence[Tally], *, source: str) -> float:
    """Return how many packets may fill the time that the packets so far fill.

    Raises:
        UnsafeMediaError: If there are more already.
    """
    seconds = max(tally.seconds for tally in tallies)
    packets = sum(tally.packets for tally in tallies)
    allowed = min(_MOST_PACKETS, _FREE_PACKETS + _PACKETS_A_SECOND * seconds)
    if packets > allowed:
        raise UnsafeMediaError(
            f"it has over {packets - 1} packets in its first {seconds:.0f} s.",
            source=source,
            next_step="Convert it to H.264 or AAC in MP4, in parts of at most a day.",
        )
    return allowed


def _start_of(sound: AudioFrame | None) -> float | None:
    """Return the time of the first sound that decodes, on the container's own clock."""
    if sound is None:
        return None
    base = sound.time_base
    return float(sound.pts * base) if sound.pts is not None and base else 0.0


def _stated(spool: Spool, demuxer: str | None, claimed: float | None) -> float | None:
    """Return how long the headers say that the file is, where they say it themselves."""
    if demuxer not in ("wav", "mp3"):
        return claimed
    with spool.open() as file:
        if demuxer == "wav":
            return wav_seconds(file)
        return claimed if mp3_states_length(file) else None  # else estimated from the bit rate


def _claimed(container: Container) -> float | None:
    """Return how long the headers say that these streams are, in seconds."""
    lost = [one.stream for one in (container.lost_video, container.lost_audio) if one]
    used = [*lost, *(one for one in (container.video, container.audio) if one is not None)]
    stated = [float(s.duration * s.time_base) for s in used if s.duration and s.time_base]
    whole: int | None = container.raw.duration  # in microseconds; the stub denies that None exists
    if not stated and whole:
        stated = [whole / 1e6]
    return max(stated, default=None)


def _upright_size(frame: VideoFrame) -> tuple[int, int]:
    if round(frame.rotation / 90) % 2:
        return frame.height, frame.width
    return frame.width, frame.height


def _nothing_decodes(source: str, packets: int, encrypted: int) -> Exception:
    if encrypted:
        return UnsupportedMediaError(
            "it is encrypted.", source=source, next_step="Decrypt it first."
        )
    what = f"none of its {packets} packets decodes" if packets else "it holds no data"
    return CorruptMediaError(
        f"{what}.", source=source, next_step="Check that the file was copied completely."
    )
