// A server that sends its pages elsewhere: they go, by whichever way they are connected, and miss nothing.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { test } from "node:test";
import { promisify } from "node:util";
import { Server, root, until, withWorld } from "./world.mjs";

/** Pages of the crowd, and seconds. */
const [CROWD, OVER] = [800, 4];

test("a crowd goes from one server to another", async (t) => {
  const line = ["--experimental-websocket", "web/e2e/drain.mjs", String(CROWD), String(OVER)];
  // How many come in a second is for a machine that has nothing else to do.
  const { stdout } = await promisify(execFile)(process.execPath, line, { cwd: root }).catch((error) => (error.code === 1 && error.stdout ? error : Promise.reject(error)));
  const found = JSON.parse(stdout.split("\n")[0]);
  t.diagnostic(stdout);
  assert.deepEqual([found.lost, found.doubled, found.gaps], [0, 0, 0]);
  assert.deepEqual(found.states, ["connected", "closed"], "nobody is told of it");
  assert.deepEqual([found.ready, found.health], [[503, 200], 200]);
});

const seen = (page) => page.evaluate(() => window.seen);

for (const transport of ["webSocket", "longPolling", "serverSentEvents"]) {
  test(`a page of ${transport} moves without a gap`, withWorld(async (world) => {
    const { server } = world;
    const next = new Server();
    world.closing.push(() => next.end());
    await next.start();
    // To the next one first: what a page has of the first server is behind it.
    const publish = async (number) => {
      for (const one of [next, server]) for (const pipe of ["kept", "loose"]) await one.publish(pipe, { pipe, number });
    };
    for (const one of [server, next]) await one.keep("kept");
    // Not a page of the server: those may connect to no other one but by WebSocket.
    const site = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<!doctype html><title>Elsewhere</title>"));
    await new Promise((done) => site.listen(0, "127.0.0.1", done));
    world.closing.push(() => new Promise((done) => (site.close(done), site.closeAllConnections())));
    const page = await world.page(`http://localhost:${site.address().port}/`, await world.person({ complains: /ERR_|503|404|410/ }));
    await page.evaluate(async ([urls, transport]) => {
      const library = await import(`${urls[0]}/encke.js`);
      window.seen = [];
      window.told = [];
      window.comet = library.connect({ url: urls, shared: false, transports: [library[transport]] });
      for (const pipe of ["kept", "loose"]) await window.comet.subscribe(pipe, ({ data }) => window.seen.push(`${data.pipe} ${data.number}`), { gap: ({ pipe }) => window.told.push(`a gap in ${pipe}`) });
      window.comet.on("state", ({ state }) => window.told.push(state));
    }, [[server.url, next.url], transport]);
    await publish(1);
    await until(async () => (await seen(page)).length === 2, "the first message");
    await server.query("SET GLOBAL offline_mode = 'on, notice=0, over=2'");
    let number = 1;
    while ((await next.subscribers("loose")) < 1 || (await server.subscribers("loose").catch(() => 0)) > 0) await publish(++number).catch(() => {});
    // The session of the first server is sent away in the end.
    for (const pipe of ["kept", "loose"]) await next.publish(pipe, { pipe, number: number + 1 });
    const expected = ["kept", "loose"].map((pipe) => Array.from({ length: number + 1 }, (_, place) => `${pipe} ${place + 1}`));
    const of = async (pipe) => (await seen(page)).filter((text) => text.startsWith(pipe));
    await until(async () => (await of("loose")).at(-1) === expected[1].at(-1) && (await of("kept")).at(-1) === expected[0].at(-1), "the last message");
    assert.deepEqual([await of("kept"), await of("loose")], expected);
    const told = await page.evaluate(() => window.told);
    assert.deepEqual(told.filter((word) => word !== "connected"), []);
  }));
}

test("a page that finds no other server stays, and comes back when the drain is given up", withWorld(async (world) => {
  const { server } = world;
  await server.keep("kept");
  const page = await world.page(`${server.url}/demo/`, await world.person({ complains: /WebSocket|ERR_|503|encke: no connection/ }));
  await page.evaluate(async () => {
    const library = await import(new URL("/encke.js", location.href).href);
    window.seen = [];
    window.gaps = 0;
    window.comet = library.connect({ url: location.origin, shared: false });
    await window.comet.subscribe("kept", ({ data }) => window.seen.push(data.number), { gap: () => (window.gaps += 1) });
  });
  await server.query("SET GLOBAL offline_mode = 'on, notice=0, over=8'");
  await until(async () => server.log.includes("phase=\"leaving\"") || server.log.includes("leaving"), "it begins");
  await server.publish("kept", { number: 1 });
  await until(async () => (await seen(page)).length === 1, "it hears still");
  await server.query("SET GLOBAL offline_mode = OFF");
  await server.publish("kept", { number: 2 });
  await until(async () => (await seen(page)).length === 2, "and goes on");
  assert.deepEqual(await seen(page), [1, 2]);
  assert.equal(await page.evaluate(() => window.gaps), 0);
}));
