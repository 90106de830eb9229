"""Waits until a batch has ended, and gives its answers to those who wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mmcrime.calls.batch_book import Batch, BatchBook, Item
from mmcrime.calls.ledger import Ledger
from mmcrime.errors import InvalidResponseError, ProviderError, UnavailableError
from mmcrime.logs import get_logger
from mmcrime.plugins import BatchProvider, BatchStatus, Response
from mmcrime.results import Cost

__all__ = ["Pace", "PriceOf", "Waiting", "Watch"]

_log = get_logger("mmcrime.calls.batch")

_CHUNK = 200  # answers that are written down in one go
_COLLECTING = 3600.0  # seconds that collecting may take
_CLAIM = 120.0  # seconds for which one process alone may collect, from its last sign of life
_MOST_COLLECTING = 10  # times that the answers of one batch are asked for
_MOST_ODD = 5  # unreadable looks at one batch
_SLOWER = 1.5  # times as long is waited until the next look
_MAYBE_BILLED = "a request of a batch failed; it may be billed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long is waited for what, in seconds.

    Attributes:
        quiet: Until no further request came, before those that did are submitted.
        longest: That the first of them waits at most.
        first: Until the first look whether a batch has ended.
        most: Between two looks.
        unsure: After which a batch that the service does not know was never made, if the
            answer to submitting it got lost.
        orphaned: The same, if the process that submitted it is gone, or another one.
    """

    quiet: float = 0.5
    longest: float = 10.0
    first: float = 5.0
    most: float = 300.0
    unsure: float = 60.0
    orphaned: float = 900.0


PriceOf = Callable[..., Cost]
"""What the tokens of a model cost in a batch: `Pricing.cost_of`."""
Waiting = asyncio.Future[Response | None]
"""Who waits for an answer gets it, or None when the batch is gone and nobody knows of it."""


@dataclass(eq=False, kw_only=True, slots=True)
class Watch:
    """Follows one batch; belongs to one event loop.

    Attributes:
        batch: The batch.
        provider: Its service.
        book: Where it stands.
        ledger: Where its answers are written down before anybody gets them.
        price: What the tokens of a model cost in a batch.
        holder: Who we are, for the book.
        pace: How often to look.
        own: Whether it was submitted here.
        waiting: Who waits, by the ids of requests.
        ended: Whether the batch has, so that all that is left takes moments.
    """

    batch: Batch
    provider: BatchProvider
    book: BatchBook
    ledger: Ledger
    price: PriceOf
    holder: str
    pace: Pace
    own: bool
    waiting: dict[str, list[Waiting]] = field(default_factory=dict)
    ended: bool = False
    _resumed: bool = False
    _unwritten: bool = False  # whether answers are in no ledger yet
    _collected: int = 0  # times that collecting has failed
    _odd: int = 0  # looks that brought something unreadable
    _begun: float = field(default_factory=time.monotonic)

    def wait(self, id: str) -> Waiting:  # noqa: A002  # as it is called everywhere
        """Return what will come of a request."""
        future: Waiting = asyncio.get_running_loop().create_future()
        future.add_done_callback(_noticed)
        self.waiting.setdefault(id, []).append(future)
        return future

    async def follow(self) -> None:
        """Look until the batch has ended, then collect."""
        try:
            await self._follow()
        except asyncio.CancelledError:
            for future in self._everybody():
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # handed to whoever waits
            _log.warning("batch %s of %s: %s", self.batch.label, self.batch.provider, error)
            _resolve(self._everybody(), error)
        finally:
            _resolve(self._everybody(), None)

    async def _follow(self) -> None:
        pause = self.pace.first
        wait = pause if self.own else 0.0
        while True:
            await asyncio.sleep(wait)
            wait = pause
            pause = min(pause * _SLOWER, self.pace.most)
            try:
                if await self._look():
                    return
            except TimeoutError:
                _log.info("batch %s: its answers took too long", self.batch.label)
            except ProviderError as error:
                known = await self.book.run(self.book.get, self.batch.label)
                if known is None:
                    return  # another process has collected it, and whoever waits finds it there
                if not self._may_pass(error, known):
                    await self._give_up(error)
                    raise self._of_looking(error) from error
                _log.info("batch %s: %s", self.batch.label, error.message)
                wait = max(wait, min(error.retry_after or 0.0, self.pace.most))
            self._not_for_ever()

    def _may_pass(self, error: ProviderError, known: Batch) -> bool:
        """Whether another look may help: an outage, one odd page, or what another has deleted."""
        if self.ended:
            self._collected += 1
            if self._collected > _MOST_COLLECTING:
                return False
        if isinstance(error, InvalidResponseError):
            self._odd += 1
            return self._odd <= _MOST_ODD
        return error.retryable or known.holder not in ("", self.holder)

    def _of_looking(self, error: ProviderError) -> ProviderError:
        """Return an error of looking at a batch as one of the requests that are in it.

        The service may refuse to be asked how far it is, and yet work on it and charge for it.
        """
        error.may_be_billed, error.retryable = True, False
        error.next_step = (
            f"{error.next_step} The batch {self.batch.service_id or self.batch.label!r} goes on; "
            "run the same again later, and its answers are collected then."
        ).lstrip()
        return error

    async def _look(self) -> bool:
        """Return whether there is nothing left to wait for."""
        if self.batch.service_id is None and await self._find():
            return True
        name = self.batch.service_id
        if name is None:
            return False
        status = await self.provider.poll(name)
        if status.state == "running":
            return False
        self.ended = True
        claimed = await self._claim()
        if claimed:
            self._unwritten = False
            await self._collect(name, status)
            if self._unwritten:
                return False  # the service still has what the ledger lacks
            # First, so that no other process takes a batch that is gone for a failure.
            await self.book.run(self.book.forget, self.batch.label)
            await self._discard(name)
        # Else another process has collected it, or is about to have.
        return claimed or await self.book.run(self.book.get, self.batch.label) is None

    async def _find(self) -> bool:
        """Look for a batch whose name got lost; return whether there is none."""
        known = await self.book.run(self.book.get, self.batch.label)
        if known is None:
            return True  # another process has collected it
        if known.service_id is None:
            since = datetime.fromtimestamp(known.time, UTC)
            name = await self.provider.find(known.label, since=since, requests=known.requests)
            if name is None:
                return await self._never_made()
            await self.book.run(self.book.submitted, known.label, name)
            known = replace(known, service_id=name)
        self.batch = known
        return False

    async def _never_made(self) -> bool:
        """Give up a batch that the service does not know, once it must know it."""
        if self.own:  # counted from when submitting it had gone wrong, which may take minutes
            young = time.monotonic() - self._begun < self.pace.unsure
        else:
            young = self._age < self.pace.orphaned
        if young:
            return False
        await self.book.run(self.book.forget, self.batch.label)
        provider = self.batch.provider
        never = UnavailableError(
            f"{provider} has not received the batch {self.batch.label!r}.",
            provider=provider,
            may_be_billed=False,
        )
        _resolve(self._everybody(), never)
        return True

    async def _collect(self, name: str, status: BatchStatus) -> None:
        """Write down the answers and hand them out, each to whoever asked for it."""
        left = await self.book.run(self.book.items, self.batch.label)
        found: list[tuple[Item, Response | ProviderError]] = []
        if status.state != "failed":
            lines = self.provider.collect(name, model=self.batch.model)
            async with asyncio.timeout(_COLLECTING), aclosing(lines):
                async for key, outcome in lines:
                    item = left.pop(key, None)
                    if item is None:
                        continue  # of a stranger, or a second time
                    found.append((item, outcome))
                    if len(found) >= _CHUNK:
                        await self._settle(found)
                        found = []
        missing = self._missing(status)
        await self._settle([*found, *((item, missing) for item in left.values())])

    async def _settle(self, found: Sequence[tuple[Item, Response | ProviderError]]) -> None:
        """Write down what was paid for, then hand it out."""
        settled = [
            (item, self._priced(said, item) if isinstance(said, Response) else said)
            for item, said in found
        ]
        written = [
            self.ledger.enter(
                key=item.key,
                request_id=item.request_id,
                tenant=item.tenant,
                provider=self.batch.provider,
                endpoint=self.batch.endpoint,
                model=self.batch.model,
                cost=said.cost if isinstance(said, Response) else Cost(detail=_MAYBE_BILLED),
                response=said if isinstance(said, Response) else None,
            )
            for item, said in settled
            if not await self._recorded(item, said)
        ]
        before = self.ledger.failed
        await asyncio.gather(*written)
        if self.ledger.failed > before:
            self._unwritten = self._resumed = True
        else:
            await self.book.run(self.book.done, [item.id for item, _ in settled])
        for item, said in settled:
            _resolve(self.waiting.pop(item.id, ()), said)
        await self._claim()

    async def _recorded(self, item: Item, said: Response | ProviderError) -> bool:
        """Whether there is nothing to write: no cost, or a row that whoever died has written."""
        if isinstance(said, ProviderError):
            return not said.may_be_billed
        if not self._resumed:
            return False
        find = self.ledger.find
        return await asyncio.to_thread(find, item.key, request_id=item.request_id) is not None

    def _priced(self, response: Response, item: Item) -> Response:
        usage = response.usage
        if item.silent and usage.audio_input is None:
            usage = replace(usage, audio_input=0)
        try:
            cost = self.price(response.model, usage)
        except (ArithmeticError, ValueError, TypeError) as error:
            _log.warning("the price of a reply of %r: %s", self.batch.provider, error)
            cost = Cost(detail=f"the token counts of {self.batch.provider} are none")
        return replace(response, cost=cost, provider=self.batch.provider, cached=False)

    async def _claim(self) -> bool:
        """Say that we collect; return whether nobody else does."""
        known = await self.book.run(self.book.get, self.batch.label)
        self._resumed |= known is not None and known.holder not in ("", self.holder)
        claim = self.book.claim
        return await self.book.run(claim, self.batch.label, self.holder, _CLAIM)

    async def _discard(self, name: str) -> None:
        try:
            await self.provider.discard(name)
        except ProviderError as error:
            _log.warning("%s keeps the batch %r: %s", self.batch.provider, name, error.message)

    async def _give_up(self, error: ProviderError) -> None:
        """Forget a batch that the service refuses to know, long after it must have ended."""
        refused = type(error) is ProviderError
        if refused and self._age > self.provider.batch_limits.hours * 3600.0:
            await self.book.run(self.book.forget, self.batch.label)

    def _not_for_ever(self) -> None:
        hours = 2 * self.provider.batch_limits.hours
        if self._age > hours * 3600.0:
            raise UnavailableError(
                f"The batch {self.batch.service_id!r} still runs after {hours:g} h.",
                provider=self.batch.provider,
                retryable=False,
                next_step="Look at it in the console of the service.",
            )

    def _missing(self, status: BatchStatus) -> ProviderError:
        """Return what is said of a request that has no answer."""
        provider, name = self.batch.provider, self.batch.service_id
        if status.state == "ended":
            return InvalidResponseError(
                f"The batch {name!r} of {provider} ended without an answer to this request.",
                provider=provider,
                next_step=f"Ask again, or set providers.{provider}.lane to 'live'.",
            )
        if status.state == "expired":
            return UnavailableError(
                f"The batch {name!r} of {provider} expired before it came to this request.",
                provider=provider,
                may_be_billed=False,
            )
        why = f": {status.reason!r}" if status.reason else ""
        word = "failed" if status.state == "failed" else "was cancelled at the service"
        return ProviderError(f"The batch {name!r} of {provider} {word}{why}.", provider=provider)

    @property
    def _age(self) -> float:
        """Seconds since it was about to be submitted."""
        return time.time() - self.batch.time

    def _everybody(self) -> list[Waiting]:
        everybody = [future for futures in self.waiting.values() for future in futures]
        self.waiting.clear()
        return everybody


def _resolve(futures: Iterable[Waiting], outcome: Response | Exception | None) -> None:
    for future in futures:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _noticed(future: Waiting) -> None:
    """Take note of the outcome: whoever waited may be gone."""
    if not future.cancelled():
        future.exception()
