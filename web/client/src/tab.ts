// One tab: what it wants, what it has seen, what it asked. Between it and the leader messages go as values, so that the
// leader may be in this tab or in another one.
//
// Tabs of an origin share a connection with Web Locks (one tab holds the lock and leads; the next one gets it when that tab
// goes, however it goes) and a BroadcastChannel. Where these are missing, as on pages without https, each tab leads itself.

import type { State, Transport } from "./api.ts";
import { UNKNOWN } from "./connection.ts";
import { type Ask, type FromTab, Leader, type ToTab, type Want } from "./leader.ts";
import { type Settings, type Wire, isAfter, randomText, subscribedOf } from "./protocol.ts";

const OWN_MAX = 50;

export interface TabEvents {
  /** A message of a pipe, a personal one, or one of the server's own. */
  wire(wire: Wire): void;
  state(state: State): void;
  /** A pipe is subscribed; `again` after a reconnect. */
  subscribed(pipe: string, again: boolean, recovered: boolean, history: boolean): void;
  refused(pipe: string, why: string): void;
}

interface Pending {
  ask: Ask;
  done(value: any): void;
  fail(error: Error): void;
  isTaken?: boolean;
}

type Posted = { from: string; to?: string; but?: string; message: FromTab | ToTab; down: boolean };

export class Tab {
  readonly id = randomText(16);
  state: State = "closed";
  authorized: boolean | undefined;
  leader: Leader | undefined;
  /** The pipes of this tab and the last position of each: undefined if it is new, null without a history. */
  private readonly _pipes = new Map<string, string | null | undefined>();
  /** What this browser published itself since the last message of a pipe: a recovery contains it again. */
  private readonly _own = new Map<string, string[]>();
  private readonly _pending = new Map<number, Pending>();
  private _lastId = 0;
  private _isRunning = false;
  private _channel: BroadcastChannel | undefined;
  private _leave: (() => void) | undefined;
  private _wantTimer: any;

  constructor(
    private readonly _settings: Settings,
    private readonly _transports: Transport[],
    private readonly _firstNode: number,
    private readonly _isShared: boolean,
    private readonly _events: TabEvents,
  ) {}

  // Coming and going

  start() {
    if (this._isRunning) return;
    this._isRunning = true;
    addEventListener("pagehide", this._pause);
    addEventListener("pageshow", this._resume);
    document.addEventListener("visibilitychange", this._seen);
    this._setState("connecting");
    this._join();
  }

  stop() {
    if (!this._isRunning) return;
    this._isRunning = false;
    removeEventListener("pagehide", this._pause);
    removeEventListener("pageshow", this._resume);
    document.removeEventListener("visibilitychange", this._seen);
    this._part();
    for (const { fail } of this._pending.values()) fail(new Error("the connection was closed"));
    this._pending.clear();
    this._setState("closed");
  }

  private _join() {
    if (!this._isShared || !navigator.locks || typeof BroadcastChannel !== "function") {
      this._lead();
      this._leave = () => this.leader?.close();
      return;
    }
    const { bases, dev, user, key, uuid } = this._settings;
    const name = `encke ${JSON.stringify([bases, dev, user, key, uuid])}`;
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }: { data: Posted }) => {
      if ((data.to && data.to !== this.id) || data.but === this.id) return;
      if (data.down) this._take(data.message as ToTab);
      else this.leader?.take(data.from, data.message as FromTab);
    };
    const stop = new AbortController();
    let free = () => {};
    const held = new Promise<void>((done) => (free = done));
    const ignore = () => {};
    // Held as long as this tab lives, so that the leader sees it end. Nothing is said before: the leader would get the
    // lock of a tab that is only just coming, and take it for gone.
    navigator.locks
      .request(`${name} ${this.id}`, { signal: stop.signal }, () => {
        if (stop.signal.aborted) return;
        this._channel = channel;
        navigator.locks
          .request(name, { signal: stop.signal }, () => {
            if (this._channel === channel) this._lead(name);
            return held;
          })
          .catch(ignore);
        this._greet();
        return held;
      })
      .catch(ignore);
    this._leave = () => {
      this.leader?.close();
      if (!this.leader) this._post({ kind: "bye" });
      stop.abort();
      free();
      channel.close();
    };
  }

  private _part() {
    this._leave?.();
    this._leave = this.leader = this._channel = undefined;
  }

  private _lead(name?: string) {
    const emit = (message: ToTab, to?: string, but?: string) => {
      if (to !== this.id) this._channel?.postMessage({ from: this.id, to, but, message, down: true } as Posted);
      if ((!to || to === this.id) && but !== this.id) this._take(message);
    };
    const onGone = (tab: string, gone: () => void) => {
      if (tab !== this.id && name) navigator.locks.request(`${name} ${tab}`, gone).catch(() => {});
    };
    this.leader = new Leader(this._settings, this._transports, this._firstNode, emit, onGone);
    this.leader.open();
  }

  private readonly _pause = () => this._part();

  private readonly _resume = ({ persisted }: PageTransitionEvent) => {
    if (persisted) this._join();
  };

  private readonly _seen = () => {
    if (!document.hidden) this._post({ kind: "wake" });
  };

  // To the leader

  /** Names all pipes of this tab. */
  want(pipes: Iterable<string>) {
    const wanted = new Set(pipes);
    for (const pipe of this._pipes.keys()) if (!wanted.has(pipe)) this._pipes.delete(pipe), this._own.delete(pipe);
    for (const pipe of wanted) if (!this._pipes.has(pipe)) this._pipes.set(pipe, undefined);
    this._wantTimer ??= setTimeout(() => this._sendWants());
  }

  ask(...ask: Ask): Promise<any> {
    return new Promise((done, fail) => {
      if (!this._isRunning) return fail(new Error("the connection is closed"));
      const id = ++this._lastId;
      this._pending.set(id, { ask, done, fail });
      this._post({ kind: "ask", id, ask });
    });
  }

  private _sendWants() {
    clearTimeout(this._wantTimer);
    this._wantTimer = undefined;
    if (this._isRunning) this._post({ kind: "want", wants: [...this._pipes] as Want[] });
  }

  private _post(message: FromTab) {
    if (this.leader) this.leader.take(this.id, message);
    else this._channel?.postMessage({ from: this.id, message, down: false } as Posted);
  }

  // From the leader

  private _take(message: ToTab) {
    switch (message.kind) {
      case "lead":
        return this._greet();
      case "state":
        if (message.info) this._take({ kind: "wire", wire: message.info });
        return this._setState(message.state);
      case "wire":
        return this._takeWire(message.wire);
      case "echo":
        if (!this._pipes.has(message.wire.pipe!)) return;
        this._noteOwn(message.wire);
        return this._events.wire(message.wire);
      case "refused":
        for (const pipe of message.pipes) if (this._pipes.delete(pipe)) this._events.refused(pipe, message.why);
        return;
      case "took": {
        const pending = this._pending.get(message.id);
        if (pending) pending.isTaken = true;
        return;
      }
      case "reply":
        return this._reply(message.id, message.value, message.error);
    }
  }

  /** There is a new leader, who knows nothing of this tab. */
  private _greet() {
    this._sendWants();
    for (const [id, { ask, fail, isTaken }] of this._pending) {
      if (isTaken && ask[0] === "publish") {
        this._pending.delete(id);
        fail(new Error(UNKNOWN));
      } else {
        this._post({ kind: "ask", id, ask });
      }
    }
  }

  private _reply(id: number, value: any, error?: string) {
    const pending = this._pending.get(id);
    if (!pending) return;
    this._pending.delete(id);
    if (error !== undefined) return pending.fail(new Error(error));
    const [kind, pipe, event, data] = pending.ask;
    if (kind === "publish") this._noteOwn({ pipe: pipe.replace("@", ""), event, data });
    pending.done(value);
  }

  private _takeWire(wire: Wire) {
    const subscribed = subscribedOf(wire);
    if (subscribed) {
      const { pipe, position, recovered } = subscribed;
      if (!this._pipes.has(pipe)) return;
      const last = this._pipes.get(pipe);
      const isKept = recovered !== false && position && last && isAfter(last, position);
      this._pipes.set(pipe, isKept ? last : position);
      return this._events.subscribed(pipe, last !== undefined, !!recovered, position !== null);
    }
    if (wire.event === "serverInfo" && wire.pipe === "sys") this.authorized = String(wire.authorized) === "true";
    else if (wire.position && !this._isNew(wire, wire.pipe!, wire.position)) return;
    this._events.wire(wire);
  }

  /** Whether this tab has not seen the message; it counts as seen from now on. */
  private _isNew(wire: Wire, pipe: string, position: string): boolean {
    const last = this._pipes.get(pipe);
    // Others may recover what was published before this tab came.
    if (last === undefined && wire.fromQueue) return false;
    if (last && !isAfter(position, last)) return false;
    if (this._pipes.has(pipe)) this._pipes.set(pipe, position);
    const own = this._own.get(pipe);
    if (!wire.fromQueue) this._own.delete(pipe);
    const place = own && wire.fromQueue ? own.indexOf(ownText(wire)) : -1;
    if (place >= 0) own!.splice(place, 1);
    return place < 0;
  }

  private _noteOwn(wire: Wire) {
    if (!this._pipes.get(wire.pipe!)) return;
    const own = this._own.get(wire.pipe!) ?? [];
    own.push(ownText(wire));
    this._own.set(wire.pipe!, own.slice(-OWN_MAX));
  }

  private _setState(state: State) {
    if (this.state === state) return;
    this.state = state;
    this._events.state(state);
  }
}

/** Histories call an empty event `undefined`. */
const ownText = ({ event, data }: Wire) => `${event || "undefined"}\n${data}`;
