"""The limits of a service, shared by all processes and machines through Redis.

What `limits` says of one process holds of all of them together: no window of 60 seconds is
exceeded by the clock of Redis, and after a 429 all of them pause. Each heeds its own configured
limits. ``max_concurrency`` counts the requests of all; those of a process that was killed count
for 30 seconds more.

Within a process a request waits in one line, first come, first served. Between processes
whoever finds room goes, unless the first in line of another one, with the same or higher limits,
came there before and has been waiting for a second or longer. So a large request is not overtaken
for ever by small ones of other processes.

After Redis has lost what it held, nobody goes for as long as a window is, where a limit is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import random
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mmcrime.calls.limits import Place, pause_after
from mmcrime.calls.link import Link
from mmcrime.calls.shared_turn import TURN, News, Reply
from mmcrime.calls.turned_away import LONGEST_WAIT, past_deadline, too_large, too_late
from mmcrime.calls.window import MARGIN, WINDOW, limit_text
from mmcrime.config import ProviderSettings
from mmcrime.errors import ConfigError, RateLimitedError, UnfitMediaError
from mmcrime.logs import get_logger
from mmcrime.plugins import Response

__all__ = ["SharedLimiter"]

_log = get_logger("mmcrime.calls.shared")

_BEAT = 5.0  # seconds at most between two words of a process that waits or has requests under way
_LEASE = 30.0  # seconds after which a process that is silent holds no place
_POLL = 0.1  # seconds until a process that waits for a place of another one looks again
_JITTER = 0.01  # seconds by which those that were told the same time come apart
_SILENT = 1.0  # seconds after which Redis is called silent
_SETTLED = ("go", "told", "unfit")  # words after which nobody of this process waits in Redis
_random = random.SystemRandom()


@dataclass(eq=False, slots=True)
class _Waiter:
    number: int
    tokens: int
    deadline: float | None
    since: float
    turn: asyncio.Future[Place]


class SharedLimiter:
    """The line before one service, shared with other processes; see `Limiter`.

    Belongs to one event loop.

    Args:
        name: The provider's registered name.
        settings: The configured limits of this process; what the service states only
            tightens them.
        link: The Redis that is shared.
        endpoint: Where requests go; lines of other endpoints are others.
        window: Seconds of the window; the same in all processes.
    """

    def __init__(
        self,
        name: str,
        settings: ProviderSettings,
        *,
        link: Link,
        endpoint: str,
        window: float = WINDOW,
    ) -> None:
        self._name = name
        self._link = link
        self._keys = [
            link.key("limits", name, endpoint, part)
            for part in ("state", "processes", "requests", "tokens")
        ]
        self._configured = {
            "requests": settings.requests_per_minute,
            "tokens": settings.tokens_per_minute,
        }
        self._most = settings.max_concurrency
        self._span = window + MARGIN
        self._process = uuid.uuid4().hex
        self._number = 0  # of the last message
        self._waiters = 0
        self._line: OrderedDict[_Waiter, None] = OrderedDict()
        self._active = 0
        self._told_active = 0
        self._told_first = False  # whether Redis believes that one waits here
        self._news = News()
        self._stated: dict[str, float] = {}
        self._why = "told"
        self._asking: float | None = None  # since when Redis owes a reply
        self._woken = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None
        self._closed = False

    async def enter(self, tokens: int, *, deadline: float | None) -> Place:
        """Wait for a place in the line; whoever gets one must `leave` it.

        Args:
            tokens: Upper estimate of the tokens in and out.
            deadline: Loop time after which the answer is of no use.

        Raises:
            UnfitMediaError: At once, if no minute has so many tokens.
            RateLimitedError: If the turn would come after the deadline, as soon as that is
                certain of the first in line. Not retryable, and nothing was sent.
            BudgetExceededError: If the deadline has passed.
            ConfigError: If Redis cannot be reached or used.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if deadline is not None and deadline <= now:
            raise past_deadline(self._name)
        self._check_size(tokens)
        self._closed = False
        self._waiters += 1
        waiter = _Waiter(self._waiters, tokens, deadline, now, loop.create_future())
        self._line[waiter] = None
        if len(self._line) == 1:
            self._wake()
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter.turn
        except BaseException as error:
            if waiter.turn.done() and not waiter.turn.cancelled() and not waiter.turn.exception():
                self.leave()  # its turn came at the same time
            if isinstance(error, TimeoutError):
                raise self._late(waiter, 0.0) from None
            raise
        finally:
            if waiter in self._line:
                del self._line[waiter]
                self._wake()

    def leave(self) -> None:
        """Give a place to the next; what it used stays counted."""
        self._active -= 1
        self._wake()

    def answered(self, place: Place, response: Response) -> None:
        """Count what was used beyond the reservation, and heed what the service says."""
        usage = response.usage
        self._news.debt += max(0, (usage.input or 0) + (usage.output or 0) - place.tokens)
        if response.rate is not None:
            self._news.heed(place, response.rate)
        self._wake()

    def refused(self, place: Place, error: RateLimitedError) -> None:
        """Slow down all processes, once for all that had been sent before the first refusal.

        A quota that is used up is none of a rate's business and changes nothing.
        """
        if not error.retryable:
            return
        now = asyncio.get_running_loop().time()
        self._news.episode = max(self._news.episode, place.episode)
        self._news.resume = max(self._news.resume, now + pause_after(error))
        self._wake()

    async def aclose(self) -> None:
        """Tell what is still to be told, if Redis listens, and be silent until the next request."""
        self._closed = True
        if self._driver is None:
            return
        await asyncio.wait({self._driver}, timeout=_SILENT)
        self._driver.cancel()
        await asyncio.wait({self._driver})

    def _wake(self) -> None:
        """See to it that Redis is told what changed and asked for the first in line."""
        self._woken.set()
        if not self._closed and (self._driver is None or self._driver.done()):
            # In a context of its own: it works for all runs and belongs to none.
            self._driver = asyncio.create_task(self._drive(), context=contextvars.Context())
            self._driver.add_done_callback(self._ended)

    def _ended(self, driver: asyncio.Task[None]) -> None:
        error = None if driver.cancelled() else driver.exception()
        if isinstance(error, Exception):  # a mistake of ours, for which nobody may wait for ever
            _log.error("the line before %r broke", self._name, exc_info=error)
            for waiter in list(self._line):
                self._refuse(waiter, error)

    async def _drive(self) -> None:
        """Speak with Redis for as long as there is something to say, one message at a time."""
        while self._line or self._active or self._to_tell():
            self._woken.clear()
            try:
                pause = await self._turn()
            except ConfigError:
                if not self._line and not self._active:
                    return  # it is told with the next request
                # Whose requests are under way says so again as soon as Redis listens.
                pause = 0.0 if self._line else _BEAT
            if pause > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()

    def _to_tell(self) -> bool:
        return bool(self._told_active or self._told_first or self._news)

    async def _turn(self) -> float:
        """Send one message, and act on the reply.

        Returns:
            Seconds until the next one, unless something happens here before.
        """
        loop = asyncio.get_running_loop()
        first = next(iter(self._line), None)
        news, self._news = self._news, News()
        active, self._asking = self._active, loop.time()
        try:
            reply = Reply.read(
                await self._link.run(
                    TURN, keys=self._keys, args=[json.dumps(self._message(first, news))]
                )
            )
        except ConfigError as error:
            news.add(self._news)
            self._news = news
            self._fail(error)
            raise
        finally:
            self._asking = None
        self._why = reply.why
        self._told_active = active + (reply.why == "go")
        self._told_first = first is not None and reply.why not in _SETTLED
        for unit, stated in (("requests", reply.requests_stated), ("tokens", reply.tokens_stated)):
            if stated:
                self._stated[unit] = stated
        if reply.why == "go" and first is not None:
            self._let(first, reply)
        else:
            self._turn_away(reply)
        if reply.why in _SETTLED:
            waits = self._line or self._told_active != self._active
            return _BEAT if self._active and not waits else 0.0
        if first not in self._line:
            return 0.0  # it was refused, which others must not wait for
        pause = _POLL if reply.why == "places" else min(_BEAT, reply.wait)
        return pause + _random.uniform(0, _JITTER)

    def _message(self, first: _Waiter | None, news: News) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {
            "process": self._process,
            "number": self._number,
            "span": self._span,
            "beat": _BEAT,
            "lease": _LEASE,
            "active": self._active,
            "most": self._most,
            "limits": {unit: limit for unit, limit in self._configured.items() if limit},
            "stated": self._stated,
            **news.as_told(asyncio.get_running_loop().time()),
        }
        if first is not None:
            message["first"] = {"number": first.number, "tokens": first.tokens}
        return message

    def _let(self, waiter: _Waiter, reply: Reply) -> None:
        """Let the first in line go; if it has gone away, its place is free again."""
        self._line.pop(waiter, None)
        if waiter.turn.done():
            return
        self._active += 1
        place = Place(
            at=reply.now,
            tokens=waiter.tokens,
            episode=reply.episode,
            requests_passed=reply.requests,
            tokens_passed=reply.tokens,
        )
        waiter.turn.set_result(place)

    def _turn_away(self, reply: Reply) -> None:
        """Refuse those who cannot go, or not in time."""
        now = asyncio.get_running_loop().time()
        for waiter in list(self._line):
            try:
                self._check_size(waiter.tokens)
            except UnfitMediaError as error:
                self._refuse(waiter, error)
                continue
            if waiter.deadline is None:
                hopeless = reply.pause > LONGEST_WAIT
            else:
                hopeless = now + reply.wait > waiter.deadline
            if hopeless:
                self._refuse(waiter, self._late(waiter, max(reply.wait, reply.pause)))

    def _fail(self, error: ConfigError) -> None:
        """Refuse those who have waited for all the time that Redis was given."""
        for waiter in list(self._line):
            if self._asking is None or waiter.since <= self._asking:
                told = ConfigError(error.message, next_step=error.next_step)
                told.__cause__ = error
                self._refuse(waiter, told)

    def _refuse(self, waiter: _Waiter, error: Exception) -> None:
        del self._line[waiter]
        if not waiter.turn.done():
            waiter.turn.set_exception(error)

    def _check_size(self, tokens: int) -> None:
        most = self._limit("tokens")
        if most is not None and tokens > most:
            raise too_large(self._name, tokens, self._text("tokens"))

    def _limit(self, unit: str) -> float | None:
        known = (self._configured[unit], self._stated.get(unit))
        return min((x for x in known if x is not None), default=None)

    def _text(self, unit: str) -> str:
        return limit_text(
            setting=f"providers.{self._name}.{unit}_per_minute",
            unit=unit,
            configured=self._configured[unit],
            limit=self._limit(unit),
        )

    def _late(self, waiter: _Waiter, wait: float) -> RateLimitedError:
        now = asyncio.get_running_loop().time()
        left = None if waiter.deadline is None else waiter.deadline - now
        return too_late(self._name, wait=wait, left=left, why=self._binding())

    def _binding(self) -> str:
        """Name what the first in line waits for."""
        now = asyncio.get_running_loop().time()
        if self._asking is not None and now - self._asking > _SILENT:
            return f"the Redis at {self._link.place!r}, through which limits are shared, is away"
        if self._why in self._configured:
            return self._text(self._why)
        return {
            "paused": "the service asked to wait",
            "quiet": f"the Redis at {self._link.place!r} has lost what was sent in the last minute",
            "turn": "another process is first",
        }.get(self._why, f"providers.{self._name}.max_concurrency={self._most}")
