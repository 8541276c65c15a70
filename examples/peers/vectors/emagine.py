"""emagine's messages, by its SPEC.md."""

from json_text import Wrong, compact, decoded, op_message, quoted

KEYS = ("heartbeat_interval", "token", "user", "message", "time")
LONGEST_INTERVAL = 2**53
SIDES = {0: "server", 1: "client", 2: "server", 3: "server", 10: None, 11: None}
SETTINGS = {"max_message": 1 << 20}


def decode(vector, data):
    return decoded(read, SETTINGS, vector, data)


def read(sender, settings, data):
    said, op = op_message(data, settings["max_message"], KEYS)
    if op not in SIDES:
        return {"type": "unknown", "op": op, "raw": said.value.raw}
    # Of a server, op 1 is one of the spellings of Ready (E1).
    if SIDES[op] not in (sender, None) and (sender, op) != ("server", 1):
        raise Wrong("wrong_direction", said.entry("op").start)
    match sender, op:
        case _, 0:
            interval = said.integer("heartbeat_interval", LONGEST_INTERVAL)
            return {"type": "hello", "heartbeat_interval": interval}
        case "client", 1:
            return {"type": "identify", "token": said.text("token")}
        case _, 3:
            return {"type": "message", "message": said.raw("message")}
        case _, 2 if "message" in said:
            return {"type": "message", "message": said.raw("message")}
        case _, 1 | 2:
            return {"type": "ready", "user": said.text("user")}
    fields = {"type": "heartbeat" if op == 10 else "heartbeat_ack"}
    return fields | ({"time": said.raw("time")} if "time" in said else {})


def encode(vector, messages):
    (fields,) = messages
    match fields["type"]:
        case "unknown":
            return fields["raw"].encode()
        case "hello":
            pairs = ("op", "0"), ("heartbeat_interval", str(fields["heartbeat_interval"]))
        case "identify":
            pairs = ("op", "1"), ("token", quoted(fields["token"]))
        case "ready":
            pairs = ("op", "2"), ("user", quoted(fields["user"]))
        case "message":
            pairs = ("op", "3"), ("message", fields["message"])
        case "heartbeat" | "heartbeat_ack" as name:
            pairs = [("op", "10" if name == "heartbeat" else "11")]
            pairs += [("time", fields["time"])] if "time" in fields else []
    return compact(*pairs)
