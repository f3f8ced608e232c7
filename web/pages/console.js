// The SQL console: CometQL in the browser, through POST /cometql.

import { byId, element, forget, post, signIn } from "./encke-pages.js";

const HISTORY = "encke.console.history";
const HISTORY_MAX = 100;
const RESULTS_MAX = 20;
/** Rows of one result that the page shows; a browser gets slow with more. */
const ROWS_MAX = 1000;

/** What the numbers of errors mean, and what to do. */
const EXPLAINED = {
  2: ["This SQL is understood, but deliberately not carried out.", "Look rows up by the key of their table, one table at a time; what is to be joined or counted, do in the backend."],
  3: ["The text is no statement of CometQL.", "Check quotes and commas near the place that the message names. SHOW TABLES and DESCRIBE <table> show what there is."],
  10: ["The table shows what is going on, it is not stored.", "It can only be read: what it shows changes as browsers come and go."],
  11: ["A statement, name, message or answer is longer than it may be.", "Send less at once, or ask for fewer rows with WHERE and LIMIT. Some maxima are keys in comet.ini."],
  12: ["A value is missing, or is not what its column takes.", "User ids are whole numbers; pipe names have up to 64 letters, digits, _ and -. DESCRIBE <table> tells types and what is required."],
  13: ["WHERE does not say which rows.", "Name the key column of the table: WHERE name = '...' for pipes, WHERE id = 5 for users."],
  14: ["There is no such column, or not as many columns as values.", "DESCRIBE <table> lists its columns; an INSERT must give one value for each column it names."],
  15: ["There is no such table or database.", "SHOW TABLES lists the tables. The database is CometQL_v1, or db_<number> for a tenant."],
  16: ["The password, user or tenant is not right.", "The user is root or the number of a tenant. Whoever signed in with a tenant's own password cannot leave that tenant."],
  17: ["The statement or name is too short.", "A statement has at least four characters, the name of a pipe at least three where something is inserted."],
  18: ["Too many conditions in WHERE.", "Split the question, or use IN (...)."],
  19: ["Too many values or rows in one statement.", "Send them in several statements."],
  20: ["Too many columns in the list of SELECT.", "Ask for fewer, or for *."],
  21: ["Too many names in the column list of INSERT.", "Name each column of the table once at the most."],
  403: ["This session may not do that.", "Sign in with the server's password, or with the password of that tenant."],
  500: ["The server could not do it now.", "Often the database is slow or away: try again in a moment, and look at the log of the server and at the dashboard."],
  1047: ["The server does not know this command.", "Only statements can be sent here."],
  1094: ["There is no session or connection of this number.", "It may have ended already. SHOW FULL PROCESSLIST lists those that are there."],
  1146: ["There is no such table.", "SHOW TABLES lists the tables. The database is CometQL_v1, or db_<number> for a tenant."],
  1210: ["The statement has another number of ? than there are values.", "Write the values into the statement: the console has none to bind."],
  1243: ["There is no such prepared statement.", "It was closed, or belongs to another session."],
  1461: ["Too many prepared statements are open.", "Close some first."],
  1792: ["The transaction was begun with READ ONLY.", "COMMIT or ROLLBACK ends it; then the statement is carried out."],
};

const QUESTIONS = [
  ["Status", "SHOW GLOBAL STATUS"],
  ["Sessions", "SHOW FULL PROCESSLIST"],
  ["Connections", "SELECT * FROM connections LIMIT 100"],
  ["Publish", "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'hello', 'Hello from the console')"],
];

const sql = byId("sql");

// ---- history

const past = () => {
  try {
    const kept = JSON.parse(localStorage.getItem(HISTORY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((text) => typeof text === "string") : [];
  } catch {
    return [];
  }
};

/** How many statements back the editor shows; 0 is what is being written. */
let back = 0;
let draft = "";

function remember(text) {
  const kept = past().filter((other) => other !== text);
  kept.push(text);
  try {
    localStorage.setItem(HISTORY, JSON.stringify(kept.slice(-HISTORY_MAX)));
  } catch {
    // Without storage there is no history.
  }
  back = 0;
}

function recall(step) {
  const kept = past();
  const next = back + step;
  if (next < 0 || next > kept.length) return false;
  if (back === 0) draft = sql.value;
  back = next;
  sql.value = back === 0 ? draft : kept[kept.length - back];
  sql.setSelectionRange(sql.value.length, sql.value.length);
  fit();
  return true;
}

sql.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, shiftKey, altKey } = event;
  if (key === "Enter" && (ctrlKey || metaKey)) {
    event.preventDefault();
    run();
  } else if (!ctrlKey && !metaKey && !shiftKey && !altKey && sql.selectionStart === sql.selectionEnd) {
    const before = sql.value.slice(0, sql.selectionStart);
    const behind = sql.value.slice(sql.selectionStart);
    const isAtEdge = key === "ArrowUp" ? !before.includes("\n") : key === "ArrowDown" && !behind.includes("\n");
    if (isAtEdge && recall(key === "ArrowUp" ? 1 : -1)) event.preventDefault();
  }
});
sql.addEventListener("input", () => {
  back = 0;
  fit();
});

/** As high as its text, within limits. */
function fit() {
  sql.rows = Math.min(16, Math.max(4, sql.value.split("\n").length + 1));
}

// ---- results

const shownRows = (count) => `${count} ${count === 1 ? "row" : "rows"}`;

function cell(value, isNumber) {
  const made = element("td", { className: isNumber ? "number" : "" });
  made.append(value === null ? element("i", { className: "null", textContent: "NULL" }) : value);
  return made;
}

function table({ columns, rows }) {
  const isNumber = columns.map(({ type }, place) => {
    const values = rows.map((row) => row[place]).filter((value) => value !== null);
    return type === "number" || (values.length > 0 && values.every((value) => /^-?\d{1,18}(\.\d+)?$/.test(value)));
  });
  const head = columns.map(({ name }, place) => element("th", { scope: "col", className: isNumber[place] ? "number" : "", textContent: name }));
  const body = rows.slice(0, ROWS_MAX).map((row) => element("tr", {}, ...row.map((value, place) => cell(value, isNumber[place]))));
  const made = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { className: "table", tabIndex: 0 }, made);
}

function failure({ number, sqlstate, text }) {
  const [meaning, help] = EXPLAINED[number] ?? ["The server refuses this.", "The message says why."];
  return [
    element("p", { className: "error", textContent: `ERROR ${number} (${sqlstate}): ${text}` }),
    element("p", {}, element("strong", { textContent: `${meaning} ` }), help),
  ];
}

function told(result) {
  if (result.error) return failure(result.error);
  if (!result.columns) {
    const id = result.insert_id ? `, insert id ${result.insert_id}` : "";
    return [element("p", { className: "good", textContent: `OK, ${shownRows(result.affected)} affected${id}` })];
  }
  const count = result.rows.length;
  const more = count > ROWS_MAX ? `, of which the first ${ROWS_MAX} are shown` : "";
  return [element("p", { className: "hint", textContent: shownRows(count) + more }), ...(count ? [table(result)] : [])];
}

function show(text, parts, milliseconds, isError) {
  const time = milliseconds === undefined ? "" : `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  const about = element("div", { className: "above" }, element("code", { textContent: text }), element("span", { className: "hint", textContent: time }));
  const card = element("section", { className: isError ? "card result failed" : "card result" }, about, ...parts);
  const results = byId("results");
  results.prepend(card);
  while (results.childElementCount > RESULTS_MAX) results.lastElementChild.remove();
  return card;
}

async function run() {
  const text = sql.value.trim();
  const button = byId("run");
  if (!text || button.disabled) return;
  button.disabled = true;
  remember(text);
  const begun = performance.now();
  try {
    const { results } = await post("cometql", text, "application/sql; charset=utf-8");
    const isError = results.some(({ error }) => error);
    show(text, results.flatMap(told), performance.now() - begun, isError);
  } catch (refused) {
    const help = refused.status === 401 ? " Sign out and sign in again." : "";
    show(text, [element("p", { className: "error", textContent: refused.message + help })], undefined, true);
  } finally {
    button.disabled = false;
  }
}

// ---- around it

function put(text) {
  sql.value = text;
  back = 0;
  fit();
  sql.focus();
}

/** A SELECT that the table takes: with its key, if rows are looked up by it. */
function selectFrom(name, columns) {
  // A word of SQL itself stands in backquotes.
  const quoted = (column) => (column === "index" ? "`index`" : column);
  const key = columns.find(({ isKey }) => isKey)?.name;
  const value = key === undefined ? "" : /id$/.test(key) ? "1" : "'simplechat'";
  const list = columns.map((column) => quoted(column.name)).join(", ") || "*";
  return `SELECT ${list} FROM ${name}${key === undefined ? " LIMIT 100" : ` WHERE ${quoted(key)} = ${value}`}`;
}

function listed(place, names) {
  const button = ([name, text]) => {
    const made = element("button", { type: "button", className: "small", textContent: name });
    made.addEventListener("click", () => put(text));
    return element("li", {}, made);
  };
  place.replaceChildren(...names.map(button));
}

const TABLES = "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_KEY FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'CometQL_v1'";

async function enter(credentials) {
  const { results: [answer] } = await post("cometql", TABLES, "application/sql", credentials);
  const tables = new Map();
  for (const [table, column, key] of answer?.rows ?? []) {
    if (!tables.has(table)) tables.set(table, []);
    tables.get(table).push({ name: column, isKey: key === "PRI" });
  }
  listed(byId("tables"), [...tables].map(([name, columns]) => [name, selectFrom(name, columns)]));
  listed(byId("questions"), QUESTIONS);
  byId("main").hidden = false;
  put(sql.value);
}

byId("editor").addEventListener("submit", (submit) => {
  submit.preventDefault();
  run();
});
byId("forget").addEventListener("click", () => {
  try {
    localStorage.removeItem(HISTORY);
  } catch {
    // Then there is none.
  }
  back = 0;
  sql.focus();
});
byId("leave").addEventListener("click", () => {
  forget();
  location.reload();
});
signIn(enter);
