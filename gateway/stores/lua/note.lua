-- A note (what was learnt, no part of the ledger) is replaced where it still says what its writer read.
--
-- KEYS[1]: the prefix of all keys. ARGV: name, before, after. Answers {1, after}, or {0, what it says now}; no note is "".

local notes = KEYS[1] .. ':notes'
local found = redis.call('HGET', notes, ARGV[1]) or ''
if found ~= ARGV[2] then
  return {0, found}
end
if ARGV[3] ~= found then
  redis.call('HSET', notes, ARGV[1], ARGV[3])
end
return {1, ARGV[3]}
