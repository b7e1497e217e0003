-- What a Sync's operations do to the draft: gateway/core/ledger.py, function by function.

---------------------------------------------------------------- what operations have in common

local function audit(action, key, amount, note)
  audits[#audits + 1] = { now, action, key, amount, note or '' }
end

local function grown(counter, amount)
  return math.min(MOST, counter + amount)
end

-- Whether settled * 100 >= threshold * limit, without a product that doubles cannot hold.
local function crossed(settled, threshold, limit)
  local rest = math.fmod(limit, 100)
  return settled > 0 and settled >= threshold * ((limit - rest) / 100) + math.ceil(threshold * rest / 100)
end

local function alarm(changed, refused)
  local limit = changed.limit
  for _, threshold in ipairs(limit and thresholds or {}) do
    if crossed(changed.settled, threshold, limit) or (refused and threshold == 100) then
      local field = changed.key .. '\0' .. whole(threshold) .. '\0' .. whole(changed.epoch)
      local month = period_of(changed.key):sub(1, 7)
      if not alert_set[field] and call('HEXISTS', ':alerts:' .. month, field) == 0 then
        alert_set[field] = true
        alerts[#alerts + 1] = {
          field = field, month = month,
          line = { changed.key, threshold, changed.epoch, changed.settled, limit, now, notify },
        }
      end
    end
  end
end

local function shrink(changed, amount)
  local held = lease(me, changed.key)
  amount = math.min(amount, held.amount)
  held.amount = held.amount - amount
  changed.leased = changed.leased - amount
  return held
end

local function take(key, amount)
  if amount > 0 then
    local held, changed = lease(me, key), account(key)
    held.amount = held.amount + amount
    changed.leased = changed.leased + amount
  end
end

local function orphaned(held)
  local changed = account(held.key)
  changed.leased = changed.leased - held.amount
  changed.settled = grown(changed.settled, held.amount)
  changed.orphaned = grown(changed.orphaned, held.amount)
  held.orphan, held.recall = true, false
  orphans[#orphans + 1] = { held.holder, held.key, held.amount }
  audit('orphan', held.key, held.amount, held.holder)
  alarm(changed)
end

local function bury(id, state)
  local dead = holder(id)
  if dead.state == 'live' then
    live = live - 1
  end
  dead.state, dead.beat_at = state, now
  for _, held in ipairs(leases_of(id)) do
    if held.amount > 0 and not held.orphan then
      orphaned(held)
    end
  end
end

local function revive()
  for _, held in ipairs(leases_of(me)) do
    if held.orphan then
      local changed = account(held.key)
      changed.settled = changed.settled - held.amount
      changed.orphaned = changed.orphaned - held.amount
      changed.leased = changed.leased + held.amount
      held.orphan = false
      audit('revive', held.key, held.amount, me)
    end
  end
end

local function forget(id)
  for _, held in ipairs(leases_of(id)) do
    held.amount = 0
  end
  holders[id] = { id = id, forgotten = true }
end

---------------------------------------------------------------- the operations

local last -- our own row, as it was

local function arrive(op)
  local own = holder(me)
  own.boot, own.space, own.pid, own.started = op[2], op[3], op[4], op[5]
end

local function open(op)
  local key, limit = op[2], op[3] or false
  local new = not knows(key)
  local changed = account(key)
  if changed.limit == limit then
    return
  end
  changed.limit = limit
  if not new then
    changed.epoch = changed.epoch + 1
    audit('limit', key, limit or -1)
  end
  alarm(changed)
end

local function settle(op)
  local changed = account(op[2])
  changed.settled = grown(changed.settled, op[3])
  changed.estimated = grown(changed.estimated, op[5])
  changed.suspect = grown(changed.suspect, op[6])
  if op[4] > 0 then
    shrink(changed, op[4])
  end
  alarm(changed)
end

local function give(op)
  shrink(account(op[2]), op[3]).recall = false
end

local function ask(op)
  local key, need, want = op[2], op[3], op[4]
  local changed = account(key)
  local grant = 0
  if changed.limit then
    local room = math.max(0, changed.limit - changed.settled - changed.leased)
    grant = room >= op[5] and math.min(need, room) or 0
    if grant < need then
      for _, held in ipairs(leases_on(key)) do
        held.recall = held.recall or (held.holder ~= me and not held.orphan)
      end
    else
      local spare, parts = room - need, SHARE * math.max(1, live)
      local beyond = math.min(want - need, (spare - math.fmod(spare, parts)) / parts)
      if beyond >= op[5] then
        grant = grant + beyond
      end
    end
    take(key, grant)
  end
  granted[#granted + 1] = grant
end

local function refuse(op)
  alarm(account(op[2]), true)
end

local function erase(key, amount, note)
  local changed = account(key)
  audit('reset', key, amount, note)
  for _, held in ipairs(leases_on(key)) do
    if held.orphan then
      held.amount = 0
    end
  end
  changed.settled = math.max(0, changed.settled - amount)
  for _, part in ipairs({ 'orphaned', 'estimated', 'suspect' }) do
    changed[part] = math.min(changed[part], changed.settled)
  end
  changed.epoch = changed.epoch + 1
end

local function reset(op)
  local key = op[2]
  if knows(key) then
    local r = account(key)
    before[#before + 1] = {
      key, r.limit, r.epoch, r.settled, r.leased, r.orphaned, r.estimated, r.suspect, r.version,
    }
    erase(key, r.settled, op[3])
  end
end

local function reap(op)
  full_by = now
  local silence = last.seq > 0 and math.max(0, now - last.beat_at) or 0
  local after = op[3] + (silence > op[3] / 2 and silence or 0)
  local named, ids, seen = {}, {}, {}
  local function look(id)
    if id ~= me and not seen[id] then
      ids[#ids + 1] = id
      seen[id] = true
    end
  end
  for _, id in ipairs(op[2]) do
    named[id] = true
    look(id)
  end
  for _, index in ipairs({ ':live', ':gone' }) do -- a second more: the exact comparison stands below
    local age = index == ':live' and after or FORGET_S
    for _, id in ipairs(call('ZRANGEBYSCORE', index, '-inf', string.format('%.17g', now - age + 1))) do
      look(id)
    end
  end
  table.sort(ids, less)
  for _, id in ipairs(ids) do
    local other = holders[id] or (row(':holders', id) and holder(id))
    if other and not other.forgotten then
      local age = now - other.beat_at
      if other.state == 'live' then
        if named[id] or age > after then
          bury(id, 'dead')
        end
      elseif age > FORGET_S then
        forget(id)
      end
    end
  end
end

local function change(name, circuit)
  circuits[name] = circuit or nil
  circuit_changes[name] = circuit
end

local function trip(op)
  local circuit = circuits[op[2]]
  if not circuit or now >= circuit.open_until then
    change(op[2], { open_until = now + op[3], probe = '', probe_until = 0 })
  end
end

local function probe(op)
  local circuit = circuits[op[2]]
  if circuit and now >= circuit.open_until
    and (circuit.probe == '' or circuit.probe == me or now >= circuit.probe_until) then
    change(op[2], { open_until = circuit.open_until, probe = me, probe_until = now + op[3] })
  end
end

local function close(op)
  if circuits[op[2]] then
    change(op[2], false)
  end
end

local function free(op)
  local circuit = circuits[op[2]]
  if circuit and circuit.probe == me then
    change(op[2], { open_until = circuit.open_until, probe = '', probe_until = 0 })
  end
end

local function spend(op)
  local name = op[2]
  local full_at = buckets[name]
  if not full_at then
    full_at = tonumber(call('ZSCORE', ':buckets', name) or now)
    bucket_order[#bucket_order + 1] = name
  end
  buckets[name] = math.max(full_at, now) + op[3]
end

local ACTIONS = {
  arrive, open, settle, give, ask, refuse, reset, reap,
  function(op) take(op[2], op[3]) end, -- what an ask was granted, said again
  function(op) erase(op[2], op[3], op[4]) end, -- what a reset erased, said again
  trip, probe, close, free, spend,
}
