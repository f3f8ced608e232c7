// Faults of pages, tabs and networks, each with what has to come of it. Random orders of all of them are in model.test.mjs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimClock } from "./clock.mjs";
import { Browser, Server, until, withServer } from "./fake.mjs";

const plain = (value) => JSON.parse(JSON.stringify(value));

/** A world whose time goes on with `run` only. */
const inSimulation = (work, seed = 1) => async () => {
  const clock = new SimClock(seed);
  const server = new Server(clock);
  const browser = new Browser(server);
  /** What became of a promise: undefined as long as it is open. */
  const watched = (promise) => {
    const entry = { result: undefined };
    promise.then((value) => (entry.result = ["done", value]), ({ message }) => (entry.result = ["failed", message]));
    return entry;
  };
  try {
    await work({ server, browser, run: clock.run.bind(clock), watched });
  } finally {
    browser.close();
  }
};

// Data is no control

test("what strangers publish is never taken for the server's word", withServer(async (server, browser) => {
  const first = browser.open().encke.connect({ user: 5, key: "key5" });
  const seen = [];
  const errors = [];
  first.on("error", ({ message }) => errors.push(message));
  await first.subscribe("web_room", ({ event }) => seen.push(event));
  const events = ["serverInfo", "error", "subscribed", "answer", "undefined", "lead", "state"];
  for (const event of events) server.publish("web_room", event, '{"authorized":false,"error":500,"pipe":"web_room","position":null,"recovered":false}', { user: 0 });
  await until(() => seen.length === events.length);
  assert.deepEqual([seen, errors], [events, []]);
  // A tab that comes later is greeted by the leader, with the server's greeting.
  const second = browser.open().encke.connect({ user: 5, key: "key5" });
  assert.equal(await second.ready(), true);
  assert.deepEqual([first.authorized, second.authorized, second.state], [true, true, "connected"]);
  // The server's own names are not for pages.
  for (const name of ["sys", "msg", "_answer_to_web_room"]) await assert.rejects(first.subscribe(name, () => {}), { code: "bad-name" });
}));

test("only comings and goings change who is there", withServer(async (server, browser) => {
  const comet = browser.open().encke.connect();
  const lists = [];
  const online = [];
  await comet.track("track_room", (members) => lists.push(members.length));
  await comet.watch(7, (is) => online.push(is));
  const [me] = await comet.members("track_room");
  for (const event of ["note", "subscribed"]) server.publish("track_room", event, JSON.stringify(me));
  server.publish("track_room", "subscription", "null");
  server.publish("user_status_7", "note", "x");
  server.publish("user_status_7", "online", "online");
  await until(() => online.length);
  assert.deepEqual([lists, online], [[1], [true]]);
}));

test("a report is for the message that it repeats", withServer(async (server, browser) => {
  const comet = browser.open().encke.connect();
  await comet.ready();
  const { take } = server;
  server.take = (socket, text) => (text.includes('"lost"') ? undefined : take.call(server, socket, text));
  const lost = comet.publish("web_x", "lost");
  assert.equal(await comet.publish("web_x", "found"), 0);
  let told;
  lost.catch(({ code }) => (told = code));
  server.drop();
  await until(() => told);
  assert.equal(told, "maybe-published");
}));

// Promises that could stay open, positions that could be forgotten

test("a component that is mounted again in one turn is subscribed, and hears of a gap", withServer(async (server, browser) => {
  server.keep("kept");
  const comet = browser.open().encke.connect();
  const seen = [];
  for (const pipe of ["kept", "loose"]) {
    const first = await comet.subscribe(pipe, () => seen.push("the first one"));
    first.unsubscribe();
    await comet.subscribe(pipe, ({ data }) => seen.push(data), { gap: ({ pipe }) => seen.push(`gap in ${pipe}`) });
  }
  server.drop();
  server.publish("kept", "e", "1");
  server.publish("loose", "e", "2");
  await until(() => seen.length === 2);
  assert.deepEqual(seen.sort(), [1, "gap in loose"]);
  // Left and joined in turns of their own, as fast as the network lets it.
  for (let round = 0; round < 5; round++) {
    const again = await comet.subscribe("other", () => {});
    again.unsubscribe();
    await new Promise((next) => setTimeout(next, round));
  }
  await comet.subscribe("other", ({ data }) => seen.push(data));
  server.publish("other", "e", "3");
  await until(() => seen.length === 3);
}));

test("what the server does not answer is no stop for what comes after", inSimulation(async ({ server, browser, run, watched }) => {
  const comet = browser.open().encke.connect();
  await run(1_000);
  const odd = watched(comet.lastSeen("ann"));
  const more = [comet.lastSeen(7), comet.count("web_x"), comet.userData(7)].map(watched);
  await run(1_000);
  assert.deepEqual(odd.result, ["failed", 'encke: bad-user: user "ann". See http://comet.test/docs/errors#bad-user']);
  assert.deepEqual(more.map(({ result }) => result?.[0]), ["done", "done", "done"]);
  for (const ask of [() => comet.userData("x"), () => comet.watch("x", () => {})]) await assert.rejects(ask(), { code: "bad-user" });
  // A lost answer holds up nobody: the link is given up, and what may be asked again is.
  server.loses = (text) => text.startsWith("user_data");
  const asked = [comet.userData(7), comet.publish("web_x", 1), comet.count("web_x")].map(watched);
  await run(1_000);
  assert.deepEqual(asked.map(({ result }) => result?.[0]), [undefined, "done", "done"]);
  await run(130_000);
  assert.deepEqual(asked[0].result, ["failed", "encke: no-answer. See http://comet.test/docs/errors#no-answer"]);
  server.loses = () => false;
  const later = watched(comet.userData(7));
  await run(40_000);
  assert.equal(later.result?.[0], "done");
}));

test("nothing is open for ever where there is no server", inSimulation(async ({ server, browser, run, watched }) => {
  server.up = false;
  const comet = browser.open().encke.connect();
  const asked = [comet.publish("web_x", 1), comet.history("news"), comet.members("track_x"), comet.lastSeen(7)].map(watched);
  const begun = [comet.ready(), comet.subscribe("news", () => {}), comet.track("track_x", () => {})].map(watched);
  await run(100_000);
  assert.deepEqual([...asked, ...begun].map(({ result }) => result), Array(7).fill(undefined));
  await run(30_000);
  assert.deepEqual(asked.map(({ result }) => result), Array(4).fill(["failed", "encke: not-sent. See http://comet.test/docs/errors#not-sent"]));
  await run(480_000);
  assert.deepEqual(begun.map(({ result }) => result), Array(3).fill(["failed", "encke: not-confirmed. See http://comet.test/docs/errors#not-confirmed"]));
  server.up = true;
  await run(60_000);
  assert.equal(comet.state, "connected");
  assert.ok(!server.commands.some((command) => command.startsWith("web_pipe2")), "what was given up is not sent later");
  assert.equal([...server.sockets][0].pipes.size, 0);
}));

test("a connection that was refused or closed says so at once", withServer(async (server, browser) => {
  server.refused = { error: 423, data: { error: "pages of this origin may not connect" }, event: "error", pipe: "sys" };
  const tabs = [browser.open(), browser.open()];
  const [refused, beside] = tabs.map(({ encke }) => encke.connect());
  for (const comet of [refused, beside]) {
    await assert.rejects(comet.subscribe("news", () => {}), /refused/);
    await until(() => comet.state === "refused");
    for (const ask of [() => comet.subscribe("news", () => {}), () => comet.ready(), () => comet.publish("web_x", 1), () => comet.track("track_x", () => {})]) {
      await assert.rejects(ask(), { code: "refused" });
    }
  }
  refused.close();
  for (const ask of [() => refused.subscribe("news", () => {}), () => refused.ready(), () => refused.count("web_x")]) await assert.rejects(ask(), { code: "closed" });
}));

test("a tab that is behind takes nothing before it is told from where", withServer(async (server, browser) => {
  server.keep("kept");
  const tabs = [browser.open(), browser.open()];
  const comets = tabs.map(({ encke }) => encke.connect());
  const seen = [[], []];
  for (const [index, comet] of comets.entries()) await comet.subscribe("kept", ({ data }) => seen[index].push(data));
  tabs[1].fire("pagehide");
  for (const number of [1, 2, 3]) server.publish("kept", "e", String(number));
  await until(() => seen[0].length === 3);
  // The leader leaves the pipe and joins it from the older position; meanwhile the pipe goes on.
  let number = 3;
  const { take } = server;
  server.take = (socket, text) => {
    server.publish("kept", "e", String(++number));
    take.call(server, socket, text);
    server.publish("kept", "e", String(++number));
  };
  tabs[1].fire("pageshow", { persisted: true });
  server.publish("kept", "e", String(++number));
  await until(() => seen[1].length >= 6);
  server.take = take;
  server.publish("kept", "e", String(++number));
  await until(() => seen.every((one) => one.at(-1) === number));
  const all = [...Array(number).keys()].map((index) => index + 1);
  assert.deepEqual(seen, [all, all]);
  assert.equal(server.urls.length, 1);
}));

// A leader that stands still

/** What a tab reads first when it goes on is not the same in all browsers. */
for (const seed of Array(10).keys()) test(`a leader that stands still is replaced within seconds, and nothing is lost or doubled (${seed})`, inSimulation(async ({ server, browser, run, watched }) => {
  server.keep("kept");
  const tabs = [0, 1, 2].map(() => browser.open());
  const comets = tabs.map(({ encke }) => encke.connect());
  const seen = [[], [], []];
  for (const [index, comet] of comets.entries()) {
    comet.on("personal", ({ data }) => seen[index].push(`mail ${data}`));
    void comet.subscribe("kept", ({ data }) => seen[index].push(data));
    void comet.subscribe("loose", ({ data }) => seen[index].push(data), { gap: ({ pipe }) => seen[index].push(`gap in ${pipe}`) });
  }
  await run(1_000);
  const leader = comets.findIndex(({ leading }) => leading);
  const others = [0, 1, 2].filter((index) => index !== leader);
  server.tell("mail", "1");
  await run(100);
  tabs[leader].stand();
  // Between the loss and its being noticed.
  server.publish("kept", "e", "1");
  server.tell("mail", "2");
  const asked = [comets[others[0]].count("web_x"), comets[others[0]].publish("web_x", 1)].map(watched);
  await run(7_000);
  assert.deepEqual(others.map((index) => comets[index].state), ["connected", "connected"]);
  assert.equal(others.filter((index) => comets[index].leading).length, 1);
  for (const index of others) assert.deepEqual(seen[index].sort(), ["gap in loose", "mail 1", 1].sort());
  // Now both connections are sent it.
  server.tell("mail", "3");
  server.tell("mail", "3");
  server.publish("kept", "e", "2");
  await run(5_000);
  assert.deepEqual(asked.map(({ result }) => result?.[0]), ["done", "done"]);
  assert.equal(server.commands.filter((command) => command.startsWith("web_pipe2")).length, 1);
  tabs[leader].goOn();
  await run(3_000);
  server.publish("kept", "e", "3");
  server.tell("mail", "4");
  await run(1_000);
  for (const index of others) {
    assert.deepEqual(seen[index].slice(-3), ["mail 2", 3, "mail 4"]);
    assert.deepEqual(seen[index].slice(0, -3).sort(), ["gap in loose", "mail 1", "mail 3", "mail 3", 1, 2].sort());
  }
  assert.deepEqual(seen[leader].filter((one) => one !== "gap in loose").sort(), ["mail 1", "mail 2", "mail 3", "mail 3", "mail 4", 1, 2, 3].sort());
  assert.deepEqual(seen[leader].filter(Number), [1, 2, 3]);
  assert.equal(server.sockets.size, 1);
  assert.equal(comets.filter(({ leading }) => leading).length, 1);
  assert.equal(server.commands.filter((command) => command.startsWith("web_pipe2")).length, 1);
}, seed));

test("a follower that stands still deposes nobody, and a page that is frozen hands over", inSimulation(async ({ server, browser, run }) => {
  const tabs = [0, 1].map(() => browser.open());
  const comets = tabs.map(({ encke }) => encke.connect());
  await run(5_000);
  const leader = comets.findIndex(({ leading }) => leading);
  tabs[1 - leader].stand();
  await run(60_000);
  tabs[1 - leader].goOn();
  await run(20_000);
  assert.equal(server.urls.length, 1);
  tabs[leader].fire("freeze");
  await run(1_000);
  assert.deepEqual(comets.map(({ leading }) => leading), [leader === 1, leader === 0]);
  tabs[leader].fire("resume");
  await run(5_000);
  assert.deepEqual(comets.map(({ state }) => state), ["connected", "connected"]);
  assert.equal(server.sockets.size, 1);
}));

// Where things are missing

test("locks that refuse, and pages that are none", withServer(async (server, browser) => {
  const frame = browser.open({ locks: "refuse" }).encke.connect();
  assert.equal(await frame.ready(), false);
  assert.equal(frame.leading, true);
  const worker = browser.open({ page: false, location: { protocol: "https:", host: "page.test" } }).encke.connect();
  assert.equal(await worker.ready(), false);
  let count = 0;
  await worker.subscribe("news", () => (count += 1));
  await frame.subscribe("news", () => (count += 1));
  server.publish("news", "e", "1");
  await until(() => count === 2);
  assert.equal(server.sockets.size, 2);
  // A program of an older Node.
  const program = browser.open({ page: false, program: true, https: false, socket: false });
  const { longPolling } = program.encke;
  const node = program.encke.connect({ url: "http://comet.test", transports: [longPolling] });
  assert.equal(await node.ready(), false, "by long polling");
  assert.ok(server.requests.some((request) => request.startsWith("/poll/sign")));
}));

// Plain HTTP

test("long polling: lists of pipes and publications keep their order", inSimulation(async ({ server, browser, run, watched }) => {
  server.keep("kept");
  server.blocked = true;
  const tab = browser.open();
  const comet = tab.encke.connect();
  const seen = [];
  void comet.subscribe("kept", ({ data }) => seen.push(data));
  await run(20_000);
  assert.equal(comet.state, "connected");
  assert.deepEqual(tab.imported, ["./encke-http.js"]);
  const published = [1, 2, 3, 4, 5].map((number) => watched(comet.publish("web_x", number)));
  // A question that this way cannot carry fails, and no other one.
  const count = watched(comet.count("web_x"));
  const other = watched(comet.subscribe("more", () => {}));
  const secret = watched(comet.publish("webauth_x", 1));
  await run(5_000);
  assert.deepEqual(published.map(({ result }) => result), Array(5).fill(["done", 0]));
  assert.match(count.result[1], /long polling/);
  assert.match(secret.result[1], /authorised/);
  assert.equal(other.result[0], "done");
  const bodies = server.commands.filter((command) => command.startsWith("web_pipe2\nweb_x")).map((command) => command.at(-1));
  assert.deepEqual(bodies, ["1", "2", "3", "4", "5"]);
  // Left and joined again.
  for (let round = 0; round < 3; round++) {
    const again = watched(comet.subscribe("other", () => {}));
    await run(3_000);
    assert.equal(again.result[0], "done");
    again.result[1].unsubscribe();
    await run(round);
  }
  server.publish("kept", "e", "1");
  server.drop();
  server.publish("kept", "e", "2");
  await run(30_000);
  assert.deepEqual(seen, [1, 2]);
}));

test("a part that cannot be loaded is told, and tried again", inSimulation(async ({ server, browser, run }) => {
  server.blocked = true;
  browser.missing = () => true;
  const tab = browser.open();
  const comet = tab.encke.connect();
  await run(20_000);
  assert.ok(tab.errors.some((text) => /no-connection: TypeError: .*encke-http\.js/.test(text)), tab.errors.join());
  assert.equal(comet.state, "reconnecting");
  browser.missing = () => false;
  await run(120_000);
  assert.equal(comet.state, "connected");
}));

test("a server that was away for a while is no blocked WebSocket", inSimulation(async ({ server, browser, run }) => {
  for (const away of [100, 700, 1_500, 3_000, 6_000, 12_000, 25_000]) {
    server.up = false;
    const tab = browser.open({ https: false });
    tab.encke.connect();
    await run(away);
    server.up = true;
    await run(60_000);
    assert.deepEqual([tab.imported, [...server.sockets].map(({ id }) => id)], [[], [undefined]], `${away} ms`);
    tab.crash();
  }
}));

test("tabs of other versions and other pages do not disturb", withServer(async (server, browser) => {
  const comet = browser.open().encke.connect();
  await comet.ready();
  const [channel] = browser.channels;
  for (const data of [{ down: true, epoch: 1, message: { kind: "state", state: "closed" } }, { down: false, epoch: 0, message: { kind: "want", wants: [["x", undefined]] } }]) channel.onmessage({ data });
  assert.equal(comet.state, "connected");
  assert.deepEqual(plain([...[...server.sockets][0].pipes]), []);
}));
