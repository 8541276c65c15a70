-- Gives what a room's values are, and makes the room if it isn't there. With `most` rooms there already, the one
-- that has been without a server longest goes, if one has.
local values, changes, rooms = KEYS[1], KEYS[2], KEYS[3]
local room, ttl, lease, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local created = 0
redis.call('ZREMRANGEBYSCORE', rooms, '-inf', now - ttl)
if redis.call('EXISTS', values) == 0 then
    if redis.call('ZCARD', rooms) >= most then
        local oldest = redis.call('ZRANGE', rooms, 0, 0, 'WITHSCORES')
        if not oldest[2] or tonumber(oldest[2]) > now - lease then
            return {-1, {}}
        end
        redis.call('DEL', '{roomvars}:values:' .. oldest[1], '{roomvars}:changes:' .. oldest[1])
        redis.call('ZREM', rooms, oldest[1])
    end
    -- Numbers of changes never come again, whatever the room was before.
    local number = string.format('%d%06d', time[1], time[2])
    redis.call('DEL', changes)
    redis.call('HSET', values, '', number)
    for i = 5, #ARGV, 2 do
        redis.call('HSET', values, ARGV[i], number .. ' ' .. ARGV[i + 1])
    end
    created = 1
end
redis.call('PEXPIRE', values, ARGV[2])
redis.call('PEXPIRE', changes, ARGV[2])
redis.call('ZADD', rooms, now, room)
return {created, redis.call('HGETALL', values)}
