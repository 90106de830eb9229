"""The connection to the Redis that several processes and machines share.

Nothing falls back to what is local: where the shared state cannot be reached, a call waits for
a moment, and then fails before anything was sent.

A Redis that was emptied, or restarted without its data, has forgotten what was sent and spent.
It is known by its epoch, a name that is written into an empty Redis once. A script does nothing
in an epoch that this process does not know. Whoever notices a new one says so in Redis, for
all: of the last minute nothing is known (``quiet``), and of this day (``lost``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmcrime.calls.folder import private_folder, replace_file
from mmcrime.errors import ConfigError, MissingDependencyError
from mmcrime.logs import get_logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["Link", "Script"]

_log = get_logger("mmcrime.calls.shared")

_FORGETFUL = 60.0  # seconds of which a Redis that lost its data may know nothing: a window
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
_BEGIN = """\
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
if redis.call('HSETNX', KEYS[1], 'name', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'quiet', string.format('%.6f', now + tonumber(ARGV[2])))
end
local name = redis.call('HGET', KEYS[1], 'name')
if ARGV[3] ~= '' and ARGV[3] ~= name then
  redis.call('HSET', KEYS[1], 'quiet', string.format('%.6f', now + tonumber(ARGV[5])))
  redis.call('HSET', KEYS[1], 'lost', ARGV[4])
end
return name
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
        self._namespace = namespace
        self._file = directory / _REMEMBERED
        self._patience = patience
        self._client: Redis | None = None
        self._epoch = ""
        self._asking = asyncio.Lock()

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
            epoch = await self._known_epoch(redis)
            try:
                return await self._evaluated(redis, script, keys, (epoch, *args))
            except self._errors.ResponseError as error:
                if not str(error).startswith("EPOCH"):
                    raise
            # Another one: it takes note of it, and the script knows what may be forgotten.
            epoch = await self._known_epoch(redis, anew=True)
            return await self._evaluated(redis, script, keys, (epoch, *args))

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
                return await work(self._opened())
            except self._errors.AuthenticationError as error:
                raise self._unusable("it refuses the password") from error
            except (
                self._errors.ConnectionError,
                self._errors.TimeoutError,
                self._errors.BusyLoadingError,
                self._errors.TryAgainError,
                OSError,
            ) as error:
                if loop.time() + pause >= end:
                    raise self._unusable(_why(error)) from error
                _log.warning("%s is away (%s); calls wait for it.", self.place, _why(error))
            except self._errors.RedisError as error:
                raise self._unusable(_why(error)) from error
            await asyncio.sleep(pause)
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
            except ValueError as error:
                raise self._unusable("it is no such address") from error
            self._client = Redis.from_pool(pool)
        return self._client

    async def _evaluated(
        self, redis: Redis, script: Script, keys: Sequence[str], args: Sequence[Any]
    ) -> Any:
        held = (self.key("epoch"), *keys)
        try:
            return await _sent(redis, "EVALSHA", script.sha, len(held), *held, *args)
        except self._errors.NoScriptError:
            return await _sent(redis, "EVAL", script.source, len(held), *held, *args)

    async def _known_epoch(self, redis: Redis, *, anew: bool = False) -> str:
        """Return the name of the epoch, begun here if there is none; say if another one ended."""
        async with self._asking:
            if self._epoch and not anew:
                return self._epoch
            up = (await redis.info("server")).get("uptime_in_seconds", 0)
            before = self._epoch or await asyncio.to_thread(self._remembered)
            name = await _sent(
                *(redis, "EVAL", _BEGIN, 1, self.key("epoch"), uuid.uuid4().hex),
                *(max(0.0, _FORGETFUL - float(up)), before, _today(), _FORGETFUL),
            )
            self._epoch = name.decode()
            if before and before != self._epoch:
                _log.warning("%s has lost what it held: it began anew.", self.place)
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
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
