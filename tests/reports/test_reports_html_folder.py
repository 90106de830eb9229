"""The page of a folder, and the view in a notebook."""

from __future__ import annotations

import base64
from typing import Any

from builders import jpeg
from html_reader import read
from mmcrime.evidence import Coverage
from mmcrime.reports import html
from mmcrime.results import (
    CoverageRecord,
    EvidenceRecord,
    FrameRecord,
    MediaRecord,
    Reason,
    Report,
    Verdict,
)
from report_samples import report, undetermined

WHY = (Reason(code="uncertain", text="Too unsure.", next_step="Look at it."),)


def row(name: str, sample: Report) -> html.Row:
    return html.row(sample.to_dict(thumbnails=True), href=f"reports/{name}.html")


def verdict(outcome: Any, severity: Any = "none", probability: float | None = None) -> Report:
    said = Verdict(
        outcome=outcome,
        severity=severity,
        probability=probability,
        probability_source=None if probability is None else "measured",
        reasons=WHY if outcome == "undetermined" else (),
        votes_asked=1,
        votes_answered=1,
    )
    return report(verdict=said)


def test_the_worst_comes_first_whatever_the_order() -> None:
    in_order = [
        row("critical", verdict("detected", "critical", 0.5)),
        row("likely", verdict("detected", "high", 0.9)),
        row("unlikely", verdict("detected", "high", 0.6)),
        row("unsure-high", verdict("undetermined", "high", 0.3)),
        row("unsure", verdict("undetermined", "none", 0.6)),
        row("unreadable", undetermined(media=MediaRecord(kind=None, name="x"))),
        row("calm", verdict("not_detected", "none", 0.1)),
    ]
    mixed = [*in_order[1::2], *in_order[::-2]]
    assert html.worst_first(mixed) == in_order
    shown = read(html.index(mixed, title="clips")).values("href")
    assert shown == [item.href for item in in_order]


def test_the_index_counts_each_outcome_and_what_left_the_machine() -> None:
    rows = [
        row("a", report()),
        row("b", report()),
        row("c", undetermined()),
        row("d", undetermined(media=MediaRecord(kind=None, name="x"))),
        row("e", verdict("not_detected")),
    ]
    text = read(html.index(rows, title="clips/", note="stopped after 5 of 9 sources")).text
    assert "automated result, unconfirmed clips/ stopped after 5 of 9 sources" in text
    assert "2 incident detected 1 undetermined 1 no incident detected 1 could not be read" in text
    assert "3 things left this machine for 3 of these reports, 1.5 kB as far as known." in text


def test_a_row_says_what_a_reader_needs_to_choose() -> None:
    peak = jpeg("peak")
    frames = (
        FrameRecord.model_construct(time=0.0, width=64, height=36, thumbnail=jpeg(0)),
        FrameRecord.model_construct(time=6.5, width=64, height=36, thumbnail=peak),
    )
    seen = CoverageRecord(analyzers={"motion": Coverage(examined=((0.0, 20.0),))})
    made = row("a", report(evidence=EvidenceRecord(frames=frames), egress=(), coverage=seen))
    assert made.thumbnail == f"data:image/jpeg;base64,{base64.b64encode(peak).decode()}"
    page = read(html.index([made], title="clips"))
    assert page.values("src") == [made.thumbnail]
    for expected in (
        "cam 1.mp4 night/cam 1.mp4 video, mp4",
        "The two analyzers contradict each other.",
        "Incident detected: Fighting Severity high Probability 0.82 measured",
        "When 0:04.0-0:08.0 2026-05-01 12:00:04 to 12:00:08 UTC",
        "Votes 1 of 3 answered Judged pictures: all, sound: nothing",
        "Nothing left this machine.",
    ):
        assert expected in page.text


def test_an_index_of_many_pages_leads_to_its_neighbours() -> None:
    rows = [row("a", report())]
    first = read(html.index(rows, title="clips", page=1, pages=3))
    middle = read(html.index(rows, title="clips", page=2, pages=3))
    last = read(html.index(rows, title="clips", page=3, pages=3))
    assert set(first.values("href")) == {"reports/a.html", "index-2.html"}
    assert set(middle.values("href")) == {"reports/a.html", "index.html", "index-3.html"}
    assert set(last.values("href")) == {"reports/a.html", "index-2.html"}
    assert "Counts of this page, 2 of 3." in middle.text


def test_an_index_without_reports_says_so() -> None:
    assert "There are no reports." in read(html.index([], title="clips")).text


def test_a_notebook_shows_the_verdict_with_its_banner_first() -> None:
    text = read(report()._repr_html_()).text
    assert text.startswith("automated result, unconfirmed")
    for expected in (
        "Incident detected: Fighting cam 1.mp4",
        "Severity: high",
        "Probability: 0.82 (measured by a detector, not calibrated)",
        "The two analyzers contradict each other. Next: Look at it.",
        "Fighting (or fighting), 0:04.0-0:08.0",
        "Not looked at: sound: all of it (no analyzer judged this)",
    ):
        assert expected.replace("(or fighting)", "(or Assault)") in text


def test_a_notebook_view_can_stand_on_a_page_many_times_and_changes_nothing_around_it() -> None:
    page = read(report()._repr_html_() * 2)
    assert page.values("id") == []
    assert page.all("style") == page.all("script") == page.all("a") == []
    assert set(page.values("class")) == {"mmcrime-report"}


def test_a_notebook_view_shows_three_pictures_and_says_how_many_more_incidents_there_are() -> None:
    (one,) = report().incidents
    many = tuple(one.model_copy(update={"id": f"i{n}"}) for n in range(5))
    frame = FrameRecord.model_construct(time=6.5, width=64, height=36, thumbnail=jpeg())
    page = read(report(incidents=many, evidence=EvidenceRecord(frames=(frame,)))._repr_html_())
    assert len(page.all("img")) == 3
    assert "and 2 more incidents" in page.text
