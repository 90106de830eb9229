"""Makes small test clips: every picture carries its own number, sound is what you give.

The number is written as 16 black or white blocks along the top, so that it survives
compression, scaling and 10-bit formats, and tells exactly which picture was decoded.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from mmcrime.config import Limits
from mmcrime.media.sniff import sniff
from mmcrime.media.timeline import Recording, measure

BITS = 16
CLOCK = 48_000  # ticks a second of all generated pictures; MPEG-4 takes at most 65,535

Painter = Callable[[NDArray[np.uint8], int], None]


def numbered(number: int, size: tuple[int, int] = (160, 120)) -> NDArray[np.uint8]:
    """Return a soft grey RGB picture that carries a number."""
    width, height = size
    slope = np.linspace(60, 180, width, dtype=np.uint8)
    pixels = np.repeat(np.broadcast_to(slope, (height, width))[:, :, None], 3, axis=2).copy()
    strip, block = height // 6, width / BITS
    for bit in range(BITS):
        level = 235 if number >> bit & 1 else 16
        pixels[:strip, round(bit * block) : round((bit + 1) * block)] = level
    return pixels


def number_of(pixels: NDArray[np.uint8]) -> int:
    """Read the number of a decoded RGB or grey picture of any size."""
    height, width = pixels.shape[:2]
    row = pixels[height // 12].reshape(width, -1).mean(axis=1)
    return sum(int(row[int((bit + 0.5) * width / BITS)] > 128) << bit for bit in range(BITS))


def write_clip(
    target: Path | BinaryIO,
    *,
    times: Sequence[float] = (),
    size: tuple[int, int] = (160, 120),
    codec: str = "libx264",
    container: str = "mp4",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    paint: Painter | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_start: float = 0.0,
    sound_rate: int = 48_000,
    sound_codec: str = "aac",
) -> None:
    """Write a clip with a numbered picture at each of ``times`` and mono sound.

    Args:
        target: A path, or a writable and seekable stream.
        times: Presentation times in seconds, sorted.
        size: Width and height in pixels.
        codec: Encoder of the pictures.
        container: Muxer.
        pixel_format: Of the encoded pictures.
        options: Encoder options, such as ``{"g": "50", "bf": "3"}``.
        rotation: Degrees stated in the display matrix, counter-clockwise.
        paint: Draws on the picture with a number, in place.
        sound: Samples in -1..1; None for no sound track.
        sound_start: Time of the first sample.
        sound_rate: Samples a second.
        sound_codec: Encoder of the sound.
    """
    file = target.open("wb") if isinstance(target, Path) else target
    try:
        with av.open(file, "w", format=container) as output:
            video: Any = None
            if times:
                video = output.add_stream(codec, rate=25, options=options or {})
                video.width, video.height = size
                video.pix_fmt = pixel_format
                video.time_base = video.codec_context.time_base = Fraction(1, CLOCK)
                if rotation:
                    video.set_display_rotation(rotation)
            audio: Any = None
            if sound is not None:
                audio = output.add_stream(sound_codec, rate=sound_rate, layout="mono")
            for number, time in enumerate(times):
                pixels = numbered(number, size)
                if paint is not None:
                    paint(pixels, number)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round(time * CLOCK), Fraction(1, CLOCK)
                output.mux(video.encode(frame))
            if video is not None:
                output.mux(video.encode(None))
            if audio is not None and sound is not None:
                _write_sound(output, audio, sound, sound_start, sound_rate)
    finally:
        if isinstance(target, Path):
            file.close()


def _write_sound(
    output: Any, audio: Any, sound: NDArray[np.float32], start: float, rate: int
) -> None:
    step = audio.codec_context.frame_size or 1024
    levels = (np.clip(sound, -1, 1) * 32767).astype(np.int16)
    converter = av.AudioResampler(format=audio.format.name, layout="mono", rate=rate)
    for at in range(0, len(levels), step):
        frame = av.AudioFrame.from_ndarray(
            levels[None, at : at + step], format="s16", layout="mono"
        )
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(start * rate) + at
        for ready in converter.resample(frame):
            output.mux(audio.encode(ready))
    output.mux(audio.encode(None))


def clicks(seconds: float, at: Sequence[float], rate: int = 48_000) -> NDArray[np.float32]:
    """Return quiet sound with a loud 2 ms click at each of some times."""
    samples = np.zeros(round(seconds * rate), dtype=np.float32)
    length = round(0.002 * rate)
    burst = 0.9 * np.sin(2 * np.pi * 1500 * np.arange(length) / rate)
    for time in at:
        begin = round(time * rate)
        samples[begin : begin + length] = burst[: len(samples) - begin]
    return samples


def steady(seconds: float, fps: float = 25.0, start: float = 0.0) -> list[float]:
    """Return the presentation times of a constant frame rate."""
    return [start + k / fps for k in range(round(seconds * fps))]


@dataclass(frozen=True)
class Bytes:
    """A spool of bytes in memory."""

    content: bytes

    def open(self) -> BinaryIO:
        """Return a fresh reader."""
        return io.BytesIO(self.content)


def damaged_clip(seconds: float, start: float, end: float) -> bytes:
    """Return a clip with a keyframe every second whose packets in a stretch are overwritten."""
    buffer = io.BytesIO()
    options = {"preset": "ultrafast", "bf": "3", "g": "25", "keyint_min": "25"}
    write_clip(buffer, times=steady(seconds), options=options)
    data = bytearray(buffer.getvalue())
    with av.open(io.BytesIO(data)) as container:
        places = [(p.pts, p.pos, p.size) for p in container.demux(video=0) if p.size]
        base = container.streams.video[0].time_base
    for pts, position, size in places:
        if start <= pts * base < end:
            data[position : position + size] = b"\xff" * size
    return bytes(data)


def recording_of(content: bytes | Path, *, limits: Limits | None = None) -> Recording:
    """Measure some bytes as a recording, without the door in front of it."""
    data = content.read_bytes() if isinstance(content, Path) else content
    spool, limits = Bytes(data), limits or Limits()
    sniffed = sniff(data[:4096], source="clip")
    timeline = measure(spool, sniffed, limits=limits, source="clip")
    return Recording(spool=spool, sniffed=sniffed, limits=limits, source="clip", timeline=timeline)
