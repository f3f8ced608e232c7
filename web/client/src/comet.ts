// The promise-based API: handlers, and the promises that wait for the server's word.

import type { Comet, Events, Gap, Handler, Member, Message, Options, State, Subscription, Transport } from "./api.ts";
import { Failure, type Told, complain, ended, isBrowser, isPipe, isSys, messageOf, type Wire } from "./protocol.ts";
import { settingsOf, unread, valid } from "./settings.ts";
import { Tab } from "./tab.ts";

/** How long a page waits to be connected or subscribed. */
const READY_MS = 600_000;

interface Listener extends Subscription {
  handler: Handler;
  gap?: (gap: Gap) => void;
  /** So many of the newest messages are wanted, until one came. */
  last: number;
  /** Called once, with an error if the server refused the pipe. */
  settle?: (error?: Told) => void;
}

export class Client implements Comet {
  readonly uuid: string;
  private readonly _tab: Tab;
  private readonly _listeners = new Set<Listener>();
  private readonly _handlers = { state: new Set(), message: new Set(), personal: new Set(), error: new Set(), gap: new Set() };
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
    // A server that renders pages connects nobody, and nothing breaks there. A program says that it wants to.
    if (isBrowser() || options.transports) this._tab.start();
    else complain("no-browser");
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
        const over = ended(this.state);
        if (over) fail(new Failure(...over));
        else if (this.authorized !== undefined) done(this.authorized);
        else return;
        off();
        clearTimeout(timer);
      };
      const off = this.on("state", look);
      const timer = setTimeout(() => (off(), fail(new Failure(...TOO_LATE))), READY_MS);
      look();
    });
  }

  async subscribe<T>(name: string, handler: Handler<T>, { gap, last = 0, ...rest }: { gap?: (gap: Gap) => void; last?: number } = {}): Promise<Subscription> {
    const [pipe, event, ...more] = (name?.split?.(".") ?? [""]);
    called(handler);
    if (!isPipe(pipe) || more.length || !NAME.test(event ?? "")) throw new Failure("bad-name", `pipe "${name}"`);
    unread(rest);
    return new Promise((done, fail) => {
      const over = ended(this.state);
      if (over) return fail(new Failure(...over));
      const unsubscribe = () => this._listeners.delete(listener) && this._want();
      const listener: Listener = { pipe, event, handler, gap, last, unsubscribe };
      listener.settle = (error) => {
        clearTimeout(timer);
        listener.settle = undefined;
        if (error) unsubscribe(), fail(new Failure(...error));
        else done(listener);
        // Whoever is not the first to want the pipe asks for what others have had.
        if (listener.last) this.history(pipe).then((found) => found.slice(-listener.last || Infinity).map((message) => hear(listener, message)), () => {});
      };
      const timer = setTimeout(() => listener.settle!(TOO_LATE), READY_MS);
      this._listeners.add(listener);
      this._want();
      if (this._tab.isSubscribed(pipe)) listener.settle();
    });
  }

  async publish(pipe: string, data: unknown, { event = "", ...rest }: { event?: string } = {}): Promise<number> {
    checked(pipe, "web_ @web_ webauth_");
    unread(rest);
    valid("bad-name", "event", event, NAME);
    let text;
    try {
      text = JSON.stringify(data) ?? "null";
    } catch (error) {
      throw new Failure("bad-message", error);
    }
    return this._tab.ask("publish", pipe, event, text);
  }

  async history<T>(pipe: string): Promise<Message<T>[]> {
    const found: Wire[] = await this._tab.ask("history", checked(pipe));
    return found.map(messageOf);
  }

  async count(pipe: string): Promise<number> {
    return this._tab.ask("count", checked(pipe, "web_ track_"));
  }

  async members(pipe: string): Promise<Member[]> {
    return this._tab.ask("members", checked(pipe, TRACK));
  }

  async track(pipe: string, handler: (members: Member[]) => void): Promise<Subscription> {
    called(handler);
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
    const failed = (error: Failure) => this._tell("error", error);
    const subscription = await this.subscribe(checked(pipe, TRACK), change, { gap: () => void load().catch(failed) });
    await load().catch((error) => {
      subscription.unsubscribe();
      throw error;
    });
    return subscription;
  }

  async watch(user: number, handler: (online: boolean) => void) {
    called(handler);
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
    called(handler);
    const handlers = this._handlers[event] as Set<typeof handler>;
    if (!handlers) throw new Failure("bad-name", `on "${event}"`);
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  reconnect() {
    this._tab.reconnect();
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

  private _want() {
    const wanted = new Map<string, number>();
    for (const { pipe, last } of this._listeners) wanted.set(pipe, Math.max(last, wanted.get(pipe) ?? 0));
    this._tab.want(wanted);
  }

  private _take(wire: Wire) {
    const { pipe } = wire;
    if (isSys(wire, "serverInfo")) this._greeted();
    if (isSys(wire, "error")) this._fail("server", wire.data.error);
    if (pipe === "sys") return;
    const message = messageOf(wire);
    if (pipe === "msg") return this._tell("personal", message);
    this._tell("message", message);
    for (const listener of [...this._listeners]) {
      if (listener.pipe !== pipe) continue;
      hear(listener, message);
      // What could be asked for now is older.
      listener.last = 0;
    }
  }

  private _greeted() {
    if (this._isNamed && !this.authorized) complain("wrong-key");
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
    const error: Told = ["denied", `${pipe}: ${why}`];
    for (const listener of [...this._listeners]) {
      if (listener.pipe !== pipe) continue;
      if (listener.settle) listener.settle(error);
      else listener.unsubscribe(), this._fail(...error);
    }
  }

  private _fail(...told: Told) {
    const error = new Failure(...told);
    if (!this._tell("error", error)) console.error(error.message);
  }

  private _tellState() {
    const { state, authorized, leading } = this;
    const { reason, retryAt } = this._tab.told ?? {};
    this._tell("state", { state, authorized, leading, reason: reason && new Failure(...reason), retryAt });
  }

  private _tell<E extends keyof Events>(event: E, value: Events[E]): boolean {
    const handlers = [...this._handlers[event]] as ((value: Events[E]) => void)[];
    for (const handler of handlers) guarded(() => handler(value));
    return handlers.length > 0;
  }
}

const TRACK = "track_";
/** Of an event, which may be empty. */
const NAME = /^[\w-]{0,64}$/;

const TOO_LATE: Told = ["not-confirmed"];

const number = (user: number | string) => valid("bad-user", "user", user, /^\d{1,18}$/);

/** The name of a pipe, if it begins with one of these. */
const checked = (pipe: string, begins = "") =>
  valid("bad-name", begins || "pipe", pipe, new RegExp(`^(?=@?.{2,64}$)(${begins.replaceAll(" ", "|")})[\\w-]*$`));


function hear({ event, handler }: Listener, message: Message) {
  if (event === undefined || event === message.event) guarded(() => handler(message));
}

function called(handler: unknown) {
  if (typeof handler !== "function") throw new Failure("no-handler");
}

/** A handler that fails must not keep the message from the others. */
function guarded(call: () => void) {
  try {
    call();
  } catch (error) {
    console.error(error);
  }
}
