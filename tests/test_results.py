"""The published types refuse states that would break a promise."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from builders import answered, assessments, dead, panels
from mmcrime.errors import ConfigError
from mmcrime.fusion import fuse
from mmcrime.results import (
    Cost,
    EvidenceRecord,
    FrameRecord,
    MediaRecord,
    Reason,
    Report,
    Segment,
    Verdict,
)
from report_samples import undetermined

SCHEMA = Path(__file__).parent.parent / "docs" / "schema" / "report-1.json"


def report(panel: list[Any] | None = None, **fields: Any) -> Report:
    panel = [answered()] if panel is None else panel
    fused = fuse(panel, kind="video", duration=20.0)
    base: dict[str, Any] = {
        "request_id": "r1",
        "timestamp": datetime.now(UTC),
        "source": "clip.mp4",
        "media": MediaRecord(kind="video", name="clip.mp4", duration=20.0),
        "verdict": fused.verdict,
        "incidents": fused.incidents,
        "assessments": tuple(panel),
    }
    return Report(**(base | fields))


@pytest.mark.parametrize("status", ["failed", "refused", "skipped"])
@pytest.mark.parametrize(
    "answer",
    [
        {"outcome": "detected"},
        {"outcome": "not_detected"},
        {"probability": 0.0, "probability_source": "measured"},
        {"segments": (Segment(start=0, end=1, score=0.1),)},
    ],
)
def test_an_assessment_that_did_not_answer_can_hold_no_answer(
    status: str, answer: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="cannot hold an answer"):
        dead(status=status, **answer)


def test_an_assessment_that_did_not_answer_must_say_why() -> None:
    with pytest.raises(ValidationError, match="must say why"):
        dead(error=None)


def test_an_answer_needs_a_probability_with_its_source() -> None:
    with pytest.raises(ValidationError, match="come together"):
        answered(probability_source=None)
    with pytest.raises(ValidationError, match="needs a probability"):
        answered(outcome="not_detected", probability=None, probability_source=None)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), "x"])
def test_a_probability_lies_between_0_and_1(value: Any) -> None:
    with pytest.raises(ValidationError):
        answered(probability=value)


def test_a_segment_cannot_end_before_it_starts() -> None:
    with pytest.raises(ValidationError, match="cannot end"):
        Segment(start=2, end=1, score=0.5)


def test_an_undetermined_verdict_says_why_and_what_next() -> None:
    with pytest.raises(ValidationError, match="says why"):
        Verdict(outcome="undetermined")
    with pytest.raises(ValidationError, match="says why"):
        Verdict(outcome="undetermined", reasons=(Reason(code="uncertain", text="x", next_step=""),))


@pytest.mark.parametrize("outcome", ["detected", "not_detected"])
def test_a_determined_verdict_needs_a_live_vote(outcome: Any) -> None:
    with pytest.raises(ValidationError, match="without a single answered vote"):
        Verdict(outcome=outcome, votes_asked=3)


def test_an_unknown_price_is_unknown_and_never_zero() -> None:
    assert Cost().usd is None
    assert Cost().source == "unknown"


@pytest.mark.parametrize(
    ("usd", "source"),
    [(0.0, "unknown"), (1.0, "unknown"), (None, "local"), (None, "reported"), (0.5, "local")],
)
def test_a_cost_and_its_source_come_together(usd: float | None, source: Any) -> None:
    with pytest.raises(ValidationError):
        Cost(usd=usd, source=source)
    with pytest.raises(ValidationError):
        Cost.model_validate_json(json.dumps({"usd": usd, "source": source}))


@given(panels())
def test_every_report_reads_back_as_it_was_written(panel: list[Any]) -> None:
    original = report(panel)
    assert Report.from_json(original.to_json()) == original


@given(st.data())
def test_every_report_obeys_the_published_schema(data: st.DataObject) -> None:
    panel = [data.draw(assessments(name=f"a{i}")) for i in range(3)]
    jsonschema.validate(json.loads(report(panel).to_json()), json.loads(SCHEMA.read_text("utf-8")))


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == Report.json_schema(), (
        "run: python tools/schema.py"
    )


def test_thumbnails_are_in_the_json_only_when_asked_for() -> None:
    frame = FrameRecord.model_construct(time=0.0, width=4, height=4, thumbnail=b"\xff\xd8jpeg")
    full = report(evidence=EvidenceRecord(frames=(frame,)))
    assert "thumbnail" not in full.to_json()
    assert "/9hqcGVn" in full.to_json(thumbnails=True)
    back = Report.from_json(full.to_json(thumbnails=True))
    assert back.evidence.frames[0].thumbnail == b"\xff\xd8jpeg"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": "99"}', "nonsense"])
def test_what_is_no_report_is_refused_with_a_next_step(text: str) -> None:
    with pytest.raises(ConfigError, match="not a report of schema version '1'") as caught:
        Report.from_json(text)
    assert caught.value.next_step


def test_a_json_report_cannot_claim_detection_beside_another_outcome() -> None:
    forged = json.loads(report([dead()]).to_json())
    forged["verdict"]["crime_detected"] = True
    assert Report.from_json(json.dumps(forged)).verdict.crime_detected is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize(
    "place",
    [
        '"motion": {"times": [0.0], "scores": [%s], "method": "m"}',
        '"loudness": {"times": [%s], "levels": [-1.0], "method": "m"}',
        '"sounds": [{"start": 0, "end": 1, "peak": %s, "label": "siren", "score": 1}]',
        '"transcript": [{"start": %s, "end": 1, "text": "a", "engine": "e", "reliability": "low"}]',
    ],
)
def test_a_stored_report_with_a_number_that_is_none_is_refused(place: str, number: str) -> None:
    whole = undetermined().to_dict()
    whole["evidence"] = "EVIDENCE"
    stored = json.dumps(whole).replace('"EVIDENCE"', "{" + place % "0.5" + "}")
    assert Report.from_json(stored)
    with pytest.raises(ConfigError, match="evidence"):
        Report.from_json(stored.replace("0.5", number))


def test_a_stored_coverage_with_a_number_that_is_none_is_refused() -> None:
    whole = undetermined().to_dict()
    whole["coverage"]["video"] = {"examined": [["BAD", 1.0]], "frames": 1, "gaps": []}
    with pytest.raises(ConfigError, match="coverage"):
        Report.from_json(json.dumps(whole).replace('"BAD"', "NaN"))
    whole["coverage"]["video"] = {"gaps": [{"start": 0, "end": "BAD", "reason": "damaged"}]}
    with pytest.raises(ConfigError, match="coverage"):
        Report.from_json(json.dumps(whole).replace('"BAD"', "1e999"))
