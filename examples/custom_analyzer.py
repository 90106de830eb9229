"""An analyzer of your own in one class: was the camera covered, turned or blinded?

Run it:  python examples/custom_analyzer.py clip.mp4

When most of the picture changes at once and stays changed, somebody may have touched the camera:
`detected`, with a probability that is only claimed, since nobody measured it. When nothing like
that is seen it does not vote: an untouched camera says nothing about what happened in front of
it. To ship an analyzer to others, see examples/plugin.
"""

import asyncio
import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmcrime import Analyzer, Assessment, CrimeDetectionPipeline, Evidence, RunContext, Segment
from mmcrime.evidence import Coverage, MediaKind
from mmcrime.results import LOCAL_COST, AssessmentKind

FPS = 2.0  # looks a second
AROUND = 5  # looks before and after a moment that are compared: 2.5 s
CHANGED = 40  # grey levels (of 255) by which a pixel must differ
SHARE = 0.6  # of the picture that must change; people and cars change less
INNOCENT = ("lights switched on or off", "a cut in edited footage")
CLAIMED = 0.5  # as good as a coin until it is measured on footage of yours
PIECE = 60.0  # seconds decoded at a stretch, so that a deadline is kept and progress is seen


class TamperAnalyzer(Analyzer):
    """Finds moments at which most of the picture changes and stays changed."""

    name: ClassVar[str] = "tamper"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"video"})
    kind: ClassVar[AssessmentKind] = "video"
    family: ClassVar[str] = "tamper"

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Look at small grey pictures, piece by piece, until the end or the deadline."""
        duration = evidence.media.duration or 0.0
        clock = asyncio.get_running_loop()
        times: list[float] = []
        looks: list[NDArray[np.uint8]] = []
        at = 0.0
        while at < duration and (context.deadline is None or clock.time() < context.deadline - 1):
            # Decoding blocks, so it has a thread. Whatever it raises becomes a failed assessment.
            for time, look in await asyncio.to_thread(_decode, evidence, at, at + PIECE):
                times.append(time)
                looks.append(look)
            at += PIECE
            context.progress(min(1.0, at / duration))
        coverage = Coverage.from_times(
            times,  # of what was decoded, never of what was planned
            reach=1.5 / FPS,  # frames do not come exactly when they are asked for
            whole=(0.0, duration),
            reason="deadline" if at < duration else "damaged",
        )
        moments = await asyncio.to_thread(_moments, times, looks)
        return Assessment(
            id=self.name,
            analyzer=self.name,
            kind=self.kind,
            runs=self.runs,
            family=self.family,
            status="answered",
            outcome="detected" if moments else "undetermined",
            probability=CLAIMED if moments else None,
            probability_source="claimed" if moments else None,
            severity="medium" if moments else "none",
            evidence_description=_describe(moments, len(looks)),
            alternative_interpretations=INNOCENT if moments else (),
            segments=tuple(
                Segment(start=start, end=end, score=CLAIMED, text="the whole picture changed")
                for start, end in moments
            ),
            coverage=coverage,
            cost=LOCAL_COST,
        )


def _decode(evidence: Evidence, start: float, end: float) -> list[tuple[float, NDArray[np.uint8]]]:
    frames = evidence.clip(start, end, fps=FPS, max_side=64, grey=True)
    return [(frame.time, frame.pixels) for frame in frames]


def _moments(times: list[float], looks: list[NDArray[np.uint8]]) -> list[tuple[float, float]]:
    """Return the half seconds in which the picture became another one and stayed so."""
    found: list[tuple[float, float]] = []
    for index in range(AROUND, len(looks) - AROUND + 1):
        if _changed(looks[index - 1], looks[index]) < SHARE:
            continue
        # Medians, so that a flash or a bus, which goes away again, does not count.
        before = np.median(looks[index - AROUND : index], axis=0)
        after = np.median(looks[index : index + AROUND], axis=0)
        if _changed(before, after) >= SHARE:
            found.append((times[index - 1], times[index]))
    return found


def _changed(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Return the share of pixels that differ clearly."""
    return float(np.mean(np.abs(after.astype(float) - before.astype(float)) > CHANGED))


def _describe(moments: list[tuple[float, float]], looks: int) -> str:
    if not moments:
        return f"In {looks} looks the picture never changed as a whole."
    return f"The whole picture changed for good at {', '.join(f'{s:.1f} s' for s, _ in moments)}."


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    # Given instances replace the configured analyzers; list those that you want beside yours.
    with CrimeDetectionPipeline(analyzers=[TamperAnalyzer()]) as pipeline:
        print(pipeline.analyze(sys.argv[1], offline=True).to_text())
