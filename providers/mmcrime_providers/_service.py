"""The service that a provider asks: what is sent there is checked, and what comes is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mmcrime.errors import InvalidResponseError, ProviderError
from mmcrime.plugins import Part
from mmcrime_providers._failures import Failure
from mmcrime_providers._http import connection_error, scrub_error
from mmcrime_providers._json import parsed

__all__ = ["Service", "off_the_loop"]

_LARGE = 1_000_000  # bytes of media, of which base64 takes a millisecond or two

_T = TypeVar("_T")


async def off_the_loop(parts: Sequence[Part], make: Callable[[], _T]) -> _T:
    """Make something of parts: in a thread where they are so large that it takes its time."""
    large = sum(len(part.data) for part in parts) > _LARGE
    return await asyncio.to_thread(make) if large else make()


@dataclass(frozen=True, kw_only=True)
class Service:
    """Who is asked, and where.

    Attributes:
        provider: Registered name of the provider.
        endpoint: Where requests go, without anything secret.
        secrets: Keys that no message may hold.
        timeout: Seconds that one request may take as a whole.
    """

    provider: str
    endpoint: str
    secrets: tuple[str, ...] = field(repr=False)
    timeout: float

    def check(
        self, parts: Sequence[Part], takes: Callable[[Part], bool], *, next_step: str
    ) -> None:
        """Raise ProviderError for the first part that it does not take."""
        for part in parts:
            if part.kind != "text" and not takes(part):
                raise ProviderError(
                    f"{self.provider} is not sent {part.media_type!r}.",
                    provider=self.provider,
                    next_step=next_step,
                )

    def json_object(self, content: str | bytes) -> dict[str, Any]:
        """Read an answer of status 200.

        Raises:
            InvalidResponseError: If it is no object of JSON.
        """
        body = parsed(content)
        if body is None:
            raise self.unreadable("no JSON")
        if not isinstance(body, dict):
            raise self.unreadable("JSON of another shape")
        return body

    def unreadable(self, what: str) -> InvalidResponseError:
        """Return our error for an answer that is none of this service."""
        return InvalidResponseError(
            f"{self.provider} answered with {what}.",
            provider=self.provider,
            next_step=f"Check that {self.endpoint!r} is the address of the service.",
        )

    def failed(self, failure: Failure, model: str) -> ProviderError:
        """Return our error for an unsuccessful answer that is no refusal."""
        return failure.error(
            provider=self.provider, model=model, endpoint=self.endpoint, secrets=self.secrets
        )

    def broke(self, error: BaseException) -> ProviderError:
        """Return our error for one of the line, and take keys out of that one."""
        scrub_error(error, self.secrets)
        return connection_error(
            error, provider=self.provider, endpoint=self.endpoint, timeout=self.timeout
        )
