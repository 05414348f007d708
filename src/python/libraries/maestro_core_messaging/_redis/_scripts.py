"""What happens inside Redis, each as one step that is done whole or not at all.

For a topic there is its stream, and for each of its groups, besides the stream's own consumer group:
    leased  sorted set: entry -> when its lease ends, in ms
    due     sorted set: entry that may be taken -> since when, or when its retry is due
    info    hash: entry -> "attempt token key" for every entry that was read and is not finished
    heads   hash: key -> the one entry of it that is leased or due
    behind  sorted set by text: key, entry: what waits behind a head
    wake    stream of one entry, new whenever something became due without a publish
    dead    stream of dead letters
"""

from typing import Final

_IDS: Final = r"""
-- Ids in the order of their texts: both halves padded to the width of 64 bits.
local function padded(id)
  local ms, number = id:match('^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #number) .. number
end
"""

_GROUP: Final = _IDS + r"""
local stream, leased, due, info, heads, behind, wake, dead = unpack(KEYS)
local group = ARGV[1]
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function ring() redis.call('XADD', wake, 'MAXLEN', 1, '*', 'rung', '1') end
local function field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end
local function body_of(fields) return field(fields, 'ce') or cjson.encode(fields) end
local function key_of(fields)
  local key = field(fields, 'partitionkey')
  if key then return key end
  local read, event = pcall(cjson.decode, field(fields, 'ce') or '')
  if read and type(event) == 'table' and type(event.partitionkey) == 'string' then return event.partitionkey end
  return ''
end
local function about(id)
  local known = redis.call('HGET', info, id)
  if not known then return nil end
  local attempt, token, key = known:match('^(%d+) (%d+) (.*)$')
  return tonumber(attempt), tonumber(token), key
end
local function remember(id, attempt, token, key)
  redis.call('HSET', info, id, string.format('%d %d ', attempt, token) .. key)
end
-- True when the entry is the first of its key, or has none; else it now waits behind the first.
local function comes_first(id, key)
  if key == '' then return true end
  if redis.call('HSETNX', heads, key, id) == 1 then return true end
  redis.call('ZADD', behind, 0, key .. '\0' .. padded(id) .. '\0' .. id)
  return false
end
local function finish(id, key, now)
  redis.call('XACK', stream, group, id)
  redis.call('ZREM', leased, id)
  redis.call('ZREM', due, id)
  redis.call('HDEL', info, id)
  if key == '' or redis.call('HGET', heads, key) ~= id then return end
  local waiting = redis.call('ZRANGEBYLEX', behind, '[' .. key .. '\0', '(' .. key .. '\1', 'LIMIT', 0, 1)[1]
  if waiting then
    redis.call('ZREM', behind, waiting)
    local next_id = waiting:match('([^%z]+)$')
    redis.call('HSET', heads, key, next_id)
    redis.call('ZADD', due, now, next_id)
    ring()
  else
    redis.call('HDEL', heads, key)
  end
end
local function bury(id, key, body, reason, text, attempt, now)
  redis.call('XADD', dead, '*', 'ce', body, 'reason', reason, 'error', text, 'position', id, 'attempts', attempt)
  finish(id, key, now)
end
"""

# ARGV: group, start, idle ms. Entries that are pending and unknown were read by a client of another kind, or what is
# known was lost: they become due.
JOIN: Final = _GROUP + r"""
local made = redis.pcall('XGROUP', 'CREATE', stream, group, ARGV[2], 'MKSTREAM')
if type(made) == 'table' and made.err then
  if not made.err:find('BUSYGROUP', 1, true) then return made end
else
  redis.call('DEL', leased, due, info, heads, behind)
end
redis.call('SADD', KEYS[9], KEYS[10])
local cursor, now = '0-0', now_ms()
repeat
  local page = redis.call('XAUTOCLAIM', stream, group, 'maestro', ARGV[3], cursor, 'COUNT', 100, 'JUSTID')
  cursor = page[1]
  for _, id in ipairs(page[2]) do
    if not about(id) then
      local entry = redis.call('XRANGE', stream, id, id)[1]
      local key = entry and key_of(entry[2]) or ''
      remember(id, 0, 0, key)
      if comes_first(id, key) then redis.call('ZADD', due, now, id) end
    end
  end
until cursor == '0-0'
return 1
"""

# ARGV: group, count, lease ms. Returns {id, attempt, token, body}…, when to look again in ms from now (-1: when rung),
# and the last ids of the stream and of the bell.
TAKE: Final = _GROUP + r"""
local count, lease_ms, now = tonumber(ARGV[2]), tonumber(ARGV[3]), now_ms()
local taken = {}
local function take(id, attempt, token, key, fields)
  remember(id, attempt, token, key)
  redis.call('ZREM', due, id)
  redis.call('ZADD', leased, now + lease_ms, id)
  taken[#taken + 1] = {id, attempt, token, body_of(fields)}
end
local ended = redis.call('ZRANGEBYSCORE', leased, '-inf', now, 'WITHSCORES', 'LIMIT', 0, count)
for i = 1, #ended, 2 do
  redis.call('ZREM', leased, ended[i])
  redis.call('ZADD', due, ended[i + 1], ended[i])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, count)) do
  local attempt, token, key = about(id)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    take(id, attempt + 1, token + 1, key, entry[2])
  else
    bury(id, key, '', 'trimmed', 'the entry is gone from the stream', attempt, now)
  end
end
local scanned, emptied = 0, false
while #taken < count and scanned < 1000 and not emptied do
  local wanted = count - #taken
  local page = redis.call('XREADGROUP', 'GROUP', group, 'maestro', 'COUNT', wanted, 'STREAMS', stream, '>')
  local entries = page and page[1] and page[1][2] or {}
  for _, entry in ipairs(entries) do
    local id, fields = entry[1], entry[2]
    local only = field(fields, 'only')
    if only and only ~= group then
      redis.call('XACK', stream, group, id)
    else
      local key = key_of(fields)
      if comes_first(id, key) then take(id, 1, 1, key, fields) else remember(id, 0, 0, key) end
    end
  end
  scanned = scanned + #entries
  emptied = #entries < wanted
end
local look_in_ms = -1
if not emptied then
  look_in_ms = 0
else
  for _, set in ipairs({leased, due}) do
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
    if first[2] then
      local in_ms = math.max(0, tonumber(first[2]) - now)
      if look_in_ms < 0 or in_ms < look_in_ms then look_in_ms = in_ms end
    end
  end
end
local function last(key)
  local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  return entry and entry[1] or '0-0'
end
return {taken, look_in_ms, last(stream), last(wake)}
"""

# ARGV: group, lease ms, then id, token, id, token… Returns the ids that are lost.
EXTEND: Final = _GROUP + r"""
local until_ms, lost = now_ms() + tonumber(ARGV[2]), {}
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local _, token = about(id)
  if token == tonumber(ARGV[i + 1]) and (redis.call('ZSCORE', leased, id)) then
    redis.call('ZADD', leased, until_ms, id)
    -- So that XPENDING shows it alive.
    redis.call('XCLAIM', stream, group, 'maestro', 0, id, 'JUSTID')
  else
    lost[#lost + 1] = id
  end
end
return lost
"""

# ARGV: group, id, token, what, and for retry: delay ms; for bury: reason, error, attempts. Returns 0 when it is lost.
SETTLE: Final = _GROUP + r"""
local id, what, now = ARGV[2], ARGV[4], now_ms()
local attempt, token, key = about(id)
-- A lease that ran out is still its taker's while nobody else has taken it; what was retried or given back is not.
if token ~= tonumber(ARGV[3]) or not redis.call('ZSCORE', leased, id) then return 0 end
if what == 'ack' then
  finish(id, key, now)
elseif what == 'bury' then
  local entry = redis.call('XRANGE', stream, id, id)[1]
  bury(id, key, entry and body_of(entry[2]) or '', ARGV[5], ARGV[6], ARGV[7], now)
else
  redis.call('ZREM', leased, id)
  redis.call('ZADD', due, what == 'retry' and now + tonumber(ARGV[5]) or now, id)
  if what == 'give_back' then remember(id, attempt - 1, token, key) end
  ring()
end
return 1
"""

# KEYS: dead, stream. ARGV: group, letter, "replay" or "purge".
LETTER: Final = r"""
local letter = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
if not letter then return 0 end
if ARGV[3] == 'replay' then
  redis.call('XADD', KEYS[2], '*', letter[2][1], letter[2][2], 'only', ARGV[1])
end
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
"""

_BACKLOG: Final = r"""
local function groups_of(stream)
  local groups = {}
  if redis.call('EXISTS', stream) == 0 then return groups end
  for _, pairs_of in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #pairs_of, 2 do group[pairs_of[i]] = pairs_of[i + 1] end
    groups[#groups + 1] = group
  end
  return groups
end
-- What the group has not read yet, counted up to `most`: servers before 7.0, and any after a deletion, do not say.
local function unread(stream, group, most)
  if type(group['lag']) == 'number' then return group['lag'] end
  local count, after = 0, group['last-delivered-id']
  while count < most do
    local page = redis.call('XRANGE', stream, '(' .. after, '+', 'COUNT', 500)
    count = count + #page
    if #page < 500 then break end
    after = page[#page][1]
  end
  return count
end
"""

# KEYS: stream, topics, then a key for each message that remembers it. ARGV: name, most backlog (0: any), ms to remember
# (0: not), then for each message: how many fields, and its fields. Returns 0, or the group that has too much.
PUBLISH: Final = _BACKLOG + r"""
local stream, most, keep_ms = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
if most > 0 then
  local room = most - (#KEYS - 2)
  for _, group in ipairs(groups_of(stream)) do
    if group['pending'] + unread(stream, group, most + 1) > room then return group['name'] end
  end
end
redis.call('SADD', KEYS[2], ARGV[1])
local at = 4
for i = 3, #KEYS do
  local size = tonumber(ARGV[at])
  if keep_ms == 0 or redis.call('SET', KEYS[i], '1', 'NX', 'PX', keep_ms) then
    redis.call('XADD', stream, '*', unpack(ARGV, at + 1, at + size))
  end
  at = at + size + 1
end
return 0
"""

# KEYS: stream. ARGV: prefix of the keys of a group, most to count.
STATS: Final = _BACKLOG + r"""
local stream, now, found = KEYS[1], redis.call('TIME'), {}
now = now[1] * 1000 + math.floor(now[2] / 1000)
for _, group in ipairs(groups_of(stream)) do
  local own = ARGV[1] .. group['name'] .. ':'
  local leased = redis.call('ZCOUNT', own .. 'leased', '(' .. now, '+inf')
  local oldest = redis.call('XPENDING', stream, group['name'])[2]
  if not oldest then
    local entry = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
    oldest = entry and entry[1]
  end
  local waiting = group['pending'] - leased + unread(stream, group, tonumber(ARGV[2]))
  found[#found + 1] = {group['name'], waiting, leased, redis.call('XLEN', own .. 'dead'), oldest or ''}
end
return {redis.call('XLEN', stream), found}
"""

# KEYS: stream. ARGV: ms of age. Cuts up to the oldest entry that some group has pending or unread.
TRIM: Final = _IDS + _BACKLOG + r"""
local stream, now = KEYS[1], redis.call('TIME')
local cut = string.format('%.0f-0', math.max(0, now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[1])))
for _, group in ipairs(groups_of(stream)) do
  local oldest = redis.call('XPENDING', stream, group['name'])[2]
  if not oldest then
    local entry = redis.call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
    oldest = entry and entry[1]
  end
  if oldest and padded(oldest) < padded(cut) then cut = oldest end
end
return redis.call('XTRIM', stream, 'MINID', '=', cut)
"""
