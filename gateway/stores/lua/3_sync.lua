-- One Sync: whether it may act, what it does, and the writing at its end.

---------------------------------------------------------------- a server that is new

local function asks()
  for _, op in ipairs(operations) do
    if op[1] == 5 then
      return true
    end
  end
  return false
end

-- Whether others may still hold leases that this server never heard of. Nothing new is granted meanwhile.
local function waiting()
  local fine, text = pcall(redis.call, 'INFO', 'server')
  local id = fine and text:match('run_id:(%x+)')
  local known, wait_until = unpack(call('HMGET', ':server', 'run_id', 'wait_until'))
  if id and id ~= known then
    wait_until = known and now + WAIT_S
    call('HSET', ':server', 'run_id', id, 'wait_until', string.format('%.17g', wait_until or 0))
    call('DEL', ':heard')
  end
  wait_until = tonumber(wait_until or 0)
  if wait_until <= now then
    return false
  end
  if wait_until > now + WAIT_S then -- the clock of another server
    call('HSET', ':server', 'wait_until', string.format('%.17g', now + WAIT_S))
  end
  call('SADD', ':heard', me)
  for _, id in ipairs(call('ZRANGE', ':live', 0, -1)) do
    if call('SISMEMBER', ':heard', id) == 0 then
      return asks()
    end
  end
  call('HSET', ':server', 'wait_until', '0')
  return false
end

---------------------------------------------------------------- writing

local function write_account(r, version)
  local period = period_of(r.key)
  r.version = version
  local line = { r.limit, r.epoch, r.settled, r.leased, r.orphaned, r.estimated, r.suspect, r.version }
  call('HSET', ':accounts:' .. period, r.key, cmsgpack.pack(line))
  call('ZADD', ':versions:' .. period, whole(version), r.key)
  if r.new then
    call('EXPIRE', ':accounts:' .. period, KEEP_S)
    call('EXPIRE', ':versions:' .. period, KEEP_S)
  end
end

local function write_lease(held)
  local from = held.key .. '\0' .. held.holder
  if held.amount == 0 then
    call('HDEL', ':lease', held.place)
    call('ZREM', ':leases:holder', held.place)
    call('ZREM', ':leases:account', from)
  else
    call('HSET', ':lease', held.place, cmsgpack.pack({ held.amount, held.recall, held.orphan }))
    call('ZADD', ':leases:holder', 0, held.place)
    call('ZADD', ':leases:account', 0, from)
  end
  if held.recall and held.amount > 0 then
    call('ZADD', ':recalled', 0, held.place)
  else
    call('ZREM', ':recalled', held.place)
  end
end

local function write_holder(r)
  if r.forgotten then
    call('HDEL', ':holders', r.id)
    call('HDEL', ':replies', r.id)
    call('ZREM', ':gone', r.id)
    return
  end
  call('HSET', ':holders', r.id, cmsgpack.pack({ r.state, r.seq, r.beat_at, r.boot, r.space, r.pid, r.started }))
  local is, was = ':live', ':gone'
  if r.state ~= 'live' then
    is, was = was, is
  end
  call('ZADD', is, string.format('%.17g', r.beat_at), r.id)
  call('ZREM', was, r.id)
end

local function write_alert(alert)
  local key, threshold, epoch, used, limit, at, pending = unpack(alert.line)
  local time = string.format('%.17g', at)
  call('HSET', ':alerts:' .. alert.month, alert.field, cmsgpack.pack({ used, limit, at }))
  call('ZADD', ':alerted:' .. alert.month, time, alert.field)
  call('EXPIRE', ':alerts:' .. alert.month, KEEP_S)
  call('EXPIRE', ':alerted:' .. alert.month, KEEP_S)
  if pending then
    local scope, unit = key:match('^(.*)%z([^%z]*)%z[^%z]*$')
    local id = table.concat({ scope, period_of(key), whole(threshold), whole(epoch) }, '|')
    if unit ~= 'tokens' then
      id = id .. '|' .. unit
    end
    call('ZADD', ':outbox', time, id)
    call('HSET', ':letters', id, cmsgpack.pack(alert.line))
  end
end

local function write(reply)
  for _, held in ipairs(lease_order) do
    write_lease(held)
  end
  for _, changed in pairs(holders) do
    write_holder(changed)
  end
  for _, alert in ipairs(alerts) do
    write_alert(alert)
  end
  for _, line in ipairs(audits) do
    call('LPUSH', ':audits', cmsgpack.pack(line))
  end
  if #audits > 0 then
    call('LTRIM', ':audits', 0, AUDITS - 1)
  end
  for name, full_at in pairs(buckets) do
    call('ZADD', ':buckets', string.format('%.17g', full_at), name)
  end
  if full_by then
    call('ZREMRANGEBYSCORE', ':buckets', '-inf', '(' .. string.format('%.17g', full_by))
  end
  for name, circuit in pairs(circuit_changes) do
    if circuit then
      local line = { circuit.open_until, circuit.probe, circuit.probe_until }
      call('HSET', ':circuits', name, cmsgpack.pack(line))
    else
      call('HDEL', ':circuits', name)
    end
  end
  call('HSET', ':replies', me, reply)
end

local function circuit_states()
  local names = {}
  for name in pairs(circuits) do
    names[#names + 1] = name
  end
  table.sort(names, less)
  for at, name in ipairs(names) do
    local c = circuits[name]
    names[at] = { name, math.max(0, c.open_until - now), c.probe, math.max(0, c.probe_until - now) }
  end
  return names
end

---------------------------------------------------------------- one Sync

if call('EXISTS', ':schema') == 0 then
  return { 'empty' }
end
local own = holder(me)
if seq < own.seq or (seq == own.seq and mode == 'replay') then
  return { 'stale', whole(own.seq) }
elseif seq == own.seq then
  return { 'ok', call('HGET', ':replies', me) }
elseif seq > own.seq + 1 and mode == 'new' then
  return { 'gap', whole(own.seq) }
elseif mode ~= 'replay' and waiting() then
  return { 'wait' }
end

last = { seq = own.seq, beat_at = own.beat_at }
if own.new or own.state ~= 'live' then
  live = live + 1
end
if own.state ~= 'live' then
  revive()
end
own.state = 'live'
for _, op in ipairs(operations) do
  ACTIONS[op[1]](op)
end
if leave then
  bury(me, 'left')
end

local version = #account_order > 0 and call('INCR', ':version')
local standings, recalled, told = {}, {}, {}
for at, r in ipairs(account_order) do
  write_account(r, version)
  standings[at] = { r.key, r.limit, r.epoch, r.settled, r.leased, mine(r.key), version }
end
for _, held in ipairs(lease_order) do
  if held.holder == me and held.recall and held.amount > 0 then
    recalled[#recalled + 1] = held.key
  end
end
for at, alert in ipairs(alerts) do
  told[at] = alert.line
end
own.seq = seq
own.beat_at = mode == 'replay' and last.beat_at or now
local filled = {}
for at, name in ipairs(bucket_order) do
  filled[at] = { name, math.max(0, buckets[name] - now) }
end
local reply = cmsgpack.pack({ standings, math.max(1, live), told, before, orphans, recalled, circuit_states(), filled, granted })
write(reply)
return { 'ok', reply }
