"""The border where analyzers answer: whatever they do, an honest assessment comes out."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mmcrime import taxonomy
from mmcrime.calls.meter import Meter, metered
from mmcrime.errors import MmcrimeError
from mmcrime.evidence import (
    NO_STREAM,
    SILENT,
    Coverage,
    Evidence,
    Gap,
    MediaKind,
    merge_intervals,
    subtract_intervals,
)
from mmcrime.fusion.timeline import UNKNOWN_TYPE
from mmcrime.logs import get_logger
from mmcrime.perceive.spans import record
from mmcrime.plugins import Analyzer, RunContext
from mmcrime.results import (
    LOCAL_COST,
    Assessment,
    AssessmentKind,
    Cost,
    ErrorRecord,
    Segment,
    Usage,
)
from mmcrime.telemetry import span
from mmcrime.telemetry.instruments import Attributes
from mmcrime.telemetry.run import failed

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_log = get_logger("mmcrime.pipeline")
TOLERANCE = 1.0
"""Seconds by which a time may miss the media: a last frame's length, rounding, hops."""
LATE = 0.5
"""Seconds past the deadline after which an answer no longer counts."""
HEARING: frozenset[AssessmentKind] = frozenset({"sound", "speech"})
"""Kinds that examine the sound; all others examine the pictures, if there are any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """An analyzer with what it said of itself when it joined, which it cannot change later.

    Attributes:
        analyzer: The analyzer.
        name: The name that its assessments bear.
        kind: What it looks or listens with.
        stage: When it is asked.
        runs: Whether media leaves this machine for it.
        family: Whose mistakes it shares.
        modalities: Which kinds of Media it judges.
        gated: Whether all that it sends goes through the providers of the run, so that it may
            be asked offline too: a stored answer needs nothing to leave.
    """

    analyzer: Analyzer
    name: str
    kind: AssessmentKind
    stage: str
    runs: Any
    family: str
    modalities: frozenset[MediaKind]
    gated: bool = False


class InvalidAnswerError(MmcrimeError):
    """An analyzer returned something that is no valid assessment of this Media."""

    default_next_step = "Report this to the analyzer's author."


class DeadlineError(MmcrimeError):
    """The run's deadline passed first."""

    default_next_step = "Allow a longer deadline, or leave this analyzer out."


def unanswered(
    seat: Seat,
    error: ErrorRecord,
    *,
    skipped: bool = False,
    latency: float | None = None,
    meter: Meter | None = None,
) -> Assessment:
    """Return the assessment of an analyzer that did not answer; what it spent is in it.

    Args:
        seat: The analyzer.
        error: Why it did not.
        skipped: Whether nobody wanted its answer.
        latency: Seconds that it took.
        meter: What was counted while it worked; None if it was never asked.
    """
    spent = _spent(meter) if meter is not None else {}
    if seat.gated and not spent:  # else a call would have been counted
        spent = {"usage": Usage(calls=0), "cost": Cost(usd=0.0, source="none")}
    return Assessment(
        id=seat.name,
        analyzer=seat.name,
        kind=seat.kind,
        runs=seat.runs,
        family=seat.family,
        status="skipped" if skipped else "failed",
        latency=latency,
        error=error,
        **({"cost": LOCAL_COST if seat.runs == "local" else Cost()} | spent),
    )


def _spent(meter: Meter) -> dict[str, Any]:
    """Return what the calls made for an analyzer came to; empty when there were none.

    They are counted where they are made, so that nobody can claim another sum.
    """
    if not meter.used:
        return {}
    return {"usage": meter.usage, "cost": meter.cost}


async def ask(
    seat: Seat, evidence: Evidence, context: RunContext, *, request_id: str
) -> Assessment:
    """Ask one analyzer; what it raises or garbles becomes a ``failed`` assessment.

    Raises:
        asyncio.CancelledError: If the run itself is cancelled.
    """
    about: Attributes = {"mmcrime.analyzer": seat.name, "mmcrime.assessment.kind": seat.kind}
    with metered() as meter, span("mmcrime.assess", about) as begun:
        answer = await _asked(seat, evidence, context, meter, request_id=request_id)
        if begun is not None:
            _describe(begun, answer)
        return answer


def _describe(begun: Span, answer: Assessment) -> None:
    """Say on a span how an analyzer fared; not what it found."""
    begun.set_attribute("mmcrime.assessment.status", answer.status)
    begun.set_attribute("mmcrime.cached", answer.cached)
    if answer.error is not None:
        failed(begun, answer.error.type)


async def _asked(
    seat: Seat, evidence: Evidence, context: RunContext, meter: Meter, *, request_id: str
) -> Assessment:
    stage = f"analyze:{seat.name}"
    started = time.perf_counter()
    try:
        answer = await _in_time(seat, evidence, context)
        checked = _true_to_calls(_checked(answer, seat, evidence), meter, gated=seat.gated)
    except BaseException as error:  # no analyzer ends a run, not even by SystemExit
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        _log.warning(
            "analyzer %s failed: %s", seat.name, type(error).__name__,
            extra={"request_id": request_id},
        )  # fmt: skip
        return unanswered(
            seat, record(stage, error), latency=time.perf_counter() - started, meter=meter
        )
    return checked.model_copy(update={"latency": time.perf_counter() - started})


def _true_to_calls(answer: Assessment, meter: Meter, *, gated: bool) -> Assessment:
    """Correct what an analyzer says of its calls by what was counted where they are made.

    That is tokens, cost, whether all was stored, and, so that no vote is counted for a voter
    who did not answer (promise 2), provider and model.
    """
    if not meter.used:
        return answer
    update = _spent(meter)
    if answer.status == "answered":
        update["cached"] = meter.cached
        voter = (answer.provider or "", answer.model or "")
        if meter.last is not None and voter not in meter.voters:
            update |= {"provider": meter.last.provider, "model": meter.last.model}
            if answer.provider is not None:
                update["flags"] = (*answer.flags, "voter_corrected")
        if gated and meter.last is not None:
            # Models of one vendor err together, whoever was to be asked at first.
            update["family"] = update.get("provider", answer.provider) or answer.family
    return answer.model_copy(update=update)


async def _in_time(seat: Seat, evidence: Evidence, context: RunContext) -> object:
    """Wait for the answer until the deadline, and leave an analyzer that goes on behind."""
    loop = asyncio.get_running_loop()
    work = loop.create_task(seat.analyzer.analyze(evidence, context))
    left = None if context.deadline is None else max(0.0, context.deadline - loop.time())
    try:
        await asyncio.wait({work}, timeout=left)
    finally:
        if not work.done():
            # It may swallow the cancellation; nobody waits for it any longer.
            work.add_done_callback(_forget)
            work.cancel()
    late = context.deadline is not None and loop.time() > context.deadline + LATE
    if not work.done() or late:
        if work.done():
            _forget(work)
        raise DeadlineError(f"deadline: {seat.name!r} had not answered when the time was up.")
    return work.result()


def _forget(work: asyncio.Task[Any]) -> None:
    """Take note of the result, so that asyncio does not warn that nobody did."""
    if not work.cancelled():
        work.exception()


def _checked(answer: object, seat: Seat, evidence: Evidence) -> Assessment:
    """Return the answer under the analyzer's own name, its claims checked.

    Raises:
        InvalidAnswerError: If it is no assessment, or its times lie outside the media.
    """
    if not isinstance(answer, Assessment):
        raise InvalidAnswerError(f"{seat.name!r} returned {type(answer).__name__!r}.")
    valid = _validated(answer, seat)
    coverage = _trimmed(valid.coverage, seat.kind, evidence)
    flags = list(valid.flags)
    if valid.coverage.seconds - coverage.seconds > TOLERANCE:
        flags.append("coverage_trimmed_to_what_was_decoded")
    segments = tuple(_inside(s, evidence.media.duration, seat) for s in valid.segments)
    unknown = {
        label
        for label in (valid.crime_type, *(s.crime_type for s in segments))
        if label is not None and label not in taxonomy.crime_types()
    }
    flags += [f"unmapped_label:{label}"[:200] for label in sorted(unknown)]
    cost = valid.cost
    if seat.runs == "cloud" and cost.source == "local":
        # Whoever sends media away did not run on this machine, whatever it says.
        cost = Cost()
        flags.append("local_cost_of_a_cloud_analyzer")
    status = valid.status
    if status == "skipped" and not _nothing_there(seat.kind, evidence):
        # There was something to examine: whoever leaves it out is a dead part.
        status = "failed"
    return valid.model_copy(
        update={
            "id": seat.name,
            "analyzer": seat.name,
            "kind": seat.kind,
            "runs": seat.runs,
            "family": seat.family,
            "status": status,
            "crime_type": _mapped(valid.crime_type, unknown),
            "segments": tuple(
                s.model_copy(update={"crime_type": _mapped(s.crime_type, unknown)})
                for s in segments
            ),
            "coverage": coverage,
            "cost": cost,
            "flags": tuple(flags),
        }
    )


def _validated(answer: Assessment, seat: Seat) -> Assessment:
    """Validate anew: ``model_copy`` and ``model_construct`` check nothing."""
    try:
        # Serialised without warnings, since whatever is wrong fails the validation.
        valid = Assessment.model_validate(answer.model_dump(warnings="none"))
        valid.model_dump_json()  # half a surrogate pair is text that no document can hold
    except (ValidationError, TypeError, ValueError, AttributeError) as error:
        raise InvalidAnswerError(f"{seat.name!r} returned an invalid assessment.") from error
    times = [t for i in valid.coverage.examined for t in i]
    times += [t for g in valid.coverage.gaps for t in (g.start, g.end)]
    if not all(map(math.isfinite, times)) or valid.coverage.frames < 0:
        raise InvalidAnswerError(f"{seat.name!r} returned an impossible coverage.")
    return valid


def _mapped(label: str | None, unknown: set[str]) -> str | None:
    return UNKNOWN_TYPE if label in unknown else label


def _inside(segment: Segment, duration: float | None, seat: Seat) -> Segment:
    if segment.start < -TOLERANCE or (duration is not None and segment.end > duration + TOLERANCE):
        raise InvalidAnswerError(
            f"{seat.name!r} names {segment.start!r} s to {segment.end!r} s, "
            f"outside the media of {duration!r} s."
        )
    end = segment.end if duration is None else min(segment.end, duration)
    start = min(max(segment.start, 0.0), end)
    return segment.model_copy(update={"start": start, "end": max(start, end)})


def _decoded(kind: AssessmentKind, evidence: Evidence) -> Coverage:
    """Return the coverage of the sense that a kind of analyzer uses."""
    hears = kind in HEARING or evidence.media.kind == "audio"
    return evidence.sound if hears else evidence.video


def _nothing_there(kind: AssessmentKind, evidence: Evidence) -> bool:
    """Whether the media holds nothing that this kind could examine."""
    decoded = _decoded(kind, evidence)
    reasons = {gap.reason for gap in decoded.gaps}
    return not decoded.examined and not decoded.frames and bool(reasons) and (
        reasons <= {NO_STREAM, SILENT}
    )  # fmt: skip


def _trimmed(claimed: Coverage, kind: AssessmentKind, evidence: Evidence) -> Coverage:
    """Cut a claimed coverage down to what preprocessing could decode at all.

    Holes shorter than `TOLERANCE` are left to the analyzer, whose frames may lie
    elsewhere. Where there is no stream is known from preprocessing and not from a claim.
    """
    media, decoded = evidence.media, _decoded(kind, evidence)
    if media.kind == "image":
        frames = min(claimed.frames, decoded.frames)
        return Coverage(frames=frames, gaps=(*decoded.gaps, *_own_gaps(claimed, math.inf)))
    end = media.duration
    if end is None:
        end = max((i[1] for i in claimed.examined), default=0.0)
    holes = [h for h in subtract_intervals((0.0, end), decoded.examined) if h[1] - h[0] > TOLERANCE]
    inside = [(max(s, 0.0), min(e, end)) for s, e in claimed.examined]
    examined = merge_intervals(p for i in inside for p in subtract_intervals(i, holes))
    lost = tuple(
        Gap(start=start, end=until, reason="damaged: nothing was decoded here")
        for interval in merge_intervals(inside)
        for start, until in subtract_intervals(interval, examined)
    )
    absent = tuple(g for g in decoded.gaps if g.reason in (NO_STREAM, SILENT))
    gaps = sorted((*_own_gaps(claimed, end), *absent, *lost), key=lambda gap: gap.start)
    return Coverage(examined=examined, frames=claimed.frames, gaps=tuple(gaps))


def _own_gaps(claimed: Coverage, end: float) -> tuple[Gap, ...]:
    """Return the gaps that an analyzer may state, cut to the media."""
    kept = []
    for gap in claimed.gaps:
        if gap.reason.startswith((NO_STREAM, SILENT)):
            continue
        start, until = (min(max(t, 0.0), end) for t in (gap.start, gap.end))
        # A gap without a length is a remark on a point; one that lay outside says nothing.
        if until > start or gap.start == gap.end:
            kept.append(Gap(start=start, end=until, reason=gap.reason))
    return tuple(kept)
