"""``mmcrime demo`` from end to end, in a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmcrime.cli.demo import command
from mmcrime.errors import ConfigError
from mmcrime.reports import html
from mmcrime.reports.words import clock, span
from mmcrime.testing.footage import BANG, STRUGGLE, TITLE, write_footage
from report_samples import report

SYNTHETIC = "SYNTHETIC SCENE: this shows the machinery, not accuracy."
OURS = f"{html.GENERATOR} {TITLE} {SYNTHETIC}"


def demo(folder: Path, *arguments: str, browser: str = "false") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mmcrime", "demo", "-o", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "BROWSER": browser},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a demo of an earlier version left, and somebody's note."""
    folder = tmp_path_factory.mktemp("demo")
    write_footage(folder / "synthetic-street.mp4", start=0.0, end=0.2)
    (folder / "report.html").write_text(
        f"<!doctype html>\n{html.GENERATOR}\n<p>of an older demo: {SYNTHETIC}"
    )
    (folder / "note.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    """The demo, run once: with a browser that writes down what it is to open."""
    opener = folder / "opener.py"
    opener.write_text(
        f"import pathlib, sys\npathlib.Path({str(folder / 'opened')!r}).write_text(sys.argv[1])\n"
    )
    browser = f"{shlex.quote(sys.executable)} {shlex.quote(str(opener))} %s"
    return demo(folder, "--open", browser=browser)


@pytest.mark.slow
def test_it_says_first_and_last_that_the_scene_is_synthetic(
    done: subprocess.CompletedProcess[str],
) -> None:
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith(SYNTHETIC)
    assert done.stdout.count(SYNTHETIC) == 2
    assert SYNTHETIC in done.stdout.splitlines()[-3:]
    assert len(done.stdout.splitlines()) < 24


@pytest.mark.slow
def test_it_prints_the_result_beside_what_was_drawn(
    done: subprocess.CompletedProcess[str],
) -> None:
    out = done.stdout
    assert "AUTOMATED RESULT, UNCONFIRMED\nIncident detected\n" in out
    assert f"- {clock(BANG)}" in out
    assert "Gunshot or similar bang" in out
    assert "- motion says: " in out
    assert f"two struggle {span(*STRUGGLE)}" in " ".join(out.split())
    assert "Nothing left this machine." in out


@pytest.mark.slow
def test_it_writes_scene_and_report_over_those_of_an_earlier_demo_and_nothing_else(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "note.txt", "opened", "opener.py", "report.html", "synthetic-street.mp4",
    ]  # fmt: skip
    assert (folder / "synthetic-street.mp4").stat().st_size > 500_000
    page = (folder / "report.html").read_text()
    assert html.GENERATOR in page
    assert page.rstrip().endswith("</html>")
    assert "of an older demo" not in page
    assert (folder / "note.txt").read_text() == "mine"


@pytest.mark.slow
def test_the_page_says_that_it_is_synthetic_and_what_was_drawn(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    page = (folder / "report.html").read_text()
    head = page[: page.index("unconfirmed", page.index("<main>"))]
    assert "SYNTHETIC" in head[head.index("<body>") :]  # above the verdict
    assert SYNTHETIC in page
    assert f"two struggle {span(*STRUGGLE)}" in page


@pytest.mark.slow
def test_it_prints_the_path_of_the_report_and_opens_it_when_asked(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    uri = (folder / "report.html").as_uri()
    assert str(folder / "report.html") in done.stdout
    assert uri in done.stdout
    assert (folder / "opened").read_text() == uri


@pytest.mark.parametrize("name", ["synthetic-street.mp4", "report.html"])
@pytest.mark.parametrize("kind", ["text", "link", "folder"])
def test_it_replaces_no_file_that_is_not_its_own(tmp_path: Path, name: str, kind: str) -> None:
    """Nor does it follow a link, even to a file of its own."""
    folder, target = tmp_path / "demo", tmp_path / "target"
    folder.mkdir()
    target.write_text(OURS)
    there = folder / name
    if kind == "folder":
        there.mkdir()
    elif kind == "link":
        there.symlink_to(target)
    else:
        there.write_text("mine")
    done = demo(folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{str(there)!r} is there already" in done.stderr
    assert "next: Name another folder" in done.stderr
    assert [path.name for path in folder.iterdir()] == [name]
    assert kind != "text" or there.read_text() == "mine"
    assert target.read_text() == OURS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report.html", f"{html.GENERATOR}<p>a report on real footage"),
        ("report.html", f"{SYNTHETIC} in a page of somebody else"),
        ("report.html", OURS + " " * 20_000_000),
        ("synthetic-street.mp4", OURS + " " * 10_000_000),
    ],
)
def test_a_report_on_footage_and_a_file_of_another_size_stay(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    done = demo(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not from an earlier demo" in done.stderr
    assert (tmp_path / name).read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["synthetic-street.mp4", "report.html"])
def test_what_appears_in_the_middle_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def drawn(scene: Path) -> None:
        write_footage(scene, start=0.0, end=0.2)
        (tmp_path / name).write_text("theirs")

    monkeypatch.setattr("mmcrime.testing.footage.write_footage", drawn)
    monkeypatch.setattr("mmcrime.cli.demo._analyzed", lambda _: report())
    with pytest.raises(ConfigError, match="is not from an earlier demo"):
        command(str(tmp_path))
    assert (tmp_path / name).read_text() == "theirs"
    assert not list(tmp_path.glob(".*"))


def test_an_empty_folder_name_is_2_and_not_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="empty text"):
        command("")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_of_stdout_that_left_is_not_told_as_a_folder_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "mmcrime", "demo", "-o", str(tmp_path / "demo")]
    done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode != 0
    assert "cannot be written" not in done.stderr


def test_a_folder_that_cannot_be_made_is_2_with_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = demo(tmp_path / "file" / "demo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 2


def test_a_browser_that_does_not_open_is_a_remark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmcrime.cli.demo import _open

    monkeypatch.setenv("BROWSER", "false")
    monkeypatch.setenv("PATH", "/usr/bin-without-browsers")
    monkeypatch.setattr("webbrowser._tryorder", None)  # what it found before is forgotten
    _open(tmp_path / "report.html")
    assert "open the report by hand" in capsys.readouterr().err
