"""What a pass over a video judged, what it did not and why, and the scores on one clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from mmcrime.analyzers.motion_features import LONGEST_PAIR
from mmcrime.analyzers.motion_model import sigmoid
from mmcrime.analyzers.motion_pass import REACH, Examined, Scored
from mmcrime.evidence import (
    NO_STREAM,
    Coverage,
    Evidence,
    Gap,
    Interval,
    merge_intervals,
    subtract_intervals,
)
from mmcrime.results import Segment

__all__ = ["BLIND", "STRANGE", "coverage", "pictured", "segments"]

BLIND = "not_judged: the picture shows nothing (dark, covered or uniform)"
STRANGE = "not_judged: unlike anything the model was fitted on"
"""Reasons of gaps in which there are pictures of which nothing can be said."""
_SPOILED = "damaged: motion could not be measured"
_ALIKE = 0.1
"""Scores that differ by less are merged into one segment."""


def coverage(found: Examined, evidence: Evidence) -> Coverage:
    """Return what was judged, and why the rest was not.

    Stretches shorter than `LONGEST_PAIR` are no gaps: sampling makes them.
    """
    end = max(evidence.media.duration or 0.0, 0.0 if found.last is None else found.last + REACH)
    whole = (0.0, end)
    judged = Coverage.from_intervals(
        ((max(w.start, 0.0), min(w.end + REACH, end)) for w in found.scored),
        whole=whole,
        frames=found.frames,
    )
    taken = list(judged.examined)
    gaps: list[Gap] = []
    for reason, parts in _reasons(found, evidence, whole):
        outside = subtract_intervals(whole, parts)
        here = subtract_intervals(whole, merge_intervals((*taken, *outside)))
        taken += here
        gaps += (Gap(start=start, end=until, reason=reason) for start, until in here)
    long_enough = (g for g in gaps if g.end - g.start >= LONGEST_PAIR or not found.scored)
    return Coverage(
        examined=judged.examined,
        frames=judged.frames,
        gaps=tuple(sorted(long_enough, key=lambda gap: gap.start)),
    )


def _reasons(
    found: Examined, evidence: Evidence, whole: Interval
) -> Iterator[tuple[str, list[Interval]]]:
    """Yield reasons with where they hold, the most particular first; the last holds always."""
    yield BLIND, found.blind
    yield _SPOILED, found.spoiled
    yield STRANGE, [(w.start, w.end + REACH) for w in found.windows if w.basis == "strange"]
    for known in evidence.video.gaps:
        if known.reason.startswith(("over_limit", NO_STREAM)):
            yield known.reason, [(known.start, known.end)]
    if found.stopped:
        yield found.stopped, [(max((w.end for w in found.scored), default=0.0), whole[1])]
    yield "damaged", [whole]


def pictured(seen: Coverage) -> float:
    """Return the seconds in which there are pictures, judged or not."""
    missed = (g.end - g.start for g in seen.gaps if not g.reason.startswith(NO_STREAM))
    return seen.seconds + sum(missed)


def segments(scored: Sequence[Scored], *, detected: float, crime_type: str) -> tuple[Segment, ...]:
    """Turn overlapping windows into segments that follow each other.

    The score of an instant is the mean over the windows that hold it; neighbours with
    like scores are merged, weighted by length.

    Args:
        scored: Windows in time order.
        detected: Score from which a segment names the crime type.
        crime_type: Its taxonomy id.
    """
    merged: list[tuple[float, float, float]] = []
    first = 0
    for start, end in pairwise(sorted({t for w in scored for t in (w.start, w.end)})):
        while scored[first].end <= start:
            first += 1
        over = []
        for at in range(first, len(scored)):
            if scored[at].start >= end:
                break
            over.append(sigmoid(scored[at].logit))
        if not over:
            continue
        score = sum(over) / len(over)
        if merged and merged[-1][1] == start and abs(merged[-1][2] - score) < _ALIKE:
            since, until, before = merged[-1]
            mean = (before * (until - since) + score * (end - start)) / (end - since)
            merged[-1] = (since, end, mean)
        else:
            merged.append((start, end, score))
    return tuple(
        Segment(
            start=start,
            end=end,
            score=min(1.0, score),
            crime_type=crime_type if score >= detected else None,
        )
        for start, end, score in merged
    )
