// Several tabs of a browser: the one that has the connection stands still, or may not share it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { PATIENCE_MS, until, withWorld } from "./world.mjs";

const KEY = "a1".repeat(16);

/** Tabs of one person, subscribed to a pipe with history and one without. */
async function open(world, count) {
  const { server } = world;
  await server.query("INSERT INTO users_auth (id, hash) VALUES (5, ?)", [KEY]);
  await server.keep("kept");
  const person = await world.person();
  const tabs = [];
  for (let index = 0; index < count; index++) {
    const page = await world.page("/demo/", person);
    await page.evaluate(async (key) => {
      const { connect } = await import(new URL("/encke.js", location.href).href);
      Object.assign(window, { seen: [], gaps: 0, mail: [], states: [] });
      window.comet = connect({ user: 5, key });
      window.comet.on("state", ({ state }) => window.states.push(state));
      window.comet.on("personal", ({ data }) => window.mail.push(data));
      await window.comet.subscribe("kept", ({ data }) => window.seen.push(data.number));
      await window.comet.subscribe("loose", () => {}, { gap: () => (window.gaps += 1) });
    }, KEY);
    tabs.push(page);
  }
  return tabs;
}

const leads = (page) => page.evaluate(() => window.comet.leading);
const seen = (page) => page.evaluate(() => window.seen);
const mail = (page) => page.evaluate(() => window.mail);
const send = (server, text) => server.query("INSERT INTO users_messages (id, event, message) VALUES (5, 'mail', ?)", [JSON.stringify(text)]);
const connections = async (server) => (await server.query("SHOW FULL PROCESSLIST")).filter(({ User }) => User !== "root").length;

/** Each: how a tab begins to stand still beside another one, and what ends that. */
const STANDSTILLS = {
  "shows a dialog": async (page) => {
    const shown = new Promise((done) => page.once("dialog", done));
    // Its answer comes when the dialog is over.
    const over = page.evaluate(() => alert("Please read this"));
    over.catch(() => {});
    const dialog = await shown;
    return async () => (await dialog.accept(), await over);
  },
  "is stopped by a debugger": async (page) => {
    const browser = await page.context().newCDPSession(page);
    await browser.send("Debugger.enable");
    const stopped = new Promise((done) => browser.once("Debugger.paused", done));
    await browser.send("Debugger.pause");
    await stopped;
    return () => browser.send("Debugger.disable");
  },
  "is in a long loop": async (page, other) => {
    // Until another page of this site, which has another process, says so.
    const over = page.evaluate((limit) => {
      document.cookie = "stands=1";
      const end = Date.now() + limit;
      while (Date.now() < end && !document.cookie.includes("go_on=1"));
    }, PATIENCE_MS);
    over.catch(() => {});
    await until(() => other.evaluate(() => document.cookie.includes("stands=1")));
    return async () => (await other.evaluate(() => (document.cookie = "go_on=1")), await over);
  },
};

for (const [what, stand] of Object.entries(STANDSTILLS)) {
  test(`the tab with the connection ${what}: another one takes over, nothing is lost or doubled`, withWorld(async (world) => {
    const { server, t } = world;
    const [first, ...others] = await open(world, 3);
    assert.deepEqual(await Promise.all([first, ...others].map(leads)), [true, false, false]);
    assert.equal(await connections(server), 1);
    const goOn = await stand(first, others[0]);
    const begun = Date.now();
    await server.publish("kept", { number: 1 });
    await send(server, "while nobody noticed");
    await until(async () => (await Promise.all(others.map(leads))).includes(true), "another tab takes over");
    await until(async () => (await Promise.all(others.map(seen))).every(({ length }) => length === 1));
    t.diagnostic(`medians: taken over and caught up in ${Date.now() - begun} ms`);
    // In those seconds the state told the truth.
    for (const page of others) {
      await until(() => page.evaluate(() => window.comet.state === "connected"));
      assert.match((await page.evaluate(() => window.states)).join(), /connected,(re)?connecting,.*connected$/);
      await until(() => page.evaluate(() => window.gaps === 1), "a gap is told where nothing is kept");
    }
    await send(server, "to both connections");
    await server.publish("kept", { number: 2 });
    await until(async () => (await Promise.all(others.map(mail))).every((one) => one.includes("to both connections")));
    assert.equal(await others[0].evaluate(() => window.comet.publish("web_room", "x")), 0);
    await goOn();
    await until(async () => !(await leads(first)) && (await connections(server)) === 1, "the first tab follows");
    await server.publish("kept", { number: 3 });
    await send(server, "the last one");
    for (const page of [first, ...others]) {
      await until(async () => (await seen(page)).at(-1) === 3 && (await mail(page)).includes("the last one"));
      await until(async () => (await mail(page)).length === 3);
      assert.deepEqual(await seen(page), [1, 2, 3]);
      assert.deepEqual((await mail(page)).sort(), ["the last one", "to both connections", "while nobody noticed"]);
      assert.equal(await page.evaluate(() => window.comet.state), "connected");
    }
  }));
}

test("a frame without an origin and a worker have connections of their own", withWorld(async (world) => {
  const { server } = world;
  const frame = `<script type="module">
    import { connect } from "${server.url}/encke.js";
    const comet = connect();
    await comet.subscribe("news", ({ data }) => parent.postMessage(data.number, "*"));
  </script>`;
  const worker = `
    import { connect } from "${server.url}/encke.js";
    const comet = connect();
    await comet.subscribe("news", ({ data }) => postMessage(data.number));`;
  const html = `<!doctype html><html lang="en"><title>Elsewhere</title><iframe sandbox="allow-scripts" srcdoc='${frame}'></iframe><script>
    window.seen = [];
    onmessage = ({ data }) => window.seen.push(["frame", data]);
    new Worker("worker.js", { type: "module" }).onmessage = ({ data }) => window.seen.push(["worker", data]);
  </script>`;
  const site = createServer(({ url }, answer) => {
    const isWorker = url === "/worker.js";
    answer.setHeader("Content-Type", isWorker ? "text/javascript" : "text/html").end(isWorker ? worker : html);
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  world.closing.push(() => new Promise((done) => (site.close(done), site.closeAllConnections())));
  const page = await world.page(`http://localhost:${site.address().port}/`, await world.person({ complains: /favicon/ }));
  await server.awaitSubscribers("news", 2);
  await server.publish("news", { number: 1 });
  await until(async () => (await seen(page)).length === 2);
  assert.deepEqual((await seen(page)).sort(), [["frame", 1], ["worker", 1]]);
}));

test("a program in Node uses the module as it is", withWorld(async (world) => {
  const { server } = world;
  const { connect, longPolling, webSocket } = await import(new URL("../client/dist/encke.js", import.meta.url).href);
  // As where an application renders its pages.
  for (const options of [{}, { url: server.url }]) await assert.rejects(connect(options).ready(), { code: "closed" });
  const comet = connect({ url: server.url, transports: [globalThis.WebSocket ? webSocket : longPolling] });
  world.closing.push(() => comet.close());
  const numbers = [];
  await comet.subscribe("news", ({ data }) => numbers.push(data.number));
  await server.publish("news", { number: 1 });
  await until(() => numbers.length === 1);
  assert.equal(await comet.publish("web_room", "from Node"), 0);
}));
