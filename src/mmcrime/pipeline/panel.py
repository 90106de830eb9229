"""Asking everybody: observers at once, then verifiers, and whom nobody asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mmcrime.evidence import Evidence
from mmcrime.pipeline.answers import Seat, ask, unanswered
from mmcrime.pipeline.progress import Progress
from mmcrime.pipeline.watched import Watched
from mmcrime.plugins import RunContext
from mmcrime.results import Assessment, ErrorRecord


async def assess(
    seats: Sequence[Seat],
    evidence: Evidence,
    context: RunContext,
    *,
    tell: Callable[[Assessment], None],
    progress: Progress,
) -> tuple[Assessment, ...]:
    """Ask all observers at once, then the verifiers, who also see the proposals.

    Args:
        seats: Who is asked; their names differ.
        evidence: What they look at.
        context: What the run gives to each of them.
        tell: Is told of every assessment as it comes in.
        progress: Is told how far each of them is.
    """
    progress.expect([seat.name for seat in seats])
    observed = await _stage(_of(seats, "observe"), evidence, context, tell, progress)
    proposals = tuple(a for a in observed if a.status == "answered")
    verifying = replace(context, proposals=proposals)
    return (*observed, *await _stage(_of(seats, "verify"), evidence, verifying, tell, progress))


def _of(seats: Sequence[Seat], stage: str) -> list[Seat]:
    return [seat for seat in seats if seat.stage == stage]


async def _stage(
    seats: Sequence[Seat],
    evidence: Evidence,
    context: RunContext,
    tell: Callable[[Assessment], None],
    progress: Progress,
) -> list[Assessment]:
    async def one(seat: Seat) -> Assessment:
        if evidence.media.kind not in seat.modalities:
            answer = unanswered(seat, _not_capable(seat, evidence), skipped=True)
        elif seat.runs == "cloud" and context.egress.offline and not seat.gated:
            # It may announce nothing; that it is a cloud analyzer is enough to keep it shut.
            answer = unanswered(seat, _kept_in(seat))
        else:
            own = replace(context, progress=progress.of(seat.name))
            answer = await ask(seat, evidence, own, request_id=context.request_id)
        tell(answer)
        progress.done(seat.name)
        return answer

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(seat)) for seat in seats]
    return [task.result() for task in tasks]


def _not_capable(seat: Seat, evidence: Evidence) -> ErrorRecord:
    able = " and ".join(sorted(seat.modalities))
    return ErrorRecord(
        stage=f"analyze:{seat.name}",
        type="NotCapable",
        message=f"It judges {able}, not {evidence.media.kind}.",
        next_step="Name an analyzer or a provider that can judge it.",
    )


def _kept_in(seat: Seat) -> ErrorRecord:
    return ErrorRecord(
        stage=f"analyze:{seat.name}",
        type="EgressError",
        message=f"offline is set, and {seat.name!r} sends media away.",
        next_step="Set offline to false to allow it, or leave this analyzer out.",
    )


def not_asked(providers: Mapping[str, Watched]) -> tuple[Assessment, ...]:
    """Return a failed assessment for every provider that was named but never called.

    Whoever names a provider wants its opinion, so that its silence is a missing part.
    """
    return tuple(
        Assessment(
            id=f"provider:{name}",
            analyzer=f"provider:{name}",
            kind="llm",
            runs="cloud",
            family=name,
            provider=name,
            status="failed",
            error=ErrorRecord(
                stage=f"provider:{name}",
                type="NotAsked",
                message=f"No enabled analyzer put a question to the provider {name!r}.",
                next_step="Enable an analyzer that uses providers, or leave the provider out.",
            ),
        )
        for name, provider in providers.items()
        if not provider.asked
    )
