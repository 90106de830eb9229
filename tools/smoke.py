"""Use an installed mmcrime as a stranger would, where no ffmpeg is on the PATH.

Run it with the interpreter of an environment that holds nothing but the wheel and its base
dependencies, outside the source tree: ``python -I tools/smoke.py``. Exit status 0 means that the
command line made a valid report of a clip, and that nothing heavy or foreign was needed.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np

import mmcrime

RATE = 16_000
FPS = 10
SECONDS = 4


def main() -> int:
    """Check the environment, make a clip, analyse it, read the report back."""
    check(
        Path(mmcrime.__file__).is_relative_to(sys.prefix),
        f"the wheel is tested, not {mmcrime.__file__}",
    )
    for tool in ("ffmpeg", "ffprobe", "ffplay"):
        check(shutil.which(tool) is None, f"no {tool} on the PATH")
    for module in ("torch", "moviepy", "sklearn", "faster_whisper"):
        check(find_spec(module) is None, f"no {module} in the base install")
    program = Path(sys.prefix) / "bin" / "mmcrime"
    with tempfile.TemporaryDirectory() as room:
        clip = Path(room) / "clip.mp4"
        make_clip(clip)
        done = subprocess.run(
            [program, "analyze", clip, "--json", "--offline"],
            cwd=room,
            capture_output=True,
            text=True,
            check=False,
        )
        check(done.returncode == 0, f"exit status 0, got {done.returncode}:\n{done.stderr}")
        (line,) = done.stdout.splitlines()
        report = mmcrime.Report.from_json(line)
        check(report.media.kind == "video" and report.media.has_audio is True, "a video with sound")
        check(report.egress == (), "nothing left this machine")
        check(report.coverage.video.frames > 0, "pictures were looked at")
        voices = {assessment.analyzer: assessment.status for assessment in report.assessments}
        check(voices.get("motion") == "answered", f"motion answered: {voices}")
        check(voices.get("sound") == "answered", f"sound answered: {voices}")
        page = report.to_html()
        check("<h1>" in page and "@media print" in page, "a page with its templates")
        check(json.loads(line)["verdict"]["outcome"] == report.verdict.outcome, "one outcome")
        doctor = subprocess.run([program, "doctor"], capture_output=True, text=True, check=False)
        check(doctor.returncode == 0, f"doctor is content:\n{doctor.stdout}{doctor.stderr}")
        check("\nbroken " not in doctor.stdout, f"nothing is broken:\n{doctor.stdout}")
        check('pip install "mmcrime[whisper]"' in " ".join(doctor.stdout.split()), "a pip line")
    print(f"smoke: mmcrime {mmcrime.__version__} on Python {sys.version.split()[0]}: ok")
    return 0


def check(holds: bool, what: str) -> None:
    """Stop with exit status 1 unless ``holds``."""
    if not holds:
        sys.exit(f"smoke: expected: {what}")


def make_clip(path: Path) -> None:
    """Write a square that moves over noise, with a tone, as MP4 (MPEG-4 part 2 and AAC)."""
    noise = np.random.default_rng(7).integers(60, 120, (240, 320, 3), dtype=np.uint8)
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=FPS)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(FPS * SECONDS):
            picture = noise.copy()
            left = 20 + number * 5
            picture[80:160, left : left + 60] = (230, 220, 210)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        times = np.arange(RATE * SECONDS, dtype=np.float32) / RATE
        tone = (0.2 * np.sin(2 * math.pi * 440 * times)).astype(np.float32)[np.newaxis]
        for start in range(0, tone.shape[1], 1024):
            block = np.ascontiguousarray(tone[:, start : start + 1024])
            sound = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = RATE, start
            container.mux(audio.encode(sound))
        container.mux(audio.encode())


if __name__ == "__main__":
    raise SystemExit(main())
