"""Ctrl-C ends the command wherever it comes, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import wave
from pathlib import Path

import pytest

from mmcrime.cli import interrupt
from mmcrime.cli.interrupt import interruptible

_PATIENCE = 60.0  # seconds after which a process counts as stuck


def end_of(code: str) -> tuple[int, str, str]:
    """Run a program to its end: (exit code, stdout, stderr)."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    return done.returncode, done.stdout, done.stderr


def test_a_main_thread_that_missed_the_signal_while_it_waits_is_woken() -> None:
    """The signal goes to another thread: the wait of the main thread is not cut short."""
    found = end_of("""
        import signal, threading
        from mmcrime.cli.interrupt import interruptible, leave

        def send():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

        with interruptible():
            try:
                threading.Timer(0.2, send).start()
                threading.Event().wait()
            except KeyboardInterrupt:
                print("tidied up")
                leave()
    """)
    assert found == (130, "tidied up\n", "")


def test_an_interrupt_that_was_dropped_still_ends_the_process(tmp_path: Path) -> None:
    """Python drops what is raised in a callback, such as those of the import machinery."""
    left = tmp_path / "half"
    left.touch()
    code, out, err = end_of(f"""
        import os, pathlib, signal, threading
        from mmcrime.cli import interrupt

        class Dropped:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
                [None for _ in range(9)]

        interrupt.unfinished.add(pathlib.Path({str(left)!r}))
        with interrupt.interruptible():
            dropped = Dropped()
            del dropped
            print("goes on", flush=True)
            threading.Event().wait()
    """)
    assert (code, out) == (130, "goes on\n")
    assert "KeyboardInterrupt" in err  # it was raised, and dropped
    assert not left.exists()


def test_a_second_interrupt_does_not_break_off_the_tidying_up() -> None:
    found = end_of("""
        import os, signal, time
        from mmcrime.cli.interrupt import interruptible, leave

        with interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
                time.sleep(60)
            except KeyboardInterrupt:
                for _ in range(5):
                    signal.raise_signal(signal.SIGINT)
                    time.sleep(0.01)
                print("tidied up")
                leave()
    """)
    assert found == (130, "tidied up\n", "")


def test_tidying_up_that_hangs_ends_too() -> None:
    assert end_of("""
        import signal, threading
        from mmcrime.cli.interrupt import interruptible

        with interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                threading.Event().wait()
    """) == (130, "", "")


def test_temporary_copies_go_with_an_interrupted_process(tmp_path: Path) -> None:
    """A thread that downloads cannot be waited for."""
    code, out, err = end_of(f"""
        import os, signal, tempfile
        os.environ["TMPDIR"] = {str(tmp_path)!r}
        from mmcrime.cli.interrupt import interruptible, leave, own_temporary_folder

        with interruptible():
            try:
                with own_temporary_folder():
                    copies = tempfile.mkdtemp()
                    open(copies + "/copy", "x").close()
                    print(os.path.relpath(copies, {str(tmp_path)!r}).count("/"))
                    try:
                        signal.raise_signal(signal.SIGINT)
                    except KeyboardInterrupt:
                        leave()
            finally:
                print("never here")
    """)
    assert (code, out, err) == (130, "1\n", "")
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_go_at_a_normal_end_too_and_the_folder_is_as_before() -> None:
    before = tempfile.gettempdir()
    with interrupt.own_temporary_folder():
        room = Path(tempfile.mkdtemp()).parent
        assert room.stat().st_mode & 0o777 == 0o700
    assert not room.exists()
    assert tempfile.gettempdir() == before


def test_afterwards_interrupts_are_handled_as_before() -> None:
    others = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    before = signal.getsignal(signal.SIGINT)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == others
    assert signal.set_wakeup_fd(-1) == -1
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert interrupt.unfinished == set()


def test_where_interrupts_are_ignored_they_stay_ignored() -> None:
    assert end_of("""
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from mmcrime.cli.interrupt import interruptible
        with interruptible():
            signal.raise_signal(signal.SIGINT)
        print("done")
    """) == (0, "done\n", "")


def test_an_interrupt_while_the_command_is_being_loaded_is_130_without_a_word() -> None:
    """Raised as a KeyboardInterrupt, it would be a traceback, or lost in an import."""
    assert end_of("""
        import signal, sys

        class Interrupting:
            def find_spec(self, name, path=None, target=None):
                if name == "mmcrime.cli.app":
                    signal.raise_signal(signal.SIGINT)

        sys.meta_path.insert(0, Interrupting())
        sys.argv = ["mmcrime", "--help"]
        from mmcrime.__main__ import main
        main()
    """) == (130, "", "")


@pytest.fixture
def long_run(tmp_path: Path) -> list[str]:
    """A command that takes minutes."""
    (tmp_path / "config.json").write_text(json.dumps({"analyzers": {"speech": {"enabled": False}}}))
    noise = os.urandom(32_000)
    with wave.open(str(tmp_path / "long.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        for _ in range(3600):
            out.writeframes(noise)
    return [sys.executable, "-m", "mmcrime", "analyze", "long.wav", "-o", "result.txt"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_being_told_to_end_tidies_up_as_ctrl_c_does(
    long_run: list[str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        long_run, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        latest = time.monotonic() + _PATIENCE
        while not list(tmp_path.glob(".result.txt.*")) and time.monotonic() < latest:
            time.sleep(0.01)
        assert list(tmp_path.glob("mmcrime-*"))
        time.sleep(0.5)
        process.send_signal(number)
        _, err = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, err) == (code, "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "long.wav"]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_that_was_dropped_or_comes_twice_ends_the_process_too(number: str) -> None:
    code = 128 + signal.Signals[number]
    assert end_of(f"""
        import signal, threading
        from mmcrime.cli.interrupt import interruptible, leave

        with interruptible() as guard:
            try:
                signal.raise_signal(signal.{number})
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)
                print("tidied up")
                leave(guard.code)
    """) == (code, "tidied up\n", "")
    assert end_of(f"""
        import signal, threading
        from mmcrime.cli.interrupt import interruptible

        with interruptible():
            try:
                signal.raise_signal(signal.{number})
            finally:
                threading.Event().wait()
    """) == (code, "", "")


def test_a_run_under_nohup_goes_on_when_the_terminal_is_closed() -> None:
    assert end_of("""
        import signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        from mmcrime.cli.interrupt import interruptible, leave
        with interruptible() as guard:
            signal.raise_signal(signal.SIGHUP)
            print("goes on", flush=True)
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                leave(guard.code)
    """) == (143, "goes on\n", "")


@pytest.mark.parametrize("wait", [0.0, 0.3, 1.0])
def test_ctrl_c_in_a_long_run_is_130_and_leaves_no_file(
    long_run: list[str], tmp_path: Path, wait: float
) -> None:
    with subprocess.Popen(long_run, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        latest = time.monotonic() + _PATIENCE
        while not list(tmp_path.glob(".result.txt.*")) and time.monotonic() < latest:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "long.wav"]
