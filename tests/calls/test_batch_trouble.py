"""Batches in trouble: nothing is free for it, and nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_kit import QUICK, Asking, pending, question, rows, said
from calls_kit import until

from batch_service import NAMES, BatchService, batch_service
from mmcrime.calls import batch_lane, batch_watch
from mmcrime.errors import AuthenticationError, ProviderError, UnavailableError
from mmcrime.plugins import Part
from spending import in_loop


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lane, "PACE", QUICK)


def looks_with(service: BatchService, *answers: Any) -> None:
    """Answer the next looks so instead; the last one for ever, unless it is None."""
    left = list(answers)

    def look(batch: Any) -> Any:
        answer = left.pop(0) if len(left) > 1 else left[0]
        return BatchService._look(service, batch) if answer is None else answer

    service._look = look  # type: ignore[method-assign]


REFUSED = (401, b'{"error": {"type": "authentication_error", "message": "no", "code": 401}}')
PAGE = b"<html>a proxy</html>"


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_who_may_not_look_at_a_batch_has_paid_for_it(tmp_path: Path, kind: str) -> None:
    """The service works on it whoever is let in; the cap of the run holds for what it takes."""
    with batch_service(kind) as service:
        looks_with(service, REFUSED)
        async with Asking(service, tmp_path) as run:
            (outcome,) = await run.ask("a")
            assert isinstance(outcome, AuthenticationError)
            assert (outcome.may_be_billed, outcome.retryable) == (True, False)
            assert "run the same again later" in outcome.next_step
            assert run.budget.spent.usd > 0
            assert run.budget.reserved.calls == 0
        looks_with(service, None)
        async with Asking(service, tmp_path, run="run-2") as later:
            assert said(await later.ask("a")) == ["seen: a"]
        assert len(service.batches) == 1


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_a_deadline_while_a_batch_is_submitted_counts_all_of_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with batch_service(kind, runs=0) as service:
        async with Asking(service, tmp_path, deadline=0.7) as run:
            submit = type(run.batches).submit

            async def slow(self: Any, *given: Any, **more: Any) -> str:
                await asyncio.sleep(0.8)
                return await submit(self, *given, **more)

            monkeypatch.setattr(type(run.batches), "submit", slow)
            (outcome,) = await run.ask("a")
            assert isinstance(outcome, UnavailableError)
            assert (outcome.may_be_billed, outcome.out_of_time) == (True, True)
            assert "was submitted" not in outcome.message
            assert run.budget.spent.usd > 0
            await until(lambda: rows(tmp_path) != [])  # it went out all the same


@pytest.mark.parametrize("kind", NAMES)
@in_loop
async def test_what_another_process_has_collected_and_deleted_is_no_failure(
    tmp_path: Path, kind: str
) -> None:
    with batch_service(kind, runs=10**9) as service:
        async with Asking(service, tmp_path) as one, Asking(service, tmp_path, run="run-2") as two:
            first = asyncio.ensure_future(one.ask("a"))
            await until(lambda: bool(service.batches) and service.batches[0].looks > 0)
            watch = next(iter(one.lanes[kind]._watches.values()))
            watch.pace = replace(QUICK, first=0.6, most=0.6)  # it looks after all is over
            second = asyncio.ensure_future(two.ask("b"))
            service.runs = 0
            assert said(await second) == ["seen: b"]
            assert said(await first) == ["seen: a"]
            assert one.budget.spent.usd > 0
        assert service.questions == ["a", "b"]


@in_loop
async def test_an_answer_that_cannot_be_recorded_stays_at_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmcrime.calls.database._LOCK_SECONDS", 0.1)
    with batch_service("anthropic", runs=10**9) as service:
        async with Asking(service, tmp_path) as run:
            asked = asyncio.ensure_future(run.ask("a"))
            await until(lambda: bool(service.batches) and service.batches[0].looks > 0)
            with sqlite3.connect(tmp_path / "ledger.sqlite3") as other:
                other.execute("BEGIN IMMEDIATE")
                service.runs = 0
                assert said(await asked) == ["seen: a"]  # whoever waits has it
                assert service.deleted == []
                other.rollback()
            other.close()
            await until(lambda: rows(tmp_path) != [])
            await until(lambda: pending(tmp_path) == 0)
        assert len(rows(tmp_path)) == 1
        assert service.deleted


@in_loop
async def test_a_page_of_a_proxy_in_between_is_one_look_that_failed(tmp_path: Path) -> None:
    with batch_service("anthropic") as service:
        looks_with(service, PAGE, PAGE, None)
        async with Asking(service, tmp_path) as run:
            assert said(await run.ask("a")) == ["seen: a"]


@pytest.mark.parametrize("answer", [PAGE, (500, b"{}")])
@in_loop
async def test_no_look_goes_on_for_ever(
    tmp_path: Path, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a deadline a run ends all the same; two days are over here at once."""
    monkeypatch.setattr(batch_watch.Watch, "_age", property(lambda _: 3 * 86_400.0))
    with batch_service("anthropic") as service:
        looks_with(service, answer)
        async with Asking(service, tmp_path) as run:
            (outcome,) = await asyncio.wait_for(run.ask("a"), 20)
            assert isinstance(outcome, ProviderError)
            assert outcome.may_be_billed


@in_loop
async def test_answers_that_always_break_off_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_watch, "_MOST_COLLECTING", 2)
    with batch_service("anthropic", runs=0) as service:
        monkeypatch.setattr(type(service), "cut", True)
        lines = service._jsonl

        def cut(batch: Any) -> Any:
            service.cut = True
            return lines(batch)

        service._jsonl = cut  # type: ignore[method-assign]
        async with Asking(service, tmp_path) as run:
            (outcome,) = await asyncio.wait_for(run.ask("a"), 20)
            assert isinstance(outcome, ProviderError)
            assert outcome.may_be_billed
            assert run.budget.spent.usd > 0


@in_loop
async def test_what_is_not_sent_fails_alone(tmp_path: Path) -> None:
    bad = replace(question("bad"), parts=(Part(data=b"x", media_type="video/x-odd"),))
    with batch_service("gemini") as service:
        async with Asking(service, tmp_path) as run:
            good, refused = await asyncio.gather(
                run.provider.generate(question("a")),
                run.provider.generate(bad),
                return_exceptions=True,
            )
        assert said([good]) == ["seen: a"]
        assert isinstance(refused, ProviderError)
        assert not refused.may_be_billed
