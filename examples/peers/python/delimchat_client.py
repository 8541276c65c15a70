#!/usr/bin/env python3
"""A delimchat client. Shows on stdout what passes, does what stdin says (see ../README.md)."""

import asyncio
import base64

import delimchat
from delimchat import Peer, b64


class Client(Peer):
    sends, receives = "client", "server"
    asked = "big"

    async def opened(self):
        username, _, password = self.options.user.partition(":")
        order = self.options.byte_order
        await self.send(
            type="login", username=username, password=b64(password.encode()), byte_order=order
        )

    async def send(self, **packet):
        self.asked = packet.get("byte_order", self.asked)
        await super().send(**packet)

    def note(self, packet):
        if packet["type"] == "login_result" and packet["byte_order_status"] == "okay":
            if packet["username_status"] == packet["password_status"] == "okay":
                self.order = self.asked

    async def handle(self, packet):
        match packet["type"]:
            case "short_message_delivery":
                await self.send(type="short_message_received", unique_id=packet["unique_id"])
                message = base64.b64decode(packet["message"])
                self.show("message", message.decode(errors="replace"))


options = delimchat.parser(__doc__)
options.add_argument("--byte-order", choices=("big", "little"), default="big")
asyncio.run(delimchat.client(Client, options))
