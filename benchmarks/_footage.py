"""The files that `preprocessing.py` measures on, made on the spot.

Pictures: a textured still scene with fresh sensor noise in every picture, and things of
several sizes that walk, stop and walk on. Long files repeat the packets of a minute, so
that making them costs little. Sound: quiet noise, tones that glide, and bangs, different
in each channel.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["FPS", "long_film", "make_film", "make_sound"]

FPS = 25
_NOISE_FIELDS = 5  # noise is drawn once and shifted by chance: drawing it anew costs more than x264


def make_film(
    path: Path, *, seconds: float, size: tuple[int, int], codec: str, gop: int, seed: int = 21
) -> None:
    """Write pictures without sound: 25 a second, B-frames as the encoder likes them."""
    keyframes = (
        {"x265-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:log-level=none"}
        if codec == "libx265"
        else {"g": str(gop), "keyint_min": str(gop), "sc_threshold": "0"}
    )
    with av.open(str(path), "w", format="mp4") as output:
        stream: Any = output.add_stream(
            codec, rate=FPS, options={"preset": "veryfast", **keyframes}
        )
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for grey in _pictures(round(seconds * FPS), size, seed):
            picture = av.VideoFrame.from_ndarray(grey, format="gray")
            output.mux(stream.encode(picture.reformat(format="yuv420p")))
        output.mux(stream.encode(None))


def _pictures(count: int, size: tuple[int, int], seed: int) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    width, height = size
    coarse = random.integers(60, 170, (height // 24 + 1, width // 24 + 1))
    scene = coarse.repeat(24, 0).repeat(24, 1)[:height, :width]
    scene = (scene + random.integers(-12, 12, (height, width))).astype(np.int16)
    noise = [random.normal(0, 2, (height, width)).astype(np.int16) for _ in range(_NOISE_FIELDS)]
    for number in range(count):
        field = noise[number % _NOISE_FIELDS]
        shift = (int(random.integers(height)), int(random.integers(width)))
        picture = scene + np.roll(field, shift, (0, 1))
        for walker in range(4):
            _draw(picture, number / FPS, walker)
        yield np.clip(picture, 16, 235).astype(np.uint8)


def _draw(picture: NDArray[np.int16], time: float, walker: int) -> None:
    """Draw one thing that walks for three seconds of every six."""
    height, width = picture.shape
    tall = height // (3 + 2 * walker)
    broad = tall // 3
    walked = 3 * (time // 6) + min(time % 6, 3)
    speed = width / (8 + 3 * walker) * (-1) ** walker
    left = int(walked * speed + 0.25 * walker * width) % (width - broad)
    top = int(height * 0.3 + walker * height * 0.1 + 6 * math.sin(5 * walked))
    body = picture[top : top + tall, left : left + broad]
    body[:] = body // 4 + (20 + 55 * walker)


def make_sound(path: Path, *, seconds: float, rate: int, layout: str, codec: str) -> None:
    """Write sound alone, in the container that the name ends with."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=rate, layout=layout)
        if codec == "aac":
            stream.bit_rate = 128_000
        to_codec = av.AudioResampler(
            format=stream.format.name, layout=layout, rate=rate, frame_size=_frame_size(stream)
        )
        for at, block in _sound(seconds, rate, len(stream.layout.channels)):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            for ready in to_codec.resample(frame):
                output.mux(stream.encode(ready))
        for ready in to_codec.resample(None):
            output.mux(stream.encode(ready))
        output.mux(stream.encode(None))


def _frame_size(stream: Any) -> int:
    return stream.codec_context.frame_size or 1024


def _sound(seconds: float, rate: int, channels: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Yield blocks of a second at most with the number of their first sample."""
    random = np.random.default_rng(22)
    total = round(seconds * rate)
    for second, at in enumerate(range(0, total, rate)):
        length = min(rate, total - at)
        t = (at + np.arange(length)) / rate
        voice = 0.1 * np.sin(2 * np.pi * (300 * t + 40 * np.sin(2 * np.pi * 0.4 * t)))
        block = 0.01 * random.standard_normal((length, channels))
        block += voice[:, np.newaxis] * np.linspace(1.0, 0.4, channels)
        if second % 4 == 2:
            decay = np.exp(-np.arange(length) / (0.05 * rate))
            block += 0.6 * (decay * random.standard_normal(length))[:, np.newaxis]
        levels = np.clip(block * 32767, -32768, 32767).astype(np.int16)
        yield at, np.ascontiguousarray(levels.reshape(1, -1))


def long_film(path: Path, *, pictures: Path, sound: Path, seconds: float) -> None:
    """Write a film of at least some length by repeating the packets of two files."""
    with (
        av.open(str(pictures)) as first,
        av.open(str(sound)) as second,
        av.open(str(path), "w", format="mp4") as output,
    ):
        copies = [
            output.add_stream_from_template(first.streams.video[0]),
            output.add_stream_from_template(second.streams.audio[0]),
        ]
        parts = [_repeated(pictures, seconds, 0), _repeated(sound, seconds, 1)]
        # Interleaved by time, as cameras do.
        for _, number, packet in heapq.merge(*parts, key=lambda part: part[:2]):
            packet.stream = copies[number]
            output.mux(packet)


def _repeated(path: Path, seconds: float, number: int) -> Iterator[tuple[float, int, Any]]:
    """Yield the packets of a file as often as it takes, later each time, with time and number."""
    start, end, base = 0, 0, Fraction(1)
    while start * base < seconds - 0.01:
        with av.open(str(path)) as source:
            for packet in source.demux():
                # No time: the demuxer's end mark. Before zero, sound only primes the decoder.
                if packet.dts is None or packet.pts is None or packet.pts < 0:
                    continue
                packet.pts, packet.dts = packet.pts + start, packet.dts + start
                end = max(end, packet.pts + (packet.duration or 0))
                base = packet.time_base
                yield float(packet.dts * base), number, packet
        start = end
