"""Peak memory for a long 720p file. Goal: under 400 MiB for 60 minutes, flat over the length.

A short clip is encoded once and its packets are repeated, so that making the file costs little.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import make_clip, repeat_clip, result

# 512 pictures at 25 a second and 960 AAC frames at 48 kHz: repeats join without a seam.
CLIP_SECONDS = 20.48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="length of the file (60)")
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        # In a process of its own, which keeps the encoder's memory out of this one: a child
        # starts its life with the peak of its parent.
        maker = multiprocessing.get_context("spawn").Process(
            target=make_film, args=(film, minutes * 60)
        )
        maker.start()
        maker.join()
        began = time.perf_counter()
        peak, cpu, report = analyse(film)
        result(
            "memory",
            media_minutes=minutes,
            file_mb=round(film.stat().st_size / 1e6, 1),
            peak_mib=round(peak / 1024, 1),
            goal_mib=400,
            wall_s=round(time.perf_counter() - began, 1),
            cpu_s=round(cpu, 1),
            duration=report["media"]["duration"],
            analyzers={a["analyzer"]: a["status"] for a in report["assessments"]},
        )


def make_film(path: Path, seconds: float) -> None:
    """Write ``seconds`` of footage by repeating the packets of one clip."""
    clip = path.with_name("clip.mp4")
    make_clip(clip, seconds=CLIP_SECONDS)
    repeat_clip(clip, path, seconds=CLIP_SECONDS, times=max(1, round(seconds / CLIP_SECONDS)))


def analyse(film: Path) -> tuple[int, float, dict[str, Any]]:
    """Return peak KiB of resident memory, CPU seconds and the report of a fresh process."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mmcrime", "analyze", film, "--json", "--offline"],
            stdout=output,
        )
        # wait4 gives the usage of this one child; the field holds the whole film.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"mmcrime analyze ended with {process.returncode}")
        output.seek(0)
        return usage.ru_maxrss, usage.ru_utime + usage.ru_stime, json.load(output)


if __name__ == "__main__":
    main()
