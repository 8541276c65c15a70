"""What roomvars calls its keys and kinds."""

# What each dialect calls the kind, the room, the username, a variable.
KEYS = {
    "documented": ("kind", "room", "username", "variable"),
    "deployed2020": ("kind", "id", "username", "var"),
    "scratch": ("method", "project_id", "user", "name"),
}


class Dialect:
    def __init__(self, name):
        self.is_scratch = name == "scratch"
        self.kind, self.room, self.username, self.variable = KEYS[name]

    def handshake(self, room, username, variables):
        said = {self.kind: "handshake", self.room: room, self.username: username}
        return said if self.is_scratch else said | {"variables": variables}

    def set(self, variable, value, kind="set"):
        return {self.kind: kind, self.variable: variable, "value": value}

    def rename(self, variable, new_name):
        return {self.kind: "rename", self.variable: variable, "new_name": new_name}

    def delete(self, variable):
        return {self.kind: "delete", self.variable: variable}
