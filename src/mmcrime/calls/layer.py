"""The one place where the call layer is built."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from weakref import WeakSet

from mmcrime.calls.announced import Announced, Sharing
from mmcrime.calls.batch_book import BatchBook
from mmcrime.calls.batches_around import BatchLanes
from mmcrime.calls.breaker import Breakers, Doors, Guarded
from mmcrime.calls.budget import Budgeted
from mmcrime.calls.cache import Cached
from mmcrime.calls.day_book import DayBook
from mmcrime.calls.day_budget import DayBudget
from mmcrime.calls.flights import Flights
from mmcrime.calls.ledger import Ledger, Recorded
from mmcrime.calls.limits import Limited, Limiter, Line
from mmcrime.calls.link import Link
from mmcrime.calls.prices import Pricing
from mmcrime.calls.retry import Retrying
from mmcrime.calls.run import Run
from mmcrime.calls.shared_answers import SharedAnswers
from mmcrime.calls.shared_breaker import SharedBreakers
from mmcrime.calls.shared_day import SharedDayBudget
from mmcrime.calls.shared_limits import SharedLimiter
from mmcrime.calls.store import AnswerStore
from mmcrime.calls.traced import TracedAttempt, TracedCall, TracedSending
from mmcrime.config import ProviderSettings, Settings
from mmcrime.plugins import EgressGate, Provider

__all__ = ["BREAKERS_FILE", "CallLayer", "Run", "cache_directory", "shared_link", "stored"]

BREAKERS_FILE = "breakers.json"
"""Name of the file in the cache directory that says which services keep failing."""
_DAYS_FILE = "days.json"
_GB = 1_000_000_000


def cache_directory(settings: Settings) -> Path:
    """Return the folder of stored answers, of what was paid, and of what a day has cost."""
    if settings.cache.directory is not None:
        return Path(settings.cache.directory).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("mmcrime", appauthor=False)


def shared_link(settings: Settings, **more: float) -> Link | None:
    """Return a connection to the Redis that the settings name; None where they name none.

    Args:
        settings: The settings.
        **more: See `Link`.

    Raises:
        MissingDependencyError: If its package is not installed.
    """
    cache = settings.cache
    if cache.url is None:
        return None
    return Link(
        cache.url.get_secret_value(),
        namespace=cache.namespace,
        directory=cache_directory(settings),
        **more,
    )


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


class CallLayer:
    """What surrounds every call, with the state that outlives a run; one for each pipeline.

    Nothing is written before the first call.

    Where the settings name a Redis, that keeps what would else be kept in files and in memory,
    except for made media and for the ledger, which is the record of this machine.

    Args:
        settings: The settings of the pipeline.

    Raises:
        MissingDependencyError: If they name a Redis and its package is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = cache_directory(settings)
        self._flights = Flights()
        self._lines: dict[tuple[str, str], Line] = {}
        self._pricings: dict[tuple[str, str], Pricing] = {}
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._link = shared_link(settings)
        self._told: WeakSet[EgressGate] = WeakSet()

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
        serve = stored and self._settings.cache.enabled
        around = self._lanes.around if section.lane == "batch" else self._live
        asked = around(provider, name=name, section=section, run=run, serve=serve)
        cached = Cached(
            asked,
            name=name,
            store=self._store if serve else None,
            ledger=self._ledger if serve else None,
            flights=self._flights,
            options=options,
            tenant=run.tenant,
            request_id=run.request_id,
            shared=self._shared if serve else None,
            deadline=run.deadline,
        )
        sharing: Provider = cached
        if self._link is not None and not self._link.here:
            sharing = Sharing(cached, place=self._link.place, gate=run.gate, told=self._told)
        return TracedCall(sharing, name=name)

    def _live(
        self,
        provider: Provider,
        *,
        name: str,
        section: ProviderSettings,
        run: Run,
        serve: bool,  # noqa: ARG002  # of both lanes; this one is asked only where nothing serves
    ) -> Provider:
        pricing = self._pricing(provider, name, section)
        announced = Announced(TracedSending(provider, name=name), name=name, gate=run.gate)
        line = self._line(name, provider.endpoint, section)
        limited = Limited(announced, name=name, limiter=line, deadline=run.deadline)
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
        guarded = Guarded(budgeted, name=name, breakers=self._breakers, deadline=run.deadline)
        return Retrying(guarded, name=name, deadline=run.deadline)

    async def aclose(self) -> None:
        """Write what waits to be written, and close the files; batches go on without us."""
        for close in reversed(self._closing):
            await close()
        self._closing.clear()
        if self._link is not None:
            await self._link.aclose()

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

    def _line(self, name: str, endpoint: str, section: ProviderSettings) -> Line:
        # What one pipeline calls so is one service; another pipeline may mean another one.
        key = (name, "" if self._link is None else endpoint)
        if key not in self._lines:
            if self._link is None:
                self._lines[key] = Limiter(name, section)
            else:
                line = SharedLimiter(name, section, link=self._link, endpoint=endpoint)
                self._closing.append(line.aclose)
                self._lines[key] = line
        return self._lines[key]

    @cached_property
    def _store(self) -> AnswerStore:
        size = round(self._settings.cache.size_gb * _GB)
        store = AnswerStore(self._directory, size_bytes=size)
        self._closing.append(partial(asyncio.to_thread, store.close))
        return store

    @cached_property
    def _ledger(self) -> Ledger:
        ledger = Ledger(self._directory)
        self._closing.append(partial(asyncio.to_thread, ledger.close))
        return ledger

    @cached_property
    def _lanes(self) -> BatchLanes:
        lanes = BatchLanes(BatchBook(self._directory), self._ledger, day=self._day_budget)
        self._closing.append(lanes.aclose)
        return lanes

    @cached_property
    def _shared(self) -> SharedAnswers | None:
        if self._link is None:
            return None
        answers = SharedAnswers(self._link)
        self._closing.append(answers.aclose)
        return answers

    @cached_property
    def _day_budget(self) -> DayBook:
        budget: DayBook
        if self._link is None:
            budget = DayBudget(self._directory / _DAYS_FILE, self._settings.budget)
        else:
            budget = SharedDayBudget(self._link, self._settings.budget)
        self._closing.append(budget.aclose)
        return budget

    @cached_property
    def _breakers(self) -> Doors:
        if self._link is None:
            return Breakers(self._directory / BREAKERS_FILE)
        doors = SharedBreakers(self._link)
        self._closing.append(doors.aclose)
        return doors
