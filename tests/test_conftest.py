"""The guards that every other test relies on."""

from __future__ import annotations

import asyncio
import base64
import logging
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


KEY = "sk-proj-0123456789abcdef"
TOLD = {
    "a key in the message": lambda log: log.debug("asked with %s", KEY),
    "a key of Google": lambda log: log.info("AIzaSyZz06geminiZz07secret"),
    "a key of Hugging Face": lambda log: log.info("hf_abcdefghijkl"),
    "a key of Replicate": lambda log: log.info("r8_abcdefghijkl"),
    "a header": lambda log: log.info("authorization: Bearer abcdef0123456"),
    "an address": lambda log: log.warning("told %s", "guard@site.example.com"),
    "a picture": lambda log: log.info(base64.b64encode(bytes(range(256))).decode()),
    "something beside the message": lambda log: log.info("done", extra={"given": KEY}),
    "the words of an error": lambda log: log.error("failed", exc_info=ValueError(KEY)),
}


@pytest.mark.parametrize("kind", TOLD)
def test_no_log_tells_a_secret_unnoticed(kind: str, log_guard: list[str]) -> None:
    TOLD[kind](logging.getLogger("mmcrime.calls"))
    assert log_guard
    assert KEY not in "".join(log_guard)
    log_guard.clear()  # else this test would fail at its end, as it should elsewhere


def test_the_loggers_of_others_are_looked_at_from_info_on(
    log_guard: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "httpx2")
    library = logging.getLogger("httpx2")
    library.debug(KEY)
    assert not log_guard
    library.info(KEY)
    assert log_guard
    log_guard.clear()


@pytest.mark.parametrize(
    "text",
    [
        "a task-sk-and-more and a disk-cache-entry",
        "/var/pytest-of-root/pytest-0/test_something_with_a_long_name0/cache/answers/00/ab",
        "x" * 5000,
        "blake3:2b03ad6dd05378e51be87c32601f58cdfc7e54b78b2be853edb8e3bbc07aaf9a",
        "  File 'tests/x.py', line 3\n    @pytest.mark.slow",
    ],
)
def test_what_is_harmless_may_be_logged(text: str, log_guard: list[str]) -> None:
    logging.getLogger("mmcrime.calls").info(text)
    assert not log_guard


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

def test_logged():
    import logging
    logging.getLogger("mmcrime.calls").debug("the key is %s", "sk-proj-0123456789abcdef")
"""


@pytest.mark.parametrize(
    ("strict", "closing"),
    [
        ("0", "2 passed, 3 skipped, 1 xfailed, 2 errors"),
        ("1", "1 failed, 2 passed, 1 xfailed, 4 errors"),
    ],
)
def test_in_strict_mode_a_skip_is_a_failure(tmp_path: Path, strict: str, closing: str) -> None:
    for name in ("conftest.py", "leaks.py"):
        (tmp_path / name).write_text((ROOT / "tests" / name).read_text())
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
