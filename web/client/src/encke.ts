import type { Comet, Options } from "./api.ts";
import { Client } from "./comet.ts";
import { homeOf } from "./settings.ts";

export { longPolling, serverSentEvents, webSocket } from "./transport.ts";

/** Connects this page; everything that is asked before the connection is there waits for it. */
export const connect = (options: Options = {}): Comet => new Client(options, homeOf(import.meta.url));
