"""Segments of several voters on one clock, and the incidents in them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmcrime import taxonomy
from mmcrime.results import SEVERITIES, Assessment, Incident, Segment, Severity, Timeline

OPEN_AT = 0.5
"""An incident opens where the fused score reaches this: more likely than not."""
HOLD_AT = 0.35
"""It goes on while the score stays above this, so that one weak window does not split it."""
JOIN_WITHIN = 2.0
"""Incidents closer than this many seconds are one: the hop of the slowest detector twice."""

UNKNOWN_TYPE = "unknown_incident"


@dataclass(frozen=True, slots=True)
class _Span:
    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch that becomes an incident.

    ``voters`` detected something but point at no instant of it.
    """

    start: float
    end: float
    voters: tuple[str, ...] = ()


def fused_timeline(votes: Sequence[Assessment]) -> Timeline:
    """Fuse the votes' segments: mean within a kind, largest across kinds.

    Voters of one kind judge the same thing, so their scores are averaged; another
    kind can notice what the first cannot, so its silence lowers nothing.
    """
    spans = _spans(votes)
    times: list[float] = []
    scores: list[float] = []
    for span in spans:
        if not times or scores[-1] != span.score:
            times.append(span.start)
            scores.append(span.score)
    if spans:
        times.append(spans[-1].end)
        scores.append(0.0)
    return Timeline(times=tuple(times), scores=tuple(scores))


def _spans(votes: Sequence[Assessment]) -> list[_Span]:
    """Sweep over the segment borders; between two borders every score is constant."""
    voters: dict[str, list[str]] = {}
    events: dict[float, list[tuple[bool, str, str, float]]] = {}
    for vote in votes:
        voters.setdefault(vote.kind, []).append(vote.id)
        for segment in vote.segments:
            if segment.end > segment.start:
                entry = (vote.kind, vote.id, segment.score)
                events.setdefault(segment.start, []).append((True, *entry))
                events.setdefault(segment.end, []).append((False, *entry))
    active: dict[str, dict[str, list[float]]] = {k: {i: [] for i in v} for k, v in voters.items()}
    borders = sorted(events)
    spans: list[_Span] = []
    for start, end in pairwise(borders):
        for opens, kind, voter, score in events[start]:
            scores = active[kind][voter]
            scores.append(score) if opens else scores.remove(score)
        fused = max(
            sum(max(s, default=0.0) for s in by_voter.values()) / len(by_voter)
            for by_voter in active.values()
        )
        spans.append(_Span(start, end, min(1.0, fused)))
    return spans


def incidents(votes: Sequence[Assessment], *, duration: float | None) -> tuple[Incident, ...]:
    """Return the incidents that voters with outcome ``detected`` support.

    Args:
        votes: One answered assessment a voter.
        duration: Length of the media in seconds, None for a picture or when unknown.

    Returns:
        Incidents in order of time. A detecting voter whose segments never reach
        `OPEN_AT` still gives one incident over what it points at, so that what was
        detected always has a place in time.
    """
    seers = [v for v in votes if v.outcome == "detected"]
    windows = [_Window(*w) for w in _hysteresis(_spans(seers))]
    placed = {v.id for backing in _support(seers, windows) for v, _ in backing}
    windows += [
        _Window(*_whole(voter, duration), voters=(voter.id,))
        for voter in seers
        if voter.id not in placed
    ]
    joined = _join(windows)
    return tuple(
        _incident(f"incident-{number}", window, support, seers)
        for number, (window, support) in enumerate(
            zip(joined, _support(seers, joined), strict=True), 1
        )
    )


def _support(
    seers: Sequence[Assessment], windows: Sequence[_Window]
) -> list[list[tuple[Assessment, Segment]]]:
    """Return, for each window, the segments that are more than noise and share an instant.

    Args:
        seers: The voters.
        windows: Disjoint and in order of time, so that a bisection finds the first one.
    """
    ends = [w.end for w in windows]
    found: list[list[tuple[Assessment, Segment]]] = [[] for _ in windows]
    for voter in seers:
        for segment in voter.segments:
            if segment.score < HOLD_AT:
                continue
            for index in range(bisect_left(ends, segment.start), len(windows)):
                if windows[index].start > segment.end:
                    break
                if _shares(segment, windows[index]):
                    found[index].append((voter, segment))
    return found


def _shares(segment: Segment, window: _Window) -> bool:
    """Whether segment and window share an instant; a point in time counts as one."""
    if segment.start == segment.end or window.start == window.end:
        return segment.start <= window.end and window.start <= segment.end
    return segment.start < window.end and window.start < segment.end


def _whole(voter: Assessment, duration: float | None) -> tuple[float, float]:
    if voter.segments:
        best = max(voter.segments, key=lambda s: s.score)
        return (best.start, best.end)
    if voter.coverage.examined:
        return (voter.coverage.examined[0][0], voter.coverage.examined[-1][1])
    return (0.0, duration or 0.0)


def _hysteresis(spans: Sequence[_Span]) -> list[tuple[float, float]]:
    windows: list[tuple[float, float]] = []
    start: float | None = None
    opened = False
    end = 0.0
    for span in spans:
        if span.score < HOLD_AT:
            if start is not None and opened:
                windows.append((start, end))
            start, opened = None, False
            continue
        start = span.start if start is None else start
        end = span.end
        opened = opened or span.score >= OPEN_AT
    if start is not None and opened:
        windows.append((start, end))
    return windows


def _join(windows: Sequence[_Window]) -> list[_Window]:
    joined: list[_Window] = []
    for window in sorted(windows, key=lambda w: (w.start, w.end, w.voters)):
        if joined and window.start - joined[-1].end <= JOIN_WITHIN:
            last = joined[-1]
            joined[-1] = _Window(
                last.start, max(last.end, window.end), (*last.voters, *window.voters)
            )
        else:
            joined.append(window)
    return joined


def _incident(
    identifier: str,
    window: _Window,
    support: Sequence[tuple[Assessment, Segment]],
    seers: Sequence[Assessment],
) -> Incident:
    # What words say comes last: they may add a type, but not lead or raise a severity.
    ranked = sorted(
        support, key=lambda p: (p[0].kind == "speech", -p[1].score, p[1].start, p[0].id)
    )
    placed = {v.id for v, _ in ranked}
    backing = sorted(
        (v for v in seers if v.id in placed or v.id in window.voters),
        key=lambda v: (v.kind == "speech", v.id),
    )
    named = [(v, s.crime_type or v.crime_type or UNKNOWN_TYPE) for v, s in ranked]
    named += [(v, v.crime_type or UNKNOWN_TYPE) for v in backing if v.id not in placed]
    types = list(dict.fromkeys(t for _, t in named))
    top = ranked[0][1] if ranked else None
    middle = (top.start + top.end) / 2 if top else window.start
    return Incident(
        id=identifier,
        start=window.start,
        end=window.end,
        peak=min(max(middle, window.start), window.end),
        crime_type=types[0],
        alternatives=tuple(types[1:]),
        severity=_severity(named),
        probability=top.score if top else max(v.probability or 0.0 for v in backing),
        verification="confirmed" if _confirmed(named, placed) else "not_verified",
        assessment_ids=tuple(sorted(v.id for v in backing)),
    )


def _confirmed(named: Sequence[tuple[Assessment, str]], placed: set[str]) -> bool:
    """Whether two kinds that point at this stretch name crime types of one group.

    An incident of unknown kind confirms nothing.
    """
    types = taxonomy.crime_types()
    kinds: dict[str, set[str]] = {}
    for voter, name in named:
        if voter.id in placed and name in types and name != UNKNOWN_TYPE:
            kinds.setdefault(types[name].group, set()).add(voter.kind)
    return any(len(agreeing) > 1 for agreeing in kinds.values())


def _severity(named: Sequence[tuple[Assessment, str]]) -> Severity:
    """Return the highest taxonomy severity of the types that are named.

    Embedded speech recognition is too unreliable to raise a severity: what only words
    say is at most ``low``.
    """
    types = taxonomy.crime_types()
    sensed = [t for v, t in named if v.kind != "speech"]
    severities: list[Severity] = [
        types[t].severity if t in types else "medium" for t in sensed or [t for _, t in named]
    ]
    worst = max(severities, key=SEVERITIES.index)
    return worst if sensed else min(worst, "low", key=SEVERITIES.index)
