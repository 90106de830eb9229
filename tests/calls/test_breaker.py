"""The door that shuts when a service keeps failing, and opens when it answers again."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmcrime.calls.breaker import Breakers, Guarded
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Provider, Request, Response

QUESTION = Request(instructions="?", parts=())
NOON = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC).timestamp()
DOWN = UnavailableError("502 from the service.", provider="acme")
BAD_KEY = AuthenticationError("401 from the service.", provider="acme")


class Service(Provider):
    """Is as it is set to be: answers, fails, or hangs until it is let go."""

    endpoint = "https://service.test"

    def __init__(self) -> None:
        self.model = "m"
        self.failure: BaseException | None = None
        self.hold: asyncio.Event | None = None
        self.calls = 0

    async def generate(self, request: Request) -> Response:
        self.calls += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return Response(status="refused", text="", model="m")


class Scene:
    """A service behind a door, and a clock that is set by hand."""

    def __init__(self, path: Path | None = None) -> None:
        self.now = NOON
        self.service = Service()
        self.breakers = Breakers(path, clock=lambda: self.now)
        self.door = Guarded(self.service, name="acme", breakers=self.breakers)

    async def ask(self, request: Request = QUESTION) -> Response:
        return await self.door.generate(request)

    async def fail(self, failure: BaseException, times: int = 1, apart: float = 2.0) -> None:
        self.service.failure = failure
        for _ in range(times):
            self.now += apart
            with pytest.raises(type(failure)) as raised:
                await self.ask()
            assert raised.value is failure
        self.service.failure = None

    async def shut(self) -> None:
        await self.fail(DOWN, 5)

    async def is_shut(self) -> bool:
        calls = self.service.calls
        (outcome,) = await asyncio.gather(self.ask(), return_exceptions=True)
        if isinstance(outcome, Response):
            return False
        assert isinstance(outcome, UnavailableError | AuthenticationError)
        assert (outcome.retryable, outcome.may_be_billed) == (False, False)
        return self.service.calls == calls


def test_five_failures_in_a_row_shut_the_door_and_nothing_is_sent_any_more() -> None:
    async def work() -> None:
        for failure in (DOWN, BAD_KEY):
            scene = Scene()
            await scene.fail(failure, 4)
            assert not await scene.is_shut()  # it answers, and the count begins anew
            await scene.fail(failure, 5)
            assert await scene.is_shut()

    asyncio.run(work())


def test_the_message_says_since_when_why_and_when_it_is_tried_again() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.shut()
        with pytest.raises(UnavailableError) as raised:
            await scene.ask()
        assert str(raised.value) == (
            "'acme' ('m') is not asked: it failed 5 times in a row and has been left alone since "
            "2026-11-30 12:00:10 UTC. The last failure: 502 from the service. One call is let "
            "through from 12:00:40 UTC on. Wait until then, or ask another provider."
        )

    asyncio.run(work())


def test_refused_keys_are_called_so() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.fail(BAD_KEY, 5, apart=0.0)
        with pytest.raises(AuthenticationError, match=r"not asked.*Check the key"):
            await scene.ask()

    asyncio.run(work())


@pytest.mark.parametrize(
    "failure",
    [
        RateLimitedError("429", provider="acme"),
        ProviderError("400", provider="acme"),
        InvalidResponseError("HTML", provider="acme"),
        BudgetExceededError("cap"),
        ValueError("a stranger's mistake"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_other_failures_do_not_shut_it(failure: Exception) -> None:
    async def work() -> None:
        scene = Scene()
        await scene.fail(failure, 20)
        assert scene.breakers.status() == ()
        assert not await scene.is_shut()

    asyncio.run(work())


def test_one_short_interruption_of_many_calls_is_one_failure() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.fail(DOWN, 50, apart=0.01)
        assert [s.failures for s in scene.breakers.status()] == [1]
        assert not await scene.is_shut()

    asyncio.run(work())


def test_it_stays_shut_for_twice_as_long_each_time_up_to_ten_minutes() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.shut()
        for seconds in (30, 60, 120, 240, 480, 600, 600):
            scene.now += seconds - 0.1
            assert await scene.is_shut()
            await scene.fail(DOWN, apart=0.2)  # the one call that is let through
        assert await scene.is_shut()

    asyncio.run(work())


def test_exactly_one_call_is_let_through_and_its_success_opens_the_door() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.shut()
        scene.now += 31
        before = scene.service.calls
        scene.service.hold = asyncio.Event()
        calls = [asyncio.create_task(scene.ask()) for _ in range(20)]
        await asyncio.wait(calls, timeout=0.05)
        assert sum(not call.done() for call in calls) == 1
        scene.service.hold.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(r, Response) for r in results) == 1
        assert scene.service.calls == before + 1
        assert not await scene.is_shut()
        assert scene.breakers.status() == ()
        await scene.shut()
        scene.now += 29.9
        assert await scene.is_shut()
        scene.now += 0.1
        assert not await scene.is_shut()  # it was shut for 30 s again, not for 60

    asyncio.run(work())


@pytest.mark.parametrize(
    "outcome", ["cancelled", RateLimitedError("429", provider="acme"), ValueError("?")]
)
def test_a_probe_that_ends_otherwise_leaves_the_next_one_in(outcome: Any) -> None:
    async def work() -> None:
        scene = Scene()
        await scene.shut()
        scene.now += 31
        scene.service.hold = asyncio.Event()
        probe = asyncio.create_task(scene.ask())
        await asyncio.sleep(0)
        assert await scene.is_shut()
        if outcome == "cancelled":
            probe.cancel()
        else:
            scene.service.failure = outcome
            scene.service.hold.set()
        await asyncio.wait({probe})
        scene.service.failure = scene.service.hold = None
        assert not await scene.is_shut()

    asyncio.run(work())


def test_a_bad_request_shows_that_the_service_is_there() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.shut()
        scene.now += 31
        await scene.fail(ProviderError("400", provider="acme"))
        assert scene.breakers.status() == ()

    asyncio.run(work())


def test_calls_that_were_under_way_when_it_shut_change_nothing_by_failing() -> None:
    async def work() -> None:
        scene = Scene()
        scene.service.hold = asyncio.Event()
        late = asyncio.create_task(scene.ask())
        await asyncio.sleep(0)
        hold, scene.service.hold = scene.service.hold, None
        await scene.shut()
        before = scene.breakers.status()
        scene.service.failure = DOWN
        scene.now += 20
        hold.set()
        await asyncio.wait({late})
        assert late.exception() is DOWN
        assert scene.breakers.status() == before

    asyncio.run(work())


def test_each_model_has_a_door_of_its_own() -> None:
    async def work() -> None:
        scene = Scene()
        await scene.shut()
        assert await scene.is_shut()
        assert await scene.ask(Request(instructions="?", parts=(), model="other"))

    asyncio.run(work())


def test_another_process_sees_it_and_goes_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "doors.json"

    async def work() -> None:
        scene = Scene(path)
        await scene.shut()
        (seen,) = Breakers(path, clock=lambda: scene.now).status()
        assert (seen.provider, seen.model, seen.endpoint) == ("acme", "m", "https://service.test")
        assert (seen.state, seen.failures, seen.kind) == ("open", 5, "outage")
        assert seen.since is not None
        assert seen.since.timestamp() == scene.now
        assert seen.why == DOWN.message

        other = Scene(path)
        other.now = scene.now
        assert await other.is_shut()
        other.now += 31
        assert other.breakers.status()[0].state == "half_open"
        await other.ask()
        assert Breakers(path, clock=lambda: other.now).status() == ()

    asyncio.run(work())


def test_a_refused_key_is_shown_and_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "doors.json"

    async def work() -> None:
        scene = Scene(path)
        await scene.fail(BAD_KEY, 5)
        assert await scene.is_shut()
        assert json.loads(path.read_text())["doors"][0]["kind"] == "key"
        assert not await Scene(path).is_shut()

    asyncio.run(work())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"doors": [{"provider": 1}]}',
        b'{"doors": 5}',
        b"\xff\xfe\x00",
        b" " * 2_000_000,
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "doors.json"
    path.write_bytes(content)

    async def work() -> None:
        scene = Scene(path)
        assert scene.breakers.status() == ()
        await scene.shut()
        assert len(Breakers(path, clock=lambda: scene.now).status()) == 1

    asyncio.run(work())


def test_a_clock_that_was_set_back_does_not_keep_it_shut(tmp_path: Path) -> None:
    path = tmp_path / "doors.json"

    async def work() -> None:
        scene = Scene(path)
        await scene.shut()
        other = Scene(path)
        other.now = scene.now - 1e6
        other.breakers = Breakers(path, clock=lambda: other.now)
        other.door = Guarded(other.service, name="acme", breakers=other.breakers)
        assert await other.is_shut()
        other.now += 601
        assert not await other.is_shut()

    asyncio.run(work())


def test_a_file_that_cannot_be_written_fails_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def work() -> None:
        scene = Scene(tmp_path / "file" / "doors.json")
        await scene.shut()
        assert await scene.is_shut()

    asyncio.run(work())


def test_old_entries_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "doors.json"

    async def work() -> None:
        await Scene(path).shut()
        later = Scene(path)
        later.now += 2 * 24 * 3600
        later.breakers = Breakers(path, clock=lambda: later.now)
        assert later.breakers.status() == ()

    asyncio.run(work())


def _shut_one(path: Path, model: str) -> None:
    async def work() -> None:
        scene = Scene(path)
        scene.service.model = scene.door.model = model
        await scene.shut()

    asyncio.run(work())


def test_several_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "doors.json"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_shut_one, args=(path, f"m{n}")) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    held = Breakers(path, clock=lambda: NOON + 60).status()
    assert {status.model for status in held} == {"m0", "m1", "m2", "m3"}
