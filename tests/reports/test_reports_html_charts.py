"""The time axis, the curves and the lanes of the HTML report."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.reports.html import curves
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.curves import COLUMNS
from mmcrime.reports.html.lanes import lanes
from report_samples import calm, report

TIME = st.floats(-1e6, 1e6)


def data(**evidence: Any) -> dict[str, Any]:
    """A report of 20 s with this evidence."""
    sample = report().to_dict()
    sample["evidence"].update(evidence)
    if "motion" in evidence:
        sample["coverage"]["video"] = {}  # a length of its own
    return sample


def axis(end: float = 20.0, **fields: Any) -> Axis:
    return Axis(start=0.0, end=end, **fields)


def boxes(path: str) -> list[tuple[float, float, float]]:
    """The stretches of an area: left, right and height, all 0 to 100."""
    found = re.findall(r"M([\d.]+) 100V([\d.]+)H([\d.]+)V100Z", path)
    return [(float(a) / 10, float(c) / 10, round(100 - float(b), 1)) for a, b, c in found]


@given(start=TIME, length=st.floats(1e-3, 1e12))
@calm
def test_an_axis_has_a_few_labels_in_order_that_all_lie_on_it(start: float, length: float) -> None:
    ticks = Axis(start=start, end=start + length).ticks()
    places = [tick.at for tick in ticks]
    assert len(places) <= 7
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (2.1, ["0:00.0", "0:00.5", "0:01.0", "0:01.5", "0:02.0"]),
        (60, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"]),
        (86400, ["0:00", "4:00:00", "8:00:00", "12:00:00", "16:00:00", "20:00:00", "24:00:00"]),
    ],
)
def test_labels_stand_at_times_people_count_in(length: float, labels: list[str]) -> None:
    assert [tick.media for tick in axis(length).ticks()] == labels


def test_wall_clock_labels_run_past_midnight() -> None:
    ticks = axis(20.0, recorded_at="2026-05-01T23:59:50+02:00").ticks()
    assert [tick.wall for tick in ticks] == [
        "23:59:50",
        "23:59:55",
        "00:00:00",
        "00:00:05",
        "00:00:10",
    ]


def test_a_value_that_was_not_measured_is_a_hole_and_not_a_line() -> None:
    curve = curves.motion(
        data(motion={"times": [0.0, 1.0, 10.0], "scores": [0.2, 0.4, 1.0], "method": "m"}), axis()
    )
    assert boxes(curve.path.area) == [(0, 5, 20), (5, 10, 40), (50, 55, 100)]
    assert curve.path.line.count("M") == 2


def test_values_out_of_order_or_without_a_time_are_drawn_as_far_as_they_go() -> None:
    found = {"times": [5.0, 0.0], "scores": [0.4, 0.2, 0.9], "method": "m"}
    curve = curves.motion(data(motion=found), axis())
    assert boxes(curve.path.area) == [(0, 5, 20), (25, 30, 40)]
    assert curve.facts == "Highest 0.40 at 0:05.0."


def test_the_fused_score_holds_until_the_next_one_and_stops_where_nobody_looked() -> None:
    sample = data()
    sample["verdict"]["timeline"] = {"times": [0.0, 4.0, 8.0], "scores": [0.1, 0.9, 0.0]}
    sample["coverage"]["analyzers"] = {"motion": {"examined": [[0.0, 6.0], [10.0, 20.0]]}}
    curve = curves.score(sample, axis())
    assert boxes(curve.path.area) == [(0, 20, 10), (20, 30, 90), (50, 100, 0)]
    assert curve.facts == "Highest 0.90 from 0:04.0 on."


def test_a_day_is_drawn_in_few_columns_that_keep_the_largest_values_and_say_so() -> None:
    times = [float(t) for t in range(86_400)]
    scores = [0.05] * 86_400
    scores[50_000] = 0.97
    sample = data(motion={"times": times, "scores": scores, "method": "m"})
    curve = curves.motion(sample, axis(86_400.0))
    drawn = boxes(curve.path.area)
    assert len(drawn) == COLUMNS
    assert max(height for _, _, height in drawn) == 97
    (peak,) = (box for box in drawn if box[2] == 97)
    assert peak[0] <= 100 * 50_000 / 86_400 <= peak[1]
    assert "Drawn: the largest value of each 144 s." in curve.notes


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=3000))
@calm
def test_the_highest_value_is_always_drawn(values: list[float]) -> None:
    times = [float(t) for t in range(len(values))]
    sample = data(motion={"times": times, "scores": values, "method": "m"})
    drawn = boxes(curves.motion(sample, axis(float(len(values)))).path.area)
    assert len(drawn) <= COLUMNS
    assert max(height for _, _, height in drawn) == pytest.approx(100 * max(values), abs=0.1)


@pytest.mark.parametrize(
    ("levels", "floor", "heights"),
    [([-30.0, -60.0], "-60 or less", [50, 0]), ([-40.0, -80.0], "-80 or less", [50, 0])],
)
def test_sound_is_drawn_on_a_scale_that_holds_it(
    levels: list[float], floor: str, heights: list[float]
) -> None:
    sample = data(loudness={"times": [0.0, 1.0], "levels": levels, "method": "RMS"})
    curve = curves.sound(sample, axis())
    assert (curve.top, curve.bottom) == ("0 dBFS", floor)
    assert [height for _, _, height in boxes(curve.path.area)] == heights
    assert curve.notes == (
        "Once a second: RMS.",
        "Marked: possible gunshot or similar bang at 0:01.1.",
    )


def test_silence_and_missing_sound_are_said_and_not_drawn_as_a_flat_line() -> None:
    silent = data(loudness={"times": [0.0, 1.0], "levels": [-100.0, -100.0], "method": "RMS"})
    silent["coverage"]["sound"] = covered([], [(0.0, 20.0, "silent")])
    mute = data()
    mute["media"]["has_audio"] = False
    for sample, said in (
        (silent, "There is none to draw: all of it is digital silence."),
        (mute, "There is none: this input has no sound."),
        (data(), "There is none: the level was not measured."),
    ):
        sample["evidence"]["sounds"] = []
        curve = curves.sound(sample, axis())
        assert curve.path.line == ""
        assert curve.notes == (said,)


def test_a_curve_that_does_not_exist_says_why() -> None:
    audio = data()
    audio["media"]["kind"] = "audio"
    assert curves.motion(audio, axis()).notes == ("There is none: this input has no pictures.",)
    assert curves.score(data(), axis()).notes == (
        "There is none: no analyzer that answered gave scores over time.",
    )


def lane(name: str, sample: dict[str, Any]) -> list[tuple[str, float, float]]:
    (found,) = (lane for lane in lanes(sample, axis()) if lane.name == name)
    return [(bar.kind, bar.at, bar.width) for bar in found.bars]


def covered(examined: list[list[float]], gaps: list[tuple[float, float, str]]) -> dict[str, Any]:
    named = [{"start": start, "end": end, "reason": reason} for start, end, reason in gaps]
    return {"examined": examined, "frames": 1, "gaps": named}


def test_a_lane_tells_examined_missed_and_nothing_there_apart() -> None:
    sample = data()
    sample["coverage"]["sound"] = covered([[0.0, 10.0]], [(10, 15, "silent"), (15, 20, "damaged")])
    assert lane("Sound decoded", sample) == [
        ("nothing", 50, 25),
        ("seen", 0, 50),
        ("missed", 75, 25),
    ]


def test_what_is_stated_neither_way_is_drawn_as_missed() -> None:
    sample = data()
    sample["coverage"]["sound"] = covered([[0.0, 10.0]], [])
    assert ("missed", 50, 50) in lane("Sound decoded", sample)


def test_an_analyzer_without_an_answer_examined_nothing_that_counts() -> None:
    sample = data()
    sample["assessments"][1]["coverage"] = covered([[0.0, 20.0]], [])
    assert sample["assessments"][1]["status"] == "refused"
    assert lane("acme", sample) == [("missed", 0, 100)]


def test_who_judges_pictures_only_missed_nothing_of_a_recording_of_sound() -> None:
    sample = data()
    sample["media"]["kind"] = "audio"
    assert "motion" in [found.name for found in lanes(data(), axis())]
    assert "motion" not in [found.name for found in lanes(sample, axis())]


def test_a_short_gap_between_many_is_still_drawn() -> None:
    gaps = [(n / 100, n / 100 + 0.005, "damaged") for n in range(2000)]
    seen = [[n / 100 + 0.005, (n + 1) / 100] for n in range(2000)]
    sample = data()
    sample["coverage"]["video"] = covered(seen, gaps)
    bars = lane("Pictures looked over", sample)
    assert len(bars) < 10
    assert bars[-1][0] == "missed"  # on top
