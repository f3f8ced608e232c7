import assert from "node:assert/strict";
import { test } from "node:test";
import { pause, until, withServer } from "./fake.mjs";

const plain = (value) => JSON.parse(JSON.stringify(value));

test("a subscriber gets messages, parsed", withServer(async (server, browser) => {
  const { encke } = browser.open();
  const comet = encke.connect();
  const seen = [];
  const all = [];
  comet.on("message", (message) => all.push(message.text));
  const subscription = await comet.subscribe("news", (message) => seen.push(message));
  const one = await comet.subscribe("news.only", ({ text }) => seen.push(text));
  assert.equal(comet.state, "connected");
  assert.equal(comet.authorized, false);
  assert.match(server.urls[0], /^ws:\/\/comet\.test\/ws\/sesion=&myid=&devid=0&v=4\.10&uuid=[\w-]{32}&api=js2$/);
  server.publish("news", "say", '{"text":"it\'s \\\\ here"}');
  server.publish("news", "", "plain \\n text");
  server.publish("news", "only", "3");
  await until(() => all.length === 3);
  assert.deepEqual(plain(seen[0]), { pipe: "news", event: "say", data: { text: "it's \\ here" }, text: '{"text":"it\'s \\\\ here"}', time: 1700000000, late: false });
  assert.equal(seen[1].data, "plain \\n text");
  assert.deepEqual([seen[2].data, seen[3]], [3, "3"]);
  subscription.unsubscribe();
  one.unsubscribe();
  await until(() => [...server.sockets][0].pipes.size === 0);
  comet.close();
  assert.equal(comet.state, "closed");
  assert.equal(server.sockets.size, 0);
}));

test("publishing counts, and has no echo", withServer(async (server, browser) => {
  const [one, other] = [browser.open({ https: false }), browser.open({ https: false })].map(({ encke }) => encke.connect({ url: "comet.test", user: 5, key: "key5" }));
  const seen = [];
  await one.subscribe("web_room", (message) => seen.push(message));
  await other.subscribe("web_room", (message) => seen.push(message));
  assert.equal(await one.publish("web_room", { text: "a" }, { event: "say" }), 1);
  assert.equal(await one.publish("webauth_room", "b"), 0);
  assert.equal(await one.count("web_room"), 2);
  await until(() => seen.length === 1);
  assert.deepEqual(plain([seen[0].user, seen[0].event, seen[0].data]), [5, "say", { text: "a" }]);
  assert.equal(await one.userData(7), '{"of":7}');
  assert.equal(await one.lastSeen(7), undefined);
  const members = [];
  await one.track("track_room", (list) => members.push(list.length));
  assert.deepEqual(members, [1]);
  server.publish("track_room", "subscription", { user_id: 9, uuid: "u" });
  server.publish("track_room", "unsubscription", { user_id: 9, uuid: "u" });
  await until(() => members.length === 3);
  assert.deepEqual(members, [1, 2, 1]);
}));

test("mistakes are told in words", withServer(async (server, browser) => {
  const tab = browser.open();
  const comet = tab.encke.connect({ user: 5, key: "wrong" });
  assert.equal(await comet.ready(), false);
  assert.match(tab.errors[0], /wrong-key/);
  await assert.rejects(comet.publish("news", 1), /web_/);
  await assert.rejects(comet.publish("webauth_x", 1), /authorised/);
  await assert.rejects(comet.publish("web_x", 1, { event: "a b" }), /event/);
  await assert.rejects(comet.subscribe("a b", () => {}), /bad-name: pipe "a b"/);
  await assert.rejects(comet.subscribe("private_x", () => {}), /private_x.*authorised/);
  await assert.rejects(comet.members("web_x"), /track_/);
  assert.throws(() => tab.encke.connect({ user: "x" }), /bad-option: user "x"/);
  const good = await comet.subscribe("fine", () => {});
  assert.equal(good.pipe, "fine");
}));

test("a server that refuses is left alone", withServer(async (server, browser) => {
  server.refused = { error: 423, data: { error: "pages of this origin may not connect" }, event: "error", pipe: "sys" };
  const tab = browser.open();
  const comet = tab.encke.connect();
  await assert.rejects(comet.ready(), { code: "refused" });
  assert.match(tab.errors[0], /refused: pages of this origin may not connect/);
  await pause(300);
  assert.equal(server.urls.length, 1);
}));

for (const [name, code, clean] of [["a lost connection", 1006, false], ["a server that restarts", 1012, true], ["a server that goes away", 1001, true]]) {
  test(`after ${name} everything is there, once and in order`, withServer(async (server, browser) => {
    server.keep("kept");
    const comet = browser.open().encke.connect();
    const seen = [];
    const gaps = [];
    comet.on("gap", (gap) => gaps.push(plain(gap)));
    await comet.subscribe("kept", ({ data, late }) => seen.push([data, late]));
    await comet.subscribe("loose", () => {});
    for (let round = 0; round < 3; round++) {
      server.publish("kept", "e", String(round * 3));
      await until(() => seen.length === round * 3 + 1);
      server.drop(code, clean);
      server.publish("kept", "e", String(round * 3 + 1));
      server.publish("kept", "e", String(round * 3 + 2));
      await until(() => seen.length === round * 3 + 3);
    }
    assert.deepEqual(seen, [...Array(9).keys()].map((number) => [number, number % 3 !== 0]));
    await until(() => gaps.length === 3);
    assert.deepEqual(gaps, Array(3).fill({ pipe: "loose", history: false }));
  }));
}

test("a gap is told", withServer(async (server, browser) => {
  server.keep("short", 2);
  const comet = browser.open().encke.connect();
  const seen = [];
  await comet.subscribe("short", ({ data }) => seen.push(data), { gap: (gap) => seen.push(gap.history) });
  server.publish("short", "e", "1");
  await until(() => seen.length === 1);
  server.drop();
  for (const number of [2, 3, 4]) server.publish("short", "e", String(number));
  await until(() => seen.length === 2);
  server.publish("short", "e", "5");
  await until(() => seen.length === 3);
  assert.deepEqual(seen, [1, true, 5]);
}));

test("a recovery does not repeat what this page published", withServer(async (server, browser) => {
  server.keep("web_kept");
  const comet = browser.open().encke.connect();
  const seen = [];
  await comet.subscribe("web_kept", ({ data }) => seen.push(data));
  await comet.publish("web_kept", "mine");
  server.drop();
  server.publish("web_kept", "e", '"theirs"');
  await until(() => seen.length);
  assert.deepEqual(seen, ["theirs"]);
}));

test("what is published without a connection waits, what was under way is unknown", withServer(async (server, browser) => {
  server.up = false;
  const tab = browser.open();
  const comet = tab.encke.connect();
  const early = comet.publish("web_x", 1);
  const count = comet.count("web_x");
  await until(() => tab.errors.length, "the console says that there is no server");
  assert.match(tab.errors[0], /mixed-content: http:\/\/comet\.test/);
  server.up = true;
  assert.equal(await early, 0);
  assert.equal(await count, 0);
  const take = server.take;
  server.take = () => {};
  const lost = comet.publish("web_x", 2);
  const asked = comet.count("web_x");
  await pause(20);
  server.take = take;
  server.drop();
  await assert.rejects(lost, { code: "maybe-published" });
  assert.equal(await asked, 0);
}));

test("waiting grows", withServer(async (server, browser) => {
  server.up = false;
  browser.open().encke.connect();
  await pause(1000);
  // In ten seconds of its time: about 0, 0.5, 1, 2, 4 seconds apart.
  assert.ok(server.urls.length >= 3 && server.urls.length <= 7, `${server.urls.length} attempts`);
}));

test("offline waits, online comes back at once", withServer(async (server, browser) => {
  const tab = browser.open();
  const comet = tab.encke.connect();
  const states = [];
  comet.on("state", ({ state }) => states.push(state));
  await comet.ready();
  tab.global.navigator.onLine = false;
  tab.fire("offline");
  server.drop();
  await until(() => comet.state === "offline");
  await pause(300);
  assert.equal(server.urls.length, 1);
  tab.global.navigator.onLine = true;
  tab.fire("online");
  await until(() => comet.state === "connected");
  assert.equal(server.urls.length, 2);
}));

test("a connection that is dead is noticed when the page is seen again", withServer(async (server, browser) => {
  const tab = browser.open();
  const comet = tab.encke.connect();
  await comet.ready();
  server.take = () => {};
  tab.global.document.hidden = false;
  tab.fire("visibilitychange");
  await until(() => server.urls.length === 2);
}));

test("tabs share a connection, and the next one takes over", withServer(async (server, browser) => {
  server.keep("kept");
  server.keep("web_kept");
  const tabs = [0, 1, 2].map(() => browser.open());
  const comets = tabs.map(({ encke }) => encke.connect());
  const seen = [[], [], []];
  const personal = [];
  for (const [index, comet] of comets.entries()) {
    await comet.subscribe("kept", ({ data }) => seen[index].push(data));
    await comet.subscribe(`own_${index}`, ({ data }) => seen[index].push(data));
    comet.on("personal", ({ data }) => personal.push(data));
  }
  assert.deepEqual(comets.map(({ leading }) => leading), [true, false, false]);
  assert.equal(server.urls.length, 1);
  assert.deepEqual([...[...server.sockets][0].pipes].sort(), ["kept", "own_0", "own_1", "own_2"]);
  server.publish("kept", "e", "1");
  server.publish("own_1", "e", "11");
  [...server.sockets][0].say({ data: "hello", event: "mail", pipe: "msg" });
  await until(() => personal.length === 3 && seen.every((one) => one.length));
  assert.deepEqual(seen, [[1], [1, 11], [1]]);
  assert.equal(await comets[2].count("web_x"), 0);

  // What one tab publishes the others get, and itself does not.
  await comets[1].subscribe("web_kept", ({ data }) => seen[1].push(data));
  await comets[2].subscribe("web_kept", ({ data }) => seen[2].push(data));
  await comets[2].publish("web_kept", "from 2");
  await until(() => seen[1].length === 3);

  tabs[0].crash();
  server.publish("kept", "e", "2");
  await until(() => seen[1].length === 4 && seen[2].length === 2);
  server.publish("kept", "e", "3");
  await until(() => seen[1].length === 5 && seen[2].length === 3);
  assert.deepEqual(seen, [[1], [1, 11, "from 2", 2, 3], [1, 2, 3]]);
  assert.equal(server.urls.length, 2);
  assert.equal(server.sockets.size, 1);
  assert.deepEqual([comets[1].leading, comets[2].leading], [true, false]);
  await until(() => ![...server.sockets][0].pipes.has("own_0"));

  // A tab that goes takes its pipes with it.
  tabs[2].crash();
  await until(() => ![...server.sockets][0].pipes.has("own_2"));
  // The page is left and shown again.
  tabs[1].fire("pagehide");
  assert.equal(server.sockets.size, 0);
  server.publish("kept", "e", "4");
  tabs[1].fire("pageshow", { persisted: true });
  await until(() => seen[1].length === 6);
}));

test("a new tab with an old position gets what it lacks, the others get nothing twice", withServer(async (server, browser) => {
  server.keep("kept");
  const tabs = [browser.open(), browser.open()];
  const comets = tabs.map(({ encke }) => encke.connect());
  const seen = [[], []];
  for (const [index, comet] of comets.entries()) await comet.subscribe("kept", ({ data }) => seen[index].push(data));
  server.publish("kept", "e", "1");
  await until(() => seen[1].length === 1);
  // The second page is in the browser's cache meanwhile.
  tabs[1].fire("pagehide");
  server.publish("kept", "e", "2");
  server.publish("kept", "e", "3");
  await until(() => seen[0].length === 3);
  tabs[1].fire("pageshow", { persisted: true });
  await until(() => seen[1].length === 3);
  server.publish("kept", "e", "4");
  await until(() => seen[1].length === 4 && seen[0].length === 4);
  assert.deepEqual(seen, [[1, 2, 3, 4], [1, 2, 3, 4]]);
  assert.equal(server.urls.length, 1);
}));

test("users and pages without https do not share", withServer(async (server, browser) => {
  const one = browser.open().encke.connect({ user: 5, key: "key5" });
  const other = browser.open().encke.connect();
  const alone = browser.open().encke.connect({ shared: false });
  const old = browser.open({ https: false }).encke.connect();
  assert.deepEqual(await Promise.all([one, other, alone, old].map((comet) => comet.ready())), [true, false, false, false]);
  assert.equal(server.sockets.size, 4);
}));

test("another way is taken where only WebSocket is blocked", withServer(async (server, browser) => {
  const tab = browser.open();
  let commands = 0;
  const blocked = (_, events) => (setTimeout(() => events.close(1006, false)), { send() {}, close() {} });
  const open = (address, events) => {
    setTimeout(() => (events.open(), events.text(JSON.stringify({ authorized: false, data: "", event: "serverInfo", pipe: "sys" }))));
    return { send: () => (commands += 1), close() {} };
  };
  const comet = tab.encke.connect({ transports: [blocked, open] });
  void comet.subscribe("news", () => {});
  assert.equal(await comet.ready(), false);
  await until(() => commands);
}));

test("server-sent events receive", withServer(async (server, browser) => {
  const streams = [];
  browser.events = class {
    constructor(url) {
      this.url = url;
      streams.push(this);
      const say = (wire) => this.isClosed || this.onmessage({ data: JSON.stringify({ pipe: "sys", ...wire }) });
      const fields = new URL(url).searchParams;
      setTimeout(() => {
        say({ authorized: false, data: "", event: "serverInfo" });
        for (const pipe of fields.get("pipes").split(",").filter(Boolean)) {
          say(pipe === "private_x" ? { event: "error", data: { code: "403", error: "authorised" } } : { event: "subscribed", data: { pipe, position: "100", recovered: fields.get("last").includes(pipe) || undefined } });
        }
      });
    }
    close() {
      this.isClosed = true;
    }
  };
  const tab = browser.open();
  const comet = tab.encke.connect({ transports: [tab.encke.serverSentEvents], uuid: "u" });
  const seen = [];
  await comet.subscribe("news", ({ data }) => seen.push(data));
  await comet.subscribe("more", () => {});
  assert.equal(streams.at(-1).url, "http://comet.test/sse?sesion=&myid=&devid=0&v=4.10&uuid=u&api=js2&pipes=news%2Cmore&last=news%3A100");
  await assert.rejects(comet.subscribe("private_x", () => {}), /authorised/);
  comet.on("gap", (gap) => seen.push(gap.pipe));
  // Then the list is told once more, without the one that was refused.
  await until(() => streams.at(-1).url.includes("&pipes=news%2Cmore&") && streams.slice(0, -1).every(({ isClosed }) => isClosed));
  streams.at(-1).onmessage({ data: JSON.stringify({ data: "7", event: "e", pipe: "news" }) });
  assert.deepEqual(seen, [7]);
  await assert.rejects(comet.publish("web_x", 1), /only receive/);
  const before = streams.length;
  streams.at(-1).onerror();
  await until(() => streams.length > before && streams.at(-1).url.endsWith("&last=news%3A100%2Cmore%3A100"));
  await pause(20);
  assert.deepEqual(seen, [7], "nothing was lost");
}));

test("long polling receives and publishes", withServer(async (server, browser) => {
  const tab = browser.open();
  const asked = [];
  const queue = [{ authorized: false, data: "", event: "serverInfo", pipe: "sys" }];
  let acknowledged = 0;
  let wake = () => {};
  tab.global.URLSearchParams = URLSearchParams;
  tab.global.fetch = async (text, { body, signal } = {}) => {
    const url = new URL(text);
    asked.push(`${url.pathname}${url.search}`);
    const answer = (value) => ({ ok: true, json: async () => value });
    if (url.pathname === "/poll/sign") return answer({ id: "i", seq: 0 });
    if (url.pathname === "/poll/pub") {
      queue.push({ data: { message: body, number_messages: 3 }, event: "answer", pipe: `_answer_to_${url.searchParams.get("pipe")}` });
      wake();
      return answer([]);
    }
    if (url.searchParams.get("pipes")) {
      queue.push({ data: { pipe: "news", position: null }, event: "subscribed", pipe: "sys" }, { data: "7", event: "e", pipe: "news" });
    }
    acknowledged = Number(url.searchParams.get("seq"));
    if (queue.length === acknowledged) {
      await new Promise((done, fail) => ((wake = done), signal.addEventListener("abort", () => fail(new Error("aborted")))));
    }
    return answer(queue.slice(acknowledged));
  };
  const comet = tab.encke.connect({ transports: [tab.encke.longPolling], uuid: "u" });
  const seen = [];
  await comet.subscribe("news", ({ data }) => seen.push(data));
  await until(() => seen.length === 1);
  assert.equal(await comet.publish("web_x", { t: 1 }, { event: "say" }), 3);
  await assert.rejects(comet.count("web_x"), /long polling/);
  assert.equal(asked[0], "/poll/sign?sesion=&myid=&devid=0&v=4.10&uuid=u&api=js2");
  assert.ok(asked.includes("/poll/pub?id=i&pipe=web_x&event=say"));
  comet.close();
}));

test("who comes sees the newest first, whoever came before", withServer(async (server, browser) => {
  server.keep("prices");
  for (const price of [1, 2, 3]) server.publish("prices", "of", `${price}`);
  const [one, other] = [browser.open(), browser.open()].map(({ encke }) => encke.connect());
  const seen = [];
  const gaps = [];
  const noting = (who) => ({ data }) => seen.push(`${who}${data}`);
  for (const comet of [one, other]) comet.on("gap", ({ pipe }) => gaps.push(pipe));
  await one.subscribe("prices", noting("a"), { last: 2 });
  assert.deepEqual(seen, ["a2", "a3"]);
  assert.ok(server.commands.includes("subscription2\nprices ~2"), "in one round trip");
  assert.ok(!server.commands.some((text) => text.startsWith("pipe_log")));
  // The connection has the pipe already: in this tab, and for another one.
  await one.subscribe("prices", noting("b"), { last: 1 });
  await until(() => seen.includes("b3"));
  await other.subscribe("prices", noting("c"), { last: 1 });
  await until(() => seen.includes("c3"));
  await other.subscribe("prices.other", noting("d"), { last: 5 });
  server.publish("prices", "of", "4");
  await until(() => seen.length === 7);
  assert.deepEqual(seen.slice(4).sort(), ["a4", "b4", "c4"]);
  // What a pipe without a history had nobody knows.
  await one.subscribe("plain", noting("e"), { last: 1 });
  server.publish("plain", "", "5");
  await until(() => seen.includes("e5"));
  // After a break nothing is told twice.
  server.drop();
  server.publish("prices", "of", "6");
  await until(() => seen.includes("a6") && seen.includes("b6") && seen.includes("c6"));
  assert.equal(seen.filter((text) => text === "a3").length, 1);
  assert.deepEqual(gaps.filter((pipe) => pipe === "prices"), []);
}));

for (const way of ["webSocket", "longPolling"]) {
  test(`the newest come first with ${way}`, withServer(async (server, browser) => {
    server.keep("prices");
    server.publish("prices", "of", "7");
    const { encke } = browser.open();
    const comet = encke.connect({ transports: [encke[way]], shared: false });
    const seen = [];
    await comet.subscribe("prices", ({ data }) => seen.push(data), { last: 1 });
    assert.deepEqual(seen, [7]);
    await comet.subscribe("other", () => {});
    server.publish("prices", "of", "8");
    await until(() => seen.length === 2);
    assert.deepEqual(seen, [7, 8]);
  }));
}
