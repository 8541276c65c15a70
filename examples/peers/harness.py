"""What scenarios are made of: processes, what they print, and the list of scenarios."""

import asyncio
import json
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Callable

# How long to wait for something that should come at once, on a busy machine.
PATIENCE = 15
LONGEST_LINE = 1 << 25


class Failed(Exception):
    pass


def shown(text):
    return text if len(text) <= 200 else f"{text[:90]} … ({len(text)} characters) … {text[-30:]}"


class Child:
    """A process that prints lines. Each is looked at once, in order; those between are skipped."""

    @classmethod
    async def start(cls, name, command, **options):
        child = cls()
        child.name = name
        child.lines, child.at, child.complaints = [], 0, ""
        child.more = asyncio.Condition()
        pipe = asyncio.subprocess.PIPE
        child.process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, limit=LONGEST_LINE, **options
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

    def is_example_server(self):
        return self.name.endswith("-server")

    async def stop(self):
        """Ends its stdin, then asks it to end, then makes it."""
        ways = [(self.process.stdin.close, 1), (self.process.terminate, 3), (self.process.kill, 3)]
        # Our examples' servers don't end with their stdin.
        for end, patience in ways[self.is_example_server() :]:
            if self.process.returncode is None:
                end()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.process.wait(), patience)
        for reader in self.readers:
            with suppress(TimeoutError, ValueError):
                await asyncio.wait_for(reader, 3)


@dataclass
class Tools:
    """Where everything is."""

    binaries: Path
    python: Path
    python_scripts: Path
    node_scripts: Path
    # One for all, if there is need of it.
    browser: Child | None = None
    screenshots: Path | None = None

    def peer(self, language, protocol, role):
        if language == "python":
            return [self.python, "-B", self.python_scripts / f"{protocol}_{role}.py"]
        return ["node", self.node_scripts / f"{protocol}-{role}.mjs"]


class Peer(Child):
    """A program in Python or Node. Its newest connection is what is talked of."""

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
        # A line break ends the command.
        self.tell(f"quoted {json.dumps(text)}" if "\n" in text else f"text {text}")

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
    protocol: str
    language: str
    # Of the example server, if it has several.
    driver: str | None = None
    # Of both sides, if the protocol has several.
    dialect: str | None = None
    children: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    def url(self, server, path=""):
        """Where a server is: delimchat has no WebSocket."""
        return server.address if self.protocol == "delimchat" else f"ws://{server.address}{path}"

    def spoken(self, *options):
        return ("--dialect", self.dialect, *options) if self.dialect else options

    async def start(self, kind, command, options):
        script = next(word for word in reversed(command) if isinstance(word, Path))
        child = await kind.start(script.name, [str(word) for word in (*command, *options)])
        self.children.append(child)
        return child

    async def listening(self, kind, command, options):
        child = await self.start(kind, command, options)
        child.address = (await child.see(re.compile(r"listening on (.*:\d+)")))[1]
        return child

    async def example_server(self, *options):
        command = [self.tools.binaries / f"{self.protocol}-server", "--listen", "127.0.0.1:0"]
        driver = ("--driver", self.driver) if self.driver else ()
        return await self.listening(Child, command, self.spoken(*driver, *options))

    async def example_client(self, server, *options):
        name = f"{self.protocol}-client"
        command = [self.tools.binaries / name, "--connect", self.url(server)]
        return await self.start(Child, command, self.spoken(*options))

    async def server(self, *options, language=None):
        """A peer, which listens."""
        command = self.tools.peer(language or self.language, self.protocol, "server")
        return await self.listening(Peer, command, self.spoken(*options))

    async def client(self, server, *options, language=None):
        """A peer, connected."""
        command = self.tools.peer(language or self.language, self.protocol, "client")
        url = self.url(server, "/any/path")
        child = await self.start(Peer, command, self.spoken("--connect", url, *options))
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
            if child.is_example_server() and status != 0:
                self.failures.append(f"{child.name} ends with {status}")


@dataclass
class Scenario:
    """One of the lines that are printed."""

    title: str
    act: Callable
    protocol: str
    language: str
    driver: str | None = None
    dialect: str | None = None

    async def play(self, tools, limit):
        """Gives what went wrong."""
        stage = Stage(tools, self.protocol, self.language, self.driver, self.dialect)
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


def against_server(protocol, name, languages=LANGUAGES, drivers=DRIVERS, dialects=(None,)):
    """A scenario of peers with the example server, for each of its drivers and dialects."""

    def add(act):
        for driver, dialect in product(drivers, dialects):
            for language in languages:
                words = filter(None, (f"{protocol}-server", driver, dialect))
                title = f"{language} client → {' '.join(words)}: {name}"
                SCENARIOS.append(Scenario(title, act, protocol, language, driver, dialect))
        return act

    return add


def against_client(protocol, name, languages=LANGUAGES, dialects=(None,)):
    """A scenario of peers with the example client, for each dialect."""

    def add(act):
        for language, dialect in product(languages, dialects):
            words = filter(None, (language, "server", dialect))
            title = f"{protocol}-client → {' '.join(words)}: {name}"
            SCENARIOS.append(Scenario(title, act, protocol, language, None, dialect))
        return act

    return add


def among_peers(protocol, name, pairs=(LANGUAGES, LANGUAGES[::-1])):
    """A scenario of a client and a server of such languages."""

    def add(act):
        for language, other in pairs:
            title = f"{language} client → {other} server: {protocol}, {name}"
            SCENARIOS.append(Scenario(title, act, protocol, language))
        return act

    return add


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
