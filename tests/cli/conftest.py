"""What every test of the command line gets: programs that hear when they are told to end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator

import pytest

from mmcrime.cli.app import main


@pytest.fixture(autouse=True)
def _requests_to_end_arrive() -> Iterator[None]:
    """Programs inherit which signals are ignored: SIGINT in the background, SIGHUP by nohup."""
    wanted = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGTERM: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def mmcrime(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in the working folder: (exit code, stdout, stderr)."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mmcrime", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(stopped.value.code or 0), out, err

    return call
