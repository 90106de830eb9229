"""Answers that several processes share: asked for once, and never taken on trust."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calls_kit import ANSWER, CUT, REFUSAL, Service, cached, picture, question, until

from mmcrime.calls.cache import Cached
from mmcrime.calls.ledger import Ledger, Recorded
from mmcrime.calls.link import Link
from mmcrime.calls.shared_answers import SharedAnswers
from mmcrime.calls.store import AnswerStore
from mmcrime.calls.stored import to_json
from mmcrime.errors import BudgetExceededError, ConfigError, UnavailableError
from mmcrime.plugins import Provider, Response
from mmcrime.results import Cost
from shared_redis import URL, Cutter, OwnServer, own_namespace, raw
from spending import in_loop


@pytest.fixture
def namespace() -> Iterator[str]:
    with own_namespace() as name:
        yield name


class Machine:
    """One of several machines, with a cache directory of its own.

    Attributes:
        shared: The answers it shares.
    """

    def __init__(
        self,
        namespace: str,
        folder: Path,
        *,
        url: str = URL,
        lease: float = 10.0,
        patience: float = 0.3,
    ) -> None:
        self._link = Link(url, namespace=namespace, directory=folder, patience=patience)
        self.shared = SharedAnswers(self._link, lease=lease)
        self._store = AnswerStore(folder, size_bytes=64 * 1024 * 1024)
        self._ledger = Ledger(folder)

    def asking(self, service: Service, *, request_id: str = "run-1", **more: Any) -> Cached:
        recorded = Recorded(
            service,
            name="service",
            ledger=self._ledger,
            price=lambda *_: Cost(usd=0.5, source="user"),
            tenant="default",
            request_id=request_id,
        )
        return cached(
            recorded,
            store=self._store,
            ledger=self._ledger,
            shared=self.shared,
            request_id=request_id,
            **more,
        )

    async def aclose(self) -> None:
        await self.shared.aclose()
        await self._link.aclose()
        await asyncio.to_thread(self._store.close)
        await asyncio.to_thread(self._ledger.close)


@asynccontextmanager
async def machines(namespace: str, folder: Path, **more: Any) -> AsyncIterator[list[Machine]]:
    both = [Machine(namespace, folder / name, **more) for name in ("here", "there")]
    try:
        async with asyncio.timeout(20):  # nobody waits for ever for somebody else
            yield both
    finally:
        for machine in both:
            await machine.aclose()


async def key_of(provider: Provider) -> str:
    """Return the key of `question`, for which an answer was stored."""
    service = Service()
    await cached(service).generate(question())
    return service.asked[0].key


@in_loop
async def test_an_answer_that_one_machine_paid_for_is_a_hit_on_another(
    namespace: str, tmp_path: Path
) -> None:
    service = Service()
    async with machines(namespace, tmp_path) as (here, there):
        first = await here.asking(service).generate(question())
        second = await there.asking(service, request_id="run-2").generate(question())
    assert len(service.asked) == 1
    assert not first.cached
    assert second == replace(first, cached=True, cost=Cost(usd=0.0, source="cache"))


@pytest.mark.parametrize("reply", [REFUSAL, CUT])
@in_loop
async def test_a_bad_reply_serves_only_the_run_that_paid_for_it_wherever_that_goes_on(
    namespace: str, tmp_path: Path, reply: Response
) -> None:
    service = Service(reply)
    async with machines(namespace, tmp_path) as (here, there):
        await here.asking(service).generate(question())
        again = await there.asking(service).generate(question())
        assert (again.status, again.cached, len(service.asked)) == (reply.status, True, 1)
        await there.asking(service, request_id="run-2").generate(question())
        assert len(service.asked) == 2


def forged(kind: str, key: str) -> Any:
    return {
        "noise": b"\x00 noise",
        "of another key": to_json("0" * 64, ANSWER),
        "more than was written": to_json(key, ANSWER)[:-1] + b', "cost": 0}',
        "a refusal for all": to_json(key, REFUSAL),
        "too large": to_json(key, replace(ANSWER, text="x" * (4 * 1024 * 1024))),
    }.get(kind)


@pytest.mark.parametrize(
    "kind",
    ["noise", "of another key", "more than was written", "a refusal for all", "too large", "list"],
)
@in_loop
async def test_what_nobody_of_ours_has_stored_is_passed_over_and_replaced(
    namespace: str, tmp_path: Path, kind: str
) -> None:
    service = Service()
    with raw() as redis:
        async with machines(namespace, tmp_path) as (here, there):
            key = await key_of(here.asking(service))
            place = f"{namespace}:1:answer:{key}"
            if kind == "list":
                redis.rpush(place, "x")
                redis.rpush(f"{namespace}:1:paid:{key}:run-1", "x")
                redis.rpush(f"{namespace}:1:lease:{key}", "x")
            else:
                redis.set(place, forged(kind, key))
                redis.set(f"{namespace}:1:paid:{key}:run-1", b"noise")
            answers = [await m.asking(service).generate(question()) for m in (here, there)]
    assert [answer.text for answer in answers] == [ANSWER.text] * 2
    assert [answer.cached for answer in answers] == [False, True]
    assert len(service.asked) == 1


@in_loop
async def test_an_answer_of_no_use_to_whoever_asks_is_asked_for_again(
    namespace: str, tmp_path: Path
) -> None:
    service = Service(ANSWER, replace(ANSWER, text="{}"))
    asked = replace(question(), usable=lambda text: text == "{}")
    async with machines(namespace, tmp_path) as (here, there):
        told = [await m.asking(service).generate(asked) for m in (here, there, here)]
    assert [(t.text, t.cached) for t in told] == [(ANSWER.text, False), ("{}", False), ("{}", True)]


@in_loop
async def test_while_one_machine_asks_the_others_wait_for_its_answer(
    namespace: str, tmp_path: Path
) -> None:
    """For longer than a lease lasts, which is therefore renewed."""
    service = Service()
    service.release = asyncio.Event()
    async with machines(namespace, tmp_path, lease=0.3) as both:
        calls = [asyncio.create_task(m.asking(service).generate(question())) for m in both]
        await until(lambda: len(service.asked) == 1)
        await asyncio.sleep(0.8)
        service.release.set()
        answers = await asyncio.gather(*calls)
    assert len(service.asked) == 1
    assert sorted(answer.cached for answer in answers) == [False, True]


@in_loop
async def test_when_one_fails_the_next_asks_at_once(namespace: str, tmp_path: Path) -> None:
    service = Service(UnavailableError("gone", provider="service"), ANSWER)
    service.release = asyncio.Event()
    async with machines(namespace, tmp_path, lease=60.0) as both:
        calls = [asyncio.create_task(m.asking(service).generate(question())) for m in both]
        await until(lambda: len(service.asked) == 1)
        service.release.set()
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {UnavailableError, Response}
    assert len(service.asked) == 2


@in_loop
async def test_one_who_is_cancelled_leaves_its_place_to_the_next(
    namespace: str, tmp_path: Path
) -> None:
    service = Service()
    service.release = asyncio.Event()
    async with machines(namespace, tmp_path, lease=60.0) as (here, there):
        first = asyncio.create_task(here.asking(service).generate(question()))
        await until(lambda: len(service.asked) == 1)
        second = asyncio.create_task(there.asking(service).generate(question()))
        first.cancel()
        await until(lambda: len(service.asked) == 2)
        service.release.set()
        assert not (await second).cached
        with pytest.raises(asyncio.CancelledError):
            await first


@pytest.mark.parametrize("left", [200, None])
@in_loop
async def test_a_lease_of_one_who_died_lapses(
    namespace: str, tmp_path: Path, left: int | None
) -> None:
    """Even one that somebody made to last for ever."""
    service = Service()
    with raw() as redis:
        async with machines(namespace, tmp_path) as (here, _):
            lease = f"{namespace}:1:lease:{await key_of(here.asking(service))}"
            redis.set(lease, "somebody", px=left)
            async with asyncio.timeout(5):
                await here.asking(service).generate(question())
            assert not redis.exists(lease)
    assert len(service.asked) == 1


@in_loop
async def test_nobody_waits_for_others_beyond_the_deadline(namespace: str, tmp_path: Path) -> None:
    service = Service()
    with raw() as redis:
        async with machines(namespace, tmp_path) as (here, _):
            redis.set(f"{namespace}:1:lease:{await key_of(here.asking(service))}", "x", px=9000)
            deadline = asyncio.get_running_loop().time() + 0.2
            with pytest.raises(BudgetExceededError, match="while another process was asking"):
                await here.asking(service, deadline=deadline).generate(question())
    assert not service.asked


@in_loop
async def test_a_lease_whose_reply_is_lost_is_its_own_holders(
    namespace: str, tmp_path: Path
) -> None:
    with Cutter() as way:
        here = Machine(namespace, tmp_path, url=way.url)
        await here.asking(Service()).generate(question("something else"))
        way.lose = 1
        async with asyncio.timeout(5):
            answer = await here.asking(Service()).generate(question())
        assert (way.lose, answer.cached) == (0, False)
        await here.aclose()


@in_loop
async def test_what_this_machine_paid_for_is_not_paid_again_when_redis_has_lost_it(
    tmp_path: Path,
) -> None:
    service = Service()
    with OwnServer(tmp_path / "data") as server:
        async with machines("shop", tmp_path, url=server.url) as (here, there):
            await here.asking(service).generate(question())
            server.restart()
            again = await here.asking(service, request_id="run-2").generate(question())
            assert again.cached
            other = await there.asking(service, request_id="run-3").generate(question())
            assert other.cached
    assert len(service.asked) == 1


@in_loop
async def test_a_reply_that_cannot_be_shared_is_used_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    service.release = asyncio.Event()
    with OwnServer(tmp_path / "data") as server:
        async with machines("shop", tmp_path, url=server.url) as (here, _):
            call = asyncio.create_task(here.asking(service).generate(question()))
            await until(lambda: len(service.asked) == 1)
            server.kill()
            service.release.set()
            with caplog.at_level(logging.WARNING, logger="mmcrime.calls.shared"):
                assert (await call).text == ANSWER.text
            assert "cannot be used" in caplog.text
            with pytest.raises(ConfigError):
                await here.asking(service).generate(question("else"))
    assert len(service.asked) == 1


@in_loop
async def test_a_reply_does_not_wait_for_a_redis_that_is_away_and_is_shared_when_it_is_back(
    tmp_path: Path,
) -> None:
    service = Service()
    service.release = asyncio.Event()
    with OwnServer(tmp_path / "data") as server:
        async with machines("shop", tmp_path, url=server.url, patience=15.0) as (here, there):
            call = asyncio.create_task(here.asking(service).generate(question()))
            await until(lambda: len(service.asked) == 1)
            server.kill()
            service.release.set()
            async with asyncio.timeout(5):
                assert (await call).text == ANSWER.text
            server.start()
            await here.shared.aclose()
            other = await there.asking(service, request_id="run-2").generate(question())
            assert other.cached
    assert len(service.asked) == 1


@in_loop
async def test_pictures_stay_on_this_machine(namespace: str, tmp_path: Path) -> None:
    secret = b"jpeg of a street"
    async with machines(namespace, tmp_path) as (here, _):
        part = picture("shot", load=lambda: secret)
        await here.asking(Service()).generate(question("what?", part))
        with raw() as redis:
            held = [redis.get(k) for k in redis.keys(f"{namespace}:*:answer:*")]
    assert len(held) == 1
    assert secret not in held[0]


@in_loop
async def test_answers_can_be_counted_and_removed_and_what_was_spent_stays(
    namespace: str, tmp_path: Path
) -> None:
    async with machines(namespace, tmp_path) as (here, _):
        for number in range(3):
            await here.asking(Service()).generate(question(str(number)))
        await here.asking(Service(REFUSAL)).generate(question("refused"))
        with raw() as redis:
            redis.set(f"{namespace}:1:day:2026-11-30", "spent")
            assert await here.shared.count() == 3
            await here.shared.clear()
            assert await here.shared.count() == 0
            left = {key.decode().split(":")[2] for key in redis.keys(f"{namespace}:*")}
            assert left == {"epoch", "day"}
