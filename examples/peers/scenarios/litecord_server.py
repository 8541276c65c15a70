"""What clients in Python and Node see of litecord-server."""

import asyncio
import json
import re
import signal
import time

from harness import LANGUAGES, Failed, compact
from scenarios.common import again, each_closes, not_utf8, pieces, too_long, with_code
from scenarios.litecord import (
    HEARTBEAT, HEARTBEAT_ACK, MALFORMED, MANY, NONCES, NOT_ZLIB, ZLIB, against_server, deflate,
    request, response,
)

PASSWORD = "hunter2"
HELLO = '{"op":0,"hb_interval":10000}'
VERSION = '{"op":4,"w":"VERSION","a":[],"n":1}'
WITH_PASSWORD = "--password", PASSWORD


def hello_ack(password=PASSWORD):
    return compact({"op": 1, "password": password})


def dispatch(what, args):
    return f'{{"op":6,"w":"{what}","a":{args}}}'


async def enter(client, kind="<"):
    """Through the handshake, to where the server has sent all that it sends of itself."""
    await client.hears(HELLO, kind)
    client.says(hello_ack())
    await client.hears(VERSION, kind)


async def alive(client, kind="<"):
    """Whatever was said before has done no harm."""
    client.says(HEARTBEAT)
    await client.hears(HEARTBEAT_ACK, kind)


async def greeted(client):
    await client.hears(HELLO)


@against_server("handshake")
async def handshake(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    await client.hears(HELLO)
    await client.hears_nothing()
    client.says(hello_ack())
    client.says(HEARTBEAT)
    await client.hears_all(VERSION, HEARTBEAT_ACK)
    await client.hears_nothing()
    client.says(response(1, '{"name":"peer"}'))
    for close in ("close 1000 bye", "close"):
        client.tell(close)
        await client.closed(1000 if "1000" in close else 1005)
        await again(client)
        if close != "close":
            await enter(client)
    await client.hears(HELLO)
    client.says('{"op":1,"password":"\\u0068unter\\u0032"}')
    await client.hears(VERSION)


@against_server("wrong passwords: 4001")
async def wrong_passwords(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    wrong = {
        "empty": "", "a prefix": PASSWORD[:-1], "one more": PASSWORD + "2", "upper case": "HUNTER2",
        "a space": PASSWORD + " ", "a NUL": PASSWORD + "\0", "4096 bytes": PASSWORD * 585 + "x",
        "1 MiB": "x" * ((1 << 20) - len(hello_ack(""))),
    }
    for name, password in wrong.items():
        with stage.case(name):
            if name != "empty":
                await again(client)
            await client.hears(HELLO)
            client.says(hello_ack(password))
            client.says(HEARTBEAT)
            await client.closed(4001, within=5)
            if client.count(client.line("<.*")) != 1:
                raise Failed("the server said more than Hello")
    cases = {
        "no password": ('{"op":1}', 1008),
        "password null": ('{"op":1,"password":null}', 1008),
        "password twice": ('{"op":1,"password":"hunter2","password":"hunter2"}', 1008),
        # The document's own example.
        "a comma too many": ('{ "op": 1, "password": "hunter2", }', 1007),
    }
    await each_closes(stage, client, cases, client.says, greeted)


@against_server("heartbeats every 0.2 s, acks one to one")
async def heartbeats(stage):
    server = await stage.example_server(*WITH_PASSWORD, "--heartbeat-interval", "0.2")
    client = await stage.client(server, *WITH_PASSWORD)
    await client.hears('{"op":0,"hb_interval":200}')
    await client.never(client.line("closed.*"), 3)
    client.tell("request ECHO [1]")
    await client.see("1 outcome [1]")
    sent, acked = (client.count(client.line(what)) for what in ('> {"op":2}', '< {"op":3}'))
    if not (acked in (sent, sent - 1) and 5 <= sent <= 20):
        raise Failed(f"{sent} heartbeats and {acked} acks in 3 s")


@against_server("requests of the client, with nonces of every type")
async def nonces(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    await enter(client)
    args = '[1.0, 12345678901234567890123,"\\u00e9\\/", {"b" :1,"b":\t2}, []]'
    for nonce in NONCES:
        with stage.case(nonce):
            client.says(request("ECHO", args, nonce))
            await client.hears(response(nonce, args))
    # All at once, most of them open together.
    for nonce in NONCES:
        client.says(request("ECHO", "[]", nonce))
    await client.hears_all(*(response(nonce, "[]") for nonce in NONCES))
    client.says(request("NONSENSE", "[]", 1))
    await client.hears(response(1, '{"error":"unknown request"}'))
    client.tell('request ECHO ["é"]')
    await client.see(client.line(r'< \{"op":5,"n":1,"r":\["(é|\\u00e9)"\]\}'))


@against_server("requests of the server")
async def requests_of_server(stage):
    server = await stage.example_server(*WITH_PASSWORD, "--request-timeout", "1")
    client = await stage.client(server, "--manual")
    await enter(client)

    async def asked(nonce, args='["ECHO",1.0,{"b" :1}]', passed='[1.0,{"b" :1}]'):
        client.says(request("ASK", args, f'"ask {nonce}"'))
        await client.see(re.compile(rf'1 < \{{"op":4,"w":"ECHO","a":(.*),"n":{nonce}\}}'))
        await client.hears_nothing(0.1)

    async def outcome(nonce, outcome):
        await client.hears(response(f'"ask {nonce}"', outcome))

    async def answered(nonce, said, result):
        await asked(nonce)
        client.says(said)
        await outcome(nonce, f'{{"outcome":"response","r":{result}}}')

    with stage.case("an answer"):
        await answered(2, response(2, '[1.0,{"b" :1}]'), '[1.0,{"b" :1}]')
    with stage.case("r first, as deployed"):
        await answered(3, '{"r":null,"op":5,"n":3}', "null")
    with stage.case("a nonce that went through a float"):
        await answered(4, response("4.0", "12345678901234567890123"), "12345678901234567890123")
    with stage.case("no answer: timed out; then a late one"):
        await asked(5)
        await outcome(5, '{"outcome":"timed_out"}')
        client.says(response(5, "1"))
    with stage.case("nonces that are others"):
        await asked(6)
        for nonce in ('"6"', "[6]", "null", "7", "-6", "6.5", "106", "12345678901234567890123"):
            client.says(response(nonce, '"wrong"'))
        client.says(response(6, '"right"'))
        client.says(response(6, '"twice"'))
        await outcome(6, '{"outcome":"response","r":"right"}')
    await alive(client)
    # And by an end that speaks for itself.
    other = await stage.client(server, *WITH_PASSWORD)
    await other.hears(VERSION)
    for number in range(200):
        other.tell(f'request ASK ["ECHO",{number}]')
    for number in range(200):
        await other.see(re.compile(rf'1 outcome .*"r": ?\[{number}\]\}}'))
    other.tell('request ASK ["VERSION"]')
    await other.see(re.compile(r'1 outcome .*"r": ?\{"name": ?"litecord.*'))


@against_server("before HELLO_ACK: 4002")
async def before_hello_ack(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    cases = {
        "heartbeat": (HEARTBEAT, 4002),
        "request": (request("ECHO", "[]", 1), 4002),
        "response": (response(1, "[]"), 4002),
        "dispatch": (dispatch("SUBSCRIBE", "[1,2]"), 4002),
        "malformed all the same": ("{", 1007),
        "the server's": (HELLO, 1008),
    }
    await each_closes(stage, client, cases, client.says, greeted)
    await again(client)
    await client.hears(HELLO)
    client.says('{"op":7}')
    client.says(hello_ack())
    await client.hears(VERSION)


@against_server("no HELLO_ACK: 4002; no decision: 4001")
async def handshake_timeouts(stage):
    slow = await stage.example_server(*WITH_PASSWORD, "--handshake-timeout", "0.5")
    client = await stage.client(slow, "--manual")
    await client.hears(HELLO)
    start = time.monotonic()
    await client.closed(4002, within=4)
    if time.monotonic() - start < 0.4:
        raise Failed("too soon")
    # It decides after 0.3 s. Where we take longer than that for a HelloAck, we try again.
    undecided = await stage.example_server("--handshake-timeout", "0.25")
    for _ in range(5):
        client = await stage.client(undecided, "--password", "helloworld")
        closed = await client.see(client.line(r"closed (\d+).*"))
        if closed[1] != "4002":
            break
    if closed[1] != "4001":
        raise Failed(f"undecided, but closed with {closed[1]}")


@against_server("no heartbeat: 4003")
async def no_heartbeat(stage):
    short = "--heartbeat-interval", "0.3", "--heartbeat-grace", "0.2"
    server = await stage.example_server(*WITH_PASSWORD, *short)
    hello = '{"op":0,"hb_interval":300}'
    with stage.case("never one"):
        client = await stage.client(server, "--manual")
        await client.hears(hello)
        start = time.monotonic()
        client.says(hello_ack())
        await client.hears(VERSION)
        await client.closed(4003, within=4)
        if time.monotonic() - start < 0.4:
            raise Failed("too soon")
    with stage.case("no more"):
        await again(client)
        await client.hears(hello)
        client.says(hello_ack())
        client.says(HEARTBEAT)
        await client.hears(HEARTBEAT_ACK)
        # Other messages don't count.
        client.says(request("ECHO", "[]", 1))
        await client.closed(4003, within=4)
    with stage.case("in the grace"):
        patient = "--heartbeat-interval", "0.3", "--heartbeat-grace", "1"
        slow = await stage.client(await stage.example_server(*WITH_PASSWORD, *patient), "--manual")
        await slow.hears(hello)
        slow.says(hello_ack())
        for _ in range(3):
            await slow.never(slow.line("closed.*"), 0.7)
            await alive(slow)
    with stage.case("nor a HelloAck"):
        await again(client)
        await client.hears(hello)
        await client.closed(4003, within=4)


@against_server("malformed messages: 1007, 1008")
async def malformed(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    cases = MALFORMED | {
        "a second HelloAck": (hello_ack(), 1008),
        "a second HelloAck, wrong": (hello_ack("wrong"), 1008),
        "Hello": (HELLO, 1008),
        "HeartbeatAck": (HEARTBEAT_ACK, 1008),
    }
    await each_closes(stage, client, cases, client.says, enter)


@against_server("binary: 1003, not UTF-8: 1007, oversized: 1009")
async def other_messages(stage):
    server = await stage.example_server(*WITH_PASSWORD, "--max-message", "1000")
    client = await stage.client(server, "--manual")

    def raw(parts):
        client.fragments(*parts)

    def echo(length):
        empty = request("ECHO", '[""]', 1)
        return request("ECHO", '["' + "x" * (length - len(empty)) + '"]', 1)

    with stage.case("1000 bytes"):
        await enter(client)
        client.says(echo(1000))
        await client.see(re.compile(r'1 < \{"op":5,"n":1,"r":\["x+"\]\}'))
    binary = {
        "binary": (HEARTBEAT.encode(), 1003),
        "empty binary": (b"", 1003),
        "zlib": (deflate(HEARTBEAT), 1003),
    }
    await each_closes(stage, client, binary, client.binary, enter)
    cases = with_code(1007, not_utf8(HEARTBEAT)) | with_code(1009, too_long(echo(1001)))
    await each_closes(stage, client, cases, raw, enter)


@against_server("a whole MiB, and no more")
async def a_mebibyte(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    empty = len(request("ECHO", '[""]', 1))
    text = "x" * ((1 << 20) - empty)
    await enter(client)
    client.says(request("ECHO", f'["{text}"]', 1))
    await client.hears(response(1, f'["{text}"]'))
    # In fragments, and as few characters of many bytes.
    message = request("ECHO", '["' + "é" * (len(text) // 2) + '"]', 1).encode()
    client.fragments(*(message[at : at + 99_999] for at in range(0, len(message), 99_999)))
    await client.hears(response(1, '["' + "é" * (len(text) // 2) + '"]'))
    await alive(client)
    client.says(request("ECHO", f'["{text}x"]', 1))
    await client.closed(1009)


@against_server("requests: a duplicate, too many, unanswered")
async def too_many_requests(stage):
    server = await stage.example_server(*WITH_PASSWORD, "--request-timeout", "30")
    client = await stage.client(server, "--manual")
    with stage.case("unanswered"):
        await enter(client)
        client.says(request("SILENCE", "[]", 1))
        client.says(request("ECHO", "[]", '"1"'))
        await client.hears(response('"1"', "[]"))
        await client.hears_nothing()
    with stage.case("a duplicate"):
        client.says(request("ECHO", "[]", 1))
        await client.closed(1008)
    with stage.case("1024 open"):
        await again(client)
        await enter(client)
        for nonce in range(1024):
            client.says(request("SILENCE", "[]", nonce))
        await alive(client)
        client.says(request("SILENCE", "[]", 1024))
        await client.closed(1008)


@against_server("2 MB of requests at once")
async def burst(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    for many, length in MANY:
        text = "x" * length
        with stage.case(f"{many} of {length} bytes"):
            if many != MANY[0][0]:
                await again(client)
            await enter(client)
            for nonce in range(many):
                client.says(request("ECHO", f'["{text}"]', nonce))
            # In order, or one of these isn't seen.
            for nonce in range(many):
                await client.hears(response(nonce, f'["{text}"]'))
            await alive(client)


@against_server("the application closes")
async def close_by_application(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    await enter(client)
    client.says(request("CLOSE", '[4000,"bye, é"]', 1))
    await client.closed(4000, "bye, é")
    for code in (1000, 1001, 3000, 4003, 4999):
        with stage.case(str(code)):
            await again(client)
            await enter(client)
            client.says(request("CLOSE", f'[{code},""]', 1))
            await client.closed(code)


@against_server("SIGTERM and SIGINT: 1001")
async def shutdown(stage):
    for end in (signal.SIGTERM, signal.SIGINT):
        with stage.case(end.name):
            server = await stage.example_server(*WITH_PASSWORD)
            authenticated = await stage.client(server, "--manual")
            greeted = await stage.client(server, "--manual")
            await enter(authenticated)
            await greeted.hears(HELLO)
            server.process.send_signal(end)
            await authenticated.closed(1001)
            await greeted.closed(1001)
            if (status := await server.exit()) != 0:
                raise Failed(f"exit status {status}")


async def keep(client):
    while True:
        await alive(client)
        await asyncio.sleep(1)


@against_server("clients that don't read")
async def paused(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    steady = await stage.client(server, "--manual")
    await enter(steady)
    client = await stage.client(server, "--manual")
    await enter(client)
    client.tell("pause")
    text, many = "x" * 200_000, 60
    for nonce in range(many):
        client.says(request("ECHO", f'["{text}"]', nonce))
    for _ in range(5):
        await alive(steady)
        await steady.hears_nothing(0.1)
    client.tell("resume")
    # These clients send no heartbeats by themselves, and this takes a while.
    keeping = asyncio.create_task(keep(steady))
    # What it gets of the answers is in order. It may be turned out meanwhile.
    for nonce in range(many):
        await client.see(client.line("(<|closed).*"))
        client.at -= 1
        if client.lines[client.at].startswith("1 closed"):
            await client.closed("(1006|1008|4003)")
            break
        await client.hears(response(nonce, f'["{text}"]'))
    else:
        await alive(client)
    keeping.cancel()
    with stage.case("SIGTERM"):
        client = await stage.client(server, "--manual")
        await enter(client)
        client.tell("pause")
        client.tell("ping")
        server.process.terminate()
        await steady.closed(1001)
        if (status := await server.exit()) != 0:
            raise Failed(f"exit status {status}")


@against_server("texts in fragments, also within a character")
async def fragments(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    await enter(client)
    message = request("ECHO", '["é€😀"]', '"ñ"')
    for name, parts in pieces(message).items():
        with stage.case(name):
            client.fragments(*parts)
            await client.hears(response('"ñ"', '["é€😀"]'))


@against_server("keys in any order, spaces, unknown keys and ops")
async def leniency(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    await enter(client)
    nonce, acks = 0, 0
    for text in (
        '{"n":%,"a":[1],"w":"ECHO","op":4}',
        ' \t{ "w" : "ECHO" , "op" : 4 ,\t"n" : % , "a" : [1] }  ',
        '{"op":4,"w":"ECHO","a":[1],"n":%,"s":null,"x":{"op":9,"n":[]},"":0}',
        '{"\\u006fp":4,"w":"EC\\u0048O","\\u0061":[1],"n":%}',
        '{"op":4,"s":1,"s":2,"w":"ECHO","a":[1],"n":%}',
        '{"op":4,"w":"ECHO","a":[1],"n":%,"password":1,"hb_interval":"x","r":0}',
        '{"op":4,"w":"ECHO","a":[1],"n":%,"x":' + '{"x":' * 126 + "[]" + "}" * 126 + "}",
    ):
        nonce += 1
        with stage.case(text):
            client.says(text.replace("%", str(nonce)))
            await client.hears(response(nonce, "[1]"))
    for text in ('{"op":2,"s":null}', '{"s":12,"op":2}', ' {"op": 2} '):
        with stage.case(text):
            client.says(text)
            await client.hears(HEARTBEAT_ACK)
    for text in ('{"op":7}', '{"op":255,"w":1,"a":{},"n":[]}', '{"op": 100, "op2": null}'):
        with stage.case(text):
            client.says(text)
            await alive(client)
    # Arguments may be anything (deployed peers send objects), and the application's business.
    for args in ("{}", '{"guild":1}', "null", "1", '["x"]', "[]", "[1,2,3]"):
        with stage.case(args):
            client.says(dispatch("SUBSCRIBE", args))
            client.says(dispatch("NONSENSE", args))
            client.says(request("GUILD_SUBSCRIBERS", args, '"?"'))
            await client.see(client.line(r'< \{"op":5,"n":"\?","r":.*\}'))
            await alive(client)
    client.says(request("ECHO", '{"a" :1}', '"!"'))
    await client.hears(response('"!"', '{"a" :1}'))


@against_server("held back until the decision")
async def held_back(stage):
    server = await stage.example_server()
    client = await stage.client(server, "--manual")
    with stage.case("accepted"):
        await client.hears(HELLO)
        start = time.monotonic()
        client.says(hello_ack("helloworld"))
        for text in (HEARTBEAT, request("ECHO", "[1]", 1), HEARTBEAT, request("ECHO", "[2]", 2)):
            client.says(text)
        await client.see(client.line("<.*"))
        if time.monotonic() - start < 0.25:
            raise Failed("an answer before the decision")
        client.at -= 1
        at = client.at
        await client.hears(HEARTBEAT_ACK)
        await client.hears(HEARTBEAT_ACK)
        client.at = at
        await client.hears(response(1, "[1]"))
        await client.hears(response(2, "[2]"))
        client.at = at
        await client.hears(VERSION)
        await alive(client)
    with stage.case("rejected"):
        await again(client)
        await client.hears(HELLO)
        client.says(hello_ack("hunter2"))
        client.says(HEARTBEAT)
        client.says(request("ECHO", "[1]", 1))
        await client.closed(4001)
        if client.count(client.line("<.*")) != 1:
            raise Failed("the server said more than Hello")
    too_much = {
        "65 messages": [HEARTBEAT] * 65,
        "64 KiB": [request("ECHO", '["' + "x" * 65_536 + '"]', 1)],
        "64 KiB in some": [request("ECHO", '["' + "x" * 10_000 + '"]', 1)] * 7,
    }
    for name, texts in too_much.items():
        with stage.case(name):
            await again(client)
            await client.hears(HELLO)
            client.says(hello_ack("helloworld"))
            for text in texts:
                client.says(text)
            await client.closed(4002)
    with stage.case("64 messages"):
        await again(client)
        await client.hears(HELLO)
        client.says(hello_ack("helloworld"))
        for nonce in range(64):
            client.says(request("ECHO", "[]", nonce))
        await client.hears_all(*(response(nonce, "[]") for nonce in range(64)))
    with stage.case("something bad among them"):
        await again(client)
        await client.hears(HELLO)
        for text in (hello_ack("helloworld"), HEARTBEAT, hello_ack("helloworld"), HEARTBEAT):
            client.says(text)
        await client.closed(1008)
    with stage.case("no heartbeat is due meanwhile"):
        short = "--heartbeat-interval", "0.1", "--heartbeat-grace", "0.15"
        hasty = await stage.client(await stage.example_server(*short), "--manual")
        # Where we take longer for the HelloAck than the server waits, we try again.
        for _ in range(5):
            hasty.says(hello_ack("helloworld"))
            end = await hasty.see(hasty.line(r"(?!< ..op.:0).*(VERSION|closed 4003).*"))
            if "VERSION" in end[0]:
                break
            await again(hasty)
        else:
            raise Failed(end[0])
        await hasty.closed(4003)
    with stage.case("gone meanwhile"):
        await again(client)
        await client.hears(HELLO)
        client.says(hello_ack("helloworld"))
        client.tell("drop")
        await client.closed(1006)
        await again(client)
        await client.hears(HELLO)
        client.says(hello_ack("helloworld"))
        await alive(client)


@against_server("zlib")
async def compressed(stage):
    server = await stage.example_server(*WITH_PASSWORD, "--zlib", "--heartbeat-interval", "0.2")
    with stage.case("by itself"):
        client = await stage.client(server, *WITH_PASSWORD, "--zlib")
        await client.hears('{"op":0,"hb_interval":200}', "<z")
        await client.never(client.line("closed.*"), 1)
        client.tell('request ECHO [1,{"a":"b"}]')
        await client.see(re.compile(r'1 outcome \[1, ?\{"a": ?"b"\}\]'))
        if client.count(client.line("< .*")) or client.count(client.line(r"> .*")):
            raise Failed("something wasn't compressed")
        if client.count(client.line(r'<z \{"op":3\}')) < 3:
            raise Failed("not enough acks")
    server = await stage.example_server(*WITH_PASSWORD, "--zlib")
    with stage.case("plain text is understood"):
        client = await stage.client(server, "--manual", "--zlib")
        await enter(client, "<z")
        client.says(request("ECHO", "[1]", 1))
        await client.hears(response(1, "[1]"), "<z")
        client.tell("zlib " + request("ECHO", '["é"]', 1.0))
        await client.hears(response("1.0", '["é"]'), "<z")
    for name, options in ZLIB.items():
        with stage.case(name):
            client.binary(deflate(request("ECHO", '["é"]', 1), **options))
            await client.hears(response(1, '["é"]'), "<z")
    with stage.case("1 MiB"):
        text = "x" * ((1 << 20) - len(request("ECHO", '[""]', 1)))
        client.tell("zlib " + request("ECHO", f'["{text}"]', 1))
        await client.hears(response(1, f'["{text}"]'), "<z")
        await alive(client, "<z")
    for name, (stream, code) in NOT_ZLIB.items():
        with stage.case(name):
            await again(client)
            await enter(client, "<z")
            client.binary(stream)
            await client.closed(code, within=5)


@against_server("directions as documented")
async def as_documented(stage):
    options = *WITH_PASSWORD, "--directions", "as-documented"
    server = await stage.example_server(*options, "--request-timeout", "1")
    client = await stage.client(server, "--manual")
    other = await stage.client(server, "--manual")
    for one in (client, other):
        await one.hears(HELLO)
        one.says(hello_ack())
        await alive(one)
    other.says(dispatch("SUBSCRIBE", "[1,2]"))
    await alive(other)
    client.says(request("GUILD_SUBSCRIBERS", "[1]", 1))
    await client.hears(response(1, "[2]"))
    client.says(request("ASK", '["ECHO",1]', 2))
    await client.see(client.line(r'< \{"op":5,"n":2,"r":.*'))
    if client.count(client.line(r'< \{"op":[46].*')):
        raise Failed("the server sent a request or a dispatch")
    client.says(response(1, "null"))
    await client.closed(1008)


@against_server("pings of the WebSocket")
async def pings(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    await client.hears(HELLO)
    client.tell("ping before the password")
    await client.see("1 pong before the password")
    client.says(hello_ack())
    await client.hears(VERSION)
    for data in ("1", "x" * 125):
        client.tell(f"ping {data}")
        await client.see(f"1 pong {data}")
    await alive(client)


@against_server("clients that vanish")
async def vanishing(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    client = await stage.client(server, "--manual")
    steady = await stage.client(server, "--manual")
    await enter(steady)
    for _ in range(3):
        client.tell("drop")
        await client.closed(1006)
        await again(client)
        await enter(client)
        client.says(request("SILENCE", "[]", 1))
        client.tell("drop")
        await client.closed(1006)
        await again(client)
        await enter(client)
        client.tell("close")
        await client.closed(1005)
        await again(client)
    await alive(steady)


@against_server("subscribers, Python and Node together", languages=["python"])
async def subscribers(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    clients = [await stage.client(server, *WITH_PASSWORD, language=one) for one in LANGUAGES]
    for client in clients:
        await client.hears(VERSION)
        await client.hears(HEARTBEAT_ACK)

    async def say(speaker, other, what, user, count):
        speaker.tell(f"dispatch {what} [42,{user}]")
        await other.hears(dispatch("SUBSCRIBERS_CHANGED", f"[42,{count}]"))

    async def are(client, users):
        client.tell("request GUILD_SUBSCRIBERS [42]")
        await client.see("1 outcome " + json.dumps(users, separators=client.separators))

    clients[0].separators, clients[1].separators = (", ", ": "), (",", ":")
    for speaker, other in (clients, clients[::-1]):
        await are(speaker, [])
        for user in range(300):
            speaker.tell(f"dispatch SUBSCRIBE [1,{user}]")
        for user in range(300):
            await other.hears(dispatch("SUBSCRIBERS_CHANGED", f"[1,{user + 1}]"))
        for user in range(300):
            speaker.tell(f"dispatch UNSUBSCRIBE [1,{user}]")
        for user in range(300):
            await other.hears(dispatch("SUBSCRIBERS_CHANGED", f"[1,{299 - user}]"))
        await say(speaker, other, "SUBSCRIBE", 7, 1)
        await say(speaker, other, "SUBSCRIBE", 5, 2)
        await say(other, speaker, "SUBSCRIBE", 3, 3)
        await are(other, [3, 5, 7])
        await are(speaker, [3, 5, 7])
        # No change, no word of it.
        speaker.tell("dispatch SUBSCRIBE [42,7]")
        speaker.tell("dispatch UNSUBSCRIBE [42,8]")
        await are(speaker, [3, 5, 7])
        await other.never(other.line("<.*SUBSCRIBERS_CHANGED.*"), 0.3)
        for user, left in ((7, 2), (5, 1), (3, 0)):
            await say(speaker, other, "UNSUBSCRIBE", user, left)
        await are(speaker, [])


def frame(opcode, payload, fin=1, reserved=0, masked=1):
    """A frame of a client, short."""
    head = bytes([fin << 7 | reserved << 4 | opcode, masked << 7 | len(payload)])
    # A mask of zeros changes nothing.
    return head + b"\0\0\0\0" * masked + payload


@against_server("what is no WebSocket", languages=["bare"])
async def no_websocket(stage):
    server = await stage.example_server(*WITH_PASSWORD)
    host, port = server.address.split(":")
    upgrade = (
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()

    async def answer(sent, upgraded=True, within=5):
        """All that the server says until it closes."""
        reader, writer = await asyncio.open_connection(host, port)
        try:
            async with asyncio.timeout(within):
                if upgraded:
                    writer.write(upgrade)
                    await reader.readuntil(b"\r\n\r\n")
                writer.write(sent)
                return await reader.read()
        except ConnectionError:
            return b""
        except TimeoutError:
            raise Failed("it isn't closed") from None
        finally:
            writer.close()

    async def closes(name, sent, code=1002):
        with stage.case(name):
            said = await answer(sent)
            hello, close = HELLO.encode(), b"\x88.%c%c.*" % divmod(code, 256)
            if not re.fullmatch(rb"(\x81.%b)?" % re.escape(hello) + close, said, re.DOTALL):
                raise Failed(f"the server says {said}")

    async def refuses(name, sent, within=5):
        with stage.case(name):
            said = await answer(sent, False, within)
            if said and not re.match(rb"HTTP/1.1 4\d\d ", said):
                raise Failed(f"the server says {said}")

    heartbeat = HEARTBEAT.encode()
    await asyncio.gather(
        closes("not masked", frame(1, heartbeat, masked=0)),
        closes("a reserved bit", frame(1, heartbeat, reserved=4)),
        closes("an unknown opcode", frame(3, b"")),
        closes("an unknown control", frame(11, b"")),
        closes("a ping in pieces", frame(9, b"", fin=0)),
        closes("a ping of 126 bytes", b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126)),
        closes("a continuation of nothing", frame(0, b"x")),
        closes("a text within a text", frame(1, b"{", fin=0) + frame(1, b"}")),
        closes("a close of one byte", frame(8, b"x")),
        closes("a close with 1005", frame(8, b"\x03\xed")),
        closes("a close with 999", frame(8, b"\x03\xe7")),
        closes("2^64 - 1 bytes", b"\x81\xff" + b"\xff" * 8 + bytes(4), 1009),
        closes("2^62 bytes", b"\x81\xff\x40" + bytes(7 + 4), 1009),
        refuses("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        refuses("half a request", upgrade[:100], within=15),
        refuses("nothing", b"", within=15),
        refuses("zeros", bytes(1000), within=15),
        refuses("a long path", b"GET /" + b"x" * 1_000_000, within=15),
    )
    client = await stage.client(server, "--manual", language="python")
    await enter(client)
