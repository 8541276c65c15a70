#!/usr/bin/env node
// A litecord server. Shows on stdout what passes, does what stdin says (see ../README.md).

import { Close, Op, Peer, options } from "./litecord.mjs";
import { POLICY_VIOLATION, Violation, required, same, server } from "./peer.mjs";

const GRACE = 1000;

class Server extends Peer {
  opened() {
    this.interval = Math.round(this.options["heartbeat-interval"] * 1000);
    this.send({ op: Op.HELLO, hb_interval: this.interval });
    this.watch();
  }

  act(message) {
    switch (message.op) {
      case Op.HELLO_ACK: {
        if (this.authenticated) throw new Violation(POLICY_VIOLATION, "a second HELLO_ACK");
        if (!same(String(required(message, "password")), this.options.password)) {
          throw new Violation(Close.AUTHENTICATION_FAILED, "wrong password");
        }
        this.authenticated = true;
        return;
      }
      case Op.HELLO:
      case Op.HEARTBEAT_ACK:
        throw new Violation(POLICY_VIOLATION, "from the wrong side");
    }
    if (message.op <= Op.DISPATCH && !this.authenticated) {
      throw new Violation(Close.NOT_AUTHENTICATED, "no password yet");
    }
    if (message.op === Op.HEARTBEAT) {
      this.watch();
      this.send({ op: Op.HEARTBEAT_ACK });
    } else {
      super.act(message);
    }
  }

  /** Waits from now on for a heartbeat. */
  watch() {
    clearTimeout(this.timer);
    this.timer = this.later(this.interval + GRACE, () => {
      this.ws.close(Close.HEARTBEAT_TIMEOUT, "no heartbeat");
    });
  }
}

await server(Server, options({ listen: "127.0.0.1:0", "heartbeat-interval": "10" }));
