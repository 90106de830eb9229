"""Anthropic's batches: the requests go in one piece, the answers come one a line."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import anthropic
import httpx2

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime.plugins import BatchProvider, BatchStatus, Request, Response
from mmcrime_providers._anthropic_errors import AnthropicFailure
from mmcrime_providers._anthropic_wire import message_body, read_message
from mmcrime_providers._batch import (
    PAGE,
    PAGES,
    SKEW,
    SUBMITTING,
    address_part,
    check_requests,
    check_size,
    costing_nothing,
    objects_in,
    outcome,
    results_at,
    sdk_errors,
    too_many,
    unasked,
)
from mmcrime_providers._http import http_client
from mmcrime_providers._json import as_mapping, as_text, count_of, mappings
from mmcrime_providers._service import Service

__all__ = ["AnthropicBatches"]

_PATH = "/v1/messages/batches"
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")
_SOON = timedelta(minutes=15)
"""How long after the beginning of a submission its batch is made at the latest."""
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What the errors in lines would come with; all others with 500."""


class AnthropicBatches(BatchProvider):
    """What the provider ``anthropic`` does for batches."""

    _service: Service
    _url: str

    @abstractmethod
    def _sdk(self, line: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
        """Return the SDK's client on a connection of its own."""

    @abstractmethod
    def _check(self, request: Request) -> None: ...

    def check(self, request: Request) -> None:
        """Refuse what is not sent; see `BatchProvider.check`."""
        self._check(request)

    async def submit(
        self,
        requests: Mapping[str, Request],
        *,
        model: str,
        label: str,  # noqa: ARG002  # of the door
    ) -> str:
        """Send all requests in one piece; see `BatchProvider.submit`.

        The service has no place for the label but in the ids.
        """
        check_requests(self._service, self.batch_limits, requests)
        for request in requests.values():
            self._check(request)
        content = await asyncio.to_thread(_written, requests, model)
        check_size(self._service, self.batch_limits, len(content))
        async with self._batching(model, SUBMITTING) as client:
            answer = await client.post(
                _PATH,
                cast_to=httpx2.Response,
                content=content,
                options={"headers": {"content-type": "application/json"}},
            )
            return address_part(self._service, self._object(answer).get("id"))

    async def find(self, label: str, *, since: datetime, requests: int) -> str | None:
        """Look at the ids in batches of that time and size; see `BatchProvider.find`.

        While such a batch runs, its ids cannot be seen: whether it is the one cannot be told.
        """
        unsure = ""
        for batch in await self._listed(since - SKEW):
            name = address_part(self._service, batch.get("id"))
            counts = as_mapping(batch.get("request_counts"))
            made = _instant(batch.get("created_at"))
            same = sum(count_of(counts, key) or 0 for key in _COUNTS) == requests
            if not same or made is None or made > since + _SOON:
                continue
            if batch.get("processing_status") != "ended":
                unsure = name
            elif (await self._first_id(name)).startswith(f"{label}-"):
                return name
        if unsure:
            raise UnavailableError(
                f"Whether {unsure!r} is the batch {label!r} of {self._service.provider} can only "
                "be told when it has ended.",
                provider=self._service.provider,
            )
        return None

    async def poll(self, batch: str) -> BatchStatus:
        """Say how far a batch is; see `BatchProvider.poll`."""
        path = f"{_PATH}/{address_part(self._service, batch)}"
        async with self._batching() as client:
            held = self._object(await client.get(path, cast_to=httpx2.Response))
        state = held.get("processing_status")
        if state not in ("in_progress", "canceling", "ended"):
            raise self._service.unreadable("a batch in no state that is known")
        held_counts = as_mapping(held.get("request_counts"))
        counts = [count_of(held_counts, key) or 0 for key in _COUNTS]
        return BatchStatus(
            state="ended" if state == "ended" else "running",
            total=sum(counts) or None,
            done=sum(counts[1:]) if any(counts) else None,
        )

    async def collect(
        self, batch: str, *, model: str
    ) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """Read the answers line by line; see `BatchProvider.collect`.

        They are asked for at the address of the service, never at one that an answer names.
        """
        path = f"{_PATH}/{address_part(self._service, batch)}/results"
        async with self._batching(model, None) as client:
            headers = {**client.default_headers, **client.auth_headers}
            url = str(client.base_url.join(path.removeprefix("/")))
            async with results_at(url, headers, service=self._service, known=self._url) as answer:
                async for one in objects_in(answer, self._service, AnthropicFailure):
                    result = as_mapping(one.get("result"))
                    key = as_text(one.get("custom_id"))
                    yield key, outcome(lambda held=result: self._line(held, model))  # type: ignore[misc]

    async def discard(self, batch: str) -> None:
        """Delete a batch with its answers; see `BatchProvider.discard`."""
        path = f"{_PATH}/{address_part(self._service, batch)}"
        async with self._batching() as client:
            with suppress(anthropic.NotFoundError):  # it was deleted before
                await client.delete(path, cast_to=httpx2.Response)

    @asynccontextmanager
    async def _batching(
        self, model: str = "", seconds: float | None = 0.0
    ) -> AsyncIterator[anthropic.AsyncAnthropic]:
        """Connect for some seconds, as long as a request takes if 0; errors become ours."""
        most = self._service.timeout if seconds == 0.0 else seconds
        line = http_client(timeout=self._service.timeout, url=self._url)
        with sdk_errors(anthropic, AnthropicFailure, self._service, model):
            async with asyncio.timeout(most), self._sdk(line) as client:
                yield client

    async def _listed(self, since: datetime) -> list[Mapping[str, Any]]:
        """Return the batches that were made after an instant, the newest first."""
        found: list[Mapping[str, Any]] = []
        after = ""
        async with self._batching(seconds=SUBMITTING) as client:
            for _page in range(PAGES):
                query = f"?limit={PAGE}" + (f"&after_id={after}" if after else "")
                page = self._object(await client.get(_PATH + query, cast_to=httpx2.Response))
                listed = list(mappings(page.get("data")))
                for batch in listed:
                    made = _instant(batch.get("created_at"))
                    if made is not None and made < since:
                        return found
                    found.append(batch)
                if page.get("has_more") is not True or not listed:
                    return found
                after = address_part(self._service, listed[-1].get("id"))
        raise too_many(self._service)

    async def _first_id(self, batch: str) -> str:
        """Return the id in the first line of the answers; empty if there is none."""
        async with aclosing(self.collect(batch, model="")) as lines:
            async for key, _ in lines:
                return key
        return ""

    def _object(self, answer: httpx2.Response) -> Mapping[str, Any]:
        return self._service.json_object(answer.content)

    def _line(self, result: Mapping[str, Any], model: str) -> Response:
        kind = result.get("type")
        provider = self._service.provider
        if kind == "succeeded":
            return read_message(as_mapping(result.get("message")), provider=provider, asked=model)
        if kind in ("expired", "canceled"):
            raise unasked(self._service, kind)
        if kind != "errored":
            raise self._service.unreadable("a line of a batch that is neither answer nor error")
        wrong = as_mapping(result.get("error"))
        described = as_mapping(wrong.get("error")) or wrong
        failure = AnthropicFailure(
            status=_STATUS.get(as_text(described.get("type")), 500),
            headers={},
            text="",
            described=described,
        )
        if failure.is_refusal:
            return Response(
                status="refused", text="", model=model, reason="content filtering policy"
            )
        with costing_nothing():  # only what succeeded is charged for
            raise self._service.failed(failure, model)


def _written(requests: Mapping[str, Request], model: str) -> bytes:
    """Return the body of a batch. Blocks."""
    entries = [
        {"custom_id": key, "params": message_body(request, model=model)}
        for key, request in requests.items()
    ]
    return json.dumps({"requests": entries}).encode()


def _instant(value: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(as_text(value))
    except ValueError:
        return None
    return read if read.tzinfo is not None else None
