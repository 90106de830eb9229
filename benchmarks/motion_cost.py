"""What the motion analyzer costs beside plain decoding of the same file.

    python benchmarks/motion_cost.py FILE [FILE ...]

Prints JSON: for each file the CPU seconds of decoding every frame and nothing else, those
of the analyzer (which decodes too), and their ratio.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import av

from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.egress import Gate
from mmcrime.evidence import Evidence
from mmcrime.media import open_media
from mmcrime.plugins import RunContext

Result = TypeVar("Result")
REPEATS = 3  # the least of some runs: other load only ever adds


def decode(path: Path) -> int:
    with path.open("rb") as file, av.open(file, "r", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "FRAME"
        return len([frame.pts for frame in container.decode(stream)])


def analyse(path: Path) -> str:
    context = RunContext(request_id="benchmark", egress=Gate(offline=True))
    with open_media(path) as handle:
        evidence = Evidence(media=handle.media, reader=handle)
        said = asyncio.run(MotionAnalyzer().analyze(evidence, context))
    return f"{said.status} {said.outcome} {said.probability}"


def cpu(work: Callable[[Path], Result], path: Path) -> tuple[float, Result]:
    start = time.process_time()
    result = work(path)
    best = time.process_time() - start
    for _ in range(REPEATS - 1):
        start = time.process_time()
        result = work(path)
        best = min(best, time.process_time() - start)
    return best, result


def main() -> None:
    rows = []
    for name in sys.argv[1:]:
        path = Path(name)
        plain, frames = cpu(decode, path)
        full, said = cpu(analyse, path)
        rows.append(
            {
                "file": path.name,
                "frames": frames,
                "decode_cpu_s": round(plain, 3),
                "motion_cpu_s": round(full, 3),
                "ratio": round(full / plain, 2),
                "said": said,
            }
        )
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
