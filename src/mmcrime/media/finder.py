"""Finding pictures by time in one opened video, with as little decoding as possible.

A picture costs the decoding from the keyframe before it. So the pictures that are wanted are
grouped by keyframe interval; each group is one seek and one forward decode in which pictures
that no other picture needs are skipped, packet by packet, and which ends with the packet of
the last wanted picture: the decoder is drained, so that nothing behind it is decoded.

That rests on the time stamps of packets. Where they do not lead to the picture (there are
none, a stretch is damaged, a seek leads elsewhere), the interval is decoded once more with
nothing skipped, and the picture on screen is found from the times of the pictures themselves.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from mmcrime.media.streams import LATE_ORDER, READ_ERRORS, has_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.packet import Packet
    from av.video.frame import VideoFrame

    from mmcrime.media.container import Container, Step
    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["EPSILON", "Finder", "Timed"]

Timed: TypeAlias = "tuple[VideoFrame, float]"
Plan: TypeAlias = "Callable[[Packet[Any]], Step]"

EPSILON = 1e-6  # seconds; below the finest clock of the containers, above float rounding
_MOST_DETOURS = 8  # groups decoded twice, after which packets are no longer believed
_LATEST_ERROR = 3  # pictures by which a decoder may state an error too late
_FIELD = 0.75  # of a frame: within it lies the second field of a picture, not the next picture


class Finder:
    """Finds pictures by time in one opened container.

    Args:
        recording: The video.
        container: An opening of it that nobody else reads.
        span: What was measured of its picture stream.
    """

    def __init__(self, recording: Recording, container: Container, span: StreamSpan) -> None:
        self._recording = recording
        self._container = container
        self._span = span
        self._keys: list[float] = span.keyframes.tolist()
        self._fresh = True  # the container still stands at its beginning
        # A frame that is this much older than the one to be shown is another one.
        self._tolerance = 1.5 * span.spacing
        video = container.video
        rate = float(video.average_rate or 0) if video is not None else 0.0
        self._slack = _FIELD / rate if rate > 0 else self._tolerance
        self._detours = 0 if span.ahead is None else _MOST_DETOURS
        # Decoders of other formats make up what they cannot read, and report no error.
        self._errs = video is not None and video.codec_context.name in LATE_ORDER
        self._skips = video is not None and not has_layers(video.codec_context)
        self._progressive = False  # the last picture was not interlaced

    def run(self, start: float, *, due: Sequence[float] | None = None) -> Iterator[Timed]:
        """Decode forward from the keyframe at or before a time.

        What the decoder makes up behind damage, up to the next keyframe, is left out.

        Args:
            start: Media seconds.
            due: Sorted times at which the packet scan saw the pictures begin that are
                wanted; others may be left out, where that saves work. None wants all.
        """
        only = None if due is None else self._only(due)
        pictures = self._seek(start, only)
        if pictures is not None:
            yield from self._true(pictures, self._container)
            return
        with self._recording.open(frame_threads=True) as container:
            yield from self._true(self._decoded(container, only), container)

    def _true(self, pictures: Iterator[Timed], container: Container) -> Iterator[Timed]:
        """Leave out of a forward run what the decoder made up.

        Threads tell an error with the packet behind the damaged one, and before any picture
        that it spoils. So it may come with a keyframe that is whole, which then comes out.
        """
        origin = self._recording.timeline.origin
        failed: float | None = None
        whole_from = -math.inf
        for picture, time in pictures:
            if container.failed_at is not None and container.failed_at != failed:
                failed = container.failed_at
                whole_from = self._key_behind(failed - origin)
            if picture.is_corrupt:
                whole_from = self._key_behind(time + self._span.spacing)
            elif -math.inf < whole_from < time - self._slack:  # that keyframe did not come out
                whole_from = self._key_behind(time)
            if time >= whole_from - EPSILON:
                whole_from = -math.inf
                if self._span.lost_at(time) is None:
                    yield picture, time

    def _key_behind(self, time: float) -> float:
        """Return the time of the first keyframe at or behind a time, or the end."""
        at = bisect_left(self._keys, time - EPSILON)
        return self._keys[at] if at < len(self._keys) else math.inf

    def _only(self, due: Sequence[float]) -> Plan | None:
        """Return how to decode a run of which only some pictures are wanted."""
        video, origin = self._container.video, self._recording.timeline.origin
        if self._detours or video is None or video.time_base is None:
            return None
        base = float(video.time_base)

        def step(packet: Packet[Any]) -> Step:
            if packet.pts is None or not self.skips:
                return "decode"
            time = packet.pts * base - origin
            nearest = bisect_right(due, time + EPSILON) - 1
            wanted = nearest >= 0 and time - due[nearest] <= EPSILON
            return "decode" if wanted else "skip"

        return step

    def key_time(self, time: float) -> float:
        """Return the time of the keyframe at or before a time, or of the first one."""
        return self._keys[self._key_before(time)] if self._keys else self._span.shown_at(time)

    def pictures(self, due: Sequence[float]) -> Iterator[tuple[float, Timed | None]]:
        """Yield, for each of some times, the picture that is put on screen then.

        Args:
            due: Sorted times, each once, at which the packet scan saw a picture begin.

        Yields:
            Each time with its picture and when that really begins, or with None where the
            picture does not decode.
        """
        groups = [list(group) for _, group in groupby(due, self._key_before)]
        for number, group in enumerate(groups):
            found = 0
            if self._detours < _MOST_DETOURS:
                for found, timed in enumerate(self._by_packets(group), start=1):
                    yield group[found - 1], timed
            left = group[found:]
            if not left:
                continue
            pictures = self._seek(left[0])
            if pictures is None:  # one pass through the file serves all that is left
                rest = list(chain(left, *groups[number + 1 :]))
                with self._recording.open(frame_threads=True) as container:
                    whole = self._true(self._decoded(container), container)
                    yield from self._by_pictures(whole, rest, container)
                return
            self._detours += 1
            yield from self._by_pictures(pictures, left, self._container)

    def _by_packets(self, due: Sequence[float]) -> Iterator[Timed]:
        """Yield the pictures of one keyframe interval up to the first that does not come."""
        plan = self._plan(due)
        if plan is None:
            return
        at = 0
        for picture, time in self._decoded(self._container, plan):
            if time > due[at] + EPSILON:
                return
            if time >= due[at] - EPSILON:
                if self._is_spoiled(time):
                    return
                yield picture, time
                at += 1
                if at == len(due):
                    return

    def _plan(self, due: Sequence[float]) -> _Plan | None:
        """Go to the keyframe before some times; return how to decode from there."""
        video, key = self._container.video, self._key_before(due[0])
        if video is None or video.time_base is None or key >= len(self._keys):
            return None
        start = self._keys[key]
        if due[0] < start - EPSILON:  # before the first keyframe, behind one that is cut away
            return None
        if not (key == 0 and self._fresh):
            try:
                self._container.seek(start + self._recording.timeline.origin, video)
            except READ_ERRORS:
                return None
        self._fresh = False
        return _Plan(
            due,
            start=start,
            base=float(video.time_base),
            origin=self._recording.timeline.origin,
            slack=self._slack,
            finder=self,
        )

    @property
    def skips(self) -> bool:
        """Whether pictures that no other one needs may be skipped.

        In interlaced footage a packet may hold half a picture: nothing is skipped there.
        """
        return self._skips and self._progressive

    def _by_pictures(
        self, pictures: Iterator[Timed], due: Sequence[float], container: Container
    ) -> Iterator[tuple[float, Timed | None]]:
        """Yield of a forward run of a container what is on screen at some sorted times."""
        at = 0
        held: Timed | None = None
        for picture in pictures:
            while at < len(due) and picture[1] > due[at] + EPSILON:
                yield due[at], self._if_shown(held or picture, due[at], container)
                at += 1
            if at == len(due):
                return
            held = picture
        for time in due[at:]:
            yield time, self._if_shown(held, time, container)

    def _if_shown(self, picture: Timed | None, due: float, container: Container) -> Timed | None:
        """Return a picture unless damage hid the one that is really on screen then.

        A picture may begin at another time than its packet: some packets hold no picture to
        be shown, or half of one. But where packets did not decode it is another picture.
        """
        if picture is None or abs(picture[1] - due) > self._tolerance:
            return None
        if container is self._container and self._is_spoiled(picture[1]):
            return None
        if abs(picture[1] - due) <= EPSILON:
            return picture
        at, late = due + self._recording.timeline.origin, _LATEST_ERROR * self._span.spacing
        hurt = any(start - late <= at < end + late for start, end in container.damaged)
        return None if hurt else picture

    def _is_spoiled(self, time: float) -> bool:
        """Whether something did not decode between a picture's keyframe and the picture.

        Decoders go on behind it without a word, and show what they made up. Where a picture
        that no other one needs was lost, this is too strict: nobody can tell.
        """
        origin = self._recording.timeline.origin
        since = (self._keys[self._key_before(time)] if self._keys else 0.0) + origin
        at = time + origin + EPSILON
        return any(start <= at and end > since + EPSILON for start, end in self._container.damaged)

    def _key_before(self, time: float) -> int:
        return max(bisect_right(self._keys, time + EPSILON) - 1, 0)

    def _seek(self, time: float, plan: Plan | None = None) -> Iterator[Timed] | None:
        """Decode from the keyframe before a time, or the one before that if it is damaged.

        Returns None where seeking leads past the place, as it does in files without an
        index and behind a long damaged stretch.
        """
        video, key = self._container.video, self._key_before(time)
        if key == 0 and self._fresh:
            self._fresh = False
            return self._decoded(self._container, plan)
        self._fresh = False
        for candidate in (key, key - 1):
            if video is None or not 0 <= candidate < len(self._keys):
                break
            try:
                self._container.seek(self._keys[candidate] + self._recording.timeline.origin, video)
            except READ_ERRORS:
                break
            pictures = self._decoded(self._container, plan)
            first = next(pictures, None)
            # By its decoding time a keyframe seems to be shown before others that are.
            made_up = self._span.ahead is not None
            latest = time + EPSILON if made_up else self._keys[candidate] + self._tolerance
            if first is not None and first[1] <= latest:
                return chain((first,), pictures)
        return None

    def _decoded(self, container: Container, plan: Plan | None = None) -> Iterator[Timed]:
        if container.video is None:
            return
        clock = self._recording.clock(container.video, self._span)
        for picture in container.video_frames(plan):
            self._progressive = not picture.interlaced_frame
            time = clock.time(picture)
            if picture.is_corrupt and not self._errs:  # a part of it and of others is made up
                start = time + self._recording.timeline.origin
                container.spoil(start, start + self._span.spacing)
            yield picture, time


class _Plan:
    """What to do with each packet of a keyframe interval, to get some pictures of it.

    Args:
        due: Sorted times of the pictures.
        start: Time of the keyframe; what a seek gives before it is left out.
        base: Seconds of one tick of the packets' stamps.
        origin: Start of media time on the container's own clock.
        slack: Seconds behind the start of a picture within which no other one starts.
        finder: Knows whether pictures may be skipped.
    """

    def __init__(
        self,
        due: Sequence[float],
        *,
        start: float,
        base: float,
        origin: float,
        slack: float,
        finder: Finder,
    ) -> None:
        self._due = due
        self._start = start
        self._base = base
        self._origin = origin
        self._slack = slack
        self._finder = finder
        self._fed: set[int] = set()
        self._begun = False

    def __call__(self, packet: Packet[Any]) -> Step:
        if packet.pts is None:
            return "decode"  # nobody knows what it holds
        time = packet.pts * self._base - self._origin
        if not self._begun:
            if time > self._start + EPSILON:
                return "stop"  # the seek led past the place
            if time < self._start - EPSILON or not packet.is_keyframe:
                return "pass"
            self._begun = True
        nearest = bisect_right(self._due, time + EPSILON) - 1
        if nearest >= 0 and time - self._due[nearest] < self._slack:
            self._fed.add(nearest)
            return "decode"
        if len(self._fed) == len(self._due):
            return "stop"
        return "skip" if self._finder.skips else "decode"
