// What both ends of litecord have in common, and the console that they are played from.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { deflateSync, inflateSync } from "node:zlib";

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
  UNSUPPORTED_DATA: 1003,
  INVALID_DATA: 1007,
  POLICY_VIOLATION: 1008,
  MESSAGE_TOO_BIG: 1009,
  AUTHENTICATION_FAILED: 4001,
  NOT_AUTHENTICATED: 4002,
  HEARTBEAT_TIMEOUT: 4003,
};

const MAX_MESSAGE = 1 << 20;
const REQUEST_TIMEOUT = 5000;

/** The other end broke the protocol; it is told so in a close frame. */
export class Violation extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

/** The text of a message that is one zlib stream, and nothing after it. */
function unpack(stream) {
  let inflated;
  try {
    inflated = inflateSync(stream, { maxOutputLength: MAX_MESSAGE, info: true });
  } catch (error) {
    const big = error.code === "ERR_BUFFER_TOO_LARGE";
    throw new Violation(big ? Close.MESSAGE_TOO_BIG : Close.INVALID_DATA, error.message);
  }
  if (inflated.engine.bytesWritten !== stream.length) {
    throw new Violation(Close.INVALID_DATA, "not one zlib stream");
  }
  return inflated.buffer.toString();
}

/** A message: an object with an opcode. */
function parse(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new Violation(Close.INVALID_DATA, "not JSON");
  }
  if (!Number.isInteger(message?.op)) throw new Violation(Close.POLICY_VIOLATION, "no opcode");
  return message;
}

/** What must be there under a key. */
export function required(message, key) {
  if (!(key in message)) throw new Violation(Close.POLICY_VIOLATION, `no ${key}`);
  return message[key];
}

/** One connection, from the side of one end. `Client` and `Server` say what they do with it. */
export class Peer {
  constructor(ws, number, options) {
    Object.assign(this, { ws, number, options });
    this.nonce = 0;
    this.requests = new Map(); // nonce → what to call with the response
    this.timers = new Set();

    ws.on("message", (data, isBinary) => this.guard(() => this.receive(data, isBinary)));
    ws.on("pong", (data) => this.show("pong", data));
    ws.on("error", (error) => (this.error = error)); // "close" follows
    ws.on("close", (code, reason) => {
      for (const timer of this.timers) clearTimeout(timer);
      this.show("closed", code, reason.length || !this.error ? reason : this.error.message);
    });
  }

  // What an end does of itself; nothing with --manual.

  opened() {}

  /** Does what a message of any end asks for. */
  handle(message) {
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

  /** From the first message on. */
  start() {
    this.show("connected");
    if (!this.options.manual) this.guard(() => this.opened());
  }

  /** Does something that may find the other end at fault. */
  guard(task) {
    try {
      task();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.ws.close(error.code, error.message);
    }
  }

  receive(data, isBinary) {
    let text;
    if (!isBinary) {
      text = data.toString();
      this.show("<", text);
    } else if (this.options.zlib) {
      text = unpack(data);
      this.show("<z", text);
    } else {
      this.show("<b", data.toString("hex"));
      if (this.options.manual) return;
      throw new Violation(Close.UNSUPPORTED_DATA, "a binary message");
    }
    if (!this.options.manual) this.handle(parse(text));
  }

  send(message) {
    const text = JSON.stringify(message);
    if (this.options.zlib) this.sendZlib(text);
    else this.sendText(text);
  }

  sendText(text) {
    this.show(">", text);
    this.ws.send(text);
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

  /** Does something after a time, unless the connection has ended by then. */
  later(milliseconds, task) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      task();
    }, milliseconds);
    this.timers.add(timer);
    return timer;
  }

  // The console.

  show(...words) {
    const line = [this.number, ...words].join(" ").trimEnd().replaceAll("\n", "\\n");
    process.stdout.write(`${line}\n`);
  }

  /** Does what a line of the console says; README.md has the list. */
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
      case "text":
        this.sendText(rest);
        break;
      case "zlib":
        this.sendZlib(rest);
        break;
      case "binary":
        this.ws.send(Buffer.from(rest, "hex"));
        break;
      case "fragments": {
        const words = rest.split(" ");
        words.forEach((word, i) => {
          const fin = i === words.length - 1;
          if (word === "ping") this.ws.ping();
          else this.ws.send(Buffer.from(word, "hex"), { binary: false, fin });
        });
        break;
      }
      case "ping":
        this.ws.ping(rest);
        break;
      case "close": {
        const [code, reason] = cut(rest);
        this.ws.close(code ? Number(code) : undefined, reason);
        break;
      }
      case "pause":
        this.ws.pause();
        break;
      case "resume":
        this.ws.resume();
        break;
      case "drop":
        this.ws.terminate();
        break;
      default:
        console.error(`unknown command: ${verb}`);
    }
  }
}

/** The first word, and the rest. */
function cut(text) {
  const space = text.indexOf(" ");
  return space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
}

function wordAndJson(text) {
  const [word, json] = cut(text);
  return [word, JSON.parse(json || "[]")];
}

/** The lines of stdin, each as its first word and the rest. */
export async function* commands() {
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb, rest] = cut(line);
    if (verb === "quit") return;
    yield [verb, rest];
  }
}

/** The options of the command line: those of both ends, and more. */
export function options(more) {
  const string = (value) => ({ type: "string", default: value });
  const all = {
    password: string("helloworld"),
    zlib: { type: "boolean", default: false },
    manual: { type: "boolean", default: false },
  };
  for (const [name, value] of Object.entries(more)) all[name] = string(value);
  return parseArgs({ options: all }).values;
}
