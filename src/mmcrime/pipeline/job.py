"""What one run is given: its source, opened, and everything that it needs besides."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mmcrime.calls.budget import RunBudget
from mmcrime.calls.layer import CallLayer
from mmcrime.config import Settings
from mmcrime.egress import Gate
from mmcrime.errors import BudgetExceededError, UnsupportedMediaError
from mmcrime.logs import get_logger
from mmcrime.media.handle import MediaHandle, open_media
from mmcrime.pipeline.options import CallOptions
from mmcrime.pipeline.team import Team
from mmcrime.results import Event
from mmcrime.telemetry import RunTelemetry, current_run, span

_log = get_logger("mmcrime.pipeline")
Emit = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Everything one run needs.

    Attributes:
        source: What to analyse.
        name: Its display name.
        options: What the call asks for.
        settings: The settings of the pipeline.
        team: Who works for it.
        layer: What surrounds every call of a provider.
        budget: What the run may cost; a run over many sources shares it.
        gate: The egress gate of this run.
        telemetry: What the run is told to; None where nobody listens.
        request_id: The id in the report and in every log record.
        emit: Receives the events, in the pipeline's loop.
        deadline: Loop time after which nothing counts; None for never.
    """

    source: Any
    name: str
    options: CallOptions
    settings: Settings
    team: Team
    layer: CallLayer
    budget: RunBudget
    gate: Gate
    telemetry: RunTelemetry | None
    request_id: str
    emit: Emit
    deadline: float | None

    @property
    def tenant(self) -> str:
        """On whose behalf."""
        return self.options.run.tenant if self.options.run else "default"

    @property
    def frame_interval(self) -> float:
        """Seconds between sampled frames."""
        return self.options.frame_interval or self.settings.media.frame_interval


def new_request_id(options: CallOptions) -> str:
    """Return the caller's request id, or a fresh one."""
    return options.run.request_id if options.run else uuid.uuid4().hex


def deadline_of(options: CallOptions) -> float | None:
    """Return the deadline in loop time, from now: the earlier of the call's and the context's."""
    given = options.run.deadline if options.run else None
    if options.deadline is None:
        return given
    own = asyncio.get_running_loop().time() + options.deadline
    return own if given is None else min(own, given)


def show_progress(job: Job, share: float) -> None:
    """Tell whoever asked how much is done; their display must not cost the report."""
    try:
        if job.options.run is not None:
            job.options.run.progress(share)
        if job.options.progress is not None:
            job.options.progress(job.name, share)
    except BaseException:  # noqa: BLE001  # a caller's code; SystemExit would end the loop
        _log.exception("progress callback failed", extra={"request_id": job.request_id})


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[MediaHandle]:
    """Open the source in a thread and close it, even if the wait for it is cancelled."""
    options = job.options
    opening = asyncio.ensure_future(
        asyncio.to_thread(
            open_media,
            job.source,
            limits=job.settings.media.limits,
            gate=job.gate,
            name=options.name,
            source_id=options.source_id,
            recorded_at=options.recorded_at,
            metadata=options.metadata,
        )
    )
    try:
        with span("mmcrime.open"):
            async with asyncio.timeout_at(job.deadline):
                handle = await asyncio.shield(opening)
    except TimeoutError as error:
        opening.add_done_callback(_close_late)
        raise BudgetExceededError(
            f"{job.name!r} was not open within deadline={options.deadline!r}.",
            next_step="Allow a longer deadline.",
        ) from error
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise
    try:
        if options.kind is not None and options.kind != handle.media.kind:
            raise UnsupportedMediaError(
                f"it holds {handle.media.kind!r}, not {options.kind!r}.",
                source=handle.media.name,
                next_step="Leave kind out to take it for what it is.",
            )
        if (told := current_run()) is not None:
            told.opened(handle.media)
        yield handle
    finally:
        handle.close()  # deletes one file at most, and must not wait for a free thread


def _close_late(opening: asyncio.Future[MediaHandle]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
