"""Which streams of an opened container are used: usable, within the limits, decodable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import av.error

from mmcrime.config import Limits
from mmcrime.errors import CorruptMediaError, UnsafeMediaError, UnsupportedMediaError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["READ_ERRORS", "Selected", "decoder_pixels", "reason_of", "select"]

READ_ERRORS = (av.error.FFmpegError, OSError)
"""What PyAV raises for content that cannot be read or decoded (OSError: the file itself)."""

_NO_DECODER = "no decoder for its format"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selected:
    """The streams that are used, with open decoders.

    Attributes:
        video: The picture stream.
        audio: The sound stream.
        skipped: Why other streams were not selected, in words.
    """

    video: VideoStream | None
    audio: AudioStream | None
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
        frame_threads: Decode two pictures at a time.

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
    video: VideoStream | None = None
    audio: AudioStream | None = None
    skipped: list[str] = []
    for candidate in sorted(streams.video, key=_by_default):
        reason = _open_video(candidate, limits, source, frame_threads=frame_threads)
        if reason is None:
            video = candidate
            break
        skipped.append(f"video stream {candidate.index}: {reason}")
    for sound in sorted(streams.audio, key=_by_default):
        reason = _open_audio(sound)
        if reason is None:
            audio = sound
            break
        skipped.append(f"audio stream {sound.index}: {reason}")
    if video is None and audio is None:
        raise _nothing_usable(skipped, source)
    return Selected(video=video, audio=audio, skipped=tuple(skipped))


def _nothing_usable(skipped: list[str], source: str) -> Exception:
    if not skipped:
        return CorruptMediaError("it holds no pictures and no sound.", source=source)
    message = f"no stream of it can be decoded ({'; '.join(skipped)})."
    if any(reason.endswith(_NO_DECODER) for reason in skipped):
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
    return 2 * limits.max_pixels


def _open_video(
    stream: VideoStream, limits: Limits, source: str, *, frame_threads: bool
) -> str | None:
    """Open a picture decoder; return why it cannot be used, or None."""
    if stream.disposition & av.stream.Disposition.attached_pic:
        return "a cover picture"
    context: Any = stream.codec_context  # None without a decoder, which the type stub denies
    if context is None:
        return _NO_DECODER
    if context.width * context.height > limits.max_pixels:
        raise UnsafeMediaError(
            f"its pictures have {context.width} x {context.height} pixels; "
            f"the limit is {limits.max_pixels} pixels.",
            source=source,
            next_step="Raise media.limits.max_pixels if you trust this file.",
        )
    # Later pictures may be larger than the header says: the decoder checks each one.
    context.options = {"max_pixels": str(decoder_pixels(limits))}
    # More threads would cost memory for little: inputs are decoded side by side already.
    context.thread_count = 2
    context.thread_type = "FRAME" if frame_threads else "SLICE"
    return _open_decoder(context)


def _open_audio(stream: AudioStream) -> str | None:
    """Open a sound decoder; return why it cannot be used, or None."""
    context: Any = stream.codec_context
    if context is None:
        return _NO_DECODER
    return _open_decoder(context)


def _open_decoder(context: Any) -> str | None:
    try:
        context.open(strict=False)
    except (*READ_ERRORS, ValueError) as error:
        return f"its decoder refuses it ({reason_of(error)})"
    return None
