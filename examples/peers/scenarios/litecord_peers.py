"""What our clients and servers make of each other: that they speak the same protocol."""

import re

from harness import LANGUAGES, Failed
from scenarios.litecord import among_peers


async def both(stage, *options):
    (other,) = {*LANGUAGES} - {stage.language}
    server = await stage.server("--heartbeat-interval", "0.5", *options, language=other)
    return server, await stage.client(server, *options)


async def talk(stage, *options):
    server, client = await both(stage, *options)
    await client.see(client.line(r'<z? \{"op":3\}'))
    for asking, answering in ((client, server), (server, client)):
        asking.tell('request ECHO [1,{"a":"é"}]')
        await asking.see(re.compile(r'1 outcome \[1, ?\{"a": ?"(é|\\u00e9)"\}\]'))
        asking.tell("request VERSION")
        await asking.see(re.compile(r'1 outcome \{"name": ?"litecord.*'))
        asking.tell('dispatch X ["é"]')
        await answering.see(answering.line(r'<z? \{"op":6,"w":"X","a":\["(é|\\u00e9)"\]\}'))
        asking.tell("ping hello")
        await asking.see("1 pong hello")
    await client.never(client.line("closed.*"), 2)
    if client.count(client.line(r'<z? \{"op":3\}')) < 4:
        raise Failed("not enough acks")
    client.tell("close 4000 bye")
    await client.closed(4000, "bye")
    await server.closed(4000, "bye")


@among_peers("a conversation")
async def conversation(stage):
    await talk(stage)


@among_peers("a conversation in zlib")
async def compressed(stage):
    await talk(stage, "--zlib")


@among_peers("what ends it")
async def ends(stage):
    server, client = await both(stage, "--password", "a")
    for said, code in (
        ('{"op":1,"password":"a"}', 1008), ("{", 1007), ("{}", 1008), ('{"op":4}', 1008),
        ('{"op":3}', 1008), ('{"op":1,"password":"b"}', 1008),
    ):
        client.says(said)
        await client.closed(code)
        client.tell("connect")
        await client.next_connection()
        await client.see(client.line(r'< \{"op":3\}'))
    client.tell("binary 00")
    await client.closed(1003)
    server, client = await both(stage, "--manual", "--password", "a")
    server.says('{"op":0,"hb_interval":1000}')
    await client.hears('{"op":0,"hb_interval":1000}')
    client.tell("drop")
    await server.closed(1006)
