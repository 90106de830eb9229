"""The embedded analyzer ``motion``: does anything move like a physical fight?

It looks at every second of a video, at a few small grey frames a second, and judges
windows of two seconds with a small logistic model. It sees violent motion and nothing
else: stillness is no sign that nothing was stolen.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal
from uuid import uuid4

from mmcrime.analyzers.motion_features import LONGEST_PAIR, SHORTEST_WINDOW
from mmcrime.analyzers.motion_model import RUN, MotionModel, clip_logit, load_model, sigmoid
from mmcrime.analyzers.motion_pass import Examined, Scored, coverage, examine
from mmcrime.errors import BudgetExceededError
from mmcrime.evidence import Coverage, Evidence, MediaKind
from mmcrime.plugins import Analyzer, PluginOptions, RunContext
from mmcrime.results import (
    LOCAL_COST,
    Assessment,
    AssessmentKind,
    ErrorRecord,
    Outcome,
    Segment,
    Usage,
)
from mmcrime.taxonomy import crime_type

__all__ = ["MotionAnalyzer", "MotionOptions"]

_CRIME_TYPE = "fighting"
_LEAST_EXAMINED = 0.8
"""Share of a video that must have been judged before "no violent motion" is said of it."""
_ALIKE = 0.1
"""Scores that differ by less are merged into one segment."""
_SEES = (
    "Only motion that looks like a physical fight is judged: theft, fire, weapons and "
    "threats without a struggle are not seen."
)
_INNOCENT = (
    "Sport, dancing, play and running crowds move like fights.",
    "A shaking or zooming camera, or a person close to it, moves much of the picture.",
)
_QUIET = ("An incident without violent motion, far away or hidden, would look the same.",)


class MotionOptions(PluginOptions):
    """Options of `MotionAnalyzer`.

    Attributes:
        model: A model file of the training script; None for the shipped one.
    """

    model: Path | None = None


class MotionAnalyzer(Analyzer):
    """Judges violent motion in video, with a model that ships with the package.

    Args:
        model: A model file of the training script; None for the shipped one.

    Raises:
        ModelNotFoundError: If the model is missing or malformed.
    """

    name: ClassVar[str] = "motion"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"video"})
    kind: ClassVar[AssessmentKind] = "motion"
    family: ClassVar[str] = "motion"
    Options: ClassVar[type[PluginOptions]] = MotionOptions

    def __init__(self, *, model: Path | None = None) -> None:
        self._model = load_model(model)

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Look at the whole video and say whether anything moves like a fight.

        Raises:
            MediaError: If nothing of the video can be decoded.
            BudgetExceededError: If the deadline came before anything could be judged.
        """
        if evidence.media.kind not in self.modalities:
            return self._unjudged(
                "skipped",
                f"{evidence.media.kind!r} has no motion to judge.",
                "Give a video.",
                Coverage(),
            )
        loop = asyncio.get_running_loop()
        until = None
        if context.deadline is not None:
            until = time.monotonic() + context.deadline - loop.time()
        cancelled = threading.Event()

        def progress(share: float) -> None:
            loop.call_soon_threadsafe(context.progress, share)

        def work() -> Examined:
            return examine(
                evidence,
                lambda window: self._model.logit(window.features),
                until=until,
                cancelled=cancelled,
                progress=progress,
            )

        try:
            found = await asyncio.to_thread(work)
        finally:
            cancelled.set()
        return self._answer(evidence, found)

    def _answer(self, evidence: Evidence, found: Examined) -> Assessment:
        seen = coverage(found, evidence)
        if not found.scored:
            if found.stopped == "deadline":
                raise BudgetExceededError(
                    f"The deadline came before {evidence.media.name!r} could be judged by motion.",
                    next_step="Allow more time.",
                )
            # There are pictures and they were not judged: a dead part, not a part unasked.
            return self._unjudged(
                "failed",
                f"Of {found.frames!r} frames no stretch of {SHORTEST_WINDOW!r} s has at least "
                f"one frame every {LONGEST_PAIR!r} s, so that motion cannot be measured.",
                "Give a longer or less damaged video with at least 4 frames a second.",
                seen,
            )
        probability = sigmoid(clip_logit([window.logit for window in found.scored]))
        outcome = self._outcome(probability, seen)
        detected = outcome == "detected"
        # Calibration was measured on clips of a few seconds; over longer videos the highest
        # score has more chances to be high, so that the number is a measurement only.
        calibrated = len(found.scored) <= RUN
        return Assessment(
            id=f"motion-{uuid4().hex[:12]}",
            analyzer=self.name,
            kind=self.kind,
            runs=self.runs,
            family=self.family,
            provider="embedded",
            model=self._model.label,
            status="answered",
            outcome=outcome,
            crime_type=_CRIME_TYPE if detected else None,
            probability=probability,
            probability_source="calibrated" if calibrated else "measured",
            severity=crime_type(_CRIME_TYPE).severity if detected else "none",
            evidence_description=self._description(outcome, probability, found, seen),
            alternative_interpretations=_QUIET if outcome == "not_detected" else _INNOCENT,
            segments=_segments(found.scored, self._model),
            coverage=seen,
            usage=Usage(calls=0),
            cost=LOCAL_COST,
            card={"model": self._model.label, **self._model.card},
        )

    def _outcome(self, probability: float, seen: Coverage) -> Outcome:
        """Decide. "Not detected" is said only of a video that was looked at almost whole."""
        if probability >= self._model.detected:
            return "detected"
        missed = sum(gap.end - gap.start for gap in seen.gaps)
        whole = seen.seconds + missed
        if probability < self._model.not_detected and seen.seconds >= _LEAST_EXAMINED * whole:
            return "not_detected"
        return "undetermined"

    def _description(
        self, outcome: Outcome, probability: float, found: Examined, seen: Coverage
    ) -> str:
        peak = max(found.scored, key=lambda window: window.logit)
        said = {
            "detected": f"Motion like that of a physical fight, strongest from {peak.start:.1f} s "
            f"to {peak.end:.1f} s",
            "not_detected": "No motion like that of a physical fight",
            "undetermined": "Motion neither clearly like that of a physical fight nor clearly "
            "unlike it, or too little of the video examined",
        }[outcome]
        return (
            f"{said} (probability {probability:.2f}; {seen.seconds:.1f} s in "
            f"{found.frames} frames examined). {_SEES}"
        )

    def _unjudged(
        self, status: Literal["skipped", "failed"], message: str, next_step: str, seen: Coverage
    ) -> Assessment:
        return Assessment(
            id=f"motion-{uuid4().hex[:12]}",
            analyzer=self.name,
            kind=self.kind,
            runs=self.runs,
            family=self.family,
            provider="embedded",
            model=self._model.label,
            status=status,
            coverage=seen,
            usage=Usage(calls=0),
            cost=LOCAL_COST,
            error=ErrorRecord(
                stage=f"analyze:{self.name}",
                type="TooLittleEvidence",
                message=message,
                next_step=next_step,
            ),
        )


def _segments(scored: Sequence[Scored], model: MotionModel) -> tuple[Segment, ...]:
    """Turn overlapping windows into segments that follow each other.

    The score of an instant is the mean over the windows that hold it; neighbours with
    like scores are merged, weighted by length.
    """
    merged: list[tuple[float, float, float]] = []
    first = 0
    for start, end in pairwise(sorted({t for w in scored for t in (w.start, w.end)})):
        while scored[first].end <= start:
            first += 1
        over = []
        for window in scored[first:]:
            if window.start >= end:
                break
            over.append(sigmoid(window.logit))
        if not over:
            continue
        score = sum(over) / len(over)
        if merged and merged[-1][1] == start and abs(merged[-1][2] - score) < _ALIKE:
            at, until, before = merged[-1]
            mean = (before * (until - at) + score * (end - start)) / (end - at)
            merged[-1] = (at, end, mean)
        else:
            merged.append((start, end, score))
    return tuple(
        Segment(
            start=start,
            end=end,
            score=min(1.0, score),
            crime_type=_CRIME_TYPE if score >= model.detected else None,
        )
        for start, end, score in merged
    )
