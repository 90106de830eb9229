"""OpenAI's batches: a file of requests goes up, and one of answers comes back."""

from __future__ import annotations

import asyncio
import json
import tempfile
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from datetime import datetime
from typing import IO, Any

import httpx2
import openai

from mmcrime.errors import ProviderError
from mmcrime.plugins import BatchProvider, BatchState, BatchStatus, Request, Response
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
from mmcrime_providers._http import http_client, scrubbed
from mmcrime_providers._json import as_mapping, as_text, count_of, mappings
from mmcrime_providers._openai_client import read_body
from mmcrime_providers._openai_errors import OpenAIFailure
from mmcrime_providers._openai_wire import read_chat, read_responses
from mmcrime_providers._service import Service

__all__ = ["OpenAIBatches"]

_STATES: Mapping[str, BatchState] = {
    "validating": "running",
    "in_progress": "running",
    "finalizing": "running",
    "cancelling": "running",
    "completed": "ended",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
}
_UNASKED = {"batch_expired": "expired", "batch_cancelled": "canceled"}
"""Codes of requests that were not worked on."""
_FILES = ("output_file_id", "error_file_id")
_LABEL = "mmcrime"
"""Under which name the label of a batch stands in what the service keeps with it."""
_UPLOAD_KEPT = 3 * 24 * 3600
"""Seconds after which the service itself deletes what was uploaded: two days past the end."""


class OpenAIBatches(BatchProvider):
    """What the provider ``openai`` does for batches."""

    _service: Service
    _url: str

    @abstractmethod
    def _sdk(self, line: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        """Return the SDK's client on a connection of its own."""

    @property
    @abstractmethod
    def _batches_chat(self) -> bool:
        """Whether a batch is one of chat completions; it is of one kind only."""

    @abstractmethod
    def _check(self, request: Request) -> None: ...

    @abstractmethod
    def _body(self, request: Request, model: str, *, chat: bool) -> dict[str, Any]: ...

    def check(self, request: Request) -> None:
        """Refuse what is not sent; see `BatchProvider.check`."""
        self._check(request)

    async def submit(self, requests: Mapping[str, Request], *, model: str, label: str) -> str:
        """Upload the requests as a file, and make a batch of it; see `BatchProvider.submit`."""
        path = "/v1/chat/completions" if self._batches_chat else "/v1/responses"
        check_requests(self._service, self.batch_limits, requests)
        for request in requests.values():
            self._check(request)
        content = await asyncio.to_thread(self._written, requests, model, path)
        with closing(content) as file, costing_nothing():
            async with self._batching(model, SUBMITTING) as client:
                uploaded = await self._uploaded(client, file, label)
        async with self._batching(model) as client:
            try:
                raw = await client.batches.with_raw_response.create(
                    completion_window="24h",
                    endpoint=path,  # type: ignore[arg-type]  # one of its words, chosen above
                    input_file_id=uploaded,
                    metadata={_LABEL: label},
                )
            except openai.APIStatusError as error:
                if error.status_code < httpx2.codes.INTERNAL_SERVER_ERROR:
                    # There is no batch, so that nobody would ever delete what was uploaded.
                    with suppress(openai.OpenAIError):
                        await client.files.with_raw_response.delete(uploaded)
                raise
            return address_part(self._service, self._object(raw.http_response).get("id"))

    async def find(
        self,
        label: str,
        *,
        since: datetime,
        requests: int,  # noqa: ARG002  # of the door
    ) -> str | None:
        """Look for the label among the newest batches; see `BatchProvider.find`."""
        after: str | None = None
        async with self._batching(seconds=SUBMITTING) as client:
            for _ in range(PAGES):
                more: dict[str, Any] = {} if after is None else {"after": after}
                raw = await client.batches.with_raw_response.list(limit=PAGE, **more)
                page = self._object(raw.http_response)
                for batch in mappings(page.get("data")):
                    if as_mapping(batch.get("metadata")).get(_LABEL) == label:
                        return address_part(self._service, batch.get("id"))
                    after = as_text(batch.get("id"))
                    made = count_of(batch, "created_at")
                    if made is not None and made < (since - SKEW).timestamp():
                        return None
                if page.get("has_more") is not True or not after:
                    return None
        raise too_many(self._service)

    async def poll(self, batch: str) -> BatchStatus:
        """Say how far a batch is; see `BatchProvider.poll`."""
        async with self._batching() as client:
            held = await self._batch(client, batch)
        state = _STATES.get(as_text(held.get("status")))
        if state is None:
            raise self._service.unreadable("a batch in no state that is known")
        counts = as_mapping(held.get("request_counts"))
        done, failed = count_of(counts, "completed"), count_of(counts, "failed")
        wrong = next(mappings(as_mapping(held.get("errors")).get("data")), {})
        return BatchStatus(
            state=state,
            total=count_of(counts, "total") or None,  # 0 until it is validated
            done=None if done is None else done + (failed or 0),
            reason=scrubbed(as_text(wrong.get("message")), self._service.secrets),
        )

    async def collect(
        self, batch: str, *, model: str
    ) -> AsyncGenerator[tuple[str, Response | ProviderError], None]:
        """Read the file of answers, then that of errors; see `BatchProvider.collect`."""
        async with self._batching(model) as client:
            held = await self._batch(client, batch)
        async with self._batching(model, None) as client:
            headers = {**client.default_headers, **client.auth_headers}
            for name in (held[key] for key in _FILES if held.get(key)):
                path = f"files/{address_part(self._service, name)}/content"
                url = str(client.base_url.join(path))
                async with results_at(
                    url, headers, service=self._service, known=self._url
                ) as answer:
                    async for one in objects_in(answer, self._service, OpenAIFailure):
                        key = as_text(one.get("custom_id"))
                        yield key, outcome(lambda one=one: self._line(one, model))  # type: ignore[misc]

    async def discard(self, batch: str) -> None:
        """Delete the files of a batch; the batch itself, which holds no media, stays."""
        async with self._batching() as client:
            held = await self._batch(client, batch)
            left: openai.APIStatusError | None = None
            for name in (held[key] for key in ("input_file_id", *_FILES) if held.get(key)):
                try:
                    await client.files.with_raw_response.delete(address_part(self._service, name))
                except openai.NotFoundError:
                    continue  # it was deleted before
                except openai.APIStatusError as error:
                    left = error
            if left is not None:
                raise left

    @asynccontextmanager
    async def _batching(
        self, model: str = "", seconds: float | None = 0.0
    ) -> AsyncIterator[openai.AsyncOpenAI]:
        """Connect for some seconds, as long as a request takes if 0; errors become ours."""
        most = self._service.timeout if seconds == 0.0 else seconds
        line = http_client(timeout=self._service.timeout, url=self._url)
        with sdk_errors(openai, OpenAIFailure, self._service, model):
            async with asyncio.timeout(most), self._sdk(line) as client:
                yield client

    def _written(self, requests: Mapping[str, Request], model: str, path: str) -> IO[bytes]:
        """Return a file without a name that holds one request a line. Blocks."""
        file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by who asked for it
        try:
            for key, request in requests.items():
                body = self._body(request, model, chat=self._batches_chat)
                line = {"custom_id": key, "method": "POST", "url": path, "body": body}
                file.write(json.dumps(line).encode() + b"\n")
            check_size(self._service, self.batch_limits, file.tell())
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    async def _uploaded(self, client: openai.AsyncOpenAI, file: IO[bytes], label: str) -> str:
        raw = await client.files.with_raw_response.create(
            file=(f"{label}.jsonl", file, "application/jsonl"),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": _UPLOAD_KEPT},
        )
        return address_part(self._service, self._object(raw.http_response).get("id"))

    async def _batch(self, client: openai.AsyncOpenAI, batch: str) -> Mapping[str, Any]:
        raw = await client.batches.with_raw_response.retrieve(address_part(self._service, batch))
        return self._object(raw.http_response)

    def _object(self, answer: httpx2.Response) -> Mapping[str, Any]:
        return self._service.json_object(answer.content)

    def _line(self, line: Mapping[str, Any], model: str) -> Response:
        """Read one line: an answer as the service would have sent it, or an error."""
        said = as_mapping(line.get("response"))
        body = as_mapping(said.get("body"))
        status = count_of(said, "status_code")
        wrong = as_mapping(line.get("error"))
        if status == httpx2.codes.OK and not line.get("error"):
            return read_body(
                body,
                headers={},
                text="",
                service=self._service,
                asked=model,
                failures=OpenAIFailure,
                read=read_chat if "choices" in body else read_responses,
            )
        why = _UNASKED.get(as_text(wrong.get("code")))
        if why is not None:
            raise unasked(self._service, why)
        if not wrong and (status is None or status < httpx2.codes.BAD_REQUEST):
            raise self._service.unreadable("a line of a batch that is neither answer nor error")
        failure = OpenAIFailure(
            status=status if status and status >= httpx2.codes.BAD_REQUEST else 500,
            headers={},
            text="",
            described=as_mapping(body.get("error")) or wrong,
        )
        if failure.is_refusal:
            return Response(status="refused", text="", model=model, reason=failure.code)
        with costing_nothing():  # only what was completed is charged for
            raise self._service.failed(failure, model)
