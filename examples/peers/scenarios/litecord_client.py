"""What servers in Python and Node see of litecord-client."""

import re
import signal
import time

from harness import Failed, compact
from scenarios import common
from scenarios.common import (
    ERROR, GIVING_UP, RECONNECTING, failed, left, not_utf8, pieces, too_long, with_code,
)
from scenarios.litecord import (
    HEARTBEAT, HEARTBEAT_ACK, MALFORMED, MANY, NONCES, NOT_ZLIB, ZLIB, against_client, deflate,
    request, response,
)

PASSWORD = "hunter2"
WITH_PASSWORD = "--password", PASSWORD
HELLO, HELLO_ACK = '{"op":0,"hb_interval":10000}', compact({"op": 1, "password": PASSWORD})
VERSION = '{"name":"litecord-client","version":"0.1.0"}'
ACKNOWLEDGED = re.compile(r"heartbeat_ack \d+\.\d+ms")


def hello(interval):
    return f'{{"op":0,"hb_interval":{interval}}}'


async def enter(server, client, greeting=HELLO, kind="<"):
    """Through the handshake to the first ack, on the newest connection."""
    server.says(greeting)
    await server.hears(HELLO_ACK, kind)
    await server.hears(HEARTBEAT, kind)
    server.says(HEARTBEAT_ACK)
    await client.see("authenticated")
    await client.see(ACKNOWLEDGED)


async def alive(server, client, kind="<"):
    """Whatever was said before has done no harm."""
    server.says(request("VERSION", "[]", '"alive?"'))
    await client.see("request VERSION []")
    await server.hears(response('"alive?"', VERSION), kind)


async def fresh(stage, server, *options):
    """Another litecord-client, which connects once."""
    return await common.fresh(stage, server, *WITH_PASSWORD, "--once", *options)


async def table(stage, server, cases, say, *options, entered=True, kind="<"):
    """Each with a client of its own, which closes, and fails."""

    async def start():
        client = await fresh(stage, server, *options)
        if entered:
            await enter(server, client, kind=kind)
        return client

    await common.each_fails(stage, server, cases, say, start)


@against_client("handshake")
async def handshake(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await server.hears_nothing()
    server.says(HELLO)
    await server.hears(HELLO_ACK)
    await server.hears(HEARTBEAT)
    await client.see("connected heartbeat_interval=10s")
    await client.never(re.compile("authenticated"), 0.3)
    server.says(HEARTBEAT_ACK)
    await client.see("authenticated")
    await client.see(ACKNOWLEDGED)
    await server.hears_nothing()
    client.tell("quit")
    await server.closed(1000)
    await left(client)
    # A response proves it as well.
    client = await fresh(stage, server)
    server.says(HELLO)
    await server.hears(HEARTBEAT)
    server.says(response(1, "2"))
    await client.see("authenticated")
    await client.see("stray_response 1 2")


@against_client("wrong password: 4001, and no reconnection")
async def wrong_password(stage):
    server = await stage.server(*WITH_PASSWORD)
    wrong = {"empty": "", "a prefix": PASSWORD[:-1], "4096 bytes": "x" * 4096}
    for name, password in wrong.items():
        with stage.case(name):
            client = await stage.example_client(server, "--password", password)
            await client.see(re.compile("ended error .*4001.*"))
            await failed(client, GIVING_UP)
            if client.count(RECONNECTING):
                raise Failed("it was about to connect again")
    with stage.case("any characters"):
        password = 'é"\\\t😀\x7f'
        server = await stage.server("--password", password)
        client = await stage.example_client(server, "--password", password)
        await client.see("authenticated")


@against_client("heartbeats every 0.2 s, acks one to one")
async def heartbeats(stage):
    server = await stage.server(*WITH_PASSWORD, "--heartbeat-interval", "0.2")
    client = await fresh(stage, server)
    await client.see("connected heartbeat_interval=200ms")
    await client.see("authenticated")
    await client.never(re.compile("ended.*"), 3)
    client.tell("request ECHO [1.0]")
    await client.see(re.compile(r"outcome 1 response \[1(\.0)?\]"))
    heard, acked = server.count(re.compile(r'1 < \{"op":2\}')), client.count(ACKNOWLEDGED)
    if not (acked in (heard, heard - 1) and 5 <= heard <= 20):
        raise Failed(f"{heard} heartbeats and {acked} acks in 3 s")
    client.tell("quit")
    await left(client)


@against_client("hb_interval")
async def intervals(stage):
    server = await stage.server("--manual")
    wrong = (
        "0", "1", "99", "-1", "-0", "1.5", "10000.0", "1e4", "9007199254740993", "1" + "0" * 30,
        "null", '"10000"', "[]", "true",
    )
    cases = {text: (hello(text), 1008) for text in wrong}
    cases["missing"] = '{"op":0}', 1008
    cases["twice"] = '{"op":0,"hb_interval":10000,"hb_interval":10000}', 1008
    await table(stage, server, cases, server.says, entered=False)
    await table(
        stage, server, {"101, at least 102": (hello(101), 1008)}, server.says,
        "--min-heartbeat-interval", "0.102", entered=False,
    )
    for interval in (9007199254740992, 500):
        with stage.case(f"{interval} is fine"):
            client = await fresh(stage, server)
            await enter(server, client, hello(interval))


@against_client("not HELLO first: 1008")
async def not_hello_first(stage):
    server = await stage.server("--manual")
    cases = {
        "heartbeat ack": (HEARTBEAT_ACK, 1008),
        "request": (request("VERSION", "[]", 1), 1008),
        "response": (response(1, "1"), 1008),
        "dispatch": ('{"op":6,"w":"x","a":[]}', 1008),
        "an unknown op": ('{"op":7}', 1008),
        "the client's": (HELLO_ACK, 1008),
        "no JSON": ("hello", 1007),
    }
    await table(stage, server, cases, server.says, entered=False)


@against_client("no HELLO for 10 s")
async def no_hello(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    start = time.monotonic()
    await server.closed(1008, within=20)
    if time.monotonic() - start < 9:
        raise Failed("too soon")
    await failed(client)


@against_client("no HEARTBEAT_ACK: 4003; twice is fine")
async def no_ack(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    with stage.case("twice"):
        await enter(server, client, hello(500))
        for _ in range(3):
            server.says(HEARTBEAT_ACK)
        await alive(server, client)
    with stage.case("no more"):
        start = time.monotonic()
        await server.hears(HEARTBEAT)
        await server.closed(4003, within=4)
        if time.monotonic() - start < 0.4:
            raise Failed("too soon")
        await failed(client)
    with stage.case("never"):
        client = await fresh(stage, server)
        server.says(hello(300))
        await server.hears(HEARTBEAT)
        await server.closed(4003, within=4)
        await client.see(ERROR)


@against_client("malformed messages: 1007, 1008")
async def malformed(stage):
    server = await stage.server("--manual")
    cases = MALFORMED | {
        "a second Hello": (HELLO, 1008),
        "HelloAck": (HELLO_ACK, 1008),
        "Heartbeat": (HEARTBEAT, 1008),
    }
    await table(stage, server, cases, server.says)


@against_client("binary: 1003, not UTF-8: 1007, oversized: 1009")
async def other_messages(stage):
    server = await stage.server("--manual")

    def raw(parts):
        server.fragments(*parts)

    def long(length):
        return '{"op":7,"x":"' + "x" * (length - 15) + '"}'

    limit = "--max-message", "1000"
    with stage.case("1000 bytes"):
        client = await fresh(stage, server, *limit)
        await enter(server, client)
        server.says(long(1000))
        await client.see(re.compile("unknown 7 .*"))
        await alive(server, client)
    binary = {"binary": (HEARTBEAT_ACK.encode(), 1003), "zlib": (deflate(HEARTBEAT_ACK), 1003)}
    await table(stage, server, binary, server.binary)
    cases = with_code(1007, not_utf8(HEARTBEAT_ACK)) | with_code(1009, too_long(long(1001)))
    await table(stage, server, cases, raw, *limit)


@against_client("requests of the client")
async def requests(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server, "--request-timeout", "0.5")
    await enter(server, client)
    with stage.case("answered"):
        client.tell('request ECHO [1.0,12345678901234567890123,"é"]')
        await server.hears(request("ECHO", '[1.0,12345678901234567890123,"é"]', 1))
        server.says('{"r":[1.0, {"a" :null}],"op":5,"n":1}')
        await client.see('outcome 1 response [1.0, {"a" :null}]')
    with stage.case("subscribers"):
        client.tell("subscribers 42")
        await server.hears(request("GUILD_SUBSCRIBERS", "[42]", 2))
        server.says(response("2.0", "[7]"))
        await client.see("outcome 2 response [7]")
    with stage.case("dispatched"):
        client.tell('dispatch SUBSCRIBE [42,"x"]')
        await server.hears('{"op":6,"w":"SUBSCRIBE","a":[42,"x"]}')
    with stage.case("in another order"):
        client.tell("request A []")
        client.tell("request B []")
        await server.hears(request("B", "[]", 4))
        server.says(response(4, "4"))
        server.says(response(3, "3"))
        await client.see("outcome 4 response 4")
        await client.see("outcome 3 response 3")
    with stage.case("timed out, then late"):
        client.tell("request SILENCE []")
        await server.hears(request("SILENCE", "[]", 5))
        await client.see("outcome 5 timed_out")
        server.says(response(5, '"late"'))
        await client.see('stray_response 5 "late"')
    with stage.case("stray ones"):
        client.tell("request SILENCE []")
        await server.hears(request("SILENCE", "[]", 6))
        for nonce in ("7", '"6"', "null", "[6]", "-6", "6.5", "12345678901234567890123", "{}"):
            server.says(response(nonce, "0"))
            await client.see(f"stray_response {nonce} 0")
        server.says(response(6, "1"))
        await client.see("outcome 6 response 1")
        server.says(response(6, "2"))
        await client.see("stray_response 6 2")
    with stage.case("closed"):
        client.tell("request SILENCE []")
        await server.hears(request("SILENCE", "[]", 7))
        server.tell("close 1000")
        await client.see("outcome 7 closed")
        await client.see("ended clean")


@against_client("2 MB of requests at once")
async def burst_of_server(stage):
    server = await stage.server("--manual")
    for many, length in MANY:
        with stage.case(f"{many} of {length} bytes"):
            client = await fresh(stage, server)
            await enter(server, client)
            text = "x" * length
            for nonce in range(many):
                server.says(request("ECHO", f'["{text}"]', nonce))
            # In order, or one of these isn't seen.
            for nonce in range(many):
                await server.hears(response(nonce, f'["{text}"]'), within=5)


@against_client("2 MB of commands at once")
async def burst_of_client(stage):
    server = await stage.server("--manual")
    for many, length in MANY:
        with stage.case(f"{many} of {length} bytes"):
            client = await fresh(stage, server)
            await enter(server, client)
            text = "x" * length
            for _ in range(many):
                client.tell(f'request ECHO ["{text}"]')
            for nonce in range(1, many + 1):
                await server.hears(request("ECHO", f'["{text}"]', nonce), within=5)
    server = await stage.server(*WITH_PASSWORD)
    with stage.case("500, and quit"):
        client = await fresh(stage, server)
        for number in range(1, 501):
            client.tell(f"request ECHO [{number}]")
        client.tell("quit")
        for number in range(1, 501):
            await client.see(f"outcome {number} response [{number}]")
        await server.closed(1000)
        await left(client)


@against_client("requests of the server, with nonces of every type")
async def requests_of_server(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client)
    args = '[1.0, 12345678901234567890123,"\\u00e9\\/", {"b" :1,"b": 2 }, []]'
    for nonce in NONCES:
        with stage.case(nonce):
            server.says(request("ECHO", args, nonce))
            await client.see(f"request ECHO {args}")
            await server.hears(response(nonce, args))
    server.says(request("SILENCE", "[]", 1))
    server.says(request("NONSENSE", '{"a" :1}', 2))
    await client.see("request SILENCE []")
    await client.see('request NONSENSE {"a" :1}')
    await server.hears(response(2, '{"error":"unknown request"}'))
    await server.hears_nothing()
    with stage.case("a duplicate"):
        server.says(request("ECHO", "[]", 1))
        await server.closed(1008)
        await client.see(ERROR)
    with stage.case("1025 open"):
        client = await fresh(stage, server, "--request-timeout", "30")
        await enter(server, client)
        for nonce in range(1024):
            server.says(request("SILENCE", "[]", nonce))
        server.tell("ping here")
        await server.see(server.line("pong here"))
        server.says(request("SILENCE", "[]", 1024))
        await server.closed(1008)


@against_client("reconnects after 4003, 1000, loss of TCP, silence")
async def reconnects(stage):
    server = await stage.server("--manual")
    client = await stage.example_client(
        server, *WITH_PASSWORD, "--min-backoff", "0.4", "--max-backoff", "0.9"
    )
    await server.connected()
    endings = {
        "close 4003 no heartbeat": ERROR,
        "close 1000": re.compile("ended clean"),
        "close": re.compile("ended clean"),
        "close 1001 going": re.compile("ended clean"),
        "close 1012 restarting": ERROR,
        "close 4000 bye": ERROR,
        "drop": ERROR,
        "text nonsense": ERROR,
        "text {}": ERROR,
    }
    for command, ended in endings.items():
        with stage.case(command):
            await enter(server, client)
            client.tell("request SILENCE []")
            await server.hears(request("SILENCE", "[]", 1))
            server.tell(command)
            start = time.monotonic()
            await client.see("outcome 1 closed")
            await client.see(ended)
            delay = float((await client.see(RECONNECTING))[1])
            await server.next_connection()
            took = time.monotonic() - start
            if not (0.4 <= delay <= 0.9 and took >= delay - 0.1):
                raise Failed(f"{took:.2f} s for a delay of {delay} s")
    await enter(server, client)
    await alive(server, client)
    with stage.case("and not after 4001"):
        server.tell("close 4001 no")
        await failed(client, GIVING_UP)


@against_client("waits for a second at least, if not told otherwise")
async def default_backoff(stage):
    await common.default_backoff(stage, enter, *WITH_PASSWORD)


@against_client("nobody there: goes on trying")
async def nobody_there(stage):
    await common.nobody_there(stage, enter, *WITH_PASSWORD)


@against_client("texts in fragments, also within a character")
async def fragments(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client)
    message = request("ECHO", '["é€😀"]', '"ñ"')
    for name, parts in pieces(message).items():
        with stage.case(name):
            server.fragments(*parts)
            await client.see('request ECHO ["é€😀"]')
            await server.hears(response('"ñ"', '["é€😀"]'))


@against_client("keys in any order, spaces, unknown keys and ops")
async def leniency(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client, ' { "s": 1, "hb_interval" : 10000 , "op" :\t0 } ')
    for text in (
        '{"n":1,"a":[1],"w":"ECHO","op":4}',
        ' \t{ "w" : "ECHO" , "op" : 4 ,\t"n" : 1 , "a" : [1] }  ',
        '{"op":4,"w":"ECHO","a":[1],"n":1,"s":null,"x":{"op":9,"n":[]},"":0}',
        '{"\\u006fp":4,"w":"EC\\u0048O","\\u0061":[1],"n":1}',
    ):
        with stage.case(text):
            server.says(text)
            await client.see("request ECHO [1]")
            await server.hears(response(1, "[1]"))
    for text in ('{"op":7}', '{"op":255,"w":1,"a":{},"n":[]}', '{"s": null, "op": 100}'):
        with stage.case(text):
            server.says(text)
            await client.see(re.compile(r"unknown \d+ " + re.escape(text)))
    for args in ("{}", '{"guild" :1}', "null", "1", "[]"):
        with stage.case(args):
            server.says(f'{{"op":6,"w":"X","a":{args}}}')
            await client.see(f"dispatch X {args}")
    server.says('{"s":1,"op":3}')
    await alive(server, client)


@against_client("a whole MiB")
async def a_mebibyte(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client)
    text = "x" * ((1 << 20) - len(request("ECHO", '[""]', 1)))
    client.tell(f'request ECHO ["{text}"]')
    await server.hears(request("ECHO", f'["{text}"]', 1))
    server.says(response(1, f'["{text}"]'))
    await client.see(f'outcome 1 response ["{text}"]')
    server.says(request("ECHO", f'["{text}"]', 1))
    await server.hears(response(1, f'["{text}"]'))
    await alive(server, client)


@against_client("zlib")
async def compressed(stage):
    with stage.case("by itself"):
        server = await stage.server(*WITH_PASSWORD, "--zlib", "--heartbeat-interval", "0.2")
        client = await fresh(stage, server, "--zlib")
        await client.see("authenticated")
        await client.never(re.compile("ended.*"), 1)
        client.tell('request ECHO [1,{"a":"é"}]')
        await client.see(re.compile(r'outcome 1 response \[1,\{"a":"(é|\\u00e9)"\}\]'))
        server.tell("request VERSION []")
        await server.see(re.compile(r'1 outcome \{"name": ?"litecord-client", ?"version.*'))
        if server.count(server.line("[<>] .*")) or client.count(ACKNOWLEDGED) < 3:
            raise Failed("something wasn't compressed, or not enough acks")
    server = await stage.server("--manual", "--zlib")
    with stage.case("plain text is understood"):
        client = await fresh(stage, server, "--zlib")
        await enter(server, client, kind="<z")
        server.tell("zlib " + request("ECHO", '["é"]', "1.0"))
        await server.hears(response("1.0", '["é"]'), "<z")
    for name, options in ZLIB.items():
        with stage.case(name):
            server.binary(deflate(request("ECHO", '["é"]', 1), **options))
            await server.hears(response(1, '["é"]'), "<z")
    with stage.case("1 MiB"):
        text = "x" * ((1 << 20) - len(request("ECHO", '[""]', 1)))
        server.tell("zlib " + request("ECHO", f'["{text}"]', 1))
        await server.hears(response(1, f'["{text}"]'), "<z")
    cases = NOT_ZLIB
    await table(stage, server, cases, server.binary, "--zlib", kind="<z")


@against_client("directions as documented")
async def as_documented(stage):
    server = await stage.server("--manual")
    documented = "--directions", "as-documented"
    cases = {
        "a request": (request("VERSION", "[]", 1), 1008),
        "a dispatch": ('{"op":6,"w":"X","a":[]}', 1008),
    }
    await table(stage, server, cases, server.says, *documented)
    client = await fresh(stage, server, *documented)
    await enter(server, client)
    client.tell("dispatch X []")
    client.tell("request X []")
    await server.hears_all('{"op":6,"w":"X","a":[]}', request("X", "[]", 1))
    server.says(response(1, "1"))
    await client.see("outcome 1 response 1")


@against_client("pings of the WebSocket")
async def pings(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    server.tell("ping before Hello")
    await server.see("1 pong before Hello")
    await enter(server, client)
    for data in ("1", "x" * 125):
        server.tell(f"ping {data}")
        await server.see(f"1 pong {data}")
    await alive(server, client)


@against_client("the client closes")
async def client_closes(stage):
    server = await stage.server("--manual")
    for command, code, reason in (
        ("close", 1000, ""), ("close 1001", 1001, ""), ("close 4000 bye, é", 4000, "bye, é"),
        ("quit", 1000, ""),
    ):
        with stage.case(command):
            client = await fresh(stage, server)
            await enter(server, client)
            client.tell(command)
            await server.closed(code, reason)
            await left(client)
    with stage.case("quit while a request is open"):
        client = await fresh(stage, server, "--request-timeout", "0.5")
        await enter(server, client)
        client.tell("request SILENCE []")
        client.tell("quit")
        await server.hears(request("SILENCE", "[]", 1))
        await client.see("outcome 1 timed_out")
        await server.closed(1000)
        await left(client)
    with stage.case("the end of its stdin"):
        client = await fresh(stage, server)
        client.tell("request X []")
        client.process.stdin.close()
        await enter(server, client)
        await server.hears(request("X", "[]", 1))
        server.says(response(1, "[]"))
        await client.see("outcome 1 response []")
        await server.closed(1000)
        await left(client)
    with stage.case("SIGINT"):
        client = await fresh(stage, server)
        await enter(server, client)
        client.process.send_signal(signal.SIGINT)
        await server.closed(1001)
        await left(client)
