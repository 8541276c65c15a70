#!/usr/bin/env python3
"""Misbehaves towards bingo-server or delimchat-server."""

import asyncio
import base64
import json
import sys
from contextlib import suppress
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.append(str(Path(__file__).resolve().parent.parent / "vectors"))

import delimchat as packets  # noqa: E402
from common import DWELL, Connection, Server, Silent, Wrong, main  # noqa: E402

NOTHING_MORE = "end of stream"


def does_each(server, rows, prepare, ending):
    """A misbehaviour for each row: after `prepare`, the server ends it as `ending` says."""
    for rule, what, data in rows:

        @server.does(rule, what)
        async def act(c, data=data):
            await prepare(c)
            await c.send(data)
            await c.ends(ending)


async def just_connected(c):
    pass


# ---- bingo

HANDSHAKE_TIMEOUT = 10
PING_INTERVAL, PING_TIMEOUT = 2, 10


class Bingo(Connection):
    """Hears frames as their opcode, id and payload."""

    is_ready = False

    def parse(self):
        data = self.data
        if data[:1] == b"\0":
            del data[:1]
            return 0, 0, b""
        length = int.from_bytes(data[3:5])
        if len(data) < 5 or len(data) < 5 + length:
            return None
        said = data[0], int.from_bytes(data[1:3]), bytes(data[5 : 5 + length])
        del data[: 5 + length]
        return said

    def note(self, said):
        if said[0] == 0x07:
            self.word, self.reason = "ProtocolError", said[2]
        elif said[0] == 0x06 and not self.is_ready:
            self.word = "ErrorReply"

    def identification(self):
        return identify(f"hostile {self.number}")

    async def login(self):
        await self.send(self.identification())
        await self.hear(lambda said: said[0] == 0x02)
        self.is_ready = True

    async def answer_pings(self, seconds, answer):
        """As a client has to, or not quite."""
        async with asyncio.timeout(seconds):
            while (said := await self.next(seconds)) is not None:
                if said[0] == 0x03:
                    await self.send(answer(said[1]))


def frame(opcode, number, payload=b""):
    return bytes([opcode]) + number.to_bytes(2) + len(payload).to_bytes(2) + payload


def identify(username="x", login="ada", number=0):
    return frame(1, number, json.dumps({"login": login, "username": username}).encode())


PLAYERS = b'{"ask":"players"}'
SAY = b'{"say":"spam"}'
bingo = Server(
    "bingo",
    Bingo,
    ("--login", "ada", "--ping-interval", str(PING_INTERVAL), "--request-timeout", "2"),
    longest=PING_INTERVAL + PING_TIMEOUT,
)

does_each(
    bingo,
    [
        ("B3", "an opcode that there isn't, first", b"\x0a\0\0\0\0"),
        ("B3", "text of another protocol", b"GET / HTTP/1.1\r\n\r\n"),
        ("B3", "a TLS ClientHello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(40)),
        ("B4", "a Ready of a client", frame(2, 0, b"token")),
        ("B4", "a Ping of a client, first", frame(3, 0)),
        ("B4", "a DataUpdate of a client, first", frame(9, 0, b"{}")),
        ("B5", "an Identification under a server's id", identify(number=0x8000)),
        ("step 1", "a Request first", frame(4, 0, PLAYERS)),
        ("step 1", "a Reply first", frame(5, 0, b"\x80\0")),
        ("step 1", "an ErrorReply first", frame(6, 0x8000)),
        ("step 1", "an Event first", frame(8, 0, SAY)),
        ("step 1", "an Identification of nothing", frame(1, 0)),
        ("step 1", "an Identification that isn't JSON", frame(1, 0, b"{")),
        ("step 1", "an Identification that isn't UTF-8", frame(1, 0, b'{"login":"\xff"}')),
        ("step 1", "an Identification that is no object", frame(1, 0, b"[]")),
        ("step 1", "no username", frame(1, 0, b'{"login":"ada"}')),
        ("step 1", "a username that is a number", frame(1, 0, b'{"login":"ada","username":7}')),
        ("step 1", "a login twice", frame(1, 0, b'{"login":"a","login":"ada","username":"x"}')),
        (
            "step 1",
            "129 levels of JSON",
            frame(1, 0, b'{"login":"ada","username":"x","y":' + b"[" * 128 + b"]" * 128 + b"}"),
        ),
        ("step 1", "64 KiB of open brackets", frame(1, 0, b"[" * 65535)),
        ("step 3", "a Request behind the Identification, undecided", identify() + frame(4, 1)),
        ("step 3", "a second Identification, undecided", identify() + identify(number=1)),
    ],
    just_connected,
    "ProtocolError",
)
does_each(
    bingo,
    [
        ("B3", "an opcode that there isn't, later", b"\xff" * 5),
        ("B4", "a Ping of a client, later", frame(3, 1)),
        ("B4", "a DataUpdate of a client, later", frame(9, 1, b"{}")),
        ("B5", "a Request under a server's id", frame(4, 0x8001, PLAYERS)),
        ("B5", "one id for two open Requests", frame(4, 1, PLAYERS) * 2),
        ("B6", "a Reply to no id", frame(5, 1, b"\x80")),
        ("B7", "an ErrorReply to an id of its own", frame(6, 1)),
        ("B7", "an ErrorReply of a client with a text", frame(6, 0x8001, b"no")),
        ("step 1", "a second Identification", identify(number=1)),
    ],
    Bingo.login,
    "ProtocolError",
)
does_each(
    bingo,
    [
        ("step 2", "a login that nobody has", identify(login="eve")),
        ("step 2", "a name of nothing", identify("")),
        ("step 2", "a name that is too long", identify("x" * 100)),
        ("step 2", "a name that somebody has", identify("honest 0")),
    ],
    just_connected,
    "ErrorReply",
)
does_each(
    bingo,
    [("step 6", "a ProtocolError first", frame(7, 0, b"no"))],
    just_connected,
    NOTHING_MORE,
)
does_each(
    bingo,
    [("step 6", "a ProtocolError, and Requests behind", frame(7, 1) + frame(4, 2, PLAYERS))],
    Bingo.login,
    NOTHING_MORE,
)


@bingo.does("B9", "a ProtocolError that isn't UTF-8")
async def broken_reason(c):
    await c.login()
    await c.send(frame(7, 1, b"\xff"))
    # An end in any case.
    await c.ends("ProtocolError", NOTHING_MORE)


@bingo.does("step 2", "silence")
async def bingo_silence(c):
    await c.ends(NOTHING_MORE, after=HANDSHAKE_TIMEOUT)


@bingo.does("step 2", "Noops in place of an Identification")
async def only_noops(c):
    await c.trickle(bytes(40))
    await c.ends(NOTHING_MORE, after=HANDSHAKE_TIMEOUT)


@bingo.does("step 2", "an Identification a byte at a time")
async def slow_identification(c):
    await c.trickle(c.identification(), pause=0.3)
    await c.ends(NOTHING_MORE, after=HANDSHAKE_TIMEOUT)


@bingo.does("step 4", "pings aren't answered")
async def no_answers(c):
    await c.login()
    await c.ends(NOTHING_MORE, after=PING_INTERVAL + PING_TIMEOUT)


@bingo.does("step 4", "nothing is read, and no ping answered")
async def deaf(c):
    await c.login()
    await asyncio.sleep(PING_INTERVAL + PING_TIMEOUT)
    # It may have been too slow before.
    await c.ends(NOTHING_MORE, "ProtocolError", "reset")


@bingo.does("step 4", "pings are answered with a body, which is allowed")
async def odd_answers(c):
    await c.login()
    try:
        await c.answer_pings(DWELL, lambda ping: frame(5, 1, ping.to_bytes(2) + b"?"))
    except TimeoutError:
        return
    raise c.wrong("ended, though it is allowed")


@bingo.does("step 4", "pings are answered with an ErrorReply, which is allowed")
async def error_answers(c):
    await c.login()
    try:
        await c.answer_pings(DWELL, lambda ping: frame(6, ping))
    except TimeoutError:
        return
    raise c.wrong("ended, though it is allowed")


@bingo.does("B6", "Replies to what was never asked, which is allowed")
async def strays(c):
    await c.login()
    for number in range(1, 20):
        await c.send(frame(5, number, b"\x9a\x00late"), frame(6, 0x9A00))
    await c.stays()


@bingo.does("step 7", "half a header, and the end")
async def half_header(c):
    await c.send(frame(1, 0)[:3])
    await c.half_close()
    await c.ends(NOTHING_MORE)


@bingo.does("step 7", "half a frame, and the end")
async def half_frame(c):
    await c.login()
    await c.send(frame(4, 1, PLAYERS)[:-1])
    await c.half_close()
    await c.ends(NOTHING_MORE)


@bingo.does("step 7", "half a frame, and nothing more")
async def stalled_frame(c):
    await c.login()
    await c.send(b"\x04\0\1\xff\xff{")
    await c.ends(NOTHING_MORE, after=PING_INTERVAL + PING_TIMEOUT)


@bingo.does("step 7", "the end at once")
async def end_at_once(c):
    await c.half_close()
    await c.ends(NOTHING_MORE)


@bingo.does("step 7", "a half-closed connection, whose answers are still wanted")
async def bingo_half_closed(c):
    await c.login()
    await c.send(frame(4, 1, PLAYERS))
    await c.half_close()
    await c.ends(NOTHING_MORE)


@bingo.does("step 7", "a reset before the Identification")
async def bingo_reset(c):
    c.reset()


@bingo.does("step 7", "a reset behind the Identification, whose coming and going all are told")
async def bingo_flicker(c):
    await c.login()
    c.reset()


@bingo.does("step 7", "a reset in the middle of a frame")
async def bingo_reset_within(c):
    await c.login()
    await c.send(frame(4, 1, PLAYERS)[:-1])
    c.reset()


@bingo.does("step 6", "no end after the server's")
async def bingo_lingers(c):
    await c.send(b"\x0a")
    await c.ends("ProtocolError")
    # Longer than it waits.
    await asyncio.sleep(DWELL)


@bingo.floods_with("B2", "Noops at full speed, before the Identification")
async def noops_first(c):
    await c.flood(bytes(65536))


@bingo.floods_with("B2", "Noops at full speed, which is allowed")
async def noops(c):
    await c.login()
    await c.flood(bytes(65536))


@bingo.floods_with("step 5", "Requests at full speed")
async def requests(c):
    await c.login()
    await c.flood(b"".join(frame(4, id, PLAYERS) for id in range(1, 0x7FFF)), "ProtocolError")


@bingo.floods_with("step 5", "Requests at full speed, whose answers aren't read")
async def requests_unread(c):
    await c.login()
    asks = b"".join(frame(4, id, PLAYERS) for id in range(1, 0x7FFF))
    await c.flood(asks, "ProtocolError", NOTHING_MORE, reads=False)


@bingo.floods_with("step 5", "Requests that nobody understands, at full speed")
async def odd_requests(c):
    await c.login()
    await c.flood(b"".join(frame(4, id, b"?") for id in range(1, 0x7FFF)), "ProtocolError")


@bingo.floods_with("step 3", "Events for all at full speed")
async def events(c):
    await c.login()
    await c.flood(b"".join(frame(8, id, SAY) for id in range(1, 0x7FFF)), "ProtocolError")


@bingo.floods_with("B8", "the longest Events at full speed")
async def long_events(c):
    await c.login()
    await c.flood(frame(8, 1, b"[" * 65535), "ProtocolError")


@bingo.floods_with("B3", "garbage at full speed")
async def bingo_garbage(c):
    await c.flood(bytes(range(255, 0, -1)) * 256, "ProtocolError")


# ---- delimchat

LOGIN_TIMEOUT, PACKET_TIMEOUT = 5, 2
RESEND_AFTER, ASSEMBLY_TIMEOUT = 0.5, 3
MAX_PACKET, MAX_MALFORMED = 8192, 32


class Delimchat(Connection):
    """Hears packets as their fields."""

    codec = packets.Codec({"from": "server"})
    is_logged_in = False

    def is_too_slow(self):
        # The protocol has no word for it; how many there were, the server's log tells.
        return self.is_logged_in and self.how == NOTHING_MORE

    def parse(self):
        if not self.data:
            return None
        try:
            said, length = self.delivery() or self.codec.next(bytes(self.data[:MAX_PACKET]))
        except packets.Short:
            return None
        except packets.Malformed:
            raise Wrong(f"says what is no packet: {bytes(self.data[:50])}") from None
        del self.data[:length]
        return said

    def delivery(self):
        """What others say, of which there is much, in a faster way."""
        data = self.data
        if data[0] == 0x53 and (end := data.find(0, 28)) > 0:
            _, _, message = data[28:end].split(b"\xff")
            said = {"unique_id": data[2:18].hex(), "room": data[19:27].hex(), "message": message}
            return {"type": "short_message_delivery"} | said, end + 1
        if data[0] == 0x5B and (end := data.find(0, 24)) > 0:
            said = {"number": int.from_bytes(data[2:6]), "unique_id": data[7:23].hex()}
            return {"type": "long_message_delivery_next"} | said, end + 1
        return None

    def note(self, said):
        if said["type"] in ENDS:
            self.word = ENDS[said["type"]]

    async def login(self):
        await self.send(LOGIN)
        await self.hear(lambda said: said["type"] == "login_result")
        self.is_logged_in = True

    async def hear_packet(self, **wanted):
        return await self.hear(lambda said: wanted.items() <= said.items())


# Those that are the last.
ENDS = {"bad_first_packet": "S9", "multiple_endpoints_refused": "S5"}


def b64(payload):
    return base64.b64encode(payload)


def packet(number, *groups):
    return b"\xff".join((bytes([number]), *groups)) + b"\0"


def login(username=b"ada", password=b64(b"lovelace"), order=b"\2"):
    return packet(2, username, password, order)


LOGIN = login()
GLOBAL, ECHO, NOWHERE = b"00000000", b"0000ECHO", b"0nowhere"
CMID, UID = b"cmid", bytes(15) + b"\1"
MESSAGE = packet(80, CMID, ECHO, b64(b"spam"))
delimchat = Server(
    "delimchat",
    Delimchat,
    (
        *("--login-timeout", str(LOGIN_TIMEOUT), "--packet-timeout", str(PACKET_TIMEOUT)),
        *("--resend-after", str(RESEND_AFTER), "--assembly-timeout", str(ASSEMBLY_TIMEOUT)),
    ),
    longest=LOGIN_TIMEOUT,
)

does_each(
    delimchat,
    [
        ("step 1", "a message first", MESSAGE),
        ("step 1", "a receipt first", packet(84, UID)),
        ("step 1", "a long message first", packet(87, b"\0\0\0\1", CMID, ECHO, b64(b"x"))),
        ("step 1", "a part first", packet(91, b"\0\0\0\1", CMID, b64(b"x"))),
        ("step 1", "a receipt of a long message first", packet(96, UID)),
        ("step 1", "a wish for a part first", packet(99, b"\0\0\0\1", UID[:8])),
        ("step 1", "a room first", packet(160, NOWHERE, b"")),
        ("step 1", "the end of a room first", packet(163, NOWHERE)),
        ("step 1", "an alias first", packet(166, b"eve")),
        ("step 1", "an invitation first", packet(169, GLOBAL, b"ada", b"")),
        ("D4", "a packet of the server's, first", packet(1, b"guest")),
        ("D4", "an unknown packet first", packet(16, b"what")),
        ("D2", "FF first", b"\xff\0"),
        ("D0", "a broken U252 first", packet(252, b"PS")),
        ("D0", "a broken U40 first", packet(40, b"BYF")),
        ("D4", "HTTP", b"GET / HTTP/1.1\r\n\r\n"),
    ],
    just_connected,
    "S9",
)
does_each(
    delimchat,
    [
        ("step 6", "U40 first", packet(40, b"BYE")),
        ("step 1", "three logins of nobody", login(b"eve") * 3),
        ("step 1", "three wrong passwords", login(password=b64(b"byron")) * 3),
        ("step 2", "three broken logins", packet(2, b"ada") * 3),
        ("step 2", "three broken registrations", packet(6, b"ada") * 3),
        ("D5", "three names that are too long", login(b"x" * 65) * 3),
        ("step 2", "three names of nothing", login(b"") * 3),
    ],
    just_connected,
    NOTHING_MORE,
)
does_each(
    delimchat,
    [
        ("step 6", "U40, and messages behind it", packet(40, b"BYE") + MESSAGE * 9),
        ("D3", "33 broken packets", packet(80) * (MAX_MALFORMED + 1)),
        ("D4", "33 unknown packets", packet(7, b"?") * (MAX_MALFORMED + 1)),
    ],
    Delimchat.login,
    NOTHING_MORE,
)

# What is answered, whereupon the connection goes on.
for rule, what, said, answer in (
    ("D0", "a broken message", packet(80, b"?"), {"type": "bad_short_message"}),
    ("D0", "a broken receipt", packet(84, b"?" * 17), {"type": "bad_receipt"}),
    ("D0", "a broken long message", packet(87, b"\0\0\0\1?"), {"type": "bad_long_message_head"}),
    ("D0", "a broken part", packet(91, b"\0\0\0\1?"), {"type": "bad_long_message_next"}),
    (
        "D0",
        "a broken receipt of a long message",
        packet(96, UID, b""),
        {"type": "bad_long_receipt"},
    ),
    ("D0", "a broken wish for a part", packet(99, b"\0\0\0\1?"), {"type": "bad_resend"}),
    ("step 2", "a broken U40", packet(40, b"BYF"), {"type": "packet_not_supported"}),
    ("step 2", "a broken U160", packet(160), {"type": "packet_not_supported"}),
    ("D4", "an unknown packet", packet(16, b"what"), {"type": "packet_not_supported"}),
    ("D4", "a packet of the server's", packet(83, b"what"), {"type": "packet_not_supported"}),
    ("step 2", "a second login", LOGIN, {"username_status": "already_validated"}),
    (
        "step 2",
        "a registration after login",
        packet(6, b"eve", b64(b"x"), b"e@e"),
        {"type": "register_result", "username_status": "already_in_use"},
    ),
    ("step 3", "no base64", packet(80, CMID, ECHO, b"x==="), {"message_status": "bad_base64"}),
    (
        "step 3",
        "an empty message",
        packet(80, CMID, ECHO, b""),
        {"message_status": "empty_message"},
    ),
    (
        "D5",
        "a message that is too long",
        packet(80, CMID, ECHO, b"A" * 4004),
        {"message_status": "message_too_long"},
    ),
    (
        "step 5",
        "a message to a room without being there",
        packet(80, CMID, NOWHERE, b64(b"x")),
        {"room_status": "not_in_room"},
    ),
    ("step 3", "a receipt of nothing", packet(84, UID), {"type": "unknown_receipt"}),
    ("step 4", "a long receipt of nothing", packet(96, UID), {"type": "unknown_long_receipt"}),
    ("step 4", "a wish for nothing", packet(99, b"\0\0\0\1", UID[:8]), {"type": "unknown_resend"}),
    (
        "step 4",
        "a part without a head",
        packet(91, b"\0\0\0\1", CMID, b64(b"x")),
        {"type": "resend_long_message_head"},
    ),
    (
        "step 4",
        "a long message of 2^32 parts",
        packet(87, b"\xff" * 4, CMID, ECHO, b64(b"x")),
        {"remaining_status": "invalid"},
    ),
    (
        "step 4",
        "a part beyond the last",
        packet(87, b"\0\0\0\2", CMID, ECHO, b64(b"x")) + packet(91, b"\0\0\0\3", CMID, b64(b"x")),
        {"number_status": "invalid"},
    ),
    (
        "step 4",
        "five long messages at a time",
        b"".join(packet(87, b"\0\0\1\0", b"cmi%d" % n, ECHO, b64(b"x" * 3000)) for n in range(5)),
        {"client_message_id": b"cmi4".hex(), "remaining_status": "invalid"},
    ),
    (
        "step 5",
        "the end of a room without being there",
        packet(163, NOWHERE),
        {"type": "part_room_result", "room_status": "not_in_room"},
    ),
    (
        "step 5",
        "an alias that somebody has",
        packet(166, b"ben"),
        {"type": "change_alias_result", "alias_status": "already_in_use"},
    ),
):

    @delimchat.does(rule, what)
    async def answered(c, said=said, answer=answer):
        await c.login()
        await c.send(said)
        await c.hear_packet(**answer)
        await c.send(packet(252, b"SP"))
        await c.hear_packet(type="server_supports")


@delimchat.does("step 1", "silence")
async def delimchat_silence(c):
    await c.ends(NOTHING_MORE, after=LOGIN_TIMEOUT)


@delimchat.does("step 1", "a list of packets again and again, and no login")
async def lists(c):
    for _ in range(LOGIN_TIMEOUT * 2):
        await c.send(packet(254, b"\x50"))
        with suppress(Silent):
            await c.next(0.5)
    await c.ends(NOTHING_MORE, after=LOGIN_TIMEOUT)


@delimchat.does("D5", "a login that isn't whole in time")
async def half_login(c):
    await c.send(LOGIN[:9])
    await c.hear_packet(type="bad_login")
    if c.since() < PACKET_TIMEOUT - 0.3:
        raise Wrong(f"a packet was overdue after {c.since():.1f} s")
    # A failed login may be tried again.
    await c.ends(NOTHING_MORE, after=LOGIN_TIMEOUT)


@delimchat.does("D5", "a login a byte at a time")
async def slow_login(c):
    await c.trickle(login(b"x" * 60), pause=0.2)
    # First it is a broken login, then what is no packet at all.
    await c.ends("S9", NOTHING_MORE, "reset")


@delimchat.does("D5", "a message that isn't whole in time, again and again")
async def slow_message(c):
    await c.login()
    await c.send(MESSAGE[:-1])
    await c.hear_packet(type="bad_short_message")
    await c.send(b"\0", MESSAGE)
    await c.hear_packet(type="short_message_result")


@delimchat.does("step 4", "a long message that is never finished")
async def unfinished(c):
    await c.login()
    start = c.since()
    await c.send(packet(87, b"\0\0\1\0", CMID, ECHO, b64(b"x")))
    for _ in range(3):
        await c.hear_packet(type="resend_long_message_next", number=256)
    # What is dropped is a message, not the connection.
    await c.stays(ASSEMBLY_TIMEOUT + 0.5 - (c.since() - start))
    await c.send(packet(91, b"\0\0\0\1", CMID, b64(b"x")))
    await c.hear_packet(type="resend_long_message_head")


@delimchat.does("step 3", "nothing is acknowledged, which is allowed")
async def no_receipts(c):
    await c.login()
    await c.send(MESSAGE * 1200)
    await c.stays()


@delimchat.does("step 3", "nothing is read")
async def delimchat_deaf(c):
    await c.login()
    await asyncio.sleep(DWELL)


@delimchat.does("end of the stream", "half a packet, and the end")
async def half_packet(c):
    await c.login()
    await c.send(MESSAGE[:9])
    await c.half_close()
    await c.ends(NOTHING_MORE)


@delimchat.does("end of the stream", "the end at once")
async def delimchat_end(c):
    await c.half_close()
    await c.ends(NOTHING_MORE)


@delimchat.does("end of the stream", "a half-closed connection, whose answers are still wanted")
async def delimchat_half_closed(c):
    await c.login()
    await c.send(MESSAGE * 50)
    await c.half_close()
    await c.ends(NOTHING_MORE)


@delimchat.does("end of the stream", "a reset before login")
async def delimchat_reset(c):
    c.reset()


@delimchat.does("end of the stream", "a reset in a room with a password, in the middle of a packet")
async def delimchat_flicker(c):
    await c.login()
    room = b"%08x" % (c.number + 5000)
    await c.send(packet(160, room, b64(b"secret")))
    await c.hear_packet(type="join_room_result", room_status="okay")
    await c.send(MESSAGE[:9])
    c.reset()


@delimchat.does("step 1", "no end after the server's")
async def delimchat_lingers(c):
    await c.send(MESSAGE)
    await c.ends("S9")
    await asyncio.sleep(DWELL)


@delimchat.floods_with("step 3", "messages for all at full speed")
async def spam(c):
    await c.login()
    await c.flood(packet(80, CMID, GLOBAL, b64(b"spam")) * 1000, NOTHING_MORE)


@delimchat.floods_with("step 3", "the longest messages for all at full speed")
async def long_spam(c):
    await c.login()
    await c.flood(packet(80, CMID, GLOBAL, b64(b"x" * 3000)) * 16, NOTHING_MORE)


@delimchat.floods_with("step 3", "messages to the echo, which aren't read")
async def unread_echo(c):
    await c.login()
    await c.flood(MESSAGE * 1000, NOTHING_MORE, reads=False)


@delimchat.floods_with("step 4", "long messages for all at full speed")
async def long_messages(c):
    await c.login()
    part = b64(b"x" * 3000)

    def message(number):
        cmid = number.to_bytes(4)
        parts = (packet(91, at.to_bytes(4), cmid, part) for at in range(1, 257))
        return packet(87, (256).to_bytes(4), cmid, GLOBAL, part) + b"".join(parts)

    await c.flood(map(message, range(100)), NOTHING_MORE)


@delimchat.floods_with("step 5", "aliases at full speed, which all are told")
async def aliases(c):
    await c.login()
    names = (packet(166, b"eve %d %d" % (c.number, n)) for n in range(1000))
    await c.flood(b"".join(names), NOTHING_MORE)


@delimchat.floods_with("step 5", "rooms at full speed")
async def rooms(c):
    await c.login()
    room = b"%08x" % (c.number + 90000)
    await c.flood((packet(160, room, b"") + packet(163, room, b"bye")) * 500, NOTHING_MORE)


@delimchat.floods_with("step 5", "invitations at full speed")
async def invitations(c):
    await c.login()
    await c.flood(packet(169, GLOBAL, b"ada", b"") * 1000, NOTHING_MORE)


@delimchat.floods_with("D3", "no 00 at all, at full speed")
async def endless(c):
    await c.login()
    await c.flood(b"A" * 65536, NOTHING_MORE)


@delimchat.floods_with("D3", "zeros at full speed, which are skipped")
async def zeros(c):
    await c.login()
    await c.flood(bytes(65536))


@delimchat.floods_with("step 6", "questions for the packets that there are, before login")
async def questions(c):
    await c.flood(packet(252, b"SP") * 1000, NOTHING_MORE)


@delimchat.floods_with("step 6", "the same after login, whose answers aren't read")
async def unread_questions(c):
    await c.login()
    await c.flood(packet(252, b"SP") * 1000, NOTHING_MORE, reads=False)


SERVERS = {server.name: server for server in (bingo, delimchat)}

if __name__ == "__main__":
    main(__doc__, SERVERS)
