// What all peers have in common: a connection, and the console that it is played from.

import { createHash, timingSafeEqual } from "node:crypto";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { WebSocket, WebSocketServer } from "ws";

export const UNSUPPORTED_DATA = 1003;
export const INVALID_DATA = 1007;
export const POLICY_VIOLATION = 1008;

/** The other end broke the protocol; it is told so in a close frame. */
export class Violation extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

/** JSON, which has to be an object. */
export function parse(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new Violation(INVALID_DATA, "not JSON");
  }
  if (message === null || typeof message !== "object" || Array.isArray(message)) {
    throw new Violation(POLICY_VIOLATION, "not an object");
  }
  return message;
}

/** The same, which has to have an opcode. */
export function parseOp(text) {
  const message = parse(text);
  if (!Number.isInteger(message.op)) throw new Violation(POLICY_VIOLATION, "no opcode");
  return message;
}

/** What must be there under a key. */
export function required(message, key) {
  if (!Object.hasOwn(message, key)) throw new Violation(POLICY_VIOLATION, `no ${key}`);
  return message[key];
}

/** Without telling by the time it takes where they differ. */
export function same(a, b) {
  const hash = (text) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

/** One connection, from the side of one end. Each protocol says what it does with it. */
export class Peer {
  constructor(ws, number, options) {
    Object.assign(this, { ws, number, options });
    this.timers = new Set();

    ws.on("message", (data, isBinary) => this.guard(() => this.receive(data, isBinary)));
    ws.on("pong", (data) => this.show("pong", data));
    ws.on("error", (error) => (this.error = error)); // "close" follows
    ws.on("close", (code, reason) => {
      for (const timer of this.timers) clearTimeout(timer);
      this.ended();
      this.show("closed", code, reason.length || !this.error ? reason : this.error.message);
    });
  }

  // What an end does of itself; nothing with --manual.

  opened() {}

  /** Does what a message asks for. */
  handle(text) {}

  ended() {}

  /** Where the protocol has codes of its own. */
  closeCode(violation) {
    return violation.code;
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
      this.ws.close(this.closeCode(error), error.message);
    }
  }

  receive(data, isBinary) {
    if (!isBinary) {
      const text = data.toString();
      this.show("<", text);
      if (!this.options.manual) this.handle(text);
    } else {
      this.show("<b", data.toString("hex"));
      if (!this.options.manual) throw new Violation(UNSUPPORTED_DATA, "a binary message");
    }
  }

  sendText(text) {
    this.show(">", text);
    this.ws.send(text);
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
      case "text":
        this.sendText(rest);
        break;
      case "quoted":
        this.sendText(JSON.parse(rest));
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
export function cut(text) {
  const space = text.indexOf(" ");
  return space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
}

/** The lines of stdin: which of the peers each is for, its first word, and the rest. */
async function* commands(peers) {
  for await (const line of createInterface({ input: process.stdin })) {
    let [verb, rest] = cut(line);
    let peer = peers.at(-1);
    if (/^\d+$/.test(verb)) {
      peer = peers[verb - 1];
      [verb, rest] = cut(rest);
    }
    if (verb === "quit") return;
    yield [peer, verb, rest];
  }
}

/** The options of the command line: those of all ends, and more, which are texts or switches. */
export function options(more) {
  const all = { manual: { type: "boolean", default: false } };
  for (const [name, value] of Object.entries(more)) {
    all[name] = { type: typeof value, default: value };
  }
  return parseArgs({ options: all }).values;
}

/** A program that connects, and again when it is told so. */
export async function client(Kind, options) {
  const peers = [];
  const connect = () => {
    const peer = new Kind(new WebSocket(options.connect), peers.length + 1, options);
    peer.ws.on("open", () => peer.start());
    peers.push(peer);
  };
  connect();
  for await (const [peer, verb, rest] of commands(peers)) {
    if (verb === "connect") connect();
    else peer?.command(verb, rest);
  }
  for (const peer of peers) peer.ws.close();
}

/** A program that takes connections. */
export async function server(Kind, options) {
  const peers = [];
  const [, host, port] = /^(.*):(\d+)$/.exec(options.listen);
  const listener = new WebSocketServer({ host, port: Number(port) }, () => {
    const { address, port } = listener.address();
    console.log(`listening on ${address}:${port}`);
  });
  listener.on("connection", (ws) => {
    peers.push(new Kind(ws, peers.length + 1, options));
    peers.at(-1).start();
  });
  for await (const [peer, verb, rest] of commands(peers)) peer?.command(verb, rest);
  process.exit();
}
