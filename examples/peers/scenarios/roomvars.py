"""What the scenarios of roomvars have in common."""

from functools import partial

import harness
from harness import compact

DIALECTS = ("documented", "deployed2020", "scratch")
# Rooms that the first client's variables make.
FIXED = DIALECTS[:2]

against_server = partial(harness.against_server, "roomvars", drivers=(None,))
# A server of ours in one language is enough.
against_client = partial(harness.against_client, "roomvars", languages=("node",))

KEYS = {
    "documented": ("kind", "room", "username", "variable"),
    "deployed2020": ("kind", "id", "username", "var"),
    "scratch": ("method", "project_id", "user", "name"),
}


def handshake(dialect, username="peer", variables=None, room="lobby"):
    kind, room_key, user, _ = KEYS[dialect]
    said = {kind: "handshake", room_key: room, user: username}
    if dialect != "scratch":
        said["variables"] = {"x": "0", "y": "0"} if variables is None else variables
    return compact(said)


def set_(dialect, variable, value, kind="set"):
    """`value` is JSON text."""
    key, _, _, name = KEYS[dialect]
    return f'{{"{key}":"{kind}","{name}":{compact(variable)},"value":{value}}}'


def rename(old, new):
    return f'{{"method":"rename","name":"{old}","new_name":"{new}"}}'


def delete(name):
    return f'{{"method":"delete","name":"{name}"}}'


def lines(*objects):
    """Objects of one message, as a peer shows them."""
    return "\\n".join(objects)
