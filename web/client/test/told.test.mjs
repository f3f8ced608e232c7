// What the library tells: why there is no connection, what a page did wrong, and what goes to and fro.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { until, withServer } from "./fake.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const plain = (value) => JSON.parse(JSON.stringify(value));

test("every code is in the types and on the page that errors name", () => {
  const types = readFileSync(`${root}web/client/src/api.ts`, "utf8");
  const codes = [...types.slice(types.indexOf("type ErrorCode"), types.indexOf("/** What a subscriber gets")).matchAll(/\| "([\w-]+)"/g)].map(([, code]) => code);
  const page = readFileSync(`${root}docs/errors.md`, "utf8");
  const explained = [...page.matchAll(/^## ([\w-]+)$/gm)].map(([, code]) => code);
  assert.deepEqual(explained.sort(), codes.sort());
  assert.ok(codes.length > 15);
});

test("what nothing reads is told, and so is what is missing or wrong", withServer(async (server, browser) => {
  const tab = browser.open();
  const comet = tab.encke.connect({ userId: 5, key: undefined });
  assert.match(tab.errors[0], /^encke: unknown-option: userId\. See http:\/\/comet\.test\/docs\/errors#unknown-option$/);
  await comet.ready();
  await comet.subscribe("news", () => {}, { gpa: () => {} });
  await comet.publish("web_x", 1, "event");
  assert.match(tab.errors[1], /unknown-option: gpa/);
  assert.match(tab.errors[2], /unknown-option: 0/);
  for (const [code, ask] of [
    ["no-handler", () => comet.subscribe("news")],
    ["no-handler", () => comet.subscribe("news", {})],
    ["no-handler", () => comet.track("track_x")],
    ["no-handler", () => comet.watch(5)],
    ["no-handler", async () => comet.on("state")],
    ["bad-name", async () => comet.on("messages", () => {})],
    ["bad-name", () => comet.subscribe(undefined, () => {})],
    ["bad-name", () => comet.subscribe(17, () => {})],
    ["bad-name", () => comet.history(undefined)],
    ["bad-name", () => comet.subscribe("", () => {})],
    ["bad-name", () => comet.subscribe("a.b.c", () => {})],
    ["bad-name", () => comet.subscribe("news.a b", () => {})],
    ["bad-name", () => comet.publish("news", 1)],
    ["bad-name", () => comet.publish(undefined, 1)],
    ["bad-name", () => comet.publish(`web_${"x".repeat(61)}`, 1)],
    ["bad-name", () => comet.publish("web_x", 1, { event: "a b" })],
    ["bad-name", () => comet.history("sy s")],
    ["bad-name", () => comet.count("news")],
    ["bad-name", () => comet.members("web_x")],
    ["bad-name", () => comet.track("room", () => {})],
    ["bad-user", () => comet.watch("ann", () => {})],
    ["bad-user", () => comet.userData()],
    ["bad-user", () => comet.lastSeen(-1)],
    ["bad-message", () => comet.publish("web_x", 5n)],
    ["denied", () => comet.subscribe("private_x", () => {})],
    ["server", () => comet.publish("webauth_x", 1)],
  ]) {
    const failed = await ask().then(() => undefined, (error) => error);
    assert.equal(failed?.code, code, String(ask));
    await assert.rejects(ask(), (error) => {
      assert.match(error.message, new RegExp(`^encke: ${code}.*\\. See http://comet\\.test/docs/errors#${code}$`));
      // A pattern says nothing to people.
      assert.doesNotMatch(error.message, /\[\\w|\^|\\d/);
      return true;
    });
  }
  for (const options of [{ user: "guest" }, { dev: -1 }, { uuid: "a&b" }]) assert.throws(() => tab.encke.connect(options), { code: "bad-option" });
  // What proves somebody is never shown.
  assert.throws(() => tab.encke.connect({ key: "my secret" }), ({ code, message }) => code === "bad-option" && !/secret/.test(message));
  // 64 characters behind the sign that hides who sends.
  assert.equal(await comet.publish(`@web_${"x".repeat(60)}`, 1), 0);
}));

test("a state says why, and when it goes on", withServer(async (server, browser) => {
  const tabs = [browser.open(), browser.open()];
  const comets = tabs.map(({ encke }) => encke.connect());
  for (const comet of comets) await comet.ready();
  const told = comets.map((comet) => {
    const seen = [];
    comet.on("state", ({ state, reason, retryAt }) => seen.push([state, reason?.code, reason?.message, retryAt]));
    return seen;
  });
  const now = tabs[0].global.clock.now();
  server.up = false;
  server.drop(1012, true);
  for (const seen of told) {
    await until(() => seen.length >= 3);
    const [[state, code, message, retryAt], next, third] = seen;
    assert.deepEqual([state, code], ["reconnecting", "lost"]);
    assert.match(message, /^encke: lost: 1012/);
    assert.ok(retryAt >= now && retryAt < now + 10_000, `${retryAt - now} ms`);
    assert.deepEqual(next.slice(0, 2), ["reconnecting", "mixed-content"]);
    assert.ok(third[3] > next[3], "each attempt has a time of its own");
  }
  server.up = true;
  await until(() => comets.every(({ state }) => state === "connected"));
  assert.deepEqual(plain(told[1].at(-1)), ["connected", null, null, null]);
}));

test("reconnect does not wait, and tries again where the server refused", withServer(async (server, browser) => {
  const refused = { error: 423, data: { error: "pages of this origin may not connect" }, event: "error", pipe: "sys" };
  server.refused = refused;
  const tabs = [browser.open(), browser.open()];
  const comets = tabs.map(({ encke }) => encke.connect());
  const reasons = [];
  comets[1].on("state", ({ reason }) => reasons.push(reason?.code));
  for (const comet of comets) await until(() => comet.state === "refused");
  assert.ok(reasons.includes("refused"));
  server.refused = undefined;
  // From a tab that only follows.
  comets[1].reconnect();
  for (const comet of comets) await until(() => comet.state === "connected");
  const seen = [];
  for (const comet of comets) await comet.subscribe("news", ({ data }) => seen.push(data));
  server.publish("news", "e", "1");
  await until(() => seen.length === 2);
  // A connection that holds is exchanged for another one.
  const before = server.urls.length;
  comets[0].reconnect();
  await until(() => server.urls.length === before + 1);
  await comets[0].subscribe("more", () => {});
  assert.equal(server.sockets.size, 1);
  comets[0].close();
  comets[0].reconnect();
  assert.equal(comets[0].state, "closed");
}));

test("a page with https is told that the server needs it too", withServer(async (server, browser) => {
  const tab = browser.open();
  // As Chromium and Firefox have it.
  tab.global.WebSocket = class {
    constructor() {
      throw new Error("An insecure WebSocket connection may not be initiated from a page loaded over HTTPS.");
    }
  };
  const states = [];
  const comet = tab.encke.connect({ url: "http://comet.test", shared: false });
  comet.on("state", ({ state, reason }) => states.push([state, reason?.code]));
  await assert.rejects(comet.ready(), { code: "refused" });
  assert.match(tab.errors[0], /^encke: mixed-content: http:\/\/comet\.test\./);
  const other = browser.open();
  other.global.WebSocket = tab.global.WebSocket;
  const local = other.encke.connect({ url: "http://localhost:8087", shared: false });
  await assert.rejects(local.ready(), { code: "refused" });
  assert.match(other.errors[0], /^encke: blocked: Error: An insecure/);
}));

test("outside a browser nothing is done, and that is said", withServer(async (server, browser) => {
  for (const open of ["open", "openClassic"]) {
    const program = browser[open]({ page: false, program: true, https: false });
    const before = server.urls.length;
    if (open === "open") {
      for (const options of [undefined, { url: "http://comet.test" }]) {
        const comet = program.encke.connect(options);
        assert.equal(comet.state, "closed");
        for (const ask of [() => comet.ready(), () => comet.subscribe("news", () => {}), () => comet.count("web_x")]) await assert.rejects(ask(), { code: "closed" });
        comet.reconnect();
        comet.close();
      }
    } else {
      assert.equal(program.global.cometApi.start({ node: "comet.test" }), true);
      program.global.cometApi.subscription("news", () => {});
      assert.equal(program.global.cometApi.stop(), true);
    }
    assert.match(program.errors[0], /no-browser/);
    assert.equal(server.urls.length, before);
  }
}));

test("what goes to and fro is written where somebody wants to see it, without the key", withServer(async (server, browser) => {
  const tab = browser.open({ https: false });
  const comet = tab.encke.connect({ url: "comet.test", user: 5, key: "key5", debug: true });
  await comet.publish("web_x", "hello");
  const log = tab.logged.join("\n");
  for (const part of [/encke: connecting http:\/\/comet\.test/, /encke: -> web_pipe2\nweb_x/, /encke: <- .*serverInfo/, /encke: connected/]) assert.match(log, part);
  const silent = browser.open({ https: false });
  await silent.encke.connect({ url: "comet.test" }).ready();
  assert.deepEqual(silent.logged, []);
  browser.stored.set("comet_debug", "1");
  const asked = browser.open({ https: false });
  await asked.encke.connect({ url: "comet.test" }).ready();
  assert.ok(asked.logged.length > 1);
}));
