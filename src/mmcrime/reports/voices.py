"""What one voter adds to its answer: its family, its doubts, the stretches it marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcrime.reports.words import clean, crime_name, finite, hundredths, span


def family(assessment: Mapping[str, Any]) -> list[str]:
    """Return the family of a voter's model in words, where its other names do not say it."""
    name = assessment.get("family") or ""
    known = [assessment.get(key) for key in ("analyzer", "provider", "model")]
    if not assessment.get("provider") and not assessment.get("model"):
        return []  # nobody answered, and what it is called stands there already
    return [f"family {clean(name, limit=80)}"] if name and name not in known else []


def usage(assessment: Mapping[str, Any]) -> str:
    """Return the calls and tokens of a voter; empty where none were counted."""
    used = assessment.get("usage") or {}
    known = (("calls", "calls"), ("input_tokens", "tokens in"), ("output_tokens", "tokens out"))
    return ", ".join(f"{words} {used[key]}" for key, words in known if used.get(key))


def doubts(assessment: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[str]:
    """Return a voter's innocent explanations, but for those that the verdict tells."""
    told = verdict.get("alternative_interpretations") or ()
    return [t for t in assessment.get("alternative_interpretations") or () if t not in told]


def marked(assessment: Mapping[str, Any], *, most: int) -> tuple[list[str], int]:
    """Return what a voter noticed and when: its strongest stretches in time order.

    Args:
        assessment: One of the report's assessments.
        most: How many stretches are told.

    Returns:
        The stretches that say more than a score and the kind it names anyway, and how
        many of these are left out.
    """
    named = (None, assessment.get("crime_type"))
    telling = [
        segment
        for segment in assessment.get("segments") or ()
        if segment.get("text") or segment.get("crime_type") not in named
    ]
    strongest = sorted(telling, key=lambda s: finite(s["score"]) or 0.0, reverse=True)[:most]
    told = []
    for segment in sorted(strongest, key=lambda s: finite(s["start"]) or 0.0):
        kind = crime_name(segment["crime_type"]) if segment.get("crime_type") else ""
        said = [
            f"score {hundredths(segment['score'])}",
            kind,
            clean(segment.get("text"), limit=200),
        ]
        where = span(segment["start"], segment["end"])
        told.append(f"{where}, {'; '.join(part for part in said if part)}")
    return told, len(telling) - len(told)
