-- One turn of one process with one service: what it has to tell, and whether its first in line
-- may go. The rules of the windows are those of window.py, under the same names.
--
-- KEYS: the epoch; the state; the processes; the requests and the tokens that were let through,
-- each a sorted set of times by the sum of all units up to and with that time.
-- ARGV[2]: the message, as JSON. One that was heard before gets the reply of then, and one that
-- comes after a later one, from a connection that hung, changes nothing.

local state, processes = KEYS[2], KEYS[3]
local passed = {requests = KEYS[4], tokens = KEYS[5]}
local m = cjson.decode(ARGV[2])

local SLOT = 0.05 -- seconds, see window.py
local RECOVERY = 120 -- seconds, see window.py
local GRACE = 2 -- seconds that a process may ask later than it was told to and keep its turn
local OVERTAKEN = 1 -- seconds that a first in line may be overtaken for by other processes
local KEPT = 600 -- seconds after which nothing of what is here matters

local S = {}
local held = redis.call('HGETALL', state)
for i = 1, #held, 2 do
  S[held[i]] = tonumber(held[i + 1])
end

local function total(unit)
  return S[unit .. '_total'] or 0
end

local function limit(unit)
  local configured, stated = m.limits[unit], S[unit .. '_stated']
  if configured and stated then
    return math.min(configured, stated)
  end
  return configured or stated
end

local function used(unit)
  while true do
    local oldest = redis.call('ZRANGE', passed[unit], 0, 0, 'WITHSCORES')
    if not oldest[1] or tonumber(oldest[1]) + m.span > now then
      return total(unit) - (S[unit .. '_gone'] or 0)
    end
    S[unit .. '_gone'] = tonumber(oldest[2])
    redis.call('ZREM', passed[unit], oldest[1])
  end
end

local function add(unit, units)
  if units <= 0 then
    return
  end
  used(unit) -- so that what is old goes, also where no limit has anybody ask what counts
  S[unit .. '_total'] = total(unit) + units
  local newest = redis.call('ZRANGE', passed[unit], -1, -1)[1]
  if newest and now - (S[unit .. '_opened'] or 0) < SLOT then
    redis.call('ZREM', passed[unit], newest)
  else
    S[unit .. '_opened'] = now
  end
  redis.call('ZADD', passed[unit], total(unit), string.format('%.6f', now))
end

local function free_at(unit, allowed)
  if used(unit) <= allowed then
    return now
  end
  local from = string.format('%.17g', total(unit) - allowed)
  local entry = redis.call('ZRANGEBYSCORE', passed[unit], from, '+inf', 'LIMIT', 0, 1)
  return tonumber(entry[1]) + m.span
end

local function slowed_allowed(unit)
  local grown = S[unit .. '_slowed_slope'] * math.max(0, now - S[unit .. '_slowed_since'])
  return S[unit .. '_slowed_start'] + grown
end

local function ready_slowed(unit, units)
  local start = S[unit .. '_slowed_start']
  if not start then
    return now
  end
  local allowed, whole = slowed_allowed(unit), limit(unit) or 4 * start
  if allowed >= whole then
    S[unit .. '_slowed_start'] = nil
    return now
  end
  used(unit)
  local since = total(unit) - math.max(S[unit .. '_gone'] or 0, S[unit .. '_slowed_mark'])
  if since == 0 or since + units <= allowed then
    return now
  end
  local enough = math.min(whole, since + units)
  local grown = S[unit .. '_slowed_since'] + (enough - start) / S[unit .. '_slowed_slope']
  return math.min(grown, free_at(unit, math.max(0, allowed - units)))
end

local function ready_held(unit, units)
  local upto = S[unit .. '_held_until']
  if not upto then
    return now
  end
  if now >= upto then
    S[unit .. '_held_until'] = nil
    return now
  end
  local at, slope = S[unit .. '_held_at'], S[unit .. '_held_slope']
  local lacking = total(unit) - S[unit .. '_held_mark'] + units - S[unit .. '_held_left']
  if lacking <= slope * (now - at) then
    return now
  end
  return slope > 0 and math.min(upto, at + lacking / slope) or upto
end

local function ready(unit, units)
  local at, most = now, limit(unit)
  if most then
    if units > most then
      return math.huge
    end
    at = free_at(unit, most - units)
  end
  return math.max(at, ready_slowed(unit, units), ready_held(unit, units))
end

local function slow(unit)
  local most = limit(unit)
  local before = math.min(used(unit), most or math.huge)
  if S[unit .. '_slowed_start'] then
    before = math.min(before, slowed_allowed(unit))
  end
  before = math.max(1, before)
  S[unit .. '_slowed_mark'] = total(unit)
  S[unit .. '_slowed_start'] = before / 2
  S[unit .. '_slowed_since'] = math.max(now, S.resume)
  S[unit .. '_slowed_slope'] = (most or 2 * before) / RECOVERY
end

-- What the service said of an older request does not replace what is newer. A mark of before a
-- loss is more than all that has passed since.
local function say(unit, said)
  S[unit .. '_stated'] = said.limit or S[unit .. '_stated']
  local mark = said.mark and math.min(said.mark, total(unit))
  if mark and not (S[unit .. '_held_until'] and mark < S[unit .. '_held_mark']) then
    S[unit .. '_held_mark'] = mark
    for _, field in ipairs({'left', 'at', 'slope', 'until'}) do
      S[unit .. '_held_' .. field] = said[field]
    end
  end
end

local function told()
  for unit, stated in pairs(m.stated) do
    S[unit .. '_stated'] = S[unit .. '_stated'] or stated
  end
  add('tokens', m.debt)
  for unit, said in pairs(m.said) do
    say(unit, said)
  end
  if m.refused then
    S.resume = math.max(S.resume or 0, now + m.refused.pause)
    if m.refused.episode >= (S.episode or 0) then
      S.episode = m.refused.episode + 1
      slow('requests')
      slow('tokens')
    end
  end
end

-- Whether one that waits in another process goes first. One with lower limits does not: it
-- may have to wait where this one need not.
local function before_us(other, since)
  if not other.since or other.asks_by < now or now - other.since < OVERTAKEN then
    return false
  end
  for unit, most in pairs(other.limits) do
    if most < (m.limits[unit] or math.huge) then
      return false
    end
  end
  return other.most >= m.most and other.since < since
end

-- Return the places of the other processes, and who of them goes first.
local function others(since)
  local active, first = 0, nil
  local all = redis.call('HGETALL', processes)
  for i = 1, #all, 2 do
    local other = cjson.decode(all[i + 1])
    if other.lease < now then
      redis.call('HDEL', processes, all[i])
    elseif all[i] ~= m.process then
      active = active + other.active
      if before_us(other, since) and (not first or other.since < first.since) then
        first = other
      end
    end
  end
  return active, first
end

-- Return a word for what the first in line waits for, and until when at least.
local function judged(active, first)
  local at, why = now, 'go'
  local function not_before(when, reason)
    if when > at then
      at, why = when, reason
    end
  end
  not_before(ready('requests', 1), 'requests')
  not_before(ready('tokens', m.first.tokens), 'tokens')
  not_before(S.resume or 0, 'paused')
  if limit('requests') or limit('tokens') then
    not_before(tonumber(redis.call('HGET', KEYS[1], 'quiet') or 0), 'quiet')
  end
  if at == math.huge then
    return 'unfit', now
  end
  if first then
    not_before(math.max(first.at + 0.01, now + 0.05), 'turn')
  elseif at <= now and active + m.active >= m.most then
    why = 'places'
  end
  return why, at
end

local before = redis.call('HGET', processes, m.process)
before = before and cjson.decode(before)
if before and before.number >= m.number then -- nobody waits for a reply to an older one
  return before.reply
end
told()
local since
if m.first then
  since = before and before.first == m.first.number and before.since or now
end
local active, first = others(since or now)
local record = {number = m.number, active = m.active, lease = now + m.lease}
record.limits, record.most = m.limits, m.most
local why, at = 'told', now
if m.first then
  why, at = judged(active, first)
  if why == 'go' then
    add('requests', 1)
    add('tokens', m.first.tokens)
    record.active = m.active + 1
  elseif why ~= 'unfit' then
    record.first, record.since, record.at = m.first.number, since, at
    record.asks_by = math.min(at, now + m.beat) + GRACE
  end
end
record.reply = {
  why,
  string.format('%.6f', at - now),
  string.format('%.6f', now),
  string.format('%.0f', S.episode or 0),
  string.format('%.0f', total('requests')),
  string.format('%.0f', total('tokens')),
  string.format('%.17g', S.requests_stated or 0),
  string.format('%.17g', S.tokens_stated or 0),
  string.format('%.6f', math.max(0, (S.resume or 0) - now)),
}
redis.call('HSET', processes, m.process, cjson.encode(record))
local fields = {}
for field, value in pairs(S) do
  fields[#fields + 1] = field
  fields[#fields + 1] = string.format('%.17g', value)
end
redis.call('DEL', state)
if #fields > 0 then
  redis.call('HSET', state, unpack(fields))
end
local kept = math.ceil(1000 * math.max(KEPT, (S.resume or 0) - now + KEPT))
for i = 2, 5 do
  redis.call('PEXPIRE', KEYS[i], string.format('%.0f', kept))
end
return record.reply
