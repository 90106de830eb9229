"""``mmcrime analyze`` from end to end, on real files."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmcrime.cli.terminal import quiet_libraries, remark
from mmcrime.results import Report

Run = Callable[..., tuple[int, str, str]]
QUIET = {"analyzers": {"speech": {"enabled": False}}}


def write_wave(path: Path, seconds: float = 1.0) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(int(32_000 * seconds)))
    return path


@pytest.fixture
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a quiet sound, a picture and a broken file; speech is off."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMCRIME_CONFIG", raising=False)
    Path("config.json").write_text(json.dumps(QUIET))
    Path("in").mkdir()
    write_wave(Path("in/quiet.wav"))
    Image.new("RGB", (64, 48), (90, 90, 90)).save("in/still.png")
    return tmp_path


@pytest.fixture
def run(footage: Path, mmcrime: Run) -> Run:
    """Run the command: (exit code, stdout, stderr)."""
    return mmcrime


def test_a_folder_gives_one_json_report_a_line_on_stdout_and_nothing_else(run: Run) -> None:
    code, out, err = run("analyze", "in", "--json", "--source-id", "yard")
    found = [Report.from_json(line) for line in out.splitlines()]
    assert code == 0
    assert err == "2 sources: 0 detected, 2 undetermined, 0 not detected, 0 unreadable\n"
    assert [Path(r.source).name for r in found] == ["quiet.wav", "still.png"]
    assert [r.media.kind for r in found] == ["audio", "image"]
    assert {r.media.source_id for r in found} == {"yard"}
    assert found[1].verdict.reasons[0].code == "no_capable_analyzer"


def test_one_bad_file_stops_nothing_and_gives_3_and_its_own_report(run: Run) -> None:
    Path("in/broken.mp4").write_bytes(b"no video at all")
    code, out, err = run("analyze", "in", "gone.mp4", "--json")
    found = [Report.from_json(line) for line in out.splitlines()]
    assert code == 3
    assert err == "4 sources: 0 detected, 2 undetermined, 0 not detected, 2 unreadable\n"
    unread = [r for r in found if any(e.stage == "prepare" for e in r.errors)]
    assert [r.verdict.outcome for r in unread] == ["undetermined"] * 2
    assert [Path(r.source).name for r in found] == [
        "broken.mp4",
        "quiet.wav",
        "still.png",
        "gone.mp4",
    ]


def test_the_table_has_its_header_once(run: Run) -> None:
    code, out, _ = run("analyze", "in", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["kind"] for row in rows] == ["audio", "image"]


def test_text_and_markdown_put_every_report_under_the_banner(run: Run) -> None:
    text = run("analyze", "in")[1]
    markdown = run("analyze", "in", "--format", "md")[1]
    assert text.count("AUTOMATED RESULT, UNCONFIRMED") == 2
    assert markdown.count("**automated result, unconfirmed**") == 2
    assert "\x1b" not in text


def test_output_goes_to_the_file_and_stdout_stays_empty(run: Run, footage: Path) -> None:
    code, out, _ = run("analyze", "in", "--json", "-o", "result.jsonl")
    assert (code, out) == (0, "")
    assert len(Path("result.jsonl").read_text().splitlines()) == 2
    assert sorted(p.name for p in footage.iterdir()) == ["config.json", "in", "result.jsonl"]


def test_a_person_sees_where_the_result_went_and_what_it_comes_to(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = run("analyze", "in/still.png", "-o", "report.html")
    assert (code, out) == (0, "")
    assert err.split("\n") == [
        "Wrote 'report.html'.",
        "",
        "1 source: 0 detected, 1 undetermined, 0 not detected, 0 unreadable",
        "",
    ]


@pytest.mark.parametrize("target", ["in", "nowhere/x.json", "in/still.png"])
def test_an_output_that_cannot_be_is_2_and_touches_nothing(run: Run, target: str) -> None:
    before = Path("in/still.png").read_bytes()
    code, out, err = run("analyze", "in", "-o", target)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert Path("in/still.png").read_bytes() == before


def test_a_run_that_ends_in_an_error_leaves_the_old_file_as_it_was(run: Run) -> None:
    Path("result.txt").write_text("old")
    assert run("analyze", "in", "-o", "result.txt", "--frame-interval", "0")[0] == 2
    assert Path("result.txt").read_text() == "old"


def test_fail_on_turns_outcomes_into_exit_codes(run: Run) -> None:
    assert run("analyze", "in/still.png", "--fail-on", "low")[0] == 11
    assert run("analyze", "in/still.png")[0] == 0
    assert run("analyze", "in/still.png", "gone.png", "--fail-on", "low")[0] == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["--provider", "nobody"],
        ["--analyzer", "nobody"],
        ["--config", "gone.json"],
        ["--recorded-at", "yesterday"],
        ["--recorded-at", "2026-05-01T12:00:00"],
        ["--json", "--format", "csv"],
        ["--fail-on", "terrible"],
        ["--frame-interval", "nan"],
    ],
)
def test_what_cannot_be_meant_is_2_with_nothing_on_stdout(run: Run, arguments: list[str]) -> None:
    code, out, err = run("analyze", "in/still.png", *arguments)
    assert (code, out) == (2, "")
    assert err


def test_a_wrong_number_is_quoted(run: Run) -> None:
    code, _, err = run("analyze", "in", "--frame-interval", "abc")
    assert code == 2
    assert "'abc' is no number of seconds" in err


def test_offline_refuses_a_url_with_2_and_goes_on(run: Run) -> None:
    code, out, _ = run("analyze", "https://x.example/a.png", "in/still.png", "--offline", "--json")
    found = [Report.from_json(line) for line in out.splitlines()]
    assert code == 2
    assert found[0].errors[0].type == "EgressError"
    assert [r.egress for r in found] == [(), ()]


def test_nothing_to_analyze_is_3_and_said(run: Run) -> None:
    code, out, err = run("analyze", "none/*.mp4", "--format", "text")
    assert (code, out) == (3, "")
    assert "'none/*.mp4': the pattern matches no file" in err


def test_a_hostile_name_steers_no_terminal(run: Run) -> None:
    name = "in/\x1b]0;owned\x07\u202egnp.png"
    Path("in/still.png").rename(name)
    for form in ("text", "md", "csv"):
        code, out, err = run("analyze", name, "in/\x1b[2Jgone", "--format", form)
        assert code == 3
        assert all(c.isprintable() or c in "\n\r" for c in out + err)


def test_recorded_at_is_in_the_report(run: Run) -> None:
    moment = "2026-05-01T12:00:00+02:00"
    out = run("analyze", "in/still.png", "--json", "--recorded-at", moment)[1]
    recorded = Report.from_json(out).media.recorded_at
    assert recorded is not None
    assert recorded.isoformat() == moment


def test_a_reader_that_leaves_early_ends_the_run_quietly(footage: Path) -> None:
    line = f"{sys.executable} -m mmcrime analyze in --json | true"
    done = subprocess.run(line, shell=True, capture_output=True, check=False)  # noqa: S602  # the pipe is the point
    assert done.stderr == b""


def test_a_result_file_keeps_its_mode_and_a_link_stays_a_link(run: Run) -> None:
    Path("real.txt").write_text("old")
    Path("real.txt").chmod(0o600)
    Path("link.txt").symlink_to("real.txt")
    assert run("analyze", "in/still.png", "-o", "link.txt")[0] == 0
    assert Path("link.txt").is_symlink()
    assert "UNCONFIRMED" in Path("real.txt").read_text()
    assert Path("real.txt").stat().st_mode & 0o777 == 0o600


def test_a_link_to_a_source_is_never_written_over(run: Run) -> None:
    Path("link.txt").symlink_to("in/still.png")
    before = Path("in/still.png").read_bytes()
    assert run("analyze", "in/still.png", "-o", "link.txt")[0] == 2
    assert Path("in/still.png").read_bytes() == before


def test_a_path_that_cannot_be_looked_up_gets_a_report_and_3(run: Run) -> None:
    code, out, err = run("analyze", "a" * 300, "in/still.png", "--json")
    found = [Report.from_json(line) for line in out.splitlines()]
    assert (code, err.count("\n")) == (3, 1)
    assert [r.media.kind for r in found] == [None, "image"]
    assert run("analyze", "in/still.png", "-o", "a" * 300)[0] == 2


@pytest.mark.parametrize("arguments", [[""], ["in", ""], ["in", "-o", ""], ["in", "--config", ""]])
def test_an_empty_argument_is_2(run: Run, arguments: list[str]) -> None:
    code, out, err = run("analyze", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def shell(line: str) -> tuple[int, str]:
    """Run a line with ``$M`` for the command: (exit code, stderr)."""
    environment = {**os.environ, "M": f"{sys.executable} -m mmcrime"}
    done = subprocess.run(line, shell=True, capture_output=True, env=environment, check=False)  # noqa: S602  # redirections are the point
    return done.returncode, done.stderr.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["analyze in/still.png", "config schema", "--version"])
def test_a_full_disk_is_2_with_one_error(footage: Path, arguments: str) -> None:
    code, err = shell(f"$M {arguments} > /dev/full")
    assert code == 2
    assert err.splitlines()[0].startswith("error: Reading or writing failed: No space left")
    assert len(err.splitlines()) == 2


def test_a_closed_standard_output_is_2_with_one_error(footage: Path) -> None:
    code, err = shell("$M analyze in/still.png >&-")
    assert code == 2
    assert err.startswith("error: Standard output is closed.")
    assert "Traceback" not in err


@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-"])
@pytest.mark.parametrize("target", ["-o out.jsonl", "--json > out.jsonl"])
def test_a_closed_standard_error_hides_only_remarks(
    footage: Path, closed: str, target: str
) -> None:
    Image.new("1", (64, 64)).save("in/bad.tiff", compression="group4")
    with Image.open("in/bad.tiff") as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]  # type: ignore[attr-defined]  # TIFF only
    data = bytearray(Path("in/bad.tiff").read_bytes())
    data[start : start + length] = b"\x01" * length  # libtiff writes of it to descriptor 2
    Path("in/bad.tiff").write_bytes(data)
    assert shell(f"$M analyze in gone.png {target} {closed}") == (3, "")
    found = [Report.from_json(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert len(found) == 4


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", ">&- 2>&-"])
def test_no_file_is_opened_where_libraries_write_their_noise(tmp_path: Path, closed: str) -> None:
    code = (
        "from mmcrime.cli.app import _fill_gaps; _fill_gaps(); "
        "opened = open('x', 'w'); opened.write(str(opened.fileno()))"
    )
    line = f'cd {tmp_path}; {sys.executable} -c "{code}" {closed}'
    subprocess.run(line, shell=True, check=True)  # noqa: S602  # redirections are the point
    assert int((tmp_path / "x").read_text()) > 2


def test_what_libraries_write_by_themselves_is_dropped_and_our_words_arrive(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_libraries():
        os.write(2, b"noise of a library")
        remark("our words")
    os.write(2, b"after")
    err = capfd.readouterr().err
    assert "noise" not in err
    assert "our words\n" in err
    assert "after" in err


def test_a_tiff_that_makes_libtiff_talk_leaves_stderr_to_us(footage: Path) -> None:
    Image.new("1", (64, 64)).save("in/bad.tiff", compression="group4")
    with Image.open("in/bad.tiff") as image:
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]  # type: ignore[attr-defined]  # TIFF only
    data = bytearray(Path("in/bad.tiff").read_bytes())
    data[start : start + length] = b"\x01" * length  # libtiff: "Bad code word at line 0"
    Path("in/bad.tiff").write_bytes(data)
    command = [sys.executable, "-m", "mmcrime", "analyze", "in/bad.tiff", "gone", "-o", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "2 sources: 0 detected, 0 undetermined, 0 not detected, 2 unreadable\n"


def test_what_other_libraries_log_is_not_printed() -> None:
    """In a process of its own: the test runner's own handlers would hide the difference."""
    code = (
        "import logging\n"
        "from mmcrime.cli.terminal import logs_to_stderr\n"
        "with logs_to_stderr():\n"
        "    logging.getLogger('PIL.TiffImagePlugin').error('inside of a file')\n"
        "    logging.getLogger('mmcrime.pipeline').warning('ours')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ours" in done.stderr
    assert "inside of a file" not in done.stderr
