"""Opening hostile containers: pinned demuxer, no other file, limits, one clock.

PyAV gets a nameless file object and the demuxer that the content asked for. The demuxer
may open nothing else: no protocol is allowed, data references of QuickTime files are
off, and the callback that FFmpeg calls to open another resource refuses everything.

Media time is ``t = pts * time_base - origin``, the origin being the start of the earliest
selected stream. It is measured once per file by a packet scan and used by every later
opening, so that all readers of one file share one clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

import av
import av.error

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, UnsafeMediaError, UnsupportedMediaError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from mmcrime.media.sniff import Sniffed

__all__ = ["READ_ERRORS", "Container", "FrameClock", "open_container"]

READ_ERRORS = (av.error.FFmpegError, OSError)
"""What PyAV raises for content that cannot be read or decoded (OSError: the file itself)."""

_CONTAINER_OPTIONS = {
    "protocol_whitelist": "",  # nothing may be opened through any protocol, not even file:
    "probesize": str(5_000_000),  # FFmpeg's default; stated because an upload must not raise it
    "analyzeduration": str(5_000_000),  # microseconds; as above
}
_DEMUXER_OPTIONS = {"mov": {"enable_drefs": "0", "use_absolute_path": "0"}}
_MOST_READ_ERRORS = 16  # a demuxer that fails this often without one packet is given up

FrameT = TypeVar("FrameT", "VideoFrame", "AudioFrame")


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
    """

    def __init__(self, stream: Stream, *, origin: float, spacing: float) -> None:
        self._time_base = stream.time_base
        self._origin = origin
        self._spacing = spacing
        self._next = 0.0

    def time(self, frame: VideoFrame | AudioFrame) -> float:
        """Return the media time of a frame, in seconds."""
        base = frame.time_base or self._time_base
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None or base is None:
            time = self._next
        else:
            time = float(stamp * base) - self._origin
        self._next = time + self._spacing
        return time


@dataclass(kw_only=True, eq=False)
class Container:
    """One opened container; belongs to one thread.

    Attributes:
        raw: PyAV's container.
        source: The name of the input, for messages.
        limits: What the input may cost.
        video: The selected picture stream; its decoder is open.
        audio: The selected sound stream; its decoder is open.
        skipped: Why other streams were not selected, in words.
        damaged: Packets that could not be read or decoded so far.
        encrypted: Packets that were left out because they are encrypted.
    """

    raw: InputContainer
    source: str
    limits: Limits
    video: VideoStream | None = None
    audio: AudioStream | None = None
    skipped: tuple[str, ...] = ()
    damaged: int = 0
    encrypted: int = 0

    def packets(self, *streams: Stream) -> Iterator[Packet[Any]]:
        """Yield the readable, unencrypted packets of some streams up to the end of the file.

        Errors in the middle are counted and read past; the end-of-file packets with which
        PyAV asks for a flush are left out.
        """
        failures = 0
        demuxer = self.raw.demux(*streams)
        while failures < _MOST_READ_ERRORS:
            try:
                packet = next(demuxer, None)
            except READ_ERRORS:
                failures += 1
                self.damaged += 1
                demuxer = self.raw.demux(*streams)  # a generator that raised is finished
                continue
            if packet is None:
                return
            if packet.size == 0:
                continue
            failures = 0
            if packet.has_sidedata("encryption_info"):
                self.encrypted += 1
            else:
                yield packet

    def video_frames(self) -> Iterator[VideoFrame]:
        """Decode the selected picture stream from where the container stands."""
        if self.video is None:
            return iter(())
        return self._decoded(self.video, self.video.decode)

    def audio_frames(self) -> Iterator[AudioFrame]:
        """Decode the selected sound stream from where the container stands."""
        if self.audio is None:
            return iter(())
        # The type stub of PyAV does not know that a packet of None flushes a sound decoder.
        return self._decoded(self.audio, self.audio.codec_context.decode)

    def _decoded(
        self, stream: Stream, decode: Callable[[Packet[Any] | None], list[FrameT]]
    ) -> Iterator[FrameT]:
        """Decode what can be decoded; packets that cannot are counted in `damaged`."""
        for packet in self.packets(stream):
            try:
                frames = decode(packet)
            except READ_ERRORS:
                self.damaged += 1
                continue
            yield from frames
        try:
            yield from decode(None)
        except READ_ERRORS:
            self.damaged += 1

    def seek(self, seconds: float, stream: Stream) -> None:
        """Go to the last keyframe at or before a time on the container's own clock.

        Raises:
            FFmpegError: If the container cannot seek there.
        """
        base = stream.time_base
        if base is None:
            raise av.error.InvalidDataError(0, "the stream has no time base")
        self.raw.seek(int(seconds / base), stream=stream, backward=True)


@contextmanager
def open_container(
    file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str, frame_threads: bool = False
) -> Iterator[Container]:
    """Open a container for reading and select its streams.

    Args:
        file: Positioned at its beginning; not closed here.
        sniffed: What the content is; names the demuxer.
        limits: What the input may cost.
        source: The name of the input, for messages.
        frame_threads: Decode two pictures at a time: for long runs without a seek.

    Raises:
        UnsafeMediaError: More streams or pixels than the limits allow.
        UnsupportedMediaError: It is a picture, or no stream of it has a known decoder.
        CorruptMediaError: It cannot be opened, or holds no pictures and no sound.
    """
    raw = _open_raw(file, sniffed, limits=limits, source=source)
    try:
        container = Container(raw=raw, source=source, limits=limits)
        _select(container, frame_threads=frame_threads)
        yield container
    finally:
        raw.close()


def _open_raw(file: BinaryIO, sniffed: Sniffed, *, limits: Limits, source: str) -> InputContainer:
    if sniffed.demuxer is None:
        raise UnsupportedMediaError(f"{sniffed.format} is not a container.", source=source)
    try:
        return av.open(
            _Nameless(file),
            mode="r",
            format=sniffed.demuxer,
            # Stream options reach the decoders that FFmpeg opens while it probes.
            options={"max_pixels": str(limits.max_pixels), "threads": "1"},
            container_options=_CONTAINER_OPTIONS | _DEMUXER_OPTIONS.get(sniffed.demuxer, {}),
            metadata_errors="replace",  # tags in odd encodings must not fail the file
            io_open=_refuse,
        )
    except (*READ_ERRORS, ValueError) as error:  # ValueError: PyAV on impossible headers
        raise CorruptMediaError(
            f"the {sniffed.format} container cannot be opened ({_reason(error)}).",
            source=source,
            next_step="Check that the file was copied completely.",
        ) from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]


def _select(container: Container, *, frame_threads: bool) -> None:
    """Open the first decodable picture and sound stream, the container's default first."""
    streams = container.raw.streams
    if len(streams) > container.limits.max_streams:
        raise UnsafeMediaError(
            f"it has {len(streams)} streams; the limit is {container.limits.max_streams}.",
            source=container.source,
            next_step="Raise media.limits.max_streams if you trust this file.",
        )
    skipped: list[str] = []
    for candidate in sorted(streams.video, key=_by_default):
        reason = _open_video(candidate, container, frame_threads=frame_threads)
        if reason is None:
            container.video = candidate
            break
        skipped.append(f"video stream {candidate.index}: {reason}")
    for sound in sorted(streams.audio, key=_by_default):
        reason = _open_audio(sound)
        if reason is None:
            container.audio = sound
            break
        skipped.append(f"audio stream {sound.index}: {reason}")
    container.skipped = tuple(skipped)
    if container.video is None and container.audio is None:
        raise _nothing_usable(container)


def _nothing_usable(container: Container) -> Exception:
    if not container.skipped:
        return CorruptMediaError("it holds no pictures and no sound.", source=container.source)
    message = f"no stream of it can be decoded ({'; '.join(container.skipped)})."
    return UnsupportedMediaError(
        message, source=container.source, next_step="Convert it to H.264 or AAC in MP4."
    )


def _by_default(stream: Stream) -> tuple[bool, int]:
    return (not stream.disposition & av.stream.Disposition.default, stream.index)


def _open_video(stream: VideoStream, container: Container, *, frame_threads: bool) -> str | None:
    """Open a picture decoder; return why it cannot be used, or None."""
    if stream.disposition & av.stream.Disposition.attached_pic:
        return "a cover picture"
    context: Any = stream.codec_context  # None without a decoder, which the type stub denies
    if context is None:
        return "no decoder for its format"
    if context.width * context.height > container.limits.max_pixels:
        raise UnsafeMediaError(
            f"its pictures have {context.width} x {context.height} pixels; "
            f"the limit is {container.limits.max_pixels} pixels.",
            source=container.source,
            next_step="Raise media.limits.max_pixels if you trust this file.",
        )
    # Later pictures may be larger than the header says: the decoder checks each one.
    context.options = {"max_pixels": str(container.limits.max_pixels)}
    # More threads would cost memory for little: inputs are decoded side by side already.
    context.thread_count = 2
    context.thread_type = "FRAME" if frame_threads else "SLICE"
    return _open_decoder(context)


def _open_audio(stream: AudioStream) -> str | None:
    """Open a sound decoder; return why it cannot be used, or None."""
    context: Any = stream.codec_context
    if context is None:
        return "no decoder for its format"
    return _open_decoder(context)


def _open_decoder(context: Any) -> str | None:
    try:
        context.open(strict=False)
    except (*READ_ERRORS, ValueError) as error:
        return f"its decoder refuses it ({_reason(error)})"
    return None
