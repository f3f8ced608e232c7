// The start page: listens to a pipe through the library, and shows how to publish to it.

import { connect } from "./encke.js";
import { colour } from "./encke-colours.js";
import { ask, backendHost, byId, copy, element, explainSignIn, forget, isSignedIn, mysqlClient, post, signIn, statement, tellState,
  whyNotHere } from "./encke-pages.js";

const COMETQL_PORT = document.body.dataset.cometqlPort;
// Where its file is named, seen from the server's folder. Empty if the password is configured, or in a place that is not told.
const PASSWORD_FILE = document.body.dataset.passwordFile;
const SHOWN_MAX = 200;

// ---- where

const base = new URL(".", location.href).href.replace(/\/$/, "");

// ---- the snippets

const insert = (pipe, values) => `INSERT INTO pipes_messages (name, event, message) VALUES (${values ?? `'${pipe}', 'hello', 'Hello from MySQL'`})`;

const PUBLISHERS = {
  shell: (pipe) => [PASSWORD_FILE ? "In the server's folder" : "It asks for the CometQL password",
    `${mysqlClient(COMETQL_PORT, PASSWORD_FILE)} -e "${insert(pipe)}"`],
  php: (pipe) => ["mysqli, as PHP has it",
    "<" + "?php",
    PASSWORD_FILE ? `$password = trim(file_get_contents('${PASSWORD_FILE}'));` : "$password = getenv('COMETQL_PASSWORD');",
    `$comet = new mysqli('${backendHost()}', 'root', $password, 'CometQL_v1', ${COMETQL_PORT});`,
    "$message = $comet->real_escape_string(json_encode(['text' => \"It's alive\"]));",
    `$comet->query("${insert(pipe, `'${pipe}', 'hello', '$message'`)}");`],
  python: (pipe) => ["pip install PyMySQL",
    `import json, ${PASSWORD_FILE ? "" : "os, "}pymysql`,
    "",
    `comet = pymysql.connect(host="${backendHost()}", port=${COMETQL_PORT}, user="root", database="CometQL_v1",`,
    PASSWORD_FILE ? `    password=open("${PASSWORD_FILE}").read().strip())` : "    password=os.environ[\"COMETQL_PASSWORD\"])",
    "with comet.cursor() as cursor:",
    `    cursor.execute("${insert(pipe, "%s, %s, %s")}",`,
    `        ("${pipe}", "hello", json.dumps({"text": "It's alive"})))`],
  node: (pipe) => ["npm install mysql2",
    ...(PASSWORD_FILE ? ["import { readFileSync } from \"node:fs\";"] : []),
    "import mysql from \"mysql2/promise\";",
    "",
    PASSWORD_FILE ? `const password = readFileSync("${PASSWORD_FILE}", "utf8").trim();` : "const password = process.env.COMETQL_PASSWORD;",
    `const comet = await mysql.createConnection({ host: "${backendHost()}", port: ${COMETQL_PORT}, user: "root", password,`,
    "  database: \"CometQL_v1\" });",
    `await comet.execute("${insert(pipe, "?, ?, ?")}",`,
    `  ["${pipe}", "hello", JSON.stringify({ text: "It's alive" })]);`,
    "await comet.end();"],
  curl: (pipe) => ["By HTTP, for hosts that cannot open MySQL connections",
    `curl ${base}/cometql \\`,
    `  -H "Authorization: Bearer ${PASSWORD_FILE ? `$(cat ${PASSWORD_FILE})` : "$COMETQL_PASSWORD"}" -H 'Content-Type: application/json' \\`,
    `  -d '{"sql": "${insert(pipe, "?, ?, ?")}", "params": ["${pipe}", "hello", "Hello from curl"]}'`],
};

const COLOURS = { shell: "sh", php: "php", python: "python", node: "js", curl: "sh" };

const tabs = [...document.querySelectorAll("[role=tab]")];
let shown = "shell";

function choose(tab) {
  shown = tab.id.slice("tab-".length);
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", tab.id);
  fill();
}

function fill() {
  const [about, ...lines] = PUBLISHERS[shown](pipe);
  byId("about").textContent = about;
  colour(byId("publisher"), lines.join("\n"), COLOURS[shown]);
  colour(byId("js"), [
    "<script type=\"module\">",
    `import { connect } from "${base}/encke.js";`,
    "const comet = connect();",
    `await comet.subscribe("${pipe}", ({ event, data }) => console.log(event, data));`,
    "</" + "script>",
  ].join("\n"), "js");
  for (const place of document.querySelectorAll("[data-fill=pipe]")) place.textContent = pipe;
  byId("address").textContent = `${base.replace(/^http/, "ws")}/ws/`;
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(place + step + tabs.length) % tabs.length];
    choose(next);
    next.focus();
  });
}
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));

// ---- what arrives

let received = 0;

/** JSON laid out in lines; other texts as they are. */
function told(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    // Then it is a text.
  }
  if (typeof value !== "object" || value === null) return element("p", { className: "text", textContent: text });
  const code = element("code");
  colour(code, JSON.stringify(value, null, 2), "js");
  return element("pre", { className: "tree" }, code);
}

function show(label, text, seconds, isError) {
  const when = new Date((seconds ?? Date.now() / 1000) * 1000);
  const time = element("time", { dateTime: when.toISOString(), textContent: when.toLocaleTimeString() });
  const about = element("div", { className: "about" }, time, element("span", { className: "label", textContent: label }));
  const item = element("li", { className: isError ? "error" : "" }, about, told(text));
  const log = byId("log");
  log.prepend(item);
  while (log.childElementCount > SHOWN_MAX) log.lastElementChild.remove();
  tellShown();
}

function tellShown() {
  const isEmpty = byId("log").childElementCount === 0;
  byId("log").hidden = isEmpty;
  byId("clear").hidden = isEmpty;
  byId("empty").hidden = !isEmpty;
  const count = received === 0 ? "No messages yet" : received === 1 ? "1 message" : `${received} messages`;
  byId("count").textContent = received > SHOWN_MAX ? `${count}, the last ${SHOWN_MAX} are shown` : count;
}

function clear() {
  received = 0;
  byId("log").replaceChildren();
  tellShown();
}

// ---- the connection

// One of its own, so that what this page tries out is no other page's.
const comet = connect({ shared: false });
comet.on("state", ({ state }) => tellState(byId("state"), state));
comet.on("error", (error) => show("error", error.message, undefined, true));
tellState(byId("state"), comet.state);

let pipe = byId("pipe").value;
let subscription;

async function listen(name) {
  pipe = name;
  byId("pipe").value = name;
  fill();
  subscription?.unsubscribe();
  subscription = undefined;
  const asked = name;
  say("listening", `Asking for ${name} …`, "");
  offerToSend();
  try {
    const made = await comet.subscribe(name, ({ event, text, time }) => {
      received += 1;
      show(event || "(no event)", text, time, false);
    });
    if (pipe !== asked) return made.unsubscribe();
    subscription = made;
    say("listening", `Listening to ${asked} since ${new Date().toLocaleTimeString()}`, "good");
  } catch (error) {
    if (pipe === asked) say("listening", error.message, "error");
  }
}

function say(id, text, className) {
  byId(id).className = `said ${className}`;
  byId(id).textContent = text;
}

byId("form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  clear();
  history.replaceState(null, "", "#" + byId("pipe").value);
  listen(byId("pipe").value);
});
byId("clear").addEventListener("click", clear);

// ---- sending

/** Browsers may publish in these pipes by themselves. */
const isOpen = () => pipe.startsWith("web_");

/** The form to send with, or what has to come before it. */
function offerToSend() {
  const maySend = isOpen() || isSignedIn();
  byId("send").hidden = !maySend;
  byId("sign-in").hidden = maySend;
  byId("leave").hidden = !isSignedIn();
  byId("as").value = isOpen() ? "this browser" : "backend";
  if (!maySend && whyNotHere()) explainSignIn(byId("sign-in"));
}

const receivers = (count) => (count === 1 ? "1 connection" : `${count} connections`);

async function send() {
  const [event, message] = [byId("event").value.trim(), byId("message").value];
  if (isOpen()) {
    const data = asJson(message);
    return comet.publish(pipe, data, event ? { event } : undefined);
  }
  await statement("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", [pipe, event, message]);
  const [row] = await ask("SELECT users FROM pipes WHERE name = ?", [pipe]);
  return Number(row?.users ?? 0);
}

function asJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

byId("send").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  const button = byId("send").querySelector("button");
  button.disabled = true;
  try {
    say("sent", `Published to ${receivers(await send())}`, "good");
  } catch (error) {
    say("sent", error.message, "error");
    if (error.status === 401) {
      forget();
      offerToSend();
    }
  } finally {
    button.disabled = false;
  }
});
byId("message").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("send").requestSubmit();
});
byId("leave").addEventListener("click", () => {
  forget();
  offerToSend();
});
byId("web")?.addEventListener("click", () => {
  byId("pipe").value = "web_demo";
  byId("form").requestSubmit();
});

const asked = location.hash.slice(1);
if (PASSWORD_FILE) for (const place of document.querySelectorAll("[data-fill=password-file]")) place.textContent = PASSWORD_FILE;
choose(tabs[0]);
listen(/^[\w-]{2,64}$/.test(asked) ? asked : pipe);
signIn(async (credentials) => {
  await post("cometql", "SELECT 1", "application/sql", credentials);
}, offerToSend);
