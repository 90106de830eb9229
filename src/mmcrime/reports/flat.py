"""The flat form of a report that users of the original API know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcrime.reports.words import crime_name, heard

_PATH_KEYS = {"image": "image_path", "audio": "audio_path", "video": "video_path"}
_LOOKS = frozenset({"llm", "video", "motion", "objects"})


def to_flat(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat form.

    ``crime_detected`` is true, false, or null when nobody can say. ``source`` is
    ``"api"`` when a service answered and ``"local"`` when all was done on this machine;
    ``provider`` names who answered, or ``"embedded"``. The key of the input is
    ``image_path``, ``audio_path`` or ``video_path`` by its kind; an input that could not
    be read has none. In ``transcription``, sound events stand in square brackets.

    Args:
        report: What ``Report.to_dict`` gives.
    """
    verdict, assessments = report["verdict"], report.get("assessments") or ()
    local = [a for a in assessments if a["runs"] == "local"]
    cloud = [a for a in assessments if a["runs"] == "cloud"]
    answered = [a["provider"] or a["analyzer"] for a in cloud if a["status"] == "answered"]
    flat: dict[str, Any] = {
        **_answer(verdict),
        "recommendations": list(verdict.get("recommendations") or ()),
        "transcription": _transcription(report),
        "provider_results": [_result(a) for a in cloud],
        "cross_validation_results": {
            "votes_asked": verdict["votes_asked"],
            "votes_answered": verdict["votes_answered"],
            "agreement": verdict.get("agreement"),
            "crime_detected": verdict.get("crime_detected"),
        },
        "frame_results": [
            _frame(a, s) for a in _living(assessments, _LOOKS) for s in a["segments"]
        ],
        "audio_result": _audio(report),
        "local_analysis": [_result(a) for a in local],
        "cross_verification": list(verdict.get("cross_verification") or ()),
        "provider": ", ".join(dict.fromkeys(answered)) or "embedded",
        "source": "api" if answered else "local",
        "timestamp": report["timestamp"],
    }
    path_key = _PATH_KEYS.get(report["media"].get("kind") or "")
    if path_key:
        flat[path_key] = report["source"]
    return flat


def _answer(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "crime_detected": said["crime_detected"],
        "crime_type": crime_name(said["crime_type"]) if said.get("crime_type") else None,
        "confidence": said["confidence"],
        "potential_severity": said["severity"],
        "evidence_description": said["evidence_description"],
    }


def _result(assessment: Mapping[str, Any]) -> dict[str, Any]:
    detected = {"detected": True, "not_detected": False}.get(assessment["outcome"])
    error = assessment.get("error")
    return {
        **_answer({**assessment, "crime_detected": detected, "confidence": None}),
        "provider": assessment.get("provider") or "embedded",
        "analyzer": assessment["analyzer"],
        "model": assessment.get("model"),
        "status": assessment["status"],
        "probability": assessment.get("probability"),
        "probability_source": assessment.get("probability_source"),
        "error": f"{error['type']}: {error['message']}" if error else None,
    }


def _frame(assessment: Mapping[str, Any], segment: Mapping[str, Any]) -> dict[str, Any]:
    kind = segment.get("crime_type")
    return {
        "timestamp": segment["start"],
        "end": segment["end"],
        "score": segment["score"],
        "crime_type": crime_name(kind) if kind else None,
        "evidence_description": segment.get("text", ""),
        "analyzer": assessment["analyzer"],
    }


def _living(assessments: Any, kinds: frozenset[str]) -> list[Mapping[str, Any]]:
    return [a for a in assessments if a["status"] == "answered" and a["kind"] in kinds]


def _audio(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was heard and who judged it; None when the input has no sound."""
    if not report["media"].get("has_audio"):
        return None
    judged = [a for a in report.get("assessments") or () if a["kind"] in ("sound", "speech")]
    return {
        "transcription": _transcription(report),
        "sounds": list((report.get("evidence") or {}).get("sounds") or ()),
        "results": [_result(a) for a in judged],
    }


def _transcription(report: Mapping[str, Any]) -> str:
    """Return words and sounds in time order. Spoken brackets cannot pass for a sound."""
    spoken = str.maketrans("[]", "()")
    return " ".join(
        f"[{words.upper()}]" if kind == "sound" else words.translate(spoken)
        for _, _, kind, words in heard(report)
        if words
    )
