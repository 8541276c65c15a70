#!/usr/bin/env python3
"""Misbehaves towards litecord-server, emagine-server or roomvars-server, its WebSocket included.

What is wrong with a WebSocket is by the sections of RFC 6455, with its HTTP by those of RFC 9112.
"""

import asyncio
import json
import struct
import sys
from contextlib import suppress

sys.dont_write_bytecode = True

from common import DWELL, Connection, Server, Wrong, main  # noqa: E402

NOTHING_MORE = "end of stream"
HTTP_TIMEOUT = 10
MAX_MESSAGE = 1 << 20
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL = struct.pack(">H", 1000)
UPGRADE = (
    b"GET /any HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode, payload=b"", fin=True, is_masked=True, reserved=0, length=None):
    """With a mask of zeros, under which a payload stays as it is."""
    length = len(payload) if length is None else length
    mask = 0x80 if is_masked else 0
    if length < 126:
        size = bytes([mask | length])
    elif length < 1 << 16:
        size = bytes([mask | 126]) + length.to_bytes(2)
    else:
        size = bytes([mask | 127]) + length.to_bytes(8)
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode]) + size
    return head + (bytes(4) if is_masked else b"") + payload


def text(said):
    """A message."""
    said = said if isinstance(said, (str, bytes)) else json.dumps(said)
    return frame(TEXT, said.encode() if isinstance(said, str) else said)


class WebSocket(Connection):
    """Hears messages as their opcode and payload, before that the status of HTTP."""

    is_http = True

    def parse(self):
        data = self.data
        if self.is_http:
            head, end, _ = bytes(data).partition(b"\r\n\r\n")
            if not end:
                return None
            status = int(head.split(b" ", 2)[1])
            if status == 101:
                self.is_http = False
                del data[: len(head) + 4]
            else:
                # What comes behind is for people.
                data.clear()
            return "http", status
        if len(data) < 2:
            return None
        length, at = data[1], 2
        if length > 125:
            at = 4 if length == 126 else 10
            length = int.from_bytes(data[2:at])
        if len(data) < at + length or len(data) < at:
            return None
        said = data[0] & 0x0F, bytes(data[at : at + length])
        del data[: at + length]
        return said

    def note(self, said):
        if said[0] == CLOSE:
            self.reason = said[1][2:]
            self.word = str(int.from_bytes(said[1][:2])) if said[1] else "an empty close frame"
        elif said[0] == "http" and said[1] != 101:
            self.word = f"HTTP {said[1]}"

    async def upgrade(self):
        await self.send(UPGRADE)
        await self.hear(lambda said: said == ("http", 101))

    async def hear_text(self, wanted):
        """The next message of which this is true."""
        await self.hear(lambda said: said[0] == TEXT and wanted(json.loads(said[1])))


def does_each(server, rows, prepare):
    """A misbehaviour for each row: after `prepare`, the server closes with one of the codes."""
    for rule, what, data, *codes in rows:

        @server.does(rule, what)
        async def act(c, data=data, codes=codes):
            await prepare(c)
            await c.send(data)
            await c.ends(*codes)


def misuse_http(server, refusals):
    """What isn't a WebSocket yet. How it is refused is the library's choice."""
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    rows = [
        ("RFC 6455 4.1", "no key", UPGRADE.replace(key, b"")),
        ("RFC 6455 4.1", "another version", UPGRADE.replace(b"n: 13", b"n: 12")),
        ("RFC 6455 4.1", "no method GET", UPGRADE.replace(b"GET", b"POST")),
        ("RFC 6455 4.1", "HTTP/1.0", UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0")),
        ("RFC 9112 2.2", "garbage", bytes(range(255, 0, -1)) + b"\r\n\r\n"),
        ("RFC 9112 2.2", "a TLS ClientHello", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"),
        ("RFC 9112 5", "a header without a colon", UPGRADE.replace(b"Host: ", b"Host ")),
        (
            "RFC 9112 5",
            "a thousand headers",
            UPGRADE[:-2] + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n",
        ),
    ]
    for rule, what, data in rows:

        @server.does(rule, what)
        async def refused(c, data=data):
            await c.send(data)
            await c.ends(*refusals)

    @server.does("RFC 6455 4.1", "no upgrade at all")
    async def plain(c):
        await c.send(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await c.ends("HTTP 404", *refusals)

    @server.does("RFC 9112 2.2", "silence")
    async def no_request(c):
        await c.ends(*refusals, after=HTTP_TIMEOUT)

    @server.does("RFC 9112 2.2", "half an upgrade")
    async def half_upgrade(c):
        await c.send(UPGRADE[:-2])
        await c.ends(*refusals, after=HTTP_TIMEOUT)

    @server.does("RFC 9112 2.2", "headers a byte at a time")
    async def slow_headers(c):
        await c.trickle(UPGRADE, pause=0.3)
        await c.ends(*refusals, after=HTTP_TIMEOUT)

    @server.does("RFC 9112 2.2", "half an upgrade, and the end")
    async def upgrade_and_end(c):
        await c.send(UPGRADE[:-2])
        await c.half_close()
        await c.ends(*refusals)

    @server.does("RFC 9112 2.2", "half an upgrade, and a reset")
    async def upgrade_and_reset(c):
        await c.send(UPGRADE[:-2])
        c.reset()

    @server.does("RFC 9112 2.2", "a reset in place of the first message")
    async def reset_first(c):
        await c.send(UPGRADE)
        c.reset()

    @server.floods_with("RFC 9112 5", "headers without end, at full speed")
    async def headers(c):
        await c.send(UPGRADE[:-2])
        await c.flood(b"X-Header: something or other\r\n" * 1000, *refusals)


def misuse_frames(server, when, prepare, codes, patience):
    """Frames that aren't any, and what is too much.

    `codes` are those of the protocol; with `patience` a server closes that hears nothing else.
    """
    cut = frame(TEXT, b'{"op', fin=False)
    third = frame(CONTINUATION, b" " * 500_000, fin=False)
    broken_reason = frame(CLOSE, NORMAL + b"\xff")
    behind = frame(CLOSE, NORMAL) + text("{}") * 100
    too_long, not_utf8, limits = codes["too long"], codes["not UTF-8"], codes["numbers"]
    rows = [
        ("RFC 6455 5.1", "a frame without mask", frame(TEXT, b"{}", is_masked=False), "1002"),
        ("RFC 6455 5.2", "opcode 3", frame(3, b"{}"), "1002"),
        ("RFC 6455 5.2", "opcode 11", frame(11), "1002"),
        ("RFC 6455 5.2", "a reserved bit", frame(TEXT, b"{}", reserved=4), "1002"),
        ("RFC 6455 5.2", "a length of 2^62", frame(TEXT, length=1 << 62), too_long),
        ("RFC 6455 5.2", "a length of 2^64 - 1", frame(TEXT, length=2**64 - 1), too_long),
        ("RFC 6455 5.4", "an end without a beginning", frame(CONTINUATION, b"}"), "1002"),
        ("RFC 6455 5.4", "a message within a message", cut + text("{}"), "1002"),
        ("RFC 6455 5.5", "a ping in fragments", frame(PING, b"x", fin=False), "1002"),
        ("RFC 6455 5.5", "a ping of 126 bytes", frame(PING, b"x" * 126), "1002"),
        ("RFC 6455 5.5.1", "half a close code", frame(CLOSE, b"\x03"), "1002"),
        ("RFC 6455 5.5.1", "a reason that isn't UTF-8", broken_reason, not_utf8, "1002"),
        ("RFC 6455 5.5.1", "a close frame", frame(CLOSE, NORMAL), "1000"),
        ("RFC 6455 5.5.1", "an empty close frame", frame(CLOSE), "an empty close frame"),
        ("RFC 6455 5.5.1", "messages behind the close frame", behind, "1000"),
        ("RFC 6455 7.4.1", "a close code that nobody may send", frame(CLOSE, b"\x03\xed"), "1002"),
        ("RFC 6455 8.1", "a text that isn't UTF-8", frame(TEXT, b'"\xff"'), not_utf8),
        (limits, "a binary message", frame(BINARY, b"{}"), "1003"),
        (limits, "a message that is too long", text(" " * 1_100_000), too_long),
        (limits, "one that is too long in its third fragment", cut + third * 3, too_long),
    ]
    does_each(server, [(rule, f"{what}, {when}", *rest) for rule, what, *rest in rows], prepare)

    @server.does("RFC 6455 7.1.1", f"the end without a close frame, {when}")
    async def end(c):
        await prepare(c)
        await c.half_close()
        await c.ends(NOTHING_MORE)

    @server.does("RFC 6455 7.1.1", f"half a frame and the end, {when}")
    async def half_frame(c):
        await prepare(c)
        await c.send(text("{}")[:-1])
        await c.half_close()
        await c.ends(NOTHING_MORE)

    @server.does("RFC 6455 7.1.1", f"half a frame and a reset, {when}")
    async def reset(c):
        await prepare(c)
        await c.send(text("{}")[:-1])
        c.reset()

    @server.does("RFC 6455 7.1.1", f"no end after the server's, {when}")
    async def lingers(c):
        await prepare(c)
        await c.send(frame(3))
        await c.hear(lambda said: said[0] == CLOSE)
        await asyncio.sleep(DWELL)

    @server.floods_with("RFC 6455 5.5.2", f"pings at full speed, {when}")
    async def pings(c):
        await prepare(c)
        await c.flood(frame(PING, b"x" * 125) * 500, *patience)

    @server.floods_with("RFC 6455 5.5.2", f"pings at full speed whose pongs aren't read, {when}")
    async def pings_unread(c):
        await prepare(c)
        await c.flood(frame(PING, b"x" * 125) * 500, *patience, NOTHING_MORE, reads=False)

    @server.floods_with("RFC 6455 5.5.3", f"pongs at full speed, {when}")
    async def pongs(c):
        await prepare(c)
        await c.flood(frame(PONG, b"x" * 125) * 500, *patience)

    @server.floods_with("RFC 6455 5.4", f"fragments of nothing without end, {when}")
    async def empty_fragments(c):
        await prepare(c)
        await c.send(cut)
        await c.flood(frame(CONTINUATION, fin=False) * 1000, *patience)

    @server.floods_with("RFC 6455 5.4", f"fragments of a byte without end, {when}")
    async def fragments(c):
        await prepare(c)
        await c.send(cut)
        await c.flood(frame(CONTINUATION, b" ", fin=False) * 1000, *patience, too_long)


# ---- litecord

HEARTBEAT_INTERVAL, HEARTBEAT_GRACE, HANDSHAKE_TIMEOUT = 3, 2, 4
HEARTBEAT_TIMEOUT = HEARTBEAT_INTERVAL + HEARTBEAT_GRACE


class Litecord(WebSocket):
    async def hello(self):
        await self.upgrade()
        await self.hear_text(lambda said: said["op"] == 0)

    async def login(self):
        await self.hello()
        await self.send(text({"op": 1, "password": "helloworld"}), BEAT)
        await self.hear_text(lambda said: said["op"] == 3)

    async def stays_beating(self, seconds=DWELL):
        for _ in range(int(seconds / HEARTBEAT_INTERVAL * 2)):
            await self.send(BEAT)
            await self.stays(HEARTBEAT_INTERVAL / 2)


BEAT = text({"op": 2})
DEEP = "[" * 128 + "]" * 128


def request(what, args=(), nonce=0):
    return text({"op": 4, "w": what, "a": list(args), "n": nonce})


def dispatch(what, args=()):
    return text({"op": 6, "w": what, "a": list(args)})


litecord = Server(
    "litecord",
    Litecord,
    (
        *("--heartbeat-interval", str(HEARTBEAT_INTERVAL)),
        *("--heartbeat-grace", str(HEARTBEAT_GRACE)),
        *("--handshake-timeout", str(HANDSHAKE_TIMEOUT), "--request-timeout", "2"),
    ),
    longest=HTTP_TIMEOUT,
)
misuse_http(litecord, ("HTTP 400", "HTTP 405", NOTHING_MORE, "reset"))
CODES = {"too long": "1009", "not UTF-8": "1007", "numbers": "L6"}
misuse_frames(litecord, "before the password", Litecord.hello, CODES, ("4002",))
misuse_frames(litecord, "later", Litecord.login, CODES, ("4003",))
does_each(
    litecord,
    [
        ("step 2", "a HEARTBEAT first", BEAT, "4002"),
        ("step 2", "a REQUEST first", request("ECHO"), "4002"),
        ("step 2", "a RESPONSE first", text({"op": 5, "n": 1, "r": 1}), "4002"),
        ("step 2", "a DISPATCH first", dispatch("SUBSCRIBE", (1, 2)), "4002"),
        ("step 2", "a wrong password", text({"op": 1, "password": "x"}), "4001"),
        ("step 2", "a password of half a MiB", text({"op": 1, "password": "x" * 500_000}), "4001"),
        (
            "step 2",
            "65 messages behind the password",
            text({"op": 1, "password": "helloworld"}) + BEAT * 65,
            "4002",
        ),
        (
            "step 2",
            "more than 64 KiB behind the password",
            text({"op": 1, "password": "helloworld"}) + request("ECHO", ["x" * 40_000]) * 2,
            "4002",
        ),
        ("L6", "no password", text({"op": 1}), "1008"),
        ("L6", "a password that is a number", text({"op": 1, "password": 7}), "1008"),
        ("L1", "a HELLO of a client, first", text({"op": 0, "hb_interval": 1}), "1008"),
        ("L6", "no JSON, first", text("{"), "1007"),
        ("L6", "nothing, first", text(""), "1007"),
    ],
    Litecord.hello,
)
does_each(
    litecord,
    [
        ("L1", "a HELLO of a client", text({"op": 0, "hb_interval": 1}), "1008"),
        ("L1", "a HEARTBEAT_ACK of a client", text({"op": 3}), "1008"),
        ("L6", "a second password", text({"op": 1, "password": "helloworld"}), "1008"),
        ("L6", "no JSON", text('{"op":2'), "1007"),
        ("L6", "two messages in one", text('{"op":2}{"op":2}'), "1007"),
        ("L6", "no object", text("[2]"), "1008"),
        ("L2", "no op", text("{}"), "1008"),
        ("L2", "an op of 4.0", text('{"op":4.0,"w":"ECHO","a":[],"n":1}'), "1008"),
        ("L2", "an op of 256", text('{"op":256}'), "1008"),
        ("L2", "an op twice", text('{"op":2,"op":2}'), "1008"),
        ("L2", "an op of 10^1000", text('{"op":1' + "0" * 1000 + "}"), "1008"),
        ("L2", "129 levels", text('{"op":4,"w":"ECHO","a":' + DEEP + ',"n":1}'), "1008"),
        ("L2", "a MiB of open brackets", text("[" * MAX_MESSAGE), "1008"),
        ("L5", "no nonce", text({"op": 4, "w": "ECHO", "a": []}), "1008"),
        ("L5", "a nonce of 1025 bytes", request("ECHO", (), "x" * 1023), "1008"),
        ("L5", "a nonce twice", request("SILENCE") * 2, "1008"),
        (
            "step 5",
            "1025 open requests",
            b"".join(request("SILENCE", (), n) for n in range(1025)),
            "1008",
        ),
        ("step 5", "a wish to be closed with 4567", request("CLOSE", (4567, "as told")), "4567"),
    ],
    Litecord.login,
)


@litecord.does("step 2", "silence after HELLO")
async def litecord_silence(c):
    await c.hello()
    await c.ends("4002", after=HANDSHAKE_TIMEOUT)


@litecord.does("step 4", "no HEARTBEAT")
async def no_heartbeat(c):
    await c.login()
    await c.ends("4003", after=HEARTBEAT_TIMEOUT)


@litecord.does("step 4", "requests in place of HEARTBEATs")
async def no_heartbeat_but_requests(c):
    await c.login()
    with suppress(Wrong):
        for nonce in range(50):
            await c.send(request("ECHO", (), nonce))
            await c.stays(0.2)
    await c.ends("4003", after=HEARTBEAT_TIMEOUT)


@litecord.does("step 4", "a HEARTBEAT a byte at a time")
async def slow_heartbeat(c):
    await c.login()
    await c.trickle(BEAT[:-1], pause=0.3)
    await c.ends("4003", after=HEARTBEAT_TIMEOUT)


@litecord.does("step 4", "nothing is read")
async def litecord_deaf(c):
    await c.login()
    await c.send(request("ECHO", ["x" * 1_000_000], 1), request("ECHO", ["x" * 1_000_000], 2))
    await asyncio.sleep(HEARTBEAT_TIMEOUT + 2.5)
    await c.ends("4003", "1008", NOTHING_MORE, "reset", after=HEARTBEAT_TIMEOUT)


@litecord.does("step 5", "requests of ours are never answered, which is allowed")
async def no_response(c):
    await c.login()
    await c.send(request("ASK", ("ANYTHING",), 1))
    await c.stays_beating()


@litecord.does("L3", "unknown ops, which are allowed")
async def litecord_unknown(c):
    await c.hello()
    await c.send(text({"op": 99}) * 20)
    await c.send(text({"op": 1, "password": "helloworld"}), BEAT)
    await c.hear_text(lambda said: said["op"] == 3)
    await c.send(text({"op": 255, "x": [1] * 1000}) * 20)
    await c.stays_beating()


@litecord.does("L5", "responses to nothing, which are allowed")
async def litecord_strays(c):
    await c.login()
    await c.send(text({"op": 5, "n": "made up", "r": 1}) * 20)
    await c.stays_beating()


@litecord.floods_with("step 4", "HEARTBEATs at full speed")
async def beats(c):
    await c.login()
    await c.flood(BEAT * 1000, "1008")


@litecord.floods_with("step 4", "HEARTBEATs at full speed whose acks aren't read")
async def beats_unread(c):
    await c.login()
    await c.flood(BEAT * 1000, "1008", "4003", NOTHING_MORE, reads=False)


@litecord.floods_with("step 5", "requests at full speed")
async def requests(c):
    await c.login()
    asks = b"".join(request("GUILD_SUBSCRIBERS", [42], nonce) for nonce in range(1000))
    await c.flood(asks, "1008", "4003")


@litecord.floods_with("step 5", "the longest requests at full speed, whose responses aren't read")
async def long_requests(c):
    await c.login()
    await c.flood(request("ECHO", ["x" * 1_000_000]), "1008", "4003", NOTHING_MORE, reads=False)


@litecord.floods_with("step 5", "subscriptions at full speed, which all are told")
async def subscriptions(c):
    await c.login()
    pair = dispatch("SUBSCRIBE", [7, c.number]) + dispatch("UNSUBSCRIBE", [7, c.number])
    await c.flood(pair * 500, "1008", "4003")


@litecord.floods_with("L3", "unknown ops at full speed")
async def litecord_unknowns(c):
    await c.hello()
    await c.flood(text({"op": 99}) * 1000, "4002")


# ---- emagine

BEAT_INTERVAL = 3


class Emagine(WebSocket):
    async def hello(self):
        await self.upgrade()
        await self.hear_text(lambda said: said["op"] == 0)

    async def login(self):
        await self.hello()
        await self.send(IDENTIFY)
        await self.hear_text(lambda said: said["op"] == 2)


IDENTIFY = text({"op": 1, "token": "helloworld"})
PULSE = text({"op": 10, "time": 1})
emagine = Server(
    "emagine",
    Emagine,
    ("--heartbeat-interval", str(BEAT_INTERVAL), "--handshake-timeout", str(HANDSHAKE_TIMEOUT)),
    longest=HTTP_TIMEOUT,
)
misuse_http(emagine, ("HTTP 400", "HTTP 405", "HTTP 426", "HTTP 431", NOTHING_MORE, "reset"))
CODES = {"too long": "1009", "not UTF-8": "4001", "numbers": "E4"}
misuse_frames(emagine, "before Identify", Emagine.hello, CODES, ("4002",))
misuse_frames(emagine, "later", Emagine.login, CODES, ("4002",))
DOCUMENTS = [
    ("E4", "no JSON", text("{"), "4001"),
    ("E4", "nothing", text(""), "4001"),
    ("E3", "no object", text("[1]"), "4001"),
    ("E3", "no op", text("{}"), "4001"),
    ("E3", "an op of 1.0", text('{"op":1.0,"token":"helloworld"}'), "4001"),
    ("E3", "an op twice", text('{"op":10,"op":10}'), "4001"),
    ("E3", "129 levels", text('{"op":10,"x":' + DEEP + "}"), "4001"),
    ("E3", "a MiB of open brackets", text("[" * MAX_MESSAGE), "4001"),
    ("E3", "a time of 1025 bytes", text({"op": 10, "time": "x" * 1023}), "4001"),
    ("E2", "a Hello of a client", text({"op": 0, "heartbeat_interval": 1}), "4001"),
    ("E2", "a Ready of a client", text({"op": 2, "user": "eve"}), "4001"),
    ("E2", "a Message of a client", text({"op": 3, "message": 1}), "4001"),
]
for when, prepare in (("before Identify", Emagine.hello), ("later", Emagine.login)):
    does_each(
        emagine, [(rule, f"{what}, {when}", *rest) for rule, what, *rest in DOCUMENTS], prepare
    )
does_each(
    emagine,
    [
        ("step 2", "a token that nobody has", text({"op": 1, "token": "x"}), "4003"),
        ("step 2", "a token of half a MiB", text({"op": 1, "token": "x" * 500_000}), "4003"),
        ("step 2", "a second Identify at once", IDENTIFY * 2, "4001"),
        ("E3", "no token", text({"op": 1}), "4001"),
        ("E3", "a token that is a number", text({"op": 1, "token": 7}), "4001"),
    ],
    Emagine.hello,
)
does_each(emagine, [("step 2", "a second Identify", IDENTIFY, "4001")], Emagine.login)


@emagine.does("step 1", "silence after Hello")
async def emagine_silence(c):
    await c.hello()
    await c.ends("4002", after=HANDSHAKE_TIMEOUT)


@emagine.does("step 1", "Heartbeats, which are allowed, and no Identify")
async def only_pulses(c):
    await c.hello()
    with suppress(Wrong):
        for _ in range(60):
            await c.send(PULSE)
            await c.stays(0.2)
    await c.ends("4002", after=HANDSHAKE_TIMEOUT)


@emagine.does("step 1", "an Identify a byte at a time")
async def slow_identify(c):
    await c.hello()
    await c.trickle(IDENTIFY, pause=0.25)
    await c.ends("4002", after=HANDSHAKE_TIMEOUT)


@emagine.does("step 4", "no HeartbeatAck")
async def no_ack(c):
    await c.login()
    await c.ends("4002", after=2 * BEAT_INTERVAL)


@emagine.does("step 4", "HeartbeatAcks of another time")
async def odd_acks(c):
    await c.login()
    with suppress(Wrong):
        for _ in range(30):
            await c.send(text({"op": 11, "time": 7}))
            await c.stays(0.5)
    await c.ends("4002", after=2 * BEAT_INTERVAL)


@emagine.does("step 4", "nothing is read")
async def emagine_deaf(c):
    await c.login()
    await asyncio.sleep(2 * BEAT_INTERVAL + 2.5)
    await c.ends("4002", after=2 * BEAT_INTERVAL)


@emagine.does("E3", "unknown ops, which are allowed")
async def emagine_unknown(c):
    await c.hello()
    await c.send(text({"op": 99}) * 20, IDENTIFY, text({"op": 7, "x": [1] * 1000}) * 20)
    await c.hear_text(lambda said: said["op"] == 2)
    await c.stays(BEAT_INTERVAL)


@emagine.floods_with("step 4", "Heartbeats at full speed")
async def pulses(c):
    await c.login()
    # Those of the server aren't answered.
    await c.flood(PULSE * 1000, "4001", "4002")


@emagine.floods_with("step 4", "Heartbeats at full speed whose acks aren't read")
async def pulses_unread(c):
    await c.login()
    await c.flood(PULSE * 1000, "4001", "4002", NOTHING_MORE, reads=False)


@emagine.floods_with("step 2", "Heartbeats at full speed, and no Identify")
async def pulses_first(c):
    await c.hello()
    await c.flood(PULSE * 1000, "4001", "4002")


@emagine.floods_with("E3", "unknown ops at full speed")
async def emagine_unknowns(c):
    await c.login()
    await c.flood(text({"op": 99}) * 1000, "4002")


@emagine.floods_with("E3", "the longest unknown ops at full speed")
async def emagine_long(c):
    await c.login()
    await c.flood(text({"op": 99, "x": "x" * 1_000_000}), "4002")


# ---- roomvars

RATE_LIMIT, MAX_ROOM_CLIENTS = 60, 20


class Roomvars(WebSocket):
    async def join(self, room=None, username="eve", **variables):
        """By default a room of its own."""
        await self.upgrade()
        room = room or f"room of {self.number}"
        await self.send(handshake(room, username, variables or {"x": "0"}))


def handshake(room="hostile", username="eve", variables=None):
    variables = {"x": "0"} if variables is None else variables
    said = {"kind": "handshake", "room": room, "username": username, "variables": variables}
    return text(said)


def set_to(value, variable="x"):
    return text({"kind": "set", "variable": variable, "value": value})


roomvars = Server(
    "roomvars",
    Roomvars,
    (
        *("--handshake-timeout", str(HANDSHAKE_TIMEOUT), "--empty-room-ttl", "2"),
        *("--rate-limit", str(RATE_LIMIT), "--max-room-clients", str(MAX_ROOM_CLIENTS)),
    ),
    longest=HTTP_TIMEOUT,
)
misuse_http(roomvars, ("HTTP 400", "HTTP 405", "HTTP 426", "HTTP 431", NOTHING_MORE, "reset"))
CODES = {"too long": "4000", "not UTF-8": "4000", "numbers": "R5"}
misuse_frames(roomvars, "before the handshake", WebSocket.upgrade, CODES, ("4000",))
misuse_frames(roomvars, "later", Roomvars.join, CODES, ("4004",))
DOCUMENTS = [
    ("R5", "no JSON", text("{"), "4000"),
    ("R1", "nothing", text(""), "4000"),
    ("R1", "no object", text("[1]"), "4000"),
    ("R2", "no kind", text("{}"), "4000"),
    ("R2", "an unknown kind", text({"kind": "unset"}), "4000"),
    ("R2", "a kind twice", text('{"kind":"set","kind":"set"}'), "4000"),
    ("R2", "a kind of another dialect", text({"kind": "delete", "name": "x"}), "4000"),
    ("R2", "a value that is a number", text({"kind": "set", "variable": "x", "value": 1}), "4000"),
    ("R2", "half a surrogate", text({"kind": "set", "variable": "\ud800", "value": ""}), "4000"),
    ("R5", "129 levels", text('{"kind":"set","y":' + DEEP + "}"), "4000"),
    ("R5", "a MiB of open brackets", text("[" * MAX_MESSAGE), "4000"),
]
for when, prepare in (("before the handshake", WebSocket.upgrade), ("later", Roomvars.join)):
    does_each(
        roomvars, [(rule, f"{what}, {when}", *rest) for rule, what, *rest in DOCUMENTS], prepare
    )
does_each(
    roomvars,
    [
        ("step 1", "a set first", set_to("1"), "4000"),
        ("R5", "no name of a room", handshake(""), "4000"),
        ("R5", "a name of a room of 257 bytes", handshake("x" * 257), "4000"),
        ("R5", "no username", handshake(username=""), "4002"),
        ("R5", "a username of 65 bytes", handshake(username="x" * 65), "4002"),
        ("R5", "eleven variables", handshake(variables={f"{n}": "" for n in range(11)}), "4000"),
        ("R5", "a variable's name of 513 bytes", handshake(variables={"x" * 513: ""}), "4000"),
        ("R5", "a value of 1025 bytes", handshake(variables={"x": "x" * 1025}), "4000"),
        (
            "step 2",
            "a variable twice",
            text('{"kind":"handshake","room":"r","username":"u","variables":{"x":"1","x":"2"}}'),
            "4000",
        ),
        ("step 2", "variables that a room hasn't", handshake("honest 0"), "4001"),
        (
            "step 2",
            "a username that somebody has",
            handshake("honest 0", "HONEST 0", {"a": "", "b": ""}),
            "4002",
        ),
    ],
    WebSocket.upgrade,
)
does_each(
    roomvars,
    [
        ("step 1", "a second handshake", handshake(), "4000"),
        ("step 3", "a variable that there isn't", set_to("1", "y"), "4000"),
        ("R5", "a set of 1025 bytes", set_to("x" * 1025), "4000"),
        (
            "R1",
            "two sets in one message",
            text('{"kind":"set","variable":"x","value":"1"}\n' * 2),
            "4000",
        ),
        ("step 7", "61 sets at once", set_to("1") * (RATE_LIMIT + 1), "4004"),
    ],
    Roomvars.join,
)


@roomvars.does("step 1", "silence")
async def roomvars_silence(c):
    await c.upgrade()
    await c.ends("4000", after=HANDSHAKE_TIMEOUT)


@roomvars.does("step 1", "a handshake a byte at a time")
async def slow_handshake(c):
    await c.upgrade()
    await c.trickle(handshake(), pause=0.25)
    await c.ends("4000", after=HANDSHAKE_TIMEOUT)


@roomvars.does("R5", "a crowd in one room")
async def crowded(c):
    # The first of them stay, and those that come too many don't.
    await c.join("crowded", f"eve {c.number}")
    with suppress(Wrong):
        await c.stays()
        return
    if c.how != "4003":
        raise Wrong(f"ended: {c.how}")


@roomvars.does("step 4", "a room of its own, left at once")
async def flicker(c):
    await c.join()
    c.reset()


@roomvars.does("step 4", "silence in a room, which is allowed")
async def idle(c):
    await c.join()
    await c.stays()


@roomvars.does("step 6", "nothing is read in a room where much is said, which is allowed")
async def roomvars_deaf(c):
    await c.join("loud", f"eve {c.number}", loud="")
    await asyncio.sleep(DWELL)
    with suppress(Wrong):
        await c.stays(0.5)
        return
    # Too many there.
    if c.how != "4003":
        raise Wrong(f"ended: {c.how}")


@roomvars.does("step 6", "much is said in a room, which is allowed")
async def loud(c):
    await c.join("loud", f"eve {c.number}", loud="")
    with suppress(Wrong):
        for _ in range(DWELL * 20):
            await c.send(set_to("x" * 1000, "loud"))
            await c.stays(0.05)
        return
    if c.how != "4003":
        raise Wrong(f"ended: {c.how}")


@roomvars.floods_with("step 7", "sets at full speed")
async def sets(c):
    await c.join()
    await c.flood(set_to("1") * 500, "4004")


@roomvars.floods_with("step 7", "the longest sets at full speed")
async def long_sets(c):
    await c.join()
    padding = text('{"kind":"set","variable":"x","value":"1"' + " " * 1_000_000 + "}")
    await c.flood(padding, "4004")


@roomvars.floods_with("step 4", "rooms without end")
async def many_rooms(c):
    await c.join(
        f"room {c.number} " + "x" * 200, **{f"{n} " + "x" * 500: "x" * 1024 for n in range(10)}
    )
    await c.stays(1)


SERVERS = {server.name: server for server in (litecord, emagine, roomvars)}

if __name__ == "__main__":
    main(__doc__, SERVERS)
