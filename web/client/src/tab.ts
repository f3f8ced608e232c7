// One tab: what it wants, what it has seen, what it asked. Between it and the leader messages go as values, so that the
// leader may be in this tab or in another one.
//
// Tabs of an origin share a connection with Web Locks (one tab holds the lock and leads; the next one gets it when that tab
// goes, however it goes) and a BroadcastChannel. Where these are missing or refuse, as on pages without https and in
// frames without an origin, and outside a page, each leads itself.
//
// A leader that stands still (a dialog, a long loop, a frozen page) keeps its lock. The others ask it, hear nothing, and one
// of them steals the lock. Each time of leading has an epoch, larger than the one before, and every word of a leader
// names it: of a leader that was deposed and does not know it yet, only what nobody else can say counts.

import type { State, Transport } from "./api.ts";
import { UNKNOWN, type StateTold, WAIT_MS } from "./connection.ts";
import { type Ask, type FromTab, Leader, type ToTab, type Want } from "./leader.ts";
import { Failure, type Settings, type Subscribed, type Told, type Wire, isAfter, isServers, isSys, listen, randomText, reachedOf, subscribedOf, textOf } from "./protocol.ts";

const OWN_MAX = 50;
/** A tab that hears nothing asks this often whether the leader is there, */
const BEAT_MS = 1_500;
/** and takes over when so many questions brought no word. */
const BEATS_MAX = 2;
/** A question that is so old when the leader reads it is not carried out: who asked may have asked the next leader. */
const OLD_MS = 2_000;
/** After this nobody carries out a question that no leader told to have, and it is asked again. */
const GRACE_MS = OLD_MS + 1_000;
/** The leader ends a question itself; this is for one that does not. */
const ASK_MS = WAIT_MS + 30_000;
/** Two leaders may get the same personal message: so many are compared, */
const MAIL_MAX = 200;
/** and this long with what a newer leader gets. */
const MAIL_MS = 10_000;

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
  fail(why: Failure): void;
  timer: any;
  /** When it was last asked. */
  at: number;
  /** The epoch of the leader that has it. */
  taken?: number;
}

type Posted = { from: string; epoch: number; at: number; to?: string[]; message: FromTab | ToTab; down: boolean };

export class Tab {
  readonly id = randomText(16);
  state: State = "closed";
  told: StateTold | undefined;
  authorized: boolean | undefined;
  leader: Leader | undefined;
  /** The pipes of this tab and the last position of each: undefined until it is subscribed, null without a history. */
  private readonly _pipes = new Map<string, string | null | undefined>();
  /** The pipes that the page wants; the others are forgotten when the leader is told. */
  private _wanted = new Map<string, number>();
  /** Those of them that are not subscribed yet and are to begin with their newest messages. */
  private readonly _newest = new Set<string>();
  /** What this browser published itself since the last message of a pipe: a recovery contains it again. */
  private readonly _own = new Map<string, string[]>();
  /** Personal messages: each with the leaders that got it. */
  private _mail: [text: string, time: number, ...epochs: number[]][] = [];
  private readonly _pending = new Map<number, Pending>();
  private _lastId = 0;
  private _isRunning = false;
  private _channel: BroadcastChannel | undefined;
  private _leave: (() => void) | undefined;
  private _elect: ((steal?: true) => void) | undefined;
  private _epoch = 0;
  private _wantTimer: any;
  private _beatTimer: any;
  private _beatAt = 0;
  private _isLeaderHeard = false;
  private _silence = 0;

  constructor(
    private readonly _settings: Settings,
    private readonly _transports: Transport[],
    private readonly _firstNode: number,
    private readonly _isShared: boolean,
    private readonly _events: TabEvents,
  ) {}

  // Coming and going

  start() {
    this._isRunning = true;
    this._listen("add");
    this._setState("connecting");
    this._join();
  }

  stop() {
    if (!this._isRunning) return;
    this._isRunning = false;
    this._listen("remove");
    this._part();
    for (const id of this._pending.keys()) this._failPending(id, ["closed"]);
    this._setState("closed");
  }

  private _listen(how: "add" | "remove") {
    listen(how, globalThis, { pagehide: this._part, pageshow: this._shown });
    // A page that is going to be frozen hands the connection over while it can.
    listen(how, globalThis.document, { freeze: this._part, resume: this._join, visibilitychange: this._seen });
  }

  private readonly _join = () => {
    if (this._leave) return;
    const stop = new AbortController();
    const { signal } = stop;
    const { bases, dev, user, key, uuid } = this._settings;
    // With the number of what tabs say to each other: older ones have a connection of their own.
    const name = `encke 3 ${JSON.stringify([bases, dev, user, key, uuid])}`;
    let channel: BroadcastChannel | undefined;
    let waiting: AbortController | undefined;
    let free = () => {};
    const held = new Promise<void>((done) => (free = done));
    const leave = (this._leave = () => {
      // What becomes of a question that was asked is not heard any more.
      for (const pending of this._pending.values()) if (pending.at) pending.taken ??= -1;
      stop.abort();
      waiting?.abort();
      free();
      if (!this.leader) this._post({ kind: "bye" });
      channel?.close();
      clearTimeout(this._beatTimer);
      this.leader?.close();
      this._leave = this._elect = this.leader = this._channel = undefined;
    });
    const alone = () => {
      if (this._leave !== leave || signal.aborted) return;
      leave();
      this._leave = leave;
      this._lead("");
      this._beat();
    };
    const elect = (steal?: true) => {
      waiting?.abort();
      const mine = (waiting = new AbortController());
      const isCurrent = () => waiting === mine && !mine.signal.aborted;
      navigator.locks
        .request(name, steal ? { steal } : { signal: mine.signal }, () => {
          if (!isCurrent()) return;
          this._lead(name);
          return held;
        })
        .catch(() => isCurrent() && (this.leader ? this._depose() : alone()));
    };
    try {
      if (!this._isShared || !globalThis.document) throw 0;
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => this._hear(data);
      // Held as long as this tab lives, so that the leader sees it end. Nothing is said before: the leader would get the
      // lock of a tab that is only just coming, and take it for gone.
      navigator.locks
        .request(`${name} ${this.id}`, { signal }, () => {
          if (signal.aborted) return;
          this._channel = channel;
          this._elect = elect;
          elect();
          this._greet();
          this._beat();
          return held;
        })
        .catch(alone);
    } catch {
      alone();
    }
  };

  private readonly _part = () => this._leave?.();

  private readonly _shown = ({ persisted }: PageTransitionEvent) => persisted && this._join();

  private readonly _seen = () => {
    if (!document.hidden) this._post({ kind: "wake" });
  };

  // Leading

  private _lead(name: string) {
    const epoch = Math.max(Date.now(), this._epoch + 1) + Math.random();
    const emit = (message: ToTab, to?: string[]) => {
      this._channel?.postMessage({ from: this.id, epoch, at: Date.now(), to, message, down: true } as Posted);
      this._accept(message, epoch, to);
    };
    const onGone = (tab: string, gone: () => void) => {
      if (tab !== this.id) navigator.locks.request(`${name} ${tab}`, gone).catch(() => {});
    };
    this.leader = new Leader(this._settings, this._transports, this._firstNode, emit, onGone);
    this._begin(epoch);
    this.leader.open();
  }

  /** Another tab took over. */
  private _depose() {
    const { leader } = this;
    // What its connection was sent meanwhile may be read a moment after this was.
    setTimeout(() => leader!.close(), OLD_MS);
    this.leader = undefined;
    this._elect!();
  }

  // Following

  /** A leader says that it is there. The others ask for it, in case that its timers are late, and take over in the end. */
  private readonly _beat = () => {
    // A tab that stood still itself may not have read yet what came.
    const isLate = Date.now() - this._beatAt > 3 * BEAT_MS;
    this._silence = this.leader || this._isLeaderHeard || isLate ? 0 : this._silence + 1;
    this._isLeaderHeard = false;
    this._beatAt = Date.now();
    if (this._silence > BEATS_MAX) {
      this._silence = 0;
      this._setState("reconnecting");
      this._elect!(true);
    } else {
      this._post({ kind: "ping" });
    }
    // Not all tabs at the same time.
    this._beatTimer = setTimeout(this._beat, BEAT_MS * (1 + Math.random() / 4));
  };

  private _hear({ from, epoch, at, to, message, down }: Posted) {
    if (!down) {
      // What was said to another leader is not for this one. A question may have gone to the next one meanwhile.
      const isOurs = epoch === this._epoch && (message.kind !== "ask" || Date.now() - at < OLD_MS);
      if (isOurs || message.kind === "ping") this.leader?.take(from, message as FromTab);
      return;
    }
    if (epoch > this._epoch) {
      if (this.leader) this._depose();
      this._begin(epoch);
    }
    if (epoch === this._epoch) this._isLeaderHeard = true;
    this._accept(message as ToTab, epoch, to);
  }

  /** A leader begins, who knows nothing of this tab. */
  private _begin(epoch: number) {
    const isNext = this._epoch > 0;
    this._epoch = epoch;
    this._greet(isNext);
  }

  private _accept(message: ToTab, epoch: number, to = [this.id]) {
    const { kind } = message;
    if (!to.includes(this.id)) return;
    // Of a leader that was deposed: what it did with a question, and personal messages that nobody else may have got.
    if (epoch === this._epoch || kind === "took" || kind === "reply" || (kind === "wire" && message.wire.pipe === "msg")) {
      this._take(message, epoch);
    }
  }

  // To the leader

  /** Names all pipes of this tab, and with how many of its newest messages each is to begin. */
  want(pipes: Map<string, number>) {
    this._wanted = pipes;
    for (const [pipe, last] of pipes) {
      if (this._pipes.has(pipe)) continue;
      this._pipes.set(pipe, last ? `~${last}` : undefined);
      if (last) this._newest.add(pipe);
    }
    this._wantTimer ??= setTimeout(() => this._sendWants());
  }

  reconnect() {
    this._post({ kind: "wake", now: true });
  }

  isSubscribed(pipe: string): boolean {
    return !this._newest.has(pipe) && this._pipes.get(pipe) !== undefined;
  }

  ask(...ask: Ask): Promise<any> {
    return new Promise((done, fail) => {
      if (!this._isRunning) return fail(new Failure("closed"));
      const id = ++this._lastId;
      const timer = setTimeout(() => this._failPending(id, UNKNOWN), ASK_MS);
      this._pending.set(id, { ask, done, fail, timer, at: 0 });
      this._askAgain(id);
    });
  }

  /** Takes a question from those that are open. */
  private _takePending(id: number): Pending | undefined {
    const pending = this._pending.get(id);
    this._pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  private _failPending(id: number, why: Told) {
    this._takePending(id)?.fail(new Failure(...why));
  }

  private _sendWants() {
    clearTimeout(this._wantTimer);
    this._wantTimer = undefined;
    for (const pipe of this._pipes.keys()) if (!this._wanted.has(pipe)) this._pipes.delete(pipe), this._own.delete(pipe);
    this._post({ kind: "want", wants: [...this._pipes] as Want[] });
  }

  private _post(message: FromTab) {
    if (this.leader) this.leader.take(this.id, message);
    else this._channel?.postMessage({ from: this.id, epoch: this._epoch, at: Date.now(), message, down: false } as Posted);
  }

  /** Says what this tab wants and asks; `isNext` if that was said to another leader before. */
  private _greet(isNext = false) {
    this._sendWants();
    for (const [id, pending] of this._pending) {
      // The leader before may have taken a publication in its last moment.
      pending.at = isNext && pending.ask[0] === "publish" ? Date.now() : 0;
      this._askAgain(id);
    }
  }

  private _askAgain(id: number) {
    const pending = this._pending.get(id);
    // Each leader is asked for itself, so not before one is known.
    if (!pending || !this._epoch || pending.taken === this._epoch || Date.now() - pending.at < GRACE_MS) return;
    const { ask, taken } = pending;
    pending.at = Date.now();
    if (taken && ask[0] === "publish") this._failPending(id, UNKNOWN);
    else this._post({ kind: "ask", id, ask });
  }

  // From the leader

  private _take(message: ToTab, epoch: number) {
    switch (message.kind) {
      case "lead":
        for (const id of this._pending.keys()) this._askAgain(id);
        return;
      case "state":
        if (message.info) this._takeWire(message.info, epoch);
        return this._setState(message.state, message);
      case "wire":
        return this._takeWire(message.wire, epoch);
      case "joined": {
        const { pipe, recovered } = message.data;
        // Who was told already did not ask again.
        if (recovered === undefined && this.isSubscribed(pipe)) return;
        return this._subscribed(message.data);
      }
      case "echo":
        if (!this.isSubscribed(message.wire.pipe!)) return;
        this._noteOwn(message.wire);
        return this._events.wire(message.wire);
      case "refused":
        for (const pipe of message.pipes) if (this._pipes.delete(pipe)) this._events.refused(pipe, message.why);
        return;
      case "took": {
        const pending = this._pending.get(message.id);
        if (pending) pending.taken = epoch;
        return;
      }
      case "reply":
        return message.error ? this._failPending(message.id, message.error) : this._reply(message.id, message.value);
    }
  }

  private _reply(id: number, value: any) {
    const pending = this._takePending(id);
    if (!pending) return;
    const [kind, pipe, event, data] = pending.ask;
    if (kind === "publish") this._noteOwn({ pipe: pipe.replace("@", ""), event, data });
    pending.done(value);
  }

  private _subscribed(subscribed: Subscribed) {
    const { pipe } = subscribed;
    if (!this._pipes.has(pipe)) return;
    const last = this._pipes.get(pipe);
    this._pipes.set(pipe, reachedOf(subscribed, last));
    this._events.subscribed(pipe, !this._newest.delete(pipe) && last !== undefined, !!subscribed.recovered, subscribed.position !== null);
  }

  private _takeWire(wire: Wire, epoch: number) {
    const subscribed = subscribedOf(wire);
    if (subscribed) return this._subscribed(subscribed);
    if (isSys(wire, "serverInfo")) this.authorized = wire.authorized === true;
    if (wire.pipe === "msg" ? this._isMailTwice(wire, epoch) : !isServers(wire.pipe) && !wire.history && !this._isNew(wire)) return;
    this._events.wire(wire);
  }

  /** Whether another leader had the message as well: one that stood still gets what its own connection was sent. */
  private _isMailTwice(wire: Wire, epoch: number): boolean {
    const text = sameOf(wire);
    const now = Date.now();
    const found = this._mail.find(
      ([same, time, ...epochs]) =>
        // What came before a leader began cannot come from it as well.
        same === text && time >= epoch && !epochs.includes(epoch) && (epochs.some((other) => other > epoch) || now - time < MAIL_MS),
    );
    if (found) found.push(epoch);
    else this._mail = [...this._mail.slice(1 - MAIL_MAX), [text, now, epoch]];
    return !!found;
  }

  /** Whether this tab has not seen the message; it counts as seen from now on. */
  private _isNew(wire: Wire): boolean {
    const pipe = wire.pipe!;
    const { position, fromQueue } = wire;
    const last = this._pipes.get(pipe);
    // Of other tabs, or from before this tab was told that it is subscribed.
    if (last === undefined) return false;
    if (!position) return true;
    if (last && !isAfter(position, last)) return false;
    this._pipes.set(pipe, position);
    const own = this._own.get(pipe);
    if (!fromQueue) this._own.delete(pipe);
    const place = own && fromQueue ? own.indexOf(sameOf(wire)) : -1;
    if (place >= 0) own!.splice(place, 1);
    return place < 0;
  }

  private _noteOwn(wire: Wire) {
    if (!this._pipes.get(wire.pipe!)) return;
    const own = this._own.get(wire.pipe!) ?? [];
    own.push(sameOf(wire));
    this._own.set(wire.pipe!, own.slice(-OWN_MAX));
  }

  private _setState(state: State, told?: StateTold) {
    if (this.state === state && !told?.reason) return;
    this.state = state;
    this.told = told;
    this._events.state(state);
  }
}

/** Histories call an empty event `undefined`. */
const sameOf = ({ event, data }: Wire) => `${event || "undefined"}\n${textOf(data)}`;
