#!/usr/bin/env node
// A litecord client. Shows on stdout what passes, does what stdin says (see ../README.md).

import { WebSocket } from "ws";

import { Close, Op, Peer, commands, options as parse, required } from "./litecord.mjs";

class Client extends Peer {
  handle(message) {
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
        super.handle(message);
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

const options = parse({ connect: "ws://127.0.0.1:5000" });
const clients = [];

function connect() {
  const client = new Client(new WebSocket(options.connect), clients.length + 1, options);
  client.ws.on("open", () => client.start());
  clients.push(client);
}

connect();
for await (const [verb, rest] of commands()) {
  if (verb === "connect") connect();
  else clients.at(-1).command(verb, rest);
}
clients.at(-1).ws.close();
