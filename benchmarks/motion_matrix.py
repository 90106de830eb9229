"""Does the motion scan miss movement, does it call still seconds moving, what does it cost?

    python benchmarks/motion_matrix.py [--all] [--seed N] [--keep DIR] [--json]
    python benchmarks/motion_matrix.py --shared ../shared [--json]
    python benchmarks/motion_matrix.py --method scan|full FILE

The first prints the matrix of made-up footage (`motion_footage`): every disturbance at
every keyframe interval, each with one of the four combinations of codec and B-frames in
turn, or with ``--all`` with all four (80 clips, about 15 minutes of CPU). Movements last
exactly one keyframe interval, at least a second. A movement is missed if no second that
it touches is called moving; a second is still if no movement touches it. Seed 1 was
used to choose the scan's constants, so the default is another.

The second does the same with the shared videos, labelled by hand below. The third prints
one JSON line: the CPU seconds and the peak memory of the scan, or of a plain PyAV decode
of every picture to the same small grey size. The opening of the file counts in both.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

import motion_footage as footage
from mmcrime.evidence import MotionCurve
from mmcrime.media import motion_curve

SEED = 3
COMBINATIONS = [("libx264", 0), ("libx264", 3), ("libx265", 0), ("libx265", 3)]

Stretch = tuple[float, float]

# Looked at in steps of a third of a second. What is neither moving nor still is not judged:
# people who stand and sway, and the half second in which somebody's shadow comes or goes. The
# first five seconds of the bottles are called still, as a person would, although faint shadows
# of somebody behind the camera move in them.
LABELS: dict[str, tuple[Sequence[Stretch], Sequence[Stretch]]] = {
    "intel_bottle-detection.mp4": (
        [
            *[(5.6, 7.3), (11, 13.6), (15.7, 18), (21.7, 24.6), (27.2, 29.1), (30.6, 32.3)],
            (34.5, 36.8),
        ],
        [
            *[(0, 5.3), (7.6, 10.8), (13.9, 15.5), (18.5, 21.5), (25, 27), (29.5, 30.4)],
            *[(32.7, 34.3), (37.3, 39.8)],
        ],
    ),
    "intel_car-detection.mp4": (
        [(4.5, 9.2), (14.3, 19.5), (25, 28)],
        [(0, 4.3), (10, 13.9), (20, 24.9), (28.3, 30.1)],
    ),
    "intel_one-by-one-person-detection.mp4": (
        [
            *[(6, 8.9), (18, 20.3), (22.8, 25.6), (43, 45.3), (50, 53), (68, 70.4)],
            *[(74.3, 77.5), (85, 87.2), (92, 95), (118, 120.4), (123, 126.5), (134, 136.4)],
        ],
        [(0, 5.5), (21, 22), (46, 49), (71, 73.9), (88, 91), (121, 122.9), (137, 139)],
    ),
    "mmaction2_demo.mp4": ([(0, 10)], []),
    "mmaction2_part_0.mp4": ([(0, 1)], []),
    "mmaction2_structuralize.mp4": ([(0, 10)], []),
    "mmaction2_test.avi": ([(0, 6.5)], []),
    "torchcodec_testsrc2_av1_10bit.mp4": ([(0, 1)], []),
    "torchcodec_testsrc2_odd_height_and_width_vp9.mp4": ([(0, 1)], []),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the scan said of one clip.

    Attributes:
        name: The clip.
        events: Movements in it.
        missed: The movements that were not called.
        still: Seconds in which nothing moves.
        called: How many of these were called moving.
        weakest: The lowest score of a called movement.
        resolution: Longest time between two compared pictures.
    """

    name: str
    events: int
    missed: tuple[str, ...]
    still: int
    called: int
    weakest: float
    resolution: float


def judge(
    name: str,
    curve: MotionCurve,
    moving: Sequence[tuple[Stretch, str]],
    still: Sequence[Stretch] | None = None,
) -> Row:
    """Compare a curve with what is known.

    Args:
        name: The clip.
        curve: What the scan said.
        moving: Movements, each with a name.
        still: Where nothing moves; None for wherever no movement is.
    """
    scores = dict(zip(curve.times, curve.scores, strict=True))
    peaks = {
        what: max(scores.get(float(s), 0.0) for s in range(math.floor(a), math.ceil(b)))
        for (a, b), what in moving
    }
    if still is None:
        quiet = [s for s in scores if all(s + 1 <= a or s >= b for (a, b), _ in moving)]
    else:
        quiet = [s for s in scores if any(a <= s and s + 1 <= b for a, b in still)]
    seen = [peak for peak in peaks.values() if peak >= curve.moving_from]
    return Row(
        name=name,
        events=len(moving),
        missed=tuple(what for what, peak in peaks.items() if peak < curve.moving_from),
        still=len(quiet),
        called=sum(scores[s] >= curve.moving_from for s in quiet),
        weakest=round(min(seen, default=0.0), 3),
        resolution=round(curve.resolution, 2),
    )


def made_up(seed: int, folder: Path, *, everything: bool) -> Iterable[Row]:
    """Yield the rows of the matrix."""
    for number, cell in enumerate(footage.matrix(seed)):
        square, combination = divmod(number, len(COMBINATIONS))
        # A Latin square: each combination meets each disturbance and each interval.
        if everything or combination == (square + square // len(footage.GOPS)) % 4:
            path = folder / f"{cell.name}.mp4"
            if not path.exists():
                footage.write(cell, path)
            yield measured(cell, path)


def measured(cell: footage.Cell, path: Path) -> Row:
    """Scan one clip of the matrix."""
    moving = [
        ((e.start, e.end), f"{e.area:.0%} at {e.speed} widths/s from {e.start:.1f} s")
        for e in footage.events(cell)
    ]
    return judge(cell.name, motion_curve(path), moving)


def labelled(videos: Path) -> Iterable[Row]:
    """Yield a row for each shared video that has labels."""
    for name, (moving, still) in LABELS.items():
        named = [(stretch, f"{stretch[0]}-{stretch[1]} s") for stretch in moving]
        yield judge(name, motion_curve(videos / name), named, still)


def show(rows: Iterable[Row], *, as_json: bool) -> None:
    """Print the rows as they come, then their sum."""
    done: list[Row] = []
    if not as_json:
        print(f"{'clip':50} missed  still called moving  weakest  resolution s")
    for row in rows:
        done.append(row)
        if not as_json:
            print(
                f"{row.name:50} {len(row.missed):2} of {row.events:2}  "
                f"{row.called:3} of {row.still:3} {row.weakest:13.3f} {row.resolution:13.2f}  "
                f"{'; '.join(row.missed)}",
                flush=True,
            )
    total = {
        "events": sum(row.events for row in done),
        "missed": sum(len(row.missed) for row in done),
        "still_s": sum(row.still for row in done),
        "called_moving_s": sum(row.called for row in done),
    }
    share = total["called_moving_s"] / max(total["still_s"], 1)
    if as_json:
        figures = {"benchmark": "motion_matrix", **total, "called_moving_share": round(share, 4)}
        print(json.dumps({**figures, "rows": [vars(row) for row in done]}))
    else:
        print(
            f"missed {total['missed']} of {total['events']} movements; called moving "
            f"{total['called_moving_s']} of {total['still_s']} still seconds ({share:.1%})"
        )


def cost(method: str, path: Path) -> None:
    """Print what one way costs, in this process."""
    began = time.process_time()
    frames = scan(path) if method == "scan" else full(path)
    spent = time.process_time() - began
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    figures = {"method": method, "file": path.name, "cpu_s": round(spent, 3)}
    figures |= {"seconds": round(seconds(path), 2), "pictures": frames}
    print(json.dumps({**figures, "peak_rss_mib": round(int(peak[1]) / 1024, 1) if peak else None}))


def scan(path: Path) -> int:
    return motion_curve(path).coverage.frames


def full(path: Path) -> int:
    """Decode every picture to small grey, as simply as PyAV allows."""
    frames = 0
    with path.open("rb") as file, av.open(file, "r", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        scaler = VideoReformatter()
        for picture in container.decode(stream):
            scale = min(1.0, 160 / max(picture.width, picture.height))
            size = {"width": round(picture.width * scale), "height": round(picture.height * scale)}
            scaler.reformat(picture, **size, format="gray", interpolation="AREA").to_ndarray()
            frames += 1
    return frames


def seconds(path: Path) -> float:
    with path.open("rb") as file, av.open(file, "r", metadata_errors="replace") as container:
        return (container.duration or 0) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=["scan", "full"], help="measure the cost of this way")
    parser.add_argument("file", nargs="?", type=Path, help="the file for --method")
    parser.add_argument("--shared", type=Path, help="folder of shared media: judge its videos")
    parser.add_argument("--all", action="store_true", help="all 80 clips of the matrix")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the footage ({SEED})")
    parser.add_argument("--keep", type=Path, help="folder that keeps the clips for the next time")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    if given.method:
        if given.file is None:
            parser.error("--method needs a FILE")
        cost(given.method, given.file)
        return
    if given.shared:
        show(labelled(given.shared / "media" / "videos"), as_json=given.json)
        return
    with tempfile.TemporaryDirectory() as room:
        folder = given.keep or Path(room)
        folder.mkdir(parents=True, exist_ok=True)
        show(made_up(given.seed, folder, everything=given.all), as_json=given.json)


if __name__ == "__main__":
    main()
