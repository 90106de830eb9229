"""The cloud speech engines: each passes the contract, sends what its service takes, reads it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from provider_kit import ask
from pydantic import SecretStr

from mmcrime.errors import ConfigError, InvalidResponseError, ProviderError
from mmcrime.plugins import Part, Provider, Request, TokenUsage
from mmcrime.testing import ProviderContract, WireCases, WireReply, wire_server
from mmcrime_providers._locale import locale
from mmcrime_providers.speech import (
    AzureSpeechProvider,
    GoogleSpeechProvider,
    IBMSpeechProvider,
)
from mmcrime_providers.speech_untimed import (
    CohereSpeechProvider,
    HoundifyProvider,
    WitProvider,
)

KEY = "Zz01speech-Zz02secret_Zz03keys4="
SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", time=2.0, seconds=4.0)
REQUEST = Request(instructions="i", parts=(SOUND,), task="transcribe", language="en")
MAKERS: dict[str, Any] = {
    "azure-speech": AzureSpeechProvider,
    "cohere-speech": CohereSpeechProvider,
    "google-speech": GoogleSpeechProvider,
    "houndify": HoundifyProvider,
    "ibm-speech": IBMSpeechProvider,
    "wit": WitProvider,
}
# Constructed after the documentation of each service; nothing recorded is there.
SAID: dict[str, Any] = {
    "azure-speech": {
        "RecognitionStatus": "Success",
        "Offset": 5_000_000,
        "Duration": 27_500_000,
        "DisplayText": "Put it down.",
        "NBest": [{"Confidence": 0.9, "Lexical": "put it down", "Display": "Put it down."}],
    },
    "cohere-speech": {"text": "Put it down."},
    "google-speech": {
        "results": [
            {
                "alternatives": [
                    {
                        "transcript": "Put it down.",
                        "confidence": 0.9,
                        "words": [
                            {"startTime": "0.500s", "endTime": "0.800s", "word": "Put"},
                            {"startTime": "0.800s", "endTime": "1.750s", "word": "it down."},
                        ],
                    }
                ],
                "resultEndTime": "1.750s",
                "languageCode": "en-us",
            }
        ],
        "totalBilledTime": "4s",
        "requestId": "7",
    },
    "houndify": {
        "Status": "OK",
        "Disambiguation": {"ChoiceData": [{"Transcription": "Put it down."}]},
    },
    "ibm-speech": {
        "result_index": 0,
        "results": [
            {
                "final": True,
                "alternatives": [
                    {
                        "transcript": "Put it down. ",
                        "timestamps": [["Put", 0.5, 0.8], ["it", 0.9, 1.1], ["down.", 1.1, 1.75]],
                    }
                ],
            }
        ],
    },
    "wit": {"text": "Put it down.", "intents": [], "entities": {}, "traits": {}},
}
TIMED = {"azure-speech": (0.5, 3.25), "google-speech": (0.5, 1.75), "ibm-speech": (0.5, 1.75)}
NOTHING: list[tuple[str, Any]] = [
    (
        "azure-speech",
        {"RecognitionStatus": "NoMatch", "Offset": 10_000_000, "Duration": 30_000_000},
    ),
    (
        "azure-speech",
        {"RecognitionStatus": "InitialSilenceTimeout", "Offset": 40_000_000, "Duration": 0},
    ),
    ("azure-speech", {**SAID["azure-speech"], "NBest": [{"Display": ""}]}),
    ("cohere-speech", {"text": ""}),
    ("google-speech", {"totalBilledTime": "4s", "requestId": "7"}),
    ("google-speech", {"results": [], "requestId": "7"}),
    ("houndify", {"Status": "OK", "Disambiguation": None}),
    ("ibm-speech", {"result_index": 0, "results": []}),
    ("wit", {"text": None}),
    ("wit", {"text": " "}),
]


def made(name: str, url: str, **options: Any) -> Provider:
    more: dict[str, Any] = {"client_id": "client-1"} if name == "houndify" else {}
    provider: Provider = MAKERS[name](
        api_key=SecretStr(KEY), base_url=url, **{"timeout": 30.0, **more, **options}
    )
    return provider


def written(name: str) -> str:
    start, end = TIMED.get(name, (0.0, 4.0))
    return json.dumps([{"start": start, "end": end, "text": "Put it down."}])


def failed(status: int, **headers: str) -> WireReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireReply(status=status, headers=named, body={"error": f"bad key {KEY}"})


class _Engine(ProviderContract):
    secret = KEY
    name: ClassVar[str]
    model: ClassVar[str] = ""

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return made(self.name, base_url, timeout=timeout)

    def cases(self) -> WireCases:
        return WireCases(
            answered=WireReply(body=SAID[self.name]),
            text=written(self.name),
            model=self.model or self.name,
            usage=TokenUsage(),
            bad_key=failed(401),
            bad_request=failed(400),
            rate_limited=failed(429, retry_after="2.5"),
            delay=2.5,
            quota_used_up=failed(402),
            failed=failed(500),
            unknown_model=WireReply(status=404, body={"error": {"message": "no such model"}}),
        )

    # The services know neither of these.
    test_an_empty_answer_is_none = None
    test_a_refusal_is_an_outcome = None
    test_an_answer_that_was_cut_off_says_so = None


class TestAzure(_Engine):
    name = "azure-speech"
    test_an_unknown_model_names_the_setting = None  # it has but one


class _Alike(_Engine):
    """What the base does with the line is not tried with every engine."""

    test_an_answer_that_never_ends_runs_into_the_timeout = None
    test_a_huge_answer_is_not_read = None
    test_hostile_headers_of_an_error_change_nothing = None
    test_many_at_the_same_time_get_their_own_answers = None
    test_it_works_in_every_fresh_loop = None
    test_a_line_that_breaks_may_have_cost_something = None


class TestGoogle(_Alike):
    name, model = "google-speech", "latest_long"


class TestCohere(_Alike):
    name, model = "cohere-speech", "cohere-transcribe-03-2026"


class TestHoundify(_Alike):
    name = "houndify"
    test_an_unknown_model_names_the_setting = None

    def test_the_key_is_sent(self) -> None:
        """Not the key but a signature of it, by which the service knows who asks."""
        _, server = self._answer(self.cases().answered)
        (sent,) = server.requests
        user, number = sent.headers["hound-request-authentication"].split(";")
        client, now, signature = sent.headers["hound-client-authentication"].split(";")
        key = base64.b64decode(KEY, altchars=b"-_")
        known = hmac.new(key, f"{user};{number}{now}".encode(), hashlib.sha256).digest()
        assert (client, base64.urlsafe_b64decode(signature)) == ("client-1", known)
        assert not any(KEY in value for value in sent.headers.values())


class TestIBM(_Alike):
    name = "ibm-speech"

    def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
        return made(self.name, base_url, timeout=timeout, model="en-US")

    model = "en-US"

    def test_the_key_is_sent(self) -> None:
        """As the password of the user ``apikey``, and nowhere else."""
        _, server = self._answer(self.cases().answered)
        (sent,) = server.requests
        kind, _, login = sent.headers["authorization"].partition(" ")
        assert (kind, base64.b64decode(login)) == ("Basic", f"apikey:{KEY}".encode())
        assert KEY not in sent.path


class TestWit(_Alike):
    name = "wit"
    test_an_unknown_model_names_the_setting = None


def sent_by(name: str, request: Request = REQUEST, **options: Any) -> Any:
    with wire_server(WireReply(body=SAID[name])) as server:
        ask(made(name, server.url, **options), request)
        (sent,) = server.requests
    return sent


# -- on the wire ----------------------------------------------------------------------------


def test_azure_is_told_language_form_and_that_nothing_is_to_be_masked() -> None:
    sent = sent_by("azure-speech")
    path, _, query = sent.path.partition("?")
    assert path == "/speech/recognition/conversation/cognitiveservices/v1"
    assert query == "language=en-US&format=detailed&profanity=raw"
    assert sent.headers["ocp-apim-subscription-key"] == KEY
    assert sent.headers["content-type"] == "audio/wav; codecs=audio/pcm; samplerate=16000"
    assert sent.body == SOUND.data


def test_google_is_told_language_and_model_and_asked_for_times() -> None:
    sent = sent_by("google-speech", replace(REQUEST, language="de"), model="telephony")
    body = json.loads(sent.body)
    assert sent.path == "/v1/speech:recognize"
    assert sent.headers["x-goog-api-key"] == KEY
    assert body["config"]["languageCode"] == "de-DE"
    assert body["config"]["model"] == "telephony"
    assert body["config"]["enableWordTimeOffsets"] is True
    assert base64.b64decode(body["audio"]["content"]) == SOUND.data


def test_ibm_is_asked_for_the_large_model_of_the_language_and_for_times() -> None:
    sent = sent_by("ibm-speech", replace(REQUEST, language="ja"))
    assert sent.path == "/v1/recognize?model=ja-JP&timestamps=true"


def test_cohere_gets_the_fields_of_its_form_before_the_file() -> None:
    """It reads the form as it comes, and refuses one that names its model too late."""
    body = sent_by("cohere-speech", replace(REQUEST, language="de-CH")).body
    assert body.index(b'name="model"') < body.index(b'name="language"') < body.index(b"RIFF")
    assert b"\r\n\r\nde\r\n" in body


def test_wit_is_sent_the_sound_as_it_is() -> None:
    sent = sent_by("wit")
    assert (sent.path, sent.body) == ("/speech?v=20200513", SOUND.data)
    assert sent.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("tag", "whole"),
    [
        *(("en", "en-US"), ("de", "de-DE"), ("sv", "sv-SE"), ("EN", "en-US"), ("fil", "fil-PH")),
        *(("sr", "sr-RS"), ("sl", "sl-SI"), ("bn", "bn-BD"), ("ms", "ms-MY"), ("cy", "cy-GB")),
        *(("sw", "sw-TZ"), ("ta", "ta-IN"), ("af", "af-ZA"), ("sq", "sq-AL"), ("yue", "yue-HK")),
        *(("en_GB", "en-GB"), ("zh-TW", "zh-TW"), ("es-419", "es-419")),
        *(("zh-Hans", "zh-CN"), ("zh-Hant", "zh-TW"), ("sr-Latn", "sr-RS")),
        *(("zh_Hant_HK", "zh-Hant-HK"), ("zh-Hans-CN", "zh-Hans-CN")),
    ],
)
def test_a_language_without_a_region_gets_its_most_likely_one(tag: str, whole: str) -> None:
    assert locale(tag) == whole


@pytest.mark.parametrize("tag", ["", "tlh", "x-klingon", "zh-yue", "xx-Latn", "-", "1-US"])
def test_a_region_is_not_made_up(tag: str) -> None:
    with pytest.raises(ConfigError, match=r"language\.speech") as caught:
        locale(tag)
    assert repr(tag) in str(caught.value)


# -- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "body"), NOTHING)
def test_where_nothing_is_said_the_list_is_empty(name: str, body: Any) -> None:
    with wire_server(WireReply(body=body)) as server:
        (response,) = ask(made(name, server.url), REQUEST)
    assert (response.status, json.loads(response.text)) == ("answered", [])


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("azure-speech", {"RecognitionStatus": "Error", "DisplayText": "Put it down."}),
        ("azure-speech", {**SAID["azure-speech"], "NBest": [{"Display": 7}]}),
        ("azure-speech", {**SAID["azure-speech"], "NBest": ["Put"], "DisplayText": None}),
        ("azure-speech", {**SAID["azure-speech"], "Offset": 10**400}),
        ("azure-speech", {**SAID["azure-speech"], "Duration": None}),
        ("azure-speech", {"RecognitionStatus": "NoMatch"}),
        ("cohere-speech", {"text": ["Put"]}),
        ("cohere-speech", {"text": "", "message": "invalid api token"}),
        ("google-speech", {"results": {"alternatives": []}, "requestId": "7"}),
        ("google-speech", {"results": None, "requestId": "7"}),
        ("google-speech", {"results": [1, 2], "requestId": "7"}),
        ("google-speech", {"results": [{}]}),
        ("google-speech", {"results": [{"alternatives": "help"}]}),
        ("google-speech", {"results": [{"alternatives": []}]}),
        ("google-speech", {"results": [{"alternatives": ["help"]}]}),
        ("google-speech", {"results": [{"alternatives": [{"text": "help"}]}]}),
        ("google-speech", {"results": [*SAID["google-speech"]["results"], "help"]}),
        ("houndify", {"Disambiguation": {"ChoiceData": [{"Transcription": "help"}]}}),
        ("houndify", {"Status": "OK"}),
        ("houndify", {"Status": "OK", "Disambiguation": {"ChoiceData": "x"}}),
        ("houndify", {"Status": "OK", "Disambiguation": {"ChoiceData": ["x"]}}),
        ("houndify", {"Status": "OK", "Disambiguation": {"ChoiceData": [{"Text": "x"}]}}),
        ("houndify", {"Status": "OK", "Disambiguation": "x"}),
        ("ibm-speech", {"results": {"alternatives": []}}),
        ("ibm-speech", {"results": ["x"]}),
        ("ibm-speech", {"results": [{"alternatives": [{"text": "help"}]}]}),
        ("ibm-speech", {"results": [{"alternatives": [{"timestamps": [["help", 0.1, 0.4]]}]}]}),
        ("wit", {"text": False}),
        ("wit", {"text": "", "error": "", "code": "x"}),
        ("wit", {"text": None, "message": "x"}),
    ],
)
def test_an_answer_of_another_shape_is_none(name: str, body: Any) -> None:
    with wire_server(WireReply(body=body)) as server, pytest.raises(InvalidResponseError):
        ask(made(name, server.url), REQUEST)


@pytest.mark.parametrize("times", [("soon", "1s"), ("-1s", "nan"), ("1e9s", "inf"), (True, None)])
def test_words_whose_times_cannot_be_stand_for_the_whole_sound(times: tuple[Any, Any]) -> None:
    words = [{"startTime": times[0], "endTime": times[0], "word": "no"}]
    body = {"results": [{"alternatives": [{"transcript": "no", "words": words}]}]}
    with wire_server(WireReply(body=body)) as server:
        (response,) = ask(made("google-speech", server.url), REQUEST)
    assert json.loads(response.text) == [{"start": 0.0, "end": 4.0, "text": "no"}]


def heard(name: str, body: Any) -> list[tuple[float, float, str]]:
    with wire_server(WireReply(body=body)) as server:
        (response,) = ask(made(name, server.url), REQUEST)
    return [(one["start"], one["end"], one["text"]) for one in json.loads(response.text)]


@pytest.mark.parametrize(
    ("first", "last", "times"),
    [
        ({"endTime": "0.5s"}, {"startTime": "2s", "endTime": "2.5s"}, (0.0, 2.5)),
        ({"startTime": "1s", "endTime": "1.5s"}, {"startTime": "2s"}, (1.0, 4.0)),
        ({"startTime": "3s"}, {"endTime": "2s"}, (0.0, 4.0)),
    ],
)
def test_google_words_without_a_time_are_not_left_out_of_the_stretch(
    first: Any, last: Any, times: tuple[float, float]
) -> None:
    words = [{"word": "a", **first}, {"word": "b", **last}]
    body = {"results": [{"alternatives": [{"transcript": "a b", "words": words}]}]}
    assert heard("google-speech", body) == [(*times, "a b")]


@pytest.mark.parametrize(
    "stamps",
    [
        [["help", 0.1, "x"], ["me", 0.5, 0.7]],
        [["help", 0.1, 0.4], ["me", 10**400, 0.7]],
        [["help", 0.1, 0.4]],
        [["help", 0.1, 0.4], "me"],
        {"help": 0.1},
        [],
        None,
    ],
)
def test_a_stamp_that_cannot_be_read_drops_no_word(stamps: Any) -> None:
    body = {"results": [{"alternatives": [{"transcript": "help me ", "timestamps": stamps}]}]}
    assert heard("ibm-speech", body) == [(0.0, 4.0, "help me")]


def test_more_words_than_anybody_can_say_are_no_answer() -> None:
    """To join them takes no longer than to read them, so that nothing else has to wait."""
    stamps = [["abc", 0, 1]] * 5001
    body = {"results": [{"alternatives": [{"transcript": "abc", "timestamps": stamps}]}]}
    with pytest.raises(InvalidResponseError, match="more than 5000 words"):
        heard("ibm-speech", body)


@pytest.mark.parametrize(
    "body",
    [
        {**SAID["azure-speech"], "Offset": 0, "Duration": 10_000_000},
        {"RecognitionStatus": "NoMatch", "Offset": 0, "Duration": 0},
        {"RecognitionStatus": "InitialSilenceTimeout", "Offset": 20_000_000, "Duration": 0},
    ],
)
def test_what_lies_behind_the_utterance_that_azure_heard_is_not_listened_to(body: Any) -> None:
    """It hears one utterance of a recording; the rest must not count as silence."""
    with pytest.raises(InvalidResponseError, match=r"listened to .* of 4\.0 s"):
        heard("azure-speech", body)


def test_a_failure_that_houndify_tells_of_is_one() -> None:
    body = {"Status": "Error", "ErrorMessage": f"quota {KEY}", "Disambiguation": None}
    with pytest.raises(ProviderError, match="failed with status 'Error': 'quota") as caught:
        heard("houndify", body)
    assert caught.value.may_be_billed
    assert KEY not in str(caught.value)


def test_ibm_names_the_model_of_the_language_as_the_one_that_answered() -> None:
    with wire_server(WireReply(body=SAID["ibm-speech"])) as server:
        (response,) = ask(made("ibm-speech", server.url), replace(REQUEST, language="ja"))
    assert response.model == "ja-JP"


# -- what is not sent -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["azure-speech", "wit"])
@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, task="answer"),
        replace(REQUEST, parts=(SOUND, SOUND)),
        replace(REQUEST, parts=()),
        replace(REQUEST, parts=(Part(data=b"x", media_type="image/jpeg"),)),
        replace(REQUEST, parts=(replace(SOUND, media_type="audio/ogg"),)),
    ],
)
def test_anything_but_one_recording_to_transcribe_is_not_sent(name: str, request_: Request) -> None:
    with wire_server(WireReply(body=SAID[name])) as server:
        with pytest.raises(ProviderError):
            ask(made(name, server.url), request_)
        assert not server.requests


def test_houndify_is_not_asked_in_a_language_that_it_does_not_know() -> None:
    with wire_server(WireReply(body=SAID["houndify"])) as server:
        with pytest.raises(ProviderError, match="knows English only"):
            ask(made("houndify", server.url), replace(REQUEST, language="fr"))
        assert not server.requests


@pytest.mark.parametrize("name", [n for n in MAKERS if n not in ("ibm-speech", "azure-speech")])
def test_a_variable_is_never_sent_to_an_address_of_the_configuration(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MAKERS[name].variable, KEY)
    more = {"client_id": "c"} if name == "houndify" else {}
    with wire_server(WireReply(body=SAID[name])) as server:
        ask(MAKERS[name](base_url=server.url, **more), REQUEST)
        assert not any(KEY in value for value in server.requests[0].headers.values())
    own = MAKERS[name](**more)
    assert own.endpoint.startswith("https://")
    monkeypatch.delenv(MAKERS[name].variable)
    with pytest.raises(ConfigError, match="There is no key"):
        MAKERS[name](**more)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="region"):
        AzureSpeechProvider(api_key=SecretStr(KEY))
    with pytest.raises(ConfigError, match="base_url"):
        IBMSpeechProvider(api_key=SecretStr(KEY))
    with pytest.raises(ConfigError, match="no client key"):
        HoundifyProvider(api_key=SecretStr("not-base64-"), client_id="c")
    azure = AzureSpeechProvider(api_key=SecretStr(KEY), region="westeurope")
    assert azure.endpoint == "https://westeurope.stt.speech.microsoft.com"
