"""One run: one source, from opening it to its report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mmcrime.calls.layer import Run as CallRun
from mmcrime.calls.meter import Meter, metered
from mmcrime.config import masked
from mmcrime.evidence import CUT_OFF, Evidence
from mmcrime.fusion import Fused, fuse
from mmcrime.logs import get_logger
from mmcrime.media.handle import MediaHandle
from mmcrime.perceive.assemble import Gathered, gather
from mmcrime.perceive.provider_transcriber import ProviderTranscriber
from mmcrime.pipeline import compose
from mmcrime.pipeline.answers import Seat
from mmcrime.pipeline.job import Job, opened, show_progress
from mmcrime.pipeline.panel import assess, not_asked
from mmcrime.pipeline.peaks import peak_frames
from mmcrime.pipeline.progress import Progress
from mmcrime.pipeline.service import Service
from mmcrime.pipeline.watched import Watched
from mmcrime.plugins import RunContext, Transcriber
from mmcrime.results import (
    LOCAL_COST,
    Assessed,
    Assessment,
    Cost,
    ErrorRecord,
    EvidenceRecord,
    IncidentFound,
    Prepared,
    Report,
    Reported,
    Spent,
)
from mmcrime.telemetry import current_run, span

_log = get_logger("mmcrime.pipeline")


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
    async with opened(job) as handle:
        begun = time.perf_counter()
        transcriber = _transcriber(job)
        with metered() as meter:
            gathered, record = await _prepared(job, handle, transcriber, progress)
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
        transcribing=_cost_of_words(job, transcriber, meter),
        fused=fused,
        egress=job.gate.records,
        timings={
            "open": begun - started,
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
    job: Job, handle: MediaHandle, transcriber: Transcriber | None, progress: Progress
) -> tuple[Gathered, EvidenceRecord]:
    """Make evidence of the media, and what the report says of it."""
    with span("mmcrime.prepare"):
        gathered = await gather(
            handle,
            settings=job.settings,
            frame_interval=job.frame_interval,
            transcriber=transcriber,
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
    voices = job.team.voices(named, job.options.providers)
    reserve = job.team.fallback()
    providers = {name: _wrapped(job, service) for name, service in {**reserve, **asked}.items()}
    return _Panel(
        seats=(*job.team.analyzers(named), *(seat for seats in voices.values() for seat in seats)),
        context=_context(job, providers, tuple(reserve)),
        unspoken={name: providers[name] for name in asked if not voices.get(name)},
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


def _transcriber(job: Job) -> Transcriber | None:
    """Return the speech engine; a provider is surrounded with the call layer, as any other."""
    spoken = job.team.speech
    if spoken is None:
        return job.team.transcriber
    # Nobody waits a day for the words that all others wait for.
    section = spoken.service.section.model_copy(update={"lane": "live"})
    service = replace(spoken.service, section=section)
    return ProviderTranscriber(_wrapped(job, service), name=service.name, model=spoken.model)


def _cost_of_words(job: Job, transcriber: Transcriber | None, meter: Meter) -> Cost:
    """Return what transcribing cost; what a plug-in sends by itself, only its service knows."""
    if meter.used:
        return meter.cost
    if transcriber is None or isinstance(transcriber, ProviderTranscriber):
        return LOCAL_COST
    sent = any(record.purpose == "speech" for record in job.gate.records)
    return Cost(detail=f"what {transcriber.name!r} costs is not known") if sent else LOCAL_COST


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
