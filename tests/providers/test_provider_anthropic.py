"""Anthropic passes the contract of providers, and what it writes keeps the vendor's own."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic_kit import KEY, REQUEST, SCHEMA, ask, failed, made, message
from hypothesis import given
from hypothesis import strategies as st
from provider_kit import timeouts
from pydantic import SecretStr

from mmcrime.calls.estimate import input_tokens
from mmcrime.errors import ConfigError, ProviderError
from mmcrime.plugins import Part, Provider, Request, TokenUsage
from mmcrime.testing import ProviderContract, WireCases, wire_server
from mmcrime_providers.anthropic import AnthropicProvider
from wire import Reply, contract_server, recorded

GOOD: Reply = (200, {}, message().body)
ABLE = AnthropicProvider.capabilities


class TestAnthropic(ProviderContract):
    secret = KEY

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return made(base_url, timeout=timeout)

    def cases(self) -> WireCases:
        """All constructed; what was recorded is replayed in test_anthropic_recorded.py."""
        spent = "enforced_spend_limit_reached"
        return WireCases(
            answered=message(),
            text="A calm garage.",
            model="claude-sonnet-5-5",
            usage=TokenUsage(input=1543, cached_input=300, cache_write=1200, output=132),
            empty=message(content=[]),
            refused=message("refusal", content=[]),
            truncated=message("max_tokens"),
            bad_key=failed(401, "authentication_error", f"invalid x-api-key {KEY}"),
            unknown_model=failed(404, "not_found_error", "model: x"),
            bad_request=failed(400, "invalid_request_error", "messages: too few"),
            rate_limited=failed(429, "rate_limit_error", "Slow down.", retry_after="2.5"),
            delay=2.5,
            quota_used_up=failed(429, "rate_limit_error", "Limit reached.", code=spent),
            failed=failed(529, "overloaded_error", "Overloaded"),
        )


# -- what is written ------------------------------------------------------------------------


def sent(shared: Path, request: Any = REQUEST) -> dict[str, Any]:
    """Return the body of a request that keeps the vendor's contract."""
    with contract_server(shared, "anthropic", [GOOD]) as server:
        assert ask(server.url, request).status == "answered"
        (entry,) = server.log
    assert entry["errors"] == []
    assert (entry["method"], entry["path"]) == ("POST", "/v1/messages")
    body = json.loads(entry["raw"])
    assert isinstance(body, dict)
    return body


@pytest.mark.shared
def test_a_request_keeps_the_contract_and_says_nothing_more(shared: Path) -> None:
    """The whole body, word for word: no sampling, no thinking, no tools, no metadata."""
    assert sent(shared) == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 512,
        "system": [
            {
                "type": "text",
                "text": "Say what you see.",
                "cache_control": {"type": "ephemeral"},
            }
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "The garage at night, at 1.5 s:"},
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/jpeg",
                            "data": base64.b64encode(REQUEST.parts[1].data).decode(),
                        },
                    },
                ],
            }
        ],
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {
                        "seen": {"type": "string"},
                        "sure": {"type": "number"},
                        "place": {"type": ["string", "null"]},
                        "kinds": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["seen", "sure", "place", "kinds"],
                    "additionalProperties": False,
                },
            }
        },
    }


@pytest.mark.shared
def test_what_is_empty_is_left_out(shared: Path) -> None:
    """The service refuses texts of nothing, so that they are not written."""
    parts = (Part(text=" \n"), Part(text="What now?"), Part(text=""))
    body = sent(shared, replace(REQUEST, instructions="", parts=parts, schema=None))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "What now?"}]
    assert not {"system", "output_config"} & body.keys()


def test_a_long_answer_may_be_asked_for() -> None:
    """The SDK refuses what may take ten minutes where it is left at its own timeout.

    It is where its client has the timeout that clients have by themselves, which is 5 s.
    """
    with wire_server(message()) as server:
        _run(made(server.url, timeout=5.0), replace(REQUEST, max_output_tokens=128_000))
        (request,) = server.requests
    assert json.loads(request.body)["max_tokens"] == 128_000


def image_url(body: dict[str, Any]) -> None:
    url = {"url": "data:image/jpeg;base64,AAAA"}
    body["messages"][0]["content"][1] = {"type": "image_url", "image_url": url}


def old_format(body: dict[str, Any]) -> None:
    body["output_format"] = body.pop("output_config")["format"]


def openai_schema(body: dict[str, Any]) -> None:
    body["output_config"]["format"] = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}


def schema_too_high(body: dict[str, Any]) -> None:
    body["output_config"] = body["output_config"]["format"]


def unnamed_schema(body: dict[str, Any]) -> None:
    del body["output_config"]["format"]["type"]


def other_picture(body: dict[str, Any]) -> None:
    body["messages"][0]["content"][1]["source"]["media_type"] = "image/bmp"


def empty_text(body: dict[str, Any]) -> None:
    body["messages"][0]["content"][0]["text"] = ""


@pytest.mark.shared
@pytest.mark.parametrize(
    "spoil",
    [
        image_url,
        old_format,
        openai_schema,
        schema_too_high,
        unnamed_schema,
        other_picture,
        empty_text,
        lambda body: body.update(temperature=0),
        lambda body: body.update(frames=3),
        lambda body: body["system"][0].update(cache_control={"type": "for ever"}),
        lambda body: body.pop("max_tokens"),
    ],
)
def test_the_contract_refuses_what_is_wrong(
    shared: Path, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    """Were the server to take anything, the tests above would prove nothing."""
    body = sent(shared)
    spoiled = copy.deepcopy(body)
    spoil(spoiled)
    with contract_server(shared, "anthropic", [GOOD]) as server:
        good, bad = (
            httpx2.post(f"{server.url}/v1/messages", json=one, trust_env=False)
            for one in (body, spoiled)
        )
    assert (good.status_code, bad.status_code) == (200, 400)
    assert server.log[1]["errors"]


def test_sound_and_video_are_not_sent() -> None:
    """The model takes neither, so that nothing leaves."""
    with wire_server(message()) as server:
        for kind in ("audio/wav", "video/mp4", "image/bmp"):
            part = Part(data=b"RIFF", media_type=kind)
            with pytest.raises(ProviderError, match=kind) as caught:
                ask(server.url, replace(REQUEST, parts=(part,)))
            assert not caught.value.may_be_billed
        assert not server.requests


# -- what it says that it takes -------------------------------------------------------------


@given(st.integers(1, 8000), st.integers(1, 8000))
def test_a_picture_is_never_more_tokens_than_estimated(width: int, height: int) -> None:
    """By either way in which the service is known to count, after it made the picture smaller."""
    estimate = ABLE.tokens.of_picture(width, height)
    squares = math.ceil(width / 28) * math.ceil(height / 28)
    assert estimate >= min(squares, 4784)
    assert estimate >= min(width * height / 750, 1600)


@pytest.mark.shared
def test_a_request_was_no_more_tokens_than_estimated(shared: Path) -> None:
    """A recorded one: 43 tokens for a line of words and a picture of 128 pixels a side."""
    was = recorded(shared, "anthropic", "image_200_ratelimit_headers")
    words, _ = was.request["messages"][0]["content"]
    picture = Part(media_type="image/png", width=128, height=128)
    request = replace(
        REQUEST, instructions="", parts=(Part(text=words["text"]), picture), schema=None
    )
    assert 43 <= input_tokens(request, ABLE) < 3 * 43


def test_the_largest_pictures_keep_the_limits_with_base64() -> None:
    """10 MB a picture and 32 MB a request, as they are counted after base64."""
    assert ABLE.image_bytes is not None
    assert ABLE.media_bytes is not None
    assert len(base64.b64encode(bytes(ABLE.image_bytes))) <= 10_000_000
    assert len(base64.b64encode(bytes(ABLE.media_bytes))) <= 31_000_000


# -- settings -------------------------------------------------------------------------------


def test_no_key_names_the_variable_and_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    with pytest.raises(ConfigError) as caught:
        AnthropicProvider()
    assert "ANTHROPIC_API_KEY" in str(caught.value)
    assert "providers.anthropic.api_key" in str(caught.value)


def test_the_variable_of_the_sdk_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model then comes from the table, and a remark says so."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    provider = AnthropicProvider()
    assert provider.endpoint == "https://api.anthropic.com"
    assert provider.model
    assert any(provider.model in remark for remark in provider.remarks)


def test_a_key_of_the_environment_goes_to_no_configured_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was set for Anthropic, or for the address that is set beside it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", KEY)
    with wire_server(message()) as server:
        configured = AnthropicProvider(base_url=server.url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        beside = AnthropicProvider()
        for provider in (configured, beside):
            _run(provider)
        first, second = server.requests
    assert KEY not in f"{first.headers}"
    assert second.headers["authorization"] == f"Bearer {KEY}"


def test_a_password_in_the_address_is_sent_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The SDK and its client log addresses; the header goes unlogged."""
    caplog.set_level("DEBUG")
    with wire_server(message()) as server:
        ask(server.url.replace("http://", "http://somebody:passwort@"))
        (request,) = server.requests
    assert (
        request.headers["authorization"]
        == f"Basic {base64.b64encode(b'somebody:passwort').decode()}"
    )
    assert server.url in caplog.text
    assert "passwort" not in caplog.text


def test_a_variable_of_the_sdk_adds_nothing_for_a_configured_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was set for Anthropic, or for the address that is set beside it."""
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Gateway: spy\nAuthorization: Bearer spy")
    with wire_server(message()) as server:
        ask(server.url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        _run(AnthropicProvider(api_key=SecretStr(KEY)))
        configured, beside = (sent.headers for sent in server.requests)
    assert "spy" not in str(configured)
    assert configured["authorization"] == f"Bearer {KEY}"
    assert beside["x-gateway"] == "spy"


def test_large_pictures_are_encoded_while_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []
    encode = base64.b64encode

    def spy(data: bytes) -> bytes:
        threads.append(threading.current_thread())
        return encode(data)

    monkeypatch.setattr(base64, "b64encode", spy)
    with wire_server(message()) as server:
        for size in (1000, 2_000_000):
            ask(server.url, replace(REQUEST, parts=(replace(REQUEST.parts[1], data=bytes(size)),)))
    small, large = threads
    assert small is threading.main_thread()
    assert large is not threading.main_thread()


def test_a_model_that_will_be_switched_off_is_remarked_on_and_asked() -> None:
    """The SDK would warn of it, which is an error where tests run: a remark is enough."""
    with wire_server(message()) as server:
        provider = AnthropicProvider(
            api_key=SecretStr(KEY), model="claude-opus-4-5", base_url=server.url
        )
        _run(provider)
        assert len(server.requests) == 1
    assert any("2027-01-22" in remark for remark in provider.remarks)


def test_nobody_there_is_known_before_the_time_of_an_answer_has_passed() -> None:
    """Given one number, the SDK would wait for a connection as long as for an answer."""
    given = timeouts(lambda url: made(url, timeout=45.0), lambda p: p._opened()._client, message())
    assert (given["connect"], given["read"]) == (10.0, 45.0)


@pytest.mark.parametrize(
    "url", ["api.anthropic.com", "ftp://a.example", "http://a:port", "https://"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match=r"providers\.anthropic\.base_url"):
        AnthropicProvider(api_key=SecretStr(KEY), base_url=url)


@pytest.mark.parametrize("key", ["sk ant", "sk-änt", "“sk-ant”"])
def test_a_key_that_is_none_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AnthropicProvider(api_key=SecretStr(key))
    assert key not in f"{caught.value} {caught.value!r}"


def _run(provider: Provider, request: Request = REQUEST) -> None:
    async def work() -> None:
        async with provider:
            await provider.generate(request)

    asyncio.run(work())
