"""Segments of several voters on one clock, and the incidents in them."""

from __future__ import annotations

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
    windows = _hysteresis(_spans(seers))
    for voter in seers:
        if not any(_overlaps(s, *w) for s in voter.segments for w in windows):
            windows.append(_whole(voter, duration))
    return tuple(
        _incident(f"incident-{number}", window, seers)
        for number, window in enumerate(_join(windows), 1)
    )


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


def _join(windows: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(windows):
        if joined and start - joined[-1][1] <= JOIN_WITHIN:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _overlaps(segment: Segment, start: float, end: float) -> bool:
    """Whether the segment shares an instant with the window; a point counts as one."""
    if segment.start == segment.end or start == end:
        return segment.start <= end and start <= segment.end
    return segment.start < end and start < segment.end


def _incident(
    identifier: str, window: tuple[float, float], seers: Sequence[Assessment]
) -> Incident:
    start, end = window
    support = [(v, s) for v in seers for s in v.segments if _overlaps(s, start, end)]
    support.sort(key=lambda pair: (-pair[1].score, pair[1].start))
    backers = list(dict.fromkeys(v.id for v, _ in support)) or [v.id for v in seers]
    backing = [v for v in seers if v.id in backers]
    types = [s.crime_type or v.crime_type or UNKNOWN_TYPE for v, s in support]
    types += [v.crime_type or UNKNOWN_TYPE for v in backing]
    ordered = list(dict.fromkeys(types))
    top = support[0][1] if support else None
    probability = top.score if top else max(v.probability or 0.0 for v in backing)
    return Incident(
        id=identifier,
        start=start,
        end=end,
        peak=_clamp((top.start + top.end) / 2, start, end) if top else start,
        crime_type=ordered[0],
        alternatives=tuple(ordered[1:]),
        severity=incident_severity(ordered[0], backing),
        probability=probability,
        verification="confirmed" if len({v.kind for v in backing}) > 1 else "not_verified",
        assessment_ids=tuple(backers),
    )


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def incident_severity(type_id: str, backing: Sequence[Assessment]) -> Severity:
    """Return the taxonomy's severity; words alone never lift it above ``low``.

    Embedded speech recognition is too unreliable to raise a severity by itself.
    """
    known = taxonomy.crime_types().get(type_id)
    default: Severity = known.severity if known else "medium"
    if all(v.kind == "speech" for v in backing):
        return min(default, "low", key=SEVERITIES.index)
    return default
