"""What preprocessing costs beside OpenCV, MoviePy, pydub and plain PyAV: every ratio in one run.

    python benchmarks/preprocessing.py                    # a table
    python benchmarks/preprocessing.py --json             # one JSON object on stdout
    python benchmarks/preprocessing.py --seconds 20 --minutes 0 --rounds 1     # a first look
    python benchmarks/preprocessing.py --without moviepy  # and without pydub, its neighbour

The files are made on the spot. Each method runs in a process of its own, all methods of a
file one after the other in each round, so that other load falls on all of them. A ratio is
our CPU seconds by those of the other, imports not counted: the median over the rounds, and
its range. Nobody is compared whose output is not the same: as many frames at the same times
(half a frame), as many samples (a tenth of a second). A keyframe may serve several asked times.

MoviePy caps Pillow below the version that mmcrime needs, so it runs in an environment of
its own, with pydub and the ffmpeg that comes with imageio-ffmpeg. The command makes that
environment with pip where it is not yet, in ~/.cache/mmcrime-benchmarks.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from _comparisons import BOUNDS, COMPARISONS, Bound, Comparison
from _footage import FPS, long_film, make_film, make_sound
from _methods import FIRST, INTERVAL

PEERS = (
    "moviepy==2.2.1",
    "pydub==0.25.1",
    "imageio-ffmpeg>=0.6",
    "audioop-lts; python_version>='3.13'",
)
ENVIRONMENT = Path.home() / ".cache" / "mmcrime-benchmarks" / "moviepy-2.2.1"
SOUND_SECONDS = 600
Run = dict[str, Any]


@dataclass
class Bench:
    """Runs methods on files that it makes when they are first asked for.

    Attributes:
        folder: Where the files are.
        seconds: Length of the clips.
        minutes: Length of the long film.
        peers: The Python that holds MoviePy and pydub; else why there is none.
    """

    folder: Path
    seconds: float
    minutes: float
    peers: Path | str

    def run(self, method: str, file: str) -> Run:
        """Run a method in a process of its own.

        Raises:
            NotMeasuredError: If that is not possible here, or it fails.
        """
        python = Path(sys.executable)
        if method.startswith(("moviepy", "pydub")):
            if isinstance(self.peers, str):
                raise NotMeasuredError(self.peers)
            python = self.peers
        done = subprocess.run(
            [python, Path(__file__).with_name("_methods.py"), method, self.file(file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
            raise NotMeasuredError(lines[-1])
        said: Run = json.loads(done.stdout.splitlines()[-1])
        return said

    def file(self, name: str) -> Path:
        """Return a file by its name, made where it is not yet, in a process of its own."""
        path = self.folder / f"{name}.mp4"
        if not path.exists():
            print(f"making {path.name} ...", file=sys.stderr)
            part = path.with_name(f"part-{path.name}")
            maker = multiprocessing.get_context("spawn").Process(
                target=self._maker(name), args=(part,)
            )
            maker.start()
            maker.join()
            if maker.exitcode:
                sys.exit(f"{path.name} could not be made")
            part.rename(path)
        return path

    def _maker(self, name: str) -> Callable[[Path], None]:
        if name.startswith(("sound", "long")):
            seconds = SOUND_SECONDS if name.startswith("sound") else self.minutes * 60
            pictures, sound = self.file("h264_1080p_gop50"), self.file("aac")
            return partial(long_film, pictures=pictures, sound=sound, seconds=seconds)
        if name == "aac":
            return partial(
                make_sound, seconds=SOUND_SECONDS, rate=44_100, layout="stereo", codec="aac"
            )
        codec, size, gop = name.split("_")
        return partial(
            make_film,
            seconds=self.seconds,
            size={"1080p": (1920, 1080), "720p": (1280, 720)}[size],
            codec={"h264": "libx264", "hevc": "libx265"}[codec],
            gop=int(gop.removeprefix("gop")),
        )


class NotMeasuredError(Exception):
    """Why a method gave no figure."""


def compare(bench: Bench, wanted: list[Comparison], rounds: int) -> dict[str, dict[str, Run]]:
    """Return for each comparison, by its id, the ratio to each of the others."""
    runs: dict[tuple[str, str], list[Run]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for number in range(rounds):
        for file in dict.fromkeys(one.file for one in wanted):
            here = [one for one in wanted if one.file == file]
            methods = dict.fromkeys(name for one in here for name in (one.ours, *one.others))
            for method in (name for name in methods if (file, name) not in reasons):
                print(f"round {number + 1}: {method} on {file}", file=sys.stderr)
                try:
                    runs.setdefault((file, method), []).append(bench.run(method, file))
                except NotMeasuredError as why:
                    reasons[file, method] = str(why)
    return {
        one.id: {
            other: ratio(one, other, goal, runs, reasons) for other, goal in one.others.items()
        }
        for one in wanted
    }


def ratio(
    one: Comparison,
    other: str,
    goal: float | None,
    runs: dict[tuple[str, str], list[Run]],
    reasons: dict[tuple[str, str], str],
) -> Run:
    """Return one ratio with its range and goal, or why there is none."""
    for method in (one.ours, other):
        if why := reasons.get((one.file, method)):
            return {"ratio": None, "goal": goal, "said": f"not measured ({method}: {why})"}
    ours, theirs = runs[one.file, one.ours], runs[one.file, other]
    if why := differs(one, ours[0], theirs[0]):
        return {"ratio": None, "goal": goal, "said": f"not compared ({why})"}
    ratios = [mine["cpu"] / its["cpu"] for mine, its in zip(ours, theirs, strict=True)]
    middle = statistics.median(ratios)
    low, high = min(ratios), max(ratios)
    return {
        "ratio": middle,
        "low": low,
        "high": high,
        "goal": goal,
        "met": None if goal is None else middle <= goal,
        "cpu_s": statistics.median(run["cpu"] for run in ours),
        "cpu_s_other": statistics.median(run["cpu"] for run in theirs),
        "peak_mib": max(run["peak_mib"] for run in ours),
        "imported_mib": max(run["imported_mib"] for run in ours),
        "peak_mib_other": max(run["peak_mib"] for run in theirs),
        "said": f"{middle:.2f} ({low:.2f} to {high:.2f})",
    }


def differs(one: Comparison, mine: Run, theirs: Run) -> str:
    """Return in which way the outputs are not the same; empty if they are."""
    if one.slack is None:
        if one.ours.startswith("motion"):
            return ""  # decoding gives no scores
        off = abs(mine["count"] - theirs["count"])
        return f"{off} samples more or less" if off > 1600 else ""
    asked = [FIRST + k * INTERVAL for k in range(len(theirs["times"]))]
    if one.once:
        near = {min(mine["times"], key=lambda time: abs(time - when)) for when in asked}
        if near != set(mine["times"]):
            return "a frame that nobody asked for"
        mine = {"times": [min(near, key=lambda time: abs(time - when)) for when in asked]}
    if len(mine["times"]) != len(asked):
        return f"{len(mine['times'])} frames and not {len(asked)}"
    for times, slack in ((mine["times"], one.slack), (theirs["times"], 0.5 / FPS)):
        off = max(abs(time - when) for time, when in zip(times, asked, strict=True))
        if off > slack + 1e-3:
            return f"a frame lies {off:.2f} s off"
    return ""


def bound(bench: Bench, one: Bound) -> Run:
    """Return the memory that one of our ways takes on the long film."""
    try:
        run = bench.run(one.ours, "long")
    except NotMeasuredError as why:
        return {"mib": None, "goal": one.goal, "said": f"not measured ({why})"}
    mib = run["peak_mib"] - (run["imported_mib"] if one.above_import else 0)
    said = f"{mib:.0f} MiB"
    return {"mib": mib, "goal": one.goal, "met": mib <= one.goal, "cpu_s": run["cpu"], "said": said}


def peers(without: list[str]) -> Path | str:
    """Return the Python that holds MoviePy and pydub, installing them once; else why not."""
    if "moviepy" in without:
        return "left out by --without moviepy"
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / ".ready"
    if ready.exists():
        return python
    print(f"installing {', '.join(PEERS)} into {ENVIRONMENT} ...", file=sys.stderr)
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", "--clear", ENVIRONMENT],
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS],
    ]
    for command in commands:
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        if done.returncode:
            return "its environment could not be made"
    ready.touch()
    return python


def table(found: dict[str, dict[str, Run]], memory: dict[str, Run], minutes: float) -> str:
    """Return all figures as text, one line each."""
    rows = [("what", "on", "beside", "ratio of CPU", "goal", "")]
    for one in COMPARISONS:
        for other, run in found.get(one.id, {}).items():
            rows.append((one.what, one.file, other, run["said"], *_goal(run, ".2f")))
    length = f"{minutes:g} min"
    rows += [
        (limit.what, length, "", memory[limit.id]["said"], *_goal(memory[limit.id], ".0f"))
        for limit in BOUNDS
        if limit.id in memory
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _goal(run: Run, form: str) -> tuple[str, str]:
    if run["goal"] is None:
        return "", ""
    met = {True: "met", False: "missed", None: "not measured"}[run.get("met")]
    return f"{run['goal']:{form}}", met


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=60, help="length of the clips (60)")
    parser.add_argument("--minutes", type=float, default=60, help="of the long film; 0: none (60)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each method (3)")
    parser.add_argument("--only", default="", help="comparisons whose id begins like this")
    parser.add_argument("--without", action="append", default=[], choices=["moviepy"])
    parser.add_argument("--files", type=Path, help="folder that keeps the files for the next run")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of every method: threads that wait cost CPU too
    with tempfile.TemporaryDirectory() as folder:
        kept = given.files or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        bench = Bench(kept, given.seconds, given.minutes, peers(given.without))
        wanted = [one for one in COMPARISONS if one.id.startswith(given.only)]
        found = compare(bench, wanted, max(1, given.rounds))
        limits = [one for one in BOUNDS if given.minutes and one.id.startswith(given.only)]
        memory = {one.id: bound(bench, one) for one in limits}
    if given.json:
        made = {"seconds": given.seconds, "minutes": given.minutes, "rounds": given.rounds}
        print(json.dumps({"benchmark": "preprocessing", **made, **found, **memory}))
    else:
        print(table(found, memory, given.minutes))


if __name__ == "__main__":
    main()
