#!/usr/bin/env node
// An emagine server. Shows on stdout what passes, does what stdin says (see ../README.md).

import { Close, Op, Peer, options } from "./emagine.mjs";
import { Violation, required, same, server } from "./peer.mjs";

class Server extends Peer {
  opened() {
    const interval = Math.round(this.options["heartbeat-interval"] * 1000);
    this.send({ op: Op.HELLO, heartbeat_interval: interval });
    this.beat(interval);
  }

  act(message) {
    if (message.op !== Op.IDENTIFY || this.identified) return super.act(message);
    if (!same(String(required(message, "token")), this.options.token)) {
      throw new Violation(Close.IDENTIFY_FAILED, "identify failed");
    }
    this.identified = true;
    this.send({ op: Op.READY, user: this.options.user });
  }

  command(verb, rest) {
    switch (verb) {
      case "message":
        this.send({ op: Op.MESSAGE, message: JSON.parse(rest) });
        break;
      default:
        super.command(verb, rest);
    }
  }
}

const defaults = { listen: "127.0.0.1:0", user: "ada", "heartbeat-interval": "45" };
await server(Server, options(defaults));
