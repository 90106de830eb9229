"""Processes that share a Redis never overspend a day together, nor ask for an answer twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import asking_worker
import spending_worker
from forks import workers
from shared_redis import URL, OwnServer, own_namespace, raw


@pytest.fixture
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


# -- the budget of a day -----------------------------------------------------------------------

CAPS = [
    {"usd_per_day": 150.0},
    {"calls_per_day": 90},
    {"tokens_per_day": 4000},
    {"usd_per_day": 120.0, "calls_per_day": 100, "tokens_per_day": 5000},
]


def spenders(
    folder: Path, caps: dict[str, Any], *, url: str, namespace: str, seconds: float = 0.4
) -> list[tuple[Any, ...]]:
    given: list[tuple[Any, ...]] = []
    for number in range(4):
        own = folder / str(number)
        own.mkdir(parents=True)
        settings = {
            "seed": f"{caps} {number}",
            "folder": str(own),
            "url": url,
            "caps": caps,
            "namespace": namespace,
            "seconds": seconds,
            "calls": 60,
        }
        given.append((settings,))
    return given


def spent(folder: Path) -> dict[str, int]:
    """Return what left: at its cost where that is known, else at the most it may have cost."""
    total = {"usd": 0, "calls": 0, "tokens": 0}
    for record in folder.glob("*/spent"):
        calls: dict[int, tuple[int, int]] = {}
        for line in record.read_text(encoding="utf-8").splitlines():
            _, number, usd, tokens = json.loads(line)
            calls[number] = (usd, tokens)
        total["calls"] += len(calls)
        total["usd"] += sum(usd for usd, _ in calls.values())
        total["tokens"] += sum(tokens for _, tokens in calls.values())
    return total


def wait_for(folder: Path, calls: int) -> None:
    """Wait until so many calls have left."""
    until = time.monotonic() + 30
    while spent(folder)["calls"] < calls:
        assert time.monotonic() < until
        time.sleep(0.01)


def settled(folder: Path) -> int:
    """Return how many calls have left when no more leave."""
    calls, since = 0, time.monotonic()
    while time.monotonic() < since + 0.3:
        if (now := spent(folder)["calls"]) != calls:
            calls, since = now, time.monotonic()
        time.sleep(0.02)
    return calls


def over(caps: dict[str, Any], total: dict[str, int]) -> list[str]:
    return [name for name, cap in caps.items() if total[name.removesuffix("_per_day")] > cap]


@pytest.mark.parametrize("caps", CAPS, ids=["usd", "calls", "tokens", "all"])
def test_four_processes_never_overspend_a_day_though_one_of_them_is_killed(
    namespace: str, tmp_path: Path, caps: dict[str, Any]
) -> None:
    """240 calls at random costs; whoever is killed leaves its bookings, which are the most."""
    arguments = spenders(tmp_path, caps, url=URL, namespace=namespace)
    with workers(spending_worker.spend, arguments) as processes:
        for process in processes:
            process.go()
        wait_for(tmp_path, 30)
        processes[0].kill()
        stopped = [process.said() for process in processes[1:]]
    total = spent(tmp_path)
    assert stopped == [0, 0, 0]
    assert not over(caps, total), total
    with raw() as redis:
        (key,) = redis.keys(f"{namespace}:1:day:*")
        booked = {k.decode().partition(":")[0]: int(v) for k, v in redis.hgetall(key).items()}
    assert booked["picos"] >= total["usd"] * 10**12
    assert booked["calls"] >= total["calls"]
    assert booked["tokens"] >= total["tokens"]
    counts = {"usd": booked["picos"] / 10**12, **booked}
    # What was refused was refused because there was no room for it.
    room = {"usd": 6, "calls": 1, "tokens": 70}
    assert any(
        counts[part] + room[part] > cap
        for name, cap in caps.items()
        for part in [name.removesuffix("_per_day")]
    )


def test_four_processes_go_on_after_a_restart_of_a_redis_that_keeps_what_was_spent(
    tmp_path: Path,
) -> None:
    caps = CAPS[-1]
    with OwnServer(tmp_path / "data", appendonly=True) as server:
        arguments = spenders(tmp_path / "w", caps, url=server.url, namespace="shop", seconds=1.0)
        with workers(spending_worker.spend, arguments) as processes:
            for process in processes:
                process.go()
            wait_for(tmp_path / "w", 20)
            before = spent(tmp_path / "w")["calls"]
            server.restart()
            stopped = [process.said() for process in processes]
    total = spent(tmp_path / "w")
    assert stopped == [0] * 4
    assert before < total["calls"]
    assert not over(caps, total), total


def test_four_processes_send_nothing_more_after_a_redis_has_lost_what_was_spent(
    tmp_path: Path,
) -> None:
    caps = {"usd_per_day": 400.0}  # so much that it would last beyond the restart
    with OwnServer(tmp_path / "data") as server:
        arguments = spenders(tmp_path / "w", caps, url=server.url, namespace="shop", seconds=1.0)
        with workers(spending_worker.spend, arguments) as processes:
            for process in processes:
                process.go()
            wait_for(tmp_path / "w", 20)
            server.kill()
            before = settled(tmp_path / "w")  # what was booked has left by now
            server.start()
            stopped = [process.said() for process in processes]
    total = spent(tmp_path / "w")
    assert 0 < before == total["calls"] < 240
    assert sum(stopped) == 240 - before
    assert not over(caps, total), total


# -- one answer for all ------------------------------------------------------------------------


class Counting:
    """A service that answers when it is allowed to, and counts who asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = threading.Event()
        counting = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                counting.asked += 1
                counting.answers.wait(30)
                self.send_response(200)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"calm")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Counting:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, asked: int) -> None:
        until = time.monotonic() + 30
        while self.asked < asked:
            assert time.monotonic() < until
            time.sleep(0.01)


def askers(folder: Path, url: str, namespace: str) -> list[tuple[Any, ...]]:
    return [(URL, namespace, url, folder / str(number)) for number in range(4)]


def test_of_four_processes_that_ask_the_same_one_is_sent_and_all_are_answered(
    namespace: str, tmp_path: Path
) -> None:
    with (
        Counting() as service,
        workers(asking_worker.ask, askers(tmp_path, service.url, namespace)) as processes,
    ):
        for process in processes:
            process.go()
        service.wait_for(1)
        time.sleep(0.3)
        service.answers.set()
        answers = [process.said() for process in processes]
        assert service.asked == 1
    assert sorted(answers) == [["calm", False], *([["calm", True]] * 3)]


def test_of_a_process_that_is_killed_while_it_asks_another_one_takes_the_place(
    namespace: str, tmp_path: Path
) -> None:
    with (
        Counting() as service,
        workers(asking_worker.ask, askers(tmp_path, service.url, namespace)) as processes,
    ):
        processes[0].go()
        service.wait_for(1)
        for process in processes[1:]:
            process.go()
        time.sleep(0.3)
        assert service.asked == 1
        processes[0].kill()
        with raw() as redis:  # which would take ten seconds
            (lease,) = redis.keys(f"{namespace}:1:lease:*")
            redis.pexpire(lease, 100)
        service.answers.set()
        answers = [process.said() for process in processes[1:]]
        assert service.asked == 2
    assert sorted(answers) == [["calm", False], ["calm", True], ["calm", True]]
