"""The SDK's client, made to send what it is told once and to whom it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
from replicate.client import Client

from mmcrime_providers._http import http_client, public_url

__all__ = ["ReplicateClient", "UnsuccessfulError"]

_LEEWAY = 6.0  # seconds of a step beyond what is waited for a whole request
_REDIRECT = 300


class UnsuccessfulError(Exception):
    """The service answered, but not with success.

    Attributes:
        answer: What it sent.
    """

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(f"status {answer.status_code}")
        self.answer = answer


class ReplicateClient:
    """An SDK client and the HTTP client that it uses.

    Args:
        url: Address of the service, without a version. Its user and password, if it has
            them, are sent, and told nobody.
        key: The token; empty where the service needs none.
        timeout: Seconds that one step of a request may take.
    """

    def __init__(self, *, url: str, key: str, timeout: float) -> None:
        # A prediction that nobody waits for any longer must still be able to say its id.
        self._line = http_client(url=url, timeout=timeout + _LEEWAY)
        self._sdk = Client(
            api_token=key or "unused",  # without one, the SDK takes that of a variable
            base_url=public_url(url),
            headers={"accept-encoding": "identity"},
            transport=_Bridge(self._line),
        )

    async def send(self, method: str, path: str, **content: Any) -> bytes:
        """Send a request, and return the body of a successful answer.

        Args:
            method: Such as ``POST``.
            path: From ``/v1`` on.
            **content: ``json``, ``files`` or ``headers``, as the SDK's HTTP client takes them.

        Raises:
            UnsuccessfulError: For every answer that is no success, redirects included.
            HTTPError: Of httpx2, if the line breaks.
        """
        # The SDK's calls by name make objects of the answers, and trip over real ones: they
        # know no status "aborted", and files without names. None takes a deadline.
        answer = await self._sdk._async_request(method, path, **content)  # noqa: SLF001  # see above
        return answer.content

    async def aclose(self) -> None:
        """Close the connections."""
        await self._line.aclose()


class _Bridge(httpx.AsyncBaseTransport):
    """Sends what the SDK makes, for an older HTTP library, through the client of all providers.

    An answer that is no success is raised before the SDK gets to see it: it would send a GET
    up to ten times, and trip over bodies of another shape.
    """

    def __init__(self, line: httpx2.AsyncClient) -> None:
        self._line = line

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101  # of an async client
        sent = self._line.build_request(
            request.method,
            str(request.url),
            headers=_headers(request.headers),
            content=aiter(request.stream) if _has_body(request) else None,
        )
        answer = await self._line.send(sent)
        if answer.status_code >= _REDIRECT:
            raise UnsuccessfulError(answer)
        return httpx.Response(answer.status_code, content=answer.content)


def _headers(given: httpx.Headers) -> Mapping[str, str]:
    return {name: value for name, value in given.items() if name != "host"}


def _has_body(request: httpx.Request) -> bool:
    return str(request.headers.get("content-length", "0")) != "0"
