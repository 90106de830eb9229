"""Anthropic's Claude, through the vendor's SDK."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import ClassVar

import anthropic
import httpx2
from pydantic import Field, SecretStr

from mmcrime.plugins import (
    BatchLimits,
    Capabilities,
    PluginOptions,
    Request,
    Response,
    TokenEstimate,
)
from mmcrime_providers._anthropic_batch import AnthropicBatches
from mmcrime_providers._anthropic_errors import AnthropicFailure
from mmcrime_providers._anthropic_wire import IMAGE_FORMATS, message_body, read_message
from mmcrime_providers._batch import HALF
from mmcrime_providers._http import http_client, public_url, rate_status, scrub_error, secrets_in
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._models import chosen_model
from mmcrime_providers._service import Service, off_the_loop

__all__ = ["AnthropicOptions", "AnthropicProvider"]

_NAME = "anthropic"
_VARIABLE = "ANTHROPIC_API_KEY"
_VENDOR_URL = "https://api.anthropic.com"


class AnthropicOptions(PluginOptions):
    """Options of the provider ``anthropic``.

    Attributes:
        api_key: The key. None for ``ANTHROPIC_API_KEY``, which is only sent to Anthropic
            itself or to the address in ``ANTHROPIC_BASE_URL``, never to one in the
            configuration.
        model: Model to ask; None for the table of suggestions.
        base_url: Address of a gateway, without ``/v1``; None for ``ANTHROPIC_BASE_URL``, else
            Anthropic. A gateway on another host may need no key, and one that is configured
            here is sent nothing of ``ANTHROPIC_CUSTOM_HEADERS``.
        timeout: Seconds that one request may take as a whole.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)


class AnthropicProvider(AnthropicBatches):
    """Asks Claude, with the vendor's own SDK. It sees pictures and hears nothing."""

    Options: ClassVar[type[PluginOptions]] = AnthropicOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        # Of several limits, those that hold for every model and any number of pictures: up to
        # 20 may have 8,000 px a side, but no model looks at more than 2,576; and newer models
        # take 600, of which 32 MB hold few that large.
        images=100,
        image_side=2000,
        image_bytes=10_000_000 // 4 * 3,  # 10 MB with base64
        image_formats=("image/jpeg", "image/png", "image/webp"),
        media_bytes=32_000_000 // 4 * 3 - 1_000_000,  # 32 MB with base64, and room for the words
        json_schema=True,
        context_tokens=200_000,  # of the smallest model in use; others take a million
        # Pictures are counted in squares of 28 px by newer models and as a 750th of their
        # pixels by older ones, of which 1.05 a square is no less; none is more than 4,784
        # squares once the service has made it smaller. The newest way to count words gives a
        # third more tokens than the one before it, and a schema brings words of its own.
        tokens=TokenEstimate(
            bytes_per_token=2.0, tile=28, tile_tokens=1.05, image_tokens=8.0, image_most=4800
        ),
    )

    # Of 100,000 and 256 MB as much as is well held in memory: it goes in one piece.
    batch_limits = BatchLimits(requests=10_000, bytes=64_000_000, price=HALF)

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._url = base_url or os.environ.get("ANTHROPIC_BASE_URL") or _VENDOR_URL
        host = host_of(self._url, provider=_NAME)
        vendor = host == "api.anthropic.com" or host.endswith(".anthropic.com")
        self._own = base_url is None or vendor
        self._key = service_key(
            api_key,
            provider=_NAME,
            variable=_VARIABLE,
            own=self._own,
            needed=vendor,
            url=self._url,
        )
        self.endpoint = public_url(self._url)
        self._service = Service(
            provider=_NAME,
            endpoint=self.endpoint,
            secrets=(*filter(None, (self._key,)), *secrets_in(self._url)),
            timeout=timeout,
        )
        self.model, self.remarks = chosen_model(_NAME, model)
        self._client: anthropic.AsyncAnthropic | None = None

    async def generate(self, request: Request) -> Response:
        """Answer one request; see `Provider.generate`."""
        self._check(request)
        model = request.model or self.model or ""
        try:
            # The timeout of the SDK is one of each step; an answer may drip for ever.
            async with asyncio.timeout(self._service.timeout):
                body = await off_the_loop(request.parts, lambda: message_body(request, model=model))
                # Not `messages.create`, which warns of models that will be switched off, and in
                # a program that takes warnings for errors would ask none of them.
                answer = await self._opened().post(
                    "/v1/messages", cast_to=httpx2.Response, body=body
                )
        except anthropic.APIStatusError as error:
            scrub_error(error, self._service.secrets)
            refused = error.response
            failure = AnthropicFailure.of(error.status_code, refused.headers, refused.text)
            if failure.is_refusal:
                return Response(
                    status="refused", text="", model=model, reason="content filtering policy"
                )
            raise self._service.failed(failure, model) from error
        except (anthropic.APIConnectionError, httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error
        return self._read(answer, model)

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _read(self, answer: httpx2.Response, model: str) -> Response:
        body = self._service.json_object(answer.content)
        response = read_message(body, provider=_NAME, asked=model)
        return replace(response, rate=rate_status(answer.headers))

    def _check(self, request: Request) -> None:
        self._service.check(
            request.parts,
            lambda part: part.media_type in IMAGE_FORMATS,
            next_step=f"Send one of {', '.join(sorted(IMAGE_FORMATS))}, or words.",
        )

    def _opened(self) -> anthropic.AsyncAnthropic:
        if self._client is None:
            self._client = self._sdk(http_client(timeout=self._service.timeout, url=self._url))
        return self._client

    def _sdk(self, line: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
        """Return the SDK's client on a connection."""
        client = anthropic.AsyncAnthropic(
            api_key=self._key or "unused",  # the SDK wants one, gateways may not
            base_url=self.endpoint,
            max_retries=0,
            timeout=line.timeout,  # said aloud: as one number it would be that of each step
            http_client=line,
        )
        if not self._own:
            # What a variable adds for Anthropic is no business of another address.
            client._custom_headers = {}  # noqa: SLF001  # there is no other way
        return client
