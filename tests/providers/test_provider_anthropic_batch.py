"""Anthropic's batches: what the lines mean, and how one that was lost sight of is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from batches_kit import LABEL, Outcome, asked, collected, line, made, read, run, submitted

import services
from batch_service import batch_service
from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from wire import recorded

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def spoken(result: Any) -> Outcome:
    """Return what is read of a line."""
    ((key, said),) = read("anthropic", {"custom_id": "a", "result": result})
    assert key == "a"
    return said


def errored(kind: str, words: str = "no") -> dict[str, Any]:
    error = {"type": "error", "error": {"type": kind, "message": words}}
    return {"type": "errored", "error": error}


@pytest.mark.shared
def test_a_recorded_batch_is_read_as_it_is(shared: Path) -> None:
    """One that was just made, then its answers, with what they cost."""
    create = recorded(shared, "anthropic", "batch_create_200")
    results = recorded(shared, "anthropic", "batch_results_jsonl_200")
    body = results.reply[2].encode()
    with wire_server(WireReply(body=create.reply[2]), WireReply(body=body)) as server:
        provider = made("anthropic", server.url)

        async def work() -> list[tuple[str, Outcome]]:
            name = create.reply[2]["id"]
            status = await provider.poll(name)
            assert (status.state, status.total, status.done) == ("running", 2, 0)
            return await collected(provider, name)

        found = dict(run(provider, work))
        assert server.requests[1].path == results.path
        key = f"Bearer {services.KEYS['anthropic']}"
        assert [asked.headers["authorization"] for asked in server.requests] == [key, key]
        assert all("anthropic-version" in asked.headers for asked in server.requests)
    assert found == {
        "0": said("4", TokenUsage(input=20, cached_input=0, cache_write=0, output=5)),
        "1": said("Jupiter", TokenUsage(input=19, cached_input=0, cache_write=0, output=4)),
    }


def said(text: str, usage: TokenUsage) -> Response:
    return Response(status="answered", text=text, model="claude-haiku-4-5-20251001", usage=usage)


@pytest.mark.parametrize(
    ("result", "expected", "retryable", "billed"),
    [
        (errored("invalid_request_error"), ProviderError, False, False),
        (errored("authentication_error"), AuthenticationError, False, False),
        (errored("not_found_error", "model: x"), ProviderError, False, False),
        (errored("rate_limit_error"), RateLimitedError, True, False),
        (errored("overloaded_error"), UnavailableError, True, False),
        (errored("api_error"), UnavailableError, True, False),
        (errored("a_new_error"), UnavailableError, True, False),
        ({"type": "errored", "error": None}, UnavailableError, True, False),
        ({"type": "errored"}, UnavailableError, True, False),
        ({"type": "expired"}, UnavailableError, True, False),
        ({"type": "canceled"}, ProviderError, False, False),
        # The state decides, not what else is there; one that is not known is no answer.
        ({"type": "succeeded"}, InvalidResponseError, False, True),
        ({"type": "succeeded", "message": []}, InvalidResponseError, False, True),
        ({"type": "Succeeded"}, InvalidResponseError, False, True),
        ({"type": ["succeeded"]}, InvalidResponseError, False, True),
        ({}, InvalidResponseError, False, True),
        ("succeeded", InvalidResponseError, False, True),
    ],
)
def test_a_line_that_is_no_answer_is_an_error_of_its_kind(
    result: Any, expected: type[ProviderError], retryable: bool, billed: bool
) -> None:
    """Even where a whole message stands in it: only what succeeded is charged for."""
    if isinstance(result, dict) and result.get("type") != "succeeded":
        result = {"message": services.answer("anthropic").body, **result}
    outcome = spoken(result)
    assert type(outcome) is expected
    assert isinstance(outcome, ProviderError)
    assert (outcome.retryable, outcome.may_be_billed) == (retryable, billed)


def test_a_line_that_a_filter_refused_is_a_refusal() -> None:
    words = "Output blocked by content filtering policy"
    refused = services.answer("anthropic", "", stop="refused").body
    for result in (
        errored("invalid_request_error", words),
        {"type": "succeeded", "message": refused},
    ):
        outcome = spoken(result)
        assert isinstance(outcome, Response)
        assert outcome.status == "refused"


def test_a_line_does_not_tell_the_key() -> None:
    outcome = spoken(errored("invalid_request_error", f"key {services.KEYS['anthropic']}"))
    assert isinstance(outcome, ProviderError)
    assert services.KEYS["anthropic"] not in outcome.message


def test_answers_are_asked_for_at_the_service_and_not_where_an_answer_says() -> None:
    """The service names another host, which would get the key."""
    with batch_service("anthropic", runs=0) as service:
        provider = made("anthropic", service.url)

        async def work() -> None:
            batch = await submitted(provider, asked("a"))
            assert len(await collected(provider, batch)) == 1

        run(provider, work)
        assert service.asked[-1] == "GET /v1/messages/batches/msgbatch_0/results"


def listed(name: str, requests: int, made_at: datetime, status: str = "ended") -> dict[str, Any]:
    counts = {"processing": 0, "succeeded": requests, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "id": name,
        "processing_status": status,
        "request_counts": counts,
        "created_at": made_at.isoformat().replace("+00:00", "Z"),
    }


def found(*replies: WireReply, requests: int = 2) -> tuple[str | None, list[str]]:
    """Return what is found, and the paths that were asked for."""
    with wire_server(*replies) as server:
        provider = made("anthropic", server.url)
        look = provider.find
        name = run(provider, lambda: look(LABEL, since=NOW, requests=requests))
        return name, [asked.path for asked in server.requests]


def page(*batches: dict[str, Any], more: bool = False) -> WireReply:
    return WireReply(body={"data": list(batches), "has_more": more})


def one(key: str) -> WireReply:
    return WireReply(body=line("anthropic", key, "calm"))


def test_only_batches_of_that_time_and_size_are_looked_into() -> None:
    """There is no place for the label but in the ids, which only the answers tell."""
    soon, late = NOW + timedelta(seconds=9), NOW + timedelta(hours=1)
    batches = [
        listed("late", 2, late),
        listed("larger", 3, soon),
        listed("foreign", 2, soon),
        listed("right", 2, soon),
        listed("old", 2, NOW - timedelta(hours=1)),
    ]
    name, paths = found(page(*batches), one("other-1"), one(f"{LABEL}-1"))
    assert name == "right"
    assert [path.split("/")[4] for path in paths[1:]] == ["foreign", "right"]


def test_a_label_that_begins_with_another_is_not_that_one() -> None:
    name, _ = found(page(listed("b", 2, NOW)), one(f"{LABEL}9-1"))
    assert name is None


def test_a_batch_that_may_be_the_one_is_told_apart_when_it_has_ended() -> None:
    """Saying that there is none would pay for it a second time."""
    with pytest.raises(UnavailableError, match="when it has ended") as caught:
        found(page(listed("b", 2, NOW, "in_progress")))
    assert caught.value.retryable
    # One that has ended and is the right one needs no waiting for another.
    running, right = listed("r", 2, NOW, "in_progress"), listed("b", 2, NOW)
    assert found(page(running, right), one(f"{LABEL}-1"))[0] == "b"


def test_further_pages_are_looked_through_but_not_for_ever() -> None:
    first = page(listed("b9", 7, NOW), more=True)
    name, paths = found(first, page(listed("b1", 2, NOW)), one(f"{LABEL}-1"))
    assert name == "b1"
    assert paths[1].endswith("after_id=b9")
    with pytest.raises(ProviderError, match="newest 500"):
        found(first)
