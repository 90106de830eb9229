"""The picture at the peak of each incident: what a person looks at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmcrime.evidence import EncodedFrame, Interval
from mmcrime.media.handle import MediaHandle
from mmcrime.perceive.look import look
from mmcrime.perceive.stages import GRACE, Stages
from mmcrime.results import SEVERITIES, ErrorRecord, Incident

MOST_PEAKS = 16
"""Most incidents that get a picture of their own: each one is a seek, and a thumbnail."""


_NEAR = 0.5  # seconds; a frame is on screen for less in all but time-lapse video


@dataclass(frozen=True, kw_only=True, slots=True)
class Peaks:
    """The pictures at the peaks.

    Attributes:
        frames: By incident id.
        errors: What went wrong.
        timings: Wall seconds by stage: ``peaks``, when there was something to decode.
    """

    frames: Mapping[str, EncodedFrame] = field(default_factory=dict)
    errors: tuple[ErrorRecord, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)


async def peak_frames(
    handle: MediaHandle,
    incidents: Sequence[Incident],
    *,
    max_side: int,
    deadline: float | None,
) -> Peaks:
    """Decode the frame shown at the peak of the worst incidents.

    Args:
        handle: The open Media; only a video has frames to seek.
        incidents: The incidents of the run.
        max_side: Longest side in pixels.
        deadline: `asyncio` loop time after which nothing more is decoded, or None.

    Returns:
        The frames by incident id. A peak beside the pictures, or past the longest video
        that is examined, has none.
    """
    span = handle.video_span
    wanted = _worst(incidents, span) if span is not None else ()
    if not wanted:
        return Peaks()
    stages = Stages(count=1, deadline=deadline, progress=lambda _: None)
    found: dict[str, EncodedFrame] = {}
    try:
        await stages.run(
            "peaks", lambda: _decode(handle, wanted, max_side, stages, found), grace=GRACE
        )
        # A copy: a thread that was left behind may still be writing.
        shown = dict(found)
        if stages.halt.due and len(shown) < len(wanted):
            stages.errors.append(_late(len(wanted) - len(shown)))
    finally:
        stages.halt.call()  # a cancelled call must not leave decoding behind
    return Peaks(frames=shown, errors=tuple(stages.errors), timings=stages.timings)


def _decode(
    handle: MediaHandle,
    incidents: Sequence[Incident],
    max_side: int,
    stages: Stages,
    found: dict[str, EncodedFrame],
) -> None:
    """Decode the peaks in one pass into ``found``. Blocks.

    A picture that is missing must not be another's: what does not lie just before its peak
    is asked for alone.
    """
    first = look(handle, sorted({i.peak for i in incidents}), max_side=max_side, halt=stages.halt)
    failure = first.failure
    for incident in incidents:
        near = [f for f in first.frames if incident.peak - _NEAR <= f.time <= incident.peak]
        if near:
            found[incident.id] = max(near, key=lambda frame: frame.time)
    for incident in incidents:
        if failure is not None:
            stages.note("peaks", failure)
            return  # what ends one look into a file ends the others as well
        if incident.id not in found:
            alone = look(handle, (incident.peak,), max_side=max_side, halt=stages.halt)
            failure = alone.failure
            if alone.frames:
                found[incident.id] = alone.frames[0]


def _late(count: int) -> ErrorRecord:
    return ErrorRecord(
        stage="peaks",
        type="DeadlineError",
        message=f"There was no time left for the pictures at the peaks of {count!r} incidents.",
        next_step="Allow a longer deadline.",
    )


def _worst(incidents: Sequence[Incident], span: Interval) -> list[Incident]:
    inside = [i for i in incidents if span[0] <= i.peak <= span[1]]
    inside.sort(key=lambda i: (-SEVERITIES.index(i.severity), -i.probability, i.start))
    return inside[:MOST_PEAKS]
