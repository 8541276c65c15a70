#!/usr/bin/env node
// A litecord client. Shows on stdout what passes, does what stdin says (see ../README.md).

import { Close, Op, Peer, options } from "./litecord.mjs";
import { client, required } from "./peer.mjs";

class Client extends Peer {
  act(message) {
    switch (message.op) {
      case Op.HELLO: {
        const interval = required(message, "hb_interval");
        this.send({ op: Op.HELLO_ACK, password: this.options.password });
        this.acknowledged = true;
        this.beat(interval);
        break;
      }
      case Op.HEARTBEAT_ACK:
        this.acknowledged = true;
        break;
      default:
        super.act(message);
    }
  }

  /** A heartbeat now and at each interval, as long as they are acknowledged. */
  beat(interval) {
    if (!this.acknowledged) return this.ws.close(Close.HEARTBEAT_TIMEOUT, "no heartbeat ack");
    this.acknowledged = false;
    this.send({ op: Op.HEARTBEAT });
    this.later(interval, () => this.beat(interval));
  }
}

await client(Client, options({ connect: "ws://127.0.0.1:5000" }));
