-- Everything that is asked of the quota ledger and changes nothing but one webhook's mark. The keys are told in 1_rows.lua.
--
-- ARGV[1] is the question; what follows it, and what comes back, stands at each. Rows come back packed, as they are kept.

local prefix = KEYS[1]

local function call(command, name, ...)
  return redis.call(command, prefix .. name, ...)
end

-- {field, row, field, row ...} of a hash, for those fields that it has.
local function rows(name, fields, found)
  for at = 1, #fields, 1000 do -- as many as Lua's stack takes
    local some = { unpack(fields, at, math.min(#fields, at + 999)) }
    for place, packed in ipairs(call('HMGET', name, unpack(some))) do
      if packed then
        found[#found + 1] = some[place]
        found[#found + 1] = packed
      end
    end
  end
  return found
end

local QUESTIONS = {}

-- since, periods ...
function QUESTIONS.accounts(since, ...)
  local found = {}
  for _, period in ipairs({ ... }) do
    rows(':accounts:' .. period, call('ZRANGEBYSCORE', ':versions:' .. period, '(' .. since, '+inf'), found)
  end
  return found
end

-- month, limit. All that are as young as the last one come too: who asks sorts them. Then the ids of those not delivered.
function QUESTIONS.alerts(month, limit)
  local index = ':alerted:' .. month
  local last = limit ~= '0' and call('ZREVRANGE', index, limit - 1, limit - 1, 'WITHSCORES') or {}
  local fields = limit == '0' and {} or call('ZREVRANGEBYSCORE', index, '+inf', last[2] or '-inf')
  return { rows(':alerts:' .. month, fields, {}), call('ZRANGE', ':outbox', 0, -1) }
end

-- limit
function QUESTIONS.outbox(limit)
  return rows(':letters', limit == '0' and {} or call('ZRANGE', ':outbox', 0, limit - 1), {})
end

-- holder
function QUESTIONS.recalls(holder)
  return call('ZRANGEBYLEX', ':recalled', '[' .. holder .. '\0', '(' .. holder .. '\1')
end

function QUESTIONS.holders()
  return call('HGETALL', ':holders')
end

-- limit
function QUESTIONS.audits(limit)
  return limit == '0' and {} or call('LRANGE', ':audits', 0, limit - 1)
end

-- unix time, or "" for the server's own; what was used comes first.
function QUESTIONS.circuits(now)
  if now == '' then
    local time = redis.call('TIME')
    now = string.format('%.17g', time[1] + time[2] / 1000000)
  end
  return { now, call('HGETALL', ':circuits') }
end

-- alert
function QUESTIONS.delivered(alert)
  call('ZREM', ':outbox', alert)
  call('HDEL', ':letters', alert)
  return {}
end

return QUESTIONS[ARGV[1]](unpack(ARGV, 2))
