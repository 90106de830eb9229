"""The contract of providers fails for those that break it, and the fake provider is honest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2
import openai
import pytest
from pydantic import SecretStr

from mmcrime.errors import InvalidResponseError, ProviderError, UnavailableError
from mmcrime.plugins import Provider, Request, Response, TokenUsage
from mmcrime.testing import FakeProvider, ProviderContract, WireCases, WireReply, wire_server
from mmcrime_providers.openai import OpenAIProvider

KEY = "sk-proj-0123456789abcdefghijklmnop"
REQUEST = Request(instructions="look", parts=())


def said(text: str) -> WireReply:
    choices = [{"finish_reason": "stop", "message": {"content": text}}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return WireReply(body={"model": "m-1", "choices": choices, "usage": usage})


def contract(kind: type[OpenAIProvider]) -> ProviderContract:
    class Contract(ProviderContract):
        secret = KEY

        def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
            key = SecretStr(KEY)
            return kind(api_key=key, base_url=base_url, model="m", timeout=timeout, api="chat")

        def cases(self) -> WireCases:
            error = {"error": {"message": f"{KEY} is wrong"}}
            return WireCases(
                answered=said("calm"),
                text="calm",
                model="m-1",
                usage=TokenUsage(input=3, output=2),
                empty=said(""),
                bad_key=WireReply(status=401, body=error),
                rate_limited=WireReply(status=429, headers={"retry-after": "2"}),
                delay=2.0,
                failed=WireReply(status=500, body=error),
            )

    return Contract()


class Retries(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        try:
            return await super().generate(request)
        except UnavailableError:
            return await super().generate(request)


class Tells(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        try:
            return await super().generate(request)
        except ProviderError as error:
            raise type(error)(f"{self._key} was refused", provider="x") from None


class TellsInTheCause(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        try:
            return await super().generate(request)
        except ProviderError as error:
            raise error from ValueError(f"{self._key} was refused")


class MakesUp(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        try:
            return await super().generate(request)
        except InvalidResponseError:
            return Response(status="answered", text="calm", model="m-1")


class Stays(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        try:
            return await super().generate(request)
        except asyncio.CancelledError:
            return Response(status="answered", text="calm", model="m-1")


class ReadsAll(OpenAIProvider):
    def _opened(self) -> openai.AsyncOpenAI:
        plain = httpx2.AsyncClient(follow_redirects=True)
        if self._client is None:
            self._client = openai.AsyncOpenAI(
                api_key=self._key, base_url=self._url, max_retries=0, http_client=plain
            )
        return self._client


class Counts(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        found = await super().generate(request)
        return Response(status=found.status, text=found.text, model=found.model)


class ThinksItIsFree(OpenAIProvider):
    async def generate(self, request: Request) -> Response:
        try:
            return await super().generate(request)
        except UnavailableError as error:
            error.may_be_billed = False
            raise


BROKEN: list[tuple[type[OpenAIProvider], Callable[[ProviderContract], None]]] = [
    (Retries, ProviderContract.test_a_failure_of_the_service_can_be_tried_again),
    (Tells, ProviderContract.test_a_bad_key_is_not_tried_again),
    (TellsInTheCause, ProviderContract.test_a_bad_key_is_not_tried_again),
    (MakesUp, ProviderContract.test_what_is_no_answer_is_never_taken_for_one),
    (MakesUp, ProviderContract.test_an_empty_answer_is_none),
    (Stays, ProviderContract.test_cancelling_ends_it_at_once),
    (ReadsAll, ProviderContract.test_a_huge_answer_is_not_read),
    (ReadsAll, ProviderContract.test_a_redirect_is_not_followed),
    (Counts, ProviderContract.test_an_answer_is_read),
    (ThinksItIsFree, ProviderContract.test_a_line_that_breaks_may_have_cost_something),
]


@pytest.mark.parametrize(
    ("kind", "test"), BROKEN, ids=[f"{k.__name__}-{t.__name__}" for k, t in BROKEN]
)
def test_the_contract_fails_for_a_provider_that_breaks_it(
    kind: type[OpenAIProvider], test: Callable[[ProviderContract], None]
) -> None:
    """The control: the same test passes for the provider that was spoilt."""
    test(contract(OpenAIProvider))
    with pytest.raises(AssertionError):
        test(contract(kind))


def test_a_fake_provider_answers_what_a_function_says_and_counts() -> None:
    async def work() -> None:
        fake = FakeProvider()
        found = await fake.generate(REQUEST)
        assert (found.status, found.model, found.usage.input) == ("answered", "fake-1", 10)

        async def later(request: Request) -> Response:
            await asyncio.sleep(0)
            return Response(status="refused", text="", model=request.instructions)

        slow = FakeProvider(later)
        assert (await slow.generate(REQUEST)).model == "look"
        failing = FakeProvider(lambda _: UnavailableError("down", provider="fake"))
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await failing.generate(REQUEST)
        assert (fake.calls, failing.calls, failing.requests) == (1, 2, [REQUEST, REQUEST])
        await fake.aclose()
        assert fake.closed == 1

    asyncio.run(work())


def test_a_server_answers_in_order_and_repeats_the_last_reply() -> None:
    with wire_server(WireReply(body={"n": 1}), WireReply(status=201, body=b"two")) as server:
        answers = [
            httpx2.post(f"{server.url}/a?b=c", content=b"x", trust_env=False) for _ in range(3)
        ]
    assert [(a.status_code, a.content) for a in answers] == [
        (200, b'{"n": 1}'),
        (201, b"two"),
        (201, b"two"),
    ]
    assert [(r.method, r.path, r.body) for r in server.requests] == [("POST", "/a?b=c", b"x")] * 3
