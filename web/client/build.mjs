// Builds the library: checks the types, then writes dist. Run by whoever changes src, after `npm install`; the result is
// committed, because the server embeds it and must build without Node. With `--check` it writes nothing, and fails if dist
// is not what src builds to.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
// What `npm install` put here, or scripts/test for the tests.
const tools = [here, join(here, "../../.test-deps/web")].find((folder) => existsSync(join(folder, "node_modules/esbuild")));
if (!tools) {
  console.error("esbuild and typescript are missing: npm install");
  process.exit(2);
}
const { build } = createRequire(join(tools, "package.json"))("esbuild");
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const banner = `/* Encke ${version}, MIT or Apache-2.0 */`;

execFileSync(join(tools, "node_modules/.bin/tsc"), ["--project", here], { stdio: "inherit" });
// Private members begin with an underscore and get short names, as do some that only this library sees; these do not.
const kept = /^_(cometApi_uuid|cometServerApi|tabSignal)$/;
// Numbers with a name stand where they are used: esbuild keeps a variable for each.
const numbers = {
  name: "numbers",
  setup: ({ onLoad }) =>
    onLoad({ filter: /\/src\/\w+\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const named = [...text.matchAll(/^const ([A-Z_]+) = ([\d_]+);$/gm)];
      return { loader: "ts", contents: named.reduce((rest, [line, name, value]) => rest.replace(line, "").replaceAll(new RegExp(`\\b${name}\\b`, "g"), value), text) };
    }),
};
const common = {
  plugins: [numbers],
  define: { CLASSIC: "false" },
  bundle: true, write: false, minify: true, target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning", mangleProps: /^_|^(again|bases|done|fail|hears|isConfirmed|isSubscription|isSubscribed|leader|leave|settle|take|taken|texts|told|until|subscribed|refused|wake|want)$/, reserveProps: kept };
// What `moving`, in one file, calls of `Connection` and `Leader`, in the others.
const shared = { _connection: "s", _events: "h", _settings: "b", _transports: "z", _node: "j", _wanted: "c", isConfirmed: "f", _confirmed: "q", want: "m", _leaving: "y", _knowing: "p", leave: "v" };
const external = ["./encke-http.js"];
const http = await build({
  ...common,
  mangleCache: { ...shared },
  entryPoints: [join(here, "src/http.ts")],
  outfile: join(here, "dist/encke-http.js"),
  format: "esm",
  banner: { js: banner },
});
const modern = await build({
  ...common,
  mangleCache: { ...shared },
  entryPoints: [join(here, "src/encke.ts")],
  outfile: join(here, "dist/encke.js"),
  external,
  format: "esm",
  banner: { js: banner },
});
const classic = await build({
  ...common,
  define: { CLASSIC: "true" },
  mangleCache: { ...shared },
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
const types = readFileSync(join(here, "src/api.ts"), "utf8").replace(/^\/\/.*\n\n/, "") + values;
const classicTypes = readFileSync(join(here, "src/classic-api.ts"), "utf8");
const files = [...modern.outputFiles, ...http.outputFiles, ...classic.outputFiles, { path: join(here, "dist/encke.d.ts"), text: types }, { path: join(here, "dist/CometServerApi.d.ts"), text: classicTypes }];
for (const { path, text } of files) {
  if (!process.argv.includes("--check")) {
    writeFileSync(path, text);
  } else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    console.error(`${basename(path)} is not what src builds to: npm run build`);
    process.exitCode = 1;
  }
}
