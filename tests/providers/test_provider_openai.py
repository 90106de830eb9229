"""OpenAI: what is written keeps the official contract, and recorded answers are read rightly."""

from __future__ import annotations

import base64
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from openai_kit import completion, response
from provider_kit import JPEG, REQUEST, WORDS, ask, replay, timeouts
from pydantic import SecretStr

from mmcrime.calls.estimate import input_tokens
from mmcrime.errors import (
    AuthenticationError,
    ConfigError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request, Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers.openai import OpenAIOptions, OpenAIProvider
from wire import contract_server, recorded

KEY = "sk-proj-0123456789abcdefghijklmnop"
SOUND = Request(
    instructions="Say what you hear.",
    parts=(Part(data=b"RIFF....WAVE", media_type="audio/wav", seconds=4.0),),
)


def make(url: str, **options: Any) -> OpenAIProvider:
    options = {"api_key": SecretStr(KEY), "model": "gpt-6.1-terra", **options}
    return OpenAIProvider(base_url=f"{url}/v1", **options)


# -- the official contract ------------------------------------------------------------------

LIVE = [
    pytest.param("responses", REQUEST, {}, id="responses-image-schema"),
    pytest.param("responses", Request(instructions="i", parts=(WORDS,)), {}, id="responses-text"),
    pytest.param("responses", REQUEST, {"detail": "low"}, id="responses-low"),
    pytest.param("chat", REQUEST, {}, id="chat-image-schema"),
    pytest.param("chat", SOUND, {"audio": True}, id="chat-sound"),
]


@pytest.mark.shared
@pytest.mark.parametrize(("api", "request_", "options"), LIVE)
def test_what_is_sent_keeps_the_contract(
    shared: Path, api: str, request_: Request, options: dict[str, Any]
) -> None:
    answer = response() if api == "responses" else completion()
    with contract_server(shared, "openai", [(200, {}, answer.body)]) as server:
        (found,) = ask(make(server.url, api=api, **options), request_)
    assert found.status == "answered"
    (sent,) = server.log
    assert sent["errors"] == []
    assert sent["path"] == ("/v1/responses" if api == "responses" else "/v1/chat/completions")


@pytest.mark.shared
def test_what_the_contract_does_not_say_is_so_on_the_wire(shared: Path) -> None:
    """Nothing is stored, the schema is strict, and no sampling parameter is sent."""
    with contract_server(shared, "openai", [(200, {}, response().body)]) as server:
        ask(make(server.url, organization="org-1"), REQUEST)
    headers = {name.lower(): value for name, value in server.log[0]["headers"].items()}
    body = json.loads(server.log[0]["raw"])
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["openai-organization"] == "org-1"
    assert body["store"] is False
    assert body["max_output_tokens"] == 4096
    text, image = body["input"][0]["content"]
    assert text == {"type": "input_text", "text": "Frame at 1.5 s:"}
    encoded = base64.b64encode(JPEG).decode()
    assert image["image_url"] == f"data:image/jpeg;base64,{encoded}"
    bound = body["text"]["format"]
    assert (bound["type"], bound["strict"]) == ("json_schema", True)
    assert bound["schema"]["required"] == ["outcome", "probability", "events"]
    assert bound["schema"]["additionalProperties"] is False
    assert not {"temperature", "top_p"} & set(body)


def _another_vendors_image(body: Any) -> None:
    source = {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}
    body["input"][0]["content"][1] = {"type": "image", "source": source}


def _an_image_of_chat(body: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}}
    body["input"][0]["content"][1] = image


def _an_unknown_key(body: Any) -> None:
    body["responseMimeType"] = "application/json"


def _the_schema_in_the_place_of_chat(body: Any) -> None:
    body["response_format"] = body.pop("text")["format"]


def _a_count_as_a_word(body: Any) -> None:
    body["max_output_tokens"] = "many"


MUTATIONS = [
    _another_vendors_image,
    _an_image_of_chat,
    _an_unknown_key,
    _the_schema_in_the_place_of_chat,
    _a_count_as_a_word,
]


@pytest.mark.shared
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__.strip("_"))
def test_the_contract_refuses_what_is_wrong(
    shared: Path, mutate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same request with one thing wrong does not get through."""
    from mmcrime_providers import openai as module

    right = module.responses_body

    def wrong(*args: Any, **kwargs: Any) -> dict[str, Any]:
        body = right(*args, **kwargs)
        mutate(body)
        # The SDK passes on what it does not know only as an extra of the body.
        known = {"model", "instructions", "input", "max_output_tokens", "store", "text"}
        extra = {key: body.pop(key) for key in set(body) - known}
        return {**body, "extra_body": extra}

    monkeypatch.setattr(module, "responses_body", wrong)
    with contract_server(shared, "openai", [(200, {}, response().body)]) as server:
        with pytest.raises(ProviderError, match="contract_violation"):
            ask(make(server.url), REQUEST)
        assert server.log[0]["errors"]


# -- recorded answers -----------------------------------------------------------------------


ANSWERS = [
    # Reasoning comes first in the output, and is no part of the answer.
    (
        "responses_image_200_ratelimit_headers",
        "responses",
        "answered",
        "A glossy, red gemstone or jewel. ",
        "gpt-5-nano-2025-08-07",
        TokenUsage(input=38, cached_input=0, cache_write=0, output=729),
    ),
    # An older model answers in chat, and counts sound separately: there is none.
    (
        "chat_image_200",
        "chat",
        "answered",
        "The fruit in the image is a kiwi.",
        "gpt-4o-2024-08-06",
        TokenUsage(input=1119, cached_input=0, audio_input=0, output=10),
    ),
    # Tokens of sound are dearer, so that they are counted apart.
    (
        "chat_audio_input_200",
        "chat",
        "answered",
        "The name mentioned in the audio is Marcelo.",
        "gpt-4o-audio-preview-2024-12-17",
        TokenUsage(input=64, cached_input=0, audio_input=44, output=9),
    ),
    # The JSON is handed on as it came: reading it is the analyzer's.
    (
        "chat_json_schema_200",
        "chat",
        "answered",
        '{"city":"Mexico City","country":"Mexico"}',
        "gpt-4o-2024-08-06",
        TokenUsage(input=92, cached_input=0, audio_input=0, output=15),
    ),
    # Cut off at the most tokens: no answer, and what it cost is kept.
    (
        "chat_truncated_json_length_200",
        "chat",
        "truncated",
        '{"',
        "gpt-4o-2024-08-06",
        TokenUsage(input=79, output=1),
    ),
]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "api", "status", "text", "model", "usage"), ANSWERS, ids=[a[0] for a in ANSWERS]
)
def test_a_recorded_answer_is_read(
    shared: Path, name: str, api: str, status: str, text: str, model: str, usage: TokenUsage
) -> None:
    found = replay(shared, "openai", name, partial(make, api=api))
    assert isinstance(found, Response)
    assert (found.status, found.model, found.usage) == (status, model, usage)
    assert found.text.startswith(text)
    assert (found.reason == "length") == (status == "truncated")


@pytest.mark.shared
def test_the_recorded_limits_are_told(shared: Path) -> None:
    found = replay(shared, "openai", "responses_image_200_ratelimit_headers", make)
    assert isinstance(found, Response)
    assert found.rate is not None
    assert (found.rate.requests_per_minute, found.rate.tokens_left) == (5000.0, 1_999_627.0)
    assert (found.rate.requests_reset, found.rate.tokens_reset) == (0.012, 0.011)


ERRORS = [
    # The key is wrong: no retry helps, and nothing was done.
    ("err_401", "responses", AuthenticationError, False, None, "invalid_api_key", "key"),
    # The Responses API says 400 for a model that is not there ...
    (
        "err_400_model_not_found_responses",
        "responses",
        ProviderError,
        False,
        None,
        "gpt-5.2-proo",
        "providers.openai.model",
    ),
    # ... and chat says 404 for the same thing.
    (
        "err_404_model_not_found_chat",
        "chat",
        ProviderError,
        False,
        None,
        "gpt-5.2-proo",
        "providers.openai.model",
    ),
    # Sent to a model without ears: the same request can never succeed.
    (
        "err_400_audio_not_accepted_by_model",
        "chat",
        ProviderError,
        False,
        None,
        "invalid_value",
        "takes what was sent",
    ),
    # A parameter that the model has lost: ours are none of these, a server's may be.
    (
        "err_400_temperature_unsupported",
        "responses",
        ProviderError,
        False,
        None,
        "temperature",
        "takes what was sent",
    ),
    # Tokens of a minute: the header says 4 s, and it counts before the 3.89 s of the words.
    (
        "err_429_rate_limit_tokens",
        "responses",
        RateLimitedError,
        True,
        4.0,
        "rate_limit_exceeded",
        "",
    ),
]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "api", "kind", "retryable", "delay", "word", "step"),
    ERRORS,
    ids=[e[0] for e in ERRORS],
)
def test_a_recorded_error_is_the_right_one_of_ours(
    shared: Path,
    name: str,
    api: str,
    kind: type[ProviderError],
    retryable: bool,
    delay: float | None,
    word: str,
    step: str,
) -> None:
    error = replay(shared, "openai", name, partial(make, api=api))
    assert type(error) is kind
    assert (error.retryable, error.retry_after, error.may_be_billed) == (retryable, delay, False)
    assert error.provider == "openai"
    assert word in error.message
    assert step in error.next_step
    assert isinstance(error.__cause__, openai.APIStatusError)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "pixels", "most"),
    [
        # 128 x 128 for the smallest model, of which 38 tokens were counted.
        ("responses_image_200_ratelimit_headers", (128, 128), 300),
        # A picture of unknown size in 2.08 MB of base64 took 1,119 tokens.
        ("chat_image_200", (None, None), 11_000),
    ],
)
def test_the_estimate_is_above_what_was_counted(
    shared: Path, name: str, pixels: tuple[int | None, int | None], most: int
) -> None:
    width, height = pixels
    part = Part(data=b"x", media_type="image/png", width=width, height=height)
    words = Part(text="What do you see in this image?")
    request = Request(instructions="", parts=(words, part))
    counted = recorded(shared, "openai", name).reply[2]["usage"]
    real = counted.get("input_tokens") or counted["prompt_tokens"]
    assert real <= input_tokens(request, OpenAIProvider.capabilities) <= most


# -- constructed: never recorded, and so are these ------------------------------------------


def answer_to(reply: WireReply, *, api: str = "responses") -> Response:
    with wire_server(reply) as server:
        (found,) = ask(make(server.url, api=api), REQUEST)
    return found


def error_of(reply: WireReply, *, api: str = "responses") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        answer_to(reply, api=api)
    return caught.value


def failed_body(code: str) -> WireReply:
    return response("failed", content=[], error={"code": code, "message": "no"})


def test_constructed_every_way_to_refuse_is_a_refusal() -> None:
    """A part of the answer, a filter in the middle, a failure with status 200, and a 400."""
    refusal = [{"type": "refusal", "refusal": "I can't help with that."}]
    cut = response("incomplete", incomplete_details={"reason": "content_filter"})
    error = {"message": "filtered", "type": None, "param": "prompt", "code": "content_filter"}
    for reply, api, reason in (
        (response(content=refusal), "responses", "refusal"),
        (cut, "responses", "content_filter"),
        (failed_body("image_content_policy_violation"), "responses", None),
        (WireReply(status=400, body={"error": error}), "responses", "content_filter"),
        (completion(content=None, refusal="I can't."), "chat", "refusal"),
        (completion("content_filter", content="Half a"), "chat", "content_filter"),
    ):
        found = answer_to(reply, api=api)
        assert found.status == "refused"
        assert found.reason == (reason or "image_content_policy_violation")
        assert found.text != "Half a"


def test_constructed_a_refusal_with_status_200_keeps_its_tokens() -> None:
    found = answer_to(failed_body("image_content_policy_violation"))
    assert found.usage.input == 38
    assert found.model == "gpt-6.1-terra-x"


def test_constructed_tokens_used_up_by_thinking_are_a_truncation() -> None:
    """The answer may be empty: all tokens went into reasoning."""
    cut = {"incomplete_details": {"reason": "max_output_tokens"}}
    found = answer_to(response("incomplete", content=[], **cut))
    assert (found.status, found.text, found.reason) == ("truncated", "", "max_output_tokens")
    assert found.usage.output == 729


def test_constructed_a_failure_inside_a_successful_answer_is_one() -> None:
    """Status 200 may hold an error, which may have been billed."""
    for reply, kind, api in (
        (failed_body("server_error"), UnavailableError, "responses"),
        (failed_body("rate_limit_exceeded"), RateLimitedError, "responses"),
        (failed_body("invalid_image"), ProviderError, "responses"),
        (WireReply(body={"error": {"code": 502, "message": "down"}}), UnavailableError, "chat"),
        (WireReply(body={"error": "Unexpected endpoint"}), ProviderError, "chat"),
    ):
        assert type(error_of(reply, api=api)) is kind


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (429, "insufficient_quota", "You exceeded your current quota."),
        (429, "billing_hard_limit_reached", "Billing hard limit has been reached."),
        (402, None, "Insufficient credits."),
        (429, "rate_limit_exceeded", "Rate limit reached on requests per day (RPD): Limit 200."),
    ],
)
def test_constructed_what_waiting_does_not_bring_back_is_not_retried(
    status: int, code: str | None, message: str
) -> None:
    body = {"error": {"code": code, "message": message}}
    error = error_of(WireReply(status=status, headers={"retry-after": "1"}, body=body))
    assert type(error) is RateLimitedError
    assert not error.retryable


# After what users reported. "Used" tells that only more was asked for than is left.
LIMITS = {
    "Request too large for gpt-6.1-terra in organization org-x on tokens per min (TPM): Limit "
    "30000, Requested 40000. The input or output tokens must be reduced.": False,
    "Request too large on tokens per minute (TPM): Limit: 30,000, Requested: 40,000.": False,
    "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000.": True,
    "Rate limit reached on tokens per min (TPM): Limit 30000, Requested 30000.": True,
    "Requested 40000, Limit 30000": True,
}


@pytest.mark.parametrize(("message", "retryable"), LIMITS.items())
def test_constructed_what_is_above_the_limit_by_itself_is_not_sent_again(
    message: str, retryable: bool
) -> None:
    body = {"error": {"code": "rate_limit_exceeded", "type": "tokens", "message": message}}
    error = error_of(WireReply(status=429, headers={"retry-after": "6"}, body=body))
    assert type(error) is RateLimitedError
    assert error.retryable is retryable
    assert ("media.max_frames" in error.next_step) is not retryable


@pytest.mark.parametrize(
    ("status", "billed"), [(408, True), (409, False), (500, True), (503, False), (504, True)]
)
def test_constructed_a_failure_that_may_have_done_the_work_may_be_billed(
    status: int, billed: bool
) -> None:
    error = error_of(WireReply(status=status, body={"error": {"message": "x"}}))
    assert type(error) is UnavailableError
    assert (error.retryable, error.may_be_billed) == (True, billed)


def test_constructed_usage_that_is_missing_or_nonsense_is_unknown_and_never_zero() -> None:
    for usage in (
        None,
        {},
        [],
        {"input_tokens": "38", "output_tokens": -1},
        {"input_tokens": True},
    ):
        assert answer_to(response(usage=usage)).usage == TokenUsage()


def test_constructed_a_tool_call_is_no_answer() -> None:
    error = error_of(completion("tool_calls", content=None), api="chat")
    assert type(error) is InvalidResponseError


# -- servers of other makers ----------------------------------------------------------------

NO_ROUTE = [
    WireReply(status=404, headers={"content-type": "text/plain"}, body=b"404 page not found"),
    WireReply(status=404, body={"detail": "Not Found"}),
    WireReply(status=404, body={"error": {"code": 404, "message": "File Not Found"}}),
    WireReply(status=405, body={"detail": "Method Not Allowed"}),
    WireReply(status=404, body={"error": {"message": "Invalid URL (POST /v1/responses)"}}),
]


@pytest.mark.parametrize("missing", NO_ROUTE)
def test_a_server_without_responses_is_asked_in_chat_from_then_on(missing: WireReply) -> None:
    with wire_server(missing, completion()) as server:
        provider = make(server.url, api="auto")
        with pytest.raises(ProviderError, match="no Responses API") as caught:
            ask(provider, REQUEST)  # one call is one request: the next attempt is another
        first, second = ask(provider, REQUEST, REQUEST)
    assert (caught.value.retryable, caught.value.retry_after) == (True, 0.0)
    assert not caught.value.may_be_billed
    assert first.text == second.text == "A calm garage."
    chat = "/v1/chat/completions"
    assert [sent.path for sent in server.requests] == ["/v1/responses", chat, chat]
    body = json.loads(server.requests[1].body)
    assert body["max_tokens"] == 4096
    assert body["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": 'model "x" not found, try pulling it first', "type": "api_error"}},
        [{"error": {"code": 404, "message": "models/x is not found: no such model."}}],
        {"object": "error", "message": "The model `x` does not exist.", "code": 404},
    ],
)
def test_a_missing_model_is_not_taken_for_a_missing_api(body: Any) -> None:
    with wire_server(WireReply(status=404, body=body)) as server:
        with pytest.raises(ProviderError, match="model") as caught:
            ask(make(server.url, api="auto"), REQUEST)
        assert len(server.requests) == 1
    assert "providers.openai.model" in caught.value.next_step


def test_only_the_answer_of_a_list_of_parts_is_read() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "calm"}]
    assert answer_to(completion(content=parts), api="chat").text == "calm"


def test_a_server_of_ones_own_needs_no_key_and_never_gets_that_of_openai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with wire_server(response()) as server:
        ask(make(server.url, api_key=None), REQUEST)
    (sent,) = server.requests
    assert KEY not in str(sent.headers)


def test_a_server_of_ones_own_must_have_its_model_named() -> None:
    with pytest.raises(ConfigError, match="No model is named") as caught:
        make("http://127.0.0.1:9", model=None)
    assert "providers.openai.model" in caught.value.next_step


def test_the_limit_of_tokens_is_written_as_the_models_of_each_maker_take_it() -> None:
    from mmcrime_providers._openai_wire import chat_body

    own = chat_body(REQUEST, model="m", detail="auto", vendor=True)
    other = chat_body(REQUEST, model="m", detail="auto", vendor=False)
    assert ("max_tokens" in own, own["max_completion_tokens"]) == (False, 4096)
    assert ("max_completion_tokens" in other, other["max_tokens"]) == (False, 4096)


# -- how it is made -------------------------------------------------------------------------


def test_a_missing_key_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for key in (None, SecretStr("  ")):
        with pytest.raises(ConfigError, match="no key") as caught:
            OpenAIProvider(api_key=key)
        assert "OPENAI_API_KEY" in caught.value.next_step


def test_a_key_that_cannot_be_one_is_refused_without_being_told() -> None:
    for key in ("sk-abc def", "sk-„abcdef“", "sk-abc\ndef"):
        with pytest.raises(ConfigError, match="characters") as caught:
            OpenAIProvider(api_key=SecretStr(key))
        assert "abc" not in str(caught.value)


def test_the_key_is_enough_and_the_model_comes_from_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    provider = OpenAIProvider()
    assert provider.model == "gpt-6.1-terra"
    assert provider.endpoint == "https://api.openai.com/v1"
    assert "gpt-6.1-terra" in provider.remarks[0]
    assert (provider.capabilities.images, provider.capabilities.audio) == (1500, False)


def test_the_address_in_the_environment_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would go there, so that it must be what the egress list says."""
    with wire_server(response()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        provider = OpenAIProvider(model="m")
        ask(provider, REQUEST)
        assert provider.endpoint == f"{server.url}/v1"
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_variables_of_the_sdk_add_nothing_for_a_configured_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were set for OpenAI, or for the address that is set beside them."""
    headers = "X-Gateway: spy\nAuthorization: Bearer spy"
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", headers)
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, "spy")
    with wire_server(response()) as server:
        ask(make(server.url), REQUEST)
        ask(make(server.url, organization="org-1"), REQUEST)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        ask(OpenAIProvider(model="m"), REQUEST)
        configured, named, beside = (sent.headers for sent in server.requests)
    assert "spy" not in str(configured)
    assert configured["authorization"] == f"Bearer {KEY}"
    assert named["openai-organization"] == "org-1"
    assert beside["openai-project"] == beside["x-gateway"] == "spy"


def test_a_password_in_the_address_is_sent_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    with wire_server(response()) as server:
        ask(make(server.url.replace("http://", "http://somebody:passwort@")), REQUEST)
        (sent,) = server.requests
    encoded = base64.b64encode(b"somebody:passwort").decode()
    assert sent.headers["authorization"] == f"Basic {encoded}"
    assert server.url in caplog.text
    assert "passwort" not in caplog.text


def test_nobody_there_is_known_before_the_time_of_an_answer_has_passed() -> None:
    """Given one number, the SDK would wait for a connection as long as for an answer."""
    given = timeouts(partial(make, timeout=45.0), lambda p: p._opened()._client, response())
    assert (given["connect"], given["read"]) == (10.0, 45.0)


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_large_pictures_are_encoded_while_the_loop_goes_on(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones are not worth a thread."""
    threads: list[threading.Thread] = []
    encode = base64.b64encode

    def spy(data: bytes) -> bytes:
        threads.append(threading.current_thread())
        return encode(data)

    monkeypatch.setattr(base64, "b64encode", spy)
    picture = Part(data=bytes(600_000), media_type="image/jpeg")
    one, two = (Request(instructions="i", parts=(picture,) * count) for count in (1, 2))
    reply = response() if api == "responses" else completion()
    with wire_server(reply) as server:
        ask(make(server.url, api=api), one, two)
        assert all(len(sent.body) > 800_000 for sent in server.requests)
    main = threading.main_thread()
    assert [thread is main for thread in threads] == [True, False, False]


def test_sound_is_sent_only_to_a_model_that_is_said_to_take_it() -> None:
    with wire_server(completion()) as server:
        with pytest.raises(ProviderError, match="audio/wav") as caught:
            ask(make(server.url), SOUND)
        assert "providers.openai.audio" in caught.value.next_step
        assert not server.requests
        provider = make(server.url, audio=True)
        assert provider.capabilities.audio
        ask(provider, SOUND)
        (sent,) = server.requests
    (part,) = json.loads(sent.body)["messages"][1]["content"]
    data = base64.b64encode(b"RIFF....WAVE").decode()
    assert part == {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def test_video_is_never_sent() -> None:
    video = Request(instructions="i", parts=(Part(data=b"x", media_type="video/mp4"),))
    with pytest.raises(ProviderError, match="video/mp4"):
        ask(make("http://127.0.0.1:9", audio=True), video)


def test_an_address_that_is_none_is_said_at_once() -> None:
    for url in ("http://[::1", "http://h:port/v1", "api.openai.com", "ftp://h/v1", "https://"):
        with pytest.raises(ConfigError, match="base_url"):
            OpenAIProvider(api_key=SecretStr(KEY), base_url=url, model="m")


def test_the_options_hide_the_key_and_refuse_what_is_unknown() -> None:
    options = OpenAIOptions(api_key=SecretStr(KEY))
    assert KEY not in repr(options)
    with pytest.raises(ValueError, match="Extra inputs"):
        OpenAIOptions.model_validate({"temperature": 0})
