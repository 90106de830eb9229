"""Our analyzers pass the contract that strangers' analyzers pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmcrime.analyzers.motion import MotionAnalyzer
from mmcrime.analyzers.sound import SoundAnalyzer
from mmcrime.plugins import Analyzer
from mmcrime.testing import AnalyzerContract

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin" / "src"


class TestMotion(AnalyzerContract):
    def make(self) -> Analyzer:
        return MotionAnalyzer()


class TestSound(AnalyzerContract):
    def make(self) -> Analyzer:
        return SoundAnalyzer()


class TestExample(AnalyzerContract):
    @pytest.fixture(autouse=True)
    def _path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(EXAMPLE)

    def make(self) -> Analyzer:
        from mmcrime_example_brightness.blackout import BlackoutAnalyzer

        return BlackoutAnalyzer()


def test_an_analyzer_that_breaks_the_contract_fails_it(tmp_path: Path) -> None:
    class Vain(MotionAnalyzer):
        family = ""

    class Broken(AnalyzerContract):
        def make(self) -> Analyzer:
            return Vain()

    with pytest.raises(AssertionError):
        Broken().test_it_says_what_it_is()
