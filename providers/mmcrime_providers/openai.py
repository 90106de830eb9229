"""OpenAI, and every service that speaks its protocol: Ollama, vLLM, llama.cpp, OpenRouter ...

It transcribes as well: with OpenAI's own models, or with Whisper on a server that has the
endpoint, such as Groq's.

Of Azure, the address of version 1 (``https://NAME.openai.azure.com/openai/v1/``) works as
``base_url``; its older addresses, with a version in the query, do not.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import httpx2
import openai
from pydantic import Field, SecretStr

from mmcrime.errors import ConfigError, ProviderError
from mmcrime.plugins import (
    BatchLimits,
    Capabilities,
    Part,
    PluginOptions,
    Request,
    Response,
    TokenEstimate,
)
from mmcrime_providers._batch import HALF
from mmcrime_providers._http import http_client, public_url, scrub_error, secrets_in
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._models import chosen_model
from mmcrime_providers._openai_batch import OpenAIBatches
from mmcrime_providers._openai_client import openai_client, read_answer
from mmcrime_providers._openai_errors import OpenAIFailure
from mmcrime_providers._openai_speech import SPEECH_MODEL, read_transcript, transcription_form
from mmcrime_providers._openai_wire import (
    AUDIO_FORMATS,
    Detail,
    chat_body,
    read_chat,
    read_responses,
    responses_body,
)
from mmcrime_providers._service import Service, off_the_loop

__all__ = ["OpenAIOptions", "OpenAIProvider"]

_NAME = "openai"
_VARIABLE = "OPENAI_API_KEY"
_VENDOR_URL = "https://api.openai.com/v1"
_VENDOR = Capabilities(
    tasks=frozenset({"answer", "transcribe"}),
    images=1500,
    image_pixels=30_000 * 32 * 32 - 1_000_000,  # 30,000 squares of 32 px, and room for the rims
    image_formats=("image/jpeg", "image/png", "image/webp"),
    media_bytes=512_000_000 // 4 * 3 - 1_000_000,  # 512 MB with base64, and room for the words
    json_schema=True,
    speech_model=SPEECH_MODEL,
    context_tokens=272_000,  # above it the current models cost twice as much
    # A square of 32 px is one token of large models, and 2.46 of the smallest ones.
    tokens=TokenEstimate(tile=32, tile_tokens=2.5, image_tokens=100.0, audio_per_second=20.0),
)
_COMPATIBLE = replace(
    _VENDOR,
    images=None,
    image_pixels=None,
    image_formats=("image/jpeg", "image/png"),
    media_bytes=None,
    speech_model=None,
    context_tokens=None,
)


class OpenAIOptions(PluginOptions):
    """Options of the provider ``openai``.

    Attributes:
        api_key: The key. None for ``OPENAI_API_KEY``, which is only sent to OpenAI itself or
            to the address in ``OPENAI_BASE_URL``, never to one in the configuration.
        model: Model to ask; None for the table of suggestions, which is of OpenAI's own.
        base_url: Address of the service; None for ``OPENAI_BASE_URL``, else OpenAI. One that is
            not OpenAI's is sent nothing of ``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID`` and
            ``OPENAI_CUSTOM_HEADERS``.
        timeout: Seconds that one request may take as a whole.
        api: ``responses`` or ``chat``; ``auto`` turns to chat completions where a server
            of another maker has no Responses API, which takes a further attempt once.
        detail: How closely pictures are looked at; ``low`` costs less.
        audio: Whether the model takes sound, as the gpt-audio models do. Sound goes through
            chat completions.
        organization: Whose account it is, where a key belongs to several.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)
    api: Literal["auto", "responses", "chat"] = "auto"
    detail: Detail = "auto"
    audio: bool = False
    organization: str | None = None


class OpenAIProvider(OpenAIBatches):
    """Asks OpenAI, or a service that speaks its protocol, with OpenAI's own SDK."""

    Options: ClassVar[type[PluginOptions]] = OpenAIOptions
    capabilities: ClassVar[Capabilities] = _VENDOR

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        api: Literal["auto", "responses", "chat"] = "auto",
        detail: Detail = "auto",
        audio: bool = False,
        organization: str | None = None,
    ) -> None:
        self._url = base_url or os.environ.get("OPENAI_BASE_URL") or _VENDOR_URL
        host = host_of(self._url, provider=_NAME)
        vendor = host == "api.openai.com" or host.endswith(".api.openai.com")
        self._hosted = vendor or host.endswith(".azure.com")
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
        if vendor:
            self.model, self.remarks = chosen_model(_NAME, model)
        elif model is None:
            raise ConfigError(
                f"No model is named for the server at {self.endpoint!r}.",
                next_step=f"Set providers.{_NAME}.model to one that this server has.",
            )
        else:
            self.model = model
        held = _VENDOR if vendor else _COMPATIBLE
        self.capabilities = replace(held, audio=audio)  # type: ignore[misc]  # of this instance
        # What servers of other makers charge for a batch, nobody has said.
        self.batch_limits = BatchLimits(
            requests=50_000, bytes=200_000_000, price=HALF if self._hosted else 1.0
        )
        self._chat_only = api == "chat"
        self._may_turn = api == "auto" and not vendor
        self._detail: Detail = detail
        self._organization = organization
        self._client: openai.AsyncOpenAI | None = None

    async def generate(self, request: Request) -> Response:
        """Answer one request, or transcribe; see `Provider.generate`."""
        self._check(request)
        chat = self._chat_only or any(part.kind == "audio" for part in request.parts)
        try:
            # The timeout of the SDK is one of each step; an answer may drip for ever.
            async with asyncio.timeout(self._service.timeout):
                return await self._ask(request, chat=chat)
        except (openai.APIConnectionError, httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(self, request: Request, *, chat: bool) -> Response:
        speech = request.task == "transcribe"
        named = request.model or (self.capabilities.speech_model if speech else None)
        model = named or self.model or ""
        try:
            answer = await self._send(request, model, chat=chat)
        except openai.APIStatusError as error:
            scrub_error(error, self._service.secrets)
            held = error.response
            failure = OpenAIFailure.of(error.status_code, held.headers, held.text)
            if failure.is_missing_route and self._may_turn and not chat:
                raise self._no_route() from error
            if failure.is_refusal:
                return Response(status="refused", text="", model=model, reason=failure.code)
            failed = self._service.failed(failure, model)
            if speech and failure.is_unknown_model:
                failed.next_step = (
                    "Set analyzers.speech.options.model to a model that transcribes; asked was "
                    f"{model!r}."
                )
            raise failed from error
        return self._read(answer, request, model, chat=chat)

    async def _send(self, request: Request, model: str, *, chat: bool) -> httpx2.Response:
        client = self._opened()
        raw: Any  # each method of the SDK wraps its own type; all hold the answer as it came
        if request.task == "transcribe":
            form = transcription_form(request, model=model, provider=_NAME)
            raw = await client.audio.transcriptions.with_raw_response.create(**form)
        else:
            body = await off_the_loop(request.parts, lambda: self._body(request, model, chat=chat))
            if chat:
                raw = await client.chat.completions.with_raw_response.create(**body)
            else:
                raw = await client.responses.with_raw_response.create(**body)
        answer: httpx2.Response = raw.http_response
        return answer

    def _no_route(self) -> ProviderError:
        """Turn to chat completions; the next attempt, which is announced like any, uses them."""
        self._chat_only = True
        return ProviderError(
            f"The server at {self.endpoint!r} has no Responses API; from now on it is asked by "
            "chat completions.",
            provider=_NAME,
            retryable=True,
            retry_after=0.0,
            next_step=f"Set providers.{_NAME}.api to 'chat', which saves the first attempt.",
        )

    def _body(self, request: Request, model: str, *, chat: bool) -> dict[str, Any]:
        if chat:
            return chat_body(request, model=model, detail=self._detail, vendor=self._hosted)
        return responses_body(request, model=model, detail=self._detail)

    def _read(
        self, answer: httpx2.Response, request: Request, model: str, *, chat: bool
    ) -> Response:
        read: Callable[..., Response] = read_chat if chat else read_responses
        if request.task == "transcribe":
            read = partial(read_transcript, request=request)
        return read_answer(
            answer, service=self._service, asked=model, failures=OpenAIFailure, read=read
        )

    def _opened(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = self._sdk(http_client(timeout=self._service.timeout, url=self._url))
        return self._client

    def _sdk(self, line: httpx2.AsyncClient) -> openai.AsyncOpenAI:
        return openai_client(
            line, url=self._url, key=self._key, own=self._own, organization=self._organization
        )

    @property
    def _batches_chat(self) -> bool:
        return self._chat_only or self.capabilities.audio

    def _check(self, request: Request) -> None:
        speech = request.task == "transcribe"
        self._service.check(
            request.parts,
            _is_sound if speech else self._takes,
            next_step="Convert the sound to WAV or MP3."
            if speech
            else f"Set providers.{_NAME}.audio for a model that takes WAV and MP3.",
        )

    def _takes(self, part: Part) -> bool:
        sound = self.capabilities.audio and part.media_type in AUDIO_FORMATS
        return part.kind == "image" or sound


def _is_sound(part: Part) -> bool:
    return part.media_type in AUDIO_FORMATS
