"""What scenarios are made of: processes, what they print, and the list of scenarios."""

import asyncio
import gzip
import json
import re
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

# How long to wait for something that should come at once, on a busy machine.
PATIENCE = 15
LONGEST_LINE = 1 << 25


class Failed(Exception):
    pass


@dataclass
class Tools:
    """Where everything is."""

    binaries: Path
    python: Path
    python_scripts: Path
    node_scripts: Path

    def peer(self, language, role):
        if language == "python":
            return [self.python, "-B", self.python_scripts / f"{role}.py"]
        return ["node", self.node_scripts / f"{role}.mjs"]


def shown(text):
    return text if len(text) <= 200 else f"{text[:90]} … ({len(text)} characters) … {text[-30:]}"


class Child:
    """A process that prints lines. Each is looked at once, in order; those between are skipped."""

    @classmethod
    async def start(cls, name, command):
        child = cls()
        child.name = name
        child.lines, child.at, child.complaints = [], 0, ""
        child.more = asyncio.Condition()
        pipe = asyncio.subprocess.PIPE
        child.process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LONGEST_LINE
        )
        child.readers = [asyncio.create_task(child.read()), asyncio.create_task(child.listen())]
        return child

    async def read(self):
        while line := await self.process.stdout.readline():
            async with self.more:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.more.notify_all()
        async with self.more:
            self.lines.append(None)
            self.more.notify_all()

    async def listen(self):
        self.complaints = (await self.process.stderr.read()).decode(errors="replace")

    def tell(self, line):
        self.process.stdin.write(f"{line}\n".encode())

    def find(self, wanted):
        """Where it is and what, from the cursor on; (…, None) if it can't come any more."""
        for at in range(self.at, len(self.lines)):
            line = self.lines[at]
            if line is not None:
                match = line == wanted if isinstance(wanted, str) else wanted.fullmatch(line)
                if match:
                    return at, match
            if line is None or self.is_last(line):
                return at, None
        return None

    def is_last(self, line):
        """Whether nothing of interest follows."""
        return False

    async def see(self, wanted, within=PATIENCE):
        """The next line that is this, or matches it; what comes before it is skipped."""
        start, found = self.at, None
        try:
            async with asyncio.timeout(within), self.more:
                while not (found := self.find(wanted)):
                    await self.more.wait()
        except TimeoutError:
            pass
        if not found or found[1] is None:
            wanted = wanted if isinstance(wanted, str) else wanted.pattern
            seen = [shown(line or "(end)") for line in self.lines[start:][-6:]]
            raise Failed(f"{self.name} didn't print {shown(wanted)!r}; but {seen or 'nothing'}")
        self.at = found[0] + 1
        return found[1]

    async def see_all(self, *wanted, within=PATIENCE):
        """All of these, in any order."""
        start, last = self.at, self.at
        for one in wanted:
            self.at = start
            await self.see(one, within)
            last = max(last, self.at)
        self.at = last

    async def never(self, wanted, during):
        """Nothing more that matches, for a time."""
        await asyncio.sleep(during)
        if (found := self.find(wanted)) and found[1] is not None:
            raise Failed(f"{self.name} printed {shown(self.lines[found[0]])!r}")

    def count(self, wanted):
        """How many lines so far match."""
        return sum(1 for line in self.lines if line is not None and wanted.fullmatch(line))

    async def exit(self, within=PATIENCE):
        try:
            async with asyncio.timeout(within):
                return await self.process.wait()
        except TimeoutError:
            raise Failed(f"{self.name} goes on running") from None

    async def stop(self):
        """Ends its stdin, then asks it to end, then makes it."""
        ways = [(self.process.stdin.close, 1), (self.process.terminate, 3), (self.process.kill, 3)]
        # The server doesn't look at its stdin.
        for end, patience in ways[self.name == "litecord-server" :]:
            if self.process.returncode is None:
                end()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.process.wait(), patience)
        for reader in self.readers:
            with suppress(TimeoutError, ValueError):
                await asyncio.wait_for(reader, 3)


class Peer(Child):
    """One of ours in Python or Node. Its newest connection is what is talked of."""

    number = 1

    async def connected(self):
        await self.see(f"{self.number} connected")

    async def next_connection(self):
        self.number += 1
        await self.connected()

    def is_last(self, line):
        return line.startswith(f"{self.number} closed")

    def line(self, rest):
        return re.compile(rf"{self.number} {rest}", re.DOTALL)

    async def hears(self, text, kind="<", within=PATIENCE):
        """A message, exactly this."""
        await self.see(f"{self.number} {kind} {text}", within)

    async def hears_all(self, *texts, kind="<"):
        await self.see_all(*(f"{self.number} {kind} {text}" for text in texts))

    async def hears_nothing(self, during=0.3):
        await self.never(self.line("<.*"), during)

    async def closed(self, code, reason=".*", within=PATIENCE):
        await self.see(self.line(f"closed {code} ?{reason}"), within)

    def says(self, text):
        self.tell(f"text {text}")

    def fragments(self, *parts):
        """A text in such pieces; None is a ping between them."""
        words = ("ping" if part is None else part.hex() for part in parts)
        self.tell("fragments " + " ".join(words))

    def binary(self, data):
        self.tell(f"binary {data.hex()}")


@dataclass
class Stage:
    """What one run of a scenario has: its processes, and what went wrong."""

    tools: Tools
    language: str
    driver: str | None
    children: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    async def start(self, kind, command, options):
        script = next(word for word in reversed(command) if isinstance(word, Path))
        child = await kind.start(script.name, [str(word) for word in (*command, *options)])
        self.children.append(child)
        return child

    async def listening(self, kind, command, options):
        child = await self.start(kind, command, options)
        child.address = (await child.see(re.compile(r"listening on (.*:\d+)")))[1]
        return child

    async def litecord_server(self, *options):
        command = [self.tools.binaries / "litecord-server", "--listen", "127.0.0.1:0"]
        return await self.listening(Child, command, ("--driver", self.driver, *options))

    async def litecord_client(self, server, *options):
        command = [self.tools.binaries / "litecord-client", "--connect", f"ws://{server.address}"]
        return await self.start(Child, command, options)

    async def server(self, *options, language=None):
        """A server of ours."""
        command = self.tools.peer(language or self.language, "server")
        return await self.listening(Peer, command, options)

    async def client(self, server, *options, language=None):
        """A client of ours, connected."""
        command = self.tools.peer(language or self.language, "client")
        url = f"ws://{server.address}/any/path"
        child = await self.start(Peer, command, ("--connect", url, *options))
        await child.connected()
        return child

    @contextmanager
    def case(self, name):
        """One row of a table: the others are tried even if it fails."""
        try:
            yield
        except Failed as failure:
            self.failures.append(f"{shown(name)}: {failure}")

    async def strike(self):
        """Stops everything, and looks at what it leaves behind."""
        for child in reversed(self.children):
            await child.stop()
            said, status = child.complaints.strip(), child.process.returncode
            if "panicked" in said or (said and isinstance(child, Peer)):
                self.failures.append(f"{child.name} says {said[-1500:]}")
            if child.name == "litecord-server" and status != 0:
                self.failures.append(f"{child.name} ends with {status}")


@dataclass
class Scenario:
    """One of the lines that are printed."""

    title: str
    act: Callable
    language: str
    driver: str | None = None

    async def play(self, tools, limit):
        """Gives what went wrong."""
        stage = Stage(tools, self.language, self.driver)
        try:
            async with asyncio.timeout(limit):
                await self.act(stage)
        except Failed as failure:
            stage.failures.append(str(failure))
        except TimeoutError:
            stage.failures.append(f"took longer than {limit} s")
        finally:
            await asyncio.shield(stage.strike())
        return stage.failures


SCENARIOS = []
LANGUAGES = ("python", "node")
DRIVERS = ("tungstenite", "axum")


def against_server(name, languages=LANGUAGES):
    """A scenario of our clients with litecord-server, once for each of its drivers."""

    def add(act):
        for driver in DRIVERS:
            for language in languages:
                title = f"{language} client → litecord-server {driver}: {name}"
                SCENARIOS.append(Scenario(title, act, language, driver))
        return act

    return add


def against_client(name):
    """A scenario of our servers with litecord-client."""

    def add(act):
        for language in LANGUAGES:
            title = f"litecord-client → {language} server: {name}"
            SCENARIOS.append(Scenario(title, act, language))
        return act

    return add


def among_peers(name):
    """A scenario of our clients with our servers, in the other language."""

    def add(act):
        for language, other in (LANGUAGES, LANGUAGES[::-1]):
            title = f"{language} client → {other} server: {name}"
            SCENARIOS.append(Scenario(title, act, language))
        return act

    return add


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def deflate(text, flush=zlib.Z_NO_FLUSH, **options):
    """Made of two pieces, with such a flush between them."""
    data = text if isinstance(text, bytes) else text.encode()
    stream, half = zlib.compressobj(**options), len(data) // 2
    pieces = stream.compress(data[:half]), stream.flush(flush) if flush else b""
    return b"".join(pieces) + stream.compress(data[half:]) + stream.flush()


# JSON that is malformed, or that the protocol forbids whoever says it, and the close code for it.
MALFORMED = {
    "nothing": ("", 1007),
    "no JSON": ("hello", 1007),
    "a byte order mark": ('\ufeff{"op":2}', 1007),
    "a space of another kind": ('\u00a0{"op":2}', 1007),
    "half an object": ('{"op":2', 1007),
    "a comma too many": ('{"op":2,}', 1007),
    "something after it": ('{"op":2} {"op":2}', 1007),
    "single quotes": ("{'op':2}", 1007),
    "NaN": ('{"op":4,"w":"ECHO","a":[NaN],"n":1}', 1007),
    "a number with a leading zero": ('{"op":02}', 1007),
    "an array": ('[{"op":2}]', 1008),
    "a number": ("2", 1008),
    "null": ("null", 1008),
    "no op": ('{"w":"ECHO","a":[],"n":1}', 1008),
    "op 4.0": ('{"op":4.0,"w":"ECHO","a":[],"n":1}', 1008),
    'op "4"': ('{"op":"4","w":"ECHO","a":[],"n":1}', 1008),
    "op -1": ('{"op":-1}', 1008),
    "op 256": ('{"op":256}', 1008),
    "op null": ('{"op":null}', 1008),
    "op twice": ('{"op":6,"w":"x","a":[],"op":6}', 1008),
    "w twice": ('{"op":6,"w":"x","a":[],"w":"x"}', 1008),
    "w twice, once escaped": ('{"op":6,"w":"x","a":[],"\\u0077":"x"}', 1008),
    "r twice, which op 6 has not": ('{"op":6,"w":"x","a":[],"r":1,"r":1}', 1008),
    "no w": ('{"op":4,"a":[],"n":1}', 1008),
    "no a": ('{"op":4,"w":"ECHO","n":1}', 1008),
    "no n": ('{"op":4,"w":"ECHO","a":[]}', 1008),
    "w half a character": ('{"op":6,"w":"\\ud800","a":[]}', 1008),
    "w a number": ('{"op":4,"w":1,"a":[],"n":1}', 1008),
    "a response without n": ('{"op":5,"r":1}', 1008),
    "a response without r": ('{"op":5,"n":1}', 1008),
    "a dispatch without a": ('{"op":6,"w":"x"}', 1008),
    "129 levels": ('{"op":6,"w":"x","a":' + "[" * 128 + "]" * 128 + "}", 1008),
    "129 levels under an unknown key": (
        '{"op":6,"w":"x","a":[],"x":' + '{"x":' * 127 + "[]" + "}" * 127 + "}",
        1008,
    ),
    "100000 levels": ('{"op":6,"w":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}", 1008),
    "a nonce of 1025 bytes": ('{"op":4,"w":"ECHO","a":[],"n":"' + "n" * 1023 + '"}', 1008),
}

# Binary messages that aren't one zlib stream with JSON in it, where compression is on.
NOT_ZLIB = {
    "empty": (b"", 1007),
    "no zlib": (b'{"op":2}', 1007),
    "truncated": (deflate('{"op":2}')[:-1], 1007),
    "only a header": (b"\x78\x9c", 1007),
    "a byte after it": (deflate('{"op":2}') + b"\0", 1007),
    "two streams": (deflate('{"op":2}') * 2, 1007),
    "bare deflate": (deflate('{"op":2}')[2:-4], 1007),
    "gzip": (gzip.compress(b'{"op":2}'), 1007),
    "a dictionary of its own": (deflate('{"op":2}', zdict=b'{"op":'), 1007),
    "wrong checksum": (deflate('{"op":2}')[:-1] + b"\x00", 1007),
    "not UTF-8 inside": (deflate(b'{"op":2,"x":"\xff"}'), 1007),
    "nothing inside": (deflate(""), 1007),
    "a bomb of 2 MiB": (deflate('{"op":2,"x":"' + "0" * (2 << 20) + '"}'), 1009),
    "a bomb of 256 MiB": (deflate(bytes(1 << 28)), 1009),
}

# Ways to make a zlib stream.
ZLIB = {
    "stored": {"level": 0},
    "best": {"level": 9},
    "a small window": {"wbits": 9},
    "flushed": {"flush": zlib.Z_SYNC_FLUSH},
    "flushed in full": {"flush": zlib.Z_FULL_FLUSH},
    "fixed codes": {"strategy": zlib.Z_FIXED},
}

# Requests that come at once, more than an end queues: how many, of how many bytes.
MANY = [(10, 200_000), (100, 20_000), (1000, 2000)]

# Every type of JSON value, as text.
NONCES = [
    "null", "true", "false", "0", "1", "-1", "1.0", "1e2", "-0.0", "12345678901234567890123",
    '"1"', '""', '"é\\u0001"', '"\\/"', "[]", '[1,{"a":null}]', "[1, 2]", "{}", '{"b":1}',
    '{"b": 1, "b": 2}', '"' + "n" * 1022 + '"',
]
