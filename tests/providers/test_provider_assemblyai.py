"""AssemblyAI: upload, order, wait, fetch, and delete whatever happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from provider_kit import ask
from pydantic import SecretStr

from mmcrime.errors import AuthenticationError, InvalidResponseError, UnavailableError
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
    ],
)
def test_what_fails_is_deleted_as_well(last: Any, kind: type[Exception]) -> None:
    done = WireReply(body=last)
    with wire_server(STORED, QUEUED, done) as server, pytest.raises(kind) as caught:
        ask(make(server), REQUEST)
    assert KEY not in str(caught.value)
    assert calls(server)[-1] == "DELETE /v2/transcript/t-1"


def test_nothing_said_is_an_empty_list() -> None:
    silent = WireReply(body={**DONE, "text": "", "words": []})
    with wire_server(STORED, QUEUED, silent) as server:
        (response,) = ask(make(server), REQUEST)
    assert response.text == "[]"


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
    with wire_server(STORED, QUEUED) as server, late:
        ask(make(server, timeout=0.5), REQUEST)
    assert calls(server)[-1] == "DELETE /v2/transcript/t-1"


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
