"""The picture at the peak of each incident: what a person looks at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmcrime.evidence import EncodedFrame, Interval
from mmcrime.media.handle import MediaHandle
from mmcrime.perceive.look import look
from mmcrime.perceive.stages import GRACE, Stages
from mmcrime.results import SEVERITIES, ErrorRecord, Incident

MOST_PEAKS = 16
"""Most incidents that get a picture of their own: each one is a seek, and a thumbnail."""


async def peak_frames(
    handle: MediaHandle,
    incidents: Sequence[Incident],
    *,
    max_side: int,
    deadline: float | None,
) -> tuple[Mapping[str, EncodedFrame], tuple[ErrorRecord, ...]]:
    """Decode the frame shown at the peak of the worst incidents.

    Args:
        handle: The open Media; only a video has frames to seek.
        incidents: The incidents of the run.
        max_side: Longest side in pixels.
        deadline: `asyncio` loop time after which nothing more is decoded, or None.

    Returns:
        The frames by incident id, and what went wrong. A peak beside the pictures, or past
        the longest video that is examined, has none.
    """
    span = handle.video_span
    wanted = _worst(incidents, span) if span is not None else ()
    if not wanted:
        return {}, ()
    stages = Stages(count=1, deadline=deadline, progress=lambda _: None)
    try:
        shown, _ = await stages.run(
            "peaks", lambda: _decoded(handle, wanted, max_side, stages), grace=GRACE
        )
    finally:
        stages.halt.call()  # a cancelled call must not leave decoding behind
    return shown or {}, tuple(stages.errors)


def _decoded(
    handle: MediaHandle, incidents: Sequence[Incident], max_side: int, stages: Stages
) -> dict[str, EncodedFrame]:
    """Decode one peak at a time: a picture that is missing must not be another's. Blocks."""
    shown: dict[str, EncodedFrame] = {}
    for incident in incidents:
        frames, failure = look(handle, (incident.peak,), max_side=max_side, halt=stages.halt)
        if failure is not None:
            stages.note("peaks", failure)
            break  # what ends one look into a file ends the others as well
        if frames:
            shown[incident.id] = frames[0]
    return shown


def _worst(incidents: Sequence[Incident], span: Interval) -> list[Incident]:
    inside = [i for i in incidents if span[0] <= i.peak <= span[1]]
    inside.sort(key=lambda i: (-SEVERITIES.index(i.severity), -i.probability, i.start))
    return inside[:MOST_PEAKS]
