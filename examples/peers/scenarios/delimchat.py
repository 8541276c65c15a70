"""What the scenarios of delimchat have in common."""

import base64
import re
from functools import partial

import harness
from harness import compact

ONLY = ("python",)
against_server = partial(harness.against_server, "delimchat", languages=ONLY, drivers=(None,))
against_client = partial(harness.against_client, "delimchat", languages=ONLY)

GLOBAL, ECHO, LOBBY = b"00000000".hex(), b"0000ECHO".hex(), b"000lobby".hex()
UID = re.compile(r"[0-9a-f]{32}")


def b64(payload):
    payload = payload.encode() if isinstance(payload, str) else payload
    return base64.b64encode(payload).decode()


def packet(kind, **fields):
    return compact({"type": kind, **fields})


def say(peer, kind, **fields):
    peer.says(packet(kind, **fields))


async def hear(peer, kind, **fields):
    await peer.hears(packet(kind, **fields))


async def hear_new(peer, kind, **fields):
    """A packet with an id that the server chose; gives that."""
    text = re.escape(packet(kind, unique_id="UID", **fields)).replace("UID", "([0-9a-f]{32})")
    return (await peer.see(peer.line(f"< {text}")))[1]


def login(username="ada", password="lovelace", order="big"):
    return dict(username=username, password=b64(password), byte_order=order)


def statuses(username, password, order):
    return dict(
        username_status=username, password_status=password, byte_order_status=order
    )


OKAY = statuses("okay", "okay", "okay")


def cmid(number):
    return f"{number:08x}"
