// What both ends of litecord have in common.

import { deflateSync, inflateSync } from "node:zlib";

import * as peer from "./peer.mjs";
import { INVALID_DATA, Violation, cut, required } from "./peer.mjs";

export const Op = {
  HELLO: 0,
  HELLO_ACK: 1,
  HEARTBEAT: 2,
  HEARTBEAT_ACK: 3,
  REQUEST: 4,
  RESPONSE: 5,
  DISPATCH: 6,
};

export const Close = {
  MESSAGE_TOO_BIG: 1009,
  AUTHENTICATION_FAILED: 4001,
  NOT_AUTHENTICATED: 4002,
  HEARTBEAT_TIMEOUT: 4003,
};

const MAX_MESSAGE = 1 << 20;
const REQUEST_TIMEOUT = 5000;

/** The text of a message that is one zlib stream, and nothing after it. */
function unpack(stream) {
  let inflated;
  try {
    inflated = inflateSync(stream, { maxOutputLength: MAX_MESSAGE, info: true });
  } catch (error) {
    const big = error.code === "ERR_BUFFER_TOO_LARGE";
    throw new Violation(big ? Close.MESSAGE_TOO_BIG : INVALID_DATA, error.message);
  }
  if (inflated.engine.bytesWritten !== stream.length) {
    throw new Violation(INVALID_DATA, "not one zlib stream");
  }
  return inflated.buffer.toString();
}

/** One end. `Client` and `Server` say what differs between them. */
export class Peer extends peer.Peer {
  constructor(ws, number, options) {
    super(ws, number, options);
    this.nonce = 0;
    this.requests = new Map(); // nonce → what to call with the response
  }

  handle(text) {
    this.act(peer.parseOp(text));
  }

  /** Does what a message of any end asks for. */
  act(message) {
    switch (message.op) {
      case Op.REQUEST: {
        const [what, args, nonce] = ["w", "a", "n"].map((key) => required(message, key));
        const answer = this.answer(what, args);
        // A nonce must go back as it came: JSON.stringify does that for integers up to 2^53, and
        // makes 1 of 1.0. Whoever needs more has to cut the nonce out of the text.
        if (answer !== undefined) this.send({ op: Op.RESPONSE, n: nonce, r: answer });
        break;
      }
      case Op.RESPONSE: {
        const [nonce, result] = ["n", "r"].map((key) => required(message, key));
        const respond = this.requests.get(nonce); // a Map keeps 1 and "1" apart
        this.requests.delete(nonce);
        if (respond) respond(result);
        else this.show("stray", JSON.stringify(nonce));
        break;
      }
    }
  }

  answer(what, args) {
    switch (what) {
      case "VERSION":
        return { name: "litecord.mjs" };
      case "ECHO":
        return args;
      case "SILENCE":
        return undefined;
    }
    return { error: "unknown request" };
  }

  // The wire.

  receive(data, isBinary) {
    if (!isBinary || !this.options.zlib) return super.receive(data, isBinary);
    const text = unpack(data);
    this.show("<z", text);
    if (!this.options.manual) this.handle(text);
  }

  send(message) {
    const text = JSON.stringify(message);
    if (this.options.zlib) this.sendZlib(text);
    else this.sendText(text);
  }

  sendZlib(text) {
    this.show(">z", text);
    this.ws.send(deflateSync(text));
  }

  /** Asks, and gives a promise of the response. */
  request(what, args) {
    const nonce = ++this.nonce;
    this.send({ op: Op.REQUEST, w: what, a: args, n: nonce });
    return new Promise((resolve, reject) => {
      this.requests.set(nonce, resolve);
      this.later(REQUEST_TIMEOUT, () => {
        if (this.requests.delete(nonce)) reject(new Error("timed_out"));
      });
    });
  }

  // The console.

  command(verb, rest) {
    switch (verb) {
      case "request":
        this.request(...wordAndJson(rest)).then(
          (result) => this.show("outcome", JSON.stringify(result)),
          (error) => this.show("outcome", error.message),
        );
        break;
      case "dispatch": {
        const [what, args] = wordAndJson(rest);
        this.send({ op: Op.DISPATCH, w: what, a: args });
        break;
      }
      case "zlib":
        this.sendZlib(rest);
        break;
      default:
        super.command(verb, rest);
    }
  }
}

function wordAndJson(text) {
  const [word, json] = cut(text);
  return [word, JSON.parse(json || "[]")];
}

/** The options of both ends, and more. */
export function options(more) {
  return peer.options({ password: "helloworld", zlib: false, ...more });
}
