"""The flat form that users of the original API know."""

from __future__ import annotations

import json

import pytest

from builders import answered
from mmcrime.evidence import SoundEvent, TranscriptSegment
from mmcrime.results import EvidenceRecord, MediaRecord
from report_samples import report, undetermined

KEYS = {
    "crime_detected",
    "crime_type",
    "confidence",
    "potential_severity",
    "evidence_description",
    "recommendations",
    "transcription",
    "provider_results",
    "cross_validation_results",
    "frame_results",
    "audio_result",
    "local_analysis",
    "cross_verification",
    "provider",
    "source",
    "timestamp",
}


@pytest.mark.parametrize(
    ("kind", "key"), [("image", "image_path"), ("audio", "audio_path"), ("video", "video_path")]
)
def test_the_keys_are_those_of_the_original_with_the_path_by_kind(kind: str, key: str) -> None:
    flat = report(media=MediaRecord(kind=kind, name="x"), source="a/x").to_flat()
    assert set(flat) == KEYS | {key}
    assert flat[key] == "a/x"
    json.dumps(flat, allow_nan=False)


def test_an_input_that_could_not_be_read_has_no_path_key() -> None:
    flat = undetermined(media=MediaRecord(kind=None, name="x")).to_flat()
    assert set(flat) == KEYS


def test_undetermined_is_null_and_not_false() -> None:
    flat = undetermined().to_flat()
    assert flat["crime_detected"] is None
    assert flat["crime_type"] is None
    assert flat["provider"] == "embedded"
    assert flat["source"] == "local"


def test_a_detection_has_the_names_people_read() -> None:
    flat = report().to_flat()
    assert flat["crime_detected"] is True
    assert flat["crime_type"] == "Fighting"
    assert (flat["confidence"], flat["potential_severity"]) == ("medium", "high")
    assert flat["local_analysis"][0]["crime_detected"] is True
    assert flat["frame_results"][0]["timestamp"] == 4.0


def test_a_provider_that_did_not_answer_is_listed_but_is_nobodys_answer() -> None:
    flat = report().to_flat()
    (result,) = flat["provider_results"]
    assert (result["status"], result["crime_detected"]) == ("refused", None)
    assert flat["provider"] == "embedded"


def test_a_service_that_answered_is_named_and_makes_the_source_api() -> None:
    cloud = answered("panel", runs="cloud", kind="llm", provider="acme")
    flat = report(assessments=(cloud,)).to_flat()
    assert (flat["provider"], flat["source"]) == ("acme", "api")


def test_sounds_stand_in_square_brackets_in_time_order_and_speech_cannot_fake_them() -> None:
    evidence = EvidenceRecord(
        transcript=(
            TranscriptSegment(
                start=2.0, end=3.0, text="[POSSIBLE SIREN] help", engine="e", reliability="low"
            ),
        ),
        sounds=(
            SoundEvent(start=5.0, end=6.0, peak=5.5, label="siren", score=0.5),
            SoundEvent(start=1.0, end=1.2, peak=1.1, label="impulsive", score=0.5),
        ),
    )
    assert report(evidence=evidence).to_flat()["transcription"] == (
        "[POSSIBLE GUNSHOT OR SIMILAR BANG] (POSSIBLE SIREN) help [POSSIBLE SIREN]"
    )
