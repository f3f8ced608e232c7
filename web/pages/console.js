// The SQL console: CometQL in the browser, through POST /cometql.

import { colour } from "./encke-colours.js";
import { byId, copyText, duration, element, forget, post, signIn } from "./encke-pages.js";

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
  1053: ["The server leaves: its connections move to another one.", "Sign in again in a moment; encke drain --cancel on the machine keeps it here."],
  1094: ["There is no session or connection of this number.", "It may have ended already. SHOW FULL PROCESSLIST lists those that are there."],
  1146: ["There is no such table.", "SHOW TABLES lists the tables. The database is CometQL_v1, or db_<number> for a tenant."],
  1210: ["The statement has another number of ? than there are values.", "Write the values into the statement: the console has none to bind."],
  1227: ["This concerns the whole server.", "Sign in with the server's password and no tenant, or use the server's socket: encke sql."],
  1243: ["There is no such prepared statement.", "It was closed, or belongs to another session."],
  1461: ["Too many prepared statements are open.", "Close some first."],
  1792: ["The transaction was begun with READ ONLY.", "COMMIT or ROLLBACK ends it; then the statement is carried out."],
};

const QUESTIONS = [
  ["Status", "SHOW GLOBAL STATUS"],
  ["Sessions", "SHOW FULL PROCESSLIST"],
  ["Connections", "SELECT * FROM connections LIMIT 100"],
  ["Tables", "SHOW TABLES"],
  ["Columns of pipes_messages", "DESCRIBE pipes_messages"],
];

/** What finds or does something on a server that nobody has used yet. The last ones change something, so they are only put into the editor. */
const OFFERS = [
  ["Who is connected", "SELECT id, user_id, ip, pipes, since FROM connections LIMIT 20"],
  ["How the server does", "SHOW GLOBAL STATUS LIKE 'encke_storage%'"],
  ["How many listen to a pipe", "SELECT name, users FROM pipes WHERE name IN ('simplechat', 'web_demo')"],
  ["Publish a message", "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'hello', 'Hello from the console')", true],
  ["Keep the last 10 messages of a pipe", "INSERT INTO pipes_settings (name, length) VALUES ('web_demo', 10)", true],
  ["Make a user", "INSERT INTO users_auth (id, hash) VALUES (7, 'a key of your choice')", true],
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
  if (!ctrlKey && !metaKey && !altKey && completionTakes(key, shiftKey)) {
    event.preventDefault();
    return;
  }
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
  offer();
});
sql.addEventListener("blur", () => { byId("words").hidden = true; });

/** As high as its text, within limits. */
function fit() {
  sql.rows = Math.min(16, Math.max(4, sql.value.split("\n").length + 1));
}

// ---- completion

const KEYWORDS = ["SELECT", "FROM", "WHERE", "INSERT INTO", "VALUES", "UPDATE", "DELETE FROM", "ORDER BY", "LIMIT", "LIKE", "COUNT(*)", "SHOW TABLES",
  "SHOW GLOBAL STATUS", "SHOW FULL PROCESSLIST", "DESCRIBE", "KILL"];
const OFFERED_MAX = 8;
/** Columns by table, asked for when somebody signs in. */
const tables = new Map();
let chosen = 0;

/** The word that ends at the cursor, and what it may become. */
function candidates() {
  const before = sql.value.slice(0, sql.selectionStart);
  const word = /[\w$]+$/.exec(before)?.[0] ?? "";
  // Within quotes nothing is a name.
  if (word.length < 2 || (before.split("'").length - 1) % 2 === 1) return { word, found: [] };
  const mentioned = [...tables.keys()].filter((table) => new RegExp(`\\b${table}\\b`, "i").test(sql.value));
  const columns = new Map();
  for (const table of mentioned.length ? mentioned : tables.keys()) {
    for (const { name } of tables.get(table)) columns.set(name, `column of ${table}`);
  }
  const all = [...[...tables.keys()].map((name) => [name, "table"]), ...columns, ...KEYWORDS.map((name) => [name, ""])];
  const small = word.toLowerCase();
  return { word, found: all.filter(([name]) => name.toLowerCase().startsWith(small) && name.toLowerCase() !== small).slice(0, OFFERED_MAX) };
}

function offer() {
  const { found } = candidates();
  const list = byId("words");
  chosen = 0;
  list.hidden = found.length === 0;
  list.replaceChildren(...found.map(([name, what], place) => {
    const item = element("li", { id: `word-${place}`, role: "option" }, name, element("small", { textContent: what }));
    // Before the editor loses the keyboard.
    item.addEventListener("mousedown", (event) => {
      event.preventDefault();
      complete(name);
    });
    return item;
  }));
  mark();
}

function mark() {
  const list = byId("words");
  [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
  if (list.hidden) sql.removeAttribute("aria-activedescendant");
  else sql.setAttribute("aria-activedescendant", `word-${chosen}`);
}

function complete(name) {
  const { word } = candidates();
  sql.setRangeText(name, sql.selectionStart - word.length, sql.selectionStart, "end");
  byId("words").hidden = true;
  mark();
}

/** Whether a key was for the list of completions. */
function completionTakes(key, isShifted) {
  const list = byId("words");
  if (list.hidden || isShifted) return false;
  const count = list.childElementCount;
  if (key === "Tab") complete(list.children[chosen].firstChild.textContent);
  else if (key === "Escape") {
    list.hidden = true;
    mark();
  } else if (key === "ArrowDown" || key === "ArrowUp") {
    chosen = (chosen + (key === "ArrowDown" ? 1 : count - 1)) % count;
    mark();
  } else return false;
  return true;
}

// ---- results

const shownRows = (count) => `${count} ${count === 1 ? "row" : "rows"}`;

/** Columns with unix times, and those with microseconds in front of something: what people read stands beside the number. */
const TIMES = /^(time|since|join_time|last_talking|uptime)$/i;

function when(name, value) {
  const seconds = Number(value);
  if (!TIMES.test(name) || !/^\d+$/.test(value)) return "";
  if (/^uptime$/i.test(name)) return duration(seconds);
  // 0 is who is here now, and no small number is a time.
  return seconds > 1e9 && seconds < 1e11 ? new Date(seconds * 1000).toLocaleString() : "";
}

function cell(value, name, isNumber) {
  const made = element("td", { className: isNumber ? "number" : "" });
  made.dataset.column = name;
  made.append(value === null ? element("i", { className: "null", textContent: "NULL" }) : value);
  const read = value === null ? "" : when(name, value);
  if (read) made.append(element("small", { textContent: `  ${read}` }));
  return made;
}

function table({ columns, rows }) {
  const isNumber = columns.map(({ type }, place) => {
    const values = rows.map((row) => row[place]).filter((value) => value !== null);
    return type === "number" || (values.length > 0 && values.every((value) => /^-?\d{1,18}(\.\d+)?$/.test(value)));
  });
  const head = columns.map(({ name }, place) => element("th", { scope: "col", className: isNumber[place] ? "number" : "", textContent: name }));
  const body = rows.slice(0, ROWS_MAX).map((row) => element("tr", {}, ...row.map((value, place) => cell(value, columns[place].name, isNumber[place]))));
  const made = element("table", { className: columns.length > 2 ? "wide" : "" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  const place = element("div", { className: "table", tabIndex: 0 }, made);
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", "Rows");
  return place;
}

/** As RFC 4180 has it; what a spreadsheet would take for a formula stays a text there. */
function csv({ columns, rows }) {
  const field = (value) => {
    if (value === null) return "";
    const safe = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll("\"", "\"\"")}"` : safe;
  };
  return [columns.map(({ name }) => name), ...rows].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}

/** Buttons that take a result elsewhere. */
function keeping(result) {
  const copying = element("button", { type: "button", className: "small", textContent: "Copy" });
  const line = (values) => values.map((value) => value ?? "NULL").join("\t");
  copying.addEventListener("click", async () => {
    const text = [line(result.columns.map(({ name }) => name)), ...result.rows.map(line)].join("\n");
    copying.textContent = (await copyText(text, copying.parentElement.previousElementSibling)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { copying.textContent = "Copy"; }, 1500);
  });
  const saving = element("button", { type: "button", className: "small", textContent: "CSV" });
  saving.setAttribute("aria-label", "Save as CSV");
  saving.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([csv(result)], { type: "text/csv" }));
    element("a", { href: address, download: "encke.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  return element("div", { className: "keep" }, copying, saving);
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
  return [element("p", { className: "hint", textContent: shownRows(count) + more }), ...(count ? [table(result), keeping(result)] : [])];
}

/** The pipes that one INSERT publishes in, as far as its text says plainly. */
function pipesOf(text) {
  const [, columns, values] = /^\s*insert\s+into\s+(?:\w+\.)?`?pipes_messages`?\s*\(([^)]*)\)\s*values\s*([^]*)$/i.exec(text) ?? [];
  if (!values || /;\s*\S/.test(values.replace(/'(?:\\.|''|[^'\\])*'/g, "''"))) return [];
  const place = columns.split(",").findIndex((column) => /^`?name`?$/i.test(column.trim()));
  const names = [...values.matchAll(/\(([^()']|'(?:\\.|''|[^'\\])*')*\)/g)].map(([row]) => {
    const fields = row.slice(1, -1).match(/'(?:\\.|''|[^'\\])*'|[^,]+/g) ?? [];
    return /^\s*'([\w-]+)'\s*$/.exec(fields[place] ?? "")?.[1];
  });
  return [...new Set(names.filter(Boolean))].slice(0, 20);
}

/** After a publication: how many got it. "0 rows affected" is what MySQL's clients are told of a pipe without history. */
async function published(text, results, parts) {
  const pipes = pipesOf(text);
  if (pipes.length === 0 || results.length !== 1 || results[0].error) return parts;
  try {
    const names = pipes.map((name) => `'${name}'`).join(", ");
    const answer = await post("cometql", `SELECT users FROM pipes WHERE name IN (${names})`, "application/sql");
    const sum = answer.results[0].rows.reduce((total, [users]) => total + Number(users), 0);
    const where = pipes.length === 1 ? "" : ` in ${pipes.length} pipes`;
    const nobody = sum === 0 ? " Nobody listens; a pipe with a history keeps it all the same." : "";
    return [element("p", { className: "good", textContent: `OK, published to ${sum}${where}.${nobody}` })];
  } catch {
    return parts;
  }
}

function show(text, parts, milliseconds, isError) {
  const time = milliseconds === undefined ? "" : `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  const about = element("div", { className: "above" }, element("code"), element("span", { className: "hint", textContent: time }));
  colour(about.firstChild, text, "sql");
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
    const milliseconds = performance.now() - begun;
    const isError = results.some(({ error }) => error);
    show(text, await published(text, results, results.flatMap(told)), milliseconds, isError);
    byId("examples").hidden = true;
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

/** A click runs what only looks, and puts into the editor what changes something. */
function listed(place, names, isLong) {
  const button = ([name, text, changes]) => {
    const made = element("button", { type: "button", className: "small", title: text }, name);
    if (isLong) {
      const code = element("code");
      colour(code, text, "sql");
      made.append(code);
    }
    made.addEventListener("click", () => {
      put(text);
      if (!changes) run();
    });
    return element("li", {}, made);
  };
  place.replaceChildren(...names.map(button));
}

const TABLES = "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_KEY FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'CometQL_v1'";

async function enter(credentials) {
  const { results: [answer] } = await post("cometql", TABLES, "application/sql", credentials);
  tables.clear();
  for (const [table, column, key] of answer?.rows ?? []) {
    if (!tables.has(table)) tables.set(table, []);
    tables.get(table).push({ name: column, isKey: key === "PRI" });
  }
  listed(byId("tables"), [...tables].map(([name, columns]) => [name, selectFrom(name, columns)]));
  listed(byId("questions"), QUESTIONS);
  listed(byId("offers"), OFFERS, true);
  byId("main").hidden = false;
  byId("leave").hidden = false;
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
