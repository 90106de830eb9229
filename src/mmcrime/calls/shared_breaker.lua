-- One door of all processes; the rules are those of breaker.py, under the same names.
--
-- KEYS: the epoch; a hash of all doors, JSON by door.
-- ARGV[2]: what happened at which door, as JSON.

local MOST = 100 -- of the failures whose second telling is recognised

local doors = KEYS[2]
local m = cjson.decode(ARGV[2])

local function read(text)
  local circuit = cjson.decode(text)
  for _, field in ipairs({'last', 'since', 'until', 'probe_until'}) do
    circuit[field] = tonumber(circuit[field])
  end
  return circuit
end

-- Times as texts: a number in JSON would lose their fractions.
local function write(circuit)
  local written = {}
  for field, value in pairs(circuit) do
    written[field] = value
  end
  for _, field in ipairs({'last', 'since', 'until', 'probe_until'}) do
    written[field] = circuit[field] and string.format('%.6f', circuit[field])
  end
  redis.call('HSET', doors, m.door, cjson.encode(written))
  redis.call('PEXPIRE', doors, 1000 * m.kept)
end

local function forget_old()
  local all = redis.call('HGETALL', doors)
  for i = 1, #all, 2 do
    local circuit = read(all[i + 1])
    if math.max(circuit['until'] or 0, circuit.last) + m.kept < now then
      redis.call('HDEL', doors, all[i])
    end
  end
end

local held = redis.call('HGET', doors, m.door)
local circuit = held and read(held) or {failures = 0, last = 0, wait = 0, why = '', counted = {}}
local probing = circuit.probe == m.ticket

-- A clock that was set back must not keep a door shut for longer than any may be.
if circuit['until'] and circuit['until'] > now + m.longest then
  circuit['until'] = now + m.longest
  write(circuit)
  held = redis.call('HGET', doors, m.door)
end

local function admit()
  if not circuit['until'] then
    return 'go'
  elseif probing then
    return 'probe'
  end
  if now < circuit['until'] or (circuit.probe and now < circuit.probe_until) then
    return held
  end
  circuit.probe, circuit.probe_until = m.ticket, now + m.lease
  write(circuit)
  return 'probe'
end

-- A failure counts once, however often it is told.
local function counted()
  for _, ticket in ipairs(circuit.counted) do
    if ticket == m.ticket then
      return true
    end
  end
  return false
end

local function failed()
  if counted() or (circuit['until'] and not probing) then
    return
  end
  circuit.why = m.why
  if probing or not (now >= circuit.last and now - circuit.last < m.apart) then
    circuit.failures, circuit.last = circuit.failures + 1, now
  end
  table.insert(circuit.counted, m.ticket)
  if #circuit.counted > MOST then
    table.remove(circuit.counted, 1)
  end
  if probing or circuit.failures >= m.failures then
    circuit.probe, circuit.probe_until, circuit.counted = nil, nil, {}
    circuit.since = circuit.since or now
    circuit.wait = probing and math.min(m.longest, 2 * circuit.wait) or m.shortest
    circuit['until'] = now + circuit.wait
  end
  write(circuit)
  forget_old()
end

if m.what == 'admit' then
  return admit()
elseif m.what == 'failed' then
  failed()
elseif m.what == 'succeeded' then
  redis.call('HDEL', doors, m.door)
elseif probing then
  circuit.probe_until = m.what == 'renew' and now + m.lease or now
  write(circuit)
end
return ''
