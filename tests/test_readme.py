"""The README's commands do what they say: every block is run, or checked against the tree."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from pages import KNOWN, PROJECT, ROOT, blocks, check_pip_line, make_footage, run_line, run_python

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(ROOT / "README.md")
PYTHON = [b.body for b in BLOCKS if b.language == "python"]
SERVICE = [body for body in PYTHON if "FastAPI" in body]
SCRIPTS = [body for body in PYTHON if "FastAPI" not in body]
SHELL = [line for b in BLOCKS if b.language == "bash" for line in b.commands]
TABLE = re.findall(r"`(mmcrime [^`]+)`", README)
MMCRIME = list(dict.fromkeys([*(x for x in SHELL if x.startswith("mmcrime ")), *TABLE]))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README names."""
    folder = tmp_path_factory.mktemp("readme")
    make_footage(folder)
    return folder


@pytest.fixture
def footage(films: Path, tmp_path: Path) -> Path:
    """A fresh copy, so that no line finds what another one wrote."""
    return shutil.copytree(films, tmp_path / "here")


@pytest.mark.parametrize("block", SCRIPTS, ids=range(len(SCRIPTS)))
def test_python_blocks_run(block: str, footage: Path) -> None:
    run_python(block, footage)


@pytest.mark.parametrize("line", MMCRIME)
def test_command_lines_run(line: str, footage: Path) -> None:
    """Those of the table too."""
    run_line(line, footage)


def test_a_page_and_a_folder_of_pages_are_where_the_table_says(footage: Path) -> None:
    for line in MMCRIME:
        if "-o report" in line:
            run_line(line, footage)
    assert "<html" in (footage / "report.html").read_text(encoding="utf-8")
    assert (footage / "reports/index.html").is_file()
    assert list((footage / "reports/reports").glob("*.html"))


def test_the_service_takes_an_upload_and_gives_its_report(footage: Path, tmp_path: Path) -> None:
    """The six lines of FastAPI, served by uvicorn."""
    (body,) = SERVICE
    (tmp_path / "service.py").write_text(body, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(150):
            if server.poll() is not None:
                pytest.fail(server.stderr.read() if server.stderr else "the service ended")
            try:
                assert httpx2.get(f"{url}/openapi.json", trust_env=False).status_code == 200
                break
            except httpx2.ConnectError:
                time.sleep(0.1)
        with (footage / "clip.mp4").open("rb") as file:
            answer = httpx2.post(
                f"{url}/reports", files={"file": ("clip.mp4", file)}, timeout=60, trust_env=False
            )
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert report["verdict"]["outcome"] in ("detected", "not_detected", "undetermined")
    assert report["media"]["kind"] == "video"
    assert report["media"]["name"] == "clip.mp4"


def test_the_examples_are_as_short_as_the_readme_says() -> None:
    """A newcomer reads six lines of each, and no more."""
    for body in PYTHON:
        assert sum(bool(line.strip()) for line in body.splitlines()) <= 6


def test_make_lines_name_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {shlex.split(line, comments=True)[1] for line in SHELL if line.startswith("make ")}
    assert {"demo", "test"} <= named <= targets


def test_pip_lines_name_extras_and_files_that_exist() -> None:
    for line in (line for line in SHELL if "pip install" in line):
        check_pip_line(line)
    for named in re.findall(r'`"\.\[(\w+)\]"`', README):
        assert named in PROJECT["optional-dependencies"]


def test_no_block_is_left_unchecked() -> None:
    assert {b.language for b in BLOCKS} <= {"python", "bash", "text"}
    assert [line for line in SHELL if not line.startswith(KNOWN)] == []


def test_links_lead_to_files_of_the_tree() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_picture_of_a_report_is_small_enough_for_a_slow_line() -> None:
    pictures = re.findall(r'<img src="([^"]+)"', README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size <= 250_000
