"""Measures which incidents a choice of few frames finds in composed videos.

    python benchmarks/frame_choice.py [SHARED] [--videos N] [--seed N] [--scene NAME]... [--json]

``SHARED`` (default: ``$MMCRIME_SHARED``, else ``../shared``) holds ``media/fights`` and
``media/videos``. Fight clips and as many harmless clips, of 2, 5, 15 and 30 s each, lie
at random times in videos of ten minutes (see ``composer.py``). An incident is found if at
least one chosen frame lies inside it. `select_frames` gets one frame for 20 s, and is
compared with one frame a second, a fixed interval of 5 s, as many frames spread evenly,
and all keyframes. Harmless splices are found as often as fights if nothing but their
being new is seen: what is chosen is for a model to judge.

Scenes: ``cut`` has hard cuts to other places, ``fade`` cross-fades to them, and in
``camera`` everything is of one camera, with cross-fades. ``select (no cuts)`` is
`select_frames` with the list of cuts taken away, as if the camera had never cut.

The weights of the choice were set on the seeds from 100 to 406; the default seeds are
others. Intervals are of a bootstrap over videos.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from composer import Composition, plan, write
from mmcrime.evidence import MotionCurve
from mmcrime.media import Look, MediaHandle, open_media, select_frames

SCENES: dict[str, dict[str, str]] = {
    "cut": {},
    "fade": {"join": "fade"},
    "camera": {"join": "fade", "camera": "one"},
}
LENGTHS = (2.0, 5.0, 15.0, 30.0)
SECONDS = 600.0
SECONDS_A_FRAME = 20
"""Of the budget: a twentieth of one frame a second."""
TARGET = 0.95
"""Of what one frame a second finds of the incidents of `TARGET_FROM` seconds and more."""
TARGET_FROM = 5.0
VERSION = 1
"""Of the composer, in the names of cached videos."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one video before frames are chosen."""

    handle: MediaHandle
    motion: MotionCurve
    looks: tuple[Look, ...]
    frames: int

    def select(self, **changed: Any) -> list[float]:
        """Return the true times of the chosen frames."""
        known = {"motion": self.motion, "looks": self.looks, **changed}
        chosen = select_frames(self.handle, frames=self.frames, max_side=320, **known)
        return [one.frame.time for one in chosen.frames]


def evenly(count: int) -> list[float]:
    return [(k + 0.5) * SECONDS / count for k in range(count)]


METHODS: dict[str, Callable[[Known], Sequence[float]]] = {
    "1 frame/s": lambda _: [float(k) for k in range(int(SECONDS))],
    "every 5 s": lambda _: [5.0 * k for k in range(int(SECONDS / 5))],
    "keyframes": lambda known: [look.time for look in known.looks],
    "evenly": lambda known: evenly(known.frames),
    "select": lambda known: known.select(),
    "select (no cuts)": lambda known: known.select(motion=replace(known.motion, cuts=())),
    "select (no looks)": lambda known: known.select(looks=()),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One splice, one method."""

    scene: str
    method: str
    video: int
    seconds: float
    label: str
    found: bool


def composed(shared: Path, folder: Path, scene: str, seed: int) -> tuple[Composition, Path]:
    """Return a video and the truth about it, made anew unless it is there."""
    how: dict[str, Any] = SCENES[scene]
    composition = plan(shared, seed=seed, seconds=SECONDS, lengths=LENGTHS, **how)
    path = folder / f"{VERSION}-{scene}-{seed}.mp4"
    if not path.is_file():
        unfinished = path.with_suffix(f".{os.getpid()}")
        write(composition, unfinished)
        unfinished.replace(path)
    return composition, path


def judge(scene: str, seed: int, composition: Composition, path: Path) -> dict[str, Any]:
    """Run every method on one video."""
    rows: list[Row] = []
    frames: dict[str, int] = {}
    with open_media(path) as handle:
        began = time.process_time()
        motion, looks = handle.motion(), handle.looks()
        measured = time.process_time()
        budget = round(SECONDS / SECONDS_A_FRAME)
        known = Known(handle=handle, motion=motion, looks=looks, frames=budget)
        for method, choose in METHODS.items():
            times = np.asarray(choose(known))
            frames[method] = len(times)
            rows += [
                Row(
                    scene=scene,
                    method=method,
                    video=seed,
                    seconds=splice.seconds,
                    label=splice.label,
                    found=bool(((times >= splice.start) & (times < splice.end)).any()),
                )
                for splice in composition.splices
            ]
        before = time.process_time()
        known.select()
        cpu = {
            "motion_and_looks": measured - began,
            "choice_and_frames": time.process_time() - before,
        }
    return {"rows": rows, "frames": frames, "cpu": cpu}


def share(rows: Sequence[Row]) -> float | None:
    return sum(row.found for row in rows) / len(rows) if rows else None


def summary(rows: Sequence[Row], baseline: Sequence[Row]) -> dict[str, Any]:
    """Return the shares of one method in one scene, and its ratio to one frame a second."""
    long = [row for row in rows if row.seconds >= TARGET_FROM]
    figures: dict[str, Any] = {
        label: {
            f"{length:g}": share([r for r in rows if (r.seconds, r.label) == (length, label)])
            for length in LENGTHS
        }
        for label in ("harmful", "harmless")
    }
    figures["all"] = {
        f"{length:g}": share([r for r in rows if r.seconds == length]) for length in LENGTHS
    }
    figures["from_5_s"] = share(long)
    best = [row for row in baseline if row.seconds >= TARGET_FROM]
    figures["ratio_from_5_s"] = sum(r.found for r in long) / sum(r.found for r in best)
    figures["interval"] = interval(long, best)
    return figures


def interval(rows: Sequence[Row], baseline: Sequence[Row]) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of found incidents, by drawing videos anew."""
    videos = sorted({row.video for row in rows})
    found = np.array([sum(r.found for r in rows if r.video == v) for v in videos])
    best = np.array([sum(r.found for r in baseline if r.video == v) for v in videos])
    drawn = np.random.default_rng(0).integers(len(videos), size=(2000, len(videos)))
    low, high = np.quantile(found[drawn].sum(axis=1) / best[drawn].sum(axis=1), (0.025, 0.975))
    return float(low), float(high)


def measure(shared: Path, folder: Path, scenes: Sequence[str], seeds: Sequence[int]) -> Any:
    """Compose, choose and count; return all figures as plain data.

    What the rows of ``results.json`` are written from stands under the name of each scene.
    """
    rows: list[Row] = []
    frames: dict[str, list[int]] = {}
    cpu: dict[str, list[float]] = {}
    for scene in scenes:
        for seed in seeds:
            done = judge(scene, seed, *composed(shared, folder, scene, seed))
            rows += done["rows"]
            for method, count in done["frames"].items():
                frames.setdefault(method, []).append(count)
            for part, seconds in done["cpu"].items():
                cpu.setdefault(part, []).append(seconds)
    figures = {}
    for scene in scenes:
        here = [row for row in rows if row.scene == scene]
        baseline = [row for row in here if row.method == "1 frame/s"]
        figures[scene] = {
            method: summary([row for row in here if row.method == method], baseline)
            for method in METHODS
        }
    chosen = {scene: figures[scene]["select"] for scene in scenes}
    return {
        "benchmark": "frame_choice",
        "videos_a_scene": len(seeds),
        "seeds": [seeds[0], seeds[-1]],
        "seconds": SECONDS,
        "incidents_a_length_and_scene": 2 * len(seeds),
        "budget": round(SECONDS / SECONDS_A_FRAME),
        "frames": {method: float(np.mean(counts)) for method, counts in frames.items()},
        "cpu_s_a_video": {part: float(np.mean(seconds)) for part, seconds in cpu.items()},
        "target": TARGET,
        "target_met": {scene: row["ratio_from_5_s"] >= TARGET for scene, row in chosen.items()},
        **{
            scene: {
                "shares": {f"{length}_s": value for length, value in row["all"].items()},
                "ratio": row["ratio_from_5_s"],
                "interval": row["interval"],
                "evenly": figures[scene]["evenly"]["ratio_from_5_s"],
                "incidents": 2 * len(seeds) * sum(length >= TARGET_FROM for length in LENGTHS),
            }
            for scene, row in chosen.items()
        },
        "scenes": figures,
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures for a person."""

    def cells(shares: dict[str, float | None]) -> str:
        return " ".join("    -" if value is None else f"{value:5.2f}" for value in shares.values())

    lengths = " ".join(f"{length:>3g} s" for length in LENGTHS)
    lines = [f"{'':<19}frames | all: {lengths} | from 5 s against 1 frame/s"]
    for scene, methods in result["scenes"].items():
        lines.append(scene)
        for method, row in methods.items():
            low, high = row["interval"]
            lines.append(
                f"  {method:<17} {result['frames'][method]:5.0f} |      {cells(row['all'])} | "
                f"{row['ratio_from_5_s']:.2f} ({low:.2f} to {high:.2f})"
            )
            if method.startswith("select"):
                lines.append(f"  {'':<17} fights |      {cells(row['harmful'])} |")
                lines.append(f"  {'':<17} others |      {cells(row['harmless'])} |")
    parts = ", ".join(f"{name} {value:.2f}" for name, value in result["cpu_s_a_video"].items())
    return "\n".join([*lines, f"CPU seconds a video of {SECONDS:g} s: {parts}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("MMCRIME_SHARED", "../shared")
    parser.add_argument("shared", nargs="?", type=Path, default=Path(default))
    parser.add_argument("--videos", type=int, default=8, help="videos of each scene")
    parser.add_argument("--seed", type=int, default=1000, help="seed of the first video")
    parser.add_argument("--scene", action="append", choices=list(SCENES), help="default: all")
    parser.add_argument("--folder", type=Path, help="keeps the videos (default: a temporary one)")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )
    arguments = parser.parse_args()
    if not (arguments.shared / "media" / "fights" / "labels.csv").is_file():
        parser.error(f"{str(arguments.shared)!r} holds no media/fights/labels.csv.")
    folder = arguments.folder or Path(tempfile.gettempdir()) / "mmcrime-composed"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(arguments.seed, arguments.seed + arguments.videos)
    result = measure(arguments.shared, folder, arguments.scene or list(SCENES), seeds)
    print(json.dumps(result) if arguments.json else table(result))


if __name__ == "__main__":
    main()
