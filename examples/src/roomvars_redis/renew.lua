-- A server has clients in this room. Gives the number of its last change, or nothing if it is gone.
local values, changes, rooms = KEYS[1], KEYS[2], KEYS[3]
local room, ttl = ARGV[1], ARGV[2]
local number = redis.call('HGET', values, '')
if number then
    local time = redis.call('TIME')
    redis.call('PEXPIRE', values, ttl)
    redis.call('PEXPIRE', changes, ttl)
    redis.call('ZADD', rooms, time[1] * 1000 + math.floor(time[2] / 1000), room)
end
return number
