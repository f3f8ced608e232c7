// Words of the browser protocol: addresses, names, positions, messages. Pure; see docs/javascript-protocol.md.

import type { Address, Message } from "./api.ts";

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
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

export function randomText(length: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => LETTERS[byte % 64]).join("");
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

/** `host`, `ws://host` or `https://host/prefix/` to `https://host/prefix`. */
export function baseOf(url: string, secure: boolean): string {
  const full = /^\w+:\/\//.test(url) ? url.replace(/^ws/, "http") : `http${secure ? "s" : ""}://${url}`;
  return full.replace(/[?#].*$/, "").replace(/\/+(ws\/?)?$/, "");
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

export const isPipe = (name: string) => /^[\w-]{2,64}$/.test(name);

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

export function messageOf(wire: Wire): Message {
  const { pipe = "msg", event = "", data, user_id, message_send_time, position } = wire;
  const text = typeof data === "string" ? data : JSON.stringify(data);
  const parsed = typeof data === "string" ? parseJson(data) : data;
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

export function subscribedOf(wire: Wire): Subscribed | undefined {
  return wire.pipe === "sys" && wire.event === "subscribed" ? wire.data : undefined;
}
