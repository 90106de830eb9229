"""Several processes and one Redis: no window is exceeded, whatever happens to either."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lines_kit import Turns

from mmcrime.calls import shared_turn
from mmcrime.calls.link import CLOCK, Link, Script
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.calls.window import MARGIN, Window
from mmcrime.config import ProviderSettings
from mmcrime.errors import RateLimitedError, UnavailableError
from shared_redis import URL, OwnServer, own_namespace, raw
from sharing_process import DOOR, DOWN

PROCESSES = 4
WORKER = Path(__file__).parents[1] / "sharing_process.py"
WINDOW = 0.5  # seconds
LIMITS = {"requests_per_minute": 24, "tokens_per_minute": 1200, "max_concurrency": 1000}
LARGEST = 100


class Processes:
    """Several processes that do what they are told."""

    def __init__(self, times: int = PROCESSES, *, lease: float = 30.0) -> None:
        arguments = [sys.executable, str(WORKER), str(WINDOW + MARGIN), str(lease)]
        self._running = [
            subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(times)
        ]

    def tell(self, *works: dict[str, Any]) -> None:
        for seed, process in enumerate(self._running):
            assert process.stdin is not None
            told = [{**work, "seed": seed} for work in works]
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()

    def heard(self) -> list[Any]:
        """Return the next line of each."""
        return [json.loads(self._line(process)) for process in self._running]

    def kill(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        return process.stdout.readline()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    running = Processes()
    with own_namespace() as namespace, TemporaryDirectory() as folder:
        warm = False
        while not warm:  # at first each is busy with what it imports
            running.tell(hammering(URL, namespace, Path(folder), time.time() + 0.1, 0.1))
            warm = any(one["passed"] for (one,) in running.heard())
    yield running
    running.kill()


def most_in_a_window(passed: list[tuple[float, int]]) -> tuple[int, int]:
    inside: deque[tuple[float, int]] = deque()
    tokens = most_requests = most_tokens = 0
    for at, size in sorted(passed):
        inside.append((at, size))
        tokens += size
        while inside[0][0] <= at - WINDOW:
            tokens -= inside.popleft()[1]
        most_requests = max(most_requests, len(inside))
        most_tokens = max(most_tokens, tokens)
    return most_requests, most_tokens


def hammering(
    url: str, namespace: str, folder: Path, begin: float, seconds: float, pause: float = 0.05
) -> dict[str, Any]:
    return {
        "pause": pause,
        "work": "hammer",
        "url": url,
        "namespace": namespace,
        "folder": str(folder),
        "limits": LIMITS,
        "largest": LARGEST,
        "window": WINDOW,
        "begin": begin,
        "end": begin + seconds,
    }


def merged(seen: list[dict[str, Any]]) -> tuple[list[tuple[float, int]], list[float]]:
    """Return what all processes were let through, and when calls failed."""
    passed = [(at, tokens) for one in seen for at, tokens in one["passed"]]
    return sorted(passed), [at for one in seen for at in one["failed"]]


def assert_heeded(passed: list[tuple[float, int]], what: str = "") -> None:
    assert passed, what
    requests, tokens = most_in_a_window(passed)
    assert requests <= LIMITS["requests_per_minute"], what
    assert tokens <= LIMITS["tokens_per_minute"], what


def test_processes_together_exceed_no_window_and_waste_little(
    processes: Processes, tmp_path: Path
) -> None:
    spans = 3
    whole = spans * (WINDOW + MARGIN)
    with own_namespace() as namespace:
        processes.tell(hammering(URL, namespace, tmp_path, time.time() + 0.1, whole + 0.4))
        seen = [one for (one,) in processes.heard()]
    assert all(one["passed"] for one in seen)
    passed, failed = merged(seen)
    assert not failed
    assert_heeded(passed)
    # What passes repeats itself after a span, so that only whole spans give an average.
    inside = [tokens for at, tokens in passed if at < passed[0][0] + whole]
    requests = len(inside) / (spans * LIMITS["requests_per_minute"])
    tokens = sum(inside) / (spans * LIMITS["tokens_per_minute"])
    assert max(requests, tokens) >= 0.9


def begin_epoch(server: OwnServer) -> None:
    """Make a server that was just started one of which all is known."""
    redis = raw(server.url)
    run = redis.info("server")["run_id"]
    redis.hset("mine:1:epoch", mapping={"name": "first", "run": run})


def await_passed(server: OwnServer, requests: int) -> None:
    redis, until = raw(server.url), time.monotonic() + 10
    while int(redis.hget("mine:1:limits:acme:e:state", "requests_total") or 0) < requests:
        assert time.monotonic() < until
        time.sleep(0.005)


RESTARTS = ("with its data", "with older data", "without data", "emptied", "not again")


def test_no_window_is_exceeded_when_redis_is_killed_and_starts_again(
    processes: Processes, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        servers = {
            what: stack.enter_context(
                OwnServer(tmp_path / what.replace(" ", "-"), appendonly=what == RESTARTS[0])
            )
            for what in RESTARTS
        }
        for server in servers.values():
            begin_epoch(server)
        raw(servers["with older data"].url).save()  # what passes will be forgotten
        begin = time.time() + 0.1
        seconds = 0.9 + WINDOW + MARGIN + 1.5
        processes.tell(
            # Not so fast that the window is full and all sleep when it happens.
            *(hammering(s.url, "mine", tmp_path, begin, seconds, 1.0) for s in servers.values())
        )
        for server in servers.values():
            await_passed(server, LIMITS["requests_per_minute"] // 2)
        lost = {}
        for what, server in servers.items():
            raw(server.url).flushall() if what == "emptied" else server.kill()
            lost[what] = time.time()  # by the clock of Redis too
        for what in RESTARTS[:3]:
            servers[what].start()
        for what, *seen in zip(RESTARTS, *processes.heard(), strict=True):
            passed, failed = merged(seen)
            assert_heeded(passed, what)
            after = [at for at, _ in passed if at > lost[what]]
            if what == "not again":
                assert failed
                assert not after
            else:
                assert not failed, what  # they waited
                # Nobody knows what passed last, and so nobody goes for as long as that counts.
                assert after, what
                assert min(after) > lost[what] + WINDOW, what


def test_a_process_that_was_killed_frees_its_places(tmp_path: Path) -> None:
    dying = Processes(1, lease=1.0)
    with own_namespace() as namespace:
        given = {
            **hammering(URL, namespace, tmp_path, 0.0, 0.0),
            "work": "hold",
            "limits": {"max_concurrency": 1},
        }
        dying.tell(given)
        assert dying.heard() == ["holds"]

        async def work() -> float:
            link = Link(URL, namespace=namespace, directory=tmp_path)
            limits = ProviderSettings(max_concurrency=1)
            line = SharedLimiter("acme", limits, link=link, endpoint="e", window=WINDOW)
            await asyncio.sleep(1.2)  # it is alive, and says so
            with pytest.raises(RateLimitedError, match="max_concurrency=1"):
                await line.enter(1, deadline=asyncio.get_running_loop().time() + 0.2)
            dying.kill()
            began = time.time()
            await line.enter(1, deadline=None)
            line.leave()
            await line.aclose()
            await link.aclose()
            return time.time() - began

        assert asyncio.run(work()) < 5.0


def test_exactly_one_call_of_all_processes_is_let_through(
    processes: Processes, tmp_path: Path
) -> None:
    rules = {"shortest": 0.2, "longest": 0.2, "apart": 0.0}
    with own_namespace() as namespace:
        asyncio.run(_shut(Link(URL, namespace=namespace, directory=tmp_path), rules))
        begin = time.time()
        given = {**hammering(URL, namespace, tmp_path, begin, 1.2), "work": "probe"}
        processes.tell({**given, "rules": rules, "seconds": 0.1})
        seen = [one for (one,) in processes.heard()]
    let = sorted((began, ended) for one in seen for began, ended in one["let"])
    assert len(let) >= 2
    for (_, ended), (began, _) in pairwise(let):
        assert ended + 0.19 <= began


def test_the_one_call_of_a_process_that_was_killed_makes_way_for_the_next(
    tmp_path: Path,
) -> None:
    rules = {"shortest": 0.05, "longest": 0.05, "apart": 0.0, "lease": 1.0}
    dying = Processes(1)
    with own_namespace() as namespace:
        asyncio.run(_shut(Link(URL, namespace=namespace, directory=tmp_path), rules))
        time.sleep(0.06)
        given = {**hammering(URL, namespace, tmp_path, 0.0, 0.0), "work": "hold_door"}
        dying.tell({**given, "rules": rules})
        assert dying.heard() == ["holds"]

        async def work() -> float:
            link = Link(URL, namespace=namespace, directory=tmp_path)
            doors = SharedBreakers(link, **rules)
            await asyncio.sleep(1.2)
            with pytest.raises(UnavailableError):  # it is alive, and says so
                await doors.admit(DOOR)
            dying.kill()
            began = time.time()
            while True:
                with contextlib.suppress(UnavailableError):
                    doors.gave_up(DOOR, await doors.admit(DOOR))
                    break
                await asyncio.sleep(0.01)
            await doors.aclose()
            await link.aclose()
            return time.time() - began

        assert asyncio.run(work()) < 5.0


async def _shut(link: Link, rules: dict[str, float]) -> None:
    doors = SharedBreakers(link, **rules)
    for _ in range(5):
        await doors.failed(DOOR, await doors.admit(DOOR), DOWN)
    await link.aclose()


# The script beside the windows of one process, which have their own tests: the same history
# must give the same times.

UNITS = ("requests", "tokens")

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 60)),
        st.tuples(st.just("wait"), st.integers(0, 40_000)),
        st.tuples(st.just("debt"), st.integers(1, 30)),
        st.tuples(st.just("refused"), st.integers(0, 20)),
        st.tuples(
            st.just("said"),
            st.tuples(
                st.none() | st.integers(1, 120), st.none() | st.integers(0, 50), st.integers(1, 90)
            ),
        ),
    ),
    max_size=40,
)


class Model:
    """What one process would do, by its own windows."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.now = 1_700_000_000.0
        self.windows = {
            unit: Window(setting=unit, unit=unit, limit=limits.get(unit)) for unit in UNITS
        }
        self.resume = 0.0
        self.passed = (self.now, 0, 0)  # the last one: when, and the totals with it

    def ask(self, tokens: int) -> tuple[str, float]:
        most = self.windows["tokens"].limit
        if most is not None and tokens > most:
            return "unfit", 0.0
        at = max(
            self.windows["requests"].ready(self.now, 1),
            self.windows["tokens"].ready(self.now, tokens),
            self.resume,
        )
        if at > self.now:
            return "wait", at - self.now
        self.windows["requests"].add(self.now, 1)
        self.windows["tokens"].add(self.now, tokens)
        self.passed = (self.now, *(self.windows[unit].total for unit in UNITS))
        return "go", 0.0


@given(
    limits=st.fixed_dictionaries(
        {}, optional={"requests": st.integers(1, 8), "tokens": st.integers(20, 150)}
    ),
    events=EVENTS,
)
@settings(max_examples=100, deadline=None)
def test_the_script_lets_pass_what_the_windows_of_one_process_would(
    limits: dict[str, int], events: list[tuple[str, Any]]
) -> None:
    with own_namespace() as namespace:
        model, shared = Model(limits), Turns(limits, namespace)
        for number, (what, value) in enumerate(events):
            if what == "wait":
                model.now = round(model.now + value / 1000, 6)
            elif what == "ask":
                outcome, wait = model.ask(value)
                reply = shared.turn(model.now, first={"number": number, "tokens": value})
                assert reply.why == outcome or (outcome == "wait" and reply.wait > 0)
                assert reply.wait == pytest.approx(wait, abs=1e-4)
                assert (reply.requests, reply.tokens) == tuple(
                    model.windows[unit].total for unit in UNITS
                )
            else:
                _tell(model, shared, what, value)


def _tell(model: Model, shared: Turns, what: str, value: Any) -> None:
    at, *marks = model.passed
    if what == "debt":
        model.windows["tokens"].add(model.now, value)
        shared.turn(model.now, debt=value)
    elif what == "refused":
        model.resume = max(model.resume, model.now + value)
        for unit in UNITS:
            model.windows[unit].slow(model.now, model.resume)
        shared.turn(model.now, refused={"episode": 10**6 + shared.number, "pause": value})
    else:
        limit, left, reset = value
        told = {}
        for unit, mark in zip(UNITS, marks, strict=True):
            given = {"limit": limit, "left": left, "reset": reset, "at": at, "mark": mark}
            model.windows[unit].state(**given)
            held = shared_turn.Held.said(**given)
            told[unit] = shared_turn._as_said(limit, held)
        shared.turn(model.now, said=told)


def test_the_script_that_was_compared_is_the_one_that_is_used() -> None:
    assert Script(CLOCK + shared_turn.BODY).sha == shared_turn.TURN.sha
