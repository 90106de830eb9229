"""The text report: readable at a glance, harmless whatever the media says."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import answered, dead
from mmcrime.evidence import Coverage, Gap
from mmcrime.reports import csv_table, text, text_page, words
from mmcrime.reports.missed import unseen
from mmcrime.results import (
    CoverageRecord,
    CrossVerification,
    ErrorRecord,
    MediaRecord,
    Reason,
    Segment,
    Verdict,
)
from report_samples import HOSTILE, calm, hostile_text, report, undetermined

_SGR = re.compile(r"\x1b\[(0|1|2|31|32|33|1\x1b\[3[123])m")


def bad_characters(page: str) -> set[str]:
    return {c for c in page if c != "\n" and unicodedata.category(c)[0] == "C"}


@calm
@given(hostile_text)
def test_no_control_or_format_character_of_the_media_reaches_the_terminal(hostile: str) -> None:
    page = text.render(report(hostile).to_dict(), colour=False)
    assert not bad_characters(page)


@calm
@given(hostile_text)
def test_with_colours_only_our_own_colour_codes_are_written(hostile: str) -> None:
    page = text.render(report(hostile).to_dict(), colour=True)
    assert not bad_characters(_SGR.sub("", page))


@calm
@given(hostile_text)
def test_hostile_text_adds_no_section_and_no_line_start_of_its_own(hostile: str) -> None:
    lines = text.render(report(hostile).to_dict(), colour=False).splitlines()
    calm_lines = text.render(report().to_dict(), colour=False).splitlines()
    assert lines[1] == "AUTOMATED RESULT, UNCONFIRMED"
    assert lines.count("Who said what") == 1
    # A label takes ten columns; behind it and behind an indentation anything may stand.
    starts = {line[:10] for line in calm_lines if not line.startswith(" ")}
    assert {line[:10] for line in lines if not line.startswith(" ")} <= starts
    assert lines.count("") <= calm_lines.count("")


def test_a_long_name_cannot_place_a_verdict_of_its_own_at_the_start_of_a_line() -> None:
    name = "x" * 70 + " NO INCIDENT DETECTED"
    page = text.render(report(source=name).to_dict(), colour=False)
    assert "          NO INCIDENT DETECTED\n" in page
    assert "\nNO INCIDENT DETECTED" not in page


@pytest.mark.parametrize("width", [40, 80, 100])
@pytest.mark.parametrize("hostile", [None, *HOSTILE])
def test_every_line_fits_the_terminal(width: int, hostile: str | None) -> None:
    page = text.render(report(hostile).to_dict(), colour=False, width=width)
    assert max(map(words.cells, page.splitlines())) <= width


def test_the_page_says_what_when_who_what_was_missed_and_what_left() -> None:
    page = text.render(report().to_dict(), colour=False)
    for said in (
        "INCIDENT DETECTED: Fighting",
        "probability 0.82, measured; confidence medium",
        "severity HIGH [###-]",
        "People are struck.",
        "1 of 3 votes answered",
        "Time           Strongest  Clock UTC  Severity  Prob.  Kind",
        "0:04.0-0:08.0  0:06.5     12:00:04   high      0.82   Fighting or Assault",
        "motion  detected: unknown kind; probability 0.90, measured",
        "by embedded, motion-1",
        "acme    refused",
        "by acme; cost unknown",
        "It would not look at this.",
        "speech: 0:10.0-0:20.0 (beyond what the speech engine listens to)",
        "motion: 0:12.0-0:13.0 (could not be decoded: bad packet)",
        "[possible gunshot or similar bang]",
        '"get away from me"',
        "reliability low",
        "image of a request to acme, 512 bytes",
        "transcribe: MmcrimeError: gave up",
    ):
        assert said in page, said


def test_an_error_that_stands_beside_its_analyzer_is_not_told_twice() -> None:
    full = report()
    error = full.assessments[1].error
    assert error is not None
    page = text.render(report(errors=(error,)).to_dict(), colour=False)
    assert "Errors" not in page
    assert page.count("It would not look at this.") == 1
    skipped = dead("motion", status="skipped", error=error)
    page = text.render(report(assessments=(skipped,)).to_dict(), colour=False)
    assert "  motion  skipped\n    It would not look at this.\n" in page


def test_a_description_that_only_repeats_the_analyzers_stands_with_them_alone() -> None:
    full = report()
    said = full.assessments[0].evidence_description
    verdict = full.verdict.model_copy(update={"evidence_description": f"motion: {said}"})
    page = text.render(report(verdict=verdict).to_dict(), colour=False)
    assert page.count(said) == 1
    longer = full.verdict.model_copy(update={"evidence_description": f"motion: {said} A chair."})
    assert "A chair." in text.render(report(verdict=longer).to_dict(), colour=False)


def test_an_undetermined_page_says_why_and_what_to_do_and_that_nothing_left() -> None:
    page = text.render(undetermined().to_dict(), colour=False)
    assert "UNDETERMINED: neither yes nor no" in page
    assert "(no_capable_analyzer)" in page
    assert "Next      Name a provider that does.\n" in page
    assert "Nothing left this machine." in page
    assert "NO INCIDENT" not in page


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00.0"), (59.97, "1:00.0"), (61.25, "1:01.2"), (3600, "1:00:00.0"), (-0.01, "0:00.0")],
)
def test_times_are_minutes_seconds_and_tenths(seconds: float, said: str) -> None:
    assert words.clock(seconds) == said


def test_the_same_gaps_of_several_observers_are_one_entry() -> None:
    gap = {"start": 1.0, "end": 2.0, "reason": "damaged"}
    next_gap = {"start": 2.0, "end": 3.0, "reason": "damaged"}
    coverage = {
        "video": {"gaps": [gap, next_gap]},
        "sound": {"gaps": [{"start": 1.0, "end": 3.0, "reason": "damaged"}]},
        "analyzers": {"motion": {"gaps": [gap]}},
    }
    found = unseen({"coverage": coverage})
    assert [(g.who, g.where()) for g in found] == [
        (("video", "sound"), "0:01.0-0:03.0"),
        (("motion",), "0:01.0-0:02.0"),
    ]


def test_an_input_that_could_not_be_read_was_not_looked_at_at_all() -> None:
    unread = undetermined(media=MediaRecord(kind=None, name="x")).to_dict()
    assert "the input: all of it (unreadable)" in text.render(unread, colour=False)
    assert "all of it" in undetermined(media=MediaRecord(kind=None, name="x")).to_markdown()
    assert csv_table.row(unread)["not_looked_at"] == "the input: all of it (unreadable)"


@pytest.mark.parametrize(
    ("kind", "has_audio", "answers", "missed"),
    [
        ("image", None, [], ["pictures"]),
        ("image", None, ["llm"], []),
        ("audio", True, [], ["sound"]),
        ("audio", True, ["sound"], []),
        ("video", True, [], ["pictures", "sound"]),
        ("video", True, ["motion"], ["sound"]),
        ("video", False, ["motion"], []),
    ],
)
def test_a_sense_that_no_analyzer_judged_is_named(
    kind: Any, has_audio: bool | None, answers: list[Any], missed: list[str]
) -> None:
    found = undetermined(
        media=MediaRecord(kind=kind, name="x", has_audio=has_audio),
        assessments=(*(answered(k, kind=k) for k in answers), dead("late", kind="sound")),
    )
    unjudged = [g for g in unseen(found.to_dict()) if g.reason == "no analyzer judged this"]
    assert [g.who for g in unjudged] == [(sense,) for sense in missed]
    assert all(g.where() == "all of it" for g in unjudged)


def test_the_severity_of_an_undetermined_verdict_is_not_called_none_in_any_form() -> None:
    found = undetermined()
    assert "severity" not in text.render(found.to_dict(), colour=False)
    assert "severity" not in found.to_markdown()
    assert found.to_csv_row()["severity"] == ""
    assert report().to_csv_row()["severity"] == "high"
    assert "severity high" in report().to_markdown()


def test_many_gaps_are_counted_and_a_gap_without_time_is_all_of_it() -> None:
    many = [{"start": float(i), "end": i + 0.5, "reason": "damaged"} for i in range(9)]
    still = [{"start": 0.0, "end": 0.0, "reason": "no_stream"}]
    found = unseen({"coverage": {"video": {"gaps": many}, "sound": {"gaps": still}}})
    assert "and 6 more stretches (4.5 s in all)" in found[0].where()
    assert found[1].where() == "all of it"


def test_an_unknown_cost_is_never_zero() -> None:
    assert words.money({"usd": None, "source": "unknown"}) == "cost unknown"
    assert words.money({}) == "cost unknown"
    assert "0.0100 (price table)" in words.money({"usd": 0.01, "source": "price_table"})


def test_a_cost_too_small_for_four_places_is_told_from_none() -> None:
    assert words.money({"usd": 0.0, "source": "user"}) == "$0 (your price)"
    assert words.money({"usd": 0.0000084, "source": "user"}) == "under $0.0001 (your price)"
    assert words.money({"usd": 0.0001, "source": "user"}) == "$0.0001 (your price)"


def test_the_verdict_stands_in_a_block_of_plain_characters_with_and_without_colours() -> None:
    plain = text.render(report().to_dict(), colour=False).splitlines()
    assert plain[0] == plain[4] == "=" * 80
    assert plain[2] == "INCIDENT DETECTED: Fighting"
    coloured = text.render(report().to_dict(), colour=True).splitlines()
    assert coloured[2] == "\x1b[1m\x1b[31mINCIDENT DETECTED: Fighting\x1b[0m"
    assert [_SGR.sub("", line) for line in coloured] == plain


def test_our_own_words_need_no_character_beyond_ascii() -> None:
    for found in (report(), undetermined()):
        assert text.render(found.to_dict(), colour=True).isascii()


def test_the_line_of_time_shows_where_the_incident_and_the_gap_are() -> None:
    page = text.render(report().to_dict(), colour=False).splitlines()
    (line,) = [line for line in page if line.startswith("Timeline  |")]
    marks = line.removeprefix("Timeline  |").removesuffix("|")
    assert len(line) == 80
    for mark, start, end in (("#", 4.0, 8.0), ("x", 12.0, 13.0)):
        assert abs(marks.index(mark) / len(marks) * 20 - start) < 0.5
        assert abs((marks.rindex(mark) + 1) / len(marks) * 20 - end) < 0.5


@given(st.floats(0.01, 1e6), st.floats(0, 1), st.floats(0, 1), st.integers(10, 100))
def test_every_incident_has_a_mark_and_the_line_of_time_keeps_its_length(
    end: float, one: float, other: float, columns: int
) -> None:
    start, stop = sorted((one * end * 0.99, other * end))
    line = text_page.marks(columns, end=end, incidents=[(start, max(start, stop))], gaps=[])
    assert len(line) == columns
    assert "#" in line


def test_a_gap_stays_on_the_line_of_time_unless_an_incident_covers_it() -> None:
    line = text_page.marks(10, end=10.0, incidents=[(2, 4)], gaps=[(3, 6), (8, 8.05)])
    assert line == "--##xx----"


def test_a_report_without_time_or_without_anything_to_mark_has_no_line_of_time() -> None:
    assert "Timeline" not in text.render(undetermined().to_dict(), colour=False)
    seen = CoverageRecord(video=Coverage(examined=((0.0, 20.0),), frames=5))
    calm_one = report(incidents=(), coverage=seen)
    assert "Timeline" not in text.render(calm_one.to_dict(), colour=False)


def test_ten_incidents_stand_one_a_line_in_columns() -> None:
    first = report().incidents[0]
    ten = tuple(
        first.model_copy(update={"start": 360.0 * i, "end": 360.0 * i + 5, "alternatives": ()})
        for i in range(10)
    )
    page = text.render(report(incidents=ten).to_dict(), colour=False)
    assert "Incidents: 10, not verified" in page
    rows = [line for line in page.splitlines() if line.endswith("0.82   Fighting")]
    assert len(rows) == 10
    assert len({line.index("high") for line in rows}) == 1


def test_a_wall_clock_time_of_another_day_names_the_day() -> None:
    late = report().media.model_copy(
        update={"recorded_at": datetime(2026, 5, 1, 23, 59, 58, tzinfo=UTC)}
    )
    page = text.render(report(media=late).to_dict(), colour=False)
    assert "2026-05-02 00:00:02" in page
    end_of_time = late.model_copy(update={"recorded_at": datetime.max.replace(tzinfo=UTC)})
    assert "Incidents: 1" in text.render(report(media=end_of_time).to_dict(), colour=False)


def test_an_answer_from_the_cache_and_a_fallback_are_named() -> None:
    one = answered("motion", cached=True, fallbacks=("acme was gone", "globex as well"))
    page = text.render(report(assessments=(one,)).to_dict(), colour=False)
    assert "from the cache" in page
    assert "tried before: acme was gone; globex as well" in page


def test_who_agrees_with_whom_is_said() -> None:
    check = CrossVerification(first="motion", second="sound", agree=False, text="one heard a bang")
    verdict = report().verdict.model_copy(update={"cross_verification": (check,)})
    page = text.render(report(verdict=verdict).to_dict(), colour=False)
    assert "motion and sound disagree: one heard a bang" in page


def test_what_to_do_and_what_went_wrong_are_not_said_twice() -> None:
    reason = Reason(
        code="low_coverage", text="Nothing was examined: no such file.", next_step="Look."
    )
    error = ErrorRecord(
        stage="prepare", type="MediaError", message="no such file.", next_step="Look."
    )
    verdict = Verdict(outcome="undetermined", reasons=(reason,), recommendations=("Look.", "Call."))
    page = text.render(undetermined(verdict=verdict, errors=(error,)).to_dict(), colour=False)
    assert page.count("Look.") == 1
    assert page.count("no such file") == 1
    assert "prepare: MediaError, as told under Why" in page
    assert "  - Call." in page


def test_a_silent_track_is_a_gap_and_not_a_sound_that_nobody_judged() -> None:
    def told(reason: str, **sound: Any) -> str:
        gap = Gap(start=0.0, end=20.0, reason=reason)
        coverage = CoverageRecord(duration=20.0, sound=Coverage(gaps=(gap,), **sound))
        skipped = dead("sound", status="skipped", kind="sound")
        return report(coverage=coverage, assessments=(answered("motion"), skipped)).to_text()

    silent = told("silent")
    assert "digital silence" in silent
    assert "no analyzer judged" not in silent
    assert "no analyzer judged" in told("damaged")
    assert "no analyzer judged" in told("silent", examined=((0.0, 5.0),))


def spoken(segments: int) -> Any:
    """Return a report whose one voter says more than its answer."""
    marked = tuple(
        Segment(
            start=1.0 * n,
            end=1.0 * n + 1,
            score=0.5 + 0.01 * n,
            crime_type="fighting",
            text=f"s{n}",
        )
        for n in range(segments)
    )
    vote = answered(
        "motion", family="gait", segments=marked, alternative_interpretations=("a dance", "a game")
    )
    return report(assessments=(vote,))


def test_what_a_voter_adds_to_its_answer_is_told_beside_it() -> None:
    page, table = spoken(2).to_text(), spoken(2).to_markdown()
    for said in (
        "by embedded, motion, family gait",
        "could also be: a dance; a game",
        "marked 0:00.0-0:01.0, score 0.50; Fighting; s0",
        "marked 0:01.0-0:02.0, score 0.51; Fighting; s1",
    ):
        assert said in page, said
    for said in (
        "motion, embedded, motion, family gait",
        "could also be\\: a dance; could also be\\: a game",
        "- motion\\: 0:01.0-0:02.0, score 0.51; Fighting; s1",
    ):
        assert said in table, said
    assert "all of it is in the JSON" not in page + table


def test_of_many_stretches_the_strongest_are_told_and_the_rest_is_counted() -> None:
    page, table = spoken(15).to_text(), spoken(15).to_markdown()
    assert [f"; s{n}\n" in page for n in (11, 12, 13, 14)] == [False, True, True, True]
    assert page.index("; s12") < page.index("; s14")
    assert "and 12 more; all of it is in the JSON." in page
    assert "- motion\\: and 5 more; all of it is in the JSON." in table


def test_what_stands_elsewhere_already_is_not_told_again_with_the_voter() -> None:
    vote = answered(
        "motion", crime_type="fighting", alternative_interpretations=("Horseplay", "a dance")
    )
    found = report(assessments=(vote,))
    assert "by embedded, motion; cost" in found.to_text()
    for page in (found.to_text(), found.to_markdown()):
        assert "score" not in page
        assert page.count("Horseplay") == 1
        assert page.count("a dance") == 1
