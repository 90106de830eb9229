"""What a whole video looks like, about every two seconds, for little: mostly keyframes.

A keyframe decodes without any other picture, so these looks cost about a quarter of the
CPU time of decoding a noisy file with a keyframe every 50 pictures, in 720p as in
320 x 240. Where keyframes lie further apart than an incident may be short, they would miss
it; such files are decoded, without what no other picture needs. A scan for motion sees
enough of the pictures: where it went over the whole video, the handle keeps its looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from mmcrime.media.frames import Scaler
from mmcrime.media.similar import COLUMNS, Look, look_of
from mmcrime.media.streams import READ_ERRORS, video_pixels

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mmcrime.media.container import Container
    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["looks_of"]

_SIDE = 2 * COLUMNS
"""Longest side in pixels of the pictures that looks are made from."""
_DENSE = 3.0
"""Seconds between keyframes up to which they are enough: an incident of five seconds has
one in it that is not at its edge."""


def looks_of(recording: Recording, *, every: float = 1.0) -> tuple[Look, ...]:
    """Return the looks of a whole video in time order, up to the duration limit.

    Args:
        recording: The video.
        every: Least seconds between two looks.

    Returns:
        Looks at most `_DENSE` seconds apart where the file decodes; none where it does
        not, and none for a recording without pictures.

    Raises:
        ValueError: If ``every`` is not positive.
        MediaError: If the video cannot be opened any more or is over a limit.
    """
    if not every > 0:
        raise ValueError(f"every must be positive, not {every!r}")
    span = recording.timeline.video
    if span is None:
        return ()
    scaler = Scaler(
        max_side=_SIDE,
        grey=True,
        max_pixels=video_pixels(recording.limits),
        source=recording.source,
    )
    limit = recording.limits.max_duration
    found: dict[float, Look] = {}
    dense = _dense(span, min(span.end, limit))
    with recording.open(frame_threads=not dense) as container:
        if container.video is None:
            return ()
        clock = recording.clock(container.video, span)
        due = -math.inf
        for picture in _keyframes(container, every) if dense else _references(container):
            time = clock.time(picture)
            if time >= limit:
                break
            if span.lost_at(time) is None and (dense or time >= due):
                due = time + every
                found[time] = look_of(scaler.frame(picture, time))
    return tuple(found[time] for time in sorted(found))


def _dense(span: StreamSpan, end: float) -> bool:
    """Whether no two keyframes lie further apart than `_DENSE`."""
    keys = span.keyframes[span.keyframes < end]
    edges = np.concatenate([[span.start], keys, [end]])
    return bool(len(keys)) and float(np.diff(edges).max()) <= _DENSE


def _keyframes(container: Container, every: float) -> Iterator[VideoFrame]:
    """Decode keyframes only, and of those at most one in ``every`` seconds."""
    video = container.video
    if video is None:
        return
    due = -math.inf
    for packet in container.packets(video):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if not packet.is_keyframe or stamp is None or packet.time_base is None:
            continue
        now = float(stamp * packet.time_base)
        if now < due:
            continue
        due = now + every
        with suppress(*READ_ERRORS):  # a damaged keyframe gives no look
            # Emptied each time: a decoder that is given keyframes only may hold them back,
            # to put them in an order that pictures between them would have had.
            yield from video.decode(packet)
            yield from video.decode(None)
        video.codec_context.flush_buffers()


def _references(container: Container) -> Iterator[VideoFrame]:
    """Decode what other pictures need."""
    if container.video is not None:
        container.video.codec_context.skip_frame = "NONREF"
    return container.video_frames()
