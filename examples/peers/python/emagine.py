"""What both ends of emagine have in common."""

import asyncio
import time
from enum import IntEnum

import peer
from peer import INVALID_DATA, POLICY_VIOLATION, Violation, compact


class Op(IntEnum):
    HELLO = 0
    IDENTIFY = 1
    READY = 2
    MESSAGE = 3
    HEARTBEAT = 10
    HEARTBEAT_ACK = 11


class Close(IntEnum):
    INVALID_PAYLOAD = 4001
    TIMED_OUT = 4002
    IDENTIFY_FAILED = 4003


class Peer(peer.Peer):
    """One end. `Client` and `Server` say what differs between them."""

    acknowledged = True

    async def handle(self, text):
        await self.act(peer.parse_op(text))

    async def act(self, message):
        """Does what a message of any end asks for."""
        match message["op"]:
            case Op.HEARTBEAT:
                # json keeps integers of any size. Whoever has to send back any text as it came
                # has to cut it out of the message.
                time = {"time": message["time"]} if "time" in message else {}
                await self.send({"op": Op.HEARTBEAT_ACK} | time)
            case Op.HEARTBEAT_ACK:
                self.acknowledged = True
            case Op.HELLO | Op.IDENTIFY | Op.READY | Op.MESSAGE:
                raise Violation(POLICY_VIOLATION, "out of turn, or from the wrong side")

    def close_code(self, violation):
        is_wrong = violation.code in (INVALID_DATA, POLICY_VIOLATION)
        return Close.INVALID_PAYLOAD if is_wrong else violation.code

    async def beat(self, interval):
        """A heartbeat at each interval, as long as they are acknowledged."""
        while True:
            await asyncio.sleep(interval)
            if not self.acknowledged:
                return await self.ws.close(Close.TIMED_OUT, "no heartbeat ack")
            self.acknowledged = False
            await self.heartbeat()

    async def heartbeat(self):
        await self.send({"op": Op.HEARTBEAT, "time": time.time_ns() // 1_000_000})

    # The wire.

    async def send(self, message):
        await self.send_text(compact(message))

    # The console.

    async def command(self, verb, rest):
        match verb:
            case "heartbeat":
                await self.heartbeat()
            case _:
                await super().command(verb, rest)


def parser(description):
    parser = peer.parser(description)
    parser.add_argument("--token", default="helloworld")
    return parser
