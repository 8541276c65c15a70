"""What both ends of litecord have in common."""

import asyncio
import json
import zlib
from enum import IntEnum

import peer
from peer import INVALID_DATA, Violation

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
    MESSAGE_TOO_BIG = 1009
    AUTHENTICATION_FAILED = 4001
    NOT_AUTHENTICATED = 4002
    HEARTBEAT_TIMEOUT = 4003


def unpack(stream):
    """The text of a message that is one zlib stream, and nothing after it."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(stream, MAX_MESSAGE + 1)
    except zlib.error as error:
        raise Violation(INVALID_DATA, str(error)) from None
    if len(data) > MAX_MESSAGE:
        raise Violation(Close.MESSAGE_TOO_BIG, "too much in a zlib stream")
    if not inflate.eof or inflate.unused_data:
        raise Violation(INVALID_DATA, "not one zlib stream")
    return data.decode()


class Peer(peer.Peer):
    """One end. `Client` and `Server` say what differs between them."""

    def __init__(self, ws, number, options):
        super().__init__(ws, number, options)
        self.nonce = 0
        self.requests = {}  # nonce → the future of its response

    async def handle(self, text):
        await self.act(peer.parse_op(text))

    async def act(self, message):
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

    def ended(self):
        for future in list(self.requests.values()):
            future.cancel()

    # The wire.

    async def receive(self, data):
        if isinstance(data, str) or not self.options.zlib:
            return await super().receive(data)
        text = unpack(data)
        self.show("<z", text)
        if not self.options.manual:
            await self.handle(text)

    async def send(self, message):
        text = json.dumps(message, separators=(",", ":"))
        await (self.send_zlib if self.options.zlib else self.send_text)(text)

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

    # The console.

    async def command(self, verb, rest):
        match verb:
            case "request":
                self.spawn(self.show_outcome(await self.request(*word_and_json(rest))))
            case "dispatch":
                what, args = word_and_json(rest)
                await self.send({"op": Op.DISPATCH, "w": what, "a": args})
            case "zlib":
                await self.send_zlib(rest)
            case _:
                await super().command(verb, rest)

    async def show_outcome(self, future):
        try:
            result = await asyncio.wait_for(future, REQUEST_TIMEOUT)
            self.show("outcome", json.dumps(result))
        except TimeoutError:
            self.show("outcome timed_out")


def word_and_json(rest):
    what, _, args = rest.partition(" ")
    return what, json.loads(args or "[]")


def parser(description):
    parser = peer.parser(description)
    parser.add_argument("--password", default="helloworld")
    parser.add_argument("--zlib", action="store_true", help="compress each message")
    return parser
