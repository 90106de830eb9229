"""The bar on stderr: real programs in a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcrime.cli import progress
from mmcrime.cli.progress import Progress, working
from mmcrime.reports.words import cells

_PATIENCE = 120.0  # seconds after which a program counts as stuck
_SGR = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A sound that takes a few seconds to analyze."""
    (tmp_path / "config.json").write_text(json.dumps({"analyzers": {"speech": {"enabled": False}}}))
    path = tmp_path / "a recording of the yard with a very long name, number 17.wav"
    second = os.urandom(32_000)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        for _ in range(900):
            out.writeframes(second)
    return path


def in_terminal(
    command: list[str],
    *,
    cwd: Path,
    columns: int = 80,
    until: Callable[[str], bool] = lambda _: False,
    **environment: str,
) -> tuple[int, str]:
    """Run a program whose stderr is a terminal: (exit code, everything that was written there).

    Args:
        command: The program.
        cwd: Where.
        columns: Width of the terminal.
        until: When this says so of what was written, the program is interrupted.
        **environment: Changes of the environment.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    settings |= {"TERM": "xterm", **environment}
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, cwd=cwd, env=settings
    ) as process:
        os.close(theirs)
        written, latest, stopped = b"", time.monotonic() + _PATIENCE, False
        while time.monotonic() < latest:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux says so when the program is gone
                break
            if not piece:
                break
            written += piece
            if not stopped and until(written.decode("utf-8", "replace")):
                process.send_signal(signal.SIGINT)
                stopped = True
        code = process.wait(_PATIENCE)
    os.close(ours)
    return code, written.decode("utf-8", "replace")


def analyze(source: Path) -> list[str]:
    return [sys.executable, "-m", "mmcrime", "analyze", source.name, "-o", "out.json"]


def screen(written: str) -> list[str]:
    """Return what stands on the screen at the end: lines that were not erased."""
    lines, row = [""], 0
    for piece in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", written):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece == "\x1b[1A":
            row -= 1
        elif piece and not piece.startswith("\x1b") and piece != "\r":
            lines[row] += piece
    return [line for line in lines if line.strip()]


def test_the_bar_moves_within_one_long_file_and_is_gone_at_the_end(noise: Path) -> None:
    code, written = in_terminal(analyze(noise), cwd=noise.parent)
    assert code == 0
    shares = {int(share) for share in re.findall(r"(\d+)%", _CONTROL.sub("", written))}
    assert len([share for share in shares if 0 < share < 100]) >= 3
    assert "a rec" in written
    assert "17.wav" in written
    assert re.search(r"\x1b\[[39]\dm", written)
    assert_it_fits(written, 80)
    assert screen(written) == []
    assert "\x1b" not in (noise.parent / "out.json").read_text()


def assert_it_fits(written: str, columns: int) -> None:
    for line in re.split(r"[\r\n]+", _CONTROL.sub("", written)):
        assert cells(line) <= columns


def test_a_narrow_terminal_without_colours_gets_a_bar_that_fits(noise: Path) -> None:
    code, written = in_terminal(analyze(noise), cwd=noise.parent, columns=40, NO_COLOR="1")
    assert code == 0
    assert "%" in written
    assert_it_fits(written, 40)
    assert not [code for code in _SGR.findall(written) if re.search(r"[349]\d", code)]


def test_ctrl_c_ends_at_once_and_leaves_the_terminal_as_it_was(noise: Path) -> None:
    code, written = in_terminal(analyze(noise), cwd=noise.parent, until=lambda text: "%" in text)
    assert code == 130
    assert "\x1b[?25l" not in written  # the cursor was never hidden
    assert screen(written) == []
    assert sorted(p.suffix for p in noise.parent.iterdir()) == [".json", ".wav"]


def program(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


_SLOW = """
    import time
    from mmcrime.cli.progress import Progress
    with Progress(2) as progress:
        progress.heard("a.mp4", 0.5)
        time.sleep(1.2)
"""


def percents(written: str) -> set[int]:
    return {int(share) for share in re.findall(r"(\d+)%", _CONTROL.sub("", written))}


def test_the_end_is_not_shown_before_everything_was_delivered(tmp_path: Path) -> None:
    code, written = in_terminal(
        program("""
            import time
            from mmcrime.cli.progress import Progress
            with Progress(3) as progress:
                for name in "abc":
                    progress.heard(name, 1.0)
                time.sleep(1.2)
                for name in "ab":
                    with progress.result(name):
                        pass
                progress.heard("b", 1.0)  # a thread that is late
                time.sleep(0.5)
                with progress.result("c"):
                    pass
                time.sleep(0.5)
        """),
        cwd=tmp_path,
    )
    assert code == 0
    before, _, after = written.partition("3 of 3")
    assert max(percents(before.rpartition("2 of 3")[0])) == 99
    assert percents(after) <= {100}
    assert 100 in percents(written)


@pytest.mark.parametrize(("share", "shown"), [("0.3", 15), ("0.55", 27), ("1.0", 49)])
def test_shares_are_rounded_down_and_what_is_not_delivered_is_not_done(
    tmp_path: Path, share: str, shown: int
) -> None:
    written = in_terminal(program(_SLOW.replace("0.5", share)), cwd=tmp_path)[1]
    assert percents(written) == {shown}


def test_the_part_that_is_done_stands_out_on_a_terminal_of_eight_colours(tmp_path: Path) -> None:
    written = in_terminal(program(_SLOW), cwd=tmp_path)[1]
    done, rest = re.findall(r"(?:\x1b\[([0-9;]+)m)[━╸]+\x1b\[0m(?:\x1b\[([0-9;]+)m)[━╺]", written)[
        0
    ]
    assert done == "32"
    assert not re.search(r"[39]\d", rest)


def test_a_terminal_that_is_gone_does_not_end_the_work(tmp_path: Path) -> None:
    """Writing to it fails; what is done inside still goes to its end."""
    ours, theirs = pty.openpty()
    code = """
        import pathlib, time
        from mmcrime.cli.progress import Progress
        with Progress(2) as progress:
            progress.heard("a", 0.5)
            time.sleep(1.5)
            with progress.result("a"):
                pathlib.Path("one").touch()
        pathlib.Path("end").touch()
    """
    settings = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(program(code), stderr=theirs, cwd=tmp_path, env=settings) as process:
        os.close(theirs)
        time.sleep(0.3)
        os.close(ours)
        process.wait(_PATIENCE)
    assert (tmp_path / "end").exists()


def test_a_closed_stderr_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    written = []
    with Progress(3) as one, one.result("a"):
        one.heard("a", 0.5)
        written.append("a")
    assert written == ["a"]


def test_a_dumb_terminal_or_a_pipe_gets_no_bar(tmp_path: Path) -> None:
    assert in_terminal(program(_SLOW), cwd=tmp_path, TERM="dumb") == (0, "")
    assert subprocess.run(program(_SLOW), capture_output=True, check=True).stderr == b""
    assert "25%" in in_terminal(program(_SLOW), cwd=tmp_path)[1]


def test_what_is_over_in_a_moment_shows_no_bar(tmp_path: Path) -> None:
    found = in_terminal(
        program("""
            from mmcrime.cli.progress import Progress
            with Progress(3) as progress:
                for name in "abc":
                    progress.heard(name, 0.5)
                    with progress.result(name):
                        pass
        """),
        cwd=tmp_path,
    )
    assert found == (0, "")


def test_logs_and_results_stand_on_lines_of_their_own_beside_the_bar(tmp_path: Path) -> None:
    code, written = in_terminal(
        program("""
            import logging, sys, time
            from mmcrime.cli.progress import Progress
            from mmcrime.cli.terminal import logs_to_stderr
            with logs_to_stderr(), Progress(2) as progress:
                progress.heard("a.mp4", 0.25)
                time.sleep(1.2)
                logging.getLogger("mmcrime").warning("a word of the log")
                time.sleep(0.3)
                with progress.result("a.mp4"):
                    sys.stderr.write("a result\\n")
                time.sleep(0.5)
        """),
        cwd=tmp_path,
    )
    assert code == 0
    assert "12%" in written  # a quarter of one of two
    assert "50%" in written
    assert "1 of 2" in written
    assert [line.strip() for line in screen(written)] == ["WARNING: a word of the log", "a result"]


def test_a_hostile_name_steers_nothing(tmp_path: Path) -> None:
    code, written = in_terminal(
        program(r"""
            import time
            from mmcrime.cli.progress import Progress
            with Progress(2) as progress:
                progress.heard("x/\x1b]0;owned\x07[red]a\u202eb[bold]\x1b[2J.mp4", 0.5)
                time.sleep(1.2)
        """),
        cwd=tmp_path,
    )
    assert code == 0
    assert "[bold]" in written
    for bad in ("\x1b]", "\x07", "\u202e", "\x1b[2J"):
        assert bad not in written


def test_work_of_unknown_length_shows_that_it_goes_on_and_then_how_far_it_is(
    tmp_path: Path,
) -> None:
    code, written = in_terminal(
        program("""
            import time
            from mmcrime.cli.progress import working
            with working("drawing the scene") as advance:
                time.sleep(1.2)
                advance(0.4)
                time.sleep(0.3)
        """),
        cwd=tmp_path,
    )
    assert code == 0
    assert "drawing the scene" in written
    assert "40%" in written
    assert " of " not in written
    assert screen(written) == []


def test_an_error_inside_takes_the_bar_away(tmp_path: Path) -> None:
    code, written = in_terminal(
        program("""
            import sys, time
            from mmcrime.cli.progress import working
            try:
                with working("work"):
                    time.sleep(1)
                    raise ValueError
            except ValueError:
                sys.stderr.write("said after it\\n")
        """),
        cwd=tmp_path,
    )
    assert code == 0
    assert [line.strip() for line in screen(written)] == ["said after it"]


def test_without_a_terminal_no_thread_is_started() -> None:
    before = threading.active_count()
    with Progress(3) as one, working("x") as advance:
        one.heard("a", 0.5)
        advance(0.5)
        with one.result("a"):
            assert threading.active_count() == before


@pytest.mark.parametrize(
    ("name", "room", "shown"),
    [
        ("short.mp4", 20, "short.mp4"),
        ("cam1_2026-05-01_12-00.mp4", 15, "cam1_...-00.mp4"),
        ("界" * 20, 12, "界" * 4 + "..."),
        ("x" * 20, 3, "xx...xxx"),
    ],
)
def test_a_long_name_keeps_its_beginning_and_its_end(name: str, room: int, shown: str) -> None:
    assert progress._middle_out(name, room) == shown
