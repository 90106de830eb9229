"""Replicate: a prediction is followed to its end, cancelled when nobody waits, and paid once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from provider_kit import REQUEST, WORDS, ask
from replicate_kit import KEY, make, prediction, problem

from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Request
from mmcrime.testing import WireReply, WireServer, wire_server
from mmcrime_providers import _replicate_run as run
from mmcrime_providers._replicate_files import too_large

GUARD = 20.0  # seconds; nothing takes so long unless it hangs
LOOK = "GET /v1/predictions/p1"
CANCEL = "POST /v1/predictions/p1/cancel"
LARGE = Part(data=b"\xff\xd8" + b"x" * 300_000, media_type="image/jpeg", width=640, height=360)
WITH_FILE = Request(instructions="Look.", parts=(WORDS, LARGE))
DELETED = WireReply(status=204)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_FIRST_LOOK", 0.01)
    monkeypatch.setattr(run, "_LAST_LOOK", 0.05)


def made(server: WireServer) -> int:
    """How many predictions were made."""
    return sum(sent.path.endswith("/predictions") for sent in server.requests)


def log(server: WireServer) -> list[str]:
    return [f"{sent.method} {sent.path}" for sent in server.requests]


def looked_at(server: WireServer) -> None:
    """Wait until the prediction is looked at."""
    end = time.monotonic() + GUARD
    while LOOK not in log(server):
        assert time.monotonic() < end
        time.sleep(0.01)


def file(name: str) -> WireReply:
    url = f"https://api.replicate.com/v1/files/{name}"
    return WireReply(status=201, body={"id": name, "urls": {"get": url}})


def fail(provider: Any, request: Request = REQUEST) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(provider, request)
    assert KEY not in str(caught.value)
    return caught.value


# -- looking --------------------------------------------------------------------------------


def test_a_prediction_is_looked_at_until_it_has_ended() -> None:
    states = [prediction("starting")] * 2 + [prediction("processing")] * 3
    with wire_server(*states, prediction()) as server:
        (found,) = ask(make(server.url), REQUEST)
    assert (found.status, found.text) == ("answered", "A calm garage.")
    assert log(server)[1:] == [LOOK] * 5


def test_looks_become_rarer() -> None:
    """From a quarter of a second to two: soon for a fast model, cheap for a slow one."""
    with wire_server(prediction("processing")) as server:
        fail(make(server.url, timeout=0.6))
    assert 8 <= log(server).count(LOOK) <= 18


@pytest.mark.parametrize(
    "broken",
    [
        WireReply(status=503),
        WireReply(status=500, body=b"<h1>oops</h1>"),
        WireReply(fault="reset"),
        WireReply(fault="half", body={"id": "p1", "status": "succeeded"}),
        problem(429, "", "Request was throttled.", retry_after=0.05),
    ],
)
def test_a_look_that_fails_costs_no_second_prediction(broken: WireReply) -> None:
    """It has been paid for and goes on; the SDK alone would wait 9 s in between."""
    with wire_server(prediction("starting"), *[broken] * 3, prediction()) as server:
        (found,) = ask(make(server.url), REQUEST)
    assert found.status == "answered"
    assert made(server) == 1
    assert log(server)[1:] == [LOOK] * 4


def test_the_delay_that_a_look_is_told_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_LONGEST_PAUSE", 0.4)
    slow = problem(429, "", "Request was throttled.", retry_after=86_400)
    with wire_server(prediction("processing"), slow, prediction()) as server:
        begun = time.monotonic()
        ask(make(server.url), REQUEST)
    assert 0.4 <= time.monotonic() - begun < GUARD


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(401, "Unauthenticated", f"{KEY} is no token"), AuthenticationError),
        (problem(402, "Insufficient credit", "none"), RateLimitedError),
        (problem(404, "Not found", "gone"), ProviderError),
        (WireReply(body=b"<html>sign in</html>"), InvalidResponseError),
        (prediction("paused"), InvalidResponseError),
        (prediction(id="p2"), InvalidResponseError),
        (WireReply(status=307, headers={"location": "http://127.0.0.1:9/"}), ProviderError),
    ],
)
def test_a_look_that_cannot_succeed_later_ends_it_and_may_be_billed(
    reply: WireReply, kind: type[ProviderError]
) -> None:
    with wire_server(prediction("processing"), reply) as server:
        error = fail(make(server.url))
    assert type(error) is kind
    assert error.may_be_billed
    assert not error.retryable
    assert log(server)[1:] == [LOOK, CANCEL]


def test_nothing_is_sent_to_an_address_that_an_answer_names() -> None:
    """Only its id is used: the token goes to the address that was announced."""
    with wire_server(prediction()) as elsewhere:
        urls = {"get": f"{elsewhere.url}/get", "cancel": f"{elsewhere.url}/cancel"}
        with wire_server(prediction("starting", urls=urls), prediction()) as server:
            ask(make(server.url), REQUEST)
        assert not elsewhere.requests


# -- in time --------------------------------------------------------------------------------


def test_a_prediction_that_takes_too_long_is_cancelled_and_may_be_billed() -> None:
    with wire_server(prediction("processing")) as server:
        error = fail(make(server.url, timeout=0.3))
    assert type(error) is UnavailableError
    assert (error.may_be_billed, error.retryable) == (True, False)
    assert "'p1'" in error.message
    assert "providers.replicate.timeout" in error.next_step
    assert log(server).count(CANCEL) == 1
    assert log(server)[-1] == CANCEL


def test_a_machine_that_must_be_started_has_time_of_its_own() -> None:
    """The time of an answer begins when the model begins."""
    states = [prediction("starting")] * 9 + [prediction("processing")] * 2
    with wire_server(*states, prediction()) as server:
        (found,) = ask(make(server.url, timeout=0.25), REQUEST)
        assert found.status == "answered"
    with wire_server(prediction("starting")) as server:
        error = fail(make(server.url, boot_timeout=0.3))
    assert "did not begin" in error.message
    assert "boot_timeout" in error.next_step
    assert log(server)[-1] == CANCEL


def test_the_time_of_an_answer_begins_once() -> None:
    """A service that goes back and forth does not make it endless."""
    back_and_forth = [prediction("processing"), prediction("starting")] * 40
    with wire_server(*back_and_forth) as server:
        begun = time.monotonic()
        fail(make(server.url, timeout=0.4))
    assert time.monotonic() - begun < 2.0


def test_looks_that_fail_to_the_end_are_told() -> None:
    with wire_server(prediction("processing"), problem(503, "Down", "maintenance")) as server:
        error = fail(make(server.url, timeout=0.3))
    assert type(error) is UnavailableError
    assert "within 0.3 s" in error.message
    assert "maintenance" in error.message
    assert made(server) == 1


def test_a_look_that_says_nothing_runs_into_the_same_time() -> None:
    for fault in ("silent", "drip"):
        with wire_server(
            prediction("processing"), WireReply(fault=fault), prediction("canceled")
        ) as server:
            error = fail(make(server.url, timeout=0.3))
        assert error.may_be_billed
        assert log(server)[-1] == CANCEL


def test_the_service_is_told_when_to_cancel_by_itself() -> None:
    """A process that dies cancels nothing."""
    with wire_server(prediction()) as server:
        ask(make(server.url, timeout=59.5, boot_timeout=100), REQUEST)
        (sent,) = server.requests
    assert sent.headers["cancel-after"] == "175s"
    assert "prefer" not in sent.headers


# -- cancelled ------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("look", [prediction("processing"), WireReply(fault="silent")])
def test_a_call_that_is_cancelled_cancels_the_prediction(look: WireReply, again: bool) -> None:
    """At the service too, and if whoever cancels goes on doing so."""

    async def work(server: WireServer) -> None:
        async with make(server.url) as provider:
            task = asyncio.create_task(provider.generate(REQUEST))
            await asyncio.to_thread(looked_at, server)
            task.cancel()
            while again and not task.done():
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait({task}, timeout=GUARD)
            assert task.cancelled()

    with wire_server(prediction("starting"), look, prediction("canceled")) as server:
        asyncio.run(work(server))
        assert log(server)[-1] == CANCEL
        assert log(server).count(CANCEL) == 1
        assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"


class Late(WireReply):
    """A reply that takes its time."""

    @property
    def content(self) -> bytes:
        time.sleep(0.5)
        return super().content


@pytest.mark.parametrize("how", ["cancelled", "late"])
def test_what_is_given_up_while_it_is_made_is_cancelled_and_not_made_again(how: str) -> None:
    """Its id comes a moment after nobody waits for it any longer."""
    slow = Late(status=201, body=prediction("starting").body)

    async def work(server: WireServer) -> ProviderError | None:
        timeout = 60.0 if how == "cancelled" else 0.2
        async with make(server.url, timeout=timeout) as provider:
            task = asyncio.create_task(provider.generate(REQUEST))
            if how == "cancelled":
                await asyncio.to_thread(server.asked.wait, GUARD)
                task.cancel()
            await asyncio.wait({task}, timeout=GUARD)
            error = None if task.cancelled() else task.exception()
            assert error is None or isinstance(error, ProviderError)
            return error

    with wire_server(slow, prediction("canceled")) as server:
        error = asyncio.run(work(server))
    assert log(server)[1:] == [CANCEL]
    if how == "late":
        assert error is not None
        assert (error.retryable, error.may_be_billed) == (False, True)
    else:
        assert error is None


@pytest.mark.parametrize(
    "reply", [problem(500, "x", KEY), WireReply(body=b"<html>"), WireReply(fault="silent")]
)
def test_a_cancellation_that_fails_hides_nothing_and_is_short(
    reply: WireReply, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mmcrime")
    monkeypatch.setattr(run, "_CANCELLING", 0.2)
    gone = problem(404, "Not found", "gone")
    with wire_server(prediction("processing"), gone, reply) as server:
        begun = time.monotonic()
        error = fail(make(server.url))
    assert time.monotonic() - begun < 5.0
    assert "gone" in error.message
    told = [r.getMessage() for r in caplog.records if r.name == "mmcrime.providers.replicate"]
    assert ("'p1'" in "".join(told)) is (reply.body != b"<html>")
    assert KEY not in caplog.text


def test_what_has_ended_is_not_cancelled() -> None:
    for ended in (prediction("failed", error="x"), prediction(output=[])):
        with wire_server(prediction("processing"), ended) as server:
            assert fail(make(server.url)).may_be_billed
        assert CANCEL not in log(server)


# -- files ----------------------------------------------------------------------------------


def test_large_media_is_uploaded_used_and_deleted() -> None:
    """Its bytes arrive once, under a name that tells nothing; what is small goes inside."""
    small = Part(data=b"\xff\xd8small", media_type="image/jpeg")
    request = Request(instructions="Look.", parts=(WORDS, LARGE, small))
    with wire_server(file("f1"), prediction("processing"), prediction(), DELETED) as server:
        (found,) = ask(make(server.url), request)
    assert found.status == "answered"
    assert log(server)[0] == "POST /v1/files"
    assert log(server)[-1] == "DELETE /v1/files/f1"
    upload, creation = server.requests[:2]
    assert upload.headers["content-type"].startswith("multipart/form-data")
    assert upload.body.count(LARGE.data) == 1
    assert b'name="content"; filename="mmcrime-' in upload.body
    assert b"Content-Type: image/jpeg" in upload.body
    first, second = json.loads(creation.body)["input"]["images"]
    assert first == "https://api.replicate.com/v1/files/f1"
    assert second.startswith("data:image/jpeg;base64,")
    assert LARGE.data not in creation.body


def test_what_is_sent_inside_a_request_is_bounded_for_each_part_and_together() -> None:
    def parts(*sizes: int) -> list[Part]:
        return [Part(data=b"x" * size, media_type="image/png") for size in sizes]

    assert too_large([Part(text="x" * 2_000_000)]) == []
    assert too_large(parts(256_000, 256_001)) == [1]
    assert too_large(parts(*[250_000] * 4)) == []
    assert too_large(parts(*[250_000] * 5, 1)) == [4, 5]


def test_many_files_keep_their_places() -> None:
    parts = tuple(
        Part(data=bytes([n]) * 300_000, media_type="image/png", time=float(n)) for n in range(6)
    )
    files = [file(f"f{n}") for n in range(6)]
    with wire_server(*files, prediction(), DELETED) as server:
        ask(make(server.url), Request(instructions="", parts=parts))
    uploads = [sent for sent in server.requests if sent.path == "/v1/files"]
    (creation,) = (sent for sent in server.requests if sent.path.endswith("/predictions"))
    urls = json.loads(creation.body)["input"]["images"]
    named = [int(url[-1]) for url in urls]
    assert all(part.data in uploads[n].body for part, n in zip(parts, named, strict=True))
    deleted = {line for line in log(server) if line.startswith("DELETE")}
    assert deleted == {f"DELETE /v1/files/f{n}" for n in range(6)}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (problem(413, "Content Too Large", "Files must be less than 100MB"), ProviderError),
        (problem(401, "Unauthenticated", KEY), AuthenticationError),
        (WireReply(status=503), UnavailableError),
        (WireReply(fault="reset"), UnavailableError),
        (WireReply(body=b"<html>"), InvalidResponseError),
        (WireReply(body={"id": "f1"}), InvalidResponseError),
        (WireReply(body={"id": "../x", "urls": {"get": "https://x"}}), InvalidResponseError),
        (WireReply(status=307, headers={"location": "http://127.0.0.1:9/"}), ProviderError),
    ],
)
def test_an_upload_that_fails_is_tried_once_and_costs_nothing(
    reply: WireReply, kind: type[ProviderError]
) -> None:
    with wire_server(reply, DELETED) as server:
        error = fail(make(server.url), WITH_FILE)
    assert type(error) is kind
    assert not error.may_be_billed
    assert made(server) == 0
    assert log(server).count("POST /v1/files") == 1
    deleted = [line for line in log(server) if line.startswith("DELETE")]
    assert deleted == (["DELETE /v1/files/f1"] if reply.body == {"id": "f1"} else [])


def test_uploads_have_time_of_their_own() -> None:
    with wire_server(WireReply(fault="silent")) as server:
        error = fail(make(server.url, upload_timeout=0.3), WITH_FILE)
    assert type(error) is UnavailableError
    assert "upload_timeout" in error.next_step
    assert not error.may_be_billed


def test_files_are_deleted_after_an_error_and_after_a_refusal() -> None:
    refused = prediction("failed", error="NSFW content detected.")
    with wire_server(file("f1"), refused, DELETED) as server:
        (found,) = ask(make(server.url), WITH_FILE)
        assert found.status == "refused"
        assert log(server)[-1] == "DELETE /v1/files/f1"
    with wire_server(file("f1"), problem(422, "x", "y"), DELETED) as server:
        fail(make(server.url), WITH_FILE)
        assert log(server)[-1] == "DELETE /v1/files/f1"


@pytest.mark.parametrize("again", [False, True])
def test_files_are_deleted_when_the_call_is_cancelled(again: bool) -> None:
    """As is the prediction that looks at them, and if whoever cancels goes on doing so."""

    async def work(server: WireServer) -> None:
        async with make(server.url) as provider:
            task = asyncio.create_task(provider.generate(WITH_FILE))
            await asyncio.to_thread(looked_at, server)
            task.cancel()
            while again and not task.done():
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait({task}, timeout=GUARD)
            assert task.cancelled()

    with wire_server(file("f1"), prediction("processing")) as server:
        asyncio.run(work(server))
        assert sorted(log(server)[-2:]) == ["DELETE /v1/files/f1", CANCEL]


@pytest.mark.parametrize(
    ("reply", "told"),
    [(problem(500, "x", KEY), True), (problem(404, "x", "File not found"), False)],
)
def test_a_deletion_that_fails_is_logged_and_changes_no_answer(
    reply: WireReply, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "mmcrime")
    with wire_server(file("f1"), prediction(), reply) as server:
        (found,) = ask(make(server.url), WITH_FILE)
    assert found.status == "answered"
    records = [r for r in caplog.records if r.name == "mmcrime.providers.replicate"]
    assert bool(records) is told
    assert KEY not in caplog.text
