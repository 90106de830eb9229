"""Google Gemini for installations that still pin the end-of-life SDK ``google-generativeai``.

It does as little as a vote takes. New installations use the provider ``gemini``.
"""

from __future__ import annotations

import asyncio
import os
import re
from functools import partial
from typing import ClassVar

import httpx2
from pydantic import Field, SecretStr

from mmcrime.errors import MissingDependencyError, ProviderError
from mmcrime.plugins import Capabilities, PluginOptions, Provider, Request, Response
from mmcrime_providers._failures import Failure
from mmcrime_providers._gemini_answer import (
    AUDIO_FORMATS,
    IMAGE_FORMATS,
    VIDEO_FORMATS,
    model_in,
    read_answer,
    token_estimate,
)
from mmcrime_providers._gemini_errors import GeminiFailure
from mmcrime_providers._http import http_client, public_url, secrets_in
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._models import chosen_model
from mmcrime_providers._service import Service, off_the_loop

try:
    from mmcrime_providers._gemini_legacy_wire import Written, written
except ImportError as error:
    raise MissingDependencyError(
        "'gemini-legacy' needs the package 'google-generativeai', which holds others at old "
        "versions and wants an environment of its own.",
        pip='pip install -c constraints-gemini-legacy.txt "mmcrime[gemini-legacy]"',
    ) from error

__all__ = ["GeminiLegacyOptions", "GeminiLegacyProvider"]

_NAME = "gemini-legacy"
_VENDOR_URL = "https://generativelanguage.googleapis.com"
_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")  # the first wins, as in the SDK
_MODEL = re.compile(r"(?:(?:models|tunedModels)/)?[A-Za-z0-9][\w.-]*", re.ASCII)
_REMARK = (
    "The SDK of 'gemini-legacy' is no longer maintained. The provider 'gemini' asks the same "
    "service with its successor."
)


class GeminiLegacyOptions(PluginOptions):
    """Options of the provider ``gemini-legacy``.

    Attributes:
        api_key: The key. None for ``GEMINI_API_KEY``, else ``GOOGLE_API_KEY``, which are only
            sent to Google itself, never to another address in the configuration.
        model: Model to ask; None for the one that is suggested for ``gemini``.
        base_url: Address of a gateway, without a version; None for Google. A gateway may
            need no key.
        timeout: Seconds that one request may take as a whole.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)


class GeminiLegacyProvider(Provider):
    """Asks Gemini through version ``v1beta``; Google's former SDK writes the requests."""

    Options: ClassVar[type[PluginOptions]] = GeminiLegacyOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        images=3600,
        image_formats=IMAGE_FORMATS,
        audio=True,
        audio_formats=AUDIO_FORMATS,
        audio_seconds=8 * 3600.0,  # as for `gemini`, like the seconds of video
        video=True,
        video_formats=VIDEO_FORMATS,
        video_seconds=2700.0,
        media_bytes=14_000_000,  # 20 MB of a whole request, since nothing is uploaded before it
        # The SDK's schemas know neither bounds nor alternatives; the prompt holds the schema.
        json_schema=False,
        context_tokens=1_000_000,
        tokens=token_estimate(1.0),
    )

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        self._url = base_url or _VENDOR_URL
        vendor = host_of(self._url, provider=_NAME).endswith(".googleapis.com")
        self._key = service_key(
            api_key,
            provider=_NAME,
            variable=next((v for v in _VARIABLES if os.environ.get(v)), _VARIABLES[0]),
            own=vendor,
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
        self.model, remarks = chosen_model(_NAME, model, listed_as="gemini")
        self.remarks = (_REMARK, *remarks)
        self._client: httpx2.AsyncClient | None = None

    async def generate(self, request: Request) -> Response:
        """Answer one request; see `Provider.generate`."""
        held = self.capabilities
        taken = {*held.image_formats, *held.audio_formats, *held.video_formats}
        self._service.check(
            request.parts,
            lambda part: part.media_type in taken,
            next_step="Convert the media, or ask another provider.",
        )
        model = request.model or self.model or ""
        if not _MODEL.fullmatch(model):
            raise ProviderError(
                f"The model {model!r} cannot be asked.",
                provider=_NAME,
                next_step=f"Set providers.{_NAME}.model to a model of this service.",
            )
        write = partial(written, request, model=model, url=self.endpoint)
        answer = await self._sent(await off_the_loop(request.parts, write))
        text = answer.content.decode("utf-8", "replace")
        if answer.status_code != httpx2.codes.OK:
            failure = _LegacyFailure.of(answer.status_code, answer.headers, text)
            raise self._service.failed(failure, model)
        body = self._service.json_object(text)
        inside = _LegacyFailure.inside(body, answer.headers, text)
        if inside is not None:
            raise self._service.failed(inside, model_in(body) or model)
        return read_answer(body, provider=_NAME, asked=model)

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _sent(self, request: Written) -> httpx2.Response:
        """Send a request once and return what came back, with whatever status."""
        if self._client is None:
            self._client = http_client(url=self._url, timeout=self._service.timeout)
        headers = dict(request.headers)
        if self._key:
            headers["x-goog-api-key"] = self._key
        try:
            # The client's timeout is one of each step; an answer may drip for ever.
            async with asyncio.timeout(self._service.timeout):
                return await self._client.post(request.url, headers=headers, content=request.body)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error


class _LegacyFailure(GeminiFailure):
    """An error of ``v1beta``, so that no other version is a way out."""

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        return Failure.next_step(self, provider, model, endpoint)
