"""The embedded analyzer ``motion``: does anything move like a physical fight?

It looks at every second of a video, at a few small grey frames a second, and judges
windows of two seconds with a small logistic model. It sees violent motion and nothing
else: stillness is no sign that nothing was stolen.

A stretch counts as examined only if something can be said of it. A picture that shows
nothing (dark, covered, uniform) and motion unlike any that the model was fitted on are
gaps; a place that is seen and in which nothing moves holds no violent motion.
"""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import ClassVar, Literal
from uuid import uuid4

from mmcrime.analyzers.motion_coverage import BLIND, STRANGE, coverage, pictured, segments
from mmcrime.analyzers.motion_features import LONGEST_PAIR, SHORTEST_WINDOW, WINDOW
from mmcrime.analyzers.motion_model import RUN, Bar, clip_logit, load_model, sigmoid
from mmcrime.analyzers.motion_pass import Examined, examine
from mmcrime.errors import BudgetExceededError
from mmcrime.evidence import Coverage, Evidence, MediaKind
from mmcrime.plugins import Analyzer, PluginOptions, RunContext
from mmcrime.reports.words import span
from mmcrime.results import (
    LOCAL_COST,
    Assessment,
    AssessmentKind,
    ErrorRecord,
    Outcome,
    Usage,
)
from mmcrime.taxonomy import crime_type

__all__ = ["MotionAnalyzer", "MotionOptions"]

_CRIME_TYPE = "fighting"
_LEAST_EXAMINED = 0.8
"""Share of a video that must have been judged before "no violent motion" is said of it."""
GRACE, _GRACE_SHARE = 2.0, 0.2
"""The pass ends this many seconds before the deadline, or with this share of the time left
if that is less, so that what was examined is handed in before nobody waits for it."""
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
            left = context.deadline - loop.time()
            until = time.monotonic() + left - min(GRACE, _GRACE_SHARE * max(left, 0.0))
        cancelled = threading.Event()

        def progress(share: float) -> None:
            loop.call_soon_threadsafe(context.progress, share)

        def work() -> Examined:
            return examine(
                evidence,
                lambda window: self._model.judge(window.features),
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
        scored = found.scored
        if not scored:
            return self._nothing_judged(evidence, found, seen)
        logit = clip_logit([window.logit for window in scored])
        # The same with the strange windows at even odds, in which anything may happen.
        doubt = clip_logit([0.0 if w.basis == "strange" else w.logit for w in found.windows])
        bar = self._model.bar(len(scored))
        outcome = self._outcome(logit, doubt, bar, seen)
        detected = outcome == "detected"
        # Calibration was measured on clips of a few seconds that the model could judge; over
        # longer videos the highest score has more chances to be high.
        known = all(window.basis == "model" for window in found.windows)
        calibrated = known and len(found.windows) <= RUN
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
            probability=sigmoid(logit),
            probability_source="calibrated" if calibrated else "measured",
            severity=crime_type(_CRIME_TYPE).severity if detected else "none",
            evidence_description=self._description(outcome, logit, found, seen)
            + self._by_chance(logit, doubt, bar)
            + _SEES,
            alternative_interpretations=_QUIET if outcome == "not_detected" else _INNOCENT,
            segments=segments(scored, detected=self._model.detected, crime_type=_CRIME_TYPE),
            coverage=seen,
            usage=Usage(calls=0),
            cost=LOCAL_COST,
            card={"model": self._model.label, **self._model.card},
        )

    def _outcome(self, logit: float, doubt: float, bar: Bar | None, seen: Coverage) -> Outcome:
        """Decide; both answers must hold with the strange windows at even odds, too.

        Two judged windows amid wild motion that nobody can judge are no fight that lasts,
        and what nobody can judge must not vanish in a gap either. "Not detected" is said
        only of a video that was looked at almost whole.
        """
        if bar is not None and min(logit, doubt) >= bar.logit:
            return "detected"
        low = sigmoid(max(logit, doubt)) < self._model.not_detected
        if low and seen.seconds >= _LEAST_EXAMINED * pictured(seen):
            return "not_detected"
        return "undetermined"

    def _description(self, outcome: Outcome, logit: float, found: Examined, seen: Coverage) -> str:
        peak = max(found.scored, key=lambda window: window.logit)
        where = f"strongest at {span(peak.start, peak.end)}"
        said = {
            "detected": f"Motion like that of a physical fight, {where}",
            "not_detected": "No motion like that of a physical fight",
            "undetermined": "Motion neither clearly like that of a physical fight nor clearly "
            f"unlike it, or too little of the video judged; {where}",
        }[outcome]
        return (
            f"{said} (probability {sigmoid(logit):.2f}; {seen.seconds:.1f} s in "
            f"{found.frames} frames examined). "
        )

    def _by_chance(self, logit: float, doubt: float, bar: Bar | None) -> str:
        """Say what a score like this is worth in a video of this length."""
        first = self._model.bars[0]
        if bar is None:
            most = self._model.bars[-1].windows
            return (
                f"The video is longer than the {most} judged windows (of {WINDOW:.0f} s) up to "
                "which false alarms were simulated, so that nothing is called detected. "
            )
        if doubt < bar.logit <= logit:
            return (
                "Too much of the motion before and after could not be judged for it to count "
                "as detected. "
            )
        if logit >= bar.logit:
            return (
                "At this threshold ordinary footage gives about "
                f"{_rough(bar.alarms_per_hour)} false alarms an hour (simulated). "
            )
        if logit >= first.logit:
            return (
                "In a clip of a few seconds this would count as detected; at that threshold "
                f"ordinary footage gives about {_rough(first.alarms_per_hour)} false alarms "
                "an hour (simulated), so that in a video of this length it may be chance. "
            )
        return ""

    def _nothing_judged(self, evidence: Evidence, found: Examined, seen: Coverage) -> Assessment:
        """Say why: there are pictures and they were not judged, which is no "no"."""
        if found.stopped == "deadline":
            raise BudgetExceededError(
                f"The deadline came before {evidence.media.name!r} could be judged by motion.",
                next_step="Allow more time.",
            )
        reasons = {gap.reason for gap in seen.gaps}
        message = (
            f"Of {found.frames!r} frames no stretch of {SHORTEST_WINDOW!r} s has at least "
            f"one frame every {LONGEST_PAIR!r} s, so that motion cannot be measured."
        )
        next_step = "Give a longer or less damaged video with at least 4 frames a second."
        if STRANGE in reasons:
            message = f"The motion in {found.frames!r} frames is {STRANGE.partition(': ')[2]}."
            next_step = "Have a person look, or add an analyzer that judges pictures."
        elif BLIND in reasons:
            message = f"In {found.frames!r} frames {BLIND.partition(': ')[2]}."
            next_step = "See whether the camera is covered, unlit or broken."
        return self._unjudged("failed", f"Not judged: {message}", next_step, seen)

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


def _rough(number: float) -> str:
    """Return a figure to one digit that counts: 0.3, 2, 20."""
    return f"{float(f'{number:.1g}'):g}"
