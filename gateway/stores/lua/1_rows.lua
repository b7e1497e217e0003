-- One Sync on the quota ledger in Redis or Valkey: gateway/core/ledger.py, operation by operation, as one atomic script.
-- It is made of the files 1_rows, 2_operations and 3_sync, one behind the other.
--
-- Rule 1: everything is read and decided first and written last. What fails on the way has changed nothing.
-- Rule 2: numbers are doubles here, exact up to 2^53. No amount comes in above MOST, and no counter grows beyond it.
-- Rule 3: strings are compared byte by byte; the server's own `<` follows its locale.
--
-- KEYS[1]: the prefix of all keys; its hash tag keeps them in one slot of a cluster. Account keys are scope \0 unit \0 period.
-- ARGV[1]: {holder, seq, operations, thresholds, notify, leave}, packed. ARGV[2]: unix time, or "" for the server's own.
-- ARGV[3]: "new"; "forced": a gap before it is known and cannot be filled; "replay": it was answered before the server lost it.
-- Answers {"ok", reply}, {"stale", seq}, {"gap", last seq}, {"empty"} or {"wait"}.
--
-- :accounts:<period>  key -> limit, epoch, settled, leased, orphaned, estimated, suspect, version      :versions:<period>  by version
-- :lease  holder \0 key -> amount, recall, orphan     :leases:holder, :leases:account, :recalled  the same, to look up
-- :holders  id -> state, seq, beat_at, boot, space, pid, started     :replies  id -> reply     :live, :gone  ids by beat_at
-- :alerts:<month>  key \0 threshold \0 epoch -> used, limit, at      :alerted:<month>  by at     :outbox, :letters  webhooks
-- :audits  a list     :version, :schema  numbers     :server  run_id, wait_until     :heard  who was heard since run_id is new
-- :circuits  name -> until, probe, probe_until     :buckets  names by the time at which they are full
-- :notes  name -> bytes: what was learnt, written by note.lua alone

local MOST = 9007199254740991
local SHARE, FORGET_S = 4, 604800
local WAIT_S = 2 -- how long a server that is new waits for gateways to repeat what its predecessor may not have passed on
local KEEP_S, AUDITS = 400 * 86400, 100000

local prefix, mode = KEYS[1], ARGV[3]
local me, seq, operations, thresholds, notify, leave = unpack(cmsgpack.unpack(ARGV[1]))
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end

local function call(command, name, ...)
  return redis.call(command, prefix .. name, ...)
end

local function row(name, field)
  local packed = call('HGET', name, field)
  return packed and cmsgpack.unpack(packed)
end

local function whole(number)
  return string.format('%.0f', number)
end

local function less(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = one:byte(at), other:byte(at)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

---------------------------------------------------------------- the draft: rows read once, changed here, written at the end

local accounts, account_order = {}, {}
local leases, lease_order = {}, {}
local holders = {}
local alerts, alert_set, audits, before, orphans, granted = {}, {}, {}, {}, {}, {}
local live = call('ZCARD', ':live')

local function period_of(key)
  return key:match('[^%z]*$')
end

local function stored_account(key)
  return row(':accounts:' .. period_of(key), key)
end

local function knows(key)
  return accounts[key] or stored_account(key)
end

local function account(key)
  local found = accounts[key]
  if not found then
    local stored = stored_account(key)
    local limit, epoch, settled, leased, orphaned, estimated, suspect, version =
      unpack(stored or { false, 1, 0, 0, 0, 0, 0, 0 })
    found = {
      key = key, new = not stored, limit = limit, epoch = epoch, settled = settled, leased = leased,
      orphaned = orphaned, estimated = estimated, suspect = suspect, version = version,
    }
    accounts[key] = found
    account_order[#account_order + 1] = found
  end
  return found
end

local function lease(holder, key)
  local place = holder .. '\0' .. key
  local found = leases[place]
  if not found then
    local amount, recall, orphan = unpack(row(':lease', place) or { 0, false, false })
    found = { holder = holder, key = key, place = place, amount = amount, recall = recall, orphan = orphan }
    leases[place] = found
    lease_order[#lease_order + 1] = found
  end
  return found
end

local function mine(key)
  local place = me .. '\0' .. key
  local known = leases[place]
  local amount, orphan
  if known then
    amount, orphan = known.amount, known.orphan
  else
    local stored = row(':lease', place) or { 0, false, false }
    amount, orphan = stored[1], stored[3]
  end
  return orphan and 0 or amount
end

-- The other halves of what stands in a lexical index behind `half`, and in the draft, in order.
local function others(index, half, field, other)
  local seen, found = {}, {}
  for _, member in ipairs(call('ZRANGEBYLEX', index, '[' .. half .. '\0', '(' .. half .. '\1')) do
    found[#found + 1] = member:sub(#half + 2)
    seen[found[#found]] = true
  end
  for _, drafted in ipairs(lease_order) do
    if drafted[field] == half and not seen[drafted[other]] then
      found[#found + 1] = drafted[other]
    end
  end
  table.sort(found, less)
  return found
end

local function leases_of(holder)
  local found = others(':leases:holder', holder, 'holder', 'key')
  for at, key in ipairs(found) do
    found[at] = lease(holder, key)
  end
  return found
end

local function leases_on(key)
  local found = others(':leases:account', key, 'key', 'holder')
  for at, holder in ipairs(found) do
    found[at] = lease(holder, key)
  end
  return found
end

local buckets, bucket_order = {}, {}
local full_by -- buckets that were full before can go
local circuits, circuit_changes = {}, {}
do
  local rows = call('HGETALL', ':circuits')
  for at = 1, #rows, 2 do
    local open_until, probe, probe_until = unpack(cmsgpack.unpack(rows[at + 1]))
    circuits[rows[at]] = { open_until = open_until, probe = probe, probe_until = probe_until }
  end
end

local function holder(id)
  local found = holders[id]
  if not found then
    local stored = row(':holders', id)
    local state, number, beat_at, boot, space, pid, started = unpack(stored or { 'live', 0, 0, '', '', 0, 0 })
    found = {
      id = id, state = state, seq = number, beat_at = beat_at, new = not stored,
      boot = boot, space = space, pid = pid, started = started,
    }
    holders[id] = found
  end
  return found
end
