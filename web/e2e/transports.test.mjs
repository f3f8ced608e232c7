// The ways to connect, forced one by one against the real server, and what takes over where WebSocket is blocked.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { until, withWorld } from "./world.mjs";

const AWAY = /WebSocket|ERR_|encke: no-connection|410/;

/** Connects with this transport only, or with the library's own choice, and notes what comes. */
async function connect(page, transport) {
  await page.evaluate(async (transport) => {
    const library = await import(new URL("/encke.js", location.href).href);
    window.seen = [];
    window.gaps = [];
    window.comet = library.connect({ url: location.origin, transports: transport && [library[transport]] });
    window.comet.on("gap", ({ pipe }) => window.gaps.push(pipe));
    await window.comet.subscribe("kept", ({ data }) => window.seen.push(data.number));
  }, transport);
}

const seen = (page) => page.evaluate(() => window.seen);

function used(page) {
  const ways = new Set();
  page.on("websocket", () => ways.add("webSocket"));
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname === "/sse") ways.add("serverSentEvents");
    if (pathname.startsWith("/poll")) ways.add("longPolling");
  });
  return ways;
}

for (const transport of ["webSocket", "serverSentEvents", "longPolling"]) {
  test(`${transport} receives, and recovers`, withWorld(async (world) => {
    const { server } = world;
    await server.keep("kept");
    const line = await world.line();
    const page = await world.page(`${line.url}/demo/`, await world.person({ complains: AWAY }));
    const ways = used(page);
    await connect(page, transport);
    await server.publish("kept", { number: 1 });
    await until(async () => (await seen(page)).length === 1);
    line.cut();
    await until(() => page.evaluate(() => window.comet.state === "reconnecting"), "the loss is noticed");
    await server.publish("kept", { number: 2 });
    line.mend();
    await until(async () => (await seen(page)).length === 2);
    await server.publish("kept", { number: 3 });
    await until(async () => (await seen(page)).length === 3);
    assert.deepEqual(await seen(page), [1, 2, 3]);
    assert.deepEqual(await page.evaluate(() => window.gaps), []);
    assert.deepEqual([...ways], [transport]);

    const published = await page.evaluate(() => window.comet.publish("web_room", { text: "x" }).catch(({ message }) => message));
    if (transport === "serverSentEvents") assert.match(published, /only receive/);
    else assert.equal(published, 0);
  }));
}

test("where WebSocket is blocked long polling takes over", withWorld(async (world) => {
  const { server } = world;
  await server.keep("kept");
  const line = await world.line({ blocks: "GET /ws/" });
  const page = await world.page(`${line.url}/demo/`, await world.person({ complains: AWAY }));
  const ways = used(page);
  await connect(page);
  assert.deepEqual([...ways], ["webSocket", "longPolling"]);
  await server.publish("kept", { number: 1 });
  await until(async () => (await seen(page)).length === 1);
}));

test("the classic script goes over to long polling as well, also from another site's page", withWorld(async (world) => {
  const { server } = world;
  const line = await world.line({ blocks: "GET /ws/" });
  const site = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>Elsewhere</title>"));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  world.closing.push(() => new Promise((done) => (site.close(done), site.closeAllConnections())));
  const page = await world.page(`http://localhost:${site.address().port}/`, await world.person({ complains: AWAY }));
  const ways = used(page);
  await page.addScriptTag({ url: `${line.url}/CometServerApi.js` });
  await page.evaluate(() => {
    window.seen = [];
    cometApi.subscription("web_room", ({ data }) => window.seen.push(data.number));
    cometApi.start({ dev_id: 0 });
  });
  await server.awaitSubscribers("web_room", 1);
  assert.deepEqual([...ways], ["webSocket", "longPolling"]);
  await server.publish("web_room", { number: 1 });
  await until(async () => (await seen(page)).length === 1);
}));

test("time to the first message", withWorld(async (world) => {
  const { server, t } = world;
  const page = await world.page("/demo/");
  const [loaded, subscribed] = [[], []];
  for (let count = 0; count < 11; count++) {
    await page.reload();
    const times = await page.evaluate(async () => {
      const begun = performance.now();
      const { connect } = await import(new URL("/encke.js", location.href).href);
      const loaded = performance.now();
      window.arrivals = [];
      const comet = connect({ url: location.origin });
      await comet.subscribe("first", () => window.arrivals.push(Date.now()));
      return [loaded - begun, performance.now() - loaded];
    });
    loaded.push(times[0]);
    subscribed.push(times[1]);
  }
  const latencies = [];
  for (let count = 1; count <= 50; count++) {
    const sent = Date.now();
    await server.publish("first", { count });
    await until(async () => (await page.evaluate(() => window.arrivals.length)) === count);
    latencies.push((await page.evaluate(() => window.arrivals.at(-1))) - sent);
  }
  const shown = (values) => {
    values.sort((one, other) => one - other);
    return `${values[values.length >> 1].toFixed(1)} ms (${values[0].toFixed(1)} to ${values.at(-1).toFixed(1)})`;
  };
  t.diagnostic(`medians: library loaded ${shown(loaded)}, subscribed ${shown(subscribed)} later, from INSERT to handler ${shown(latencies)}`);
}));
