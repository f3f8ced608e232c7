// The dashboard: subscribes through the library to the pipe in which the server tells its figures once a second. What was
// before, the configuration and the log are asked for with the password.

import { attention, WORDS } from "./encke-attention.js";
import { Chart, keepUp } from "./encke-charts.js";
import { connect } from "./encke.js";
import { link, listen as listenToForms, pipe as showPipe } from "./encke-lists.js";
import { byId, bytes, duration, element, forget, number, post, signIn, tellState } from "./encke-pages.js";

/** Seconds of samples that are kept. */
const KEPT_S = 3600;
/** Without figures for so long, those that are shown are old. */
const STALE_MS = 3500;

// ---- numbers for people

const rate = (value) => number(value < 100 ? Math.round(value * 10) / 10 : Math.round(value));

function micros(value) {
  if (value < 1000) return `${Math.round(value)} µs`;
  if (value < 1_000_000) return `${value < 10_000 ? (value / 1000).toFixed(1) : Math.round(value / 1000)} ms`;
  return `${(value / 1_000_000).toFixed(1)} s`;
}

const percent = (value) => `${Math.round(value)} %`;

// ---- what came

/** `{ time, values }`, the oldest first: those of the past have a step of seconds, later ones come each second. */
let samples = [];
/** The last messages as they came, for what is told of the last minute. */
let messages = [];

/** What is shown over time, from two messages and the seconds between them. */
function valuesOf(now, before, seconds) {
  const per = (read) => (before && seconds > 0 ? Math.max(0, read(now) - read(before)) / seconds : undefined);
  return {
    connections: now.all.connections,
    sessions: now.all.sessions,
    accepted: per(({ all }) => all.accepted),
    ended: per(({ all }) => all.ended),
    publications: per(({ all }) => all.publications),
    deliveries: per(({ all }) => all.deliveries),
    sent: per(({ all }) => all.sent_bytes),
    received: per(({ all }) => all.received_bytes),
    resident: now.resident_bytes,
    queued: now.all.queued_bytes,
    processor: per(({ processor_us }) => processor_us / 10_000),
    statements: per(({ all }) => all.statements),
    errors: per(({ all }) => all.statement_errors),
    recovered: per(({ all }) => all.recoveries),
    gaps: per(({ all }) => all.recoveries_failed),
    half: now.latency_half_us || undefined,
    most: now.latency_99_us || undefined,
  };
}

/** Publications by delivery time between two messages. */
const between = (now, before) => (before ? now.latency_us.map((count, place) => count - before.latency_us[place]) : now.latency_us.map(() => 0));

/** The least time, in microseconds, below which this part of the publications is; undefined without any. */
function percentile(counts, part) {
  const wanted = counts.reduce((sum, count) => sum + count, 0) * part;
  if (wanted === 0) return undefined;
  let sum = 0;
  return 2 ** counts.findIndex((count) => (sum += count) >= wanted);
}

function take(figures) {
  const last = messages.at(-1)?.figures;
  // Another start of the server counts anew.
  if (last && figures.uptime_ms < last.uptime_ms) messages = [];
  const before = messages.at(-1)?.figures;
  const seconds = before ? (figures.uptime_ms - before.uptime_ms) / 1000 : 0;
  if (before && seconds <= 0) return false;
  const counts = between(figures, before);
  const values = valuesOf({ ...figures, latency_half_us: percentile(counts, 0.5), latency_99_us: percentile(counts, 0.99) }, before, seconds);
  messages.push({ figures, at: Date.now() });
  while (messages.length > 62) messages.shift();
  samples.push({ time: Date.now() / 1000, values });
  const oldest = Date.now() / 1000 - KEPT_S;
  while (samples.length && samples[0].time < oldest) samples.shift();
  return true;
}

/** Of some seconds ago, or the oldest there is. */
const messageOf = (seconds) => messages[Math.max(0, messages.length - 1 - seconds)]?.figures;

function takePast({ names, points }, uptimeMs) {
  const now = Date.now() / 1000;
  const read = points.map((point) => {
    const all = Object.fromEntries(names.map((name, place) => [name, point[place]]));
    return { ...all, all };
  });
  const past = read.map((figures, place) => {
    const before = read[place - 1];
    const seconds = before ? (figures.uptime_ms - before.uptime_ms) / 1000 : 0;
    return { time: now - (uptimeMs - figures.uptime_ms) / 1000, values: valuesOf(figures, before, seconds) };
  });
  const first = samples[0]?.time ?? Infinity;
  samples = [...past.filter(({ time }) => time < first && time > now - KEPT_S), ...samples];
}

// ---- graphs

const charts = [
  { title: "Connections of browsers", least: 10, format: number, lines: [{ name: "now", value: "connections" }] },
  { title: "Sessions of backends", least: 5, format: number, lines: [{ name: "now", value: "sessions" }] },
  { title: "Published", unit: "messages per second", least: 5, format: rate, lines: [{ name: "messages", value: "publications" }] },
  { title: "Delivered", unit: "messages per second", least: 5, format: rate, lines: [{ name: "messages", value: "deliveries" }] },
  { title: "Delivery time", least: 1000, format: micros, lines: [{ name: "99 % below", value: "most" }, { name: "half below", value: "half" }] },
  { title: "Coming and going", unit: "per second", least: 5, format: rate, lines: [{ name: "connected", value: "accepted" }, { name: "ended", value: "ended" }] },
  { title: "Network", unit: "per second", least: 1024, isBinary: true, format: bytes, lines: [{ name: "sent", value: "sent" }, { name: "received", value: "received" }] },
  { title: "Statements of backends", unit: "per second", least: 5, format: rate, lines: [{ name: "all", value: "statements" }, { name: "with an error", value: "errors" }] },
  { title: "Pages that came back", unit: "pipes per second", least: 5, format: rate, lines: [{ name: "asked for what they missed", value: "recovered" }, { name: "could not get all of it", value: "gaps" }] },
  { title: "Memory of the process", least: 16 * 1024 * 1024, isBinary: true, format: bytes, lines: [{ name: "resident", value: "resident" }] },
  { title: "Waits to be sent", least: 64 * 1024, isBinary: true, format: bytes, lines: [{ name: "bytes", value: "queued" }] },
  { title: "Processor", unit: "100 % is one core", least: 100, format: percent, lines: [{ name: "all threads", value: "processor" }] },
].map((one) => new Chart(one));

let span = 300;

for (const button of document.querySelectorAll("#span button")) {
  button.addEventListener("click", () => {
    span = Number(button.dataset.span);
    for (const other of document.querySelectorAll("#span button")) other.setAttribute("aria-pressed", String(other === button));
    draw();
  });
}

const draw = () => charts.forEach((chart) => chart.show(samples, span));

// ---- tiles and tables

const TILES = [
  ["Connections", ({ figures }) => number(figures.all.connections)],
  ["CometQL sessions", ({ figures }) => number(figures.all.sessions)],
  ["Publications / s", ({ values }) => values.publications !== undefined && rate(values.publications)],
  ["Deliveries / s", ({ values }) => values.deliveries !== undefined && rate(values.deliveries)],
  ["Latency, 99 %", ({ minute }) => percentile(minute, 0.99) && micros(percentile(minute, 0.99))],
  ["Sent / s", ({ values }) => values.sent !== undefined && bytes(values.sent)],
  ["Processor", ({ values }) => values.processor !== undefined && percent(values.processor)],
  ["Memory", ({ figures }) => bytes(figures.resident_bytes)],
];
const NAMES = { "Latency, 99 %": "Delivery time, 99 %", "CometQL sessions": "Sessions of backends", "Publications / s": "Published / s", "Deliveries / s": "Delivered / s" };
const tiles = TILES.map(([name]) => {
  const value = element("dd", { textContent: "-" });
  value.dataset.tile = name;
  byId("tiles").append(element("div", {}, element("dt", { textContent: NAMES[name] ?? name }), value));
  return value;
});

/** Fills a table; cells that did not change stay, so that selections and screen readers are not disturbed. */
function fill(table, head, rows, act) {
  if (!table.tHead) {
    const cells = head.map((name, place) => element("th", { scope: "col", className: place ? "number" : "", textContent: name }));
    table.append(element("thead", {}, element("tr", {}, ...cells)), element("tbody"));
  }
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, at) => {
    const line = body.rows[at] ?? body.insertRow();
    row.forEach((text, place) => {
      const cell = line.cells[place] ?? line.appendChild(element(place ? "td" : "th", place ? { className: "number" } : { className: "name", scope: "row" }));
      if (cell.textContent === text) return;
      if (act && place === 0 && text !== "none") cell.replaceChildren(link(text, () => act(text)));
      else cell.textContent = text;
    });
  });
}

function fillTop(id, entries, unit) {
  const rows = entries.map(({ dev, pipe, count }) => [pipe, String(dev), number(count)]);
  fill(byId(id), ["Pipe", "Tenant", unit], rows.length ? rows : [["none", "", ""]], showPipe);
}

const MEMORY = [
  ["Connections", "memory_connections"], ["Waits to be sent", "memory_queues"], ["Subscriptions, pipes, users", "memory_hub"],
  ["Between threads", "memory_rings"], ["Buffers", "memory_buffers"], ["Publications", "memory_publications"],
  ["Polls", "memory_polls"], ["Requests", "memory_edge"], ["Sessions of backends", "memory_sessions"], ["TLS of backends", "memory_tls"],
  ["Storage", "memory_storage"], ["Waits for storage", "memory_storage_waiting"], ["Answers of storage", "memory_completions"],
  ["Files", "memory_files"], ["Pages", "memory_pages"], ["Log", "memory_figures"],
];

const ENDS = {
  peer_closed: "The browser or backend went", close_frame: "The page closed it", http_done: "A plain request was answered", bad_request: "No request of HTTP",
  handshake_error: "The handshake was wrong", protocol_error: "The protocol was broken", unknown_command: "An unknown command", too_large: "A message was too large",
  slow_consumer: "It did not read fast enough", timed_out: "It was silent for too long", login_refused: "The login was refused", quit: "The backend said goodbye",
  hash_deleted: "The user's key was deleted", token_revoked: "The token was revoked", token_expired: "The token was over", killed: "KILL ended it", no_room: "Others needed its room",
  limited: "A limit of connections", key_not_tried: "Its key was not looked at, since keys are guessed there", storage_unavailable: "The database could not be asked",
  shutting_down: "The server stops",
};

const TROUBLE = [
  ["Browsers with a wrong key", "logins_refused"], ["Backends with a wrong password", "session_logins_refused"], ["Held off after wrong passwords", "session_logins_held_off"],
  ["Statements with an error", "statement_errors"], ["Browsers refused, too many of their address", "connections_refused"], ["Messages refused, their user publishes too fast", "publications_refused"],
  ["Subscriptions refused", "names_refused"], ["Commands slowed down", "commands_slowed"], ["New connections had to wait", "accept_stops"],
  ["Requests to the database failed", "storage_failures"], ["Requests to the database refused", "storage_refusals"], ["Lines of the log lost", "log_lines_lost"],
];

let about;
let lines = [];
let linesCount = -1;
/** Processor time of the threads: the last two times that it was told. */
let threads = [];

function show() {
  const { figures } = messages.at(-1);
  const { all } = figures;
  const values = samples.at(-1).values;
  const minuteAgo = messageOf(60);
  const seconds = (figures.uptime_ms - minuteAgo.uptime_ms) / 1000;
  const minute = between(figures, messageOf(10));
  byId("about").textContent = `${figures.product} on ${figures.node}, up for ${duration(figures.uptime_ms / 1000)}`;
  TILES.forEach(([, read], place) => {
    const text = read({ figures, values, minute }) || "-";
    if (tiles[place].textContent !== text) tiles[place].textContent = text;
  });
  if (JSON.stringify(figures.machine?.threads) !== JSON.stringify(threads.at(-1)?.used)) {
    threads = [threads.at(-1), { at: figures.uptime_ms, used: figures.machine?.threads }];
  }
  showAttention(figures, minuteAgo, seconds);
  draw();
  fillTop("busiest", figures.busiest, "Per second");
  fillTop("largest", figures.largest, "Subscribers");
  showShards(figures);
  showStorage(figures, minuteAgo, seconds);
  const kinds = MEMORY.map(([name, key]) => [name, all[key] ?? 0]);
  const counted = kinds.reduce((sum, [, value]) => sum + value, 0);
  fill(byId("memory"), ["What", "Size"], [...kinds, ["Program and database", Math.max(0, figures.resident_bytes - counted)]].map(([name, value]) => [name, bytes(value)]));
  const perMinute = (key) => number(Math.max(0, all[key] - minuteAgo.all[key]));
  fill(byId("trouble"), ["What", "Last minute", "Since the start"], TROUBLE.map(([name, key]) => [name, perMinute(key), number(all[key] ?? 0)]));
  const ends = Object.entries(ENDS).map(([key, name]) => [name, `closed_${key}`]).filter(([, key]) => all[key] > 0).sort((one, other) => all[other[1]] - all[one[1]]);
  fill(byId("ends"), ["Why", "Last minute", "Since the start"], ends.length ? ends.map(([name, key]) => [name, perMinute(key), number(all[key])]) : [["none", "", ""]]);
  showLatency(between(figures, minuteAgo));
  if (figures.warnings !== linesCount) askForLog(figures.warnings);
}

/** Of one core, by the name of the thread. */
function coresUsed() {
  const [before, now] = threads;
  if (!before?.used || !now?.used || now.at <= before.at) return new Map();
  return new Map(Object.entries(now.used).map(([name, used]) => [name, Math.max(0, (used - (before.used[name] ?? used)) / 1000 / (now.at - before.at))]));
}

function showAttention(figures, before, seconds) {
  const cores = coresUsed();
  const found = attention({ now: figures, before, seconds, about, cores, lines });
  const list = byId("attention");
  while (list.childElementCount > found.length) list.lastElementChild.remove();
  found.forEach(({ level, text }, place) => {
    const item = list.children[place] ?? list.appendChild(element("li", {}, element("b"), element("span")));
    item.className = `level-${level}`;
    const [word, said] = item.children;
    if (word.textContent !== WORDS[level]) word.textContent = WORDS[level];
    if (said.textContent !== text) said.textContent = text;
  });
}

function showShards(figures) {
  const before = messages.at(-2)?.figures;
  const seconds = before ? (figures.uptime_ms - before.uptime_ms) / 1000 : 0;
  const cores = coresUsed();
  const since = (place, name) => (before?.shards[place] ? rate((figures.shards[place][name] - before.shards[place][name]) / seconds) : "");
  fill(byId("shards"), ["Thread", "Processor", "Connections", "Published / s", "Delivered / s", "Sent / s", "Waits for others / s", "Memory"],
    figures.shards.map((shard, place) => {
      const sent = before?.shards[place] ? bytes((shard.sent_bytes - before.shards[place].sent_bytes) / seconds) : "";
      const core = cores.get(shard.name);
      return [shard.name, core === undefined ? "-" : percent(core * 100), number(shard.connections), since(place, "publications"),
        since(place, "deliveries"), sent, since(place, "ring_stalls"), bytes(shard.memory)];
    }));
}

function showStorage(figures, before, seconds) {
  const { all, machine } = figures;
  const per = (name) => (seconds > 0 ? (all[name] - before.all[name]) / seconds : 0);
  const [jobs, groups, busy] = ["storage_jobs", "storage_groups", "storage_busy_us"].map(per);
  const state = all.storage_down ? "cannot be reached" : all.storage_read_fails ? "cannot be read" : all.storage_full ? "the disk is full" : all.storage_write_fails ? "writes fail" : "ok";
  const size = (value) => (Number.isFinite(value) ? bytes(value) : "-");
  fill(byId("storage"), ["What", "Value"], [
    ["State", state],
    ["Engine", about?.storage ?? "-"],
    ["Requests / s", rate(jobs)],
    ["Commits / s", rate(groups)],
    ["Time of one", groups > 0 ? micros(busy / groups) : "-"],
    ["Busy", percent(busy / 10_000)],
    ["Requests that wait", number(all.storage_queue)],
    ["Writes that wait for the database", number(all.storage_waiting)],
    ["Database", size(machine?.database_bytes)],
    ["Its journal (WAL)", size(machine?.wal_bytes)],
    ["Free on the disk", machine?.disk_bytes ? `${bytes(machine.disk_free_bytes)} of ${bytes(machine.disk_bytes)}` : "-"],
    ["Pages that came back", number(all.recoveries)],
    ["Those that missed something for good", number(all.recoveries_failed)],
  ]);
  fill(byId("machine"), ["What", "Value"], [
    ["Version", about ? `${about.version}${about.commit ? `, commit ${about.commit.slice(0, 10)}` : ""}` : "-"],
    ["Started", about ? new Date(about.started * 1000).toLocaleString() : "-"],
    ["Memory of the machine", machine?.memory_bytes ? `${bytes(machine.memory_free_bytes)} free of ${bytes(machine.memory_bytes)}` : "-"],
    ["Connections that one thread may have", machine?.descriptors_max ? number(machine.descriptors_max) : "-"],
    ["Browsers that poll", number(all.polled)],
    ["Logins of browsers", number(all.logins)],
    ["Longest turn of a thread", micros(all.longest_turn_us ?? 0)],
  ]);
}

function showLatency(counts) {
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  const place = byId("latency");
  if (first < 0) {
    place.setAttribute("aria-label", "No publications in the last minute");
    place.replaceChildren(element("p", { className: "empty", textContent: "No publications in the last minute" }));
    return;
  }
  const most = Math.max(...counts);
  const sum = counts.reduce((total, count) => total + count, 0);
  place.setAttribute("aria-label", `half below ${micros(percentile(counts, 0.5))}, 99 % below ${micros(percentile(counts, 0.99))}`);
  place.replaceChildren(...counts.slice(first, last + 1).map((count, at) => {
    const bar = element("progress", { max: most, value: count });
    bar.setAttribute("aria-hidden", "true");
    return element("div", {}, element("span", { textContent: `< ${micros(2 ** (first + at))}` }), bar,
      element("span", { textContent: `${((count / sum) * 100).toFixed(count / sum < 0.1 ? 1 : 0)} %` }));
  }));
}

function showLog() {
  byId("quiet").hidden = lines.length > 0;
  byId("log").hidden = lines.length === 0;
  byId("log").textContent = [...lines].reverse().join("\n");
}

async function askForLog(count) {
  linesCount = count;
  try {
    ({ lines } = await post("dashboard/log", "", "text/plain"));
    showLog();
  } catch {
    // With the next warning it is tried again.
  }
}

function showConfiguration() {
  const all = byId("all-keys").checked;
  const rows = (about?.configuration ?? []).filter((key) => all || !key.is_default);
  const cells = ({ section, key, value, default: usual, doc }) => element("tr", {},
    element("th", { className: "name", scope: "row" }, element("code", { textContent: `[${section}] ${key}` })),
    element("td", { textContent: value ?? "not set" }), element("td", { textContent: usual ?? "not set" }), element("td", { textContent: doc }));
  const head = element("thead", {}, element("tr", {}, ...["Key", "In force", "By default", "Meaning"].map((name) => element("th", { scope: "col", textContent: name }))));
  byId("configuration").replaceChildren(head, element("tbody", {}, ...(rows.length ? rows.map(cells) : [element("tr", {}, element("td", { colSpan: 4, textContent: "All is as by default" }))])));
}

byId("all-keys").addEventListener("change", showConfiguration);

// ---- figures that do not come

setInterval(() => {
  if (!messages.length) return;
  const age = Date.now() - messages.at(-1).at;
  const isStale = age > STALE_MS;
  byId("main").classList.toggle("is-stale", isStale);
  byId("stale").hidden = !isStale;
  if (isStale) byId("stale").textContent = `Last figures ${duration(Math.round(age / 1000))} ago: the server does not answer. This page tries again by itself.`;
}, 1000);

// ---- the connection

const state = byId("state");
let comet;
let subscription;
let key;
let isIn = false;

async function listen(pipe) {
  if (pipe === key) return;
  key = pipe;
  subscription?.unsubscribe();
  const { past, about: told, log } = await post("dashboard/past", "", "text/plain");
  about = told;
  ({ lines, count: linesCount } = log);
  showLog();
  showConfiguration();
  const uptimeMs = Date.now() - about.started * 1000;
  if (samples.length === 0) takePast(past, uptimeMs);
  subscription = await comet.subscribe(`${pipe}.figures`, ({ data }) => take(data) && show());
}

async function enter(credentials) {
  const { pipe } = await post("dashboard/key", "", "text/plain", credentials);
  if (credentials) sessionStorage.setItem("encke.credentials", credentials);
  if (!comet) {
    comet = connect({ shared: false });
    comet.on("state", ({ state: now }) => {
      tellState(state, now);
      // After a restart of the server the pipe has another name.
      if (now === "connected" && isIn) enter().catch(({ status }) => status === 401 && leave());
    });
    tellState(state, comet.state);
  }
  for (const id of ["state", "main", "leave"]) byId(id).hidden = false;
  if (!charts[0].graph) {
    charts.forEach((chart) => chart.make());
    keepUp(charts);
  }
  await listen(pipe);
  isIn = true;
}

function leave() {
  forget();
  location.reload();
}

byId("charts").append(...charts.map((chart) => chart.element));
byId("leave").addEventListener("click", leave);
listenToForms();
signIn(enter);
