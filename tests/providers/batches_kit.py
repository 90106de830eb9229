"""What the tests of batches share: providers, requests, and ways to go through all steps."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import SecretStr

import services
from mmcrime.errors import ProviderError
from mmcrime.plugins import BatchProvider, BatchStatus, Part, Request, Response
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers.anthropic import AnthropicProvider
from mmcrime_providers.gemini import GeminiProvider
from mmcrime_providers.openai import OpenAIProvider

LABEL = "mmcrime-0a1b2c"
PICTURE = Part(data=services.shot(), media_type="image/png", width=64, height=48)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"seen": {"type": "string"}},
    "required": ["seen"],
}
Outcome = Response | ProviderError
_CLASSES: Mapping[str, Callable[..., BatchProvider]] = {
    "openai": OpenAIProvider,
    "anthropic": AnthropicProvider,
    "gemini": GeminiProvider,
}
BEFORE: Mapping[str, WireReply | None] = {
    "openai": WireReply(body={"output_file_id": "f1", "status": "completed"}),
    "anthropic": None,
    "gemini": None,
}
"""What is answered before the answers themselves are."""
_T = TypeVar("_T")


def made(kind: str, url: str, *, timeout: float = 10.0, **options: Any) -> BatchProvider:
    """Return the provider of a service at an address."""
    return _CLASSES[kind](
        api_key=SecretStr(services.KEYS[kind]),
        model=services.MODELS[kind],
        base_url=f"{url}/v1" if kind == "openai" else url,
        timeout=timeout,
        **options,
    )


def question(text: str, **fields: Any) -> Request:
    parts = (PICTURE, Part(text=text))
    return Request(
        instructions="Judge.", parts=parts, schema=SCHEMA, max_output_tokens=100, **fields
    )


def asked(*texts: str) -> dict[str, Request]:
    """Return requests by their ids, which tell nothing about their order."""
    return {f"{LABEL}-{ord(text[0]) * 7919 % 101}": question(text) for text in texts}


def run(provider: BatchProvider, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Do something with a provider in a loop of its own, and close it."""

    async def whole() -> _T:
        async with provider:
            return await work()

    return asyncio.run(whole())


async def submitted(
    provider: BatchProvider, requests: Mapping[str, Request], label: str = LABEL
) -> str:
    return await provider.submit(requests, model=provider.model or "", label=label)


async def ended(provider: BatchProvider, batch: str) -> BatchStatus:
    """Look until a batch runs no longer."""
    while (status := await provider.poll(batch)).state == "running":
        pass
    return status


async def collected(provider: BatchProvider, batch: str) -> list[tuple[str, Outcome]]:
    return [one async for one in provider.collect(batch, model=provider.model or "")]


def answers(provider: BatchProvider, requests: Mapping[str, Request]) -> list[tuple[str, Outcome]]:
    """Go through all steps, and return what came for which id, in the order it came."""

    async def work() -> list[tuple[str, Outcome]]:
        batch = await submitted(provider, requests)
        await ended(provider, batch)
        return await collected(provider, batch)

    return run(provider, work)


def steps(provider: BatchProvider) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return every step, as it is done for a batch ``b1``."""
    since = datetime.now(UTC)
    return {
        "submit": lambda: submitted(provider, asked("a")),
        "find": lambda: provider.find(LABEL, since=since, requests=1),
        "poll": lambda: provider.poll("b1"),
        "collect": lambda: collected(provider, "b1"),
        "discard": lambda: provider.discard("b1"),
    }


def failures(provider: BatchProvider) -> dict[str, BaseException | None]:
    """Do every step once, and return what each raises."""

    async def work() -> dict[str, BaseException | None]:
        found: dict[str, BaseException | None] = {}
        for name, step in steps(provider).items():
            try:
                await step()
            except ProviderError as error:
                found[name] = error
            else:
                found[name] = None
        return found

    return run(provider, work)


def whole(error: BaseException) -> str:
    """Return everything that a log may print of an error, those behind it included."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.__cause__)


def rows(kind: str, *lines: Any) -> tuple[WireReply, ...]:
    """Return what a service says when it is asked for the answers of a batch."""
    if kind == "gemini":
        inlined = {"inlinedResponses": {"inlinedResponses": list(lines)}}
        return (WireReply(body={"name": "batches/b1", "response": inlined}),)
    body = b"\n".join(o if isinstance(o, bytes) else json.dumps(o).encode() for o in lines)
    first = BEFORE[kind]
    return (*([first] if first else []), WireReply(body=body))


def line(kind: str, key: str, text: str) -> dict[str, Any]:
    """Return the line of an answer."""
    body = services.answer(kind, text).body
    if kind == "openai":
        return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}
    if kind == "anthropic":
        return {"custom_id": key, "result": {"type": "succeeded", "message": body}}
    return {"response": body, "metadata": {"custom_id": key}}


def read(kind: str, *lines: Any) -> list[tuple[str, Any]]:
    """Return what is read of lines, through HTTP."""
    with wire_server(*rows(kind, *lines)) as server:
        provider = made(kind, server.url)
        return run(provider, lambda: collected(provider, "b1"))
