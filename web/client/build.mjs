// Builds the library: checks the types, then writes dist. Run by whoever changes src, after `npm install`; the result is
// committed, because the server embeds it and must build without Node.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const banner = `/* Encke ${version}, MIT or Apache-2.0 */`;

execFileSync(join(here, "node_modules/.bin/tsc"), ["--project", here], { stdio: "inherit" });
// Private members begin with an underscore and get short names, as do some that only this library sees; these do not.
const kept = /^_(cometApi_uuid|cometServerApi|tabSignal)$/;
const common = { bundle: true, minify: true, target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning", mangleProps: /^_|^(again|bases|hears|isConfirmed|isSubscription|isTaken|texts|subscribed|refused)$/, reserveProps: kept };
await build({
  ...common,
  entryPoints: [join(here, "src/encke.ts")],
  outfile: join(here, "dist/encke.js"),
  format: "esm",
  banner: { js: banner },
});
await build({
  ...common,
  entryPoints: [join(here, "src/classic.ts")],
  outfile: join(here, "dist/CometServerApi.js"),
  format: "iife",
  banner: { js: banner },
});
const values = `
/** Connects this page; everything that is asked before the connection is there waits for it. */
export declare const connect: (options?: Options) => Comet;
/** The ways to connect, for \`Options.transports\`. */
export declare const webSocket: Transport;
export declare const serverSentEvents: Transport;
export declare const longPolling: Transport;
`;
writeFileSync(join(here, "dist/encke.d.ts"), readFileSync(join(here, "src/api.ts"), "utf8").replace(/^\/\/.*\n\n/, "") + values);
