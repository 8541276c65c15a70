"""delimchat's packets, by its SPEC.md: the table of packets is read out of it."""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

SPEC = Path(__file__).resolve().parents[3] / "crates" / "delimchat-proto" / "SPEC.md"
SETTINGS = {
    "byte_order": "big",
    "endian_marker": "numeric",
    "status_digits": "decimal",
    "max_packet": 8192,
    "drafts": {},
}
FIXED = {"u32": 4, "cmid": 4, "room": 8, "uid": 16, "uid8": 8}
# What the vectors call the fields, by what the table has there.
NAMES = {
    "cmid": "client_message_id", "room": "room", "uid": "unique_id", "uid8": "unique_id_prefix",
    "u32 TP": "remaining", "u32 PN": "number", "username": "username", "E": "byte_order",
    "b64 password": "password", "b64 message": "message", "text e-mail": "email",
    "text alias": "alias", "text old alias": "old_alias", "text new alias": "new_alias",
    "text part message": "part_message", "one packet id in each group": "packets",
}  # fmt: skip
STATUS_NAMES = {
    "U": "username_status", "P": "password_status", "RID": "room_status", "M": "message_status",
    "TP": "remaining_status", "PN": "number_status", "ALIAS": "alias_status",
}  # fmt: skip
STATUSES = {
    1: "empty_field", 2: "invalid", 3: "okay", 4: "bad_base64", 5: "unchecked",
    6: "already_validated", 7: "already_in_use", 8: "not_authorized", 9: "not_in_room",
    10: "already_in_room", 11: "empty_message", 12: "message_too_long",
}  # fmt: skip
# In the results of long messages.
LONG_RESULTS = ("S88", "S92", "S100")
LONG_STATUSES = {"RID": {4: "not_authorized"}, "M": {5: "empty_message"}}
# D8: these may be written as decimal digits, too.
SPELT = {0x10: 10, 0x11: 11, 0x12: 12}
LIMITS = {"username": 64, "alias": 64, "email": 254, "b64": 4000, "E": 1}
TEXT_LIMIT = 1024
# Whose overlong message is told apart (D5).
TOLD_APART = ("U80", "U87", "U91")
DELIMITER = re.compile(rb"[\x00\xff]")
ENDIAN_MARKERS = {b"\1": "little", b"L": "little", b"\2": "big", b"B": "big"}

# What D11 says of the drafts, in the table's notation. `part` is a number of one byte.
TIME = "minutes 59 · hours 23 · days 30 · months 11 · years 255"
DRAFTS = {
    "client": {
        "update_user": "b64 password · text e-mail · gender · date · text name",
        "privacy": "show e-mail · show gender · show date_of_birth · show name",
        "avatar_head": "u32 TP · b64 data",
        "avatar_next": "part · b64 data",
        "mute": '"\1" · username',
        "unmute": "username",
        "friend": "username",
        "unfriend": "username",
        "silence": f"username · text reason · {TIME}",
        "ban": f"username · text reason · {TIME}",
        "unban": "username",
        "move_message": "room · uid",
        "leave_room": "room",
    },
    "server": {
        "avatar_head": "u32 TP · b64 data",
        "avatar_next": "part · b64 data",
        "silence_refused": '"SU"',
        "ban_refused": '"BU"',
        "unban_refused": '"UU"',
        "room_created": "room",
    },
}
DRAFT_NAMES = {
    "b64 data": "data", "text name": "name", "text reason": "reason", "gender": "gender",
    "date": "date_of_birth", "part": "part",
}  # fmt: skip
GENDERS = ["male", "female", "trans", "other", "mayo"]
LETTERS = {b"M": "male", b"F": "female", b"T": "trans", b"O": "other"}
SHOWN = {b"D": "display", b"H": "hide"}


class Malformed(Exception):
    def __init__(self, kind="malformed", skip=1):
        super().__init__(kind)
        # The `00` that ends it is none of the first bytes.
        self.kind, self.skip = kind, skip


class Short(Exception):
    """It isn't whole."""


@dataclass
class Field:
    """A field of a layout."""

    kind: str
    name: str = ""
    literal: bytes = b""
    statuses: dict = field(default_factory=dict)
    most: int = 0

    @classmethod
    def of(cls, text, packet):
        if literal := re.match(r'"(.+?)"', text):
            return cls("literal", literal=literal[1].encode())
        if status := re.fullmatch(r"st (\w+)\{([\d,]+)\}", text):
            return cls.status(packet, status[1], [int(one) for one in status[2].split(",")])
        if time := re.fullmatch(r"(minutes|hours|days|months|years) (\d+)", text):
            return cls("time", time[1], most=int(time[2]))
        if shown := re.fullmatch(r"show (\S+)", text):
            return cls("show", shown[1].replace("e-mail", "email") + "_visibility")
        # What is said of emptiness and numbers of decisions is no part of it.
        text = re.split(r",| \(D\d+\)", text)[0]
        kind = text.split()[0]
        name = NAMES[text] if text in NAMES else DRAFT_NAMES[text]
        kind = "packets" if name == "packets" else kind
        limit = "alias" if name.endswith("alias") else name if name in LIMITS else kind
        return cls(kind, name, most=LIMITS.get(limit, TEXT_LIMIT))

    @classmethod
    def status(cls, packet, letter, values):
        if letter == "A":
            return cls("status", "authorized", statuses={0: False, 1: True})
        # A login's third status is that of the byte order, a registration's that of the e-mail.
        letters = STATUS_NAMES | {"E": "byte_order_status" if packet == "S3" else "email_status"}
        special = LONG_STATUSES.get(letter, {}) if packet in LONG_RESULTS else {}
        words = STATUSES | special
        return cls("status", letters[letter], statuses={value: words[value] for value in values})


@dataclass
class Packet:
    """A row of the table."""

    number: str
    id: int
    name: str
    groups: list

    @classmethod
    def of(cls, number, id, name, layout):
        groups = []
        for group in layout.split(" · "):
            statuses = re.findall(r"st \w+\{[\d,]+\}", group)
            groups.append([Field.of(text, number) for text in statuses or [group]])
        return cls(number, id, name, groups)


def snake_case(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def table():
    """The packets of both sides by their ids."""
    packets = {"client": {}, "server": {}}
    rows = re.findall(r"^\| ([US]\d+) \| (\w\w) \| (\w+) \| (.+) \|$", SPEC.read_text(), re.M)
    for number, hexadecimal, name, layout in rows:
        side = "client" if number[0] == "U" else "server"
        id = int(hexadecimal, 16)
        assert id == int(number[1:]) and id not in packets[side], number
        packets[side][id] = Packet.of(number, id, snake_case(name), layout)
    return packets


PACKETS = table()


def is_username(data):
    return all(0x21 <= byte <= 0x7E for byte in data)


def is_base64(data):
    try:
        return base64.b64encode(base64.b64decode(data, validate=True)) == data
    except ValueError:
        return False


def is_utf8(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def is_date(data):
    if not re.fullmatch(rb"\d\d/\d\d/\d\d", data):
        return False
    month, day, year = (int(part) for part in data.split(b"/"))
    days = [31, 28 + (year % 4 == 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return 1 <= month <= 12 and 1 <= day <= days[month - 1]


CONTENTS = {"username": is_username, "b64": is_base64, "text": is_utf8, "date": is_date}


class Reader:
    """Takes the fields of one packet off the bytes that have come."""

    def __init__(self, data, codec, packet):
        self.data, self.codec, self.packet = data, codec, packet
        self.at, self.fields = 1, {"type": packet.name}

    def peek(self):
        if self.at >= self.codec.max_packet:
            raise Malformed
        if self.at >= len(self.data):
            raise Short
        return self.data[self.at]

    def take(self, count=1):
        start = self.at
        for _ in range(count):
            self.peek()
            self.at += 1
        return self.data[start : self.at]

    def expect(self, literal):
        for byte in literal:
            if self.peek() != byte:
                raise Malformed
            self.at += 1

    def delimited(self, most):
        start, limit = self.at, self.at + most
        end = DELIMITER.search(self.data, start, min(limit + 1, self.codec.max_packet))
        if not end and limit < min(len(self.data), self.codec.max_packet):
            if self.packet.number in TOLD_APART:
                raise Malformed("message_too_long", skip=limit + 1)
            raise Malformed
        self.at = end.start() if end else min(len(self.data), self.codec.max_packet)
        self.peek()
        return self.data[start : self.at]

    def read(self):
        for group in self.packet.groups:
            if group[0].name == "part_message" and self.peek() == 0x00:
                continue
            self.expect(b"\xff")
            for one in group:
                # D9: S7's last status may be a group of its own.
                if one.name == "email_status" and self.peek() == 0xFF:
                    self.at += 1
                self.field(one)
        self.expect(b"\0")
        return self.fields, self.at

    def field(self, one):
        match one.kind:
            case "literal":
                self.expect(one.literal)
            case "u32":
                self.put(one, int.from_bytes(self.take(4), self.codec.order))
            case "part":
                self.put(one, self.take()[0])
            case "cmid" | "room" | "uid" | "uid8":
                self.put(one, self.take(FIXED[one.kind]).hex())
            case "status":
                value = self.take()[0]
                if value in SPELT and SPELT[value] in one.statuses:
                    value = SPELT[value]
                if value not in one.statuses:
                    raise Malformed
                self.put(one, one.statuses[value])
            case "show":
                letter = self.take()
                if letter not in SHOWN:
                    raise Malformed
                self.put(one, SHOWN[letter])
            case "packets":
                self.put(one, self.packets())
            case "E":
                self.known(one, self.delimited(1), ENDIAN_MARKERS)
            case "gender":
                numbers = {bytes([at]): word for at, word in enumerate(GENDERS, 1)}
                self.known(one, self.delimited(1), LETTERS | numbers)
            case "time":
                digits = self.delimited(3)
                good = digits.isdigit() and int(digits) <= one.most
                self.put(one, int(digits) if good else "" if not digits else digits)
            case "date":
                self.content(one, self.delimited(8))
            case "username" | "text" | "b64":
                self.content(one, self.delimited(one.most))

    def packets(self):
        ids = []
        while True:
            id = self.take()[0]
            if id in (0x00, 0xFF):
                raise Malformed
            ids.append(id)
            if self.peek() == 0x00:
                return ids
            self.expect(b"\xff")

    def known(self, one, data, words):
        self.put(one, "" if not data else words.get(data, data))

    def content(self, one, data):
        good = not data or CONTENTS[one.kind](data)
        self.put(one, data.decode() if good else data)

    def put(self, one, value):
        """Bad content is hexadecimal (D0)."""
        if isinstance(value, bytes):
            self.fields[f"{one.name}_hex"] = value.hex()
        else:
            self.fields[one.name] = value


class Codec:
    def __init__(self, vector):
        settings = SETTINGS | vector.get("config", {})
        side = vector["from"]
        self.order, self.max_packet = settings["byte_order"], settings["max_packet"]
        self.writes_letters = settings["endian_marker"] == "letter"
        self.writes_digits = settings["status_digits"] == "hex"
        self.packets = dict(PACKETS[side])
        for name, id in settings["drafts"].items():
            assert id not in self.packets, name
            self.packets[id] = Packet.of("", id, name, DRAFTS[side][name])

    def next(self, data):
        """The first packet and its length."""
        if data[0] == 0xFF:
            raise Malformed
        if data[0] not in self.packets:
            raise Malformed("unknown_packet")
        return Reader(data, self, self.packets[data[0]]).read()

    def write(self, fields):
        packet = next(one for one in self.packets.values() if one.name == fields["type"])
        data = bytearray([packet.id])
        for group in packet.groups:
            if group[0].name == "part_message" and "part_message" not in fields:
                continue
            data.append(0xFF)
            for one in group:
                data += self.field(one, fields.get(one.name))
        return bytes(data) + b"\0"

    def field(self, one, value):
        match one.kind:
            case "literal":
                return one.literal
            case "u32":
                return value.to_bytes(4, self.order)
            case "cmid" | "room" | "uid" | "uid8":
                return bytes.fromhex(value)
            case "part":
                return bytes([value])
            case "status":
                number = next(at for at, word in one.statuses.items() if word == value)
                digits = {decimal: spelt for spelt, decimal in SPELT.items()}
                return bytes([digits.get(number, number) if self.writes_digits else number])
            case "show":
                return key(SHOWN, value)
            case "packets":
                return b"\xff".join(bytes([id]) for id in value)
            case "E":
                return (
                    value[0].upper().encode() if self.writes_letters else key(ENDIAN_MARKERS, value)
                )
            case "gender" if value == "mayo":
                return b"\5"
            case "gender" if value:
                return key(LETTERS, value)
        return str(value).encode()


def key(words, word):
    return next(key for key, one in words.items() if one == word)


class Decoder:
    """Takes a stream in pieces, and goes on behind what is malformed (D3)."""

    def __init__(self, vector):
        self.codec, self.data, self.offset = Codec(vector), b"", 0
        self.is_dropping = False

    def take(self, count):
        self.data, self.offset = self.data[count:], self.offset + count

    def feed(self, piece, ended=False):
        """What can be told now."""
        self.data += piece
        while self.data:
            if not self.is_dropping and self.data[0] == 0x00:
                self.take(1)
                continue
            try:
                if self.is_dropping:
                    raise Malformed(skip=0)
                packet, length = self.codec.next(self.data)
            except Short:
                if not ended:
                    return
                report = Malformed("unexpected_eof")
            except Malformed as malformed:
                report = malformed
            else:
                yield packet
                self.take(length)
                continue
            # It is told when it is known how long it is: through a `00`, or too long for one.
            end = self.data.find(b"\0", report.skip)
            most = self.codec.max_packet
            is_cut = end < 0 or end > most
            if is_cut and len(self.data) <= most and not ended:
                return
            yield {"kind": report.kind, "offset": self.offset}
            self.take(min(most, len(self.data)) if is_cut else end + 1)
            self.is_dropping = is_cut


def decode(vector, pieces):
    """All packets and errors of a stream that comes in these pieces and then ends."""
    decoder = Decoder(vector)
    items = [item for piece in pieces for item in decoder.feed(piece)]
    return items + list(decoder.feed(b"", ended=True))


def encode(vector, fields):
    return Codec(vector).write(fields)


def trailer(vector):
    """A good packet to follow the others."""
    if vector["from"] == "client":
        return b"\xfc\xffSP\0", {"type": "supported_packets_request"}
    return b"\xfb\xffPNS\0", {"type": "packet_not_supported"}
