"""OpenAI transcribes: what is sent keeps the official contract, and answers are read strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from email import message_from_bytes
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from provider_kit import ask
from pydantic import SecretStr

from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request, TokenUsage
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers.openai import OpenAIProvider

KEY = "sk-proj-0123456789abcdefghijklmnop"
SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", time=2.0, seconds=4.0)
REQUEST = Request(
    instructions="Write it down.", parts=(SOUND,), task="transcribe", language="en-US"
)
TEXT = WireReply(body={"text": " Put it down. "})
SEGMENTS = [
    {"id": 0, "start": 0.0, "end": 1.5, "text": " Put it down.", "no_speech_prob": 0.01},
    {"id": 1, "start": 1.5, "end": 4.0, "text": " Now."},
]


def make(url: str, **options: Any) -> OpenAIProvider:
    options = {"api_key": SecretStr(KEY), "model": "gpt-6.1-terra", **options}
    return OpenAIProvider(base_url=f"{url}/v1", **options)


def form(body: bytes, content_type: str) -> dict[str, str]:
    """Read a form: its fields, the file as its name and type."""
    message = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields = {}
    for part in message.get_payload():
        name = str(part.get_param("name", header="content-disposition"))
        held = part.get_payload(decode=True)
        if part.get_filename():
            assert held == SOUND.data
            held = f"{part.get_filename()} {part.get_content_type()}".encode()
        fields[name] = held.decode()
    return fields


def sent_for(request: Request, **options: Any) -> dict[str, str]:
    with wire_server(TEXT) as server:
        ask(make(server.url, **options), request)
        (sent,) = server.requests
    assert (sent.method, sent.path) == ("POST", "/v1/audio/transcriptions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    return form(sent.body, sent.headers["content-type"])


@pytest.mark.shared
@pytest.mark.parametrize("model", ["gpt-transcribe", "whisper-1", "gpt-4o-transcribe-diarize"])
def test_the_form_keeps_the_contract(shared: Path, model: str) -> None:
    document = json.loads((shared / "specs" / "openai.json").read_text("utf-8"))
    contract = {
        "$ref": "#/components/schemas/CreateTranscriptionRequest",
        "components": document["components"],
    }
    fields = sent_for(replace(REQUEST, model=model))
    jsonschema.validate(fields, contract)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**fields, "instructions": "x"}, contract)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**fields, "response_format": "verbose"}, contract)


@pytest.mark.parametrize(
    ("model", "form_"),
    [
        ("gpt-transcribe", "json"),
        ("whisper-large-v3-turbo", "verbose_json"),
        ("gpt-4o-transcribe-diarize", "diarized_json"),
    ],
)
def test_times_are_asked_for_where_a_model_tells_them(model: str, form_: str) -> None:
    assert sent_for(replace(REQUEST, model=model)) == {
        "model": model,
        "language": "en",
        "response_format": form_,
        "file": "sound.wav audio/wav",
    }


def test_a_language_that_is_none_is_not_sent() -> None:
    for tag in ("", "x-klingon", "???"):
        assert "language" not in sent_for(replace(REQUEST, language=tag))


def test_a_server_of_ones_own_is_asked_for_the_model_of_its_section() -> None:
    assert sent_for(REQUEST, model="whisper-small")["model"] == "whisper-small"


def test_its_model_that_transcribes_comes_before_the_one_that_answers() -> None:
    with wire_server(TEXT) as server:
        provider = make(server.url)
        provider.capabilities = replace(provider.capabilities, speech_model="ears-1")  # type: ignore[misc]  # of this instance
        (response,) = ask(provider, REQUEST)
    assert response.model == "ears-1"


def test_openai_itself_is_asked_for_its_model_that_transcribes() -> None:
    provider = OpenAIProvider(api_key=SecretStr(KEY))
    assert provider.capabilities.speech_model == "gpt-transcribe"
    assert provider.model != "gpt-transcribe"


@pytest.mark.parametrize(
    ("body", "segments", "usage"),
    [
        (
            {"text": " Put it down. ", "usage": {"type": "duration", "seconds": 4}},
            [(0.0, 4.0, "Put it down.")],
            TokenUsage(),
        ),
        (
            {
                "text": "Put it down.",
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
                    "output_tokens": 101,
                    "total_tokens": 115,
                },
            },
            [(0.0, 4.0, "Put it down.")],
            TokenUsage(input=14, audio_input=4, output=101),
        ),
        (
            {"text": " Put it down. Now.", "language": "english", "segments": SEGMENTS},
            [(0.0, 1.5, "Put it down."), (1.5, 4.0, "Now.")],
            TokenUsage(),
        ),
        (
            {"text": "Put it down. Now. Help!", "segments": SEGMENTS},
            [(0.0, 4.0, "Put it down. Now. Help!")],
            TokenUsage(),
        ),
        ({"text": "Now.", "segments": None}, [(0.0, 4.0, "Now.")], TokenUsage()),
        ({"text": "", "segments": SEGMENTS[:1]}, [(0.0, 1.5, "Put it down.")], TokenUsage()),
        ({"text": "", "segments": []}, [], TokenUsage()),
        ({"text": " \n"}, [], TokenUsage()),
    ],
)
def test_an_answer_is_read(body: Any, segments: list[Any], usage: TokenUsage) -> None:
    with wire_server(WireReply(body=body)) as server:
        (response,) = ask(make(server.url), replace(REQUEST, model="ears-1"))
    held = [(one["start"], one["end"], one["text"]) for one in json.loads(response.text)]
    assert (response.status, response.model, held) == ("answered", "ears-1", segments)
    assert response.usage == usage


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": None},
        {"text": "a", "segments": [{"start": 0, "text": "a"}]},
        {"text": "a", "segments": [{"start": 0, "end": True, "text": "a"}]},
        {"text": "a", "segments": [{"start": 0, "end": 1}]},
        {"text": "a", "segments": [{"start": 0, "end": 10**400, "text": "a"}]},
        {"text": "a", "segments": ["a"]},
        {"text": "", "segments": 10**400},
        {"text": "", "segments": {"a": 1}},
        {"text": "", "message": "the model is down"},
        {"text": "a" * 100_001, "segments": SEGMENTS},
        b"Put it down.",
        b"[]",
    ],
)
def test_what_is_no_transcript_is_none(body: Any) -> None:
    with wire_server(WireReply(body=body)) as server, pytest.raises(InvalidResponseError):
        ask(make(server.url), REQUEST)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_api_key", AuthenticationError),
        (429, "rate_limit_exceeded", RateLimitedError),
        (503, "server_error", UnavailableError),
        (400, "invalid_value", ProviderError),
        (404, "model_not_found", ProviderError),
        (404, None, ProviderError),
    ],
)
def test_errors_are_told_apart(status: int, code: str | None, kind: type[Exception]) -> None:
    said = WireReply(status=status, body={"error": {"message": f"no {KEY}", "code": code}})
    with wire_server(said) as server:
        with pytest.raises(kind) as caught:
            ask(make(server.url), REQUEST)
        assert len(server.requests) == 1
    assert KEY not in str(caught.value)
    if code == "model_not_found":
        assert "analyzers.speech.options.model" in str(caught.value)


def test_a_filter_that_refuses_is_an_outcome() -> None:
    said = WireReply(status=400, body={"error": {"message": "no", "code": "content_filter"}})
    with wire_server(said) as server:
        (response,) = ask(make(server.url), REQUEST)
    assert (response.status, response.reason) == ("refused", "content_filter")


@pytest.mark.parametrize(
    "parts",
    [(), (SOUND, SOUND), (Part(text="a"),), (Part(data=b"x", media_type="image/jpeg"),)],
)
def test_anything_but_one_recording_is_not_sent(parts: tuple[Part, ...]) -> None:
    with wire_server(TEXT) as server:
        with pytest.raises(ProviderError):
            ask(make(server.url), replace(REQUEST, parts=parts))
        assert not server.requests
