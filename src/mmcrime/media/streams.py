"""Which streams of an opened container are used: usable, within the limits, decodable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import av
import av.error

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, UnsafeMediaError, UnsupportedMediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = [
    "LATE_ORDER",
    "READ_ERRORS",
    "Ahead",
    "Lost",
    "Selected",
    "decoder_pixels",
    "has_layers",
    "has_true_times",
    "is_audible",
    "name_of",
    "reason_of",
    "select",
    "video_pixels",
]

READ_ERRORS = (av.error.FFmpegError, OSError)
"""What PyAV raises for content that cannot be read or decoded (OSError: the file itself)."""

_RATES = (1_000, 768_000)  # samples a second; 8,000 is a telephone, 768,000 the fastest recorder
_FEWEST_THREADED_PIXELS = 864 * 486  # smaller ones decode in less than a thread takes to wake
_MOST_THREADED_PIXELS = 4096 * 2304  # each further thread holds a picture or two
_NO_DECODER = "no decoder for"

LATE_ORDER = frozenset(("h264", "hevc"))
"""Formats whose decoders may hold back more than one picture, and report what is damaged."""
_REORDERED = LATE_ORDER | {"mpeg4", "mpeg1video", "mpeg2video"}  # they have B-frames
_HEVC_VPS = re.compile(rb"\x40\x01(..)\xff\xff", re.DOTALL)
"""A video parameter set of HEVC: its header, the two bytes that state the layers, and the
16 bits that are always set behind them (ITU-T H.265, 7.3.2.1)."""

StreamT = TypeVar("StreamT", "VideoStream", "AudioStream")


class Ahead(NamedTuple):
    """By how much the stamps of decoded pictures lie behind the times at which they are shown.

    A decoder gives out a picture with the decoding stamp of the packet that it had to wait
    for: always the same number of packets, from whichever keyframe it began.

    Attributes:
        decoding: Seconds, of decoding stamps.
        presentation: Seconds, of presentation stamps. Those of keyframes are made up alike,
            those of others are not to be believed.
    """

    decoding: float
    presentation: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lost:
    """A stream that should have been examined and cannot be.

    Attributes:
        stream: It can be demultiplexed, not decoded.
        reason: Why, naming the stream.
    """

    stream: Stream
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selected:
    """The streams that are used, with open decoders.

    Attributes:
        video: The picture stream.
        audio: The sound stream.
        lost_video: The picture stream that would have been used, where none can be.
        lost_audio: The sound stream that would have been used, where none can be.
        skipped: Which streams of pictures or sound are not used, and why, in words.
            Cover pictures are not among them.
    """

    video: VideoStream | None
    audio: AudioStream | None
    lost_video: Lost | None
    lost_audio: Lost | None
    skipped: tuple[str, ...]


def reason_of(error: BaseException) -> str:
    """Return why FFmpeg failed, in one short line and without a file name."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:200]


def select(raw: InputContainer, *, limits: Limits, source: str, frame_threads: bool) -> Selected:
    """Open the first decodable picture and sound stream, the container's default first.

    Args:
        raw: An opened container.
        limits: What the input may cost.
        source: The name of the input, for messages.
        frame_threads: Decode two pictures at a time, if they are neither tiny nor huge.

    Raises:
        UnsafeMediaError: More streams or pixels than the limits allow.
        UnsupportedMediaError: A stream's format has no decoder, and no other is usable.
        CorruptMediaError: It holds no pictures and no sound, or no decoder takes them.
    """
    streams = raw.streams
    if len(streams) > limits.max_streams:
        raise UnsafeMediaError(
            f"it has {len(streams)} streams; the limit is {limits.max_streams}.",
            source=source,
            next_step="Raise media.limits.max_streams if you trust this file.",
        )
    footage = [stream for stream in streams.video if not _is_cover(stream)]
    video, lost_video, unseen = _first_that_opens(
        footage, lambda s: _open_video(s, limits, source, frame_threads=frame_threads)
    )
    audio, lost_audio, unheard = _first_that_opens(streams.audio, _open_audio)
    skipped = (*unseen, *unheard)
    if video is None and audio is None:
        raise _nothing_usable(skipped, source)
    return Selected(
        video=video, audio=audio, lost_video=lost_video, lost_audio=lost_audio, skipped=skipped
    )


def _first_that_opens(
    candidates: Iterable[StreamT], open_decoder: Callable[[StreamT], str | None]
) -> tuple[StreamT | None, Lost | None, tuple[str, ...]]:
    """Return the stream to use, or else the one that is lost; and why others are not used."""
    used: StreamT | None = None
    lost: Lost | None = None
    skipped: list[str] = []
    for stream in sorted(candidates, key=_by_default):
        if used is not None:
            skipped.append(f"{name_of(stream)} is not used, because {name_of(used)} is")
            continue
        reason = open_decoder(stream)
        if reason is None:
            used = stream
            continue
        skipped.append(reason)
        lost = lost or Lost(stream=stream, reason=reason)
    return used, lost if used is None else None, tuple(skipped)


def name_of(stream: Stream) -> str:
    """Return what a stream is called in messages."""
    return f"{stream.type} stream {stream.index}"


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _nothing_usable(skipped: tuple[str, ...], source: str) -> Exception:
    if not skipped:
        return CorruptMediaError("it holds no pictures and no sound.", source=source)
    message = f"no stream of it can be decoded ({'; '.join(skipped)})."
    if any(reason.startswith(_NO_DECODER) for reason in skipped):
        return UnsupportedMediaError(
            message, source=source, next_step="Convert it to H.264 or AAC in MP4."
        )
    return CorruptMediaError(message, source=source)


def _by_default(stream: Stream) -> tuple[bool, int]:
    return (not stream.disposition & av.stream.Disposition.default, stream.index)


def decoder_pixels(limits: Limits) -> int:
    """Return the pixel limit for decoders, which count the padding of coded pictures too.

    A net against pictures that cost much more than allowed; whoever takes a decoded
    picture checks its exact size.
    """
    most = video_pixels(limits)
    return most + most // 4 + 65_536  # a small picture grows most by padding


def video_pixels(limits: Limits) -> int:
    """Return how many pixels a picture of a video may have."""
    return min(limits.max_pixels, limits.max_video_pixels)


def _open_video(
    stream: VideoStream, limits: Limits, source: str, *, frame_threads: bool
) -> str | None:
    """Open a picture decoder; return why it cannot be used, or None."""
    context: Any = stream.codec_context  # None without a decoder, which the type stub denies
    if context is None:
        return f"{_NO_DECODER} {name_of(stream)}"
    pixels = context.width * context.height
    if pixels > video_pixels(limits):
        raise UnsafeMediaError(
            f"its pictures have {context.width} x {context.height} pixels; "
            f"the limit is {video_pixels(limits)} pixels.",
            source=source,
            next_step="Raise media.limits.max_video_pixels if you trust this file.",
        )
    # Later pictures may be larger than the header says: the decoder checks each one.
    context.options = {"max_pixels": str(decoder_pixels(limits))}
    # More threads would cost memory for little: inputs are decoded side by side already.
    context.thread_count = 2
    threaded = frame_threads and _FEWEST_THREADED_PIXELS <= pixels <= _MOST_THREADED_PIXELS
    context.thread_type = "FRAME" if threaded else "SLICE"
    return _open_decoder(context, stream)


def _open_audio(stream: AudioStream) -> str | None:
    """Open a sound decoder; return why it cannot be used, or None."""
    context: Any = stream.codec_context
    if context is None:
        return f"{_NO_DECODER} {name_of(stream)}"
    if context.sample_rate and not is_audible(context.sample_rate):
        return f"{name_of(stream)} states {context.sample_rate} samples a second"
    return _open_decoder(context, stream)


def is_audible(rate: int) -> bool:
    """Whether sound has a sample rate that a microphone can have.

    At one sample a second a file of a few kilobytes would become gigabytes.
    """
    return _RATES[0] <= rate <= _RATES[1]


def _open_decoder(context: Any, stream: Stream) -> str | None:
    try:
        context.open(strict=False)
    except (*READ_ERRORS, ValueError) as error:
        return f"the decoder of {name_of(stream)} refuses it ({reason_of(error)})"
    return None


def has_layers(context: Any) -> bool:
    """Whether pictures that FFmpeg takes for unneeded may be needed after all.

    In HEVC with temporal layers "non-reference" only speaks of a picture's own layer.

    Args:
        context: A decoder of pictures.
    """
    if context.name != "hevc":
        return False
    stated = _HEVC_VPS.search(context.extradata or b"")
    return stated is None or bool(stated[1][1] >> 1 & 7)


def has_true_times(stream: Stream, demuxer: str | None) -> bool:
    """Whether a packet's presentation time is that of the frame in it.

    AVI has none. FFmpeg makes them up from the order of the packets, which is that of
    decoding, and from what its parsers take for B-frames. Those that are references (H.264)
    or that repeat a picture in six bytes (MPEG-4) come out at wrong times.

    Args:
        stream: Of pictures or sound.
        demuxer: FFmpeg's name of what reads the file.
    """
    context: Any = stream.codec_context  # None without a decoder, which the type stub denies
    made_up = demuxer == "avi" and stream.type == "video"
    return not (made_up and context is not None and context.name in _REORDERED)
