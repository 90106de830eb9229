"""Size of the base install on disk. Goal: at most 500 MB, without torch and moviepy.

Builds the wheel and installs it with the pinned dependencies into a fresh environment; needs
the package index. pip itself is not counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from _common import result

ROOT = Path(__file__).resolve().parent.parent
UNWANTED = ("torch", "moviepy", "sklearn", "faster_whisper", "imageio_ffmpeg")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        pip = [sys.executable, "-m", "pip"]
        wheel = [*pip, "wheel", "-qq", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(wheel, check=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", room / "venv"], check=True)
        python = str(room / "venv/bin/python")
        install = [*pip, "--python", python, "install", "-qq", "-c", str(ROOT / "constraints.txt")]
        subprocess.run([*install, *map(str, room.glob("*.whl"))], check=True)
        (site,) = (room / "venv").glob("lib/python*/site-packages")
        sizes = {entry.name: size(entry) for entry in site.iterdir()}
        largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:6]
        result(
            "install_size",
            mb=megabytes(sum(sizes.values())),
            goal_mb=500,
            unwanted=[name for name in UNWANTED if (site / name).exists()],
            largest_mb={name: megabytes(sizes[name]) for name in largest},
        )


def size(entry: Path) -> int:
    """Return the bytes that a file, or everything in a folder, takes on disk."""
    paths = [entry, *entry.rglob("*")] if entry.is_dir() else [entry]
    return sum(path.lstat().st_blocks * 512 for path in paths)


def megabytes(count: int) -> float:
    return round(count / 1e6, 1)


if __name__ == "__main__":
    main()
