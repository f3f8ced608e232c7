// What is committed and what npm would pack.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { built } from "./fake.mjs";

const folder = fileURLToPath(new URL("../", import.meta.url));
const { dependencies = {}, peerDependencies = {} } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));

/** Skips the test; where the caller has provided what is missing (`ENCKE_TESTS_REQUIRE`), that is a mistake. */
function skip(t, need, why) {
  assert.ok(!(process.env.ENCKE_TESTS_REQUIRE ?? "").split(" ").includes(need), `this must run, but ${why}`);
  t.skip(why);
}

// The classic script has the functions of two libraries; see BENCHMARKS.md.
for (const [name, bytes_max, imports] of [
  ["encke.js", 8_448, ['import("./encke-http.js")']],
  ["CometServerApi.js", 10_240, ["import(`${e}/encke-http.js`)"]],
  ["encke-http.js", 2_048, []],
]) {
  test(`${name} has less than ${bytes_max} bytes and needs nothing else`, (t) => {
    const text = built(name);
    const bytes = gzipSync(text, { level: 9 }).length;
    t.diagnostic(`${name}: ${text.length} bytes, ${bytes} with gzip, ${Object.keys(dependencies).length} dependencies`);
    assert.ok(bytes < bytes_max, `${bytes} bytes`);
    assert.deepEqual({ ...dependencies, ...peerDependencies }, {});
    assert.doesNotMatch(text, /\beval\b|new Function|jscode|\bimport\s*["'{]|require\(/);
    // Nothing but its own other part, and that only when it is needed.
    assert.deepEqual((text.match(/\bimport\([^)]*\)/g) ?? []).map((one) => one.replace(/\$\{\w+\}/, "${e}")), imports);
  });
}

const installed = [`${folder}node_modules`, `${folder}../../.test-deps/web/node_modules`];

test("dist is what src builds to", (t) => {
  if (!installed.some((place) => existsSync(`${place}/esbuild`))) return skip(t, "web-tools", "esbuild and typescript are not installed");
  const { status, stderr, stdout } = spawnSync(process.execPath, [`${folder}build.mjs`, "--check"], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

test("programs are checked by the types of both", (t) => {
  const tools = installed.find((place) => existsSync(`${place}/.bin/tsc`));
  if (!tools) return skip(t, "web-tools", "typescript is not installed");
  const here = mkdtempSync(`${tmpdir()}/encke-types-`);
  const program = `import { connect, type CometError, type Status } from "${folder}dist/encke.js";
import type { ClassicOptions } from "${folder}dist/CometServerApi.js";
const comet = connect({ user: 5, debug: true });
comet.on("state", ({ state, reason, retryAt }: Status) => console.log(state, reason?.code === "lost", (retryAt ?? 0) + 1));
comet.subscribe<{ id: number }>("news", ({ data }) => console.log(data.id)).catch((error: CometError) => console.log(error.code === "denied"));
// @ts-expect-error
connect({ userId: 5 });
// @ts-expect-error
comet.on("error", ({ code }) => console.log(code === "no-such-code"));
const options: ClassicOptions = { node: "comet.example", user_id: 5 };
cometApi.start(options);
const id = cometApi.subscription("news.added", ({ data, server_info }) => console.log(data, server_info.pipe));
if (id) cometApi.unsubscription(id);
new cometServerApi({ dev_id: 1 }).web_pipe_send("web_x", { text: "hi" });
// @ts-expect-error
cometApi.subscribe("news");
`;
  writeFileSync(`${here}/program.ts`, program);
  const wanted = ["--ignoreConfig", "--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022", "--types", ""];
  const { status, stdout } = spawnSync(`${tools}/.bin/tsc`, [...wanted, `${here}/program.ts`], { encoding: "utf8" });
  rmSync(here, { recursive: true });
  assert.equal(status, 0, stdout);
});

test("npm packs the library and its types", (t) => {
  // From the folder, without a network, without running anything.
  const packed = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--offline"], { cwd: folder, encoding: "utf8" });
  if (packed.error) return skip(t, "npm", "npm is not installed");
  assert.equal(packed.status, 0, packed.stderr);
  const [{ files }] = [JSON.parse(packed.stdout)].flat().flatMap((one) => (one.files ? one : Object.values(one)));
  assert.deepEqual(files.map(({ path }) => path).sort(), ["README.md", "dist/CometServerApi.d.ts", "dist/CometServerApi.js", "dist/encke-http.js", "dist/encke.d.ts", "dist/encke.js", "package.json"]);
});
