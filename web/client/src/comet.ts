// The promise-based API: handlers, and the promises that wait for the server's word.

import type { Comet, Events, Gap, Handler, Member, Message, Options, State, Subscription } from "./api.ts";
import { isPipe, messageOf, type Wire } from "./protocol.ts";
import { settingsOf } from "./settings.ts";
import { Tab } from "./tab.ts";
import { longPolling, webSocket } from "./transport.ts";

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
  private readonly _live = new Set<string>();
  private readonly _handlers: { [E in keyof Events]?: Set<(value: Events[E]) => void> } = {};
  private readonly _isNamed: boolean;

  constructor(options: Options, home: string) {
    const settings = settingsOf(options, home);
    this.uuid = settings.uuid;
    this._isNamed = !!settings.key;
    this._tab = new Tab(settings, options.transports ?? [webSocket, longPolling], 0, options.shared !== false, {
      wire: (wire) => this._take(wire),
      state: () => this._tellState(),
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
        const { state, authorized } = this;
        if (state === "refused" || state === "closed") fail(new Error(`encke: the connection is ${state}`));
        else if (authorized !== undefined) done(authorized);
        else return;
        off();
      };
      const off = this.on("state", look);
      look();
    });
  }

  subscribe<T>(name: string, handler: Handler<T>, { gap }: { gap?: (gap: Gap) => void } = {}): Promise<Subscription> {
    const [pipe, event, ...more] = name.split(".");
    if (!isPipe(pipe) || more.length || typeof handler !== "function") {
      return Promise.reject(new Error(`encke: subscribe(${JSON.stringify(name)}, handler): ${NAMES}`));
    }
    return new Promise((done, fail) => {
      const unsubscribe = () => this._listeners.delete(listener) && this._want();
      const listener: Listener = { pipe, event, handler, gap, unsubscribe };
      listener.settle = (error) => {
        listener.settle = undefined;
        if (error) fail(error);
        else done(listener);
      };
      this._listeners.add(listener);
      if (this._live.has(pipe)) listener.settle();
      else this._want();
    });
  }

  async publish(pipe: string, data: unknown, { event = "" } = {}): Promise<number> {
    if (!/^(@?web_|webauth_)[\w-]*$/.test(pipe) || pipe.length > 64) {
      throw new Error(
        `encke: browsers publish to pipes that begin with web_, @web_ or webauth_, not to ${JSON.stringify(pipe)}; ` +
          "a backend publishes to any, with INSERT INTO pipes_messages",
      );
    }
    if (!/^[\w-]{0,64}$/.test(event)) throw new Error(`encke: an event cannot be ${JSON.stringify(event)}: ${NAMES}`);
    return this._tab.ask("publish", pipe, event, JSON.stringify(data) ?? "null");
  }

  async history<T>(pipe: string): Promise<Message<T>[]> {
    const found: Wire[] = await this._tab.ask("history", checked(pipe));
    return found.map(messageOf);
  }

  async count(pipe: string): Promise<number> {
    return this._tab.ask("count", checked(pipe, /^(web|track)_/));
  }

  async members(pipe: string): Promise<Member[]> {
    return this._tab.ask("members", checked(pipe, /^track_/));
  }

  async track(pipe: string, handler: (members: Member[]) => void): Promise<Subscription> {
    let members: Member[] | undefined;
    const load = async () => {
      members = undefined;
      members = await this.members(pipe);
      handler(members);
    };
    const change = ({ event, data }: Message) => {
      // What comes while the list is on its way may be in it already.
      if (!members) return void load();
      const place = members.findIndex((member) => member.uuid === data.uuid && member.user_id === data.user_id);
      if (event === "subscription") members = [...members, data];
      else if (place >= 0) members = members.filter((_, index) => index !== place);
      handler(members);
    };
    const subscription = await this.subscribe(checked(pipe, /^track_/), change, { gap: () => void load() });
    await load();
    return subscription;
  }

  watch(user: number, handler: (online: boolean) => void) {
    return this.subscribe(`user_status_${user}`, ({ event }) => handler(event === "online"));
  }

  async lastSeen(user: number): Promise<number | undefined> {
    const seconds: number = await this._tab.ask("lastSeen", String(user));
    return seconds < 0 ? undefined : seconds;
  }

  async userData(user: number): Promise<string> {
    return this._tab.ask("userData", String(user));
  }

  on<E extends keyof Events>(event: E, handler: (value: Events[E]) => void): () => void {
    const handlers = ((this._handlers[event] as Set<typeof handler> | undefined) ??= new Set() as any) as Set<typeof handler>;
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  close() {
    this._tab.stop();
    for (const { settle } of this._listeners) settle?.(new Error("encke: the connection was closed"));
    this._listeners.clear();
  }

  private _want() {
    const pipes = new Set([...this._listeners].map(({ pipe }) => pipe));
    for (const pipe of this._live) if (!pipes.has(pipe)) this._live.delete(pipe);
    this._tab.want(pipes);
  }

  private _take(wire: Wire) {
    const { pipe, event } = wire;
    if (pipe === "sys") {
      if (event === "serverInfo") this._greeted();
      else if (event === "error") this._fail(new Error(`encke: ${wire.data?.error}`));
      return;
    }
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
    this._live.add(pipe);
    const gap = { pipe, history };
    if (isGap) this._tell("gap", gap);
    for (const listener of [...this._listeners]) {
      if (listener.pipe !== pipe) continue;
      if (listener.settle) listener.settle();
      else if (isGap && listener.gap) guarded(() => listener.gap!(gap));
    }
  }

  private _refused(pipe: string, why: string) {
    this._live.delete(pipe);
    const error = new Error(`encke: the server refuses the pipe ${pipe}: ${why}`);
    for (const listener of [...this._listeners]) {
      if (listener.pipe !== pipe) continue;
      this._listeners.delete(listener);
      if (listener.settle) listener.settle(error);
      else this._fail(error);
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

const NAMES = "names are 2 to 64 of A-Z a-z 0-9 _ -, an event may follow a dot";

function checked(pipe: string, prefix = /^/): string {
  if (isPipe(pipe) && prefix.test(pipe)) return pipe;
  throw new Error(`encke: this cannot be asked of the pipe ${JSON.stringify(pipe)}; the prefix is ${prefix.source}, ${NAMES}`);
}

/** A handler that fails must not keep the message from the others. */
function guarded(call: () => void) {
  try {
    call();
  } catch (error) {
    console.error(error);
  }
}
