"""Markdown: nothing from the media becomes markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from builders import answered
from mmcrime.reports import markdown
from mmcrime.results import Cost, CrossVerification
from report_samples import calm, hostile_text, report, undetermined


def plain(page: str) -> str:
    """Take away escapes and entities: what is left of punctuation is markup."""
    return re.sub(r"&(?:lt|gt|amp|#64|#8203);", "E", re.sub(r"\\[!-/:-@\[-`{-~]", "E", page))


@calm
@given(hostile_text)
def test_hostile_text_changes_no_markup(hostile: str) -> None:
    page, calm = plain(report(hostile).to_markdown()), plain(report("").to_markdown())
    for sign in "`[]<>!~_@":
        assert page.count(sign) == calm.count(sign), sign
    assert page.count("|") == calm.count("|")
    assert page.count("#") == calm.count("#")
    assert "://" not in page
    assert "www." not in page.lower()
    # Optional paragraphs stand only where there is text.
    assert len(page.splitlines()) - len(calm.splitlines()) in (0, 2)


@calm
@given(hostile_text)
def test_every_table_row_has_the_cells_of_its_header(hostile: str) -> None:
    counts = [
        plain(line).count("|")
        for line in report(hostile).to_markdown().splitlines()
        if line.startswith("|")
    ]
    assert counts == [9, 9, 9, 7, 7, 7, 7]


def test_links_images_html_mentions_and_pipes_are_shown_as_text() -> None:
    said = markdown.escape("![a](http://x.example) <b> a|b `c` @all www.x.example \\")
    assert said == (
        "\\!\\[a\\]\\(http\\://x.example\\) &lt;b&gt; a\\|b \\`c\\` &#64;&#8203;all "
        "www\\.x.example \\\\"
    )


@pytest.mark.parametrize(
    "text", ["- a", "+ a", "7. a", "123456789. a", "1) a", "# a", "===", "> a", "---"]
)
def test_no_text_starts_a_list_a_heading_or_a_quotation(text: str) -> None:
    assert re.match(r"\d*(\\|&gt;)", markdown.escape(text))


def test_plain_words_and_times_stay_readable_in_the_source() -> None:
    said = "Watch 0:13.5-0:14.0, then call 112; it's 50% sure."
    assert markdown.escape(said) == said


def test_the_banner_stands_above_the_verdict() -> None:
    for page in (report().to_markdown(), undetermined().to_markdown()):
        assert page.startswith("**automated result, unconfirmed**\n\n## ")
    assert "Name a provider that does" in undetermined().to_markdown()


def test_the_page_holds_the_facts_of_the_terminal_text() -> None:
    check = CrossVerification(first="motion", second="sound", agree=False, text="one heard a bang")
    full = report()
    page = report(
        verdict=full.verdict.model_copy(update={"cross_verification": (check,)}),
        assessments=(
            answered("motion", cached=True, crime_type="fighting", fallbacks=("acme was gone",)),
        ),
        cost=Cost(usd=0.0125, source="reported"),
    ).to_markdown()
    for said in (
        "motion and sound disagree\\: one heard a bang",
        "answered (from the cache)".replace("(", "\\(").replace(")", "\\)"),
        "tried before\\: acme was gone",
        "detected\\: Fighting",
        "$0.0125".replace("$", "\\$"),
        "512 bytes",
        "1 of 3 votes answered",
        "2026-05-01 12:00:04 UTC",
    ):
        assert said in page, said


def test_without_a_time_of_recording_there_is_no_column_for_the_wall_clock() -> None:
    media = report().media.model_copy(update={"recorded_at": None})
    assert "Wall clock" not in report(media=media).to_markdown()
