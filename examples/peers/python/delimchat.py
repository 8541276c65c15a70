"""What both ends of delimchat have in common: the packets, and a connection played from the console."""

import asyncio
import base64
import json
from contextlib import suppress

import peer
from peer import compact

GLOBAL, ECHO = b"00000000".hex(), b"0000ECHO".hex()

# Fields of fixed width, which may be full of 00 and FF.
FIXED = {"client_message_id": 4, "room": 8, "unique_id": 16, "unique_id_prefix": 8}
NUMBERS = ("remaining", "number")
STATUSES = {
    1: "empty_field", 2: "invalid", 3: "okay", 4: "bad_base64", 5: "unchecked",
    6: "already_validated", 7: "already_in_use", 8: "not_authorized", 9: "not_in_room",
    10: "already_in_room", 11: "empty_message", 12: "message_too_long",
}  # fmt: skip
# In these, some numbers mean something else.
LONG_RESULTS = (0x58, 0x5C, 0x64)
LONG_STATUSES = {"room_status": {4: "not_authorized"}, "message_status": {5: "empty_message"}}

# Groups with an FF before each; a text in capitals stands for itself.
COMMON_LONG = "room_status message_status"
PACKETS = {
    "client": {
        0x02: "login: username, password, byte_order",
        0x06: "register: username, password, email",
        0x28: "log_off: BYE",
        0x50: "short_message: client_message_id, room, message",
        0x54: "short_message_received: unique_id",
        0x57: "long_message_head: remaining, client_message_id, room, message",
        0x5B: "long_message_next: number, client_message_id, message",
        0x60: "long_message_received: unique_id",
        0x63: "resend_delivery_next: number, unique_id_prefix",
        0xA0: "join_room: room, password",
        0xA3: "part_room: room, part_message",
        0xA6: "change_alias: new_alias",
        0xA9: "invite_user: room, username, alias",
        0xFC: "supported_packets_request: SP",
        0xFE: "client_supports: packets",
    },
    "server": {
        0x01: "guest_username: username",
        0x03: "login_result: username_status password_status byte_order_status",
        0x04: "bad_login: BAD",
        0x05: "multiple_endpoints_refused: BAD",
        0x07: "register_result: username_status password_status email_status",
        0x08: "bad_register: BAD",
        0x09: "bad_first_packet: BAD",
        0x51: "short_message_result: client_message_id, room_status message_status",
        0x52: "bad_short_message: BAD",
        0x53: "short_message_delivery: unique_id, room, username, alias, message",
        0x55: "unknown_receipt: unique_id",
        0x56: "bad_receipt: BAD",
        0x58: f"long_message_head_result: client_message_id, remaining_status {COMMON_LONG}",
        0x59: "bad_long_message_head: BAD",
        0x5A: "resend_long_message_head: client_message_id",
        0x5C: f"long_message_next_result: client_message_id, number_status {COMMON_LONG}",
        0x5D: "bad_long_message_next: BAD",
        0x5E: "resend_long_message_next: number, client_message_id",
        0x5F: "long_message_delivery_head: remaining, unique_id, room, message",
        0x5B: "long_message_delivery_next: number, unique_id, message",
        0x61: "unknown_long_receipt: unique_id_prefix",
        0x62: "bad_long_receipt: BAD",
        0x64: f"resend_delivery_result: unique_id_prefix, number_status {COMMON_LONG} authorized",
        0x65: "unknown_resend: number, unique_id",
        0x66: "bad_resend: BAD",
        0xA1: "join_room_result: room, room_status",
        0xA2: "user_joined: room, username, alias",
        0xA4: "part_room_result: room, room_status",
        0xA5: "user_parted: room, username, alias",
        0xA7: "change_alias_result: alias_status",
        0xA8: "alias_changed: username, old_alias, new_alias",
        0xFB: "packet_not_supported: PNS",
        0xFD: "server_supports: packets",
    },
}


def layout(row):
    name, _, groups = row.partition(": ")
    return name, [group.split() for group in groups.split(", ")]


LAYOUTS = {
    side: {number: layout(row) for number, row in packets.items()}
    for side, packets in PACKETS.items()
}
NUMBERS_BY_NAME = {
    side: {name: number for number, (name, _) in packets.items()}
    for side, packets in LAYOUTS.items()
}


def b64(payload):
    return base64.b64encode(payload).decode()


def status(packet, field):
    """The words of a status there."""
    special = LONG_STATUSES.get(field, {}) if packet in LONG_RESULTS else {}
    return STATUSES | special


class Malformed(Exception):
    pass


class Reader:
    """Takes fields off what has come; IndexError if that isn't enough."""

    def __init__(self, data, order):
        self.data, self.order, self.at = data, order, 0

    def take(self, length):
        if len(self.data) < self.at + length:
            raise IndexError
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def expect(self, literal):
        if self.take(len(literal)) != literal:
            raise Malformed

    def delimited(self):
        end = self.at
        while self.data[end] not in (0x00, 0xFF):
            end += 1
        return self.take(end - self.at)

    def packets(self):
        ids = [self.take(1)[0]]
        while self.data[self.at] == 0xFF:
            self.at += 1
            ids.append(self.take(1)[0])
        return ids

    def field(self, packet, name):
        if name in FIXED:
            return self.take(FIXED[name]).hex()
        if name in NUMBERS:
            return int.from_bytes(self.take(4), self.order)
        if name == "authorized":
            return bool(self.take(1)[0])
        if name.endswith("_status"):
            return status(packet, name).get(self.take(1)[0])
        if name == "packets":
            return self.packets()
        text = self.delimited()
        if name == "byte_order":
            return {b"\1": "little", b"L": "little", b"\2": "big", b"B": "big"}.get(text)
        return text.decode()


def decode(side, data, order):
    """The first packet of this side, and its length. `None` if it isn't whole."""
    reader = Reader(data, order)
    try:
        packet = reader.take(1)[0]
        name, groups = LAYOUTS[side][packet]
        fields = {"type": name}
        for group in groups:
            if group == ["part_message"] and reader.data[reader.at] == 0x00:
                continue
            reader.expect(b"\xff")
            for field in group:
                if field.isupper():
                    reader.expect(field.encode())
                else:
                    fields[field] = reader.field(packet, field)
        reader.expect(b"\0")
        return fields, reader.at
    except IndexError:
        return None
    except KeyError:
        raise Malformed from None


def encode(side, fields, order, letters=False):
    number = NUMBERS_BY_NAME[side][fields["type"]]
    data = bytearray([number])
    for group in LAYOUTS[side][number][1]:
        if group == ["part_message"] and "part_message" not in fields:
            continue
        data.append(0xFF)
        for name in group:
            if name.isupper():
                data += name.encode()
                continue
            value = fields[name]
            if name in FIXED:
                data += bytes.fromhex(value)
            elif name in NUMBERS:
                data += value.to_bytes(4, order)
            elif name == "authorized":
                data.append(value)
            elif name.endswith("_status"):
                words = status(number, name)
                data.append(next(code for code, word in words.items() if word == value))
            elif name == "packets":
                data += b"\xff".join(bytes([one]) for one in value)
            elif name == "byte_order":
                data += value[0].upper().encode() if letters else bytes([1 + (value == "big")])
            else:
                data += value.encode()
    data.append(0x00)
    return bytes(data)


class Peer:
    """One end of one connection. `Client` and `Server` say what differs between them."""

    sends = receives = None

    def __init__(self, streams, number, options):
        self.reader, self.writer = streams
        self.number, self.options = number, options
        self.order = "big"

    async def opened(self):
        pass

    async def handle(self, packet):
        """Does what a packet asks for; not with --manual."""

    # The wire.

    async def run(self):
        self.show("connected")
        how = "eof"
        data = bytearray()
        try:
            if not self.options.manual:
                await self.opened()
            while read := await self.reader.read(65536):
                data += read
                await self.look_at(data)
        except ConnectionError:
            how = "reset"
        self.writer.close()
        self.show("closed", how)

    async def look_at(self, data):
        """All packets that are whole."""
        while data:
            try:
                found = decode(self.receives, data, self.order)
            except (Malformed, UnicodeDecodeError):
                self.show("<b", data.hex())
                return data.clear()
            if not found:
                return
            packet, length = found
            del data[:length]
            self.show("<", compact(packet))
            self.note(packet)
            if not self.options.manual:
                await self.handle(packet)

    def note(self, packet):
        """Keeps what is to be known of it."""

    async def send(self, **packet):
        self.show(">", compact(packet))
        self.writer.write(encode(self.sends, packet, self.order, self.options.letters))
        await self.writer.drain()

    # The console.

    def show(self, *words):
        print(" ".join(str(word) for word in (self.number, *words)), flush=True)

    async def command(self, verb, rest):
        """Does what a line of the console says; README.md has the list."""
        match verb:
            case "text":
                await self.send(**json.loads(rest))
            case "binary":
                self.writer.write(bytes.fromhex(rest))
                await self.writer.drain()
            case "bytes":
                # One at a time.
                for byte in bytes.fromhex(rest):
                    self.writer.write(bytes([byte]))
                    await self.writer.drain()
                    await asyncio.sleep(0)
            case "order":
                self.order = rest
            case "close":
                self.writer.write_eof()
            case "drop":
                self.writer.transport.abort()
            case "pause":
                self.writer.transport.pause_reading()
            case "resume":
                self.writer.transport.resume_reading()


def parser(description):
    parser = peer.parser(description)
    parser.add_argument("--user", default="ada:lovelace", metavar="NAME:PASSWORD")
    parser.add_argument("--letters", action="store_true", help="L and B for byte orders")
    return parser


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def tell(peers, number, verb, rest):
    with suppress(ConnectionError):
        await peer.tell(peers, number, verb, rest)


async def client(kind, parser):
    """A program that connects, and again when it is told so."""
    parser.add_argument("--connect", required=True, metavar="ADDR", help="127.0.0.1:5000")
    options, opened, tasks = parser.parse_args(), {}, []

    async def play(number):
        streams = await asyncio.open_connection(*address(options.connect))
        opened[number] = kind(streams, number, options)
        await opened[number].run()

    tasks.append(asyncio.create_task(play(1)))
    async for number, verb, rest in peer.console():
        if verb == "connect":
            tasks.append(asyncio.create_task(play(len(tasks) + 1)))
        else:
            await tell(opened, number, verb, rest)


async def server(kind, parser):
    """A program that takes connections."""
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDR")
    options, clients, tasks = parser.parse_args(), {}, []

    async def serve_one(*streams):
        tasks.append(asyncio.current_task())
        number = len(clients) + 1
        clients[number] = kind(streams, number, options)
        clients[number].others = clients
        await clients[number].run()

    listener = await asyncio.start_server(serve_one, *address(options.listen))
    host, port = listener.sockets[0].getsockname()
    print(f"listening on {host}:{port}", flush=True)
    async for number, verb, rest in peer.console():
        await tell(clients, number, verb, rest)
    for one in clients.values():
        one.writer.transport.abort()
    await asyncio.gather(*tasks)
