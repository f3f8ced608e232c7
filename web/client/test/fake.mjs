// A browser and a server as far as the built library sees them: tabs with globals of their own, locks, sockets in memory,
// pipes with histories. In tabs time is the clock's.

import { readFileSync } from "node:fs";
import vm from "node:vm";
import { FastClock } from "./clock.mjs";

const dist = new URL("../dist/", import.meta.url);
export const built = (name) => readFileSync(new URL(name, dist), "utf8");

/** The files as plain scripts: exports become a global, and other files come from the tab. */
function plain(name, exported) {
  const text = built(name)
    .replace(/import\.meta\.url/g, '"http://comet.test/encke.js"')
    .replace(/\bimport\(/g, "globalThis.importFile(")
    .replace(/export\s*\{([^}]*)\}/, (_, list) => `globalThis.${exported}={${list.split(",").map((one) => one.split(" as ").reverse().join(":"))}}`);
  return `(() => {${text}})();`;
}
const classic = plain("CometServerApi.js");
const modern = plain("encke.js", "encke");
const http = plain("encke-http.js", "enckeHttp");

export async function until(condition, what = condition.toString()) {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}

/** A connection that nobody polls ends. */
const POLL_MS = 60_000;

export const pause = (ms) => new Promise((next) => setTimeout(next, ms));

/** The server: what docs/javascript-protocol.md says, in small. */
export class Server {
  up = true;
  /** No WebSocket gets through. */
  blocked = false;
  sockets = new Set();
  /** All addresses that were asked for. */
  urls = [];
  /** All requests by plain HTTP. */
  requests = [];
  /** All commands that came. */
  commands = [];
  pipes = new Map();
  users = new Map([["5", "key5"]]);
  last = 9_999_999_999_999_990n;
  refused = undefined;
  /** Whether an answer to a command is lost. */
  loses = () => false;

  constructor(clock = new FastClock()) {
    this.clock = clock;
  }

  keep(pipe, length = 1000) {
    this.pipes.set(pipe, { length, kept: [], isCut: false });
  }

  publish(pipe, event, data, from) {
    const wire = { data, event, message_send_time: 1700000000, pipe };
    if (from) wire.user_id = from.user;
    const history = this.pipes.get(pipe);
    if (history) {
      wire.position = String(++this.last);
      history.kept.push(wire);
      if (history.kept.length > history.length) history.kept.shift(), (history.isCut = true);
    }
    const receivers = [...this.sockets].filter((socket) => socket.pipes.has(pipe) && socket !== from);
    for (const socket of receivers) socket.say(wire);
    return receivers.length;
  }

  /** A personal message to whoever is here. */
  tell(event, data) {
    for (const socket of this.sockets) socket.say({ data, event, pipe: "msg" });
  }

  take(socket, text) {
    this.commands.push(text);
    const [command, ...lines] = text.split("\n");
    const answer = (wire) => this.loses(text, wire) || socket.say(wire);
    const sys = (event, data) => answer({ data, event, message_send_time: 1700000000, pipe: "sys" });
    if (command === "subscription2") {
      const wanted = new Map(lines.filter(Boolean).map((line) => line.split(" ")));
      for (const pipe of socket.pipes) if (!wanted.has(pipe)) socket.pipes.delete(pipe);
      for (const [pipe, had = ""] of wanted) {
        if (socket.pipes.has(pipe)) continue;
        const [position, newest = 0] = had.split("~");
        if (pipe.startsWith("private_") && !socket.user) {
          sys("error", { code: "403", error: "Pipes that begin with private_ are for authorised users only" });
          continue;
        }
        socket.pipes.add(pipe);
        const history = this.pipes.get(pipe);
        const data = { pipe, position: history ? String(this.last) : null };
        if (position) {
          const missed = history?.kept.filter((wire) => BigInt(wire.position) > BigInt(position)) ?? [];
          data.recovered = !!history && !(history.isCut && missed.length === history.kept.length);
          if (data.recovered) for (const wire of missed) socket.say({ ...wire, event: wire.event || "undefined", fromQueue: true });
        } else if (newest) {
          for (const wire of history?.kept.slice(-newest) ?? []) socket.say({ ...wire, event: wire.event || "undefined", fromQueue: true });
        }
        sys("subscribed", data);
      }
    } else if (command === "web_pipe2") {
      const [pipe, event, , ...body] = lines;
      const message = body.join("\n");
      const name = pipe.replace("@", "");
      if (name.startsWith("webauth_") && !socket.user) {
        return sys("error", { error: "This is for authorised users only", number_messages: -1 });
      }
      const number_messages = this.publish(name, event, message, socket);
      answer({ data: { message, number_messages }, event: "answer", pipe: `_answer_to_${name}` });
    } else if (command === "pipe_count") {
      const user_in_pipe = [...this.sockets].filter((one) => one.pipes.has(lines[0])).length;
      answer({ data: { user_in_pipe }, event: "user_in_pipe", marker: lines[1], pipe: "_answer_pipe_count" });
    } else if (command === "pipe_log") {
      for (const wire of this.pipes.get(lines[0])?.kept ?? []) answer({ ...wire, fromQueue: true, history: true });
    } else if (command === "track_pipe_users") {
      const data = [...this.sockets].filter((one) => one.pipes.has(lines[0])).map(({ user, uuid }) => ({ user_id: user, uuid }));
      answer({ data, event: "answer", marker: lines[1], pipe: "_answer" });
    } else if (command === "user_data") {
      answer({ data: { user_data: `{"of":${lines[1]}}`, user_id: +lines[1] }, event: "answer", marker: lines[0], pipe: "_answer" });
    } else if (command === "user_status") {
      // Leading digits are the user.
      const user = parseInt(lines[0], 10) || 0;
      answer({ data: { data: -1, last_online_time: -1 }, event: `user_status_${user}`, pipe: "_answer_user_status" });
    } else if (command !== "statistics") {
      throw new Error(`unknown command ${text}`);
    }
  }

  /** Ends all connections. */
  drop(code = 1006, clean = false) {
    for (const socket of [...this.sockets]) socket.end(code, clean);
  }

  /** Asks all connections to go elsewhere, and ends those that are there still when the time is over. */
  move(ms) {
    for (const socket of this.sockets) {
      socket.say({ data: { within_ms: ms }, event: "moving", pipe: "sys" });
      this.clock.later(() => this.sockets.has(socket) && socket.end(1012, true), ms);
    }
  }

  greet(socket, key) {
    this.sockets.add(socket);
    if (this.refused) return socket.say(this.refused);
    socket.say({ authorized: !!socket.user, data: socket.user ? key : "", event: "serverInfo", message_send_time: 1700000000, pipe: "sys", server: "fake" });
  }

  /** The sockets of a tab; `enter` lets work into it, in the order in which it was given. */
  socketClass(enter, isGone = () => false) {
    const server = this;
    const { clock } = server;
    return class WebSocket {
      pipes = new Set();
      isOpen = false;
      #order = inOrder(clock);
      #up = inOrder(clock);

      constructor(url) {
        server.urls.push(url);
        const fields = Object.fromEntries(url.split("/ws/")[1].split("&").map((field) => field.split("=")));
        this.uuid = fields.uuid;
        this.user = fields.sesion && server.users.get(fields.myid) === fields.sesion ? +fields.myid : 0;
        clock.later(() => {
          if (this.isOver || isGone()) return;
          if (!server.up || server.blocked) return this.end(1006, false);
          this.isOpen = true;
          this.#order(() => enter("socket", () => this.isOver || this.onopen?.()));
          server.greet(this, fields.sesion);
        }, 20);
      }

      say(wire) {
        const data = JSON.stringify(wire);
        this.#order(() => enter("socket", () => this.isOver || this.onmessage?.({ data })));
      }

      send(text) {
        if (!this.isOpen) throw new Error("not open");
        this.#up(() => server.sockets.has(this) && server.take(this, text));
      }

      close() {
        this.isOver = true;
        server.sockets.delete(this);
      }

      end(code, wasClean) {
        server.sockets.delete(this);
        this.#order(() => enter("socket", () => this.isOver || ((this.isOver = true), this.onclose?.({ code, wasClean }))));
      }
    };
  }

  /** Long polling, and whatever else is asked by plain HTTP. */
  async fetch(text, { method = "GET", body, signal } = {}) {
    const { clock } = this;
    const url = new URL(text);
    const fields = Object.fromEntries(url.searchParams);
    this.requests.push(`${url.pathname}${url.search}`);
    await new Promise((done) => clock.soon(done));
    if (!this.up) throw new Error("no server");
    const answer = (value, ok = true) => ({ ok, status: ok ? 200 : 410, json: async () => value });
    if (url.pathname === "/poll/sign") {
      const user = fields.sesion && this.users.get(fields.myid) === fields.sesion ? +fields.myid : 0;
      const id = `poll${this.requests.length}`;
      const poll = { id, user, uuid: fields.uuid, pipes: new Set(), said: [], first: 0, wake: () => {} };
      poll.say = (wire) => (poll.said.push(JSON.parse(JSON.stringify(wire))), poll.wake());
      poll.end = () => (this.sockets.delete(poll), poll.wake());
      poll.isAsked = () => (clock.cancel(poll.timer), (poll.timer = clock.later(poll.end, POLL_MS)));
      poll.isAsked();
      this.greet(poll, fields.sesion);
      return answer({ id, seq: 0 });
    }
    if (!url.pathname.startsWith("/poll")) return answer({});
    const poll = [...this.sockets].find(({ id }) => id === fields.id);
    if (!poll) return answer([], false);
    poll.isAsked();
    if (method === "POST") {
      this.take(poll, `web_pipe2\n${fields.pipe}\n${fields.event}\n*\n${body}`);
      return answer([]);
    }
    if (fields.pipes !== undefined) {
      const last = new Map((fields.last ?? "").split(",").filter(Boolean).map((one) => one.split(":")));
      const lines = fields.pipes.split(",").filter(Boolean).map((pipe) => (last.has(pipe) ? `${pipe} ${last.get(pipe)}` : pipe));
      this.take(poll, `subscription2\n${lines.join("\n")}`);
    }
    const seq = Number(fields.seq);
    poll.said.splice(0, seq - poll.first);
    poll.first = seq;
    if (!poll.said.length) {
      await new Promise((done, fail) => {
        poll.wake = done;
        const timer = clock.later(done, 30_000);
        signal?.addEventListener("abort", () => (clock.cancel(timer), fail(new Error("aborted"))));
      });
    }
    return this.sockets.has(poll) ? answer([...poll.said]) : answer([], false);
  }
}

/** Lets work happen in a moment, each after the one before. */
function inOrder(clock) {
  const waiting = [];
  return (work) => {
    waiting.push(work);
    clock.soon(() => waiting.shift()());
  };
}

class Abort extends Error {
  name = "AbortError";
}

/** What the tabs of one browser share. */
export class Browser {
  constructor(server) {
    this.server = server;
    this.clock = server.clock;
    this.stored = new Map();
    /** By name: who holds it, and who waits. */
    this.locks = new Map();
    this.channels = new Set();
    this.tabs = [];
    /** Files that cannot be had. */
    this.missing = () => false;
  }

  /** Gives a lock to whoever waits first. */
  grant(name) {
    const lock = this.locks.get(name);
    const [next] = lock.waiting;
    if (lock.held || !next) return;
    lock.held = lock.waiting.shift();
    this.work(name, lock.held);
  }

  work(name, entry) {
    entry.enter("lock", () => {
      Promise.resolve(entry.work({ name })).then((value) => {
        this.release(name, entry);
        entry.done(value);
      }, entry.fail);
    });
  }

  release(name, entry) {
    const lock = this.locks.get(name);
    if (lock.held === entry) lock.held = undefined;
    lock.waiting = lock.waiting.filter((one) => one !== entry);
    this.grant(name);
  }

  requestLock(tab, name, options, work) {
    return new Promise((done, fail) => {
      const entry = { tab, work, done, fail, enter: tab.enter };
      if (!this.locks.has(name)) this.locks.set(name, { held: undefined, waiting: [] });
      const lock = this.locks.get(name);
      options.signal?.addEventListener("abort", () => {
        if (!lock.waiting.includes(entry)) return;
        this.release(name, entry);
        fail(new Abort("given up"));
      });
      if (options.signal?.aborted) return fail(new Abort("given up"));
      if (options.steal && lock.held) {
        const robbed = lock.held;
        robbed.enter("lock", () => robbed.fail(new Abort("stolen")));
        lock.held = undefined;
      }
      if (options.steal) lock.waiting.unshift(entry);
      else lock.waiting.push(entry);
      this.clock.soon(() => this.grant(name));
    });
  }

  /**
   * `https`: with locks and channels, as pages that may share have them. `locks: "refuse"` is a frame without an origin.
   * `page: false` is a worker: no document, and no events of a window. A program is no worker either, and is nowhere.
   */
  open({ https = true, online = true, script, locks = "work", page = true, program = false, socket = true, location = program ? undefined : { protocol: https ? "https:" : "http:", host: "page.test" } } = {}) {
    const browser = this;
    const { clock } = this;
    const listeners = [];
    const timers = new Set();
    const errors = [];
    const logged = [];
    const channels = new Set();
    /** What happened while the tab stood still, by where it came from. */
    const backlog = new Map();
    let isGone = false;
    let isStill = false;
    let isWaking = false;
    const enter = (source, work) => {
      if (isGone) return;
      if (!isStill) return void work();
      if (!backlog.has(source)) backlog.set(source, []);
      backlog.get(source).push(work);
    };
    const tab = { errors, logged, enter, imported: [] };
    const on = {
      addEventListener: (name, listener) => listeners.push([name, listener]),
      removeEventListener(name, listener) {
        const place = listeners.findIndex(([one, other]) => one === name && other === listener);
        if (place >= 0) listeners.splice(place, 1);
      },
    };
    const lockManager = {
      request(name, options, work = options) {
        const refused = locks === "refuse" && new Error("Access to the Locks API is denied in this context.");
        return refused ? Promise.reject(refused) : browser.requestLock(tab, name, work === options ? {} : options, work);
      },
    };
    class BroadcastChannel {
      #order = inOrder(clock);
      constructor(name) {
        this.name = name;
        browser.channels.add(this);
        channels.add(this);
      }
      postMessage(message) {
        // A tab that crashed in this test may still have an answer under way.
        if (!browser.channels.has(this)) return;
        const text = JSON.stringify(message, (_, value) => (value === undefined ? "\0" : value));
        for (const other of [...browser.channels]) if (other !== this && other.name === this.name) other.hear(text);
      }
      hear(text) {
        const data = revive(JSON.parse(text));
        this.#order(() => enter("channel", () => browser.channels.has(this) && this.onmessage?.({ data })));
      }
      close() {
        browser.channels.delete(this);
      }
    }
    const later = (work, ms) => {
      if (isGone) return undefined;
      const timer = clock.later(() => (timers.delete(timer), enter("timer", () => timer.isOff || work())), ms);
      timers.add(timer);
      return timer;
    };
    const cancel = (timer) => {
      if (!timer) return;
      timer.isOff = true;
      timers.delete(timer);
      clock.cancel(timer);
    };
    const every = (work, ms) => {
      const handle = {};
      const again = () => (handle.timer = later(() => (again(), work()), ms));
      again();
      return handle;
    };
    const never = (handle) => handle && cancel(handle.timer);
    const global = {
      ...(page ? on : {}),
      WorkerGlobalScope: page || program ? undefined : class {},
      document: page ? { ...on, hidden: false, cookie: "CometUserKey=key5; CometUserid=5", currentScript: { src: script === undefined ? undefined : "http://comet.test/CometServerApi.js" } } : undefined,
      location,
      navigator: { onLine: online, locks: https ? lockManager : undefined },
      localStorage: page && { getItem: (key) => browser.stored.get(key) ?? null, setItem: (key, value) => browser.stored.set(key, String(value)) },
      console: { log: (...words) => logged.push(words.join(" ")), error: (...words) => errors.push(words.join(" ")) },
      WebSocket: socket ? browser.server.socketClass(enter, () => isGone) : undefined,
      EventSource: browser.events,
      URL,
      URLSearchParams,
      fetch: (...asked) => new Promise((done, fail) => browser.server.fetch(...asked).then((it) => enter("http", () => done(it)), (it) => enter("http", () => fail(it)))),
      importFile: async (name) => {
        tab.imported.push(name);
        if (browser.missing(name)) throw new TypeError(`Failed to fetch dynamically imported module: ${name}`);
        vm.runInContext(http, global);
        return global.enckeHttp;
      },
      BroadcastChannel: https ? BroadcastChannel : undefined,
      setTimeout: later,
      clearTimeout: cancel,
      setInterval: every,
      clearInterval: never,
      crypto: { getRandomValues: (bytes) => bytes.map((_, place) => (bytes[place] = Math.floor(clock.random() * 256))) },
      AbortController,
      TextEncoder,
      TextDecoder,
      btoa,
      atob,
      clock: { now: clock.now, random: clock.random },
    };
    vm.createContext(global);
    vm.runInContext("Date.now = clock.now; Math.random = clock.random;", global);
    vm.runInContext(script ?? modern, global);
    const fire = (name, event = {}) => listeners.filter(([one]) => one === name).forEach(([, listener]) => listener(event));
    Object.assign(tab, {
      global,
      encke: global.encke,
      fire,
      isStill: () => isStill,
      /** Nothing happens in the tab any more, and nothing is lost: a dialog, a long loop, a page that is frozen. */
      stand() {
        isStill = true;
        isWaking = false;
      },
      /** What happened meanwhile happens now: of one source in its order, of several in any. */
      goOn() {
        if (!isStill || isWaking) return;
        // What is new comes behind, so the tab counts as standing until all is done.
        isWaking = true;
        const next = () => {
          const waiting = [...backlog].filter(([, works]) => works.length);
          if (isGone || !isWaking) return;
          if (!waiting.length) return void (isStill = isWaking = false);
          const [, works] = waiting[Math.floor(clock.random() * waiting.length)];
          works.shift()();
          clock.later(next);
        };
        next();
      },
      /** The tab goes without a word, as after a crash. */
      crash() {
        isGone = true;
        for (const timer of timers) clock.cancel(timer);
        for (const one of channels) one.close();
        for (const socket of [...browser.server.sockets]) if (global.WebSocket && socket instanceof global.WebSocket) socket.close();
        for (const [name, lock] of browser.locks) for (const entry of [lock.held, ...lock.waiting]) if (entry?.tab === tab) browser.release(name, entry);
        browser.tabs.splice(browser.tabs.indexOf(tab), 1);
      },
    });
    this.tabs.push(tab);
    return tab;
  }

  openClassic(options = {}) {
    return this.open({ ...options, script: classic });
  }

  close() {
    for (const tab of [...this.tabs]) tab.crash();
  }
}

function revive(value) {
  if (value === "\0") return undefined;
  if (Array.isArray(value)) return value.map(revive);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revive(one)]));
  return value;
}

/** Runs a test with a server and a browser of its own. */
export const withServer = (work) => async () => {
  const server = new Server();
  const browser = new Browser(server);
  try {
    await work(server, browser);
  } finally {
    browser.close();
  }
};
