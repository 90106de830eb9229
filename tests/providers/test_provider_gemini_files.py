"""Gemini's store of files: large media goes there, is used once, and never stays behind."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from gemini_files_server import Store, files_server
from gemini_kit import KEY, blocked, failed, quota
from pydantic import SecretStr

from mmcrime.errors import (
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request, Response
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers._gemini_files import too_large
from mmcrime_providers.gemini import GeminiProvider

LARGE = 15_000_001  # bytes; one more than is sent inside a request
CLIP = Part(data=b"\x00clip" * (LARGE // 5 + 1), media_type="video/mp4", seconds=60.0)
SOUND = Part(data=b"\x01wave" * (LARGE // 5 + 9), media_type="audio/wav", seconds=60.0)
SMALL = Part(data=b"\xff\xd8picture", media_type="image/jpeg", width=640, height=360)
REQUEST = Request(instructions="Look.", parts=(Part(text="Clip:"), CLIP, SMALL))
GUARD = 20.0  # seconds; nothing takes so long unless it hangs


def make(store: Store, **options: Any) -> GeminiProvider:
    options = {"api_key": SecretStr(KEY), "model": "gemini-3.8-flash", **options}
    return GeminiProvider(base_url=store.url, **options)


def ask(provider: GeminiProvider, request: Request = REQUEST) -> Response:
    async def work() -> Response:
        async with provider:
            return await asyncio.wait_for(provider.generate(request), GUARD)

    return asyncio.run(work())


def fail(provider: GeminiProvider) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(provider)
    assert KEY not in str(caught.value)
    return caught.value


def test_large_media_is_uploaded_looked_at_used_and_deleted() -> None:
    """Its bytes arrive in pieces, and once; what is small goes inside the request."""
    with files_server(looks=2) as store:
        found = ask(make(store))
    assert (found.status, found.text) == ("answered", "A calm garage.")
    stages = ["start", "upload", "finalize", "get", "get", "generate", "delete"]
    assert store.log == stages
    ((name, data),) = store.uploaded.items()
    assert data == CLIP.data
    assert store.deleted == [name]
    assert not store.files
    words, clip, picture = store.asked["contents"][0]["parts"]
    assert words == {"text": "Clip:"}
    assert clip["fileData"]["file_uri"] == f"gs://store/{name}"
    assert clip["fileData"]["mime_type"] == "video/mp4"
    assert "inlineData" in picture


def test_several_large_parts_are_each_in_their_place() -> None:
    with files_server() as store:
        ask(make(store), Request(instructions="", parts=(CLIP, SMALL, SOUND)))
    first, small, last = store.asked["contents"][0]["parts"]
    held = [one["fileData"]["file_uri"].removeprefix("gs://store/") for one in (first, last)]
    assert [store.uploaded[name] for name in held] == [CLIP.data, SOUND.data]
    assert "inlineData" in small
    assert sorted(store.deleted) == sorted(held)


def test_what_is_sent_inside_a_request_is_bounded_for_each_part_and_together() -> None:
    """The largest go first; pictures are left alone as long as they fit together."""

    def parts(*sizes: int) -> list[Part]:
        return [Part(data=b"x" * size, media_type="image/png") for size in sizes]

    million = 1_000_000
    assert too_large([Part(text="x" * 20 * million)]) == []
    assert too_large(parts(15 * million, 5 * million)) == []
    assert too_large(parts(1, 15 * million + 1)) == [1]
    assert too_large(parts(*[4 * million] * 5)) == []
    assert too_large(parts(*[4 * million] * 4, 8 * million)) == [4]
    assert too_large(parts(16 * million, *[4 * million] * 5, 17 * million)) == [6, 0]


@pytest.mark.parametrize(
    ("stage", "reply", "kind"),
    [
        ("generate", failed(503, "UNAVAILABLE", "overloaded"), UnavailableError),
        ("generate", WireReply(body=b"<html>"), InvalidResponseError),
        ("generate", quota("PerDay"), RateLimitedError),
        ("get", failed(500, "INTERNAL", "x"), UnavailableError),
        ("get", WireReply(body=b"<html>"), InvalidResponseError),
        ("get", WireReply(body=[]), InvalidResponseError),
        ("get", WireReply(body={"state": "ACTIVE"}), InvalidResponseError),
    ],
)
def test_it_is_deleted_after_every_error(
    stage: str, reply: WireReply, kind: type[ProviderError]
) -> None:
    with files_server(replies={stage: reply}) as store:
        error = fail(make(store))
    assert type(error) is kind
    assert store.log[-1] == "delete"
    assert len(store.deleted) == 1
    assert not store.files


def test_it_is_deleted_after_a_refusal() -> None:
    with files_server(replies={"generate": blocked("PROHIBITED_CONTENT")}) as store:
        assert ask(make(store)).status == "refused"
    assert len(store.deleted) == 1


def test_media_that_the_service_cannot_process_is_an_error_in_its_words() -> None:
    """The same media cannot succeed later, and nobody was asked about it."""
    with files_server(state="FAILED") as store:
        error = fail(make(store))
    assert type(error) is ProviderError
    assert "The video is broken." in error.message
    assert "video/mp4" in error.message
    assert not error.retryable
    assert "generate" not in store.log
    assert len(store.deleted) == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failed(503, "UNAVAILABLE", "x"), UnavailableError),
        (failed(413, "X", "The file is too large."), ProviderError),
        (WireReply(body=b"<html>"), InvalidResponseError),
        (WireReply(headers={"x-goog-upload-status": "final"}, body=b"{}"), InvalidResponseError),
        (WireReply(headers={"x-goog-upload-status": "active"}, body=b"{}"), InvalidResponseError),
        (WireReply(status=307, headers={"location": "http://127.0.0.1:9/"}), ProviderError),
    ],
)
@pytest.mark.parametrize("stage", ["start", "finalize"])
def test_an_upload_that_fails_is_tried_once_and_costs_nothing(
    stage: str, reply: WireReply, kind: type[ProviderError]
) -> None:
    """The SDK alone would send the last piece three times, 7 s apart."""
    with files_server(replies={stage: reply}) as store:
        error = fail(make(store))
    assert type(error) is kind
    assert not error.may_be_billed
    assert store.log.count(stage) == 1
    assert "generate" not in store.log
    assert store.log[-1] == "delete"


def test_an_upload_goes_nowhere_but_to_the_address_that_was_announced() -> None:
    with wire_server(WireReply(body={})) as elsewhere, files_server() as store:
        store.upload_url = elsewhere.url
        ask(make(store))
        assert not elsewhere.requests
    assert list(store.uploaded.values()) == [CLIP.data]


@pytest.mark.filterwarnings("error")
def test_a_state_of_which_the_sdk_warns_is_an_error_of_ours_where_warnings_are() -> None:
    """It is a word of tomorrow, and the warning that says so must not come out as it is."""
    with files_server(state="HIBERNATING") as store:
        error = fail(make(store))
        assert type(error) is InvalidResponseError
        assert not store.files


@pytest.mark.filterwarnings("always")
def test_a_state_of_which_the_sdk_warns_is_waited_out_elsewhere() -> None:
    with files_server(state="HIBERNATING") as store:
        with pytest.warns(UserWarning, match="HIBERNATING"):
            error = fail(make(store, upload_timeout=1.0))
        assert type(error) is UnavailableError
        assert not store.files


def test_media_that_is_never_ready_runs_into_the_timeout_of_uploads() -> None:
    with files_server(looks=10_000) as store:
        error = fail(make(store, upload_timeout=0.6))
    assert type(error) is UnavailableError
    assert "upload_timeout" in error.next_step
    assert not error.may_be_billed
    assert len(store.deleted) == 1


@pytest.mark.parametrize("stage", ["upload", "finalize", "get", "generate"])
@pytest.mark.parametrize("again", [False, True])
def test_it_is_deleted_when_it_is_cancelled(stage: str, again: bool) -> None:
    """Even if the answer to the upload never came, and if whoever cancels goes on doing so."""

    async def work(store: Store) -> None:
        async with make(store) as provider:
            task = asyncio.create_task(provider.generate(REQUEST))
            assert await asyncio.to_thread(store.reached.wait, GUARD)
            task.cancel()
            while again and not task.done():
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait({task}, timeout=GUARD)
            assert task.cancelled()

    with files_server(stuck=stage) as store:
        asyncio.run(work(store))
        assert store.log[-1] == "delete"
        assert not store.files, "media stayed behind"
        assert len(store.deleted) == (0 if stage == "upload" else 1)


@pytest.mark.parametrize("reply", [failed(500, "INTERNAL", KEY), WireReply(body=b"<html>")])
def test_a_deletion_that_fails_is_logged_and_changes_no_answer(
    reply: WireReply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mmcrime")
    with files_server(replies={"delete": reply}) as store:
        assert ask(make(store)).status == "answered"
    (record,) = [r for r in caplog.records if r.name == "mmcrime.providers.gemini"]
    ((name, _),) = store.files.items()
    assert name in record.getMessage()
    assert KEY not in record.getMessage()
