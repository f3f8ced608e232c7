// The library runs in the browsers that docs/browsers.md promises: no syntax that they do not have, no newer function.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { built } from "./fake.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const tools = [`${root}web/client`, `${root}.test-deps/web`].find((folder) => existsSync(`${folder}/node_modules/esbuild`));
const page = readFileSync(`${root}docs/browsers.md`, "utf8");

/** What the page promises, as esbuild names it. */
function promised() {
  const version = (name) => new RegExp(`^\\| ${name}[^|]*\\| ([\\d.]+)`, "m").exec(page)?.[1] ?? assert.fail(`docs/browsers.md promises no ${name}`);
  const chrome = version("Chrome");
  return [`chrome${chrome}`, `edge${chrome}`, `firefox${version("Firefox")}`, `safari${version("Safari")}`, `opera${version("Opera")}`];
}

/** What came later, each with the first version of the browser that had it last. */
const NEWER = {
  "AbortSignal.any": "Safari 17.4", "AbortSignal.timeout": "Chrome 103", "Array.fromAsync": "Chrome 121", CompressionStream: "Safari 16.4",
  "Object.groupBy": "Chrome 117", "Object.hasOwn": "Chrome 93", "Promise.withResolvers": "Chrome 119", "cause:": "Chrome 93", findLast: "Chrome 97",
  "crypto.randomUUID": "Chrome 92", requestIdleCallback: "never in Safari", "scheduler.": "Chrome 94", structuredClone: "Chrome 98", toSorted: "Chrome 110",
};

for (const name of ["encke.js", "CometServerApi.js"]) {
  test(`${name} has no syntax that the promised browsers lack`, (t) => {
    if (!tools) {
      assert.ok(!(process.env.ENCKE_TESTS_REQUIRE ?? "").split(" ").includes("web-tools"), "this must run, but esbuild is not installed");
      return t.skip("esbuild is not installed");
    }
    const { transformSync } = createRequire(`${tools}/package.json`)("esbuild");
    const text = built(name);
    const written = (target) => transformSync(text, { target, minify: true, logLevel: "silent" }).code;
    const newest = written("esnext");
    // What a browser lacks would be written in other words for it.
    for (const target of promised()) assert.ok(written(target) === newest, `${target} lacks something that ${name} uses`);
  });

  test(`${name} calls nothing that the promised browsers lack`, () => {
    const text = built(name);
    for (const [call, since] of Object.entries(NEWER)) assert.ok(!text.includes(call), `${call} is there since ${since} only`);
  });
}
