"""Google Gemini through the Gemini API: it takes pictures, sound and video as they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import httpx2
from google.genai import errors
from pydantic import Field, SecretStr

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime.plugins import (
    BatchLimits,
    Capabilities,
    PluginOptions,
    Request,
    Response,
)
from mmcrime_providers._batch import HALF
from mmcrime_providers._gemini_answer import (
    AUDIO_FORMATS,
    IMAGE_FORMATS,
    VIDEO_FORMATS,
    model_in,
    read_answer,
    token_estimate,
)
from mmcrime_providers._gemini_batch import GeminiBatches
from mmcrime_providers._gemini_client import GeminiClient
from mmcrime_providers._gemini_errors import GeminiFailure
from mmcrime_providers._gemini_files import Files, too_large
from mmcrime_providers._gemini_wire import Resolution, Safety, content_of, settings_of
from mmcrime_providers._http import public_url, scrub_error, secrets_in
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._models import chosen_model
from mmcrime_providers._service import Service

__all__ = ["GeminiOptions", "GeminiProvider"]

_NAME = "gemini"
_VENDOR_URL = "https://generativelanguage.googleapis.com"
_VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # the first wins, as in the SDK

# What the SDK raises where a server does not keep to the protocol of files; it warns of words
# that it does not know, which is an error in a program that takes warnings for such.
_BROKEN_PROTOCOL = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    UserWarning,
)


class GeminiOptions(PluginOptions):
    """Options of the provider ``gemini``.

    Attributes:
        api_key: The key. None for ``GOOGLE_API_KEY``, else ``GEMINI_API_KEY``, which are only
            sent to Google itself or to the address in ``GOOGLE_GEMINI_BASE_URL``, never to one
            in the configuration.
        model: Model to ask; None for the table of suggestions.
        base_url: Address of a gateway, without a version; None for
            ``GOOGLE_GEMINI_BASE_URL``, else Google. A gateway may need no key.
        timeout: Seconds that one request may take as a whole.
        upload_timeout: Seconds that uploading large media may take before that, and waiting
            until the service has processed it.
        api_version: Version of the interface; ``v1beta`` for models that are not in ``v1``,
            such as those named ``latest``. None for the SDK's own.
        safety: ``off`` turns the service's adjustable filters off for harassment, hate,
            sexual and dangerous content, which footage of an incident may show: fewer
            refusals. What cannot be adjusted stays. Read the service's terms before.
        media_resolution: How closely pictures and video are looked at; ``low`` costs less.
        video_fps: Pictures a second of a video that are looked at, and paid for; None for
            the service's own choice, which is 1.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)
    upload_timeout: float = Field(default=600.0, gt=0)
    api_version: str | None = Field(default=None, pattern=r"^v[0-9a-z]{1,20}$")
    safety: Safety = "default"
    media_resolution: Resolution = "default"
    video_fps: Annotated[float, Field(gt=0, le=24)] | None = None


class GeminiProvider(GeminiBatches):
    """Asks Gemini, with Google's own SDK."""

    Options: ClassVar[type[PluginOptions]] = GeminiOptions
    capabilities: ClassVar[Capabilities] = Capabilities(
        tasks=frozenset({"answer", "transcribe"}),
        images=3600,
        image_formats=IMAGE_FORMATS,
        audio=True,
        audio_formats=AUDIO_FORMATS,
        audio_seconds=8 * 3600.0,  # 9.5 h are taken, and would leave no room for the words
        video=True,
        video_formats=VIDEO_FORMATS,
        video_seconds=2700.0,  # with sound; an hour would fill the context
        media_bytes=2_000_000_000,  # of one file, and of all files of an account without pay
        json_schema=True,
        context_tokens=1_000_000,
        tokens=token_estimate(1.0),
    )

    # What is inside of a request may have 20 MB; a body of answers is read as a whole.
    batch_limits = BatchLimits(requests=1000, bytes=19_000_000, price=HALF)

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        upload_timeout: float = 600.0,
        api_version: str | None = None,
        safety: Safety = "default",
        media_resolution: Resolution = "default",
        video_fps: float | None = None,
    ) -> None:
        self._url = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or _VENDOR_URL
        host = host_of(self._url, provider=_NAME)
        vendor = host.endswith(".googleapis.com")
        self._key = service_key(
            api_key,
            provider=_NAME,
            variable=next((v for v in _VARIABLES if os.environ.get(v)), _VARIABLES[-1]),
            own=base_url is None or vendor,
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
        if video_fps is not None:
            held = replace(self.capabilities, video_fps=video_fps, tokens=token_estimate(video_fps))
            self.capabilities = held  # type: ignore[misc]  # of this instance
        self._upload_timeout = upload_timeout
        self._api_version = api_version
        self._safety: Safety = safety
        self._resolution: Resolution = media_resolution
        self._fps = video_fps
        self._client: GeminiClient | None = None
        self._deleting: set[asyncio.Task[None]] = set()

    async def generate(self, request: Request) -> Response:
        """Answer one request; see `Provider.generate`.

        Media above 15 MB, or 20 MB together, goes through the service's store of files, which
        takes more requests, and is deleted there whatever happens.
        """
        self._check(request)
        places = too_large(request.parts)
        if not places:
            return await self._ask(request, {})
        files = Files(self._opened(), provider=_NAME, keys=self._service.secrets)
        try:
            return await self._ask(request, await self._uploaded(files, request, places))
        finally:
            task = asyncio.create_task(files.delete())
            self._deleting.add(task)
            task.add_done_callback(self._deleting.discard)
            await asyncio.shield(task)  # who cancels once more does not leave media behind

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._deleting:
            await asyncio.wait(self._deleting)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _check(self, request: Request) -> None:
        held = self.capabilities
        taken = {*held.image_formats, *held.audio_formats, *held.video_formats}
        self._service.check(
            request.parts,
            lambda part: part.media_type in taken,
            next_step="Convert the media, or ask another provider.",
        )

    async def _ask(self, request: Request, files: Mapping[int, str]) -> Response:
        model = request.model or self.model or ""
        try:
            # The timeout of the SDK is one of each step; an answer may drip for ever.
            async with asyncio.timeout(self._service.timeout):
                answer = await self._opened().models.generate_content(
                    model=model,
                    contents=[content_of(request, files, fps=self._fps)],
                    config=settings_of(request, safety=self._safety, resolution=self._resolution),
                )
        except errors.APIError as error:
            raise self._translated(error, model) from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error
        except ValueError as error:
            # Nothing was sent: the SDK reads no answer here, and knows no such name.
            raise ProviderError(
                f"The model {model!r} cannot be asked.",
                provider=_NAME,
                next_step=f"Set providers.{_NAME}.model to a model of this service.",
            ) from error
        held = answer.sdk_http_response
        return self._read((held and held.body) or "", (held and held.headers) or {}, model)

    async def _uploaded(
        self, files: Files, request: Request, places: list[int]
    ) -> Mapping[int, str]:
        """Upload the parts at these places, and return their addresses."""
        try:
            async with asyncio.timeout(self._upload_timeout):
                return {place: await files.add(request.parts[place]) for place in places}
        except errors.APIError as error:
            raise _unbilled(self._translated(error, request.model or self.model or "")) from error
        except TimeoutError as error:
            raise UnavailableError(
                f"{_NAME} did not take and process {len(places)} large media within "
                f"{self._upload_timeout:g} s.",
                provider=_NAME,
                may_be_billed=False,
                next_step=f"Try again, or raise providers.{_NAME}.upload_timeout.",
            ) from error
        except httpx2.HTTPError as error:
            raise _unbilled(self._service.broke(error)) from error
        except _BROKEN_PROTOCOL as error:
            scrub_error(error, self._service.secrets)
            raise _unbilled(self._service.unreadable("no file to an upload")) from error

    def _read(self, text: str, headers: Mapping[str, str], model: str) -> Response:
        """Read an answer of status 200, which may hold an error or nothing at all."""
        body = self._service.json_object(text)
        failure = GeminiFailure.inside(body, headers, text)
        if failure is not None:
            raise self._service.failed(failure, model_in(body) or model)
        return read_answer(body, provider=_NAME, asked=model)

    def _opened(self) -> GeminiClient:
        if self._client is None:
            self._client = GeminiClient(
                url=self._url,
                key=self._key,
                timeout=self._service.timeout,
                api_version=self._api_version,
            )
        return self._client

    def _translated(self, error: errors.APIError, model: str) -> ProviderError:
        scrub_error(error, self._service.secrets)
        answer = error.response
        assert isinstance(answer, httpx2.Response)  # noqa: S101  # `GeminiClient` raised it
        return self._service.failed(
            GeminiFailure.of(error.code, answer.headers, answer.text), model
        )


def _unbilled(error: ProviderError) -> ProviderError:
    """Return the error of an upload, which costs nothing."""
    error.may_be_billed = False
    return error
