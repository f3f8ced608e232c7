// The main functions of the classic library in real browsers, against the real server. The complete table of its functions is
// in web/client/test/classic.test.mjs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until, withWorld } from "./world.mjs";

const KEY = "a1".repeat(16);

/** A page with the classic script, and what its callbacks got. */
async function open(world, options, person) {
  const page = await world.page("/demo/", person ?? (await world.person({ complains: /CometServerApi: / })));
  await page.addScriptTag({ url: "/CometServerApi.js" });
  await page.evaluate((options) => {
    window.seen = {};
    window.note = (name) => (message) => (window.seen[name] ??= []).push(message);
    cometApi.onAuthSuccess(() => window.note("auth")(true));
    cometApi.onAuthFalill(() => window.note("auth")(false));
    cometApi.start(options, () => window.note("start")(1));
  }, options);
  await until(() => page.evaluate(() => window.seen.auth && window.seen.start), "the page is connected");
  return page;
}

const seen = async (page, name) => JSON.parse(await page.evaluate((name) => JSON.stringify(window.seen[name] ?? []), name));
const data = async (page, name) => (await seen(page, name)).map((message) => message.data);
const awaitSeen = (page, name, count) => until(async () => (await seen(page, name)).length >= count, `${count} of ${name}`);

test("the classic functions in two browsers", withWorld(async (world) => {
  const { server } = world;
  await server.query("INSERT INTO users_auth (id, hash) VALUES (5, ?)", [KEY]);
  await server.query("INSERT INTO users_data (id, data) VALUES (5, ?)", ['{"name":"Ada"}']);
  await server.query("INSERT INTO users_messages (id, event, message) VALUES (5, 'mail', '{\"unread\":3}')");
  await server.keep("web_room");
  const ada = await open(world, { dev_id: 0, user_id: 5, user_key: KEY });
  const guest = await open(world, { dev_id: 0 });
  assert.deepEqual([await seen(ada, "auth"), await seen(guest, "auth")], [[true], [false]]);
  assert.deepEqual(await ada.evaluate(() => [cometApi.isAuthorized(), cometApi.isMaster(), cometApi.isConnected(), cometApi.getUserId(), cometApi.getDevId()]), [true, true, true, 5, 0]);
  assert.match(await ada.evaluate(() => cometApi.getUUID()), /^[\w-]{32}$/);

  // Subscriptions in all forms.
  const ids = await ada.evaluate(() => [
    ["pipe", "web_room"], ["event", "web_room.say"], ["two", "web_room.say\nnews"], ["everything", ""], ["report", "#web_room"], ["msg", "msg"], ["mail", "msg.mail"],
  ].map(([name, pipe]) => cometApi.subscription(pipe, window.note(name))).concat(cometApi.subscription(window.note("function"))));
  for (const id of ids) assert.match(id, /&&/);
  await guest.evaluate(() => cometApi.subscription("web_room", window.note("pipe")));
  await server.awaitSubscribers("web_room", 2);
  await server.awaitSubscribers("news", 1);

  // From browser to browser, with all that is difficult in a text.
  const message = { text: "It's \"quoted\" \\ <b> Привет" };
  assert.equal(await guest.evaluate((message) => cometApi.web_pipe_send("web_room", "say", message), message), true);
  for (const name of ["pipe", "event", "two", "everything", "function"]) {
    await awaitSeen(ada, name, 1);
    assert.deepEqual(await data(ada, name), [message], name);
  }
  assert.deepEqual((await seen(ada, "pipe"))[0].server_info, { user_id: 0, pipe: "web_room", event: "say", history: false });
  await ada.evaluate(() => cometApi.web_pipe_send("web_room.shout", { loud: true }));
  await awaitSeen(guest, "pipe", 1);
  assert.equal((await seen(guest, "pipe"))[0].server_info.user_id, 5, "the sender is what the server says");
  await awaitSeen(ada, "report", 1);
  assert.deepEqual((await data(ada, "report"))[0], { error: "", message: '{"loud":true}', number_messages: 1 });
  assert.equal(await guest.evaluate(() => cometApi.web_pipe_send("news", "say", 1)), false, "only a backend publishes there");

  // From a backend, to a pipe and to a user.
  await server.publish("news", { a: 1 }, "added");
  await awaitSeen(ada, "two", 2);
  await server.query("INSERT INTO users_messages (id, event, message) VALUES (5, 'mail', '{\"unread\":4}')");
  await until(async () => (await data(ada, "mail")).some(({ unread }) => unread === 4));
  assert.equal((await data(ada, "msg")).length, (await data(ada, "mail")).length);

  // Questions.
  await ada.evaluate(() => {
    cometApi.getUserData(5, window.note("userData"));
    cometApi.count_users_in_pipe("web_room", window.note("count"));
    cometApi.subscription("track_room", window.note("track"));
  });
  await awaitSeen(ada, "userData", 1);
  assert.deepEqual(await data(ada, "userData"), [{ user_data: '{"name":"Ada"}', user_id: 5 }]);
  await awaitSeen(ada, "count", 1);
  assert.deepEqual(await data(ada, "count"), [{ user_in_pipe: 2 }]);
  await server.awaitSubscribers("track_room", 1);
  await guest.evaluate(() => cometApi.subscription("track_room", window.note("track")));
  await awaitSeen(ada, "track", 1);
  assert.equal((await seen(ada, "track"))[0].server_info.event, "subscription");
  await ada.evaluate(() => cometApi.getTrackPipeUsers("track_room", window.note("members")));
  await awaitSeen(ada, "members", 1);
  assert.deepEqual((await data(ada, "members"))[0].map(({ user_id }) => user_id).sort(), [0, 5]);
  await guest.evaluate(() => cometApi.get_pipe_log("web_room", window.note("log")));
  await awaitSeen(guest, "log", 2);
  assert.deepEqual(await data(guest, "log"), [message, { loud: true }]);
  assert.equal((await seen(guest, "log"))[0].server_info.history, true);

  // Three times sent, once delivered.
  await guest.evaluate(() => cometApi.multi_web_pipe_send("web_room", "ping", { status: "ping" }, 3, 20));
  await until(async () => Number((await server.query("SELECT * FROM pipes_messages WHERE name = 'web_room'")).filter(({ event }) => event === "ping").length) === 3);
  await guest.evaluate(() => cometApi.web_pipe_send("web_room", "end", 1));
  await until(async () => (await seen(ada, "pipe")).at(-1)?.server_info.event === "end");
  assert.deepEqual((await seen(ada, "pipe")).map(({ server_info }) => server_info.event), ["say", "ping", "end"]);

  // Leaving, and coming back.
  assert.equal(await guest.evaluate(() => (cometApi.unsubscriptionAll(), cometApi.subscription_array.length)), 0);
  await server.awaitSubscribers("web_room", 1);
  assert.deepEqual(await ada.evaluate((ids) => ids.map((id) => cometApi.unsubscription(id)), [ids[1], ids[1]]), [true, false]);
  await ada.evaluate(() => cometApi.stop());
  await server.awaitSubscribers("web_room", 0);
  assert.equal(await ada.evaluate(() => cometApi.isConnected()), false);
  await ada.evaluate(() => cometApi.restart({ user_key: "wrong" }));
  await server.awaitSubscribers("web_room", 1);
  await awaitSeen(ada, "auth", 2);
  assert.deepEqual(await seen(ada, "auth"), [true, false]);
  // Deleting the hash ended nobody who is a guest by now.
  await server.query("DELETE FROM users_auth WHERE id = 5");
  await server.publish("web_room", { last: true }, "last");
  await until(async () => (await seen(ada, "pipe")).at(-1)?.server_info.event === "last");
}));
