"""What clients in Python and Node see of emagine-server."""

import asyncio
import signal
import time

from harness import LANGUAGES, Failed
from scenarios.common import again, each_closes, not_utf8, pieces, too_long, with_code
from scenarios.emagine import (
    HEARTBEAT, HEARTBEAT_ACK, MALFORMED, SPELLINGS, TIMES, UNKNOWN, against_server, alive,
    heartbeat, heartbeat_ack, hello, identify, long, message, ready,
)

TOKEN, USER = "hunter2", "ada"
HELLO, IDENTIFY, READY = hello(45000), identify(TOKEN), ready(USER)
USERS = "--token", f"{TOKEN}={USER}", "--token", "x=y=ben the second"
BEN = "x=y", '"ben the second"'


async def greeted(client):
    await client.hears(HELLO)


async def enter(client, token=TOKEN, user=USER):
    """Through the handshake."""
    await client.hears(HELLO)
    client.says(identify(token))
    await client.hears(ready(user))


async def entered(stage, server, *options, **more):
    client = await stage.client(server, "--manual", *options, **more)
    await enter(client)
    return client


@against_server("handshake")
async def handshake(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    await client.hears(HELLO)
    await client.hears_nothing()
    client.says(IDENTIFY)
    await client.hears(READY)
    await client.hears_nothing()
    for close in ("close 1000 bye", "close"):
        client.tell(close)
        await client.closed(1000 if "1000" in close else 1005)
        await again(client)
        if close != "close":
            await enter(client)
    await client.hears(HELLO)
    client.says('{"op":1,"token":"\\u0068unter\\u0032"}')
    await client.hears(READY)
    # And by an end that speaks for itself.
    client = await stage.client(server, "--token", "x=y")
    await client.see("1 ready ben the second")


@against_server("wrong tokens: 4003")
async def wrong_tokens(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    wrong = {
        "empty": "", "a prefix": TOKEN[:-1], "one more": TOKEN + "2", "upper case": "HUNTER2",
        "a space": TOKEN + " ", "a NUL": TOKEN + "\0", "with the user": f"{TOKEN}={USER}",
        "4096 bytes": TOKEN * 585 + "x", "1 MiB": "x" * ((1 << 20) - len(identify(""))),
    }
    for name, token in wrong.items():
        with stage.case(name):
            if name != "empty":
                await again(client)
            await client.hears(HELLO)
            client.says(identify(token))
            client.says(HEARTBEAT)
            await client.closed(4003, "identify failed", within=5)
            if client.count(client.line("<.*")) != 1:
                raise Failed("the server said more than Hello")
    cases = with_code(4001, {
        "no token": '{"op":1}',
        "token null": '{"op":1,"token":null}',
        "token twice": '{"op":1,"token":"hunter2","token":"hunter2"}',
        "token half a character": '{"op":1,"token":"\\ud800"}',
        "the server's": '{"op":1,"user":"ada"}',
    })
    await each_closes(stage, client, cases, client.says, greeted)
    client = await stage.client(server, "--token", "wrong")
    await client.closed(4003)


@against_server("heartbeats both ways every 0.2 s, acks one to one")
async def heartbeats(stage):
    server = await stage.example_server(*USERS, "--heartbeat-interval", "0.2")
    client = await stage.client(server, "--token", TOKEN)
    await client.hears(hello(200))
    await client.never(client.line("closed.*"), 3)
    for sent, came in (("<", ">"), (">", "<")):
        beats = client.count(client.line(rf'{sent} \{{"op":10,"time":\d+\}}'))
        acks = client.count(client.line(rf'{came} \{{"op":11,"time":\d+\}}'))
        if not (acks in (beats, beats - 1) and 5 <= beats <= 20):
            raise Failed(f"{beats} heartbeats and {acks} acks in 3 s")


@against_server("heartbeats in any state, with times of every type")
async def times(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")

    async def are_echoed():
        client.says(HEARTBEAT)
        await client.hears(HEARTBEAT_ACK)
        for text in TIMES:
            with stage.case(text):
                client.says(heartbeat(text))
                await client.hears(heartbeat_ack(text))

    # Before Identify, as deployed clients send some.
    await client.hears(HELLO)
    await are_echoed()
    client.says(IDENTIFY)
    await client.hears(READY)
    await are_echoed()
    # Before the Hello is read, and all at once; no more than may be outstanding.
    await again(client)
    for text in TIMES[:4]:
        client.says(heartbeat(text))
    for text in TIMES[:4]:
        await client.hears(heartbeat_ack(text))
    client.says('{ "time" : [1,\t2] , "op" : 10 }')
    await client.hears(heartbeat_ack("[1,\t2]"))


@against_server("acks of its heartbeats")
async def acks(stage):
    server = await stage.example_server(*USERS, "--heartbeat-interval", "0.4")
    client = await stage.client(server, "--manual")
    its = client.line(r'< \{"op":10,"time":(\d+)\}')
    good = {
        "with its time": "{}", "without a time": None, "with a float": "{}.0",
        "and one more": "{}", "and others": "{}", "by hand": "{}",
    }
    await client.hears(hello(400))
    client.says(IDENTIFY)
    await client.hears(READY)
    for name, text in good.items():
        with stage.case(name):
            sent = (await client.see(its))[1]
            if abs(int(sent) / 1000 - time.time()) > 60:
                raise Failed(f"a time of {sent}")
            client.says(HEARTBEAT_ACK if text is None else heartbeat_ack(text.format(sent)))
            if name == "and one more":
                client.says(heartbeat_ack(sent))
                client.says(HEARTBEAT_ACK)
            elif name == "and others":
                for other in ('"x"', "null", "0", "-1", "[]", "1.5", "1e400"):
                    client.says(heartbeat_ack(other))
    for name, text in {"with another time": "0", "with a string": '"{}"', "none": None}.items():
        with stage.case(name):
            await again(client)
            its = client.line(r'< \{"op":10,"time":(\d+)\}')
            start = time.monotonic()
            await client.hears(hello(400))
            client.says(IDENTIFY)
            sent = (await client.see(its))[1]
            if text:
                client.says(heartbeat_ack(text.format(sent)))
            await client.closed(4002, within=4)
            if time.monotonic() - start < 0.7:
                raise Failed("too soon")


@against_server("who says nothing: 4002")
async def silence(stage):
    slow = await stage.example_server(*USERS, "--handshake-timeout", "0.5")
    client = await stage.client(slow, "--manual")
    with stage.case("nothing at all"):
        await client.hears(HELLO)
        start = time.monotonic()
        await client.closed(4002, within=4)
        if time.monotonic() - start < 0.4:
            raise Failed("too soon")
    with stage.case("heartbeats only"):
        await again(client)
        await client.hears(HELLO)
        for _ in range(50):
            client.says(HEARTBEAT)
            await asyncio.sleep(0.05)
            if client.count(client.line("closed.*")):
                break
        await client.closed(4002)
    with stage.case("heartbeats, and no acks"):
        server = await stage.example_server(*USERS, "--heartbeat-interval", "0.3")
        client = await stage.client(server, "--manual")
        await client.hears(hello(300))
        client.says(IDENTIFY)
        for _ in range(50):
            client.says(HEARTBEAT)
            await asyncio.sleep(0.05)
            if client.count(client.line("closed.*")):
                break
        await client.closed(4002)


@against_server("malformed, out of turn: 4001")
async def malformed(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    cases = MALFORMED | with_code(4001, {
        "a second Identify": IDENTIFY,
        "a second Identify, wrong": identify("wrong"),
        "Hello": HELLO,
        "Ready": READY,
        "Message": message("1"),
    })
    await each_closes(stage, client, cases, client.says, enter)
    cases = with_code(4001, {"Ready": READY, "no JSON": "hello", "a message": message("1")})
    await each_closes(stage, client, cases, client.says, greeted)
    with stage.case("Identify twice at once"):
        await again(client)
        await client.hears(HELLO)
        client.says(IDENTIFY)
        client.says(IDENTIFY)
        await client.closed(4001)


@against_server("binary: 1003, not UTF-8: 4001, oversized: 1009")
async def other_messages(stage):
    server = await stage.example_server(*USERS, "--max-message", "1000")
    client = await stage.client(server, "--manual")

    def raw(parts):
        client.fragments(*parts)

    with stage.case("1000 bytes"):
        await enter(client)
        client.says(long(1000))
        await alive(client)
    binary = {"binary": (HEARTBEAT.encode(), 1003), "empty binary": (b"", 1003)}
    await each_closes(stage, client, binary, client.binary, enter)
    cases = with_code(4001, not_utf8(HEARTBEAT)) | with_code(1009, too_long(long(1001)))
    await each_closes(stage, client, cases, raw, enter)


@against_server("a whole MiB, and no more")
async def a_mebibyte(stage):
    server = await stage.example_server(*USERS)
    client = await entered(stage, server)
    client.says(long(1 << 20))
    await alive(client)
    text = '"' + "é" * (((1 << 20) - len(message('""'))) // 2) + '"'
    server.tell(f"all {text}")
    await client.hears(message(text))
    # One more isn't sent to anybody.
    server.tell(f"all {text[:-1]}xxx\"")
    await client.hears_nothing()
    await alive(client)
    client.says(long((1 << 20) + 1))
    await client.closed(1009)


@against_server("what is typed is delivered")
async def delivery(stage):
    server = await stage.example_server(*USERS)
    clients = [await entered(stage, server, language=one) for one in LANGUAGES]
    ben, waiting = [await stage.client(server, "--manual") for _ in range(2)]
    await enter(ben, *(part.strip('"') for part in BEN))
    await waiting.hears(HELLO)
    values = {
        '{"é":"\\u00e9",  "n":[1.0, 12345678901234567890123]}': None,
        "null": None,
        "  []  ": "[]",
        '"a" "b"': '"\\"a\\" \\"b\\""',
        "good morning": '"good morning"',
        "☁\tor\\so": '"☁\\tor\\\\so"',
        "[" * 127 + "]" * 127: None,
    }
    for text, value in values.items():
        with stage.case(text):
            server.tell(f"all {text}")
            for client in (*clients, ben):
                await client.hears(message(value or text))
    server.tell(f"to {USER} 1")
    server.tell(f"to {BEN[1]} 2")
    server.tell("to nobody 3")
    server.tell("all 4")
    for client in clients:
        await client.hears(message("1"))
        await client.hears(message("4"))
    await ben.hears(message("2"))
    await ben.hears(message("4"))
    for client, many in ((clients[0], 9), (clients[1], 9), (ben, 9)):
        if (said := client.count(client.line(r'< \{"op":3.*'))) != many:
            raise Failed(f"{said} messages instead of {many}")
    # Who isn't let in hears nothing.
    await waiting.hears_nothing(0.1)
    # In order, or one of these isn't seen; what an end of ours makes of them.
    own = await stage.client(server, "--token", TOKEN)
    await own.see(f"1 ready {USER}")
    for number in range(500):
        server.tell(f'all [{number},"é"]')
    for number in range(500):
        await own.see(f'1 message [{number},"é"]')


@against_server("the application closes")
async def close_by_application(stage):
    server = await stage.example_server(*USERS)
    client = await entered(stage, server)
    ben = await stage.client(server, "--manual")
    await enter(ben, *(part.strip('"') for part in BEN))
    server.tell(f"close {USER} 4000 bye, é")
    await client.closed(4000, "bye, é")
    for code in (1000, 1001, 3000, 4003, 4999):
        with stage.case(str(code)):
            await again(client)
            await enter(client)
            server.tell(f"close {USER} {code}")
            await client.closed(code)
    with stage.case("what was said before comes first"):
        await again(client)
        await enter(client)
        for number in range(100):
            server.tell(f"to {USER} {number}")
        server.tell(f"close {USER}")
        for number in range(100):
            await client.hears(message(number))
        await client.closed(1000)
    await alive(ben)


@against_server("SIGTERM, SIGINT, quit: 1001")
async def shutdown(stage):
    for end in (signal.SIGTERM, signal.SIGINT, None):
        with stage.case(end.name if end else "quit"):
            server = await stage.example_server(*USERS)
            client = await entered(stage, server)
            waiting = await stage.client(server, "--manual")
            await waiting.hears(HELLO)
            if end:
                server.process.send_signal(end)
            else:
                server.tell("quit")
            await client.closed(1001)
            await waiting.closed(1001)
            if (status := await server.exit()) != 0:
                raise Failed(f"exit status {status}")


@against_server("clients that don't read")
async def paused(stage):
    server = await stage.example_server(*USERS)
    steady = await entered(stage, server)
    client = await entered(stage, server)
    client.tell("pause")
    text = "x" * 200_000
    # More than sockets keep, and no faster than the steady one reads.
    for number in range(60):
        server.tell(f'all [{number},"{text}"]')
        await steady.hears(message(f'[{number},"{text}"]'))
    await alive(steady)
    client.tell("resume")
    # What it gets is in order, up to where it was turned out.
    for number in range(60):
        await client.see(client.line("(<|closed).*"))
        client.at -= 1
        if client.lines[client.at].startswith("1 closed"):
            await client.closed("(1006|1008)")
            break
        await client.hears(message(f'[{number},"{text}"]'))
    else:
        raise Failed("it was never turned out")
    with stage.case("SIGTERM"):
        client = await entered(stage, server)
        client.tell("pause")
        client.tell("ping")
        server.process.terminate()
        await steady.closed(1001)
        if (status := await server.exit()) != 0:
            raise Failed(f"exit status {status}")


@against_server("texts in fragments, also within a character")
async def fragments(stage):
    server = await stage.example_server(*USERS)
    client = await entered(stage, server)
    for name, parts in pieces(heartbeat('["é€😀","ñ and so on"]')).items():
        with stage.case(name):
            client.fragments(*parts)
            await client.hears(heartbeat_ack('["é€😀","ñ and so on"]'))


@against_server("keys in any order, spaces, unknown keys and ops")
async def leniency(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    await client.hears(HELLO)
    for identified in (False, True):
        for number, text in enumerate(SPELLINGS):
            with stage.case(text):
                client.says(text.replace("%", str(number)))
                await client.hears(heartbeat_ack(f'"{number}"'))
        for text in UNKNOWN:
            with stage.case(text):
                client.says(text)
                await alive(client)
        if not identified:
            client.says(' { "x": 1, "t\\u006fken" : "hunter2" , "op" :\t1, "user": [] } ')
            await client.hears(READY)


@against_server("pings of the WebSocket")
async def pings(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    await client.hears(HELLO)
    client.tell("ping before the token")
    await client.see("1 pong before the token")
    client.says(IDENTIFY)
    await client.hears(READY)
    for data in ("1", "x" * 125):
        client.tell(f"ping {data}")
        await client.see(f"1 pong {data}")
    await alive(client)


@against_server("clients that vanish")
async def vanishing(stage):
    server = await stage.example_server(*USERS)
    steady = await entered(stage, server)
    client = await stage.client(server, "--manual")
    for _ in range(3):
        client.tell("drop")
        await client.closed(1006)
        await again(client)
        await enter(client)
        server.tell("all 1")
        client.tell("drop")
        await client.closed(1006)
        await again(client)
        await enter(client)
        client.tell("close")
        await client.closed(1005)
        await again(client)
    server.tell("all 2")
    await steady.hears(message("2"))
    await alive(steady)
