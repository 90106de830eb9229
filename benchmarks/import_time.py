"""CPU time of ``import mmcrime``, beyond starting Python. Goal: at most 100 ms, nothing heavy.

The lowest of several fresh processes: anything above it is the machine, not the package.
"""

from __future__ import annotations

import json
import subprocess
import sys

from _common import result

RUNS = 7
HEAVY = {
    *("numpy", "PIL", "torch", "cv2", "av", "transformers", "scipy", "sklearn", "onnxruntime"),
    *("pocketsphinx", "speech_recognition", "pydub", "faster_whisper", "httpx2", "pydantic"),
    *("openai", "anthropic", "google", "replicate", "huggingface_hub", "mmcrime_providers"),
}
CODE = """
import json, sys, time
began = time.process_time()
{what}
print(json.dumps([time.process_time() - began, sorted(sys.modules)]))
"""


def main() -> None:
    bare, _ = measure("pass")
    package, modules = measure("import mmcrime")
    everything, _ = measure("import mmcrime\nfor n in mmcrime.__all__: getattr(mmcrime, n)")
    result(
        "import_time",
        cpu_ms=round((package - bare) * 1000, 1),
        goal_cpu_ms=100,
        heavy=sorted({name.partition(".")[0] for name in modules} & HEAVY),
        every_public_name_cpu_ms=round((everything - bare) * 1000, 1),
        runs=RUNS,
    )


def measure(what: str) -> tuple[float, list[str]]:
    """Return the lowest CPU seconds of running ``what`` afresh, and the modules loaded then."""
    runs = [
        json.loads(subprocess.check_output([sys.executable, "-c", CODE.format(what=what)]))
        for _ in range(RUNS)
    ]
    seconds, modules = min(runs)
    return seconds, modules


if __name__ == "__main__":
    main()
