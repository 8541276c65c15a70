"""What clients in Python see of delimchat-server."""

import re
import signal

from harness import Failed
from scenarios.common import again
from scenarios.delimchat import (
    ECHO, GLOBAL, LOBBY, OKAY, against_server, b64, cmid, hear, hear_new, login, packet, say,
    statuses,
)

USERS = "--user", "ada:lovelace", "--user", "ben:franklin"


async def greeted(client):
    await client.see(client.line(r'< \{"type":"guest_username","username":"guest-\d+"\}'))


async def entered(stage, server, *options, user="ada:lovelace"):
    """One that is logged in, and says nothing more by itself."""
    client = await stage.client(server, "--manual", *options)
    await greeted(client)
    await enter(client, *user.split(":"))
    return client


async def enter(client, username="ada", password="lovelace", order="big"):
    say(client, "login", **login(username, password, order))
    await hear(client, "login_result", **OKAY)


async def alive(client):
    """Whatever was said before has done no harm."""
    say(client, "short_message", client_message_id="616c6976", room=ECHO, message=b64("alive?"))
    await hear(
        client, "short_message_result", client_message_id="616c6976", room_status="okay",
        message_status="okay",
    )
    uid = await client.see(
        client.line(r'< \{"type":"short_message_delivery","unique_id":"([0-9a-f]{32})".*"YWxpdmU/"\}')
    )
    say(client, "short_message_received", unique_id=uid[1])


def raw(client, data):
    client.binary(data)


@against_server("logins, each spelling of a byte order, each refusal")
async def logins(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    start = b"\x02\xffada\xff" + b64("lovelace").encode() + b"\xff"
    for number, (spelling, order) in enumerate(
        {b"\1": "little", b"L": "little", b"\2": "big", b"B": "big"}.items()
    ):
        with stage.case(repr(spelling)):
            if number:
                await again(client)
            await greeted(client)
            raw(client, start + spelling + b"\0")
            await hear(client, "login_result", **OKAY)
            client.tell(f"order {order}")
            say(client, "resend_delivery_next", number=5, unique_id_prefix="00ff" * 4)
            await hear(client, "unknown_resend", number=5, unique_id="00ff" * 4 + "00" * 8)
            client.tell("order big")
    refusals = {
        "wrong password": (b"ada", b64("byron"), b"\2", ("okay", "invalid", "okay")),
        "unknown user": (b"eve", b64("x"), b"\2", ("invalid", "unchecked", "okay")),
        "no username": (b"", b64("x"), b"\2", ("empty_field", "unchecked", "okay")),
        "username of UTF-8": ("é".encode(), b64("x"), b"\2", ("invalid", "unchecked", "okay")),
        "no password": (b"ada", "", b"\2", ("okay", "empty_field", "okay")),
        "no byte order": (b"ada", b64("lovelace"), b"", ("okay", "okay", "empty_field")),
        "another byte order": (b"ada", b64("lovelace"), b"\3", ("okay", "okay", "invalid")),
    }
    for name, (username, password, order, answer) in refusals.items():
        with stage.case(name):
            await again(client)
            await greeted(client)
            raw(client, b"\xff".join((b"\x02", username, password.encode(), order)) + b"\0")
            # Whether what is beside the fault was looked at is left to the server.
            line = re.escape(packet("login_result", **statuses(*answer)))
            line = line.replace('"okay"', '"(okay|unchecked)"')
            await client.see(client.line(f"< {line}"))
            await enter(client)
            await alive(client)
    with stage.case("after success"):
        say(client, "login", **login())
        await hear(
            client, "login_result", **statuses("already_validated", "unchecked", "unchecked")
        )
        await alive(client)
    with stage.case("three failures"):
        await again(client)
        for _ in range(3):
            say(client, "login", **login(password="byron"))
            await hear(client, "login_result", **statuses("okay", "invalid", "okay"))
        await client.closed("eof")


@against_server("before login: S9 for all but a few")
async def before_login(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    wrong = {
        "a message": b"\x50\xff\0\0\0\1\xff0000ECHO\xffaGk=\0",
        "a receipt": b"\x54\xff" + bytes(16) + b"\0",
        "an unknown id": b"\x07\xffwhat\0",
        "a packet of the server's": b"\x01\xffguest\0",
        "FF": b"\xff\0",
        "HTTP": b"GET / HTTP/1.1\r\n\r\n\0",
    }
    for number, (name, data) in enumerate(wrong.items()):
        with stage.case(name):
            if number:
                await again(client)
            await greeted(client)
            raw(client, data)
            await hear(client, "bad_first_packet")
            await client.closed("eof")
    with stage.case("what may come"):
        await again(client)
        say(client, "supported_packets_request")
        ids = [2, 6, 40, 80, 84, 87, 91, 96, 99, 160, 163, 166, 169, 252, 254]
        await hear(client, "server_supports", packets=ids)
        say(client, "client_supports", packets=[1, 3, 83])
        raw(client, b"\0\0\0")
        await enter(client)
        await alive(client)
    with stage.case("a broken login, then a good one"):
        await again(client)
        raw(client, b"\x02\xffada\0")
        await hear(client, "bad_login")
        raw(client, b"\x06\xffada\0")
        await hear(client, "bad_register")
        await enter(client)
    with stage.case("log off"):
        say(client, "log_off")
        await client.closed("eof")
    with stage.case("nothing at all"):
        hasty = await stage.example_server("--login-timeout", "0.4")
        silent = await stage.client(hasty, "--manual")
        await greeted(silent)
        await silent.closed("eof", within=5)


@against_server("registration")
async def registration(stage):
    server = await stage.example_server(*USERS)
    client = await stage.client(server, "--manual")
    await greeted(client)

    async def register(name, password, email, *answer):
        say(client, "register", username=name, password=password, email=email)
        fields = dict(zip(("username_status", "password_status", "email_status"), answer))
        await hear(client, "register_result", **fields)

    await register("ada", b64("x"), "a@b", "already_in_use", "unchecked", "unchecked")
    await register("eve", b64("x"), "nowhere", "okay", "okay", "invalid")
    await again(client)
    await greeted(client)
    await register("eve", b64("hunter2"), "eve@example.org", "okay", "okay", "okay")
    await alive(client)
    await register("bob", b64("x"), "a@b", "already_in_use", "unchecked", "unchecked")
    other = await stage.client(server, "--user", "eve:hunter2")
    await hear(other, "login_result", **OKAY)


@against_server("short messages, results, receipts")
async def short_messages(stage):
    server = await stage.example_server(*USERS)
    client = await entered(stage, server)
    other = await stage.client(server, "--user", "ben:franklin", "--byte-order", "little")
    await hear(other, "login_result", **OKAY)

    async def result(number, room, message):
        await hear(
            client, "short_message_result", client_message_id=cmid(number), room_status=room,
            message_status=message,
        )

    for number, text in enumerate(["hi", "é€😀", "\0\xff", "x" * 3000]):
        with stage.case(text):
            message = b64(text if len(text) > 2 or text == "hi" else b"\0\xff")
            say(client, "short_message", client_message_id=cmid(number), room=GLOBAL, message=message)
            await result(number, "okay", "okay")
            await hear_new(other, "short_message_delivery", room=GLOBAL, username="ada", alias="",
                           message=message)  # fmt: skip
    head = b"\x50\xff\0\0\0\7\xff00000000\xff"
    for name, message, answer in (
        ("empty", b"", "empty_message"),
        ("no base64", b"a", "bad_base64"),
        ("a space", b"aGk =", "bad_base64"),
        ("trailing bits", b"aGl=", "bad_base64"),
        ("4001 characters", b"A" * 4001, "message_too_long"),
    ):
        with stage.case(name):
            raw(client, head + message + b"\0")
            line = r'< \{"type":"short_message_result","client_message_id":"00000007",'
            line += rf'"room_status":"\w+","message_status":"{answer}"\}}'
            await client.see(client.line(line))
            await alive(client)
    with stage.case("a room that it isn't in"):
        say(client, "short_message", client_message_id=cmid(9), room=LOBBY, message=b64("hi"))
        await result(9, "not_in_room", "okay")
    with stage.case("receipts"):
        say(client, "short_message_received", unique_id="00ff" * 8)
        await hear(client, "unknown_receipt", unique_id="00ff" * 8)
        raw(client, b"\x54x\0")
        await hear(client, "bad_receipt")
        await alive(client)


@against_server("long messages: in any order, twice, with parts missing, both ways")
async def long_messages(stage):
    server = await stage.example_server(*USERS, "--resend-after", "0.4", "--max-parts", "20")
    client = await entered(stage, server)

    def head(number, remaining, room=ECHO):
        say(client, "long_message_head", remaining=remaining, client_message_id=cmid(number),
            room=room, message=b64("part 0,"))  # fmt: skip

    def part(number, at):
        say(client, "long_message_next", number=at, client_message_id=cmid(number),
            message=b64(f"part {at},"))  # fmt: skip

    async def head_result(number, remaining="okay"):
        await hear(
            client, "long_message_head_result", client_message_id=cmid(number),
            remaining_status=remaining, room_status="okay", message_status="okay",
        )

    async def results(number, many):
        for _ in range(many):
            await hear(
                client, "long_message_next_result", client_message_id=cmid(number),
                number_status="okay", room_status="okay", message_status="okay",
            )

    async def delivered(remaining):
        uid = await client.see(client.line(
            r'< \{"type":"long_message_delivery_head",'
            rf'"remaining":{remaining},"unique_id":"([0-9a-f]{{32}})",.*'
        ))
        for at in range(1, remaining + 1):
            await hear(client, "long_message_delivery_next", number=at, unique_id=uid[1],
                       message=b64(f"part {at},"))  # fmt: skip
        return uid[1]

    with stage.case("in order"):
        head(1, 2)
        await head_result(1)
        part(1, 1)
        part(1, 2)
        await results(1, 2)
        say(client, "long_message_received", unique_id=await delivered(2))
    with stage.case("in another order, twice"):
        head(2, 4)
        await head_result(2)
        for at in (4, 2, 2, 1, 4, 3):
            part(2, at)
        await results(2, 6)
        uid = await delivered(4)
    with stage.case("parts wanted again"):
        for at in (3, 1):
            say(client, "resend_delivery_next", number=at, unique_id_prefix=uid[:16])
            await hear(client, "long_message_delivery_next", number=at, unique_id=uid,
                       message=b64(f"part {at},"))  # fmt: skip
        for _ in range(3):
            say(client, "resend_delivery_next", number=3, unique_id_prefix=uid[:16])
        await client.see(client.line(r'< \{"type":"resend_delivery_result",.*"authorized":false\}'))
        say(client, "long_message_received", unique_id=uid)
    with stage.case("unknown, or broken"):
        say(client, "long_message_received", unique_id=uid)
        await hear(client, "unknown_long_receipt", unique_id_prefix=uid[:16])
        for data, answer in {
            b"\x57x\0": "bad_long_message_head",
            b"\x5bx\0": "bad_long_message_next",
            b"\x60x\0": "bad_long_receipt",
            b"\x63x\0": "bad_resend",
        }.items():
            raw(client, data)
            await hear(client, answer)
        part(77, 1)
        await hear(client, "resend_long_message_head", client_message_id=cmid(77))
    with stage.case("too many parts, or none"):
        for remaining in (0, 21, 0xFFFFFFFF):
            head(3, remaining)
            await head_result(3, "invalid")
    with stage.case("a missing part is asked for"):
        head(4, 3)
        await head_result(4)
        part(4, 2)
        await results(4, 1)
        for at in (1, 3):
            await hear(
                client, "resend_long_message_next", number=at, client_message_id=cmid(4)
            )
            part(4, at)
        await results(4, 2)
        await delivered(3)
    await alive(client)


@against_server("rooms, aliases, invitations")
async def rooms(stage):
    server = await stage.example_server(*USERS)
    client = await entered(stage, server)
    other = await entered(stage, server, user="ben:franklin")

    async def join(one, password, answer):
        say(one, "join_room", room=LOBBY, password=b64(password))
        await hear(one, "join_room_result", room=LOBBY, room_status=answer)

    await join(client, "secret", "okay")
    await join(client, "secret", "already_in_room")
    await join(other, "", "not_authorized")
    say(client, "invite_user", room=LOBBY, username="ben", alias="")
    uid = await hear_new(other, "short_message_delivery", room=GLOBAL, username="ada", alias="",
                         message=b64("invites you to lobby"))  # fmt: skip
    say(other, "short_message_received", unique_id=uid)
    await join(other, "", "okay")
    await hear(other, "user_joined", room=LOBBY, username="ada", alias="")
    await hear(client, "user_joined", room=LOBBY, username="ben", alias="")
    say(client, "change_alias", new_alias="The Countess")
    await hear(client, "change_alias_result", alias_status="okay")
    await hear(other, "alias_changed", username="ada", old_alias="", new_alias="The Countess")
    say(other, "change_alias", new_alias="The Countess")
    await hear(other, "change_alias_result", alias_status="already_in_use")
    for name, data, answer in (
        ("empty", b"\xa6\xff\0", "empty_field"), ("not UTF-8", b"\xa6\xff\xc3(\0", "invalid"),
    ):
        with stage.case(name):
            raw(other, data)
            await hear(other, "change_alias_result", alias_status=answer)
    say(other, "part_room", room=LOBBY, part_message="so long")
    await hear(other, "part_room_result", room=LOBBY, room_status="okay")
    await hear_new(client, "short_message_delivery", room=LOBBY, username="ben", alias="",
                   message=b64("so long"))  # fmt: skip
    await hear(client, "user_parted", room=LOBBY, username="ben", alias="")
    say(other, "part_room", room=LOBBY)
    await hear(other, "part_room_result", room=LOBBY, room_status="not_in_room")
    with stage.case("without a message, and without its FF"):
        await join(other, "secret", "okay")
        say(other, "part_room", room=LOBBY)
        await hear(client, "user_parted", room=LOBBY, username="ben", alias="")
    with stage.case("gone without a word"):
        await join(other, "secret", "okay")
        other.tell("drop")
        await hear(client, "user_parted", room=LOBBY, username="ben", alias="")
    await alive(client)


@against_server("byte by byte, all at once, broken in between")
async def pieces(stage):
    server = await stage.example_server(*USERS, "--packet-timeout", "0.5")
    client = await entered(stage, server)
    hello = b"\x50\xff\0\xff\0\xff\xff0000ECHO\xffaGk=\0"
    with stage.case("byte by byte"):
        client.tell(f"bytes {hello.hex()}")
        await hear(client, "short_message_result", client_message_id="00ff00ff",
                   room_status="okay", message_status="okay")  # fmt: skip
    with stage.case("all at once"):
        raw(client, hello * 100)
        for _ in range(100):
            await hear(client, "short_message_result", client_message_id="00ff00ff",
                       room_status="okay", message_status="okay")  # fmt: skip
    with stage.case("broken in between"):
        raw(client, b"\x50\xff\0" + hello + b"\x07?\0\xff\0" + hello)
        await hear(client, "bad_short_message")
        await alive(client)
    with stage.case("malformed without an answer of their own"):
        for data in (b"\x28\xffBYF\0", b"\xa0x\0", b"\xa3x\0", b"\xa6\0", b"\xa9x\0"):
            raw(client, data)
            await hear(client, "packet_not_supported")
            await alive(client)
    with stage.case("a packet that never ends"):
        raw(client, hello[:9])
        await hear(client, "bad_short_message")
        raw(client, b"\0")
        await alive(client)
    with stage.case("nothing but garbage"):
        raw(client, b"\x07?\0" * 33)
        await client.closed("eof")


@against_server("signals, and one endpoint for each user")
async def ends(stage):
    server = await stage.example_server(*USERS, "--one-endpoint")
    client = await entered(stage, server)
    with stage.case("a second endpoint"):
        second = await stage.client(server, "--manual")
        await greeted(second)
        say(second, "login", **login())
        await hear(second, "multiple_endpoints_refused")
        await second.closed("eof")
    for sent in (signal.SIGTERM,):
        server.process.send_signal(sent)
        await client.closed("eof")
        if (status := await server.exit()) != 0:
            raise Failed(f"exit status {status}")
