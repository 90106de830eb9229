"""Answers in the Redis that several processes and machines share, each of them asked for once.

Whoever finds no answer takes a lease on its key, asks the service, and stores what came of it.
Others wait for that; when the lease lapses, since its holder failed or died, the next of them
asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

from mmcrime.calls.link import Link, Script
from mmcrime.calls.stored import from_json, to_json
from mmcrime.errors import BudgetExceededError, ConfigError
from mmcrime.logs import get_logger
from mmcrime.plugins import Response

__all__ = ["SharedAnswers"]

_log = get_logger("mmcrime.calls.shared")

_KEPT_SECONDS = 90 * 24 * 3600
_LARGEST = 4 * 1024 * 1024  # bytes of a reply; what is larger is none of ours
_LEASE = 10.0  # seconds after which others no longer wait for a process that died
_RENEWALS = 3  # within a lease
_FIRST_PAUSE = 0.03  # seconds between two looks at an answer of others; grows by half
_LONGEST_PAUSE = 0.5
_STORED = 1.0  # seconds that a reply waits until it is stored
_SCANNED = 1000

_ANSWER, _PAID = "answer", "paid"

_TAKE = Script("""\
-- KEYS: answer, paid, lease. ARGV: whose lease, its milliseconds, most bytes, the SHA-1 of
-- replies that were found to be of no use.
for i = 2, 3 do
  local size = redis.pcall('STRLEN', KEYS[i])
  if type(size) == 'number' and size > 0 and size <= tonumber(ARGV[4]) then
    local held = redis.call('GET', KEYS[i])
    if not string.find(ARGV[5], redis.sha1hex(held), 1, true) then return {i, held} end
  end
end
local left = redis.call('PTTL', KEYS[4])
local others = left > 0 and left <= tonumber(ARGV[3]) and redis.pcall('GET', KEYS[4]) ~= ARGV[2]
if others then return {1, ''} end
redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[3])
return {0, ''}
""")
_RENEW = Script("""\
-- KEYS: leases. ARGV: whose, their milliseconds.
for i = 2, #KEYS do
  local held = redis.pcall('GET', KEYS[i])
  -- One that lapsed while Redis was away is taken again, unless somebody else has it.
  if held == ARGV[2] or not held then redis.call('SET', KEYS[i], ARGV[2], 'PX', ARGV[3]) end
end
return 0
""")
_KEEP = Script("""\
-- KEYS: lease, and where the reply is kept. ARGV: whose lease, seconds, the reply.
if #KEYS == 3 then redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[3]) end
if redis.pcall('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
return 0
""")


class SharedAnswers:
    """Replies by key; one for each pipeline, used from its event loop.

    An answer serves everybody for 90 days, unless Redis drops it before. A refusal or a
    truncated reply serves only the run that paid for it, wherever that goes on. What is found
    may have been put there by somebody: what `to_json` did not write for its key is passed
    over, and replaced by the next reply.

    Args:
        link: The connection.
        lease: Seconds after which others no longer wait for a process that died.
    """

    def __init__(self, link: Link, *, lease: float = _LEASE) -> None:
        self._link = link
        self._lease = lease
        self._own = uuid.uuid4().hex
        self._held: set[str] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()

    async def find(
        self,
        key: str,
        *,
        request_id: str,
        usable: Callable[[Response], bool],
        deadline: float | None,
    ) -> Response | None:
        """Return the reply to a request, waiting for whoever is asking for it now.

        Args:
            key: Of the request.
            request_id: Of the run that asks.
            usable: Whether a reply is of use to it.
            deadline: Loop time after which none is; None for never.

        Returns:
            The reply, without a cost; or None, and then it is for the caller to `keep` one or
            to `give_up`.

        Raises:
            BudgetExceededError: If the deadline passes before.
            ConfigError: If Redis cannot be used.
        """
        loop = asyncio.get_running_loop()
        keys = (*self._places(key, request_id), self._link.key("lease", key))
        useless, pause = "", _FIRST_PAUSE
        while True:
            args = (self._own, round(1000 * self._lease), _LARGEST, useless)
            place, data = await self._link.run(_TAKE, keys=keys, args=args)
            if place == 0:
                self._hold(key)
                return None
            if place == 1:
                left = pause if deadline is None else min(pause, deadline - loop.time())
                if left <= 0:
                    raise BudgetExceededError(
                        "The deadline passed while another process was asking the same.",
                        next_step="Allow more time.",
                    )
                await asyncio.sleep(left)
                pause = min(_LONGEST_PAUSE, 1.5 * pause)
                continue
            found = from_json(key, data)
            # An answer serves everybody, and nothing else does.
            if found and (place == 3 or found.status == "answered") and usable(found):
                return found
            useless += hashlib.sha1(data, usedforsecurity=False).hexdigest()

    async def keep(self, key: str, response: Response, *, request_id: str) -> None:
        """Store a reply that was paid for before it is used; whoever waits for it finds it.

        What cannot be stored at once is used all the same: it is on record in the ledger of
        this machine. It is stored when Redis is back, even when the caller is cancelled; if
        that takes too long, a warning in the log says so.
        """
        data = to_json(key, response)
        answer, paid = self._places(key, request_id)
        good = from_json(key, data) is not None and len(data) <= _LARGEST
        place = (answer if response.status == "answered" else paid,) if good else ()
        done, _ = await asyncio.wait({self._let_go(key, place, data)}, timeout=_STORED)
        for task in done:
            task.result()  # a mistake of ours must not pass unseen

    def give_up(self, key: str) -> None:
        """Let the next one ask, where nothing was kept."""
        if key in self._held:
            self._let_go(key, (), b"")

    async def count(self) -> int:
        """Return how many answers are stored.

        Raises:
            ConfigError: If Redis cannot be used.
        """
        return sum([len(keys) async for keys in self._found(_ANSWER)])

    async def clear(self) -> None:
        """Remove what replies said; what was spent stays.

        Raises:
            ConfigError: If Redis cannot be used.
        """
        for what in (_ANSWER, _PAID):
            async for keys in self._found(what):
                if keys:
                    await self._link.execute("UNLINK", *keys)

    async def aclose(self) -> None:
        """Wait until all is stored."""
        while self._writing:
            await asyncio.wait(self._writing)
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    def _places(self, key: str, request_id: str) -> tuple[str, str]:
        return self._link.key(_ANSWER, key), self._link.key(_PAID, key, request_id)

    async def _found(self, what: str) -> AsyncIterator[list[bytes]]:
        cursor = 0
        while True:
            cursor, keys = await self._link.execute(
                "SCAN", cursor, "MATCH", f"{self._link.key(what)}:*", "COUNT", _SCANNED
            )
            yield keys
            if not int(cursor):
                return

    def _let_go(self, key: str, place: tuple[str, ...], data: bytes) -> asyncio.Task[None]:
        self._held.discard(key)
        work = self._link.run(
            _KEEP,
            keys=(self._link.key("lease", key), *place),
            args=(self._own, _KEPT_SECONDS, data),
        )
        task = asyncio.get_running_loop().create_task(_logged(work))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    def _hold(self, key: str) -> None:
        self._held.add(key)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / _RENEWALS)
            if not self._held:
                return
            leases = [self._link.key("lease", key) for key in self._held]
            args = (self._own, round(1000 * self._lease))
            await _logged(self._link.run(_RENEW, keys=leases, args=args))


async def _logged(work: Awaitable[object]) -> None:
    try:
        await work
    except ConfigError as error:
        _log.warning("%s", error)
