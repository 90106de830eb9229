"""What nobody looked at is said in full, and in words that are true."""

from __future__ import annotations

from typing import Any

import pytest

from builders import answered, dead
from mmcrime.evidence import CUT_OFF, Coverage, Gap
from mmcrime.reports.missed import closeness, unseen
from mmcrime.results import Assessment, CoverageRecord, MediaRecord
from report_samples import report, undetermined

WHOLE = Coverage(examined=((0.0, 20.0),), frames=5)


def told(page: Any) -> list[str]:
    """Return who missed what, and why."""
    return [f"{', '.join(g.who)}: {g.where()} ({g.reason})" for g in unseen(page.to_dict())]


def video(*panel: Assessment, has_audio: bool = True, **covered: Any) -> list[str]:
    """Return what is told of a video of 20 s that was decoded whole."""
    base: dict[str, Any] = {"duration": 20.0, "video": WHOLE, "sound": WHOLE, "speech": WHOLE}
    media = report().media.model_copy(update={"has_audio": has_audio})
    return told(report(media=media, assessments=panel, coverage=CoverageRecord(**base | covered)))


HEARD = answered("sound", kind="sound", coverage=WHOLE)


@pytest.mark.parametrize("reason", ["damaged", "over_limit"])
def test_a_picture_of_which_some_was_examined_was_missed_in_part_and_not_as_a_whole(
    reason: str,
) -> None:
    gap = Gap(start=0.0, end=0.0, reason=reason)
    partly = Coverage(frames=1, gaps=(gap,))
    still = undetermined(
        assessments=(answered("looker", kind="objects", coverage=partly),),
        coverage=CoverageRecord(video=partly, analyzers={"looker": partly}),
    )
    assert [line.partition(" (")[0] for line in told(still)] == ["video, looker: a part of it"]


def test_a_picture_of_which_nothing_was_examined_was_missed_as_a_whole() -> None:
    nothing = Coverage(gaps=(Gap(start=0.0, end=0.0, reason="damaged"),))
    still = undetermined(
        assessments=(answered("looker", kind="objects", coverage=nothing),),
        coverage=CoverageRecord(video=nothing),
    )
    assert told(still) == ["video, looker: all of it (could not be decoded)"]


@pytest.mark.parametrize("status", ["failed", "refused"])
def test_who_was_asked_and_gave_no_answer_is_named(status: str) -> None:
    lines = video(answered(), HEARD, dead("weapons", kind="objects", status=status))
    assert lines == [f"weapons: all of it ({status}, no answer)"]


def test_who_was_skipped_or_could_not_judge_this_input_is_not_named() -> None:
    skipped = dead("weapons", kind="objects", status="skipped")
    deaf = dead("ears", kind="sound")
    assert video(answered(), skipped, deaf, has_audio=False) == []


def test_time_of_which_a_voter_says_nothing_is_told() -> None:
    some = answered(coverage=Coverage(examined=((0.0, 7.2), (11.0, 20.0)), frames=9))
    nothing = answered("looker", kind="video", coverage=Coverage())
    assert video(some, nothing, HEARD) == [
        "motion: 0:07.2-0:11.0 (nobody says that it was examined)",
        "looker: 0:00.0-0:20.0 (nobody says that it was examined)",
    ]
    assert video(some, HEARD, sound=Coverage())[0].startswith("sound: 0:00.0-0:20.0 (nobody says")


def test_a_picture_of_which_its_voter_says_nothing_is_told() -> None:
    still = undetermined(assessments=(answered("looker", kind="objects", coverage=Coverage()),))
    assert told(still) == ["looker: all of it (nobody says that it was examined)"]


def test_slivers_that_rounding_leaves_are_not_told() -> None:
    almost = answered(coverage=Coverage(examined=((0.04, 9.98), (10.0, 19.95)), frames=9))
    assert video(almost, HEARD) == []


def test_sound_that_only_a_judge_of_frames_was_asked_about_was_judged_by_nobody() -> None:
    looker = answered("openai", kind="llm", coverage=WHOLE)
    assert video(looker, dead("sound", kind="sound")) == [
        "sound: all of it (no analyzer judged this)",
        "sound: all of it (failed, no answer)",
    ]


@pytest.mark.parametrize(
    ("end", "lines"),
    [(0.02, []), (0.3, ["sound, speech: 0:00.0-0:00.3 (there is none in this input)"])],
)
def test_a_track_that_begins_a_moment_after_the_other_is_no_news(
    end: float, lines: list[str]
) -> None:
    late = Coverage(examined=((end, 20.0),), gaps=(Gap(start=0.0, end=end, reason="no_stream"),))
    heard = answered("ears", kind="sound", coverage=WHOLE)
    assert video(answered(), heard, sound=late, speech=late) == lines


def test_a_moment_that_could_not_be_decoded_is_still_told() -> None:
    torn = Coverage(examined=((0.02, 20.0),), gaps=(Gap(start=0.0, end=0.02, reason="damaged"),))
    assert video(answered(), HEARD, video=torn) == [
        "video: under 0.1 s at 0:00.0 (could not be decoded)"
    ]


def test_the_table_and_the_pages_tell_the_same() -> None:
    found = report(
        media=MediaRecord(kind="video", name="x", duration=20.0, has_audio=False),
        assessments=(answered(coverage=Coverage()), dead("weapons", kind="objects")),
        coverage=CoverageRecord(duration=20.0, video=WHOLE),
    )
    page, cell = found.to_text(), found.to_csv_row()["not_looked_at"]
    assert "No gaps." not in page + found.to_markdown()
    assert "Timeline  |xxxx" in page
    assert cell == (
        "motion: 0:00.0-0:20.0 (nobody says that it was examined); "
        "weapons: all of it (failed, no answer)"
    )


def test_an_end_that_was_cut_off_is_neither_a_part_nor_all_of_it() -> None:
    lost = Gap(start=20.0, end=20.0, reason=f"{CUT_OFF} 60.0 s")
    seen = Coverage(examined=((0.0, 20.0),), frames=5, gaps=(lost,))
    data = report(coverage=CoverageRecord(duration=20.0, video=seen)).to_dict()
    told = {who: gap.where() for gap in unseen(data) for who in gap.who if "header" in gap.reason}
    assert told == {"video": "the end of it"}
    page = report(coverage=CoverageRecord(duration=20.0, video=seen)).to_html()
    assert "all but the lost end" in page


def test_how_closely_pictures_were_looked_over_is_said_where_it_is_known() -> None:
    report = {"evidence": {"motion": {"resolution": 2.16}}}
    assert closeness(report) == "a look at least every 2.2 s"
    assert closeness({"evidence": {"motion": {"resolution": 0.0}}}) is None
    assert closeness({"evidence": {"motion": None}}) is None


def test_how_closely_pictures_were_looked_over_is_never_told_too_close() -> None:
    told = {1.84: "1.9", 0.28: "0.3", 7.0: "7", 36.04: "37", 104.0: "104", 200.0: "200"}
    for apart, words in told.items():
        report = {"evidence": {"motion": {"resolution": apart}}}
        assert closeness(report) == f"a look at least every {words} s"
