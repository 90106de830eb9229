"""What the cloud speech engines have in common: one recording out, a list of segments back.

SpeechRecognition knows these engines too, and its recognisers are not what is run here. They
follow redirects with the key in the header, read answers of any size, wait for ever where a
service drips, in a thread that nobody can stop, and tell of an error neither its status nor
how long to wait. A call is one request of a few lines, which is made here with the same care as
those of the other providers.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import httpx2
from pydantic import Field, SecretStr

from mmcrime.plugins import Capabilities, Part, PluginOptions, Provider, Request, Response
from mmcrime_providers._failures import Failure
from mmcrime_providers._http import http_client, public_url, rate_status, secrets_in
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._service import Service
from mmcrime_providers._transcript import Segment, sound_in, written

__all__ = ["OneCallEngine", "SpeechEngine", "SpeechFailure", "SpeechOptions", "takes"]

_T = TypeVar("_T")
_WAV = frozenset({"audio/wav", "audio/x-wav"})


def takes(seconds: float) -> Capabilities:
    """Return what an engine takes: sound as WAV, at most so many seconds of it at once."""
    return Capabilities(
        tasks=frozenset({"transcribe"}),
        audio=True,
        audio_formats=("audio/wav",),
        audio_seconds=seconds,
    )


@dataclass(frozen=True, kw_only=True)
class SpeechFailure(Failure):
    """An error as most of these services describe it."""

    def next_step(self, provider: str, model: str, endpoint: str) -> str:
        """Return what to do about a request that the service refused."""
        if model and self.is_unknown_model:
            return (
                "Set analyzers.speech.options.model to a model of this service; asked was "
                f"{model!r}."
            )
        if self.is_missing_route or self.status < 400:
            return f"Check the address of {provider!r}, which is {endpoint!r}."
        return f"Check language.speech and providers.{provider}: the service takes them not."


class SpeechOptions(PluginOptions):
    """What every speech engine has a use for.

    Attributes:
        api_key: The key; None for the engine's own variable, which is only sent to its maker.
        base_url: Address of a gateway or a container of one's own; None for the maker's.
        timeout: Seconds that one request may take as a whole.
    """

    api_key: SecretStr | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)


class SpeechEngine(Provider):
    """A service that only transcribes.

    Args:
        api_key: The key.
        url: Where requests go.
        timeout: Seconds that one request may take as a whole.
        model: The model that is asked when a request names none.

    Attributes:
        name: The registered name.
        variable: The environment variable that holds the key.
        domain: Servers of the maker, to which that variable may be sent.
        failure: How the service describes errors.
    """

    name: ClassVar[str]
    variable: ClassVar[str]
    domain: ClassVar[str]
    failure: ClassVar[type[Failure]] = SpeechFailure
    capabilities: ClassVar[Capabilities] = takes(60.0)

    def __init__(
        self, *, api_key: SecretStr | None, url: str, timeout: float, model: str | None = None
    ) -> None:
        host = host_of(url, provider=self.name)
        own = host == self.domain or host.endswith(f".{self.domain}")
        self._url = url
        self._key = service_key(
            api_key, provider=self.name, variable=self.variable, own=own, needed=own, url=url
        )
        self.endpoint = public_url(url).rstrip("/")
        self.model = model
        self._service = Service(
            provider=self.name,
            endpoint=self.endpoint,
            secrets=(*filter(None, self._secrets()), *secrets_in(url)),
            timeout=timeout,
        )
        self._client: httpx2.AsyncClient | None = None

    async def generate(self, request: Request) -> Response:
        """Transcribe one stretch of sound; see `Provider.generate`."""
        part = sound_in(request, provider=self.name)
        self._service.check((part,), _is_wav, next_step="Convert the sound to WAV.")
        return await self._transcribed(part, request)

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _in_time(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something within the time that one request may take.

        Raises:
            ProviderError: If it takes longer, the line breaks, or it raises one itself.
        """
        try:
            async with asyncio.timeout(self._service.timeout):
                return await work
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._service.broke(error) from error

    @abstractmethod
    async def _transcribed(self, part: Part, request: Request) -> Response:
        """Send the sound, in time, and read what comes back.

        Raises:
            ProviderError: If the service did not answer.
        """

    def _secrets(self) -> tuple[str, ...]:
        """Return the key in all forms in which it is sent."""
        return (self._key,)

    def _keyed(self, header: str, value: str) -> dict[str, str]:
        """Return the header that holds the key; none where a server of one's own needs none."""
        return {header: value} if self._key else {}

    async def _ask(self, method: str, path: str, model: str, **sent: Any) -> httpx2.Response:
        """Send one request and return its answer.

        Raises:
            ProviderError: If the service did not take it.
        """
        if self._client is None:
            self._client = http_client(timeout=self._service.timeout, url=self._url)
        answer = await self._client.request(method, f"{self.endpoint}{path}", **sent)
        if answer.status_code not in (200, 201):
            failure = self.failure.of(answer.status_code, answer.headers, answer.text)
            raise self._service.failed(failure, model)
        return answer


class OneCallEngine(SpeechEngine):
    """An engine that answers in one request. A subclass says what is sent and how it reads."""

    async def _transcribed(self, part: Part, request: Request) -> Response:
        model = self._model_for(request)
        path, sent = self._call(part, replace(request, model=model))
        answer = await self._in_time(self._ask("POST", path, model, **sent))
        body = self._service.json_object(answer.content)
        failure = self.failure.inside(body, answer.headers, answer.text)
        if failure is not None:
            raise self._service.failed(failure, model)
        return Response(
            status="answered",
            text=written(self._segments(body, part)),
            model=model or self.name,
            rate=rate_status(answer.headers),
        )

    def _model_for(self, request: Request) -> str:
        """Return the model to ask; empty where the service has but one."""
        return request.model or self.model or ""

    @abstractmethod
    def _call(self, part: Part, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Return the path, and the arguments of `httpx2.AsyncClient.request`.

        Args:
            part: The sound.
            request: What is asked; its model is empty where the service has but one.
        """

    @abstractmethod
    def _segments(self, body: Mapping[str, Any], part: Part) -> Sequence[Segment]:
        """Read an answer that holds no error; words without times fill the whole sound.

        Raises:
            InvalidResponseError: If it is no answer of this service.
        """


def _is_wav(part: Part) -> bool:
    return part.media_type in _WAV
