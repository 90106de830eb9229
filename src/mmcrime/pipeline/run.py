"""One run: one source, from opening it to its report."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mmcrime.calls.budget import RunBudget
from mmcrime.calls.layer import CallLayer
from mmcrime.calls.layer import Run as CallRun
from mmcrime.config import Settings, masked
from mmcrime.egress import Gate
from mmcrime.errors import BudgetExceededError, UnsupportedMediaError
from mmcrime.evidence import CUT_OFF, Evidence
from mmcrime.fusion import Fused, fuse
from mmcrime.logs import get_logger
from mmcrime.media.handle import MediaHandle, open_media
from mmcrime.perceive.assemble import Gathered, gather
from mmcrime.pipeline import compose
from mmcrime.pipeline.answers import Seat
from mmcrime.pipeline.options import CallOptions
from mmcrime.pipeline.panel import assess, not_asked
from mmcrime.pipeline.peaks import peak_frames
from mmcrime.pipeline.progress import Progress
from mmcrime.pipeline.team import Service, Team
from mmcrime.pipeline.watched import Watched
from mmcrime.plugins import RunContext
from mmcrime.results import (
    Assessed,
    Assessment,
    ErrorRecord,
    Event,
    EvidenceRecord,
    IncidentFound,
    Prepared,
    Report,
    Reported,
    Spent,
)
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


async def run(job: Job) -> Report:
    """Analyse one source.

    Raises:
        MediaError: If the source cannot be read.
        ConfigError: If the call names something that is not there.
        BudgetExceededError: If the deadline passed before anything was open.
        EgressError: If the source is a URL and ``offline`` is set.
    """
    started = time.perf_counter()
    # It raises ConfigError, which must come before anything is opened or fetched.
    panel = _panel(job)
    progress = Progress(lambda share: show_progress(job, share))
    async with _opened(job) as handle:
        opened = time.perf_counter()
        gathered, record = await _prepared(job, handle, progress)
        media = compose.media_record(handle.media)
        job.emit(Prepared(source=job.name, media=media, evidence=record))
        assessments = await _judged(job, panel, gathered.evidence, progress)
        fused = await _fused(job, gathered.evidence, assessments)
        peaks = await peak_frames(
            handle,
            fused.incidents,
            max_side=job.settings.media.max_side,
            deadline=job.deadline,
        )
    facts = compose.Facts(
        request_id=job.request_id,
        source=job.name,
        media=media,
        evidence=gathered.evidence,
        evidence_record=record,
        peaks=peaks.frames,
        assessments=assessments,
        fused=fused,
        egress=job.gate.records,
        timings={
            "open": opened - started,
            **gathered.timings,
            **{f"analyze:{a.id}": a.latency for a in assessments if a.latency is not None},
            **peaks.timings,
            "total": time.perf_counter() - started,
        },
        errors=(*gathered.errors, *_errors(assessments), *peaks.errors),
    )
    report = await asyncio.to_thread(compose.compose, facts)
    _announce(job, report)
    progress.finish()
    return report


async def _prepared(
    job: Job, handle: MediaHandle, progress: Progress
) -> tuple[Gathered, EvidenceRecord]:
    """Make evidence of the media, and what the report says of it."""
    with span("mmcrime.prepare"):
        gathered = await gather(
            handle,
            settings=job.settings,
            frame_interval=job.frame_interval,
            transcriber=job.team.transcriber,
            gate=job.gate,
            deadline=job.deadline,
            progress=progress.gathered,
        )
        record = await asyncio.to_thread(
            compose.evidence_record, gathered.evidence, frame_interval=gathered.frame_interval
        )
    return gathered, record


@dataclass(frozen=True, kw_only=True, slots=True)
class _Panel:
    """Whom a run asks.

    Attributes:
        seats: The analyzers.
        context: What the run gives to each of them.
        unspoken: The named providers that no analyzer of their own speaks for.
    """

    seats: tuple[Seat, ...]
    context: RunContext
    unspoken: Mapping[str, Watched]


def _panel(job: Job) -> _Panel:
    """Seat the analyzers, and surround the providers with the call layer.

    Raises:
        ConfigError: If the call names something that is not there.
    """
    named, asked = job.options.analyzers, job.team.providers(job.options.providers)
    voices = job.team.language_models(named, job.options.providers)
    reserve = job.team.fallback()
    providers = {name: _wrapped(job, service) for name, service in {**reserve, **asked}.items()}
    return _Panel(
        seats=(*job.team.analyzers(named), *voices),
        context=_context(job, providers, tuple(reserve)),
        # Where language models sit, each provider has one.
        unspoken={} if voices else {name: providers[name] for name in asked},
    )


async def _judged(
    job: Job, panel: _Panel, evidence: Evidence, progress: Progress
) -> tuple[Assessment, ...]:
    """Ask everybody, and say which providers nobody put a question to."""
    assessments = await assess(
        panel.seats,
        evidence,
        panel.context,
        tell=lambda answer: _tell(job, answer),
        progress=progress,
    )
    for silent in not_asked(panel.unspoken):
        _tell(job, silent)
        assessments = (*assessments, silent)
    return assessments


async def _fused(job: Job, evidence: Evidence, assessments: Sequence[Assessment]) -> Fused:
    """Fuse in a thread: a day of segments takes seconds, in which nobody else may wait."""
    return await asyncio.to_thread(
        fuse,
        assessments,
        kind=evidence.media.kind,
        duration=evidence.media.duration,
        min_votes=job.settings.min_votes,
        lost=_lost(evidence),
    )


def _tell(job: Job, assessment: Assessment) -> None:
    if (told := current_run()) is not None:
        told.assessed(assessment)
    job.emit(Assessed(source=job.name, assessment=assessment))


def _lost(evidence: Evidence) -> str:
    """Say what the headers state and the file does not hold; empty when nothing is lost."""
    gaps = (*evidence.video.gaps, *evidence.sound.gaps)
    return next((gap.reason for gap in gaps if gap.reason.startswith(CUT_OFF)), "")


def _errors(assessments: Sequence[Assessment]) -> Iterator[ErrorRecord]:
    """Yield what went wrong; being skipped is no error."""
    for assessment in assessments:
        if assessment.error is not None and assessment.status != "skipped":
            yield assessment.error


def _announce(job: Job, report: Report) -> None:
    for incident in report.incidents:
        job.emit(IncidentFound(source=job.name, incident=incident))
    job.emit(Spent(source=job.name, cost=report.cost))
    job.emit(Reported(source=job.name, report=report))
    _log.info(
        "%s: %s",
        report.media.content_id,
        report.verdict.outcome,
        extra={"request_id": job.request_id},
    )


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
async def _opened(job: Job) -> AsyncIterator[MediaHandle]:
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


def _wrapped(job: Job, service: Service) -> Watched:
    """Surround a provider with the call layer, for this run."""
    run = CallRun(
        request_id=job.request_id,
        tenant=job.tenant,
        gate=job.gate,
        budget=job.budget,
        deadline=job.deadline,
    )
    return Watched(
        job.layer.wrap(
            service.provider,
            name=service.name,
            section=service.section,
            options=service.options,
            run=run,
        )
    )


def _context(job: Job, providers: Mapping[str, Watched], fallback: tuple[str, ...]) -> RunContext:
    return RunContext(
        request_id=job.request_id,
        egress=job.gate,
        tenant=job.tenant,
        deadline=job.deadline,
        settings=MappingProxyType(masked(job.settings)),
        providers=MappingProxyType(dict(providers)),
        fallback=fallback,
    )
