"""The doors that processes share beside those of one process: the same history, the same doors."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmcrime.calls import shared_breaker
from mmcrime.calls.breaker import Breakers, BreakerStatus, Door
from mmcrime.calls.link import CLOCK, Link, Script
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.errors import UnavailableError
from shared_redis import URL, own_namespace, raw

DOORS = [Door("acme", "https://service.test", "m"), Door("acme", "https://service.test", "n")]
DOWN = UnavailableError("502", provider="acme")
BODY = files("mmcrime.calls").joinpath("shared_breaker.lua").read_text("utf-8")
HAND = Script("local now = tonumber(redis.call('GET', KEYS[2] .. ':clock'))\n" + BODY)
PROCESSES = 2
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(1, 700)),  # eighths of a second, as doubles are
        st.tuples(st.just("wait"), st.sampled_from((7, 8, 239, 240, 241, 480, 4800))),
        st.tuples(st.sampled_from(("outage", "outage", "blip", "dead")), st.integers(0, 3)),
        st.tuples(st.sampled_from(("admit", "admit", "failed", "gave up")), st.integers(0, 3)),
        st.tuples(st.sampled_from(("answer",)), st.integers(0, 3)),
    ),
    max_size=40,
)
FAILURES = {"outage": (5, 8), "blip": (5, 7), "dead": (6, 4801)}  # how many, eighths apart


def seen(doors: tuple[BreakerStatus, ...]) -> list[dict[str, Any]]:
    """Return doors without what another clock decides."""
    return sorted((d.model_dump(exclude={"state"}) for d in doors), key=lambda d: str(d["model"]))


class Both:
    """The doors of one process, and those that two processes share, at the same time of day."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.now = 1_700_000_000.0
        self.own = Breakers(None, clock=lambda: self.now)
        self.link = Link(URL, namespace=namespace, directory=folder)
        self.shared = [SharedBreakers(self.link, lease=1e6) for _ in range(PROCESSES)]
        self.tickets: list[tuple[Door, SharedBreakers, object, object]] = []
        self.redis = raw()
        self.clock = f"{namespace}:1:doors:clock"
        self.wait(0)

    def wait(self, eighths: int) -> None:
        self.now += eighths / 8
        self.redis.set(self.clock, f"{self.now:.3f}")

    async def admit(self, which: int) -> None:
        door, shared = DOORS[which % 2], self.shared[which // 2]
        said: list[Any] = []
        for doors in (self.own, shared):
            try:
                said.append(await doors.admit(door))
            except UnavailableError as error:
                said.append(str(error))
        if isinstance(said[0], str) or isinstance(said[1], str):
            assert said[0] == said[1]
        else:
            self.tickets.append((door, shared, *said))

    async def end(self, which: int, how: str) -> None:
        if not self.tickets:
            return
        door, shared, own, other = self.tickets.pop(which % len(self.tickets))
        if how == "answer":
            await self.own.succeeded(door)
            await shared.succeeded(door)
        elif how == "failed":
            await self.own.failed(door, own, DOWN)
            await shared.failed(door, other, DOWN)
        self.own.gave_up(door, own)
        shared.gave_up(door, other)
        while True:  # until it is told
            told = [t for t in shared._tasks if t.get_coro().__name__ == "_report"]  # type: ignore[union-attr]  # they have one
            if not told:
                return
            await asyncio.wait(told)

    async def play(self, what: str, value: int) -> None:
        if what == "wait":
            self.wait(value)
        elif what == "admit":
            await self.admit(value)
        elif what in FAILURES:
            times, apart = FAILURES[what]
            for _ in range(times):
                self.wait(apart)
                before = len(self.tickets)
                await self.admit(value)
                if len(self.tickets) > before:
                    await self.end(len(self.tickets) - 1, "failed")
        else:
            await self.end(value, what)
        assert seen(self.own.status()) == seen(await self.shared[0].status())

    async def close(self) -> None:
        for door, shared, _, other in self.tickets:
            shared.gave_up(door, other)
        for shared in self.shared:
            await shared.aclose()
        await self.link.aclose()


@given(events=EVENTS)
@example(events=[("admit", 0), ("outage", 0), ("failed", 0)])
@example(events=[("admit", 0), ("outage", 2), ("dead", 0), ("failed", 0)])
@settings(max_examples=60, deadline=None)
def test_doors_that_are_shared_open_and_shut_as_those_of_one_process(
    events: list[tuple[str, int]],
) -> None:
    async def work(namespace: str, folder: Path) -> None:
        both = Both(namespace, folder)
        for what, value in events:
            await both.play(what, value)
        for which in range(4):
            await both.admit(which)
        await both.close()

    with (
        pytest.MonkeyPatch.context() as patch,
        own_namespace() as namespace,
        TemporaryDirectory() as folder,
    ):
        patch.setattr(shared_breaker, "_SCRIPT", HAND)
        asyncio.run(work(namespace, Path(folder)))


def test_the_script_that_was_compared_is_the_one_that_is_used() -> None:
    assert Script(CLOCK + BODY).sha == shared_breaker._SCRIPT.sha
