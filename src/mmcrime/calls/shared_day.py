"""What a day has cost, in the Redis that several processes and machines share.

Counts are whole numbers of 64 bits, which Redis adds up exactly. A script sees the sum as text
and compares it digit by digit, since the numbers of Lua are doubles: those of picodollars are
exact up to some 9,000 US dollars only.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mmcrime.calls.caps import (
    CAPPED,
    NOTHING,
    Amount,
    Refusal,
    Spending,
    asked_of,
    first_crossed,
    limit_of,
)
from mmcrime.calls.day_book import Booking, Change, DayBook
from mmcrime.calls.link import Link, Script
from mmcrime.config import BudgetSettings
from mmcrime.errors import ConfigError

__all__ = ["SharedDayBudget"]

_PARTS = (*CAPPED, "unpriced")
_MOST = 2**63 - 1  # what Redis counts to
_KEPT_SECONDS = 8 * 24 * 3600
_RESENT_SECONDS = 120  # in which a batch may come a second time
_APPLY = Script("""\
-- KEYS: days, batch. ARGV: capped, seconds that a day is kept and a batch may come again, the
-- limits of picos, calls and tokens; then 7 for each change: day, tenant, picos, calls, tokens,
-- unpriced, and the room in picos that it needs.
local days, batch = KEYS[2], KEYS[3]
local done = redis.call('GET', batch)
if done then return done end

-- The calendar, by http://howardhinnant.github.io/date_algorithms.html#civil_from_days
local floor = math.floor
local z = floor(tonumber(redis.call('TIME')[1]) / 86400) + 719468
local era = floor(z / 146097)
local doe = z - era * 146097
local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
local mp = floor((5 * doy + 2) / 153)
local month = mp < 10 and mp + 3 or mp - 9
local year = yoe + era * 400 + (month <= 2 and 1 or 0)
local today = string.format('%04d-%02d-%02d', year, month, doy - floor((153 * mp + 2) / 5) + 1)

local parts = {'picos', 'calls', 'tokens', 'unpriced'}
local limits = {ARGV[5], ARGV[6], ARGV[7]}

local function more(count, limit)
  if #count ~= #limit then return #count > #limit end
  return count > limit
end

-- Returns the sum, or nil where it is more than Redis counts to.
local function plus(key, field, count)
  local sum = redis.pcall('HINCRBY', key, field, count)
  if type(sum) ~= 'table' then return sum end
  if not string.find(sum.err, 'overflow', 1, true) then error(sum.err) end
end

local function fits(key, field, asked, limit)
  if limit == '' or asked == '0' then return true end
  if not plus(key, field, asked) then return false end
  local total = redis.call('HGET', key, field)
  redis.call('HINCRBY', key, field, '-' .. asked)
  return not more(total, limit)
end

local function add(key, field, count)
  local sum = plus(key, field, count)
  if not sum then
    redis.call('HSET', key, field, '9223372036854775807')
  elseif sum < 0 then
    redis.call('HSET', key, field, '0')  -- somebody deleted what is corrected
  end
end

-- The day under way does not expire, so that a Redis that is full cannot drop it.
local last = redis.call('GET', days)
if last ~= today then
  redis.call('SET', days, today)
  if last then redis.call('EXPIRE', days .. ':' .. last, ARGV[3]) end
end

local outcomes = {}
for at = 8, #ARGV, 7 do
  local tenant, books = ARGV[at + 1], ARGV[at] == ''
  local day = books and today or ARGV[at]
  local key = days .. ':' .. day
  local outcome = {'booked', day}
  if books and ARGV[2] == '1' and redis.call('HGET', KEYS[1], 'lost') == today then
    outcome = {'lost', day}
  elseif books then
    local asked = {ARGV[at + 6], ARGV[at + 3], ARGV[at + 4]}
    for i = 1, 3 do
      if not fits(key, parts[i] .. ':' .. tenant, asked[i], limits[i]) then
        outcome = {'full', day}
      end
    end
  end
  if outcome[1] == 'full' then
    for i = 1, 4 do
      outcome[i + 2] = redis.call('HGET', key, parts[i] .. ':' .. tenant) or '0'
    end
  elseif outcome[1] == 'booked' and (day == today or redis.call('EXISTS', key) == 1) then
    for i = 1, 4 do add(key, parts[i] .. ':' .. tenant, ARGV[at + 1 + i]) end
  end
  outcomes[#outcomes + 1] = outcome
end
local reply = cjson.encode(outcomes)
redis.call('SET', batch, reply, 'EX', ARGV[4])
return reply
""")


class SharedDayBudget(DayBook):
    """The caps of a day for all processes and machines that share a Redis.

    One hash holds a day in UTC, by the clock of Redis, with the counts of each tenant. It is
    dropped eight days after it has ended. Caps of one run stay with the process of the run.

    Where Redis has lost what was spent today, every call is refused as long as a cap of a day
    is set; without such a cap calls go on, and are counted from zero.

    Args:
        link: The connection.
        settings: The caps.
    """

    def __init__(self, link: Link, settings: BudgetSettings) -> None:
        super().__init__(settings)
        self._link = link
        limits = (limit_of(settings, "day", part) for part in CAPPED)
        self._limits = ["" if limit is None else min(limit, _MOST) for limit in limits]

    async def spent(self, tenant: str = "default") -> Spending:
        """Return what has been booked today.

        Raises:
            ConfigError: If Redis cannot be used.
        """
        await self.aclose()
        seconds, _ = await self._link.execute("TIME")
        today = datetime.fromtimestamp(int(seconds), UTC).date().isoformat()
        key = f"{self._link.key('day')}:{today}"
        counts = await self._link.execute("HMGET", key, *(f"{p}:{tenant}" for p in _PARTS))
        return _amount(counts).spending

    async def _apply(self, changes: list[Change]) -> Sequence[Booking | Refusal | Exception]:
        reply = await self._link.run(
            _APPLY,
            keys=(self._link.key("day"), self._link.key("batch", uuid.uuid4().hex)),
            args=(
                *(int(self._capped), _KEPT_SECONDS, _RESENT_SECONDS, *self._limits),
                *(value for change in changes for value in _line(change)),
            ),
        )
        outcomes = json.loads(reply)
        return [self._read(*pair) for pair in zip(changes, outcomes, strict=True)]

    def _read(self, change: Change, outcome: list[str]) -> Booking | Refusal | Exception:
        said, day, *counts = outcome
        if said == "booked":
            return Booking(tenant=change.tenant, day=day, amount=change.amount)
        if said == "lost":
            return self._forgotten(day)
        refusal = first_crossed(
            self.settings, "day", spent=_amount(counts), reserved=NOTHING, ask=change.amount
        )
        return refusal or ConfigError(
            f"With a call of up to {change.amount.spending.usd!r} USD, {day} (UTC) would cost more "
            "than can be counted.",
            next_step="See what was counted, and correct the prices (providers.NAME.price).",
        )

    def _forgotten(self, day: str) -> ConfigError:
        return ConfigError(
            f"{self._link.place!r} has lost what was spent on {day} (UTC), and budget caps what "
            "a day may cost. Nothing was sent.",
            next_step="Switch on its persistence ('appendonly yes') and wait for the next day in "
            f"UTC, or accept to begin at zero: redis-cli HDEL {self._link.key('epoch')} lost",
        )


def _line(change: Change) -> tuple[str | int, ...]:
    counts = (_countable(getattr(change.amount, part)) for part in _PARTS)
    return (change.day, change.tenant, *counts, _countable(asked_of(change.amount, "picos")))


def _countable(count: int) -> int:
    return max(-_MOST, min(_MOST, count))


def _amount(counts: Sequence[Any]) -> Amount:
    return Amount(**{part: int(count or 0) for part, count in zip(_PARTS, counts, strict=True)})
