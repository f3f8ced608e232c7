// The page for users: makes keys, logs in with what stands behind the # of its address, and says what a backend would do.

import { quoted, shell } from "./lines.js";
import { privateMessage, usersChat } from "./users_chat.js";

const USERS = [{ id: 101, name: "Ada" }, { id: 102, name: "Boris" }];
const KEYS = "encke_demo_keys";
const byId = (id) => document.getElementById(id);

/** Of both users; kept, so that a second window shows the line that was run. */
function keys() {
  let generated = USERS.map(() => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join(""));
  try {
    const known = JSON.parse(localStorage.getItem(KEYS));
    if (Array.isArray(known) && known.length === USERS.length && known.every((key) => /^[0-9a-f]{32}$/.test(key))) generated = known;
    else localStorage.setItem(KEYS, JSON.stringify(generated));
  } catch {
    // A page without storage generates new ones each time.
  }
  return generated;
}

function offer() {
  const generated = keys();
  const rows = (value) => USERS.map((user, index) => `(${user.id}, ${quoted(value(user, index))})`).join(", ");
  byId("make").textContent = shell(
    `INSERT INTO users_auth (id, hash) VALUES ${rows((_, index) => generated[index])}`,
    `INSERT INTO users_data (id, data) VALUES ${rows(({ name }) => JSON.stringify({ name }))}`,
    "INSERT INTO pipes_settings (name, length) VALUES ('webauth_members', 50)",
  );
  for (const [index, id] of ["first", "second"].entries()) byId(id).href = `#user=${USERS[index].id}&key=${generated[index]}`;
}

/** What stands in the address: behind the #, so that it is not sent to anybody. */
function login() {
  const fields = new URLSearchParams(location.hash.slice(1));
  return { user: fields.get("user"), key: fields.get("key") };
}

function enter({ user, key }) {
  byId("before").hidden = true;
  const send = async (to, text) => {
    const message = quoted(JSON.stringify(privateMessage(Number(user), to, text)));
    const row = (id) => `(${id}, 'private', ${message})`;
    // To the own number as well, so that all windows of the sender show it.
    byId("send").textContent = shell(`INSERT INTO users_messages (id, event, message) VALUES ${row(to)}, ${row(user)}`);
    byId("command").hidden = false;
    byId("command").scrollIntoView({ block: "nearest" });
  };
  const server = new URL("..", location.href).href;
  usersChat(byId("chat"), { server, user, key, people: USERS, send }).catch((error) => {
    byId("problem").textContent = error.message;
    byId("problem").hidden = false;
    byId("before").hidden = false;
  });
}

offer();
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  location.hash = new URLSearchParams(new FormData(event.target)).toString();
});
addEventListener("hashchange", () => location.reload());
if (login().user && login().key) enter(login());
