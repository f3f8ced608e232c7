// Words of the browser protocol: addresses, names, positions, messages. See docs/javascript-protocol.md.

import type { Address, CometError, ErrorCode, Message } from "./api.ts";

/** What the server says, as it comes. */
export interface Wire {
  pipe?: string;
  event?: string;
  data?: any;
  user_id?: number;
  message_send_time?: number;
  position?: string;
  marker?: string;
  fromQueue?: boolean;
  history?: boolean;
  authorized?: boolean;
  error?: number;
  uuid?: string;
}

/** Who connects, and where to. */
export interface Settings {
  bases: string[];
  user: string;
  key: string;
  dev: string;
  uuid: string;
  /** Where what goes to and fro is written, if it is. */
  log?: (...words: unknown[]) => void;
}

/** A failure as it goes from tab to tab: its code and what is said besides. */
export type Told = [code: ErrorCode, what?: unknown];

/** The server that explains errors. */
export const help = { _at: "" };

export class Failure extends Error implements CometError {
  readonly code;

  constructor(...told: Told) {
    const [code] = told;
    super(`encke: ${told.join(": ")}. See ${help._at}/docs/errors#${code}`);
    this.code = code;
  }
}

export const complain = (...told: Told) => console.error(new Failure(...told).message);

/** Of `A-Z a-z 0-9 -`. */
export function randomText(length: number): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(length)))).replace(/\W/g, "-").slice(0, length);
}

/** What the browser keeps by a name, as far as it lets this page keep anything; with a value that is kept from now on. */
export function stored(key: string, value?: string): string | null | undefined {
  try {
    if (value !== undefined) localStorage.setItem(key, value);
    return localStorage.getItem(key);
  } catch {
    return value;
  }
}

export function ownId(): string {
  const key = "comet_server_uuid";
  const kept = stored(key);
  return kept && /^[\w-]{1,32}$/.test(kept) ? kept : stored(key, randomText(32))!;
}

/** Whether this is a page or a worker, and no program. */
export const isBrowser = () => globalThis.document || (globalThis as any).WorkerGlobalScope;

/** Workers and programs have no page, and Node has no location at all. */
export const isSecure = () => globalThis.location?.protocol === "https:";

/** `host`, `ws://host` or `https://host/prefix/` to `https://host/prefix`. */
export function baseOf(url: string): string {
  const full = /^\w+:\/\//.test(url) ? url.replace(/^ws/, "http") : `http${isSecure() ? "s" : ""}://${url}`;
  return full.replace(/\/*(\/ws\/?)?([?#].*)?$/, "");
}

export function addressOf(settings: Settings, node: number): Address {
  const { bases, key, user, dev, uuid } = settings;
  return {
    base: bases[node % bases.length],
    fields: [["sesion", key], ["myid", user], ["devid", dev], ["v", "4.10"], ["uuid", uuid], ["api", "js2"]],
  };
}

export function socketUrl({ base, fields }: Address): string {
  // The server decodes nothing in this address.
  return `${base.replace(/^http/, "ws")}/ws/${fields.map((field) => field.join("=")).join("&")}`;
}

/** The names that only the server says something under; no page subscribes to them. */
export const isServers = (pipe = "msg") => /^(sys$|msg$|_answer)/.test(pipe);

export const isPipe = (name: string) => /^[\w-]{2,64}$/.test(name) && !isServers(name);

/** Whether the server itself says this. An event alone proves nothing: whoever publishes chooses it. */
export const isSys = (wire: Wire, event: string) => wire.pipe === "sys" && wire.event === event;

/** Whether a position is behind another. They are decimal numbers that JavaScript would round. */
export function isAfter(one: string, other: string): boolean {
  return one.length === other.length ? one > other : one.length > other.length;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Begins or ends listening, where there is something to listen to. */
export function listen(how: "add" | "remove", target: any, handlers: Record<string, unknown>) {
  for (const name in handlers) target?.[`${how}EventListener`]?.(name, handlers[name]);
}

/** Why nothing can be asked in this state. */
export const ended = (state: string | undefined): Told | undefined => (/^(ref|clo)/.test(state!) ? [state as ErrorCode] : undefined);

/** What was published is a text; what the server says itself may be a value. */
export const textOf = (data: any): string => (typeof data === "string" ? data : JSON.stringify(data));

export function messageOf(wire: Wire): Message {
  const { pipe = "msg", event = "", data, user_id, message_send_time, position } = wire;
  const text = textOf(data);
  const parsed = parseJson(text);
  return {
    pipe,
    event,
    data: parsed === undefined ? data : parsed,
    text,
    user: user_id,
    time: message_send_time,
    position,
    late: !!wire.fromQueue,
  };
}

/** What the server said of a pipe that is subscribed from now on. */
export interface Subscribed {
  pipe: string;
  position: string | null;
  recovered?: boolean;
}

/** Where a pipe is after this word of the server. */
export function reachedOf({ position, recovered }: Subscribed, last: string | null | undefined): string | null {
  return recovered !== false && position && last && isAfter(last, position) ? last : position;
}

export function subscribedOf(wire: Wire): Subscribed | undefined {
  return isSys(wire, "subscribed") ? wire.data : undefined;
}
