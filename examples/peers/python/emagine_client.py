#!/usr/bin/env python3
"""An emagine client. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio

import peer
from emagine import Op, Peer, parser
from peer import compact


def kind(message):
    """The op, whichever of its spellings the gateway has."""
    match message["op"]:
        case Op.READY if "message" in message:
            return Op.MESSAGE
        case Op.IDENTIFY:
            return Op.READY
    return message["op"]


class Client(Peer):
    greeted = False
    user = None

    async def act(self, message):
        match kind(message):
            case Op.HELLO if not self.greeted:
                interval = message["heartbeat_interval"]
                self.greeted = True
                await self.send({"op": Op.IDENTIFY, "token": self.options.token})
                self.spawn(self.beat(interval / 1000))
            case Op.READY if self.greeted and self.user is None:
                self.user = message["user"]
                self.show("ready", self.user)
            case Op.MESSAGE if self.user is not None:
                self.show("message", compact(message["message"]))
            case _:
                await super().act(message)


asyncio.run(peer.client(Client, parser(__doc__)))
