#!/usr/bin/env python3
"""A roomvars client. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio
import json

import peer
from peer import POLICY_VIOLATION, Violation, compact
from roomvars import KEYS, Dialect


class Client(peer.Peer):
    def __init__(self, ws, number, options):
        super().__init__(ws, number, options)
        self.dialect = Dialect(options.dialect)
        self.variables = dict(one.split("=", 1) for one in options.variable)

    async def opened(self):
        room, username = self.options.room, self.options.username
        await self.send(self.dialect.handshake(room, username, self.variables))

    async def handle(self, text):
        for line in filter(str.strip, text.split("\n")):
            said = peer.parse(line)
            name = said[self.dialect.variable]
            match said[self.dialect.kind]:
                case "set":
                    self.variables[name] = said["value"]
                case "create" if self.dialect.is_scratch:
                    self.variables[name] = said["value"]
                case "rename" if self.dialect.is_scratch:
                    self.variables[said["new_name"]] = self.variables.pop(name)
                case "delete" if self.dialect.is_scratch:
                    self.variables.pop(name, None)
                case kind:
                    raise Violation(POLICY_VIOLATION, f"no server says {kind}")

    async def send(self, said):
        await self.send_text(compact(said))

    async def command(self, verb, rest):
        name, _, rest_of_it = rest.partition(" ")
        match verb:
            case "set" | "create":
                self.variables[name] = value = json.loads(rest_of_it)
                await self.send(self.dialect.set(name, value, verb))
            case "rename":
                self.variables[rest_of_it] = self.variables.pop(name)
                await self.send(self.dialect.rename(name, rest_of_it))
            case "delete":
                del self.variables[name]
                await self.send(self.dialect.delete(name))
            case "show":
                self.show("variables", compact(dict(sorted(self.variables.items()))))
            case _:
                await super().command(verb, rest)


options = peer.parser(__doc__)
options.add_argument("--dialect", choices=KEYS, default="documented")
options.add_argument("--room", default="lobby")
options.add_argument("--username", default="peer")
options.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE")
asyncio.run(peer.client(Client, options))
