"""bingo's frames, by its SPEC.md."""

from json_text import Wrong, compact, message, quoted, utf8

SETTINGS = {"byte_order": "big", "error_reply": "header-id", "max_payload": 65535}
# Who may send it.
OPCODES = {
    0x00: ("noop", "both"),
    0x01: ("identification", "client"),
    0x02: ("ready", "server"),
    0x03: ("ping", "server"),
    0x04: ("request", "both"),
    0x05: ("reply", "both"),
    0x06: ("error_reply", "both"),
    0x07: ("protocol_error", "both"),
    0x08: ("event", "both"),
    0x09: ("data_update", "server"),
}
HEADER = 5


class Codec:
    def __init__(self, vector):
        settings = SETTINGS | vector.get("config", {})
        self.sender = vector["from"]
        self.order = settings["byte_order"]
        self.has_own_id = settings["error_reply"] == "payload-prefix"
        self.max_payload = settings["max_payload"]

    def number(self, data):
        return int.from_bytes(data, self.order)

    def bytes(self, number):
        return number.to_bytes(2, self.order)

    def names_in_header(self, name):
        """Whether the id in the header is that of what is answered (B7)."""
        return name == "error_reply" and not self.has_own_id

    def frame(self, data):
        """The length of the frame that this begins with; `None` if that can't be told yet."""
        if data[0] not in OPCODES:
            raise Wrong("unknown_opcode", 0)
        if data[0] == 0x00:
            return 1
        if len(data) < HEADER:
            return None
        length = self.number(data[3:5])
        if length > self.max_payload:
            raise Wrong("payload_too_large", 3)
        return HEADER + length if len(data) >= HEADER + length else None

    def read(self, frame):
        """What a frame says."""
        name, sender = OPCODES[frame[0]]
        if sender not in (self.sender, "both"):
            raise Wrong("wrong_direction", 0)
        fields = {"type": name}
        if name == "noop":
            return fields
        number, payload, at = self.number(frame[1:3]), frame[HEADER:], HEADER
        is_clients = (self.sender == "client") != self.names_in_header(name)
        if (number < 0x8000) != is_clients:
            raise Wrong("wrong_id_half", 1)
        fields["in_reply_to" if self.names_in_header(name) else "message_id"] = number
        if name == "reply" or (name == "error_reply" and self.has_own_id):
            if len(payload) < 2:
                raise Wrong("reply_too_short", at)
            fields["in_reply_to"] = self.number(payload[:2])
            payload, at = payload[2:], at + 2
        return fields | self.payload(name, payload, at)

    def payload(self, name, payload, at):
        match name:
            case "ping":
                return nothing(payload, at)
            case "error_reply" if self.sender == "client":
                return nothing(payload, at)
            case "reply" if not payload:
                return {}
            case "error_reply" | "protocol_error":
                return {"text": utf8(payload, at)}
            case "identification":
                return identification(payload, at)
        text, other = ("token", "token_hex") if name == "ready" else ("text", "payload")
        try:
            return {text: payload.decode()}
        except UnicodeDecodeError:
            return {other: payload.hex()}

    def write(self, fields):
        opcode = next(opcode for opcode, (name, _) in OPCODES.items() if name == fields["type"])
        if opcode == 0x00:
            return b"\0"
        fields = dict(fields)
        del fields["type"]
        payload = b""
        in_header = "in_reply_to" if "message_id" not in fields else "message_id"
        number = fields.pop(in_header)
        if "in_reply_to" in fields:
            payload = self.bytes(fields.pop("in_reply_to"))
        match fields:
            case {"login": login, "username": username}:
                payload = compact(("login", quoted(login)), ("username", quoted(username)))
            case {"text": text} | {"token": text}:
                payload += text.encode()
            case {"payload": digits} | {"token_hex": digits}:
                payload += bytes.fromhex(digits)
        return bytes([opcode]) + self.bytes(number) + self.bytes(len(payload)) + payload


def nothing(payload, at):
    if payload:
        raise Wrong("payload_not_empty", at)
    return {}


def identification(payload, at):
    try:
        utf8(payload)
        said = message(payload, ("login", "username"))
        return {key: said.text(key) for key in ("login", "username")}
    except Wrong as wrong:
        kind = wrong.error["kind"]
        kind = {"not_utf8": "not_json", "invalid_value": "not_a_string"}.get(kind, kind)
        raise Wrong(kind, at + wrong.error["offset"]) from None


def decode(vector, pieces):
    """All frames and errors of a stream that comes in these pieces and then ends."""
    codec, items, data, offset = Codec(vector), [], b"", 0
    for piece in pieces:
        data += piece
        while data:
            try:
                if (length := codec.frame(data)) is None:
                    break
            except Wrong as wrong:
                return [*items, wrong.error | {"offset": offset + wrong.error["offset"]}]
            try:
                items.append(codec.read(data[:length]))
            except Wrong as wrong:
                items.append(wrong.error | {"offset": offset + wrong.error["offset"]})
            data, offset = data[length:], offset + length
    return [*items, {"kind": "unexpected_eof", "offset": offset}] if data else items


def encode(vector, fields):
    return Codec(vector).write(fields)


def trailer(vector):
    """A good frame to follow the others."""
    number = 0 if vector["from"] == "client" else 0x8000
    fields = {"type": "event", "message_id": number, "text": ""}
    return encode(vector, fields), fields
