"""The verdict over all assessments."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import DURATION, answered, dead, panels
from mmcrime.evidence import Coverage, Gap
from mmcrime.fusion import Fused, fuse
from mmcrime.results import SEVERITIES, Segment


def fused(*assessments: Any, **options: Any) -> Fused:
    return fuse(assessments, **({"kind": "video", "duration": DURATION} | options))


def codes(result: Fused) -> set[str]:
    return {r.code for r in result.verdict.reasons}


def test_one_detecting_voter_gives_a_detection_with_its_incident() -> None:
    result = fused(answered())
    assert result.verdict.outcome == "detected"
    assert result.verdict.crime_detected is True
    (incident,) = result.incidents
    assert (incident.start, incident.end, incident.peak) == (4.0, 8.0, 6.0)
    assert (incident.crime_type, incident.severity) == ("fighting", "high")
    assert result.verdict.severity == "high"
    assert incident.verification == "not_verified"


def test_a_single_kind_is_never_highly_confident() -> None:
    assert fused(answered()).verdict.confidence == "low"
    sure = answered(probability=0.95, probability_source="calibrated")
    assert fused(sure).verdict.confidence == "medium"


@given(
    probability=st.floats(0.0, 1.0),
    source=st.sampled_from(["claimed", "measured", "calibrated"]),
    outcome=st.sampled_from(["detected", "not_detected", "undetermined"]),
    copies=st.integers(1, 4),
)
def test_motion_alone_never_gives_more_than_medium_confidence(
    probability: float, source: str, outcome: str, copies: int
) -> None:
    """However sure it is, and however many models of the kind say the same."""
    said = [
        answered(f"motion{i}", outcome=outcome, probability=probability, probability_source=source)
        for i in range(copies)
    ]
    assert fused(*said).verdict.confidence in ("low", "medium")


def test_two_kinds_at_the_same_time_confirm_each_other() -> None:
    result = fused(answered("motion"), answered("sound", kind="sound"))
    (incident,) = result.incidents
    assert incident.verification == "confirmed"
    assert incident.assessment_ids == ("motion", "sound")
    assert result.verdict.confidence == "medium"
    assert result.verdict.agreement == 1.0


def test_kinds_that_say_different_things_at_one_time_confirm_nothing() -> None:
    bang = (Segment(start=5, end=6, score=0.6, crime_type="gunshot"),)
    result = fused(answered("motion"), answered("sound", kind="sound", segments=bang))
    (incident,) = result.incidents
    assert (incident.crime_type, incident.alternatives) == ("fighting", ("gunshot",))
    assert incident.verification == "not_verified"
    assert "agree" not in result.verdict.severity_reasons[0]


def test_words_beside_another_voter_raise_no_severity_and_lead_no_type() -> None:
    words = answered(
        "speech",
        kind="speech",
        segments=(Segment(start=4, end=8, score=0.95, crime_type="shooting"),),
    )
    theft = answered(
        "llm", kind="llm", segments=(Segment(start=4, end=8, score=0.6, crime_type="shoplifting"),)
    )
    (incident,) = fused(words, theft).incidents
    assert (incident.crime_type, incident.severity) == ("shoplifting", "low")
    assert incident.alternatives == ("shooting",)


def test_the_worst_type_that_is_seen_gives_the_severity() -> None:
    blast = answered(
        "sound",
        kind="sound",
        segments=(Segment(start=5, end=6, score=0.6, crime_type="explosion"),),
    )
    result = fused(answered("motion"), blast)
    assert result.verdict.severity == "critical"
    assert "rated critical" in result.verdict.severity_reasons[0]


def test_a_file_that_lost_a_part_cannot_be_called_clear_but_can_be_alarming() -> None:
    clear = answered(outcome="not_detected", probability=0.05)
    assert codes(fused(clear, lost="the header states 60 s")) == {"low_coverage"}
    assert fused(answered(), lost="the header states 60 s").verdict.outcome == "detected"


def test_thousands_of_incidents_are_fused_in_no_time_worth_mentioning() -> None:
    """The work grows with the segments, not with their square."""
    many = tuple(Segment(start=i * 5, end=i * 5 + 1, score=0.9) for i in range(20_000))
    found = fuse([answered(segments=many)], kind="video", duration=100_001.0)
    assert len(found.incidents) == 20_000


def test_the_silence_of_another_kind_does_not_refute_a_detection() -> None:
    result = fused(
        answered("sound", kind="sound"),
        answered("motion", outcome="not_detected", probability=0.05),
    )
    assert result.verdict.outcome == "detected"
    assert result.verdict.agreement == 0.5
    assert result.verdict.cross_verification[0].agree is False


def test_the_probability_belongs_to_a_voter_that_detected() -> None:
    unsure = answered("motion", outcome="undetermined", probability=0.76)
    result = fused(answered("sound", kind="sound", probability=0.6), unsure)
    assert (result.verdict.outcome, result.verdict.probability) == ("detected", 0.6)


def test_contradiction_within_a_kind_is_a_conflict_and_keeps_the_incident_visible() -> None:
    result = fused(
        answered("a", kind="llm"),
        answered("b", kind="llm", outcome="not_detected", probability=0.1),
    )
    assert result.verdict.outcome == "undetermined"
    assert codes(result) == {"conflict"}
    assert result.incidents


def test_everybody_seeing_nothing_everywhere_is_not_detected() -> None:
    result = fused(
        answered("motion", outcome="not_detected", probability=0.05),
        answered("sound", kind="sound", outcome="not_detected", probability=0.02),
    )
    assert result.verdict.outcome == "not_detected"
    assert result.verdict.crime_detected is False
    assert result.verdict.severity == "none"
    assert result.verdict.probability == 0.05
    assert result.incidents == ()


@pytest.mark.parametrize("status", ["failed", "refused"])
def test_a_dead_kind_never_supports_a_no(status: str) -> None:
    result = fused(
        answered("motion", outcome="not_detected", probability=0.05),
        dead("sound", kind="sound", status=status),
    )
    assert result.verdict.outcome == "undetermined"
    assert codes(result) == {"low_coverage"}


def test_a_skipped_kind_was_not_asked_and_prevents_nothing() -> None:
    result = fused(
        answered("motion", outcome="not_detected", probability=0.05),
        dead("sound", kind="sound", status="skipped"),
    )
    assert result.verdict.outcome == "not_detected"
    assert result.verdict.votes_asked == 1


def test_half_examined_media_cannot_be_called_clear() -> None:
    half = answered(
        outcome="not_detected",
        probability=0.05,
        coverage=Coverage(examined=((0.0, DURATION / 2),), frames=5),
    )
    assert codes(fused(half)) == {"low_coverage"}


def test_where_there_is_no_stream_nothing_was_missed() -> None:
    short_track = Coverage(
        examined=((0.0, 10.0),), gaps=(Gap(start=10.0, end=DURATION, reason="no_stream"),)
    )
    clear = answered(
        "sound", kind="sound", outcome="not_detected", probability=0.05, coverage=short_track
    )
    assert fused(clear, kind="audio").verdict.outcome == "not_detected"


def test_a_video_whose_pictures_end_early_cannot_be_called_clear() -> None:
    half = Coverage(
        examined=((0.0, 10.0),),
        frames=5,
        gaps=(Gap(start=10.0, end=DURATION, reason="no_stream"),),
    )
    clear = answered(outcome="not_detected", probability=0.05, coverage=half)
    assert codes(fused(clear)) == {"low_coverage"}


def test_a_video_nobody_looked_at_cannot_be_called_clear() -> None:
    only_heard = answered(
        "sound",
        kind="sound",
        outcome="not_detected",
        probability=0.05,
        coverage=Coverage(examined=((0.0, DURATION),)),
    )
    assert codes(fused(only_heard)) == {"low_coverage"}
    assert fused(only_heard, kind="audio").verdict.outcome == "not_detected"


def test_media_of_unknown_length_cannot_be_called_clear() -> None:
    clear = answered(outcome="not_detected", probability=0.05)
    assert codes(fused(clear, duration=None)) == {"low_coverage"}


def test_a_picture_nobody_looked_at_cannot_be_called_clear() -> None:
    blind = answered("llm", kind="llm", outcome="not_detected", coverage=Coverage())
    assert codes(fused(blind, kind="image", duration=None)) == {"low_coverage"}


@pytest.mark.parametrize(
    ("panel", "code"),
    [
        ([], "no_capable_analyzer"),
        ([dead("a", status="skipped")], "no_capable_analyzer"),
        ([dead("a"), dead("b")], "all_failed"),
        ([dead("a", status="refused")], "all_refused"),
        ([dead("a", status="refused"), dead("b")], "all_failed"),
        ([answered(outcome="undetermined", probability=0.5)], "uncertain"),
    ],
)
def test_without_a_clear_live_answer_the_reason_is_named(panel: list[Any], code: str) -> None:
    result = fused(*panel)
    assert result.verdict.outcome == "undetermined"
    assert codes(result) == {code}
    assert all(r.next_step for r in result.verdict.reasons)


def test_below_min_votes_nothing_is_decided() -> None:
    result = fused(answered("a"), dead("b"), dead("c"), min_votes=2)
    assert codes(result) == {"too_few_votes"}
    assert (result.verdict.votes_answered, result.verdict.votes_asked) == (1, 3)


def test_four_dead_of_five_are_counted_as_dead() -> None:
    four = [dead(f"d{i}", kind="llm", provider=f"p{i}") for i in range(4)]
    result = fused(answered("alive", kind="llm"), *four)
    assert (result.verdict.votes_answered, result.verdict.votes_asked) == (1, 5)
    assert result.verdict.effective_votes == 1.0


def test_one_model_asked_twice_is_one_vote_and_cannot_silence_itself() -> None:
    again = answered("again", outcome="not_detected", probability=0.1, model="motion")
    result = fused(answered("first", model="motion"), again)
    assert result.verdict.votes_answered == 1
    assert result.verdict.outcome == "detected"


def test_a_fallback_to_the_same_model_does_not_add_a_vote() -> None:
    one = answered("one", kind="llm", provider="acme", model="m")
    other = answered("other", kind="llm", provider="acme", model="m", fallbacks=("dead",))
    assert fused(one, other, min_votes=2).verdict.outcome == "undetermined"


def test_a_dead_voter_does_not_vanish_behind_the_one_that_stood_in_for_it() -> None:
    own = answered("llm:b", kind="llm", provider="b", model="m")
    for_a = answered("llm:a", kind="llm", provider="b", model="m", fallbacks=("a: outage: gone",))
    verdict = fused(own, for_a).verdict
    assert (verdict.votes_answered, verdict.votes_asked) == (1, 2)
    for_c = answered("llm:c", kind="llm", provider="b", model="m", fallbacks=("c: outage: gone",))
    verdict = fused(for_a, for_c).verdict
    assert (verdict.votes_answered, verdict.votes_asked) == (1, 2)
    verdict = fused(for_a).verdict
    assert (verdict.votes_answered, verdict.votes_asked) == (1, 1)


def test_further_models_of_one_kind_are_worth_little() -> None:
    panel = [answered(f"m{i}", kind="llm", family=f"f{i}") for i in range(9)]
    assert fused(*panel).verdict.effective_votes == pytest.approx(2.0)


def test_speech_alone_cannot_raise_the_severity() -> None:
    words = answered(
        "speech",
        kind="speech",
        segments=(Segment(start=1, end=2, score=0.99, crime_type="explosion"),),
    )
    assert fused(words).verdict.severity == "low"


def test_a_detection_without_segments_still_has_a_place_in_time() -> None:
    (incident,) = fused(answered(segments=())).incidents
    assert (incident.start, incident.end) == (0.0, DURATION)


def test_one_weak_window_does_not_split_an_incident() -> None:
    scores = (0.9, 0.4, 0.9)
    shape = tuple(Segment(start=i, end=i + 1, score=s) for i, s in enumerate(scores))
    assert len(fused(answered(segments=shape)).incidents) == 1


def test_far_apart_events_are_two_incidents() -> None:
    shape = (Segment(start=1, end=2, score=0.9), Segment(start=10, end=11, score=0.9))
    found = fused(answered(segments=shape)).incidents
    assert [i.id for i in found] == ["incident-1", "incident-2"]


def test_the_timeline_averages_within_a_kind_and_takes_the_largest_across_kinds() -> None:
    def one(name: str, kind: str, score: float) -> Any:
        return answered(name, kind=kind, segments=(Segment(start=0, end=10, score=score),))

    line = fused(
        one("a", "llm", 0.8), one("b", "llm", 0.4), one("c", "sound", 0.5)
    ).verdict.timeline
    assert line.times == (0.0, 10.0)
    assert line.scores == pytest.approx((0.6, 0.0))


@given(panels(), st.integers(1, 4), st.booleans())
def test_promises_hold_for_any_panel(panel: list[Any], min_votes: int, known: bool) -> None:
    """Promises 1, 2, 5: outcomes need live votes, counted once; numbers have sources."""
    result = fuse(panel, kind="video", duration=DURATION if known else None, min_votes=min_votes)
    verdict = result.verdict
    live = {a.vote_key: a for a in panel if a.status == "answered"}
    assert verdict.votes_answered == len(live)
    assert verdict.votes_answered <= verdict.votes_asked <= len(panel)
    if len(live) < min_votes:
        assert verdict.outcome == "undetermined"
    if verdict.outcome == "detected":
        assert any(a.outcome == "detected" for a in panel)
        assert result.incidents
    if verdict.outcome == "not_detected":
        assert all(a.outcome != "detected" for a in panel)
        assert all(
            a.status in ("answered", "skipped") or a.kind in {v.kind for v in live.values()}
            for a in panel
        )
    if verdict.outcome == "undetermined":
        assert verdict.reasons
    assert (verdict.probability is None) == (verdict.probability_source is None)
    assert verdict.effective_votes <= len(live)
    for incident in result.incidents:
        assert 0 <= incident.start <= incident.peak <= incident.end <= DURATION
        assert SEVERITIES.index(incident.severity) <= SEVERITIES.index(verdict.severity)


@given(panels())
def test_killing_voters_never_creates_a_yes_or_a_no_of_its_own(panel: list[Any]) -> None:
    """Promise 1: turning answers into failures can only take certainty away."""
    corpses = [dead(a.analyzer, kind=a.kind) if a.status == "answered" else a for a in panel]
    assert fuse(corpses, kind="video", duration=DURATION).verdict.outcome == "undetermined"
    for index, assessment in enumerate(panel):
        if assessment.status != "answered":
            continue
        wounded = [*panel]
        wounded[index] = dead(assessment.analyzer, kind=assessment.kind)
        before = fuse(panel, kind="video", duration=DURATION).verdict.outcome
        after = fuse(wounded, kind="video", duration=DURATION).verdict.outcome
        if after == "not_detected":
            # Only possible if nobody alive saw anything, and the kind is still alive.
            assert assessment.kind in {a.kind for a in wounded if a.status == "answered"}
        if after == "detected":
            assert before in ("detected", "undetermined")


@given(panels())
def test_fusion_is_deterministic_and_its_verdict_ignores_the_order(panel: list[Any]) -> None:
    forward = fuse(panel, kind="video", duration=DURATION)
    backward = fuse(panel[::-1], kind="video", duration=DURATION)
    assert forward == fuse(panel, kind="video", duration=DURATION)
    assert forward.verdict.outcome == backward.verdict.outcome
    assert forward.verdict.severity == backward.verdict.severity
    assert len(forward.incidents) == len(backward.incidents)


def test_a_person_is_sent_to_the_worst_incidents_with_what_came_before_and_after() -> None:
    times = [10.0 * k for k in range(8)]
    segments = tuple(
        Segment(start=t, end=t + 1, score=0.9, crime_type="explosion" if t == 70 else "fighting")
        for t in times
    )
    result = fuse([answered(segments=segments)], kind="video", duration=80.0)
    first, *_, last = result.verdict.recommendations
    assert len(result.incidents) == 8
    assert len(result.verdict.recommendations) == 6
    assert "0:00.0-0:06.0" in first  # five seconds more at each end, but not before the media
    assert any("1:05.0-1:16.0" in text for text in result.verdict.recommendations)
    assert "other 3 incidents" in last
    late = fuse([answered(segments=segments[-1:])], kind="video", duration=72.5)
    assert "1:05.0-1:12.5" in late.verdict.recommendations[0]  # nor after it
    assert len(result.verdict.severity_reasons) == 1  # the one that makes it critical
    assert "Explosion" in result.verdict.severity_reasons[0]


@pytest.mark.parametrize(("kind", "words"), [("audio", "listen to"), ("image", "the picture")])
def test_a_person_is_sent_to_what_there_is(kind: Any, words: str) -> None:
    result = fuse([answered()], kind=kind, duration=20.0 if kind == "audio" else None)
    assert words in result.verdict.recommendations[0]


def test_one_vote_that_decided_agrees_with_nobody() -> None:
    unsure = answered("sound", kind="sound", outcome="undetermined", probability=0.5)
    assert fused(answered("motion"), unsure).verdict.agreement is None
    assert fused(answered("motion"), unsure).verdict.outcome == "detected"
