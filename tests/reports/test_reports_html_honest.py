"""A page claims no more than the report says: what was judged, drawn, shown and left out."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from builders import answered, jpeg
from html_reader import Page, read
from mmcrime.evidence import Coverage, Gap
from mmcrime.reports import html
from mmcrime.reports.html import curves
from mmcrime.reports.html.axis import Axis
from mmcrime.reports.html.lanes import lanes, looks
from mmcrime.results import CoverageRecord, MediaRecord
from report_samples import report, undetermined

LONG = 86_400.0


def data(**media: Any) -> dict[str, Any]:
    """A report of a 20 s video that one analyzer of motion looked at."""
    sample = report().to_dict()
    sample["media"].update(media)
    sample["coverage"]["analyzers"] = {"motion": examined([0.0, 20.0])}
    return sample


def image(gaps: list[dict[str, Any]]) -> dict[str, Any]:
    """A report of a picture that one analyzer looked at."""
    sample = undetermined().to_dict()
    vote = {**report().to_dict()["assessments"][0], "kind": "objects", "segments": []}
    vote["coverage"] = {"examined": [], "frames": 1, "gaps": gaps}
    sample["assessments"] = [vote]
    sample["coverage"]["video"] = vote["coverage"]
    return sample


def examined(*stretches: list[float], gaps: tuple[Any, ...] = ()) -> dict[str, Any]:
    named = [{"start": start, "end": end, "reason": reason} for start, end, reason in gaps]
    return {"examined": list(stretches), "frames": 1, "gaps": named}


def boxes(curve: curves.Curve) -> list[tuple[float, float, float]]:
    """What is drawn: left and right in per mille of the axis, and the height, 0 to 100."""
    found = re.findall(r"M([\d.]+) 100V([\d.]+)H([\d.]+)V100Z", curve.path.area)
    return [(float(a), float(c), round(100 - float(b), 1)) for a, b, c in found]


def shot(time: float, thumbnail: bytes | str) -> dict[str, Any]:
    encoded = thumbnail if isinstance(thumbnail, str) else base64.b64encode(thumbnail).decode()
    return {"time": time, "width": 8, "height": 8, "thumbnail": encoded}


def page(sample: dict[str, Any]) -> Page:
    return read(html.render(sample))


# -- what was judged --------------------------------------------------------------


@pytest.mark.parametrize("reason", ["damaged", "over_limit: only the first 64 pictures"])
def test_a_picture_decoded_in_part_is_not_called_judged(reason: str) -> None:
    sample = image([{"start": 0.0, "end": 0.0, "reason": reason}])
    for said in (page(sample).text, read(html.compact(sample)).text):
        assert re.search("Pictures judged:? a part", said)
        assert "Only a part was examined" in said
    row = html.row(sample, href="a.html")
    assert (row.judged, row.blind) == ("pictures: a part", True)


def test_a_whole_picture_is_judged_and_raises_no_alarm() -> None:
    said = page(image([])).text
    assert "Pictures judged all" in said
    assert "Only a part" not in said


def test_sound_that_is_damaged_is_no_silence_that_nobody_could_judge() -> None:
    sample = data()
    sample["coverage"]["sound"] = examined(gaps=((0.0, 20.0, "silent"), (5.0, 20.0, "damaged")))
    assert [(look.sense, look.words) for look in looks(sample)] == [
        ("pictures", "all"),
        ("sound", "nothing"),
    ]


def test_a_model_that_saw_frames_leaves_the_sound_unjudged() -> None:
    sample = data()
    sample["assessments"][0].update(kind="llm", coverage=examined([0.0, 20.0]))
    said = page(sample).text
    assert "Pictures judged all" in said
    assert "Sound judged nothing" in said


def test_a_silent_recording_says_that_there_was_nothing_to_judge() -> None:
    sample = data(kind="audio")
    sample["coverage"].update(
        sound=examined(gaps=((0.0, 20.0, "silent"),)), speech=examined([0.0, 20.0])
    )
    row = html.row(sample, href="a.html")
    assert (row.judged, row.blind) == ("sound: nothing, there is only silence", True)
    axis = Axis.of(sample)
    assert axis is not None
    shares = {lane.name: lane.share for lane in lanes(sample, axis)}
    assert shares["Speech listened to"] == shares["Sound decoded"] == "nothing there to be"


@pytest.mark.parametrize("length", [1e9, 1e300])
def test_a_length_beyond_the_axis_is_no_reason_to_call_all_judged(length: float) -> None:
    said = page(data(duration=length)).text
    assert "Pictures judged an unknown part" in said
    assert "motion answered: an unknown part examined" in said
    assert "The input states a length that no recording has." in said


# -- curves -----------------------------------------------------------------------


def score(sample: dict[str, Any], times: list[float], scores: list[float]) -> curves.Curve:
    sample["verdict"]["timeline"] = {"times": times, "scores": scores}
    axis = Axis.of(sample)
    assert axis is not None
    return curves.score(sample, axis)


def test_the_score_is_zero_from_where_somebody_looked_and_not_from_the_first_find() -> None:
    drawn = boxes(score(data(), [5.0, 10.0], [0.6, 0.0]))
    assert drawn == [(0, 250, 0), (250, 500, 60), (500, 1000, 0)]


def test_of_who_does_not_say_where_it_looked_only_the_finds_are_drawn() -> None:
    sample = data()
    sample["coverage"]["analyzers"] = {}
    sample["assessments"][0]["coverage"] = {}
    assert boxes(score(sample, [4.0, 8.0], [0.9, 0.0])) == [(200, 400, 90)]


def test_where_only_an_analyzer_without_an_answer_looked_the_score_is_blank() -> None:
    sample = data()
    sample["coverage"]["analyzers"] = {"motion": examined([0, 10.0]), "acme": examined([10.0, 20])}
    assert sample["assessments"][1]["status"] == "refused"
    assert boxes(score(sample, [0.0], [0.5])) == [(0, 500, 50)]


def test_a_hole_in_a_day_stays_a_hole_and_one_too_short_to_see_is_told() -> None:
    sample = data(duration=LONG)
    sample["coverage"]["duration"] = LONG
    times = [float(n) for n in range(int(LONG))]
    for hole, blank in ((140.0, True), (10.0, False)):
        looked = examined([0.0, 1000.0], [1000.0 + hole, LONG])
        sample["coverage"]["analyzers"] = {"motion": looked}
        curve = score(sample, times, [0.5] * len(times))
        assert (curve.path.line.count("M") == 2) is blank
        assert ("Holes of up to 36 s are too short to be drawn." in curve.notes) is not blank


@pytest.mark.parametrize(("name", "sense"), [("loudness", "sound"), ("motion", "video")])
def test_a_second_of_which_a_remnant_was_decoded_is_not_drawn_whole(name: str, sense: str) -> None:
    sample = data()
    times = [float(n) for n in range(20)]
    values = {"loudness": "levels", "motion": "scores"}[name]
    sample["evidence"][name] = {"times": times, values: [0.0] * 20, "method": "m"}
    sample["coverage"][sense] = examined([0.0, 5.12], [6.9, 20.0])
    draw = {"loudness": curves.sound, "motion": curves.motion}[name]
    axis = Axis.of(sample)
    assert axis is not None
    ends = [right for _, right, _ in boxes(draw(sample, axis))]
    starts = [left for left, _, _ in boxes(draw(sample, axis))]
    assert 256.0 in ends
    assert 345.0 in starts
    assert not any(256 < left < 345 for left in starts)
    assert "Blank where nothing was decoded." in draw(sample, axis).notes


def test_a_silent_stretch_is_drawn_as_silence_and_not_as_a_hole() -> None:
    sample = data()
    sample["evidence"]["loudness"] = {"times": [0.0, 1.0], "levels": [-10.0, -100.0], "method": "m"}
    sample["coverage"]["sound"] = examined([0.0, 1.0], gaps=((1.0, 20.0, "silent"),))
    axis = Axis.of(sample)
    assert axis is not None
    assert [height for _, _, height in boxes(curves.sound(sample, axis))][-1] == 0
    assert len(boxes(curves.sound(sample, axis))) == 2


def test_levels_alone_do_not_prove_digital_silence() -> None:
    sample = data()
    sample["evidence"]["loudness"] = {"times": [0.0], "levels": [-100.0], "method": "m"}
    sample["coverage"]["sound"] = examined(gaps=((0.0, 2.0, "silent"), (2.0, 20.0, "damaged")))
    said = page(sample).text
    assert "all of it is digital silence" not in said
    assert "no level that was measured is above -100 dBFS." in said


def test_sounds_are_named_where_no_level_was_measured() -> None:
    said = page(data()).text
    assert "the level was not measured. Marked: possible gunshot or similar bang at 0:01.1." in said


def test_a_level_just_below_full_scale_has_no_sign_of_its_own() -> None:
    sample = data()
    sample["evidence"]["loudness"] = {"times": [0.0], "levels": [-0.3], "method": "m"}
    assert "Loudest 0 dBFS at" in page(sample).text


# -- pictures ---------------------------------------------------------------------


def with_peak(peak: float, own: list[float], times: list[float], **media: Any) -> dict[str, Any]:
    sample = data(**media)
    sample["incidents"][0].update(start=peak - 0.2, end=peak + 0.2, peak=peak, frames=own)
    sample["evidence"]["frames"] = [shot(time, jpeg(time)) for time in times]
    return sample


@pytest.mark.parametrize(
    ("own", "caption"),
    [
        ([3.0], "frame at 0:03.0, 4.0 s from the peak"),
        ([3.0, 10.0], "frame at 0:03.0, 4.0 s from the peak"),
        ([10.0], "frame at 0:10.0, 3.0 s from the peak"),
        ([], "frame at 0:08.0, 1.0 s from the peak"),
        ([6.5], "frame at 0:08.0, 1.0 s from the peak"),
    ],
)
def test_the_picture_of_an_incident_is_what_was_shown_at_its_peak(
    own: list[float], caption: str
) -> None:
    sample = with_peak(7.0, own, [0.0, 3.0, 8.0, 10.0], fps=25.0)
    found = page(sample)
    assert f"worst incident, {caption}" in found.text
    assert found.text.count(caption) == 2  # the verdict and the card
    (time,) = (t for t in (3.0, 8.0, 10.0) if caption.startswith(f"frame at 0:{t:04.1f}"))
    uri = f"data:image/jpeg;base64,{base64.b64encode(jpeg(time)).decode()}"
    assert found.values("src")[0] == html.row(sample, href="a.html").thumbnail == uri


def test_the_frame_that_is_on_the_screen_at_the_peak_needs_no_distance() -> None:
    sample = with_peak(7.0, [6.97], [6.97], fps=25.0)
    assert "from the peak" not in page(sample).text


@pytest.mark.parametrize(
    "broken",
    [
        "/9j/AAAA",
        base64.b64encode(b"\xff\xd8\xff\xe0 no picture \xff\xd9").decode(),
        base64.b64encode(jpeg(1)[:-20] + b"\xff\xd9").decode(),
        base64.b64encode(b"GIF89a").decode(),
        base64.b64encode(jpeg("x" * 60_000) + b"\0" * 200_000 + b"\xff\xd9").decode(),
        "é",
    ],
)
def test_what_is_no_whole_modest_jpeg_is_left_out_and_said(broken: str) -> None:
    sample = with_peak(7.0, [7.0], [7.0, 12.0])
    sample["evidence"]["frames"][0]["thumbnail"] = broken
    found = page(sample)
    assert "1 picture left out: no whole JPEG of at most 200 kB." in found.text
    assert len(html.render(sample)) < 100_000
    assert set(found.values("src")) == {
        f"data:image/jpeg;base64,{base64.b64encode(jpeg(12.0)).decode()}"
    }
    sample["evidence"]["frames"] = sample["evidence"]["frames"][:1]
    assert "Sampled frames 1 picture left out" in page(sample).text


def test_the_interval_of_frames_is_what_was_asked_for_and_no_claim() -> None:
    sample = with_peak(1.0, [1.0], [0.0, 1.0, 2.1])
    sample["evidence"]["frame_interval"] = 5.0
    assert "3 of 3; asked for was one every 5 s" in page(sample).text


# -- what is cut ------------------------------------------------------------------


def test_of_many_incidents_the_mildest_are_cut_wherever_they_are() -> None:
    sample = data()
    (one,) = sample["incidents"]
    sample["incidents"] = [
        {**one, "id": f"i{n}", "start": n / 100, "severity": "low" if n < 400 else "critical"}
        for n in range(500)
    ]
    said = page(sample).text
    assert said.count("critical") >= 100
    assert "and 288 more (288 low); all of them are on the timeline" in said


def test_a_bang_in_a_day_of_talk_is_told_everywhere() -> None:
    sample = data()
    (bang,), (word,) = sample["evidence"]["sounds"], sample["evidence"]["transcript"]
    sample["evidence"]["transcript"] = [
        {**word, "start": n / 1000, "end": n / 1000, "text": f"word {n}"} for n in range(1000)
    ]
    sample["evidence"]["sounds"] = [{**bang, "start": 19.0, "end": 19.5, "peak": 19.1}]
    said = page(sample).text
    assert "0:19.0-0:19.5 sound possible gunshot or similar bang" in said
    assert "and 800 more stretches of speech; all of it is in the JSON." in said
    assert "Sounds: possible gunshot or similar bang at 0:19.1" in read(html.compact(sample)).text


def test_of_too_many_sounds_the_strongest_stay() -> None:
    sample = data()
    (bang,) = sample["evidence"]["sounds"]
    sample["evidence"]["sounds"] = [
        {**bang, "start": n / 100, "end": n / 100, "peak": n / 100, "score": n / 1000}
        for n in range(300)
    ]
    said = page(sample).text
    assert "strength 0.30" in said
    assert "strength 0.05" not in said
    assert "and 100 more sounds; all of it is in the JSON." in said
    assert "and 296 more, see below." in said


# -- words ------------------------------------------------------------------------


def test_a_confirmed_incident_was_named_by_two_kinds_of_analyzers() -> None:
    sample = data()
    sample["incidents"][0]["verification"] = "confirmed"
    said = page(sample).text
    assert "Checked two kinds of analyzers name this group of crimes here" in said
    assert "second look" not in said


def test_a_score_at_an_instant_is_told_from_a_probability() -> None:
    sample = data()
    sample["assessments"][0]["segments"][0]["score"] = 0.82
    assert "probability 0.82 at its strongest instant" in page(sample).text
    sample["assessments"][0]["segments"][0]["score"] = 0.5
    assert "strongest instant" not in page(sample).text


def test_what_a_voter_names_and_its_innocent_explanations_are_told() -> None:
    sample = data()
    sample["assessments"][0].update(
        family="ours", alternative_interpretations=["Horseplay, really"]
    )
    said = page(sample).text
    assert "family ours" in said
    assert "Could also be: Horseplay, really" in said
    assert "0:04.0-0:08.0 (score 0.90): Fighting" in said


def test_sizes_that_nobody_knows_are_no_zero() -> None:
    sample = data()
    sample["egress"][0]["size_bytes"] = None
    shown = read(html.index([html.row(sample, href="a.html")], title="clips")).text
    assert "1 thing left this machine for 1 of these reports, size unknown." in shown


def test_the_axis_names_its_zone_and_the_day_where_it_changes() -> None:
    ticks = Axis(start=0.0, end=20.0, recorded_at="2026-05-01T23:59:50+02:00").ticks()
    assert [tick.date for tick in ticks] == ["2026-05-01", "", "2026-05-02", "", ""]
    said = page(data(recorded_at="2026-05-01T23:59:50+02:00")).text
    assert "wall clock, UTC+02:00 throughout" in said
    assert "00:00:00 2026-05-02" in said


def test_where_a_label_that_may_be_left_out_begins_the_day_the_next_names_it_too() -> None:
    ticks = Axis(start=0.0, end=20.0, recorded_at="2026-05-01T23:59:55+02:00").ticks()
    assert [(tick.date, tick.minor) for tick in ticks] == [
        ("2026-05-01", False),
        ("2026-05-02", True),
        ("2026-05-02", False),
        ("", True),
        ("", False),
    ]


def test_a_sliver_that_the_list_leaves_out_is_no_missed_share_either() -> None:
    """3.4 s of which 3.37 s were judged: the rest is where the sound ends after the picture."""
    seen = Coverage(examined=((0.0, 3.37),), frames=20)
    page = report(
        media=MediaRecord(kind="video", name="a", duration=3.4, has_audio=False),
        assessments=(answered("motion", coverage=seen),),
        coverage=CoverageRecord(duration=3.4, video=seen, analyzers={"motion": seen}),
    ).to_html()
    assert "all but" not in page
    damaged = Coverage(
        examined=((0.0, 3.37),), frames=20, gaps=(Gap(start=3.37, end=3.4, reason="damaged"),)
    )
    assert (
        "all but"
        in report(
            media=MediaRecord(kind="video", name="a", duration=3.4, has_audio=False),
            assessments=(answered("motion", coverage=damaged),),
            coverage=CoverageRecord(duration=3.4, video=damaged, analyzers={"motion": damaged}),
        ).to_html()
    )
