"""The cheaper lane: requests are gathered, and go to the service in batches.

What is in a batch is written down before it is submitted, and what the service calls it right
after that: whoever asks the same later, in another process too, waits for the batch that has
it. A batch goes on when nobody waits for it any longer: its answers are paid for, and are
written into the ledger as soon as a pipeline with the same cache directory sees them.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from mmcrime.calls.batch_book import Batch, BatchBook, Item
from mmcrime.calls.batch_watch import Pace, PriceOf, Waiting, Watch
from mmcrime.calls.ledger import Ledger
from mmcrime.errors import ProviderError, UnfitMediaError
from mmcrime.logs import get_logger
from mmcrime.plugins import BatchProvider, EgressGate, Request, Response

__all__ = ["PACE", "BatchLane", "Entry"]

_log = get_logger("mmcrime.calls.batch")

PACE = Pace()
_FRAMING = 4096  # bytes around a request: its id, roles, names of fields
_LAST_MOMENTS = 5.0  # seconds that closing waits for what has ended
_LONGEST = 6  # characters that JSON may make of one byte of text


@dataclass(eq=False, kw_only=True, slots=True)
class Entry:
    """A request on its way into a batch.

    Attributes:
        request: What is asked; None once it is submitted.
        request_id: Of the run.
        tenant: On whose behalf.
        announce: Tells the egress gate of the run, and whoever counts, that it leaves.
        gate: That gate.
        outcome: Who waits for the answer. Done before it is submitted, it never is.
        item: What it is called in its batch.
        context: In which the request was made.
        watch: The batch, once it is in one.
    """

    request: Request | None
    request_id: str
    tenant: str
    announce: Callable[[Request], None]
    gate: EgressGate
    outcome: Waiting
    item: Item | None = None
    context: Context = field(default_factory=copy_context)
    watch: Watch | None = None


@dataclass(eq=False, slots=True)
class _Group:
    """Requests that wait to be submitted together: those to one model."""

    entries: list[Entry] = field(default_factory=list)
    size: int = 0
    since: float = 0.0
    timer: asyncio.TimerHandle | None = None


class BatchLane:
    """The way to one service; one for each pipeline, used from its event loop.

    Args:
        provider: The service.
        name: The name the caller knows it by.
        book: Which requests are in which batch.
        ledger: Where answers are written down.
        price: What the tokens of a model cost in a batch.
        pace: How long is waited for what.
    """

    def __init__(
        self,
        provider: BatchProvider,
        *,
        name: str,
        book: BatchBook,
        ledger: Ledger,
        price: PriceOf,
        pace: Pace,
    ) -> None:
        self.name = name
        self.limits = provider.batch_limits
        self.ledger = ledger
        self.price = price
        self._provider = provider
        self._book = book
        self._pace = pace
        self._holder = uuid.uuid4().hex
        self._groups: dict[str, _Group] = {}
        self._watches: dict[str, Watch] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._adopted = False

    def enter(self, entry: Entry) -> None:
        """Let a request go with the next batch to its model.

        Raises:
            ProviderError: If it is no question.
            UnfitMediaError: If it alone is more than a batch may be.
        """
        assert entry.request is not None  # noqa: S101  # it has not been submitted
        if entry.request.task != "answer":
            raise ProviderError(
                f"What {self.name!r} is asked in batches are questions, and this is "
                f"{entry.request.task!r}.",
                provider=self.name,
                next_step=f"Set providers.{self.name}.lane to 'live'.",
            )
        self._provider.check(entry.request)  # alone, so that it fails no other one
        model = entry.request.model or self._provider.model or ""
        size, most = _size(entry.request), self.limits.bytes
        if size > most:
            raise UnfitMediaError(
                f"A request of {size} bytes is more than a batch of {self.name!r} may be, which "
                f"is {most}.",
                provider=self.name,
                next_step=f"Lower media.max_frames or media.max_side, or set providers.{self.name}"
                ".lane to 'live'.",
            )
        if model in self._groups and self._groups[model].size + size > most:
            self._submit(model)
        loop = asyncio.get_running_loop()
        group = self._groups.setdefault(model, _Group(since=loop.time()))
        group.entries.append(entry)
        group.size += size
        if group.timer is not None:
            group.timer.cancel()
        if len(group.entries) >= self.limits.requests:
            self._submit(model)
        else:
            at = min(loop.time() + self._pace.quiet, group.since + self._pace.longest)
            group.timer = loop.call_at(at, self._submit, model)

    async def pending(self, key: str) -> tuple[Batch, str] | None:
        """Return the batch that has a request with this key, and its id in there."""
        return await self._book.run(self._book.find, key)

    async def attach(
        self,
        batch: Batch,
        id: str,  # noqa: A002  # as it is called everywhere
        gate: EgressGate,
    ) -> Waiting:
        """Wait for a request that is in a batch already.

        Raises:
            EgressError: If the service must not even be asked how far it is.
        """
        self._tell(gate, batch)
        await self._adopt(gate, told=batch.label)
        watch = self._watches.get(batch.label)
        return (watch or self._watch(batch, own=False)).wait(id)

    async def paid(self, key: str, request_id: str) -> Response | None:
        """Return an answer that another process has collected."""
        return await asyncio.to_thread(self.ledger.find, key, request_id=request_id)

    async def aclose(self) -> None:
        """Stop looking; what was submitted goes on, and is collected another time.

        What has ended is collected to its end and deleted at the service, if that is soon.
        """
        for group in self._groups.values():
            if group.timer is not None:
                group.timer.cancel()
            _leave(group.entries)
        self._groups.clear()
        ending = [self._following[label] for label, watch in self._watches.items() if watch.ended]
        if ending:
            await asyncio.wait(ending, timeout=_LAST_MOMENTS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _submit(self, model: str) -> None:
        group = self._groups.pop(model)
        if group.timer is not None:
            group.timer.cancel()
        self._begin(self._send(group.entries, model))

    async def _send(self, entries: list[Entry], model: str) -> None:
        """Submit what was gathered, without those that nobody waits for any longer."""
        leaving = [entry for entry in entries if not entry.outcome.done() and _announced(entry)]
        if not leaving:
            return
        label = f"mmcrime-{secrets.token_hex(12)}"
        requests: dict[str, Request] = {}
        for number, entry in enumerate(leaving):
            assert entry.request is not None  # noqa: S101  # see `enter`
            name = f"{label}-{number}"
            requests[name] = entry.request
            entry.item = Item(
                id=name,
                key=entry.request.key,
                request_id=entry.request_id,
                tenant=entry.tenant,
                silent=all(part.kind in ("text", "image") for part in entry.request.parts),
            )
            entry.request = None  # its media must not be held for hours
        batch = Batch(
            label=label,
            provider=self.name,
            endpoint=self._provider.endpoint,
            model=model,
            time=time.time(),
            requests=len(leaving),
        )
        try:
            await self._hand_over(batch, leaving, requests)
        except asyncio.CancelledError:
            _leave(leaving)
            raise
        except Exception as error:  # noqa: BLE001  # handed to whoever waits
            for entry in leaving:
                if not entry.outcome.done():
                    entry.outcome.set_exception(error)

    async def _hand_over(
        self, batch: Batch, entries: list[Entry], requests: dict[str, Request]
    ) -> None:
        if not self.ledger.is_open:
            await asyncio.to_thread(self.ledger.open)
        await self._adopt(entries[0].gate)
        items = [entry.item for entry in entries if entry.item is not None]
        await self._book.run(self._book.intend, batch, items)
        name = None
        try:
            name = await self._provider.submit(requests, model=batch.model, label=batch.label)
        except ProviderError as error:
            if not error.may_be_billed:
                await self._book.run(self._book.forget, batch.label)
                raise
            # It may have come about: sent again at once, it would be paid for twice.
            _log.warning("whether %s has the batch %s is not known", self.name, batch.label)
        else:
            await self._book.run(self._book.submitted, batch.label, name)
        watch = self._watches.get(batch.label)
        if watch is None:
            watch = self._watch(replace(batch, service_id=name), own=True)
        for entry in entries:
            assert entry.item is not None  # noqa: S101  # `_send` has named it
            entry.watch = watch
            watch.waiting.setdefault(entry.item.id, []).append(entry.outcome)

    async def _adopt(self, gate: EgressGate, *, told: str = "") -> None:
        """Follow what other processes have submitted here, whoever still waits for it.

        Args:
            gate: Of the run that is the occasion.
            told: The label of a batch of which it knows already.
        """
        if self._adopted:
            return
        endpoint = self._provider.endpoint
        for batch in await self._book.run(self._book.pending, self.name, endpoint):
            if batch.label not in self._watches:
                if batch.label != told:
                    self._tell(gate, batch)
                self._watch(batch, own=False)
        self._adopted = True

    def _tell(self, gate: EgressGate, batch: Batch) -> None:
        """Say that a service is asked how far a batch is."""
        to = f"{self.name} ({batch.endpoint})" if batch.endpoint else self.name
        size = len(batch.service_id or batch.label)
        gate.announce(what="the name of a batch", to=to, purpose="provider", size_bytes=size)

    def _watch(self, batch: Batch, *, own: bool) -> Watch:
        watch = self._watches[batch.label] = Watch(
            batch=batch,
            provider=self._provider,
            book=self._book,
            ledger=self.ledger,
            price=self.price,
            holder=self._holder,
            pace=self._pace,
            own=own,
        )
        self._following[batch.label] = self._begin(self._follow(watch))
        return watch

    async def _follow(self, watch: Watch) -> None:
        try:
            await watch.follow()
        finally:
            del self._watches[watch.batch.label], self._following[watch.batch.label]

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # A context of its own: the run of whoever came first is not that of the others.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _leave(entries: Iterable[Entry]) -> None:
    """Let nobody wait for what is not followed any longer."""
    for entry in entries:
        entry.outcome.cancel()


def _announced(entry: Entry) -> bool:
    """Tell the gate of the run that a request leaves; False if it must not."""
    assert entry.request is not None  # noqa: S101  # it has not been submitted
    try:
        entry.context.run(entry.announce, entry.request)
    except Exception as error:  # noqa: BLE001  # handed to whoever waits
        entry.outcome.set_exception(error)
        return False
    return True


def _size(request: Request) -> int:
    """Return the most bytes that a request may have as JSON."""
    words = len(request.instructions.encode("utf-8", "replace"))
    words += sum(len(part.text.encode("utf-8", "replace")) for part in request.parts)
    if request.schema is not None:
        words += len(json.dumps(request.schema, default=dict))
    media = sum(math.ceil(len(part.data) / 3) * 4 for part in request.parts)
    return media + _LONGEST * words + _FRAMING
