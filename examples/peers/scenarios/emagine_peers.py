"""What our clients and servers make of each other: that they speak the same protocol."""

import re

from harness import LANGUAGES, Failed
from scenarios.emagine import among_peers, heartbeat, heartbeat_ack, hello, identify, message


async def both(stage, *options):
    (other,) = {*LANGUAGES} - {stage.language}
    server = await stage.server("--heartbeat-interval", "0.5", *options, language=other)
    return server, await stage.client(server, *options)


@among_peers("a conversation")
async def conversation(stage):
    server, client = await both(stage, "--token", 'é"')
    await client.see("1 ready ada")
    server.tell('message [1,{"a":"é"}]')
    await client.see('1 message [1,{"a":"é"}]')
    for said in ('{"op":2,"message":[2]}', message("[2]")):
        server.says(said)
        await client.see("1 message [2]")
    for asking, answering in ((client, server), (server, client)):
        asking.tell("heartbeat")
        await answering.see(answering.line(r'< \{"op":10,"time":\d+\}'))
        await asking.see(asking.line(r'< \{"op":11,"time":\d+\}'))
        for time in ("1", '"é"', "null"):
            asking.says(heartbeat(time))
            await asking.hears(heartbeat_ack(time))
        asking.says('{"op":10}')
        await asking.hears('{"op":11}')
        asking.says('{"op":77}')
        asking.tell("ping hello")
        await asking.see("1 pong hello")
    await client.never(client.line("closed.*"), 2)
    for one in (client, server):
        if one.count(one.line(r'< \{"op":11,"time":\d+\}')) < 4:
            raise Failed("not enough acks")
    client.tell("close 4000 bye")
    await client.closed(4000, "bye")
    await server.closed(4000, "bye")


@among_peers("what ends it")
async def ends(stage):
    server, client = await both(stage, "--token", "a")
    for said in (
        "{", "{}", "[]", '{"op":1.5}', message("1"), '{"op":2,"user":"ada"}', identify("a"),
        hello(1000),
    ):
        await client.see(client.line("ready ada"))
        client.says(said)
        await client.closed(4001)
        client.tell("connect")
        await client.next_connection()
    client.tell("binary 00")
    await client.closed(1003)
    wrong = await stage.client(server, "--token", "b")
    await wrong.closed(4003)
    server, client = await both(stage, "--manual")
    server.says(hello(1000))
    await client.hears(hello(1000))
    client.tell("drop")
    await server.closed(1006)
    # Ends that hear no acks.
    (other,) = {*LANGUAGES} - {stage.language}
    mute = await stage.client(await stage.server("--heartbeat-interval", "0.3"), "--manual")
    await mute.closed(4002)
    mute = await stage.server("--manual", language=other)
    client = await stage.client(mute)
    mute.says(hello(300))
    await client.see(re.compile(r'1 > \{"op":10,.*'))
    await client.closed(4002)
