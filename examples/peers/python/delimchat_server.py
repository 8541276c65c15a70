#!/usr/bin/env python3
"""A delimchat server. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio
import base64
import time

import delimchat
from delimchat import ECHO, GLOBAL, Peer


class Server(Peer):
    sends, receives = "server", "client"
    user = None
    messages = 0

    async def opened(self):
        await self.send(type="guest_username", username=f"guest-{self.number}")

    async def handle(self, packet):
        match packet["type"]:
            case "login":
                await self.login(packet)
            case "log_off":
                self.writer.close()
            case "supported_packets_request":
                ids = list(delimchat.LAYOUTS["client"])
                await self.send(type="server_supports", packets=ids)
            case "short_message" if self.user:
                await self.short_message(packet)

    async def login(self, packet):
        username, _, password = self.options.user.partition(":")
        known = packet["username"] == username
        right = base64.b64decode(packet["password"]) == password.encode()
        statuses = ("okay", "okay" if right else "invalid") if known else ("invalid", "unchecked")
        await self.send(
            type="login_result", username_status=statuses[0], password_status=statuses[1],
            byte_order_status="okay" if packet["byte_order"] else "invalid",
        )  # fmt: skip
        if known and right and packet["byte_order"]:
            self.user, self.order = username, packet["byte_order"]

    async def short_message(self, packet):
        room = packet["room"]
        is_known = room in (GLOBAL, ECHO)
        await self.send(
            type="short_message_result", client_message_id=packet["client_message_id"],
            room_status="okay" if is_known else "not_in_room", message_status="okay",
        )  # fmt: skip
        others = [one for one in self.others.values() if one.user and one is not self]
        for one in [self] if room == ECHO else others if is_known else []:
            Server.messages += 1
            await one.send(
                type="short_message_delivery",
                unique_id=f"{self.messages:016x}{time.time_ns() // 1_000_000:016x}",
                room=room, username=self.user, alias="", message=packet["message"],
            )  # fmt: skip


asyncio.run(delimchat.server(Server, delimchat.parser(__doc__)))
