// The graphs of the dashboard: uPlot with axes, units and zero, a readout beside the pointer, and the same figures for
// the keyboard and as a table.

import { element } from "./encke-pages.js";

const HEIGHT = 170;
const LINES = ["--chart-1", "--chart-3", "--chart-2"];
const TABLE_ROWS = 30;

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

/** Steps of an axis that bytes and microseconds are read well in. */
const BINARY = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].flatMap((step) => [0, 10, 20, 30, 40].map((power) => step * 2 ** power)).sort((a, b) => a - b);

export class Chart {
  /** `lines`: names in the legend and of the values in samples. `least`: what the axis reaches at least. */
  constructor({ title, unit, lines, format, least, isBinary }) {
    Object.assign(this, { title, format, least, isBinary, lines });
    this.samples = [];
    this.values = lines.map(() => element("b", { textContent: "-" }));
    this.when = element("span");
    const legend = element("div", { className: "legend" },
      ...lines.map(({ name }, place) => element("span", { className: `key line-${place + 1}` }, `${name} `, this.values[place])), this.when);
    this.legend = legend;
    this.plot = element("div", { className: "plot", tabIndex: 0 });
    this.plot.setAttribute("role", "img");
    this.table = element("table");
    const place = element("div", { className: "table", tabIndex: 0 }, this.table);
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", `${title}, as a table`);
    this.details = element("details", {}, element("summary", { textContent: "As a table" }), place);
    this.details.addEventListener("toggle", () => this.fillTable());
    this.element = element("section", { className: "card chart" },
      element("div", { className: "above" }, element("h3", { textContent: unit ? `${title}, ${unit}` : title })), legend, this.plot, this.details);
    this.plot.addEventListener("keydown", (event) => this.step(event));
    this.plot.addEventListener("blur", () => this.read(undefined));
  }

  /** When it is in the page, and again when colours change. */
  make() {
    this.graph?.destroy();
    const [quiet, line] = ["--quiet", "--line"].map(colourOf);
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const series = this.lines.map(({ name }, place) => {
      const stroke = colourOf(LINES[place]);
      return { label: name, stroke, width: 2, fill: this.lines.length === 1 ? `${stroke}22` : undefined, points: { show: false }, spanGaps: false };
    });
    this.graph = new globalThis.uPlot({
      width: this.width(),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, sync: { key: "encke" } },
      scales: { y: { range: (_, __, most) => [0, Math.max(this.least, (most ?? 0) * 1.08)] } },
      axes: [
        { ...axis, space: 70, size: 24, values: (_, splits) => splits.map((split) => new Date(split * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })) },
        { ...axis, size: 66, space: 36, values: (_, splits) => splits.map(this.format), ...(this.isBinary ? { incrs: BINARY } : {}) },
      ],
      series: [{}, ...series],
      hooks: { setCursor: [({ cursor }) => this.read(cursor.left >= 0 ? cursor.idx : undefined)] },
    }, this.data(), this.plot);
  }

  width() {
    return Math.max(200, this.plot.clientWidth);
  }

  data() {
    return [this.samples.map(({ time }) => time), ...this.lines.map(({ value }) => this.samples.map(({ values }) => values[value] ?? null))];
  }

  show(samples, span) {
    this.samples = samples;
    const end = samples.at(-1)?.time ?? Date.now() / 1000;
    this.graph.setData(this.data(), false);
    this.graph.setScale("x", { min: end - span, max: end });
    this.read(this.graph.cursor.left >= 0 ? this.graph.cursor.idx : undefined);
    if (this.details.open) this.fillTable();
    const most = this.lines.map(({ name, value }) => {
      const seen = samples.filter(({ time }) => time >= end - span).map(({ values }) => values[value]).filter(Number.isFinite);
      return seen.length ? `${name}: now ${this.format(seen.at(-1))}, at most ${this.format(Math.max(...seen))}` : `${name}: nothing yet`;
    });
    this.plot.setAttribute("aria-label", `${this.title}. ${most.join(". ")}. Arrow keys go through time.`);
  }

  /** The legend tells the values of a sample, or of the last one. */
  read(place) {
    const sample = this.samples[place ?? this.samples.length - 1];
    this.lines.forEach(({ value }, line) => {
      const shown = sample?.values[value];
      const text = Number.isFinite(shown) ? this.format(shown) : "-";
      if (this.values[line].textContent !== text) this.values[line].textContent = text;
    });
    this.when.textContent = place !== undefined && sample ? `at ${clock(sample.time)}` : "";
  }

  /** With the keyboard: the pointer's place moves, and is read out. */
  step(event) {
    const count = this.samples.length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count, PageUp: -10, PageDown: 10 };
    const step = steps[event.key];
    if (step === undefined || count === 0) return;
    event.preventDefault();
    this.legend.setAttribute("aria-live", "polite");
    const now = this.graph.cursor.left >= 0 ? this.graph.cursor.idx ?? count - 1 : count - 1;
    const place = Math.min(count - 1, Math.max(0, now + step));
    const left = this.graph.valToPos(this.samples[place].time, "x");
    this.graph.setCursor({ left, top: 10 });
  }

  fillTable() {
    if (!this.details.open) return;
    const row = (cells, name) => element("tr", {}, ...cells.map((text, place) => element(name, { textContent: text, className: place ? "number" : "" })));
    const head = row(["Time", ...this.lines.map(({ name }) => name)], "th");
    const step = Math.max(1, Math.floor(this.samples.length / TABLE_ROWS));
    const rows = this.samples.filter((_, place) => (this.samples.length - 1 - place) % step === 0).slice(-TABLE_ROWS).reverse();
    this.table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows.map(({ time, values }) =>
      row([clock(time), ...this.lines.map(({ value }) => (Number.isFinite(values[value]) ? this.format(values[value]) : "-"))], "td"))));
  }
}

/** Charts that stay as wide as their places, in the colours of now. */
export function keepUp(charts) {
  const resize = new ResizeObserver(() => charts.forEach((chart) => chart.graph?.setSize({ width: chart.width(), height: HEIGHT })));
  charts.forEach((chart) => resize.observe(chart.element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.make()));
}
