"""What the scenarios of litecord have in common."""

import gzip
import zlib
from functools import partial

import harness
from scenarios.common import no_message, not_json, with_code

against_server = partial(harness.against_server, "litecord")
against_client = partial(harness.against_client, "litecord")
among_peers = partial(harness.among_peers, "litecord")

HEARTBEAT, HEARTBEAT_ACK = '{"op":2}', '{"op":3}'


def request(what, args, nonce):
    """All but `what` is JSON text."""
    return f'{{"op":4,"w":"{what}","a":{args},"n":{nonce}}}'


def response(nonce, result):
    return f'{{"op":5,"n":{nonce},"r":{result}}}'


def deflate(text, flush=zlib.Z_NO_FLUSH, **options):
    """Made of two pieces, with such a flush between them."""
    data = text if isinstance(text, bytes) else text.encode()
    stream, half = zlib.compressobj(**options), len(data) // 2
    pieces = stream.compress(data[:half]), stream.flush(flush) if flush else b""
    return b"".join(pieces) + stream.compress(data[half:]) + stream.flush()


# JSON that is malformed, or that the protocol forbids whoever says it, and the close code for it.
MALFORMED = with_code(1007, not_json(HEARTBEAT)) | with_code(1008, no_message(HEARTBEAT)) | {
    "NaN": ('{"op":4,"w":"ECHO","a":[NaN],"n":1}', 1007),
    "no op, all else": ('{"w":"ECHO","a":[],"n":1}', 1008),
    "op 4.0": ('{"op":4.0,"w":"ECHO","a":[],"n":1}', 1008),
    'op "4"': ('{"op":"4","w":"ECHO","a":[],"n":1}', 1008),
    "op twice": ('{"op":6,"w":"x","a":[],"op":6}', 1008),
    "w twice": ('{"op":6,"w":"x","a":[],"w":"x"}', 1008),
    "w twice, once escaped": ('{"op":6,"w":"x","a":[],"\\u0077":"x"}', 1008),
    "r twice, which op 6 has not": ('{"op":6,"w":"x","a":[],"r":1,"r":1}', 1008),
    "no w": ('{"op":4,"a":[],"n":1}', 1008),
    "no a": ('{"op":4,"w":"ECHO","n":1}', 1008),
    "no n": ('{"op":4,"w":"ECHO","a":[]}', 1008),
    "w half a character": ('{"op":6,"w":"\\ud800","a":[]}', 1008),
    "w a number": ('{"op":4,"w":1,"a":[],"n":1}', 1008),
    "a response without n": ('{"op":5,"r":1}', 1008),
    "a response without r": ('{"op":5,"n":1}', 1008),
    "a dispatch without a": ('{"op":6,"w":"x"}', 1008),
    "129 levels": ('{"op":6,"w":"x","a":' + "[" * 128 + "]" * 128 + "}", 1008),
    "129 levels under an unknown key": (
        '{"op":6,"w":"x","a":[],"x":' + '{"x":' * 127 + "[]" + "}" * 127 + "}",
        1008,
    ),
    "100000 levels": ('{"op":6,"w":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}", 1008),
    "a nonce of 1025 bytes": ('{"op":4,"w":"ECHO","a":[],"n":"' + "n" * 1023 + '"}', 1008),
}

# Binary messages that aren't one zlib stream with JSON in it, where compression is on.
NOT_ZLIB = {
    "empty": (b"", 1007),
    "no zlib": (b'{"op":2}', 1007),
    "truncated": (deflate('{"op":2}')[:-1], 1007),
    "only a header": (b"\x78\x9c", 1007),
    "a byte after it": (deflate('{"op":2}') + b"\0", 1007),
    "two streams": (deflate('{"op":2}') * 2, 1007),
    "bare deflate": (deflate('{"op":2}')[2:-4], 1007),
    "gzip": (gzip.compress(b'{"op":2}'), 1007),
    "a dictionary of its own": (deflate('{"op":2}', zdict=b'{"op":'), 1007),
    "wrong checksum": (deflate('{"op":2}')[:-1] + b"\x00", 1007),
    "not UTF-8 inside": (deflate(b'{"op":2,"x":"\xff"}'), 1007),
    "nothing inside": (deflate(""), 1007),
    "a bomb of 2 MiB": (deflate('{"op":2,"x":"' + "0" * (2 << 20) + '"}'), 1009),
    "a bomb of 256 MiB": (deflate(bytes(1 << 28)), 1009),
}

# Ways to make a zlib stream.
ZLIB = {
    "stored": {"level": 0},
    "best": {"level": 9},
    "a small window": {"wbits": 9},
    "flushed": {"flush": zlib.Z_SYNC_FLUSH},
    "flushed in full": {"flush": zlib.Z_FULL_FLUSH},
    "fixed codes": {"strategy": zlib.Z_FIXED},
}

# Requests that come at once, more than an end queues: how many, of how many bytes.
MANY = [(10, 200_000), (100, 20_000), (1000, 2000)]

# Every type of JSON value, as text.
NONCES = [
    "null", "true", "false", "0", "1", "-1", "1.0", "1e2", "-0.0", "12345678901234567890123",
    '"1"', '""', '"é\\u0001"', '"\\/"', "[]", '[1,{"a":null}]', "[1, 2]", "{}", '{"b":1}',
    '{"b": 1, "b": 2}', '"' + "n" * 1022 + '"',
]
