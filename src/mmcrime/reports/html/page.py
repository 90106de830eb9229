"""One report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcrime.reports.html import curves, details
from mmcrime.reports.html.answer import answer, title
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.environment import fill
from mmcrime.reports.html.figures import FAR
from mmcrime.reports.html.incidents import incidents
from mmcrime.reports.html.lanes import lanes
from mmcrime.reports.html.people import comparisons, voters
from mmcrime.reports.html.pictures import left_out, pictures, spread
from mmcrime.reports.words import facts, wall

_SHEET = 12


def render(report: Mapping[str, Any]) -> str:
    """Return a report as one whole HTML page.

    It holds no script and no address of anything else, and everything in it is escaped:
    it can be mailed, archived and printed.

    Args:
        report: What ``Report.to_dict(thumbnails=True)`` gives; without thumbnails the page
            has no pictures.
    """
    media, evidence = report["media"], report.get("evidence") or {}
    axis = Axis.of(report)
    shown = pictures(report)
    name, source = title(report)
    return fill(
        "page.html",
        name=name,
        source="" if source == name else source,
        facts=facts({**media, "recorded_at": wall(media.get("recorded_at"), 0.0)}),
        kind=media.get("kind"),
        answer=answer(report),
        axis=axis,
        incidents=incidents(report, axis, shown),
        curves=_curves(report, axis),
        lanes=lanes(report, axis) if axis else (),
        unseen=details.not_seen(report),
        voters=voters(report),
        votes=(report["verdict"]["votes_answered"], report["verdict"]["votes_asked"]),
        comparisons=comparisons(report),
        heard=details.heard(report),
        sent=details.sent(report),
        sheet=spread(shown, _SHEET),
        left_out=left_out(report, shown),
        frames=len(evidence.get("frames") or ()),
        interval=_interval(evidence.get("frame_interval")),
        file=details.file_facts(report),
        run=details.run_facts(report),
        timings=details.timings(report),
        versions=details.versions(report),
        errors=details.errors(report),
    )


def _interval(seconds: float | None) -> str:
    return f"{seconds:g} s" if seconds and abs(seconds) < FAR else ""


def _curves(report: Mapping[str, Any], axis: Axis | None) -> tuple[curves.Curve, ...]:
    if axis is None:
        return ()
    return curves.score(report, axis), curves.motion(report, axis), curves.sound(report, axis)
