"""A provider whose answers come from batches: it looks like any other, and takes hours."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mmcrime.calls.announced import Announced
from mmcrime.calls.batch_lane import BatchLane, Entry
from mmcrime.calls.batch_watch import Waiting
from mmcrime.calls.meter import BROKEN_OFF, attempted, current_meter
from mmcrime.calls.prices import NO_TOKENS
from mmcrime.calls.wrapper import Wrapper
from mmcrime.errors import MmcrimeError, ProviderError, UnavailableError
from mmcrime.plugins import EgressGate, Provider, Request, Response, TokenUsage
from mmcrime.results import Cost

__all__ = ["Attached", "Laned"]

_BEFORE = 0.25
"""Seconds before the deadline at which nobody waits any longer, so that they can still say why."""


class Attached(Wrapper):
    """Waits for a batch that has the request already, instead of paying for it again.

    The answer is one that an earlier run has paid for, like one from the ledger: it costs
    nothing and counts as ``cached``.

    Args:
        inner: What is asked when no batch has it.
        lane: The batches.
        gate: The gate of this run, which is told that a service is asked.
        request_id: Of the run.
        deadline: Loop time after which the answer is of no use.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        lane: BatchLane,
        gate: EgressGate,
        request_id: str,
        deadline: float | None,
    ) -> None:
        super().__init__(inner)
        self._lane = lane
        self._gate = gate
        self._request_id = request_id
        self._deadline = deadline

    async def generate(self, request: Request) -> Response:
        """Answer a request, from a batch that has it where there is one.

        Raises:
            ProviderError: If the service did not answer, or the deadline comes first.
            EgressError: Under ``offline``.
        """
        held = await self._lane.pending(request.key)
        if held is None:
            return await self._inner.generate(request)
        batch, name = held
        outcome = await self._lane.attach(batch, name, self._gate)
        try:
            response = await _in_time(outcome, self._deadline)
        except TimeoutError:
            raise _too_late(self._lane, batch.service_id or batch.label) from None
        except ProviderError as error:
            if not error.retryable:
                raise
            response = None
        if response is None:  # another process was faster
            response = await self._lane.paid(request.key, self._request_id)
        if response is None:
            return await self._inner.generate(request)
        return replace(response, cached=True, cost=Cost(usd=0.0, source="cache"))


class Laned(Wrapper):
    """Sends a request with the next batch and waits for its answer.

    It does what `Announced` and `Recorded` do for others: the gate is told before the batch
    is submitted, the meter when something came of it; the ledger is written by whoever
    collects the batch, also when nobody waits any longer.

    Args:
        announced: The provider, with the gate of this run.
        name: Registered name of the provider.
        lane: The batches.
        gate: The gate of this run.
        tenant: On whose behalf.
        request_id: Of the run.
        deadline: Loop time after which the answer is of no use.
    """

    def __init__(
        self,
        announced: Announced,
        *,
        name: str,
        lane: BatchLane,
        gate: EgressGate,
        tenant: str,
        request_id: str,
        deadline: float | None,
    ) -> None:
        super().__init__(announced)
        self._announced = announced
        self._name = name
        self._lane = lane
        self._gate = gate
        self._tenant = tenant
        self._request_id = request_id
        self._deadline = deadline

    async def generate(self, request: Request) -> Response:
        """Ask in a batch.

        Raises:
            UnfitMediaError: If no batch takes so much.
            UnavailableError: If the deadline comes before the answer, which is kept for a
                later run (``out_of_time``).
            ProviderError: If the service did not answer.
            ConfigError: If the ledger or the record of batches cannot be used; nothing was
                sent then.
        """
        with attempted() as attempt:
            # Made inside, so that whoever submits it can say here that it was sent.
            entry = Entry(
                request=request,
                request_id=self._request_id,
                tenant=self._tenant,
                announce=self._announced.announce,
                gate=self._gate,
                outcome=asyncio.get_running_loop().create_future(),
            )
            try:
                self._lane.enter(entry)
                response = await self._answer(entry, request)
            except ProviderError as error:
                if attempt.sent:
                    _count(self._cost_of(error, request))
                raise
            except MmcrimeError:  # offline, or a file that cannot be used: nothing left
                raise
            except BaseException:
                if attempt.sent:
                    _count(Cost(detail=BROKEN_OFF))
                raise
        _count(response.cost, response.usage)
        return response

    async def _answer(self, entry: Entry, request: Request) -> Response:
        try:
            response = await _in_time(entry.outcome, self._deadline)
        except TimeoutError:
            if entry.item is None:
                raise _too_late(self._lane, None) from None
            # Named, it is on its way: whether it has arrived nobody knows yet.
            name = entry.item.id.rpartition("-")[0]
            if entry.watch is not None:
                name = entry.watch.batch.service_id or name
            raise _too_late(self._lane, name) from None
        if response is not None:
            return response
        response = await self._lane.paid(request.key, self._request_id)
        if response is None:
            raise UnavailableError(
                f"Another process has collected the batch of {self._name!r}, and had no answer "
                "to this request.",
                provider=self._name,
            )
        return replace(response, cost=self._lane.price(response.model, response.usage, request))

    def _cost_of(self, error: ProviderError, request: Request) -> Cost:
        if error.out_of_time:
            return Cost(detail="a batch had not ended; what is answered in it will be billed")
        if error.may_be_billed:
            return Cost(detail="a request of a batch failed; it may be billed")
        return self._lane.price(request.model or self.model, NO_TOKENS, request)


async def _in_time(outcome: Waiting, deadline: float | None) -> Response | None:
    """Wait for an answer; whoever leaves gives up its place.

    Raises:
        TimeoutError: A moment before the deadline.
    """
    async with asyncio.timeout_at(None if deadline is None else deadline - _BEFORE):
        return await outcome


def _too_late(lane: BatchLane, batch: str | None) -> UnavailableError:
    if batch is None:
        error = UnavailableError(
            f"The deadline came before a batch of {lane.name!r} was submitted.",
            provider=lane.name,
            retryable=False,
            may_be_billed=False,
            next_step="Allow more time.",
        )
    else:
        error = UnavailableError(
            f"The batch {batch!r} of {lane.name!r} had not ended at the deadline; it may take "
            f"{lane.limits.hours:g} h.",
            provider=lane.name,
            retryable=False,
            next_step="Run the same again later with the same cache directory: its answers are "
            "collected then, and not paid for twice.",
        )
    error.out_of_time = True
    return error


def _count(cost: Cost, usage: TokenUsage | None = None) -> None:
    if (meter := current_meter()) is not None:
        meter.sent(cost, usage)
