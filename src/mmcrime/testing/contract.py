"""The tests that every analyzer passes, ours and strangers'."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from mmcrime.config import Settings
from mmcrime.evidence import MediaKind
from mmcrime.pipeline import CrimeDetectionPipeline
from mmcrime.plugins import Analyzer
from mmcrime.results import Assessment, AssessmentKind, Report
from mmcrime.testing.footage import write_footage

__all__ = ["AnalyzerContract"]


class AnalyzerContract(ABC):
    """A pytest class to inherit from; all tests run the real pipeline on made-up footage.

    ```python
    class TestMine(AnalyzerContract):
        def make(self) -> Analyzer:
            return Mine()
    ```
    """

    @abstractmethod
    def make(self) -> Analyzer:
        """Return a fresh analyzer, constructed with its default options."""

    def test_it_says_what_it_is(self) -> None:
        """Name, kind, modalities and family are declared, as the doors describe them."""
        analyzer = self.make()
        assert analyzer.name
        assert analyzer.family
        assert analyzer.kind in get_args(AssessmentKind)
        assert analyzer.modalities
        assert analyzer.modalities <= set(get_args(MediaKind))
        assert analyzer.stage in ("observe", "verify")
        assert analyzer.runs in ("local", "cloud")

    def test_it_gives_one_valid_assessment_of_a_video(self) -> None:
        """It answers or says why not, and its report is a valid document."""
        report = self._report()
        (assessment,) = report.assessments
        if assessment.status != "answered":
            assert assessment.error is not None
        assert Report.from_json(report.to_json(thumbnails=True)) == report

    def test_it_states_what_it_examined(self) -> None:
        """Whoever answers has examined something, and nothing outside the media."""
        report = self._report()
        (assessment,) = report.assessments
        duration = report.media.duration or 0.0
        if assessment.status == "answered":
            assert assessment.coverage.examined or assessment.coverage.frames
        for start, end in assessment.coverage.examined:
            assert 0.0 <= start < end <= duration + 1e-6
        for segment in assessment.segments:
            assert 0.0 <= segment.start <= segment.end <= duration + 1e-6

    def test_what_it_looks_at_is_left_as_it_was(self) -> None:
        """A second look at the same media, by the same instance, gives the same kind of answer."""
        with CrimeDetectionPipeline(_settings(), analyzers=[self.make()]) as pipeline:
            first, second = pipeline.analyze(_scene()), pipeline.analyze(_scene())
        assert first.assessments[0].status == second.assessments[0].status
        assert first.assessments[0].coverage == second.assessments[0].coverage

    def test_it_can_be_closed_twice(self) -> None:
        """Closing releases what is held, however often it is called."""

        async def close() -> None:
            analyzer = self.make()
            await analyzer.aclose()
            await analyzer.aclose()

        asyncio.run(close())

    def _report(self) -> Report:
        analyzer = self.make()
        with CrimeDetectionPipeline(_settings(), analyzers=[analyzer]) as pipeline:
            report = pipeline.analyze(_scene(), offline=analyzer.runs == "local")
        assert all(isinstance(a, Assessment) for a in report.assessments)
        return report


@cache
def _scene() -> bytes:
    """Return made-up footage with a struggle and a bang: 18 s, since drawing takes its time."""
    with TemporaryDirectory() as folder:
        return write_footage(Path(folder) / "scene.mp4", start=26.0, end=44.0).read_bytes()


def _settings() -> Settings:
    return Settings.model_validate({"analyzers": {"speech": {"enabled": False}}})
