"""Freeze fresh Python 3.11 environments into constraints.txt and constraints-gemini-legacy.txt.

Run it with ``make lock``. The files hold names and versions only: no hosts, no paths, no
local version suffixes, so that they fit every package index and every machine.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (3, 11)  # the oldest release we support: what resolves there resolves on later ones


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One environment and the file that says what is in it.

    Attributes:
        target: The file.
        what: What it is, for the head of the file.
        extras: Extras of mmcrime.
        beside: What the tests need beside these, where the developers' extra does not fit in.
        wanted: What to install with it.
        pinned: Versions of what is not installed.
        note: The line above these.
    """

    target: Path
    what: str
    extras: str
    wanted: str
    beside: tuple[str, ...] = ()
    pinned: dict[str, str] = field(default_factory=dict)
    note: str = ""


LOCKS = (
    Lock(
        target=ROOT / "constraints.txt",
        what="the project",
        extras="all,dev,docs",
        wanted="mmcrime[all]",
        # No extra needs torch yet. A plug-in that does would otherwise bring whatever build is
        # newest, gigabytes of GPU libraries with it, and differently on every machine.
        pinned={"torch": "2.13.0"},
        note="# Nothing here needs torch; the pin is for plug-ins that do. "
        "Unpinned, torch pulls gigabytes.",
    ),
    Lock(
        # Its SDK holds protobuf below 6, and the exporter of [otel] wants it newer.
        target=ROOT / "constraints-gemini-legacy.txt",
        what="the provider gemini-legacy",
        extras="gemini-legacy",
        wanted="mmcrime[gemini-legacy]",
        beside=("hypothesis", "jsonschema-rs", "pytest"),
    ),
)
HEADER = """\
# What {what} is tested with. Made by `make lock`, never by hand.
# Use: pip install -c {name} "{wanted}"
"""


def main() -> int:
    """Resolve, freeze and write each; return the exit status."""
    python = _python()
    for lock in LOCKS:
        lock.target.write_text(render(installed(python, lock), lock), encoding="utf-8")
        print(f"{lock.target.name}: {len(lock.target.read_text().splitlines())} lines")
    return 0


def installed(python: str, lock: Lock) -> dict[str, str]:
    """Return names and versions in a fresh environment."""
    with tempfile.TemporaryDirectory() as room:
        environment = Path(room) / "venv"
        subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)
        # pip works from outside, so that it and its helpers are not frozen with the rest.
        pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
        wanted = [f"{ROOT}[{lock.extras}]", *lock.beside]
        subprocess.run([*pip, "install", "-qq", *wanted], check=True)
        listed = subprocess.run(
            [*pip, "list", "--format=json"], check=True, capture_output=True, text=True
        )
    return {p["name"]: p["version"] for p in json.loads(listed.stdout)}


def render(versions: dict[str, str], lock: Lock) -> str:
    """Return the text of the file for installed names and versions."""
    pins = {_canonical(name): version.partition("+")[0] for name, version in versions.items()}
    pins.pop("mmcrime", None)
    pins.update(lock.pinned)
    lines = []
    for name in sorted(pins):
        if name in lock.pinned:
            lines.append(lock.note)
        lines.append(f"{name}=={pins[name]}")
    head = HEADER.format(what=lock.what, name=lock.target.name, wanted=lock.wanted)
    return head + "\n".join(lines) + "\n"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _python() -> str:
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    found = shutil.which("python{}.{}".format(*PYTHON))
    if found is None:
        sys.exit("Constraints are made with Python 3.11: install python3.11 first.")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
