#!/usr/bin/env python3
"""Honest clients of one of the servers, each with one round trip after the other, measured.

Says `ready`, takes `during` and `stop` from stdin, and prints what it has measured as JSON.
"""

import argparse
import asyncio
import base64
import json
import logging
import sys
import time
from contextlib import suppress

sys.dont_write_bytecode = True

import tcp  # noqa: E402
import websocket as ws  # noqa: E402

# From one round trip of a client to its next, in seconds.
INTERVAL = 0.1
# What takes longer than this has no answer.
ANSWER_TIME = 5


class Client:
    """Does what its protocol asks of a client, and one round trip when it is told to."""

    # What it hears, of which only this is wanted.
    connection = None

    def __init__(self, number):
        self.number = number
        self.answers = {}
        self.others = []
        self.outgoing = bytearray()

    async def open(self, address):
        streams = await asyncio.open_connection(*address, limit=1 << 18)
        self.wire = self.connection(streams, None, time.monotonic(), self.number)
        await self.enter()
        self.reading = asyncio.create_task(self.read())

    async def enter(self):
        """Up to where round trips can begin."""

    def ask(self, number):
        """Sends what an answer is to come to."""
        raise NotImplementedError

    def hear(self, said):
        """Looks at what has come."""
        raise NotImplementedError

    def send(self, data):
        """By itself; `reply` is for what answers something."""
        self.wire.writer.write(data)

    def reply(self, data):
        self.outgoing += data

    def answer(self, number):
        if (waiting := self.answers.pop(number, None)) and not waiting.done():
            waiting.set_result(time.perf_counter())

    async def read(self):
        """To the end, which shouldn't come."""
        wire = self.wire
        try:
            while True:
                while (said := wire.parse()) is not None:
                    wire.note(said)
                    self.hear(said)
                # What answers all that has come goes in one piece.
                if self.outgoing:
                    wire.writer.write(bytes(self.outgoing))
                    self.outgoing.clear()
                if not (data := await wire.reader.read(1 << 18)):
                    wire.is_over = "end of stream"
                    return
                wire.data += data
        except ConnectionError:
            wire.is_over = "reset"

    async def round_trip(self, number):
        """How long it takes; `None` if no answer comes in time."""
        waiting = asyncio.get_running_loop().create_future()
        self.answers[number] = waiting
        start = time.perf_counter()
        self.ask(number)
        await asyncio.wait([waiting, self.reading], timeout=ANSWER_TIME,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        self.answers.pop(number, None)
        return waiting.result() - start if waiting.done() else None


class Bingo(Client):
    """Asks who plays."""

    connection = tcp.Bingo

    async def enter(self):
        await self.wire.send(tcp.identify(f"honest {self.number}"))
        await self.wire.hear(lambda said: said[0] == 0x02)
        self.last = 0

    def next_id(self):
        self.last = self.last % 0x7FFF + 1
        return self.last

    def ask(self, number):
        id = self.next_id()
        self.asked = id, number
        self.send(tcp.frame(4, id, tcp.PLAYERS))

    def hear(self, said):
        opcode, id, payload = said
        if opcode == 0x03:
            self.reply(tcp.frame(5, self.next_id(), id.to_bytes(2)))
        elif opcode == 0x05 and int.from_bytes(payload[:2]) == self.asked[0]:
            self.answer(self.asked[1])


class Delimchat(Client):
    """Says something to the echo, and acknowledges what comes back and what others say."""

    connection = tcp.Delimchat

    async def enter(self):
        await self.wire.login()

    def ask(self, number):
        said = base64.b64encode(b"%d" % number)
        self.send(tcp.packet(80, number.to_bytes(4), tcp.ECHO, said))

    def hear(self, said):
        match said:
            case {"type": "short_message_delivery", "unique_id": id}:
                self.reply(tcp.packet(84, bytes.fromhex(id)))
                if said["room"] == tcp.ECHO.hex():
                    self.answer(int(base64.b64decode(said["message"])))
            case {"type": "long_message_delivery_head", "unique_id": id, "remaining": parts}:
                self.long = id, parts
            case {"type": "long_message_delivery_next", "unique_id": id, "number": number}:
                if (id, number) == self.long:
                    self.reply(tcp.packet(96, bytes.fromhex(id)))


class WebSocketClient(Client):
    async def tick(self, interval, beat):
        while True:
            self.send(beat)
            await asyncio.sleep(interval)

    def hear(self, said):
        if said[0] == ws.TEXT:
            for line in said[1].splitlines():
                self.heard(json.loads(line))


class Litecord(WebSocketClient):
    """Has its words sent back."""

    connection = ws.Litecord

    async def enter(self):
        await self.wire.login()
        self.beating = asyncio.create_task(self.tick(ws.HEARTBEAT_INTERVAL, ws.BEAT))

    def ask(self, number):
        self.send(ws.request("ECHO", ["well"], number))

    def heard(self, said):
        if said["op"] == 5:
            self.answer(said["n"])
        elif said["op"] == 4:
            self.reply(ws.text({"op": 5, "n": said["n"], "r": {"name": "honest"}}))


class Emagine(WebSocketClient):
    """Sends a Heartbeat more often than it has to."""

    connection = ws.Emagine

    async def enter(self):
        await self.wire.login()

    def ask(self, number):
        self.send(ws.text({"op": 10, "time": number}))

    def heard(self, said):
        if said["op"] == 10:
            self.reply(ws.text({"op": 11, "time": said["time"]}))
        elif said["op"] == 11:
            self.answer(said["time"])


class Roomvars(WebSocketClient):
    """Sets what another hears: two share a room."""

    connection = ws.Roomvars

    async def enter(self):
        room, self.own = self.number // 2, "ab"[self.number % 2]
        self.partner = self.others[self.number ^ 1]
        await self.wire.upgrade()
        username = f"honest {self.number}"
        self.send(ws.handshake(f"honest {room}", username, {"a": "", "b": ""}))

    def ask(self, number):
        self.send(ws.set_to(str(number), self.own))

    def heard(self, said):
        if said["variable"] == self.partner.own and said["value"]:
            self.partner.answer(int(said["value"]))


KINDS = {
    "bingo": Bingo,
    "delimchat": Delimchat,
    "litecord": Litecord,
    "emagine": Emagine,
    "roomvars": Roomvars,
}


class Measured:
    """What one phase has shown."""

    def __init__(self):
        self.latencies, self.unanswered = [], 0

    def report(self):
        self.latencies.sort()
        count = len(self.latencies)
        at = lambda part: self.latencies[min(int(count * part), count - 1)] * 1000  # noqa: E731
        times = {"median": at(0.5), "p99": at(0.99), "max": at(1)} if count else {}
        return {"round_trips": count, "unanswered": self.unanswered, **times}


class Crowd:
    def __init__(self, kind, count):
        self.clients = [kind(number) for number in range(count)]
        for client in self.clients:
            client.others = self.clients
        self.phases = {"before": Measured()}
        self.now = self.phases["before"]
        self.lost = {}

    async def play(self, client):
        loop = asyncio.get_running_loop()
        due = loop.time() + INTERVAL * client.number / len(self.clients)
        number = 0
        while True:
            await asyncio.sleep(due - loop.time())
            number += 1
            # A late one counts where it began.
            phase, took = self.now, await client.round_trip(number)
            if client.reading.done():
                error = client.reading.exception()
                self.lost[client.number] = str(error or client.wire.how)
                return
            if took is None:
                phase.unanswered += 1
            else:
                phase.latencies.append(took)
            due = max(loop.time(), due + INTERVAL)

    async def run(self, address):
        await asyncio.gather(*(client.open(address) for client in self.clients))
        playing = [asyncio.create_task(self.play(client)) for client in self.clients]
        print("ready", flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := (await reader.readline()).decode().strip():
            if line == "stop":
                break
            self.now = self.phases[line] = Measured()
        for one in playing:
            one.cancel()
        ended = await asyncio.gather(*playing, return_exceptions=True)
        for error in ended:
            if error and not isinstance(error, asyncio.CancelledError):
                raise error
        for client in self.clients:
            client.reading.cancel()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", choices=KINDS)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--clients", type=int, default=20)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    crowd = Crowd(KINDS[options.server], options.clients)
    with suppress(KeyboardInterrupt):
        asyncio.run(crowd.run((host, int(port))))
    phases = {name: phase.report() for name, phase in crowd.phases.items()}
    print(json.dumps({"phases": phases, "lost": crowd.lost}), flush=True)


if __name__ == "__main__":
    main()
