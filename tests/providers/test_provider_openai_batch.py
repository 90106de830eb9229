"""OpenAI's batches: what is uploaded, both files of answers, and what their lines mean."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from batches_kit import (
    LABEL,
    Outcome,
    answers,
    asked,
    collected,
    ended,
    line,
    made,
    question,
    read,
    run,
    submitted,
)
from openai_kit import completion

import services
from batch_service import batch_service
from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Part, Response
from mmcrime.testing import WireReply, wire_server
from wire import contract, recorded

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def spoken(status: Any, body: Any = None, error: Any = None) -> Outcome:
    """Return what is read of a line."""
    response = None if status is None else {"status_code": status, "body": body}
    ((key, said),) = read("openai", {"custom_id": "a", "response": response, "error": error})
    assert key == "a"
    return said


def failed(**error: Any) -> dict[str, Any]:
    return {"error": {"message": "no", **error}}


@pytest.mark.shared
def test_a_recorded_batch_is_read_as_it_is(shared: Path) -> None:
    """First it waits to be validated, with no count of what is in it; then it is done."""
    first, last = (recorded(shared, "openai", f"batch_{name}_200") for name in ("create", "done"))
    name = first.reply[2]["id"]
    with wire_server(*(WireReply(body=one.reply[2]) for one in (first, last, last))) as server:
        provider = made("openai", server.url)

        async def work() -> None:
            status = await provider.poll(name)
            assert (status.state, status.total, status.done) == ("running", None, 0)
            status = await provider.poll(name)
            assert (status.state, status.total, status.done, status.reason) == ("ended", 2, 2, "")
            await provider.discard(name)

        run(provider, work)
        assert server.requests[0].path == last.path
        deleted = [r.path.rpartition("/")[2] for r in server.requests if r.method == "DELETE"]
    assert set(deleted) == {last.reply[2]["input_file_id"], last.reply[2]["output_file_id"]}


def test_what_is_uploaded_is_for_batches_and_does_not_stay() -> None:
    with batch_service("openai") as service:
        answers(made("openai", service.url), asked("a"))
        (uploaded,) = service.files.values()
    assert b'name="purpose"\r\n\r\nbatch' in uploaded
    assert b'name="expires_after[seconds]"\r\n\r\n259200' in uploaded
    assert f'filename="{LABEL}.jsonl"'.encode() in uploaded
    assert b'"url": "/v1/responses"' in uploaded


@pytest.mark.shared
def test_sound_goes_through_chat_completions_and_comes_back_so(shared: Path) -> None:
    sound = Part(data=b"RIFF\x00\x00\x00\x00WAVE", media_type="audio/wav", seconds=1.0)
    request = replace(question("a"), parts=(Part(text="Listen:"), sound, Part(text="a")))

    def chatted(lines: list[dict[str, Any]]) -> list[Any]:
        return [
            {**one, "response": {"status_code": 200, "body": completion().body}} for one in lines
        ]

    with batch_service("openai", contract=contract(shared, "openai"), results=chatted) as service:
        provider = made("openai", service.url, audio=True)
        ((key, said),) = answers(provider, {f"{LABEL}-0": request})
        assert service.wrong == []
    assert key == f"{LABEL}-0"
    assert isinstance(said, Response)
    assert (said.text, said.usage.audio_input) == ("A calm garage.", 44)


@pytest.mark.parametrize(
    ("status", "body", "error", "expected", "retryable", "billed"),
    [
        (400, failed(code="invalid_value"), None, ProviderError, False, False),
        (401, failed(), None, AuthenticationError, False, False),
        (429, failed(code="rate_limit_exceeded"), None, RateLimitedError, True, False),
        (429, failed(code="insufficient_quota"), None, RateLimitedError, False, False),
        (500, failed(code="server_error"), None, UnavailableError, True, False),
        (503, None, None, UnavailableError, True, False),
        (None, None, {"code": "batch_expired", "message": "x"}, UnavailableError, True, False),
        (None, None, {"code": "batch_cancelled", "message": "x"}, ProviderError, False, False),
        (None, None, {"code": "server_error", "message": "x"}, UnavailableError, True, False),
        # What says both is no answer; nor is one without a status, or of a status of no words.
        (200, services.answer("openai").body, {"code": "x"}, UnavailableError, True, False),
        (200, services.answer("openai").body, "wrong", InvalidResponseError, False, True),
        (None, None, None, InvalidResponseError, False, True),
        ("200", services.answer("openai").body, None, InvalidResponseError, False, True),
        (True, services.answer("openai").body, None, InvalidResponseError, False, True),
        (204, services.answer("openai").body, None, InvalidResponseError, False, True),
        (200, None, None, InvalidResponseError, False, True),
        (200, [], None, InvalidResponseError, False, True),
        (200, failed(code="server_error"), None, UnavailableError, True, True),
    ],
)
def test_a_line_that_is_no_answer_is_an_error_of_its_kind(
    status: Any,
    body: Any,
    error: Any,
    expected: type[ProviderError],
    retryable: bool,
    billed: bool,
) -> None:
    """Whatever else stands in it: only what was completed is charged for."""
    said = spoken(status, body, error)
    assert type(said) is expected
    assert isinstance(said, ProviderError)
    assert (said.retryable, said.may_be_billed) == (retryable, billed)


def test_a_line_that_a_filter_refused_is_a_refusal() -> None:
    said = spoken(400, failed(code="content_policy_violation"))
    assert isinstance(said, Response)
    assert (said.status, said.reason) == ("refused", "content_policy_violation")
    said = spoken(200, services.answer("openai", stop="refused").body)
    assert isinstance(said, Response)
    assert said.status == "refused"
    assert said.usage.input == services.TOKENS_IN


def test_a_line_does_not_tell_the_key() -> None:
    key = services.KEYS["openai"]
    for said in (spoken(400, failed(message=f"key {key}")), spoken(None, None, {"message": key})):
        assert isinstance(said, ProviderError)
        assert key not in said.message


def test_answers_and_errors_are_read_from_both_files() -> None:
    """An expired batch has answers in one, and in the other what it did not come to."""
    expired = {"code": "batch_expired", "message": "This request could not be executed."}
    lost = {"custom_id": "b", "response": None, "error": expired}
    batch = {"status": "expired", "output_file_id": "f-out", "error_file_id": "f-err"}
    replies = (batch, batch, line("openai", "a", "calm"), lost)
    with wire_server(*(WireReply(body=json.dumps(one).encode()) for one in replies)) as server:
        provider = made("openai", server.url)

        async def work() -> list[tuple[str, Outcome]]:
            assert (await provider.poll("b1")).state == "expired"
            return await collected(provider, "b1")

        found = dict(run(provider, work))
        paths = [asked.path for asked in server.requests[2:]]
    assert paths == ["/v1/files/f-out/content", "/v1/files/f-err/content"]
    assert isinstance(found["a"], Response)
    assert isinstance(found["b"], UnavailableError)
    assert not found["b"].may_be_billed


@pytest.mark.parametrize(("state", "reason"), [("failed", "bad line"), ("cancelled", "")])
def test_a_batch_that_did_not_end_says_so(state: str, reason: str) -> None:
    with batch_service("openai", state=state) as service:
        provider = made("openai", service.url)

        async def work() -> None:
            status = await ended(provider, await submitted(provider, asked("a")))
            assert (status.state, status.reason) == (state, reason)

        run(provider, work)


@pytest.mark.parametrize(("status", "deleted"), [(400, ["file-0"]), (429, ["file-0"]), (500, [])])
def test_what_was_uploaded_for_a_batch_that_is_refused_is_deleted(
    status: int, deleted: list[str]
) -> None:
    """Unless there may be a batch all the same, which would find its file gone."""
    with batch_service("openai", refusals=[status]) as service:
        provider = made("openai", service.url)
        with pytest.raises(ProviderError):
            run(provider, lambda: submitted(provider, asked("a")))
        assert service.deleted == deleted


def test_one_file_that_cannot_be_deleted_keeps_none_of_the_others() -> None:
    batch = {"input_file_id": "f-in", "output_file_id": "f-out", "error_file_id": "f-err"}
    replies = (WireReply(body=batch), services.failed(500), WireReply(body={}))
    with wire_server(*replies) as server:
        provider = made("openai", server.url)
        with pytest.raises(UnavailableError):
            run(provider, lambda: provider.discard("b1"))
        deleted = {asked.path for asked in server.requests if asked.method == "DELETE"}
    assert deleted == {"/v1/files/f-in", "/v1/files/f-out", "/v1/files/f-err"}


def page(more: bool, *batches: tuple[str, str, float]) -> WireReply:
    data = [{"id": i, "metadata": {"mmcrime": label}, "created_at": t} for i, label, t in batches]
    return WireReply(body={"data": data, "has_more": more})


def test_a_lost_batch_is_looked_for_on_further_pages_until_it_is_too_old() -> None:
    since = int(NOW.timestamp())
    strange = {"data": [{"id": "s", "metadata": None, "created_at": "x"}, 5], "has_more": True}
    replies = (page(True, ("b9", "x", since + 9)), WireReply(body=strange))
    with wire_server(*replies, page(True, ("b7", LABEL, since + 5))) as server:
        provider = made("openai", server.url)
        look = provider.find
        assert run(provider, lambda: look(LABEL, since=NOW, requests=1)) == "b7"
        queries = [parse_qs(urlsplit(asked.path).query) for asked in server.requests]
    assert [query.get("after") for query in queries] == [None, ["b9"], ["s"]]
    with wire_server(page(True, ("b9", "x", since - 600))) as server:
        provider = made("openai", server.url)
        look = provider.find
        assert run(provider, lambda: look(LABEL, since=NOW, requests=1)) is None
        assert len(server.requests) == 1
    with wire_server(page(True, ("b9", "x", since + 9))) as server:
        provider = made("openai", server.url)
        look = provider.find
        with pytest.raises(ProviderError, match="newest 500"):
            run(provider, lambda: look(LABEL, since=NOW, requests=1))


def test_what_a_server_of_another_maker_charges_for_a_batch_is_not_known() -> None:
    assert made("openai", "http://127.0.0.1:9").batch_limits.price == 1.0
