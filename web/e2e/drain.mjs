// Many pages move from one server to another, as the library does it, and each counts what it hears.
//
// By hand, as the bench of a drain: 20,000 pages over 20 seconds, from the root of the sources:
//
//   ENCKE_PROGRAM=target/release/encke node --experimental-websocket web/e2e/drain.mjs 20000 20
//
// The process and the servers need more descriptors than there are pages (`ulimit -n`).

import { rmSync } from "node:fs";
import { Server, root, until } from "./world.mjs";

// Node 20 has none, and the library asks it whether the page is offline.
globalThis.navigator ??= {};
const { connect, webSocket } = await import(`${root}web/client/dist/encke.js`);

/** What is published to both servers, so often, to the next one first: so what a page has of the first server is behind it. */
const EVERY_MS = 40;

/** Runs a drain of so many pages over so many seconds, and tells what came of it. */
export async function drain(count, over) {
  const [from, to] = [new Server(), new Server()];
  const started = [];
  const plain = globalThis.WebSocket;
  globalThis.WebSocket = class extends plain {
    constructor(url) {
      super(url);
      if (url.includes(`:${to.port}/`)) started.push(Date.now());
    }
  };
  const pages = [];
  const found = { lost: 0, doubled: 0, gaps: 0, states: new Set() };
  let isOver = false;
  try {
    await Promise.all([from.start(), to.start()]);
    for (const server of [from, to]) await server.keep("kept", 1000);
    const open = async () => {
      const page = connect({ url: [from.url, to.url], shared: false, transports: [webSocket] });
      pages.push(page);
      let last;
      const take = ({ data: { number } }) => {
        if (last !== undefined && number <= last) found.doubled += 1;
        if (last !== undefined && number > last + 1) found.lost += number - last - 1;
        last = Math.max(number, last ?? 0);
      };
      await page.subscribe("kept", take, { gap: () => (found.gaps += 1) });
      page.on("state", ({ state }) => found.states.add(state));
      page.last = () => last;
    };
    for (let opened = 0; opened < count; opened += 200) await Promise.all(Array.from({ length: Math.min(200, count - opened) }, open));
    let number = 0;
    const publish = async (server) => server.publish("kept", { number });
    const publishing = (async () => {
      while (!isOver) {
        number += 1;
        await publish(to);
        // Its backends are sent away when nobody is there any more.
        await publish(from).catch((error) => error.errno === 1053 || from.backend.stream?.destroyed || Promise.reject(error));
        await new Promise((done) => setTimeout(done, EVERY_MS));
      }
    })();
    await until(() => pages.every((page) => page.last() > 2), "everybody hears");
    const begun = Date.now();
    await from.query(`SET GLOBAL offline_mode = 'on, notice=0, over=${over}'`);
    const isReady = async (server) => (await fetch(`${server.url}/ready`)).status;
    found.ready = [await isReady(from), await isReady(to)];
    found.health = (await fetch(`${from.url}/health`)).status;
    await until(async () => (await to.subscribers("kept")) === count, "everybody is there");
    found.seconds = (Date.now() - begun) / 1000;
    isOver = true;
    await publishing;
    await until(() => pages.every((page) => page.last() === number), "everybody has the last one");
    const status = Object.fromEntries((await to.query("SHOW GLOBAL STATUS")).map(({ Variable_name, Value }) => [Variable_name, Value]));
    found.published = number;
    found.handshakes = Number(status.encke_handshakes);
    // The most that came within a second.
    found.mostInSecond = Math.max(...started.map((time, first) => started.filter((other, place) => place >= first && other < time + 1000).length));
    return found;
  } catch (error) {
    error.message += `\nthe servers said:\n${from.log}\n${to.log}\nfound: ${JSON.stringify(found)}`;
    throw error;
  } finally {
    isOver = true;
    globalThis.WebSocket = plain;
    for (const page of pages) page.close();
    for (const server of [from, to]) {
      await server.end();
      rmSync(server.folder, { recursive: true, force: true });
    }
  }
}

if (process.argv[1]?.endsWith("drain.mjs")) {
  const [count, over] = process.argv.slice(2).map(Number);
  const found = await drain(count, over);
  console.log(JSON.stringify({ ...found, states: [...found.states] }));
  const bar = (1.2 * count) / over;
  const isGood = !found.lost && !found.doubled && !found.gaps && found.mostInSecond <= bar;
  console.log(`${isGood ? "good" : "NOT GOOD"}: at most ${found.mostInSecond} a second, the bar is ${bar}`);
  process.exit(isGood ? 0 : 1);
}
