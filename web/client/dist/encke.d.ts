/** How to reach the server, and as whom. */
export interface Options {
  /**
   * Address of the server, such as `https://comet.example` or `https://example.com/comet-server`; several are
   * alternatives. Without it: where `encke.js` came from, else the page's own origin.
   */
  url?: string | string[];
  /** The user's number; without it a nameless visitor. */
  user?: number | string;
  /** The user's key: what the backend put into `users_auth`, or a JSON Web Token. */
  key?: string;
  /** The tenant, 0 by default. */
  dev?: number | string;
  /** The browser's own name, up to 32 characters, which others see in `track_` pipes. Generated and kept by default. */
  uuid?: string;
  /** One connection for all tabs of this origin with the same options; true by default. */
  shared?: boolean;
  /** Ways to connect, tried in this order; WebSocket, then long polling by default. */
  transports?: Transport[];
  /** Writes to the console what goes to and fro; `localStorage.comet_debug = 1` does the same for a page as it is. */
  debug?: boolean;
}

/** What goes wrong, in words for people and with a code for programs; `/docs/errors` of the server explains each. */
export interface CometError extends Error {
  readonly code: ErrorCode;
}

export type ErrorCode =
  /** An option of `connect` has a value that cannot be; a function has no option of this name, which is a warning only. */
  | "bad-option"
  | "unknown-option"
  /** No pipe, event or user has such a name or number, or the function does not take it. */
  | "bad-name"
  | "bad-user"
  /** The function that is to be called is missing. */
  | "no-handler"
  /** The message is nothing that JSON can say. */
  | "bad-message"
  /** This is no browser, and no `url` says where the server is: nothing is connected. */
  | "no-browser"
  /** The server cannot be reached; it has no https, but the page has; the browser refuses the address. */
  | "no-connection"
  | "mixed-content"
  | "blocked"
  /** The connection ended; the browser says that there is no network. */
  | "lost"
  | "offline"
  /** The server does not want this page; `close` was called. */
  | "refused"
  | "closed"
  /** The server does not know this user by this key. */
  | "wrong-key"
  /** The server does not subscribe this page to the pipe; it refuses something else. */
  | "denied"
  | "server"
  /** This way of connecting cannot carry that. */
  | "unable"
  /** In ten minutes nothing was confirmed; in two minutes there was no answer; in two minutes there was no connection. */
  | "not-confirmed"
  | "no-answer"
  | "not-sent"
  /** Too much waits already. */
  | "busy"
  /** The connection broke before the answer: whether it was published, nobody knows. */
  | "maybe-published";

/** What a subscriber gets. */
export interface Message<T = any> {
  pipe: string;
  event: string;
  /** The message, parsed if it is JSON. */
  data: T;
  /** The message as it was published. */
  text: string;
  /** Who sent it, if a browser did; 0 for a nameless visitor. */
  user?: number;
  /** When it was published, in seconds since 1970. */
  time?: number;
  /** Its place in the pipe, if that keeps a history. */
  position?: string;
  /** Whether it was missed and came later: after a reconnect, or from a user's queue. */
  late: boolean;
}

export type Handler<T = any> = (message: Message<T>) => void;

export interface Subscription {
  readonly pipe: string;
  readonly event?: string;
  unsubscribe(): void;
}

/** After a reconnect messages of this pipe are missing, or may be: ask for what the page shows by other means. */
export interface Gap {
  pipe: string;
  /** False if the pipe keeps no history, so that nothing can ever be recovered. */
  history: boolean;
}

export type State = "connecting" | "connected" | "reconnecting" | "offline" | "refused" | "closed";

export interface Status {
  state: State;
  /** Whether the server knows the user; undefined before it said so. */
  authorized?: boolean;
  /** Whether this tab holds the connection. */
  leading: boolean;
  /** Why there is no connection. */
  reason?: CometError;
  /** When the next attempt begins, in milliseconds since 1970 as `Date.now()` has them. */
  retryAt?: number;
}

export interface Member {
  user_id: number;
  uuid: string;
}

export interface Events {
  /** The connection came, went, or was refused for good; also when another attempt has failed. */
  state: Status;
  /** Every message of every pipe that this page is subscribed to. */
  message: Message;
  /** A message to this user. */
  personal: Message;
  /** The server refused something that no promise stands for. */
  error: CometError;
  gap: Gap;
}

export interface Comet {
  readonly state: State;
  /** Whether the server knows the user; undefined before it said so. */
  readonly authorized: boolean | undefined;
  /** Whether this tab holds the connection. */
  readonly leading: boolean;
  /** This browser's name in `track_` pipes. */
  readonly uuid: string;
  /** When connected: whether the server knows the user. Rejected if the server refuses this page, and after ten minutes. */
  ready(): Promise<boolean>;
  /**
   * `"pipe"`, or `"pipe.event"` for one event only. Resolved when the server has confirmed: all that is published from
   * then on comes. Rejected, and not subscribed, if the server refuses the pipe or does not confirm it in ten minutes.
   * With `last: 1` the newest message of the pipe's history comes first, with more so many, up to 100.
   */
  subscribe<T = any>(pipe: string, handler: Handler<T>, options?: { gap?: (gap: Gap) => void; last?: number }): Promise<Subscription>;
  /**
   * Publishes as JSON to a pipe that browsers may publish to: `web_...`, `webauth_...` for users, `@web_...` without a
   * sender. Returns how many connections got it. As all questions, it is rejected when two minutes brought no answer.
   */
  publish(pipe: string, data: unknown, options?: { event?: string }): Promise<number>;
  /** The last messages of a pipe's history, oldest first. */
  history<T = any>(pipe: string): Promise<Message<T>[]>;
  /** How many connections are subscribed to a `web_` or `track_` pipe. */
  count(pipe: string): Promise<number>;
  /** Who is subscribed to a `track_` pipe, one entry for each connection. */
  members(pipe: string): Promise<Member[]>;
  /** Joins a `track_` pipe and tells who is in it, now and after every change. */
  track(pipe: string, handler: (members: Member[]) => void): Promise<Subscription>;
  /** Tells when a user comes and goes. */
  watch(user: number, handler: (online: boolean) => void): Promise<Subscription>;
  /** Seconds since a user was here: 0 if it is here now, undefined if it never was. */
  lastSeen(user: number): Promise<number | undefined>;
  /** The public text of a user, which the backend puts into `users_data`. */
  userData(user: number): Promise<string>;
  /** Returns a function that ends it. */
  on<E extends keyof Events>(event: E, handler: (value: Events[E]) => void): () => void;
  /** Connects anew, now: instead of waiting for the next attempt, or after the server refused this page. */
  reconnect(): void;
  /** Ends the connection of this page. */
  close(): void;
}

/** One way of reaching the server. It opens a link and tells of it; it never comes back by itself. */
export type Transport = (address: Address, events: LinkEvents) => Link;

export interface Address {
  /** `http://` or `https://`, host and prefix, without a slash at the end. */
  base: string;
  /** Who connects: the fields of the WebSocket address, in their order. */
  fields: [name: string, value: string][];
}

export interface Link {
  /** One command of the protocol. */
  send(text: string): void;
  close(): void;
}

export interface LinkEvents {
  open(): void;
  /** One message of the protocol, as JSON. */
  text(text: string): void;
  /** This link cannot carry a command that it was given. */
  refuse(text: string, why: string): void;
  /** Once, unless `close` was called: a code of RFC 6455, whether the server said goodbye, and with which words. */
  close(code: number, clean: boolean, reason?: string): void;
}

/** Connects this page; everything that is asked before the connection is there waits for it. */
export declare const connect: (options?: Options) => Comet;
/** The ways to connect, for `Options.transports`. */
export declare const webSocket: Transport;
export declare const serverSentEvents: Transport;
export declare const longPolling: Transport;
