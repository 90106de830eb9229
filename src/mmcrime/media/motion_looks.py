"""Which pictures of a video are looked at for motion, and their cheap decoding.

A picture costs the decoding of everything back to its keyframe, so the cheap ones follow
a keyframe. Of each keyframe interval only the beginning is decoded, its *head*: the
keyframe and what follows in the order of decoding for a sixth of a second, and more
where more than 2.2 seconds would be left until the next keyframe. Pictures that no
other one needs are left out, where it is known which. The decoder is drained and emptied
after each head, because HEVC decoders give keyframes out of order otherwise.

So a keyframe every 2 seconds costs a head every 2 seconds; one every 10 seconds costs
three quarters of the reference pictures; one in the whole file, all of them. Where every
picture is a keyframe, one every quarter of a second is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from av.video.codeccontext import VideoCodecContext

from mmcrime.media.frames import Scaler
from mmcrime.media.motion_change import SIDE
from mmcrime.media.streams import READ_ERRORS, decoder_pixels, has_layers, video_pixels

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from mmcrime.config import Limits
    from mmcrime.evidence import Interval
    from mmcrime.media.container import Container
    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["MOST", "Look", "UnreliableKeyframesError", "looks"]

MOST = 2.5
"""Seconds that may lie between two looks; more was lost, and is a gap."""
_LEFT_OUT = 2.2  # seconds that are left out on purpose, with room for uneven pictures
_STEP = 0.25  # seconds between looks where all is decoded: a walk covers about 0.3 m in it
_HEAD = 0.16  # seconds of a head: two looks, at 25 pictures a second for at most five decoded
_UNFILTERED = ("h264", "hevc")  # decoders that can leave out the filter that smooths block edges
_SHORT = 0.5  # seconds: of shorter keyframe intervals the keyframe is enough
_FREE_HEADS = 3  # heads before keyframes are judged
_EPSILON = 1e-6  # seconds; above the rounding of floats


class UnreliableKeyframesError(Exception):
    """Most of the stated keyframes are none: heads cannot be decoded by themselves."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Look:
    """One picture that was looked at.

    Attributes:
        time: Media seconds.
        grey: Brightness, at most `SIDE` pixels on the long side.
        key: Whether it begins a head.
    """

    time: float
    grey: NDArray[np.uint8]
    key: bool


def looks(
    recording: Recording, span: StreamSpan, damaged: list[Interval], *, heads: bool
) -> Iterator[Look]:
    """Yield the pictures to compare, in time order, up to the duration limit.

    Args:
        recording: The video.
        span: Its measured picture stream.
        damaged: Where packets or whole heads did not decode is added here, in media
            seconds, when it is known.
        heads: Decode heads only; else everything that another picture needs.

    Raises:
        UnreliableKeyframesError: Heads do not begin with keyframes.
        MediaError: If the video cannot be opened any more or is over a limit.
    """
    # Threads hold pictures back, and every head waits for them: only for long runs.
    through = not heads or _interval(span) > 2 * MOST
    with recording.open(frame_threads=through) as container:
        if container.video is not None:
            yield from _Reader(
                recording, span, container, container.video, damaged, heads=heads
            ).run()


def _interval(span: StreamSpan) -> float:
    """Return the mean length of a keyframe interval in seconds."""
    return (span.end - span.start) / max(len(span.keyframes), 1)


def _unfiltered(video: VideoStream, limits: Limits) -> VideoCodecContext:
    """Return a decoder that leaves out what small pictures do not show.

    Smoothing the edges between blocks is a seventh of the work of a keyframe. It can only
    be left out before a decoder opens, and that of the stream is open already. Only for
    short heads: in a long run of predicted pictures the edges add up to false movement.
    """
    opened = video.codec_context
    if opened.name not in _UNFILTERED:
        return opened
    decoder = cast("VideoCodecContext", VideoCodecContext.create(opened.name, "r"))
    decoder.extradata = opened.extradata
    decoder.options = {"max_pixels": str(decoder_pixels(limits)), "skip_loop_filter": "all"}
    decoder.thread_count, decoder.thread_type = opened.thread_count, opened.thread_type
    decoder.open(strict=False)
    return decoder


class _Reader:
    """One pass over the packets of one opened video."""

    def __init__(
        self,
        recording: Recording,
        span: StreamSpan,
        container: Container,
        video: VideoStream,
        damaged: list[Interval],
        *,
        heads: bool,
    ) -> None:
        self._limit = recording.limits.max_duration
        self._origin = recording.timeline.origin
        self._container = container
        self._video = video
        short = heads and _interval(span) <= _LEFT_OUT
        self._decoder = _unfiltered(video, recording.limits) if short else video.codec_context
        if not has_layers(video.codec_context):
            self._decoder.skip_frame = "NONREF"
        self._clock = recording.clock(video, span)
        self._span = span
        self._damaged = damaged
        self._heads = heads
        self._scaler = Scaler(
            max_side=SIDE,
            grey=True,
            max_pixels=video_pixels(recording.limits),
            source=recording.source,
        )
        self._start = self._end = -math.inf  # of the head, in media seconds
        self._next = math.inf  # start of the head after it
        self._due = -math.inf  # when the next look is taken
        self._held: tuple[VideoFrame, float] | None = None  # newer than the last look
        self._seen = 0  # looks of this head
        self._keyed = False  # this head has a picture, be it a damaged one
        self._spoiled = False  # something of this head did not decode
        self._begun = self._failed = 0  # heads
        self._later = 0.0  # time of a packet without time stamps

    def run(self) -> Iterator[Look]:
        """Decode the heads and yield the looks."""
        feeding = False
        for packet in self._container.packets(self._video):
            time = self._time(packet)
            if packet.is_discard and not feeding:
                continue
            if self._begun == 0 or (packet.is_keyframe and time >= self._next - _EPSILON):
                if self._begun:
                    yield from self._finished()
                if time >= self._limit:
                    return
                self._begin(time)
                feeding = True
            if not feeding:
                continue
            yield from self._decoded(packet)
            if time >= self._end:
                yield from self._drained()
                feeding = False
        if self._begun:
            yield from self._finished()

    def _time(self, packet: Packet[Any]) -> float:
        base = float(packet.time_base or 0)
        ahead = self._span.ahead
        believed = ahead is None or packet.is_keyframe
        stamp = packet.pts if believed and packet.pts is not None else packet.dts
        time = self._later if stamp is None else stamp * base - self._origin
        if ahead is not None and packet.is_keyframe and packet.pts is not None:
            time -= ahead.presentation
        self._later = time + ((packet.duration or 0) * base or self._span.spacing)
        return time

    def _begin(self, time: float) -> None:
        """Begin a head: decide how far it reaches."""
        keys = self._span.keyframes
        after = int(np.searchsorted(keys, time + _STEP - _EPSILON))
        self._start = time
        self._next = float(keys[after]) if self._heads and after < len(keys) else math.inf
        length = self._next - time
        # Judged by time stamps in the order of decoding, so that all it refers to is there.
        self._end = time if length <= _SHORT else max(time + _HEAD, self._next - _LEFT_OUT)
        self._seen = 0
        self._keyed = self._spoiled = False
        self._begun += 1

    def _finished(self) -> Iterator[Look]:
        """End a head; one of which nothing decoded is damaged up to the next."""
        yield from self._drained()
        if self._seen == 0:
            self._failed += not self._keyed
            self._damaged.append((self._start, min(self._next, self._span.end)))
        if self._heads and self._begun >= _FREE_HEADS and 2 * self._failed > self._begun:
            raise UnreliableKeyframesError

    def _decoded(self, packet: Packet[Any]) -> Iterator[Look]:
        try:
            pictures = self._decoder.decode(packet)
        except READ_ERRORS:
            self._spoil(self._later - self._span.spacing, self._later)
            return
        yield from self._taken(pictures)

    def _spoil(self, start: float, end: float) -> None:
        """Note damage; what the decoder gives of this head behind it is made up."""
        self._spoiled = self._heads and end > self._start
        self._damaged.append((start, min(self._next, self._span.end) if self._spoiled else end))

    def _drained(self) -> Iterator[Look]:
        """Get what the decoder still holds, and make it ready for another head."""
        with suppress(*READ_ERRORS):  # what it still held is lost with its error
            yield from self._taken(self._decoder.decode(None))
        self._decoder.flush_buffers()
        if self._held is not None:  # the end of a head is seen, whatever the step
            yield self._look(*self._held)

    def _taken(self, pictures: list[VideoFrame]) -> Iterator[Look]:
        for picture in pictures:
            time = self._clock.time(picture)
            if time < self._start - _EPSILON or time >= self._limit:
                continue  # what an open keyframe interval shows before its keyframe
            if self._span.lost_at(time) is not None:
                continue  # made up by the decoder
            if self._seen == 0 and self._heads and not picture.key_frame:
                continue
            self._keyed = True
            if picture.is_corrupt and not self._spoiled:
                self._spoil(time, time + self._span.spacing)
            if self._spoiled:
                continue
            if self._seen and time < self._due - _EPSILON:
                self._held = (picture, time)
            else:
                yield self._look(picture, time)

    def _look(self, picture: VideoFrame, time: float) -> Look:
        self._held = None
        self._due = time + (_STEP if self._seen else _HEAD)
        self._seen += 1
        grey = self._scaler.frame(picture, time).pixels
        return Look(time=time, grey=grey, key=self._seen == 1)
