"""Counting votes: once each, and only if alive (promise 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from mmcrime.results import (
    Assessment,
    AssessmentKind,
    CrossVerification,
    Outcome,
    ProbabilitySource,
)

SAME_KIND_WORTH = 0.125
"""What a further model of the same kind adds to the first one's vote.

Nine frontier LLM judges are worth about two independent votes (arXiv 2605.29800), so
eight further ones add one. A stated prior, until labelled reports measure it.
"""

_SOURCE_STRENGTH: tuple[ProbabilitySource, ...] = ("claimed", "measured", "calibrated")


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What all voters of one kind say together.

    Attributes:
        kind: What they look or listen with.
        votes: One assessment a voter.
        outcome: Their common outcome; undetermined when they contradict each other.
        conflict: Whether one detected and another did not.
        probability: Mean over those that gave one, or None.
        source: The weakest source among the probabilities in the mean.
    """

    kind: AssessmentKind
    votes: tuple[Assessment, ...]
    outcome: Outcome
    conflict: bool
    probability: float | None
    source: ProbabilitySource | None


def asked(assessments: Sequence[Assessment]) -> int:
    """Return how many distinct voters were asked; a skipped analyzer was not asked.

    Whoever was asked first and answered by another is one of them, also where that other
    has a vote of its own: a dead voter does not vanish behind the one that stood in for it.
    """
    answers: dict[tuple[str, str, str], list[bool]] = {}
    for assessment in assessments:
        if assessment.status == "answered":
            stood_in = bool(assessment.fallbacks)
            answers.setdefault(assessment.vote_key, []).append(stood_in)
    replaced = sum(sum(ways) - all(ways) for ways in answers.values())
    # Of a dead voter only the name is sure; an answered one may have fallen back.
    dead = {
        (a.kind, a.analyzer, a.provider, a.model)
        for a in assessments
        if a.status in ("failed", "refused")
    }
    return len(answers) + replaced + len(dead)


def live_votes(assessments: Sequence[Assessment]) -> tuple[Assessment, ...]:
    """Return one answered assessment a voter, in order of first appearance.

    When one voter answered more than once, the answer with the highest probability
    stands: a repetition must not silence what the same voter saw.
    """
    best: dict[tuple[str, str, str], Assessment] = {}
    for assessment in assessments:
        if assessment.status != "answered":
            continue
        held = best.get(assessment.vote_key)
        if held is None or _rank(assessment) > _rank(held):
            best[assessment.vote_key] = assessment
    return tuple(best.values())


def _rank(assessment: Assessment) -> tuple[int, float, str]:
    """Order the answers of one voter; the id settles ties whatever order they came in."""
    order = {"not_detected": 0, "undetermined": 1, "detected": 2}
    return (order[assessment.outcome], assessment.probability or 0.0, assessment.id)


def opinions(votes: Sequence[Assessment]) -> tuple[Opinion, ...]:
    """Group votes by kind; voters of one kind can contradict, kinds complement."""
    kinds = dict.fromkeys(v.kind for v in votes)
    return tuple(_opinion(kind, tuple(v for v in votes if v.kind == kind)) for kind in kinds)


def _opinion(kind: AssessmentKind, votes: tuple[Assessment, ...]) -> Opinion:
    outcomes = {v.outcome for v in votes}
    conflict = {"detected", "not_detected"} <= outcomes
    outcome: Outcome = "undetermined"
    if not conflict and "detected" in outcomes:
        outcome = "detected"
    elif outcomes == {"not_detected"}:
        outcome = "not_detected"
    with_probability = [v for v in votes if v.probability is not None]
    probabilities = [v.probability for v in with_probability if v.probability is not None]
    sources = [v.probability_source for v in with_probability if v.probability_source is not None]
    return Opinion(
        kind=kind,
        votes=votes,
        outcome=outcome,
        conflict=conflict,
        probability=sum(probabilities) / len(probabilities) if probabilities else None,
        source=min(sources, key=_SOURCE_STRENGTH.index) if sources else None,
    )


def effective_votes(votes: Sequence[Assessment]) -> float:
    """Return what the votes are worth together, if models of one kind err together.

    A further family of a kind adds `SAME_KIND_WORTH`; a further model of one family
    adds nothing.
    """
    kinds = {v.kind for v in votes}
    families = {(v.kind, v.family) for v in votes}
    return len(kinds) + SAME_KIND_WORTH * (len(families) - len(kinds))


def agreement(votes: Sequence[Assessment], outcome: Outcome) -> float | None:
    """Return the share of determined votes that say ``outcome``; None for fewer than two.

    A single vote that decided agrees with nobody.
    """
    determined = [v for v in votes if v.outcome != "undetermined"]
    if len(determined) < 2 or outcome == "undetermined":
        return None
    return sum(v.outcome == outcome for v in determined) / len(determined)


def cross_verification(votes: Sequence[Assessment]) -> tuple[CrossVerification, ...]:
    """Say for each pair of determined votes whether they agree."""
    determined = [v for v in votes if v.outcome != "undetermined"]
    return tuple(
        CrossVerification(
            first=a.id,
            second=b.id,
            agree=a.outcome == b.outcome,
            text=f"{a.analyzer} says {a.outcome}, {b.analyzer} says {b.outcome}",
        )
        for a, b in combinations(determined, 2)
    )
