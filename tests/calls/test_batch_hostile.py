"""Whatever a service answers to a batch, a request gets its own answer or none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from batch_kit import QUICK, Asking, said
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_service import BatchService, batch_service
from mmcrime.calls import batch_lane
from mmcrime.errors import (
    InvalidResponseError,
)
from spending import in_loop


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lane, "PACE", QUICK)


HUGE = b'{"custom_id": "x", "fill": "' + b"x" * (9 * 1024 * 1024) + b'"}'
TEXTS = ["a", "b", "c", "d"]


@st.composite
def mangled(draw: st.DrawFn) -> Any:
    """What a hostile service makes of its lines: a list of what to do with which line."""
    what = st.sampled_from(["own", "own", "twice", "strange", "cut", "noise", "list", "null"])
    return draw(st.lists(st.tuples(what, st.integers(0, 3)), max_size=8))


def spoiled(plan: list[tuple[str, int]], lines: list[dict[str, Any]]) -> list[Any]:
    """Return lines as a plan says, in its order."""
    made: list[Any] = []
    lines = sorted(lines, key=lambda line: json.dumps(line["result"]["message"]["content"]))
    for what, number in plan:
        line = lines[number % len(lines)]
        raw = json.dumps(line).encode()
        made += {
            "own": [line],
            "twice": [line, {**line, "result": {"type": "errored"}}],
            "strange": [{**line, "custom_id": "mmcrime-0-0"}],
            "cut": [raw[: len(raw) // 2]],
            "noise": [b"\xff\x00[[[[", b""],
            "list": [b"[1, 2]"],
            "null": [{**line, "custom_id": None}],
        }[what]
    return made


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=mangled())
def test_whatever_comes_a_request_gets_its_own_answer_or_none(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("cache")

    async def work(service: BatchService) -> list[Any]:
        async with Asking(service, folder) as run:
            outcomes = await run.ask(*TEXTS)
            assert run.budget.spent.calls == len(TEXTS)
            return outcomes

    with batch_service("anthropic", results=lambda lines: spoiled(plan, lines)) as service:
        outcomes = asyncio.run(work(service))
    given_back = {number for what, number in plan if what in ("own", "twice")}
    for number, (text, outcome) in enumerate(zip(TEXTS, outcomes, strict=True)):
        if number in given_back:
            assert outcome.text == f"seen: {text}"
        else:
            assert isinstance(outcome, InvalidResponseError)


@in_loop
async def test_a_line_that_is_too_large_is_left_out_and_the_others_serve(tmp_path: Path) -> None:
    with batch_service("openai", results=lambda lines: [lines[0], HUGE, lines[1]]) as service:
        async with Asking(service, tmp_path) as run:
            assert said(await run.ask("a", "b")) == ["seen: a", "seen: b"]
