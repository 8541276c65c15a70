#!/usr/bin/env node
// A roomvars server. Shows on stdout what passes, does what stdin says (see ../README.md).

import { Peer, Violation, options, parse, server } from "./peer.mjs";
import { Dialect } from "./roomvars.mjs";

const Close = { GENERIC: 4000, INCOMPATIBLE: 4001, USERNAME: 4002 };

/** By id: the variables, and the clients. */
const rooms = new Map();

class Server extends Peer {
  constructor(ws, number, options) {
    super(ws, number, options);
    this.dialect = new Dialect(options.dialect);
    this.waiting = []; // objects of the next batch
  }

  handle(text) {
    let said;
    try {
      said = parse(text);
    } catch {
      throw new Violation(Close.GENERIC, "not an object");
    }
    const { kind, variable, isScratch } = this.dialect;
    const name = said[variable];
    if (!this.room) {
      if (said[kind] !== "handshake") throw new Violation(Close.GENERIC, "no handshake");
      return this.join(said);
    }
    const { variables } = this.room;
    const known = variables.has(name);
    if (said[kind] === "set" || (isScratch && said[kind] === "create")) {
      if (!known && !isScratch) throw new Violation(Close.GENERIC, "no such variable");
      variables.set(name, said.value);
      this.tell(this.dialect.set(name, said.value));
    } else if (isScratch && said[kind] === "rename") {
      if (!known || variables.has(said.new_name)) return;
      variables.set(said.new_name, variables.get(name));
      variables.delete(name);
      this.tell(this.dialect.rename(name, said.new_name));
    } else if (isScratch && said[kind] === "delete") {
      if (variables.delete(name)) this.tell(this.dialect.delete(name));
    } else {
      throw new Violation(Close.GENERIC, "an unknown kind");
    }
  }

  join(said) {
    const id = String(said[this.dialect.room]);
    const username = said[this.dialect.username];
    const theirs = Object.entries(said.variables ?? {});
    const room = rooms.get(id) ?? { variables: new Map(theirs), clients: new Set() };
    const same = (one) => one.username.toLowerCase() === username.toLowerCase();
    if (!this.dialect.isScratch) {
      if ([...room.clients].some(same)) throw new Violation(Close.USERNAME, "taken");
      const names = (list) => JSON.stringify(list.sort());
      if (names(theirs.map(([name]) => name)) !== names([...room.variables.keys()])) {
        throw new Violation(Close.INCOMPATIBLE, "other variables");
      }
    }
    Object.assign(this, { room, username });
    // An empty message for a room without variables, as deployed servers send.
    if (rooms.has(id)) {
      const sets = [...room.variables].map(([name, value]) => this.dialect.set(name, value));
      this.sendText(sets.map((set) => JSON.stringify(set)).join("\n"));
    }
    rooms.set(id, room);
    room.clients.add(this);
  }

  /** To all others of the room, now or in a batch. */
  tell(object) {
    for (const other of this.room.clients) {
      if (other !== this) other.queue(JSON.stringify(object));
    }
  }

  queue(text) {
    this.waiting.push(text);
    const flush = () => this.sendText(this.waiting.splice(0).join("\n"));
    if (this.options.batch === "0") flush();
    else if (this.waiting.length === 1) this.later(Number(this.options.batch), flush);
  }

  ended() {
    this.room?.clients.delete(this);
  }
}

await server(Server, options({ listen: "127.0.0.1:0", dialect: "documented", batch: "0" }));
