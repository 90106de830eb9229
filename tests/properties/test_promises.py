"""The promises under faults injected at every stage of real runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from footage import clicks, steady, write_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmcrime import CrimeDetectionPipeline, Settings
from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.analyzers.sound import SoundAnalyzer
from mmcrime.errors import CorruptMediaError
from mmcrime.evidence import AudioWindow, MediaKind, TranscriptSegment
from mmcrime.fusion import fuse
from mmcrime.media.handle import MediaHandle, open_media
from mmcrime.perceive.sound_events import SoundEventDetector
from mmcrime.pipeline.compose import compose
from mmcrime.plugins import Analyzer, Transcriber
from mmcrime.results import Assessment, AssessmentKind, Report, Segment

FAULTS: tuple[Callable[[], BaseException], ...] = (
    lambda: CorruptMediaError("injected", source="clip"),
    lambda: RuntimeError("injected"),
    lambda: MemoryError("injected"),
    lambda: OSError(5, "injected"),
    lambda: UnicodeDecodeError("utf-8", b"\xa9", 0, 1, "injected"),
)
STAGES = ("open", "frames", "clip", "audio", "motion", "detector", "fuse", "compose")


class Faulty(MediaHandle):
    """A real handle whose decoders die after a number of items."""

    plan: dict[str, tuple[int, Callable[[], BaseException]]]
    struck: set[str]

    def _dying(self, stage: str, items: Iterator[Any]) -> Iterator[Any]:
        after, fault = self.plan.get(stage, (1 << 60, RuntimeError))
        for number, item in enumerate(items):
            if number >= after:
                self.struck.add(stage)
                raise fault()
            yield item

    def frames(self, *a: Any, **k: Any) -> Iterator[Any]:
        return self._dying("frames", super().frames(*a, **k))

    def clip(self, *a: Any, **k: Any) -> Iterator[Any]:
        return self._dying("clip", super().clip(*a, **k))

    def audio(self, *a: Any, **k: Any) -> Iterator[Any]:
        return self._dying("audio", super().audio(*a, **k))

    def motion(self, **k: Any) -> Any:
        if "motion" in self.plan:
            self.struck.add("motion")
            raise self.plan["motion"][1]()
        return super().motion(**k)


class Mute(Transcriber):
    """A speech engine that works, or dies."""

    name = "mute"
    remote: ClassVar[bool] = False
    reliability: ClassVar[Literal["low"]] = "low"

    def __init__(self, fault: Callable[[], BaseException] | None) -> None:
        self.fault = fault

    async def transcribe(
        self, window: AudioWindow, *, language: str
    ) -> Sequence[TranscriptSegment]:
        if self.fault is not None:
            raise self.fault()
        return ()


class Fated(Analyzer):
    """An analyzer that answers, refuses or dies as drawn."""

    modalities: ClassVar[frozenset[MediaKind]] = frozenset({"video"})
    kind: ClassVar[AssessmentKind] = "llm"
    family = "fated"

    def __init__(self, name: str, fate: str) -> None:
        self.name = name  # type: ignore[misc]  # several instances of one test class
        self.fate = fate

    async def analyze(self, evidence: Any, context: Any) -> Assessment:
        await asyncio.sleep(0)
        base: dict[str, Any] = {
            "id": self.name, "analyzer": self.name, "kind": "llm", "runs": "local",
            "family": "fated", "provider": "fated", "model": self.name,
            "coverage": evidence.video,
        }  # fmt: skip
        answers: dict[str, dict[str, Any]] = {
            "detected": {"outcome": "detected", "probability": 0.9},
            "not_detected": {"outcome": "not_detected", "probability": 0.1},
            "unsure": {"outcome": "undetermined", "probability": 0.5},
        }
        if self.fate in answers:
            return Assessment(
                **base, status="answered", probability_source="claimed", **answers[self.fate]
            )
        if self.fate == "outside":
            late = (Segment(start=0, end=1e6, score=1.0),)
            return Assessment(
                **base, status="answered", outcome="detected", probability=1.0,
                probability_source="claimed", segments=late,
            )  # fmt: skip
        if self.fate == "false":
            return False  # type: ignore[return-value]  # a lie, on purpose
        raise FAULTS[len(self.name) % len(FAULTS)]()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of something that moves, with sound."""
    target = tmp_path_factory.mktemp("promises") / "clip.mp4"
    write_clip(target, times=steady(3.0), sound=clicks(3.0, [1.0, 2.0]))
    return target


PLANS = st.dictionaries(
    st.sampled_from(STAGES), st.tuples(st.integers(0, 3), st.sampled_from(FAULTS)), max_size=4
)
FATES = st.lists(
    st.sampled_from(["detected", "not_detected", "unsure", "dead", "outside", "false"]),
    max_size=4,
)


def run(
    clip: Path, plan: dict[str, Any], fates: list[str], *, speech_dies: bool, min_votes: int
) -> tuple[Report, set[str]]:
    """Run the real pipeline over a real clip; also return the stages that really died."""
    struck: set[str] = set()

    def dying(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*a: Any, **k: Any) -> Any:
            if stage in plan:
                struck.add(stage)
                raise plan[stage][1]()
            return work(*a, **k)

        return call

    def faulty(*a: Any, **k: Any) -> MediaHandle:
        handle = open_media(*a, **k)
        handle.__class__ = Faulty
        handle.plan, handle.struck = plan, struck  # type: ignore[attr-defined]  # a Faulty now
        return handle

    analyzers: list[Analyzer] = [Fated(f"fated{'x' * i}", fate) for i, fate in enumerate(fates)]
    transcriber = Mute(FAULTS[1] if speech_dies else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmcrime.pipeline.job.open_media", dying("open", faulty))
        patch.setattr("mmcrime.pipeline.run.fuse", dying("fuse", fuse))
        patch.setattr("mmcrime.pipeline.compose.compose", dying("compose", compose))
        patch.setattr(SoundEventDetector, "feed", dying("detector", SoundEventDetector.feed))
        with CrimeDetectionPipeline(
            Settings(min_votes=min_votes),
            analyzers=[MotionAnalyzer(), SoundAnalyzer(), *analyzers],
            transcriber=transcriber,
        ) as pipeline:
            (report,) = pipeline.analyze_many([clip])
            return report, struck


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=PLANS, fates=FATES, speech_dies=st.booleans(), min_votes=st.integers(1, 4))
def test_no_fault_anywhere_becomes_an_answer(
    clip: Path, plan: dict[str, Any], fates: list[str], speech_dies: bool, min_votes: int
) -> None:
    result, struck = run(clip, plan, fates, speech_dies=speech_dies, min_votes=min_votes)
    verdict = result.verdict
    if not result.assessments:
        # The run ended early: nothing was judged, and the report says why.
        assert (
            struck & {"open", "fuse", "compose"}
            or {"frames", "audio", "motion"} <= struck
            or (not fates and {"frames", "motion"} <= struck)
        )
        assert verdict.outcome == "undetermined"
        assert result.errors
        assert verdict.reasons[0].next_step
        return
    alive = [a for a in result.assessments if a.status == "answered"]
    # Promise 1: an outcome comes from the living, and undetermined says why and what next.
    if verdict.outcome == "undetermined":
        assert all(r.text and r.next_step for r in verdict.reasons)
        assert verdict.reasons
    if verdict.outcome == "detected":
        assert any(a.outcome == "detected" for a in alive)
    if verdict.outcome == "not_detected":
        assert alive
        assert all(a.outcome == "not_detected" for a in alive)
        living = {a.kind for a in alive}
        assert all(a.kind in living for a in result.assessments if a.status == "failed")
    # Promise 2: dead votes are named and not counted.
    dead = sum(fate in ("dead", "outside", "false") for fate in fates)
    assert verdict.votes_answered == len({a.vote_key for a in alive})
    assert sum(a.status == "failed" for a in result.assessments) >= dead
    assert len(alive) >= min_votes or verdict.outcome == "undetermined"
    # Promise 4: nothing is examined twice or outside; what is missing is stated.
    for coverage in (result.coverage.video, result.coverage.sound, result.coverage.speech):
        pieces = sorted([*coverage.examined, *((g.start, g.end) for g in coverage.gaps)])
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(pieces))
        assert sum(e - s for s, e in pieces) == pytest.approx(result.media.duration, abs=0.3)
        assert all(g.reason for g in coverage.gaps)
    # Promise 5: every number has a source.
    assert result.cost.source
    for a in result.assessments:
        assert (a.probability is None) == (a.probability_source is None)
        assert a.latency is None or a.latency >= 0
    # What was injected is told, and the whole report is still a valid document.
    if struck:
        told = " ".join(e.message for e in result.errors)
        gaps = any(g for c in (result.coverage.video, result.coverage.sound) for g in c.gaps)
        assert told or gaps
    assert Report.from_json(result.to_json(thumbnails=True)) == result
