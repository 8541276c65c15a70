"""roomvars' messages, by its SPEC.md."""

import re

from json_text import WHITE_SPACE, Wrong, compact, message, quoted, utf8

SETTINGS = {
    "dialect": "documented",
    "max_client_message": 1 << 20,
    "max_server_message": 16 << 20,
}
# What each dialect calls a key (R3).
KEYS = {
    "documented": {
        key: key for key in ("kind", "room", "username", "variables", "variable", "value")
    },
    "deployed2020": {
        "kind": "kind",
        "room": "id",
        "username": "username",
        "variables": "variables",
        "variable": "var",
        "value": "value",
    },
    "scratch": {
        "kind": "method",
        "room": "project_id",
        "username": "user",
        "variable": "name",
        "value": "value",
        "new_name": "new_name",
    },
}
HANDSHAKE = ("room", "username", "variables")
KINDS = {"set": ("variable", "value")}
SCRATCH_KINDS = KINDS | {
    "create": ("variable", "value"),
    "rename": ("variable", "new_name"),
    "delete": ("variable",),
}
INTEGER = re.compile(r"-?\d+")


class Dialect:
    def __init__(self, settings, sender):
        self.is_scratch = settings["dialect"] == "scratch"
        self.keys = KEYS[settings["dialect"]]
        self.kinds = dict(SCRATCH_KINDS if self.is_scratch else KINDS)
        if sender == "client":
            self.kinds["handshake"] = tuple(key for key in HANDSHAKE if key in self.keys)

    def read(self, line):
        said = message(line, self.keys.values(), behind="trailing_data")
        kind = said.text(self.keys["kind"])
        if kind not in self.kinds:
            return {"type": "unknown", "kind": kind, "raw": said.value.raw}
        fields = {"type": kind}
        for field in self.kinds[kind]:
            fields[field] = self.field(said, field)
        if kind == "handshake":
            fields.setdefault("variables", [])
        return fields

    def field(self, said, field):
        key = self.keys[field]
        if field == "variables":
            return variables(said, key)
        entry = said.entry(key)
        if self.is_scratch and entry.kind == "number":
            if field == "value" or (field == "room" and INTEGER.fullmatch(entry.raw)):
                return {"number": entry.raw}
        return said.text(key)

    def write(self, fields):
        if fields["type"] == "unknown":
            return fields["raw"].encode()
        pairs = [(self.keys["kind"], quoted(fields["type"]))]
        for field in self.kinds[fields["type"]]:
            pairs.append((self.keys[field], written(fields[field])))
        return compact(*pairs)


def variables(said, key):
    """Pairs, since a name may stand there twice."""
    entry = said.entry(key)
    if entry.kind != "object":
        said.invalid(key)
    pairs = []
    for name, value in entry.keys:
        for part in (name, value):
            if part.whole_string() is None:
                raise Wrong("invalid_value", part.start, key)
        pairs.append([name.whole_string(), value.whole_string()])
    return pairs


def written(value):
    match value:
        case {"number": number}:
            return number
        case [*pairs]:
            return compact(*((name, quoted(value)) for name, value in pairs)).decode()
    return quoted(value)


def decode(vector, data):
    settings, sender = SETTINGS | vector.get("config", {}), vector["from"]
    dialect, messages = Dialect(settings, sender), []
    most = settings[f"max_{sender}_message"]
    at = 0
    try:
        if len(data) > most:
            raise Wrong("message_too_large", most)
        # A client's is one object, whatever the lines.
        for line in [data] if sender == "client" else data.split(b"\n"):
            utf8(line)
            if sender == "client" or line.strip(WHITE_SPACE):
                messages.append(dialect.read(line))
            at += len(line) + 1
    except Wrong as wrong:
        return messages, wrong.error | {"offset": at + wrong.error["offset"]}
    return messages, None


def encode(vector, messages):
    dialect = Dialect(SETTINGS | vector.get("config", {}), vector["from"])
    return b"\n".join(dialect.write(fields) for fields in messages)
