"""Hugging Face: models that look at pictures, by its router or a server of one's own.

The router and text-generation-inference speak OpenAI's protocol, so that OpenAI's SDK asks
them: the client of ``huggingface_hub`` turns a JSON schema into another, looser format.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, ClassVar

import httpx2
import openai
from pydantic import Field, SecretStr

from mmcrime.plugins import (
    Capabilities,
    Part,
    PluginOptions,
    Provider,
    Request,
    Response,
    TokenEstimate,
)
from mmcrime_providers._http import http_client, public_url, scrub_error, secrets_in
from mmcrime_providers._huggingface import HuggingFaceFailure, named_model, token_for
from mmcrime_providers._openai_client import openai_client, read_answer
from mmcrime_providers._openai_wire import chat_body, read_chat
from mmcrime_providers._service import Service, off_the_loop

__all__ = ["HuggingFaceOptions", "HuggingFaceProvider"]

_NAME = "huggingface"
_ROUTER = "https://router.huggingface.co/v1"
_EXAMPLE = "Qwen/Qwen2.5-VL-7B-Instruct"


class HuggingFaceOptions(PluginOptions):
    """Options of the provider ``huggingface``.

    Attributes:
        api_key: The token. None for ``HF_TOKEN``, which is only sent to Hugging Face itself,
            never to another address in the configuration.
        model: Model to ask, such as ``org/model``; ``org/model:provider`` says who is to serve
            it. Needed: which models are served changes too often for a suggestion.
        base_url: Address of a dedicated endpoint or of a server of one's own, with ``/v1``;
            None for the router.
        timeout: Seconds that one request may take as a whole.
        json_schema: Whether answers are bound to a JSON schema; false where whoever serves the
            model cannot, so that the schema is put in words.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)
    json_schema: bool = True


class HuggingFaceProvider(Provider):
    """Asks a model by the router of Hugging Face, or a server that it is told."""

    Options: ClassVar[type[PluginOptions]] = HuggingFaceOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        images=None,
        json_schema=True,
        # Of the usual models a square of 28 px is a token, of others up to two.
        tokens=TokenEstimate(tile=28, tile_tokens=2.0, image_tokens=100.0),
    )

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        json_schema: bool = True,
    ) -> None:
        self._url = base_url or _ROUTER
        self._key = token_for(api_key, provider=_NAME, url=self._url)
        self.endpoint = public_url(self._url)
        self.model: str = named_model(model, provider=_NAME, example=_EXAMPLE)
        self._service = Service(
            provider=_NAME,
            endpoint=self.endpoint,
            secrets=(*filter(None, (self._key,)), *secrets_in(self._url)),
            timeout=timeout,
        )
        able = type(self).capabilities
        self.capabilities = replace(able, json_schema=json_schema)  # type: ignore[misc]  # of this instance
        self._client: openai.AsyncOpenAI | None = None

    async def generate(self, request: Request) -> Response:
        """Answer one request; see `Provider.generate`."""
        self._service.check(
            request.parts, _takes, next_step="Ask a provider that takes sound or video."
        )
        try:
            # The timeout of the SDK is one of each step; an answer may drip for ever.
            async with asyncio.timeout(self._service.timeout):
                return await self._ask(request)
        except (openai.APIConnectionError, httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(self, request: Request) -> Response:
        model = request.model or self.model
        body = await off_the_loop(request.parts, lambda: self._body(request, model))
        try:
            raw = await self._opened().chat.completions.with_raw_response.create(**body)
        except openai.APIStatusError as error:
            scrub_error(error, self._service.secrets)
            answer = error.response
            failure = HuggingFaceFailure.of(error.status_code, answer.headers, answer.text)
            if failure.is_refusal:
                return Response(status="refused", text="", model=model, reason=failure.code)
            raise self._service.failed(failure, model) from error
        return read_answer(
            raw.http_response,
            service=self._service,
            asked=model,
            failures=HuggingFaceFailure,
            read=read_chat,
        )

    def _body(self, request: Request, model: str) -> dict[str, Any]:
        asked = request if self.capabilities.json_schema else replace(request, schema=None)
        return chat_body(asked, model=model, detail=None, vendor=False)

    def _opened(self) -> openai.AsyncOpenAI:
        if self._client is None:
            line = http_client(timeout=self._service.timeout, url=self._url)
            self._client = openai_client(line, url=self._url, key=self._key, own=False)
        return self._client


def _takes(part: Part) -> bool:
    return part.kind == "image"
