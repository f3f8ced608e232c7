// examples/webrtc-signalling: browsers that know each other through a pipe only.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { join } from "node:path";
import { root, until, withWorld } from "./world.mjs";

function freePort() {
  return new Promise((done) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => done(port));
    });
  });
}

/** Runs the line of its README, and returns the address of the page. */
async function serve(world) {
  const readme = readFileSync(join(root, "examples/webrtc-signalling/README.md"), "utf8");
  const [, line] = /```sh serve\n(.*)\n```/.exec(readme);
  const port = String(await freePort());
  assert.ok(line.includes(" 8000"));
  world.start("bash", ["-c", line.replace(" 8000", ` ${port}`)], { cwd: root });
  const url = `http://127.0.0.1:${port}/`;
  await until(() => fetch(url).then(({ ok }) => ok, () => false), "the page is served");
  return url;
}

const enter = async (world, url, room) => world.page(`${url}?server=${encodeURIComponent(world.server.url)}#room=${room}`);
const says = (page, text) => page.getByText(text, { exact: true }).waitFor();

async function write(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

test("three browsers connect through a pipe, and talk without the server", withWorld(async (world) => {
  const url = await serve(world);
  // At the same time, so that both may offer.
  const [ada, boris] = await Promise.all([enter(world, url, "tea"), enter(world, url, "tea")]);
  for (const page of [ada, boris]) await says(page, "Room tea: connected with 1 other");
  const clara = await enter(world, url, "tea");
  for (const page of [ada, boris, clara]) await says(page, "Room tea: connected with 2 others");
  const elsewhere = await enter(world, url, "coffee");
  await says(elsewhere, "Room coffee: connected with 0 others");

  // What is no signal is passed over, whoever publishes it.
  for (const message of ["text", null, 7, { hello: true }, { from: 5 }, { from: "x", to: "y" }, []]) {
    await world.server.publish("web_call_tea", message, "signal");
  }
  await write(ada, "It's <b>me</b> \\ Привет");
  for (const page of [boris, clara]) await page.getByText(/^[0-9a-f]{4}: It's <b>me<\/b> \\ Привет$/).waitFor();
  await world.screenshot(ada, "webrtc-signalling");

  await clara.close();
  for (const page of [ada, boris]) await says(page, "Room tea: connected with 1 other");
  assert.ok(!(await elsewhere.locator("#log").innerText()).includes("me"));
  for (const page of [ada, boris]) assert.ok(!(await page.locator("body").innerText()).includes("undefined"));
}));

test("the channel stays when the server goes, and others come in when it is back", withWorld(async (world) => {
  const url = await serve(world);
  const quiet = () => world.person({ complains: /WebSocket|encke|Failed to load/ });
  const open = async () => world.page(`${url}?server=${encodeURIComponent(world.server.url)}#room=tea`, await quiet());
  const [ada, boris] = [await open(), await open()];
  for (const page of [ada, boris]) await says(page, "Room tea: connected with 1 other");
  await world.server.stop();
  await write(boris, "still here");
  await ada.getByText(/: still here$/).waitFor();
  await world.server.start();
  await world.server.awaitSubscribers("web_call_tea", 2);
  const clara = await open();
  for (const page of [ada, boris, clara]) await says(page, "Room tea: connected with 2 others");
  await write(ada, "all of us");
  await clara.getByText(/: all of us$/).waitFor();
}));
