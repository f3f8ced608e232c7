// One connection that stays: opened, lost, found again; pipes with their positions, questions with their answers.
// It lives in the leading tab and knows nothing of tabs.

import type { Link, State, Transport } from "./api.ts";
import { type Settings, type Wire, addressOf, isAfter, parseJson, randomText, subscribedOf } from "./protocol.ts";

const DELAY_MS_FIRST = 100;
const DELAY_MS_MIN = 500;
const DELAY_MS_MAX = 30_000;
/** A connection that held this long counts as good, and the next delay is the first one again. */
const GOOD_MS = 5_000;
/** Links that ended without a message before the next transport is tried. */
const FAILURES_MAX = 3;
/** How long the server may take to show that it is there. */
const PROBE_MS = 5_000;
/** Opening a link takes at most this long. */
const OPEN_MS = 15_000;
const QUIET_MS = 120_000;
const QUESTIONS_MAX = 1_000;

/** What becomes of a question that must not be asked twice. */
export const UNKNOWN = "the connection broke before the answer: published or not, nobody knows";

/** A question to the server. Answers come in the order of questions. */
interface Question {
  /** The commands that it takes. */
  texts: string[];
  /** The answer, once the server has said it; without it there is none to wait for. */
  take?(wire: Wire): unknown;
  done(answer: any): void;
  fail(error: Error): void;
  /** Whether it may be asked again when the connection broke. */
  again: boolean;
  /** Errors about its pipes are no answer yet. */
  isSubscription?: boolean;
}

export interface ConnectionEvents {
  wire(wire: Wire): void;
  state(state: State): void;
  /** The server did not subscribe these pipes. */
  refused(pipes: string[], why: string): void;
}

export class Connection {
  state: State | undefined;
  /** The pipes that are wanted, each with the last position that is known. */
  private readonly _wanted = new Map<string, string | undefined>();
  /** What this link was asked for, and what of it the server has confirmed. */
  private _asked = new Set<string>();
  private _confirmed = new Set<string>();
  private _link: Link | undefined;
  private _isOpen = false;
  private _heard = 0;
  private _opened = 0;
  private _attempt = 0;
  private _failures = 0;
  private _node: number;
  private _transport = 0;
  private _timer: any;
  private _syncTimer: any;
  private _quietTimer: any;
  private readonly _waiting: Question[] = [];
  private readonly _sent: Question[] = [];

  constructor(
    private readonly _settings: Settings,
    private readonly _transports: Transport[],
    private readonly _events: ConnectionEvents,
    firstNode = 0,
  ) {
    this._node = firstNode;
  }

  open() {
    addEventListener("online", this.wake);
    addEventListener("offline", this._offline);
    this._connect();
  }

  close() {
    removeEventListener("online", this.wake);
    removeEventListener("offline", this._offline);
    // Nobody is told: other tabs go on with another leader, and ask it again.
    this.state = "closed";
    this._drop();
    clearTimeout(this._timer);
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
    const last = this._wanted.get(pipe);
    if (!this._wanted.has(pipe)) {
      this._wanted.set(pipe, position || undefined);
    } else if (position && last && isAfter(last, position)) {
      // Somebody comes who is behind the others. Left and joined again, the pipe is told from there.
      this._wanted.set(pipe, position);
      if (this._asked.delete(pipe)) {
        this._confirmed.delete(pipe);
        this._sendList([...this._asked], []);
        // Now, because the next message of the pipe moves its position on.
        this._sync();
      }
    }
    this._syncSoon();
  }

  leave(pipe: string) {
    if (this._wanted.delete(pipe)) this._syncSoon();
  }

  private _syncSoon() {
    this._syncTimer ??= setTimeout(() => this._sync());
  }

  private _sync() {
    clearTimeout(this._syncTimer);
    this._syncTimer = undefined;
    if (!this._isOpen) return;
    const fresh = [...this._wanted.keys()].filter((pipe) => !this._asked.has(pipe));
    const left = [...this._asked].filter((pipe) => !this._wanted.has(pipe));
    if (!fresh.length && !left.length) return;
    for (const pipe of left) this._confirmed.delete(pipe);
    const lines = [...this._wanted].map(([pipe, last]) => (last && !this._asked.has(pipe) ? `${pipe} ${last}` : pipe));
    this._asked = new Set(this._wanted.keys());
    this._sendList(lines, fresh);
  }

  private _sendList(lines: string[], fresh: string[]) {
    const missing = new Set(fresh);
    const [command, isAnswer] = fence();
    let why = "it is not subscribed";
    this._put({
      // The second one's answer comes when all is said about the pipes.
      texts: [`subscription2\n${lines.join("\n")}`, command],
      take(wire) {
        const subscribed = subscribedOf(wire);
        if (subscribed) missing.delete(subscribed.pipe);
        if (wire.pipe === "sys" && wire.event === "error") why = wire.data?.error;
        return isAnswer(wire);
      },
      done: () => {
        for (const pipe of missing) this._wanted.delete(pipe), this._asked.delete(pipe);
        if (missing.size) this._events.refused([...missing], why);
      },
      fail() {},
      again: false,
      isSubscription: true,
    });
  }

  // Questions

  ask<T>(texts: string[], take?: (wire: Wire) => T | undefined, again = true): Promise<T> {
    return new Promise((done, fail) => {
      const question = { texts, take, done, fail, again };
      if (this.state === "closed" || this.state === "refused") fail(new Error(`the connection is ${this.state}`));
      else if (this._isOpen) this._put(question);
      else if (this._waiting.length < QUESTIONS_MAX) this._waiting.push(question);
      else fail(new Error("too many messages wait"));
    });
  }

  private _put(question: Question) {
    if (question.take) this._sent.push(question);
    else question.done(undefined);
    for (const text of question.texts) this._link?.send(text);
  }

  // The link

  private _connect() {
    clearTimeout(this._timer);
    this._isOpen = false;
    this._heard = 0;
    this._opened = Date.now();
    this._asked.clear();
    this._confirmed.clear();
    this._tell(this._attempt ? "reconnecting" : "connecting");
    let link: Link | undefined;
    const isThis = () => link !== undefined && this._link === link;
    try {
      link = this._transports[this._transport % this._transports.length](addressOf(this._settings, this._node), {
        open: () => isThis() && this._began(),
        text: (text) => isThis() && this._take(text),
        close: (code, clean) => isThis() && this._lost(code, clean),
      });
      this._link = link;
      this._timer = setTimeout(() => isThis() && this._cut(), OPEN_MS);
    } catch (error) {
      // The browser refuses the address: no other attempt will help.
      this._refuse(String(error));
    }
  }

  private _began() {
    this._isOpen = true;
    this._sync();
    for (const question of this._waiting.splice(0)) this._put(question);
  }

  private _take(text: string) {
    const wire = parseJson(text) as Wire | undefined;
    if (!wire || typeof wire !== "object" || wire.data === undefined) return;
    if (!this._heard) {
      clearTimeout(this._timer);
      this._failures = 0;
      this._tell("connected");
      clearInterval(this._quietTimer);
      this._quietTimer = setInterval(() => Date.now() - this._heard >= QUIET_MS && this._probe(), QUIET_MS / 4);
    }
    this._heard = Date.now();
    if (wire.error! > 400) return this._refuse(wire.data?.error);
    const isError = wire.pipe === "sys" && wire.event === "error";
    const [first] = this._sent;
    // Errors name no question, but they come in order.
    if (isError && first && !first.isSubscription && wire.data?.code !== "403") {
      this._sent.shift();
      return first.fail(new Error(wire.data.error));
    }
    const answer = first?.take!(wire);
    if (answer !== undefined) {
      this._sent.shift();
      return first.done(answer);
    }
    this._remember(wire);
    if (!(wire.history && first) && !(isError && first?.isSubscription)) this._events.wire(wire);
  }

  private _remember(wire: Wire) {
    const subscribed = subscribedOf(wire);
    if (subscribed && this._wanted.has(subscribed.pipe)) {
      const { pipe, position, recovered } = subscribed;
      const last = this._wanted.get(pipe);
      const isBehind = recovered !== false && position && last && isAfter(last, position);
      this._wanted.set(pipe, isBehind ? last : position || undefined);
      this._confirmed.add(pipe);
    } else if (wire.position && !wire.history && this._wanted.has(wire.pipe!)) {
      const last = this._wanted.get(wire.pipe!);
      if (!last || isAfter(wire.position, last)) this._wanted.set(wire.pipe!, wire.position);
    }
  }

  private _drop() {
    const link = this._link;
    this._link = undefined;
    this._isOpen = false;
    clearInterval(this._quietTimer);
    link?.close();
    const sent = this._sent.splice(0);
    this._waiting.unshift(...sent.filter((question) => question.again));
    for (const question of sent) if (!question.again && this.state !== "closed") question.fail(new Error(UNKNOWN));
  }

  /** Ends a link that says nothing any more. */
  private _cut() {
    this._lost(1006, false);
  }

  private _lost(code: number, clean: boolean) {
    const wasGood = this._heard && Date.now() - this._opened >= GOOD_MS;
    const wasHeard = !!this._heard;
    this._drop();
    if (wasGood) this._attempt = 0;
    if (wasHeard) {
      this._transport = 0;
    } else {
      this._failures += 1;
      if (this._failures % FAILURES_MAX === 0) this._doubt();
      this._node += 1;
    }
    // A server that restarts, or a network that changed: back at once, but not all pages in the same moment.
    const isSoon = !this._attempt && wasHeard && (!clean || code === 1001 || code === 1012);
    const limit = isSoon ? DELAY_MS_FIRST : Math.min(DELAY_MS_MIN * 2 ** this._attempt, DELAY_MS_MAX);
    this._attempt += 1;
    const isOffline = navigator.onLine === false;
    this._tell(isOffline ? "offline" : "reconnecting");
    clearTimeout(this._timer);
    // The browser may be wrong about being offline, so it is tried all the same, now and then.
    const delay = isOffline ? DELAY_MS_MAX : limit * (isSoon ? Math.random() : 0.5 + Math.random() / 2);
    this._timer = setTimeout(() => this._connect(), delay);
  }

  private _refuse(why: string) {
    this._drop();
    clearTimeout(this._timer);
    const text = `encke: the server refuses this page: ${why}`;
    console.error(`${text}. See the options of connect(), and [ws] host of the server.`);
    this._tell("refused");
    for (const question of [...this._sent.splice(0), ...this._waiting.splice(0)]) question.fail(new Error(text));
  }

  /** Nothing was ever heard. If the server is there all the same, only this way to it is blocked. */
  private _doubt() {
    const { base } = addressOf(this._settings, this._node);
    if (this._failures === FAILURES_MAX) this._explain(base);
    fetch(`${base}/info`, { mode: "no-cors", cache: "no-store" }).then(() => (this._transport += 1), () => {});
  }

  private _explain(base: string) {
    const isMixed = location.protocol === "https:" && base.startsWith("http:");
    console.error(
      `encke: no connection to ${base}. ` +
        (isMixed
          ? "A page with https needs a server with https."
          : "Is the server running there, and does a proxy in front of it pass on WebSocket for /ws/?"),
    );
  }

  /** Something happened after which the link may be dead, or a new one may succeed. */
  readonly wake = () => {
    if (this.state === "closed" || this.state === "refused") return;
    if (this._heard && this._link) {
      this._tell("connected");
      this._probe();
    } else if (!this._link) {
      this._attempt = 0;
      this._connect();
    }
  };

  private readonly _offline = () => {
    if (this._link && this._heard) this._tell("offline");
  };

  private _probe() {
    const link = this._link;
    if (!this._isOpen) return;
    const [command, isAnswer] = fence();
    const timer = setTimeout(() => this._link === link && this._cut(), PROBE_MS);
    const over = () => clearTimeout(timer);
    this.ask([command], isAnswer, false).then(over, over);
  }

  private _tell(state: State) {
    if (this.state === state) return;
    this.state = state;
    this._events.state(state);
  }
}

/** A question whose answer shows that everything before it is answered, and how to know that answer. */
export function fence(): [command: string, isAnswer: (wire: Wire) => true | undefined] {
  const marker = randomText(10);
  return [`pipe_count\nweb_\n${marker}\n`, (wire) => wire.marker === marker || undefined];
}
