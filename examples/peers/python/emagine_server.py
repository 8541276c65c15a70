#!/usr/bin/env python3
"""An emagine server. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio
import hmac
import json

import peer
from emagine import Close, Op, Peer, parser
from peer import Violation


class Server(Peer):
    identified = False

    async def opened(self):
        interval = self.options.heartbeat_interval
        await self.send({"op": Op.HELLO, "heartbeat_interval": round(interval * 1000)})
        self.spawn(self.beat(interval))

    async def act(self, message):
        match message["op"]:
            case Op.IDENTIFY if not self.identified:
                said, right = message["token"], self.options.token
                if not hmac.compare_digest(said.encode(), right.encode()):
                    raise Violation(Close.IDENTIFY_FAILED, "identify failed")
                self.identified = True
                await self.send({"op": Op.READY, "user": self.options.user})
            case _:
                await super().act(message)

    async def command(self, verb, rest):
        match verb:
            case "message":
                await self.send({"op": Op.MESSAGE, "message": json.loads(rest)})
            case _:
                await super().command(verb, rest)


options = parser(__doc__)
options.add_argument("--user", default="ada")
options.add_argument("--heartbeat-interval", type=float, default=45, metavar="SECONDS")
asyncio.run(peer.server(Server, options))
