"""What the README and the documentation hold: their fenced blocks, and the footage they name."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmcrime.testing import WireReply, wire_server

ROOT = Path(__file__).resolve().parent.parent
_FENCE = re.compile(r"^```[ ]*(?P<info>[^`\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
KNOWN = (
    "mmcrime ",
    "make ",
    "pip install ",
    "python3 -m venv ",
    ". .venv/",
    "export ",
    "uvicorn ",
    "curl ",
    "python examples/",
    "python benchmarks/",
)
"""How the shell lines begin that the tests run or check."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    number: int
    language: str
    body: str

    @property
    def label(self) -> str:
        return f"{self.page}-{self.number}"

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block."""
        return [line for line in self.body.splitlines() if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    name = str(page.relative_to(ROOT))
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(name, n, match["info"].strip(), match["body"]) for n, match in enumerate(found)]


def make_footage(folder: Path) -> None:
    """Write the files that the pages name: ``clip.mp4``, ``footage/`` and ``clips/``."""
    import av
    import numpy as np

    noise = np.random.default_rng(5).integers(60, 160, (120, 160, 3), dtype=np.uint8)
    with av.open(str(folder / "clip.mp4"), "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(30):
            picture = np.roll(noise, number, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    for name in ("footage", "clips"):
        (folder / name).mkdir()
        shutil.copy(folder / "clip.mp4", folder / name / "door.mp4")


def run(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command where the footage is, as a reader would."""
    # A browser that opens nothing: `mmcrime demo --open` must not look for one here.
    env = {**os.environ, "BROWSER": "true", **(env or {})}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def run_line(line: str, folder: Path) -> None:
    """Run one ``mmcrime`` line and expect the exit codes that a reader expects."""
    arguments = shlex.split(line, comments=True)[1:]
    with _reachable(line) as env:
        done = run([sys.executable, "-m", "mmcrime", *arguments], folder, env)
    # 10 and 11 are what --fail-on is there to say.
    allowed = {0, 10, 11} if "--fail-on" in arguments else {0}
    assert done.returncode in allowed, done.stdout + done.stderr


def run_python(body: str, folder: Path) -> None:
    """Run a Python block as a program; it works and shows something."""
    with _reachable(body) as env:
        done = run(
            [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", body], folder, env
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@contextmanager
def _reachable(text: str) -> Iterator[dict[str, str]]:
    """Serve OpenAI's protocol on loopback for what names ``openai``, and give its environment.

    The address, the key, a model and its price are what a reader's account would bring.
    """
    if "openai" not in text:
        yield {}
        return
    with wire_server(_answer({"colour": "blue"} if "check" in text else _CALM)) as server:
        yield {
            "OPENAI_BASE_URL": f"{server.url}/v1",
            "OPENAI_API_KEY": "key-of-a-reader",
            "MMCRIME_PROVIDERS__OPENAI__MODEL": "model-of-a-reader",
            "MMCRIME_PROVIDERS__OPENAI__PRICE__INPUT_PER_MILLION": "1",
            "MMCRIME_PROVIDERS__OPENAI__PRICE__OUTPUT_PER_MILLION": "4",
        }
        assert server.requests, "nobody was asked"


_CALM = {
    "observations": ["Grey noise drifts to the right."],
    "incident": "no",
    "crime_type": "none",
    "probability": 0.1,
    "severity": "none",
    "description": "Nothing but noise.",
    "alternative_interpretations": [],
    "segments": [],
    "text_seen": "",
    "instructions_seen": False,
}


def _answer(said: Mapping[str, object]) -> WireReply:
    part = {"type": "output_text", "text": json.dumps(said)}
    message = {"type": "message", "role": "assistant", "content": [part]}
    usage = {"input_tokens": 900, "output_tokens": 90}
    body = {"status": "completed", "model": "model-of-a-reader", "output": [message]}
    return WireReply(body={**body, "error": None, "usage": usage})


def check_pip_line(line: str) -> None:
    """The extras, the constraints and the folders that a pip line names are there."""
    for named in re.findall(r"\[([\w,]+)\]", line):
        assert set(named.split(",")) <= set(PROJECT["optional-dependencies"]), line
    for path in re.findall(r"-c (\S+)|(\./\S+)", line):
        assert (ROOT / "".join(path)).exists(), line


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page make."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title).strip().lower() for title in titles)
    return {re.sub(r"\s+", "-", title) for title in plain}


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to files, or places in them, that are not there."""
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text("utf-8")):
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{page.name}: {target}#{anchor}")
    return broken
