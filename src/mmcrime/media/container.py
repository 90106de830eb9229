"""Opening hostile containers: pinned demuxer, no other file, limits, one clock.

PyAV gets a nameless file object and the demuxer that the content asked for. The demuxer
may open nothing else: no protocol is allowed, data references of QuickTime files are
off, and the callback that FFmpeg calls to open another resource refuses everything.

Media time is ``t = pts * time_base - origin``, the origin being the start of the earliest
selected stream. It is measured once per file by a packet scan and used by every later
opening, so that all readers of one file share one clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NoReturn, TypeAlias, TypeVar

import av
import av.error
from av.stream import Discard

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, UnsafeMediaError, UnsupportedMediaError
from mmcrime.evidence import Interval
from mmcrime.media.streams import READ_ERRORS, Ahead, Lost, decoder_pixels, reason_of, select

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from mmcrime.media.sniff import Sniffed

__all__ = ["Container", "FrameClock", "Step", "open_container"]

_CONTAINER_OPTIONS = {
    "protocol_whitelist": "",  # nothing may be opened through any protocol, not even file:
    "probesize": str(5_000_000),  # FFmpeg's default; stated because an upload must not raise it
    "analyzeduration": str(5_000_000),  # microseconds; as above
}
_DEMUXER_OPTIONS = {"mov": {"enable_drefs": "0", "use_absolute_path": "0"}}
_MOST_READ_ERRORS = 16  # a demuxer that fails this often without one packet is given up

_ROUNDING = 0.01  # ticks; far more than a day of them is rounded by
_FARTHEST = 16  # pictures by which a made-up time may be wrong: as many as a decoder may hold
_JOINED_DAMAGE = 0.5  # seconds between bad packets that count as one stretch: few entries a day

FrameT = TypeVar("FrameT", "VideoFrame", "AudioFrame")

Step: TypeAlias = Literal["decode", "skip", "pass", "stop"]
"""What is done with a packet: it is decoded; decoded if other pictures need it; left out; or
left out with all that follows."""


class _Nameless:
    """A file object without a name, so that no demuxer can derive a sibling's name."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _refuse(url: str, flags: int, options: dict[str, Any]) -> NoReturn:  # noqa: ARG001 - PyAV calls it
    raise PermissionError("a container may not open anything else")


class FrameClock:
    """Gives every frame of one decoding run its media time.

    Frames without a presentation time get their decoding time, and without that the
    previous time plus one frame.

    Args:
        stream: The stream that is decoded.
        origin: Start of media time, in seconds on the container's own clock.
        spacing: Seconds between frames, for frames without any time stamp.
        ahead: For streams whose presentation times are made up: how far the stamps of their
            frames lie behind. There frames are timed by their decoding times.
    """

    def __init__(
        self, stream: Stream, *, origin: float, spacing: float, ahead: Ahead | None = None
    ) -> None:
        base = stream.time_base  # that of each of its frames too, in PyAV's decoding
        self._ticks, self._per = (base.numerator, base.denominator) if base else (0, 1)
        self._origin = origin
        self._spacing = spacing
        self._next = 0.0
        self._ahead = ahead
        self._begun = False

    def time(self, frame: VideoFrame | AudioFrame) -> float:
        """Return the media time of a frame, in seconds."""
        stamp = frame.pts if frame.pts is not None else frame.dts
        time = self._next
        if self._ahead is not None:
            time = self._by_decoding(frame, self._ahead)
        elif stamp is not None and self._ticks:
            time = self._seconds(stamp)
        self._begun = True
        self._next = time + self._spacing
        return time

    def _seconds(self, stamp: int) -> float:
        # As float(stamp * base), without making a fraction of every stamp.
        return stamp * self._ticks / self._per - self._origin

    def _by_decoding(self, frame: VideoFrame | AudioFrame, ahead: Ahead) -> float:
        if frame.dts is not None:
            return self._seconds(frame.dts) - ahead.decoding
        if frame.pts is None:
            return self._next
        # One that the decoder gave out because nothing followed: the next, or a keyframe alone.
        made_up = self._seconds(frame.pts) - ahead.presentation
        near = abs(made_up - self._next) <= _FARTHEST * self._spacing
        return self._next if self._begun and near else made_up


@dataclass(kw_only=True, eq=False)
class Container:
    """One opened container; belongs to one thread.

    Attributes:
        raw: PyAV's container.
        video: The selected picture stream; its decoder is open.
        audio: The selected sound stream; its decoder is open.
        lost_video: The picture stream that would have been used, where none can be.
        lost_audio: The sound stream that would have been used, where none can be.
        skipped: Which streams are not used, and why, in words.
        damaged: Where packets could not be decoded so far, in seconds on the
            container's own clock. With ``frame_threads`` a decoder reports an error up
            to two pictures late.
        failed_at: Time of the latest packet that could not be decoded; None for none.
        encrypted: Packets that were left out because they are encrypted.
    """

    raw: InputContainer
    video: VideoStream | None
    audio: AudioStream | None
    lost_video: Lost | None
    lost_audio: Lost | None
    skipped: tuple[str, ...]
    damaged: list[Interval] = field(default_factory=list)
    failed_at: float | None = None
    encrypted: int = 0

    def packets(self, *streams: Stream) -> Iterator[Packet[Any]]:
        """Yield the readable, unencrypted packets of some streams up to the end of the file.

        Errors in the middle are read past; the end-of-file packets with which PyAV asks
        for a flush are left out.
        """
        failures = 0
        demuxer = self.raw.demux(*streams)
        while failures < _MOST_READ_ERRORS:
            try:
                packet = next(demuxer, None)
            except READ_ERRORS:
                failures += 1
                demuxer = self.raw.demux(*streams)  # a generator that raised is finished
                continue
            if packet is None:
                return
            if packet.size == 0:
                continue
            failures = 0
            side = list(packet.iter_sidedata())  # asking for one kind costs four times as much
            if side and any(one.data_type == "encryption_info" for one in side):
                self.encrypted += 1
            else:
                yield packet

    def video_frames(
        self, plan: Callable[[Packet[Any]], Step] | None = None
    ) -> Iterator[VideoFrame]:
        """Decode the selected picture stream from where the container stands.

        Args:
            plan: Is asked about each packet; None decodes all. What the decoder holds when
                the plan says stop is still given; then the container must be sought.
        """
        if self.video is None:
            return iter(())
        if plan is None:
            return self._decoded(self.packets(self.video), self.video.decode)
        return self._planned(self.video, plan)

    def _planned(
        self, stream: VideoStream, plan: Callable[[Packet[Any]], Step]
    ) -> Iterator[VideoFrame]:
        context = stream.codec_context

        def until_stop() -> Iterator[Packet[Any]]:
            for packet in self.packets(stream):
                step = plan(packet)
                if step == "stop":
                    return
                if step != "pass":
                    context.skip_frame = "NONREF" if step == "skip" else "DEFAULT"
                    yield packet

        try:
            yield from self._decoded(until_stop(), stream.decode)
        finally:
            context.skip_frame = "DEFAULT"

    def audio_frames(self) -> Iterator[AudioFrame]:
        """Decode the selected sound stream from where the container stands."""
        if self.audio is None:
            return iter(())
        # The type stub of PyAV does not know that a packet of None flushes a sound decoder.
        return self._decoded(self.packets(self.audio), self.audio.codec_context.decode)

    def _decoded(
        self, packets: Iterator[Packet[Any]], decode: Callable[[Packet[Any] | None], list[FrameT]]
    ) -> Iterator[FrameT]:
        """Decode what can be decoded; where it cannot is noted in `damaged`."""
        for packet in packets:
            try:
                frames = decode(packet)
            except READ_ERRORS:
                self._note_damage(packet)
                continue
            yield from frames
        with suppress(*READ_ERRORS):  # what the decoder still held is lost with its error
            yield from decode(None)

    def _note_damage(self, packet: Packet[Any]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.time_base is None:
            return
        start = float(stamp * packet.time_base)
        end = start + float((packet.duration or 0) * packet.time_base)
        self.failed_at = start
        self.spoil(start, end)

    def spoil(self, start: float, end: float) -> None:
        """Note damage between two times, in seconds on the container's own clock."""
        if self.damaged and abs(start - self.damaged[-1][1]) <= _JOINED_DAMAGE:
            first, last = self.damaged[-1]
            self.damaged[-1] = (min(first, start), max(last, end))
        else:
            self.damaged.append((start, end))

    def read_only(self, stream: Stream) -> None:
        """Let the demuxer pass over all other streams; where it can, it does not read them."""
        for other in self.raw.streams:
            if other.index != stream.index:
                other.discard = Discard.all

    def seek(self, seconds: float, stream: Stream) -> None:
        """Go to the last keyframe at or before a time on the container's own clock.

        Raises:
            FFmpegError: If the container cannot seek there.
        """
        base = stream.time_base
        if base is None:
            raise av.error.InvalidDataError(0, "the stream has no time base")
        # A time that is a tick but for rounding is that tick, not the one before.
        self.raw.seek(math.floor(seconds / base + _ROUNDING), stream=stream, backward=True)


@contextmanager
def open_container(
    file: BinaryIO,
    sniffed: Sniffed,
    *,
    limits: Limits,
    source: str,
    frame_threads: bool = False,
    by_header: bool = False,
) -> Iterator[Container]:
    """Open a container for reading and select its streams (see `select`).

    Args:
        file: Positioned at its beginning; not closed here.
        sniffed: What the content is; names the demuxer.
        limits: What the input may cost.
        source: The name of the input, for messages.
        frame_threads: Decode two pictures at a time: for long runs without a seek.
        by_header: Believe what the header says of the pictures. Else FFmpeg decodes the first
            ones to see, which costs as much as a keyframe or seven pictures.

    Raises:
        UnsupportedMediaError: It is a picture, or as `select`.
        CorruptMediaError: It cannot be opened, or as `select`.
        UnsafeMediaError: As `select`.
    """
    raw = _open_raw(file, sniffed, limits=limits, source=source, by_header=by_header)
    try:
        used = select(raw, limits=limits, source=source, frame_threads=frame_threads)
        yield Container(
            raw=raw,
            video=used.video,
            audio=used.audio,
            lost_video=used.lost_video,
            lost_audio=used.lost_audio,
            skipped=used.skipped,
        )
    finally:
        raw.close()


def _open_raw(
    file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str, by_header: bool
) -> InputContainer:
    if sniffed.demuxer is None:
        raise UnsupportedMediaError(f"{sniffed.format} is not a container.", source=source)
    # They reach the decoders that FFmpeg opens while it probes, not those of the streams.
    probing = {"max_pixels": str(decoder_pixels(limits)), "threads": "1"}
    reading = _CONTAINER_OPTIONS | _DEMUXER_OPTIONS.get(sniffed.demuxer, {})
    if by_header:
        probing["skip_frame"] = "all"
        reading["probesize"] = "32"  # bytes, FFmpeg's least: one packet
    try:
        return av.open(
            _Nameless(file),
            mode="r",
            format=sniffed.demuxer,
            options=probing,
            container_options=reading,
            metadata_errors="replace",  # tags in odd encodings must not fail the file
            io_open=_refuse,
        )
    except (*READ_ERRORS, ValueError, MemoryError) as error:  # ValueError: impossible headers
        if isinstance(error, MemoryError):
            raise UnsafeMediaError(
                f"the {sniffed.format} container does not fit into memory.", source=source
            ) from error
        raise CorruptMediaError(
            f"the {sniffed.format} container cannot be opened ({reason_of(error)}).",
            source=source,
            next_step="Check that the file was copied completely.",
        ) from error
