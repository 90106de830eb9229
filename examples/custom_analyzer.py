"""An analyzer of your own in one class: was the camera covered, turned or blinded?

Run it:  python examples/custom_analyzer.py clip.mp4

When most of the picture changes at once and stays changed, somebody may have touched the camera:
`detected`, with a probability that is only claimed, since nobody measured it. When nothing like
that is seen it answers `undetermined`: an untouched camera says nothing about what happened in
front of it. That is a vote as well: with it, nobody's "no" becomes the verdict. What was not
compared is a gap, and where nothing was, the analyzer has failed and does not vote. To ship an
analyzer to others, see examples/plugin.
"""

import asyncio
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mmcrime import (
    Analyzer,
    Assessment,
    CrimeDetectionPipeline,
    Evidence,
    MmcrimeError,
    RunContext,
    Segment,
)
from mmcrime.evidence import Coverage, Gap, Interval, MediaKind, subtract_intervals
from mmcrime.results import LOCAL_COST, AssessmentKind, ErrorRecord

FPS = 2.0  # looks a second
AROUND = 5  # looks before and after a moment that are compared: 2.5 s
HOLE = 2 / FPS + 1e-6  # seconds; looks further apart have something missing between them
CHANGED = 40  # grey levels (of 255) by which a pixel must differ
SHARE = 0.6  # of the picture that must change; people and cars change less
INNOCENT = ("lights switched on or off", "a cut in edited footage")
CLAIMED = 0.5  # as good as a coin until it is measured on footage of yours
TOO_CLOSE = "not_judged: too close to an end of what was decoded"


@dataclass
class Watched:
    """What one pass found. It grows with what it finds and with holes, never with pictures."""

    looks: int = 0
    decoded: list[Interval] = field(default_factory=list)
    judged: list[Interval] = field(default_factory=list)
    moments: list[Interval] = field(default_factory=list)
    stopped: str = "damaged"  # why there is nothing after the last look


class TamperAnalyzer(Analyzer):
    """Finds moments at which most of the picture changes and stays changed."""

    name: ClassVar[str] = "tamper"
    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"video"})
    kind: ClassVar[AssessmentKind] = "video"
    family: ClassVar[str] = "tamper"

    async def analyze(self, evidence: Evidence, context: RunContext) -> Assessment:
        """Look at small grey pictures until the end or shortly before the deadline."""
        loop, stop, until = asyncio.get_running_loop(), threading.Event(), math.inf
        if context.deadline is not None:
            left = context.deadline - loop.time()
            until = time.monotonic() + left - min(1.0, 0.2 * left)  # an answer takes time as well

        def go_on(at: float) -> bool:
            if evidence.media.duration:
                share = min(1.0, at / evidence.media.duration)
                loop.call_soon_threadsafe(context.progress, share)
            return not stop.is_set() and time.monotonic() < until

        try:
            # Decoding blocks, so it has a thread. Whatever it raises becomes a failed assessment.
            seen = await asyncio.to_thread(_watch, evidence, go_on)
        finally:
            stop.set()  # nobody waits any longer, and a thread does not notice by itself
        return self._answer(seen, _coverage(seen, evidence))

    def _answer(self, seen: Watched, coverage: Coverage) -> Assessment:
        moments = seen.moments
        if not seen.judged:
            return self._failed(seen, coverage)
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
            evidence_description=_describe(moments, coverage),
            alternative_interpretations=INNOCENT if moments else (),
            segments=tuple(
                Segment(start=start, end=end, score=CLAIMED, text="the whole picture changed")
                for start, end in moments
            ),
            coverage=coverage,
            cost=LOCAL_COST,
        )

    def _failed(self, seen: Watched, coverage: Coverage) -> Assessment:
        """Say why nothing was judged: a dead part never passes for an answer."""
        early = seen.stopped == "deadline"
        return Assessment(
            id=self.name,
            analyzer=self.name,
            kind=self.kind,
            runs=self.runs,
            family=self.family,
            status="failed",
            coverage=coverage,
            cost=LOCAL_COST,
            error=ErrorRecord(
                stage=f"analyze:{self.name}",
                type="TooLittleEvidence",
                message=f"Not judged: {seen.looks} looks"
                + (" until the deadline" if early else "")
                + f", and it takes {2 * AROUND} in a row to compare before with after.",
                next_step="Allow more time." if early else "Give a longer or less damaged video.",
            ),
        )


def _watch(evidence: Evidence, go_on: Callable[[float], bool]) -> Watched:
    """Pass once over the video, holding as many looks as are compared."""
    seen = Watched()
    times: deque[float] = deque(maxlen=2 * AROUND)
    looks: deque[NDArray[np.uint8]] = deque(maxlen=2 * AROUND)
    for frame in evidence.clip(0.0, math.inf, FPS, max_side=64, grey=True):
        if not go_on(frame.time):
            seen.stopped = "deadline"
            break
        if looks and (frame.time - times[-1] > HOLE or frame.pixels.shape != looks[-1].shape):
            times.clear()  # what lies before a hole is not compared with what lies after it
            looks.clear()
        began = seen.decoded.pop()[0] if looks else frame.time
        seen.decoded.append((began, frame.time + 1 / FPS))
        seen.looks += 1
        times.append(frame.time)
        looks.append(frame.pixels)
        if len(looks) == 2 * AROUND:  # the moment in the middle can be judged
            start, end = times[AROUND - 1], times[AROUND]
            follows = bool(seen.judged) and seen.judged[-1][1] == start
            seen.judged.append((seen.judged.pop()[0] if follows else start, end))
            if _changed_for_good(list(looks)):
                seen.moments.append((start, end))
    return seen


def _changed_for_good(looks: list[NDArray[np.uint8]]) -> bool:
    """Tell whether the picture becomes another one in the middle of some looks, and stays so."""
    if _changed(looks[AROUND - 1], looks[AROUND]) < SHARE:
        return False
    # Medians, so that a flash or a bus, which goes away again, does not count.
    before, after = np.median(looks[:AROUND], axis=0), np.median(looks[AROUND:], axis=0)
    return _changed(before, after) >= SHARE


def _changed(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Return the share of pixels that differ clearly."""
    return float(np.mean(np.abs(after.astype(float) - before.astype(float)) > CHANGED))


def _coverage(seen: Watched, evidence: Evidence) -> Coverage:
    """Return what was judged, never what was planned, and why the rest was not."""
    last = seen.decoded[-1][1] if seen.decoded else 0.0
    end = evidence.media.duration or last
    # Each reason holds where none before it did.
    spans = [(TOO_CLOSE, start, until) for start, until in seen.decoded]
    spans += [(known.reason, known.start, known.end) for known in evidence.video.gaps]
    spans += [(seen.stopped, last, end), ("damaged", 0.0, end)]
    taken, gaps = list(seen.judged), list[Gap]()
    for reason, start, until in spans:
        left = subtract_intervals((max(start, 0.0), min(until, end)), taken)
        taken += left
        gaps += [Gap(start=a, end=b, reason=reason) for a, b in left if b - a > 1e-3]
    gaps.sort(key=lambda gap: gap.start)
    return Coverage(examined=tuple(seen.judged), frames=seen.looks, gaps=tuple(gaps))


def _describe(moments: list[Interval], coverage: Coverage) -> str:
    if not moments:
        judged = f"In the {coverage.seconds:.1f} s that were judged"
        return f"{judged}, the whole picture never changed at once and stayed so."
    more = f" and {len(moments) - 5} times more" if len(moments) > 5 else ""
    times = ", ".join(f"{start:.1f} s" for start, _ in moments[:5])
    return f"The whole picture changed at once, for most of {AROUND / FPS} s, at {times}{more}."


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        # Given instances replace the configured analyzers; list those that you want beside yours.
        with CrimeDetectionPipeline(analyzers=[TamperAnalyzer()]) as pipeline:
            print(pipeline.analyze(sys.argv[1], offline=True).to_text())
    except MmcrimeError as error:
        sys.exit(str(error))  # the message says what to do about it
