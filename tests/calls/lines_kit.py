"""Lines of several processes before one service that share a Redis, for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mmcrime.calls.link import Link, Script
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.calls.shared_turn import BODY, Reply
from mmcrime.calls.window import MARGIN
from mmcrime.calls.window import SPAN as MINUTE
from mmcrime.config import ProviderSettings
from mmcrime.errors import RateLimitedError
from mmcrime.plugins import Response
from shared_redis import URL, own_namespace, raw

WINDOW = 0.3  # seconds
SPAN = WINDOW + MARGIN
FAKE_CLOCK = "local now = tonumber(redis.call('GET', KEYS[1] .. 'clock'))\n"


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


class Turns:
    """Turns of the script by a clock that is set by hand, each told twice."""

    def __init__(self, limits: dict[str, int], namespace: str) -> None:
        self.redis = raw()
        self.script = Script(FAKE_CLOCK + BODY)
        self.keys = [f"{namespace}:{part}" for part in ("epoch", "s", "p", "requests", "tokens")]
        self.redis.delete(*self.keys)
        self.redis.hset(self.keys[0], "name", "one")
        self.number = 0
        self.message = {
            "process": "p",
            "span": MINUTE,
            "beat": 5.0,
            "lease": 30.0,
            "active": 0,
            "most": 8,
            "limits": limits,
            "stated": {},
            "debt": 0,
            "said": {},
        }

    def turn(self, now: float, **more: Any) -> Reply:
        self.number += 1
        self.redis.set(self.keys[0] + "clock", f"{now:.6f}")
        message = {**self.message, "number": self.number, **more}
        parts = self.redis.eval(self.script.source, 5, *self.keys, "one", json.dumps(message))
        again = self.redis.eval(self.script.source, 5, *self.keys, "one", json.dumps(message))
        assert parts == again
        return Reply.read(parts)
