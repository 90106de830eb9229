"""Who said what: one entry for each analyzer that was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmcrime.reports.html.answer import Step, steps, texts
from mmcrime.reports.html.details import Shown, first
from mmcrime.reports.html.figures import figure
from mmcrime.reports.html.incidents import rank
from mmcrime.reports.voices import family, usage
from mmcrime.reports.words import (
    OUTCOMES,
    SOURCES,
    agreement,
    clean,
    crime_name,
    money,
    span,
)

_LIMIT = 2000
_NOTICED = 10
_FLAGS = {"suspected_instructions": "suspected instructions in the media"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Voter:
    """One analyzer and what it said.

    Attributes:
        name: The analyzer.
        by: Provider and model that answered, after any fallback, and their family.
        where: ``on this machine`` or ``in the cloud``, with its kind.
        status: ``answered``, ``cached``, ``refused``, ``failed`` or ``skipped``.
        outcome: What it says; a dash unless it answered.
        severity: What it would call the severity, empty unless it says so.
        rank: That severity, 0 to 4.
        probability: The number in words.
        source: Where that number comes from.
        latency: Seconds in words.
        usage: Calls and tokens in words, empty when unknown or none.
        cost: Money with its source.
        fallbacks: Providers that were tried before.
        flags: Remarks for a reader.
        alarm: Whether a flag must stand out.
        error: What went wrong.
        description: What it saw or heard.
        alternatives: What else it could be, by its own words.
        noticed: What it noticed when, the likeliest first.
        card: Facts about the model, if it voted.
    """

    name: str
    by: str
    where: str
    status: str
    outcome: str
    severity: str
    rank: int
    probability: str
    source: str
    latency: str
    usage: str
    cost: str
    fallbacks: str
    flags: str
    alarm: bool
    error: Step | None
    description: str
    alternatives: str
    noticed: Shown[str]
    card: tuple[tuple[str, str], ...]


def voters(report: Mapping[str, Any]) -> tuple[Voter, ...]:
    """Return who was asked and what each said, in the report's order."""
    return tuple(_voter(a) for a in report.get("assessments") or ())


def _voter(assessment: Mapping[str, Any]) -> Voter:
    answered = assessment["status"] == "answered"
    probability = assessment.get("probability")
    source = clean(assessment.get("probability_source"), limit=40)
    latency = assessment.get("latency")
    by = [clean(assessment.get(key), limit=120) for key in ("provider", "model")]
    error = assessment.get("error")
    flags = [clean(flag, limit=120) for flag in assessment.get("flags") or ()]
    judged = answered and assessment.get("severity", "none") != "none"
    where = "on this machine" if assessment["runs"] == "local" else "in the cloud"
    return Voter(
        name=clean(assessment["analyzer"], limit=120),
        by=", ".join([*(name for name in by if name), *family(assessment)]),
        where=f"{clean(assessment['kind'])}, {where}",
        status="cached" if answered and assessment.get("cached") else clean(assessment["status"]),
        outcome=_outcome(assessment) if answered else "no answer",
        severity=clean(assessment["severity"]) if judged else "",
        rank=rank(assessment["severity"]) if judged else 0,
        probability="none" if probability is None else figure(probability),
        source="" if probability is None else SOURCES.get(source, source),
        latency="not measured" if latency is None else f"{figure(latency)} s",
        usage=usage(assessment),
        cost=_cost(assessment.get("cost") or {}),
        fallbacks="; ".join(clean(one, limit=_LIMIT) for one in assessment.get("fallbacks") or ()),
        flags=", ".join(_FLAGS.get(flag, flag) for flag in flags),
        alarm="suspected_instructions" in flags,
        error=steps([error])[0] if error else None,
        description=clean(assessment.get("evidence_description"), limit=_LIMIT),
        alternatives="; ".join(
            text.rstrip(".") for text in texts(assessment.get("alternative_interpretations") or ())
        ),
        noticed=_noticed(assessment.get("segments") or ()),
        card=tuple(
            (clean(key, limit=60).replace("_", " "), clean(value, limit=_LIMIT))
            for key, value in (assessment.get("card") or {}).items()
        )
        if answered
        else (),
    )


def _cost(cost: Mapping[str, Any]) -> str:
    """Return the money with the prices that it was counted by."""
    detail = clean(cost.get("detail"), limit=160)
    told = money(cost)
    return told if not detail or cost.get("usd") is None else f"{told}: {detail}"


def _noticed(segments: Sequence[Mapping[str, Any]]) -> Shown[str]:
    """Return what was said about stretches; one without words or a kind is on the curve only."""
    told = sorted(
        (s for s in segments if s.get("text") or s.get("crime_type")), key=lambda s: -s["score"]
    )
    shown = first(told, _NOTICED)
    return Shown(items=tuple(map(_stretch, shown.items)), more=shown.more)


def _stretch(segment: Mapping[str, Any]) -> str:
    kind = segment.get("crime_type")
    words = [crime_name(kind)] if kind else []
    words += [clean(segment["text"])] if segment.get("text") else []
    when = span(segment["start"], segment["end"])
    return f"{when} (score {figure(segment['score'])}): {', '.join(words)}"


def _outcome(assessment: Mapping[str, Any]) -> str:
    said = OUTCOMES[assessment["outcome"]]
    kind = assessment.get("crime_type")
    if assessment["outcome"] != "detected" or not kind:
        return said
    return f"{said}: {crime_name(kind)}"


def comparisons(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which voters agree and which contradict each other."""
    return tuple(agreement(check) for check in report["verdict"].get("cross_verification") or ())
