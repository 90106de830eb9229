"""A provider that answers what a function says."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from mmcrime.plugins import Capabilities, Provider, Request, Response, TokenUsage

__all__ = ["FakeProvider"]

Answer: TypeAlias = Response | Exception


class FakeProvider(Provider):
    """Answers from a function instead of a service, and counts.

    Args:
        answer: Called with each request, or awaited where it is a coroutine function; an
            exception that it returns or raises is raised. None to answer "ok" for 10 and 2
            tokens.
        capabilities: What it takes; by default up to 8 pictures and a JSON schema.
        model: Its model.

    Attributes:
        requests: What it was asked, in order.
        closed: How often it was closed.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer | Awaitable[Answer]] | None = None,
        *,
        capabilities: Capabilities | None = None,
        model: str = "fake-1",
        endpoint: str = "fake://provider",
    ) -> None:
        given = capabilities or Capabilities(images=8, json_schema=True)
        self.capabilities = given  # type: ignore[misc]  # of this instance
        self.model = model
        self.endpoint = endpoint
        self.requests: list[Request] = []
        self.closed = 0
        self._answer = answer or self._ok

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self.requests)

    async def generate(self, request: Request) -> Response:
        """Answer as the function says."""
        self.requests.append(request)
        found = self._answer(request)
        answer = await found if inspect.isawaitable(found) else found
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1

    def _ok(self, request: Request) -> Response:
        model = request.model or self.model or ""
        usage = TokenUsage(input=10, output=2)
        return Response(status="answered", text="ok", model=model, usage=usage)
