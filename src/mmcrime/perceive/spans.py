"""Shared small things of the room: exact coverage, and records of what went wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from mmcrime.errors import MmcrimeError
from mmcrime.evidence import Coverage, Gap, Interval, merge_intervals, subtract_intervals
from mmcrime.results import ErrorRecord

__all__ = ["SLIVER", "clean_text", "failure_of", "partition", "record", "with_gaps", "without"]

SLIVER = 1e-3  # seconds; rounding of timestamps leaves such slivers, they are not gaps
_LONGEST_MESSAGE = 500
_REPORT_IT = "Report this with the input, if you can share it."


def partition(
    whole: Interval, examined: Iterable[Interval], missing: Iterable[Gap] = (), *, frames: int = 0
) -> Coverage:
    """Split ``whole`` into what was examined and gaps; they never overlap.

    Args:
        whole: What ought to have been examined, in media seconds.
        examined: What was; cut to ``whole``.
        missing: What was not, and why. The first reason given for a stretch holds, and
            what was examined is no gap whatever is said here.
        frames: Number of pictures looked at.

    Returns:
        The coverage; what nobody accounts for is a gap with the reason ``damaged``.
    """
    cut = ((max(start, whole[0]), min(end, whole[1])) for start, end in examined)
    seen = merge_intervals(cut, join=SLIVER)
    left = list(subtract_intervals(whole, seen))
    gaps: list[Gap] = []
    for gap in missing:
        rest: list[Interval] = []
        for start, end in left:
            inside = (max(start, gap.start), min(end, gap.end))
            if inside[1] <= inside[0]:
                rest.append((start, end))
                continue
            gaps.append(Gap(start=inside[0], end=inside[1], reason=gap.reason))
            rest += subtract_intervals((start, end), [inside])
        left = rest
    gaps += (Gap(start=s, end=e, reason="damaged") for s, e in left)
    ordered = sorted((g for g in gaps if g.end - g.start > SLIVER), key=lambda g: g.start)
    return Coverage(examined=seen, frames=frames, gaps=_joined(ordered))


def with_gaps(coverage: Coverage, more: Iterable[Gap]) -> Coverage:
    """Return a coverage with more gaps, which lie beside what was examined."""
    gaps = sorted((*coverage.gaps, *more), key=lambda gap: gap.start)
    return Coverage(examined=coverage.examined, frames=coverage.frames, gaps=tuple(gaps))


def without(coverage: Coverage, damaged: Sequence[Gap], *, whole: Interval) -> Coverage:
    """Take out of what was looked over the damage that others met between two looks.

    Args:
        coverage: Of the stretch ``whole``.
        damaged: What cannot have been seen.
        whole: What ought to have been examined, in media seconds.
    """
    if not damaged:
        return coverage
    holes = [(gap.start, gap.end) for gap in damaged]
    examined = [part for one in coverage.examined for part in subtract_intervals(one, holes)]
    return partition(whole, examined, (*coverage.gaps, *damaged), frames=coverage.frames)


def _joined(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Join neighbours with one reason."""
    joined: list[Gap] = []
    for gap in gaps:
        last = joined[-1] if joined else None
        if last and last.reason == gap.reason and gap.start - last.end <= SLIVER:
            joined[-1] = Gap(start=last.start, end=gap.end, reason=gap.reason)
        else:
            joined.append(gap)
    return tuple(joined)


def clean_text(text: str, *, longest: int) -> str:
    """Return hostile text as one printable line of at most ``longest`` characters.

    Control, format (text direction, invisible) and lone surrogate characters become
    spaces; the joiners that Persian and Indic words need stay. Of endless text only the
    beginning is looked at.
    """
    text = text[: 4 * longest]
    kept = (c if c in "\u200c\u200d" or unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join("".join(kept).split())[:longest].rstrip()


def record(stage: str, error: BaseException) -> ErrorRecord:
    """Return the record of an error that was survived."""
    message, next_step = _told(error)
    name = failure_of(error)
    return ErrorRecord(
        stage=stage,
        type=name,
        message=clean_text(message, longest=_LONGEST_MESSAGE) or name,
        next_step=clean_text(next_step, longest=_LONGEST_MESSAGE),
    )


def failure_of(error: BaseException) -> str:
    """Return the name of an error's class, safe to print."""
    return clean_text(type(error).__name__, longest=100) or "Exception"


def _told(error: BaseException) -> tuple[str, str]:
    """Return the message and next step of an error, whatever class a plug-in made of it."""
    try:
        if isinstance(error, MmcrimeError):
            return str(error.message), str(error.next_step)
        return str(error), _REPORT_IT
    except BaseException:  # noqa: BLE001 - border: a plug-in's exception may raise when asked for its text; nothing is awaited here, so no cancellation is lost
        return "", _REPORT_IT
