"""Asks services in batches, through the whole call layer and the real SDKs."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import services
from batch_service import BatchService
from mmcrime.calls.batch_book import BatchBook
from mmcrime.calls.batch_watch import Pace
from mmcrime.calls.budget import RunBudget
from mmcrime.calls.layer import CallLayer, Run
from mmcrime.config import Settings, load_settings
from mmcrime.egress import Gate
from mmcrime.pipeline.service import built
from mmcrime.plugins import BatchLimits, Part, Provider, Request

QUICK = Pace(quiet=0.03, longest=2.0, first=0.01, most=0.05, unsure=0.1, orphaned=0.3)
PICTURE = Part(data=services.shot(), media_type="image/png", width=64, height=48)


def question(text: str, **fields: Any) -> Request:
    return Request(
        instructions="Judge.", parts=(PICTURE, Part(text=text)), max_output_tokens=100, **fields
    )


class Asking:
    """One run of a pipeline of its own, with the cache directory that it is given.

    Attributes:
        budget: What the run may cost.
        gate: What it let out.
        provider: The provider as an analyzer gets it.
    """

    def __init__(
        self,
        service: BatchService,
        folder: Path,
        *,
        run: str = "run-1",
        deadline: float | None = None,
        offline: bool = False,
        lane: str = "batch",
        limits: BatchLimits | None = None,
        **more: Any,
    ) -> None:
        given = services.section(service.kind, service.url, lane=lane, **more.pop("section", {}))
        config = {"providers": {service.kind: given}, "cache": {"directory": str(folder)}, **more}
        settings: Settings = load_settings(config, environ={}, dotenv=None)
        self.layer = CallLayer(settings)
        self.budget = RunBudget(settings.budget)
        self.gate = Gate(offline=offline)
        self._inner = built(service.kind, settings)
        if limits is not None:
            self._inner.provider.batch_limits = limits
        due = None if deadline is None else asyncio.get_running_loop().time() + deadline
        self.provider: Provider = self.layer.wrap(
            self._inner.provider,
            name=service.kind,
            section=self._inner.section,
            options="",
            run=Run(
                request_id=run, tenant="default", gate=self.gate, budget=self.budget, deadline=due
            ),
        )

    @property
    def batches(self) -> Any:
        """The provider as it is."""
        return self._inner.provider

    @property
    def lanes(self) -> Any:
        """The lanes of the pipeline, by provider."""
        return self.layer._lanes._lanes  # no door leads there

    async def __aenter__(self) -> Asking:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._inner.provider.aclose()
        await self.layer.aclose()

    async def ask(self, *texts: str) -> list[Any]:
        """Ask all at the same time, and return what each gives or raises."""
        calls = (self.provider.generate(question(text)) for text in texts)
        return await asyncio.gather(*calls, return_exceptions=True)


def said(outcomes: list[Any]) -> list[str]:
    """Return what was answered; fails where something was not."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome.text for outcome in outcomes]


def rows(folder: Path) -> list[Any]:
    """Return what the ledger holds: key, status, dollars and run of each reply."""
    with sqlite3.connect(folder / "ledger.sqlite3") as connection:
        found = connection.execute("SELECT key, status, usd, request_id FROM replies").fetchall()
    connection.close()
    return found


def pending(folder: Path) -> int:
    """Return how many batches wait to be collected."""
    book = BatchBook(folder)
    try:
        return len(book.pending())
    finally:
        book.close()
