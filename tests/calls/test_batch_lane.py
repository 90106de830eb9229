"""Requests go in batches at half the price, and each gets its own answer or none."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from batch_kit import QUICK, Asking, pending, question, rows, said
from calls_kit import Service, until

import services
from batch_service import NAMES, batch_service
from mmcrime.calls import batch_lane
from mmcrime.calls.batch_price import BatchPricing
from mmcrime.calls.budget import RunBudget
from mmcrime.calls.layer import CallLayer, Run
from mmcrime.calls.prices import Pricing
from mmcrime.config import ProviderSettings, Settings, load_settings
from mmcrime.egress import Gate
from mmcrime.errors import (
    AuthenticationError,
    BudgetExceededError,
    ConfigError,
    EgressError,
    ProviderError,
    UnavailableError,
    UnfitMediaError,
)
from mmcrime.pipeline import CrimeDetectionPipeline
from mmcrime.pipeline.service import built
from mmcrime.plugins import BatchLimits
from spending import in_loop

HALF = services.USD / 2


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lane, "PACE", QUICK)


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_what_is_asked_together_goes_in_one_batch_and_is_recorded(
    tmp_path: Path, kind: str
) -> None:
    with batch_service(kind) as service:
        async with Asking(service, tmp_path) as run:
            answers = await run.ask("a", "b", "c")
            assert said(answers) == ["seen: a", "seen: b", "seen: c"]
        # What a server of another maker charges for a batch of OpenAI's kind, nobody knows.
        price = services.USD if kind == "openai" else HALF
        assert [answer.cost.usd for answer in answers] == [pytest.approx(price)] * 3
        assert "in a batch" in answers[0].cost.detail
        assert run.budget.spent.usd == pytest.approx(3 * price)
        assert run.budget.spent.calls == len(run.gate.records) == len(rows(tmp_path)) == 3
        assert len(service.batches) == 1
        assert service.deleted
        assert pending(tmp_path) == 0


def most_of_one() -> float:
    """Return what is reserved for one question in a batch, which is half of what it is live."""
    config = {"providers": {"anthropic": services.section("anthropic", "http://127.0.0.1:9")}}
    service = built("anthropic", load_settings(config, environ={}, dotenv=None))
    given = ("anthropic", service.provider.endpoint, service.section.price)
    live = Pricing(*given, free=False)
    batch = BatchPricing(*given, free=False, model=None, share=0.5)
    asked, able = question("a"), service.provider.capabilities
    usual, most = (by.at_most(None, asked, able).usd for by in (live, batch))
    assert usual is not None
    assert most == pytest.approx(usual / 2)
    return usual / 2


@in_loop
async def test_nothing_beyond_the_cap_is_submitted(tmp_path: Path) -> None:
    with batch_service("anthropic", runs=3) as service:
        async with Asking(service, tmp_path, budget={"usd_per_run": 3.5 * most_of_one()}) as run:
            answers = await run.ask(*"abcdefgh")
        done = [a for a in answers if not isinstance(a, BaseException)]
        refused = [a for a in answers if isinstance(a, BudgetExceededError)]
        assert (len(done), len(refused)) == (3, 5)
        assert len(service.questions) == 3
        assert run.budget.spent.usd == pytest.approx(3 * HALF)


@in_loop
async def test_offline_nothing_is_submitted_and_nobody_is_asked(tmp_path: Path) -> None:
    with batch_service("gemini") as service:
        async with Asking(service, tmp_path, offline=True) as run:
            (outcome,) = await run.ask("a")
            assert isinstance(outcome, EgressError)
        assert service.asked == []
        assert run.budget.spent.calls == 0
        assert run.budget.reserved.calls == 0


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_who_runs_out_of_time_is_told_and_a_later_run_gets_the_answers(
    tmp_path: Path, kind: str
) -> None:
    with batch_service(kind, runs=10**9) as service:
        async with Asking(service, tmp_path, deadline=0.8) as run:
            (outcome,) = await run.ask("a")
        assert isinstance(outcome, UnavailableError)
        assert outcome.out_of_time
        assert service.batches[0].name in outcome.message
        assert "later" in outcome.next_step
        assert run.budget.spent.calls == 1
        service.runs = 0
        async with Asking(service, tmp_path, run="run-2") as later:
            (answer, other) = await later.ask("a", "b")
        assert said([answer, other]) == ["seen: a", "seen: b"]
        assert answer.cached
        assert answer.cost.usd == 0.0
        assert service.questions == ["a", "b"]
        assert later.budget.spent.calls == 1
        assert sorted(row[3] for row in rows(tmp_path)) == ["run-1", "run-2"]


@in_loop
async def test_whoever_opens_the_directory_collects_what_nobody_waits_for(tmp_path: Path) -> None:
    with batch_service("anthropic", runs=10**9) as service:
        async with Asking(service, tmp_path, deadline=0.6) as run:
            await run.ask("a")
        service.runs = 0
        async with Asking(service, tmp_path, run="run-2") as other:
            assert said(await other.ask("b")) == ["seen: b"]
            await until(lambda: len(rows(tmp_path)) == 2)
        service.batches.clear()
        async with Asking(service, tmp_path, run="run-3") as third:
            assert said(await third.ask("a")) == ["seen: a"]
        assert service.batches == []


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_a_submission_whose_answer_got_lost_is_looked_for_and_not_paid_twice(
    tmp_path: Path, kind: str
) -> None:
    with batch_service(kind, lost=1, runs=0) as service:
        async with Asking(service, tmp_path) as run:
            assert said(await run.ask("a", "b")) == ["seen: a", "seen: b"]
        assert len(service.batches) == 1
        assert run.budget.spent.calls == 2


@in_loop
async def test_a_submission_that_never_came_about_is_made_again(tmp_path: Path) -> None:
    with batch_service("gemini", refusals=[500]) as service:
        async with Asking(service, tmp_path) as run:
            assert said(await run.ask("a")) == ["seen: a"]
        assert len(service.batches) == 1
        assert run.budget.spent.calls == 2
        assert run.budget.spent.usd == pytest.approx(HALF)


@in_loop
async def test_a_refused_key_is_everybodys_error_and_nothing_stays_behind(tmp_path: Path) -> None:
    with batch_service("anthropic", refusals=[401]) as service:
        async with Asking(service, tmp_path) as run:
            outcomes = await run.ask("a", "b")
        assert [type(outcome) for outcome in outcomes] == [AuthenticationError] * 2
        assert pending(tmp_path) == 0
        assert run.budget.spent.usd == 0.0


def errored(line: dict[str, Any]) -> dict[str, Any]:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    return {**line, "result": {"type": "errored", "error": error}}


@in_loop
async def test_only_what_failed_goes_into_a_further_batch(tmp_path: Path) -> None:
    with batch_service("anthropic") as service:

        def results(lines: list[dict[str, Any]]) -> list[Any]:
            first = len(service.batches) == 1
            return [errored(lines[0]), *lines[1:]] if first else lines

        service.results = results
        async with Asking(service, tmp_path) as run:
            assert said(await run.ask("a", "b", "c")) == ["seen: a", "seen: b", "seen: c"]
        assert [len(batch.bodies) for batch in service.batches] == [3, 1]
        assert run.budget.spent.calls == 4
        assert run.budget.spent.usd == pytest.approx(3 * HALF)


@in_loop
async def test_what_fails_in_four_batches_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmcrime.calls.retry._FIRST", 0.01)
    with batch_service("anthropic", results=lambda lines: [errored(o) for o in lines]) as service:
        async with Asking(service, tmp_path) as run:
            (outcome,) = await run.ask("a")
        assert isinstance(outcome, UnavailableError)
        assert "asked 4 times" in outcome.message
        assert len(service.batches) == 4
        assert run.budget.spent.usd == 0.0


@pytest.mark.parametrize(("state", "again"), [("failed", 1), ("cancelled", 1), ("expired", 4)])
@in_loop
async def test_what_a_batch_never_came_to_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, again: int
) -> None:
    monkeypatch.setattr("mmcrime.calls.retry._FIRST", 0.01)
    with batch_service("openai", state=state, results=lambda _: []) as service:
        async with Asking(service, tmp_path) as run:
            (outcome,) = await run.ask("a")
        assert isinstance(outcome, ProviderError)
        assert state in outcome.message or "cancelled" in outcome.message
        assert len(service.batches) == again
        assert run.budget.spent.usd == 0.0
        assert pending(tmp_path) == 0


@in_loop
async def test_answers_that_broke_off_are_fetched_again(tmp_path: Path) -> None:
    with batch_service("openai", cut=True) as service:
        async with Asking(service, tmp_path) as run:
            assert said(await run.ask(*"abcdef")) == [f"seen: {c}" for c in "abcdef"]
        assert len(service.batches) == 1
        assert len(rows(tmp_path)) == 6


@in_loop
async def test_who_leaves_before_the_batch_does_is_not_in_it(tmp_path: Path) -> None:
    with batch_service("gemini") as service:
        async with Asking(service, tmp_path) as run:
            task = asyncio.ensure_future(run.provider.generate(question("a")))
            stays = asyncio.ensure_future(run.provider.generate(question("b")))
            await until(lambda: run.budget.reserved.calls == 2)
            task.cancel()
            assert (await stays).text == "seen: b"
        assert service.questions == ["b"]
        assert run.budget.spent.calls == 1
        assert run.budget.reserved.calls == 0


@in_loop
async def test_the_answers_of_those_who_left_are_kept(tmp_path: Path) -> None:
    with batch_service("gemini", runs=10**9) as service:
        async with Asking(service, tmp_path) as run:
            task = asyncio.ensure_future(run.provider.generate(question("a")))
            await until(lambda: bool(service.batches) and service.batches[0].looks > 0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            service.runs = 0
            await until(lambda: service.deleted != [])
            assert run.budget.spent.calls == 1  # it is paid for
            assert said(await run.ask("a")) == ["seen: a"]
        assert service.questions == ["a"]


@in_loop
async def test_two_pipelines_that_share_a_directory_share_a_batch(tmp_path: Path) -> None:
    with batch_service("anthropic", runs=10**9) as service:
        async with Asking(service, tmp_path) as one, Asking(service, tmp_path, run="2") as two:
            first = asyncio.ensure_future(one.ask("a", "b"))
            await until(lambda: bool(service.batches) and service.batches[0].looks > 0)
            second = asyncio.ensure_future(two.ask("a", "b"))
            await asyncio.sleep(0.1)
            service.runs = 0
            assert said(await first) == said(await second) == ["seen: a", "seen: b"]
        assert len(service.batches) == 1
        assert len(rows(tmp_path)) == 2
        assert two.budget.spent.calls == 0


@in_loop
async def test_each_model_has_batches_of_its_own_and_none_is_too_large(tmp_path: Path) -> None:
    with batch_service("gemini") as service:
        async with Asking(service, tmp_path) as run:
            ask = run.provider.generate
            one, two = await asyncio.gather(
                ask(question("a")), ask(question("b", model="gemini-3.8-pro"))
            )
            assert (one.text, two.text) == ("seen: a", "seen: b")
            assert len(service.batches) == 2
            huge = await asyncio.gather(ask(question("x" * 4_000_000)), return_exceptions=True)
            assert isinstance(huge[0], UnfitMediaError)
            assert "lane" in huge[0].next_step
        assert len(service.batches) == 2


def test_a_provider_without_batches_is_refused(tmp_path: Path) -> None:
    settings = Settings.model_validate({"cache": {"directory": str(tmp_path)}})
    run = Run(
        request_id="r",
        tenant="t",
        gate=Gate(offline=False),
        budget=RunBudget(settings.budget),
        deadline=None,
    )
    with pytest.raises(ConfigError, match="knows no batches"):
        CallLayer(settings).wrap(
            Service(),
            name="service",
            section=ProviderSettings(lane="batch"),
            options="",
            run=run,
        )


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_an_answer_of_either_lane_serves_the_other(tmp_path: Path, kind: str) -> None:
    with batch_service(kind) as service:
        async with Asking(service, tmp_path) as batched:
            await batched.ask("a")
        async with Asking(service, tmp_path, run="2", lane="live") as live:
            assert said(await live.ask("a", "b")) == ["seen: a", "seen: b"]
        async with Asking(service, tmp_path, run="3") as batched:
            answers = await batched.ask("a", "b")
        assert [answer.cached for answer in answers] == [True, True]
        assert (service.questions, service.live) == (["a"], 1)


@pytest.mark.parametrize(
    "limits", [BatchLimits(requests=2, bytes=10**6), BatchLimits(requests=100, bytes=10_000)]
)
@in_loop
async def test_as_many_batches_as_it_takes_hold_what_one_does_not(
    tmp_path: Path, limits: BatchLimits
) -> None:
    with batch_service("openai") as service:
        async with Asking(service, tmp_path, limits=limits) as run:
            assert said(await run.ask(*"abcde")) == [f"seen: {c}" for c in "abcde"]
        assert sorted(len(batch.bodies) for batch in service.batches) == [1, 2, 2]


@in_loop
async def test_nobody_gets_an_answer_before_it_is_written_down(tmp_path: Path) -> None:
    with batch_service("gemini", runs=10**9) as service:
        async with Asking(service, tmp_path) as run:
            asked = asyncio.ensure_future(run.ask("a"))
            await until(lambda: bool(service.batches) and service.batches[0].looks > 0)
            other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")  # nobody else can write now
            looks, service.runs = service.batches[0].looks, 0
            await until(lambda: service.batches[0].looks > looks + 1)
            await asyncio.sleep(0.3)
            assert not asked.done()
            other.execute("COMMIT")
            other.close()
            assert said(await asked) == ["seen: a"]
        assert len(rows(tmp_path)) == 1


@in_loop
async def test_what_is_no_question_is_refused(tmp_path: Path) -> None:
    with batch_service("gemini") as service:
        async with Asking(service, tmp_path) as run:
            with pytest.raises(ProviderError, match="'transcribe'"):
                await run.provider.generate(question("a", task="transcribe"))
        assert service.asked == []


def test_a_check_of_a_provider_does_not_wait_for_a_batch(tmp_path: Path) -> None:
    with batch_service("openai") as service:
        section = services.section("openai", service.url, lane="batch")
        config = {"providers": {"openai": section}, "cache": {"directory": str(tmp_path)}}
        with CrimeDetectionPipeline(settings=load_settings(config, dotenv=None)) as pipeline:
            pipeline.check_provider("openai")
    assert (service.live, service.batches) == (1, [])
