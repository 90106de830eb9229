"""What Anthropic answered, read as a person would: recorded answers, and constructed ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anthropic_kit import ask, failed, message, streamed

from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import RateStatus, Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from wire import Reply, contract_server, recorded


def replayed(shared: Path, reply: Reply) -> Response:
    """Answer a request that keeps the contract."""
    with contract_server(shared, "anthropic", [reply]) as server:
        try:
            return ask(server.url)
        finally:
            (entry,) = server.log
            assert entry["errors"] == []


def refused(shared: Path, name: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        replayed(shared, recorded(shared, "anthropic", name).reply)
    return caught.value


# -- recorded -------------------------------------------------------------------------------


@pytest.mark.shared
def test_recorded_image(shared: Path) -> None:
    """An answer: it ended by itself; nothing was cached; the limits of all tokens are told."""
    response = replayed(shared, recorded(shared, "anthropic", "image_200_ratelimit_headers").reply)
    assert response.status == "answered"
    assert response.text.startswith("# Image Description\n\nThis is a **3D rendered")
    assert response.model == "claude-haiku-4-5-20251001"
    assert response.usage == TokenUsage(input=43, cached_input=0, cache_write=0, output=132)
    # The instants of the resets have passed since.
    assert response.rate == RateStatus(
        requests_per_minute=10_000,
        requests_left=9999,
        requests_reset=0.0,
        tokens_per_minute=12_000_000,
        tokens_left=12_000_000,
        tokens_reset=0.0,
    )


@pytest.mark.shared
@pytest.mark.parametrize(("line", "text", "tokens"), [(0, "4", (20, 5)), (1, "Jupiter", (19, 4))])
def test_recorded_batch_results(
    shared: Path, line: int, text: str, tokens: tuple[int, int]
) -> None:
    """Messages out of a recorded batch: the shape is the same, as short as answers get."""
    lines = recorded(shared, "anthropic", "batch_results_jsonl_200").reply[2].splitlines()
    response = replayed(shared, (200, {}, json.loads(lines[line])["result"]["message"]))
    assert (response.status, response.text) == ("answered", text)
    assert (response.usage.input, response.usage.output) == tokens


@pytest.mark.shared
def test_recorded_batch_that_is_no_answer(shared: Path) -> None:
    """A message is what was asked for, and a batch is none, though it came with 200."""
    with pytest.raises(InvalidResponseError):
        replayed(shared, recorded(shared, "anthropic", "batch_create_200").reply)


@pytest.mark.shared
def test_recorded_401(shared: Path) -> None:
    """The key is wrong: nothing was done, and trying again changes nothing."""
    error = refused(shared, "err_401")
    assert type(error) is AuthenticationError
    assert (error.retryable, error.may_be_billed, error.retry_after) == (False, False, None)
    assert "invalid x-api-key" in error.message


@pytest.mark.shared
def test_recorded_404_model(shared: Path) -> None:
    """The model's name is misspelt, and only the setting can mend it."""
    error = refused(shared, "err_404_model")
    assert type(error) is ProviderError
    assert (error.retryable, error.may_be_billed) == (False, False)
    assert "providers.anthropic.model" in error.next_step


@pytest.mark.shared
def test_recorded_400_prompt_too_long(shared: Path) -> None:
    """Refused for its length before any work: less of the same would do."""
    error = refused(shared, "err_400_prompt_too_long")
    assert type(error) is ProviderError
    assert (error.retryable, error.may_be_billed) == (False, False)
    assert "media.max_frames" in error.next_step


@pytest.mark.shared
def test_recorded_429(shared: Path) -> None:
    """A limit an hour, and the service asks to try again without saying when."""
    error = refused(shared, "err_429_rate_limit")
    assert type(error) is RateLimitedError
    assert (error.retryable, error.may_be_billed, error.retry_after) == (True, False, None)


@pytest.mark.shared
def test_recorded_refusal(shared: Path) -> None:
    """Constructed from a recorded stream: "Hi" was said before the refusal, and is no answer."""
    whole = streamed(shared / "specs/recorded/anthropic/refusal_stream.sse")
    assert [block["type"] for block in whole["content"]] == ["thinking", "text"]
    response = replayed(shared, (200, {}, whole))
    assert (response.status, response.text, response.reason) == ("refused", "", "refusal")
    assert response.model == "claude-fable-5"
    assert response.usage == TokenUsage(input=28, cached_input=0, cache_write=0, output=106)


# -- constructed: answers -------------------------------------------------------------------


def answered(reply: WireReply) -> Response:
    with wire_server(reply) as server:
        response = ask(server.url)
        assert len(server.requests) == 1
    return response


def test_constructed_refusal_with_details() -> None:
    """The content is empty; which policy it was is told in the service's word."""
    details = {"type": "refusal", "category": "general_harms", "explanation": "Not this one."}
    response = answered(message("refusal", content=[], stop_details=details))
    assert response.status == "refused"
    assert (response.reason, response.text) == ("refusal: general_harms", "Not this one.")
    assert response.usage.output == 132


def test_constructed_filter() -> None:
    """After reports of users: a filter stops the answer with 400, and means a refusal."""
    words = "Output blocked by content filtering policy"
    response = answered(failed(400, "invalid_request_error", words))
    assert (response.status, response.reason) == ("refused", "content filtering policy")
    assert response.usage == TokenUsage(), "it does not say what was counted"


def test_constructed_full_context() -> None:
    """The answer ran out of room, and is cut off like one that ran out of tokens."""
    response = answered(message("model_context_window_exceeded"))
    assert (response.status, response.reason) == ("truncated", "model_context_window_exceeded")
    assert (response.usage.input, response.usage.output) == (1543, 132)


@pytest.mark.parametrize("stop", [None, "tool_use", "pause_turn", "a word of tomorrow", 7, []])
def test_constructed_stops_that_are_no_end(stop: Any) -> None:
    """Only an answer that ended by itself is one."""
    with pytest.raises(InvalidResponseError):
        answered(message(stop))


@pytest.mark.parametrize(
    "content",
    [
        None,
        "A calm garage.",
        ["A calm garage."],
        [{"type": "text"}],
        [{"type": "text", "text": 4}],
        [{"type": "text", "text": " \n"}],
        [{"type": "thinking", "thinking": "A calm garage."}],
    ],
)
def test_constructed_contents_without_words(content: Any) -> None:
    """What was thought or is of another shape was not said."""
    with pytest.raises(InvalidResponseError):
        answered(message(content=content))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, TokenUsage()),
        ([], TokenUsage()),
        ({"output_tokens": 7}, TokenUsage(output=7)),
        ({"input_tokens": 5, "output_tokens": 7}, TokenUsage(input=5, output=7)),
        ({"input_tokens": 0, "cache_read_input_tokens": 9}, TokenUsage(input=9, cached_input=9)),
        ({"input_tokens": -5, "output_tokens": "7"}, TokenUsage()),
        ({"input_tokens": True, "output_tokens": 1.5}, TokenUsage()),
        (
            {"input_tokens": 5, "cache_creation_input_tokens": None, "output_tokens": 7},
            TokenUsage(input=5, output=7),
        ),
    ],
)
def test_constructed_usage(usage: Any, counted: TokenUsage) -> None:
    """What the service does not count is not known, and never zero."""
    assert answered(message(usage=usage)).usage == counted


# -- constructed: errors --------------------------------------------------------------------


def error_of(reply: WireReply) -> ProviderError:
    with wire_server(reply) as server:
        with pytest.raises(ProviderError) as caught:
            ask(server.url)
        assert len(server.requests) == 1, "the SDK does not try again by itself"
    return caught.value


@pytest.mark.parametrize(
    "reply",
    [
        failed(429, "rate_limit_error", "No.", code="enforced_spend_limit_reached"),
        failed(
            429, "rate_limit_error", "No.", code="contract_spend_limit_reached", retry_after="1"
        ),
        failed(402, "billing_error", "No.", code="linked_organization_spend_limit_reached"),
        failed(402, "billing_error", "No."),
        failed(400, "billing_error", "No."),
        failed(400, "invalid_request_error", "Your credit balance is too low to access the API."),
        failed(
            400,
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access on ...",
        ),
    ],
)
def test_constructed_spent(reply: WireReply) -> None:
    """No money, in all its forms: waiting does not help, and another provider may."""
    error = error_of(reply)
    assert type(error) is RateLimitedError
    assert (error.retryable, error.retry_after, error.may_be_billed) == (False, None, False)


def test_constructed_ramp() -> None:
    """Growing too fast is a limit like any other; other codes of 429 are no quota."""
    reply = failed(429, "rate_limit_error", "No.", code="ramp_limit_exceeded", retry_after="30")
    error = error_of(reply)
    assert (type(error), error.retryable, error.retry_after) == (RateLimitedError, True, 30.0)


def test_constructed_delay_of_a_limit() -> None:
    """Without a delay of its own, the reset of the limit of which nothing is left is one."""
    reset = (datetime.now(UTC) + timedelta(seconds=40)).isoformat()
    headers = {
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": reset,
    }
    reply = failed(429, "rate_limit_error", "No.")
    error = error_of(WireReply(status=429, headers=headers, body=reply.body))
    assert error.retry_after is not None
    assert 20.0 < error.retry_after <= 40.0


@pytest.mark.parametrize(
    ("status", "kind", "billed"),
    [
        (408, "timeout_error", True),
        (409, "conflict_error", False),
        (500, "api_error", True),
        (502, "api_error", True),
        (503, "api_error", False),
        (504, "timeout_error", True),
        (524, "", True),
        (529, "overloaded_error", False),
    ],
)
def test_constructed_failures(status: int, kind: str, billed: bool) -> None:
    """An overloaded service refuses before it begins; one that fails may have done the work."""
    error = error_of(failed(status, kind, "No.", retry_after="3"))
    assert type(error) is UnavailableError
    assert (error.retryable, error.retry_after, error.may_be_billed) == (True, 3.0, billed)


@pytest.mark.parametrize(
    ("status", "told", "kind", "again"),
    [
        (429, "false", RateLimitedError, False),
        (529, "false", UnavailableError, False),
        (422, "true", UnavailableError, True),
        (400, "perhaps", ProviderError, False),
        (401, "true", AuthenticationError, False),
    ],
)
def test_constructed_advice_on_trying_again(
    status: int, told: str, kind: type[ProviderError], again: bool
) -> None:
    """The service knows best whether to try again, except with a key that it refused."""
    error = error_of(failed(status, "api_error", "No.", x_should_retry=told))
    assert (type(error), error.retryable) == (kind, again)


@pytest.mark.parametrize(
    ("reply", "step"),
    [
        (failed(413, "request_too_large", "Request too large"), "media.max_side"),
        (
            failed(400, "invalid_request_error", "No.", code="image_dimensions_too_large"),
            "media.max_side",
        ),
        (failed(404, "not_found_error", "Not Found"), "providers.anthropic.base_url"),
        (WireReply(status=404, body=b"<html>404</html>"), "providers.anthropic.base_url"),
        (failed(400, "invalid_request_error", "messages: no"), "claude-sonnet-5-5"),
    ],
)
def test_constructed_next_steps(reply: WireReply, step: str) -> None:
    """What to change is named; none of them is tried again."""
    error = error_of(reply)
    assert type(error) is ProviderError
    assert not error.retryable
    assert step in error.next_step


def test_constructed_403() -> None:
    """The key may not do this, which is the key's matter."""
    assert type(error_of(failed(403, "permission_error", "No."))) is AuthenticationError
