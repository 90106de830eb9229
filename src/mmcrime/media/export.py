"""Media as bytes that a service takes: a video copied without its metadata, sound encoded.

A copy holds the packets of the selected streams and nothing else: no title, no place, no
maker of the camera, no further stream, no attachment.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
from av.audio.frame import AudioFrame

from mmcrime.errors import UnsafeMediaError, UnsupportedMediaError
from mmcrime.evidence import SAMPLE_RATE, AudioWindow
from mmcrime.media.streams import READ_ERRORS

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

    from mmcrime.media.timeline import Recording

__all__ = ["encode_sound", "video_copy"]

_MP3_BITS = 48_000  # a second: speech and bangs survive it, and an hour is 22 MB


def video_copy(recording: Recording, *, most_bytes: int | None = None) -> bytes:
    """Return pictures and sound as MP4, not encoded anew and without metadata.

    Args:
        recording: The video.
        most_bytes: Size at which the copy is given up; None for no such bound.

    Raises:
        UnsafeMediaError: If the copy would be larger than ``most_bytes``.
        UnsupportedMediaError: If MP4 cannot hold what the video holds.
    """
    target = io.BytesIO()
    try:
        with recording.open() as source, av.open(target, "w", format="mp4") as out:
            streams = [stream for stream in (source.video, source.audio) if stream is not None]
            copies: dict[int, Any] = {s.index: out.add_stream_from_template(s) for s in streams}
            _copy(source.packets(*streams), copies, out)
            if most_bytes is not None and target.tell() > most_bytes:
                raise _too_large(recording, most_bytes)
    except (*READ_ERRORS, ValueError) as error:
        raise UnsupportedMediaError(
            f"its streams cannot be copied into an MP4 file ({type(error).__name__}).",
            source=recording.source,
            next_step="Send pictures of it instead.",
        ) from error
    data = target.getvalue()
    if most_bytes is not None and len(data) > most_bytes:
        raise _too_large(recording, most_bytes)
    return data


def _copy(packets: Iterable[Any], copies: dict[int, Stream], out: OutputContainer) -> None:
    for packet in packets:
        if packet.dts is None or packet.is_discard:
            continue
        packet.stream = copies[packet.stream.index]
        out.mux(packet)


def _too_large(recording: Recording, most_bytes: int) -> UnsafeMediaError:
    return UnsafeMediaError(
        f"a copy of it is larger than {most_bytes} bytes.",
        source=recording.source,
        next_step="Send pictures of it instead.",
    )


def encode_sound(windows: Iterable[AudioWindow], *, form: Literal["mp3", "wav"]) -> bytes:
    """Return mono sound at 16 kHz as a file; holes between windows become silence.

    Args:
        windows: The sound, in order; times from 0 on.
        form: ``mp3`` (48 kbit/s) or ``wav`` (16 bits a sample).
    """
    target = io.BytesIO()
    with av.open(target, "w", format=form) as out:
        codec = "libmp3lame" if form == "mp3" else "pcm_s16le"
        stream: Any = out.add_stream(codec, rate=SAMPLE_RATE)
        stream.layout = "mono"
        if form == "mp3":
            stream.bit_rate = _MP3_BITS
        written = 0
        for window in windows:
            for samples in _with_silence(window, written):
                frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                frame.sample_rate = SAMPLE_RATE
                frame.pts = written
                written += samples.shape[1]
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target.getvalue()


def _with_silence(window: AudioWindow, written: int) -> Iterable[Any]:
    """Yield a window as 16-bit samples, after the silence that leads up to it."""
    silent = round(window.start * SAMPLE_RATE) - written
    while silent > 0:
        part = min(silent, SAMPLE_RATE)
        yield np.zeros((1, part), np.int16)
        silent -= part
    scaled = np.clip(np.rint(window.samples * 32767), -32768, 32767).astype(np.int16)
    if len(scaled):
        yield scaled.reshape(1, -1)
