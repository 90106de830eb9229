"""Gemini's batches: one body of requests, one of answers, and what stands in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from batches_kit import LABEL, Outcome, asked, collected, ended, line, made, read, run, submitted

import services
from batch_service import batch_service
from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import BatchStatus, Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from wire import recorded

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def spoken(held: Any) -> Outcome:
    """Return what is read of one answer."""
    ((key, said),) = read("gemini", {**held, "metadata": {"custom_id": "a"}})
    assert key == "a"
    return said


def polled(body: Any) -> BatchStatus:
    with wire_server(WireReply(body=body)) as server:
        provider = made("gemini", server.url)
        return run(provider, lambda: provider.poll("b1"))


@pytest.mark.shared
def test_a_recorded_batch_is_read_as_it_is(shared: Path) -> None:
    """The whole of it comes in one body, the answers twice; thoughts are paid for."""
    done = recorded(shared, "gemini", "batch_done_200")
    name = done.reply[2]["name"].removeprefix("batches/")
    with wire_server(WireReply(body=done.reply[2])) as server:
        provider = made("gemini", server.url)

        async def work() -> list[tuple[str, Outcome]]:
            status = await provider.poll(name)
            assert (status.state, status.total, status.done) == ("ended", 2, 2)
            return await collected(provider, name)

        found = run(provider, work)
        assert {asked.path for asked in server.requests} == {done.path}
        assert server.requests[0].headers["x-goog-api-key"] == services.KEYS["gemini"]
    assert found == [
        ("0", said("4", TokenUsage(input=13, output=44))),
        ("1", said("Jupiter", TokenUsage(input=13, output=54))),
    ]


def said(text: str, usage: TokenUsage) -> Response:
    return Response(status="answered", text=text, model="gemini-2.5-flash", usage=usage)


def test_answers_are_read_where_they_are_if_they_come_once() -> None:
    held = {"inlinedResponses": {"inlinedResponses": [line("gemini", "a", "calm")]}}
    with wire_server(WireReply(body={"metadata": {"output": held}})) as server:
        provider = made("gemini", server.url)
        ((key, outcome),) = run(provider, lambda: collected(provider, "b1"))
    assert key == "a"
    assert isinstance(outcome, Response)
    assert outcome.text == "calm"


GOOD = services.answer("gemini").body


@pytest.mark.parametrize(
    ("held", "expected", "retryable", "billed"),
    [
        ({"error": {"code": 3, "message": "no"}}, ProviderError, False, False),
        ({"error": {"code": 16, "message": "no"}}, AuthenticationError, False, False),
        ({"error": {"code": 7, "message": "no"}}, AuthenticationError, False, False),
        ({"error": {"code": 8, "message": "no"}}, RateLimitedError, True, False),
        ({"error": {"code": 14, "message": "no"}}, UnavailableError, True, False),
        ({"error": {"code": 13, "message": "no"}}, UnavailableError, True, False),
        ({"error": {"message": "no"}}, UnavailableError, True, False),
        # What says both is no answer, whatever the error looks like.
        ({"error": {"code": 13}, "response": GOOD}, UnavailableError, True, False),
        ({"error": "no", "response": GOOD}, UnavailableError, True, False),
        ({"error": {"code": [3]}, "response": GOOD}, UnavailableError, True, False),
        ({}, InvalidResponseError, False, True),
        ({"response": []}, InvalidResponseError, False, True),
        ({"response": {"candidates": [{}]}}, InvalidResponseError, False, True),
    ],
)
def test_what_is_no_answer_is_an_error_of_its_kind(
    held: Any, expected: type[ProviderError], retryable: bool, billed: bool
) -> None:
    outcome = spoken(held)
    assert type(outcome) is expected
    assert isinstance(outcome, ProviderError)
    assert (outcome.retryable, outcome.may_be_billed) == (retryable, billed)


def test_an_answer_that_was_refused_is_a_refusal() -> None:
    outcome = spoken({"response": services.answer("gemini", stop="refused").body})
    assert isinstance(outcome, Response)
    assert outcome.status == "refused"


def test_no_error_tells_the_key() -> None:
    told = {"message": f"key {services.KEYS['gemini']}"}
    outcome = spoken({"error": told})
    assert isinstance(outcome, ProviderError)
    assert services.KEYS["gemini"] not in outcome.message
    status = polled({"metadata": {"state": "BATCH_STATE_FAILED"}, "error": told})
    assert (status.state, status.reason) == ("failed", "key ***")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("PENDING", "running"),
        ("RUNNING", "running"),
        ("SUCCEEDED", "ended"),
        ("FAILED", "failed"),
        ("CANCELLED", "cancelled"),
        ("EXPIRED", "expired"),
    ],
)
def test_the_states_of_the_service_are_ours(state: str, expected: str) -> None:
    stats = {"requestCount": "5", "pendingRequestCount": "2"}
    status = polled({"metadata": {"state": f"BATCH_STATE_{state}", "batchStats": stats}})
    assert (status.state, status.total, status.done) == (expected, 5, 3)


@pytest.mark.parametrize("stats", [{"requestCount": "-5"}, {"requestCount": "9" * 5000}, [], None])
def test_counts_that_are_none_are_not_told(stats: Any) -> None:
    status = polled({"metadata": {"state": "BATCH_STATE_RUNNING", "batchStats": stats}})
    assert (status.total, status.done) == (None, None)


def test_a_batch_in_no_state_that_is_known_is_not_waited_for() -> None:
    with pytest.raises(InvalidResponseError):
        polled({"metadata": {"state": "DONE"}})


@pytest.mark.parametrize("state", ["failed", "expired", "cancelled"])
def test_a_batch_that_did_not_end_says_so(state: str) -> None:
    with batch_service("gemini", state=state) as service:
        provider = made("gemini", service.url)

        async def work() -> None:
            status = await ended(provider, await submitted(provider, asked("a")))
            assert status.state == state

        run(provider, work)


def test_a_lost_batch_is_looked_for_on_further_pages_but_not_for_ever() -> None:
    first = {"operations": [{"name": "batches/b9"}, 3], "nextPageToken": "t/1&x"}
    right = {"name": "batches/b7", "metadata": {"displayName": LABEL}}
    with wire_server(WireReply(body=first), WireReply(body={"operations": [right]})) as server:
        provider = made("gemini", server.url)
        look = provider.find
        assert run(provider, lambda: look(LABEL, since=NOW, requests=1)) == "b7"
        assert server.requests[1].path.endswith("pageToken=t%2F1%26x")
    with wire_server(WireReply(body=first)) as server:
        provider = made("gemini", server.url)
        look = provider.find
        with pytest.raises(ProviderError, match="newest 500"):
            run(provider, lambda: look(LABEL, since=NOW, requests=1))
