"""Work for a thread, handed over in batches.

The way to a thread and back costs more than most of what is done there. What is asked for at
the same time, or while a batch is under way, therefore takes that way together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Batches"]

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Batches(Generic[_In, _Out]):
    """Gathers items of one event loop at a time.

    Args:
        do: Works on some items in one go, and returns for each what came of it; an exception
            is raised for whoever waits for that item.
        apart: Seconds between the beginnings of two batches, where there is so much to do.
    """

    def __init__(
        self,
        do: Callable[[list[_In]], Awaitable[Sequence[_Out | Exception]]],
        *,
        apart: float = 0.0,
    ) -> None:
        self._do = do
        self._apart = apart
        self._pending: list[tuple[_In, asyncio.Future[_Out]]] = []
        self._task: asyncio.Task[None] | None = None
        self._began = -apart

    def enter(self, item: _In) -> asyncio.Future[_Out]:
        """Return what will come of an item; whoever must not lose it shields it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Out] = loop.create_future()
        future.add_done_callback(_noticed)
        self._pending.append((item, future))
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        return future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        batch: list[tuple[_In, asyncio.Future[_Out]]] = []
        try:
            while self._pending:
                if self._apart and (pause := self._began + self._apart - loop.time()) > 0:
                    await asyncio.sleep(pause)
                self._began = loop.time()
                batch, self._pending = self._pending, []
                _settle(batch, await self._outcomes([item for item, _ in batch]))
        except asyncio.CancelledError:
            # The loop is about to end, and nobody will come back for these.
            for _, future in (*batch, *self._pending):
                future.cancel()
            self._pending = []
            raise

    async def _outcomes(self, items: list[_In]) -> Sequence[_Out | Exception]:
        try:
            return await self._do(items)
        except Exception as error:  # noqa: BLE001  # handed to whoever waits
            return [error] * len(items)


def _settle(
    batch: list[tuple[_In, asyncio.Future[_Out]]], outcomes: Sequence[_Out | Exception]
) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _noticed(future: asyncio.Future[_Out]) -> None:
    """Take note of the outcome: whoever waited may be gone."""
    if not future.cancelled():
        future.exception()
