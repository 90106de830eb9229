"""On real recordings the sound detector is about as good as its card says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.shared

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def measured(shared: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import sound_accuracy

        result: dict[str, Any] = sound_accuracy.measure(shared)
    return result


@pytest.mark.parametrize(
    ("sound", "hits", "alarms"), [("impulsive", 8, 2), ("scream", 11, 1), ("siren", 3, 0)]
)
def test_each_class_is_found_with_few_false_alarms(
    measured: dict[str, Any], sound: str, hits: int, alarms: int
) -> None:
    row = measured["classes"][sound]
    assert row["hits"] >= hits
    assert row["false_alarms"] <= alarms


def test_every_recording_with_a_scream_is_found(measured: dict[str, Any]) -> None:
    assert measured["classes"]["scream"]["groups_found"] == 4


def test_all_recordings_are_read(measured: dict[str, Any]) -> None:
    assert measured["files"] >= 94
    assert measured["unsupported_files"] == []
