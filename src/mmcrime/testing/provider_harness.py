"""How `ProviderContract` makes a provider talk to a server, and what it looks at then."""

from __future__ import annotations

import asyncio
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import ClassVar
from unittest import SkipTest

from mmcrime.errors import ProviderError
from mmcrime.plugins import Capabilities, Part, Provider, Request, Response, TokenUsage
from mmcrime.testing.wire import WireReply, WireServer, wire_server

__all__ = ["GUARD", "PICTURE", "SOUND", "ProviderHarness", "WireCases", "closed", "using"]

GUARD = 60.0  # seconds; no test needs them unless the provider hangs
PICTURE = bytes.fromhex("ffd8ffe0") + b"a picture that no other is like" + bytes.fromhex("ffd9")
SOUND = b"RIFF\x35\0\0\0WAVEfmt and a sound that no other is like"
_SCHEMA = {
    "type": "object",
    "properties": {"what_is_seen": {"type": "string"}},
    "required": ["what_is_seen"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class WireCases:
    """What the service sends in each case, as it looks on the wire. None: it never does.

    Attributes:
        answered: An answer.
        text: Its text.
        model: Its model, as the service names it.
        usage: Its tokens.
        empty: A complete answer without any text.
        refused: A refusal by the model or a filter.
        truncated: An answer that was cut off at the most tokens, with usage.
        bad_key: The key is wrong; as real services do, it may quote the key.
        unknown_model: There is no such model.
        bad_request: Something else in the request is wrong.
        rate_limited: Too many requests.
        delay: The seconds that ``rate_limited`` asks to wait.
        quota_used_up: No more until somebody pays or a day has passed.
        failed: An error of status 500 or above.
    """

    answered: WireReply
    text: str
    model: str
    usage: TokenUsage
    bad_key: WireReply
    rate_limited: WireReply
    delay: float | None
    failed: WireReply
    empty: WireReply | None = None
    refused: WireReply | None = None
    truncated: WireReply | None = None
    unknown_model: WireReply | None = None
    bad_request: WireReply | None = None
    quota_used_up: WireReply | None = None


class ProviderHarness(ABC):
    """Makes a provider and a server, asks, and sees to it that the key is kept."""

    secret: ClassVar[str]

    @abstractmethod
    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        """Return a fresh provider. It is called where no event loop runs.

        Args:
            base_url: Address of the server, such as ``http://127.0.0.1:40000``.
            timeout: Seconds that one request may take.
        """

    @abstractmethod
    def cases(self) -> WireCases:
        """Return what the service sends in each case."""

    def _request(self, provider: Provider, *, model: str | None = None) -> Request:
        capabilities = provider.capabilities
        if capabilities.tasks == {"transcribe"}:
            return _speech_request(model)
        if "answer" not in capabilities.tasks:
            return _label_request(capabilities, model)
        parts = [Part(text="The garage at night.")]
        if capabilities.images != 0:
            kind = capabilities.image_formats[0]
            parts.append(Part(data=PICTURE, media_type=kind, time=1.5, width=640, height=360))
        return Request(
            instructions="Say what you see.",
            parts=tuple(parts),
            model=model,
            schema=_SCHEMA if capabilities.json_schema else None,
            max_output_tokens=512,
        )

    def _case(self, reply: WireReply | None) -> WireReply:
        if reply is None:
            raise SkipTest("the service has no such answer")
        return reply

    async def _ask(self, provider: Provider, request: Request) -> Response:
        async with using(provider):
            return await asyncio.wait_for(provider.generate(request), GUARD)

    def _answer(self, reply: WireReply, *, model: str | None = None) -> tuple[Response, WireServer]:
        with wire_server(reply) as server, _logged() as lines:
            provider = self.make(server.url)
            response = asyncio.run(self._ask(provider, self._request(provider, model=model)))
        self._keeps_the_key(f"{response!r}", *lines)
        return response, server

    def _error(
        self, reply: WireReply, kind: type[ProviderError], *, timeout: float = 30.0
    ) -> ProviderError:
        with wire_server(reply) as server:
            error = self._fail(server.url, kind, timeout=timeout)
            assert len(server.requests) == 1, "one call of generate is one request on the wire"
        return error

    def _fail(
        self, base_url: str, kind: type[ProviderError], *, timeout: float = 30.0
    ) -> ProviderError:
        with _logged() as lines:
            try:
                provider = self.make(base_url, timeout=timeout)
                response = asyncio.run(self._ask(provider, self._request(provider)))
            except ProviderError as raised:
                error = raised
            else:
                raise AssertionError(f"taken for an answer: {response!r}")
        assert isinstance(error, kind), f"{error!r} is no {kind.__name__}"
        assert error.provider
        assert error.message
        printed = "".join(traceback.format_exception(error))
        self._keeps_the_key(str(error), repr(error), printed, *lines)
        return error

    def _keeps_the_key(self, *texts: str) -> None:
        for text in texts:
            assert self.secret not in text, "the key is told"


def _speech_request(model: str | None) -> Request:
    return Request(
        instructions="Write down what is said.",
        parts=(Part(data=SOUND, media_type="audio/wav", time=1.5, seconds=4.0),),
        task="transcribe",
        language="en",
        model=model,
        max_output_tokens=512,
    )


def _label_request(able: Capabilities, model: str | None) -> Request:
    if able.images == 0:
        part = Part(data=SOUND, media_type=able.audio_formats[0], time=0.0, seconds=2.0)
    else:
        part = Part(data=PICTURE, media_type=able.image_formats[0], width=640, height=360)
    return Request(instructions="", parts=(part,), task="label", model=model, max_output_tokens=0)


async def closed(provider: Provider) -> None:
    """Close twice, as the doors allow."""
    await provider.aclose()
    await provider.aclose()


@asynccontextmanager
async def using(provider: Provider) -> AsyncIterator[None]:
    """Close in the end, in the loop that used it."""
    try:
        yield
    finally:
        await provider.aclose()


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Gather every record of every logger, the SDK's included."""
    lines: list[str] = []

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, handler = logging.getLogger(), Gather()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
