"""Gemini: what is written keeps the official contract, and recorded answers are read rightly."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gemini_kit import KEY, RECORDED, answer, blocked, detail, failed, quota
from google.genai import errors as sdk_errors
from provider_kit import IMAGE, JPEG, REQUEST, SCHEMA, WORDS, ask, replay, timeouts
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
from mmcrime_providers.gemini import GeminiOptions, GeminiProvider
from wire import contract_server, recorded

SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", seconds=4.0)
VIDEO = Part(data=b"....ftypisom", media_type="video/mp4", seconds=9.0)
EVERYTHING = Request(instructions="Say all.", parts=(WORDS, IMAGE, SOUND, VIDEO), schema=SCHEMA)


def make(url: str, **options: Any) -> GeminiProvider:
    options = {"api_key": SecretStr(KEY), "model": "gemini-3.8-flash", **options}
    return GeminiProvider(base_url=url, **options)


# -- the official contract ------------------------------------------------------------------

LIVE = [
    pytest.param(REQUEST, {}, id="image-schema"),
    pytest.param(Request(instructions="", parts=(WORDS,)), {}, id="text"),
    pytest.param(EVERYTHING, {}, id="image-sound-video"),
    pytest.param(EVERYTHING, {"video_fps": 4.0, "media_resolution": "low"}, id="closely"),
    pytest.param(REQUEST, {"safety": "off", "api_version": "v1beta"}, id="unfiltered"),
]


@pytest.mark.shared
@pytest.mark.parametrize(("request_", "options"), LIVE)
def test_what_is_sent_keeps_the_contract(
    shared: Path, request_: Request, options: dict[str, Any]
) -> None:
    with contract_server(shared, "gemini", [(200, {}, answer().body)]) as server:
        (found,) = ask(make(server.url, **options), request_)
    assert found.status == "answered"
    (sent,) = server.log
    assert sent["errors"] == []
    version = options.get("api_version", "v1")
    assert sent["path"] == f"/{version}/models/gemini-3.8-flash:generateContent"


@pytest.mark.shared
def test_what_the_contract_does_not_say_is_so_on_the_wire(shared: Path) -> None:
    """Media are parts in their order, the schema is bound, and nothing is turned off."""
    with contract_server(shared, "gemini", [(200, {}, answer().body)]) as server:
        ask(make(server.url, timeout=3.0), EVERYTHING)
    headers = {name.lower(): value for name, value in server.log[0]["headers"].items()}
    body = json.loads(server.log[0]["raw"])
    assert headers["x-goog-api-key"] == KEY
    assert headers["x-server-timeout"] == "10", "the service refuses to be given less"
    assert body["systemInstruction"]["parts"] == [{"text": "Say all."}]
    (content,) = body["contents"]
    text, *media = content["parts"]
    assert text == {"text": "Frame at 1.5 s:"}
    # The SDK writes some names with underscores; the service takes them either way.
    held = [one["inlineData"] for one in media]
    assert [(one["mime_type"], base64.urlsafe_b64decode(one["data"])) for one in held] == [
        ("image/jpeg", JPEG),
        ("audio/wav", SOUND.data),
        ("video/mp4", VIDEO.data),
    ]
    assert "videoMetadata" not in media[2]
    config = body["generationConfig"]
    assert config["maxOutputTokens"] == 4096
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["outcome", "probability", "events"]
    assert config["responseJsonSchema"]["properties"]["probability"]["minimum"] == 0
    assert set(body) == {"contents", "systemInstruction", "generationConfig"}
    assert not {"temperature", "topP", "mediaResolution"} & set(config)


def test_options_are_on_the_wire() -> None:
    with wire_server(answer()) as server:
        options = {"safety": "off", "video_fps": 4.0, "media_resolution": "low"}
        provider = make(server.url, api_version="v1beta", **options)
        ask(provider, EVERYTHING)
    (sent,) = server.requests
    body = json.loads(sent.body)
    assert sent.path.startswith("/v1beta/")
    assert {s["threshold"] for s in body["safetySettings"]} == {"OFF"}
    assert len(body["safetySettings"]) == 4
    assert body["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
    assert body["contents"][0]["parts"][3]["videoMetadata"] == {"fps": 4.0}
    assert provider.capabilities.video_fps == 4.0
    assert provider.capabilities.tokens.video_per_second > 4 * 258


def test_nobody_there_is_known_before_the_time_of_an_answer_has_passed() -> None:
    """The SDK alone would wait for a connection as long as for an answer."""
    given = timeouts(partial(make, timeout=45.0), lambda p: p._opened()._http, answer())
    assert (given["connect"], given["read"]) == (10.0, 45.0)


def _another_vendors_image(body: Any) -> None:
    url = {"url": "data:image/jpeg;base64,AAAA"}
    body["contents"][0]["parts"][1] = {"type": "image_url", "image_url": url}


def _a_part_without_a_place(body: Any) -> None:
    body["contents"][0]["parts"][1] = {"mimeType": "image/jpeg", "data": "AAAA"}


def _an_unknown_key(body: Any) -> None:
    body["response_format"] = {"type": "json_object"}


def _the_schema_in_the_wrong_place(body: Any) -> None:
    body["responseJsonSchema"] = body["generationConfig"].pop("responseJsonSchema")


def _a_count_as_a_word(body: Any) -> None:
    body["generationConfig"]["maxOutputTokens"] = "many"


def _an_unknown_filter(body: Any) -> None:
    body["safetySettings"] = [{"category": "HARM_CATEGORY_NOISE", "threshold": "OFF"}]


MUTATIONS = [
    _another_vendors_image,
    _a_part_without_a_place,
    _an_unknown_key,
    _the_schema_in_the_wrong_place,
    _a_count_as_a_word,
    _an_unknown_filter,
]


@pytest.mark.shared
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda m: m.__name__.strip("_"))
def test_the_contract_refuses_what_is_wrong(
    shared: Path, mutate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same request with one thing wrong does not get through."""
    dumps = json.dumps

    def wrong(body: Any, **kwargs: Any) -> str:
        if isinstance(body, dict) and "contents" in body:
            mutate(body)
        return dumps(body, **kwargs)

    with contract_server(shared, "gemini", [(200, {}, answer().body)]) as server:
        monkeypatch.setattr(json, "dumps", wrong)
        with pytest.raises(ProviderError):
            ask(make(server.url), REQUEST)
        assert server.log[0]["errors"]


# -- recorded answers -----------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(("name", "expected"), RECORDED, ids=[a[0] for a in RECORDED])
def test_a_recorded_answer_is_read(shared: Path, name: str, expected: Response) -> None:
    assert replay(shared, "gemini", name, make) == expected


ERRORS = [
    # A bad key is a bad request here, told apart by its reason; no retry helps.
    ("err_400_api_key_invalid", AuthenticationError, "API_KEY_INVALID", "key"),
    # The model is misspelt: the setting is named, and nothing was done.
    ("err_404_model", ProviderError, "gemini-3.6-flahs", "providers.gemini.model"),
]


@pytest.mark.shared
@pytest.mark.parametrize(("name", "kind", "word", "step"), ERRORS, ids=[e[0] for e in ERRORS])
def test_a_recorded_error_is_the_right_one_of_ours(
    shared: Path, name: str, kind: type[ProviderError], word: str, step: str
) -> None:
    error = replay(shared, "gemini", name, make)
    assert type(error) is kind
    assert (error.retryable, error.retry_after, error.may_be_billed) == (False, None, False)
    assert error.provider == "gemini"
    assert word in error.message
    assert step in error.next_step
    assert isinstance(error.__cause__, sdk_errors.ClientError)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "part", "most"),
    [
        # The picture has 3,008 x 2,000 pixels: 12 squares and the whole, of 258 tokens each.
        ("image_200", Part(data=b"x", media_type="image/png", width=3008, height=2000), 4600),
        # 3.7 s of sound.
        ("audio_200", Part(data=b"x", media_type="audio/wav", seconds=3.72), 250),
    ],
)
def test_the_estimate_is_above_what_was_counted(
    shared: Path, name: str, part: Part, most: int
) -> None:
    request = Request(instructions="", parts=(Part(text="What fruit is in the image?"), part))
    real = recorded(shared, "gemini", name).reply[2]["usageMetadata"]["promptTokenCount"]
    assert real <= input_tokens(request, GeminiProvider.capabilities) <= most


# -- constructed: never recorded, and so are these ------------------------------------------


def answer_to(reply: WireReply) -> Response:
    with wire_server(reply) as server:
        (found,) = ask(make(server.url), REQUEST)
        assert len(server.requests) == 1
    return found


def error_of(reply: WireReply) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        answer_to(reply)
    return caught.value


@pytest.mark.parametrize(
    "reason",
    [
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "LANGUAGE",
        "OTHER",
        "MODEL_ARMOR",
        "A_WORD_OF_NEXT_YEAR",
    ],
)
def test_constructed_every_reason_to_stop_on_purpose_is_a_refusal(reason: str) -> None:
    """Half an answer that was stopped by a filter is none; unknown words are refusals too."""
    replies = (
        answer(reason),
        answer(reason, parts=[], candidate={"finishMessage": "no"}),
        blocked(reason),
        blocked(reason, blockReasonMessage="no"),
        # Blocked all the same, whatever a candidate says.
        WireReply(body={**answer().body, "promptFeedback": {"blockReason": reason}}),
    )
    with wire_server(*replies) as server:
        answers = ask(make(server.url), *[REQUEST] * len(replies))
    for found in answers:
        assert (found.status, found.reason) == ("refused", reason)
        assert found.text in ("", "no")
        assert found.usage.input is not None


def test_constructed_feedback_without_a_block_is_none() -> None:
    rated = {"safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]}
    assert answer_to(answer(promptFeedback=rated)).status == "answered"


def test_constructed_a_limit_of_one_request_is_a_truncation_and_asked_once() -> None:
    """The SDK would ask again with the token; one call is one request."""
    token = {"continuationToken": "AAAA"}
    found = answer_to(answer("CONTINUATION", candidate=token))
    assert (found.status, found.reason) == ("truncated", "CONTINUATION")


def test_constructed_tokens_used_up_by_thinking_are_a_truncation() -> None:
    """The content has no parts, and the answer no count of its own."""
    usage = {"promptTokenCount": 15, "thoughtsTokenCount": 512, "totalTokenCount": 527}
    for candidate in ({"content": {"role": "model"}}, {"content": {}}, {"content": None}):
        found = answer_to(answer("MAX_TOKENS", candidate=candidate, usageMetadata=usage))
        assert (found.status, found.text, found.reason) == ("truncated", "", "MAX_TOKENS")
        assert (found.usage.input, found.usage.output) == (15, 512)


def test_constructed_what_the_types_of_the_sdk_do_not_know_changes_nothing() -> None:
    """Fields and words of tomorrow, where today's types have others."""
    usage = {
        "promptTokenCount": 7,
        "candidatesTokenCount": 3,
        "toolUsePromptTokenCount": 2,
        "serviceTier": {"name": "new"},
        "promptTokensDetails": [{"modality": "SMELL", "tokenCount": 1}, "?", None],
    }
    ratings = [{"category": "HARM_CATEGORY_NEW", "probability": 0.5, "blocked": "maybe"}]
    parts = [{"text": "A calm garage.", "newThing": {"a": [1]}}, {"newKind": {}}, "?", None]
    found = answer_to(
        answer(
            parts=parts,
            candidate={"safetyRatings": ratings, "avgLogprobs": "NaN", "other": 1},
            usageMetadata=usage,
            modelStatus={"retirementTime": 5},
        )
    )
    assert (found.status, found.text) == ("answered", "A calm garage.")
    assert found.usage == TokenUsage(input=9, output=3)


def test_constructed_usage_that_is_missing_or_nonsense_is_unknown_and_never_zero() -> None:
    for usage in (None, {}, [], {"promptTokenCount": "9"}, {"promptTokenCount": True}):
        assert answer_to(answer(usageMetadata=usage)).usage == TokenUsage()


@pytest.mark.parametrize(
    "reply",
    [
        answer(None),
        answer("MALFORMED_RESPONSE"),
        answer("UNEXPECTED_TOOL_CALL", parts=[]),
        answer(parts=[{"text": "hm", "thought": True}]),
        answer(parts=[{"text": " \n"}]),
        answer(parts=None),
        WireReply(body={"candidates": [], "usageMetadata": {"promptTokenCount": 9}}),
        WireReply(body={"candidates": ["A calm garage."]}),
    ],
)
def test_constructed_what_holds_no_complete_answer_is_none(reply: WireReply) -> None:
    error = error_of(reply)
    assert type(error) is InvalidResponseError
    assert error.may_be_billed


@pytest.mark.parametrize(
    "reply",
    [
        # As a user reported it: the quota of a day, and "come back in 5 s" all the same.
        quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "25", delay="5s"),
        quota("GenerateContentInputTokensPerModelPerMinute-FreeTier", "0"),
        failed(429, "RESOURCE_EXHAUSTED", "Quota exceeded for 'Requests per day per user'."),
        failed(
            429,
            "RESOURCE_EXHAUSTED",
            "Quota exceeded.",
            detail(
                "ErrorInfo",
                reason="RATE_LIMIT_EXCEEDED",
                metadata={"quota_limit": "Gemini25ProRequestsPerDay"},
            ),
        ),
        failed(402, "PAYMENT_REQUIRED", "Add credit."),
    ],
)
def test_constructed_what_waiting_does_not_bring_back_is_not_retried(reply: WireReply) -> None:
    error = error_of(reply)
    assert type(error) is RateLimitedError
    assert not error.retryable


def test_constructed_a_quota_of_a_minute_says_how_long_to_wait() -> None:
    error = error_of(quota("GenerateRequestsPerMinutePerProjectPerModel", delay="3.142s"))
    assert type(error) is RateLimitedError
    assert (error.retryable, error.retry_after) == (True, 3.142)


@pytest.mark.parametrize(
    "reason", ["API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED"]
)
def test_constructed_a_key_that_may_not_is_a_bad_one(reason: str) -> None:
    status = 400 if reason == "API_KEY_INVALID" else 403
    reply = failed(status, "X", "no", detail("ErrorInfo", reason=reason))
    assert type(error_of(reply)) is AuthenticationError


@pytest.mark.parametrize(
    ("status", "billed"), [(408, True), (499, True), (500, False), (503, False), (504, True)]
)
def test_constructed_a_failure_that_may_have_done_the_work_may_be_billed(
    status: int, billed: bool
) -> None:
    error = error_of(failed(status, "X", "x"))
    assert type(error) is UnavailableError
    assert (error.retryable, error.may_be_billed) == (True, billed)


def test_constructed_an_error_with_status_200_is_one() -> None:
    """A gateway may say so; it may have been billed."""
    for code, kind in ((503, UnavailableError), (429, RateLimitedError), ("x", ProviderError)):
        error = error_of(WireReply(body={"error": {"code": code, "message": "no"}}))
        assert type(error) is kind
    assert error.may_be_billed


@pytest.mark.parametrize("status", [400, 503])
def test_constructed_a_body_that_is_no_text_does_not_hide_the_status(status: int) -> None:
    kind = ProviderError if status == 400 else UnavailableError
    for body in (b"\xff\xfe", b"[" * 100_000, b'[{"error": "x"}]', b'{"error": {"details": 5}}'):
        assert type(error_of(WireReply(status=status, body=body))) is kind


def test_constructed_an_answer_is_utf_8_whatever_its_header_says() -> None:
    reply = answer(parts=[{"text": "Zwei Männer"}])
    body = json.dumps(reply.body, ensure_ascii=False).encode()
    headers = {"content-type": "application/json; charset=iso-8859-1"}
    assert answer_to(WireReply(headers=headers, body=body)).text == "Zwei Männer"


# -- how it is made -------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable that the SDK reads is set."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_missing_key_says_where_to_put_it(bare: pytest.MonkeyPatch) -> None:
    for key in (None, SecretStr("  ")):
        with pytest.raises(ConfigError, match="no key") as caught:
            GeminiProvider(api_key=key)
        assert "GEMINI_API_KEY" in caught.value.next_step


@pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_the_key_is_enough_and_the_model_comes_from_the_table(
    variable: str, bare: pytest.MonkeyPatch
) -> None:
    bare.setenv(variable, f" {KEY}\n")
    provider = GeminiProvider()
    assert provider.model == "gemini-3.8-flash"
    assert provider.endpoint == "https://generativelanguage.googleapis.com"
    assert "gemini-3.8-flash" in provider.remarks[0]
    held = provider.capabilities
    assert (held.images, held.audio, held.video) == (3600, True, True)


def test_variables_that_turn_the_sdk_elsewhere_do_not(bare: pytest.MonkeyPatch) -> None:
    """It goes to the address that was announced, with the key of this provider."""
    bare.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    bare.setenv("GOOGLE_CLOUD_PROJECT", "p")
    bare.setenv("GOOGLE_API_KEY", "another-key-of-the-environment")
    with wire_server(answer()) as server:
        ask(make(server.url), REQUEST)
    (sent,) = server.requests
    assert sent.path == "/v1/models/gemini-3.8-flash:generateContent"
    assert sent.headers["x-goog-api-key"] == KEY


def test_the_address_in_the_environment_is_announced(bare: pytest.MonkeyPatch) -> None:
    with wire_server(answer()) as server:
        bare.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        bare.setenv("GEMINI_API_KEY", KEY)
        provider = GeminiProvider(model="m")
        ask(provider, REQUEST)
        assert provider.endpoint == server.url
        assert server.requests[0].headers["x-goog-api-key"] == KEY


def test_a_gateway_needs_no_key_and_never_gets_that_of_google(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("GEMINI_API_KEY", KEY)
    bare.setenv("GOOGLE_API_KEY", KEY)
    with wire_server(answer()) as server:
        ask(make(server.url, api_key=None), REQUEST)
    assert KEY not in str(server.requests[0].headers)


def test_a_model_that_cannot_be_named_in_an_address_is_refused() -> None:
    with wire_server(answer()) as server:
        for model in ("../files/x", "m?key=1", "m&x"):
            with pytest.raises(ProviderError, match="cannot be asked") as caught:
                ask(make(server.url, model=model), REQUEST)
            assert "providers.gemini.model" in caught.value.next_step
        assert not server.requests


def test_what_it_does_not_take_is_not_sent() -> None:
    document = Part(data=b"%PDF", media_type="application/pdf")
    with wire_server(answer()) as server:
        with pytest.raises(ProviderError, match="application/pdf"):
            ask(make(server.url), Request(instructions="i", parts=(document,)))
        assert not server.requests


def test_every_format_that_it_says_is_one_of_its_kind() -> None:
    held = GeminiProvider.capabilities
    assert {kind.partition("/")[0] for kind in held.image_formats} == {"image"}
    assert {kind.partition("/")[0] for kind in held.audio_formats} == {"audio"}
    assert {kind.partition("/")[0] for kind in held.video_formats} == {"video"}


def test_the_longest_media_leave_room_for_the_words() -> None:
    held = GeminiProvider.capabilities
    assert held.context_tokens is not None
    for seconds, rate in (
        (held.audio_seconds, held.tokens.audio_per_second),
        (held.video_seconds, held.tokens.video_per_second),
    ):
        assert seconds is not None
        assert seconds * rate < 0.95 * held.context_tokens


def test_the_options_hide_the_key_and_refuse_what_is_unknown() -> None:
    assert KEY not in repr(GeminiOptions(api_key=SecretStr(KEY)))
    for wrong in ({"temperature": 0}, {"video_fps": 25}, {"api_version": "v1/x"}):
        with pytest.raises(ValueError, match="validation error"):
            GeminiOptions.model_validate(wrong)
