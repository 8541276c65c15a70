"""What the scenarios of several protocols have in common."""

import re
import time

from harness import Failed

RECONNECTING = re.compile(r"reconnecting in (\d+\.\d+)s")
ERROR = re.compile(r"ended error .+")
GIVING_UP = re.compile("giving up: .+")


async def again(client):
    """A peer's next connection."""
    client.tell("connect")
    await client.next_connection()


async def each_closes(stage, client, cases, say, enter):
    """Each on a connection of its own, which the server closes."""
    for name, (said, code) in cases.items():
        with stage.case(name):
            if client.lines and client.at > 1:
                await again(client)
            await enter(client)
            say(said)
            await client.closed(code, within=5)


async def left(client):
    """An example client ends as it should."""
    await client.see("ended clean")
    if (status := await client.exit()) != 0:
        raise Failed(f"exit status {status}")


async def failed(client, last_words=ERROR):
    await client.see(last_words)
    if (status := await client.exit()) != 1:
        raise Failed(f"exit status {status}")


async def fresh(stage, server, *options):
    """Another example client, connected."""
    if server.count(re.compile(r"\d+ connected")):
        server.number += 1
    client = await stage.example_client(server, *options)
    await server.connected()
    return client


async def each_fails(stage, server, cases, say, start):
    """Each with an example client of its own, which `start` gives, and which closes, and fails."""
    for name, (said, code) in cases.items():
        with stage.case(name):
            client = await start()
            say(said)
            await server.closed(code, within=5)
            await failed(client)


async def default_backoff(stage, enter, *options):
    """An example client waits for a second at least."""
    server = await stage.server("--manual")
    client = await stage.example_client(server, *options)
    await server.connected()
    await enter(server, client)
    server.tell("drop")
    start = time.monotonic()
    delay = float((await client.see(RECONNECTING))[1])
    await server.next_connection()
    took = time.monotonic() - start
    if not (1 <= delay <= 2 and took >= 1):
        raise Failed(f"{took:.2f} s for a delay of {delay} s")
    await enter(server, client)


async def nobody_there(stage, enter, *options):
    """An example client goes on trying."""
    server = await stage.server("--manual")
    await server.stop()
    backoff = "--min-backoff", "0.1", "--max-backoff", "0.2"
    client = await stage.example_client(server, *options, *backoff)
    for _ in range(4):
        await client.see(ERROR)
        await client.see(RECONNECTING)
    again = await stage.server("--manual", "--listen", server.address)
    await again.connected()
    await enter(again, client)


def pieces(text):
    """Ways to cut a text, which has characters of several bytes."""
    message = text.encode()
    ways = {
        "bytes": [message[at : at + 1] for at in range(len(message))],
        "an empty one first": [b"", message],
        "empty ones between": [message[:9], b"", b"", message[9:]],
        "an empty one last": [message, b""],
        "pings between": [message[:9], None, None, message[9:30], None, message[30:]],
    }
    for at in range(1, len(message)):
        if message[at] & 0xC0 == 0x80:
            ways[f"cut at byte {at}"] = [message[:at], message[at:]]
    return ways


def not_json(heartbeat):
    """Texts that aren't JSON, made of one that is."""
    return {
        "nothing": "",
        "no JSON": "hello",
        "a byte order mark": f"\ufeff{heartbeat}",
        "a space of another kind": f"\u00a0{heartbeat}",
        "half an object": heartbeat[:-1],
        "a comma too many": f"{heartbeat[:-1]},}}",
        "something after it": f"{heartbeat} {heartbeat}",
        "single quotes": heartbeat.replace('"', "'"),
        "a number with a leading zero": heartbeat.replace(":", ":0"),
    }


def no_message(heartbeat):
    """JSON that is no object with an opcode."""
    return {
        "an array": f"[{heartbeat}]",
        "a number": "2",
        "null": "null",
        "no op": '{"x":1}',
        "op -1": '{"op":-1}',
        "op 256": '{"op":256}',
        "op null": '{"op":null}',
    }


def with_code(code, texts):
    return {name: (text, code) for name, text in texts.items()}


def not_utf8(heartbeat):
    """Pieces of texts that aren't UTF-8, made of one that is."""
    start = heartbeat[:-1].encode() + b',"x":"'
    return {
        "not UTF-8": [start + b'\xff"}'],
        "overlong": [start + b'\xc0\x80"}'],
        "a surrogate": [start + b'\xed\xa0\x80"}'],
        "half a character": [start + b"\xc3"],
        "not UTF-8, in the second fragment": [start, b'\xff"}'],
    }


def too_long(text):
    """Pieces of a text of one byte too many, and of a much longer one; `text` is of that length."""
    message = text.encode()
    half = len(message) // 2
    return {
        "a byte too many": [message],
        "a byte too many in fragments": [message[:half], message[half:]],
        "3 MiB": [message + b" " * (3 << 20)],
    }
