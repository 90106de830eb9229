"""Compares found events with what is in a mix: hits, misses, false alarms, onset errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmcrime.evidence import SoundEvent, SoundLabel
from soundscape.mixing import Truth

__all__ = ["TOLERANCE", "Match", "match", "wilson"]

TOLERANCE = 0.25
"""Seconds by which the start of an event may be off and still count as found."""
_BANG = 0.5  # seconds of one bang at most; what follows in its event are blows like it


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """What became of the events of one label in one mix.

    Attributes:
        found: What was found in time.
        late: What was overlapped by an event of its label that starts elsewhere.
        missed: What was overlapped by none.
        errors: Onset error in seconds of each found or late one: that of the overlapping
            event that starts nearest; positive when it starts late.
        alarms: Events that overlap nothing of their label.
    """

    found: tuple[Truth, ...]
    late: tuple[Truth, ...]
    missed: tuple[Truth, ...]
    errors: tuple[float, ...]
    alarms: tuple[SoundEvent, ...]


def match(truths: Sequence[Truth], events: Sequence[SoundEvent], label: SoundLabel) -> Match:
    """Match the events of a label with what is in a mix.

    Something is found when an event of its label starts within `TOLERANCE` of its start.
    Further events inside it (a scream told in two parts, the shots of a burst) are neither
    hits nor false alarms. Of a bang only its first blow counts: the blows that prolong its
    event find nothing and excuse nothing.

    Args:
        truths: All that is in the mix.
        events: All that was heard.
        label: Which of them to look at.
    """
    wanted = [truth for truth in truths if truth.label == label]
    heard = [event for event in events if event.label == label]
    found: list[Truth] = []
    late: list[Truth] = []
    missed: list[Truth] = []
    errors: list[float] = []
    for truth in wanted:
        offsets = [event.start - truth.start for event in heard if _touches(event, truth)]
        if not offsets:
            missed.append(truth)
            continue
        errors.append(min(offsets, key=abs))
        (found if abs(errors[-1]) <= TOLERANCE else late).append(truth)
    alarms = tuple(event for event in heard if not any(_touches(event, t) for t in wanted))
    return Match(
        found=tuple(found),
        late=tuple(late),
        missed=tuple(missed),
        errors=tuple(errors),
        alarms=alarms,
    )


def _touches(event: SoundEvent, truth: Truth) -> bool:
    end = min(event.end, event.start + _BANG) if event.label == "impulsive" else event.end
    return event.start <= truth.end + TOLERANCE and end >= truth.start - TOLERANCE


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share; (0, 1) when nothing was counted."""
    if not total:
        return 0.0, 1.0
    z2, share = 1.96**2, hits / total
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) * 1.96 / (1 + z2 / total)
    return max(0.0, middle - half), min(1.0, middle + half)
