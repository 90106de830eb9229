"""The SDK's client, made to send what it is told once and to whom it is told."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

from mmcrime_providers._http import http_client, public_url

__all__ = ["GeminiClient"]

_SHORTEST = 10.0  # seconds; the service refuses a request that gives it less


class GeminiClient:
    """An SDK client and the HTTP client that it uses.

    Args:
        url: Address of the service, without a version. Its user and password, if it has
            them, are sent, and told nobody.
        key: The key; empty where the service needs none.
        timeout: Seconds that one step of a request may take.
        api_version: Version of the interface; None for the SDK's own.

    Attributes:
        models: The SDK's calls that ask a model.
        files: The SDK's calls that deal with files.
        url: Address of the service, without anything secret.
    """

    def __init__(self, *, url: str, key: str, timeout: float, api_version: str | None) -> None:
        self.url = public_url(url)
        self._http = _sdk_http_client(url, timeout)
        self._sdk = genai.Client(
            vertexai=False,  # an environment variable would turn to another service
            api_key=key or "unused",  # the SDK wants one, a gateway of one's own does not
            http_options=types.HttpOptions(
                base_url=self.url,
                api_version=api_version,
                timeout=math.ceil(max(timeout, _SHORTEST) * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                # With a client given, and only then, the SDK never turns to aiohttp.
                httpx_async_client=self._http,
            ),
        )
        self.models = self._sdk.aio.models
        self.files = self._sdk.aio.files

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        self._sdk.close()


def _sdk_http_client(url: str, timeout: float) -> httpx2.AsyncClient:
    client = http_client(url=url, timeout=timeout)
    steps = client.timeout.as_dict()

    async def own_timeout(request: httpx2.Request) -> None:
        # The SDK gives every step the same time, even that of reaching anybody at all.
        request.extensions = {**request.extensions, "timeout": steps}

    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], own_timeout],
        "response": [*hooks["response"], _raise_failures],
    }
    return client


async def _raise_failures(response: httpx2.Response) -> None:
    """Raise what the SDK would raise, before it gets to see the answer.

    It sends a piece of an upload up to three times, with pauses, and trips over bodies that
    are no text.
    """
    response.encoding = "utf-8"  # which JSON is, whatever a header says
    if response.status_code != httpx2.codes.OK:
        await response.aread()
        await errors.APIError.raise_error_async(
            response.status_code, _json(response.content), response
        )
    command = response.request.headers.get("x-goog-upload-command", "")
    if command.startswith("upload") and "x-goog-upload-status" not in response.headers:
        raise ValueError("the answer to an upload does not say how far it is")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
