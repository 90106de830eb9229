"""Media as bytes that a service takes: a video copied without its metadata, sound encoded.

A copy holds the packets of the selected streams and nothing else: no title, no place, no
maker of the camera, no further stream, no attachment.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
from av.audio.frame import AudioFrame

from mmcrime.errors import UnsafeMediaError, UnsupportedMediaError
from mmcrime.evidence import SAMPLE_RATE, AudioWindow
from mmcrime.media.streams import READ_ERRORS, reason_of

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

    from mmcrime.media.timeline import Recording

__all__ = ["encode_sound", "video_copy"]

_MP3_BITS = 48_000  # a second: speech and bangs survive it, and an hour is 22 MB
_MOST_WAITING = 64  # packets; no coding delays pictures by more than 16


def video_copy(recording: Recording, *, most_bytes: int | None = None) -> bytes:
    """Return pictures and sound as MP4, not encoded anew and without metadata.

    Times in the copy are media times. The copy is held in memory, and given up as soon as it
    is known to be too large.

    Args:
        recording: The video.
        most_bytes: Size at which the copy is given up; None for no such bound.

    Raises:
        UnsafeMediaError: If the copy would be larger than ``most_bytes``.
        UnsupportedMediaError: If MP4 cannot hold what the video holds.
    """
    target = io.BytesIO()
    most = math.inf if most_bytes is None else most_bytes
    copied = 0
    try:
        with recording.open() as source, av.open(target, "w", format="mp4") as out:
            streams = [stream for stream in (source.video, source.audio) if stream is not None]
            origin = recording.timeline.origin
            lanes = {
                s.index: _Lane(s, out.add_stream_from_template(s, opaque=True), origin)
                for s in streams
            }
            for packet in source.packets(*streams):
                copied += packet.size
                if copied > most:
                    break
                out.mux(lanes[packet.stream_index].ready(packet))
            else:
                for lane in lanes.values():
                    out.mux(lane.rest())
    except (*READ_ERRORS, ValueError, OverflowError) as error:
        raise UnsupportedMediaError(
            f"its streams cannot be copied into an MP4 file ({reason_of(error)}).",
            source=recording.source,
            next_step="Send pictures of it instead.",
        ) from error
    data = target.getvalue()
    if copied > most or len(data) > most:
        raise UnsafeMediaError(
            f"a copy of it is larger than {most_bytes} bytes.",
            source=recording.source,
            next_step="Send pictures of it instead.",
        )
    return data


class _Lane:
    """The way of one stream's packets into the copy: their times begin at media time 0.

    Matroska states only when a picture is shown. FFmpeg works out when it is decoded, but
    not for the first few packets, the keyframe among them: these wait until a later one
    says it.

    Args:
        source: Where the packets come from.
        target: Where they go.
        origin: Media time 0 on the clock of the source, in seconds.
    """

    def __init__(self, source: Stream, target: Stream, origin: float) -> None:
        base = source.time_base
        self._shift = round(origin / base) if base else 0
        self._target = target
        self._waiting: list[Packet[Any]] = []

    def ready(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """Return what can be written once this packet is there.

        Raises:
            ValueError: If the packets have no times.
        """
        packet.stream = self._target
        if packet.pts is None:
            packet.pts = packet.dts
        if packet.pts is None or len(self._waiting) > _MOST_WAITING:
            raise ValueError("its packets have no times")
        packet.pts -= self._shift
        if packet.dts is None:
            self._waiting.append(packet)
            return []
        packet.dts -= self._shift
        return [*self._before(packet.dts), packet]

    def rest(self) -> list[Packet[Any]]:
        """Return what still waits at the end of the stream."""
        shown = [packet.pts for packet in self._waiting if packet.pts is not None]
        return self._before(min(shown) + 1) if shown else []

    def _before(self, until: int) -> list[Packet[Any]]:
        """Return what waits, decoded one after the other just before some time."""
        waiting, self._waiting = self._waiting, []
        for packet in reversed(waiting):
            until -= packet.duration or 1
            packet.dts = until
        return waiting


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
