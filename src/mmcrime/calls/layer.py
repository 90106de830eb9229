"""The one place where the call layer is built."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmcrime.calls import batch_lane
from mmcrime.calls.announced import Announced
from mmcrime.calls.batch_book import BatchBook
from mmcrime.calls.batch_lane import BatchLane
from mmcrime.calls.batch_price import BatchPricing
from mmcrime.calls.batched import Attached, Laned
from mmcrime.calls.breaker import Breakers, Guarded
from mmcrime.calls.budget import Budgeted, DayBudget, RunBudget
from mmcrime.calls.cache import Cached
from mmcrime.calls.flights import Flights
from mmcrime.calls.ledger import Ledger, Recorded
from mmcrime.calls.limits import Limited, Limiter
from mmcrime.calls.prices import Pricing
from mmcrime.calls.retry import Retrying
from mmcrime.calls.store import AnswerStore
from mmcrime.calls.traced import TracedAttempt, TracedCall, TracedSending
from mmcrime.config import ProviderSettings, Settings
from mmcrime.errors import ConfigError
from mmcrime.plugins import BatchProvider, EgressGate, Provider

__all__ = ["BREAKERS_FILE", "CallLayer", "Run", "cache_directory", "stored"]

BREAKERS_FILE = "breakers.json"
"""Name of the file in the cache directory that says which services keep failing."""
_DAYS_FILE = "days.json"
_BATCH_ATTEMPTS = 4  # a request that failed in a batch goes with up to three further ones
_GB = 1_000_000_000


def cache_directory(settings: Settings) -> Path:
    """Return the folder of stored answers, of what was paid, and of what a day has cost."""
    if settings.cache.directory is not None:
        return Path(settings.cache.directory).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("mmcrime", appauthor=False)


@contextmanager
def stored(settings: Settings) -> Iterator[tuple[Path, AnswerStore, Ledger]]:
    """Give the cache directory, its answers and its record of what was paid. Blocks."""
    directory = cache_directory(settings)
    store = AnswerStore(directory, size_bytes=round(settings.cache.size_gb * _GB))
    ledger = Ledger(directory)
    try:
        yield directory, store, ledger
    finally:
        store.close()
        ledger.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What the calls of one run have in common.

    Attributes:
        request_id: Its id.
        tenant: On whose behalf.
        gate: Its egress gate.
        budget: Its caps.
        deadline: Loop time after which no answer is of use; None for never.
    """

    request_id: str
    tenant: str
    gate: EgressGate
    budget: RunBudget
    deadline: float | None


class CallLayer:
    """What surrounds every call, with the state that outlives a run; one for each pipeline.

    Nothing is written before the first call.

    Args:
        settings: The settings of the pipeline.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = cache_directory(settings)
        self._flights = Flights()
        self._limiters: dict[str, Limiter] = {}
        self._pricings: dict[tuple[str, str], Pricing] = {}
        self._lanes: dict[str, BatchLane] = {}
        self._opened: list[AnswerStore | Ledger | DayBudget | BatchBook] = []

    def wrap(
        self,
        provider: Provider,
        *,
        name: str,
        section: ProviderSettings,
        options: str,
        run: Run,
        stored: bool = True,
    ) -> Provider:
        """Surround a provider for one run.

        Args:
            provider: The provider; it is not closed here.
            name: The name the caller knows it by.
            section: Its configuration.
            options: What of its options decides an answer, as text.
            run: The run.
            stored: Whether stored answers may serve, if the settings allow it.

        Raises:
            ConfigError: If it shall be asked in batches, and knows none.
        """
        if section.lane == "batch":
            serve = stored and self._settings.cache.enabled
            inner = self._batched(provider, name, section, run, serve=serve)
            return self._cached(inner, name, options, run, serve=serve)
        pricing = self._pricing(provider, name, section)
        announced = Announced(TracedSending(provider, name=name), name=name, gate=run.gate)
        limiter = self._limiters.get(name)
        if limiter is None:
            limiter = self._limiters[name] = Limiter(name, section)
        limited = Limited(announced, name=name, limiter=limiter, deadline=run.deadline)
        recorded = Recorded(
            limited,
            name=name,
            ledger=self._ledger,
            price=pricing.cost_of,
            tenant=run.tenant,
            request_id=run.request_id,
        )
        budgeted = Budgeted(
            TracedAttempt(recorded, name=name),
            name=name,
            pricing=pricing,
            run=run.budget,
            day=self._day_budget,
        )
        guarded = Guarded(budgeted, name=name, breakers=self._breakers)
        serve = stored and self._settings.cache.enabled
        retrying = Retrying(guarded, name=name, deadline=run.deadline)
        return self._cached(retrying, name, options, run, serve=serve)

    def _cached(
        self, inner: Provider, name: str, options: str, run: Run, *, serve: bool
    ) -> Provider:
        cached = Cached(
            inner,
            name=name,
            store=self._store if serve else None,
            ledger=self._ledger if serve else None,
            flights=self._flights,
            options=options,
            tenant=run.tenant,
            request_id=run.request_id,
        )
        return TracedCall(cached, name=name)

    def _batched(
        self, provider: Provider, name: str, section: ProviderSettings, run: Run, *, serve: bool
    ) -> Provider:
        """Surround a provider that is asked in batches.

        Services hold batches against limits of their own, and one is submitted for many
        requests, so that neither the limits nor the door of the live lane are of use.
        """
        if not isinstance(provider, BatchProvider):
            raise ConfigError(
                f"providers.{name}.lane is 'batch', but this provider knows no batches.",
                next_step=f"Set providers.{name}.lane to 'live', or leave it out.",
            )
        pricing = BatchPricing(
            name,
            provider.endpoint,
            section.price,
            free=provider.free,
            share=provider.batch_limits.price,
            model=provider.model,
        )
        lane = self._lane(provider, name, pricing)
        laned = Laned(
            Announced(provider, name=name, gate=run.gate),
            name=name,
            lane=lane,
            gate=run.gate,
            tenant=run.tenant,
            request_id=run.request_id,
            deadline=run.deadline,
        )
        budgeted = Budgeted(
            TracedAttempt(TracedSending(laned, name=name), name=name),
            name=name,
            pricing=pricing,
            run=run.budget,
            day=self._day_budget,
        )
        retrying = Retrying(budgeted, name=name, deadline=run.deadline, attempts=_BATCH_ATTEMPTS)
        if not serve:
            return retrying
        return Attached(
            retrying,
            lane=lane,
            gate=run.gate,
            request_id=run.request_id,
            deadline=run.deadline,
        )

    def _lane(self, provider: BatchProvider, name: str, pricing: BatchPricing) -> BatchLane:
        if name not in self._lanes:
            self._lanes[name] = BatchLane(
                provider,
                name=name,
                book=self._book,
                ledger=self._ledger,
                price=pricing.cost_of,
                pace=batch_lane.PACE,
            )
        return self._lanes[name]

    async def aclose(self) -> None:
        """Write what waits to be written, and close the files; batches go on without us."""
        for lane in self._lanes.values():
            await lane.aclose()
        self._lanes.clear()
        for held in reversed(self._opened):
            if isinstance(held, DayBudget):
                await held.aclose()
            else:
                await asyncio.to_thread(held.close)
        self._opened.clear()

    def _pricing(self, provider: Provider, name: str, section: ProviderSettings) -> Pricing:
        key = (name, provider.endpoint)
        if key not in self._pricings:
            self._pricings[key] = Pricing(
                name,
                provider.endpoint,
                section.price,
                free=provider.free,
                model=provider.model,
            )
        return self._pricings[key]

    @cached_property
    def _store(self) -> AnswerStore:
        size = round(self._settings.cache.size_gb * _GB)
        store = AnswerStore(self._directory, size_bytes=size)
        self._opened.append(store)
        return store

    @cached_property
    def _ledger(self) -> Ledger:
        ledger = Ledger(self._directory)
        self._opened.append(ledger)
        return ledger

    @cached_property
    def _book(self) -> BatchBook:
        book = BatchBook(self._directory)
        self._opened.append(book)
        return book

    @cached_property
    def _day_budget(self) -> DayBudget:
        budget = DayBudget(self._directory / _DAYS_FILE, self._settings.budget)
        self._opened.append(budget)
        return budget

    @cached_property
    def _breakers(self) -> Breakers:
        return Breakers(self._directory / BREAKERS_FILE)
