"""The examples run as they stand, in processes of their own; so does the notebook."""

from __future__ import annotations

import ast
import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmcrime import Analyzer, CrimeDetectionPipeline
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


def test_one_file_that_cannot_be_read_ends_with_the_next_step(tmp_path: Path) -> None:
    done = start("one_file.py", "nowhere.mp4", folder=tmp_path)
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


def test_an_analyzer_of_ones_own_finds_the_covered_camera(clip: Path, tmp_path: Path) -> None:
    out = printed("custom_analyzer.py", clip, folder=tmp_path)
    assert "INCIDENT DETECTED" in out
    assert "The whole picture changed for good at 5.5 s." in out
    assert "claimed" in out
    assert "lights switched on or off" in out


def test_events_are_printed_as_they_happen(clip: Path, tmp_path: Path) -> None:
    lines = printed("streaming_events.py", clip, folder=tmp_path).splitlines()
    assert lines[0].startswith("[prepared] video of 10.0 s")
    assert lines[-1] == "[report] undetermined (automated result, unconfirmed)"
    assert any(line.startswith("[assessed] sound skipped: ") for line in lines)
    assert "[spent] 0.0000 USD (local)" in lines


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


def test_where_nothing_is_seen_the_example_does_not_vote(
    tamper: type[Any], clip: Path, tmp_path: Path
) -> None:
    import av

    still = tmp_path / "still.mp4"
    with av.open(str(clip)) as source, av.open(str(still), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None and packet.pts * packet.time_base < 5.9:
                packet.stream = stream
                target.mux(packet)
    with CrimeDetectionPipeline(analyzers=[tamper()]) as pipeline:
        (answer,) = pipeline.analyze(still).assessments
    assert (answer.status, answer.outcome, answer.probability) == ("answered", "undetermined", None)
    assert answer.alternative_interpretations == ()
    # 15 frames a second do not fall on each half second: no slivers are left between the looks.
    assert answer.coverage.gaps == ()
    assert answer.coverage.seconds == pytest.approx(5.9, abs=0.2)


def test_what_the_deadline_left_out_is_a_gap(tamper: type[Any], clip: Path) -> None:
    with CrimeDetectionPipeline(analyzers=[tamper()]) as pipeline:
        (answer,) = pipeline.analyze(clip, deadline=0.9).assessments
    assert (answer.status, answer.outcome) == ("answered", "undetermined")
    assert answer.coverage.examined == ()
    assert [gap.reason for gap in answer.coverage.gaps] == ["deadline"]


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
