"""The door of services that answer later for less: many requests in one go."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mmcrime.errors import ProviderError
from mmcrime.plugins.doors import Provider
from mmcrime.plugins.exchange import Request, Response

__all__ = ["BatchLimits", "BatchProvider", "BatchState", "BatchStatus"]

BatchState = Literal["running", "ended", "failed", "expired", "cancelled"]
"""``failed``: no request of it was worked on. What ``expired`` or was ``cancelled`` may have
answers to some of its requests, as has what ``ended``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """What one batch holds. Data, not methods.

    Attributes:
        requests: Most requests.
        bytes: Most bytes of them together, as they are sent, base64 included.
        hours: How long the service takes at most.
        price: Share of the usual price that is charged; 1.0 where no discount is known of.
    """

    requests: int
    bytes: int
    hours: float = 24.0
    price: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStatus:
    """How far a batch is.

    Attributes:
        state: Whether there is anything to collect.
        total: Requests in it; None where the service does not say.
        done: Of these, answered or failed.
        reason: Why it failed, in the service's own words, without secrets.
    """

    state: BatchState
    total: int | None = None
    done: int | None = None
    reason: str = ""


class BatchProvider(Provider):
    """A provider whose service also takes many requests in one go, and answers within hours.

    The requests are those of `Provider.generate`. Every method makes as many calls to the
    service as it needs, and is safe to call from another process than the one that submitted.

    Attributes:
        batch_limits: What one batch holds.
    """

    batch_limits: BatchLimits

    def check(self, request: Request) -> None:  # most need say nothing more
        """Refuse a request that the service is not sent, before it joins others in a batch.

        Raises:
            ProviderError: If it is not. Nothing was sent.
        """

    @abstractmethod
    async def submit(self, requests: Mapping[str, Request], *, model: str, label: str) -> str:
        """Hand over requests and return the service's own id of the batch.

        Args:
            requests: By ids of letters, digits, ``-`` and ``_``, at most 64 of them, that
                begin with the label. Answers carry these ids.
            model: The model to ask.
            label: Names the batch, so that `find` knows it again.

        Raises:
            ProviderError: If there is no batch; with ``may_be_billed``, there may be one.
        """

    @abstractmethod
    async def find(self, label: str, *, since: datetime, requests: int) -> str | None:
        """Return the id of a batch of which only the label is known; None if there is none.

        Args:
            label: As it was given to `submit`.
            since: Before it was submitted.
            requests: How many it has.

        Raises:
            ProviderError: If that cannot be told, or not yet (``retryable``).
        """

    @abstractmethod
    async def poll(self, batch: str) -> BatchStatus:
        """Say how far a batch is.

        Raises:
            ProviderError: If the service does not say.
        """

    @abstractmethod
    def collect(
        self, batch: str, *, model: str
    ) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """Give the answers of a batch that runs no longer, in any order, by their ids.

        Lines that cannot be read are left out, and so may be requests without an answer.

        Args:
            batch: The service's id of it.
            model: The model that was asked, where an answer names none.

        Raises:
            ProviderError: If the answers cannot be had, or no further ones.
        """

    @abstractmethod
    async def discard(self, batch: str) -> None:
        """Delete at the service what it keeps of a batch whose answers were collected.

        Raises:
            ProviderError: If it does not.
        """
