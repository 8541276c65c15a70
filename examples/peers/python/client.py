#!/usr/bin/env python3
"""A litecord client. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import argparse
import asyncio
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from litecord import Close, Op, Peer, console


class Client(Peer):
    acknowledged = True

    async def handle(self, message):
        match message["op"]:
            case Op.HELLO:
                await self.send({"op": Op.HELLO_ACK, "password": self.options.password})
                self.spawn(self.beat(message["hb_interval"] / 1000))
            case Op.HEARTBEAT_ACK:
                self.acknowledged = True
            case _:
                await super().handle(message)

    async def beat(self, interval):
        """A heartbeat now and at each interval, as long as they are acknowledged."""
        while self.acknowledged:
            self.acknowledged = False
            await self.send({"op": Op.HEARTBEAT})
            await asyncio.sleep(interval)
        await self.ws.close(Close.HEARTBEAT_TIMEOUT, "no heartbeat ack")


async def play(options, number, opened):
    try:
        ws = await connect(options.connect, max_size=None)
    except OSError as error:
        return print(number, "closed", 1006, error, flush=True)
    opened.append(Client(ws, number, options))
    await opened[-1].run()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connect", required=True, metavar="URL", help="ws://127.0.0.1:5000")
    parser.add_argument("--password", default="helloworld")
    parser.add_argument("--zlib", action="store_true", help="compress each message")
    parser.add_argument("--manual", action="store_true", help="say nothing of itself")
    options = parser.parse_args()

    opened, tasks = [], []
    tasks.append(asyncio.create_task(play(options, 1, opened)))
    async for verb, rest in console():
        if verb == "connect":
            tasks.append(asyncio.create_task(play(options, len(tasks) + 1, opened)))
        elif opened:
            with suppress(ConnectionClosed):  # it was shown
                await opened[-1].command(verb, rest)
    if opened:
        await opened[-1].ws.close()


asyncio.run(main())
