-- Makes a change, if there is something to change: 1. 0: there isn't. -1: no such room. -2: no such variable.
-- -3: as many variables as there may be, which is `most`; a room with a negative number of them has what it has.
local values, changes = KEYS[1], KEYS[2]
local op, name, value, by = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most, ttl, kept = tonumber(ARGV[5]), ARGV[6], ARGV[7]
if redis.call('HEXISTS', values, '') == 0 then
    return -1
end
local old = redis.call('HGET', values, name)
if op == 'set' then
    if not old and most < 0 then
        return -2
    end
    -- One field is the room's.
    if not old and redis.call('HLEN', values) > most then
        return -3
    end
elseif not old or op == 'rename' and redis.call('HEXISTS', values, value) == 1 then
    return 0
end
local number = string.format('%.0f', redis.call('HINCRBY', values, '', 1))
if op == 'set' then
    redis.call('HSET', values, name, number .. ' ' .. value)
else
    redis.call('HDEL', values, name)
    if op == 'rename' then
        redis.call('HSET', values, value, old)
    end
end
redis.call('XADD', changes, 'MAXLEN', '~', kept, number .. '-0',
    'op', op, 'name', name, 'value', value, 'by', by)
redis.call('PEXPIRE', changes, ttl)
return 1
