"""Reads and writes the vectors of all protocols, see VECTORS.md, with the codecs beside this.

Fails at a vector that is read or written otherwise, that the schema doesn't allow, or whose kind
isn't known here; prints how many there were.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import bingo
import delimchat
import emagine
import jsonschema
import litecord
import roomvars

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "vectors.schema.json"
STREAMS = {"bingo": bingo, "delimchat": delimchat}
MESSAGES = {"litecord": litecord, "emagine": emagine, "roomvars": roomvars}
# Of what went wrong in one protocol.
SHOWN = 8
BEFORE, BEHIND = b" \t\r\n ", b"\n \r\t"


def bytes_of(vector):
    return bytes.fromhex(vector["bytes"]) if "bytes" in vector else vector["text"].encode()


class Check:
    """What a vector is put through; `failures` says what went wrong."""

    def __init__(self, vector, codec):
        self.vector, self.codec = vector, codec
        self.data, self.failures = bytes_of(vector), []

    def same(self, how, got, wanted):
        if got != wanted:
            self.failures.append(f"{self.vector['name']}, {how}: {got!r}, not {wanted!r}")

    def stream(self):
        vector, (behind, follower) = self.vector, self.codec.trailer(self.vector)
        error = vector.get("error")
        wanted = vector["messages"] + ([error] if error else [])
        self.decoded("whole", [self.data], wanted)
        self.decoded(
            "byte at a time", [self.data[at : at + 1] for at in range(len(self.data))], wanted
        )
        if not error or error["kind"] != "unexpected_eof":
            wanted = wanted if vector.get("fatal") else [*wanted, follower]
            self.decoded("with one behind it", [self.data, behind], wanted)
            self.decoded("joined to one", [self.data + behind], wanted)
        if vector.get("canonical"):
            written = b"".join(self.codec.encode(vector, fields) for fields in vector["messages"])
            self.same("written", written.hex(), self.data.hex())

    def decoded(self, how, pieces, wanted):
        self.same(how, self.codec.decode(self.vector, pieces), wanted)

    def message(self):
        vector, data = self.vector, self.data
        wanted, error = vector["messages"], vector.get("error")
        messages, got = self.codec.decode(vector, data)
        self.same("whole", (messages, got), (wanted, error))
        # White space may make it too long.
        is_limited = any(key.startswith("max_") for key in vector.get("config", {}))
        for before, behind in (
            [] if is_limited else [(BEFORE, b""), (b"", BEHIND), (BEFORE, BEHIND)]
        ):
            messages, got = self.codec.decode(vector, before + data + behind)
            moved = error and error | {"offset": error["offset"] + len(before)}
            if moved and error["offset"] == len(data) and behind:
                # In a string or number it is the white space that is wrong, else what is after.
                moved, got = ({**one, "offset": None} for one in (moved, got))
            self.same("with white space", (messages, got), (wanted, moved))
        if vector.get("canonical"):
            self.same("written", self.codec.encode(vector, wanted), data)


def check(name, schema):
    """Prints what was there; gives what went wrong."""
    path = ROOT / "crates" / f"{name}-proto" / "tests" / "vectors" / f"{name}.json"
    file = json.loads(path.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    failures = [
        f"not by the schema: {error.json_path}: {error.message[:300]}"
        for error in validator.iter_errors(file)
    ]
    if failures:
        return failures
    if file["protocol"] != name:
        return [f"{path} is of {file['protocol']}"]
    names = Counter(vector["name"] for vector in file["vectors"])
    failures += [f"{name} is there {times} times" for name, times in names.items() if times > 1]
    for vector in file["vectors"]:
        one = Check(vector, STREAMS.get(name) or MESSAGES[name])
        try:
            one.stream() if name in STREAMS else one.message()
        except Exception as error:
            one.failures.append(f"{vector['name']}: {error!r}")
        failures += one.failures
    said = Counter(fields["type"] for vector in file["vectors"] for fields in vector["messages"])
    wrong = Counter(vector["error"]["kind"] for vector in file["vectors"] if "error" in vector)
    written = sum(vector.get("canonical", False) for vector in file["vectors"])
    print(
        f"{name}: {len(file['vectors'])} vectors read, {written} written; {said.total()} messages "
        f"of {len(said)} types, {wrong.total()} errors of {len(wrong)} kinds"
    )
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help="all, if none is named")
    chosen = parser.parse_args().protocols
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    found = {path.stem for path in ROOT.glob("crates/*/tests/vectors/*")}
    if unknown := (found | set(chosen)) - STREAMS.keys() - MESSAGES.keys():
        sys.exit(f"no codec here for {', '.join(sorted(unknown))}")
    failed = False
    for name in chosen or [*STREAMS, *MESSAGES]:
        failures = check(name, schema)
        failed |= bool(failures)
        for failure in failures[:SHOWN]:
            print(f"    {failure}", file=sys.stderr)
        if len(failures) > SHOWN:
            print(f"    and {len(failures) - SHOWN} more", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
