#!/usr/bin/env python3
"""A litecord client. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio

import peer
from litecord import Close, Op, Peer, parser


class Client(Peer):
    acknowledged = True

    async def act(self, message):
        match message["op"]:
            case Op.HELLO:
                await self.send({"op": Op.HELLO_ACK, "password": self.options.password})
                self.spawn(self.beat(message["hb_interval"] / 1000))
            case Op.HEARTBEAT_ACK:
                self.acknowledged = True
            case _:
                await super().act(message)

    async def beat(self, interval):
        """A heartbeat now and at each interval, as long as they are acknowledged."""
        while self.acknowledged:
            self.acknowledged = False
            await self.send({"op": Op.HEARTBEAT})
            await asyncio.sleep(interval)
        await self.ws.close(Close.HEARTBEAT_TIMEOUT, "no heartbeat ack")


asyncio.run(peer.client(Client, parser(__doc__)))
