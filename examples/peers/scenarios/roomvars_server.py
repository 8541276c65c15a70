"""What clients in Python and Node see of roomvars-server."""

import asyncio
import json
import signal

from harness import Failed
from scenarios.common import again
from scenarios.roomvars import (
    DIALECTS, FIXED, against_server, delete, handshake, lines, rename, set_,
)


async def enter(stage, client, username="peer", **more):
    client.says(handshake(stage.dialect, username, **more))


async def two(stage, *options):
    """A server, and two clients in a room with x and y, one after the other."""
    server = await stage.example_server(*options)
    clients = []
    for username in ("ada", "grace"):
        client = await stage.client(server, "--manual")
        await enter(stage, client, username)
        clients.append(client)
        if username == "ada" and stage.dialect == "scratch":
            for name in ("x", "y"):
                client.says(set_(stage.dialect, name, '"0"'))
        if username == "ada":
            await asyncio.sleep(0.2)
    both = [set_(stage.dialect, name, '"0"') for name in ("x", "y")]
    await clients[1].hears(lines(*both))
    return server, *clients


@against_server("a conversation", dialects=DIALECTS)
async def conversation(stage):
    _, ada, grace = await two(stage)
    ada.says(set_(stage.dialect, "x", '"☁ \\u2601 \\n"'))
    await grace.hears(set_(stage.dialect, "x", '"☁ ☁ \\n"'))
    grace.says(set_(stage.dialect, "y", '""'))
    await ada.hears(set_(stage.dialect, "y", '""'))
    await grace.hears_nothing()
    for close in ("close 1000 bye", "close"):
        grace.tell(close)
        await grace.closed(1000 if "1000" in close else 1005)
        await again(grace)
        # Her name is free.
        await enter(stage, grace, "grace")
        await grace.hears(
            lines(set_(stage.dialect, "x", '"☁ ☁ \\n"'), set_(stage.dialect, "y", '""'))
        )


@against_server("of itself", dialects=DIALECTS)
async def of_itself(stage):
    server = await stage.example_server("--flush-interval", "0.1")
    words = {"python": ("--variable", "x=0"), "node": ("--variables", "x=0")}[stage.language]
    variables = words if stage.dialect in FIXED else ()
    ada = await stage.client(server, "--username", "ada", *variables)
    await asyncio.sleep(0.2)
    ada.tell('set x "1"')
    await asyncio.sleep(0.2)
    grace = await stage.client(server, "--username", "grace", *variables)
    await grace.hears(set_(stage.dialect, "x", '"1"'))
    grace.tell('set x "2"')
    await ada.hears(set_(stage.dialect, "x", '"2"'))
    for client in (ada, grace):
        client.tell("show")
        await client.see('1 variables {"x":"2"}')
    if stage.dialect == "scratch":
        grace.tell("set y 1.5")
        grace.tell("rename x z")
        grace.tell("delete y")
        await ada.hears(lines(set_("scratch", "y", "1.5"), rename("x", "z"), delete("y")))
        ada.tell("show")
        await ada.see('1 variables {"z":"2"}')


@against_server("keys in any order and spacing, unknown keys, escapes", dialects=DIALECTS)
async def spelling(stage):
    _, ada, grace = await two(stage)
    said = json.loads(set_(stage.dialect, "x", '"1"'))
    ways = [
        json.dumps(dict(reversed(said.items()))),
        json.dumps(said, indent=2),
        json.dumps({"s": [1, {"kind": "news", "method": "news"}], **said}),
        " " + json.dumps(said).replace('"set"', '"\\u0073et"').replace('"x"', '"\\u0078"') + "\n",
    ]
    for way in ways:
        ada.says(way)
        await grace.hears(set_(stage.dialect, "x", '"1"'))


@against_server("numbers, renames and deletes", dialects=("scratch",))
async def scratch(stage):
    _, ada, grace = await two(stage)
    for number in ("1.0", "1e400", "-0", "12345678901234567890123"):
        ada.says(set_("scratch", "x", number))
        await grace.hears(set_("scratch", "x", number))
    ada.says(set_("scratch", "new", "1", kind="create"))
    await grace.hears(set_("scratch", "new", "1"))
    ada.says('{"method":"set","user":"ada","project_id":"lobby","name":"new","value":"2"}')
    await grace.hears(set_("scratch", "new", '"2"'))
    # What isn't acceptable as a value, or isn't there, is ignored.
    for said in (
        set_("scratch", "x", "true"), set_("scratch", "x", f'"{"v" * 1025}"'),
        rename("none", "z"), rename("new", "x"), delete("none"),
    ):
        ada.says(said)
    await grace.hears_nothing()
    ada.says(rename("new", "newer"))
    ada.says(delete("y"))
    await grace.hears(rename("new", "newer"))
    await grace.hears(delete("y"))


def malformed(dialect):
    """What closes a client that is in a room, and the code for it."""
    good = set_(dialect, "x", '"1"')
    kind = "method" if dialect == "scratch" else "kind"
    cases = {
        "nothing": ("", 4000),
        "no JSON": ("hello", 4000),
        "half an object": (good[:-1], 4000),
        "an array": (f"[{good}]", 4000),
        "two objects": (good + good, 4000),
        "two objects on two lines": (f"{good}\n{good}", 4000),
        "no kind": ('{"x":1}', 4000),
        "an unknown kind": (f'{{"{kind}":"news"}}', 4000),
        "kind twice": (good[:-1] + f',"{kind}":"set"}}', 4000),
        "a second handshake": (handshake(dialect, "ben"), 4000),
        "129 levels": (good[:-1] + ',"s":' + "[" * 128 + "]" * 128 + "}", 4000),
        "half a character": (good.replace('"x"', '"\\ud800"'), 4000),
        "a name of 513 bytes": (set_(dialect, "n" * 513, '"1"'), 4000),
        "more than 1 MiB": (good + " " * (1 << 20), 4000),
    }
    if dialect != "scratch":
        cases |= {
            "an unknown variable": (set_(dialect, "z", '"1"'), 4000),
            "a number": (set_(dialect, "x", "1"), 4000),
            "a value of 1025 bytes": (set_(dialect, "x", f'"{"v" * 1025}"'), 4000),
            "a kind of another dialect": (set_(dialect, "x", '"1"', kind="create"), 4000),
        }
    return cases


@against_server("what is malformed: 4000", dialects=DIALECTS)
async def refused(stage):
    server = await stage.example_server()
    ada = await stage.client(server, "--manual")
    await enter(stage, ada, "ada")
    client = await stage.client(server, "--manual")
    for at, (name, (said, code)) in enumerate(malformed(stage.dialect).items()):
        with stage.case(name):
            if at:
                await again(client)
            await enter(stage, client)
            client.says(said)
            await client.closed(code, within=5)
    with stage.case("binary"):
        await again(client)
        client.binary(b"\0")
        await client.closed(1003)
    for name, text in {"not UTF-8": b"\xff", "half a character": b"\xc3"}.items():
        with stage.case(name):
            await again(client)
            await enter(stage, client)
            client.fragments(text)
            await client.closed("(4000|1007)")
    # Nobody else is harmed.
    await again(client)
    await enter(stage, client)
    if stage.dialect == "scratch":
        ada.says(set_("scratch", "x", '"0"'))
    client.says(set_(stage.dialect, "x", '"1"'))
    await ada.hears(set_(stage.dialect, "x", '"1"'))


@against_server("who isn't let in", dialects=FIXED)
async def turned_away(stage):
    server = await stage.example_server(
        "--max-room-clients", "2", "--max-rooms", "1", "--handshake-timeout", "1", "--refuse", "rude"
    )
    ada = await stage.client(server, "--manual")
    await enter(stage, ada, "ada")
    client = await stage.client(server, "--manual")
    other = handshake(stage.dialect, room="other")
    cases = {
        "no handshake": (set_(stage.dialect, "x", '"1"'), 4000),
        "an unknown kind": ('{"kind":"news"}', 4000),
        "the same name": (handshake(stage.dialect, "ADA"), 4002),
        "no name": (handshake(stage.dialect, ""), 4002),
        "a long name": (handshake(stage.dialect, "u" * 65), 4002),
        "a refused name": (handshake(stage.dialect, "very Rude"), 4002),
        "no room": (handshake(stage.dialect, room=""), 4000),
        "other variables": (handshake(stage.dialect, variables={"x": "0"}), 4001),
        "a variable more": (handshake(stage.dialect, variables={v: "" for v in "xyz"}), 4001),
        "variables no object": (handshake(stage.dialect, variables=[]), 4000),
        "a value no string": (handshake(stage.dialect, variables={"x": 1, "y": ""}), 4000),
        "a variable twice": (
            handshake(stage.dialect).replace('"y"', '"x"'), 4000,
        ),
        "too many rooms": (other, 4003),
        "nothing in time": (None, 4000),
    }
    for at, (name, (said, code)) in enumerate(cases.items()):
        with stage.case(name):
            if at:
                await again(client)
            if said:
                client.says(said)
            await client.closed(code, within=5)
    for username, code in (("grace", None), ("ben", 4003)):
        await again(client)
        await enter(stage, client, username)
        if code:
            await client.closed(code)


@against_server("text in fragments, and pings between", dialects=DIALECTS)
async def fragments(stage):
    _, ada, grace = await two(stage)
    text = set_(stage.dialect, "x", '"é☁"').encode()
    for cuts in ([text[:1], text[1:]], [text[i : i + 1] for i in range(len(text))]):
        ada.fragments(*cuts)
        await grace.hears(set_(stage.dialect, "x", '"é☁"'))
    ada.fragments(text[:5], None, text[5:])
    await grace.hears(set_(stage.dialect, "x", '"é☁"'))
    ada.tell("ping hello")
    await ada.see("1 pong hello")


@against_server("batches, in order, none left out", dialects=DIALECTS)
async def batches(stage):
    _, ada, grace = await two(stage, "--flush-interval", "0.3")
    for number in range(300):
        ada.says(set_(stage.dialect, "x", f'"{number}"'))
    seen = []
    while len(seen) < 300:
        line = await grace.see(grace.line("< (.*)"))
        seen += line[0].split(" < ", 1)[1].split("\\n")
    if seen != [set_(stage.dialect, "x", f'"{number}"') for number in range(300)]:
        raise Failed("they came otherwise than they were sent")
    if grace.count(grace.line("<.*")) > 30:
        raise Failed("they came one by one")


@against_server("a rate limit: 4004, or 4003 in Scratch", dialects=DIALECTS)
async def too_fast(stage):
    server = await stage.example_server("--rate-limit", "20")
    client = await stage.client(server, "--manual")
    await enter(stage, client)
    for number in range(100):
        client.says(set_(stage.dialect, "x", f'"{number}"'))
    await client.closed(4003 if stage.dialect == "scratch" else 4004, "too many messages")


@against_server("who doesn't read ends with the right values", dialects=("documented",))
async def slow(stage):
    server, ada, grace = await two(stage, "--max-untaken", "20000")
    slow = await stage.client(server, "--manual")
    await enter(stage, slow, "slow")
    await slow.hears(lines(set_(stage.dialect, "x", '"0"'), set_(stage.dialect, "y", '"0"')))
    slow.tell("pause")
    await asyncio.sleep(0.3)
    for number in range(20_000):
        ada.says(set_(stage.dialect, "x", f'"{number}{"v" * 900}"'))
    ada.says(set_(stage.dialect, "y", '"last"'))
    await grace.see(grace.line('< .*"last".*'), within=40)
    slow.tell("resume")
    await slow.see(slow.line('< .*"last".*'), within=40)
    heard = "\\n".join(line for line in slow.lines if line and " < " in line)
    if f'"19999{"v" * 900}"' not in heard:
        raise Failed("the last value of x never came")
    if heard.count('"variable":"x"') > 19_999:
        raise Failed("nothing was merged")


@against_server("a server that ends: 1001", dialects=("documented",))
async def going_away(stage):
    server, ada, grace = await two(stage)
    server.process.send_signal(signal.SIGTERM)
    for client in (ada, grace):
        await client.closed(1001, "going away")
    if (status := await server.exit()) != 0:
        raise Failed(f"exit status {status}")
