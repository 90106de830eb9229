"""A report as a small fragment for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcrime.reports.html.answer import answer, title
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.details import sounds
from mmcrime.reports.html.environment import fill
from mmcrime.reports.html.incidents import incidents
from mmcrime.reports.html.pictures import pictures
from mmcrime.reports.missed import unseen
from mmcrime.reports.words import SOUND_NAMES, clean, clock, facts

_PICTURES = 3
_GAPS = 3
_SOUNDS = 5


def compact(report: Mapping[str, Any]) -> str:
    """Return a report as a fragment of HTML for a page of somebody else.

    It inherits colours and letters, brings no style sheet and no id, so that it can stand
    on a page many times.

    Args:
        report: What ``Report.to_dict(thumbnails=True)`` gives.
    """
    axis = Axis.of(report)
    gaps = unseen(report)
    said = [f"{', '.join(gap.who)}: {gap.where()} ({gap.reason})" for gap in gaps[:_GAPS]]
    if len(gaps) > _GAPS:
        said.append(f"and {len(gaps) - _GAPS} more")
    return fill(
        "compact.html",
        name=title(report)[0],
        facts=facts({**report["media"], "recorded_at": None}),
        answer=answer(report),
        axis=axis,
        incidents=incidents(report, axis, pictures(report), cards=_PICTURES),
        heard=_heard(report),
        unseen="; ".join(said) or "no gaps",
    )


def _heard(report: Mapping[str, Any]) -> str:
    """Return the strongest sounds in words; what was said is on the page only."""
    found = sounds(report, _SOUNDS)
    said = [
        f"{SOUND_NAMES.get(s['label'], clean(s['label'], limit=80))} at {clock(s['peak'])}"
        for s in found.items
    ]
    return "; ".join([*said, f"and {found.more} more"] if found.more else said)
