"""JSON as the specifications read it: the text from the front, values as they are written."""

import json

LEVELS = 128
WHITE_SPACE = b" \t\n\r"
DIGITS = b"0123456789"
HEXADECIMAL = b"0123456789abcdefABCDEF"


class Wrong(Exception):
    """What is wrong with a message, as the vectors say it."""

    def __init__(self, kind, offset, key=None):
        super().__init__(kind)
        self.error = {"kind": kind, "offset": offset} | ({"key": key} if key else {})


def utf8(data, base=0):
    """The text of these bytes, which stand at `base`."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Wrong("not_utf8", base + error.start) from None


def string(text):
    """What a JSON string says; `None` if half of a surrogate pair stands alone in it."""
    said = json.loads(text)
    try:
        said.encode()
    except UnicodeEncodeError:
        return None
    return said


def quoted(said):
    """A string as it is written: with no more escapes than it must have."""
    return json.dumps(said, ensure_ascii=False)


class Value:
    """A value: where it is, as what, and if it is an object what it holds."""

    def __init__(self, text, start):
        self.text, self.start, self.end = text, start, None
        self.keys = []

    @property
    def raw(self):
        return self.text[self.start : self.end].decode()

    @property
    def kind(self):
        first = self.text[self.start]
        return {0x7B: "object", 0x5B: "array", 0x22: "string"}.get(
            first, "word" if first in b"tfn" else "number"
        )

    def whole_string(self):
        """Its text if it is a string without lone surrogates."""
        return string(self.raw) if self.kind == "string" else None

    def integer(self, most):
        """The integer that it is, if it is one from 0 to `most`, written as one."""
        if self.kind == "number" and self.raw.isdigit() and int(self.raw) <= most:
            return int(self.raw)
        return None


class Reader:
    """Reads a text, which is UTF-8. `known` keys may stand in the outermost object once only."""

    def __init__(self, text, known=()):
        self.text, self.known, self.at = text, known, 0

    def not_json(self):
        raise Wrong("not_json", self.at)

    def peek(self):
        return self.text[self.at : self.at + 1]

    def skip(self):
        while self.peek() and self.peek() in WHITE_SPACE:
            self.at += 1

    def take(self, allowed):
        if not self.peek() or self.peek() not in allowed:
            self.not_json()
        self.at += 1

    def value(self, level=1):
        self.skip()
        value = Value(self.text, self.at)
        match self.peek():
            case b"{":
                self.entries(value, level)
            case b"[":
                self.items(level)
            case b'"':
                self.quoted()
            case b"t" | b"f" | b"n" as first:
                for letter in {b"t": b"true", b"f": b"false", b"n": b"null"}[first]:
                    self.take(bytes([letter]))
            case _:
                self.number()
        value.end = self.at
        return value

    def open(self, level):
        if level > LEVELS:
            raise Wrong("too_deep", self.at)
        self.at += 1
        self.skip()

    def entries(self, value, level):
        self.open(level)
        if self.peek() == b"}":
            self.at += 1
            return
        while True:
            self.skip()
            key = Value(self.text, self.at)
            self.quoted()
            key.end = self.at
            self.skip()
            self.take(b":")
            entry = self.value(level + 1)
            if level == 1:
                self.once(key, value)
            value.keys.append((key, entry))
            self.skip()
            if self.peek() == b"}":
                self.at += 1
                return
            self.take(b",")

    def once(self, key, value):
        """A key that stands twice is told of when its second value has been read."""
        name = key.whole_string()
        others = (other.whole_string() for other, _ in value.keys)
        if name in self.known and name in others:
            raise Wrong("duplicate_key", key.start, name)

    def items(self, level):
        self.open(level)
        if self.peek() == b"]":
            self.at += 1
            return
        while True:
            self.value(level + 1)
            self.skip()
            if self.peek() == b"]":
                self.at += 1
                return
            self.take(b",")

    def quoted(self):
        self.take(b'"')
        while self.peek() != b'"':
            if not self.peek() or self.peek() < b" ":
                self.not_json()
            if self.peek() != b"\\":
                self.at += 1
                continue
            self.at += 1
            if self.peek() == b"u":
                self.at += 1
                for _ in range(4):
                    self.take(HEXADECIMAL)
            else:
                self.take(b'"\\/bfnrt')
        self.at += 1

    def digits(self):
        self.take(DIGITS)
        while self.peek() and self.peek() in DIGITS:
            self.at += 1

    def number(self):
        if self.peek() == b"-":
            self.at += 1
        if self.peek() == b"0":
            self.at += 1
        else:
            self.digits()
        if self.peek() == b".":
            self.at += 1
            self.digits()
        if self.peek() and self.peek() in b"eE":
            self.at += 1
            if self.peek() and self.peek() in b"+-":
                self.at += 1
            self.digits()


class Message:
    """The object that a message is, by its keys."""

    def __init__(self, value):
        self.value = value
        self.entries = {key.whole_string(): entry for key, entry in value.keys}

    def __contains__(self, name):
        return name in self.entries

    def entry(self, name):
        if name not in self.entries:
            raise Wrong("missing_key", self.value.end - 1, name)
        return self.entries[name]

    def invalid(self, name):
        raise Wrong("invalid_value", self.entries[name].start, name)

    def text(self, name):
        said = self.entry(name).whole_string()
        return self.invalid(name) if said is None else said

    def integer(self, name, most):
        number = self.entry(name).integer(most)
        return self.invalid(name) if number is None else number

    def raw(self, name):
        return self.entry(name).raw


def message(text, known, behind="not_json"):
    """The object that is a message; `behind` is what something after it is called."""
    reader = Reader(text, known)
    value = reader.value()
    reader.skip()
    is_object = value.kind == "object"
    if reader.peek():
        raise Wrong(behind if is_object else "not_json", reader.at)
    if not is_object:
        raise Wrong("not_an_object", value.start)
    return Message(value)


def decoded(read, settings, vector, data):
    """The one message of a vector, or why it isn't one."""
    settings = settings | vector.get("config", {})
    try:
        return [read(vector["from"], settings, data)], None
    except Wrong as wrong:
        return [], wrong.error


def op_message(data, most, keys):
    """The message of a protocol of op-codes, and its op."""
    if len(data) > most:
        raise Wrong("message_too_large", most)
    utf8(data)
    said = message(data, ("op", *keys))
    return said, said.integer("op", 255)


def compact(*pairs):
    """An object of keys and values that are JSON already."""
    return ("{" + ",".join(f"{quoted(key)}:{raw}" for key, raw in pairs) + "}").encode()
