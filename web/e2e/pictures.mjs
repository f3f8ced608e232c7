// The pictures of README, started by scripts/screenshots: node web/e2e/pictures.mjs FOLDER

import assert from "node:assert/strict";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PASSWORD, withWorld } from "./world.mjs";

const FOLDER = process.argv.at(-1);
const BYTES_MAX = 150 * 1024;
/** As if somebody had signed in; an empty page has nothing to keep it in. */
const remember = (kept) => location.protocol === "http:" && sessionStorage.setItem("encke.credentials", kept);
const CREDENTIALS = Buffer.from(`root:${PASSWORD}`).toString("base64");
/** For how long the server is busy before the dashboard is looked at. */
const BUSY_MS = 45_000;
const PIPES = ["news", "web_lobby", "orders", "scores"];

test("pictures", withWorld(async (world) => {
  const { server } = world;
  mkdirSync(FOLDER, { recursive: true });
  const person = await world.person({ viewport: { width: 1200, height: 760 }, colorScheme: "light", reducedMotion: "reduce" });
  await person.addInitScript(remember, CREDENTIALS);
  const start = await world.page("/", person);
  await start.getByText("Listening to simplechat").waitFor();
  await server.publish("simplechat", { text: "Hello from PHP", from: "backend" }, "hello");
  await server.publish("simplechat", { order: 1042, state: "paid" }, "order");
  await start.getByText("2 messages").waitFor();
  await keep(start, "start.png");
  // Visitors, and backends that publish now more and now less.
  const visitors = await world.page("/demo/", await world.person());
  await visitors.evaluate(async (pipes) => {
    const { connect } = await import("../encke.js");
    globalThis.visitors = Array.from({ length: 40 }, (_, place) => {
      const comet = connect({ shared: false });
      for (const pipe of pipes.slice(0, 1 + (place % pipes.length))) comet.subscribe(pipe, () => {});
      return comet;
    });
  }, PIPES);
  const dashboard = await world.page("/dashboard", person);
  await dashboard.locator("#attention li").first().waitFor();
  const end = Date.now() + BUSY_MS;
  for (let round = 0; Date.now() < end; round += 1) {
    await server.publish(PIPES[round % PIPES.length], { round }, "tick");
    await new Promise((next) => setTimeout(next, 4 + 6 * (1 + Math.sin(round / 120))));
  }
  await keep(dashboard, "dashboard.png");
}));

async function keep(page, name) {
  const path = join(FOLDER, name);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path });
  const { size } = statSync(path);
  assert.ok(size < BYTES_MAX, `${name} has ${size} bytes`);
}
