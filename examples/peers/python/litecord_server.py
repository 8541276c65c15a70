#!/usr/bin/env python3
"""A litecord server. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio
import hmac

import peer
from litecord import Close, Op, Peer, parser
from peer import POLICY_VIOLATION, Violation

GRACE = 1


class Server(Peer):
    authenticated = False

    async def opened(self):
        self.heard = asyncio.Event()
        interval = self.options.heartbeat_interval
        await self.send({"op": Op.HELLO, "hb_interval": round(interval * 1000)})
        self.spawn(self.watch(interval + GRACE))

    async def act(self, message):
        match message["op"]:
            case Op.HELLO_ACK:
                if self.authenticated:
                    raise Violation(POLICY_VIOLATION, "a second HELLO_ACK")
                said, right = message["password"], self.options.password
                if not hmac.compare_digest(said.encode(), right.encode()):
                    raise Violation(Close.AUTHENTICATION_FAILED, "wrong password")
                self.authenticated = True
            case Op.HELLO | Op.HEARTBEAT_ACK:
                raise Violation(POLICY_VIOLATION, "from the wrong side")
            case Op.HEARTBEAT | Op.REQUEST | Op.RESPONSE | Op.DISPATCH if not self.authenticated:
                raise Violation(Close.NOT_AUTHENTICATED, "no password yet")
            case Op.HEARTBEAT:
                self.heard.set()
                await self.send({"op": Op.HEARTBEAT_ACK})
            case _:
                await super().act(message)

    async def watch(self, patience):
        """Until no heartbeat has come for so long."""
        try:
            while True:
                await asyncio.wait_for(self.heard.wait(), patience)
                self.heard.clear()
        except TimeoutError:
            await self.ws.close(Close.HEARTBEAT_TIMEOUT, "no heartbeat")


options = parser(__doc__)
options.add_argument("--heartbeat-interval", type=float, default=10, metavar="SECONDS")
asyncio.run(peer.server(Server, options))
