"""The guards that every other test relies on."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# TEST-NET-1 (RFC 5737): nobody is there, should the guard ever fail.
NOWHERE = ("192.0.2.1", 80)


def _connect() -> None:
    with socket.socket() as plug:
        plug.settimeout(0.1)
        plug.connect(NOWHERE)


def _open_connection() -> None:
    asyncio.run(asyncio.wait_for(asyncio.open_connection(*NOWHERE), 0.1))


def _look_up() -> None:
    socket.getaddrinfo("mmcrime.invalid", 80)


def _datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as plug:
        plug.sendto(b"", NOWHERE)


@pytest.mark.parametrize("leave", [_connect, _open_connection, _look_up, _datagram])
def test_nothing_leaves_the_machine_unnoticed(
    leave: Callable[[], None], network_guard: list[str]
) -> None:
    with pytest.raises(Exception, match="tests have no network"):
        leave()
    assert network_guard
    network_guard.clear()  # else this test would fail at its end, as it should elsewhere


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("localhost", "127.0.0.1"):
            with socket.create_connection((host, server.getsockname()[1]), timeout=5):
                pass


CASES = """
import pytest

def test_body():
    pytest.skip("no such service")

@pytest.mark.skip(reason="no such mark")
def test_mark():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_known():
    assert False

def test_caught():
    import socket
    try:
        socket.getaddrinfo("mmcrime.invalid", 80)
    except Exception:
        pass
"""


@pytest.mark.parametrize(
    ("strict", "closing"),
    [
        ("0", "1 passed, 3 skipped, 1 xfailed, 1 error"),
        ("1", "1 failed, 1 passed, 1 xfailed, 3 errors"),
    ],
)
def test_in_strict_mode_a_skip_is_a_failure(tmp_path: Path, strict: str, closing: str) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "test_module.py").write_text(
        "import pytest\npytest.skip('no torch', allow_module_level=True)\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("--continue-on-collection-errors", "--rootdir", tmp_path, tmp_path),
        ],
        env={**os.environ, "MMCRIME_STRICT": strict},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert closing in done.stdout
