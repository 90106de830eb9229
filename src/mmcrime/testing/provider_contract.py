"""The tests that every provider passes, ours and strangers'."""

from __future__ import annotations

import asyncio
import base64
import socket
from dataclasses import replace

from mmcrime.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderError,
    RateLimitedError,
    UnavailableError,
)
from mmcrime.plugins import Capabilities, PluginOptions, Provider, Response
from mmcrime.testing.provider_harness import GUARD, PICTURE, SOUND, ProviderHarness, closed, using
from mmcrime.testing.wire import WireReply, wire_server

__all__ = ["ProviderContract"]


class ProviderContract(ProviderHarness):
    """A pytest class to inherit from; the provider talks to a real server on loopback.

    ```python
    class TestMine(ProviderContract):
        secret = "a-key-for-tests"

        def make(self, base_url: str, *, timeout: float = 30.0) -> Provider:
            return Mine(api_key=self.secret, base_url=base_url, timeout=timeout)

        def cases(self) -> WireCases:
            return WireCases(answered=WireReply(body={"text": "calm"}), ...)
    ```

    Attributes:
        secret: The key that `make` uses; long, and found in nothing else.
    """

    # -- what it says of itself -------------------------------------------------------------

    def test_it_says_what_it_is(self) -> None:
        """Limits, model and endpoint are declared, and nothing of it holds the key."""
        with wire_server(self.cases().answered) as server:
            provider = self.make(server.url)
            assert provider.api_version == 1
            assert issubclass(provider.Options, PluginOptions)
            assert isinstance(provider.capabilities, Capabilities)
            knows = provider.model or provider.capabilities.tasks == {"transcribe"}
            assert knows, "a request need not name a model, so that it must know one"
            assert provider.endpoint.startswith(server.url)
            assert all(provider.remarks), "an empty remark says nothing"
            self._keeps_the_key(f"{provider!r} {provider.endpoint} {provider.remarks}")
            assert not server.requests, "constructing it sends nothing"
            asyncio.run(closed(provider))

    def test_an_address_with_a_password_is_not_told(self) -> None:
        """What the egress list says of the endpoint holds no user and no password."""
        provider = self.make("http://somebody:passwort@127.0.0.1:9")
        assert "passwort" not in f"{provider.endpoint} {provider!r}"
        asyncio.run(closed(provider))

    def test_a_password_that_the_service_repeats_is_not_told(self) -> None:
        """A gateway may quote what it was sent, as it is and as it was sent."""
        forms = (b"passwort", base64.b64encode(b"somebody:passwort"))
        body = b'{"error": {"message": "' + b" ".join(forms) + b' is wrong"}}'
        with wire_server(WireReply(status=400, body=body)) as server:
            url = server.url.replace("http://", "http://somebody:passwort@")
            error = self._fail(url, ProviderError)
        for form in forms:
            assert form.decode() not in f"{error!r} {error}"

    # -- what it sends and reads ------------------------------------------------------------

    def test_an_answer_is_read(self) -> None:
        """Text, model and tokens are what the service sent."""
        cases = self.cases()
        response, server = self._answer(cases.answered)
        assert (response.status, response.text) == ("answered", cases.text)
        assert response.model == cases.model
        assert response.usage == cases.usage
        assert len(server.requests) == 1

    def test_all_that_is_asked_reaches_the_service_once(self) -> None:
        """Instructions, text, media, model and schema are on the wire, the media once."""
        capabilities = self.make("http://127.0.0.1:9").capabilities
        _, server = self._answer(self.cases().answered, model="model-of-request")
        (sent,) = server.requests
        if capabilities.tasks == {"transcribe"}:
            assert sum(sent.body.count(form) for form in (SOUND, base64.b64encode(SOUND))) == 1
            return
        words = "answer" in capabilities.tasks  # labels are asked for without any
        assert not words or b"Say what you see." in sent.body
        assert not words or b"The garage at night." in sent.body
        assert "model-of-request" in sent.path or b"model-of-request" in sent.body
        media = PICTURE if capabilities.images != 0 else b"" if words else SOUND
        if media:
            # Of the two alphabets of base64, Google's SDK writes the one for addresses.
            forms = {base64.b64encode(media), base64.urlsafe_b64encode(media), media}
            assert sum(sent.body.count(form) for form in forms) == 1
        if capabilities.json_schema:
            assert b"what_is_seen" in sent.body

    def test_the_key_is_sent(self) -> None:
        """The key is in the headers, and neither in the address nor in the body."""
        _, server = self._answer(self.cases().answered)
        (sent,) = server.requests
        assert any(self.secret in value for value in sent.headers.values())
        assert self.secret not in sent.path
        assert self.secret.encode() not in sent.body

    def test_the_model_is_its_own_unless_a_request_names_one(self) -> None:
        """`Provider.model` is what is asked for."""
        with wire_server(self.cases().answered) as server:
            provider = self.make(server.url)
            asyncio.run(self._ask(provider, self._request(provider)))
            (sent,) = server.requests
            if provider.model is None and provider.capabilities.tasks == {"transcribe"}:
                return  # the service has but one
            assert provider.model is not None
            assert provider.model in sent.path or provider.model.encode() in sent.body

    def test_a_refusal_is_an_outcome(self) -> None:
        """No error, and no answer either; with the service's word for it."""
        response, server = self._answer(self._case(self.cases().refused))
        assert response.status == "refused"
        assert response.model
        assert len(server.requests) == 1

    def test_an_answer_that_was_cut_off_says_so(self) -> None:
        """It is no answer, and its tokens are counted, since they are paid for."""
        response, _ = self._answer(self._case(self.cases().truncated))
        assert response.status == "truncated"
        assert response.usage.output is not None

    # -- errors -----------------------------------------------------------------------------

    def test_an_empty_answer_is_none(self) -> None:
        """Success without a word is nothing that could be used, and may be billed."""
        error = self._error(self._case(self.cases().empty), InvalidResponseError)
        assert error.may_be_billed

    def test_a_bad_key_is_not_tried_again(self) -> None:
        """It is an `AuthenticationError`, which no retry can help."""
        error = self._error(self.cases().bad_key, AuthenticationError)
        assert not error.retryable
        assert not error.may_be_billed

    def test_an_unknown_model_names_the_setting(self) -> None:
        """Nothing to retry; the next step says which setting to change."""
        error = self._error(self._case(self.cases().unknown_model), ProviderError)
        assert not error.retryable
        assert not error.may_be_billed
        assert ".model" in error.next_step

    def test_a_bad_request_is_not_tried_again(self) -> None:
        """The same request cannot succeed later, and was not done."""
        error = self._error(self._case(self.cases().bad_request), ProviderError)
        assert type(error) is ProviderError
        assert not error.retryable
        assert not error.may_be_billed

    def test_too_many_requests_say_how_long_to_wait(self) -> None:
        """The delay is the service's own, in seconds."""
        cases = self.cases()
        error = self._error(cases.rate_limited, RateLimitedError)
        assert error.retryable
        assert not error.may_be_billed
        if cases.delay is None:
            assert error.retry_after is None
        else:
            assert error.retry_after is not None
            assert abs(error.retry_after - cases.delay) < 0.001

    def test_a_used_up_quota_is_not_tried_again(self) -> None:
        """Waiting does not bring it back."""
        error = self._error(self._case(self.cases().quota_used_up), RateLimitedError)
        assert not error.retryable

    def test_a_failure_of_the_service_can_be_tried_again(self) -> None:
        """An error of its own making is `UnavailableError`."""
        for status in (self.cases().failed.status, 500, 502, 503, 504):
            error = self._error(replace(self.cases().failed, status=status), UnavailableError)
            assert error.retryable

    def test_errors_without_a_readable_body_are_still_told_apart(self) -> None:
        """Gateways answer in HTML; then the status alone decides."""
        page = WireReply(headers={"content-type": "text/html"}, body=b"<h1>no</h1>")
        for status, kind in (
            (401, AuthenticationError),
            (429, RateLimitedError),
            (500, UnavailableError),
            (503, UnavailableError),
        ):
            self._error(replace(page, status=status), kind)

    def test_hostile_headers_of_an_error_change_nothing(self) -> None:
        """A delay that is no number is none, and never negative or endless."""
        for value in ("-5", "nan", "inf", "1e999", "soon", "9" * 4000, "-1ms", "Mon, 99 Foo"):
            reply = replace(self.cases().rate_limited, headers={"retry-after": value})
            error = self._error(reply, RateLimitedError)
            assert error.retry_after is None or 0.0 <= error.retry_after <= 7 * 86_400.0

    # -- the line ---------------------------------------------------------------------------

    def test_nobody_there_costs_nothing(self) -> None:
        """A refused connection can be tried again, and cannot have been billed."""
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
            error = self._fail(f"http://127.0.0.1:{place.getsockname()[1]}", UnavailableError)
        assert error.retryable
        assert not error.may_be_billed

    def test_a_line_that_breaks_may_have_cost_something(self) -> None:
        """Before an answer or in the middle of it: the service may have done the work."""
        broken = replace(self.cases().answered, fault="half")
        for reply in (WireReply(fault="reset"), broken):
            error = self._error(reply, UnavailableError)
            assert error.retryable
            assert error.may_be_billed

    def test_an_answer_that_never_ends_runs_into_the_timeout(self) -> None:
        """Silence and dripping alike: the timeout is one of the whole request."""
        for fault in ("silent", "drip"):
            error = self._error(WireReply(fault=fault), UnavailableError, timeout=0.5)
            assert error.may_be_billed

    def test_a_huge_answer_is_not_read(self) -> None:
        """Of 100 MB, said before or not, little more is taken than systems buffer."""
        with wire_server(WireReply(fault="endless")) as server:
            self._fail(server.url, InvalidResponseError)
            assert server.sent < 40 * 1024 * 1024
        said = WireReply(fault="endless", headers={"content-length": str(100 * 1024 * 1024)})
        with wire_server(said) as server:
            self._fail(server.url, InvalidResponseError)
            assert server.sent < 40 * 1024 * 1024

    def test_what_is_no_answer_is_never_taken_for_one(self) -> None:
        """HTML, other JSON, and nothing at all are `InvalidResponseError`."""
        deep = b"[" * 100_000 + b"]" * 100_000
        bodies = (b"", b"<html>sign in</html>", b"null", b"[]", b'"calm"', b"{}", b"\xff\xfe", deep)
        for body in bodies:
            self._error(WireReply(body=body), InvalidResponseError)
        page = WireReply(headers={"content-type": "text/html"}, body=b"<html>sign in</html>")
        self._error(page, InvalidResponseError)

    def test_a_wrong_content_type_is_an_answer_or_an_error(self) -> None:
        """Nothing but the right words, or none."""
        cases = self.cases()
        reply = replace(cases.answered, headers={"content-type": "text/plain"})
        with wire_server(reply) as server:
            provider = self.make(server.url)
            try:
                response = asyncio.run(self._ask(provider, self._request(provider)))
            except InvalidResponseError:
                return
            assert response.text == cases.text

    def test_a_redirect_is_not_followed(self) -> None:
        """Media goes nowhere but to the endpoint that was announced."""
        with wire_server(self.cases().answered) as elsewhere:
            moved = WireReply(status=307, headers={"location": f"{elsewhere.url}/v1/answers"})
            with wire_server(moved) as server:
                self._fail(server.url, ProviderError)
            assert not elsewhere.requests

    # -- tasks and loops --------------------------------------------------------------------

    def test_cancelling_ends_it_at_once(self) -> None:
        """The cancellation comes through, and nothing is sent again."""
        with wire_server(WireReply(fault="silent")) as server:
            provider = self.make(server.url)

            async def work() -> None:
                task = asyncio.create_task(provider.generate(self._request(provider)))
                await asyncio.to_thread(server.asked.wait, GUARD)
                task.cancel()
                done, _ = await asyncio.wait({task}, timeout=GUARD)
                assert done, "it goes on after it was cancelled"
                assert task.cancelled()
                await provider.aclose()

            asyncio.run(work())
            assert len(server.requests) == 1

    def test_it_works_in_every_fresh_loop(self) -> None:
        """It is constructed where no loop runs, and used in whichever comes later."""
        with wire_server(self.cases().answered) as server:
            for _ in range(2):
                provider = self.make(server.url)
                response = asyncio.run(self._ask(provider, self._request(provider)))
                assert response.status == "answered"

    def test_many_at_the_same_time_get_their_own_answers(self) -> None:
        """Twenty requests are twenty requests on the wire."""

        async def work(provider: Provider) -> list[Response]:
            async with using(provider):
                return await asyncio.gather(
                    *(provider.generate(self._request(provider)) for _ in range(20))
                )

        with wire_server(self.cases().answered) as server:
            answers = asyncio.run(work(self.make(server.url)))
            assert {answer.text for answer in answers} == {self.cases().text}
            assert len(server.requests) == 20

    def test_it_can_be_closed_twice(self) -> None:
        """Closing releases what is held, used or not, however often it is called."""
        with wire_server(self.cases().answered) as server:
            asyncio.run(closed(self.make(server.url)))
            provider = self.make(server.url)

            async def use() -> None:
                await self._ask(provider, self._request(provider))
                await provider.aclose()

            asyncio.run(use())
