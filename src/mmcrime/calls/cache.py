"""A stored answer where there is one; else media is made, and the answer is stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from mmcrime.calls.flights import Flights
from mmcrime.calls.keys import answer_key
from mmcrime.calls.ledger import Ledger
from mmcrime.calls.meter import current_meter
from mmcrime.calls.shared_answers import SharedAnswers
from mmcrime.calls.store import AnswerStore
from mmcrime.calls.wrapper import Wrapper
from mmcrime.plugins import Part, Provider, Request, Response
from mmcrime.results import Cost

__all__ = ["Cached"]

_MUCH = 1 << 20  # bytes that take BLAKE3 so long that the event loop should not wait


class Cached(Wrapper):
    """Asks only for what is not known yet; the outermost of the call layer.

    An answer from the store or the ledger, or of an identical call that was under way, is
    marked ``cached`` and costs nothing. Refusals, truncated replies and answers that are of no
    use to whoever asked (`Request.usable`) are never stored.
    They are shared with identical calls that wait for them, and a run that was killed gets
    its own from the ledger; no other call does.

    Media that says which bytes it is needs not be made for a hit. Where it must be made, a
    panel that asks several providers makes it once, and keeps it for a changed prompt.

    Args:
        inner: What is asked when nothing serves.
        name: Registered name of the provider.
        store: Where answers and made media are kept; None to look nothing up.
        ledger: Replies that were paid for; None for none.
        flights: Calls under way of the whole pipeline.
        options: What the provider's own options are, as one text.
        tenant: On whose behalf.
        request_id: Of the run.
        shared: Where answers are kept instead, for all processes and machines; made media
            stays in the store. Not used without a store.
        deadline: Loop time after which no answer of another process is waited for; None for
            never.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        name: str,
        store: AnswerStore | None,
        ledger: Ledger | None,
        flights: Flights,
        options: str,
        tenant: str,
        request_id: str,
        shared: SharedAnswers | None = None,
        deadline: float | None = None,
    ) -> None:
        super().__init__(inner)
        self._name = name
        self._store = store
        self._ledger = ledger
        self._flights = flights
        self._options = options
        self._tenant = tenant
        self._request_id = request_id
        self._shared = shared
        self._deadline = deadline

    async def generate(self, request: Request) -> Response:
        """Answer a request, from what is stored where that serves.

        Raises:
            ProviderError: If the service did not answer, here or in the identical call that
                was waited for.
            ConfigError: If the cache directory, or the Redis that is shared, cannot be used.
            BudgetExceededError: If the deadline passes while another process asks the same.
            ValueError: If media has neither bytes nor an id nor something that makes it.
        """
        request = await self._keyed(request)
        # One who looks nothing up must not be given what another looked up.
        flight = ("answer", request.key, self._store is not None)
        while True:
            response, led = await self._flights.share(flight, partial(self._answer, request))
            if led:
                break
            if response.status == "answered" or not response.cached:
                response = _hit(response)
                break
            # The refusal of another run that was resumed: not ours to use.
        if (meter := current_meter()) is not None:
            meter.answered(response)
        return response

    async def _keyed(self, request: Request) -> Request:
        """Return the request with its key; media that only its bytes identify is made."""
        model = request.model or self.model
        parts = tuple([part if part.id else await self._made(part) for part in request.parts])
        request = replace(request, model=model, parts=parts)
        key = partial(
            answer_key,
            request,
            provider=self._name,
            endpoint=self.endpoint,
            model=model,
            options=self._options,
            tenant=self._tenant,
        )
        much = sum(len(part.data) for part in parts if not part.id) > _MUCH
        return replace(request, key=await asyncio.to_thread(key) if much else key())

    async def _answer(self, request: Request) -> Response:
        store = self._store
        if store is None:
            return await self._asked(request)
        if self._shared is not None:
            return await self._one_for_all(self._shared, store, request)
        known = await store.run(self._look_up, store, request.key)
        if known is not None and _is_usable(request, known):
            return _hit(known)
        response = await self._asked(request)
        answered = response.status == "answered" and response.text
        if answered and _is_usable(request, response):
            store.soon(store.put, request.key, response)  # it is in the ledger already
        return response

    async def _one_for_all(
        self, shared: SharedAnswers, store: AnswerStore, request: Request
    ) -> Response:
        """Find what all processes share, or ask for all of them."""
        usable = partial(_is_usable, request)
        known = await shared.find(
            request.key, request_id=self._request_id, usable=usable, deadline=self._deadline
        )
        if known is not None:
            return _hit(known)
        try:
            paid = await store.run(self._paid, request.key)
            if paid is not None and usable(paid):
                await shared.keep(request.key, paid, request_id=self._request_id)
                return _hit(paid)  # what is shared was lost, or could not be reached
            response = await self._asked(request)
            await shared.keep(request.key, response, request_id=self._request_id)
        finally:
            shared.give_up(request.key)
        return response

    async def _asked(self, request: Request) -> Response:
        parts = tuple([await self._made(part) for part in request.parts])
        response = await self._inner.generate(replace(request, parts=parts))
        # What a provider says of itself does not count: `Recorded` has overwritten its cost, and
        # only an answer from a batch that an earlier run has paid for comes with this one.
        paid_before = response.cost.source == "cache"
        return replace(response, provider=self._name, cached=paid_before)

    def _paid(self, key: str) -> Response | None:
        if self._ledger is None:
            return None
        return self._ledger.find(key, request_id=self._request_id)

    def _look_up(self, store: AnswerStore, key: str) -> Response | None:
        if (known := store.get(key)) is not None:
            return known
        paid = self._paid(key)
        if paid is not None and paid.status == "answered":
            store.put(key, paid)  # a run was killed before it came to this
        return paid

    async def _made(self, part: Part) -> Part:
        """Return a part with its bytes."""
        if part.data or part.load is None:
            if part.media_type and not part.data:
                raise ValueError(f"a part of type {part.media_type!r} has nothing that makes it")
            return part
        if not part.id:
            return replace(part, data=await asyncio.to_thread(part.load))
        what = ("media", part.media_type, part.id, self._store is not None)
        data, _ = await self._flights.share(what, partial(self._bytes, part))
        return replace(part, data=data)

    async def _bytes(self, part: Part) -> bytes:
        assert part.load is not None  # noqa: S101 - `_made` has looked
        if self._store is None:
            return await asyncio.to_thread(part.load)
        key = f"{part.media_type} {part.id}"
        data = await self._store.run(self._store.blob, key)
        if data is None:
            data = await asyncio.to_thread(part.load)
            self._store.soon(self._store.put_blob, key, data)
        return data


def _is_usable(request: Request, response: Response) -> bool:
    """Whether an answer may be given to whoever asks the same again."""
    if request.usable is None or response.status != "answered":
        return True
    return request.usable(response.text)


def _hit(response: Response) -> Response:
    return replace(response, cached=True, cost=Cost(usd=0.0, source="cache"))
