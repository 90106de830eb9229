"""A door that shuts when a service keeps failing, so that nobody waits for it in vain.

Five failures in a row shut it: outages and refused keys. Outages count once a second, since
one short interruption fails all that is under way. After 30 seconds, and after each further
failure twice as long up to 10 minutes, exactly one call is let through; its success opens the
door again. An answer of any kind, a refusal or a complaint about the request included, shows
that the service is there. Rate limits and broken answers say nothing either way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mmcrime.calls.folder import private_folder, replace_file
from mmcrime.calls.wrapper import Wrapper
from mmcrime.errors import AuthenticationError, ProviderError, UnavailableError
from mmcrime.logs import get_logger
from mmcrime.plugins import Provider, Request, Response

__all__ = [
    "APART",
    "FAILURES",
    "KEPT",
    "LONGEST",
    "SHORTEST",
    "BreakerStatus",
    "Breakers",
    "Circuit",
    "Door",
    "Doors",
    "Guarded",
    "reason",
    "shut",
]

_log = get_logger(__name__)

FAILURES = 5
APART = 1.0  # seconds within which outages are one
SHORTEST = 30.0
LONGEST = 600.0
KEPT = 24 * 3600.0  # seconds after which nobody wants to know any longer
_MOST_BYTES = 1_000_000
_LOCK_SECONDS = 5.0


class Door(NamedTuple):
    """What is shut: one model of one service, as it was asked for."""

    provider: str
    endpoint: str
    model: str


class BreakerStatus(BaseModel):
    """A door that is not simply open.

    Attributes:
        provider: Registered name.
        endpoint: Where requests go.
        model: The model; empty for the provider's own choice.
        state: ``closed`` lets everything through, and there were failures since the last
            answer; ``open`` nothing, ``half_open`` one call. The words are those of electricity.
        failures: Failures in a row that counted.
        since: When it shut; None while it has not.
        until: When one call is let through.
        wait: Seconds that it was shut for.
        kind: ``outage`` or ``key``.
        why: The last failure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    provider: str
    endpoint: str
    model: str
    state: Literal["closed", "open", "half_open"]
    failures: int = Field(ge=0)
    since: AwareDatetime | None
    until: AwareDatetime | None
    wait: float = Field(ge=0, le=LONGEST)
    kind: Literal["outage", "key"]
    why: str = Field(max_length=500)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    doors: tuple[BreakerStatus, ...]


@dataclass(eq=False, slots=True)
class Circuit:
    """One door. Times are seconds since 1970; ``until`` None means that it lets all through."""

    failures: int = 0
    last: float = -APART
    since: float | None = None
    until: float | None = None
    wait: float = 0.0
    key: bool = False  # the last failure was a refused key
    why: str = ""
    probe: object | None = None  # the one call that was let through

    def status(self, door: Door, now: float) -> BreakerStatus:
        """Return it as others see it."""
        state: Literal["closed", "open", "half_open"] = "closed"
        if self.until is not None:
            state = "open" if now < self.until else "half_open"
        return BreakerStatus(
            provider=door.provider,
            endpoint=door.endpoint,
            model=door.model,
            state=state,
            failures=self.failures,
            since=None if self.since is None else _moment(self.since),
            until=None if self.until is None else _moment(self.until),
            wait=self.wait,
            kind="key" if self.key else "outage",
            why=self.why,
        )


class Breakers:
    """The doors of all services, shared by the runs of a pipeline; of one event loop.

    Args:
        path: A file that other processes may read, such as ``mmcrime doctor``; None for
            none. Read here, so that what was found out a moment ago need not be found out
            again; a door that a refused key shut is not taken over, since the key may have
            been changed. A damaged file counts as none.
        clock: Seconds since 1970.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._circuits: dict[Door, Circuit] = {}
        self._touched: set[Door] = set()
        self._saving = asyncio.Lock()
        now = clock()
        for status in _read(path):
            if status.since is None or status.until is None or status.kind == "key":
                continue
            # A clock that was set back must not keep a door shut for longer than any may be.
            until = min(status.until.timestamp(), now + LONGEST)
            if until + KEPT > now:
                self._circuits[Door(status.provider, status.endpoint, status.model)] = Circuit(
                    failures=status.failures,
                    since=min(status.since.timestamp(), now),
                    until=until,
                    wait=max(SHORTEST, status.wait),
                    why=status.why,
                )

    def status(self) -> tuple[BreakerStatus, ...]:
        """Return the doors with failures since their last answer."""
        now = self._clock()
        return tuple(c.status(door, now) for door, c in self._circuits.items() if c.failures)

    async def admit(self, door: Door, *, deadline: float | None = None) -> object:  # noqa: ARG002  # nothing is waited for
        """Let a call through; the ticket goes to `failed`, `succeeded` or `gave_up`.

        Args:
            door: Where.
            deadline: Loop time after which the answer is of no use.

        Raises:
            UnavailableError: If the door is shut. Not retryable, and nothing was sent.
            AuthenticationError: The same, if refused keys shut it.
        """
        ticket = object()
        circuit = self._circuits.get(door)
        if circuit is None or circuit.until is None:
            return ticket
        if circuit.probe is not None or self._clock() < circuit.until:
            raise shut(door, circuit)
        circuit.probe = ticket
        return ticket

    async def succeeded(self, door: Door) -> None:
        """The service is there: the door stands open, whoever found it out."""
        circuit = self._circuits.pop(door, None)
        if circuit is not None and circuit.until is not None:
            await self._save(door)

    async def failed(self, door: Door, ticket: object, error: ProviderError) -> None:
        """Count a failure; shut the door at the fifth, or when the one call let through fails."""
        circuit = self._circuits.setdefault(door, Circuit())
        now, probing = self._clock(), circuit.probe is ticket
        if circuit.until is not None and not probing:
            return  # sent before it was shut
        circuit.key = isinstance(error, AuthenticationError)
        circuit.why = reason(error)
        if probing or circuit.key or not 0 <= now - circuit.last < APART:
            circuit.failures += 1
            circuit.last = now
        if not probing and circuit.failures < FAILURES:
            return
        circuit.probe = None
        circuit.since = now if circuit.since is None else circuit.since
        circuit.wait = min(LONGEST, 2 * circuit.wait) if probing else SHORTEST
        circuit.until = now + circuit.wait
        await self._save(door)

    def gave_up(self, door: Door, ticket: object) -> None:
        """A call ended without saying anything of the service; the next one is let through."""
        circuit = self._circuits.get(door)
        if circuit is not None and circuit.probe is ticket:
            circuit.probe = None

    async def _save(self, door: Door) -> None:
        """Tell other processes. That they know is not worth failing a call for."""
        self._touched.add(door)
        if self._path is None:
            return
        async with self._saving:
            mine = tuple(s for s in self.status() if s.until is not None)
            await asyncio.to_thread(
                _write, self._path, mine, frozenset(self._touched), self._clock()
            )


def reason(error: ProviderError) -> str:
    """Return what is kept of a failure."""
    return error.message[:500].encode(errors="replace").decode()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def shut(door: Door, circuit: Circuit) -> ProviderError:
    """Say that a door is shut, since when and why."""
    since = _moment(circuit.since or 0.0)
    again = _moment(circuit.until or 0.0)
    kind = AuthenticationError if circuit.key else UnavailableError
    model = f" ({door.model!r})" if door.model else ""
    return kind(
        f"{door.provider!r}{model} is not asked: it failed {circuit.failures} times in a row and "
        f"has been left alone since {since:%Y-%m-%d %H:%M:%S} UTC. The last failure: "
        f"{circuit.why.rstrip('.')}. One call is let through from {again:%H:%M:%S} UTC on",
        provider=door.provider,
        retryable=False,
        may_be_billed=False,
        next_step=None if circuit.key else "Wait until then, or ask another provider.",
    )


def _read(path: Path | None) -> tuple[BreakerStatus, ...]:
    """Return what the file says; nothing where there is none, or none that is whole."""
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            return _File.model_validate_json(file.read(_MOST_BYTES)).doors
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, ValidationError) as error:
        _log.warning("starting afresh, because %r cannot be read: %s", str(path), error)
        return ()


def _write(
    path: Path, mine: tuple[BreakerStatus, ...], touched: frozenset[Door], now: float
) -> None:
    """Replace what this process knows, and leave what others do unless nobody needs it."""
    try:
        private_folder(path.parent)
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=_LOCK_SECONDS):
            others = (
                status
                for status in _read(path)
                if Door(status.provider, status.endpoint, status.model) not in touched
                and status.until is not None
                and status.until.timestamp() + KEPT > now
            )
            replace_file(path, _File(doors=(*others, *mine)).model_dump_json())
    except (OSError, TimeoutError) as error:
        _log.warning("cannot write %r: %s", str(path), error)


class Doors(Protocol):
    """The doors of all services, as `Breakers` has them."""

    async def admit(self, door: Door, *, deadline: float | None = None) -> object:
        """Let a call through, and return its ticket."""

    async def succeeded(self, door: Door) -> None:
        """Open the door."""

    async def failed(self, door: Door, ticket: object, error: ProviderError) -> None:
        """Count a failure."""

    def gave_up(self, door: Door, ticket: object) -> None:
        """Let the next one through if this was the one call that was."""


class Guarded(Wrapper):
    """Does not ask a service that keeps failing.

    Args:
        inner: The provider of one attempt.
        name: The name the caller knows it by.
        breakers: The doors, which outlive a run.
        deadline: Loop time after which the answer is of no use.
    """

    def __init__(
        self, inner: Provider, *, name: str, breakers: Doors, deadline: float | None = None
    ) -> None:
        super().__init__(inner)
        self.name = name
        self._breakers = breakers
        self._deadline = deadline

    async def generate(self, request: Request) -> Response:
        """Ask, unless the door is shut.

        Raises:
            UnavailableError: If it is; not retryable.
            AuthenticationError: If refused keys shut it.
            ConfigError: If doors are shared, and Redis cannot be reached.
            BudgetExceededError: The same, if the deadline passed before that was certain.
            ProviderError: From inside.
        """
        door = Door(self.name, self.endpoint, request.model or self.model or "")
        ticket = await self._breakers.admit(door, deadline=self._deadline)
        try:
            response = await self._inner.generate(request)
        except (AuthenticationError, UnavailableError) as error:
            await self._breakers.failed(door, ticket, error)
            raise
        except ProviderError as error:
            if type(error) is ProviderError:  # the service looked at the request
                await self._breakers.succeeded(door)
            raise
        else:
            await self._breakers.succeeded(door)
            return response
        finally:
            self._breakers.gave_up(door, ticket)
