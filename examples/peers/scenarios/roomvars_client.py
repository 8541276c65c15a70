"""What servers in Node see of roomvars-client."""

import re

from harness import Failed
from scenarios import common
from scenarios.common import RECONNECTING
from scenarios.roomvars import (
    DIALECTS, FIXED, against_client, delete, handshake, rename, set_,
)

VARIABLES = "--variable", "x=0", "--variable", "y=0"


async def fresh(stage, server, *options, username="ada"):
    """Another roomvars-client, which has said its handshake."""
    variables = VARIABLES if stage.dialect in FIXED else ()
    client = await common.fresh(stage, server, "--username", username, *variables, *options)
    await server.hears(handshake(stage.dialect, username))
    return client


async def left(client, status=0):
    if (ended := await client.exit()) != status:
        raise Failed(f"exit status {ended}")


@against_client("a conversation", dialects=DIALECTS)
async def conversation(stage):
    server = await stage.server()
    ada = await fresh(stage, server, "--once")
    ada.tell("set x 1")
    await server.hears(set_(stage.dialect, "x", '"1"'))
    grace = await fresh(stage, server, "--once", username="grace")
    await grace.see('snapshot "x" "1"')
    if stage.dialect in FIXED:
        await grace.see('snapshot "y" "0"')
    grace.tell('set "x" ☁ "two" words')
    # Whoever makes a room in the Scratch dialect can't tell the first thing from a snapshot.
    await ada.see(re.compile(r'(set|snapshot) "x" "☁ \\"two\\" words"'))
    if stage.dialect == "scratch":
        ada.tell("number n 1.50")
        # Node writes what it has made of it.
        await grace.see('set "n" 1.5')
        ada.tell("rename n m")
        await grace.see('renamed "n" "m"')
        ada.tell("delete m")
        await grace.see('deleted "m"')
    grace.tell("quit")
    await grace.see("ended clean")
    await server.closed(1000)
    await left(grace)


@against_client("batches, fragments and blank lines", dialects=DIALECTS)
async def batches(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server, "--once")
    both = [set_(stage.dialect, name, '"1"') for name in ("x", "y")]
    server.says("\n".join(both))
    await client.see('snapshot "x" "1"')
    await client.see('snapshot "y" "1"')
    server.says("\n\r\n" + "\r\n".join(both) + "\n")
    await client.see('set "x" "1"')
    await client.see('set "y" "1"')
    server.says("")
    text = "\n".join([set_(stage.dialect, "x", '"é"'), both[1]]).encode()
    server.fragments(*(text[i : i + 1] for i in range(len(text))))
    await client.see('set "x" "é"')
    server.fragments(text[:7], None, text[7:])
    await client.see('set "x" "é"')
    kind = "method" if stage.dialect == "scratch" else "kind"
    server.says(f'{{"{kind}":"news"}}')
    await client.see(f'ignored {{"{kind}":"news"}}')
    if stage.dialect in FIXED:
        server.says(set_(stage.dialect, "z", '"1"'))
        await client.see("ignored " + set_(stage.dialect, "z", '"1"'))
    else:
        server.says(rename("x", "z"))
        await client.see('renamed "x" "z"')
        server.says(delete("z"))
        await client.see('deleted "z"')


@against_client("what is malformed is closed, after all that was good", dialects=DIALECTS)
async def malformed(stage):
    server = await stage.server("--manual")
    good = set_(stage.dialect, "x", '"1"')
    cases = {
        "no JSON": (f"{good}\n{good}\n{{", 1007),
        "an array": (f"{good}\n{good}\n[]", 1008),
        "two on a line": (f"{good}\n{good}\n{good}{good}", 1008),
        "no value": (f"{good}\n{good}\n" + good.replace(',"value":"1"', ""), 1008),
        "129 levels": (f"{good}\n{good}\n" + '{"x":' + "[" * 128 + "]" * 128 + "}", 1008),
    }
    for name, (said, code) in cases.items():
        with stage.case(name):
            client = await fresh(stage, server, "--once")
            server.says(said)
            await client.see(re.compile('(snapshot|set) "x" "1"'))
            await client.see('set "x" "1"')
            await client.see(re.compile("ended error the server violated the protocol: .+"))
            await server.closed(code)
            await left(client, 1)
    with stage.case("binary"):
        client = await fresh(stage, server, "--once")
        server.binary(b"\0")
        await server.closed(1003)
        await left(client, 1)
    with stage.case("not UTF-8"):
        client = await fresh(stage, server, "--once")
        server.fragments(good.encode() + b"\xff")
        await server.closed(1007)
        await left(client, 1)


@against_client("close codes, and whether it comes again", dialects=DIALECTS)
async def codes(stage):
    server = await stage.server("--manual")
    come_again = {1000, 1001, 1002, 1003, 1011, 4000, 4003}
    if stage.dialect in FIXED:
        come_again.add(4004)
    for code in (*sorted(come_again | {4004}), 3000, 4001, 4002, 4005, 4006, 4999):
        with stage.case(str(code)):
            client = await fresh(stage, server, "--min-backoff", "0.1", "--max-backoff", "0.2")
            server.tell(f"close {code} so long")
            if code in come_again:
                await client.see(RECONNECTING)
                await server.next_connection()
                await server.hears(handshake(stage.dialect, "ada"))
                await client.stop()
            else:
                await client.see(f"giving up: closed by the server: {code} so long")
                await left(client, 1)
    with stage.case("lost"):
        client = await fresh(stage, server, "--min-backoff", "0.1", "--max-backoff", "0.2")
        server.tell("drop")
        await client.see(RECONNECTING)


@against_client("sets merged and paced", dialects=("documented",))
async def paced(stage):
    server = await stage.server("--manual")
    client = await fresh(stage, server, "--once", "--merge-sets", "--rate-limit", "2")
    for number in range(50):
        client.tell(f"set x {number}")
    client.tell("set y 1")
    await server.hears(set_(stage.dialect, "x", '"49"'))
    await server.hears(set_(stage.dialect, "y", '"1"'))
    if server.count(server.line("<.*")) > 10:
        raise Failed("it said nearly everything")
