#!/usr/bin/env node
// A roomvars client. Shows on stdout what passes, does what stdin says (see ../README.md).

import { POLICY_VIOLATION, Peer, Violation, client, cut, options, parse } from "./peer.mjs";
import { Dialect, variables } from "./roomvars.mjs";

class Client extends Peer {
  constructor(ws, number, options) {
    super(ws, number, options);
    this.dialect = new Dialect(options.dialect);
    this.variables = variables(options.variables);
  }

  opened() {
    const { room, username } = this.options;
    this.send(this.dialect.handshake(room, username, this.variables));
  }

  handle(text) {
    for (const line of text.split("\n").filter((line) => line.trim())) {
      const said = parse(line);
      const { kind, variable, isScratch } = this.dialect;
      const isSet = said[kind] === "set" || (isScratch && said[kind] === "create");
      if (isSet) this.variables[said[variable]] = said.value;
      else if (isScratch && said[kind] === "rename") this.move(said[variable], said.new_name);
      else if (isScratch && said[kind] === "delete") delete this.variables[said[variable]];
      else throw new Violation(POLICY_VIOLATION, `no server says ${said[kind]}`);
    }
  }

  move(name, newName) {
    this.variables[newName] = this.variables[name];
    delete this.variables[name];
  }

  send(said) {
    this.sendText(JSON.stringify(said));
  }

  command(verb, rest) {
    const [name, more] = cut(rest);
    switch (verb) {
      case "set":
      case "create":
        this.variables[name] = JSON.parse(more);
        this.send(this.dialect.set(name, this.variables[name], verb));
        break;
      case "rename":
        this.move(name, more);
        this.send(this.dialect.rename(name, more));
        break;
      case "delete":
        delete this.variables[name];
        this.send(this.dialect.delete(name));
        break;
      case "show": {
        const sorted = Object.entries(this.variables).sort(([a], [b]) => (a < b ? -1 : 1));
        this.show("variables", JSON.stringify(Object.fromEntries(sorted)));
        break;
      }
      default:
        super.command(verb, rest);
    }
  }
}

const defaults = { connect: "ws://127.0.0.1:5000", dialect: "documented", room: "lobby" };
await client(Client, options({ ...defaults, username: "peer", variables: "" }));
