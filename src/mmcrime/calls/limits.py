"""The limits of a service: requests and tokens a minute, and requests at the same time.

A request waits in one line, first come, first served, so that a large one is not overtaken
for ever by small ones. What it is expected to use counts from the moment it is sent, and what
it was found to have used beyond that from when the answer says so; what it did not use stays
counted. A 429 halves the rate once an episode, and the rate then grows by a straight line.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from mmcrime.calls.estimate import total_tokens
from mmcrime.calls.turned_away import LONGEST_WAIT, past_deadline, too_large, too_late
from mmcrime.calls.window import Window
from mmcrime.calls.wrapper import Wrapper
from mmcrime.config import ProviderSettings
from mmcrime.errors import RateLimitedError
from mmcrime.plugins import Provider, Request, Response

__all__ = ["Limited", "Limiter", "Line", "Place", "pause_after"]

_BREATH = 1.0  # seconds of pause after a 429 that names none


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A request that was let through.

    Attributes:
        at: Loop time; that of Redis where the line is shared.
        tokens: What was reserved for it.
        episode: Number of the 429s, each counted once, before it.
        requests_passed: All requests that had passed with it.
        tokens_passed: All tokens that had passed with it.
    """

    at: float
    tokens: int
    episode: int
    requests_passed: int
    tokens_passed: int


class Line(Protocol):
    """A line before a service, as `Limiter` is one."""

    async def enter(self, tokens: int, *, deadline: float | None) -> Place:
        """Wait for a place."""

    def leave(self) -> None:
        """Give a place to the next."""

    def answered(self, place: Place, response: Response) -> None:
        """Heed what an answer says."""

    def refused(self, place: Place, error: RateLimitedError) -> None:
        """Heed a 429."""


def pause_after(error: RateLimitedError) -> float:
    """Return the seconds for which nobody asks after a 429."""
    asked = error.retry_after
    return _BREATH if asked is None or not math.isfinite(asked) else max(0.0, asked)


@dataclass(eq=False, slots=True)
class _Waiter:
    tokens: int
    deadline: float | None
    turn: asyncio.Future[None] | None = None


class Limiter:
    """The line before one model of one service, shared by all runs of a pipeline.

    Belongs to one event loop, whose time it uses.

    Args:
        name: The provider's registered name, for messages.
        settings: The configured limits; what the service states only tightens them.
    """

    def __init__(self, name: str, settings: ProviderSettings) -> None:
        section = f"providers.{name}"
        self._name = name
        self._requests = Window(
            setting=f"{section}.requests_per_minute",
            unit="requests",
            limit=settings.requests_per_minute,
        )
        self._tokens = Window(
            setting=f"{section}.tokens_per_minute",
            unit="tokens",
            limit=settings.tokens_per_minute,
        )
        self._most = settings.max_concurrency
        self._active = 0
        self._line: OrderedDict[_Waiter, None] = OrderedDict()
        self._line_tokens = 0
        self._timer: asyncio.TimerHandle | None = None
        self._resume = -math.inf  # when the pause after a 429 ends
        self._episode = 0

    async def enter(self, tokens: int, *, deadline: float | None) -> Place:
        """Wait for a place in the line; whoever gets one must `leave` it.

        Args:
            tokens: Upper estimate of the tokens in and out.
            deadline: Loop time after which the answer is of no use.

        Raises:
            UnfitMediaError: At once, if no minute has so many tokens.
            RateLimitedError: If the turn would come after the deadline, as soon as that is
                certain. Not retryable, and nothing was sent.
            BudgetExceededError: If the deadline has passed.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(tokens, deadline)
        self._line[waiter] = None
        self._line_tokens += tokens
        try:
            self._check(waiter, self._earliest(loop.time()))
            while not self._may_go(waiter, loop.time()):
                waiter.turn = turn = loop.create_future()
                if self._is_first(waiter):
                    self._call_first()
                await self._called(waiter, turn)
                self._check(waiter, self._ready(loop.time(), waiter.tokens))
            return self._take(loop.time(), tokens)
        finally:
            first = self._is_first(waiter)
            del self._line[waiter]
            self._line_tokens -= tokens
            if first:
                self._call_first()

    def leave(self) -> None:
        """Give a place to the next; what it used stays counted."""
        self._active -= 1
        self._call_first()

    def answered(self, place: Place, response: Response) -> None:
        """Count what was used beyond the reservation, and heed what the service says."""
        now = asyncio.get_running_loop().time()
        usage = response.usage
        self._tokens.add(now, (usage.input or 0) + (usage.output or 0) - place.tokens)
        rate = response.rate
        if rate is None:
            return
        self._requests.state(
            limit=rate.requests_per_minute,
            left=rate.requests_left,
            reset=rate.requests_reset,
            at=place.at,
            mark=place.requests_passed,
        )
        self._tokens.state(
            limit=rate.tokens_per_minute,
            left=rate.tokens_left,
            reset=rate.tokens_reset,
            at=place.at,
            mark=place.tokens_passed,
        )

    def refused(self, place: Place, error: RateLimitedError) -> None:
        """Slow down everybody, once for all that had been sent before the first refusal.

        A quota that is used up is none of a rate's business and changes nothing.
        """
        if not error.retryable:
            return
        now = asyncio.get_running_loop().time()
        self._resume = max(self._resume, now + pause_after(error))
        if place.episode == self._episode:
            self._episode += 1
            self._requests.slow(now, self._resume)
            self._tokens.slow(now, self._resume)

    def _take(self, now: float, tokens: int) -> Place:
        self._active += 1
        self._requests.add(now, 1)
        self._tokens.add(now, tokens)
        return Place(
            at=now,
            tokens=tokens,
            episode=self._episode,
            requests_passed=self._requests.total,
            tokens_passed=self._tokens.total,
        )

    def _is_first(self, waiter: _Waiter) -> bool:
        return next(iter(self._line)) is waiter

    def _may_go(self, waiter: _Waiter, now: float) -> bool:
        free = self._is_first(waiter) and self._active < self._most
        return free and self._ready(now, waiter.tokens) <= now

    def _ready(self, now: float, tokens: int) -> float:
        """Return when the first in line may go, if nobody asks for more until then."""
        at = max(self._requests.ready(now, 1), self._tokens.ready(now, tokens))
        return max(at, self._resume)

    def _earliest(self, now: float) -> float:
        """Return a time before which the last in line cannot go."""
        at = max(
            self._requests.earliest(now, len(self._line)),
            self._tokens.earliest(now, self._line_tokens),
        )
        return max(at, self._resume)

    def _call_first(self) -> None:
        """Wake the first in line, or see to it that it is woken when it may go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._line or self._active >= self._most:
            return
        first = next(iter(self._line))
        if first.turn is None or first.turn.done():
            return  # it is about to look for itself
        loop = asyncio.get_running_loop()
        now = loop.time()
        at = self._ready(now, first.tokens)
        if now < at < math.inf and not self._hopeless(first, now, at):
            self._timer = loop.call_at(at, self._call_first)
        else:
            first.turn.set_result(None)

    async def _called(self, waiter: _Waiter, turn: asyncio.Future[None]) -> None:
        if waiter.deadline is None:
            await turn
            return
        try:
            async with asyncio.timeout_at(waiter.deadline):
                await turn
        except TimeoutError:
            now = asyncio.get_running_loop().time()
            raise self._late(waiter, max(now, self._ready(now, waiter.tokens)), now) from None

    def _hopeless(self, waiter: _Waiter, now: float, at: float) -> bool:
        if waiter.deadline is None:
            return self._resume - now > LONGEST_WAIT
        return at > waiter.deadline

    def _check(self, waiter: _Waiter, at: float) -> None:
        """Refuse a waiter that cannot go, or not in time."""
        now = asyncio.get_running_loop().time()
        if waiter.deadline is not None and waiter.deadline <= now:
            raise past_deadline(self._name)
        most = self._tokens.limit
        if most is not None and waiter.tokens > most:
            raise too_large(self._name, waiter.tokens, str(self._tokens))
        if self._hopeless(waiter, now, at):
            raise self._late(waiter, at, now)

    def _late(self, waiter: _Waiter, at: float, now: float) -> RateLimitedError:
        return too_late(
            self._name,
            wait=at - now,
            left=None if waiter.deadline is None else waiter.deadline - now,
            why=self._binding(now, waiter.tokens),
        )

    def _binding(self, now: float, tokens: int) -> str:
        """Name the limit that a waiter waits for."""
        times = {
            str(self._requests): max(
                self._requests.ready(now, 1), self._requests.earliest(now, len(self._line))
            ),
            str(self._tokens): max(
                self._tokens.ready(now, tokens), self._tokens.earliest(now, self._line_tokens)
            ),
            "the service asked to wait": self._resume,
        }
        name = max(times, key=times.__getitem__)
        return name if times[name] > now else f"providers.{self._name}.max_concurrency={self._most}"


class Limited(Wrapper):
    """Waits for its place in the line of a service before it asks.

    Args:
        inner: The provider that sends.
        name: The name the caller knows it by.
        limiter: The line, which outlives a run.
        deadline: Loop time after which the answer is of no use.
    """

    def __init__(
        self, inner: Provider, *, name: str, limiter: Line, deadline: float | None
    ) -> None:
        super().__init__(inner)
        self.name = name
        self._limiter = limiter
        self._deadline = deadline

    async def generate(self, request: Request) -> Response:
        """Wait, ask, and tell the limiter what came of it.

        Raises:
            UnfitMediaError: If the request is larger than a minute allows.
            RateLimitedError: If its turn would come after the deadline, or from the service.
            BudgetExceededError: If the deadline has passed.
            ProviderError: From the service.
        """
        tokens = total_tokens(request, self.capabilities)
        place = await self._limiter.enter(tokens, deadline=self._deadline)
        try:
            response = await self._inner.generate(request)
        except RateLimitedError as error:
            self._limiter.refused(place, error)
            raise
        else:
            self._limiter.answered(place, response)
            return response
        finally:
            self._limiter.leave()
