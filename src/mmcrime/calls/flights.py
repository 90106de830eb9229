"""Identical work that is asked for at the same time is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from mmcrime.errors import ProviderError

__all__ = ["Flights"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Landed:
    result: Any


class Flights:
    """Who comes first does the work; who asks for the same meanwhile waits and shares it.

    What becomes of those who wait when the first does not succeed:

    - The service failed (`ProviderError`): it failed for all of them. They get the same
      error, so that a service in trouble is not asked once for each of them.
    - Anything else belongs to the first alone: it was cancelled, or ran out of its own
      time, its own budget or its own permission to send. The next in line does the work
      instead.

    One who waits and is cancelled leaves alone. For one event loop and one process.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Future[_Landed | ProviderError | None]] = {}

    async def share(self, key: Hashable, work: Callable[[], Awaitable[_T]]) -> tuple[_T, bool]:
        """Return what the work of this key gives, and whether this call has done it.

        Args:
            key: Says what work it is.
            work: Does it, in the task and the context of whoever comes first.

        Raises:
            ProviderError: If the service failed whoever did the work.
        """
        while (waiting := self._under_way.get(key)) is not None:
            # A future that is awaited plainly is cancelled together with who waits for it.
            outcome = await asyncio.shield(waiting)
            if isinstance(outcome, ProviderError):
                raise outcome
            if outcome is not None:
                return outcome.result, False
        future: asyncio.Future[_Landed | ProviderError | None]
        future = self._under_way[key] = asyncio.get_running_loop().create_future()
        outcome = None
        try:
            result = await work()
        except ProviderError as error:
            outcome = None if error.out_of_time else error
            raise
        else:
            outcome = _Landed(result)
            return result, True
        finally:
            # In one step, so that whoever wakes finds no flight that has ended.
            del self._under_way[key]
            future.set_result(outcome)
