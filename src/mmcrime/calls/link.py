"""The connection to the Redis that several processes and machines share.

Nothing falls back to what is local: where the shared state cannot be reached, a call waits for
a moment, and then fails before anything was sent.

A Redis that was emptied, or restarted without its data, has forgotten what was sent and spent.
It is known by its epoch, a name that is written into an empty Redis once. A script does nothing
in an epoch that this process does not know. Whoever notices a new one says so in Redis, for
all: of the last minute nothing is known (``quiet``), and of this day (``lost``).

One that was restarted with data of before, such as a snapshot, or whose place another server has
taken, has the same epoch and has forgotten nevertheless. It is known by its run, a name of which
every start of a server has another. No server has a script when it starts: whoever brings it
one looks first whether the run is another, and says so. Only where each write goes to a
file (``appendonly yes``) is the day not lost as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mmcrime.calls.folder import private_folder, replace_file
from mmcrime.calls.window import SPAN
from mmcrime.errors import ConfigError, MissingDependencyError
from mmcrime.logs import get_logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["CLOCK", "Link", "Script"]

CLOCK = """\
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
"""
"""The beginning of a script that needs the time: seconds since 1970, by the clock of Redis."""

_log = get_logger("mmcrime.calls.shared")

_FORGETFUL = SPAN  # seconds of which a Redis that lost its data may know nothing
_FIRST_PAUSE = 0.05  # seconds between two attempts to reach it; then twice as long each time
_LONGEST_PAUSE = 1.0
_CONNECT = 2.0  # seconds that a connection may take
_REPLY = 5.0  # seconds that a reply may take
_CONNECTIONS = 16
_REMEMBERED = "shared.json"

_GUARD = """\
if redis.call('HGET', KEYS[1], 'name') ~= ARGV[1] then
  return redis.error_reply('EPOCH it is another')
end
"""
_BEGIN = f"""\
{CLOCK}local epoch, given = KEYS[1], cjson.decode(ARGV[1])
local function quiet(seconds)
  local before = tonumber(redis.call('HGET', epoch, 'quiet') or 0)
  redis.call('HSET', epoch, 'quiet', string.format('%.6f', math.max(before, now + seconds)))
end
if redis.call('HSETNX', epoch, 'name', given.name) == 1 then
  redis.call('HSET', epoch, 'run', given.run)
  quiet(math.max(0, given.forgetful - given.up))
end
local name = redis.call('HGET', epoch, 'name')
local another = given.before ~= '' and given.before ~= name
local restarted = redis.call('HGET', epoch, 'run') ~= given.run
redis.call('HSET', epoch, 'run', given.run)
if another or restarted then
  quiet(given.forgetful)
end
if another or (restarted and not given.appends) then
  redis.call('HSET', epoch, 'lost', given.today)
end
return {{name, (another or restarted) and 1 or 0}}
"""


class Script:
    """A Lua script that Redis runs as one step; its replies must be texts and whole numbers.

    A reply may get lost after the script has run, and then it is sent again: what it does a
    second time with the same arguments must change nothing.

    Args:
        source: Its text. ``KEYS[1]`` is a hash, the epoch, with the fields ``quiet`` (the time
            in seconds since 1970, by the clock of Redis, before which something may have been
            forgotten) and ``lost`` (a day in UTC of which that holds, such as
            ``2026-11-30``); either may be missing. ``ARGV[1]`` is its name. What the caller
            gives comes after these.
    """

    def __init__(self, source: str) -> None:
        self.source = _GUARD + source
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Link:
    """One Redis for a pipeline; used from one event loop.

    Args:
        url: Its address, ``redis://`` or ``rediss://``. A password in it is told to nobody.
        namespace: What all keys begin with.
        directory: The cache directory, where the epoch is remembered.
        patience: Seconds that a call waits for a Redis that is away.

    Raises:
        MissingDependencyError: If the package is not installed.

    Attributes:
        place: The address without anything secret.
        here: Whether it is an address of this machine itself, so that nothing leaves.
    """

    def __init__(
        self, url: str, *, namespace: str, directory: Path, patience: float = 15.0
    ) -> None:
        try:
            from redis import exceptions
        except ImportError as error:
            raise MissingDependencyError(
                "cache.url needs the package 'redis', which is not installed or too old.",
                pip='pip install "mmcrime[redis]"',
            ) from error
        self._errors = exceptions
        self._url = url
        self.place = _public(url)
        self.here = _is_here(urlsplit(url).hostname or "")
        self._namespace = namespace
        self._file = directory / _REMEMBERED
        self._patience = patience
        self._client: Redis | None = None
        self._epoch = ""
        self._asking = asyncio.Lock()
        self._away = False

    def key(self, *names: str) -> str:
        """Return a key of ours; the names may hold anything."""
        quoted = (name.replace("%", "%25").replace(":", "%3A") for name in names)
        return ":".join((self._namespace, "1", *quoted))

    async def run(self, script: Script, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script; texts in its reply are bytes.

        Raises:
            ConfigError: If Redis cannot be reached or used; nothing else stands in for it.
        """

        async def work(redis: Redis) -> Any:
            try:
                return await self._evaluated(redis, script, keys, args)
            except self._errors.ResponseError as error:
                if not str(error).startswith("EPOCH"):
                    raise
            # Another one: it takes note of it, and the script knows what may be forgotten.
            await self._known_epoch(redis, anew=True)
            return await self._evaluated(redis, script, keys, args)

        return await self._patiently(work)

    async def execute(self, *command: Any) -> Any:
        """Run one command, such as ``GET``; texts in its reply are bytes.

        Raises:
            ConfigError: If Redis cannot be reached or used.
        """
        return await self._patiently(lambda redis: _sent(redis, *command))

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _patiently(self, work: Callable[[Redis], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._patience, _FIRST_PAUSE
        while True:
            try:
                reply = await work(self._opened())
                self._away = False
                return reply  # noqa: TRY300  # the loop goes on in most of the other cases
            except self._errors.AuthenticationError as error:
                raise self._unusable("it refuses the password") from error
            except (
                self._errors.ConnectionError,
                self._errors.TimeoutError,
                self._errors.BusyLoadingError,
                self._errors.TryAgainError,
                OSError,
            ) as error:
                if loop.time() >= end:
                    raise self._unusable(_why(error)) from error
                if not self._away:
                    self._away = True
                    _log.warning("%s is away (%s); calls wait for it.", self.place, _why(error))
            except self._errors.RedisError as error:
                raise self._unusable(_why(error)) from error
            await asyncio.sleep(max(0.0, min(pause, end - loop.time())))
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _opened(self) -> Redis:
        if self._client is None:
            from redis.asyncio import BlockingConnectionPool, Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff

            try:
                pool = BlockingConnectionPool.from_url(
                    self._url,
                    max_connections=_CONNECTIONS,
                    timeout=_REPLY,
                    socket_connect_timeout=_CONNECT,
                    socket_timeout=_REPLY,
                    retry=Retry(NoBackoff(), 0),  # one loop of retries, ours
                    health_check_interval=0,
                )
                # It says now what is wrong with an option.
                pool.make_connection()  # type: ignore[no-untyped-call]  # so it ships
            except (ValueError, TypeError) as error:
                raise self._unusable("it is no such address") from error
            self._client = Redis.from_pool(pool)
        return self._client

    async def _evaluated(
        self, redis: Redis, script: Script, keys: Sequence[str], args: Sequence[Any]
    ) -> Any:
        held = (self.key("epoch"), *keys)
        given = (len(held), *held, await self._known_epoch(redis), *args)
        try:
            return await _sent(redis, "EVALSHA", script.sha, *given)
        except self._errors.NoScriptError:
            await self._known_epoch(redis, anew=True)  # perhaps it was restarted
            return await _sent(redis, "EVAL", script.source, *given)

    async def _known_epoch(self, redis: Redis, *, anew: bool = False) -> str:
        """Return the name of the epoch, begun here if there is none; say if something was lost."""
        async with self._asking:
            if self._epoch and not anew:
                return self._epoch
            before = self._epoch or await asyncio.to_thread(self._remembered)
            server = await redis.info("server", "persistence")
            given = {
                "name": uuid.uuid4().hex,
                "before": before,
                "run": str(server.get("run_id", "")),
                "up": float(server.get("uptime_in_seconds", 0)),
                "appends": bool(server.get("aof_enabled", 0)),
                "today": _today(),
                "forgetful": _FORGETFUL,
            }
            name, lost = await _sent(
                *(redis, "EVAL", _BEGIN, 1, self.key("epoch"), json.dumps(given))
            )
            self._epoch = name.decode()
            if lost:
                _log.warning("%s has forgotten something: it began anew.", self.place)
            if before != self._epoch:
                await asyncio.to_thread(self._remember, self._epoch)
            return self._epoch

    def _remembered(self) -> str:
        try:
            return str(json.loads(self._file.read_text(encoding="utf-8"))[self._own()])
        except (OSError, ValueError, LookupError, TypeError):
            return ""

    def _remember(self, epoch: str) -> None:
        try:
            held = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = {}
        try:
            private_folder(self._file.parent)
            replace_file(
                self._file, json.dumps({**(held if type(held) is dict else {}), self._own(): epoch})
            )
        except OSError as error:
            _log.warning("cannot write %r: %s", str(self._file), error)

    def _own(self) -> str:
        return f"{self.place} {self._namespace}"

    def _unusable(self, why: str) -> ConfigError:
        return ConfigError(
            f"cache.url is {self.place!r}, and what is shared there cannot be used: {why}. "
            "Nothing was sent, and nothing local stands in for it.",
            next_step="See that this Redis is up and can be reached, or leave cache.url out to "
            "share nothing between machines.",
        )


async def _sent(redis: Redis, *command: Any) -> Any:
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]  # so it ships


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _why(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _public(url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _is_here(host: str) -> bool:
    """Return whether a host is this one; names other than that of loopback are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
