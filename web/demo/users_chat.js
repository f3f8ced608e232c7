// A chat of users who are logged in: a room, who is here, and private messages.
//
//   import { usersChat } from "https://comet.example/demo/users_chat.js";
//   await usersChat(element, { user: 5, key: "...", people: [{ id: 6, name: "Boris" }], send: (to, text) => ... });
//
// The room is the pipe webauth_<room>: the server says who wrote. Who is here is told by the pipe track_<room>. A private message is
// a personal message, which only a backend may publish: `send` hands it over, and it comes back to all pages of both. The
// server forgets a personal message when it has arrived, so the browser keeps the last ones. Names are {"name": ...} in
// users_data.

import { connect } from "../encke.js";

const KEPT_MAX = 100;
const TEXT_MAX = 2000;
const STATES = {
  connecting: "Connecting", connected: "Connected", reconnecting: "Connecting again", offline: "Offline", refused: "Refused", closed: "Closed",
};
const ROOM = "room";

/** What a backend publishes, with the event `private`, to `to` and to `from`. */
export const privateMessage = (from, to, text) => ({ from, to, text, id: randomId() });

/**
 * Shows the chat in `root`. `people` are users to write to although they are not here; `send(to, text)` hands a private
 * message to the backend. Rejected if the server does not know the user.
 */
export async function usersChat(root, { server, user, key, dev, room = "members", people = [], send }) {
  const self = Number(user);
  const comet = connect({ url: server, user, key, dev });
  const names = new Map(people.map(({ id, name }) => [id, name]));
  const nameOf = (id) => names.get(id) || `User ${id}`;
  const online = new Set();
  const talks = new Map([[ROOM, []], ...restored()]);
  const unread = new Map();
  let current = ROOM;

  const title = make("h2");
  const state = make("span", { className: "state" });
  state.setAttribute("role", "status");
  const list = make("ul", { className: "people" });
  list.setAttribute("aria-label", "Conversations");
  const log = make("ol", { className: "log", tabIndex: 0 });
  log.setAttribute("role", "log");
  log.setAttribute("aria-label", "Messages");
  const text = make("input", { name: "text", required: true, maxLength: TEXT_MAX, autocomplete: "off", enterKeyHint: "send" });
  const label = make("span");
  const problem = make("p", { className: "problem", hidden: true });
  problem.setAttribute("role", "alert");
  const form = make("form", {}, make("label", {}, label, text), make("button", { type: "submit", textContent: "Send" }), problem);
  const chat = make("section", { className: "users-chat" }, make("header", {}, title, state), list, make("div", { className: "talk" }, log, form));
  chat.setAttribute("aria-label", "Chat");

  const fail = (error) => {
    problem.textContent = String(error.message || error).replace(/^encke: /, "");
    problem.hidden = false;
  };

  // What is shown

  function showPeople() {
    title.textContent = `You are ${nameOf(self)}`;
    const ids = new Set([...names.keys(), ...online, ...[...talks.keys()].filter((id) => id !== ROOM)]);
    ids.delete(self);
    const others = [...ids].sort((one, other) => online.has(other) - online.has(one) || nameOf(one).localeCompare(nameOf(other)));
    const focused = list.contains(document.activeElement) && document.activeElement.dataset.talk;
    list.replaceChildren(entry(ROOM, `Everyone (${online.size})`, true), ...others.map((id) => entry(id, nameOf(id), online.has(id))));
    if (focused) list.querySelector(`[data-talk="${focused}"]`)?.focus();
  }

  function entry(id, name, isOnline) {
    const status = id === ROOM ? "" : isOnline ? "online" : "away";
    const button = make("button", { type: "button", className: status, title: status }, make("span", { className: "label", textContent: name }));
    const count = unread.get(id);
    button.setAttribute("aria-label", [name, status, count && `${count} unread`].filter(Boolean).join(", "));
    if (id !== ROOM) button.prepend(make("span", { className: "dot" }));
    if (count) button.append(make("span", { className: "unread", textContent: count }));
    button.dataset.talk = id;
    button.setAttribute("aria-pressed", String(id === current));
    button.addEventListener("click", () => open(id));
    return make("li", {}, button);
  }

  function open(id) {
    current = id;
    unread.delete(id);
    showPeople();
    label.textContent = id === ROOM ? "Message to everyone" : `Private message to ${nameOf(id)}`;
    redraw();
    text.focus();
  }

  function redraw() {
    const said = talks.get(current) ?? [];
    const empty = current === ROOM ? "Nobody has written anything yet." : "Only the two of you can read this.";
    log.replaceChildren(...(said.length ? said.map(line) : [make("li", { className: "empty", textContent: empty })]));
    log.scrollTop = log.scrollHeight;
  }

  function line({ from, text: words, time, isGap }) {
    if (isGap) return make("li", { className: "gap", textContent: "Messages may be missing here." });
    const when = new Date(time * 1000);
    const stamp = make("time", { textContent: when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }), dateTime: when.toISOString() });
    const about = make("div", { className: "about" }, make("span", { className: "who", textContent: nameOf(from), dir: "auto" }), stamp);
    return make("li", { className: from === self ? "own" : "" }, about, make("p", { textContent: words, dir: "auto" }));
  }

  function put(id, said) {
    const talk = talks.get(id) ?? [];
    if (said.id !== undefined && talk.some((one) => one.id === said.id)) return;
    if (said.isGap && (!talk.length || talk.at(-1).isGap)) return;
    talks.set(id, [...talk, said].slice(-KEPT_MAX));
    learn(said.from);
    if (id !== ROOM) {
      learn(id);
      keep();
    }
    if (id !== current) {
      if (said.from !== self) unread.set(id, (unread.get(id) ?? 0) + 1);
      return showPeople();
    }
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.querySelector(".empty")?.remove();
    log.append(line(said));
    while (log.childElementCount > KEPT_MAX) log.firstElementChild.remove();
    if (isAtEnd || said.from === self) log.scrollTop = log.scrollHeight;
  }

  /** Asks for the name of somebody new. */
  async function learn(id) {
    if (!id || names.has(id)) return;
    names.set(id, undefined);
    try {
      const { name } = JSON.parse(await comet.userData(id));
      if (typeof name !== "string" || !name) return;
      names.set(id, name.slice(0, 40));
      showPeople();
      redraw();
    } catch {
      // Without a name the number is shown.
    }
  }

  // What is kept

  function storageKey() {
    return `encke_users_chat_${dev ?? 0}_${self}`;
  }

  function restored() {
    try {
      return JSON.parse(localStorage.getItem(storageKey())) ?? [];
    } catch {
      return [];
    }
  }

  function keep() {
    try {
      localStorage.setItem(storageKey(), JSON.stringify([...talks].filter(([id]) => id !== ROOM)));
    } catch {
      // Without storage they are here until the page goes.
    }
  }

  // What comes

  const roomMessage = ({ data, text: words, user: from = 0, time, position }) =>
    // An id counts for its sender only: nobody can keep away what others say.
    put(ROOM, { from, text: String(data?.text ?? words), time: time ?? Date.now() / 1000, id: data?.id ? `${from}/${data.id}` : position });

  async function load() {
    const found = await comet.history(pipe);
    const live = talks.get(ROOM);
    talks.set(ROOM, []);
    found.forEach(roomMessage);
    for (const said of live) if (!said.isGap) put(ROOM, said);
    unread.delete(ROOM);
    if (current === ROOM) redraw();
    showPeople();
  }

  const pipe = `webauth_${room}`;
  comet.on("personal", ({ event, data, time }) => {
    if (event !== "private" || typeof data?.text !== "string") return;
    const { from, to, text: words, id } = data;
    put(from === self ? to : from, { from, text: words, id, time: time ?? Date.now() / 1000 });
  });
  comet.on("state", () => {
    state.dataset.state = comet.state;
    state.textContent = STATES[comet.state];
  });
  state.dataset.state = comet.state;
  state.textContent = STATES[comet.state];
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (!words) return;
    problem.hidden = true;
    try {
      if (current === ROOM) {
        const id = randomId();
        put(ROOM, { from: self, text: words, id: `${self}/${id}`, time: Date.now() / 1000 });
        text.value = "";
        await comet.publish(pipe, { text: words, id }, { event: "say" });
      } else {
        await send(current, words);
        text.value = "";
      }
    } catch (error) {
      fail(error);
    }
  });
  // After the handlers, because what waited for the user comes at once.
  if (!(await comet.ready())) {
    comet.close();
    throw new Error(`The server does not know user ${user} by this key.`);
  }
  root.replaceChildren(chat);
  open(ROOM);
  await comet.subscribe(`${pipe}.say`, roomMessage, {
    gap: ({ history }) => (history ? load().catch(fail) : put(ROOM, { from: 0, isGap: true })),
  });
  await comet.track(`track_${room}`, (members) => {
    online.clear();
    for (const { user_id } of members) {
      if (!user_id) continue;
      online.add(user_id);
      learn(user_id);
    }
    showPeople();
  });
  await load();
  return { close: () => comet.close() };
}

function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
