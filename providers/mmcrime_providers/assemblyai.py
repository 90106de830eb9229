"""AssemblyAI: sound is uploaded, transcribed in its turn, fetched and deleted there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx2
from pydantic import SecretStr

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime.logs import get_logger
from mmcrime.plugins import Part, PluginOptions, Request, Response
from mmcrime_providers._http import scrubbed
from mmcrime_providers._json import as_mapping, as_name, as_text, no_answer
from mmcrime_providers._speech_engine import SpeechEngine, SpeechOptions
from mmcrime_providers._transcript import (
    Segment,
    agreed,
    phrases,
    primary_language,
    seconds_in,
    written,
)

__all__ = ["AssemblyAIProvider"]

_log = get_logger("mmcrime.providers.assemblyai")

_POLL = 1.0  # seconds between two looks whether it is done; half a minute of sound takes some
_LONGEST_PAUSE = 30.0  # seconds that the service may ask to wait between looks
_ORDERING = 5.0  # seconds that an order may still take when nobody waits for it any more
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


@dataclass(kw_only=True)
class _Order:
    """A transcript that is ordered.

    Attributes:
        model: The model that is asked.
        making: Sends the order, and sets the id.
        number: The id; empty until the service has told it.
    """

    model: str
    making: asyncio.Task[Mapping[str, Any]] | None = None
    number: str = ""


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
        self._cleaning: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._cleaning:
            await asyncio.wait(self._cleaning)
        await super().aclose()

    async def _transcribed(self, part: Part, request: Request) -> Response:
        order = _Order(model=request.model or self.model or "")
        try:
            return await self._fulfilled(order, part, request)
        except ProviderError as error:
            unknown = order.making is not None and order.making.cancelled()
            if order.number or unknown:
                # It is or may be paid for; another one would take as long, and cost as much.
                error.may_be_billed, error.retryable = True, False
            raise

    async def _fulfilled(self, order: _Order, part: Part, request: Request) -> Response:
        try:
            held = await self._in_time(self._awaited(order, part, request))
            text = written(self._segments(held, part))
            used = as_name(held.get("speech_model_used"))
            return Response(status="answered", text=text, model=used or order.model)
        finally:
            if order.making is not None:
                task = asyncio.create_task(self._clean(order, order.making))
                self._cleaning.add(task)
                task.add_done_callback(self._cleaning.discard)
                await asyncio.shield(task)  # who cancels once more does not leave sound behind

    async def _awaited(self, order: _Order, part: Part, request: Request) -> Mapping[str, Any]:
        """Upload the sound, order the transcript, and wait until it is done."""
        stored = await self._json("POST", "/v2/upload", order.model, content=part.data)
        body = {
            "audio_url": as_text(stored.get("upload_url")),
            "speech_models": list(dict.fromkeys((order.model, "universal-2"))),
            **_language(request.language),
        }
        # Who gives up now does not stop it: without its id nobody could delete it.
        order.making = asyncio.create_task(self._make(order, body))
        held = await asyncio.shield(order.making)
        lost: ProviderError | None = None
        while as_text(held.get("status")) in ("queued", "processing"):
            asked = (lost and lost.retry_after) or 0.0
            await asyncio.sleep(min(max(_POLL, asked), _LONGEST_PAUSE))
            try:
                held, lost = await self._json("GET", f"/v2/transcript/{order.number}", ""), None
            except (ProviderError, httpx2.HTTPError) as error:
                # It has been ordered and goes on; to begin anew would be to pay twice.
                lost = error if isinstance(error, ProviderError) else self._service.broke(error)
                if not lost.retryable:
                    raise lost from error
        return held

    async def _make(self, order: _Order, body: Mapping[str, Any]) -> Mapping[str, Any]:
        longest = self._service.timeout + _ORDERING
        begun = await self._json("POST", "/v2/transcript", order.model, json=body, timeout=longest)
        number = as_text(begun.get("id"))
        if not _ID.fullmatch(number):  # it becomes part of an address
            raise no_answer(self.name, "it holds no id")
        order.number = number
        return begun

    def _segments(self, held: Mapping[str, Any], part: Part) -> list[Segment]:
        status = as_text(held.get("status"))
        if status == "error":
            raise UnavailableError(
                f"{self.name} failed: {scrubbed(as_text(held.get('error')), (self._key,))!r}.",
                provider=self.name,
            )
        if status != "completed":
            raise no_answer(self.name, f"its status is {status!r}")
        text = held.get("text")
        if not isinstance(text, str):
            raise no_answer(self.name, "it holds no text")
        return agreed(
            text, phrases(self._words(held), provider=self.name), part, provider=self.name
        )

    def _words(self, held: Mapping[str, Any]) -> Iterator[Segment]:
        if not isinstance(held.get("words"), list):
            raise no_answer(self.name, "it holds no words with times")
        for one in held["words"]:
            word = as_mapping(one)
            start = seconds_in(word, "start", unit=_MILLISECOND)
            end = seconds_in(word, "end", unit=_MILLISECOND)
            if start is None or end is None or not isinstance(word.get("text"), str):
                raise no_answer(self.name, "a word of it has no times or no text")
            yield start, end, word["text"]

    async def _json(self, method: str, path: str, model: str, **sent: Any) -> dict[str, Any]:
        answer = await self._ask(method, path, model, headers=self._authorized(), **sent)
        return self._service.json_object(answer.content)

    def _authorized(self) -> dict[str, str]:
        return self._keyed("Authorization", self._key)

    async def _clean(self, order: _Order, making: asyncio.Task[Any]) -> None:
        """Delete what the service keeps; what cannot be deleted is logged and no error."""
        await asyncio.wait((making,), timeout=_ORDERING)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)  # its error has been told
        if making.cancelled():
            _log.warning("%s did not say what it calls an order that was given up", self.name)
        if not order.number:
            return
        path = f"/v2/transcript/{order.number}"
        try:
            async with asyncio.timeout(_FORGET):
                await self._ask("DELETE", path, "", headers=self._authorized())
        except Exception as error:  # noqa: BLE001  # it must not hide what came of the order
            _log.warning(
                "%s did not delete the transcript %r (%s): delete it there",
                self.name,
                order.number,
                type(error).__name__,
            )


def _language(tag: str) -> dict[str, Any]:
    language = primary_language(tag)
    return {"language_code": language} if language else {"language_detection": True}
