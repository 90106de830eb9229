"""The examples run as they stand, in processes of their own; so does the notebook."""

from __future__ import annotations

import ast
import asyncio
import csv
import json
import math
import os
import runpy
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mmcrime import Analyzer, Assessment, CrimeDetectionPipeline, Evidence, RunContext
from mmcrime.evidence import Frame, MediaReader
from mmcrime.reports.csv_table import COLUMNS
from mmcrime.testing import AnalyzerContract

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
RUN_BY = {
    "custom_analyzer.py": "test_an_analyzer_of_ones_own_finds_the_covered_camera",
    "folder_to_csv.py": "test_a_folder_becomes_a_table_in_which_bad_files_are_rows",
    "notebook.ipynb": "test_the_notebook_runs_and_shows_the_report",
    "one_file.py": "test_one_file_is_printed_and_written_as_a_page",
    "service.py": "test_example_service.py",
    "streaming_events.py": "test_events_are_printed_as_they_happen",
}


def start(script: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run an example with warnings as errors, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / script, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def printed(script: str, *arguments: object, folder: Path) -> str:
    done = start(script, *arguments, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_example_is_run_and_is_in_the_table() -> None:
    """A new file in examples/ needs a test and a line in the README beside it."""
    files = {p.name for p in EXAMPLES.iterdir() if p.is_file() and p.name != "README.md"}
    assert files == set(RUN_BY)
    for test in RUN_BY.values():
        assert test in globals() or (Path(__file__).parent / test).is_file()
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in files if f"| [{name}]({name}) |" not in table] == []


@pytest.mark.parametrize("name", sorted(n for n in RUN_BY if n.endswith(".py")))
def test_every_script_says_what_it_shows_and_how_to_run_it(name: str) -> None:
    docstring = ast.get_docstring(ast.parse((EXAMPLES / name).read_text(encoding="utf-8")))
    assert docstring is not None
    assert "Run it:  " in docstring
    assert name in docstring or name.removesuffix(".py") + ":app" in docstring


@pytest.mark.parametrize("name", sorted(n for n in RUN_BY if n.endswith(".py")))
def test_examples_use_no_private_name(name: str) -> None:
    tree = ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
    names = [f"{n.module}.{a.name}" for n in imported for a in n.names]
    assert [n for n in names if n.startswith("mmcrime") and "._" in n.replace(".__", ".")] == []


def test_one_file_is_printed_and_written_as_a_page(clip: Path, tmp_path: Path) -> None:
    out = printed("one_file.py", clip, folder=tmp_path)
    assert f"{clip}: undetermined (automated result, unconfirmed)" in out
    assert "because: " in out
    assert "   next: " in out
    assert "failed: analyze:motion: Not judged" in out
    assert "not examined for speech: 0.0 to 10.0 s (no_stream)" in out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"report: {tmp_path / 'report.html'}" in out
    assert page.lstrip().startswith("<!doctype html>")
    assert "covered.mp4" in page


def test_one_file_writes_its_page_where_it_is_told_and_over_nothing(
    clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("mine")
    (tmp_path / "link.html").symlink_to("nowhere.html")
    for place, arguments in (("report.html", ()), ("link.html", ("link.html",))):
        done = start("one_file.py", clip, *arguments, folder=tmp_path)
        assert done.returncode == 1
        assert done.stderr == f"'{place}' is there already. Name another file for the report.\n"
    assert (tmp_path / "report.html").read_text() == "mine"
    printed("one_file.py", clip, "other.html", folder=tmp_path)
    assert "covered.mp4" in (tmp_path / "other.html").read_text(encoding="utf-8")
    assert {p.name for p in tmp_path.iterdir()} == {"report.html", "link.html", "other.html"}


def test_one_file_does_not_replace_what_came_while_it_worked(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    main: Any = runpy.run_path(str(EXAMPLES / "one_file.py"))["main"]
    show = main.__globals__["show"]

    def show_and_be_overtaken(report: object) -> None:
        show(report)
        page.write_text("another one's")

    monkeypatch.setitem(main.__globals__, "show", show_and_be_overtaken)
    monkeypatch.setattr(sys, "argv", ["one_file.py", str(clip), str(page)])
    with pytest.raises(SystemExit, match="The report was not written: "):
        main()
    assert page.read_text() == "another one's"


def test_one_file_says_that_its_page_could_not_be_written(clip: Path, tmp_path: Path) -> None:
    done = start("one_file.py", clip, "no/such/folder.html", folder=tmp_path)
    assert done.returncode == 1
    assert "undetermined" in done.stdout  # the answer is not lost
    assert done.stderr.startswith("The report was not written: ")
    assert "Traceback" not in done.stderr


SINGLE = ("custom_analyzer.py", "one_file.py", "streaming_events.py")
"""The scripts that take one source."""


@pytest.mark.parametrize("name", SINGLE)
def test_a_source_that_cannot_be_read_ends_a_script_with_a_sentence(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    done = start(name, "broken.jpg", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("'broken.jpg': ")
    assert len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["broken.jpg"]


@pytest.mark.parametrize("name", SINGLE)
def test_a_script_fetches_nothing(name: str, tmp_path: Path) -> None:
    """Port 9 of this machine discards; nobody is asked whether it listens."""
    done = start(name, "http://127.0.0.1:9/clip.mp4", folder=tmp_path)
    assert done.returncode == 1
    assert "offline is set" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", SINGLE)
def test_a_source_that_is_not_there_ends_a_script_with_the_next_step(
    name: str, tmp_path: Path
) -> None:
    done = start(name, "nowhere.mp4", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "'nowhere.mp4': there is no such file. Check the path.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(n for n in RUN_BY if n.endswith(".py")))
def test_a_script_without_arguments_says_how_to_run_it(name: str, tmp_path: Path) -> None:
    if name == "service.py":  # it is no script: a server runs it
        return
    done = start(name, folder=tmp_path)
    assert done.returncode == 1
    assert "Run it:" in done.stderr


def test_a_folder_becomes_a_table_in_which_bad_files_are_rows(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/door.mp4").write_bytes(clip.read_bytes())
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "@SUM(1+1);=2.txt").write_text("no media")
    out = printed("folder_to_csv.py", "footage", "table.csv", folder=tmp_path)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert len(rows) == len(out.splitlines()) == 3
    table = {Path(row[0]).name: dict(zip(header, row, strict=True)) for row in rows}
    assert table["broken.jpg"]["outcome"] == "undetermined"
    assert table["broken.jpg"]["errors"] == "prepare: CorruptMediaError"
    assert table["door.mp4"]["kind"] == "video"
    assert [name for name in table if "='" not in name and ";=" in name] == []


@pytest.mark.parametrize(
    ("folder", "target", "says"),
    [
        ("nowhere", "table.csv", "'nowhere' is no folder. Name the one with the footage.\n"),
        ("footage", "footage/door.mp4", "'footage/door.mp4' lies in that folder. Name a file"),
        ("footage", "footage/sub/t.csv", "'footage/sub/t.csv' lies in that folder. Name a file"),
        ("footage", "link/t.csv", "'link/t.csv' lies in that folder. Name a file outside it.\n"),
        ("link", "footage/t.csv", "'footage/t.csv' lies in that folder. Name a file outside it.\n"),
        ("footage", "old", "'old' is a folder. Name a file.\n"),
        ("footage", "night.mp4", "'night.mp4' is no name of a table. Let it end in .csv.\n"),
        ("footage", "night.csv", "'night.csv' is no text; it stays. Name another file.\n"),
        ("footage", "latin.csv", "'latin.csv' is no text; it stays. Name another file.\n"),
        ("footage", "pipe.csv", "'pipe.csv' is no text; it stays. Name another file.\n"),
        ("footage", "left.csv", "'left.csv.part' is left from another run. Move it away first.\n"),
        ("footage", "no/such/t.csv", "[Errno 2] No such file or directory: 'no/such/t.csv.part'\n"),
    ],
)
def test_a_table_that_must_not_be_written_is_refused_before_anything_changes(
    folder: str, target: str, says: str, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "footage/sub").mkdir(parents=True)
    (tmp_path / "footage/door.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "link").symlink_to("footage")
    (tmp_path / "old").mkdir()
    for name in ("night.mp4", "night.csv"):
        (tmp_path / name).write_bytes(b"\0\0\1\xba footage")
    (tmp_path / "latin.csv").write_bytes(b"\xe9")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "left.csv.part").write_text("rows of another run")
    before = {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")}
    done = start("folder_to_csv.py", folder, target, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == 1
    assert {p: p.is_file() and p.read_bytes() for p in tmp_path.rglob("*")} == before


def test_an_older_table_stays_until_the_new_one_is_whole(clip: Path, tmp_path: Path) -> None:
    """Whatever ends the run early leaves the older table, and beside it the rows so far."""
    (tmp_path / "footage").mkdir()
    (tmp_path / "footage/a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "footage/b.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "table.csv").write_text("older")
    command = [sys.executable, "-u", EXAMPLES / "folder_to_csv.py", "footage", "table.csv"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert "a.mp4" in run.stdout.readline()
        run.kill()
    part = tmp_path / "table.csv.part"
    assert (tmp_path / "table.csv").read_text() == "older"
    assert len(part.read_text(encoding="utf-8").splitlines()) >= 2
    part.unlink()
    printed("folder_to_csv.py", "footage", "table.csv", folder=tmp_path)
    assert len((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert not part.exists()


def test_an_analyzer_of_ones_own_finds_the_covered_camera(clip: Path, tmp_path: Path) -> None:
    out = printed("custom_analyzer.py", clip, folder=tmp_path)
    assert "INCIDENT DETECTED" in out
    assert "The whole picture changed at once, for most of 2.5 s, at 5.5 s." in out
    assert "claimed" in out
    assert "lights switched on or off" in out


def test_events_are_printed_as_they_happen(clip: Path, tmp_path: Path) -> None:
    lines = printed("streaming_events.py", clip, folder=tmp_path).splitlines()
    assert lines[0].startswith("[prepared] video of 10.0 s")
    assert "[report] undetermined (automated result, unconfirmed)" in lines
    assert any(line.startswith("[assessed] sound skipped: ") for line in lines)
    assert "[spent] 0.0000 USD (local)" in lines


def test_the_events_say_why_an_analyzer_is_dead_and_why_nothing_is_decided(
    clip: Path, tmp_path: Path
) -> None:
    lines = printed("streaming_events.py", clip, folder=tmp_path).splitlines()
    assert [n for n in lines if n.startswith("[assessed] motion failed: Not judged: ")]
    ending = lines.index("[report] undetermined (automated result, unconfirmed)")
    assert lines[ending + 1].startswith("   because: Every voter failed or refused: ")
    assert "See the errors of the assessments" in lines[ending + 1]


# -- the analyzer ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def tamper() -> type[Any]:
    found: type[Any] = runpy.run_path(str(EXAMPLES / "custom_analyzer.py"))["TamperAnalyzer"]
    return found


class TestTamper(AnalyzerContract):
    """The example keeps the contract of all analyzers."""

    @pytest.fixture(autouse=True)
    def _loaded(self, tamper: type[Any]) -> None:
        self.tamper = tamper

    def make(self) -> Analyzer:
        analyzer: Analyzer = self.tamper()
        return analyzer


Footage = Callable[[Path, float, Callable[[float], bool]], Path]
TOO_CLOSE = "not_judged: too close to an end of what was decoded"


def judged(analyzer: Analyzer, source: Path) -> Assessment:
    with CrimeDetectionPipeline(analyzers=[analyzer]) as pipeline:
        (answer,) = pipeline.analyze(source).assessments
    return answer


def spans(answer: Assessment) -> list[tuple[float, float, str]]:
    """Return the whole partition of the footage: what was examined and every gap."""
    gaps = [(g.start, g.end, g.reason) for g in answer.coverage.gaps]
    return sorted([*((start, end, "examined") for start, end in answer.coverage.examined), *gaps])


def without(source: Path, target: Path, start: float, end: float) -> Path:
    """Copy a video without the packets of some seconds."""
    import av

    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.pts is not None and not start <= packet.pts * packet.time_base < end:
                packet.stream = stream
                new.mux(packet)
    return target


def test_where_nothing_is_seen_the_example_answers_undetermined(
    tamper: type[Any], clip: Path, tmp_path: Path
) -> None:
    still = without(clip, tmp_path / "still.mp4", 5.9, 11)
    with CrimeDetectionPipeline(analyzers=[tamper()]) as pipeline:
        report = pipeline.analyze(still)
    (answer,) = report.assessments
    assert (answer.status, answer.outcome, answer.probability) == ("answered", "undetermined", None)
    assert answer.alternative_interpretations == ()
    assert answer.segments == ()
    seconds = f"{answer.coverage.seconds:.1f} s"
    assert answer.evidence_description.startswith(f"In the {seconds} that were judged, the whole")
    assert report.verdict.votes_answered == 1  # as its docstring says, it is a vote


def test_both_ends_of_a_video_are_gaps_and_nothing_else_is(tamper: type[Any], clip: Path) -> None:
    """15 frames a second do not fall on each half second: no slivers are left between looks."""
    answer = judged(tamper(), clip)
    (first, start, second), (later, end, third), (last, whole, fourth) = spans(answer)
    assert (second, third, fourth) == (TOO_CLOSE, "examined", TOO_CLOSE)
    assert (first, start, end) == (0.0, later, last)
    assert (start, end, whole) == pytest.approx((2.0, 7.5, 10.0), abs=0.1)
    assert answer.coverage.frames == 20


@pytest.mark.parametrize(("seconds", "status"), [(4.4, "failed"), (5.0, "answered")])
def test_a_video_too_short_to_compare_anything_fails_the_example(
    tamper: type[Any], footage: Footage, tmp_path: Path, seconds: float, status: str
) -> None:
    """Nine looks are one too few, even if the camera is covered in the middle of them."""
    short = footage(tmp_path / "short.mp4", seconds, lambda at: at >= 2.4)
    with CrimeDetectionPipeline(analyzers=[tamper()]) as pipeline:
        report = pipeline.analyze(short)
    (answer,) = report.assessments
    assert answer.status == status
    if status == "answered":
        assert answer.outcome == "detected"
        return
    assert answer.coverage.examined == ()
    assert [(g.start, g.reason) for g in answer.coverage.gaps] == [(0.0, TOO_CLOSE)]
    assert answer.error is not None
    assert answer.error.message.startswith("Not judged: 9 looks, ")
    assert answer.error.next_step
    assert [reason.code for reason in report.verdict.reasons] == ["all_failed"]


def test_a_flash_is_no_covered_camera(tamper: type[Any], footage: Footage, tmp_path: Path) -> None:
    """A second of darkness goes away again, however much of the picture it fills."""
    flash = footage(tmp_path / "flash.mp4", 12, lambda at: 6 <= at < 7)
    answer = judged(tamper(), flash)
    assert (answer.status, answer.outcome, answer.segments) == ("answered", "undetermined", ())


def test_around_a_hole_in_the_video_nothing_is_judged(
    tamper: type[Any], footage: Footage, tmp_path: Path
) -> None:
    """The camera is covered within the hole: before it is not compared with after it."""
    whole = footage(tmp_path / "whole.mp4", 20, lambda at: at >= 10.5)
    answer = judged(tamper(), without(whole, tmp_path / "hole.mp4", 9, 12))
    assert answer.outcome == "undetermined"
    partition = spans(answer)
    assert all(a[1] == pytest.approx(b[0], abs=2e-3) for a, b in pairwise(partition))
    assert [a for a in partition if a[2] == "examined" and a[0] < 14 and a[1] > 7.1] == []
    assert {reason for start, end, reason in partition if start < 10.5 < end} == {"damaged"}
    assert answer.coverage.seconds == pytest.approx(5 + 3.5, abs=1.1)


class Watched:
    """The real reader of a run, which counts the pictures that are held, and may dawdle."""

    def __init__(self, reader: MediaReader, *, dawdle_at: float = math.inf) -> None:
        self._reader, self._dawdle_at = reader, dawdle_at
        self.held = self.most = self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def clip(self, *args: Any, **options: Any) -> Iterator[Frame]:
        for frame in self._reader.clip(*args, **options):
            if frame.time >= self._dawdle_at:
                time.sleep(1.5)
            self.looks += 1
            self.held += 1
            self.most = max(self.most, self.held)
            weakref.finalize(frame.pixels, self._let_go)
            yield frame

    def _let_go(self) -> None:
        self.held -= 1


def test_the_example_holds_few_pictures_however_long_the_video_is(
    tamper: type[Any], footage: Footage, tmp_path: Path
) -> None:
    readers: list[Watched] = []

    class Counted(tamper):  # type: ignore[misc]  # the class of a script that was run
        async def analyze(self, evidence: Evidence, context: RunContext) -> Any:
            readers.append(Watched(evidence.reader))
            return await super().analyze(replace(evidence, reader=readers[0]), context)

    answer = judged(Counted(), footage(tmp_path / "long.mp4", 40, lambda _: False))
    assert answer.status == "answered"
    assert readers[0].looks == 80
    assert readers[0].most <= 12


@pytest.mark.parametrize(
    ("dawdle_at", "status", "reasons"),
    [
        (7.0, "answered", [TOO_CLOSE, TOO_CLOSE, "deadline"]),
        (3.0, "failed", [TOO_CLOSE, "deadline"]),
        (0.0, "failed", ["deadline"]),
    ],
)
def test_what_the_deadline_left_out_is_a_gap(
    tamper: type[Any], clip: Path, dawdle_at: float, status: str, reasons: list[str]
) -> None:
    """What was judged before it stands; if that is nothing, the analyzer has failed."""

    class Late(tamper):  # type: ignore[misc]  # the class of a script that was run
        async def analyze(self, evidence: Evidence, context: RunContext) -> Any:
            reader = Watched(evidence.reader, dawdle_at=dawdle_at)
            context = replace(context, deadline=asyncio.get_running_loop().time() + 1.5)
            return await super().analyze(replace(evidence, reader=reader), context)

    answer = judged(Late(), clip)
    assert answer.status == status
    assert [gap.reason for gap in answer.coverage.gaps] == reasons
    last = answer.coverage.gaps[-1]
    assert (last.start, last.end) == pytest.approx((dawdle_at, 10.0), abs=0.6)
    if status == "failed":
        assert answer.error is not None
        assert "until the deadline" in answer.error.message
        assert answer.error.next_step == "Allow more time."
        assert answer.coverage.examined == ()


# -- the notebook ---------------------------------------------------------------------

EXECUTE = """
import json, sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
where = {"metadata": {"path": sys.argv[2]}}
NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()
print(json.dumps([cell.get("outputs", []) for cell in notebook.cells]))
"""


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert [c for c in cells if c["outputs"] or c["execution_count"] is not None] == []
    assert "synthetic" in "".join(notebook["cells"][0]["source"])


@pytest.mark.slow
def test_the_notebook_runs_and_shows_the_report(tmp_path: Path) -> None:
    """In a real kernel, of this interpreter, that finds nothing of the user's own set-up."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    variables = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    own = dict.fromkeys((*variables, "JUPYTER_RUNTIME_DIR"), str(home))
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, EXAMPLES / "notebook.ipynb", work],
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    everything = [output for cell in outputs for output in cell]
    assert [o for o in everything if o["output_type"] == "error" or o.get("name") == "stderr"] == []
    shown = [o["data"]["text/html"] for o in everything if "text/html" in o.get("data", {})]
    assert len(shown) == 1
    assert "automated result, unconfirmed" in "".join(shown[0]).lower()
    assert outputs[-1][0]["text"].strip() == sys.executable
    assert {path.name for path in work.iterdir()} == {"scene.mp4", "report.html"}
