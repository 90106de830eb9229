"""How much moves in a video, once a second, from a fraction of its pictures.

Looks come in clusters: the head of a keyframe interval, or a long run where the interval
is long (see `motion_looks`). Two looks in a row are compared directly. Between the head
of one interval and the next lies a *bracket*, of which only both ends were seen: they are
compared too, so that what came, went or was moved in between leaves its mark on all
seconds of the bracket. One exception keeps still seconds still: where exactly one end of
a bracket moves, that movement explains the change, and the seconds between stay below
the threshold. A movement of at least one keyframe interval reaches into a head, so that
it is called there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mmcrime.evidence import Coverage, Frame, Gap, Interval, MotionCurve, subtract_intervals
from mmcrime.media import similar
from mmcrime.media.motion_change import change
from mmcrime.media.motion_looks import MOST, Look, UnreliableKeyframesError, looks

if TYPE_CHECKING:
    from mmcrime.media.timeline import Recording, StreamSpan

__all__ = ["MOVING_FROM", "no_motion", "scan_motion"]

MOVING_FROM = 0.08
"""Score from which a second counts as moving: chosen on seed 1 of the footage of
``benchmarks/motion_matrix.py`` and, between 0.05 and 0.09, on the labelled shared videos."""
_METHOD = "largest block change between looks at the head of each keyframe interval"
_DIRECT = 0.6  # seconds: looks at most this far apart show the same movement under way
_END = 0.3  # seconds of a cluster that say whether its end moves
_DOUBT = 0.8  # share of `MOVING_FROM` that is left where movement at one end explains a change
_ALBUM = 1.0  # least seconds between two looks that are kept
_MOST_KEPT = 20_000  # looks of one video: 15 MiB
_MOST_SKIPPED = 16  # pictures in a row that no other one needs: the longest run of B-frames


def no_motion() -> MotionCurve:
    """Return the curve of something that has no moving pictures."""
    return MotionCurve(method=_METHOD, moving_from=MOVING_FROM)


def scan_motion(
    recording: Recording,
    *,
    stop: Callable[[float], bool] | None = None,
    album: list[similar.Look] | None = None,
) -> MotionCurve:
    """Measure the motion of a whole video, up to the duration limit.

    Args:
        recording: The video.
        stop: Is asked at every look, given its media time; what comes after it said
            yes is a gap (``deadline``).
        album: Is filled with what the whole video looks like, at most once a second: these
            pictures need not be decoded again for `mmcrime.media.looks`. Empty if stopped.

    Returns:
        The curve, with coverage over the video stream's span; a video of one picture has
        no scores. A recording without pictures has an empty coverage.

    Raises:
        MediaError: If the video cannot be opened any more or is over a limit.
    """
    span = recording.timeline.video
    if span is None:
        return no_motion()
    apart = max(_ALBUM, (span.end - span.start) / _MOST_KEPT)
    for heads in (True, False):
        scan = _Scan(recording, span)
        kept: list[similar.Look] = []
        try:
            for look in looks(recording, span, scan.damaged, heads=heads):
                if stop is not None and stop(look.time):
                    return scan.result(stopped=True)
                scan.add(look)
                if album is not None and (not kept or look.time >= kept[-1].time + apart):
                    kept.append(similar.look_of(Frame(time=look.time, pixels=look.grey)))
        except UnreliableKeyframesError:
            continue
        break
    if album is not None:
        album[:] = kept
    return scan.result(stopped=False)


class _Bracket:
    """The time between two clusters of looks, until it is known what moved at its end."""

    def __init__(self, start: float, end: float, score: float, before: float | None) -> None:
        self.start = start
        self.end = end
        self.score = score
        self.before = before
        self.after: float | None = None

    def told(self) -> float:
        """Return the score of its seconds."""
        ends = [end >= MOVING_FROM for end in (self.before, self.after) if end is not None]
        if len(ends) == 2 and ends[0] != ends[1]:
            return min(self.score, _DOUBT * MOVING_FROM)
        return self.score


class _Scan:
    """Turns looks into scores and coverage; holds two pictures, whatever the length."""

    def __init__(self, recording: Recording, span: StreamSpan) -> None:
        self.damaged: list[Interval] = []
        self._span = span
        self._limit = min(span.end, recording.limits.max_duration)
        self._last: Look | None = None
        self._anchor: Look | None = None  # the keyframe of the present head
        self._recent: list[tuple[float, float]] = []  # times and scores at this cluster's end
        self._bracket: _Bracket | None = None
        self._scores: dict[int, float] = {}
        self._examined: list[Interval] = []
        self._cuts: list[float] = []
        self._frames = 0
        self._resolution = 0.0

    def add(self, look: Look) -> None:
        """Compare a look with the one before it."""
        self._frames += 1
        last, self._last = self._last, look
        if last is None or look.time <= last.time or not self._connected(last.time, look.time):
            self._close()
            self._anchor = look
            if last is not None and (lost := self._span.lost_from(last.time)) < look.time:
                self._end(last, lost)
            return
        _extend(self._examined, last.time, look.time)
        self._resolution = max(self._resolution, look.time - last.time)
        if look.time - last.time <= _DIRECT:
            self._compare(last, look)
        else:
            self._bridge(last, look)
        if look.key:
            self._anchor = look

    def _compare(self, last: Look, look: Look) -> None:
        """Score two looks of one cluster."""
        found = change(last.grey, look.grey)
        score = found.score
        if found.cut:
            self._cuts.append(look.time)
        self._raise((last.time + look.time) / 2, score)
        self._recent = [(t, s) for t, s in self._recent if t >= look.time - _END]
        self._recent.append((look.time, score))
        if self._bracket is not None:
            self._bracket.after = max(score, self._bracket.after or 0.0)
            if look.time - self._bracket.end > _END:
                self._settle()

    def _bridge(self, last: Look, look: Look) -> None:
        """Score what happened between two clusters."""
        self._settle()
        # Keyframes are alike in what compression does to them; the picture before may not be.
        near = self._anchor is not None and look.time - self._anchor.time <= MOST
        first = self._anchor if near and look.key and self._anchor is not None else last
        found = change(first.grey, look.grey)
        activity = max((s for _, s in self._recent), default=None)
        self._bracket = _Bracket(last.time, look.time, found.score, activity)
        if found.cut:  # it happened at one instant, most often where the encoder set a keyframe
            self._cuts.append(look.time)
            self._raise(look.time, found.score)
            self._bracket.score = min(found.score, _DOUBT * MOVING_FROM)
        self._recent.clear()

    def _settle(self) -> None:
        """Give the seconds of a bracket their score."""
        bracket, self._bracket = self._bracket, None
        if bracket is not None:
            for second in range(math.floor(bracket.start), math.ceil(bracket.end)):
                self._raise(float(second), bracket.told())

    def _close(self) -> None:
        """End the present cluster: what follows cannot be compared with it."""
        self._settle()
        self._recent.clear()

    def _raise(self, time: float, score: float) -> None:
        second = math.floor(time)
        self._scores[second] = max(self._scores.get(second, 0.0), score)

    def _connected(self, start: float, end: float) -> bool:
        """Whether what lies between two looks was left out on purpose, and was not lost.

        A picture may stay on screen for long, so few packets are enough too.
        """
        if self._span.lost_from(start) < end:
            return False
        between = np.searchsorted(self._span.times, [start + 1e-6, end - 1e-6])
        skipped = int(between[1] - between[0])
        return end - start <= MOST or skipped <= _MOST_SKIPPED

    def _end(self, last: Look, end: float) -> None:
        """Let the last picture stay on screen, to an end if no more were to come before."""
        whole = self._connected(last.time, end)
        _extend(self._examined, last.time, end if whole else last.time + self._span.spacing)

    def result(self, *, stopped: bool) -> MotionCurve:
        """Return the curve; ``stopped`` says that there was no time left for the rest."""
        self._close()
        last = self._last
        if last is not None and not stopped:
            self._end(last, min(self._limit, self._span.lost_from(last.time)))
        times = tuple(sorted(self._scores))
        rest = "deadline" if stopped else "damaged"
        return MotionCurve(
            times=tuple(float(t) for t in times),
            scores=tuple(self._scores[t] for t in times),
            method=_METHOD,
            moving_from=MOVING_FROM,
            resolution=self._resolution,
            cuts=tuple(self._cuts),
            coverage=self._coverage(last.time if last else self._span.start, rest),
        )

    def _coverage(self, reached: float, rest: str) -> Coverage:
        """Return what was looked over; ``rest`` says why it ends where it was reached."""
        clipped = ((max(s, self._span.start), min(e, self._limit)) for s, e in self._examined)
        inside = [part for whole in clipped for part in subtract_intervals(whole, self.damaged)]
        inside = [(start, end) for start, end in inside if end - start > 1e-3]
        gaps = [
            Gap(start=s, end=e, reason=rest if s >= reached - 1e-6 else "damaged")
            for s, e in subtract_intervals((self._span.start, self._limit), inside)
            if e - s > 1e-3
        ]
        if self._span.end > self._limit:
            start = max(self._limit, self._span.start)
            gaps.append(Gap(start=start, end=self._span.end, reason="over_limit"))
        return Coverage(examined=tuple(inside), frames=self._frames, gaps=tuple(gaps))


def _extend(examined: list[Interval], start: float, end: float) -> None:
    """Add an interval, growing the last one where they touch: flat memory over hours."""
    if examined and start <= examined[-1][1] + 1e-6:
        examined[-1] = (examined[-1][0], max(end, examined[-1][1]))
    elif end > start:
        examined.append((start, end))
