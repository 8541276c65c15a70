// The roomvars protocol in a browser: joins a room, mirrors its variables, comes back when the
// connection is lost. It needs nothing else: copy it.
//   const room = new Room("ws://…", { room: "lobby", username: "ada", variables: { score: "0" } });
//   room.addEventListener("change", ({ detail: { name } }) => show(name, room.variables.get(name)));
//   room.set("score", "10");

/** What each dialect calls the kind, the room, the username and a variable. */
const KEYS = {
  documented: ["kind", "room", "username", "variable"],
  deployed2020: ["kind", "id", "username", "var"],
  scratch: ["method", "project_id", "user", "name"],
};
/** Milliseconds: the first delay at most, any delay at most, and how long a good connection lasts. */
const [FIRST, LONGEST, STEADY] = [2000, 30_000, 10_000];

/**
 * Tells `open`: the handshake is sent; nothing answers it if the room is new. `change` with `{name}`:
 * somebody else has changed a variable. `frame` with `{isOurs, text}`: a message has passed. `close`
 * with `{code, reason, delay}`: the connection is gone; the next is in `delay` ms, or never if null.
 */
export class Room extends EventTarget {
  #tries = 0;

  constructor(url, { dialect = "documented", room, username, variables = {} }) {
    super();
    Object.assign(this, { url, room, username, keys: KEYS[dialect], isScratch: dialect === "scratch" });
    /** Names and values, as they are now; of numbers, which Scratch has, as JavaScript writes them. */
    this.variables = new Map(Object.entries(variables));
    this.connect();
  }

  connect() {
    this.leave();
    const socket = (this.socket = new WebSocket(this.url));
    const [kind, room, username] = this.keys;
    let opened = Infinity;
    socket.onopen = () => {
      opened = Date.now();
      // A room that nobody has kept is made of the values that we know; in Scratch it is empty.
      if (this.isScratch) this.variables.clear();
      const variables = this.isScratch ? {} : { variables: Object.fromEntries(this.variables) };
      this.#send({ [kind]: "handshake", [room]: this.room, [username]: this.username, ...variables });
      this.#tell("open");
    };
    socket.onmessage = ({ data }) => {
      try {
        if (socket === this.socket) this.#receive(data);
      } catch {
        socket.close(4000, "not an object in JSON");
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.socket) return;
      if (Date.now() - opened >= STEADY) this.#tries = 0;
      const longest = Math.min(LONGEST, FIRST * 2 ** this.#tries++);
      // 1xxx is the connection's trouble; most others stay true. Not all are to come back at once.
      const mayReturn = code < 2000 || [4000, 4003, this.isScratch ? 0 : 4004].includes(code);
      const delay = mayReturn ? longest * (0.5 + Math.random() / 2) : null;
      if (mayReturn) this.timer = setTimeout(() => this.connect(), delay);
      this.#tell("close", { code, reason, delay });
    };
  }

  leave() {
    clearTimeout(this.timer);
    this.socket?.close(1000);
    this.socket = null;
  }

  /** These change a variable; only in the Scratch dialect they make new ones, and delete any. */
  set = (name, value) => this.#change("set", name, { value }, () => this.variables.set(name, value));
  delete = (name) => this.#change("delete", name, {}, () => this.variables.delete(name));

  #change(what, name, rest, change) {
    if (this.socket?.readyState !== WebSocket.OPEN) throw new Error("not connected");
    if (!this.isScratch && !this.variables.has(name)) throw new Error("no such variable");
    change();
    this.#send({ [this.keys[0]]: what, [this.keys[3]]: name, ...rest });
  }

  /** One message has one or more objects, a line each. What we don't know we ignore. */
  #receive(text) {
    this.#tell("frame", { isOurs: false, text });
    for (const line of text.split("\n").filter((line) => line.trim())) {
      const { [this.keys[0]]: kind, [this.keys[3]]: name, value, new_name: newName } = JSON.parse(line);
      if (kind === "set" || kind === "create") this.variables.set(name, String(value));
      if (kind === "rename") this.variables.set(newName, this.variables.get(name));
      if (kind === "rename" || kind === "delete") this.variables.delete(name);
      this.#tell("change", { name: newName ?? name });
    }
  }

  #send(said) {
    this.socket.send(JSON.stringify(said));
    this.#tell("frame", { isOurs: true, text: JSON.stringify(said) });
  }

  #tell = (type, detail) => this.dispatchEvent(new CustomEvent(type, { detail }));
}
