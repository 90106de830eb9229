"""What every test gets: no network, the shared media folder, and strictness in CI."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from leaks import LogGuard

ROOT = Path(__file__).resolve().parent.parent
STRICT = os.environ.get("MMCRIME_STRICT") == "1"

# A deadline for one example measures how busy the machine is. In CI the examples are the same
# every time, so that a change is judged by what it changes.
settings.register_profile("mmcrime", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("mmcrime")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared media, which is not part of the repository."""
    folder = Path(os.environ.get("MMCRIME_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("no shared media folder (MMCRIME_SHARED)")
    return folder


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test use the keys, or the addresses, of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(
            ("OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "HF_TOKEN", "REPLICATE_")
        ):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is stored and booked out of the home of whoever runs the tests."""
    home = tmp_path_factory.getbasetemp() / "cache" / uuid.uuid4().hex  # made when it is used
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))


class NetworkBlockedError(Exception):
    """A test wanted to leave this machine.

    No `OSError`, so that code which handles an unreachable server does not take it for one.
    """


@pytest.fixture(autouse=True)
def network_guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse, and report, every connection and look-up in this process that leaves it.

    The refusal may be caught by the code under test, so the test fails at its end as well.
    A test that needs a name to resolve patches ``socket.getaddrinfo`` or injects a resolver.
    """
    attempts: list[str] = []

    def refuse(what: str) -> None:
        attempts.append(what)
        raise NetworkBlockedError(f"tests have no network: {what}")

    def guarded(method: str) -> None:
        original = getattr(socket.socket, method)

        def call(self: socket.socket, *args: Any) -> Any:
            # connect(address), sendto(data[, flags], address)
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(args[-1][0]):
                refuse(f"{method} to {args[-1]!r}")
            return original(self, *args)

        monkeypatch.setattr(socket.socket, method, call)

    for method in ("connect", "connect_ex", "sendto"):
        guarded(method)
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        # An address is not looked up anywhere; connecting to it is another matter.
        if name and name.rstrip(".").lower() != "localhost" and not _is_address(name):
            refuse(f"look-up of {name!r}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield attempts
    if attempts:
        pytest.fail("this test wanted to use the network: " + "; ".join(attempts))


@pytest.fixture(scope="session")
def _log_guard() -> Iterator[LogGuard]:
    guard, root, ours = LogGuard(), logging.getLogger(), logging.getLogger("mmcrime")
    levels = root.level, ours.level
    root.addHandler(guard)
    root.setLevel(logging.INFO)
    ours.setLevel(logging.DEBUG)
    yield guard
    root.removeHandler(guard)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture(autouse=True)
def log_guard(_log_guard: LogGuard) -> Iterator[list[str]]:
    """Fail a test in which anything logs a key, an e-mail address or media (`leaks`)."""
    _log_guard.found.clear()
    yield _log_guard.found
    if _log_guard.found:
        pytest.fail("this test logged what no log may hold: " + "; ".join(_log_guard.found))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_loopback(host: str | bytes) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not _is_address(name):
        return name == "localhost"
    address = ipaddress.ip_address(name.partition("%")[0])
    # Python 3.11 does not look through ::ffff:127.0.0.1.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``MMCRIME_STRICT=1`` a skipped test is a failed one."""
    report = yield
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and MMCRIME_STRICT=1 allows no skip: {_why(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With ``MMCRIME_STRICT=1`` a module that skips itself is a failure too."""
    report = yield
    if STRICT and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped, and MMCRIME_STRICT=1 allows no skip: {_why(report.longrepr)}"
    return report


def _why(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
