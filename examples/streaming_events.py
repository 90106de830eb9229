"""Events of a run as they happen: what was prepared, who answered, which incidents, what it cost.

Run it:  python examples/streaming_events.py clip.mp4
"""

import asyncio
import sys
from contextlib import aclosing

from mmcrime import CrimeDetectionPipeline, MmcrimeError
from mmcrime.results import Assessed, Event, IncidentFound, Prepared, Reported, Spent


def describe(event: Event) -> str:
    """Return what a person needs to know of an event."""
    match event:
        case Prepared(media=media, evidence=evidence):
            return f"{media.kind} of {media.duration or 0:.1f} s, {len(evidence.frames)} frames"
        case Assessed(assessment=answer):
            # A dead analyzer is an event too, and says why it is dead.
            why = f": {answer.error.message}" if answer.error else f": {answer.outcome}"
            return f"{answer.analyzer} {answer.status}{why}"
        case IncidentFound(incident=incident):
            return f"{incident.crime_type} from {incident.start:.1f} to {incident.end:.1f} s"
        case Spent(cost=cost):
            return "unknown cost" if cost.usd is None else f"{cost.usd:.4f} USD ({cost.source})"
        case Reported(report=report):
            # Only an undetermined verdict has reasons. It is no "no": somebody has to do something.
            reasons = (f"\n   because: {r.text} {r.next_step}" for r in report.verdict.reasons)
            return f"{report.verdict.outcome} ({report.banner}){''.join(reasons)}"


async def follow(source: str) -> None:
    """Print every event at once. Leaving the loop early cancels the run."""
    async with (
        CrimeDetectionPipeline() as pipeline,
        aclosing(pipeline.stream(source, offline=True)) as events,
    ):
        async for event in events:
            print(f"[{event.event}] {describe(event)}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        asyncio.run(follow(sys.argv[1]))
    except MmcrimeError as error:
        sys.exit(str(error))  # the message says what to do about it
