// One connection that stays: opened, lost, found again; pipes with their positions, questions with their answers.
// It lives in the leading tab and knows nothing of tabs.

import type { Link, State, Transport } from "./api.ts";
import { type Settings, type Told, type Wire, addressOf, complain, ended, isAfter, isSecure, isServers, isSys, listen, parseJson, randomText, reachedOf, subscribedOf } from "./protocol.ts";

const DELAY_MS_FIRST = 100;
const DELAY_MS_MIN = 500;
const DELAY_MS_MAX = 30_000;
/** A connection that held this long counts as good, and the next delay is the first one again. */
const GOOD_MS = 5_000;
/** Links that ended without a message before anything is done about it. */
const FAILURES_MAX = 2;
/** How long the server may take to show that it is there. */
const PROBE_MS = 5_000;
/** Opening a link takes at most this long. */
const OPEN_MS = 15_000;
const QUIET_MS = 120_000;
/** How often it is looked whether something takes too long. */
const WATCH_MS = 5_000;
/** A link that owes an answer and gives none for this long is dead. */
const ANSWER_MS = 30_000;
/** How long a question may wait for its answer, over all links. */
export const WAIT_MS = 120_000;
const QUESTIONS_MAX = 1_000;

/** What becomes of a question that must not be asked twice. */
export const UNKNOWN: Told = ["maybe-published"];

/** What a question says of a message that belongs to its answer and does not end it. */
export const MINE = {};

/** A question to the server. */
interface Question {
  /** The commands that it takes. */
  texts: string[];
  /** The answer, once the server has said it; undefined for what is no part of it. Without this there is none to wait for. */
  take?(wire: Wire): unknown;
  done(answer: any): void;
  fail(why: Told): void;
  /** Whether it may be asked again when the connection broke. */
  again: boolean;
  /** Until when somebody waits. */
  until: number;
  isSubscription?: boolean;
}

export interface StateTold {
  state: State;
  reason?: Told;
  retryAt?: number;
}

export interface ConnectionEvents {
  wire(wire: Wire): void;
  state(told: StateTold): void;
  /** The server did not subscribe these pipes. */
  refused(pipes: string[], why: string): void;
}

export class Connection {
  state: State | undefined;
  /** What was last told of it. */
  told: StateTold | undefined;
  /** The pipes that are wanted, each with the last position that is known. */
  private readonly _wanted = new Map<string, string | null | undefined>();
  /** What nobody wants any more. It is forgotten when the server is told, because it may be wanted again before. */
  private readonly _leaving = new Set<string>();
  /** What this link was asked for, and what of it the server has confirmed. */
  private _asked = new Set<string>();
  private readonly _confirmed = new Set<string>();
  /** What is left and asked for once more, from the position that is wanted. */
  private readonly _rejoining = new Set<string>();
  /** A list of pipes is under way. One at a time, so that each word of the server belongs to the last one. */
  private _isSyncing = false;
  private _link: Link | undefined;
  private _isOpen = false;
  private _heard = 0;
  private _opened = 0;
  private _attempt = 0;
  private _failures = 0;
  /** A server that answered something else after its links failed. */
  private _there: string | undefined;
  private _node: number;
  private _transport = 0;
  private _timer: any;
  private _syncTimer: any;
  private _watchTimer: any;
  private _waiting: Question[] = [];
  private readonly _sent: Question[] = [];
  /** When the server last said a part of an answer, or began to owe one. */
  private _answered = 0;

  constructor(
    private readonly _settings: Settings,
    private readonly _transports: Transport[],
    public _events: ConnectionEvents,
    firstNode = 0,
  ) {
    this._node = firstNode;
  }

  open() {
    this._listen("add");
    this._watchTimer = setInterval(() => this._watch(), WATCH_MS);
    this._connect();
  }

  close() {
    this._listen("remove");
    clearInterval(this._watchTimer);
    // Nobody is told: other tabs go on with another leader.
    this.state = "closed";
    this._drop();
    clearTimeout(this._timer);
  }

  private _listen(how: "add" | "remove") {
    listen(how, globalThis, { online: this.wake, offline: this._offline });
  }

  // Pipes

  /** Whether the pipe is subscribed and confirmed, so that nobody needs to ask for it. */
  isConfirmed(pipe: string) {
    return this._confirmed.has(pipe);
  }

  position(pipe: string) {
    return this._wanted.get(pipe);
  }

  /** Wants a pipe, or all of it that is behind a position. */
  want(pipe: string, position?: string | null) {
    this._leaving.delete(pipe);
    const last = this._wanted.get(pipe);
    if (!this._wanted.has(pipe)) {
      this._wanted.set(pipe, position);
    } else if (position && (last ? isAfter(last, position) : !this._confirmed.has(pipe))) {
      // Somebody comes who is behind the others. Left and joined again, the pipe is told from there.
      this._wanted.set(pipe, position);
      if (this._asked.has(pipe)) this._rejoining.add(pipe), this._confirmed.delete(pipe);
    }
    this._syncSoon();
  }

  leave(pipe: string) {
    this._leaving.add(pipe);
    this._syncSoon();
  }

  private _syncSoon() {
    this._syncTimer ??= setTimeout(() => this._sync());
  }

  private _sync() {
    clearTimeout(this._syncTimer);
    this._syncTimer = undefined;
    if (!this._isOpen || this._isSyncing) return;
    for (const pipe of this._leaving) this._wanted.delete(pipe);
    this._leaving.clear();
    const named = [...this._wanted].filter(([pipe]) => !this._rejoining.has(pipe));
    const missing = new Set(named.map(([pipe]) => pipe).filter((pipe) => !this._asked.has(pipe)));
    if (!missing.size && named.length === this._asked.size) return;
    const lines = named.map(([pipe, last]) => (last && missing.has(pipe) ? `${pipe} ${last}` : pipe));
    this._asked = new Set(named.map(([pipe]) => pipe));
    for (const pipe of this._confirmed) if (!this._asked.has(pipe)) this._confirmed.delete(pipe);
    this._rejoining.clear();
    this._isSyncing = true;
    const [command, isAnswer] = fence();
    let why = "it is not subscribed";
    this._put({
      // The second one's answer comes when all is said about the pipes.
      texts: [`subscription2\n${lines.join("\n")}`, command],
      take(wire) {
        const subscribed = subscribedOf(wire);
        if (subscribed && missing.delete(subscribed.pipe)) return MINE;
        if (!isSys(wire, "error")) return isAnswer(wire);
        why = wire.data.error;
        return MINE;
      },
      done: () => {
        this._isSyncing = false;
        for (const pipe of missing) this._wanted.delete(pipe);
        if (missing.size) this._events.refused([...missing], why);
        // Without those that were refused, should the server know better.
        this._sync();
      },
      fail() {},
      again: false,
      until: Infinity,
      isSubscription: true,
    });
  }

  // Questions

  ask<T>(texts: string[], take?: (wire: Wire) => T | undefined, again = true): Promise<T> {
    return new Promise((done, fail) => {
      const question = { texts, take, done, fail, again, until: Date.now() + WAIT_MS };
      const over = ended(this.state);
      if (over) fail(over);
      else if (this._waiting.length + this._sent.length >= QUESTIONS_MAX) fail(["busy"]);
      else if (this._isOpen) this._put(question);
      else this._waiting.push(question);
    });
  }

  private _put(question: Question) {
    if (!this._sent.length) this._answered = Date.now();
    if (question.take) this._sent.push(question);
    else question.done(undefined);
    for (const text of question.texts) {
      this._settings.log?.("->", text);
      this._link?.send(text);
    }
  }

  // The link

  private _connect() {
    clearTimeout(this._timer);
    this._isOpen = false;
    this._heard = 0;
    this._opened = Date.now();
    this._isSyncing = false;
    for (const said of [this._asked, this._confirmed, this._rejoining]) said.clear();
    this._tell(this._attempt ? "reconnecting" : "connecting");
    let link: Link | undefined;
    const isThis = () => link !== undefined && this._link === link;
    try {
      link = this._transports[this._transport % this._transports.length](addressOf(this._settings, this._node), {
        open: () => isThis() && this._began(),
        text: (text) => isThis() && this._take(text),
        refuse: (text, why) => isThis() && this._fail(this._sent.find(({ texts }) => texts.includes(text)), ["unable", why]),
        close: (code, clean, reason) => isThis() && this._lost(code, clean, reason),
      });
      this._link = link;
      this._timer = setTimeout(() => isThis() && this._cut(), OPEN_MS);
    } catch (error) {
      // No other attempt will help.
      this._refuse(this._mixed() ?? ["blocked", `${error}`]);
    }
  }

  private _began() {
    this._isOpen = true;
    this._sync();
    for (const question of this._waiting.splice(0)) this._put(question);
  }

  private _take(text: string) {
    this._settings.log?.("<-", text);
    const wire = parseJson(text) as Wire | undefined;
    // A text has no `data` either.
    if (wire?.data == null) return;
    if (!this._heard) {
      clearTimeout(this._timer);
      this._failures = 0;
      this._tell("connected");
    }
    this._heard = Date.now();
    if (wire.fromQueue) this._answered = this._heard;
    const isError = isSys(wire, "error");
    if (isError && wire.error! > 400) return this._refuse(["refused", wire.data.error]);
    // Most errors name no question, but they come in order; those about pipes belong to a list.
    if (isError && wire.data.code !== "403") {
      const { marker } = wire;
      const isAsked = ({ texts, isSubscription }: Question) => (marker ? texts.some((text) => text.includes(marker)) : !isSubscription);
      if (this._fail(this._sent.find(isAsked), ["server", wire.data.error])) return;
    }
    for (const question of this._sent) {
      const answer = question.take!(wire);
      if (answer === undefined) continue;
      this._answered = this._heard;
      if (answer !== MINE) return this._over(question).done(answer);
      if (!subscribedOf(wire)) return;
      break;
    }
    if (this._isNews(wire)) this._events.wire(wire);
  }

  /** Takes a question from those that wait for an answer. */
  private _over(question: Question) {
    this._sent.splice(this._sent.indexOf(question), 1);
    return question;
  }

  private _fail(question: Question | undefined, why: Told): boolean {
    if (question) this._over(question).fail(why);
    return !!question;
  }

  /** Whether tabs are told; the position is kept. */
  private _isNews(wire: Wire): boolean {
    const subscribed = subscribedOf(wire);
    if (subscribed) {
      const { pipe } = subscribed;
      if (!this._asked.has(pipe) || this._rejoining.has(pipe)) return false;
      this._wanted.set(pipe, reachedOf(subscribed, this._wanted.get(pipe)));
      this._confirmed.add(pipe);
      return true;
    }
    const { pipe, position, fromQueue, history } = wire;
    if (isServers(pipe) || history) return true;
    // What was on its way when the pipe was left comes once more, behind the position that is named.
    if (this._rejoining.has(pipe!) || (!fromQueue && !this._confirmed.has(pipe!))) return false;
    const last = this._wanted.get(pipe!);
    if (position && this._wanted.has(pipe!) && !(last && isAfter(last, position))) this._wanted.set(pipe!, position);
    return true;
  }

  private _drop() {
    const link = this._link;
    this._link = undefined;
    this._isOpen = false;
    link?.close();
    const sent = this._sent.splice(0);
    this._waiting.unshift(...sent.filter((question) => question.again));
    for (const question of sent) if (!question.again) question.fail(UNKNOWN);
  }

  /** Nobody waits for ever, and no link is kept that answers nothing. */
  private _watch() {
    const now = Date.now();
    const isLate = (question: Question) => question.until < now;
    for (const { fail } of this._sent.filter(isLate)) fail(["no-answer"]);
    for (const { fail } of this._waiting.filter(isLate)) fail(["not-sent"]);
    this._waiting = this._waiting.filter((question) => !isLate(question));
    if (!this._heard || !this._link) return;
    if (this._sent.length && now - this._answered >= ANSWER_MS) this._cut();
    else if (now - this._heard >= QUIET_MS) this._probe();
  }

  /** Ends a link that says nothing any more. */
  private _cut() {
    this._lost(1006, false);
  }

  private _lost(code: number, clean: boolean, reason = "") {
    const wasGood = this._heard && Date.now() - this._opened >= GOOD_MS;
    const wasHeard = !!this._heard;
    this._drop();
    if (wasGood) this._attempt = 0;
    let why: Told = ["lost", `${code} ${reason}`];
    if (wasHeard) {
      this._transport = 0;
    } else {
      why = this._mixed() ?? ["no-connection", this._base()];
      this._failures += 1;
      if (this._failures === FAILURES_MAX) complain(...why);
      if (this._failures >= FAILURES_MAX) this._doubt();
      this._node += 1;
    }
    // A server that restarts, or a network that changed: back at once, but not all pages in the same moment.
    const isSoon = !this._attempt && wasHeard && (!clean || code === 1001 || code === 1012);
    const limit = isSoon ? DELAY_MS_FIRST : Math.min(DELAY_MS_MIN * 2 ** this._attempt, DELAY_MS_MAX);
    this._attempt += 1;
    const isOffline = navigator.onLine === false;
    clearTimeout(this._timer);
    // The browser may be wrong about being offline, so it is tried all the same, now and then.
    const delay = isOffline ? DELAY_MS_MAX : limit * (isSoon ? Math.random() : 0.5 + Math.random() / 2);
    this._timer = setTimeout(() => this._connect(), delay);
    this._tell(isOffline ? "offline" : "reconnecting", isOffline ? OFFLINE : why, Date.now() + delay);
  }

  private _refuse(why: Told) {
    this._drop();
    clearTimeout(this._timer);
    complain(...why);
    this._tell("refused", why);
    for (const question of [...this._sent.splice(0), ...this._waiting.splice(0)]) question.fail(why);
  }

  private _base() {
    return addressOf(this._settings, this._node).base;
  }

  /** What browsers do not allow, but for their own machine. */
  private _mixed(): Told | undefined {
    const base = this._base();
    return isSecure() && /^http:(?!..(localhost|127\.))/.test(base) ? ["mixed-content", base] : undefined;
  }

  /** Nothing was ever heard. If the server is there all the same, and was before the attempt, only this way is blocked. */
  private _doubt() {
    const base = this._base();
    if (this._there === base) this._transport += 1;
    this._there = undefined;
    fetch(`${base}/info`, { mode: "no-cors", cache: "no-store" }).then(() => (this._there = base), () => {});
  }

  /** Something happened after which the link may be dead, or a new one may succeed. */
  readonly wake = () => {
    if (ended(this.state)) return;
    if (this._heard && this._link) {
      this._tell("connected");
      this._probe();
    } else if (!this._link) {
      this._attempt = 0;
      this._connect();
    }
  };

  /** Connects anew, whatever there is. */
  readonly reconnect = () => {
    this._drop();
    this._attempt = 0;
    this._connect();
  };

  private readonly _offline = () => {
    if (this._link && this._heard) this._tell("offline", OFFLINE);
  };

  private _probe() {
    const link = this._link;
    if (!this._isOpen) return;
    const [command, isAnswer] = fence();
    const timer = setTimeout(() => this._link === link && this._cut(), PROBE_MS);
    const over = () => clearTimeout(timer);
    this.ask([command], isAnswer, false).then(over, over);
  }

  private _tell(state: State, reason?: Told, retryAt?: number) {
    if (this.state === state && !reason) return;
    this._settings.log?.(state, this._base(), reason);
    this.state = state;
    this._events.state((this.told = { state, reason, retryAt }));
  }
}

const OFFLINE: Told = ["offline"];

/** A question whose answer shows that everything before it is answered, and how to know that answer. */
export function fence(): [command: string, isAnswer: (wire: Wire) => true | undefined] {
  const marker = randomText(10);
  return [`pipe_count\nweb_\n${marker}\n`, (wire) => wire.marker === marker || undefined];
}
