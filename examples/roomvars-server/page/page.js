// What the page shows, and what can be done on it. What is on the wire is in roomvars.js.
// All that others say is shown as text, never as markup.

import { Room } from "./roomvars.js";

/** How much is shown of the past, and of one message. */
const [LINES, LONGEST] = [200, 2000];

const dialect = document.documentElement.dataset.dialect;
const isScratch = dialect === "scratch";
const at = (id) => document.getElementById(id);

/** The room that we are in, or want to be in. */
let room = null;
let isOpen = false;
let countdown = null;

// What happened.

function stamp() {
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString("en-GB");
  return time;
}

function add(list, item) {
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.append(item);
  while (list.childElementCount > LINES) list.firstElementChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function note(text, isBad = false) {
  const item = document.createElement("li");
  item.append(stamp(), text);
  item.classList.toggle("bad", isBad);
  add(at("journal"), item);
}

// The wire.

const traffic = { frames: 0, bytes: 0 };
let isPaused = false;

function passed(kind, word, text) {
  if (kind !== "end") {
    traffic.frames += 1;
    traffic.bytes += new TextEncoder().encode(text).length;
  }
  const messages = traffic.frames === 1 ? "1 message" : `${traffic.frames} messages`;
  at("traffic").textContent = `${messages}, ${traffic.bytes} bytes`;
  if (isPaused) return;
  const [item, direction, said] = ["li", "b", "span"].map((name) => document.createElement(name));
  item.className = kind;
  direction.textContent = word;
  said.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text;
  item.append(stamp(), direction, said);
  add(at("frames"), item);
}

at("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  at("pause").setAttribute("aria-pressed", isPaused);
  at("pause").textContent = isPaused ? "Go on" : "Pause";
});
at("clear").addEventListener("click", () => at("frames").replaceChildren());

// The variables.

const rows = new Map();

function set(name, value) {
  try {
    room.set(name, value);
    note(`You set ${name} to “${value}”`);
  } catch (error) {
    note(`Not set: ${error.message}`, true);
  }
  show(name);
}

function row(name) {
  const item = at("variable").content.firstElementChild.cloneNode(true);
  const part = (selector) => item.querySelector(selector);
  const [value, input] = [part(".value"), part(".new-value")];
  part(".name").textContent = name;
  value.setAttribute("aria-label", `Value of ${name}`);
  input.setAttribute("aria-label", `New value of ${name}`);
  part("form").addEventListener("submit", (event) => {
    event.preventDefault();
    set(name, input.value);
    input.value = "";
  });
  for (const [selector, step, word] of [[".less", -1, "less"], [".more", 1, "more"]]) {
    part(selector).setAttribute("aria-label", `${name}: one ${word}`);
    part(selector).addEventListener("click", () => {
      set(name, String(Number(room.variables.get(name)) + step));
    });
  }
  part(".delete").hidden = !isScratch;
  part(".delete").setAttribute("aria-label", `Delete ${name}`);
  part(".delete").addEventListener("click", () => {
    room.delete(name);
    showAll();
    note(`You deleted ${name}`);
  });
  return { item, value, isNumber: (is) => [".less", ".more"].forEach((one) => (part(one).hidden = !is)) };
}

/** Shows a variable as it is now. */
function show(name) {
  const value = room.variables.get(name);
  if (value === undefined || !rows.has(name)) {
    showAll();
    return;
  }
  const one = rows.get(name);
  one.value.textContent = value;
  one.isNumber(value.trim() !== "" && Number.isSafeInteger(Number(value)));
  // Begins anew, should it still be going on.
  one.item.classList.remove("changed");
  void one.item.offsetWidth;
  one.item.classList.add("changed");
}

/** Shows all variables, and none that is gone. */
function showAll() {
  for (const [name, one] of rows) {
    if (!room.variables.has(name)) {
      one.item.remove();
      rows.delete(name);
    }
  }
  for (const name of room.variables.keys()) {
    if (!rows.has(name)) {
      rows.set(name, row(name));
      at("variables").append(rows.get(name).item);
      show(name);
    }
  }
  at("empty").hidden = room.variables.size > 0;
  enable();
}

function enable() {
  for (const one of at("room").querySelectorAll("form :is(input, button)")) one.disabled = !isOpen;
}

at("create").addEventListener("submit", (event) => {
  event.preventDefault();
  set(at("new-name").value, "0");
  at("new-name").value = "";
});

// Coming and going.

function status(state, text) {
  at("status").dataset.state = state;
  if (at("status").textContent !== text) at("status").textContent = text;
}

function wanted() {
  const lines = at("variables-wanted").value.split("\n").filter((line) => line.trim());
  return Object.fromEntries(
    lines.map((line) => {
      const [name, ...rest] = line.split("=");
      return [name.trim(), rest.join("=").trim()];
    }),
  );
}

function join() {
  const [id, username] = [at("room-id").value, at("username").value];
  const variables = isScratch ? {} : wanted();
  const link = new URLSearchParams({ room: id });
  if (!isScratch) link.set("variables", at("variables-wanted").value);
  history.replaceState(null, "", `#${link}`);
  const url = new URL(".", location);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  room = new Room(url, { dialect, room: id, username, variables });
  room.addEventListener("open", opened);
  room.addEventListener("change", ({ detail: { name } }) => show(name));
  room.addEventListener("frame", ({ detail: { isOurs, text } }) => {
    passed(isOurs ? "out" : "in", isOurs ? "▲ sent" : "▼ came", text || "(empty)");
  });
  room.addEventListener("close", ({ detail }) => closed(detail));
  rows.clear();
  at("variables").replaceChildren();
  at("room-title").textContent = `${id}, as ${username}`;
  at("refusal").hidden = true;
  status("waiting", "Connecting");
}

function opened() {
  isOpen = true;
  clearInterval(countdown);
  at("waiting").hidden = true;
  at("entrance").hidden = true;
  at("room").hidden = false;
  status("in", `In ${room.room}`);
  note(`${room.username} asks to be let into ${room.room}`);
  showAll();
}

/** What a close code means here. */
function told(code) {
  if (code === 1001) return "The server goes away";
  if (code < 2000) return "The connection is lost";
  if (code === 4004 && !isScratch) return "Kicked";
  return "Refused";
}

function closed({ code, reason, delay }) {
  isOpen = false;
  passed("end", "✕ close", `${code} ${reason}`);
  const why = `${told(code)}: ${reason || "no reason given"} (${code})`;
  note(`${room.username}, ${room.room}: ${why}. ${delay === null ? "Not trying again." : "Trying again."}`, true);
  if (delay === null) {
    out();
    at("refusal").textContent = why;
    at("refusal").hidden = false;
    (code === 4002 ? at("username") : at("room-id")).focus();
    return;
  }
  at("entrance").hidden = true;
  at("room").hidden = false;
  at("waiting").hidden = false;
  at("waiting-why").textContent = why;
  status("waiting", "Waiting to try again");
  showAll();
  const due = Date.now() + delay;
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((due - Date.now()) / 1000));
    at("countdown").textContent = `again in ${seconds} s`;
  };
  clearInterval(countdown);
  countdown = setInterval(tick, 250);
  tick();
}

function out() {
  clearInterval(countdown);
  isOpen = false;
  at("room").hidden = true;
  at("entrance").hidden = false;
  status("out", "Not in a room");
}

at("join").addEventListener("submit", (event) => {
  event.preventDefault();
  join();
});
at("leave").addEventListener("click", () => {
  room.leave();
  note(`${room.username} leaves ${room.room}`);
  out();
  at("room-id").focus();
});
at("now").addEventListener("click", () => room.connect());

const link = new URLSearchParams(location.hash.slice(1));
at("dialect").textContent = `shared variables, live · ${dialect} dialect`;
at("wanted").hidden = isScratch;
at("create").hidden = !isScratch;
at("room-id").value = link.get("room") ?? "lobby";
at("username").value = `guest-${Math.random().toString(36).slice(2, 6)}`;
at("variables-wanted").value = link.get("variables") ?? "score = 0\nturn = ada";
