"""One way to preprocess one file, in a process of its own; `preprocessing.py` starts it.

    python benchmarks/_methods.py METHOD FILE

Prints one JSON object: what came out (``times`` of frames, or ``count`` of samples or
frames), the CPU seconds of the work (child processes included, imports not) and the
resident memory in MiB after importing and at its peak.

Methods whose name begins with "moviepy" or "pydub" run in an environment that holds
those and not mmcrime, so every library is imported where it is used.
"""

from __future__ import annotations

import json
import math
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

INTERVAL = 5.0
FIRST = 1.32  # seconds: so that the asked times are not just those of the keyframes
MAX_SIDE = 768
RATE = 16_000

Output = dict[str, Any]
Method = Callable[[str], Output]


def frames_exact(path: str) -> Output:
    return _frames(path, "exact")


def frames_keyframes(path: str) -> Output:
    return _frames(path, "keyframes")


def _frames(path: str, mode: Literal["exact", "keyframes"]) -> Output:
    from mmcrime.media import open_media, sample_frames

    with open_media(path) as handle:
        at = _asked(handle.media.duration or 0.0)
        return {
            "times": [f.time for f in sample_frames(handle, max_side=MAX_SIDE, mode=mode, at=at)]
        }


def _asked(length: float) -> list[float]:
    """Return the times that are asked of a film of some seconds."""
    return [FIRST + k * INTERVAL for k in range(math.ceil((length - FIRST) / INTERVAL))]


def opencv_sequential(path: str) -> Output:
    """Read picture after picture; convert and scale only the wanted ones."""
    import cv2

    film = cv2.VideoCapture(path)
    times: list[float] = []
    while film.grab():
        time = film.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if time >= FIRST + len(times) * INTERVAL - 0.01:
            _fit_opencv(film.retrieve()[1])
            times.append(time)
    return {"times": times}


def opencv_seek(path: str) -> Output:
    import cv2

    film = cv2.VideoCapture(path)
    times: list[float] = []
    for asked in _asked(film.get(cv2.CAP_PROP_FRAME_COUNT) / film.get(cv2.CAP_PROP_FPS)):
        film.set(cv2.CAP_PROP_POS_MSEC, 1000 * asked)
        read, picture = film.read()
        if not read:
            break
        times.append(film.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        _fit_opencv(picture)
    return {"times": times}


def _fit_opencv(picture: Any) -> Any:
    import cv2

    height, width = picture.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = (round(width * scale), round(height * scale))
    return cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def pyav_sequential(path: str) -> Output:
    import av

    times: list[float] = []
    with av.open(path) as film:
        for picture in film.decode(video=0):
            if picture.time >= FIRST + len(times) * INTERVAL - 0.01:
                scale = min(1.0, MAX_SIDE / max(picture.width, picture.height))
                width, height = round(picture.width * scale), round(picture.height * scale)
                picture.to_ndarray(format="rgb24", width=width, height=height)
                times.append(picture.time)
    return {"times": times}


def moviepy_frames(path: str) -> Output:
    """MoviePy says no times: those asked for are passed on."""
    clips: Any = import_module("moviepy")
    with clips.VideoFileClip(path, audio=False, target_resolution=(MAX_SIDE, None)) as film:
        times = _asked(film.duration)
        for time in times:
            film.get_frame(time)
    return {"times": times}


def sound_opened(path: str) -> Output:
    """All of `audio_windows`, and beside it what it costs once the file is open."""
    from mmcrime.media import open_media

    with open_media(path) as handle:
        before = _cpu()
        count = sum(len(window.samples) for window in handle.audio(0, 1e9, rate=RATE))
        return {"count": count, "cpu": _cpu() - before}


def sound(path: str) -> Output:
    from mmcrime.media import audio_windows

    return {"count": sum(len(window.samples) for window in audio_windows(path, rate=RATE))}


def pyav_sound(path: str) -> Output:
    import av
    import numpy as np

    found: list[Any] = []
    with av.open(path) as media:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in media.decode(audio=0):
            found += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        found += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return {"count": len(np.concatenate(found))}


def pydub_sound(path: str) -> Output:
    """With the ffmpeg of imageio-ffmpeg; naming the codec spares it the ffprobe that lacks."""
    segments: Any = import_module("pydub").AudioSegment
    segments.converter = import_module("imageio_ffmpeg").get_ffmpeg_exe()
    whole = segments.from_file(path, codec="aac").set_channels(1).set_frame_rate(RATE)
    return {"count": len(whole.get_array_of_samples())}


def moviepy_sound(path: str) -> Output:
    clips: Any = import_module("moviepy")
    with clips.AudioFileClip(path, fps=RATE, nbytes=2) as film:
        chunks = film.iter_chunks(chunk_duration=30, fps=RATE)
        return {"count": sum(len(chunk.mean(axis=1)) for chunk in chunks)}


def motion(path: str) -> Output:
    from mmcrime.media import motion_curve

    return {"count": len(motion_curve(path).scores)}


def motion_analyzer(path: str) -> Output:
    import asyncio

    from mmcrime.analyzers.motion import MotionAnalyzer
    from mmcrime.egress import Gate
    from mmcrime.evidence import Evidence
    from mmcrime.media import open_media
    from mmcrime.plugins import RunContext

    context = RunContext(request_id="benchmark", egress=Gate(offline=True))
    with open_media(path) as handle:
        evidence = Evidence(media=handle.media, reader=handle)
        said = asyncio.run(MotionAnalyzer().analyze(evidence, context))
    if said.status != "answered":
        raise RuntimeError(f"the analyzer {said.status}: {said.error}")
    return {"count": 1}


def pyav_decode(path: str) -> Output:
    """Decode every picture and do nothing with it."""
    import av

    with av.open(path) as film:
        film.streams.video[0].thread_type = "FRAME"
        return {"count": sum(1 for _ in film.decode(video=0))}


METHODS: dict[str, tuple[Method, tuple[str, ...]]] = {
    "frames_exact": (frames_exact, ("mmcrime.media", "mmcrime.media.sampling")),
    "frames_keyframes": (frames_keyframes, ("mmcrime.media", "mmcrime.media.sampling")),
    "opencv_sequential": (opencv_sequential, ("cv2",)),
    "opencv_seek": (opencv_seek, ("cv2",)),
    "pyav_sequential": (pyav_sequential, ("av", "numpy")),
    "moviepy_frames": (moviepy_frames, ("moviepy",)),
    "sound": (sound, ("mmcrime.media.sampling",)),
    "sound_opened": (sound_opened, ("mmcrime.media.sampling",)),
    "pyav_sound": (pyav_sound, ("av", "numpy")),
    "pydub_sound": (pydub_sound, ("pydub", "imageio_ffmpeg")),
    "moviepy_sound": (moviepy_sound, ("moviepy",)),
    "motion": (motion, ("mmcrime.media.sampling",)),
    "motion_analyzer": (motion_analyzer, ("mmcrime.analyzers.motion", "mmcrime.media.sampling")),
    "pyav_decode": (pyav_decode, ("av",)),
}
"""The methods, and what each imports before the clock starts."""


def work(method: str, path: str) -> Output:
    """Run one method and return what it gave and cost."""
    run, modules = METHODS[method]
    for module in modules:
        import_module(module)
    imported, before = _peak_mib(resource.RUSAGE_SELF), _cpu()
    given = run(path)
    own, others = _peak_mib(resource.RUSAGE_SELF), _peak_mib(resource.RUSAGE_CHILDREN)
    measured = {"cpu": _cpu() - before, "imported_mib": imported, "peak_mib": own + others}
    return measured | given


def _cpu() -> float:
    """Return the CPU seconds of this process and of the children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_mib(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(work(sys.argv[1], sys.argv[2])))
