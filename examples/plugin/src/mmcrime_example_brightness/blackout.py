"""Says when the picture was too dark to show anything: lens covered, lights out, signal lost."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import numpy as np
from pydantic import Field

from mmcrime.evidence import (
    Coverage,
    Evidence,
    Gap,
    Interval,
    MediaKind,
    merge_intervals,
    subtract_intervals,
)
from mmcrime.plugins import Analyzer, PluginOptions, RunContext
from mmcrime.results import LOCAL_COST, Assessment, AssessmentKind, ErrorRecord

_LOOKS_PER_SECOND = 2.0
_REACH = 1.5 / _LOOKS_PER_SECOND  # frames do not come exactly when they are asked for
_MAX_SIDE = 64  # brightness needs no detail


class BlackoutOptions(PluginOptions):
    """Settings, checked before the analyzer is made.

    Attributes:
        darkest: A picture is black when 99 % of its pixels are at most this bright (0 to 255).
            Studio-range video puts black at 16; the default leaves room for sensor noise.
    """

    darkest: int = Field(default=24, ge=0, le=255)


class BlackoutAnalyzer(Analyzer):
    """Finds stretches in which the picture is black.

    A black picture is neither an incident nor proof that there was none: the outcome is always
    ``undetermined``, and what was black counts as not examined.
    """

    name: ClassVar[str] = "blackout"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"video"})
    kind: ClassVar[AssessmentKind] = "video"
    family: ClassVar[str] = "brightness"
    Options: ClassVar[type[PluginOptions]] = BlackoutOptions

    def __init__(self, *, darkest: int = 24) -> None:
        self._darkest = darkest

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Look at two small pictures a second and say which stretches were black."""
        if evidence.media.duration is None:
            return self._skipped(context)
        times, black = await asyncio.to_thread(self._look, evidence, evidence.media.duration)
        seen = Coverage.from_times(times, reach=_REACH, whole=(0.0, evidence.media.duration))
        dark = merge_intervals(
            _around(black, evidence.media.duration), join=_REACH - 1 / _LOOKS_PER_SECOND
        )
        return Assessment(
            id=f"{context.request_id}:{self.name}",
            analyzer=self.name,
            kind=self.kind,
            runs=self.runs,
            family=self.family,
            status="answered",
            outcome="undetermined",
            evidence_description=_describe(dark, len(times)),
            coverage=_without(seen, dark),
            cost=LOCAL_COST,
            flags=("picture_black",) if dark else (),
        )

    def _look(self, evidence: Evidence, duration: float) -> tuple[list[float], list[float]]:
        """Return the times of all pictures, and of the black ones."""
        times, black = [], []
        for frame in evidence.clip(
            0.0, duration, fps=_LOOKS_PER_SECOND, max_side=_MAX_SIDE, grey=True
        ):
            times.append(frame.time)
            # Not the maximum: one hot pixel or a burnt-in clock does not make a view.
            if np.percentile(frame.pixels, 99) <= self._darkest:
                black.append(frame.time)
        return times, black

    def _skipped(self, context: RunContext) -> Assessment:
        return Assessment(
            id=f"{context.request_id}:{self.name}",
            analyzer=self.name,
            kind=self.kind,
            runs=self.runs,
            family=self.family,
            status="skipped",
            cost=LOCAL_COST,
            error=ErrorRecord(
                stage=f"analyze:{self.name}",
                type="UnknownDuration",
                message="The length of the video is not known.",
                next_step="Remux the file so that it states its length.",
            ),
        )


def _around(times: list[float], duration: float) -> list[Interval]:
    """Return the stretch that each look stands for, within the video."""
    return [(time, min(time + 1 / _LOOKS_PER_SECOND, duration)) for time in times]


def _without(seen: Coverage, dark: tuple[Interval, ...]) -> Coverage:
    """Return ``seen`` with the dark stretches moved from examined to gaps."""
    gaps = [*seen.gaps, *(Gap(start=s, end=e, reason="black: nothing to see") for s, e in dark)]
    examined = [rest for whole in seen.examined for rest in subtract_intervals(whole, dark)]
    return Coverage(
        examined=tuple(examined),
        frames=seen.frames,
        gaps=tuple(sorted(gaps, key=lambda gap: gap.start)),
    )


def _describe(dark: tuple[Interval, ...], looks: int) -> str:
    if not looks:
        return "No picture could be decoded."
    if not dark:
        return f"None of {looks} pictures was black."
    spans = ", ".join(f"{start:.1f} to {end:.1f} s" for start, end in dark)
    return f"The picture was black at {spans}: what happened then cannot be seen."
