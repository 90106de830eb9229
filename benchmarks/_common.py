"""What the benchmarks share: footage made on the spot, and one JSON line each."""

from __future__ import annotations

import json
import math
import os
import platform
from pathlib import Path
from typing import Any

FPS = 25
SOUND_RATE = 48_000


def result(benchmark: str, **figures: Any) -> None:
    """Print one JSON line: what was measured, the figures, and on what."""
    machine = {"python": platform.python_version(), "cpus": len(os.sched_getaffinity(0))}
    print(json.dumps({"benchmark": benchmark, **figures, **machine}))


def make_clip(
    path: Path,
    *,
    seconds: float,
    size: tuple[int, int] = (1280, 720),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    bit_rate: int | None = None,
    noise: int = 6,
) -> None:
    """Write a clip with AAC sound: two blobs that walk over a noisy still scene.

    25 frames a second. Unless other options are given, H.264 with a keyframe every 50 and no
    B-frames.

    Args:
        path: An MP4 file to be written.
        seconds: Its length.
        size: Width and height in pixels.
        codec: Encoder of the pictures.
        options: Its options.
        bit_rate: Bits a second of the pictures; None for the encoder's own quality.
        noise: Range of the sensor noise, in levels of 255.
    """
    import av
    import numpy as np

    width, height = size
    random = np.random.default_rng(11)
    scene = random.integers(70, 130, (height // 8, width // 8), dtype=np.uint8)
    scene = scene.repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w", format="mp4") as container:
        options = options or {"preset": "veryfast", "g": "50", "bf": "0"}
        video: Any = container.add_stream(codec, rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        if bit_rate is not None:
            video.bit_rate = bit_rate
        audio: Any = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        sound = _sound(round(seconds * SOUND_RATE))
        spoken = 0
        for number in range(round(seconds * FPS)):
            grey = scene + random.integers(0, noise, scene.shape, dtype=np.uint8)
            for blob in (0, 1):
                left = (200 + width // 2 * blob + number * (7 - 11 * blob)) % (width - 100)
                top = round(height * 0.46 + 40 * math.sin(number / 9 + blob))
                grey[top : top + 220, left : left + 90] = 200 - 150 * blob
            picture = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            # Interleaved, as a camera writes it: sound up to the end of this frame.
            while spoken < min((number + 1) * SOUND_RATE // FPS, sound.shape[1]):
                block = np.ascontiguousarray(sound[:, spoken : spoken + 1024])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = SOUND_RATE, spoken
                container.mux(audio.encode(frame))
                spoken += block.shape[1]
        container.mux(video.encode())
        container.mux(audio.encode())


def repeat_clip(clip: Path, film: Path, *, seconds: float, times: int) -> None:
    """Write a film by repeating the packets of an MP4 clip, which costs little.

    Args:
        clip: Its pictures and its sound last ``seconds``, both in whole packets, so that
            repeats join without a seam.
        film: What is written.
        seconds: Length of the clip.
        times: How often it is repeated.
    """
    import av

    with av.open(str(film), "w", format="mp4") as target:
        with av.open(str(clip), format="mp4") as source:
            copies = [target.add_stream_from_template(stream) for stream in source.streams]
        for repeat in range(times):
            with av.open(str(clip), format="mp4") as source:
                for packet in source.demux():
                    # No time: the demuxer's end mark. Below zero: what primes the AAC decoder.
                    if packet.pts is None or packet.dts is None or packet.pts < 0:
                        continue
                    shift = round(repeat * seconds / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copies[packet.stream_index]
                    target.mux(packet)


def _sound(samples: int) -> Any:
    """Return quiet noise with a bang every four seconds, float32 of shape (1, samples)."""
    import numpy as np

    random = np.random.default_rng(12)
    sound = 0.01 * random.standard_normal(samples).astype(np.float32)
    decay = np.exp(-np.arange(SOUND_RATE // 2, dtype=np.float32) / 2400)
    for start in range(2 * SOUND_RATE, samples - len(decay), 4 * SOUND_RATE):
        sound[start : start + len(decay)] += 0.6 * decay * random.standard_normal(len(decay))
    return np.clip(sound, -1, 1).astype(np.float32)[np.newaxis]
