"""The top of a page: the verdict, its reasons, and how much of it to believe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mmcrime.reports.html.figures import figure
from mmcrime.reports.html.incidents import badness, rank
from mmcrime.reports.html.lanes import looks
from mmcrime.reports.words import (
    BANNER,
    OUTCOMES,
    SOURCES,
    clean,
    crime_name,
    judged,
    money,
    span,
    wall_span,
)

_LIMIT = 2000
_PARTIAL = "Only a part was examined: this result says nothing about the rest of the input."
_MEANING = {
    "detected": "Software found something that looks or sounds like an incident. "
    "Nobody has confirmed it.",
    "not_detected": "No analyzer that answered found an incident in what it examined. "
    "That does not prove that nothing happened.",
    "undetermined": "Nobody can say from this result whether an incident happened. "
    "It is not an all-clear.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Something that was found wanting, and what to do next."""

    code: str
    text: str
    next_step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One figure of the verdict with where it comes from."""

    name: str
    value: str
    source: str = ""
    rank: int = -1
    warn: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The verdict in words.

    Attributes:
        banner: Stands above it, always.
        outcome: ``detected``, ``not_detected`` or ``undetermined``, for its colour and shape.
        title: The outcome in words.
        kind: What kind of incident, empty unless detected.
        meaning: What that does and does not say.
        facts: Severity, probability, confidence, votes, time, what was missed, cost.
        blind: What nobody judged at all, or of a picture what could not be judged; empty
            when each sense was judged.
        reasons: Why it is what it is.
        severity_reasons: Why the severity is what it is.
        description: What was seen or heard.
        alternatives: Innocent explanations.
        recommendations: What to do, beside the next steps of the reasons.
    """

    banner: str
    outcome: str
    title: str
    kind: str
    meaning: str
    facts: tuple[Fact, ...]
    blind: str
    reasons: tuple[Step, ...]
    severity_reasons: tuple[str, ...]
    description: str
    alternatives: tuple[str, ...]
    recommendations: tuple[str, ...]


def answer(report: Mapping[str, Any]) -> Answer:
    """Return the verdict of a report in words."""
    verdict = report["verdict"]
    outcome = verdict["outcome"]
    told = {reason.get("next_step") for reason in verdict.get("reasons") or ()}
    return Answer(
        banner=BANNER,
        outcome=outcome,
        title=OUTCOMES[outcome],
        kind=crime_name(verdict.get("crime_type")) if outcome == "detected" else "",
        meaning=_MEANING[outcome],
        facts=tuple(_facts(report)),
        blind=blind(report),
        reasons=steps(verdict.get("reasons") or ()),
        severity_reasons=texts(verdict.get("severity_reasons") or ()),
        description=clean(verdict.get("evidence_description"), limit=_LIMIT),
        alternatives=texts(verdict.get("alternative_interpretations") or ()),
        recommendations=texts(t for t in verdict.get("recommendations") or () if t not in told),
    )


def title(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name of the input, and its source."""
    source = clean(report["source"], limit=300) or "(no name)"
    return clean((report.get("media") or {}).get("name"), limit=300) or source, source


def steps(records: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return reasons or errors with their next steps."""
    return tuple(
        Step(
            code=clean(r.get("code") or r.get("type"), limit=80),
            text=clean(r.get("text") or r.get("message"), limit=_LIMIT),
            next_step=clean(r.get("next_step"), limit=_LIMIT),
        )
        for r in records
    )


def texts(said: Iterable[str]) -> tuple[str, ...]:
    """Return harmless texts, without the empty ones."""
    return tuple(clean(text, limit=_LIMIT) for text in said if text)


def blind(report: Mapping[str, Any]) -> str:
    """Say which senses nobody judged at all, or that it was a part of a picture only."""
    found = looks(report)
    lost = [look.sense for look in found if look.blind]
    if not lost:
        still = (report.get("media") or {}).get("kind") == "image"
        return "" if not still or found[0].whole else _PARTIAL
    kept = [look.sense for look in found if not look.blind]
    if not kept:
        return "Nothing was examined: this result says nothing about what is in the input."
    return f"No analyzer judged the {lost[0]}: this result rests on the {kept[0]} alone."


def _facts(report: Mapping[str, Any]) -> Iterable[Fact]:
    verdict = report["verdict"]
    if judged(verdict):
        severity = verdict["severity"]
        yield Fact(name="Severity", value=clean(severity), rank=rank(severity))
    else:
        yield Fact(name="Severity", value="not judged")
    probability = verdict.get("probability")
    source = clean(verdict.get("probability_source"), limit=40)
    yield Fact(
        name="Probability",
        value="none given" if probability is None else figure(probability),
        source="" if probability is None else SOURCES.get(source, source),
    )
    yield Fact(name="Confidence", value=clean(verdict["confidence"]))
    asked, answered = verdict["votes_asked"], verdict["votes_answered"]
    yield Fact(
        name="Votes answered",
        value=f"{answered} of {asked}",
        source=_agreement(verdict),
        warn=answered < asked or not answered,
    )
    yield from _when(report)
    for look in looks(report):
        yield Fact(name=f"{look.sense.capitalize()} judged", value=look.words, warn=not look.whole)
    yield _cost(report.get("cost") or {})


def _cost(cost: Mapping[str, Any]) -> Fact:
    if cost.get("usd") is None:
        return Fact(name="Cost", value="unknown")
    if cost.get("source") == "local":
        return Fact(name="Cost", value="none", source="ran on this machine")
    value, _, source = money(cost).partition(" (")
    return Fact(name="Cost", value=value, source=source.rstrip(")"))


def _agreement(verdict: Mapping[str, Any]) -> str:
    share = verdict.get("agreement")
    if share is None or verdict["votes_answered"] < 2:
        return ""
    weight = verdict.get("effective_votes")
    counted = f"; they weigh as much as {figure(weight, 1)} independent ones" if weight else ""
    return f"{figure(100 * share, 0)} % of them agree{counted}"


def _when(report: Mapping[str, Any]) -> Iterable[Fact]:
    """Yield when the worst incident is; a picture has no time."""
    found = report.get("incidents") or ()
    media = report.get("media") or {}
    if not found or media.get("kind") == "image":
        return
    worst = max(found, key=badness)
    more = f", the worst of {len(found)}" if len(found) > 1 else ""
    wall = wall_span(media.get("recorded_at"), worst["start"], worst["end"])
    yield Fact(
        name="When", value=span(worst["start"], worst["end"]), source=f"{wall}{more}".lstrip(", ")
    )
