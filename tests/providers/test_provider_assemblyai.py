"""AssemblyAI: upload, order, wait, fetch, and delete whatever happens."""

from __future__ import annotations

import asyncio
import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from provider_kit import ask
from pydantic import SecretStr

from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request
from mmcrime.testing import WireReply, wire_server
from mmcrime.testing.wire import WireServer
from mmcrime_providers import assemblyai
from mmcrime_providers.assemblyai import AssemblyAIProvider

KEY = "Zz01assembly0Zz02secret0Zz03key"
SOUND = Part(data=b"RIFF....WAVE", media_type="audio/wav", time=2.0, seconds=4.0)
REQUEST = Request(instructions="i", parts=(SOUND,), task="transcribe", language="en-GB")
STORED = WireReply(body={"upload_url": "https://cdn.example/upload/1"})
QUEUED = WireReply(body={"id": "t-1", "status": "queued", "error": None})
WORDS = [
    {"text": "Put", "start": 500, "end": 700},
    {"text": "it down.", "start": 720, "end": 1100},
    {"text": "Now.", "start": 2500, "end": 2900},
]
DONE = {
    "id": "t-1",
    "status": "completed",
    "text": "Put it down. Now.",
    "words": WORDS,
    "speech_model_used": "universal-2",
    "error": None,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblyai, "_POLL", 0.001)


def make(server: WireServer, **options: Any) -> AssemblyAIProvider:
    return AssemblyAIProvider(api_key=SecretStr(KEY), base_url=server.url, **options)


def calls(server: WireServer) -> list[str]:
    return [f"{sent.method} {sent.path}" for sent in server.requests]


def test_it_is_uploaded_ordered_waited_for_and_deleted() -> None:
    processing = WireReply(body={"id": "t-1", "status": "processing"})
    with wire_server(STORED, QUEUED, processing, WireReply(body=DONE)) as server:
        (response,) = ask(make(server), REQUEST)
    assert calls(server) == [
        "POST /v2/upload",
        "POST /v2/transcript",
        "GET /v2/transcript/t-1",
        "GET /v2/transcript/t-1",
        "DELETE /v2/transcript/t-1",
    ]
    assert server.requests[0].body == SOUND.data
    assert json.loads(server.requests[1].body) == {
        "audio_url": "https://cdn.example/upload/1",
        "speech_models": ["universal-3-pro", "universal-2"],
        "language_code": "en",
    }
    assert {sent.headers["authorization"] for sent in server.requests} == {KEY}
    assert response.model == "universal-2"
    assert json.loads(response.text) == [
        {"start": 0.5, "end": 1.1, "text": "Put it down."},
        {"start": 2.5, "end": 2.9, "text": "Now."},
    ]


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"id": "t-1", "status": "error", "error": f"no; {KEY}"}, UnavailableError),
        ({"id": "t-1", "status": "paused"}, InvalidResponseError),
        ({**DONE, "words": None}, InvalidResponseError),
        ({**DONE, "words": [{"text": "Put", "start": None, "end": 3}]}, InvalidResponseError),
        ({**DONE, "words": [{"start": 1, "end": 3}]}, InvalidResponseError),
        ({**DONE, "words": [*WORDS, "Help"]}, InvalidResponseError),
        ({**DONE, "words": [{"text": "Put", "start": 10**400, "end": 3}]}, InvalidResponseError),
        ({**DONE, "text": None, "words": None}, InvalidResponseError),
        ({**DONE, "text": None, "words": []}, InvalidResponseError),
        ({"id": "t-1", "status": "completed"}, InvalidResponseError),
    ],
)
def test_what_fails_is_deleted_as_well(last: Any, kind: type[ProviderError]) -> None:
    done = WireReply(body=last)
    with wire_server(STORED, QUEUED, done) as server, pytest.raises(kind) as caught:
        ask(make(server), REQUEST)
    assert KEY not in str(caught.value)
    assert (caught.value.may_be_billed, caught.value.retryable) == (True, False)
    assert calls(server)[-1] == "DELETE /v2/transcript/t-1"


def test_nothing_said_is_an_empty_list() -> None:
    silent = WireReply(body={**DONE, "text": "", "words": []})
    with wire_server(STORED, QUEUED, silent) as server:
        (response,) = ask(make(server), REQUEST)
    assert response.text == "[]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Put it down. Now.", []),
        ("Put it down. Now. Help!", WORDS),
        ("Put it down. Now.", [{"text": "Rest.", "start": 500, "end": 700}]),
    ],
)
def test_a_word_that_has_no_time_does_not_vanish(text: str, words: list[Any]) -> None:
    done = WireReply(body={**DONE, "text": text, "words": words})
    with wire_server(STORED, QUEUED, done) as server:
        (response,) = ask(make(server), REQUEST)
    assert json.loads(response.text) == [{"start": 0.0, "end": 4.0, "text": text}]


def test_more_words_than_anybody_can_say_are_no_answer() -> None:
    done = WireReply(body={**DONE, "words": [WORDS[0]] * 5001})
    many = pytest.raises(InvalidResponseError, match="more than 5000 words")
    with wire_server(STORED, QUEUED, done) as server, many:
        ask(make(server), REQUEST)


@pytest.mark.parametrize("used", [None, "", 7, "\x1b[31mred", "z" * 201])
def test_a_name_that_is_none_is_not_taken_for_that_of_the_model(used: Any) -> None:
    done = WireReply(body={**DONE, "speech_model_used": used})
    with wire_server(STORED, QUEUED, done) as server:
        (response,) = ask(make(server), REQUEST)
    assert response.model == "universal-3-pro"


@pytest.mark.parametrize(
    "lost",
    [
        WireReply(status=502, body={"error": "bad gateway"}),
        WireReply(status=429, body={"error": "slow down"}),
        WireReply(fault="reset"),
    ],
)
def test_a_look_that_fails_does_not_order_a_second_one(lost: WireReply) -> None:
    with wire_server(STORED, QUEUED, lost, lost, WireReply(body=DONE)) as server:
        (response,) = ask(make(server), REQUEST)
    assert response.model == "universal-2"
    assert calls(server)[1:] == [
        "POST /v2/transcript",
        *["GET /v2/transcript/t-1"] * 3,
        "DELETE /v2/transcript/t-1",
    ]


def test_a_look_that_cannot_succeed_ends_it_as_paid() -> None:
    gone = WireReply(status=404, body={"error": "gone"})
    with wire_server(STORED, QUEUED, gone) as server, pytest.raises(ProviderError) as caught:
        ask(make(server), REQUEST)
    assert (caught.value.may_be_billed, caught.value.retryable) == (True, False)
    assert calls(server)[2:] == ["GET /v2/transcript/t-1", "DELETE /v2/transcript/t-1"]


def test_looks_that_all_fail_end_with_the_timeout_and_are_not_tried_again() -> None:
    lost = WireReply(status=503, body={"error": "down"})
    with wire_server(STORED, QUEUED, lost) as server, pytest.raises(UnavailableError) as caught:
        ask(make(server, timeout=0.5), REQUEST)
    assert (caught.value.may_be_billed, caught.value.retryable) == (True, False)
    assert calls(server).count("POST /v2/transcript") == 1


def test_one_that_cannot_be_deleted_is_logged_with_its_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = WireReply(status=403, body={"error": f"no {KEY}"})
    with wire_server(STORED, WireReply(body=DONE), refused) as server:
        (response,) = ask(make(server), REQUEST)
    assert response.status == "answered"
    (told,) = (one for one in caplog.records if one.name.startswith("mmcrime"))
    assert told.levelname == "WARNING"
    assert "did not delete the transcript 't-1' (AuthenticationError)" in told.getMessage()
    assert KEY not in caplog.text


@pytest.mark.parametrize("number", ["../v2/account", "", "a/b", 7, "x" * 65])
def test_an_id_that_could_lead_elsewhere_is_not_followed(number: Any) -> None:
    with wire_server(STORED, WireReply(body={"id": number, "status": "queued"})) as server:
        with pytest.raises(InvalidResponseError):
            ask(make(server), REQUEST)
        assert len(server.requests) == 2


def test_a_bad_key_ends_it_before_anything_is_ordered() -> None:
    with wire_server(WireReply(status=401, body={"error": f"bad {KEY}"})) as server:
        with pytest.raises(AuthenticationError) as caught:
            ask(make(server), REQUEST)
        assert calls(server) == ["POST /v2/upload"]
    assert KEY not in str(caught.value)


def test_one_that_is_never_done_runs_into_the_timeout_and_is_deleted() -> None:
    late = pytest.raises(UnavailableError, match="did not answer within")
    with wire_server(STORED, QUEUED) as server, late as caught:
        ask(make(server, timeout=0.5), REQUEST)
    assert (caught.value.may_be_billed, caught.value.retryable) == (True, False)
    assert calls(server)[-1] == "DELETE /v2/transcript/t-1"


def slow_to_order(server: WireServer) -> None:
    """Let the service take its time until it says the id of an order."""
    send = server.send

    def slow(to: BaseHTTPRequestHandler, reply: WireReply) -> None:
        if reply is QUEUED:
            time.sleep(0.3)
        send(to, reply)

    server.send = slow  # type: ignore[method-assign]  # of this instance


async def cancelled_while_ordering(server: WireServer) -> None:
    provider = make(server)
    task = asyncio.create_task(provider.generate(REQUEST))
    while len(server.requests) < 2:  # noqa: ASYNC110  # the server runs in a thread
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider.aclose()


def test_what_is_being_ordered_while_it_is_cancelled_is_deleted_as_well() -> None:
    with wire_server(STORED, QUEUED, WireReply(body={})) as server:
        slow_to_order(server)
        asyncio.run(cancelled_while_ordering(server))
    assert calls(server)[1:] == ["POST /v2/transcript", "DELETE /v2/transcript/t-1"]


def test_an_order_that_comes_too_late_is_deleted_and_is_no_reason_for_another() -> None:
    with wire_server(STORED, QUEUED, WireReply(body={})) as server:
        slow_to_order(server)
        with pytest.raises(UnavailableError) as caught:
            ask(make(server, timeout=0.2), REQUEST)
    assert (caught.value.may_be_billed, caught.value.retryable) == (True, False)
    assert calls(server)[1:] == ["POST /v2/transcript", "DELETE /v2/transcript/t-1"]


def test_an_order_that_is_never_answered_is_waited_for_some_seconds_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(assemblyai, "_ORDERING", 0.1)
    with wire_server(STORED, WireReply(fault="silent")) as server:
        asyncio.run(cancelled_while_ordering(server))
    assert calls(server)[1:] == ["POST /v2/transcript"]
    assert "did not say what it calls an order" in caplog.text


def test_cancelling_deletes_it() -> None:
    async def work(server: WireServer) -> None:
        provider = make(server)
        task = asyncio.create_task(provider.generate(REQUEST))
        while len(server.requests) < 3:  # noqa: ASYNC110  # the server runs in a thread
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.aclose()

    with wire_server(STORED, QUEUED) as server:
        asyncio.run(work(server))
    assert calls(server)[-1] == "DELETE /v2/transcript/t-1"
