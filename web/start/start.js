// The start page: listens to a pipe through the library, and shows how to publish to it.

import { connect } from "./encke.js";
import { backendHost, byId, copy, element, mysqlClient, tellState } from "./encke-pages.js";

const COMETQL_PORT = document.body.dataset.cometqlPort;
// Empty if the password is configured, or in a place that is not told.
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
  byId("publisher").textContent = lines.join("\n");
  byId("js").textContent = [
    "<script type=\"module\">",
    `import { connect } from "${base}/encke.js";`,
    "const comet = connect();",
    `await comet.subscribe("${pipe}", ({ event, data }) => console.log(event, data));`,
    "</" + "script>",
  ].join("\n");
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

function show(label, text, seconds, isError) {
  const when = new Date((seconds ?? Date.now() / 1000) * 1000);
  const time = element("time", { dateTime: when.toISOString(), textContent: when.toLocaleTimeString() });
  const about = element("div", { className: "about" }, time, element("span", { className: "label", textContent: label }));
  const item = element("li", { className: isError ? "error" : "" }, about, element("p", { className: "text", textContent: text }));
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
  byId("count").textContent = received === 0 ? "No messages yet" : received === 1 ? "1 message" : `${received} messages`;
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
  try {
    const made = await comet.subscribe(name, ({ event, text, time }) => {
      received += 1;
      show(event || "(no event)", text, time, false);
    });
    if (pipe === asked) subscription = made;
    else made.unsubscribe();
  } catch (error) {
    show("error", error.message, undefined, true);
  }
}

byId("form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  clear();
  history.replaceState(null, "", "#" + byId("pipe").value);
  listen(byId("pipe").value);
});
byId("clear").addEventListener("click", clear);

const asked = location.hash.slice(1);
choose(tabs[0]);
listen(/^[\w-]{2,64}$/.test(asked) ? asked : pipe);
