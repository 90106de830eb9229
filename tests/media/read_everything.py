"""Reads each file of a list as completely as the library can; one JSON line a file.

Started by the test of malformed files in a process of its own, so that a crash, a hang,
the memory and anything printed can be seen from outside.
"""

import json
import re
import sys
import time
from pathlib import Path

from mmcrime.errors import MediaError
from mmcrime.media import open_media


def read(path: str) -> dict[str, object]:
    """Open one file and decode frames, clip, sound and motion of it."""
    with open_media(path) as handle:
        media = handle.media
        if media.kind == "image":
            stills = handle.stills(max_side=1024)
            return {
                "kind": "image",
                "frames": len(stills.frames),
                "gaps": len(stills.coverage.gaps),
            }
        assert media.duration is not None
        at = [0.0, media.duration / 2, media.duration]
        sampling = handle.frames(at, max_side=1024)
        frames = list(sampling)
        assert sampling.coverage.frames == len(frames)
        keys = handle.frames(at, max_side=1024, mode="keyframes")
        assert len(list(keys)) == keys.coverage.frames
        motion = handle.motion()
        heard = sum(len(w.samples) for w in handle.audio(0.0, media.duration)) / 16_000
        return {
            "kind": media.kind,
            "duration": media.duration,
            "width": media.width,
            "height": media.height,
            "frames": len(frames),
            "moving": sum(1 for _ in handle.clip(0.0, 5.0, max_side=160, grey=True)),
            "heard": heard,
            "gaps": len(motion.coverage.gaps),
        }


def peak_mib() -> float:
    """Return the peak memory of this process (``ru_maxrss`` would inherit the parent's)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Read the files named on the standard input, one a line."""
    for line in sys.stdin:
        path = line.rstrip("\n")
        before = time.monotonic()
        try:
            outcome: dict[str, object] = read(path)
        except MediaError as error:
            named = error.source == Path(path).name and repr(error.source) in str(error)
            outcome = {"error": type(error).__name__, "named": named, "message": str(error)}
        outcome["seconds"] = time.monotonic() - before
        outcome["mib"] = peak_mib()
        outcome["file"] = path
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
