"""The provider ``lantern``: asks a service that takes JSON over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, ClassVar, Literal, TypeAlias

import httpx2
from pydantic import SecretStr

from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Capabilities, PluginOptions, Provider, Request, Response, TokenUsage

_Status: TypeAlias = Literal["answered", "refused", "truncated"]
_STATUS: dict[str, _Status] = {"ok": "answered", "no": "refused", "cut": "truncated"}
_MOST_BYTES = 1_000_000  # of an answer; whatever answers with more is not this service


class LanternOptions(PluginOptions):
    """Options of the provider ``lantern``; the first four are those that all providers share."""

    api_key: SecretStr
    base_url: str = "https://lantern.example"
    model: str = "lantern-1"
    timeout: float = 60.0


class LanternProvider(Provider):
    """Asks the service Lantern."""

    Options: ClassVar[type[PluginOptions]] = LanternOptions
    capabilities: ClassVar[Capabilities] = Capabilities(images=8, image_bytes=4_000_000)

    def __init__(self, *, api_key: SecretStr, base_url: str, model: str, timeout: float) -> None:
        self.model = model
        self.endpoint = str(httpx2.URL(base_url).copy_with(username="", password="", query=None))
        self._timeout = timeout
        key = {"Authorization": f"Bearer {api_key.get_secret_value()}"}
        self._client = httpx2.AsyncClient(base_url=base_url, headers=key, timeout=timeout)

    async def generate(self, request: Request) -> Response:
        """One request out, one answer in; see `Provider.generate`."""
        parts = [p.text or base64.b64encode(p.data).decode("ascii") for p in request.parts]
        asked = {"model": request.model or self.model, "task": request.instructions}
        try:
            async with asyncio.timeout(self._timeout):  # of it all: an answer may drip for ever
                status, headers, body = await self._post({**asked, "parts": parts})
        except httpx2.ConnectError as error:
            raise _error(UnavailableError, "cannot be reached", may_be_billed=False) from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise _error(UnavailableError, "did not answer to the end") from error
        if status != 200:
            raise _unsuccessful(status, headers)
        try:
            response = _read(json.loads(body))
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise _error(InvalidResponseError, "sent something that is no answer") from error
        if response.status == "answered" and not response.text.strip():
            raise _error(InvalidResponseError, "sent no words")
        return response

    async def _post(self, asked: dict[str, object]) -> tuple[int, httpx2.Headers, bytes]:
        body = b""
        async with self._client.stream("POST", "/answers", json=asked) as answer:
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > _MOST_BYTES:
                    raise _error(InvalidResponseError, "sent far too much")
        return answer.status_code, answer.headers, body

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _read(said: Any) -> Response:
    return Response(
        status=_STATUS[said["result"]],
        text=str(said["text"]),
        model=str(said["model"]),
        usage=TokenUsage(input=said["tokens"][0], output=said["tokens"][1]),
    )


def _unsuccessful(status: int, headers: httpx2.Headers) -> ProviderError:
    what = f"answered with status {status}"
    if status == 404:
        return _error(ProviderError, what, next_step="Set another providers.lantern.model.")
    if status == 429:
        wait = headers.get("Retry-After", "")
        seconds = min(float(wait), 86_400.0) if wait.isascii() and wait.isdigit() else None
        return _error(RateLimitedError, what, retry_after=seconds)
    if status == 402:
        return _error(RateLimitedError, what, retryable=False, next_step="Add credit at Lantern.")
    if status in (401, 403):
        return _error(AuthenticationError, what)
    return _error(UnavailableError if status >= 500 else ProviderError, what)


def _error(
    kind: type[ProviderError],
    what: str,
    *,
    retry_after: float | None = None,
    retryable: bool | None = None,
    may_be_billed: bool | None = None,
    next_step: str | None = None,
) -> ProviderError:
    return kind(
        f"Lantern {what}.",
        provider="lantern",
        retry_after=retry_after,
        retryable=retryable,
        may_be_billed=may_be_billed,
        next_step=next_step,
    )
