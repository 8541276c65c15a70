"""What the scenarios of emagine have in common."""

from functools import partial

import harness
from harness import compact
from scenarios.common import no_message, not_json, with_code

against_server = partial(harness.against_server, "emagine")
against_client = partial(harness.against_client, "emagine")
among_peers = partial(harness.among_peers, "emagine")

HEARTBEAT, HEARTBEAT_ACK = '{"op":10}', '{"op":11}'


def heartbeat(time):
    """`time` is JSON text."""
    return f'{{"op":10,"time":{time}}}'


def heartbeat_ack(time):
    return f'{{"op":11,"time":{time}}}'


def message(value):
    """`value` is JSON text."""
    return f'{{"op":3,"message":{value}}}'


def identify(token):
    return compact({"op": 1, "token": token})


def ready(user):
    return compact({"op": 2, "user": user})


def hello(interval):
    return f'{{"op":0,"heartbeat_interval":{interval}}}'


async def alive(peer):
    """Whatever was said before has done no harm."""
    peer.says(heartbeat('"alive?"'))
    await peer.hears(heartbeat_ack('"alive?"'))


def long(length):
    """A message of this length that harms nobody."""
    return '{"op":77,"x":"' + "x" * (length - 16) + '"}'


# What is malformed whoever says it.
MALFORMED = with_code(4001, not_json(HEARTBEAT) | no_message(HEARTBEAT) | {
    "NaN": heartbeat("NaN"),
    "op 10.0": '{"op":10.0}',
    'op "10"': '{"op":"10"}',
    "op twice": '{"op":10,"op":10}',
    "time twice": '{"op":10,"time":1,"time":1}',
    "time twice, once escaped": '{"op":10,"time":1,"tim\\u0065":1}',
    "user twice, which op 10 has not": '{"op":10,"user":1,"user":1}',
    "message twice, which no op has": '{"op":77,"message":1,"message":1}',
    "129 levels": heartbeat("[" * 128 + "]" * 128),
    "129 levels under an unknown key": (
        '{"op":10,"x":' + '{"x":' * 127 + "[]" + "}" * 127 + "}"
    ),
    "100000 levels": heartbeat("[" * 100_000 + "]" * 100_000),
    "a time of 1025 bytes": heartbeat('"' + "t" * 1023 + '"'),
    "an ack's time of 1025 bytes": heartbeat_ack('"' + "t" * 1023 + '"'),
})

# Every type of JSON value, as text: what a Heartbeat's `time` may be.
TIMES = [
    "0", "1579523400000", "-1", "1.0", "1e2", "-0.0", "12345678901234567890123", "null", "true",
    '"1579523400000"', '""', '"é\\u0001"', '"\\/"', '"\\ud800"', "[]", '[1,{"a":null}]', "[1, 2]",
    "{}", '{"b": 1, "b": 2}', '"' + "t" * 1022 + '"',
]

# Messages that say the same as the first, all in all.
SPELLINGS = [
    '{"op":10,"time":"%"}',
    '{"time":"%","op":10}',
    ' \t{ "time" : "%" ,\t"op" : 10 }  ',
    '{"op":10,"time":"%","s":null,"x":{"op":9,"time":[]},"":0}',
    '{"\\u006fp":10,"\\u0074ime":"%"}',
    '{"op":10,"s":1,"s":2,"time":"%"}',
    '{"op":10,"time":"%","token":1,"user":{},"heartbeat_interval":"x","message":0}',
    '{"op":10,"time":"%","x":' + '{"x":' * 126 + "[]" + "}" * 126 + "}",
]
UNKNOWN = ['{"op":77}', '{"op":4,"message":1,"user":{},"token":[]}', '{"time": null, "op": 255}']
