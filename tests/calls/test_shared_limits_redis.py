"""The line that processes share, and what can happen to the Redis through which they do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from lines_kit import SPAN, WINDOW, Scene, answer, now, passes, played

from mmcrime.calls import link as link_module
from mmcrime.calls import shared_limits
from mmcrime.calls.link import Link
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.calls.shared_turn import TURN, News
from mmcrime.config import ProviderSettings
from mmcrime.errors import ConfigError, RateLimitedError
from mmcrime.plugins import TokenUsage
from shared_redis import URL, Cutter, OwnServer, raw


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
        played(work, tmp_path, url=server.url, patience=0.8)


@pytest.mark.parametrize("what", ["script flush", "restart"])
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

    with OwnServer(tmp_path / "redis", appendonly=True) as server:
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
        settings = ProviderSettings(
            api_key=secret, base_url=f"https://u:{secret}@x", max_concurrency=3
        )
        link = Link(URL, namespace=scene.namespace, directory=tmp_path)
        line = SharedLimiter("acme", settings, link=link, endpoint="https://x/a:b%", window=WINDOW)
        await passes(line)
        await line.aclose()
        await link.aclose()
        redis, ours = raw(), f"{scene.namespace}:1:limits:acme:https%3A//x/a%3Ab%25:".encode()
        keys = set(redis.scan_iter(f"{scene.namespace}:*", count=10_000))
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


@pytest.mark.parametrize("option", ["nonsense=1", "socket_timeout=soon"])
def test_an_option_in_the_address_that_is_none_is_an_error_at_once(
    option: str, tmp_path: Path
) -> None:
    async def work(scene: Scene) -> None:
        with pytest.raises(ConfigError, match="it is no such address") as refused:
            await passes(scene.line())
        assert "pa55" not in f"{refused.value} {refused.value.__cause__!r}"

    url = URL.replace("//", "//:pa55word@")
    played(work, tmp_path, url=f"{url}?{option}", patience=60)
