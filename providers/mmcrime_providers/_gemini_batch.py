"""Gemini's batches: the requests go in one piece, and so do the answers come."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2

from mmcrime.errors import ProviderError
from mmcrime.plugins import BatchProvider, BatchState, BatchStatus, Request, Response
from mmcrime_providers._batch import (
    PAGE,
    PAGES,
    SUBMITTING,
    address_part,
    check_requests,
    check_size,
    costing_nothing,
    outcome,
    too_many,
)
from mmcrime_providers._gemini_answer import read_answer
from mmcrime_providers._gemini_errors import GeminiFailure
from mmcrime_providers._gemini_wire import Resolution, Safety, batch_body
from mmcrime_providers._http import http_client, scrubbed
from mmcrime_providers._json import as_mapping, as_text, mappings
from mmcrime_providers._service import Service

__all__ = ["GeminiBatches"]

_VERSION = "v1beta"  # where there are batches
_MOST_ANSWERS = 256 * 1024 * 1024
"""Bytes of the answers of a batch, which the service sends twice in one body."""
_ID = "custom_id"
"""Under which name the id of a request stands beside it and beside its answer."""
_DIGITS = 12  # fewer of them than in any count that can be
_STATES: Mapping[str, BatchState] = {
    "UNSPECIFIED": "running",
    "PENDING": "running",
    "RUNNING": "running",
    "SUCCEEDED": "ended",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
"""By what follows ``BATCH_STATE_``, or ``JOB_STATE_`` as the vendor's guides have it."""
_STATUS = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 14: 503, 16: 401}
"""What the numbers of errors of RPC would come with; all others with 500."""


class GeminiBatches(BatchProvider):
    """What the provider ``gemini`` does for batches.

    Asked directly: the SDK reads answers strictly, and real ones break its types.
    """

    _service: Service
    _url: str
    _key: str
    _api_version: str | None
    _safety: Safety
    _resolution: Resolution
    _fps: float | None

    @abstractmethod
    def _check(self, request: Request) -> None: ...

    def check(self, request: Request) -> None:
        """Refuse what is not sent; see `BatchProvider.check`."""
        self._check(request)

    async def submit(self, requests: Mapping[str, Request], *, model: str, label: str) -> str:
        """Send all requests in one piece; see `BatchProvider.submit`."""
        check_requests(self._service, self.batch_limits, requests)
        for request in requests.values():
            self._check(request)
        name = address_part(self._service, model.removeprefix("models/"))
        content = await asyncio.to_thread(self._written, requests, name, label)
        check_size(self._service, self.batch_limits, len(content))
        async with self._batching(name, SUBMITTING) as ask:
            made = await ask("POST", f"models/{name}:batchGenerateContent", content=content)
        return self._batch_name(made)

    async def find(
        self,
        label: str,
        *,
        since: datetime,  # noqa: ARG002  # of the door
        requests: int,  # noqa: ARG002  # of the door
    ) -> str | None:
        """Look for the name among the newest batches; see `BatchProvider.find`."""
        query = {"pageSize": str(PAGE)}
        async with self._batching() as ask:
            for _ in range(PAGES):
                page = await ask("GET", "batches", params=query)
                for one in mappings(page.get("operations")):
                    if as_mapping(one.get("metadata")).get("displayName") == label:
                        return self._batch_name(one)
                query["pageToken"] = as_text(page.get("nextPageToken"))
                if not query["pageToken"]:
                    return None
        raise too_many(self._service)

    async def poll(self, batch: str) -> BatchStatus:
        """Say how far a batch is; see `BatchProvider.poll`."""
        async with self._batching() as ask:
            held = await ask("GET", f"batches/{address_part(self._service, batch)}")
        told = as_mapping(held.get("metadata"))
        wrong = as_mapping(held.get("error"))
        word = as_text(told.get("state")).rpartition("_STATE_")[2]
        state = "failed" if wrong else _STATES.get(word)
        if state is None:
            raise self._service.unreadable("a batch in no state that is known")
        stats = as_mapping(told.get("batchStats"))
        total, left = _count(stats, "requestCount"), _count(stats, "pendingRequestCount")
        return BatchStatus(
            state=state,
            total=total,
            done=None if total is None else total - (left or 0),
            reason=scrubbed(as_text(wrong.get("message")), self._service.secrets),
        )

    async def collect(
        self, batch: str, *, model: str
    ) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """Read the answers, which are inside of the batch; see `BatchProvider.collect`."""
        async with self._batching(model) as ask:
            held = await ask("GET", f"batches/{address_part(self._service, batch)}")
        output = as_mapping(held.get("response")) or as_mapping(
            as_mapping(held.get("metadata")).get("output")
        )
        for one in mappings(as_mapping(output.get("inlinedResponses")).get("inlinedResponses")):
            key = as_text(as_mapping(one.get("metadata")).get(_ID))
            yield key, outcome(lambda one=one: self._line(one, model))  # type: ignore[misc]

    async def discard(self, batch: str) -> None:
        """Delete a batch with its answers; see `BatchProvider.discard`."""
        async with self._batching() as ask:
            await ask("DELETE", f"batches/{address_part(self._service, batch)}", gone=True)

    @asynccontextmanager
    async def _batching(
        self, model: str = "", seconds: float | None = None
    ) -> AsyncIterator[Callable[..., Awaitable[Mapping[str, Any]]]]:
        """Connect anew, since answers may be larger than others; errors become ours."""
        line = http_client(timeout=self._service.timeout, url=self._url, most=_MOST_ANSWERS)
        root = f"{self._service.endpoint.rstrip('/')}/{self._api_version or _VERSION}/"
        headers = {"content-type": "application/json"}
        if self._key:
            headers["x-goog-api-key"] = self._key

        async def ask(
            method: str, path: str, *, gone: bool = False, **given: Any
        ) -> Mapping[str, Any]:
            async with asyncio.timeout(seconds or self._service.timeout):
                answer = await line.request(method, root + path, headers=headers, **given)
            if gone and answer.status_code == httpx2.codes.NOT_FOUND:
                return {}  # it was deleted before
            if answer.status_code != httpx2.codes.OK:
                failure = GeminiFailure.of(answer.status_code, answer.headers, answer.text)
                raise self._service.failed(failure, model)
            return await asyncio.to_thread(self._service.json_object, answer.content)

        try:
            async with line:
                yield ask
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error

    def _written(self, requests: Mapping[str, Request], model: str, label: str) -> bytes:
        """Return the body of a batch. Blocks."""
        entries = [
            {
                "request": batch_body(
                    request, safety=self._safety, resolution=self._resolution, fps=self._fps
                ),
                "metadata": {_ID: key},
            }
            for key, request in requests.items()
        ]
        held = {"requests": {"requests": entries}}
        batch = {"displayName": label, "model": f"models/{model}", "inputConfig": held}
        return json.dumps({"batch": batch}).encode()

    def _batch_name(self, batch: Mapping[str, Any]) -> str:
        name = as_text(batch.get("name")).removeprefix("batches/")
        return address_part(self._service, name)

    def _line(self, held: Mapping[str, Any], model: str) -> Response:
        wrong = as_mapping(held.get("error"))
        if not held.get("error"):
            body = as_mapping(held.get("response"))
            return read_answer(body, provider=self._service.provider, asked=model)
        code = wrong.get("code")
        status = _STATUS.get(code, 500) if isinstance(code, int) else 500
        failure = GeminiFailure(status=status, headers={}, text="", described=wrong)
        with costing_nothing():  # only what was answered is charged for
            raise self._service.failed(failure, model)


def _count(counts: Mapping[str, Any], name: str) -> int | None:
    """Return a count that is written as a text, as whole numbers of 64 bits are."""
    text = as_text(counts.get(name))
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None
