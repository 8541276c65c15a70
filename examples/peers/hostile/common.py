"""What hostile peers have in common: a connection, the list of misbehaviours, and the crowd."""

import argparse
import asyncio
import itertools
import json
import logging
import os
import re
import socket
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Callable

# How long to wait for what should come at once, on a busy machine.
PATIENCE = 20
# How long the drivers wait for a peer to close.
CLOSING_TIME = 2
# How much earlier a time-out may be seen.
EARLY = 0.05
# How long what is allowed goes on.
DWELL = 3
# How long one connection floods.
FLOOD_TIME = 5
# What is under way at the end has so long to be ended by the server.
GRACE = 2.5


class Wrong(Exception):
    """The server does otherwise than its SPEC.md has it."""


class TurnedOut(Exception):
    """The server has turned it out as too slow, as hostile peers may be without meaning it."""


class Silent(Wrong):
    """It says nothing for too long."""


class Connection:
    """One, to misbehave on. Each protocol says how what comes is read."""

    # What the server gives for its end, where the protocol has words for it.
    reason = b""

    def __init__(self, streams, crowd, start, number):
        self.reader, self.writer = streams
        self.crowd, self.number = crowd, number
        self.data = bytearray()
        # The server's last word, and whether its end has come.
        self.word, self.is_over = None, False
        # From before the server can have seen it.
        self.start = start

    def parse(self):
        """Takes the first thing that was said off the data; `None` if it isn't whole."""
        raise NotImplementedError

    def note(self, said):
        """Keeps the server's last word, if it is one."""

    def is_too_slow(self):
        """Whether it has been turned out as that, by what can be seen."""
        return self.reason == b"too slow"

    def wrong(self, what):
        return TurnedOut() if self.is_too_slow() else Wrong(f"{what}: {self.how}")

    @property
    def how(self):
        """How it has ended."""
        return self.word or (self.is_over or "by us")

    def since(self):
        return time.monotonic() - self.start

    async def send(self, *pieces):
        """If the server doesn't take it any more, its end is read next."""
        with suppress(ConnectionError):
            self.writer.write(b"".join(pieces))
            await self.writer.drain()

    async def trickle(self, data, pause=0.5):
        """A byte at a time, until the server has had enough."""
        with suppress(ConnectionError):
            for byte in data:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                with suppress(Silent):
                    if await self.next(pause) is None:
                        return

    async def half_close(self):
        with suppress(OSError):
            self.writer.write_eof()

    def reset(self):
        """Ends the connection as a crash would."""
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):
            self.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
        self.writer.transport.abort()

    async def next(self, within=PATIENCE):
        """What the server says next; `None` at its end."""
        try:
            async with asyncio.timeout(max(within, 0.001)):
                while (said := self.parse()) is None:
                    if self.is_over:
                        return None
                    if data := await self.reader.read(65536):
                        self.data += data
                    else:
                        self.is_over = "end of stream"
        except TimeoutError:
            raise Silent(f"silent for {within:.1f} s after {self.word}") from None
        except ConnectionError:
            self.is_over = "reset"
            return None
        self.note(said)
        return said

    async def hear(self, wanted, within=PATIENCE):
        """The next thing for which this is true; what comes before it is skipped."""
        until = time.monotonic() + within
        while (said := await self.next(until - time.monotonic())) is not None:
            if wanted(said):
                return said
        raise self.wrong("ended too early")

    async def ends(self, *hows, after=0.0):
        """The server ends it, in one of these ways, so many seconds after the connection began."""
        until = max(time.monotonic(), self.start + after) + PATIENCE
        while await self.next(until - time.monotonic()) is not None:
            pass
        if self.how not in hows:
            raise self.wrong(f"ended in place of {' or '.join(hows)}")
        if self.since() < after - EARLY:
            raise Wrong(f"ended after {self.since():.1f} s, not {after:g}")

    async def stays(self, seconds=DWELL):
        """The server doesn't end it."""
        until = time.monotonic() + seconds
        with suppress(Silent):
            while await self.next(until - time.monotonic()) is not None:
                pass
            raise self.wrong("ended, though it is allowed")

    async def flood(self, chunks, *hows, seconds=FLOOD_TIME, reads=True):
        """Writes the same or all of these as fast as the socket takes it.

        The server bears it, or ends it in one of these ways.
        """
        reading = asyncio.create_task(self.skip()) if reads else None
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                for chunk in itertools.repeat(chunks) if isinstance(chunks, bytes) else chunks:
                    if self.is_over:
                        break
                    self.writer.write(chunk)
                    await self.writer.drain()
                    self.crowd.flooded += len(chunk)
                    await asyncio.sleep(0)
        if reading:
            reading.cancel()
            await asyncio.wait([reading])
        with suppress(Silent):
            # What it said last, if it has had enough.
            while await self.next(0.5) is not None:
                pass
        # On a busy machine it may have run into a time-out.
        if not self.is_over or self.since() > self.crowd.server.longest:
            return
        if self.how not in ("reset", *hows) or not hows:
            raise self.wrong("ended")

    async def skip(self):
        """Reads what there is."""
        with suppress(Wrong):
            while await self.next(60) is not None:
                pass


@dataclass
class Misbehaviour:
    """One way to be a nuisance, and what it breaks: a number of SPEC.md, RFC 6455 or HTTP."""

    rule: str
    what: str
    act: Callable

    def __str__(self):
        return f"{self.rule}: {self.what}"


@dataclass
class Server:
    """One of the examples, how it is started, and what is done to it."""

    name: str
    connection: type
    # Short times, so that their ends are seen.
    options: tuple
    # The longest of its time-outs, in seconds.
    longest: float
    misbehaviours: list = field(default_factory=list)
    floods: list = field(default_factory=list)

    def does(self, rule, what):
        """Adds a misbehaviour."""

        def add(act):
            self.misbehaviours.append(Misbehaviour(rule, what, act))
            return act

        return add

    def floods_with(self, rule, what):
        def add(act):
            self.floods.append(Misbehaviour(rule, what, act))
            return act

        return add


class Crowd:
    """Many connections at a time, each of which misbehaves and is followed by another."""

    def __init__(self, server, address):
        self.server, self.address = server, address
        self.numbers = itertools.count(1)
        self.flooded = 0
        self.made = 0
        self.lag, self.turned_out = 0.0, 0
        self.ends, self.faults, self.done = Counter(), Counter(), Counter()
        self.is_on = True

    async def misbehave(self, one):
        self.made += 1
        start = time.monotonic()
        streams = await asyncio.open_connection(*self.address, limit=4096)
        connection = self.server.connection(streams, self, start, next(self.numbers))
        try:
            await one.act(connection)
            self.done[str(one)] += 1
        except TurnedOut:
            self.turned_out += 1
        except Wrong as wrong:
            self.faults[f"{one}: {wrong}"] += 1
        finally:
            self.ends[connection.how] += 1
            connection.writer.transport.abort()

    async def worker(self, kinds):
        while self.is_on:
            try:
                await self.misbehave(next(kinds))
            except OSError as error:
                self.faults[f"can't connect: {error!r}"] += 1
                await asyncio.sleep(0.1)

    async def watch(self):
        """How long this waits for a turn: what takes longer is no fault of the server's."""
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.1)
            self.lag = max(self.lag, time.monotonic() - start - 0.1)

    async def run(self, seconds, connections, flooders):
        shares = (
            (self.server.floods, flooders),
            (self.server.misbehaviours, connections - flooders),
        )
        workers = []
        for kinds, count in shares:
            cycle = itertools.cycle(kinds)
            workers += [
                asyncio.create_task(self.worker(cycle)) for _ in range(count if kinds else 0)
            ]
        watching = asyncio.create_task(self.watch())
        try:
            await asyncio.sleep(seconds)
            self.is_on = False
            await asyncio.wait(workers, timeout=GRACE)
        finally:
            watching.cancel()
            for worker in workers:
                worker.cancel()
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if error and not isinstance(error, asyncio.CancelledError):
                raise error

    def report(self):
        every = [str(one) for one in self.server.misbehaviours + self.server.floods]
        return {
            "made": self.made,
            "flooded": self.flooded,
            "lag": self.lag,
            "turned_out": self.turned_out,
            "ends": dict(self.ends.most_common()),
            "faults": dict(self.faults),
            "unseen": [one for one in every if not self.done[one]],
        }


def unless_orphaned(task):
    """Ends with whoever has started this."""

    def look():
        if not os.read(0, 1024):
            task.cancel()

    # /dev/null can't be waited for.
    with suppress(PermissionError):
        asyncio.get_running_loop().add_reader(0, look)


def main(description, servers):
    """The program: misbehaves, and prints what came of it as JSON."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("server", choices=servers)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--flooders", type=int, default=8, help="of the connections")
    parser.add_argument("--only", default="", metavar="REGEX", help="of the misbehaviours")
    options = parser.parse_args()
    # It warns of connections that end while they are written to.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # What is measured is the server, and not this.
    os.nice(19)
    host, _, port = options.address.rpartition(":")
    server = servers[options.server]
    for kinds in (server.misbehaviours, server.floods):
        kinds[:] = [one for one in kinds if re.search(options.only, str(one))]
    crowd = Crowd(server, (host, int(port)))

    async def run():
        unless_orphaned(asyncio.current_task())
        await crowd.run(options.seconds, options.connections, options.flooders)

    try:
        asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")
    print(json.dumps(crowd.report()))
