"""What all peers have in common: a connection, and the console that it is played from."""

import argparse
import asyncio
import json
import sys
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

UNSUPPORTED_DATA = 1003
INVALID_DATA = 1007
POLICY_VIOLATION = 1008


class Violation(Exception):
    """The other end broke the protocol; it is told so in a close frame."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


def parse(text):
    """JSON, which has to be an object."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Violation(INVALID_DATA, "not JSON") from None
    if type(message) is not dict:
        raise Violation(POLICY_VIOLATION, "not an object")
    return message


def parse_op(text):
    """The same, which has to have an opcode."""
    message = parse(text)
    # `type` and not `isinstance`: True is an int.
    if type(message.get("op")) is not int:
        raise Violation(POLICY_VIOLATION, "no opcode")
    return message


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Peer:
    """One connection, from the side of one end. Each protocol says what it does with it."""

    def __init__(self, ws, number, options):
        self.ws, self.number, self.options = ws, number, options
        self.tasks = set()

    # What an end does of itself; nothing with --manual.

    async def opened(self):
        pass

    async def handle(self, text):
        """Does what a message asks for. A key that isn't there is the other end's fault."""

    def ended(self):
        pass

    def close_code(self, violation):
        """Where the protocol has codes of its own."""
        return violation.code

    # The wire.

    async def run(self):
        """From the first message to the end."""
        self.show("connected")
        try:
            if not self.options.manual:
                await self.opened()
            async for data in self.ws:
                await self.receive(data)
        except Violation as violation:
            await self.refuse(violation)
        except KeyError as key:
            await self.refuse(Violation(POLICY_VIOLATION, f"no {key}"))
        except ConnectionClosed:
            pass
        for task in self.tasks:
            task.cancel()
        self.ended()
        self.show("closed", self.ws.close_code, self.ws.close_reason)

    async def refuse(self, violation):
        await self.ws.close(self.close_code(violation), str(violation))

    async def receive(self, data):
        if isinstance(data, str):
            self.show("<", data)
            if not self.options.manual:
                await self.handle(data)
        else:
            self.show("<b", data.hex())
            if not self.options.manual:
                raise Violation(UNSUPPORTED_DATA, "a binary message")

    async def send_text(self, text):
        self.show(">", text)
        await self.ws.send(text)

    def spawn(self, coroutine):
        """Does something beside, until the connection ends."""

        async def run():
            with suppress(ConnectionClosed):
                await coroutine

        self.tasks.add(asyncio.create_task(run()))

    # The console.

    def show(self, *words):
        line = " ".join(str(word) for word in (self.number, *words))
        print(line.rstrip().replace("\n", "\\n"), flush=True)

    async def command(self, verb, rest):
        """Does what a line of the console says; README.md has the list."""
        match verb:
            case "text":
                await self.send_text(rest)
            case "quoted":
                await self.send_text(json.loads(rest))
            case "binary":
                await self.ws.send(bytes.fromhex(rest))
            case "fragments":
                await self.ws.send(self.fragments(rest.split(" ")), text=True)
            case "ping":
                self.spawn(self.show_pong(await self.ws.ping(rest), rest))
            case "close":
                code, _, reason = rest.partition(" ")
                await self.ws.close(int(code) if code else None, reason)
            case "pause":
                self.ws.transport.pause_reading()
            case "resume":
                self.ws.transport.resume_reading()
            case "drop":
                self.ws.transport.abort()
            case _:
                print(f"unknown command: {verb}", file=sys.stderr)

    async def fragments(self, words):
        for word in words:
            if word == "ping":
                await self.ws.ping()
            else:
                yield bytes.fromhex(word)

    async def show_pong(self, future, data):
        await future
        self.show("pong", data)


async def console():
    """The lines of stdin: which connection each is for, its first word, and the rest."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode():
        number, (verb, _, rest) = 0, line.rstrip("\n").partition(" ")
        if verb.isdigit():
            number, (verb, _, rest) = int(verb), rest.partition(" ")
        if verb == "quit":
            return
        yield number, verb, rest


async def tell(peers, number, verb, rest):
    """The newest of those that there are, if none is named."""
    peer = peers.get(number or max(peers, default=0))
    if peer:
        with suppress(ConnectionClosed):  # it was shown
            await peer.command(verb, rest)


def parser(description):
    """Options that all ends have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--manual", action="store_true", help="say nothing of itself")
    return parser


async def client(kind, parser):
    """A program that connects, and again when it is told so."""
    parser.add_argument("--connect", required=True, metavar="URL", help="ws://127.0.0.1:5000")
    options, opened, tasks = parser.parse_args(), {}, []

    async def play(number):
        try:
            ws = await connect(options.connect, max_size=None)
        except OSError as error:
            return print(number, "closed", 1006, error, flush=True)
        opened[number] = kind(ws, number, options)
        await opened[number].run()

    tasks.append(asyncio.create_task(play(1)))
    async for number, verb, rest in console():
        if verb == "connect":
            tasks.append(asyncio.create_task(play(len(tasks) + 1)))
        else:
            await tell(opened, number, verb, rest)
    await asyncio.gather(*(one.ws.close() for one in opened.values()))


async def server(kind, parser):
    """A program that takes connections."""
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDR")
    options, clients = parser.parse_args(), {}

    async def serve_one(ws):
        number = len(clients) + 1
        clients[number] = kind(ws, number, options)
        await clients[number].run()

    host, _, port = options.listen.rpartition(":")
    async with serve(serve_one, host, int(port), max_size=None) as listener:
        host, port = listener.sockets[0].getsockname()
        print(f"listening on {host}:{port}", flush=True)
        async for number, verb, rest in console():
            await tell(clients, number, verb, rest)
