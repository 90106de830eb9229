"""The line before a service that processes share; here two limiters stand for two processes."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mmcrime.calls import link as link_module
from mmcrime.calls import shared_limits
from mmcrime.calls.limits import Limited
from mmcrime.calls.link import Link
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.calls.shared_turn import TURN, News
from mmcrime.calls.window import MARGIN
from mmcrime.config import ProviderSettings
from mmcrime.errors import BudgetExceededError, ConfigError, RateLimitedError, UnfitMediaError
from mmcrime.plugins import RateStatus, Response, TokenUsage
from shared_redis import URL, Cutter, OwnServer, own_namespace, raw

WINDOW = 0.3  # seconds
SPAN = WINDOW + MARGIN


class Scene:
    """Lines of several processes before one service."""

    def __init__(self, namespace: str, folder: Path, url: str = URL, patience: float = 5.0) -> None:
        self.namespace = namespace
        self._folder = folder
        self._url = url
        self._patience = patience
        self.lines: list[SharedLimiter] = []
        self.links: list[Link] = []

    def line(self, *, window: float = WINDOW, **limits: int) -> SharedLimiter:
        folder = self._folder / str(len(self.links))
        link = Link(self._url, namespace=self.namespace, directory=folder, patience=self._patience)
        settings = ProviderSettings(**limits)
        line = SharedLimiter("acme", settings, link=link, endpoint="e", window=window)
        self.links.append(link)
        self.lines.append(line)
        return line

    async def close(self) -> None:
        for line in self.lines:
            await line.aclose()
        for link in self.links:
            await link.aclose()


@asynccontextmanager
async def scene(folder: Path, url: str = URL, patience: float = 5.0) -> AsyncIterator[Scene]:
    with own_namespace() as namespace:
        made = Scene(namespace, folder, url, patience)
        try:
            yield made
        finally:
            await made.close()


def played(work: Callable[[Scene], Awaitable[Any]], folder: Path, **given: Any) -> Any:
    async def whole() -> Any:
        async with asyncio.timeout(20), scene(folder, **given) as made:
            return await work(made)

    return asyncio.run(whole())


def now() -> float:
    return asyncio.get_running_loop().time()


def answer(**given: Any) -> Response:
    return Response(status="answered", text="yes", model="m", **given)


def slow_down(**given: Any) -> RateLimitedError:
    return RateLimitedError("429", provider="acme", **given)


async def passes(line: SharedLimiter, tokens: int = 1, **given: Any) -> float:
    """Return the time of Redis at which a request passes."""
    place = await line.enter(tokens, deadline=given.get("deadline"))
    line.leave()
    return place.at


def test_requests_and_tokens_of_all_count_for_each(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here = scene.line(requests_per_minute=2)
        there = scene.line(requests_per_minute=2)
        first = await passes(here)
        await passes(there)
        assert await passes(here) >= first + SPAN
        tokens, more = (scene.line(tokens_per_minute=10**6) for _ in range(2))
        await passes(tokens, 600_000)
        at = await passes(more, 300_000)
        assert await passes(more, 200_000) >= at + SPAN - 0.1

    played(work, tmp_path)


def test_each_heeds_its_own_limits(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        strict, free = scene.line(requests_per_minute=1), scene.line()
        first = await passes(free)
        waiting = asyncio.create_task(passes(strict))
        await asyncio.sleep(0)
        assert await passes(free) < first + SPAN  # not held up by one that must wait
        assert await waiting >= first + SPAN

    played(work, tmp_path)


def test_places_are_those_of_all_and_are_given_back(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(max_concurrency=2), scene.line(max_concurrency=2)
        await here.enter(1, deadline=None)
        await here.enter(1, deadline=None)
        with pytest.raises(RateLimitedError, match=r"providers\.acme\.max_concurrency=2"):
            await there.enter(1, deadline=now() + 0.2)
        waiting = asyncio.create_task(there.enter(1, deadline=None))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        here.leave()
        await waiting
        here.leave()
        there.leave()

    played(work, tmp_path)


def test_within_a_process_nobody_is_overtaken(tmp_path: Path) -> None:
    async def work(scene: Scene) -> list[int]:
        line, order = scene.line(tokens_per_minute=100), list[int]()

        async def one(tokens: int) -> None:
            await passes(line, tokens)
            order.append(tokens)

        await asyncio.gather(*(one(tokens) for tokens in (60, 90, 1, 2, 3)))
        return order

    assert played(work, tmp_path) == [60, 90, 1, 2, 3]


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones_of_others(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        large, *small = (scene.line(tokens_per_minute=100) for _ in range(3))

        async def busy(line: SharedLimiter) -> None:
            while True:
                await passes(line, 10)
                await asyncio.sleep(0.01)

        others = [asyncio.create_task(busy(line)) for line in small]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            await passes(large, 95)
        for other in others:
            other.cancel()
        await asyncio.wait(others)

    played(work, tmp_path)


def test_use_beyond_the_reservation_is_a_debt_of_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = (scene.line(tokens_per_minute=100) for _ in range(2))
        place = await here.enter(10, deadline=None)
        here.answered(place, answer(usage=TokenUsage(input=80, output=10)))
        here.leave()
        await here.aclose()  # by then it is told
        assert await passes(there, 10) < place.at + SPAN
        assert await passes(there, 10) >= place.at + SPAN

    played(work, tmp_path)


def test_all_pause_after_a_refusal_and_the_rate_is_halved_once(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = (scene.line(requests_per_minute=16) for _ in range(2))
        places = [await here.enter(1, deadline=None) for _ in range(8)]
        for place in places:
            here.refused(place, slow_down(retry_after=0.3))
            here.leave()
        await here.aclose()  # by then it is told
        at = [await passes(there) for _ in range(4)]
        assert at[0] >= places[-1].at + 0.3
        assert at[-1] < at[0] + SPAN  # half of what had passed
        with pytest.raises(RateLimitedError, match="acme"):
            await there.enter(1, deadline=now() + 0.1)

    played(work, tmp_path)


def test_a_used_up_quota_slows_nobody_down(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line()
        place = await line.enter(1, deadline=None)
        line.refused(place, slow_down(retryable=False, retry_after=50))
        line.leave()
        assert await passes(line) < place.at + 20

    played(work, tmp_path)


def test_a_wait_of_an_hour_is_refused_unless_a_deadline_allows_it(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(), scene.line()
        place = await here.enter(1, deadline=None)
        here.refused(place, slow_down(retry_after=3600))
        here.leave()
        await here.aclose()  # by then it is told
        began = now()
        for deadline in (None, now() + 600):
            with pytest.raises(RateLimitedError, match="asked to wait") as refusal:
                await there.enter(1, deadline=deadline)
            assert refusal.value.out_of_time is (deadline is not None)
            assert not refusal.value.retryable
        assert now() < began + 10

    played(work, tmp_path)


def test_what_the_service_states_holds_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(requests_per_minute=500), scene.line()
        place = await here.enter(10, deadline=None)
        status = RateStatus(requests_per_minute=2, tokens_per_minute=50)
        here.answered(place, answer(rate=status))
        here.leave()
        await here.aclose()  # by then it is told
        await passes(there)
        assert await passes(there) >= place.at + SPAN
        with pytest.raises(UnfitMediaError, match="service's own limit of 50 tokens"):
            await there.enter(51, deadline=None)

    played(work, tmp_path)


def test_what_the_service_says_is_left_holds_for_all(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        here, there = scene.line(), scene.line()
        place = await here.enter(10, deadline=None)
        here.answered(place, answer(rate=RateStatus(requests_left=1, requests_reset=0.5)))
        here.leave()
        await here.aclose()  # by then it is told
        await passes(there)
        assert await passes(there) >= place.at + 0.45

    played(work, tmp_path)


@pytest.mark.parametrize("left", [math.nan, math.inf])
def test_limits_that_cannot_be_meant_are_passed_over(left: float, tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line()
        place = await line.enter(10, deadline=None)
        said = RateStatus(requests_per_minute=left, requests_left=left, requests_reset=50)
        line.answered(place, answer(rate=said))
        line.leave()
        assert await passes(line) < place.at + 20

    played(work, tmp_path)


def test_a_request_that_no_minute_holds_is_refused_at_once(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(UnfitMediaError, match=r"providers\.acme\.tokens_per_minute=500"):
            await scene.line(tokens_per_minute=500).enter(501, deadline=None)

    played(work, tmp_path)


def test_a_turn_after_the_deadline_is_refused_without_waiting(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(requests_per_minute=1, window=60)
        await passes(line)
        began = now()
        with pytest.raises(RateLimitedError, match="requests_per_minute=1") as refusal:
            await line.enter(1, deadline=began + 50)
        assert now() < began + 10
        assert refusal.value.out_of_time
        with pytest.raises(BudgetExceededError, match="deadline"):
            await line.enter(1, deadline=now())
        await passes(scene.line(requests_per_minute=2), deadline=now() + 10)

    played(work, tmp_path)


@pytest.mark.parametrize("ends", ["cancelled", "refused"])
def test_others_do_not_wait_for_one_that_has_gone_away(ends: str, tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(requests_per_minute=1, window=60)
        await passes(line)
        if ends == "refused":
            with pytest.raises(RateLimitedError):
                await line.enter(1, deadline=now() + 30)
        else:
            waiting = asyncio.create_task(line.enter(1, deadline=None))
            while not waits(scene):
                await asyncio.sleep(0.005)
            waiting.cancel()
            await asyncio.wait({waiting})
        await line.aclose()
        assert not waits(scene)

    def waits(scene: Scene) -> bool:
        key = scene.links[0].key("limits", "acme", "e", "processes")
        return any("first" in json.loads(process) for process in raw().hvals(key))

    played(work, tmp_path)


@pytest.mark.parametrize("moment", ["in the line", "with its turn"])
def test_a_cancelled_wait_leaves_no_trace(moment: str, tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line, other = scene.line(max_concurrency=1), scene.line(max_concurrency=1)
        if moment == "in the line":
            await line.enter(1, deadline=None)
        waiting = asyncio.create_task(line.enter(1, deadline=None))
        behind = asyncio.create_task(line.enter(1, deadline=None))
        if moment == "in the line":
            await asyncio.sleep(0.05)
            waiting.cancel()
        else:
            let = line._let

            def and_cancel(*given: Any) -> None:
                let(*given)
                waiting.cancel()

            line._let = and_cancel  # type: ignore[method-assign]  # at just this moment
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        if moment == "in the line":
            line.leave()
        await behind
        line.leave()
        await other.enter(1, deadline=now() + 2)
        other.leave()

    played(work, tmp_path)


def test_a_reply_that_is_lost_costs_no_second_place(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(tokens_per_minute=100, max_concurrency=1)
        await passes(line, 10)
        cutter.lose = 1
        place = await line.enter(10, deadline=None)
        assert cutter.lose == 0
        assert place.tokens_passed == 20
        line.leave()
        await line.aclose()
        totals = raw().hgetall(f"{scene.namespace}:1:limits:acme:e:state")
        assert totals[b"tokens_total"] == b"20"

    with Cutter() as cutter:
        played(work, tmp_path, url=cutter.url)


@pytest.mark.parametrize("how", ["away", "hangs"])
def test_where_redis_does_not_reply_a_call_waits_and_fails_and_a_deadline_ends_the_wait(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "_SILENT", 0.1)
    monkeypatch.setattr(link_module, "_REPLY", 0.4)

    async def work(scene: Scene) -> None:
        line = scene.line()
        await passes(line)
        server.kill() if how == "away" else server.hang()
        with pytest.raises(RateLimitedError, match="is away") as late:
            await line.enter(1, deadline=now() + 0.2)
        assert late.value.out_of_time
        with pytest.raises(ConfigError, match="cannot be used"):
            await line.enter(1, deadline=None)
        server.start() if how == "away" else server.go_on()
        await passes(line)  # no limit is known, and so nothing of the last minute matters

    with OwnServer(tmp_path / "redis") as server:
        played(work, tmp_path, url=server.url, patience=1.5)


@pytest.mark.parametrize("what", ["script flush", "flushall", "restart"])
def test_after_a_loss_nobody_goes_until_the_windows_are_over_where_a_limit_is_known(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That only the scripts are gone, or who has no limits, is no reason to wait."""
    monkeypatch.setattr(link_module, "_FORGETFUL", SPAN)

    async def work(scene: Scene) -> None:
        limited, free = scene.line(requests_per_minute=2), scene.line()
        at = [await passes(limited) for _ in range(2)][-1]
        if what == "restart":
            server.restart()
        else:
            raw(server.url).execute_command(*what.split())
        waiting = asyncio.create_task(passes(limited))
        assert await passes(free) < at + 10
        if what == "script flush":
            assert at + SPAN - 0.1 <= await waiting
        else:
            with pytest.raises(RateLimitedError, match="has lost what was sent"):
                await scene.line(requests_per_minute=100).enter(1, deadline=now() + SPAN / 3)
            assert at + SPAN <= await waiting

    with OwnServer(tmp_path / "redis") as server:
        played(work, tmp_path, url=server.url)


def test_a_new_process_that_never_saw_what_was_lost_heeds_what_others_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_FORGETFUL", 50.0)

    async def work(scene: Scene) -> None:
        line = scene.line(requests_per_minute=100)
        remembered = scene.links[0]
        redis = raw()
        await remembered.execute("HSET", remembered.key("epoch"), "name", "one", "run", run(redis))
        await passes(line)
        redis.delete(remembered.key("epoch"))
        with pytest.raises(RateLimitedError, match="has lost what was sent"):
            await line.enter(1, deadline=now() + 10)
        with pytest.raises(RateLimitedError, match="has lost what was sent"):
            await scene.line(requests_per_minute=100).enter(1, deadline=now() + 10)

    def run(redis: Any) -> str:
        return str(redis.info("server")["run_id"])

    played(work, tmp_path)


def test_a_place_is_held_while_redis_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose request is under way says so again, before what Redis knows of it has expired."""
    monkeypatch.setattr(shared_limits, "_BEAT", 0.1)
    monkeypatch.setattr(shared_limits, "_LEASE", 1.5)

    async def work(scene: Scene) -> None:
        here, there = scene.line(max_concurrency=1), scene.line(max_concurrency=1)
        await here.enter(1, deadline=None)
        server.kill()
        await asyncio.sleep(0.5)  # longer than it is waited for Redis
        server.start()
        await asyncio.sleep(1.5)
        with pytest.raises(RateLimitedError, match="max_concurrency=1"):
            await there.enter(1, deadline=now() + 0.3)
        here.leave()
        await there.enter(1, deadline=now() + 10)
        there.leave()

    with OwnServer(tmp_path / "redis", appendonly=True) as server:
        played(work, tmp_path, url=server.url, patience=0.2)


def test_a_message_that_comes_after_a_later_one_changes_nothing(tmp_path: Path) -> None:
    """As from two connections that both hung, of which the later one was served first."""

    async def work(scene: Scene) -> None:
        line, (link,) = scene.line(max_concurrency=2), scene.links
        messages = [line._message(None, News(debt=debt)) for debt in (50, 7)]
        for number, message in zip((1, 2), messages, strict=True):
            message["active"] = number
        for message in (messages[1], messages[0], messages[1]):
            await link.run(TURN, keys=line._keys, args=[json.dumps(message)])
        state = raw().hgetall(link.key("limits", "acme", "e", "state"))
        (held,) = raw().hvals(link.key("limits", "acme", "e", "processes"))
        assert state[b"tokens_total"] == b"7"
        assert json.loads(held)["active"] == 2

    played(work, tmp_path)


def test_keys_begin_with_the_namespace_and_hold_nothing_secret(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        secret = "sk-5ecret"  # noqa: S105  # of nobody
        settings = ProviderSettings(api_key=secret, base_url=f"https://u:{secret}@x", max_concurrency=3)
        link = Link(URL, namespace=scene.namespace, directory=tmp_path)
        line = SharedLimiter("acme", settings, link=link, endpoint="https://x/a:b%", window=WINDOW)
        await passes(line)
        await line.aclose()
        await link.aclose()
        redis, ours = raw(), f"{scene.namespace}:1:limits:acme:https%3A//x/a%3Ab%25:".encode()
        keys = {key for key in redis.scan_iter(f"{scene.namespace}:*", count=10_000)}
        parts = ("state", "processes", "requests", "tokens")
        assert keys == {*(ours + part.encode() for part in parts), link.key("epoch").encode()}
        assert secret.encode() not in b"".join([redis.dump(key) for key in keys])

    played(work, tmp_path)


def test_an_answer_that_was_paid_is_not_lost_when_redis_goes_away(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(tokens_per_minute=100)
        remember(server, scene)
        place = await line.enter(10, deadline=None)
        server.kill()
        line.answered(place, answer(usage=TokenUsage(input=80, output=10)))
        line.leave()
        with pytest.raises(ConfigError):
            await line.enter(1, deadline=None)
        server.start()
        remember(server, scene)
        at = (await line.enter(1, deadline=None)).at
        line.leave()
        assert await passes(line, 20) >= at + SPAN - 0.1  # what is owed was told

    def remember(server: OwnServer, scene: Scene) -> None:
        """Make a server that was just started one that has forgotten nothing."""
        redis = raw(server.url)
        known = {"name": "first", "run": redis.info("server")["run_id"]}
        redis.hset(f"{scene.namespace}:1:epoch", mapping=known)

    with OwnServer(tmp_path / "redis") as server:
        played(work, tmp_path, url=server.url, patience=0.5)


def test_what_is_kept_in_redis_expires_and_is_small(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        line = scene.line(tokens_per_minute=10**6)
        for _ in range(300):
            await passes(line, 10)
        await line.aclose()
        redis = raw()
        keys = list(redis.scan_iter(f"{scene.namespace}:1:limits:*", count=10_000))
        assert len(keys) == 4
        for key in keys:
            assert 0 < redis.ttl(key) <= 700
            assert redis.memory_usage(key) < 5_000

    played(work, tmp_path)


def test_a_call_goes_through_it_as_through_the_line_of_one_process(tmp_path: Path) -> None:
    from calls_kit import ANSWER, Service, question

    async def work(scene: Scene) -> None:
        line = scene.line(max_concurrency=1)
        service = Service(slow_down(retry_after=0.2), ANSWER)
        provider = Limited(service, name="acme", limiter=line, deadline=None)
        began = now()
        with pytest.raises(RateLimitedError, match="429"):
            await provider.generate(question())
        assert await provider.generate(question()) == ANSWER
        assert now() >= began + 0.2

    played(work, tmp_path)
