// From what a page says to what a connection needs.

import type { Options } from "./api.ts";
import { type Settings, baseOf, ownId } from "./protocol.ts";

const isSecure = () => location.protocol === "https:";

export function settingsOf({ url, user, key, dev, uuid }: Options, home: string): Settings {
  const urls = url === undefined ? [home] : typeof url === "string" ? [url] : url;
  return {
    bases: urls.map((one) => baseOf(one, isSecure())),
    user: text("user", user, /^\d{1,18}$/),
    key: text("key", key, /^[\w+/=.~-]{1,600}$/),
    dev: text("dev", dev, /^\d{1,18}$/) || "0",
    uuid: text("uuid", uuid, /^[!-%'-~]{1,32}$/) || ownId(),
  };
}

function text(name: string, value: unknown, pattern: RegExp): string {
  if (value === undefined || value === null || value === "") return "";
  if (pattern.test(String(value))) return String(value);
  throw new Error(`encke: the option ${name} cannot be ${JSON.stringify(value)}`);
}

/** The server that a script came from, if it came under its name. */
export function homeOf(script = ""): string {
  return /^(https?:.*?)\/(api\/)?(encke|CometServerApi)\.js/.exec(script)?.[1] ?? location.host;
}
