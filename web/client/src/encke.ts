import type { Comet, Options } from "./api.ts";
import { Client } from "./comet.ts";
import { homeOf } from "./settings.ts";
import { loaded, webSocket } from "./transport.ts";

// Beside this file, by a name that bundlers understand.
const load = () => import("./encke-http.js" as string);

export const longPolling = loaded("longPolling", load);
export const serverSentEvents = loaded("serverSentEvents", load);
export { webSocket };

// Older versions of Node have none.
const WAYS = globalThis.WebSocket ? [webSocket, longPolling] : [longPolling];

/** Connects this page; everything that is asked before the connection is there waits for it. */
export const connect = (options: Options = {}): Comet => new Client(options, WAYS, homeOf(import.meta.url));
