"""litecord's messages, by its SPEC.md."""

from json_text import Wrong, compact, decoded, op_message, quoted

KEYS = ("hb_interval", "password", "w", "a", "n", "r")
LONGEST_INTERVAL = 2**53
# Their sides are those of the notes; 4, 5 and 6 go both ways unless these are binding (L1).
OPS = {
    0: ("hello", "server", ["hb_interval"]),
    1: ("hello_ack", "client", ["password"]),
    2: ("heartbeat", "client", []),
    3: ("heartbeat_ack", "server", []),
    4: ("request", "client", ["w", "a", "n"]),
    5: ("response", "server", ["n", "r"]),
    6: ("dispatch", "client", ["w", "a"]),
}
BOTH_WAYS = (4, 5, 6)
# What the vectors call them.
NAMES = {"w": "what", "a": "args", "n": "nonce", "r": "result"}
SETTINGS = {"directions": "both-ways", "max_message": 1 << 20}


def decode(vector, data):
    return decoded(read, SETTINGS, vector, data)


def read(sender, settings, data):
    said, op = op_message(data, settings["max_message"], KEYS)
    if op not in OPS:
        return {"type": "unknown", "op": op, "raw": said.value.raw}
    name, side, keys = OPS[op]
    free = op in BOTH_WAYS and settings["directions"] == "both-ways"
    if side != sender and not free:
        raise Wrong("wrong_direction", said.entry("op").start)
    fields = {"type": name}
    for key in keys:
        if key == "hb_interval":
            fields[key] = said.integer(key, LONGEST_INTERVAL)
        elif key in ("w", "password"):
            fields[NAMES.get(key, key)] = said.text(key)
        else:
            fields[NAMES[key]] = said.raw(key)
    return fields


def encode(vector, messages):
    (fields,) = messages
    if fields["type"] == "unknown":
        return fields["raw"].encode()
    op, keys = next((op, keys) for op, (name, _, keys) in OPS.items() if name == fields["type"])
    pairs = [("op", str(op))]
    for key in keys:
        value = fields[NAMES.get(key, key)]
        if key == "hb_interval":
            value = str(value)
        elif key in ("w", "password"):
            value = quoted(value)
        pairs.append((key, value))
    return compact(*pairs)
