"""What servers in Python and Node see of emagine-client."""

import re
import signal
import time

from harness import Failed
from scenarios import common
from scenarios.common import (
    ERROR, GIVING_UP, RECONNECTING, failed, left, not_utf8, pieces, too_long, with_code,
)
from scenarios.emagine import (
    HEARTBEAT, HEARTBEAT_ACK, MALFORMED, SPELLINGS, TIMES, UNKNOWN, against_client, alive,
    heartbeat, heartbeat_ack, hello, identify, long, message, ready,
)

TOKEN = "hunter2"
WITH_TOKEN = "--token", TOKEN
HELLO, IDENTIFY, READY = hello(45000), identify(TOKEN), ready("ada")
ACKNOWLEDGED = re.compile(r"heartbeat_ack \d+\.\d+ms")
# What E1 leaves to be told apart.
MESSAGES = {"op 3": message("[1.0, {}]"), "op 2": '{"op":2,"message":[1.0, {}]}'}
READIES = {"op 2": READY, "op 1": '{"op":1,"user":"ada"}'}


async def enter(server, client, greeting=HELLO, ready=READY):
    """Through the handshake, on the newest connection."""
    server.says(greeting)
    await server.hears(IDENTIFY)
    server.says(ready)
    await client.see("ready ada")


async def fresh(stage, server, *options):
    """Another emagine-client, which connects once."""
    return await common.fresh(stage, server, *WITH_TOKEN, "--once", *options)


async def table(stage, server, cases, say, *options, entered=True):
    """Each with a client of its own, which closes, and fails."""

    async def start():
        client = await fresh(stage, server, *options)
        if entered:
            await enter(server, client)
        return client

    await common.each_fails(stage, server, cases, say, start)


@against_client("handshake, in the spellings that there are")
async def handshake(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await server.hears_nothing()
    server.says(HELLO)
    await server.hears(IDENTIFY)
    await client.see("connected heartbeat_interval=45s")
    await client.never(re.compile("ready.*"), 0.3)
    server.says(READY)
    await client.see("ready ada")
    await server.hears_nothing()
    client.tell("quit")
    await server.closed(1000)
    await left(client)
    for name, text in READIES.items():
        with stage.case(f"Ready as {name}"):
            client = await fresh(stage, server)
            await enter(server, client, ready=text)
            for spelling, said in MESSAGES.items():
                with stage.case(f"Message as {spelling}"):
                    server.says(said)
                    await client.see("message [1.0, {}]")
    with stage.case("op 2 with both is a Message"):
        server.says('{"op":2,"user":"ada","message":null}')
        await client.see("message null")
    cases = with_code(4001, {
        "op 1 without user": '{"op":1}',
        "op 1 without user, but a message": '{"op":1,"message":1}',
        "op 1 of a client": IDENTIFY,
        "op 2 without either": '{"op":2}',
        "user null": '{"op":2,"user":null}',
        "user half a character": '{"op":2,"user":"\\ud800"}',
    })

    def say(text):
        server.says(HELLO)
        server.says(text)

    await table(stage, server, cases, say, entered=False)


@against_client("wrong token: 4003, and no reconnection")
async def wrong_token(stage):
    server = await stage.server(*WITH_TOKEN)
    wrong = {"empty": "", "a prefix": TOKEN[:-1], "4096 bytes": "x" * 4096}
    for name, token in wrong.items():
        with stage.case(name):
            client = await stage.example_client(server, "--token", token)
            await client.see(re.compile("ended error .*4003.*"))
            await failed(client, GIVING_UP)
            if client.count(RECONNECTING):
                raise Failed("it was about to connect again")
    with stage.case("any characters"):
        token = 'é"\\\t😀\x7f'
        server = await stage.server("--token", token, "--user", 'é"\\😀')
        client = await stage.example_client(server, "--token", token)
        await client.see('ready é"\\😀')


@against_client("heartbeats both ways every 0.2 s, acks one to one")
async def heartbeats(stage):
    server = await stage.server(*WITH_TOKEN, "--heartbeat-interval", "0.2")
    client = await fresh(stage, server)
    await client.see("connected heartbeat_interval=200ms")
    await client.never(re.compile("ended.*"), 3)
    server.tell('message ["é"]')
    await client.see('message ["é"]')
    beats = server.count(re.compile(r'1 < \{"op":10,"time":\d+\}'))
    if not (client.count(ACKNOWLEDGED) in (beats, beats - 1) and 5 <= beats <= 20):
        raise Failed(f"{beats} heartbeats and {client.count(ACKNOWLEDGED)} acks in 3 s")
    beats = server.count(re.compile(r'1 > \{"op":10,"time":\d+\}'))
    acks = server.count(re.compile(r'1 < \{"op":11,"time":\d+\}'))
    if not (acks in (beats, beats - 1) and 5 <= beats <= 20):
        raise Failed(f"{acks} acks of {beats} heartbeats in 3 s")
    client.tell("quit")
    await left(client)


@against_client("heartbeat_interval")
async def intervals(stage):
    server = await stage.server("--manual")
    wrong = (
        "0", "1", "99", "-1", "-0", "1.5", "45000.0", "1e4", "9007199254740993", "1" + "0" * 30,
        "null", '"45000"', "[]", "true",
    )
    cases = {text: (hello(text), 4001) for text in wrong}
    cases["missing"] = '{"op":0}', 4001
    cases["twice"] = '{"op":0,"heartbeat_interval":45000,"heartbeat_interval":45000}', 4001
    await table(stage, server, cases, server.says, entered=False)
    await table(
        stage, server, {"101, at least 102": (hello(101), 4001)}, server.says,
        "--min-heartbeat-interval", "0.102", entered=False,
    )
    for interval in (9007199254740992, 500):
        with stage.case(f"{interval} is fine"):
            client = await fresh(stage, server)
            await enter(server, client, hello(interval))


@against_client("heartbeats in any state, with times of every type")
async def times(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)

    async def are_echoed():
        server.says(HEARTBEAT)
        await server.hears(HEARTBEAT_ACK)
        for text in TIMES:
            with stage.case(text):
                server.says(heartbeat(text))
                await server.hears(heartbeat_ack(text))

    await are_echoed()
    server.says(HELLO)
    await server.hears(IDENTIFY)
    await are_echoed()
    server.says(READY)
    await client.see("ready ada")
    await are_echoed()
    server.says('{ "time" : [1,\t2] , "op" : 10 }')
    await server.hears(heartbeat_ack("[1,\t2]"))


@against_client("acks of its heartbeats")
async def acks(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client)
    its = server.line(r'< \{"op":10,"time":(\d+)\}')
    for name, text in {"time": "{}", "float": "{}.0", "none": None, "others before": "{}"}.items():
        with stage.case(name):
            client.tell("heartbeat")
            sent = (await server.see(its))[1]
            if abs(int(sent) / 1000 - time.time()) > 60:
                raise Failed(f"a time of {sent}")
            if name == "others before":
                for other in ('"x"', "null", "0", "-1", "[]", "1.5", "1e400", f'"{sent}"'):
                    server.says(heartbeat_ack(other))
                await client.never(ACKNOWLEDGED, 0.2)
            server.says(HEARTBEAT_ACK if text is None else heartbeat_ack(text.format(sent)))
            await client.see(ACKNOWLEDGED)
            server.says(HEARTBEAT_ACK)
            await alive(server)
    with stage.case("at most four outstanding"):
        for _ in range(6):
            client.tell("heartbeat")
        for _ in range(4):
            await server.see(its)
        await server.hears_nothing()
        for _ in range(6):
            server.says(HEARTBEAT_ACK)
        for _ in range(2):
            await server.see(its)
        for _ in range(4):
            await client.see(ACKNOWLEDGED)
    with stage.case("quit waits for them"):
        # Two are still to be acknowledged, if the acks came before they were sent.
        client.tell("heartbeat")
        client.tell("quit")
        await server.see(its)
        for _ in range(3):
            server.says(HEARTBEAT_ACK)
        await server.closed(1000)
        await left(client)


@against_client("out of turn: 4001")
async def out_of_turn(stage):
    server = await stage.server("--manual")
    cases = {
        **{f"Message as {name}, before the Hello": text for name, text in MESSAGES.items()},
        **{f"Ready as {name}, before the Hello": text for name, text in READIES.items()},
        "no JSON": "hello",
    }
    await table(stage, server, with_code(4001, cases), server.says, entered=False)

    def say(text):
        server.says(HELLO)
        server.says(text)

    cases = {
        **{f"Message as {name}, before Ready": text for name, text in MESSAGES.items()},
        "a second Hello, before Ready": HELLO,
    }
    await table(stage, server, with_code(4001, cases), say, entered=False)
    with stage.case("unknown ops before the Hello"):
        client = await fresh(stage, server)
        for text in UNKNOWN:
            server.says(text)
            await client.see(re.compile(r"unknown \d+ " + re.escape(text)))
        await enter(server, client)


@against_client("who says nothing: 4002")
async def silence(stage):
    server = await stage.server("--manual")
    for name, hello_too in {"no Hello": False, "no Ready": True}.items():
        with stage.case(name):
            client = await fresh(stage, server, "--handshake-timeout", "0.6")
            if hello_too:
                server.says(HELLO)
                await server.hears(IDENTIFY)
            start = time.monotonic()
            await server.closed(4002, within=4)
            if time.monotonic() - start < 0.4:
                raise Failed("too soon")
            await failed(client)
    with stage.case("no acks"):
        client = await fresh(stage, server)
        await enter(server, client, hello(300))
        its = server.line(r'< \{"op":10,"time":(\d+)\}')
        for _ in range(3):
            sent = (await server.see(its))[1]
            server.says(heartbeat_ack(sent))
        await server.see(its)
        server.says(HEARTBEAT)
        server.says(heartbeat_ack("0"))
        start = time.monotonic()
        await server.closed(4002, within=4)
        if time.monotonic() - start < 0.2:
            raise Failed("too soon")
        await failed(client)
    with stage.case("nor any before Ready"):
        client = await fresh(stage, server)
        server.says(hello(300))
        await server.hears(IDENTIFY)
        await server.closed(4002, within=4)
        await failed(client)


@against_client("malformed messages: 4001")
async def malformed(stage):
    server = await stage.server("--manual")
    cases = MALFORMED | with_code(4001, {
        "a second Hello": HELLO,
        "a second Ready": READY,
        "a second Ready as op 1": READIES["op 1"],
        "Identify": IDENTIFY,
        "a Message without message": '{"op":3}',
        "a Message without message, but a user": '{"op":3,"user":"ada"}',
        "message twice": '{"op":3,"message":1,"message":1}',
        "message 128 levels deep": message("[" * 128 + "]" * 128),
    })
    await table(stage, server, cases, server.says)


@against_client("binary: 1003, not UTF-8: 4001, oversized: 1009")
async def other_messages(stage):
    server = await stage.server("--manual")

    def raw(parts):
        server.fragments(*parts)

    limit = "--max-message", "1000"
    with stage.case("1000 bytes"):
        client = await fresh(stage, server, *limit)
        await enter(server, client)
        server.says(long(1000))
        await client.see(re.compile("unknown 77 .*"))
        await alive(server)
    await table(stage, server, {"binary": (HEARTBEAT.encode(), 1003)}, server.binary)
    cases = with_code(4001, not_utf8(HEARTBEAT)) | with_code(1009, too_long(long(1001)))
    await table(stage, server, cases, raw, *limit)


@against_client("2 MB of messages at once")
async def burst(stage):
    server = await stage.server("--manual")
    for many, length in ((10, 200_000), (100, 20_000), (1000, 2000), (10_000, 20)):
        with stage.case(f"{many} of {length} bytes"):
            client = await fresh(stage, server)
            await enter(server, client)
            text = "x" * length
            for number in range(many):
                server.says(message(f'[{number},"{text}"]'))
            # In order, or one of these isn't seen.
            for number in range(many):
                await client.see(f'message [{number},"{text}"]', within=5)
            await alive(server)


@against_client("a whole MiB")
async def a_mebibyte(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client)
    text = '"' + "é" * (((1 << 20) - len(message('""'))) // 2) + '"'
    server.says(message(text))
    await client.see(f"message {text}")
    await alive(server)
    server.says(message(f"  {text}"))
    await server.closed(1009)
    await failed(client)


@against_client("reconnects after 4002, 1000, loss of TCP, silence")
async def reconnects(stage):
    server = await stage.server("--manual")
    client = await stage.example_client(
        server, *WITH_TOKEN, "--min-backoff", "0.4", "--max-backoff", "0.9"
    )
    await server.connected()
    endings = {
        "close 4002 timed out": ERROR,
        "close 4001 invalid": ERROR,
        "close 1000": re.compile("ended clean"),
        "close": re.compile("ended clean"),
        "close 1001 going": re.compile("ended clean"),
        "close 1012 restarting": ERROR,
        "drop": ERROR,
        "text nonsense": ERROR,
        "text {}": ERROR,
    }
    its = re.compile(r'\d+ < \{"op":10,"time":\d+\}')
    for command, ended in endings.items():
        with stage.case(command):
            await enter(server, client)
            if server.number > 1:
                await server.see(its)
            server.tell(command)
            start = time.monotonic()
            await client.see(ended)
            delay = float((await client.see(RECONNECTING))[1])
            # It waits for the next connection.
            client.tell("heartbeat")
            await server.next_connection()
            took = time.monotonic() - start
            if not (0.4 <= delay <= 0.9 and took >= delay - 0.1):
                raise Failed(f"{took:.2f} s for a delay of {delay} s")
    await enter(server, client)
    await server.see(its)
    await alive(server)
    with stage.case("and not after 4003"):
        server.tell("close 4003 no")
        await failed(client, GIVING_UP)


@against_client("waits for a second at least, if not told otherwise")
async def default_backoff(stage):
    await common.default_backoff(stage, enter, *WITH_TOKEN)


@against_client("nobody there: goes on trying")
async def nobody_there(stage):
    await common.nobody_there(stage, enter, *WITH_TOKEN)


@against_client("texts in fragments, also within a character")
async def fragments(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    await enter(server, client)
    for name, parts in pieces(message('["é€😀","ñ and so on"]')).items():
        with stage.case(name):
            server.fragments(*parts)
            await client.see('message ["é€😀","ñ and so on"]')


@against_client("keys in any order, spaces, unknown keys and ops")
async def leniency(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server)
    greeting = ' { "s": 1, "heartbeat_interval" : 45000 , "op" :\t0 } '
    await enter(server, client, greeting, '{"us\\u0065r":"ad\\u0061", "token": 1, "op": 1}')
    for number, text in enumerate(SPELLINGS):
        with stage.case(text):
            server.says(text.replace("%", str(number)))
            await server.hears(heartbeat_ack(f'"{number}"'))
    for text in UNKNOWN:
        with stage.case(text):
            server.says(text)
            await client.see(re.compile(r"unknown \d+ " + re.escape(text)))
    for value in ("{}", '{"a" :1, "a":2}', "null", "1", '"\\ud800"', "[" * 127 + "]" * 127):
        for text in (message(value), f'{{"message" :\n{value} ,"x":0,"op":2}}'):
            with stage.case(text):
                server.says(text)
                await client.see(f"message {value}")
    await alive(server)


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
    await alive(server)


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
    with stage.case("the end of its stdin"):
        client = await fresh(stage, server)
        client.tell("heartbeat")
        client.process.stdin.close()
        await enter(server, client)
        await server.see(server.line(r'< \{"op":10,"time":\d+\}'))
        server.says(HEARTBEAT_ACK)
        await client.see(ACKNOWLEDGED)
        await server.closed(1000)
        await left(client)
    with stage.case("SIGINT"):
        client = await fresh(stage, server)
        await enter(server, client)
        client.process.send_signal(signal.SIGINT)
        await server.closed(1001)
        await left(client)
