"""Pictures of a video: the one shown at each asked time, and runs of them.

Which picture that is and how it is reached is the work of `mmcrime.media.finder`; here it is
converted and scaled, in one step of swscale (area averaging). Rotation in steps of 90 degrees
is applied; a mirrored display matrix and a sample aspect ratio other than 1 are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import VideoReformatter

from mmcrime.errors import CorruptMediaError, UnsafeMediaError
from mmcrime.evidence import Frame
from mmcrime.media.finder import EPSILON, Finder
from mmcrime.media.looked import FrameSampling, Looked, Mode
from mmcrime.media.streams import READ_ERRORS, reason_of, video_pixels

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["Scaler", "clip", "frames_at"]

_UNSPECIFIED = 2  # AVCOL_SPC_, AVCOL_PRI_ and AVCOL_TRC_UNSPECIFIED of FFmpeg


class Scaler:
    """Converts decoded pictures to upright RGB or grey arrays of a limited size.

    Args:
        max_side: Longest side in pixels; None keeps the size. Never enlarges.
        grey: Give ``(height, width)`` brightness instead of ``(height, width, 3)`` RGB.
        max_pixels: Most pixels of one picture.
        source: The name of the input, for messages.
    """

    def __init__(self, *, max_side: int | None, grey: bool, max_pixels: int, source: str) -> None:
        self._max_side = max_side
        self._format = "gray" if grey else "rgb24"
        # Waking threads costs more CPU time than making a small grey picture; the result is
        # the same. 0 leaves their number to swscale.
        self._threads = 1 if grey else 0
        self._max_pixels = max_pixels
        self._source = source
        self._reformatter = VideoReformatter()

    def frame(self, picture: VideoFrame, time: float) -> Frame:
        """Return a decoded picture as a Frame at a media time.

        Raises:
            UnsafeMediaError: If the picture has more pixels than the limit.
            CorruptMediaError: If it is of a kind that cannot be converted.
        """
        width, height = picture.width, picture.height
        if width * height > self._max_pixels:
            raise UnsafeMediaError(
                f"a picture has {width} x {height} pixels; the limit is {self._max_pixels}.",
                source=self._source,
                next_step="Raise media.limits.max_video_pixels if you trust this file.",
            )
        scale = 1.0 if self._max_side is None else min(1.0, self._max_side / max(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = self._reformatted(picture, size).to_ndarray()
        turns = round(picture.rotation / 90) % 4
        if turns:  # FFmpeg states the counter-clockwise turn that sets the picture upright
            pixels = np.rot90(pixels, turns)
        return Frame(time=time, pixels=np.ascontiguousarray(pixels, dtype=np.uint8))

    def _reformatted(self, picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
        """Convert and scale; colour properties that swscale does not know are left out."""
        try:
            return self._reformat(picture, size)
        except (*READ_ERRORS, ValueError):
            picture.colorspace = picture.color_primaries = picture.color_trc = _UNSPECIFIED
            picture.color_range = 0
        try:
            return self._reformat(picture, size)
        except (*READ_ERRORS, ValueError) as error:
            raise CorruptMediaError(
                f"its pictures of format {picture.format.name!r} cannot be converted "
                f"({reason_of(error)}).",
                source=self._source,
                next_step="Convert it to H.264 in MP4.",
            ) from error

    def _reformat(self, picture: VideoFrame, size: tuple[int, int]) -> VideoFrame:
        return self._reformatter.reformat(
            picture,
            width=size[0],
            height=size[1],
            format=self._format,
            interpolation="AREA",
            threads=self._threads,
        )


def frames_at(
    recording: Recording,
    at: Sequence[float],
    *,
    max_side: int | None,
    mode: Mode = "exact",
) -> FrameSampling:
    """Give the frames shown at some times, in time order, each once and with its true time.

    The frame shown at ``t`` is the last one that starts at or before ``t``; before the
    first frame it is the first one. In keyframes mode the keyframe at or before that frame
    is given in its place: see `mmcrime.media.sample_frames`.

    Args:
        recording: The video.
        at: Media times in seconds, in any order; times past the duration limit are left out.
        max_side: Longest side of the frames in pixels; None keeps their size.
        mode: ``"exact"`` or ``"keyframes"``.

    Returns:
        An iterator that also states what of it decoded. While it runs it may raise
        MediaError, if the video cannot be opened any more or is over a limit.

    Raises:
        ValueError: If a time is not finite, the longest side is below 1, or there is no such
            mode.
    """
    at = tuple(at)  # an iterator is gone after one look
    if not all(math.isfinite(time) for time in at):
        raise ValueError(f"times must be finite numbers, not {list(at)!r}")
    if max_side is not None and not max_side >= 1:
        raise ValueError(f"max_side must be at least 1, not {max_side!r}")
    if mode not in ("exact", "keyframes"):
        raise ValueError(f"mode must be 'exact' or 'keyframes', not {mode!r}")
    looked = Looked()
    return FrameSampling(_shown(recording, at, max_side, mode, looked), looked)


def _shown(
    recording: Recording, at: Sequence[float], max_side: int | None, mode: Mode, looked: Looked
) -> Iterator[Frame]:
    span, limit = recording.timeline.video, recording.limits.max_duration
    wanted = sorted(time for time in set(at) if time < limit)
    if span is None:
        return
    if len(wanted) < len(set(at)) and limit < span.end:
        looked.miss((limit, span.end), "over_limit")
    if not wanted:
        return
    scaler = _scaler(recording, max_side=max_side)
    last = -math.inf
    for hole in sorted({hole for time in wanted if (hole := span.lost_at(time))}):
        looked.miss((hole[0], min(hole[1], limit)), "damaged")
    wanted = [time for time in wanted if span.lost_at(time) is None]
    with recording.open() as container:
        finder = Finder(recording, container, span)
        if mode == "keyframes":
            wanted = [finder.key_time(time) for time in wanted]
        for due, timed in finder.pictures(sorted({span.shown_at(time) for time in wanted})):
            if timed is None:
                looked.miss((due, span.shown_until(due)), "damaged")
                continue
            picture, time = timed
            if time > last:
                last = time
                looked.see((time, span.shown_until(due)))
                yield scaler.frame(picture, time)


def _scaler(recording: Recording, *, max_side: int | None, grey: bool = False) -> Scaler:
    return Scaler(
        max_side=max_side,
        grey=grey,
        max_pixels=video_pixels(recording.limits),
        source=recording.source,
    )


def clip(
    recording: Recording,
    start: float,
    end: float,
    *,
    fps: float | None = None,
    max_side: int | None = None,
    grey: bool = False,
) -> Iterator[Frame]:
    """Yield the frames that start in ``[start, end)``, at most ``fps`` a second.

    Frames are chosen on a time grid anchored at ``start``: the first frame in each cell
    of ``1 / fps`` seconds, so that the choice does not drift whatever the frame rate.
    Pictures that are not among them and that no other picture needs are not decoded.
    What a decoder makes up behind damage, up to the next keyframe, is left out.
    The range ends at the duration limit at the latest.

    Args:
        recording: The video.
        start: Media seconds.
        end: Media seconds.
        fps: Most frames a second; None for all.
        max_side: Longest side in pixels; None keeps the size.
        grey: Give ``(height, width)`` brightness instead of RGB.

    Raises:
        ValueError: If ``fps`` is not positive.
        MediaError: If the video cannot be opened any more or is over a limit.
    """
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be positive, not {fps!r}")
    span = recording.timeline.video
    end = min(end, recording.limits.max_duration)
    if span is None or not start < end:
        return
    scaler = _scaler(recording, max_side=max_side, grey=grey)
    with recording.open(frame_threads=True) as container:
        finder = Finder(recording, container, span)
        cell = -1
        due = None if fps is None else _first_in_cells(span, start, fps)
        for picture, time in finder.run(start, due=due):
            if time >= end:
                break
            if time < start:
                continue
            here = 0 if fps is None else math.floor((time - start) * fps + EPSILON)
            if fps is None or here > cell:
                cell = here
                yield scaler.frame(picture, time)


def _first_in_cells(span: StreamSpan, start: float, fps: float) -> list[float]:
    """Return when the first picture of each cell of ``1 / fps`` seconds begins."""
    times = span.times[np.searchsorted(span.times, start) :]
    _, first = np.unique(np.floor((times - start) * fps + EPSILON), return_index=True)
    found: list[float] = times[first].tolist()
    return found
