"""Models at Replicate: official ones, those of a community, and one's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from typing import Any, ClassVar

import httpx2
from pydantic import Field, SecretStr

from mmcrime.errors import ConfigError, ProviderError, UnavailableError
from mmcrime.plugins import Capabilities, Part, PluginOptions, Provider, Request, Response
from mmcrime_providers._http import public_url, secrets_in
from mmcrime_providers._keys import host_of, service_key
from mmcrime_providers._replicate_client import ReplicateClient, UnsuccessfulError
from mmcrime_providers._replicate_files import Files, too_large
from mmcrime_providers._replicate_inputs import ReplicateInputs, capabilities_of, known_inputs
from mmcrime_providers._replicate_run import Run, translated
from mmcrime_providers._replicate_wire import (
    input_of,
    is_nameable,
    read_prediction,
    table_name,
)
from mmcrime_providers._service import Service, off_the_loop

__all__ = ["ReplicateInputs", "ReplicateOptions", "ReplicateProvider"]

_NAME = "replicate"
_VARIABLE = "REPLICATE_API_TOKEN"
_VENDOR_URL = "https://api.replicate.com"


class ReplicateOptions(PluginOptions):
    """Options of the provider ``replicate``.

    Attributes:
        api_key: The token. None for ``REPLICATE_API_TOKEN``, which is only sent to Replicate
            itself or to the address in ``REPLICATE_BASE_URL``, never to one in the
            configuration.
        model: Model to ask, which must be named: ``owner/name`` of an official one,
            ``owner/name:version`` of any other, or a version alone.
        base_url: Address of a gateway, without ``/v1``; None for ``REPLICATE_BASE_URL``, else
            Replicate. A gateway on another host may need no token.
        timeout: Seconds that a model may take from when it begins to work. A prediction that
            takes longer is cancelled, and may be billed.
        boot_timeout: Seconds until then, in which the service may have to start a machine.
        upload_timeout: Seconds that uploading large media may take before.
        inputs: Names of the model's inputs; None for the table of models that are known:
            ``prompt``, ``system``, ``image`` or ``images`` (a list, of ``most_images``),
            ``video`` or ``videos`` (``video_fps``, ``video_seconds``), ``audio``
            (``audio_seconds``) and ``max_tokens``.
    """

    api_key: SecretStr | None = None
    model: str | None = None
    base_url: str | None = None
    timeout: float = Field(default=60.0, gt=0)
    boot_timeout: float = Field(default=300.0, gt=0)
    upload_timeout: float = Field(default=600.0, gt=0)
    inputs: ReplicateInputs | None = None


class ReplicateProvider(Provider):
    """Asks a model at Replicate, through the connection of the vendor's SDK.

    One call is one prediction. Making it is one request; looking whether it has ended takes
    more, which the service neither charges for nor counts among those that make one.
    """

    Options: ClassVar[type[PluginOptions]] = ReplicateOptions
    capabilities: ClassVar[Capabilities] = capabilities_of(
        ReplicateInputs(images="images", videos="videos", video_fps=1.0, audio="audio")
    )

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        model: str | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        boot_timeout: float = 300.0,
        upload_timeout: float = 600.0,
        inputs: ReplicateInputs | None = None,
    ) -> None:
        self._url = base_url or os.environ.get("REPLICATE_BASE_URL") or _VENDOR_URL
        host = host_of(self._url, provider=_NAME)
        vendor = host == "api.replicate.com"
        self._key = service_key(
            api_key,
            provider=_NAME,
            variable=_VARIABLE,
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
        self.model = _named(model)
        self._given = inputs
        known = inputs or known_inputs().get(table_name(self.model))
        if known is None:
            raise ConfigError(
                f"It is not known which inputs the model {self.model!r} has.",
                next_step=f"Set providers.{_NAME}.inputs to what its page lists, such as "
                '{"prompt": "prompt", "image": "image"}; known are '
                f"{', '.join(known_inputs())}.",
            )
        self.capabilities = capabilities_of(known)  # type: ignore[misc]  # of this instance
        self._boot_timeout = boot_timeout
        self._upload_timeout = upload_timeout
        self._client: ReplicateClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def generate(self, request: Request) -> Response:
        """Answer one request; see `Provider.generate`.

        Media above 256 kB, or 1 MB together, goes through the service's store of files, which
        takes more requests, and is deleted there whatever happens.
        """
        model = request.model or self.model or ""
        inputs = self._inputs_of(model)
        self._check(request, inputs)
        places = too_large(request.parts)
        if not places:
            return await self._ask(request, model, inputs, {})
        files = Files(self._opened(), self._service)
        try:
            urls = await self._uploaded(files, request, places)
            return await self._ask(request, model, inputs, urls)
        finally:
            await self._aside(files.delete())

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(
        self, request: Request, model: str, inputs: ReplicateInputs, files: Mapping[int, str]
    ) -> Response:
        body = await off_the_loop(request.parts, lambda: input_of(request, inputs, files))
        run = Run(
            client=self._opened(),
            service=self._service,
            boot_timeout=self._boot_timeout,
            model=model,
            aside=self._aside,
        )
        return read_prediction(
            await run.ended(body),
            self._service,
            asked=model,
            most_tokens=request.max_output_tokens if inputs.max_tokens else None,
        )

    async def _uploaded(
        self, files: Files, request: Request, places: list[int]
    ) -> Mapping[int, str]:
        """Upload the parts at these places, and return their addresses."""
        try:
            async with asyncio.timeout(self._upload_timeout):
                return await files.add(request.parts, places)
        except UnsuccessfulError as error:
            raise _unbilled(translated(error, self._service, self.model or "")) from error
        except TimeoutError as error:
            raise UnavailableError(
                f"{_NAME} did not take {len(places)} large media within "
                f"{self._upload_timeout:g} s.",
                provider=_NAME,
                may_be_billed=False,
                next_step=f"Try again, or raise providers.{_NAME}.upload_timeout.",
            ) from error
        except httpx2.HTTPError as error:
            raise _unbilled(self._service.broke(error)) from error
        except ProviderError as error:
            raise _unbilled(error) from error.__cause__

    async def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something to its end: who cancels once more does not stop it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    def _inputs_of(self, model: str) -> ReplicateInputs:
        inputs = self._given or known_inputs().get(table_name(model))
        if inputs is None or not is_nameable(model):
            raise ProviderError(
                f"The model {model!r} cannot be asked: its inputs are not known.",
                provider=_NAME,
                next_step=f"Set providers.{_NAME}.inputs, or ask one of the known models.",
            )
        return inputs

    def _check(self, request: Request, inputs: ReplicateInputs) -> None:
        """Raise ProviderError for media that the model has no input for."""
        held = self.capabilities
        formats = {*held.image_formats, *held.audio_formats, *held.video_formats}
        counts: dict[str, int] = {}

        def takes(part: Part) -> bool:
            name, most = inputs.place_of(part)
            if name is None or part.media_type not in formats:
                return False
            counts[name] = counts.get(name, 0) + 1
            return most is None or counts[name] <= most

        self._service.check(
            request.parts,
            takes,
            next_step=f"Send less, or set providers.{_NAME}.inputs to what the model takes.",
        )

    def _opened(self) -> ReplicateClient:
        if self._client is None:
            self._client = ReplicateClient(
                url=self._url, key=self._key, timeout=self._service.timeout
            )
        return self._client


def _named(model: str | None) -> str:
    """Return the model of the configuration.

    Raises:
        ConfigError: If there is none, or it is no name of one.
    """
    if not model:
        raise ConfigError(
            f"No model is named for {_NAME!r}.",
            next_step=f"Set providers.{_NAME}.model, such as to 'google/gemini-3-flash'.",
        )
    if not is_nameable(model):
        raise ConfigError(
            f"{model!r} is no name of a model at {_NAME}.",
            next_step=f"Set providers.{_NAME}.model to 'owner/name' or 'owner/name:version'.",
        )
    return model


def _unbilled(error: ProviderError) -> ProviderError:
    """Return the error of an upload, which costs nothing."""
    error.may_be_billed = False
    return error
