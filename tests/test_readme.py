"""The README's commands do what they say: every block is run, or checked against the tree."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [body for language, body in BLOCKS if language == "python"]
SHELL = [
    line
    for language, body in BLOCKS
    if language == "bash"
    for line in body.splitlines()
    if line and not line.startswith("#")
]
MMCRIME = [line for line in SHELL if line.startswith("mmcrime ")]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README names."""
    import av
    import numpy as np

    folder = tmp_path_factory.mktemp("readme")
    noise = np.random.default_rng(5).integers(60, 160, (120, 160, 3), dtype=np.uint8)
    (folder / "footage").mkdir()
    for path in (folder / "clip.mp4", folder / "footage/door.mp4"):
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            for number in range(30):
                picture = np.roll(noise, number, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return folder


def in_footage(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(block: str, footage: Path) -> None:
    done = in_footage([sys.executable, "-c", block], footage)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("line", MMCRIME)
def test_command_lines_run(line: str, footage: Path) -> None:
    arguments = shlex.split(line, comments=True)[1:]
    done = in_footage([sys.executable, "-m", "mmcrime", *arguments], footage)
    # 10 and 11 are what --fail-on is there to say.
    allowed = {0, 10, 11} if "--fail-on" in arguments else {0}
    assert done.returncode in allowed, done.stdout + done.stderr


def test_make_lines_name_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {shlex.split(line, comments=True)[1] for line in SHELL if line.startswith("make ")}
    assert {"demo", "test"} <= named <= targets


def test_pip_lines_name_extras_and_files_that_exist() -> None:
    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    for line in (line for line in SHELL if "pip install" in line):
        for named in re.findall(r"\[([\w,]+)\]", line):
            assert set(named.split(",")) <= extras, line
        for path in re.findall(r"-c (\S+)|(\./\S+)", line):
            assert (ROOT / "".join(path)).exists(), line


def test_no_block_is_left_unchecked() -> None:
    assert {language for language, _ in BLOCKS} <= {"python", "bash", "text"}
    known = (
        "mmcrime ",
        "make ",
        "pip install ",
        "python3 -m venv ",
        ". .venv/",
        "git clone ",
        "cd ",
    )
    assert [line for line in SHELL if not line.startswith(known)] == []


def test_links_lead_to_files_of_the_tree() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
