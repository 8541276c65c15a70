#!/usr/bin/env python3
"""A litecord server. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import argparse
import asyncio
import hmac
from contextlib import suppress

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from litecord import Close, Op, Peer, Violation, console

GRACE = 1


class Server(Peer):
    authenticated = False

    async def opened(self):
        self.heard = asyncio.Event()
        interval = self.options.heartbeat_interval
        await self.send({"op": Op.HELLO, "hb_interval": round(interval * 1000)})
        self.spawn(self.watch(interval + GRACE))

    async def handle(self, message):
        match message["op"]:
            case Op.HELLO_ACK:
                if self.authenticated:
                    raise Violation(Close.POLICY_VIOLATION, "a second HELLO_ACK")
                said, right = message["password"], self.options.password
                if not hmac.compare_digest(said.encode(), right.encode()):
                    raise Violation(Close.AUTHENTICATION_FAILED, "wrong password")
                self.authenticated = True
            case Op.HELLO | Op.HEARTBEAT_ACK:
                raise Violation(Close.POLICY_VIOLATION, "from the wrong side")
            case Op.HEARTBEAT | Op.REQUEST | Op.RESPONSE | Op.DISPATCH if not self.authenticated:
                raise Violation(Close.NOT_AUTHENTICATED, "no password yet")
            case Op.HEARTBEAT:
                self.heard.set()
                await self.send({"op": Op.HEARTBEAT_ACK})
            case _:
                await super().handle(message)

    async def watch(self, patience):
        """Until no heartbeat has come for so long."""
        try:
            while True:
                await asyncio.wait_for(self.heard.wait(), patience)
                self.heard.clear()
        except TimeoutError:
            await self.ws.close(Close.HEARTBEAT_TIMEOUT, "no heartbeat")


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDR")
    parser.add_argument("--password", default="helloworld")
    parser.add_argument("--heartbeat-interval", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--zlib", action="store_true", help="compress each message")
    parser.add_argument("--manual", action="store_true", help="say nothing of itself")
    options = parser.parse_args()

    clients = []

    async def serve_one(ws):
        clients.append(Server(ws, len(clients) + 1, options))
        await clients[-1].run()

    host, _, port = options.listen.rpartition(":")
    async with serve(serve_one, host, int(port), max_size=None) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening on {host}:{port}", flush=True)
        async for verb, rest in console():
            if clients:
                with suppress(ConnectionClosed):  # it was shown
                    await clients[-1].command(verb, rest)


asyncio.run(main())
