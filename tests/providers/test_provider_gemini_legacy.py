"""The end-of-life SDK of Gemini: the contract is kept, and what is odd about it harms nobody."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gemini_kit import KEY, RECORDED, answer, blocked
from provider_kit import IMAGE, JPEG, REQUEST, WORDS, ask, replay
from pydantic import SecretStr

from mmcrime import CrimeDetectionPipeline
from mmcrime.calls.estimate import input_tokens
from mmcrime.errors import AuthenticationError, ConfigError, ProviderError, UnavailableError
from mmcrime.plugins import Part, Request, Response
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers import _gemini_legacy_wire as sdk
from mmcrime_providers.gemini_legacy import GeminiLegacyOptions, GeminiLegacyProvider
from services import USD, config, shot
from services import answer as service_answer
from wire import contract_server

ROOT = Path(__file__).resolve().parent.parent.parent
PLAIN = replace(REQUEST, schema=None)
SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", seconds=4.0)
VIDEO = Part(data=b"....ftypisom", media_type="video/mp4", seconds=9.0)
EVERYTHING = Request(instructions="Say all.", parts=(WORDS, IMAGE, SOUND, VIDEO))
SILENT = Request(instructions="", parts=(WORDS,))


def make(url: str | None, **options: Any) -> GeminiLegacyProvider:
    options = {"api_key": SecretStr(KEY), "model": "gemini-3.8-flash", **options}
    return GeminiLegacyProvider(base_url=url, **options)


# -- the official contract ------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("request_", [PLAIN, SILENT, EVERYTHING], ids=["image", "text", "all"])
def test_what_is_sent_keeps_the_contract(shared: Path, request_: Request) -> None:
    with contract_server(shared, "gemini", [(200, {}, answer().body)]) as server:
        (found,) = ask(make(server.url), request_)
    assert found.status == "answered"
    (sent,) = server.log
    assert (sent["errors"], sent["method"]) == ([], "POST")
    assert sent["path"] == "/v1beta/models/gemini-3.8-flash:generateContent"


@pytest.mark.shared
@pytest.mark.parametrize(
    "wrong",
    [
        {"response_format": {"type": "json_object"}},
        {"contents": [{"parts": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        {"generationConfig": {"maxOutputTokens": "many"}},
    ],
    ids=["unknown-key", "another-vendors-image", "a-count-as-a-word"],
)
def test_the_contract_refuses_what_is_wrong(
    wrong: dict[str, Any], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same request with one thing wrong does not get through."""
    rightly = sdk.written

    def wrongly(*args: Any, **kwargs: Any) -> sdk.Written:
        made = rightly(*args, **kwargs)
        return replace(made, body=json.dumps(json.loads(made.body) | wrong))

    monkeypatch.setattr("mmcrime_providers.gemini_legacy.written", wrongly)
    with contract_server(shared, "gemini", [(200, {}, answer().body)]) as server:
        with pytest.raises(ProviderError):
            ask(make(server.url), PLAIN)
        assert server.log[0]["errors"]


def test_what_the_contract_does_not_say_is_so_on_the_wire() -> None:
    """Media are parts in their order, and words are asked for and not their numbers."""
    with wire_server(answer()) as server:
        ask(make(server.url), EVERYTHING)
    (sent,) = server.requests
    assert sent.path == "/v1beta/models/gemini-3.8-flash:generateContent"  # no enum-encoding
    assert sent.headers["x-goog-api-key"] == KEY
    body = json.loads(sent.body)
    assert body["systemInstruction"]["parts"] == [{"text": "Say all."}]
    (content,) = body["contents"]
    text, *media = content["parts"]
    assert (content["role"], text) == ("user", {"text": "Frame at 1.5 s:"})
    held = [one["inlineData"] for one in media]
    assert [(one["mimeType"], base64.b64decode(one["data"])) for one in held] == [
        ("image/jpeg", JPEG),
        ("audio/wav", SOUND.data),
        ("video/mp4", VIDEO.data),
    ]
    assert body["generationConfig"] == {"maxOutputTokens": 4096}
    assert set(body) == {"contents", "systemInstruction", "generationConfig"}


def test_large_media_are_sent_whole() -> None:
    """They are written in a thread, where they take the time that base64 takes."""
    large = bytes(range(256)) * 20_000
    request = Request(instructions="", parts=(replace(VIDEO, data=large),))
    with wire_server(answer()) as server:
        ask(make(server.url), request)
    (sent,) = server.requests
    assert base64.b64encode(large) in sent.body


def test_what_may_be_sent_stays_below_the_limit_of_a_request() -> None:
    """20 MB once media is base64; nothing is uploaded before."""
    most = GeminiLegacyProvider.capabilities.media_bytes
    assert most is not None
    assert most * 4 / 3 < 0.95 * 20_000_000


# -- recorded answers -----------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(("name", "expected"), RECORDED, ids=[a[0] for a in RECORDED])
def test_a_recorded_answer_is_read(shared: Path, name: str, expected: Response) -> None:
    assert replay(shared, "gemini", name, make) == expected


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "kind", "word", "step"),
    [
        ("err_400_api_key_invalid", AuthenticationError, "API_KEY_INVALID", "key"),
        ("err_404_model", ProviderError, "gemini-3.6-flahs", "providers.gemini-legacy.model"),
    ],
)
def test_a_recorded_error_is_the_right_one_of_ours(
    shared: Path, name: str, kind: type[ProviderError], word: str, step: str
) -> None:
    error = replay(shared, "gemini", name, make)
    assert type(error) is kind
    assert word in error.message
    assert step in error.next_step
    # There is no such option here: it speaks no other version.
    assert "api_version" not in error.next_step


def test_constructed_a_block_that_the_sdk_does_not_know_is_a_refusal() -> None:
    """The SDK itself would drop the word, and nothing would be left of the answer."""
    with wire_server(blocked("MODEL_ARMOR")) as server:
        (found,) = ask(make(server.url), PLAIN)
    assert (found.status, found.reason) == ("refused", "MODEL_ARMOR")


def test_constructed_an_error_with_status_200_is_one() -> None:
    body = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    with wire_server(WireReply(body=body)) as server, pytest.raises(UnavailableError) as caught:
        ask(make(server.url), PLAIN)
    assert caught.value.may_be_billed  # it was taken, at first


@pytest.mark.shared
def test_the_estimate_is_above_what_was_counted(shared: Path) -> None:
    found = replay(shared, "gemini", "image_200", make)
    assert isinstance(found, Response)
    part = Part(data=b"jpeg", media_type="image/jpeg", width=2400, height=1600)
    held = GeminiLegacyProvider.capabilities
    assert input_tokens(Request(instructions="What is it?", parts=(part,)), held) > (
        found.usage.input or 0
    )


# -- keys, addresses, settings --------------------------------------------------------------


def test_a_missing_key_says_where_to_put_it() -> None:
    for key in (None, SecretStr("  ")):
        with pytest.raises(ConfigError, match="no key") as caught:
            make(None, api_key=key)
        assert "GEMINI_API_KEY" in caught.value.next_step
        assert "providers.gemini-legacy.api_key" in caught.value.next_step


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_the_key_is_enough_and_what_to_know_is_told(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f" {KEY}\n")
    provider = GeminiLegacyProvider()
    assert provider.endpoint == "https://generativelanguage.googleapis.com"
    end, chosen, *_ = provider.remarks
    assert "no longer maintained" in end
    assert "'gemini'" in end
    assert (provider.model or "").startswith("gemini-")
    assert f"{provider.model!r} is asked" in chosen
    assert "providers.gemini-legacy.model" in chosen


def test_of_two_keys_the_one_is_sent_that_the_sdk_would_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "AIzaSyAnotherOneOfTheEnvironment")
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    assert make(None, api_key=None)._key == KEY


def test_two_providers_keep_their_keys_apart() -> None:
    """The SDK's own ``configure`` holds one key for a whole process."""
    with wire_server(answer()) as server:
        first, second = make(server.url), make(server.url, api_key=SecretStr("AIzaSecondKey"))
        for provider in (second, first, second):
            ask(provider, PLAIN)
        sent = [request.headers["x-goog-api-key"] for request in server.requests]
    assert sent == ["AIzaSecondKey", KEY, "AIzaSecondKey"]


def test_a_gateway_needs_no_key_and_never_gets_that_of_google(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    with wire_server(answer()) as server:
        ask(make(server.url, api_key=None), PLAIN)
    assert KEY not in str(server.requests[0].headers)


def test_a_gateway_may_have_a_path_and_a_password_which_no_log_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The SDK puts the address into fields of its records, beside the message."""
    caplog.set_level(logging.DEBUG)
    with wire_server(answer()) as server:
        url = server.url.replace("//", "//somebody:passwort@")
        provider = make(f"{url}/gateway/")
        ask(provider, PLAIN)
    (sent,) = server.requests
    assert sent.path == "/gateway/v1beta/models/gemini-3.8-flash:generateContent"
    given = base64.b64encode(b"somebody:passwort").decode()
    assert sent.headers["authorization"] == f"Basic {given}"
    assert "passwort" not in provider.endpoint
    fields = [str(vars(record)) for record in caplog.records]
    assert [one for one in fields if "/gateway/v1beta" in one]
    assert not [one for one in fields if "passwort" in one or KEY in one]


def test_a_key_is_not_sent_to_google_where_all_can_read_it() -> None:
    with pytest.raises(ConfigError, match="without encryption"):
        make("http://generativelanguage.googleapis.com")


@pytest.mark.parametrize("model", ["models/gemini-x", "tunedModels/mine-7"])
def test_a_model_may_be_named_with_its_kind(model: str) -> None:
    with wire_server(answer()) as server:
        ask(make(server.url, model=model), PLAIN)
    assert server.requests[0].path == f"/v1beta/{model}:generateContent"


@pytest.mark.parametrize("model", ["../files/x", "m?key=1", "a/b", "m\n", "models/", "ä"])
def test_a_model_that_cannot_be_named_in_an_address_is_refused(model: str) -> None:
    with wire_server(answer()) as server:
        with pytest.raises(ProviderError, match="cannot be asked") as caught:
            ask(make(server.url, model=model), PLAIN)
        assert "providers.gemini-legacy.model" in caught.value.next_step
        assert not server.requests


def test_what_it_does_not_take_is_not_sent() -> None:
    document = Part(data=b"%PDF", media_type="application/pdf")
    with wire_server(answer()) as server:
        with pytest.raises(ProviderError, match="application/pdf"):
            ask(make(server.url), Request(instructions="i", parts=(document,)))
        assert not server.requests


def test_the_options_hide_the_key_and_refuse_what_is_unknown() -> None:
    assert KEY not in repr(GeminiLegacyOptions(api_key=SecretStr(KEY)))
    with pytest.raises(ValueError, match="validation error"):
        GeminiLegacyOptions.model_validate({"safety": "off"})


# -- as a user has it -----------------------------------------------------------------------


def test_importing_it_warns_nobody() -> None:
    """Of the age of SDK and Python the report tells, and nothing on standard error."""
    code = (
        "import mmcrime_providers.gemini_legacy, sys; print('google.generativeai' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    warned = [line for line in done.stderr.splitlines() if "google" in line.lower()]
    assert (done.stdout, warned) == ("False\n", [])


def test_its_vote_is_in_the_report(tmp_path: Path) -> None:
    """Through the registered name, the call layer and a prompt that holds the schema."""
    held = config({}, tmp_path)
    with wire_server(service_answer("gemini")) as server:
        held["providers"]["gemini-legacy"] = {
            "api_key": KEY,
            "base_url": server.url,
            "model": "gemini-3.8-flash",
            "price": {"input_per_million": 1.0, "output_per_million": 10.0},
        }
        with CrimeDetectionPipeline(held) as pipeline:
            report = pipeline.analyze(shot(), providers=["gemini-legacy"])
    (sent,) = server.requests
    assert b"alternative_interpretations" in sent.body
    (cast,) = (a for a in report.assessments if a.analyzer == "llm:gemini-legacy")
    assert (cast.status, cast.provider, cast.outcome) == ("answered", "gemini-legacy", "detected")
    assert (cast.cost.usd, report.egress[0].to) == (USD, f"gemini-legacy ({server.url})")
    assert (report.verdict.votes_asked, report.verdict.votes_answered) == (1, 1)
    assert "no longer maintained" in report.to_json()


def test_the_page_about_it_says_what_is_so() -> None:
    """The table of providers is made where this SDK is not, so that this one is not in it."""
    page = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
    said = page.partition("## `gemini-legacy`")[2].partition("\n## ")[0]
    held = GeminiLegacyProvider.capabilities
    assert held.media_bytes is not None
    for fact in (
        f"{held.media_bytes / 1e6:g} MB",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        'pip install -c constraints-gemini-legacy.txt ".[gemini-legacy]"',
    ):
        assert fact in said
