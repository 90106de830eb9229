"""One prediction: made, looked at until it has ended, and cancelled when nobody waits for it.

The service could keep the first request open until there is an answer (``Prefer: wait``). It
is not asked to: the id would come with the answer, and until then nothing could be cancelled.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from mmcrime.errors import ProviderError, UnavailableError
from mmcrime.logs import get_logger
from mmcrime_providers._json import as_mapping, as_text
from mmcrime_providers._replicate_client import ReplicateClient, UnsuccessfulError
from mmcrime_providers._replicate_errors import ReplicateFailure
from mmcrime_providers._replicate_wire import creation, name_of
from mmcrime_providers._service import Service

__all__ = ["Run", "translated"]

_log = get_logger("mmcrime.providers.replicate")

_RUNNING = frozenset({"starting", "processing"})
_ENDED = frozenset({"succeeded", "failed", "canceled", "aborted"})
_FIRST_LOOK = 0.25  # seconds until the first look at a prediction
_LAST_LOOK = 2.0  # seconds between looks; of these the service allows 3,000 a minute
_LONGEST_PAUSE = 30.0  # seconds that the service may ask to wait between looks
_CANCELLING = 5.0  # seconds that cancelling may take
_GRACE = 15.0  # seconds after our own deadline until the service cancels by itself


def translated(error: UnsuccessfulError, service: Service, model: str) -> ProviderError:
    """Return our error for an unsuccessful answer."""
    answer = error.answer
    answer.encoding = "utf-8"  # which JSON is, whatever a header says
    failure = ReplicateFailure.of(answer.status_code, answer.headers, answer.text)
    return service.failed(failure, model)


@dataclass(kw_only=True)
class Run:
    """A prediction from beginning to end.

    Attributes:
        client: The client that asks.
        service: Who is asked, and the seconds that the model may take.
        boot_timeout: Seconds until a machine must have taken the prediction up.
        model: The model that is asked.
        aside: Does something to its end, even when whoever waits for it is cancelled.
        name: The id of the prediction; empty until the service has told it.
        seen: What the service last said of it.
        begun: Whether the model has begun to work.
    """

    client: ReplicateClient
    service: Service
    boot_timeout: float
    model: str
    aside: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
    name: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)
    begun: bool = False

    async def ended(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a prediction, and return what the service says of it when it has ended.

        Args:
            body: The input of the model.

        Raises:
            ProviderError: If it cannot be made, or does not end in time. It is cancelled then,
                as it is when the caller is.
        """
        try:
            await self._to_its_end(body)
        except (Exception, asyncio.CancelledError) as error:
            if self.name:
                await self.aside(self._cancel())
                if isinstance(error, ProviderError):
                    error.may_be_billed = True
            raise
        seconds = as_mapping(self.seen.get("metrics")).get("predict_time")
        if isinstance(seconds, (int, float)):
            # What is paid for, where a model has no price for its tokens.
            _log.info("the prediction %r took %.3f s of a machine", self.name, seconds)
        return self.seen

    async def _to_its_end(self, body: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        lost: ProviderError | None = None
        pause = _FIRST_LOOK
        try:
            async with asyncio.timeout(self.service.timeout) as limit:
                await self._make(body)
                limit.reschedule(loop.time() + self.boot_timeout)
                while self.seen["status"] not in _ENDED:
                    if not self.begun and self.seen["status"] != "starting":
                        self.begun = True
                        limit.reschedule(loop.time() + self.service.timeout)
                    asked = (lost and lost.retry_after) or 0.0
                    await asyncio.sleep(min(max(pause, asked), _LONGEST_PAUSE))
                    pause = min(pause * 1.5, _LAST_LOOK)
                    lost = await self._look()
        except TimeoutError as error:
            raise self._late(lost) if self.name else self._unmade(error) from error

    async def _make(self, body: Mapping[str, Any]) -> None:
        path, rest = creation(self.model)
        # Should this process die, the service cancels by itself.
        longest = math.ceil(self.boot_timeout + self.service.timeout + _GRACE)
        headers = {"cancel-after": f"{longest}s"}
        content = {**rest, "input": body}
        making = asyncio.ensure_future(self._send("POST", path, json=content, headers=headers))
        try:
            answer = await asyncio.shield(making)
        except asyncio.CancelledError:
            # It may be made by now, and without its id nobody can cancel it.
            await self.aside(self._learn_name(making))
            raise
        self._take(answer)

    async def _learn_name(self, making: asyncio.Future[bytes]) -> None:
        """Wait a moment for the id of a prediction that nobody waits for any longer."""
        try:
            async with asyncio.timeout(_CANCELLING):
                self._take(await making)
        except (ProviderError, TimeoutError):
            _log.warning(
                "%s did not say whether it made a prediction; if it did, it cancels it itself "
                "after a while",
                self.service.provider,
            )

    async def _look(self) -> ProviderError | None:
        """Look at the prediction; an error that may pass is returned.

        The prediction has been paid for, and goes on. To give it up, and make another, would
        be to pay twice.
        """
        try:
            self._take(await self._send("GET", f"/v1/predictions/{self.name}"))
        except ProviderError as error:
            if error.retryable:
                return error
            raise
        return None

    async def _cancel(self) -> None:
        """Cancel the prediction; one that cannot be cancelled is logged and no error."""
        try:
            async with asyncio.timeout(_CANCELLING):
                await self._send("POST", f"/v1/predictions/{self.name}/cancel")
        except Exception as error:  # noqa: BLE001  # it must not hide why it is cancelled
            _log.warning(
                "%s did not cancel the prediction %r (%s); it does so itself after a while",
                self.service.provider,
                self.name,
                type(error).__name__,
            )

    async def _send(self, method: str, path: str, **content: Any) -> bytes:
        try:
            return await self.client.send(method, path, **content)
        except UnsuccessfulError as error:
            raise translated(error, self.service, self.model) from error
        except httpx2.HTTPError as error:
            raise self.service.broke(error) from error

    def _take(self, answer: bytes) -> None:
        """Take note of what the service says of the prediction."""
        held = self.service.json_object(answer)
        name = name_of(held)
        self.name = self.name or name
        status = as_text(held.get("status"))
        if not name or name != self.name or status not in _RUNNING | _ENDED:
            raise self.service.unreadable("something that is no prediction")
        self.seen = held

    def _unmade(self, error: TimeoutError) -> ProviderError:
        """Return the error where it is not known whether there is a prediction.

        If there is, it runs until it cancels itself, and a second one would be paid for as well.
        """
        broke = self.service.broke(error)
        broke.retryable = False
        return broke

    def _late(self, lost: ProviderError | None) -> UnavailableError:
        """Return the error of a prediction that did not end in time.

        Another one would take as long, and be paid for as well.
        """
        provider = self.service.provider
        option, seconds = "boot_timeout", self.boot_timeout
        if self.begun:
            option, seconds = "timeout", self.service.timeout
        did = "end" if self.begun else "begin"
        message = f"{provider} did not {did} the prediction {self.name!r} within {seconds:g} s."
        return UnavailableError(
            f"{message} The last look at it failed: {lost.message}" if lost else message,
            provider=provider,
            retryable=False,
            next_step=f"Raise providers.{provider}.{option}, or ask another model.",
        )
