"""Hugging Face's router: the contract is kept, and answers and errors are read rightly."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai_kit import completion
from provider_kit import REQUEST, WORDS, ask, replay, timeouts
from pydantic import SecretStr

from mmcrime.calls.estimate import input_tokens
from mmcrime.errors import (
    AuthenticationError,
    ConfigError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers.huggingface import HuggingFaceOptions, HuggingFaceProvider
from mmcrime_providers.huggingface_labels import HuggingFaceLabelsProvider
from wire import contract_server, recorded

KEY = "hf_0123456789abcdefghijklmnopqrstuvwx"


def make(url: str, **options: Any) -> HuggingFaceProvider:
    options = {"api_key": SecretStr(KEY), "model": "org/seer:nebius", **options}
    return HuggingFaceProvider(base_url=f"{url}/v1", **options)


# -- the contracts --------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("schema", [True, False])
def test_what_is_sent_keeps_the_contract_of_the_protocol(shared: Path, schema: bool) -> None:
    with contract_server(shared, "openai", [(200, {}, completion().body)]) as server:
        (found,) = ask(make(server.url, json_schema=schema), REQUEST)
    assert found.status == "answered"
    (sent,) = server.log
    body = json.loads(sent["raw"])
    assert (sent["errors"], sent["path"]) == ([], "/v1/chat/completions")
    assert (body["model"], body["max_tokens"]) == ("org/seer:nebius", 4096)
    assert list(body["messages"][1]["content"][1]["image_url"]) == ["url"]
    assert ("response_format" in body) is schema
    if schema:
        bound = body["response_format"]
        assert (bound["type"], bound["json_schema"]["strict"]) == ("json_schema", True)


@pytest.mark.shared
def test_text_generation_inference_is_asked_without_its_own_kind_of_schema(shared: Path) -> None:
    """What it takes for a schema is no schema of the protocol, as the control shows."""
    with contract_server(shared, "huggingface-tgi", [(200, {}, completion().body)]) as server:
        (found,) = ask(make(server.url, json_schema=False), REQUEST)
        with pytest.raises(ProviderError, match="contract_violation") as caught:
            ask(make(server.url), REQUEST)
    assert found.status == "answered"
    assert [bool(sent["errors"]) for sent in server.log] == [False, True]
    assert "providers.huggingface.json_schema" in caught.value.next_step


def _an_image_of_responses(body: Any) -> None:
    url = body["messages"][1]["content"][1]["image_url"]["url"]
    body["messages"][1]["content"][1] = {"type": "input_image", "image_url": url}


def _the_schema_of_the_hubs_client(body: Any) -> None:
    schema = body["response_format"]["json_schema"]["schema"]
    body["response_format"] = {"type": "json_object", "value": schema}


@pytest.mark.shared
@pytest.mark.parametrize("mutate", [_an_image_of_responses, _the_schema_of_the_hubs_client])
def test_the_contract_refuses_what_is_wrong(
    shared: Path, mutate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmcrime_providers import huggingface as module

    right = module.chat_body

    def wrong(*args: Any, **kwargs: Any) -> dict[str, Any]:
        body = right(*args, **kwargs)
        mutate(body)
        return body

    monkeypatch.setattr(module, "chat_body", wrong)
    with (
        contract_server(shared, "openai", [(200, {}, completion().body)]) as server,
        pytest.raises(ProviderError, match="contract_violation"),
    ):
        ask(make(server.url), REQUEST)


# -- recorded answers -----------------------------------------------------------------------


@pytest.mark.shared
def test_recorded_answers_are_read(shared: Path) -> None:
    """One that was cut off in its thoughts is no answer, and its tokens are kept."""
    found = replay(shared, "huggingface", "chat_image_200", make)
    assert isinstance(found, Response)
    assert (found.status, found.model) == ("answered", "Qwen/Qwen2.5-VL-72B-Instruct")
    assert found.text.startswith("The fruit in the image is a kiwi.")
    assert found.usage == TokenUsage(input=448, output=38)
    cut = replay(shared, "huggingface", "chat_length_200", make)
    assert isinstance(cut, Response)
    assert (cut.status, cut.reason, cut.model) == ("truncated", "length", "deepseek-ai/DeepSeek-R1")
    assert cut.usage == TokenUsage(input=4, output=100)


@pytest.mark.shared
def test_the_estimate_is_above_what_was_counted(shared: Path) -> None:
    """Of a picture whose size is not recorded; 448 tokens were counted."""
    counted = recorded(shared, "huggingface", "chat_image_200").reply[2]["usage"]["prompt_tokens"]
    part = Part(data=b"x", media_type="image/jpeg")
    request = Request(instructions="", parts=(Part(text="What fruit is in the image?"), part))
    assert counted <= input_tokens(request, HuggingFaceProvider.capabilities) <= 13_000


# -- errors, constructed after those that users reported ------------------------------------

NO_CREDIT = "You have exceeded your monthly included credits for Inference Providers."
UNSUPPORTED = "The requested model 'x' is not supported by any provider you have enabled."
LOADING = {"error": "Model org/seer is currently loading", "estimated_time": 20.5}
ERRORS: list[tuple[int, Any, type[ProviderError], bool, float | None, str]] = [
    (402, {"error": NO_CREDIT}, RateLimitedError, False, None, "credit"),
    (401, {"error": "Invalid username or password."}, AuthenticationError, False, None, "key"),
    (403, {"error": "Insufficient permissions."}, AuthenticationError, False, None, "key"),
    (
        400,
        {"error": {"message": UNSUPPORTED, "code": "model_not_supported", "param": "model"}},
        ProviderError,
        False,
        None,
        "providers.huggingface.model",
    ),
    (410, {"error": "It is retired."}, ProviderError, False, None, "providers.huggingface.model"),
    (503, LOADING, UnavailableError, True, 20.5, ""),
    (503, LOADING | {"estimated_time": "soon"}, UnavailableError, True, None, ""),
    (503, LOADING | {"estimated_time": -3}, UnavailableError, True, 0.0, ""),
    (503, LOADING | {"estimated_time": 1e12}, UnavailableError, True, 86_400.0, ""),
    (503, LOADING | {"estimated_time": 10**400}, UnavailableError, True, 86_400.0, ""),
    (503, LOADING | {"estimated_time": float("nan")}, UnavailableError, True, None, ""),
    (
        424,
        {"error": "Request failed during generation", "error_type": "generation"},
        UnavailableError,
        True,
        None,
        "",
    ),
    (429, {"error": "Model is overloaded"}, RateLimitedError, True, None, ""),
    (
        422,
        {"error": "Unsupported response_format"},
        ProviderError,
        False,
        None,
        "providers.huggingface.json_schema to false",
    ),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable", "wait", "step"),
    ERRORS,
    ids=[f"{e[0]}-{i}" for i, e in enumerate(ERRORS)],
)
def test_an_error_is_the_right_one_of_ours(
    status: int,
    body: Any,
    kind: type[ProviderError],
    retryable: bool,
    wait: float | None,
    step: str,
) -> None:
    with wire_server(WireReply(status=status, body=body)) as server:
        with pytest.raises(ProviderError) as caught:
            ask(make(server.url), REQUEST)
        assert len(server.requests) == 1
    assert type(caught.value) is kind
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, wait)
    assert caught.value.provider == "huggingface"
    assert caught.value.may_be_billed is (status == 424)
    assert step in caught.value.next_step


def test_a_delay_in_the_headers_comes_before_the_time_of_loading() -> None:
    reply = WireReply(status=503, headers={"retry-after": "3"}, body=LOADING)
    with wire_server(reply) as server, pytest.raises(UnavailableError) as caught:
        ask(make(server.url), REQUEST)
    assert caught.value.retry_after == 3.0


# -- token and address ----------------------------------------------------------------------

BOTH = [HuggingFaceProvider, HuggingFaceLabelsProvider]


@pytest.mark.parametrize("cls", BOTH)
def test_a_missing_token_or_model_says_where_to_put_it(
    cls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no key") as caught:
        cls(model="org/seer")
    assert "HF_TOKEN" in caught.value.next_step
    monkeypatch.setenv("HF_TOKEN", KEY)
    for model in (None, " "):
        with pytest.raises(ConfigError, match="No model is named") as caught:
            cls(model=model)
        assert ".model" in caught.value.next_step
    provider = cls(model="org/seer")
    assert provider.endpoint.startswith("https://router.huggingface.co/")
    assert provider.remarks == ()


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("router.huggingface.co", True),
        ("huggingface.co", True),
        ("x.endpoints.huggingface.cloud", False),
        ("huggingface.co.example", False),
        ("evilhuggingface.co", False),
        ("127.0.0.1", False),
    ],
)
def test_the_token_of_the_environment_is_for_hugging_face_alone(
    cls: Any, host: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    assert bool(cls(model="m", base_url=f"https://{host}/v1")._key) is taken


@pytest.mark.parametrize("cls", BOTH)
def test_the_token_goes_nowhere_without_encryption(cls: Any) -> None:
    with pytest.raises(ConfigError, match="without encryption"):
        cls(model="m", api_key=SecretStr(KEY), base_url="http://router.huggingface.co/v1")


def test_nothing_of_the_environment_is_added(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither what was set for OpenAI nor the token that a log-in has stored."""
    stored = tmp_path / ".cache" / "huggingface" / "token"
    stored.parent.mkdir(parents=True)
    stored.write_text("hf_spy", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: spy")
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(variable, "spy")
    with wire_server(completion()) as server:
        ask(make(server.url, api_key=None), REQUEST)
        (sent,) = server.requests
    assert "spy" not in str(sent.headers)


# -- what is asked --------------------------------------------------------------------------


def test_a_schema_that_is_switched_off_is_left_to_the_words() -> None:
    assert make("http://127.0.0.1:9").capabilities.json_schema
    assert not make("http://127.0.0.1:9", json_schema=False).capabilities.json_schema


def test_sound_and_video_are_never_sent() -> None:
    for kind in ("audio/wav", "video/mp4"):
        request = replace(REQUEST, parts=(WORDS, Part(data=b"x", media_type=kind)))
        with pytest.raises(ProviderError, match=kind):
            ask(make("http://127.0.0.1:9"), request)


def test_the_model_of_a_request_comes_first() -> None:
    with wire_server(completion()) as server:
        ask(make(server.url), replace(REQUEST, model="org/other"))
        (sent,) = server.requests
    assert json.loads(sent.body)["model"] == "org/other"


def test_nobody_there_is_known_before_the_time_of_an_answer_has_passed() -> None:
    given = timeouts(partial(make, timeout=45.0), lambda p: p._opened()._client, completion())
    assert (given["connect"], given["read"]) == (10.0, 45.0)


def test_the_options_hide_the_token() -> None:
    assert KEY not in repr(HuggingFaceOptions(api_key=SecretStr(KEY)))
