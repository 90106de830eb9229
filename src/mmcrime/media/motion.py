"""How much moves in a video, once a second, from one streaming decode.

Mean differences between frames miss what is small and far away, and rise with every
flicker of the light. So two small grey pictures about a quarter of a second apart are
compared block by block:

1. both are scaled to at most 160 pixels on the long side (area averaging, which also
   takes out most sensor noise);
2. the frame-wide median of the change is subtracted, which takes out flicker, fades
   and exposure steps;
3. the absolute rest is averaged over blocks of 8 x 8 pixels;
4. the noise floor, the median of all blocks, is subtracted from the *largest* block;
5. what is left is scaled to 0..1, and the largest pair of each second counts.

Pictures that no other picture needs are not decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmcrime.evidence import Coverage, Gap, Interval, MotionCurve, subtract_intervals
from mmcrime.media.frames import Scaler
from mmcrime.media.streams import video_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["MotionScan", "motion_scan"]

_SIDE = 160  # pixels; a person who fills 1/20 of the picture's height still covers a block
_BLOCK = 8
_STEP = 0.25  # seconds between compared pictures: a walk covers about 0.3 m in it
_MOST_SKIPPED = 16  # pictures in a row that no other one needs: the longest run of B-frames
_FULL_SCALE = 128.0  # brightness levels of 255 in one block that count as full motion
_METHOD = "largest block change of grey pictures 0.25 s apart, median-compensated"


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionScan:
    """A motion curve with what was decoded for it.

    Attributes:
        curve: One score for each second in which pictures were compared.
        coverage: The stretches between compared pictures, and the gaps.
    """

    curve: MotionCurve
    coverage: Coverage

    @classmethod
    def empty(cls) -> MotionScan:
        """Return the scan of something that has no moving pictures."""
        return cls(curve=MotionCurve(method=_METHOD), coverage=Coverage())


def motion_scan(recording: Recording, *, stop: Callable[[float], bool] | None = None) -> MotionScan:
    """Measure the motion of a whole video, up to the duration limit.

    Args:
        recording: The video.
        stop: Is asked at every picture, given its media time; what comes after it said
            yes is a gap (``deadline``).

    Returns:
        The curve, with coverage over the video stream's span; a video of one picture has
        an empty curve. A recording without pictures has an empty coverage.

    Raises:
        MediaError: If the video cannot be opened any more or is over a limit.
    """
    span = recording.timeline.video
    if span is None:
        return MotionScan.empty()
    scores: dict[int, float] = {}
    examined: list[Interval] = []
    frames = 0
    before: NDArray[np.float32] | None = None
    at = 0.0
    damaged: list[Interval] = []
    stopped = False
    for now, picture in _grey(recording, span, damaged):
        if stopped := stop is not None and stop(now):
            break
        frames += 1
        if before is not None and _connected(span, at, now):
            if before.shape == picture.shape:
                second = math.floor(now)
                scores[second] = max(scores.get(second, 0.0), _change(before, picture))
            _extend(examined, at, now)
        before, at = picture, now
    if (
        frames and not stopped
    ):  # the last picture stays on screen, to the end if no more were to come
        end = min(span.end, recording.limits.max_duration)
        _extend(examined, at, end if _connected(span, at, end) else at + span.spacing)
    times = tuple(sorted(scores))
    curve = MotionCurve(
        times=tuple(float(t) for t in times), scores=tuple(scores[t] for t in times), method=_METHOD
    )
    coverage = _coverage(recording, span, examined, damaged, frames)
    return MotionScan(curve=curve, coverage=_told(coverage, at) if stopped else coverage)


def _told(coverage: Coverage, at: float) -> Coverage:
    """Say of what lies behind ``at`` that there was no time left for it."""
    gaps = tuple(
        Gap(start=g.start, end=g.end, reason="deadline" if g.start >= at else g.reason)
        for g in coverage.gaps
    )
    return Coverage(examined=coverage.examined, frames=coverage.frames, gaps=gaps)


def _connected(span: StreamSpan, start: float, end: float) -> bool:
    """Whether no more pictures lie between two times than are skipped on purpose.

    Counted in packets and not in seconds: a picture may stay on screen for long.
    """
    between = np.searchsorted(span.times, [start + 1e-6, end - 1e-6])
    return int(between[1] - between[0]) <= _STEP / span.spacing + _MOST_SKIPPED


def _extend(examined: list[Interval], start: float, end: float) -> None:
    """Add an interval, growing the last one where they touch: flat memory over hours."""
    if examined and start <= examined[-1][1] + 1e-6:
        examined[-1] = (examined[-1][0], max(end, examined[-1][1]))
    elif end > start:
        examined.append((start, end))


def _coverage(
    recording: Recording,
    span: StreamSpan,
    examined: list[Interval],
    damaged: list[Interval],
    frames: int,
) -> Coverage:
    limit = min(span.end, recording.limits.max_duration)
    clipped = ((max(s, span.start), min(e, limit)) for s, e in examined)
    inside = [part for whole in clipped for part in subtract_intervals(whole, damaged)]
    gaps = [
        Gap(start=s, end=e, reason="damaged")
        for s, e in subtract_intervals((span.start, limit), inside)
        if e - s > 1e-3
    ]
    if span.end > limit:
        gaps.append(Gap(start=max(limit, span.start), end=span.end, reason="over_limit"))
    return Coverage(
        examined=tuple(i for i in inside if i[1] > i[0]), frames=frames, gaps=tuple(gaps)
    )


def _grey(
    recording: Recording, span: StreamSpan, damaged: list[Interval]
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Yield small grey pictures about `_STEP` seconds apart with their times.

    Where packets did not decode is added to ``damaged`` at the end.
    """
    scaler = Scaler(
        max_side=_SIDE,
        grey=True,
        max_pixels=video_pixels(recording.limits),
        source=recording.source,
    )
    with recording.open(frame_threads=True) as container:
        if container.video is None:
            return
        container.video.codec_context.skip_frame = "NONREF"
        clock = recording.clock(container.video, span)
        due = -math.inf
        for picture in container.video_frames():
            time = clock.time(picture)
            if time >= recording.limits.max_duration:
                break
            if time >= due - 1e-6:
                due = time + _STEP
                yield time, scaler.frame(picture, time).pixels.astype(np.float32)
        origin = recording.timeline.origin
        damaged.extend((start - origin, end - origin) for start, end in container.damaged)


def _change(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the largest local change of brightness between two pictures, 0 to 1."""
    change = after - before
    change -= np.median(change)
    np.abs(change, out=change)
    height, width = change.shape
    block_height, block_width = min(_BLOCK, height), min(_BLOCK, width)
    rows, columns = height // block_height, width // block_width
    cut = change[: rows * block_height, : columns * block_width]
    blocks = cut.reshape(rows, block_height, columns, block_width).mean(axis=(1, 3))
    largest = float(blocks.max() - np.median(blocks)) if blocks.size > 1 else float(blocks.max())
    return min(1.0, largest / _FULL_SCALE)
