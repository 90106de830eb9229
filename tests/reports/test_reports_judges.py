"""Which senses an analyzer judges, as far as a report says so."""

from __future__ import annotations

from typing import Any

import pytest

from mmcrime.reports.words import judges

SENSES = ("pictures", "sound")


def judged(kind: str, media: str, frames: int = 0) -> list[str]:
    vote: dict[str, Any] = {"kind": kind, "coverage": {"frames": frames, "examined": []}}
    return [sense for sense in SENSES if judges(vote, sense, {"kind": media})]


@pytest.mark.parametrize(
    ("media", "frames", "senses"),
    [
        ("video", 12, ["pictures"]),
        ("video", 0, ["sound"]),
        ("image", 1, ["pictures"]),
        ("image", 0, ["pictures"]),
        ("audio", 0, ["sound"]),
    ],
)
def test_a_language_model_judged_what_it_was_given(
    media: str, frames: int, senses: list[str]
) -> None:
    assert judged("llm", media, frames) == senses


@pytest.mark.parametrize("kind", ["video", "motion", "objects"])
def test_what_looks_does_not_listen(kind: str) -> None:
    assert judged(kind, "video", 3) == judged(kind, "video") == ["pictures"]


@pytest.mark.parametrize("kind", ["sound", "speech"])
def test_what_listens_does_not_look(kind: str) -> None:
    assert judged(kind, "video", 3) == judged(kind, "video") == ["sound"]
