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
/** Milliseconds: the first delay, the longest, and how long a good connection lasts. */
const [SHORTEST, LONGEST, STEADY] = [1000, 30_000, 10_000];

/**
 * Tells `open`: the handshake is sent; nothing answers it if the room is new. `change` with `{name}`:
 * somebody else has set, renamed or deleted a variable. `frame` with `{isOurs, text}`: a message has
 * passed. `close` with `{code, reason, delay}`: the connection is gone; the next one is in `delay`
 * milliseconds, or never if it is null.
 */
export class Room extends EventTarget {
  /** Names and values, as they are now. Of numbers, which the Scratch dialect has, the text. */
  variables;
  #tries = 0;
  constructor(url, { dialect = "documented", room, username, variables = {} }) {
    super();
    Object.assign(this, { url, dialect, room, username, keys: KEYS[dialect] });
    this.isScratch = dialect === "scratch";
    this.variables = new Map(Object.entries(variables));
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    const [socket, [kind, room, username]] = [new WebSocket(this.url), this.keys];
    let opened = Infinity;
    socket.onopen = () => {
      opened = Date.now();
      // A room that nobody has kept is made of the values that we know; in Scratch it is empty.
      if (this.isScratch) this.variables.clear();
      const variables = this.isScratch ? {} : { variables: Object.fromEntries(this.variables) };
      this.#send({ [kind]: "handshake", [room]: this.room, [username]: this.username, ...variables });
      this.#tell("open");
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.socket) return;
      if (Date.now() - opened >= STEADY) this.#tries = 0;
      const longest = Math.min(LONGEST, SHORTEST * 2 ** this.#tries++);
      // 1xxx is the connection's trouble; most others stay true.
      const mayReturn = code < 2000 || [4000, 4003, this.isScratch ? 0 : 4004].includes(code);
      // Not all clients of a server that comes back are to come at once.
      const delay = mayReturn ? longest * (0.5 + Math.random() / 2) : null;
      if (delay !== null) this.timer = setTimeout(() => this.connect(), delay);
      this.#tell("close", { code, reason, delay });
    };
    this.socket = socket;
  }

  /** These change a variable; only in the Scratch dialect they make new ones, and delete any. */
  set = (name, value) => this.#change("set", name, { value }, () => this.variables.set(name, value));
  delete = (name) => this.#change("delete", name, {}, () => this.variables.delete(name));

  leave() {
    clearTimeout(this.timer);
    this.socket.close(1000);
    this.socket = null;
  }

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
    const text = JSON.stringify(said);
    this.socket.send(text);
    this.#tell("frame", { isOurs: true, text });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
