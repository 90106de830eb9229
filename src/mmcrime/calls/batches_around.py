"""What surrounds a provider that is asked in batches; the other lane is in `layer`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mmcrime.calls import batch_lane
from mmcrime.calls.announced import Announced
from mmcrime.calls.batch_book import BATCHES_FILE, Batch, BatchBook
from mmcrime.calls.batch_lane import BatchLane
from mmcrime.calls.batch_price import BatchPricing
from mmcrime.calls.batched import Attached, Laned
from mmcrime.calls.budget import Budgeted
from mmcrime.calls.day_book import DayBook
from mmcrime.calls.ledger import Ledger
from mmcrime.calls.retry import Retrying
from mmcrime.calls.run import Run
from mmcrime.calls.traced import TracedAttempt, TracedSending
from mmcrime.config import ProviderSettings
from mmcrime.errors import ConfigError
from mmcrime.plugins import BatchProvider, Provider

__all__ = ["BatchLanes", "open_batches"]

_ATTEMPTS = 4  # a request that failed in a batch goes with up to three further ones


def open_batches(directory: Path) -> list[tuple[Batch, int]]:
    """Return the batches that wait to be collected, and how many requests have no answer yet.

    The oldest comes first. Writes nothing where there never was one. Blocks.

    Args:
        directory: The cache directory.

    Raises:
        ConfigError: If the record of batches cannot be used.
    """
    if not (directory / BATCHES_FILE).exists():
        return []
    book = BatchBook(directory)
    try:
        return [(batch, len(book.items(batch.label))) for batch in book.pending()]
    finally:
        book.close()


class BatchLanes:
    """The cheaper lanes of a pipeline, one for each provider that is asked in batches.

    Services hold batches against limits of their own, and one is submitted for many requests,
    so that neither the limits of a minute nor the doors of the live lane are of use here.

    Args:
        book: Which requests are in which batch; it is closed here.
        ledger: Where answers are written down.
        day: The caps of the day.
    """

    def __init__(self, book: BatchBook, ledger: Ledger, *, day: DayBook) -> None:
        self._book = book
        self._ledger = ledger
        self._day = day
        self._lanes: dict[str, BatchLane] = {}

    def around(
        self, provider: Provider, *, name: str, section: ProviderSettings, run: Run, serve: bool
    ) -> Provider:
        """Surround a provider for one run.

        Args:
            provider: The provider.
            name: The name the caller knows it by.
            section: Its configuration.
            run: The run.
            serve: Whether what an earlier run has submitted may serve.

        Raises:
            ConfigError: If the provider knows no batches.
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
            model=provider.model,
            share=provider.batch_limits.price,
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
            TracedAttempt(TracedSending(laned, name=name, lane="batch"), name=name),
            name=name,
            pricing=pricing,
            run=run.budget,
            day=self._day,
        )
        retrying = Retrying(budgeted, name=name, deadline=run.deadline, attempts=_ATTEMPTS)
        if not serve:
            return retrying
        return Attached(
            retrying,
            lane=lane,
            gate=run.gate,
            request_id=run.request_id,
            deadline=run.deadline,
        )

    async def aclose(self) -> None:
        """Stop looking and close the record; what was submitted goes on without us."""
        for lane in self._lanes.values():
            await lane.aclose()
        self._lanes.clear()
        await asyncio.to_thread(self._book.close)

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
