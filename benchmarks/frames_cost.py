"""What sampled frames cost beside decoding everything, and how exact they are.

    python benchmarks/frames_cost.py                       # make the footage, run it all
    python benchmarks/frames_cost.py --method NAME FILE    # one method, one JSON line

Every method gives the frames shown at t = 1.32 + 5 k seconds (so that the times do not fall
on keyframes by chance), as RGB of at most 768 pixels a side, area-averaged. Each runs in a
process of its own; CPU time is that of all its threads, after the imports. The whole call
counts: opening, hashing and scanning the file too. Goals, against OpenCV: at most 1/5 at a
keyframe interval of 50 and 1/2 at 250 (exact), 1/15 (keyframes); at most 130 MiB of memory
after 60 minutes of 720p.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _common import make_clip, repeat_clip, result

FIRST, STEP, SIDE = 1.32, 5.0, 768
CLIP_SECONDS = 40.0  # 1000 pictures and 1875 AAC frames: whole keyframe intervals, no seam
REPEATS = 2  # of the clip in each film
ROUNDS = 3
NOISE = 24  # levels: as a cheap camera at dusk; it fills the bit rates below
LONG_MINUTES = 60

FILMS: dict[str, dict[str, Any]] = {
    "1080p H.264 GOP 50": {"size": (1920, 1080), "gop": 50, "bit_rate": 4_000_000},
    "1080p H.264 GOP 250": {"size": (1920, 1080), "gop": 250, "bit_rate": 4_000_000},
    "720p H.264 GOP 250": {"size": (1280, 720), "gop": 250, "bit_rate": 2_000_000},
    "720p HEVC GOP 250": {
        "size": (1280, 720),
        "gop": 250,
        "bit_rate": 1_200_000,
        "codec": "libx265",
    },
}
GOALS = {50: {"exact": 1 / 5, "keyframes": 1 / 15}, 250: {"exact": 1 / 2, "keyframes": 1 / 15}}

Shown = list[tuple[float, float]]  # the time of a frame, and the time it was to show


def asked(seconds: float) -> list[float]:
    """Return the times at which a frame is asked for in a film of some length."""
    return [FIRST + STEP * k for k in range(math.ceil((seconds - FIRST) / STEP))]


def opencv(path: Path) -> Shown:
    """Decode every picture with OpenCV; convert and scale the wanted ones."""
    import cv2

    film = cv2.VideoCapture(str(path))
    rate = film.get(cv2.CAP_PROP_FPS)
    times = iter(asked(film.get(cv2.CAP_PROP_FRAME_COUNT) / rate))
    due: float | None = next(times)
    shown: Shown = []
    number = 0
    while due is not None and film.grab():
        if (number + 1) / rate > due + 1e-6:  # the next picture would be too late
            picture = film.retrieve()[1]
            scale = SIDE / max(picture.shape[:2])
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
            shown.append((number / rate, due))
            due = next(times, None)
        number += 1
    while film.grab():  # to the end of the file, as every asked time could be the last
        pass
    return shown


def plain_pyav(path: Path) -> Shown:
    """Decode every picture with PyAV in one thread; convert and scale the wanted ones."""
    import av

    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        rate = float(stream.average_rate or 25)
        times = iter(asked((film.duration or 0) / 1e6))
        due: float | None = next(times)
        shown: Shown = []
        for picture in film.decode(stream):
            time = picture.time
            if due is not None and time + 1 / rate > due + 1e-6:
                scale = SIDE / max(picture.width, picture.height)
                picture.reformat(
                    width=round(picture.width * scale),
                    height=round(picture.height * scale),
                    format="rgb24",
                    interpolation="AREA",
                ).to_ndarray()
                shown.append((time, due))
                due = next(times, None)
    return shown


def exact(path: Path) -> Shown:
    """Sample with mmcrime, each frame the one that is on screen at its time."""
    return _sampled(path, "exact")


def keyframes(path: Path) -> Shown:
    """Sample with mmcrime, each frame the keyframe at or before its time."""
    return _sampled(path, "keyframes")


def _sampled(path: Path, mode: Any) -> Shown:
    from mmcrime.media import open_media, sample_frames

    with open_media(path) as handle:
        times = asked((handle.video_span or (0.0, 0.0))[1])
        frames = [f.time for f in sample_frames(handle, at=times, max_side=SIDE, mode=mode)]
    return [(max((t for t in frames if t <= due + 1e-6), default=frames[0]), due) for due in times]


methods: dict[str, Callable[[Path], Shown]] = {
    "opencv": opencv,
    "pyav": plain_pyav,
    "exact": exact,
    "keyframes": keyframes,
}


def measure(method: str, path: Path) -> dict[str, Any]:
    """Run one method on one file in this process; return its figures."""
    _import(method)
    before = _cpu()
    shown = methods[method](path)
    spent = _cpu() - before
    return {
        "method": method,
        "cpu_s": round(spent, 4),
        "frames": len({time for time, _ in shown}),
        "asked": len(shown),
        "worst_time_error_s": round(max(due - time for time, due in shown), 4),
        "peak_rss_mib": round(_peak_mib(), 1),
    }


def _import(method: str) -> None:
    """Load what a method needs, so that loading is not measured."""
    if method == "opencv":
        import cv2  # noqa: F401 - loading it is what is wanted
    elif method == "pyav":
        import av  # noqa: F401 - as above
    else:
        import mmcrime.media.handle
        import mmcrime.media.sampling  # noqa: F401 - as above


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mib() -> float:
    """Return the peak memory of this process (``ru_maxrss`` would inherit the parent's)."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else math.nan


def alone(method: str, path: Path) -> dict[str, Any]:
    """Run one method on one file in a process of its own."""
    command = [sys.executable, __file__, "--method", method, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def make_film(path: Path, *, repeats: int = REPEATS, **kind: Any) -> None:
    """Write a film of one of the kinds of `FILMS`, by repeating the packets of a clip."""
    gop, codec = kind["gop"], kind.get("codec", "libx264")
    options = {"g": str(gop), "preset": "medium"}
    if codec == "libx265":
        options = {"preset": "fast", "x265-params": f"keyint={gop}:log-level=none"}
    clip = path.with_name(f"{codec}_{kind['size'][1]}_{gop}.clip.mp4")
    if not clip.exists():
        make_clip(
            clip,
            seconds=CLIP_SECONDS,
            size=kind["size"],
            codec=codec,
            options=options,
            bit_rate=kind["bit_rate"],
            noise=NOISE,
        )
    repeat_clip(clip, path, seconds=CLIP_SECONDS, times=repeats)


def films(folder: Path) -> Iterator[tuple[str, dict[str, Any], Path]]:
    """Yield the name, the kind and the path of each film; make what is not there yet."""
    for name, kind in FILMS.items():
        path = folder / (name.replace(" ", "_") + ".mp4")
        _made(path, **kind)
        yield name, kind, path


def _made(path: Path, **kind: Any) -> None:
    if not path.exists():  # in a process of its own: a child starts with its parent's peak
        maker = multiprocessing.get_context("spawn").Process(
            target=make_film, args=(path,), kwargs=kind
        )
        maker.start()
        maker.join()
        if maker.exitcode:
            raise SystemExit(f"{path.name} could not be made")


def compare(path: Path, *, gop: int) -> dict[str, Any]:
    """Return the figures of all methods on one film, with ratios to OpenCV."""
    rounds = [{name: alone(name, path) for name in methods} for _ in range(ROUNDS)]
    rows = {}
    for name in methods:
        ratio = statistics.median(r[name]["cpu_s"] / r["opencv"]["cpu_s"] for r in rounds)
        cpu = statistics.median(r[name]["cpu_s"] for r in rounds)
        rows[name] = {**rounds[0][name], "cpu_s": cpu, "ratio": round(ratio, 4)}
        if name in GOALS[gop]:
            rows[name]["goal"] = round(GOALS[gop][name], 4)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="a video, with --method")
    parser.add_argument("--method", choices=list(methods), help="run this one here, once")
    parser.add_argument("--folder", type=Path, help="where the footage is kept, or is made")
    chosen = parser.parse_args()
    if chosen.method:
        print(json.dumps(measure(chosen.method, chosen.file)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, kind, path in films(folder):
            result("frames_cost", film=name, methods=compare(path, gop=kind["gop"]))
        long = folder / "long.mp4"
        repeats = round(LONG_MINUTES * 60 / CLIP_SECONDS)
        _made(long, repeats=repeats, **FILMS["720p H.264 GOP 250"])
        ours = [alone(method, long) for method in ("exact", "keyframes")]
        result("frames_cost", film=f"{LONG_MINUTES} min of 720p", goal_mib=130, methods=ours)


if __name__ == "__main__":
    main()
