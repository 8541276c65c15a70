"""What servers in Python see of delimchat-client."""

import re
import signal

from scenarios import common
from scenarios.common import GIVING_UP, RECONNECTING, failed, fresh, left
from scenarios.delimchat import (
    ECHO, GLOBAL, LOBBY, OKAY, against_client, b64, cmid, hear, login, say, statuses,
)

USER = "--user", "ada:lovelace"


async def enter(server, client, order="big"):
    """Through the login."""
    say(server, "guest_username", username="guest")
    await hear(server, "login", **login(order=order))
    say(server, "login_result", **OKAY)
    await client.see("logged in as ada")
    server.tell(f"order {order}")


async def entered(stage, server, *options, order="big"):
    server.tell("order big")
    client = await fresh(stage, server, "--once", *USER, "--byte-order", order, *options)
    await enter(server, client, order)
    return client


async def alive(server, client):
    """Whatever was said before has done no harm."""
    unique_id = "00ff" * 8
    say(server, "short_message_delivery", unique_id=unique_id, room=ECHO, username="ada", alias="",
        message=b64("alive?"))  # fmt: skip
    await hear(server, "short_message_received", unique_id=unique_id)
    await client.see("[echo] ada: alive?")


@against_client("logins, and refusals")
async def logins(stage):
    server = await stage.server("--manual")
    for order in ("big", "little"):
        for options in ((), ("--endian-marker", "letter")):
            with stage.case(f"{order} {options}"):
                client = await entered(stage, server, *options, order=order)
                await alive(server, client)
                say(server, "long_message_delivery_head", remaining=2, unique_id="01" * 16,
                    room=GLOBAL, message=b64("a"))  # fmt: skip
                for number in (2, 1):
                    say(server, "long_message_delivery_next", number=number, unique_id="01" * 16,
                        message=b64(str(number)))  # fmt: skip
                await hear(server, "long_message_received", unique_id="01" * 16)
                client.tell("/quit")
                await hear(server, "log_off")
                await left(client)
    server.tell("order big")
    for name, answer in {
        "password": statuses("okay", "invalid", "unchecked"),
        "user": statuses("invalid", "unchecked", "okay"),
    }.items():
        with stage.case(name):
            client = await fresh(stage, server, *USER)
            say(server, "guest_username", username="guest")
            say(server, "login_result", **answer)
            await hear(server, "log_off")
            await failed(client, GIVING_UP)
    for kind in ("bad_first_packet", "multiple_endpoints_refused"):
        with stage.case(kind):
            client = await fresh(stage, server, *USER)
            say(server, kind)
            await failed(client, GIVING_UP)
    with stage.case("by a server that speaks for itself"):
        itself = await stage.server("--user", "ada:lovelace")
        client = await stage.example_client(itself, *USER, "--once")
        await client.see("logged in as ada")
        client.tell("/msg echo é€😀")
        await client.see("[echo] ada: é€😀")
        client.tell("/msg lobby hi")
        client.tell("/quit")
        await left(client)


@against_client("what is typed, and what becomes of it")
async def typed(stage):
    server = await stage.server("--manual")
    client = await entered(stage, server)

    async def asks(line, kind, **fields):
        client.tell(line)
        await hear(server, kind, **fields)

    await asks("hello", "short_message", client_message_id=cmid(2), room=GLOBAL, message=b64("hello"))
    say(server, "short_message_result", client_message_id=cmid(2), room_status="okay",
        message_status="okay")  # fmt: skip
    await asks("/msg lobby hi", "short_message", client_message_id=cmid(3), room=LOBBY,
               message=b64("hi"))  # fmt: skip
    for status in ("not_in_room",):
        say(server, "short_message_result", client_message_id=cmid(3), room_status=status,
            message_status="okay")  # fmt: skip
    await asks("/join lobby secret", "join_room", room=LOBBY, password=b64("secret"))
    say(server, "join_room_result", room=LOBBY, room_status="not_authorized")
    await asks("/join lobby", "join_room", room=LOBBY, password="")
    say(server, "join_room_result", room=LOBBY, room_status="okay")
    await client.see("you are in lobby now")
    await asks("/alias The Countess", "change_alias", new_alias="The Countess")
    say(server, "change_alias_result", alias_status="okay")
    await client.see("you are The Countess now")
    await asks("/invite ben Big B", "invite_user", room=LOBBY, username="ben", alias="Big B")
    say(server, "user_joined", room=LOBBY, username="ben", alias="Big B")
    await client.see("[lobby] Big B (ben) is here")
    say(server, "alias_changed", username="ben", old_alias="Big B", new_alias="B")
    await client.see("Big B (ben) is now B")
    say(server, "user_parted", room=LOBBY, username="ben", alias="B")
    await client.see("[lobby] B (ben) has left")
    await asks("/part lobby so long", "part_room", room=LOBBY, part_message="so long")
    say(server, "part_room_result", room=LOBBY, room_status="okay")
    await client.see("you have left lobby")
    say(server, "short_message_delivery", unique_id="02" * 16, room=GLOBAL, username="ben",
        alias="", message=b64("\x1b[31mred\r\n\x07"))  # fmt: skip
    await client.see("[all] ben: \ufffd[31mred  \ufffd")
    await alive(server, client)
    client.process.send_signal(signal.SIGINT)
    await hear(server, "log_off")
    await left(client)


@against_client("long messages, with parts missing")
async def long_messages(stage):
    server = await stage.server("--manual")
    client = await entered(stage, server, "--resend-after", "0.4", order="little")
    text = "0123456789" * 700
    client.tell(text)
    parts = [b64(text[at : at + 3000]) for at in range(0, 7000, 3000)]
    await hear(server, "long_message_head", remaining=2, client_message_id=cmid(2), room=GLOBAL,
               message=parts[0])  # fmt: skip
    # Nothing follows a head that hasn't arrived.
    await server.hears_nothing()
    say(server, "resend_long_message_head", client_message_id=cmid(2))
    await hear(server, "long_message_head", remaining=2, client_message_id=cmid(2), room=GLOBAL,
               message=parts[0])  # fmt: skip
    say(server, "long_message_head_result", client_message_id=cmid(2), remaining_status="okay",
        room_status="okay", message_status="okay")  # fmt: skip
    for number in (1, 2):
        await hear(server, "long_message_next", number=number, client_message_id=cmid(2),
                   message=parts[number])  # fmt: skip
    for number in (2, 1):
        say(server, "resend_long_message_next", number=number, client_message_id=cmid(2))
        await hear(server, "long_message_next", number=number, client_message_id=cmid(2),
                   message=parts[number])  # fmt: skip
    for _ in range(2):
        say(server, "long_message_next_result", client_message_id=cmid(2), number_status="okay",
            room_status="okay", message_status="okay")  # fmt: skip
    with stage.case("the other way"):
        uid = "00ff" * 8
        say(server, "long_message_delivery_head", remaining=3, unique_id=uid, room=GLOBAL,
            message=b64("a"))  # fmt: skip
        say(server, "long_message_delivery_next", number=2, unique_id=uid, message=b64("c"))
        for number, message in ((1, "b"), (3, "d")):
            await hear(server, "resend_delivery_next", number=number, unique_id_prefix=uid[:16])
            say(server, "long_message_delivery_next", number=number, unique_id=uid,
                message=b64(message))  # fmt: skip
        await hear(server, "long_message_received", unique_id=uid)
        await client.see(re.compile(r"\[all\] 4 bytes: .*"))
    with stage.case("too many parts"):
        say(server, "long_message_delivery_head", remaining=257, unique_id="03" * 16, room=GLOBAL,
            message=b64("a"))  # fmt: skip
        await client.see(re.compile("a long message doesn't arrive: PartCount.*"))
    await alive(server, client)


@against_client("what isn't a packet")
async def garbage(stage):
    server = await stage.server("--manual")
    client = await entered(stage, server)
    good = b"\x53\xff" + bytes(16) + b"\xff00000000\xffben\xff\xffaGk=\0"
    for name, data in {
        "an unknown id": b"\x0a?\0",
        "a literal": b"\x04\xffBAT\0",
        "a status": b"\x03\xff\3\3\x09\0",
        "bad content": b"\x53\xff" + bytes(16) + b"\xff00000000\xff\xff\xffa\0",
    }.items():
        with stage.case(name):
            server.binary(data + good)
            await client.see("[all] ben: hi")
    with stage.case("byte by byte"):
        server.tell(f"bytes {good.hex()}")
        await client.see("[all] ben: hi")
    with stage.case("nothing else"):
        server.binary(b"\x0a?\0" * 33)
        await failed(client)


@against_client("reconnects, and comes back to its rooms")
async def reconnects(stage):
    server = await stage.server("--manual")
    backoff = "--min-backoff", "0.1", "--max-backoff", "0.3"
    client = await stage.example_client(server, *USER, *backoff)
    await server.connected()
    await enter(server, client)
    client.tell("/join lobby secret")
    await hear(server, "join_room", room=LOBBY, password=b64("secret"))
    say(server, "join_room_result", room=LOBBY, room_status="okay")
    for how in ("close", "drop"):
        with stage.case(how):
            server.tell(how)
            await client.see(RECONNECTING)
            await server.next_connection()
            await enter(server, client)
            await hear(server, "join_room", room=LOBBY, password=b64("secret"))
            say(server, "join_room_result", room=LOBBY, room_status="okay")
            await client.see("you are in lobby now")


@against_client("waits for a second at least, if not told otherwise")
async def default_backoff(stage):
    await common.default_backoff(stage, enter, *USER)


@against_client("nobody there: goes on trying")
async def nobody_there(stage):
    await common.nobody_there(stage, enter, *USER)
