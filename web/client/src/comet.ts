// The promise-based API: handlers, and the promises that wait for the server's word.

import type { Comet, Events, Gap, Handler, Member, Message, Options, State, Subscription, Transport } from "./api.ts";
import { ended, isPipe, isSys, messageOf, type Wire } from "./protocol.ts";
import { settingsOf, valid } from "./settings.ts";
import { Tab } from "./tab.ts";

/** How long a page waits to be connected or subscribed. */
const READY_MS = 600_000;

interface Listener extends Subscription {
  handler: Handler;
  gap?: (gap: Gap) => void;
  /** Called once, with an error if the server refused the pipe. */
  settle?: (error?: Error) => void;
}

export class Client implements Comet {
  readonly uuid: string;
  private readonly _tab: Tab;
  private readonly _listeners = new Set<Listener>();
  private readonly _handlers: { [E in keyof Events]?: Set<(value: Events[E]) => void> } = {};
  private readonly _isNamed: boolean;

  constructor(options: Options, transports: Transport[], home: string) {
    const settings = settingsOf(options, home);
    this.uuid = settings.uuid;
    this._isNamed = !!settings.key;
    this._tab = new Tab(settings, options.transports ?? transports, 0, options.shared !== false, {
      wire: (wire) => this._take(wire),
      state: (state) => {
        this._tellState();
        if (state === "refused") this._end();
      },
      subscribed: (pipe, again, recovered, history) => this._subscribed(pipe, again && !recovered, history),
      refused: (pipe, why) => this._refused(pipe, why),
    });
    this._tab.start();
  }

  get state(): State {
    return this._tab.state;
  }

  get authorized() {
    return this._tab.authorized;
  }

  get leading() {
    return !!this._tab.leader;
  }

  ready(): Promise<boolean> {
    return new Promise((done, fail) => {
      const look = () => {
        const error = this._error();
        if (error) fail(error);
        else if (this.authorized !== undefined) done(this.authorized);
        else return;
        off();
        clearTimeout(timer);
      };
      const off = this.on("state", look);
      const timer = setTimeout(() => (off(), fail(TOO_LATE())), READY_MS);
      look();
    });
  }

  subscribe<T>(name: string, handler: Handler<T>, { gap }: { gap?: (gap: Gap) => void } = {}): Promise<Subscription> {
    const [pipe, event, ...more] = name.split(".");
    if (!isPipe(pipe) || more.length || typeof handler !== "function") {
      return Promise.reject(new Error(`encke: subscribe(${JSON.stringify(name)}, handler): ${NAMES}`));
    }
    return new Promise((done, fail) => {
      const ended = this._error();
      if (ended) return fail(ended);
      const unsubscribe = () => this._listeners.delete(listener) && this._want();
      const listener: Listener = { pipe, event, handler, gap, unsubscribe };
      listener.settle = (error) => {
        clearTimeout(timer);
        listener.settle = undefined;
        if (error) unsubscribe(), fail(error);
        else done(listener);
      };
      const timer = setTimeout(() => listener.settle!(TOO_LATE()), READY_MS);
      this._listeners.add(listener);
      this._want();
      if (this._tab.isSubscribed(pipe)) listener.settle();
    });
  }

  async publish(pipe: string, data: unknown, { event = "" } = {}): Promise<number> {
    valid("the pipe", pipe, /^(@?web_|webauth_)[\w-]{0,60}$/, ": browsers publish to web_, @web_ and webauth_ pipes, a backend to any, with INSERT INTO pipes_messages");
    valid("an event", event, /^[\w-]{0,64}$/, `: ${NAMES}`);
    return this._tab.ask("publish", pipe, event, JSON.stringify(data) ?? "null");
  }

  async history<T>(pipe: string): Promise<Message<T>[]> {
    const found: Wire[] = await this._tab.ask("history", checked(pipe));
    return found.map(messageOf);
  }

  async count(pipe: string): Promise<number> {
    return this._tab.ask("count", checked(pipe, /^(web|track)_[\w-]*$/));
  }

  async members(pipe: string): Promise<Member[]> {
    return this._tab.ask("members", checked(pipe, /^track_[\w-]*$/));
  }

  async track(pipe: string, handler: (members: Member[]) => void): Promise<Subscription> {
    let members: Member[] | undefined;
    const load = async () => {
      members = undefined;
      members = await this.members(pipe);
      handler(members);
    };
    const change = ({ event, data }: Message) => {
      // A backend may publish other events there.
      if (!/^(un)?subscription$/.test(event) || !data?.uuid) return;
      // What comes while the list is on its way may be in it already.
      if (!members) return void load().catch(failed);
      const place = members.findIndex((member) => member.uuid === data.uuid && member.user_id === data.user_id);
      if (event[0] === "s") members = [...members, data];
      else if (place >= 0) members = members.filter((_, index) => index !== place);
      handler(members);
    };
    const failed = (error: Error) => this._fail(error);
    const subscription = await this.subscribe(checked(pipe, /^track_[\w-]*$/), change, { gap: () => void load().catch(failed) });
    await load().catch((error) => {
      subscription.unsubscribe();
      throw error;
    });
    return subscription;
  }

  async watch(user: number, handler: (online: boolean) => void) {
    return this.subscribe(`user_status_${number(user)}`, ({ event }) => /^o(n|ff)line$/.test(event) && handler(event === "online"));
  }

  async lastSeen(user: number): Promise<number | undefined> {
    const seconds: number = await this._tab.ask("lastSeen", number(user));
    return seconds < 0 ? undefined : seconds;
  }

  async userData(user: number): Promise<string> {
    return this._tab.ask("userData", number(user));
  }

  on<E extends keyof Events>(event: E, handler: (value: Events[E]) => void): () => void {
    const handlers = ((this._handlers[event] as Set<typeof handler> | undefined) ??= new Set() as any) as Set<typeof handler>;
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  close() {
    this._tab.stop();
    this._end();
    this._listeners.clear();
  }

  /** Nothing is confirmed any more. */
  private _end() {
    for (const { settle } of [...this._listeners]) settle?.(ended(this.state));
  }

  /** Why nothing can be asked any more. */
  private _error() {
    const { state } = this;
    return /^(ref|clo)/.test(state) ? ended(state) : undefined;
  }

  private _want() {
    this._tab.want([...this._listeners].map(({ pipe }) => pipe));
  }

  private _take(wire: Wire) {
    const { pipe, event } = wire;
    if (isSys(wire, "serverInfo")) this._greeted();
    if (isSys(wire, "error")) this._fail(new Error(`encke: ${wire.data.error}`));
    if (pipe === "sys") return;
    const message = messageOf(wire);
    if (pipe === "msg") return this._tell("personal", message);
    this._tell("message", message);
    for (const listener of [...this._listeners]) {
      if (listener.pipe === pipe && (listener.event === undefined || listener.event === event)) {
        guarded(() => listener.handler(message));
      }
    }
  }

  private _greeted() {
    if (this._isNamed && !this.authorized) {
      console.error(
        "encke: the server does not know this user by this key. Either INSERT INTO users_auth (id, hash) VALUES (<user>, '<key>') " +
          "with CometQL, or pass a JSON Web Token for this user that has not ended.",
      );
    }
    this._tellState();
  }

  private _subscribed(pipe: string, isGap: boolean, history: boolean) {
    const gap = { pipe, history };
    if (isGap) this._tell("gap", gap);
    for (const listener of [...this._listeners]) {
      if (listener.pipe !== pipe) continue;
      if (listener.settle) listener.settle();
      else if (isGap && listener.gap) guarded(() => listener.gap!(gap));
    }
  }

  private _refused(pipe: string, why: string) {
    const error = new Error(`encke: the server refuses the pipe ${pipe}: ${why}`);
    for (const listener of [...this._listeners]) {
      if (listener.pipe !== pipe) continue;
      if (listener.settle) listener.settle(error);
      else listener.unsubscribe(), this._fail(error);
    }
  }

  private _fail(error: Error) {
    if (!this._tell("error", error)) console.error(error.message);
  }

  private _tellState() {
    const { state, authorized, leading } = this;
    this._tell("state", { state, authorized, leading });
  }

  private _tell<E extends keyof Events>(event: E, value: Events[E]): boolean {
    const handlers = [...(this._handlers[event] ?? [])] as ((value: Events[E]) => void)[];
    for (const handler of handlers) guarded(() => handler(value));
    return handlers.length > 0;
  }
}

const NAMES = "names are 2 to 64 of A-Z a-z 0-9 _ -, an event may follow a dot; sys, msg and _answer are the server's";
const TOO_LATE = () => new Error("encke: nothing was confirmed in ten minutes");

const number = (user: number | string) => valid("a user", user, /^\d{1,18}$/);

const checked = (pipe: string, form = /^[\w-]{2,64}$/) => valid("the pipe", pipe, form, ` (${form.source}): ${NAMES}`);

/** A handler that fails must not keep the message from the others. */
function guarded(call: () => void) {
  try {
    call();
  } catch (error) {
    console.error(error);
  }
}
