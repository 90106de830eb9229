"""Freeze a fresh Python 3.11 environment of ``mmcrime[all,dev,docs]`` into constraints.txt.

Run it with ``make lock``. The file holds names and versions only: no hosts, no paths, no
local version suffixes, so that it fits every package index and every machine.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
PYTHON = (3, 11)  # the oldest release we support: what resolves there resolves on later ones
PINNED = {
    # No extra needs torch yet. A plug-in that does would otherwise bring whatever build is
    # newest, gigabytes of GPU libraries with it, and differently on every machine.
    "torch": "2.13.0",
}
HEADER = """\
# What the project is tested with. Made by `make lock`, never by hand.
# Use: pip install -c constraints.txt "mmcrime[all]"
"""
TORCH_NOTE = (
    "# Nothing here needs torch; the pin is for plug-ins that do. Unpinned, torch pulls gigabytes."
)


def main() -> int:
    """Resolve, freeze and write; return the exit status."""
    python = _python()
    with tempfile.TemporaryDirectory() as room:
        environment = Path(room) / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
        # pip works from outside, so that it and its helpers are not frozen with the rest.
        pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
        subprocess.run([*pip, "install", "-qq", f"{ROOT}[all,dev,docs]"], check=True)
        listed = subprocess.run(
            [*pip, "list", "--format=json"], check=True, capture_output=True, text=True
        )
    TARGET.write_text(render({p["name"]: p["version"] for p in json.loads(listed.stdout)}))
    print(f"{TARGET.name}: {len(TARGET.read_text().splitlines())} lines")
    return 0


def render(versions: dict[str, str]) -> str:
    """Return the text of constraints.txt for installed names and versions."""
    pins = {_canonical(name): version.partition("+")[0] for name, version in versions.items()}
    pins.pop("mmcrime", None)
    pins.update(PINNED)
    lines = []
    for name in sorted(pins):
        if name == "torch":
            lines.append(TORCH_NOTE)
        lines.append(f"{name}=={pins[name]}")
    return HEADER + "\n".join(lines) + "\n"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _python() -> str:
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    found = shutil.which("python{}.{}".format(*PYTHON))
    if found is None:
        sys.exit("constraints.txt is made with Python 3.11: install python3.11 first.")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
