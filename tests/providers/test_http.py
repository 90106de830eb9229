"""What providers share about HTTP holds for whatever a service sends."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mmcrime.errors import ConfigError, InvalidResponseError, UnavailableError
from mmcrime.plugins import Provider
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers import _http as http
from mmcrime_providers._json import as_name, count_of, no_answer
from mmcrime_providers.anthropic import AnthropicProvider
from mmcrime_providers.gemini import GeminiProvider
from mmcrime_providers.openai import OpenAIProvider

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def google(delay: Any) -> str:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    other = {"@type": "type.googleapis.com/google.rpc.Help", "links": []}
    return json.dumps({"error": {"code": 429, "message": "m", "details": [other, retry]}})


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "4"}, "", 4.0),
        ({"Retry-After": "0.25"}, "", 0.25),
        ({"retry-after": " 7 "}, "", 7.0),
        ({"retry-after": "0"}, "", 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, "", 1.5),
        ({"retry-after": "12ms"}, "", 0.012),
        ({"retry-after": "6m0s"}, "", 360.0),
        ({"retry-after": "1h2m3s"}, "", 3723.0),
        ({"retry-after": "1m2.5s"}, "", 62.5),
        ({"retry-after": "Mon, 30 Nov 2026 12:00:30 GMT"}, "", 30.0),
        ({"retry-after": "Mon, 30 Nov 2026 11:00:00 GMT"}, "", 0.0),
        ({"retry-after": "2026-11-30T12:01:00Z"}, "", 60.0),
        ({"retry-after": "2026-11-30T14:00:10+02:00"}, "", 10.0),
        ({"retry-after": "999999999"}, "", 86_400.0),
        ({}, google("37s"), 37.0),
        ({}, google("0.5s"), 0.5),
        ({}, "[" + google("37s") + "]", 37.0),
        ({}, json.dumps({"detail": "throttled", "status": 429, "retry_after": 10}), 10.0),
        ({}, json.dumps({"error": {"message": "Please try again in 3.89s. Visit x"}}), 3.89),
        ({}, json.dumps({"error": {"message": "Please try again in 6m0s."}}), 360.0),
        ({}, json.dumps({"error": {"message": "Please retry after 20ms"}}), 0.02),
        ({"retry-after": "4"}, google("37s"), 4.0),
        ({"retry-after": "soon"}, google("37s"), 37.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "11ms"}, "", 0.011),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "11ms"}, "", None),
        ({"retry-after": "-1"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "1e9"}, "", None),
        ({"retry-after": "٣"}, "", None),
        ({"retry-after": "9999-99-99T00:00:00Z"}, "", None),
        ({}, google(["37s"]), None),
        ({}, "<html>", None),
        ({}, "", None),
    ],
)
def test_the_delay_is_read_in_every_form(
    headers: dict[str, str], body: str, seconds: float | None
) -> None:
    found = http.retry_after(headers, body, now=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_headers_of_the_sdk_are_read_as_a_mapping_is() -> None:
    assert http.retry_after(httpx2.Headers({"Retry-After": "3"})) == 3.0


values = st.text(max_size=200) | st.from_regex(r"[-+0-9.eEhmsdµ:TZ, ]{0,40}", fullmatch=True)
names = st.sampled_from(
    [
        "retry-after",
        "Retry-After-Ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-tokens",
        "X-RateLimit-Reset-Tokens",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-remaining",
    ]
)
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "details", "retryDelay", "retry_after", "message"]), inner
        )
    ),
)


@given(st.dictionaries(names, values), st.text(max_size=50) | anything.map(json.dumps))
def test_no_header_and_no_body_makes_a_delay_raise_or_leave_its_bounds(
    headers: dict[str, str], body: str
) -> None:
    found = http.retry_after(headers, body)
    assert found is None or 0.0 <= found <= 86_400.0
    rate = http.rate_status(headers)
    if rate is not None:
        held = (rate.requests_per_minute, rate.requests_left, rate.requests_reset)
        held += (rate.tokens_per_minute, rate.tokens_left, rate.tokens_reset)
        assert any(value is not None for value in held)
        assert all(value is None or 0.0 <= value < 1e16 for value in held)


@given(st.integers(0, 80_000))
def test_a_delay_comes_back_from_every_form_it_can_be_written_in(seconds: int) -> None:
    instant = NOW + timedelta(seconds=seconds)
    duration = f"{seconds // 3600}h{seconds // 60 % 60}m{seconds % 60}s"
    for written in (
        str(seconds),
        f"{seconds}s",
        f"{seconds * 1000}ms",
        duration,
        format_datetime(instant, usegmt=True),
        instant.isoformat(),
        instant.isoformat().replace("+00:00", "Z"),
    ):
        assert http.retry_after({"retry-after": written}, now=NOW) == pytest.approx(seconds)


def test_a_body_nested_without_end_holds_no_delay() -> None:
    assert http.retry_after({}, "[" * 50_000) is None
    assert http.retry_after({}, '{"error":' * 50_000) is None


def test_limits_as_openai_writes_them() -> None:
    rate = http.rate_status(
        {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-remaining-tokens": "1999627",
            "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-reset-tokens": "6m0s",
        }
    )
    assert rate is not None
    assert (rate.requests_per_minute, rate.requests_left) == (5000.0, 4999.0)
    assert (rate.tokens_per_minute, rate.tokens_left) == (2_000_000.0, 1_999_627.0)
    assert (rate.requests_reset, rate.tokens_reset) == (0.012, 360.0)


def test_limits_as_anthropic_writes_them() -> None:
    rate = http.rate_status(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-30T12:00:02Z",
            "anthropic-ratelimit-tokens-limit": "60000",
        },
        now=NOW,
    )
    assert rate is not None
    assert (rate.requests_per_minute, rate.requests_left, rate.requests_reset) == (50.0, 49.0, 2.0)
    assert (rate.tokens_per_minute, rate.tokens_left, rate.tokens_reset) == (60_000.0, None, None)


def test_headers_that_say_nothing_of_limits_are_no_status() -> None:
    assert http.rate_status({"content-type": "application/json"}) is None


# -- secrets --------------------------------------------------------------------------------

KEYS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=12, max_size=120
)


@given(KEYS, st.text(max_size=2000), st.text(max_size=2000))
def test_a_key_is_in_no_words_wherever_it_stood(key: str, before: str, after: str) -> None:
    words = http.scrubbed(f"{before}{key}{after}", [key])
    assert key not in words
    assert len(words) <= 300
    assert words.isprintable()


@given(KEYS, st.integers(6, 11))
def test_a_piece_of_a_key_is_masked_too(key: str, length: int) -> None:
    piece = key[:length]
    assert piece not in http.scrubbed(f"Incorrect API key provided: {piece}. Look here", [key])


@pytest.mark.parametrize(
    "echo",
    [
        "sk-proj-****************wxyz",
        "abcd*****wxyz",
        "AIzaSyD4x9q2",
        "Bearer abc.def",
        "gsk_abcd1",
    ],
)
def test_what_looks_like_a_key_is_masked_without_knowing_it(echo: str) -> None:
    words = http.scrubbed(f"Incorrect API key provided: {echo}. You can find it at https://x.y/z")
    assert echo not in words
    assert words.startswith("Incorrect API key provided: ***")
    assert "https://x.y/z" in words


def test_words_without_a_key_stay_as_they_are() -> None:
    said = "The model `gpt-5.2-proo` does not exist or you do not have access to it."
    assert http.scrubbed(said, ["sk-0123456789"]) == said


def test_an_error_and_its_causes_lose_the_key() -> None:
    error, cause = RuntimeError("sent k-0123456789abc"), ValueError("bad key k-0123456789abc", 7)
    error.__cause__ = cause
    cause.__context__ = error  # a ring must not hang it
    http.scrub_error(error, ["k-0123456789abc"])
    assert error.args == ("sent ***",)
    assert cause.args == ("bad key ***", 7)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://me:secret@host:8443/v1?key=abc#x", "https://host:8443/v1"),
        ("http://[::1]:80:90", ""),
    ],
)
def test_an_address_is_told_without_what_is_secret(url: str, public: str) -> None:
    assert http.public_url(url) == public


# -- answers that are too large -------------------------------------------------------------


def fetch(reply: WireReply) -> bytes:
    async def work(url: str) -> bytes:
        async with http.http_client(timeout=10.0) as client:
            return (await client.post(url, content=b"x")).content

    with wire_server(reply) as server:
        try:
            return asyncio.run(work(server.url))
        finally:
            assert server.requests[0].headers["accept-encoding"] == "identity"


def test_an_answer_up_to_the_bound_is_read() -> None:
    assert len(fetch(WireReply(body=b" " * http.MOST_BYTES))) == http.MOST_BYTES


def test_an_answer_above_the_bound_is_not_read() -> None:
    with pytest.raises(http.AnswerTooLargeError, match="larger than 8388608 bytes"):
        fetch(WireReply(body=b" " * (http.MOST_BYTES + 1)))
    with pytest.raises(http.AnswerTooLargeError, match="larger than"):
        fetch(WireReply(fault="endless"))


def test_a_packed_answer_is_refused_since_it_may_be_any_size() -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    with pytest.raises(http.AnswerTooLargeError, match="packed"):
        fetch(WireReply(headers={"content-encoding": "gzip"}, body=bomb))


# -- the line -------------------------------------------------------------------------------


def ours(error: BaseException) -> Any:
    return http.connection_error(error, provider="x", endpoint="http://h/v1", timeout=5.0)


def test_a_call_that_was_never_taken_cannot_be_billed() -> None:
    for kind in (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
        error = ours(kind("no"))
        assert type(error) is UnavailableError
        assert (error.retryable, error.may_be_billed) == (True, False)


def test_a_call_that_was_taken_may_be_billed() -> None:
    for raised in (httpx2.ReadTimeout("no"), TimeoutError(), httpx2.RemoteProtocolError("no")):
        error = ours(raised)
        assert type(error) is UnavailableError
        assert (error.retryable, error.may_be_billed) == (True, True)


def test_the_reason_is_found_behind_the_error_of_an_sdk() -> None:
    wrapped = RuntimeError("Connection error.")
    wrapped.__cause__ = http.AnswerTooLargeError("it is larger")
    assert type(ours(wrapped)) is InvalidResponseError


def test_only_what_can_be_a_count_of_tokens_is_one() -> None:
    """A price of 10**400 tokens is no number, and the reply would be lost for it."""
    for value in (-1, 10**13, 10**400, 1.0, True, "7", None):
        assert count_of({"tokens": value}, "tokens") is None
    assert count_of({"tokens": 10**12}, "tokens") == 10**12


def test_only_what_can_be_the_name_of_a_model_goes_into_a_report() -> None:
    for value in ("x" * 201, "m\x1b[2J", "m\nx", "\ud800", 7, None):
        assert as_name(value) == ""
    assert as_name("models/gpt-6.1 (x)") == "models/gpt-6.1 (x)"


def test_what_a_service_calls_the_end_of_its_answer_is_shortened() -> None:
    assert len(no_answer("openai", f"it stopped with {'Z' * 1_000_000!r}").message) < 400


@pytest.mark.parametrize(
    ("make", "url"),
    [
        (OpenAIProvider, "http://api.openai.com/v1"),
        (AnthropicProvider, "http://api.anthropic.com"),
        (GeminiProvider, "http://generativelanguage.googleapis.com"),
    ],
)
def test_no_key_goes_to_its_vendor_for_all_to_read(make: Callable[..., Provider], url: str) -> None:
    key = SecretStr("sk-0123456789abcdef")
    with pytest.raises(ConfigError, match="without encryption"):
        make(api_key=key, base_url=url)
    assert make(api_key=key, base_url=url.replace("http:", "https:")).endpoint.startswith("https:")
