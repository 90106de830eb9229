"""What the tests of the providers share: a question, and ways to ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from mmcrime.errors import ProviderError
from mmcrime.plugins import Part, Provider, Request, Response
from mmcrime.testing import WireReply, wire_server
from wire import recorded

JPEG = bytes.fromhex("ffd8ffe000104a464946") + b"picture"
WORDS = Part(text="Frame at 1.5 s:")
IMAGE = Part(data=JPEG, media_type="image/jpeg", time=1.5, width=640, height=360)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "outcome": {"enum": ["detected", "not_detected"], "type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "events": {
            "type": "array",
            "items": {"type": "object", "properties": {"start": {"type": "number"}}},
        },
    },
    "required": ["outcome"],
}
REQUEST = Request(instructions="Say what you see.", parts=(WORDS, IMAGE), schema=SCHEMA)


def ask(provider: Provider, *requests: Request) -> list[Response]:
    """Ask one after the other, in a loop of its own, and close the provider."""

    async def work() -> list[Response]:
        async with provider:
            return [await provider.generate(request) for request in requests]

    return asyncio.run(work())


def replay(
    shared: Path, service: str, name: str, make: Callable[[str], Provider]
) -> Response | ProviderError:
    """What comes of a recorded answer, through the real SDK; it is asked for once."""
    status, headers, body = recorded(shared, service, name).reply
    with wire_server(WireReply(status=status, headers=headers, body=body)) as server:
        try:
            (found,) = ask(make(server.url), REQUEST)
        except ProviderError as error:
            return error
        finally:
            assert len(server.requests) == 1
        return found


def timeouts(
    make: Callable[[str], Provider],
    client: Callable[[Any], httpx2.AsyncClient],
    reply: WireReply,
) -> dict[str, float]:
    """Return the seconds that each step of a request is given, past the SDK.

    Args:
        make: Makes the provider for an address.
        client: Returns the HTTP client of an opened provider.
        reply: A good answer.
    """
    seen: list[dict[str, float]] = []

    async def look(request: httpx2.Request) -> None:
        seen.append(dict(request.extensions["timeout"]))

    async def work(url: str) -> None:
        async with make(url) as provider:
            hooks = client(provider).event_hooks
            hooks["request"].append(look)
            await provider.generate(REQUEST)

    with wire_server(reply) as server:
        asyncio.run(work(server.url))
    (given,) = seen
    return given
