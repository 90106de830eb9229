"""Hugging Face's tasks of classification: one picture or sound in, the model's labels out.

A POST by httpx2 is all that they take. The client of ``huggingface_hub`` sends the token that
is stored in the home to whatever address it is given, looks the model up and its callers'
tools at the hub before it asks, writes into the home, follows redirects and reads answers of
any size.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import ClassVar, Literal
from urllib.parse import quote

import httpx2
from pydantic import Field, SecretStr

from mmcrime.errors import ProviderError
from mmcrime.plugins import (
    MOST_LABELS,
    Capabilities,
    PluginOptions,
    Provider,
    Request,
    Response,
    read_labels,
)
from mmcrime_providers._http import http_client, public_url, rate_status, secrets_in
from mmcrime_providers._huggingface import (
    HuggingFaceFailure,
    RoutedFailure,
    named_model,
    token_for,
)
from mmcrime_providers._json import no_answer
from mmcrime_providers._service import Service, off_the_loop

__all__ = ["HuggingFaceLabelsOptions", "HuggingFaceLabelsProvider"]

_NAME = "huggingface-labels"
_ROUTE = "/hf-inference"
_ROUTER = f"https://router.huggingface.co{_ROUTE}"
_EXAMPLE = "google/vit-base-patch16-224"
_PICTURES = Capabilities(tasks=frozenset({"label"}), images=1)
# Sound is small enough to go without the losses of MP3, which a classifier may hear.
_SOUND = Capabilities(tasks=frozenset({"label"}), audio=True, audio_formats=("audio/wav",))


class HuggingFaceLabelsOptions(PluginOptions):
    """Options of the provider ``huggingface-labels``.

    Attributes:
        api_key: The token. None for ``HF_TOKEN``, which is only sent to Hugging Face itself,
            never to another address in the configuration.
        model: Model of image or audio classification, such as ``org/model``. Needed.
        base_url: Address of a dedicated endpoint, which serves this one model; None for the
            router. One that ends in ``/hf-inference`` is that of a gateway to the router, and
            the model's name is added to it.
        timeout: Seconds that one request may take as a whole.
        modality: What the model takes: ``image`` or ``audio``.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)
    modality: Literal["image", "audio"] = "image"


class HuggingFaceLabelsProvider(Provider):
    """Has one picture or one stretch of sound sorted into the classes of a model."""

    Options: ClassVar[type[PluginOptions]] = HuggingFaceLabelsOptions
    capabilities: ClassVar[Capabilities] = _PICTURES

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        modality: Literal["image", "audio"] = "image",
    ) -> None:
        self._url = base_url or _ROUTER
        self._key = token_for(api_key, provider=_NAME, url=self._url)
        self.endpoint = public_url(self._url).rstrip("/")
        self.model: str = named_model(model, provider=_NAME, example=_EXAMPLE)
        self._service = Service(
            provider=_NAME,
            endpoint=self.endpoint,
            secrets=(*filter(None, (self._key,)), *secrets_in(self._url)),
            timeout=timeout,
        )
        self._modality = modality
        if modality == "audio":
            self.capabilities = _SOUND  # type: ignore[misc]  # of this instance
        self._routed = self.endpoint.endswith(_ROUTE)
        self._client: httpx2.AsyncClient | None = None

    async def generate(self, request: Request) -> Response:
        """Label what the request holds; see `Provider.generate`.

        Raises:
            ProviderError: If it asks for anything but the labels of one picture or sound, as
                the model takes it, or if the service did not answer.
        """
        if request.task != "label" or [part.kind for part in request.parts] != [self._modality]:
            raise ProviderError(
                f"{_NAME!r} labels one part of type {self._modality!r} in a request, and does "
                "nothing else.",
                provider=_NAME,
                next_step=f"Set providers.{_NAME}.modality to what the model takes, or ask "
                "another provider.",
            )
        try:
            async with asyncio.timeout(self._service.timeout):
                return await self._ask(request)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, request: Request) -> Response:
        # An endpoint of one's own serves one model, whatever a request names.
        model = (request.model if self._routed else None) or self.model
        body = await off_the_loop(request.parts, lambda: _body(request.parts[0].data))
        answer = await self._opened().post(self._address(model), content=body)
        if answer.status_code != httpx2.codes.OK:
            failures = RoutedFailure if self._routed else HuggingFaceFailure
            failure = failures.of(answer.status_code, answer.headers, answer.text)
            raise self._service.failed(failure, model)
        try:
            scores = read_labels(answer.content)
        except ValueError as error:
            raise no_answer(_NAME, str(error)) from None
        text = json.dumps([{"label": label, "score": score} for label, score in scores.items()])
        return Response(status="answered", text=text, model=model, rate=rate_status(answer.headers))

    def _address(self, model: str) -> str:
        return f"{self.endpoint}/models/{quote(model)}" if self._routed else self.endpoint

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = http_client(timeout=self._service.timeout, url=self._url)
            told = {"content-type": "application/json", "accept": "application/json"}
            key = {"authorization": f"Bearer {self._key}"} if self._key else {}
            self._client.headers.update(told | key)
        return self._client


def _body(data: bytes) -> bytes:
    """Return what is sent: all labels are asked for, where the service's own default is five.

    A label that did not come could otherwise be one that scored low, or one that the model
    does not have.
    """
    media = base64.b64encode(data).decode("ascii")
    return json.dumps({"inputs": media, "parameters": {"top_k": MOST_LABELS}}).encode()
