// What roomvars calls its keys and kinds, and how they are written.

/** What each dialect calls the kind, the room, the username, a variable. */
export const KEYS = {
  documented: ["kind", "room", "username", "variable"],
  deployed2020: ["kind", "id", "username", "var"],
  scratch: ["method", "project_id", "user", "name"],
};

export class Dialect {
  constructor(name) {
    this.isScratch = name === "scratch";
    [this.kind, this.room, this.username, this.variable] = KEYS[name];
  }

  handshake(room, username, variables) {
    const said = { [this.kind]: "handshake", [this.room]: room, [this.username]: username };
    return this.isScratch ? said : { ...said, variables };
  }

  set(variable, value, kind = "set") {
    return { [this.kind]: kind, [this.variable]: variable, value };
  }

  rename(variable, newName) {
    return { [this.kind]: "rename", [this.variable]: variable, new_name: newName };
  }

  delete(variable) {
    return { [this.kind]: "delete", [this.variable]: variable };
  }
}

/** `NAME=VALUE,NAME=VALUE` as what it says. */
export function variables(text) {
  return Object.fromEntries(text.split(",").filter(Boolean).map((one) => one.split("=", 2)));
}
