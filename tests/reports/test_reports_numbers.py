"""Numbers that are none, and lists that are too long, in a stored report of any origin."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcrime.reports import csv_table, flat, markdown, text, words
from report_samples import calm, report

NO_NUMBERS = (float("nan"), float("inf"), float("-inf"), 10**400, -(10**310), 1e300)
_RENDERERS = (
    lambda plain: text.render(plain, colour=False),
    markdown.render,
    csv_table.line,
    lambda plain: str(flat.to_flat(plain)["transcription"]),
)


def numbers(plain: Any) -> list[tuple[Any, Any]]:
    """Return the place of every number of a report: what holds it, and its key."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain)
    found = []
    for key, value in items:
        if isinstance(value, dict | list):
            found += numbers(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((plain, key))
    return found


@calm
@given(st.data())
def test_no_number_of_a_stored_report_breaks_a_page_or_is_shown_as_nan(data: st.DataObject) -> None:
    plain = report().to_dict()
    places = [
        place
        for section in ("media", "evidence", "coverage", "egress", "incidents")
        for place in numbers({section: plain[section]})
    ]
    for holder, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        holder[key] = data.draw(st.sampled_from(NO_NUMBERS))
    for render in _RENDERERS:
        assert not re.search(r"\b(nan|inf|infinity)\b", render(plain), re.IGNORECASE)


@pytest.mark.parametrize("number", NO_NUMBERS[:3])
def test_a_probability_and_a_cost_that_are_no_number_are_unknown(number: float) -> None:
    assert words.chance(number, "claimed") == "probability unknown, claimed"
    assert words.money({"usd": number, "source": "reported"}) == "cost unknown"
    assert words.clock(number) == "unknown time"


def test_a_size_that_no_disk_holds_is_unknown() -> None:
    assert words.size(10**400) == words.volume(10**18) == "size unknown"
    assert words.size(2_500_000_000) == "2.5 GB"


def talkative(talk: int, bangs: int) -> dict[str, Any]:
    """Return a report of a day of talk with some bangs at the end of it."""
    plain = report().to_dict()
    plain["evidence"]["transcript"] = [
        {
            "start": 8.0 * n,
            "end": 8.0 * n + 2,
            "text": f"words {n}",
            "engine": "e",
            "reliability": "low",
        }
        for n in range(talk)
    ]
    plain["evidence"]["sounds"] = [
        {
            "start": 80000.0 + n,
            "end": 80000.5 + n,
            "peak": 80000.0 + n,
            "label": "impulsive",
            "score": 0.5 + 0.001 * n,
        }
        for n in range(bangs)
    ]
    return plain


def test_ten_bangs_do_not_drown_in_a_day_of_talk() -> None:
    plain = talkative(10_000, 10)
    cell = csv_table.row(plain)["heard"]
    for page in (text.render(plain, colour=False), markdown.render(plain), cell):
        assert page.count("possible gunshot or similar bang") == 10
        assert "words 0" in page
    assert "and 9990 more" in text.render(plain, colour=False)
    assert len(cell) <= 2000
    told = cell.count("words ") + cell.count("possible gunshot")
    assert cell.endswith(f"; … ({10_010 - told} more)")
    assert told > 100


def test_of_more_sounds_than_there_is_room_for_the_strongest_are_told_by_time() -> None:
    shown, left = words.shortlist(talkative(3, 50), 20)
    assert [start for start, *_ in shown] == [80030.0 + n for n in range(20)]
    assert left == 33


def test_what_fits_is_told_in_time_order_with_nothing_left_out() -> None:
    shown, left = words.shortlist(talkative(3, 2), 5)
    assert [kind for _, _, kind, _ in shown] == ["speech"] * 3 + ["sound"] * 2
    assert left == 0
