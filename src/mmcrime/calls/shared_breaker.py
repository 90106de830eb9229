"""The doors to services that keep failing, shared by all processes and machines through Redis.

Outages are counted for all together, by the clock of Redis, and the one call that is let
through is one of all processes; that of a process that was killed stands in the way of the next
for 30 seconds. A door that refused keys shut is shut in this process only, since another may
have another key.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mmcrime.calls.breaker import (
    APART,
    FAILURES,
    KEPT,
    LONGEST,
    SHORTEST,
    Breakers,
    BreakerStatus,
    Circuit,
    Door,
    reason,
    shut,
)
from mmcrime.calls.link import CLOCK, Link, Script
from mmcrime.calls.turned_away import past_deadline
from mmcrime.errors import AuthenticationError, ConfigError, ProviderError
from mmcrime.logs import get_logger

__all__ = ["SharedBreakers"]

_log = get_logger("mmcrime.calls.shared")

_SCRIPT = Script(CLOCK + files("mmcrime.calls").joinpath("shared_breaker.lua").read_text("utf-8"))
_LEASE = 30.0  # seconds for which the one call that was let through is believed to be alive
_HEARD = 1.0  # seconds that an answer, or the end, waits until others know what came of a call


@dataclass(eq=False, slots=True)
class _Ticket:
    id: str
    own: object  # of this process's doors
    keeper: asyncio.Task[None] | None = None  # says that the one call let through is alive


class SharedBreakers:
    """The doors of all services, shared with other processes; see `Breakers`. Of one event loop.

    Args:
        link: The Redis that is shared.
        rules: Seconds and numbers that are others in tests; see the module `breaker`.
    """

    def __init__(self, link: Link, **rules: float) -> None:
        self._link = link
        self._keys = [link.key("doors")]
        self._rules = {
            "failures": FAILURES,
            "apart": APART,
            "shortest": SHORTEST,
            "longest": LONGEST,
            "kept": KEPT,
            "lease": _LEASE,
            **rules,
        }
        self._own = Breakers(None)  # shut by refused keys
        self._tasks: set[asyncio.Task[None]] = set()

    async def status(self) -> tuple[BreakerStatus, ...]:
        """Return the doors with failures since their last answer.

        Raises:
            ConfigError: If Redis cannot be reached or used.
        """
        seconds, micros = await self._link.execute("TIME")
        held: dict[bytes, bytes] = await self._link.execute("HGETALL", *self._keys)
        now = seconds + micros / 1e6
        shared = (_read(text).status(_door(name), now) for name, text in held.items())
        return (*shared, *self._own.status())

    async def admit(self, door: Door, *, deadline: float | None = None) -> object:
        """Let a call through; the ticket goes to `failed`, `succeeded` or `gave_up`.

        Args:
            door: Where.
            deadline: Loop time after which the answer is of no use.

        Raises:
            UnavailableError: If the door is shut. Not retryable, and nothing was sent.
            AuthenticationError: The same, if refused keys shut it.
            ConfigError: If Redis cannot be reached or used.
            BudgetExceededError: If the deadline passed before that was certain.
        """
        ticket = _Ticket(uuid.uuid4().hex, await self._own.admit(door))
        said = b""
        try:
            async with asyncio.timeout_at(deadline):
                said = await self._tell("admit", door, ticket.id)
        except TimeoutError:
            raise past_deadline(door.provider) from None
        finally:
            if said not in (b"go", b"probe"):
                self._own.gave_up(door, ticket.own)
        if said not in (b"go", b"probe"):
            raise shut(door, _read(said))
        if said == b"probe":
            ticket.keeper = self._begin(self._keep(door, ticket.id))
        return ticket

    async def succeeded(self, door: Door) -> None:
        """The service is there: the door stands open for all, whoever found it out."""
        await self._own.succeeded(door)
        await self._heard(self._report("succeeded", door))

    async def failed(self, door: Door, ticket: object, error: ProviderError) -> None:
        """Count a failure; shut the door at the fifth, or when the one call let through fails."""
        held = _ours(ticket)
        if isinstance(error, AuthenticationError):
            await self._own.failed(door, held.own, error)
        else:
            self._let_go(held)  # with a failure it is over; `gave_up` has nothing to add
            await self._heard(self._report("failed", door, held.id, why=reason(error)))

    def gave_up(self, door: Door, ticket: object) -> None:
        """A call ended without saying anything of the service; the next one is let through."""
        held = _ours(ticket)
        self._own.gave_up(door, held.own)
        if self._let_go(held):
            self._begin(self._report("gave_up", door, held.id))

    async def aclose(self) -> None:
        """Tell what is still to be told, if Redis listens."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_HEARD)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)  # they give their connections back

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _heard(self, report: Coroutine[Any, Any, None]) -> None:
        """Wait until others know, but not for long: what was paid does not wait for a Redis."""
        done, _ = await asyncio.wait({self._begin(report)}, timeout=_HEARD)
        for task in done:
            task.result()  # a mistake of ours must not pass unseen

    def _let_go(self, ticket: _Ticket) -> bool:
        """Return whether it was that of the one call let through; it is not renewed any more."""
        keeper, ticket.keeper = ticket.keeper, None
        return keeper is not None and keeper.cancel()

    async def _keep(self, door: Door, ticket: str) -> None:
        while True:
            await asyncio.sleep(self._rules["lease"] / 3)
            await self._report("renew", door, ticket)

    async def _report(self, what: str, door: Door, ticket: str = "", *, why: str = "") -> None:
        """Tell others what came of a call. That they know is not worth failing it for."""
        try:
            await self._tell(what, door, ticket, why=why)
        except ConfigError as error:
            _log.warning("others do not know that %r %s: %s", door.provider, what, error.message)

    async def _tell(self, what: str, door: Door, ticket: str, *, why: str = "") -> bytes:
        message = {
            **self._rules,
            "what": what,
            "door": json.dumps(door),
            "ticket": ticket,
            "why": why,
        }
        said: bytes = await self._link.run(_SCRIPT, keys=self._keys, args=[json.dumps(message)])
        return said


def _ours(ticket: object) -> _Ticket:
    if not isinstance(ticket, _Ticket):
        raise TypeError(f"{ticket!r} is no ticket of these doors")
    return ticket


def _door(name: bytes) -> Door:
    return Door(*json.loads(name))


def _read(text: bytes) -> Circuit:
    held = json.loads(text)
    return Circuit(
        failures=held["failures"],
        last=float(held["last"]),
        since=float(held["since"]) if "since" in held else None,
        until=float(held["until"]) if "until" in held else None,
        wait=held["wait"],
        why=held["why"],
    )
