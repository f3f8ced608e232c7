// A browser and a server as far as the built library sees them: tabs with globals of their own, locks, sockets in memory,
// pipes with histories. Time in tabs runs ten times as fast.

import { readFileSync } from "node:fs";
import vm from "node:vm";

const FASTER = 10;
const dist = new URL("../dist/", import.meta.url);
export const built = (name) => readFileSync(new URL(name, dist), "utf8");

/** Both files as plain scripts; the exports of the module become the global `encke`. */
const classic = built("CometServerApi.js");
const modern = built("encke.js")
  .replace(/import\.meta\.url/g, '"http://comet.test/encke.js"')
  .replace(/export\s*\{([^}]*)\}/, (_, list) => `globalThis.encke={${list.split(",").map((one) => one.split(" as ").reverse().join(":"))}}`);

export async function until(condition, what = condition.toString()) {
  const end = Date.now() + 60_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}

export const pause = (ms) => new Promise((next) => setTimeout(next, ms));

/** The server: what docs/javascript-protocol.md says, in small. */
export class Server {
  up = true;
  sockets = new Set();
  /** All addresses that were asked for. */
  urls = [];
  /** All commands that came. */
  commands = [];
  pipes = new Map();
  users = new Map([["5", "key5"]]);
  last = 9_999_999_999_999_990n;
  refused = undefined;

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

  take(socket, text) {
    this.commands.push(text);
    const [command, ...lines] = text.split("\n");
    const sys = (event, data) => socket.say({ data, event, message_send_time: 1700000000, pipe: "sys" });
    if (command === "subscription2") {
      const wanted = new Map(lines.filter(Boolean).map((line) => line.split(" ")));
      for (const pipe of socket.pipes) if (!wanted.has(pipe)) socket.pipes.delete(pipe);
      for (const [pipe, position] of wanted) {
        if (socket.pipes.has(pipe)) continue;
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
      socket.say({ data: { message, number_messages }, event: "answer", pipe: `_answer_to_${name}` });
    } else if (command === "pipe_count") {
      const user_in_pipe = [...this.sockets].filter((one) => one.pipes.has(lines[0])).length;
      socket.say({ data: { user_in_pipe }, event: "user_in_pipe", marker: lines[1], pipe: "_answer_pipe_count" });
    } else if (command === "pipe_log") {
      for (const wire of this.pipes.get(lines[0])?.kept ?? []) socket.say({ ...wire, fromQueue: true, history: true });
    } else if (command === "track_pipe_users") {
      const data = [...this.sockets].filter((one) => one.pipes.has(lines[0])).map(({ user, uuid }) => ({ user_id: user, uuid }));
      socket.say({ data, event: "answer", marker: lines[1], pipe: "_answer" });
    } else if (command === "user_data") {
      socket.say({ data: { user_data: `{"of":${lines[1]}}`, user_id: +lines[1] }, event: "answer", marker: lines[0], pipe: "_answer" });
    } else if (command === "user_status") {
      socket.say({ data: { data: -1, last_online_time: -1 }, event: `user_status_${lines[0]}`, pipe: "_answer_user_status" });
    } else if (command !== "statistics") {
      throw new Error(`unknown command ${text}`);
    }
  }

  /** Ends all connections. */
  drop(code = 1006, clean = false) {
    for (const socket of [...this.sockets]) socket.end(code, clean);
  }

  socketClass() {
    const server = this;
    return class WebSocket {
      pipes = new Set();
      isOpen = false;

      constructor(url) {
        server.urls.push(url);
        const fields = Object.fromEntries(url.split("/ws/")[1].split("&").map((field) => field.split("=")));
        this.uuid = fields.uuid;
        this.user = fields.sesion && server.users.get(fields.myid) === fields.sesion ? +fields.myid : 0;
        setTimeout(() => {
          if (this.isOver) return;
          if (!server.up) return this.onclose?.({ code: 1006, wasClean: false });
          server.sockets.add(this);
          this.isOpen = true;
          this.onopen?.();
          if (server.refused) return this.say(server.refused);
          const data = this.user ? fields.sesion : "";
          this.say({ authorized: !!this.user, data, event: "serverInfo", message_send_time: 1700000000, pipe: "sys", server: "fake" });
        }, 2);
      }

      say(wire) {
        const data = JSON.stringify(wire);
        setImmediate(() => this.isOver || this.onmessage?.({ data }));
      }

      send(text) {
        if (!this.isOpen) throw new Error("not open");
        setImmediate(() => server.sockets.has(this) && server.take(this, text));
      }

      close() {
        this.isOver = true;
        server.sockets.delete(this);
      }

      end(code, wasClean) {
        server.sockets.delete(this);
        setImmediate(() => this.isOver || ((this.isOver = true), this.onclose?.({ code, wasClean })));
      }
    };
  }
}

/** What the tabs of one browser share. */
export class Browser {
  constructor(server) {
    this.server = server;
    this.stored = new Map();
    this.locks = new Map();
    this.channels = new Set();
    this.tabs = [];
  }

  /** `https`: with locks and channels, as pages that may share have them. */
  open({ https = true, online = true, script } = {}) {
    const browser = this;
    const listeners = new Map();
    const timers = new Set();
    const errors = [];
    const held = new Set();
    let isGone = false;
    const on = {
      addEventListener: (name, listener) => listeners.set(listener, name),
      removeEventListener: (name, listener) => listeners.delete(listener),
    };
    const grant = (name) => {
      const queue = browser.locks.get(name) ?? [];
      const [first] = queue;
      if (!first || first.isGranted) return;
      first.isGranted = true;
      setImmediate(() => Promise.resolve(first.work()).finally(() => free(name, first)));
    };
    const free = (name, entry) => {
      const queue = browser.locks.get(name) ?? [];
      const place = queue.indexOf(entry);
      if (place >= 0) queue.splice(place, 1);
      grant(name);
    };
    const locks = {
      request(name, options, work = options) {
        const entry = { work, name };
        held.add(entry);
        if (!browser.locks.has(name)) browser.locks.set(name, []);
        browser.locks.get(name).push(entry);
        options?.signal?.addEventListener("abort", () => entry.isGranted || free(name, entry));
        grant(name);
        return Promise.resolve();
      },
    };
    class BroadcastChannel {
      constructor(name) {
        this.name = name;
        browser.channels.add(this);
        held.add(this);
      }
      postMessage(message) {
        // A tab that crashed in this test may still have an answer under way.
        if (!browser.channels.has(this)) return;
        const text = JSON.stringify(message, (_, value) => (value === undefined ? "\0" : value));
        for (const other of [...browser.channels]) {
          if (other === this || other.name !== this.name) continue;
          const data = revive(JSON.parse(text));
          setImmediate(() => browser.channels.has(other) && other.onmessage?.({ data }));
        }
      }
      close() {
        browser.channels.delete(this);
      }
    }
    const timed = (set, clear) => [
      (work, ms = 0) => {
        if (isGone) return undefined;
        const timer = set(work, ms / FASTER);
        timers.add(timer);
        return timer;
      },
      (timer) => clear(timer),
    ];
    const [later, cancel] = timed(setTimeout, clearTimeout);
    const [every, never] = timed(setInterval, clearInterval);
    const global = {
      ...on,
      document: { ...on, hidden: false, cookie: "CometUserKey=key5; CometUserid=5", currentScript: { src: "http://comet.test/CometServerApi.js" } },
      location: { protocol: https ? "https:" : "http:", host: "page.test" },
      navigator: { onLine: online, locks: https ? locks : undefined },
      localStorage: { getItem: (key) => browser.stored.get(key) ?? null, setItem: (key, value) => browser.stored.set(key, String(value)) },
      console: { log: () => {}, error: (...words) => errors.push(words.join(" ")) },
      WebSocket: browser.server.socketClass(),
      EventSource: browser.events,
      fetch: () => (browser.server.up ? Promise.resolve({}) : Promise.reject(new Error("no server"))),
      BroadcastChannel: https ? BroadcastChannel : undefined,
      setTimeout: later,
      clearTimeout: cancel,
      setInterval: every,
      clearInterval: never,
      crypto: globalThis.crypto,
      AbortController,
      TextEncoder,
      TextDecoder,
      btoa,
      atob,
    };
    vm.createContext(global);
    vm.runInContext(script ?? `${modern};`, global);
    const fire = (name, event = {}) => [...listeners].filter(([, one]) => one === name).forEach(([listener]) => listener(event));
    const tab = {
      global,
      errors,
      encke: global.encke,
      fire,
      /** The tab goes without a word, as after a crash. */
      crash() {
        isGone = true;
        for (const timer of timers) clearTimeout(timer), clearInterval(timer);
        for (const one of held) one instanceof BroadcastChannel ? one.close() : free(one.name, one);
        for (const socket of [...browser.server.sockets]) if (socket instanceof global.WebSocket) socket.close();
        browser.tabs.splice(browser.tabs.indexOf(tab), 1);
      },
    };
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
