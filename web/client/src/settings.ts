// From what a page says to what a connection needs.

import type { ErrorCode, Options } from "./api.ts";
import { Failure, type Settings, baseOf, complain, help, ownId, stored } from "./protocol.ts";

/** Without any address outside a page. */
export function settingsOf({ url, user, key, dev, uuid, debug, shared: _, transports: __, ...rest }: Options, home: string): Settings {
  const bases = ([] as string[]).concat(url ?? home).filter(Boolean).map(baseOf);
  help._at = bases[0] ?? "";
  unread(rest);
  const option = (name: string, value: unknown, form: RegExp, shown = value) => valid("bad-option", name, value, form, shown);
  return {
    bases,
    user: option("user", user, /^\d{0,18}$/),
    // Nothing of it is shown.
    key: option("key", key, /^[!"$%'-~]{0,600}$/, "…"),
    dev: option("dev", dev, /^\d{0,18}$/) || "0",
    uuid: option("uuid", uuid, /^[!"$%'-~]{0,32}$/) || ownId(),
    log: debug || stored("comet_debug") ? (...words) => console.log("encke:", ...words) : undefined,
  };
}

/** A value as a text, if it has this form. */
export function valid(code: ErrorCode, what: string, value: unknown, form: RegExp, shown = value): string {
  const text = String(value ?? "");
  if (form.test(text)) return text;
  throw new Failure(code, `${what} "${String(shown)}"`);
}

/** Warns of options that nothing reads. */
export function unread(rest: object) {
  for (const name in rest) complain("unknown-option", name);
}

/** The server that a script came from, if it came under its name. */
export function homeOf(script = ""): string {
  return /^(https?:.*?)\/(api\/)?(encke|CometServerApi)\.js/.exec(script)?.[1] ?? globalThis.location?.host ?? "";
}
