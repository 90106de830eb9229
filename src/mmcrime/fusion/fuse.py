"""The verdict over all assessments (promises 1, 2, 4, 5, 7).

A first fusion with few, stated rules:

* Voters of one kind (two language models) judge the same thing; if one detects and
  another does not, that is a conflict. Voters of different kinds (motion, sound)
  complement each other: the silence of one does not refute the other.
* ``detected`` needs one kind that detected. ``not_detected`` needs every kind that was
  asked to have answered so, over at least `MIN_COVERAGE` of what it was to examine: a
  dead part never supports a "no".
* Everything else is ``undetermined`` with its reason and the next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmcrime.evidence import NO_STREAM, MediaKind, subtract_intervals
from mmcrime.fusion import timeline, votes
from mmcrime.fusion.advice import recommendations, severity_reasons
from mmcrime.results import (
    SEVERITIES,
    Assessment,
    Confidence,
    Incident,
    Outcome,
    Reason,
    Verdict,
)

MIN_COVERAGE = 0.9
"""Share of the media that must have been examined before "nothing" can be said of it."""
SURE = 0.8
"""A calibrated probability of at least this allows ``medium`` confidence on one kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fused:
    """What fusion makes of the assessments."""

    verdict: Verdict
    incidents: tuple[Incident, ...]


def fuse(
    assessments: Sequence[Assessment],
    *,
    kind: MediaKind,
    duration: float | None,
    min_votes: int = 1,
    lost: str = "",
) -> Fused:
    """Fuse the assessments of one Media.

    Args:
        assessments: What every analyzer said, the dead ones included.
        kind: Kind of the Media.
        duration: Its length in seconds; None for a picture or when unknown.
        min_votes: Answered votes below which the outcome is undetermined.
        lost: What of the media is known to be missing, in words; empty for nothing.

    Returns:
        The verdict and the incidents that detecting voters support. The incidents stay
        listed under an undetermined verdict, so that nothing seen disappears silently.
    """
    live = votes.live_votes(assessments)
    kinds = votes.opinions(live)
    reasons = _reasons(assessments, live, kinds, kind=kind, duration=duration, min_votes=min_votes)
    if lost and not reasons and all(k.outcome == "not_detected" for k in kinds):
        text = f"Part of the media is missing ({lost})."
        reasons = (_reason("low_coverage", text, "Get the whole file and run it again."),)
    outcome: Outcome = "undetermined"
    if not reasons:
        outcome = "detected" if any(k.outcome == "detected" for k in kinds) else "not_detected"
    found = timeline.incidents(live, duration=duration)
    verdict = _verdict(
        outcome,
        reasons,
        assessments=assessments,
        live=live,
        kinds=kinds,
        found=found,
        kind=kind,
        duration=duration,
    )
    return Fused(verdict=verdict, incidents=found)


def _reasons(
    assessments: Sequence[Assessment],
    live: Sequence[Assessment],
    kinds: Sequence[votes.Opinion],
    *,
    kind: MediaKind,
    duration: float | None,
    min_votes: int,
) -> tuple[Reason, ...]:
    """Return why nothing can be said; empty when something can."""
    if not live:
        return (_nobody(assessments, kind),)
    if len(live) < min_votes:
        text = f"{len(live)} of {votes.asked(assessments)} votes answered, {min_votes} are needed."
        return (
            _reason("too_few_votes", text, "See the errors of the others, or lower min_votes."),
        )
    if any(k.outcome == "detected" for k in kinds):
        return ()
    found: list[Reason] = []
    for opinion in kinds:
        if opinion.conflict:
            names = " and ".join(sorted({v.analyzer for v in opinion.votes}))
            text = f"Voters of kind {opinion.kind!r} contradict each other ({names})."
            found.append(_reason("conflict", text, "Have a person look, or ask one more voter."))
        elif opinion.outcome == "undetermined":
            text = f"The answer of kind {opinion.kind!r} is too unsure to decide."
            found.append(
                _reason("uncertain", text, "Have a person look, or add an analyzer that sees more.")
            )
        elif gap := _uncovered(opinion, kind=kind, duration=duration):
            found.append(_reason("low_coverage", gap, "See coverage for what was missed and why."))
    if kind == "video" and not any(v.coverage.frames for v in live):
        text = "No answering voter looked at the pictures of the video."
        found.append(_reason("low_coverage", text, "Add an analyzer that looks at pictures."))
    return (*found, *_dead_senses(assessments, live))


def _reason(code: str, text: str, next_step: str) -> Reason:
    return Reason.model_validate({"code": code, "text": text, "next_step": next_step})


def _nobody(assessments: Sequence[Assessment], kind: MediaKind) -> Reason:
    dead = [a for a in assessments if a.status in ("failed", "refused")]
    names = ", ".join(sorted({a.analyzer for a in dead}))
    if not dead:
        why = " ".join(f"({a.analyzer}) {a.error.message}" for a in assessments if a.error)
        return _reason(
            "no_capable_analyzer",
            f"No enabled analyzer could judge this {kind}. {why}".rstrip(),
            "Name an analyzer or a provider that can; `mmcrime doctor` lists what is installed.",
        )
    if all(a.status == "refused" for a in dead):
        return _reason("all_refused", f"Every voter refused: {names}.", "Ask another provider.")
    return _reason(
        "all_failed",
        f"Every voter failed or refused: {names}.",
        "See the errors of the assessments; `mmcrime doctor` says what is missing.",
    )


def _uncovered(opinion: votes.Opinion, *, kind: MediaKind, duration: float | None) -> str:
    """Say how much the voters of a kind missed; empty when they examined enough."""
    if kind == "image":
        looked = any(v.coverage.frames for v in opinion.votes)
        return "" if looked else f"No picture was examined by kind {opinion.kind!r}."
    if not duration:
        return "The length of the media is unknown, so nobody can say that all was examined."
    examined = [i for v in opinion.votes for i in v.coverage.examined]
    # A sound track may be shorter than its video: there was nothing to miss. Pictures that
    # end early are another matter, since nobody saw what went on from there.
    absent = [
        (g.start, g.end)
        for v in opinion.votes
        for g in v.coverage.gaps
        if g.reason.startswith(NO_STREAM) and opinion.kind in ("sound", "speech")
    ]
    missed = sum(e - s for s, e in subtract_intervals((0.0, duration), [*examined, *absent]))
    there = sum(e - s for s, e in subtract_intervals((0.0, duration), absent))
    share = 1.0 - missed / there if there > 0 else 0.0
    if share >= MIN_COVERAGE:
        return ""
    return (
        f"Kind {opinion.kind!r} examined {share:.0%} of the media, {MIN_COVERAGE:.0%} are needed."
    )


def _dead_senses(
    assessments: Sequence[Assessment], live: Sequence[Assessment]
) -> tuple[Reason, ...]:
    """Return a reason for every kind that was asked and of which nobody answered."""
    alive = {v.kind for v in live}
    dead = dict.fromkeys(
        a.kind for a in assessments if a.status in ("failed", "refused") and a.kind not in alive
    )
    return tuple(
        _reason(
            "low_coverage",
            f"Nobody of kind {name!r} answered, so its part was not examined.",
            "See the errors of the assessments and run it again.",
        )
        for name in dead
    )


def _verdict(
    outcome: Outcome,
    reasons: tuple[Reason, ...],
    *,
    assessments: Sequence[Assessment],
    live: Sequence[Assessment],
    kinds: Sequence[votes.Opinion],
    found: Sequence[Incident],
    kind: MediaKind,
    duration: float | None,
) -> Verdict:
    strongest = _strongest(kinds, outcome)
    worst = max(found, key=lambda i: (SEVERITIES.index(i.severity), i.probability), default=None)
    return Verdict(
        outcome=outcome,
        reasons=reasons,
        crime_type=worst.crime_type if worst else None,
        probability=strongest.probability if strongest else None,
        probability_source=strongest.source if strongest else None,
        confidence=_confidence(outcome, kinds),
        severity=worst.severity if worst else "none",
        severity_reasons=severity_reasons(found, worst.severity) if worst else (),
        evidence_description=" ".join(
            f"{v.analyzer}: {v.evidence_description}" for v in live if v.evidence_description
        ),
        alternative_interpretations=tuple(
            dict.fromkeys(t for v in live for t in v.alternative_interpretations)
        ),
        recommendations=recommendations(outcome, reasons, found, kind=kind, duration=duration),
        votes_asked=votes.asked(assessments),
        votes_answered=len(live),
        agreement=votes.agreement(live, outcome),
        effective_votes=votes.effective_votes(live),
        cross_verification=votes.cross_verification(live),
        timeline=timeline.fused_timeline(live),
    )


def _strongest(kinds: Sequence[votes.Opinion], outcome: Outcome) -> votes.Opinion | None:
    """Return the kind whose probability stands for the verdict: the largest.

    Kinds complement each other, so the chance that the Media holds an incident is at
    least that of the kind that is surest of one. Under ``detected`` it is that of a kind
    that detected, so that the number belongs to what is said.
    """
    rated = [k for k in kinds if k.probability is not None]
    said = [k for k in rated if k.outcome == outcome] if outcome == "detected" else rated
    return max(said, key=lambda k: k.probability or 0.0, default=None)


def _confidence(outcome: Outcome, kinds: Sequence[votes.Opinion]) -> Confidence:
    """Rate confidence: ``high`` needs three kinds, ``medium`` two or a calibrated one.

    A "no" of detectors that each judge one thing only is never better than ``low``
    unless two kinds that see everything (llm, video) say so.
    """
    if outcome == "undetermined":
        return "low"
    agreeing = [k for k in kinds if k.outcome == outcome]
    if outcome == "not_detected":
        broad = [k for k in agreeing if k.kind in ("llm", "video")]
        return "medium" if len(broad) > 1 else "low"
    if len(agreeing) > 2 and len(agreeing) == len(kinds):
        return "high"
    sure = any(k.source == "calibrated" and (k.probability or 0.0) >= SURE for k in agreeing)
    return "medium" if len(agreeing) > 1 or sure else "low"
