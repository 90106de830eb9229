"""The analyzer ``sound`` says what it heard, how sure that makes it, and what it cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from importlib.metadata import entry_points

import pytest

from mmcrime.analyzers.sound import QUIET_PROBABILITY, STRONG, SoundAnalyzer
from mmcrime.egress import Gate
from mmcrime.evidence import (
    CUT_OFF,
    NO_STREAM,
    SILENT,
    Coverage,
    Evidence,
    Gap,
    Media,
    MediaKind,
    SoundEvent,
    SoundLabel,
)
from mmcrime.plugins import RunContext
from mmcrime.results import Assessment


class NoReader:
    """Fails when the analyzer decodes anything: it may only read what was prepared."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the analyzer asked for {name!r}")


def event(label: SoundLabel, score: float = 1.0, start: float = 2.0) -> SoundEvent:
    return SoundEvent(start=start, end=start + 0.5, peak=start, label=label, score=score)


def judge(
    *events: SoundEvent,
    kind: MediaKind = "audio",
    has_audio: bool = True,
    duration: float | None = 10.0,
    heard: Iterable[tuple[float, float]] = ((0.0, 10.0),),
    gaps: tuple[Gap, ...] | None = None,
) -> Assessment:
    media = Media(
        kind=kind,
        name="x",
        content_id="blake3:00",
        format="wav",
        size_bytes=1,
        duration=duration,
        has_audio=has_audio,
    )
    coverage = Coverage.from_intervals(heard, whole=(0.0, duration or 0.0))
    if gaps is not None:
        coverage = Coverage(examined=coverage.examined, gaps=gaps)
    evidence = Evidence(media=media, reader=NoReader(), sounds=events, sound=coverage)
    context = RunContext(request_id="r", egress=Gate(offline=True))
    return asyncio.run(SoundAnalyzer().analyze(evidence, context))


@pytest.mark.parametrize(
    ("label", "crime_type"), [("impulsive", "gunshot"), ("scream", "screaming")]
)
def test_a_strong_bang_or_scream_is_detected(label: SoundLabel, crime_type: str) -> None:
    answer = judge(event(label))
    assert (answer.outcome, answer.crime_type) == ("detected", crime_type)
    assert answer.probability is not None
    assert 0.5 < answer.probability < 0.7
    assert answer.probability_source == "measured"
    (segment,) = answer.segments
    assert (segment.start, segment.end, segment.crime_type) == (2.0, 2.5, crime_type)


@pytest.mark.parametrize("label", ["impulsive", "scream"])
def test_a_weak_event_is_undetermined_and_less_likely(label: SoundLabel) -> None:
    weak, strong = (
        judge(event(label, STRONG[label] - 0.01)),
        judge(event(label, STRONG[label])),
    )
    assert weak.outcome == "undetermined"
    assert weak.probability is not None
    assert strong.probability is not None
    assert QUIET_PROBABILITY < weak.probability < 0.5 < strong.probability


def test_a_siren_alone_is_a_hint_without_a_probability() -> None:
    answer = judge(event("siren"))
    assert (answer.outcome, answer.crime_type, answer.severity) == ("undetermined", "siren", "low")
    assert answer.probability is None


def test_the_most_telling_event_decides_and_all_are_listed() -> None:
    answer = judge(event("siren", 1.0, 6.0), event("scream", 1.0, 4.0), event("impulsive"))
    assert (answer.crime_type, answer.severity) == ("gunshot", "high")
    assert [s.crime_type for s in answer.segments] == ["gunshot", "screaming", "siren"]


def test_a_scream_with_a_weak_bang_is_judged_by_the_scream() -> None:
    assert judge(event("impulsive", 0.86), event("scream", start=5.0)).crime_type == "screaming"


def test_hearing_nothing_is_not_detected_but_excludes_no_silent_incident() -> None:
    answer = judge()
    assert (answer.status, answer.outcome) == ("answered", "not_detected")
    assert answer.probability == QUIET_PROBABILITY
    assert answer.segments == ()
    assert answer.crime_type is None
    assert "not excluded" in answer.evidence_description


@pytest.mark.parametrize("label", ["impulsive", "scream", "siren"])
def test_innocent_explanations_are_always_given(label: SoundLabel) -> None:
    answer = judge(event(label, 0.9))
    assert len(answer.alternative_interpretations) >= 2
    assert "sound only" in answer.evidence_description


def test_hearing_nothing_in_less_than_half_is_no_answer() -> None:
    answer = judge(heard=((0.0, 4.0),))
    assert answer.outcome == "undetermined"
    assert answer.probability is None
    assert answer.flags == ("low_coverage",)
    assert [(g.start, g.end) for g in answer.coverage.gaps] == [(4.0, 10.0)]


def test_a_bang_in_less_than_half_still_counts_and_is_flagged() -> None:
    answer = judge(event("impulsive"), heard=((0.0, 4.0),))
    assert (answer.outcome, answer.flags) == ("detected", ("low_coverage",))


def test_an_unknown_duration_is_not_held_against_what_was_heard() -> None:
    assert judge(duration=None, heard=((0.0, 3.0),)).flags == ()


@pytest.mark.parametrize(
    ("has_audio", "status"),
    [(False, "skipped"), (True, "failed")],
    ids=["no stream", "nothing decoded"],
)
def test_without_sound_it_does_not_vote(has_audio: bool, status: str) -> None:
    answer = judge(kind="video", has_audio=has_audio, heard=())
    assert (answer.status, answer.outcome) == (status, "undetermined")
    assert answer.probability is None
    assert answer.error is not None
    assert answer.error.stage == "analyze:sound"
    assert answer.error.next_step


def test_it_can_be_reached_through_its_entry_point() -> None:
    (point,) = entry_points(group="mmcrime.analyzers", name="sound")
    assert point.load() is SoundAnalyzer


def test_the_card_says_how_it_was_measured_and_what_it_cannot_do() -> None:
    card = judge().card
    assert {"method", "measured", "measured_on", "limits"} <= card.keys()
    assert judge().vote_key == ("sound", "embedded", "sound-rules/1")


def test_a_video_that_goes_on_behind_its_sound_was_heard_whole() -> None:
    """What has no sound cannot be listened to and is not missed."""
    absent = Gap(start=2.0, end=10.0, reason=NO_STREAM)
    answer = judge(kind="video", heard=((0.0, 2.0),), gaps=(absent,))
    assert (answer.outcome, answer.flags) == ("not_detected", ())
    half = Gap(start=0.5, end=2.0, reason="damaged")
    answer = judge(kind="video", heard=((0.0, 0.5),), gaps=(half, absent))
    assert (answer.outcome, answer.flags) == ("undetermined", ("low_coverage",))


def test_sound_that_cannot_be_decoded_is_a_dead_part() -> None:
    lost = Gap(start=0.0, end=10.0, reason="damaged: no decoder for audio stream 1")
    answer = judge(kind="video", heard=(), gaps=(lost,))
    assert answer.status == "failed"
    assert answer.coverage.gaps == (lost,)


def test_what_a_cut_off_file_lost_stays_in_the_coverage() -> None:
    lost = Gap(start=10.0, end=10.0, reason=f"{CUT_OFF} 60.0 s")
    assert judge(gaps=(lost,)).coverage.gaps == (lost,)
    silent = Gap(start=0.0, end=10.0, reason=SILENT)
    assert judge(heard=(), gaps=(silent, lost)).status == "skipped"
