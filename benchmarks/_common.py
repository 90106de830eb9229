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


def make_clip(path: Path, *, seconds: float) -> None:
    """Write a 720p H.264 clip with AAC sound: two blobs that walk over a noisy still scene.

    25 frames a second, a keyframe every 50, no B-frames (so that packets can be repeated).
    """
    import av
    import numpy as np

    random = np.random.default_rng(11)
    scene = random.integers(70, 130, (90, 160), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream(
            "libx264", rate=FPS, options={"preset": "veryfast", "g": "50", "bf": "0"}
        )
        video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        sound = _sound(round(seconds * SOUND_RATE))
        spoken = 0
        for number in range(round(seconds * FPS)):
            grey = scene + random.integers(0, 6, scene.shape, dtype=np.uint8)
            for blob in (0, 1):
                left = (200 + 640 * blob + number * (7 - 11 * blob)) % 1180
                top = round(330 + 40 * math.sin(number / 9 + blob))
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


def _sound(samples: int) -> Any:
    """Return quiet noise with a bang every four seconds, float32 of shape (1, samples)."""
    import numpy as np

    random = np.random.default_rng(12)
    sound = 0.01 * random.standard_normal(samples).astype(np.float32)
    decay = np.exp(-np.arange(SOUND_RATE // 2, dtype=np.float32) / 2400)
    for start in range(2 * SOUND_RATE, samples - len(decay), 4 * SOUND_RATE):
        sound[start : start + len(decay)] += 0.6 * decay * random.standard_normal(len(decay))
    return np.clip(sound, -1, 1).astype(np.float32)[np.newaxis]
