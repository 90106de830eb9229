"""Five services of which four are dead: one vote of five, and four failures by name.

The well-known system of this kind counted four dead services as agreeing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from five import FOUR_OF_FIVE, deaths_beside, one_of_five
from mmcrime import CrimeDetectionPipeline
from mmcrime.calls import limits, retry
from services import FIVE, KEYS, USD, answer, config, failed, serving, shot


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for milliseconds where an attempt is repeated."""
    monkeypatch.setattr(retry, "_FIRST", 0.002)
    monkeypatch.setattr(limits, "_BREATH", 0.002)


@pytest.mark.parametrize("alive", FIVE)
def test_four_dead_services_of_five_leave_one_vote_of_five_and_four_named_failures(
    alive: str, tmp_path: Path
) -> None:
    dead = deaths_beside(alive)
    with one_of_five(alive, tmp_path) as held, CrimeDetectionPipeline(held) as pipeline:
        report = pipeline.analyze(shot(), providers=list(FIVE))
    verdict = report.verdict
    assert (verdict.votes_asked, verdict.votes_answered) == (5, 1)
    assert (verdict.outcome, verdict.crime_detected) == ("detected", True)  # by the one that lives
    votes = {a.analyzer.removeprefix("llm:"): a for a in report.assessments if a.kind == "llm"}
    assert set(votes) == set(FIVE)
    assert (votes[alive].status, votes[alive].outcome) == ("answered", "detected")
    assert (votes[alive].cost.usd, votes[alive].usage.calls) == (USD, 1)
    for name, death in dead.items():
        cast = votes[name]
        assert (cast.status, cast.outcome, cast.probability) == ("failed", "undetermined", None)
        assert cast.error is not None
        assert cast.error.type == death.error
        assert name in cast.error.message
        assert death.said in cast.error.message
        assert cast.error.next_step
        assert [e.stage for e in report.errors].count(f"analyze:llm:{name}") == 1
        # What it cost is nothing, or not known; never a number that nobody told.
        assert cast.cost.usd == (None if death.billed else 0.0)
        assert cast.usage.calls == death.attempts
    assert report.cost.usd == (None if any(d.billed for d in dead.values()) else USD)
    sent = [record.to for record in report.egress]
    for name in FIVE:
        url = held["providers"][name]["base_url"]
        attempts = dead[name].attempts if name in dead else 1
        assert sent.count(f"{name} ({url})") == attempts
    assert len(sent) == sum(death.attempts for death in dead.values()) + 1
    assert not [key for key in KEYS.values() if key in report.to_json()]


def test_a_budget_that_the_dead_use_up_does_not_hide_that_they_are_dead(tmp_path: Path) -> None:
    """At the price of a large model, five attempts of each are more than the default of 1 USD."""
    dead = [name for name in FIVE if name != "gemini"]
    with serving({"gemini": answer("gemini"), **dict.fromkeys(dead, failed(500))}) as servers:
        held = config({name: servers[name].url for name in FIVE}, tmp_path)
        for name in FIVE:
            held["providers"][name]["price"] = {"input_per_million": 2.5, "output_per_million": 40}
        with CrimeDetectionPipeline(held) as pipeline:
            report = pipeline.analyze(shot(), providers=list(FIVE))
    assert (report.verdict.votes_asked, report.verdict.votes_answered) == (5, 1)
    votes = [a for a in report.assessments if a.kind == "llm"]
    errors = {a.analyzer.removeprefix("llm:"): a.error for a in votes if a.error}
    assert set(errors) == set(dead)
    for name, error in errors.items():
        assert (error.type, name in error.message) == ("UnavailableError", True)
        assert "answered with status 500" in error.message
    assert any("not again, because" in error.message for error in errors.values())
    assert any("budget.usd_per_run is 1.0 USD" in error.message for error in errors.values())


def test_one_vote_of_five_is_no_answer_where_two_are_wanted(tmp_path: Path) -> None:
    with (
        one_of_five("gemini", tmp_path, min_votes=2) as held,
        CrimeDetectionPipeline(held) as pipeline,
    ):
        report = pipeline.analyze(shot(), providers=list(FIVE))
    verdict = report.verdict
    assert (verdict.votes_asked, verdict.votes_answered) == (5, 1)
    assert (verdict.outcome, verdict.crime_detected) == ("undetermined", None)
    assert [reason.code for reason in verdict.reasons] == ["too_few_votes"]


def test_each_of_the_five_lives_once_and_dies_in_more_than_one_way() -> None:
    assert set(FOUR_OF_FIVE) == set(FIVE)
    for alive, dead in FOUR_OF_FIVE.items():
        assert {alive, *dead} == set(FIVE)
    for name in FIVE:
        assert len({dead[name] for dead in FOUR_OF_FIVE.values() if name in dead}) >= 3
