#!/usr/bin/env node
// An emagine client. Shows on stdout what passes, does what stdin says (see ../README.md).

import { Op, Peer, options } from "./emagine.mjs";
import { client, required } from "./peer.mjs";

/** The op, whichever of its spellings the gateway has. */
function kind(message) {
  switch (message.op) {
    case Op.READY:
      return Object.hasOwn(message, "message") ? Op.MESSAGE : Op.READY;
    case Op.IDENTIFY:
      return Op.READY;
  }
  return message.op;
}

class Client extends Peer {
  act(message) {
    switch (kind(message)) {
      case Op.HELLO: {
        if (this.greeted) break;
        const interval = required(message, "heartbeat_interval");
        this.greeted = true;
        this.send({ op: Op.IDENTIFY, token: this.options.token });
        return this.beat(interval);
      }
      case Op.READY:
        if (!this.greeted || this.user !== undefined) break;
        this.user = required(message, "user");
        return this.show("ready", this.user);
      case Op.MESSAGE:
        if (this.user === undefined) break;
        return this.show("message", JSON.stringify(required(message, "message")));
    }
    super.act(message);
  }
}

await client(Client, options({ connect: "ws://127.0.0.1:5000" }));
