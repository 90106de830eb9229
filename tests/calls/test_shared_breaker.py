"""The doors that processes share; here two sets of them stand for two processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mmcrime.calls import link as link_module
from mmcrime.calls import shared_breaker
from mmcrime.calls.breaker import KEPT, Door, Guarded
from mmcrime.calls.link import Link
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Provider, Request, Response
from shared_redis import URL, Cutter, OwnServer, own_namespace, raw

QUESTION = Request(instructions="?", parts=())
DOOR = Door("acme", "https://service.test", "m")
DOWN = UnavailableError("502 from the service.", provider="acme")
BAD_KEY = AuthenticationError("401 from the service.", provider="acme")
TIMES = ("last", "since", "until", "probe_until")


class Service(Provider):
    """Does what it is set to do."""

    endpoint = DOOR.endpoint
    model = DOOR.model

    def __init__(self) -> None:
        self.does: Callable[[], Awaitable[None]] | None = None
        self.failure: BaseException | None = None
        self.calls = 0

    async def generate(self, request: Request) -> Response:
        self.calls += 1
        if self.does is not None:
            await self.does()
        if self.failure is not None:
            raise self.failure
        return Response(status="answered", text="yes", model="m")


class Scene:
    """The doors of several processes; time passes by hand."""

    def __init__(self, namespace: str, folder: Path, url: str = URL, patience: float = 5.0) -> None:
        self.namespace = namespace
        self.url = url
        self._folder = folder
        self._patience = patience
        self.links: list[Link] = []
        self.made: list[SharedBreakers] = []

    def doors(self, **rules: float) -> SharedBreakers:
        folder = self._folder / str(len(self.links))
        link = Link(self.url, namespace=self.namespace, directory=folder, patience=self._patience)
        self.links.append(link)
        self.made.append(SharedBreakers(link, **{"apart": 0.0, **rules}))
        return self.made[-1]

    def later(self, seconds: float) -> None:
        """Let everything that is kept be so much older."""
        key, redis = f"{self.namespace}:1:doors", raw()
        for door, text in redis.hgetall(key).items():
            held = json.loads(text)
            moved = {time: f"{float(held[time]) - seconds:.6f}" for time in TIMES if time in held}
            redis.hset(key, door, json.dumps(held | moved))

    async def close(self) -> None:
        for doors in self.made:
            await doors.aclose()
        for link in self.links:
            await link.aclose()


def played(work: Callable[[Scene], Awaitable[Any]], folder: Path, **given: Any) -> Any:
    async def whole() -> Any:
        with own_namespace() as namespace:
            scene = Scene(namespace, folder, **given)
            try:
                async with asyncio.timeout(20):
                    return await work(scene)
            finally:
                await scene.close()

    return asyncio.run(whole())


async def fail(doors: SharedBreakers, times: int = 1, error: ProviderError = DOWN) -> None:
    for _ in range(times):
        ticket = await doors.admit(DOOR)
        await doors.failed(DOOR, ticket, error)
        doors.gave_up(DOOR, ticket)


async def is_shut(
    doors: SharedBreakers, error: type[ProviderError] = UnavailableError, door: Door = DOOR
) -> bool:
    outcome = (await asyncio.gather(doors.admit(door), return_exceptions=True))[0]
    if isinstance(outcome, error):
        assert (outcome.retryable, outcome.may_be_billed) == (False, False)
        return True
    doors.gave_up(door, outcome)
    return False


def test_failures_of_all_processes_together_shut_the_door_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there, third = scene.doors(), scene.doors(), scene.doors()
        await fail(here, 2)
        await fail(there, 2)
        assert not await is_shut(third)
        await fail(here)
        assert [await is_shut(doors) for doors in scene.made] == [True, True, True]
        with pytest.raises(UnavailableError, match=r"failed 5 times in a row.* 502 from the serv"):
            await third.admit(DOOR)
        for other in ({"provider": "b"}, {"endpoint": "e"}, {"model": "n"}):
            assert not await is_shut(third, door=DOOR._replace(**other))

    played(work, tmp_path)


def test_an_answer_in_one_process_begins_the_count_anew_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 4)
        await there.succeeded(DOOR)
        await fail(here, 4)
        assert not await is_shut(there)

    played(work, tmp_path)


def test_one_short_interruption_of_calls_of_all_is_one_failure(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(apart=60), scene.doors(apart=60)
        for doors in (here, there) * 5:
            await fail(doors)
        (status,) = await there.status()
        assert (status.failures, status.state) == (1, "closed")

    played(work, tmp_path)


def test_what_was_sent_before_the_door_was_shut_changes_nothing(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        early = await there.admit(DOOR)
        await fail(here, 5)
        before = await here.status()
        await there.failed(DOOR, early, DOWN)
        assert await here.status() == before

    played(work, tmp_path)


def test_one_call_of_all_is_let_through_and_its_failure_doubles_the_wait(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 5)
        for wait in (60, 120, 240, 480, 600, 600):
            (before,) = await here.status()
            scene.later(before.wait - 5)
            assert await is_shut(there)
            scene.later(5)
            probe = await here.admit(DOOR)
            assert await is_shut(there)
            assert await is_shut(here)
            await here.failed(DOOR, probe, DOWN)
            assert await is_shut(there)
            (status,) = await there.status()
            assert (status.wait, status.state) == (wait, "open")
            assert status.until is not None

    played(work, tmp_path)


def test_the_answer_of_the_one_call_opens_the_door_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 5)
        scene.later(31)
        assert (await there.status())[0].state == "half_open"
        probe = await here.admit(DOOR)
        await here.succeeded(DOOR)
        here.gave_up(DOOR, probe)
        assert not await there.status()
        tickets = [await doors.admit(DOOR) for doors in (here, there, there)]
        assert len(tickets) == 3  # all at the same time

    played(work, tmp_path)


def test_one_call_that_ends_without_a_word_of_the_service_makes_way_for_the_next(
    tmp_path: Path,
) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 5)
        scene.later(31)
        service, asked = Service(), asyncio.Event()
        guarded = Guarded(service, name="acme", breakers=here)

        async def hang() -> None:
            asked.set()
            await asyncio.Event().wait()

        service.does = hang
        call = asyncio.create_task(guarded.generate(QUESTION))
        await asked.wait()
        assert await is_shut(there)
        call.cancel()
        await asyncio.wait({call})
        await here.aclose()  # by then it is told
        service.does, service.failure = None, RateLimitedError("429", provider="acme")
        with pytest.raises(RateLimitedError):
            await guarded.generate(QUESTION)
        await here.aclose()
        assert not await is_shut(there)

    played(work, tmp_path)


def test_the_one_call_of_a_process_that_says_nothing_any_more_is_given_up(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 5)
        scene.later(31)
        await here.admit(DOOR)
        scene.later(25)
        assert await is_shut(there)
        scene.later(6)
        assert not await is_shut(there)

    played(work, tmp_path)


def test_one_call_that_takes_long_is_kept_alive(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(lease=1.5), scene.doors(lease=1.5)
        await fail(here, 5)
        scene.later(31)
        probe = await here.admit(DOOR)
        await asyncio.sleep(1.6)
        assert await is_shut(there)
        here.gave_up(DOOR, probe)

    played(work, tmp_path)


def test_refused_keys_shut_the_door_of_this_process_only(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 5, BAD_KEY)
        assert await is_shut(here, AuthenticationError)
        assert not await is_shut(there)
        assert [s.kind for s in await here.status()] == ["key"]
        assert not await there.status()

    played(work, tmp_path)


def test_replies_that_are_lost_change_nothing(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        doors = scene.doors()
        await fail(doors)
        tickets = [await doors.admit(DOOR) for _ in range(4)]
        for number, ticket in enumerate(tickets):
            cutter.lose = 1
            await doors.failed(DOOR, ticket, DOWN)
            assert cutter.lose == 0
            (status,) = await doors.status()
            assert status.failures == 2 + number
        scene.later(31)
        cutter.lose = 1
        probe = await doors.admit(DOOR)  # asked twice, and let through once
        assert cutter.lose == 0
        assert await is_shut(scene.doors())
        await doors.failed(DOOR, probe, DOWN)
        (status,) = await doors.status()
        assert (status.failures, status.wait) == (6, 60)

    with Cutter() as cutter:
        played(work, tmp_path, url=cutter.url)


def test_a_clock_that_was_set_back_shuts_no_door_for_longer_than_any_may_be(
    tmp_path: Path,
) -> None:
    async def work(scene: Scene) -> None:
        doors = scene.doors()
        await fail(doors, 5)
        scene.later(-50_000)
        assert await is_shut(doors)
        scene.later(601)
        assert not await is_shut(doors)

    played(work, tmp_path)


def test_what_nobody_wants_to_know_any_longer_is_forgotten(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        doors = scene.doors()
        await fail(doors, 5)
        scene.later(KEPT + 31)
        other = DOOR._replace(model="another")
        await doors.failed(other, await doors.admit(other), DOWN)
        assert [s.model for s in await doors.status()] == ["another"]
        keys = list(raw().scan_iter(f"{scene.namespace}:*", count=10_000))
        assert sorted(keys) == [f"{scene.namespace}:1:{n}".encode() for n in ("doors", "epoch")]
        assert 0 < raw().ttl(f"{scene.namespace}:1:doors") <= KEPT

    played(work, tmp_path)


@pytest.mark.parametrize("how", ["away", "hangs"])
def test_where_redis_does_not_reply_nothing_is_sent(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_REPLY", 0.3)

    async def work(scene: Scene) -> None:
        service, doors = Service(), scene.doors()
        await is_shut(doors)
        server.kill() if how == "away" else server.hang()
        with pytest.raises(ConfigError, match="cannot be used") as away:
            await Guarded(service, name="acme", breakers=doors).generate(QUESTION)
        assert server.url in away.value.message
        soon = asyncio.get_running_loop().time() + 0.1
        with pytest.raises(BudgetExceededError, match="deadline"):
            await Guarded(service, name="acme", breakers=doors, deadline=soon).generate(QUESTION)
        with pytest.raises(ConfigError):
            await doors.status()
        assert not service.calls

    with OwnServer(tmp_path / "redis") as server:
        played(work, tmp_path, url=server.url, patience=0.5)


def test_what_was_paid_does_not_wait_for_a_redis_that_went_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_breaker, "_HEARD", 0.2)

    async def work(scene: Scene) -> None:
        service, doors = Service(), scene.doors()

        async def and_away() -> None:
            server.kill()

        service.does = and_away
        guarded = Guarded(service, name="acme", breakers=doors)
        async with asyncio.timeout(10):
            assert (await guarded.generate(QUESTION)).text == "yes"

    with OwnServer(tmp_path / "redis") as server:
        played(work, tmp_path, url=server.url, patience=600)


@pytest.mark.parametrize("what", ["script flush", "flushall", "restart"])
def test_a_redis_that_has_lost_its_scripts_or_all_it_held_is_gone_on_with(
    what: str, tmp_path: Path
) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.doors(), scene.doors()
        await fail(here, 4)
        assert not await is_shut(there)
        if what == "restart":
            server.restart()
        else:
            raw(server.url).execute_command(*what.split())
        await fail(here)
        assert await is_shut(there) is (what == "script flush")
        await fail(here, 0 if what == "script flush" else 4)
        assert await is_shut(there)

    with OwnServer(tmp_path / "redis") as server:
        played(work, tmp_path, url=server.url)


def test_a_ticket_of_others_is_a_mistake(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(TypeError, match="no ticket"):
            await scene.doors().failed(DOOR, object(), DOWN)

    played(work, tmp_path)


def test_a_door_in_redis_is_shown_as_one_of_this_process_is(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        doors = scene.doors()
        await fail(doors, 5)
        (status,) = await doors.status()
        assert (status.provider, status.endpoint, status.model) == DOOR
        assert (status.failures, status.wait, status.kind) == (5, 30, "outage")
        assert status.why == "502 from the service."
        assert status.since is not None
        assert status.until == status.since + timedelta(seconds=30)

    played(work, tmp_path)
