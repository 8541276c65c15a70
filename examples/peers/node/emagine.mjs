// What both ends of emagine have in common.

import * as peer from "./peer.mjs";
import { INVALID_DATA, POLICY_VIOLATION, Violation } from "./peer.mjs";

export const Op = {
  HELLO: 0,
  IDENTIFY: 1,
  READY: 2,
  MESSAGE: 3,
  HEARTBEAT: 10,
  HEARTBEAT_ACK: 11,
};

export const Close = {
  INVALID_PAYLOAD: 4001,
  TIMED_OUT: 4002,
  IDENTIFY_FAILED: 4003,
};

/** One end. `Client` and `Server` say what differs between them. */
export class Peer extends peer.Peer {
  constructor(ws, number, options) {
    super(ws, number, options);
    this.acknowledged = true;
  }

  handle(text) {
    this.act(peer.parseOp(text));
  }

  /** Does what a message of any end asks for. */
  act(message) {
    switch (message.op) {
      case Op.HEARTBEAT:
        // `undefined` isn't written. JSON.stringify gives integers up to 2^53 back as they came.
        // Whoever has to send back any text has to cut it out of the message.
        this.send({ op: Op.HEARTBEAT_ACK, time: message.time });
        break;
      case Op.HEARTBEAT_ACK:
        this.acknowledged = true;
        break;
      case Op.HELLO:
      case Op.IDENTIFY:
      case Op.READY:
      case Op.MESSAGE:
        throw new Violation(POLICY_VIOLATION, "out of turn, or from the wrong side");
    }
  }

  closeCode({ code }) {
    const isWrong = code === INVALID_DATA || code === POLICY_VIOLATION;
    return isWrong ? Close.INVALID_PAYLOAD : code;
  }

  /** A heartbeat at each interval, as long as they are acknowledged. */
  beat(interval) {
    this.later(interval, () => {
      if (!this.acknowledged) return this.ws.close(Close.TIMED_OUT, "no heartbeat ack");
      this.acknowledged = false;
      this.heartbeat();
      this.beat(interval);
    });
  }

  heartbeat() {
    this.send({ op: Op.HEARTBEAT, time: Date.now() });
  }

  // The wire.

  send(message) {
    this.sendText(JSON.stringify(message));
  }

  // The console.

  command(verb, rest) {
    switch (verb) {
      case "heartbeat":
        this.heartbeat();
        break;
      default:
        super.command(verb, rest);
    }
  }
}

/** The options of both ends, and more. */
export function options(more) {
  return peer.options({ token: "helloworld", ...more });
}
