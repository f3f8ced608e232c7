// What the scenarios run in: the real server, a browser, a backend, and a line between them that can be cut.
//
// tests/it/scenarios.rs starts them with the program's address in ENCKE_PROGRAM. By hand, from the root of the sources:
//
//   ENCKE_PROGRAM=target/debug/encke node --test web/e2e/

import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer, connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";

export const root = new URL("../../", import.meta.url).pathname;
const installed = (folder, name) => createRequire(join(root, ".test-deps", folder, "package.json"))(name);
const { chromium } = installed("web", "playwright-core");
const mysql = installed("node", "mysql2/promise");
/** The text of axe-core, for a page to run. */
export const axe = () => readFileSync(createRequire(join(root, ".test-deps/web/package.json")).resolve("axe-core/axe.min.js"), "utf8");

/** Longer than anything takes on a slow machine; only a failing test waits so long. */
export const PATIENCE_MS = 60_000;
export const PASSWORD = "a password for the tests";
const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
export const screenshots = resolve(root, process.env.ENCKE_SCREENSHOTS ?? "target/screenshots");

export async function until(condition, what = condition.toString()) {
  const end = Date.now() + PATIENCE_MS;
  let seen;
  for (;;) {
    seen = await condition();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((next) => setTimeout(next, 20));
  }
}

/** The real program, in a folder of its own. */
export class Server {
  folder = mkdtempSync(join(tmpdir(), "encke-e2e-"));
  port = 0;
  cometqlPort = 0;
  log = "";

  async start() {
    // As if the server had generated it.
    mkdirSync(join(this.folder, "data"), { recursive: true });
    writeFileSync(join(this.folder, "data/cometql.password"), PASSWORD, { mode: 0o600 });
    const configuration = `[main]\nnode_name = e2e\n[ws]\nip = 127.0.0.1\nport = ${this.port}\nthread_num = 2\npin_cores = false\n` +
      `[cometql]\nip = 127.0.0.1\nport = ${this.cometqlPort}\n[storage]\ndir = data\n`;
    writeFileSync(join(this.folder, "comet.ini"), configuration);
    this.log = "";
    const program = process.env.ENCKE_PROGRAM;
    if (!program) throw new Error("ENCKE_PROGRAM names the program to test");
    this.child = spawn(resolve(root, program), ["--conf", "comet.ini"], { cwd: this.folder, stdio: ["ignore", "ignore", "pipe"] });
    this.ended = new Promise((done) => this.child.on("exit", done));
    this.child.stderr.on("data", (bytes) => (this.log += bytes));
    await until(() => / ready$/m.test(this.log) || this.child.exitCode !== null, "the server starts");
    if (this.child.exitCode !== null) throw new Error(`the server ended:\n${this.log}`);
    // The same ones after a restart.
    this.port = Number(/^ {2}browsers\s+\S+:(\d+)/m.exec(this.log)[1]);
    this.cometqlPort = Number(/^ {2}CometQL\s+\S+:(\d+)/m.exec(this.log)[1]);
    this.backend = await mysql.createConnection({ host: "127.0.0.1", port: this.cometqlPort, user: "root", password: PASSWORD, database: "CometQL_v1" });
    this.backend.on("error", () => {});
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What programs of a backend are told. */
  get environment() {
    return { ...process.env, COMET_HOST: "127.0.0.1", COMET_PORT: String(this.cometqlPort), COMET_PASSWORD: PASSWORD, COMET_URL: this.url };
  }

  async query(text, values) {
    const [rows] = await this.backend.query(text, values);
    return rows;
  }

  /** A line that a page shows, in a shell in the server's folder. */
  shell(line) {
    return run("bash", ["-c", line], { cwd: this.folder });
  }

  publish(pipe, message, event = "newMessage") {
    return this.query("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", [pipe, event, JSON.stringify(message)]);
  }

  keep(pipe, length = 100) {
    return this.query("INSERT INTO pipes_settings (name, length) VALUES (?, ?)", [pipe, length]);
  }

  async subscribers(pipe) {
    const [row] = await this.query("SELECT users FROM pipes WHERE name = ?", [pipe]);
    return Number(row?.users ?? 0);
  }

  awaitSubscribers(pipe, count) {
    return until(async () => (await this.subscribers(pipe)) === count, `${pipe} has ${count} subscribers`);
  }

  async stop() {
    this.backend.destroy();
    this.child.kill("SIGTERM");
    await this.ended;
  }

  /** However the test went. */
  async end() {
    this.backend?.destroy();
    this.child?.kill("SIGKILL");
    await this.ended;
  }

  async restart() {
    await this.stop();
    await this.start();
  }
}

/** A line to the server that can be cut and mended, as networks are. */
class Line {
  sockets = new Set();
  isCut = false;

  /** Requests that begin with `blocks` do not get through. */
  async open(port, { blocks } = {}) {
    this.listener = createServer((socket) => {
      if (this.isCut) return socket.destroy();
      if (blocks) socket.on("data", (bytes) => bytes.toString("latin1").startsWith(blocks) && socket.destroy());
      const other = connectTcp(port, "127.0.0.1");
      for (const [one, two] of [[socket, other], [other, socket]]) {
        this.sockets.add(one);
        one.on("error", () => two.destroy());
        one.on("close", () => (this.sockets.delete(one), two.destroy()));
        one.pipe(two);
      }
    });
    await new Promise((done) => this.listener.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${this.listener.address().port}`;
  }

  cut() {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  mend() {
    this.isCut = false;
  }

  close() {
    this.cut();
    return new Promise((done) => this.listener.close(done));
  }
}

function browserProgram() {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const found = BROWSERS.map((name) => join(folder, name)).find(existsSync);
    if (found) return found;
  }
  throw new Error("no Chromium is installed");
}

/** A test with a server and a browser, both gone afterwards. */
export function withWorld(scenario) {
  return async (t) => {
    const server = new Server();
    const closing = [];
    let browser;
    try {
      await server.start();
      browser = await chromium.launch({ executablePath: browserProgram(), args: ["--no-sandbox", "--disable-dev-shm-usage"] });
      await scenario(new World(server, browser, closing, t));
    } catch (error) {
      error.message += `\nthe server said:\n${server.log}`;
      throw error;
    } finally {
      await browser?.close();
      const closed = await Promise.allSettled(closing.map(async (close) => close()));
      await server.end();
      rmSync(server.folder, { recursive: true, force: true });
      const failed = closed.find(({ status }) => status === "rejected");
      if (failed) throw failed.reason;
    }
  };
}

class World {
  constructor(server, browser, closing, t) {
    Object.assign(this, { server, browser, closing, t });
  }

  /** A browser profile of its own; whatever its pages complain of fails the test, unless `complains` matches it. */
  async person({ complains, ...options } = {}) {
    const context = await this.browser.newContext(options);
    context.setDefaultTimeout(PATIENCE_MS);
    const problems = [];
    context.on("weberror", (error) => problems.push(String(error.error())));
    context.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    this.closing.push(() => {
      const left = problems.filter((problem) => !complains?.test(problem));
      if (left.length) throw new Error(`pages complained: ${left.join("\n")}`);
    });
    return context;
  }

  async page(url, person) {
    const page = await (person ?? (await this.person())).newPage();
    await page.goto(url.startsWith("http") ? url : this.server.url + url);
    return page;
  }

  async line(options) {
    const line = new Line();
    await line.open(this.server.port, options);
    this.closing.push(() => line.close());
    return line;
  }

  /** Starts a program that lives as long as the test. */
  start(program, args, options) {
    const child = spawn(program, args, { stdio: "ignore", detached: true, ...options });
    const ended = new Promise((done) => child.on("exit", done));
    this.closing.push(() => {
      // Its group, because it may have helpers that do not end with it.
      process.kill(-child.pid, "SIGKILL");
      return ended;
    });
  }

  async screenshot(page, name, options) {
    mkdirSync(screenshots, { recursive: true });
    await page.screenshot({ path: join(screenshots, `${name}.png`), ...options });
  }
}

/** Runs a program to its end; its standard output. */
export const run = async (program, args, options) => (await promisify(execFile)(program, args, { timeout: PATIENCE_MS, ...options })).stdout;
