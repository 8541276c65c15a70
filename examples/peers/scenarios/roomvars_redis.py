"""What clients see of several roomvars-servers that share rooms through Redis."""

import asyncio
import json
import re
import shutil
import signal
import socket
import tempfile
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from harness import Child, Failed
from scenarios.common import again
from scenarios.roomvars import KEYS, against_server, delete, handshake, lines, rename, set_

AGAIN_LATER = {"documented": 4004, "scratch": 4003}
# How long a server may take to find out about Redis, and a client to come in again.
COMING_BACK = 20


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Redis:
    """One of our own, which forgets nothing that it has answered for."""

    def __init__(self, stage, directory):
        self.stage, self.directory, self.port = stage, directory, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/"

    async def start(self):
        options = (
            f"--port {self.port} --bind 127.0.0.1 --save --appendonly yes --appendfsync always "
            f"--daemonize no"
        )
        command = [Path(shutil.which("redis-server")), *options.split(), "--dir", self.directory]
        self.process = await self.stage.start(Child, command, ())
        await self.process.see(re.compile(".*Ready to accept connections.*"))

    async def kill(self):
        await kill(self.stage, self.process)

    async def says(self, *command):
        """What it answers, an item a line."""
        process = await asyncio.create_subprocess_exec(
            "redis-cli", "-p", str(self.port), *command, stdout=asyncio.subprocess.PIPE
        )
        return (await process.communicate())[0].decode().splitlines()


async def kill(stage, child):
    """Without a word, and nobody looks at how it ends."""
    child.process.kill()
    await child.process.wait()
    stage.children.remove(child)


@asynccontextmanager
async def redis(stage):
    with tempfile.TemporaryDirectory(prefix="roomvars-redis-") as directory:
        server = Redis(stage, directory)
        await server.start()
        try:
            yield server
        finally:
            # Before its directory is gone.
            await stage.strike()
            stage.children.clear()


async def start_server(stage, redis, *options):
    return await stage.example_server("--redis", redis.url, *options)


class Member:
    """A client in a room: what it said and heard, on each of its connections."""

    def __init__(self, stage, name, room):
        self.stage, self.name, self.room = stage, name, room
        self.is_in = False
        # The connections on which it was let in.
        self.stays = []

    async def start(self, server, language):
        self.peer = await self.stage.client(server, "--manual", language=language)
        await self.enter()
        return self

    async def enter(self):
        """Is let in, in the end."""
        dialect = self.stage.dialect
        async with asyncio.timeout(COMING_BACK):
            while True:
                self.peer.says(handshake(dialect, self.name, room=self.room))
                # It is told x and y; there is a mark of the scenario's in each room.
                wanted = self.peer.line(r"(< .*|closed .*)")
                what = (await self.peer.see(wanted))[1]
                if what.startswith("<"):
                    self.is_in = True
                    self.stays.append(self.peer.number)
                    return
                await asyncio.sleep(0.1)
                await self.connect()

    async def connect(self):
        self.is_in = False
        while True:
            self.peer.tell("connect")
            self.peer.number += 1
            wanted = re.compile(rf"{self.peer.number} (connected|closed .*)")
            # What is said of a connection that isn't made is all that is said of it.
            if (await self.peer.see(wanted))[1] == "connected":
                return
            await asyncio.sleep(0.1)

    async def come_back(self):
        await self.connect()
        await self.enter()

    async def closed(self, code):
        await self.peer.closed(code, within=COMING_BACK)

    def set(self, variable, value):
        self.peer.says(set_(self.stage.dialect, variable, json.dumps(value)))

    def events(self, connection=None):
        """(said by itself, object), of one connection or all."""
        number = rf"{connection}" if connection else r"\d+"
        for line in self.peer.lines:
            match = re.fullmatch(rf"{number} ([<>]) (.+)", line or "", re.DOTALL)
            if match:
                for one in match[2].split("\\n"):
                    yield match[1] == ">", json.loads(one)

    def heard(self, connection):
        """The sets of others: variable and value, without what it found there."""
        return self.sets(connection)[2:]

    def sets(self, connection=None):
        """All that it was told."""
        kind, _, _, name = KEYS[self.stage.dialect]
        return [
            (one[name], one["value"])
            for is_own, one in self.events(connection) if one[kind] == "set" and not is_own
        ]

    def values(self):
        """What it has in the end."""
        kind, _, _, name = KEYS[self.stage.dialect]
        values = {}
        for _, one in self.events(self.peer.number):
            match one[kind]:
                case "set":
                    values[one[name]] = one["value"]
                case "rename":
                    values[one["new_name"]] = values.pop(one[name])
                case "delete":
                    values.pop(one[name], None)
        return values


async def first(stage, server, room):
    """Makes a room, in which who comes next is told of x and y; stays in it, and does nothing more."""
    member = Member(stage, f"first of {room}", room)
    member.peer = await stage.client(server, "--manual", language="python")
    member.peer.says(handshake(stage.dialect, member.name, room=room))
    for variable in ("x", "y"):
        member.set(variable, "0")
    await asyncio.sleep(0.3)
    return member


class Writer:
    """Sets x and y of a member's room as long as it is in it, each value once."""

    def __init__(self, member):
        self.member, self.numbers = member, count()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        for number in self.numbers:
            # Before the handshake it would be wrong.
            if self.member.is_in:
                self.member.set("xy"[number % 2], f"{self.member.name} {number}")
            await asyncio.sleep(0.01)

    async def stop(self):
        self.task.cancel()
        await asyncio.sleep(0)


async def until(what, holds):
    try:
        async with asyncio.timeout(COMING_BACK):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Failed(what()) from None


async def hear_on(members):
    """Each of them something of others, and not just once."""
    before = {member: len(member.sets()) for member in members}

    def silent():
        return [one.name for one, heard in before.items() if len(one.sets()) < heard + 40]

    await until(lambda: f"{silent()} heard nothing more", lambda: not silent())


def check_order(member, connection, order):
    """It heard what is in `order`, in that order; what it missed there is its own."""
    places = {one: place for place, one in enumerate(order)}
    if len(places) != len(order):
        raise Failed("the same set was heard twice")
    heard = [places[one] for one in member.heard(connection) if one in places]
    if not heard:
        raise Failed(f"{member.name} heard nothing")
    if heard != sorted(set(heard)):
        raise Failed(f"{member.name} heard them in another order")
    for place in set(range(heard[0], heard[-1])) - set(heard):
        if not order[place][1].startswith(f"{member.name} "):
            raise Failed(f"{member.name} never heard {order[place]}")


@against_server(
    "servers that share rooms through Redis; one is killed, and Redis too",
    languages=("python and node",), dialects=("documented", "scratch"),
)
async def shared(stage):
    async with redis(stage) as broker:
        one, other = [await start_server(stage, broker) for _ in range(2)]
        # In each room there is one of either server who sets, and one who only listens.
        members = {}
        for room in ("lobby", "hall"):
            first_one = await first(stage, one, room)
            for server, language, name in (
                (one, "python", "ada"), (one, "node", "ben"),
                (other, "node", "cat"), (other, "python", "dan"),
            ):
                members[room, name] = await Member(stage, name, room).start(server, language)
            first_one.peer.tell("close 1000")
        writers = [
            Writer(members[room, name]) for room in ("lobby", "hall") for name in ("ada", "cat")
        ]
        of_one = [member for (_, name), member in members.items() if name in ("ada", "ben")]

        await hear_on(members.values())
        await kill(stage, one)
        for member in of_one:
            await member.closed(1006)
        # The others go on, and with them those who come back.
        one = await start_server(stage, broker, "--listen", one.address)
        for member in of_one:
            await member.come_back()
        await hear_on(members.values())

        await broker.kill()
        for member in members.values():
            await member.closed(AGAIN_LATER[stage.dialect])
        for server in (one, other):
            client = await stage.client(server, "--manual", language="python")
            client.says(handshake(stage.dialect, "late", room="lobby"))
            await client.closed(AGAIN_LATER[stage.dialect])
        for room in ("lobby", "hall"):
            # Dan was there from the first set to the last.
            order = members[room, "dan"].heard(1)
            for name in ("ada", "ben", "cat"):
                for connection in members[room, name].stays:
                    check_order(members[room, name], connection, order)
            for name in ("ada", "ben"):
                if lost := set(members[room, name].heard(1)) - set(order):
                    raise Failed(f"{lost} were heard of the server that was killed, and are lost")

        await broker.start()
        known = {
            (room, variable): [
                {value for name, value in member.sets() if name == variable}
                for (of, _), member in members.items() if of == room
            ]
            for room in ("lobby", "hall") for variable in ("x", "y")
        }
        for member in members.values():
            await member.come_back()
        for (room, variable), heard in known.items():
            dan = members[room, "dan"]
            value = dict(dan.sets(dan.peer.number)[:2])[variable]
            order = [value for name, value in dan.sets(1) if name == variable]
            # The last that anybody heard, or one that came after all that.
            if value in set().union(*heard) and value in order[:-1]:
                later = order[order.index(value) + 1 :]
                raise Failed(f"{later} of {variable} in {room} were heard, and are lost")
        await hear_on(members.values())
        for writer in writers:
            await writer.stop()
        for room in ("lobby", "hall"):
            there = [member for (of, _), member in members.items() if of == room]
            last = {}

            def agree():
                last.update((member.name, member.values()) for member in there)
                return len({json.dumps(one, sort_keys=True) for one in last.values()}) == 1

            await until(lambda: f"they have {last} in {room}", agree)
            # Not just by chance on the way.
            await asyncio.sleep(1)
            if not agree():
                raise Failed(f"they have {last} in {room}")
            late = await Member(stage, "late", room).start(one, "python")
            if late.values() != last["ada"]:
                raise Failed(f"Redis has {late.values()}, they have {last['ada']}")


@against_server(
    "a server that falls behind what Redis keeps starts again, and so do all when Redis hangs",
    languages=("python",), dialects=("documented",),
)
async def behind(stage):
    async with redis(stage) as broker:
        one, other = [await start_server(stage, broker) for _ in range(2)]
        await first(stage, one, "lobby")
        ada = await Member(stage, "ada", "lobby").start(one, "python")
        ben = await Member(stage, "ben", "lobby").start(other, "python")
        other.process.send_signal(signal.SIGSTOP)
        for number in range(1500):
            ada.set("x", str(number))
        ada.set("y", "last")
        cat = await Member(stage, "cat", "lobby").start(one, "python")
        await until(lambda: f"Redis has {cat.values()}", lambda: cat.values()["y"] == "last")
        length = int((await broker.says("XLEN", "{roomvars}:changes:fixed:lobby"))[0])
        if not 1000 <= length <= 1200:
            raise Failed(f"Redis keeps {length} changes")
        other.process.send_signal(signal.SIGCONT)
        await ben.closed(4004)
        await ben.come_back()
        if ben.values() != {"x": "1499", "y": "last"}:
            raise Failed(f"it came back to {ben.values()}")
        ada.set("x", "on it goes")
        await ben.peer.hears(set_(stage.dialect, "x", '"on it goes"'), within=COMING_BACK)
        broker.process.process.send_signal(signal.SIGSTOP)
        for member in (ada, ben):
            await member.closed(4004)
        broker.process.process.send_signal(signal.SIGCONT)
        for member in (ada, ben):
            await member.come_back()
        ben.set("x", "and on")
        await ada.peer.hears(set_(stage.dialect, "x", '"and on"'))


@against_server(
    "limits, renames and lifetimes of rooms in Redis",
    languages=("python",), dialects=("scratch",),
)
async def kept(stage):
    async with redis(stage) as broker:
        options = "--max-variables", "3", "--max-rooms", "2", "--empty-room-ttl", "1"
        one, other = [await start_server(stage, broker, *options) for _ in range(2)]
        ada = await first(stage, one, "lobby")
        ben = await Member(stage, "ben", "lobby").start(other, "python")
        ada.peer.says(rename("x", "z"))
        ada.peer.says(set_("scratch", "n", "1.50"))
        ada.peer.says(delete("y"))
        for said in (rename("x", "z"), set_("scratch", "n", "1.50"), delete("y")):
            await ben.peer.hears(said)
        # Neither counts: one is gone, the other is there.
        ben.peer.says(rename("y", "a"))
        ben.peer.says(rename("n", "z"))
        ben.set("a", "the third")
        await ada.peer.hears(set_("scratch", "a", '"the third"'))
        ben.set("b", "too many")
        await ben.closed(4000)
        await ben.come_back()
        await ben.peer.hears_nothing()
        if ben.values() != {"z": "0", "n": 1.5, "a": "the third"}:
            raise Failed(f"they have {ben.values()}")
        # There is place for another room, and not for a third.
        cat = await stage.client(other, "--manual")
        cat.says(handshake("scratch", "cat", room="hall"))
        dan = await stage.client(one, "--manual")
        await asyncio.sleep(0.3)
        dan.says(handshake("scratch", "dan", room="attic"))
        await dan.closed(4003)
        # A room goes when nobody has been there for a while, wherever the others are.
        cat.tell("close 1000")
        keys = "EXISTS", "{roomvars}:values:scratch:hall"
        if await broker.says(*keys) != ["1"]:
            raise Failed("the room is gone at once")
        async with asyncio.timeout(COMING_BACK):
            while await broker.says(*keys) != ["0"]:
                await asyncio.sleep(0.2)
        if await broker.says("EXISTS", "{roomvars}:values:scratch:lobby") != ["1"]:
            raise Failed("a room is gone that is in use")
        await again(dan)
        dan.says(handshake("scratch", "dan", room="attic"))
        await dan.hears_nothing()
        dan.says(set_("scratch", "x", '"1"'))
        eve = await stage.client(other, "--manual")
        await asyncio.sleep(0.3)
        eve.says(handshake("scratch", "eve", room="attic"))
        await eve.hears(lines(set_("scratch", "x", '"1"')))
