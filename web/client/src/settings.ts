// From what a page says to what a connection needs.

import type { Options } from "./api.ts";
import { type Settings, baseOf, ownId } from "./protocol.ts";

export function settingsOf({ url, user, key, dev, uuid }: Options, home: string): Settings {
  const urls = url === undefined ? [home] : typeof url === "string" ? [url] : url;
  if (!urls[0]) throw new Error("encke: outside a page the option url is needed, such as https://comet.example");
  return {
    bases: urls.map(baseOf),
    user: valid("the option user", user ?? "", /^\d{0,18}$/),
    key: valid("the option key", key ?? "", /^[\w+/=.~-]{0,600}$/),
    dev: valid("the option dev", dev ?? "", /^\d{0,18}$/) || "0",
    uuid: valid("the option uuid", uuid ?? "", /^[!-%'-~]{0,32}$/) || ownId(),
  };
}

/** A value as a text, if it has this form. */
export function valid(what: string, value: unknown, form: RegExp, hint = ""): string {
  if (form.test(String(value))) return String(value);
  throw new Error(`encke: ${what} cannot be ${JSON.stringify(value)}${hint}`);
}

/** The server that a script came from, if it came under its name. */
export function homeOf(script = ""): string {
  return /^(https?:.*?)\/(api\/)?(encke|CometServerApi)\.js/.exec(script)?.[1] ?? globalThis.location?.host ?? "";
}
