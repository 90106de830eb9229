"""The one-file HTML report."""

from __future__ import annotations

from mmcrime.reports import html
from mmcrime.results import Report
from report_samples import report


def test_a_stored_report_gives_the_same_page_as_a_fresh_one() -> None:
    fresh = report()
    assert Report.from_json(fresh.to_json(thumbnails=True)).to_html() == fresh.to_html()


def test_the_page_says_near_its_start_who_made_it() -> None:
    assert html.GENERATOR in report().to_html()[:300]
