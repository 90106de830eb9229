"""A provider that answers from a function and counts, and a request, for tests of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mmcrime.calls.cache import Cached
from mmcrime.calls.flights import Flights
from mmcrime.plugins import Part, Provider, Request, Response, TokenUsage

USAGE = TokenUsage(input=120, cached_input=20, output=30)
ANSWER = Response(status="answered", text='{"crime_detected": false}', model="m-1", usage=USAGE)
REFUSAL = Response(status="refused", text="", model="m-1", reason="safety", usage=USAGE)
CUT = Response(status="truncated", text='{"crime', model="m-1", reason="length", usage=USAGE)


class Service(Provider):
    """Answers with what a function gives, as many at a time as ask."""

    model = "m"
    endpoint = "https://service.example/v1"

    def __init__(self, *replies: Response | Exception) -> None:
        self.replies = replies or (ANSWER,)
        self.asked: list[Request] = []
        self.release: asyncio.Event | None = None

    async def generate(self, request: Request) -> Response:
        self.asked.append(request)
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if self.release is not None:
            await self.release.wait()
        if isinstance(reply, Exception):
            raise reply
        return reply


def question(text: str = "what happens?", *parts: Part, **fields: Any) -> Request:
    return Request(instructions="judge", parts=(*parts, Part(text=text)), **fields)


def picture(name: str, load: Callable[[], bytes] | None = None) -> Part:
    """A picture that says which bytes it is without having them."""
    return Part(media_type="image/jpeg", id=name, load=load, time=1.5, width=64, height=48)


def cached(inner: Provider, **fields: Any) -> Cached:
    given: dict[str, Any] = {
        "name": "service",
        "store": None,
        "ledger": None,
        "flights": Flights(),
        "options": "",
        "tenant": "default",
        "request_id": "run-1",
    }
    return Cached(inner, **{**given, **fields})


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until something is so; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - whatever it is, it sets no event
            await asyncio.sleep(0.001)


async def together(*calls: Awaitable[Any]) -> list[Any]:
    """Return what each call gives or raises."""
    return await asyncio.gather(*calls, return_exceptions=True)
