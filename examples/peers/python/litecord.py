"""What both ends of litecord have in common, and the console that they are played from."""

import asyncio
import json
import sys
import zlib
from contextlib import suppress
from enum import IntEnum

from websockets.exceptions import ConnectionClosed

MAX_MESSAGE = 1 << 20
REQUEST_TIMEOUT = 5


class Op(IntEnum):
    HELLO = 0
    HELLO_ACK = 1
    HEARTBEAT = 2
    HEARTBEAT_ACK = 3
    REQUEST = 4
    RESPONSE = 5
    DISPATCH = 6


class Close(IntEnum):
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    AUTHENTICATION_FAILED = 4001
    NOT_AUTHENTICATED = 4002
    HEARTBEAT_TIMEOUT = 4003


class Violation(Exception):
    """The other end broke the protocol; it is told so in a close frame."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


def unpack(stream):
    """The text of a message that is one zlib stream, and nothing after it."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(stream, MAX_MESSAGE + 1)
    except zlib.error as error:
        raise Violation(Close.INVALID_DATA, str(error)) from None
    if len(data) > MAX_MESSAGE:
        raise Violation(Close.MESSAGE_TOO_BIG, "too much in a zlib stream")
    if not inflate.eof or inflate.unused_data:
        raise Violation(Close.INVALID_DATA, "not one zlib stream")
    return data.decode()


def parse(text):
    """A message: an object with an opcode."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Violation(Close.INVALID_DATA, "not JSON") from None
    # `type` and not `isinstance`: True is an int.
    if type(message) is not dict or type(message.get("op")) is not int:
        raise Violation(Close.POLICY_VIOLATION, "no opcode")
    return message


class Peer:
    """One connection, from the side of one end. `Client` and `Server` say what they do with it."""

    def __init__(self, ws, number, options):
        self.ws, self.number, self.options = ws, number, options
        self.nonce = 0
        self.requests = {}  # nonce → the future of its response
        self.tasks = set()

    # What an end does of itself; nothing with --manual.

    async def opened(self):
        pass

    async def handle(self, message):
        """Does what a message of any end asks for."""
        match message["op"]:
            case Op.REQUEST:
                answer = self.answer(message["w"], message["a"])
                if answer is not None:
                    # json keeps integers of any size, so that the nonce goes back as it came.
                    await self.send({"op": Op.RESPONSE, "n": message["n"], "r": answer})
            case Op.RESPONSE:
                nonce, result = message["n"], message["r"]
                # 1, "1" and true are different nonces, but Python's dict would find 1 by True.
                if type(nonce) is int and nonce in self.requests:
                    self.requests.pop(nonce).set_result(result)
                else:
                    self.show("stray", json.dumps(nonce))

    def answer(self, what, args):
        match what:
            case "VERSION":
                return {"name": "litecord.py"}
            case "ECHO":
                return args
            case "SILENCE":
                return None
        return {"error": "unknown request"}

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
            await self.ws.close(violation.code, str(violation))
        except KeyError as key:
            await self.ws.close(Close.POLICY_VIOLATION, f"no {key}")
        except ConnectionClosed:
            pass
        for task in self.tasks:
            task.cancel()
        for future in list(self.requests.values()):
            future.cancel()
        self.show("closed", self.ws.close_code, self.ws.close_reason)

    async def receive(self, data):
        if isinstance(data, str):
            text = data
            self.show("<", text)
        elif self.options.zlib:
            text = unpack(data)
            self.show("<z", text)
        else:
            self.show("<b", data.hex())
            if not self.options.manual:
                raise Violation(Close.UNSUPPORTED_DATA, "a binary message")
            return
        if not self.options.manual:
            await self.handle(parse(text))

    async def send(self, message):
        text = json.dumps(message, separators=(",", ":"))
        await (self.send_zlib if self.options.zlib else self.send_text)(text)

    async def send_text(self, text):
        self.show(">", text)
        await self.ws.send(text)

    async def send_zlib(self, text):
        self.show(">z", text)
        await self.ws.send(zlib.compress(text.encode()))

    async def request(self, what, args):
        """Asks, and gives the future of the response; it is cancelled if the connection ends."""
        self.nonce += 1
        nonce, future = self.nonce, asyncio.get_running_loop().create_future()
        self.requests[nonce] = future
        future.add_done_callback(lambda _: self.requests.pop(nonce, None))
        await self.send({"op": Op.REQUEST, "w": what, "a": args, "n": nonce})
        return future

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
            case "request":
                self.spawn(self.show_outcome(await self.request(*word_and_json(rest))))
            case "dispatch":
                what, args = word_and_json(rest)
                await self.send({"op": Op.DISPATCH, "w": what, "a": args})
            case "text":
                await self.send_text(rest)
            case "zlib":
                await self.send_zlib(rest)
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

    async def show_outcome(self, future):
        try:
            result = await asyncio.wait_for(future, REQUEST_TIMEOUT)
            self.show("outcome", json.dumps(result))
        except TimeoutError:
            self.show("outcome timed_out")

    async def show_pong(self, future, data):
        await future
        self.show("pong", data)


def word_and_json(rest):
    what, _, args = rest.partition(" ")
    return what, json.loads(args or "[]")


async def console():
    """The lines of stdin, each as its first word and the rest."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode():
        verb, _, rest = line.rstrip("\n").partition(" ")
        if verb == "quit":
            return
        yield verb, rest
