"""Pictures of a video: the one shown at each asked time, and runs of them.

A sampled frame costs the decoding from the keyframe before it: asked times are grouped
by keyframe interval, each group is one seek and one forward decode that stops at its
last time, and conversion and scaling are one step of swscale (area averaging).
Rotation in steps of 90 degrees is applied; a mirrored display matrix and a sample
aspect ratio other than 1 are not.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from av.video.reformatter import VideoReformatter

from mmcrime.errors import CorruptMediaError, UnsafeMediaError
from mmcrime.evidence import Frame
from mmcrime.media.container import Container
from mmcrime.media.streams import READ_ERRORS, reason_of, video_pixels

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["Scaler", "clip", "frames_at"]

_Timed: TypeAlias = "tuple[VideoFrame, float]"

_UNSPECIFIED = 2  # AVCOL_SPC_, AVCOL_PRI_ and AVCOL_TRC_UNSPECIFIED of FFmpeg
_EPSILON = 1e-6  # seconds; below the finest clock of the containers, above float rounding


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
            picture, width=size[0], height=size[1], format=self._format, interpolation="AREA"
        )


def frames_at(
    recording: Recording, at: Sequence[float], *, max_side: int | None
) -> Iterator[Frame]:
    """Yield the frame shown at each asked time, in time order, with its true time.

    The frame shown at ``t`` is the last one that starts at or before ``t``; before the
    first frame it is the first one. A frame shown at several asked times comes once. A
    time at which nothing decodes gives no frame.

    Args:
        recording: The video.
        at: Media times in seconds, in any order; times past the duration limit are left out.
        max_side: Longest side of the frames in pixels; None keeps their size.

    Raises:
        ValueError: If a time is not finite.
        MediaError: If the video cannot be opened any more or is over a limit.
    """
    span = recording.timeline.video
    if not all(math.isfinite(time) for time in at):
        raise ValueError(f"times must be finite numbers, not {list(at)!r}")
    wanted = sorted(time for time in set(at) if time < recording.limits.max_duration)
    if span is None or not wanted:
        return
    scaler = Scaler(
        max_side=max_side,
        grey=False,
        max_pixels=video_pixels(recording.limits),
        source=recording.source,
    )
    last = -math.inf
    with recording.open() as container:
        for picture, time in _Sampler(recording, container, span).shown(wanted):
            if time > last:
                last = time
                yield scaler.frame(picture, time)


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
    scaler = Scaler(
        max_side=max_side,
        grey=grey,
        max_pixels=video_pixels(recording.limits),
        source=recording.source,
    )
    with recording.open(frame_threads=True) as container:
        sampler = _Sampler(recording, container, span)
        cell = -1
        for picture, time in sampler.run(start):
            if time >= end:
                break
            if time < start:
                continue
            here = 0 if fps is None else math.floor((time - start) * fps + _EPSILON)
            if fps is None or here > cell:
                cell = here
                yield scaler.frame(picture, time)


class _Sampler:
    """Finds frames by time in one opened container."""

    def __init__(self, recording: Recording, container: Container, span: StreamSpan) -> None:
        self._recording = recording
        self._container = container
        self._span = span
        self._keys: list[float] = span.keyframes.tolist()
        self._fresh = True  # the container still stands at its beginning
        # A frame that is this much older than the one to be shown is another one.
        self._tolerance = 1.5 * span.spacing

    def run(self, start: float) -> Iterator[_Timed]:
        """Decode forward from the keyframe at or before a time."""
        return self._seek(self._key_before(start)) or self._from_the_start()

    def shown(self, wanted: Sequence[float]) -> Iterator[_Timed]:
        """Yield the picture shown at each of some sorted times, where it decodes."""
        at = 0
        while at < len(wanted):
            key = self._key_before(wanted[at])
            stop = at + 1
            while stop < len(wanted) and self._key_before(wanted[stop]) == key:
                stop += 1
            pictures = self._seek(key)
            if pictures is None:  # one pass through the file serves all that is left
                yield from self._pick(self._from_the_start(), wanted[at:])
                return
            yield from self._pick(pictures, wanted[at:stop])
            at = stop

    def _pick(self, pictures: Iterator[_Timed], wanted: Sequence[float]) -> Iterator[_Timed]:
        """Yield of a forward run the pictures shown at some sorted times, then stop."""
        due = 0
        held: _Timed | None = None
        for picture in pictures:
            while due < len(wanted) and picture[1] > wanted[due] + _EPSILON:
                yield from self._if_shown(held or picture, wanted[due])
                due += 1
            if due == len(wanted):
                return
            held = picture
        for time in wanted[due:]:
            if held is not None:
                yield from self._if_shown(held, time)

    def _if_shown(self, picture: _Timed, wanted: float) -> Iterator[_Timed]:
        """Yield a picture unless damage hid the one that is really on screen then."""
        if abs(picture[1] - self._span.shown_at(wanted)) <= self._tolerance:
            yield picture

    def _key_before(self, time: float) -> int:
        return max(bisect_right(self._keys, time + _EPSILON) - 1, 0)

    def _seek(self, key: int) -> Iterator[_Timed] | None:
        """Decode from a keyframe, or the one before if it is damaged.

        Returns None where seeking leads past the place, as it does in files without an
        index and behind a long damaged stretch.
        """
        video = self._container.video
        if key == 0 and self._fresh:
            self._fresh = False
            return self._decoded(self._container)
        self._fresh = False
        for candidate in (key, key - 1):
            if video is None or not 0 <= candidate < len(self._keys):
                break
            try:
                self._container.seek(self._keys[candidate] + self._recording.timeline.origin, video)
            except READ_ERRORS:
                break
            pictures = self._decoded(self._container)
            first = next(pictures, None)
            if first is not None and first[1] <= self._keys[candidate] + self._tolerance:
                return chain((first,), pictures)
        return None

    def _from_the_start(self) -> Iterator[_Timed]:
        with self._recording.open(frame_threads=True) as container:
            yield from self._decoded(container)

    def _decoded(self, container: Container) -> Iterator[_Timed]:
        if container.video is None:
            return
        clock = self._recording.clock(container.video, self._span)
        for picture in container.video_frames():
            yield picture, clock.time(picture)
