// The dashboard: subscribes through the library to the pipe in which the server tells its figures once a second.

import { connect } from "./encke.js";
import { byId, element, forget, post, signIn, tellState } from "./encke-pages.js";

/** Seconds that the graphs show. */
const SHOWN_S = 120;

// ---- numbers for people

const LANGUAGE = "en";
const exact = new Intl.NumberFormat(LANGUAGE);
const short = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumSignificantDigits: 3 });
const number = (value) => (Math.abs(value) < 10_000 ? exact.format(Math.round(value * 10) / 10) : short.format(value));
const rate = (value) => (value === undefined ? "" : number(value < 100 ? value : Math.round(value)));

function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let place = 0;
  while (value >= 1000 && place < units.length - 1) {
    value /= 1024;
    place += 1;
  }
  return `${value < 10 && place ? value.toFixed(1) : Math.round(value)} ${units[place]}`;
}

function micros(value) {
  if (value === undefined) return "";
  if (value < 1000) return `${Math.round(value)} µs`;
  if (value < 1_000_000) return `${value < 10_000 ? (value / 1000).toFixed(1) : Math.round(value / 1000)} ms`;
  return `${(value / 1_000_000).toFixed(1)} s`;
}

function duration(seconds) {
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, parts.findIndex(([size]) => seconds >= size));
  return parts.slice(first, first + 2)
    .map(([size, unit], place) => `${Math.floor(place ? (seconds % parts[first][0]) / size : seconds / size)} ${unit}`)
    .join(" ");
}

// ---- what came

/** Messages of the last minutes, each with what happened since the one before. */
let samples = [];

function sampled(figures) {
  const last = samples.at(-1)?.figures;
  // Another start of the server counts anew.
  if (last && figures.uptime_ms < last.uptime_ms) samples = [];
  const before = samples.at(-1)?.figures;
  const seconds = before ? (figures.uptime_ms - before.uptime_ms) / 1000 : 0;
  if (before && seconds <= 0) return undefined;
  const per = (read) => (before ? Math.max(0, read(figures) - (read(before) ?? 0)) / seconds : undefined);
  const sample = { figures, seconds, per };
  samples.push(sample);
  while (samples.length > SHOWN_S + 1) samples.shift();
  return sample;
}

/** Publications by latency in the last so many seconds. */
function latencies(seconds) {
  const now = samples.at(-1).figures.latency_us;
  const then = samples[Math.max(0, samples.length - 1 - seconds)].figures.latency_us;
  return samples.length > 1 ? now.map((count, place) => count - then[place]) : now.map(() => 0);
}

/** The least time, in microseconds, below which this part of the publications is; undefined without any. */
function percentile(counts, part) {
  const wanted = counts.reduce((sum, count) => sum + count, 0) * part;
  if (wanted === 0) return undefined;
  let sum = 0;
  return 2 ** counts.findIndex((count) => (sum += count) >= wanted);
}

// ---- graphs

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 72;

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** A round number that is not less. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

/** Lines over the last minutes. Where the pointer is, the legend tells what was then. */
class Chart {
  constructor({ title, lines, format, least }) {
    this.format = format;
    this.least = least;
    this.lines = lines.map(({ name, read }, place) => ({
      name,
      read,
      path: svg("polyline", { class: `line line-${place + 1}` }),
      area: svg("polygon", { class: `area line-${place + 1}` }),
      value: element("b"),
    }));
    this.top = element("span", { className: "top" });
    this.mark = svg("line", { class: "mark", y1: 0, y2: HEIGHT });
    this.graph = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.graph.append(...this.lines.flatMap(({ area, path }) => [area, path]), this.mark);
    this.graph.setAttribute("aria-label", title);
    const legend = this.lines.map(({ name, value }, place) => element("span", { className: `key line-${place + 1}` }, `${name} `, value));
    this.when = element("span", { className: "hint" });
    this.element = element("section", { className: "card chart" },
      element("div", { className: "above" }, element("h2", { textContent: title }), this.when),
      element("div", { className: "legend" }, ...legend),
      element("div", { className: "plot" }, this.top, this.graph));
    this.at = undefined;
    this.graph.addEventListener("pointermove", (event) => {
      const { left, width } = this.graph.getBoundingClientRect();
      this.at = Math.round(((event.clientX - left) / width) * SHOWN_S);
      this.draw();
    });
    this.graph.addEventListener("pointerleave", () => {
      this.at = undefined;
      this.draw();
    });
  }

  draw() {
    const places = Math.max(0, SHOWN_S - samples.length + 1);
    const values = this.lines.map(({ read }) => samples.map(read));
    const most = Math.max(this.least, ...values.flat().filter(Number.isFinite));
    const top = roundUp(most);
    this.top.textContent = this.format(top);
    for (const [line, { path, area }] of this.lines.entries()) {
      const points = values[line].flatMap((value, place) => Number.isFinite(value)
        ? [[((place + places) / SHOWN_S) * WIDTH, HEIGHT - (value / top) * (HEIGHT - 2) - 1]] : []);
      const text = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
      path.setAttribute("points", text);
      area.setAttribute("points", points.length
        ? `${points[0][0].toFixed(1)},${HEIGHT} ${text} ${points.at(-1)[0].toFixed(1)},${HEIGHT}` : "");
    }
    const asked = this.at === undefined ? undefined : this.at - places;
    const isThere = asked !== undefined && samples[asked] !== undefined;
    const place = isThere ? asked : samples.length - 1;
    this.lines.forEach(({ value }, line) => {
      const shown = values[line][place];
      value.textContent = Number.isFinite(shown) ? this.format(shown) : "-";
    });
    const ago = samples.length - 1 - place;
    this.when.textContent = isThere && ago > 0 ? `${ago} s ago` : "";
    const x = isThere ? ((place + places) / SHOWN_S) * WIDTH : -1;
    this.mark.setAttribute("x1", x);
    this.mark.setAttribute("x2", x);
  }
}

/** Of one second; kept with it, since what came before is gone from the list one day. */
function latencyOf(sample, part) {
  const place = samples.indexOf(sample);
  sample.latency ??= place > 0
    ? sample.figures.latency_us.map((count, at) => count - samples[place - 1].figures.latency_us[at])
    : sample.figures.latency_us.map(() => 0);
  return percentile(sample.latency, part);
}

const charts = [
  new Chart({
    title: "Connections",
    least: 10,
    format: number,
    lines: [
      { name: "browsers", read: ({ figures }) => figures.all.connections },
      { name: "CometQL sessions", read: ({ figures }) => figures.all.sessions },
    ],
  }),
  new Chart({
    title: "Publications and deliveries per second",
    least: 10,
    format: rate,
    lines: [
      { name: "deliveries", read: ({ per }) => per(({ all }) => all.deliveries) },
      { name: "publications", read: ({ per }) => per(({ all }) => all.publications) },
    ],
  }),
  new Chart({
    title: "Latency",
    least: 1000,
    format: micros,
    lines: [
      { name: "99 % below", read: (sample) => latencyOf(sample, 0.99) },
      { name: "half below", read: (sample) => latencyOf(sample, 0.5) },
    ],
  }),
  new Chart({
    title: "Memory of the process",
    least: 1_048_576,
    format: bytes,
    lines: [
      { name: "resident", read: ({ figures }) => figures.resident_bytes },
      { name: "waits to be sent", read: ({ figures }) => figures.all.memory_queues },
    ],
  }),
];
byId("charts").append(...charts.map((chart) => chart.element));

// ---- tiles and tables

const TILES = [
  ["Connections", ({ figures }) => number(figures.all.connections)],
  ["CometQL sessions", ({ figures }) => number(figures.all.sessions)],
  ["Publications / s", ({ per }) => rate(per(({ all }) => all.publications))],
  ["Deliveries / s", ({ per }) => rate(per(({ all }) => all.deliveries))],
  ["Latency, 99 %", () => micros(percentile(latencies(10), 0.99))],
  ["Sent / s", ({ per }) => (per(({ all }) => all.sent_bytes) === undefined ? "" : bytes(per(({ all }) => all.sent_bytes)))],
  ["Processor", ({ per }) => (per((f) => f.processor_us) === undefined ? "" : `${Math.round(per((f) => f.processor_us) / 10_000)} %`)],
  ["Memory", ({ figures }) => bytes(figures.resident_bytes)],
];
const tiles = TILES.map(([name]) => {
  const value = element("dd", { textContent: "-" });
  value.dataset.tile = name;
  byId("tiles").append(element("div", {}, element("dt", { textContent: name }), value));
  return value;
});

/** Fills a table; cells that did not change stay, so that selections and screen readers are not disturbed. */
function fill(table, head, rows) {
  if (!table.tHead) {
    const cells = head.map((name, place) => element("th", { scope: "col", className: place ? "number" : "", textContent: name }));
    if (head.length) table.append(element("thead", {}, element("tr", {}, ...cells)));
    table.append(element("tbody"));
  }
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((row, at) => {
    const line = body.rows[at] ?? body.insertRow();
    row.forEach((text, place) => {
      const cell = line.cells[place] ?? line.appendChild(element(place ? "td" : "th", { className: place ? "number" : "name" }));
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
}

function fillTop(id, entries, unit) {
  const rows = entries.map(({ dev, pipe, count }) => [pipe, String(dev), number(count)]);
  fill(byId(id), ["Pipe", "Tenant", unit], rows.length ? rows : [["none", "", ""]]);
}

const MEMORY = [
  ["Connections", "memory_connections"], ["Waits to be sent", "memory_queues"], ["Subscriptions, pipes, users", "memory_hub"],
  ["Rings between shards", "memory_rings"], ["Buffers and fan-outs", "memory_buffers"], ["Polls, fragments and requests", "memory_edge"],
  ["CometQL sessions", "memory_sessions"], ["TLS of sessions", "memory_tls"],
];

function show(sample) {
  const { figures, per } = sample;
  const { all } = figures;
  byId("about").textContent = `${figures.product} on ${figures.node}, up for ${duration(figures.uptime_ms / 1000)}`;
  const isDown = all.storage_down > 0;
  byId("warning").hidden = !isDown;
  byId("warning").textContent = isDown
    ? `The database cannot be reached: reads fail, ${number(all.storage_waiting)} writes (${bytes(all.storage_waiting_bytes)}) wait for it.` : "";
  TILES.forEach(([, read], place) => {
    const text = read(sample) || "-";
    if (tiles[place].textContent !== text) tiles[place].textContent = text;
  });
  charts.forEach((chart) => chart.draw());
  fillTop("busiest", figures.busiest, "Per second");
  fillTop("largest", figures.largest, "Subscribers");
  const before = samples.at(-2)?.figures.shards;
  const since = (place, name) => (before?.[place] ? rate((figures.shards[place][name] - before[place][name]) / sample.seconds) : "");
  fill(byId("shards"), ["Shard", "Connections", "Publications / s", "Deliveries / s", "Turns / s", "Full rings / s", "Memory"],
    figures.shards.map((shard, place) => [shard.name, number(shard.connections), since(place, "publications"),
      since(place, "deliveries"), since(place, "turns"), since(place, "ring_stalls"), bytes(shard.memory)]));
  const kinds = MEMORY.map(([name, key]) => [name, all[key] ?? 0]);
  const counted = kinds.reduce((sum, [, value]) => sum + value, 0);
  const rest = ["Program and database", Math.max(0, figures.resident_bytes - counted)];
  fill(byId("memory"), ["What", "Bytes"], [...kinds, rest].map(([name, value]) => [name, bytes(value)]));
  const jobs = per((f) => f.all.storage_jobs);
  const groups = per((f) => f.all.storage_groups);
  const busy = per((f) => f.all.storage_busy_us);
  fill(byId("storage"), ["What", "Value"], [
    ["State", isDown ? "cannot be reached" : "ok"],
    ["Requests / s", rate(jobs)],
    ["Groups (commits) / s", rate(groups)],
    ["Time of one group", groups ? micros(busy / groups) : ""],
    ["Wait for the next group", number(all.storage_queue)],
    ["Writes that wait for the database", number(all.storage_waiting)],
    ["Refused: too busy", number(all.storage_refusals)],
    ["Given up", number(all.storage_given_up)],
  ]);
  fill(byId("trouble"), ["Since the start", "Count"], [
    ["Closed: did not read fast enough", number(all.closed_slow_consumer ?? 0)],
    ["Writes taken only in part", number(all.short_sends)],
    ["Commands slowed down", number(all.commands_slowed)],
    ["Browsers with a wrong key", number(all.logins_refused)],
    ["CometQL logins refused", number(all.session_logins_refused)],
    ["Held off after wrong passwords", number(all.session_logins_held_off)],
    ["Statements with an error", number(all.statement_errors)],
    ["Accepting stopped", number(all.accept_stops)],
  ]);
  showLatency();
}

function showLatency() {
  const counts = latencies(60);
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  const place = byId("latency");
  if (first < 0) {
    place.replaceChildren(element("p", { className: "empty", textContent: "No publications in the last minute" }));
    return;
  }
  const most = Math.max(...counts);
  const sum = counts.reduce((total, count) => total + count, 0);
  const shown = counts.slice(first, last + 1);
  place.setAttribute("aria-label", `half below ${micros(percentile(counts, 0.5))}, 99 % below ${micros(percentile(counts, 0.99))}`);
  place.replaceChildren(...shown.map((count, at) => {
    const bar = element("progress", { max: most, value: count });
    return element("div", {}, element("span", { textContent: `< ${micros(2 ** (first + at))}` }), bar,
      element("span", { textContent: `${((count / sum) * 100).toFixed(count / sum < 0.1 ? 1 : 0)} %` }));
  }));
}

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
  subscription = await comet.subscribe(`${pipe}.figures`, ({ data }) => {
    const sample = sampled(data);
    if (sample) show(sample);
  });
}

async function enter(credentials) {
  const { pipe } = await post("dashboard/key", "", "text/plain", credentials);
  if (!comet) {
    comet = connect({ shared: false });
    comet.on("state", ({ state: now }) => {
      tellState(state, now);
      // After a restart of the server the pipe has another name.
      if (now === "connected" && isIn) enter().catch(({ status }) => status === 401 && leave());
    });
    tellState(state, comet.state);
  }
  state.hidden = false;
  byId("main").hidden = false;
  await listen(pipe);
  isIn = true;
}

function leave() {
  forget();
  location.reload();
}

byId("leave").addEventListener("click", leave);
signIn(enter);
