"""The border where analyzers answer: whatever they do, an honest assessment comes out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from mmcrime import taxonomy
from mmcrime.errors import MmcrimeError
from mmcrime.evidence import Coverage, Evidence, Gap, merge_intervals, subtract_intervals
from mmcrime.fusion.timeline import UNKNOWN_TYPE
from mmcrime.plugins import Analyzer, RunContext
from mmcrime.results import LOCAL_COST, Assessment, Cost, ErrorRecord, Segment

_log = logging.getLogger("mmcrime.pipeline")
TOLERANCE = 1.0
"""Seconds by which a time may miss the media: a last frame's length, rounding, hops."""


class _InvalidAnswerError(MmcrimeError):
    """An analyzer returned something that is no valid assessment of this Media."""

    default_next_step = "Report this to the analyzer's author."


def unanswered(
    analyzer: Analyzer, error: ErrorRecord, *, skipped: bool = False, latency: float | None = None
) -> Assessment:
    """Return the assessment of an analyzer that did not answer."""
    return Assessment(
        id=analyzer.name,
        analyzer=analyzer.name,
        kind=analyzer.kind,
        runs=analyzer.runs,
        family=analyzer.family,
        status="skipped" if skipped else "failed",
        cost=LOCAL_COST if analyzer.runs == "local" else Cost(),
        latency=latency,
        error=error,
    )


async def ask(
    analyzer: Analyzer, evidence: Evidence, context: RunContext, *, request_id: str
) -> Assessment:
    """Ask one analyzer; what it raises or garbles becomes a ``failed`` assessment.

    Raises:
        asyncio.CancelledError: If the run itself is cancelled.
    """
    started = time.perf_counter()
    try:
        answer = await _in_time(analyzer, evidence, context)
        checked = _checked(answer, analyzer, evidence)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled the run: the analyzer raised this by itself.
        problem: ErrorRecord = error_record(
            _stage(analyzer), _InvalidAnswerError(f"{analyzer.name!r} cancelled itself.")
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the border that design.md draws: one analyzer never takes a run down
        _log.warning(
            "analyzer %s failed: %s", analyzer.name, error, extra={"request_id": request_id}
        )
        problem = error_record(_stage(analyzer), error)
    else:
        return checked.model_copy(update={"latency": time.perf_counter() - started})
    return unanswered(analyzer, problem, latency=time.perf_counter() - started)


def error_record(stage: str, error: BaseException) -> ErrorRecord:
    """Describe an error for the report, with its next step where it has one."""
    message = error.message if isinstance(error, MmcrimeError) else f"{error}" or repr(error)
    step = error.next_step if isinstance(error, MmcrimeError) else ""
    return ErrorRecord(
        stage=stage, type=type(error).__name__.lstrip("_"), message=message[:2000], next_step=step
    )


def numbered(assessments: Sequence[Assessment]) -> tuple[Assessment, ...]:
    """Give every assessment an id that is unique in the report."""
    seen: dict[str, int] = {}
    unique = []
    for assessment in assessments:
        seen[assessment.analyzer] = count = seen.get(assessment.analyzer, 0) + 1
        name = assessment.analyzer if count == 1 else f"{assessment.analyzer}-{count}"
        unique.append(assessment.model_copy(update={"id": name}))
    return tuple(unique)


def _stage(analyzer: Analyzer) -> str:
    return f"analyze:{analyzer.name}"


async def _in_time(analyzer: Analyzer, evidence: Evidence, context: RunContext) -> Assessment:
    try:
        async with asyncio.timeout_at(context.deadline) as limit:
            return await analyzer.analyze(evidence, context)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise _DeadlineError(
            f"deadline: {analyzer.name!r} had not answered when the time was up.",
            next_step="Allow a longer deadline, or leave this analyzer out.",
        ) from error


class _DeadlineError(MmcrimeError):
    """The run's deadline passed first."""


def _checked(answer: object, analyzer: Analyzer, evidence: Evidence) -> Assessment:
    """Return the answer under the analyzer's own name, its claims checked.

    Raises:
        _InvalidAnswerError: If it is no assessment, or its times lie outside the media.
    """
    if not isinstance(answer, Assessment):
        raise _InvalidAnswerError(f"{analyzer.name!r} returned {type(answer).__name__!r}.")
    duration = evidence.media.duration
    flags = list(answer.flags)
    coverage = _trimmed(answer.coverage, evidence)
    if answer.coverage.seconds - coverage.seconds > TOLERANCE:
        flags.append("coverage_trimmed_to_what_was_decoded")
    segments = tuple(_inside(s, duration, analyzer) for s in answer.segments)
    unknown = {
        t
        for t in (answer.crime_type, *(s.crime_type for s in segments))
        if t is not None and t not in taxonomy.crime_types()
    }
    flags += [f"unmapped_label:{label}"[:200] for label in sorted(unknown)]
    return answer.model_copy(
        update={
            "analyzer": analyzer.name,
            "kind": analyzer.kind,
            "runs": analyzer.runs,
            "family": analyzer.family,
            "crime_type": _mapped(answer.crime_type, unknown),
            "segments": tuple(
                s.model_copy(update={"crime_type": _mapped(s.crime_type, unknown)})
                for s in segments
            ),
            "coverage": coverage,
            "flags": tuple(flags),
        }
    )


def _mapped(label: str | None, unknown: set[str]) -> str | None:
    return UNKNOWN_TYPE if label in unknown else label


def _inside(segment: Segment, duration: float | None, analyzer: Analyzer) -> Segment:
    if segment.start < -TOLERANCE or (duration is not None and segment.end > duration + TOLERANCE):
        raise _InvalidAnswerError(
            f"{analyzer.name!r} names {segment.start!r} s to {segment.end!r} s, "
            f"outside the media of {duration!r} s."
        )
    end = segment.end if duration is None else min(segment.end, duration)
    start = min(max(segment.start, 0.0), end)
    return segment.model_copy(update={"start": start, "end": max(start, end)})


def _trimmed(claimed: Coverage, evidence: Evidence) -> Coverage:
    """Cut a claimed coverage down to what preprocessing could decode at all.

    Holes shorter than `TOLERANCE` are left to the analyzer, whose frames may lie elsewhere.
    """
    media = evidence.media
    if media.kind == "image" or not claimed.examined:
        return claimed
    end = claimed.examined[-1][1] if media.duration is None else media.duration
    decoded = merge_intervals((*evidence.video.examined, *evidence.sound.examined))
    holes = [h for h in subtract_intervals((0.0, end), decoded) if h[1] - h[0] > TOLERANCE]
    inside = [(max(s, 0.0), min(e, end)) for s, e in claimed.examined]
    examined = merge_intervals(p for i in inside for p in subtract_intervals(i, holes))
    lost = tuple(
        Gap(start=start, end=until, reason="damaged: nothing was decoded here")
        for interval in merge_intervals(inside)
        for start, until in subtract_intervals(interval, examined)
    )
    return Coverage(examined=examined, frames=claimed.frames, gaps=(*claimed.gaps, *lost))
