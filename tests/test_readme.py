"""The README's commands do what they say: every block is run, or checked against the tree."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import uvicorn

from mmcrime.cli import codes
from pages import (
    KNOWN,
    PROJECT,
    ROOT,
    blocks,
    broken_links,
    check_pip_line,
    make_footage,
    run_line,
    run_python,
)

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
    """The six lines of FastAPI, saved and served as the README says, asked by its curl line."""
    (body,) = SERVICE
    (saved,) = re.findall(r"saved as `(\S+)`", README)
    (line,) = (line for line in SHELL if line.startswith("curl "))
    _, option, form, address = shlex.split(line, comments=True)
    field, _, name = form.partition("=@")
    asked = urlsplit(address)
    default = inspect.signature(uvicorn.Config).parameters["port"].default
    assert (option, asked.hostname, asked.port) == ("-F", "127.0.0.1", default)
    assert any(line.endswith(f"uvicorn {Path(saved).stem}:app") for line in SHELL)
    (tmp_path / saved).write_text(body, encoding="utf-8")
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
        with (footage / name).open("rb") as file:
            answer = httpx2.post(
                url + asked.path, files={field: (name, file)}, timeout=60, trust_env=False
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


def test_the_exit_codes_of_the_readme_are_those_of_the_code() -> None:
    (line,) = (line for line in README.splitlines() if line.startswith("[Exit codes]"))
    said = dict(re.findall(r"\b(\d+) ([a-z]+)", line.partition(":")[2]))
    assert said == {
        "0": "done",
        str(codes.CONFIG): "configuration",
        str(codes.MEDIA): "media",
        str(codes.PROVIDERS): "no",
        str(codes.BUDGET): "budget",
        str(codes.FOUND): "detected",
        str(codes.UNDETERMINED): "undetermined",
    }


def test_links_lead_to_places_of_the_tree() -> None:
    """To files, and to the headings in them."""
    others = (ROOT / name for name in ("CONTRIBUTING.md", "examples/README.md"))
    for page in (ROOT / "README.md", *others, *ROOT.glob("docs/**/*.md")):
        assert broken_links(page) == []


def test_a_link_to_a_heading_that_is_gone_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One `two`\n[a](#one-two) [b](#three) [c](none.md)\n", encoding="utf-8")
    assert broken_links(page) == ["page.md: #three", "page.md: none.md#"]


def test_the_picture_of_a_report_is_small_enough_for_a_slow_line() -> None:
    pictures = re.findall(r'<img src="([^"]+)"', README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size <= 250_000
