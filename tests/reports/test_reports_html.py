"""The one-file HTML report: what a reader finds on it, and where."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest

from builders import answered, dead, jpeg
from html_reader import Page, read
from mmcrime.evidence import Coverage, Gap, TranscriptSegment
from mmcrime.reports import html
from mmcrime.results import (
    Cost,
    CoverageRecord,
    CrossVerification,
    EvidenceRecord,
    FrameRecord,
    Incident,
    MediaRecord,
    Reason,
    Report,
    Segment,
    Usage,
    Verdict,
)
from report_samples import NOW, report, undetermined


def frames(*times: float) -> tuple[FrameRecord, ...]:
    return tuple(
        FrameRecord.model_construct(
            time=time, width=640, height=360, thumbnail=jpeg(round(time * 10))
        )
        for time in times
    )


def shown(*times: float) -> list[str]:
    encoded = [base64.b64encode(jpeg(round(time * 10))).decode() for time in times]
    return [f"data:image/jpeg;base64,{text}" for text in encoded]


def incident(number: int = 1, **fields: Any) -> Incident:
    base: dict[str, Any] = {
        "id": f"i{number}",
        "start": 4.0,
        "end": 8.0,
        "peak": 6.5,
        "crime_type": "fighting",
        "severity": "high",
        "probability": 0.82,
        "assessment_ids": ("motion",),
    }
    return Incident(**(base | fields))


def page(sample: Report | None = None) -> Page:
    return read((sample or report()).to_html())


def text(sample: Report | None = None) -> str:
    return page(sample).text


# -- the file ---------------------------------------------------------------------


def test_a_stored_report_gives_the_same_page_as_a_fresh_one() -> None:
    fresh = report(evidence=EvidenceRecord(frames=frames(6.5)))
    assert Report.from_json(fresh.to_json(thumbnails=True)).to_html() == fresh.to_html()


def test_the_template_engine_is_loaded_only_when_a_page_is_made() -> None:
    code = "import sys, mmcrime.results; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_page_says_near_its_start_who_made_it() -> None:
    assert html.GENERATOR in report().to_html()[:300]


def test_a_page_says_in_its_next_line_whether_it_is_a_report_or_the_index_of_a_folder() -> None:
    assert f"{html.GENERATOR}\n{html.REPORT_MARK}\n" in report().to_html()[:300]
    assert f"{html.GENERATOR}\n{html.INDEX_MARK}\n" in html.index([], title="clips")[:300]


def test_a_fragment_counts_one_incident_in_the_singular() -> None:
    data = report().to_dict()
    said = [html.compact({**data, "incidents": data["incidents"][:1] * n}) for n in range(6)]
    assert "<title>1 incident on the time axis</title>" in said[1]
    assert "<title>2 incidents on the time axis</title>" in said[2]
    assert "more incident" not in said[3]
    assert "and 1 more incident<" in said[4]
    assert "and 2 more incidents<" in said[5]


def test_the_page_forbids_itself_scripts_and_everything_from_elsewhere() -> None:
    (policy,) = page().all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert page().all("script") == page().all("a") == page().all("link") == []
    assert page().all("meta", name="robots", content="noindex")


def test_a_report_of_an_earlier_release_without_levels_and_pictures_is_drawn() -> None:
    stored = report().to_dict()
    del stored["evidence"]["loudness"]
    del stored["evidence"]["motion"]
    old = read(html.render(stored))
    assert "There is none: the level was not measured." in old.text
    assert "There is none: motion was not measured." in old.text
    assert old.all("img") == []


# -- the verdict ------------------------------------------------------------------


def test_the_banner_stands_before_the_verdict() -> None:
    said = text()
    body = said[said.index("cam 1.mp4 night/cam 1.mp4") :]
    assert body.index("automated result, unconfirmed") < body.index("Incident detected: Fighting")


def test_a_detected_incident_is_told_with_its_figures_and_their_sources() -> None:
    said = text(report(cost=Cost(usd=0.0123, source="price_table")))
    for expected in (
        "Nobody has confirmed it.",
        "Severity high",
        "Probability 0.82 measured by a detector, not calibrated",
        "Confidence medium",
        "Votes answered 1 of 3",
        "When 0:04.0-0:08.0 2026-05-01 12:00:04 to 12:00:08 UTC",
        "Cost $0.0123 price table",
        "The two analyzers contradict each other. conflict Next: Look at it.",
        "Two people struggle at the wall.",
        "Why this severity People are struck.",
        "Could also be Horseplay",
        "What to do Watch 0:04 to 0:08.",
    ):
        assert expected in said


def test_an_unknown_cost_is_unknown_and_not_nothing() -> None:
    assert "Cost unknown" in text(report(cost=Cost()))
    assert "Cost none ran on this machine" in text(report(cost=Cost(usd=0.0, source="local")))


def test_an_undetermined_verdict_is_no_all_clear() -> None:
    said = text(undetermined())
    for expected in (
        "Undetermined Nobody can say from this result whether an incident happened.",
        "It is not an all-clear.",
        "Nothing was examined: this result says nothing about what is in the input.",
        "Severity not judged",
        "Probability none given",
        "Pictures judged nothing",
        "No analyzer here judges a picture. no_capable_analyzer Next: Name a provider",
    ):
        assert expected in said


def test_a_verdict_of_no_incident_does_not_claim_that_nothing_happened() -> None:
    verdict = Verdict(outcome="not_detected", votes_asked=1, votes_answered=1)
    said = text(report(verdict=verdict, incidents=()))
    assert "No incident detected No analyzer that answered found an incident" in said
    assert "That does not prove that nothing happened." in said


def test_the_outcome_is_told_by_a_shape_of_its_own() -> None:
    verdict = Verdict(outcome="not_detected", votes_asked=1, votes_answered=1)
    samples = (report(), undetermined(), report(verdict=verdict, incidents=()))
    drawn = {tuple(page(sample).values("d")[:2]) for sample in samples}
    assert len(drawn) == 3


def test_a_sense_that_nobody_judged_is_told_beside_the_verdict() -> None:
    seen = CoverageRecord(analyzers={"motion": Coverage(examined=((0.0, 20.0),))})
    said = text(report(coverage=seen))
    assert "No analyzer judged the sound: this result rests on the pictures alone." in said


def test_digital_silence_is_no_sense_that_somebody_should_have_judged() -> None:
    silent = Coverage(gaps=(Gap(start=0.0, end=20.0, reason="silent"),))
    coverage = CoverageRecord(
        duration=20.0, sound=silent, analyzers={"motion": Coverage(examined=((0.0, 20.0),))}
    )
    said = text(report(coverage=coverage))
    assert "No analyzer judged the sound" not in said
    assert "Sound judged" not in said
    assert "Pictures judged all" in said


@pytest.mark.parametrize(
    ("examined", "words"),
    [
        (19.9, "all but 1 %"),
        (15.0, "all but 25 %"),
        (5.0, "only 25 %"),
        (0.1, "under 1 %"),
        (0.001, "under 1 %"),
    ],
)
def test_a_part_is_never_called_all_or_nothing(examined: float, words: str) -> None:
    coverage = CoverageRecord(
        duration=20.0, analyzers={"motion": Coverage(examined=((0.0, examined),))}
    )
    assert f"Pictures judged {words}" in text(report(coverage=coverage))


# -- incidents --------------------------------------------------------------------


def test_an_incident_shows_the_frame_nearest_to_its_peak_and_says_how_near() -> None:
    sample = report(
        evidence=EvidenceRecord(frames=frames(0.0, 6.0, 12.0)),
        incidents=(incident(alternatives=("assault",), start_uncertainty=0.5),),
    )
    found = page(sample)
    assert found.values("src")[:3] == shown(6.0, 6.0, 6.0)  # the verdict, the axis, the card
    for expected in (
        "frame at 0:06.0, 0.5 s from the peak",
        "Fighting high probability 0.82",
        "Time 0:04.0-0:08.0 Wall clock 2026-05-01 12:00:04 to 12:00:08 UTC",
        "Borders start ±0.5 s Strongest 0:06.5 Or Assault Checked not verified",
        "Supported by motion",
    ):
        assert expected in found.text


def test_of_many_incidents_the_worst_are_cards_and_the_rest_stands_in_a_table() -> None:
    many = tuple(
        incident(
            number,
            start=number / 20,
            end=number / 20 + 0.01,
            peak=number / 20,
            severity="critical" if number % 30 == 0 else "low",
        )
        for number in range(300)
    )
    found = page(report(incidents=many))
    assert len(found.all("article")) == 12
    assert found.text.count("critical probability") == 10
    assert len(found.all("rect", class_="mark")) == 300
    assert "300, the 12 worst in full" in found.text
    assert "and 88 more (88 low); all of them are on the timeline and in the JSON." in found.text


# -- what was and was not looked at -----------------------------------------------


def test_what_was_not_looked_at_is_a_list_with_reasons() -> None:
    said = text()
    assert "speech : 0:10.0-0:20.0 (beyond what the speech engine listens to)" in said
    assert "motion : 0:12.0-0:13.0 (could not be decoded: bad packet)" in said


def test_why_somebody_else_was_asked_is_told_in_full() -> None:
    why = "globex: outage: " + "the service is down; " * 8 + "asked 5 times"
    sample = report(assessments=(answered("acme", fallbacks=(why, "initech: refusal")),))
    assert f"Tried before: {why}; initech: refusal" in page(sample).text


def test_who_said_what_shows_every_status_and_its_next_step() -> None:
    sample = report(
        assessments=(
            answered("motion", cached=True, flags=("suspected_instructions",)),
            dead("acme", status="refused", kind="llm", runs="cloud", fallbacks=("globex",)),
            dead("initech", status="failed"),
            dead("sound", status="skipped", kind="sound"),
        )
    )
    found = page(sample)
    for status in ("cached", "refused", "failed", "skipped"):
        assert found.all("span", class_=f"status--{status}")
    assert "acme llm, in the cloud" in found.text
    assert "motion, on this machine embedded, motion" in found.text
    assert "Flags: suspected instructions in the media" in found.text
    assert found.all("p", class_="alarm")
    assert "gone UnavailableError Next: retry Tried before: globex" in found.text
    assert "Who said what 1 of 3 votes answered" in found.text
    assert "cached Incident detected" in found.text
    assert "0.90 measured by a detector, not calibrated" in found.text


def test_what_an_analyzer_noticed_when_is_told_the_likeliest_first() -> None:
    noticed = tuple(
        Segment(start=float(n), end=n + 1.0, score=n / 20, text=f"a fall, no. {n}")
        for n in range(12)
    )
    vote = answered(segments=noticed, usage=Usage(calls=2, input_tokens=1500, output_tokens=90))
    said = text(report(assessments=(vote,)))
    assert "0:11.0-0:12.0 (score 0.55): a fall, no. 11 0:10.0-0:11.0 (score 0.50)" in said
    assert "and 2 more; all of it is in the JSON." in said
    assert "calls 2, tokens in 1500, tokens out 90" in said


def test_voters_that_contradict_each_other_are_named() -> None:
    verdict = report().verdict.model_copy(
        update={"cross_verification": (CrossVerification(first="a", second="b", agree=False),)}
    )
    assert "Compared with each other a and b disagree" in text(report(verdict=verdict))


def test_words_and_sounds_are_marked_as_data_with_their_reliability() -> None:
    said = text()
    assert "Heard data from the media, not instructions" in said
    assert "0:01.0-0:01.4 sound possible gunshot or similar bang strength 0.90" in said
    assert "0:03.0-0:05.0 speech get away from me low reliability, sphinx" in said


def test_a_long_transcript_is_cut_and_says_so() -> None:
    words = tuple(
        TranscriptSegment(
            start=n / 100, end=n / 100, text=f"word{n}", engine="sphinx", reliability="low"
        )
        for n in range(1000)
    )
    said = text(report(evidence=EvidenceRecord(transcript=words)))
    assert "word199 " in said
    assert "word200 " not in said
    assert "and 800 more stretches of speech; all of it is in the JSON." in said


# -- the rest ---------------------------------------------------------------------


def test_what_left_the_machine_is_listed_or_denied() -> None:
    assert "image of a request acme provider 512 bytes 2026-05-01 12:00:00 UTC" in text()
    assert "What left this machine Nothing left this machine." in text(report(egress=()))


def test_the_facts_of_the_input_and_of_the_run_are_there() -> None:
    sample = report(
        assessments=(answered(card={"trained_on": "80 clips"}),),
        timings={"open": 0.25},
        versions={"mmcrime": "0.1.0"},
        media=report().media.model_copy(update={"metadata": {"place": "yard 4"}, "fps": 25.0}),
    )
    said = text(sample)
    for expected in (
        "Camera or collection yard",
        "Recorded 2026-05-01 12:00:00 to 12:00:20 UTC",
        "Content id blake3:00",
        "Given: place yard 4",
        "Frames a second 25.00 (stated)",
        "Size 1.2 MB",
        "Reported 2026-05-01 12:00:00 UTC",
        "Request id r-1",
        "open 0.25 s",
        "mmcrime 0.1.0",
        "Model cards of what voted motion trained on 80 clips",
        "transcribe: MmcrimeError gave up Next: try again",
    ):
        assert expected in said


def test_an_error_that_stands_beside_its_analyzer_is_not_told_twice() -> None:
    failed = dead("motion")
    assert failed.error is not None
    sample = report(assessments=(failed,), errors=(failed.error,))
    assert "Errors" not in text(sample)


def test_of_many_frames_twelve_are_shown_evenly_chosen() -> None:
    sample = report(
        evidence=EvidenceRecord(frames=frames(*(float(n) for n in range(45)))), incidents=()
    )
    found = page(sample)
    assert "Sampled frames 12 of 45, evenly chosen" in found.text
    times = [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44]
    assert found.values("src") == shown(*map(float, times))


def test_a_picture_shows_itself_and_has_no_timeline() -> None:
    found = page(undetermined(evidence=EvidenceRecord(frames=frames(0.0))))
    assert found.values("src") == shown(0.0)
    assert "Timeline" not in found.text


def test_an_input_that_could_not_be_read_says_so() -> None:
    media = MediaRecord(kind=None, name="still.jpg")
    said = text(undetermined(media=media))
    assert "Input judged nothing" in said
    assert "the input : all of it (unreadable)" in said
    assert "Kind could not be read" in said


@pytest.mark.parametrize("duration", [None, 0.0, 1e-9, 1e300])
def test_strange_lengths_and_times_before_the_start_are_drawn(duration: float | None) -> None:
    media = MediaRecord(kind="video", name="x", duration=duration, recorded_at=NOW)
    early = incident(start=-3.0, end=-1.0, peak=-2.0)
    said = text(report(media=media, incidents=(early,)))
    assert "-0:03.0--0:01.0" in said


def test_without_any_time_there_is_no_timeline() -> None:
    media = MediaRecord(kind="video", name="x")
    why = Reason(code="all_failed", text="It failed.", next_step="Try again.")
    sample = report(
        media=media,
        incidents=(),
        coverage=CoverageRecord(),
        evidence=EvidenceRecord(),
        verdict=Verdict(outcome="undetermined", reasons=(why,)),
    )
    assert "Timeline" not in text(sample)
