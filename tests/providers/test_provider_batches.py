"""All three services take batches: each answer finds its question, and nothing else does."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from batches_kit import (
    BEFORE,
    LABEL,
    answers,
    asked,
    collected,
    ended,
    failures,
    line,
    made,
    read,
    run,
    steps,
    submitted,
    whole,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import services
from batch_service import NAMES, batch_service
from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Response, TokenUsage
from mmcrime.testing import WireReply, wire_server
from mmcrime_providers import _batch, _gemini_batch
from wire import contract

each = pytest.mark.parametrize("kind", NAMES)
VENDORS = {"openai": (50_000, 200_000_000), "anthropic": (100_000, 256_000_000)}
"""Most requests and bytes of a batch, as the vendors say; Gemini says 20 MB for a request."""
# -- what is sent, and whose the answers are ------------------------------------------------


@pytest.mark.shared
@each
def test_a_batch_keeps_the_contract_of_the_vendor(shared: Path, kind: str) -> None:
    """Every step of it, with the requests inside, unknown keys refused."""
    with batch_service(kind, contract=contract(shared, kind)) as service:
        provider = made(kind, service.url)

        async def work() -> None:
            batch = await submitted(provider, asked("a", "b"))
            await ended(provider, batch)
            assert len(await collected(provider, batch)) == 2
            assert await provider.find(LABEL, since=datetime.now(UTC), requests=2) == batch
            await provider.discard(batch)

        run(provider, work)
        assert len(service.asked) >= 5
        assert service.wrong == []


@each
def test_an_answer_belongs_to_its_id_whatever_the_order_of_the_lines(kind: str) -> None:
    requests = asked(*"abcdef")
    with batch_service(kind, results=lambda lines: [*lines[3:], *reversed(lines[:3])]) as service:
        found = answers(made(kind, service.url), requests)
    expected = {key: f"seen: {request.parts[-1].text}" for key, request in requests.items()}
    assert [key for key, _ in found] != list(requests)
    assert {key: said.text for key, said in found if isinstance(said, Response)} == expected


@each
def test_model_and_tokens_are_those_of_the_line(kind: str) -> None:
    ((_, said),) = read(kind, line(kind, "a", "calm"))
    body = services.answer(kind).body
    model = body.get("model") or body["modelVersion"]
    assert said == Response(
        status="answered", text="calm", model=model, usage=said.usage, rate=said.rate
    )
    assert (said.usage.input, said.usage.output) == (services.TOKENS_IN, services.TOKENS_OUT)


@each
def test_missing_double_and_strange_lines_are_told_as_they_came(kind: str) -> None:
    """Which of them count is decided above; none is given an id that it does not have."""
    found = read(kind, line(kind, "b", "1"), line(kind, "b", "2"), line(kind, "z", "3"))
    assert [(key, said.text) for key, said in found] == [("b", "1"), ("b", "2"), ("z", "3")]


# -- lines that are wrong -------------------------------------------------------------------


@each
def test_a_line_that_is_wrong_concerns_no_other(kind: str) -> None:
    """It has too many bytes, is no JSON, or holds something else than an answer."""
    good, huge = line(kind, "a", "calm"), line(kind, "h", "x" * 9_000_000)
    lines: list[Any] = [{"custom_id": "t"}, [1], None, 7, good, {**good, "custom_id": {}}]
    if kind != "gemini":  # whose answers are one body
        lines += [huge, b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b""]
    found = read(kind, *lines, line(kind, "c", "dark"))
    said = {key: outcome.text for key, outcome in found if isinstance(outcome, Response) and key}
    assert said == {"a": "calm", "c": "dark"}
    assert all(isinstance(o, Response | InvalidResponseError) for _, o in found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 600) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "code",
                    "message",
                    "error",
                    "body",
                    "status_code",
                    "content",
                    "usage",
                    "parts",
                    "candidates",
                    "output",
                    "text",
                    "details",
                    "input_tokens",
                    "choices",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def spoiled(value: Any, at: int, new: Any) -> Any:
    """Return a value with another one somewhere inside of it: at so many steps from the top."""
    if at <= 0 or not isinstance(value, dict | list) or not value:
        return new
    if isinstance(value, list):
        return [spoiled(value[0], at - 1, new), *value[1:]]
    key = list(value)[at % len(value)]
    return {**value, key: spoiled(value[key], at - 1, new)}


@each
@settings(max_examples=3, suppress_health_check=list(HealthCheck), deadline=None)
@given(wrong=st.lists(st.tuples(st.integers(1, 9), JSON), min_size=20, max_size=40))
def test_whatever_a_line_holds_it_is_an_answer_or_an_error(
    kind: str, wrong: list[tuple[int, Any]]
) -> None:
    one = line(kind, "w", "calm")
    first, *found, last = read(
        kind,
        line(kind, "a", "calm"),
        *(spoiled(one, at, new) for at, new in wrong),
        line(kind, "c", "dark"),
    )
    assert (first[1].text, last[1].text) == ("calm", "dark")
    for _, outcome in found:
        assert isinstance(outcome, Response | ProviderError)
        if isinstance(outcome, Response) and outcome.status == "answered":
            assert isinstance(outcome.text, str)
            assert isinstance(outcome.usage, TokenUsage)


# -- how a step fails -----------------------------------------------------------------------

FAULTS: Mapping[str, tuple[WireReply, type[ProviderError]]] = {
    "404": (WireReply(status=404, body={"error": {"message": "no such batch"}}), ProviderError),
    "429": (services.failed(429, retry_after="2.5"), RateLimitedError),
    "503": (services.failed(503), UnavailableError),
    "reset": (WireReply(fault="reset"), UnavailableError),
}


@each
@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_fails_as_a_live_call_does(kind: str, fault: str) -> None:
    reply, expected = FAULTS[fault]
    with wire_server(reply) as server:
        found = failures(made(kind, server.url))
    # What is gone needs no deleting.
    if fault == "404" and kind != "openai":
        assert found.pop("discard") is None
    for name, error in found.items():
        assert type(error) is expected, name
        assert isinstance(error, ProviderError)
        assert error.provider == kind
        assert error.retryable == (expected in (RateLimitedError, UnavailableError))
    if fault == "reset" and kind != "openai":  # whose first step is an upload
        assert isinstance(found["submit"], ProviderError)
        assert found["submit"].may_be_billed


@each
def test_a_key_that_is_refused_is_told_and_stands_nowhere(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with wire_server(services.bad_key(kind)) as server:
        found = failures(made(kind, server.url))
        assert all(services.KEYS[kind] in repr(asked.headers) for asked in server.requests)
    for name, error in found.items():
        assert isinstance(error, AuthenticationError), name
        assert services.KEYS[kind] not in whole(error)
    told = [r for r in caplog.records if r.levelno >= 20 or r.name.startswith("mmcrime")]
    assert services.KEYS[kind] not in repr([(r.getMessage(), r.args) for r in told])


@each
def test_no_step_follows_a_redirect(kind: str) -> None:
    with wire_server(WireReply(body={})) as other:
        away = WireReply(status=307, headers={"location": f"{other.url}/v1/batches"}, body={})
        with wire_server(away) as server:
            found = failures(made(kind, server.url))
        assert other.requests == []
    assert all(isinstance(error, ProviderError) for error in found.values())


NAMES_OF_NONE = ("", "..", "a/../../files", "b?x=1", "b#", "é", "x" * 200)


@each
def test_a_name_that_leads_elsewhere_is_not_asked_for(kind: str) -> None:
    """Neither one that the book holds, nor one that the service gives."""
    strange = WireReply(body={"id": "../x", "name": "batches/../x"})
    with wire_server(strange) as server:
        provider = made(kind, server.url)

        async def work() -> None:
            for name in NAMES_OF_NONE:
                for step in (provider.poll, provider.discard, partial(collected, provider)):
                    with pytest.raises(InvalidResponseError):
                        await step(name)
            assert server.requests == []
            with pytest.raises(InvalidResponseError):
                await submitted(provider, asked("a"))

        run(provider, work)


@each
def test_a_page_of_another_kind_is_no_batch(kind: str) -> None:
    with wire_server(services.HTML) as server:
        provider = made(kind, server.url)
        with pytest.raises(InvalidResponseError, match="no JSON"):
            run(provider, lambda: provider.poll("b1"))


# -- sizes ----------------------------------------------------------------------------------


@each
def test_answers_without_end_are_refused_with_bounded_memory(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of them is kept, be it one line that is larger than any answer."""
    monkeypatch.setattr(_batch, "MOST_RESULTS", 50_000_000)
    monkeypatch.setattr(_gemini_batch, "_MOST_ANSWERS", 10_000_000)
    first = BEFORE[kind]
    with wire_server(*([first] if first else []), WireReply(fault="endless")) as server:
        provider = made(kind, server.url)
        tracemalloc.start()
        try:
            with pytest.raises(InvalidResponseError, match="larger than"):
                run(provider, lambda: collected(provider, "b1"))
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert server.sent < 80_000_000  # of which the system holds some
    assert most < 40_000_000


@each
def test_an_error_is_never_as_large_as_answers_may_be(kind: str) -> None:
    with wire_server(WireReply(status=500, fault="endless")) as server:
        provider = made(kind, server.url)
        with pytest.raises(InvalidResponseError, match="larger than 8388608"):
            run(provider, lambda: collected(provider, "b1"))


@each
def test_what_no_batch_holds_is_refused_before_anything_is_sent(kind: str) -> None:
    with wire_server(WireReply(body={})) as server:
        provider = made(kind, server.url)
        limits = provider.batch_limits
        for too_small in (replace(limits, requests=1), replace(limits, bytes=900)):
            provider.batch_limits = too_small
            with pytest.raises(ProviderError, match="larger than") as caught:
                asyncio.run(submitted(provider, asked("a", "b")))
            assert not caught.value.may_be_billed
        assert server.requests == []
    most, size = VENDORS.get(kind, (1000, 20_000_000))
    assert limits.requests <= most
    assert limits.bytes <= size


@each
def test_what_is_transcribed_is_in_no_batch(kind: str) -> None:
    """It would come back as words about the sound."""
    requests = {key: replace(r, task="transcribe") for key, r in asked("a").items()}
    with wire_server(WireReply(body={})) as server:
        with pytest.raises(ProviderError, match="transcribe"):
            asyncio.run(submitted(made(kind, server.url), requests))
        assert server.requests == []


# -- after a crash, and at the end ----------------------------------------------------------


@each
def test_a_batch_whose_name_got_lost_is_found_by_its_label(kind: str) -> None:
    """The clocks of both sides differ by a minute; a newer batch has another label."""
    with batch_service(kind, lost=1, runs=0) as service:
        provider = made(kind, service.url)
        since = datetime.now(UTC) + timedelta(minutes=1)

        async def work() -> None:
            with pytest.raises(UnavailableError) as caught:
                await submitted(provider, asked("a", "b"))
            assert caught.value.may_be_billed
            newer = {f"other-{key}": r for key, r in asked("c", "d").items()}
            await submitted(provider, newer, "other")
            lost = service.batches[0].name
            assert await provider.find(LABEL, since=since, requests=2) == lost
            assert await provider.find("mmcrime-none", since=since, requests=2) is None

        run(provider, work)


@each
def test_discarding_deletes_what_was_uploaded_and_the_answers_and_may_be_done_twice(
    kind: str,
) -> None:
    with batch_service(kind) as service:
        provider = made(kind, service.url)

        async def work() -> None:
            batch = await submitted(provider, asked("a"))
            await ended(provider, batch)
            await provider.discard(batch)
            kept = {"openai": {"file-0", f"out-{batch}"}}.get(kind, {batch})
            assert set(service.deleted) == kept
            await provider.discard(batch)
            assert len(service.deleted) == len(kept)

        run(provider, work)


@each
def test_every_step_has_its_time(kind: str) -> None:
    """A service that says nothing is given up, though no step of the line takes for ever."""
    with wire_server(WireReply(fault="drip")) as server:
        provider = made(kind, server.url, timeout=0.2)

        async def work() -> None:
            with pytest.raises(UnavailableError, match="did not answer within"):
                await asyncio.wait_for(steps(provider)["poll"](), 5)  # type: ignore[arg-type]

        run(provider, work)
