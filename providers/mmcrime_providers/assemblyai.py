"""AssemblyAI: sound is uploaded, transcribed in its turn, fetched and deleted there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import httpx2
from pydantic import SecretStr

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime.plugins import Part, PluginOptions, Request, Response
from mmcrime_providers._http import scrubbed
from mmcrime_providers._json import as_text, mappings, no_answer
from mmcrime_providers._speech_engine import SpeechEngine, SpeechOptions
from mmcrime_providers._transcript import (
    Segment,
    phrases,
    primary_language,
    seconds_in,
    written,
)

__all__ = ["AssemblyAIProvider"]

_POLL = 1.0  # seconds between two looks whether it is done; half a minute of sound takes some
_FORGET = 10.0  # seconds that deleting may take
_MILLISECOND = 1e-3
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class AssemblyAIOptions(SpeechOptions):
    """Options of the provider ``assemblyai``.

    Attributes:
        base_url: ``https://api.eu.assemblyai.com`` keeps the sound in Europe.
        model: Model that transcribes; it is asked first, and ``universal-2`` where it does
            not know the language.
    """

    model: str = "universal-3-pro"


class AssemblyAIProvider(SpeechEngine):
    """Asks AssemblyAI. What was sent and what was heard is deleted there, whatever happens."""

    name = "assemblyai"
    variable = "ASSEMBLYAI_API_KEY"
    domain = "assemblyai.com"
    Options: ClassVar[type[PluginOptions]] = AssemblyAIOptions

    def __init__(
        self,
        *,
        api_key: SecretStr | None = None,
        base_url: str | None = None,
        timeout: float = 60.0,
        model: str = "universal-3-pro",
    ) -> None:
        url = base_url or f"https://api.{self.domain}"
        super().__init__(api_key=api_key, url=url, timeout=timeout, model=model)
        self._deleting: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._deleting:
            await asyncio.wait(self._deleting)
        await super().aclose()

    async def _transcribed(self, part: Part, request: Request) -> Response:
        model = request.model or self.model or ""
        stored = await self._json("POST", "/v2/upload", model, content=part.data)
        order = {
            "audio_url": as_text(stored.get("upload_url")),
            "speech_models": list(dict.fromkeys((model, "universal-2"))),
            **_language(request.language),
        }
        begun = await self._json("POST", "/v2/transcript", model, json=order)
        number = as_text(begun.get("id"))
        if not _ID.fullmatch(number):  # it becomes part of an address
            raise no_answer(self.name, "it holds no id")
        try:
            return await self._awaited(number, begun, model)
        finally:
            task = asyncio.create_task(self._forget(number))
            self._deleting.add(task)
            task.add_done_callback(self._deleting.discard)
            await asyncio.shield(task)  # who cancels once more does not leave sound behind

    async def _awaited(self, number: str, held: Mapping[str, Any], model: str) -> Response:
        """Wait until it is done; the time limit of the whole request ends that."""
        while as_text(held.get("status")) in ("queued", "processing"):
            await asyncio.sleep(_POLL)
            held = await self._json("GET", f"/v2/transcript/{number}", model)
        status = as_text(held.get("status"))
        if status == "error":
            raise UnavailableError(
                f"{self.name} failed: {scrubbed(as_text(held.get('error')), (self._key,))!r}.",
                provider=self.name,
                retryable=False,
            )
        if status != "completed":
            raise no_answer(self.name, f"its status is {status!r}")
        used = as_text(held.get("speech_model_used"))
        text = written(phrases(self._words(held)))
        return Response(status="answered", text=text, model=used or model)

    def _words(self, held: Mapping[str, Any]) -> Iterator[Segment]:
        if not isinstance(held.get("words"), list) and held.get("text"):
            raise no_answer(self.name, "its words have no times")
        for word in mappings(held.get("words")):
            start = seconds_in(word, "start", unit=_MILLISECOND)
            end = seconds_in(word, "end", unit=_MILLISECOND)
            if start is None or end is None:
                raise no_answer(self.name, "a word of it has no times")
            yield start, end, as_text(word.get("text"))

    async def _json(self, method: str, path: str, model: str, **sent: Any) -> dict[str, Any]:
        headers = self._keyed("Authorization", self._key)
        answer = await self._ask(method, path, model, headers=headers, **sent)
        return self._service.json_object(answer.content)

    async def _forget(self, number: str) -> None:
        # The words are here: whether deleting works changes nothing about them.
        with suppress(httpx2.HTTPError, ProviderError, TimeoutError):
            async with asyncio.timeout(_FORGET):
                await self._ask(
                    "DELETE",
                    f"/v2/transcript/{number}",
                    "",
                    headers=self._keyed("Authorization", self._key),
                )


def _language(tag: str) -> dict[str, Any]:
    language = primary_language(tag)
    return {"language_code": language} if language else {"language_detection": True}
