import assert from "node:assert/strict";
import { test } from "node:test";
import { pause, until, withServer } from "./fake.mjs";

const plain = (value) => JSON.parse(JSON.stringify(value));

/** A page with the classic script, and what it noted. */
function page(browser, options = { node: "comet.test", dev_id: 1 }, start = true) {
  const tab = browser.openClassic();
  const { cometApi } = tab.global;
  const seen = [];
  if (start) cometApi.start(options);
  return { ...tab, cometApi, seen, note: (message) => seen.push(message), pipes: () => [...[...browser.server.sockets].at(-1)?.pipes ?? []] };
}

const FUNCTIONS = [
  "start", "restart", "stop", "subscription", "unsubscription", "unsubscriptionAll", "web_pipe_send", "multi_web_pipe_send",
  "getTrackPipeUsers", "getUserData", "get_pipe_log", "count_users_in_pipe", "sendStatistics", "onAuthSuccess", "onAuthFalill",
  "isAuthorized", "isMaster", "isConnected", "getUserId", "getUserKey", "getDevId", "getRealUserKey", "setRealUserKey", "getUUID",
  "getTabUUID", "getUrl", "UseWebSocket", "UseWss", "isUseWss", "getLogLevel", "setLogLevel", "stripslashes", "getCustomString",
  "updateEventKey", "msg_cultivate", "send_msg",
];
const SIGNALS = [
  "connect", "disconnect", "emit", "emitAll", "send_emit", "setState", "getState", "intervalUpdateState", "getTabUUID",
  "setEventKey", "getEventKey",
];
const MEMBERS = ["version", "options", "tabSignal", "custom_id", "subscription_array", "socketArray", "messageHistory"];

/** What an application may listen to on the tab bus, and how often each is told of below. */
const TOLD = { aa: 2, "aa.b": 1, msg: 1, "msg.mail": 1, _answer_to_web_a: 1, comet_server_msg: 4, __comet_onAuthSuccess: 0, __comet_onAuthFalill: 1 };

test("everything that the classic library has is there", withServer(async (_, browser) => {
  const { global } = browser.openClassic();
  for (const name of FUNCTIONS) assert.equal(typeof global.cometApi[name], "function", name);
  for (const name of MEMBERS) assert.notEqual(global.cometApi[name], undefined, name);
  for (const name of SIGNALS) assert.equal(typeof global.tabSignal[name], "function", name);
  for (const name of ["encode", "decode"]) assert.equal(typeof global.cometApi.Base64[name], "function", name);
  assert.equal(global.CometServer(), global.cometApi);
  assert.equal(global.comet_server_signal(), global.tabSignal);
  assert.equal(typeof new global.cometServerApi().start, "function");
  assert.equal(typeof new global._cometServerApi().start, "function");
  assert.equal(typeof new global._tabSignal().emit, "function");
  assert.equal(global.getCookie("CometUserid"), "5");
}));

/** Each: how it subscribes, and which of the publications below it hears, by their text. */
const FORMS = [
  ["a pipe", "aa", ["1", "2"]],
  ["an event of a pipe", "aa.b", ["2"]],
  ["two pipes", "aa\ncc", ["1", "2", "3"]],
  ["events and pipes", "aa.b\ncc", ["2", "3"]],
  ["personal messages", "msg", ["4", "5"]],
  ["an event of personal messages", "msg.mail", ["5"]],
  ["everything", "", ["1", "2", "3", "4", "5"]],
  ["a function only", undefined, ["1", "2", "3", "4", "5"]],
];
for (const [what, name, expected] of FORMS) {
  test(`subscription: ${what}`, withServer(async (server, browser) => {
    const { cometApi, seen, note, pipes } = page(browser);
    const id = name === undefined ? cometApi.subscription(note) : cometApi.subscription(name, note);
    assert.match(id, /^[^&]*&&.+$/);
    cometApi.subscription("aa");
    cometApi.subscription("cc");
    const everything = [];
    cometApi.subscription("", (message) => everything.push(message.data));
    await until(() => pipes().length === 2);
    const publish = () => {
      server.publish("aa", "x", '"1"');
      server.publish("aa", "b", '"2"');
      server.publish("cc", "x", '"3"');
      [...server.sockets][0].say({ data: "4x", event: "note", pipe: "msg" });
      [...server.sockets][0].say({ data: '"5"', event: "mail", pipe: "msg" });
    };
    publish();
    await until(() => everything.length === 5);
    assert.deepEqual(seen.map(({ data }) => data[0]), expected);
    assert.equal(cometApi.unsubscription(id), true);
    assert.equal(cometApi.unsubscription(id), false);
    publish();
    await until(() => everything.length === 10);
    assert.equal(seen.length, expected.length);
  }));
}

test("what a callback gets", withServer(async (server, browser) => {
  const { cometApi, seen, note, pipes } = page(browser);
  cometApi.subscription("aa", note);
  await until(() => pipes().length);
  server.publish("aa", "x", '{"text":"it\'s"}', { user: 7 });
  server.publish("aa", "", "plain \\ text");
  server.publish("aa", "x", '{\\"twice\\":1}');
  server.publish("aa", "x", { user_id: 0, uuid: "u" });
  await until(() => seen.length === 4);
  assert.deepEqual(plain(seen[0]), { data: { text: "it's" }, server_info: { user_id: 7, pipe: "aa", event: "x", history: false } });
  assert.deepEqual(plain(seen.map(({ data }) => data)).slice(1), ["plain \\ text", { twice: 1 }, { user_id: 0, uuid: "u" }]);
  // Nothing that is said is executed, no sender is believed in a text, and a foreign marker hides a message.
  cometApi.msg_cultivate({ data: "A::5;{}", pipe: "aa", event: "x", jscode: "globalThis.struck = 1" }, 0);
  assert.deepEqual([seen[4].data, seen[4].server_info.user_id], ["A::5;{}", 0]);
  cometApi.msg_cultivate({ data: "m", pipe: "aa", event: "x", marker: "foreign" });
  cometApi.msg_cultivate({ pipe: "aa", event: "x" });
  assert.equal(seen.length, 5);
  cometApi.msg_cultivate({ data: "m", pipe: "aa", event: "x", uuid: "u1" });
  cometApi.msg_cultivate({ data: "m", pipe: "aa", event: "x", uuid: "u1" });
  assert.equal(seen.length, 6);
}));

/** Each: arguments of web_pipe_send, and the command, or null if it is refused. */
const SENDS = [
  [["web_a", "say", { t: "it's" }], 'web_a\nsay\n*\n{"t":"it\'s"}'],
  [["web_a.say", [1]], "web_a\nsay\n*\n[1]"],
  [["web_a", "text"], 'web_a\nundefined\n*\n"text"'],
  [["web_a", undefined, 0], "web_a\nundefined\n*\n0"],
  [["@web_a", "say", null], "@web_a\nsay\n*\nnull"],
  [["webauth_a", "say", 1], "webauth_a\nsay\n*\n1"],
  [["news", "say", 1], null],
  [["web_a b", "say", 1], null],
];
test("web_pipe_send in all forms", withServer(async (server, browser) => {
  const { cometApi, errors } = page(browser, { node: "comet.test", dev_id: 1, user_id: 5, user_key: "key5" });
  assert.equal(cometApi.web_pipe_send("web_early", "e", 1), false, "queued");
  await until(() => server.commands.includes("web_pipe2\nweb_early\ne\n*\n1"));
  for (const [args, command] of SENDS) {
    const before = errors.length;
    assert.equal(cometApi.web_pipe_send(...args), command !== null, String(args));
    if (command === null) assert.ok(errors.length > before);
    else await until(() => server.commands.includes(`web_pipe2\n${command}`), command);
  }
}));

test("delivery reports", withServer(async (server, browser) => {
  const { cometApi, seen, note } = page(browser);
  cometApi.subscription("#web_a", note);
  cometApi.web_pipe_send("web_a", "say", { t: 1 });
  await until(() => seen.length === 1);
  assert.deepEqual(plain(seen[0].data), { error: "", message: '{"t":1}', number_messages: 0 });
  assert.equal(seen[0].server_info.pipe, "_answer_to_web_a");
  cometApi.subscription("sys.error", note);
  cometApi.web_pipe_send("webauth_a", "say", 1);
  await until(() => seen.length === 2);
  assert.match(seen[1].data.error, /authorised/);
}));

test("multi_web_pipe_send is delivered once", withServer(async (server, browser) => {
  const sender = page(browser, { shared: false, node: "comet.test" });
  const receiver = page(browser, { shared: false, node: "comet.test" });
  receiver.cometApi.subscription("web_a", receiver.note);
  await until(() => receiver.pipes().length);
  sender.cometApi.multi_web_pipe_send("web_a", "ping", { status: "ping" }, 3, 100);
  await until(() => server.commands.filter((command) => command.startsWith("web_pipe2")).length === 3);
  await pause(20);
  assert.deepEqual(plain(receiver.seen.map(({ data }) => data)), [{ status: "ping" }]);
}));

test("questions", withServer(async (server, browser) => {
  server.keep("aa");
  for (const text of ["1", "2"]) server.publish("aa", "x", text);
  const { cometApi, seen, note, pipes } = page(browser, { node: "comet.test" }, false);
  // Before the start, as pages do.
  cometApi.getUserData(7, note);
  cometApi.start({ node: "comet.test" });
  cometApi.count_users_in_pipe("web_a", note);
  cometApi.getTrackPipeUsers("track_a", note);
  await until(() => seen.length === 3);
  assert.deepEqual(plain(seen.map(({ data }) => data)), [{ user_data: '{"of":7}', user_id: 7 }, { user_in_pipe: 0 }, []]);
  cometApi.get_pipe_log("aa", note);
  await until(() => seen.length === 5);
  assert.deepEqual(plain(seen.slice(3).map(({ data, server_info }) => [data, server_info.history, server_info.event])), [[1, true, "x"], [2, true, "x"]]);
  await until(() => pipes().length);
  server.publish("aa", "x", "3");
  await until(() => seen.length === 6);
  assert.equal(seen[5].server_info.history, false);
  cometApi.sendStatistics("plugin", "1.0", { a: 1 });
  await until(() => server.commands.includes('statistics\n{"plugin":{"name":"plugin","version":"1.0","data":{"a":1}}}'));
}));

test("authorisation", withServer(async (server, browser) => {
  const { cometApi } = page(browser, {}, false);
  const told = [];
  assert.equal(cometApi.isAuthorized(), undefined);
  assert.equal(cometApi.isMaster(), undefined);
  cometApi.onAuthSuccess(() => told.push(["success", cometApi.getRealUserKey()]));
  cometApi.onAuthFalill(() => told.push(["fail", cometApi.isAuthorized()]));
  let started = 0;
  assert.equal(cometApi.start({ node: "comet.test", user_id: 5, user_key: "wrong", dev_id: 1 }, () => (started += 1)), true);
  await until(() => told.length === 1 && started === 1);
  cometApi.restart({ user_key: "key5" });
  await until(() => told.length === 2);
  assert.deepEqual(told, [["fail", false], ["success", "key5"]]);
  assert.equal(cometApi.isAuthorized(), true);
  assert.deepEqual([cometApi.getUserId(), cometApi.getUserKey(), cometApi.getDevId()], [5, "key5", 1]);
  assert.equal(cometApi.isConnected(), true);
  assert.equal(cometApi.isMaster(), true);
  server.drop();
  await until(() => server.urls.length === 3);
  assert.equal(told.length, 2, "the status did not change");
  cometApi.stop();
  assert.equal(server.sockets.size, 0);
  assert.equal(cometApi.isConnected(), false);
  assert.equal(cometApi.setRealUserKey("other"), true);
  assert.equal(cometApi.getRealUserKey(), "other");
}));

test("restart keeps subscriptions, also before start", withServer(async (server, browser) => {
  const { cometApi, seen, note, pipes } = page(browser, {}, false);
  cometApi.subscription("aa", note);
  cometApi.restart({ node: "comet.test" });
  await until(() => pipes().length === 1);
  cometApi.restart({ dev_id: 2 });
  await until(() => server.urls.length === 2 && pipes().length === 1);
  assert.match(server.urls[1], /devid=2&/);
  server.publish("aa", "x", "1");
  await until(() => seen.length === 1);
  const other = cometApi.subscription("bb", note);
  await until(() => pipes().length === 2);
  cometApi.unsubscription(other);
  await until(() => pipes().length === 1);
  cometApi.unsubscriptionAll();
  await until(() => pipes().length === 0);
}));

test("addresses", withServer(async (server, browser) => {
  const { global } = browser.openClassic();
  const url = (options) => new global.cometServerApi(Object.assign({ uuid: "u", user_id: 5, user_key: "k", dev_id: 3 }, options)).getUrl(0);
  const rest = "/ws/sesion=k&myid=5&devid=3&v=4.10&uuid=u&api=js2";
  for (const [options, start] of [
    [{}, "ws://comet.test"],
    [{ node: "a.test" }, "wss://a.test"],
    [{ node: ["a.test/comet-server/", "b.test"] }, "wss://a.test/comet-server"],
    [{ nodes: ["a.test:8087"], wss: false }, "ws://a.test:8087"],
    [{ node: "a.test", wss: true }, "wss://a.test"],
    [{ node: "http://a.test" }, "ws://a.test"],
  ]) assert.equal(url(options), start + rest);
  assert.match(url({ user_id: undefined, user_key: undefined }), /sesion=&myid=&/);
  assert.match(url({ user_id: undefined, user_key: undefined, CookieKyeName: "CometUserKey", CookieIdName: "CometUserid" }), /sesion=key5&myid=5&/);
  // One option that cannot be used keeps no other one away: the page stays in its tenant.
  for (const [options, fields] of [
    [{ user_id: "guest" }, "sesion=k&myid=&devid=3&v=4.10&uuid=u&"],
    [{ user_id: -1 }, "sesion=k&myid=&devid=3&v=4.10&uuid=u&"],
    [{ user_key: "with a blank" }, "sesion=&myid=5&devid=3&v=4.10&uuid=u&"],
    [{ uuid: "a b" }, "sesion=k&myid=5&devid=3&v=4.10&uuid="],
    [{ dev_id: "x" }, "sesion=k&myid=5&devid=0&v=4.10&uuid=u&"],
  ]) assert.ok(url(options).includes(fields), url(options));
  const api = new global.cometServerApi();
  assert.deepEqual([api.isUseWss(), api.UseWss(false), api.isUseWss(), api.UseWebSocket(), api.UseWebSocket(true)], [true, false, false, true, true]);
}));

test("helpers", withServer(async (server, browser) => {
  const { global } = browser.openClassic();
  const { cometApi, tabSignal } = global;
  assert.match(cometApi.getUUID(), /^[\w-]{32}$/);
  assert.equal(browser.stored.get("comet_server_uuid"), cometApi.getUUID());
  assert.match(cometApi.getTabUUID(), /^[\w-]{16}$/);
  assert.equal(cometApi.custom_id, cometApi.getTabUUID());
  assert.match(cometApi.getCustomString(), /^[\w-]{10}$/);
  assert.equal(cometApi.Base64.decode(cometApi.Base64.encode("дом ✓")), "дом ✓");
  assert.equal(cometApi.Base64.encode("дом"), "0LTQvtC8");
  // Nothing is too odd to be decoded, as in CppComet's library.
  for (const [text, plain] of [["0LTQ\nvtC8", "дом"], ["YQ", "a"], ["YQ=", "a"], ["*YWI=?", "ab"], ["YWJjZ", "abc"], ["", ""], ["/w==", "\ufffd"]]) {
    assert.equal(cometApi.Base64.decode(text), plain, text);
  }
  assert.equal(cometApi.stripslashes("a\\'b\\\\c\\0"), "a'b\\c\0");
  cometApi.setLogLevel(2);
  assert.deepEqual([cometApi.getLogLevel(), browser.stored.get("comet_LogLevel")], [2, "2"]);

  const heard = [];
  const slot = tabSignal.connect("sig", (param, signal, other) => heard.push([param, signal, other]));
  assert.equal(tabSignal.connect("named", "sig", (param) => heard.push(param)), "named");
  tabSignal.emit("sig", 1);
  assert.deepEqual(plain(heard), [[1, "sig", false], 1]);
  assert.deepEqual([tabSignal.disconnect("named", "sig"), tabSignal.disconnect("named", "sig")], [true, false]);
  tabSignal.send_emit("sig", 2);
  assert.equal(heard.length, 3);
  const second = browser.openClassic().global.tabSignal;
  second.connect("sig", (param, signal, other) => heard.push([param, signal, other]));
  tabSignal.emitAll("sig", { a: 3 });
  await until(() => heard.length === 5);
  assert.deepEqual(plain(heard.slice(3)), [[{ a: 3 }, "sig", false], [{ a: 3 }, "sig", true]]);
  assert.equal(tabSignal.disconnect(slot, "sig"), true);
  tabSignal.setState("busy");
  assert.deepEqual([tabSignal.getState("busy"), second.getState("busy"), tabSignal.getState("idle")], [true, true, false]);
  tabSignal.setEventKey("key");
  assert.equal(tabSignal.getEventKey(), "key");
}));

test("tabs share a connection", withServer(async (server, browser) => {
  const pages = [page(browser), page(browser)];
  for (const { cometApi, note } of pages) cometApi.subscription("aa", note);
  await until(() => pages[0].pipes().length);
  await until(() => pages[1].cometApi.isAuthorized() === false);
  assert.deepEqual(pages.map(({ cometApi }) => cometApi.isMaster()), [true, false]);
  server.publish("aa", "x", "1");
  await until(() => pages.every(({ seen }) => seen.length === 1));
  browser.tabs[0].crash();
  await until(() => pages[1].cometApi.isMaster() && pages[1].pipes().length);
  server.publish("aa", "x", "2");
  await until(() => pages[1].seen.length === 2);
}));

test("nodes are alternatives", withServer(async (server, browser) => {
  server.up = false;
  page(browser, { nodes: ["a.test", "b.test"] });
  await until(() => server.urls.length >= 2);
  assert.deepEqual(server.urls.slice(0, 2).map((url) => new URL(url).host), ["a.test", "b.test"]);
}));

test("signals that applications listen to", withServer(async (server, browser) => {
  const { cometApi, global, pipes } = page(browser, {}, false);
  const heard = {};
  const order = [];
  for (const name of Object.keys(TOLD)) {
    global.comet_server_signal().connect(name, (param, signal, other) => {
      (heard[name] ??= []).push([param, signal, other]);
      order.push(signal);
    });
  }
  cometApi.subscription("aa");
  cometApi.start({ node: "comet.test" });
  await until(() => pipes().length === 1 && heard.__comet_onAuthFalill);
  server.publish("aa", "b", "1");
  await until(() => heard["aa.b"]);
  assert.deepEqual(order.splice(0), ["__comet_onAuthFalill", "aa", "aa.b", "comet_server_msg"]);
  server.publish("aa", "c", "2");
  [...server.sockets][0].say({ data: "3", event: "mail", pipe: "msg" });
  cometApi.web_pipe_send("web_a", "say", 4);
  await until(() => heard._answer_to_web_a);
  assert.deepEqual(Object.fromEntries(Object.keys(TOLD).map((name) => [name, heard[name]?.length ?? 0])), TOLD);
  const [[param, signal, other]] = heard["aa.b"];
  assert.deepEqual([param.data, param.server_info.event, signal, other], [1, "b", "aa.b", false]);
}));

test("what add-ons look at", withServer(async (server, browser) => {
  const { cometApi, global, seen, note, pipes } = page(browser, { node: "comet.test" }, false);
  assert.equal(cometApi.isConnected(), false, "not before the start");
  cometApi.start({ nodes: ["a.test", "b.test"], dev_id: 3, user_id: 5, user_key: "key5", nostat: true });
  assert.equal(cometApi.isConnected(), true, "also while it connects");
  assert.deepEqual(plain(cometApi.options), { nodes: ["a.test", "b.test"], dev_id: 3, user_id: 5, user_key: "key5", nostat: true });
  assert.match(cometApi.version, /^4\.\d+$/);
  assert.equal(cometApi.tabSignal, global.tabSignal);
  cometApi.updateEventKey();
  assert.equal(global.tabSignal.getEventKey(), "a.test_b.test_3_5");
  // Names with more dots go to the server in parts, of which the first is the pipe.
  cometApi.subscription("aa.b\n  cc \n\nmsg.x\n#web_a", note);
  assert.deepEqual(plain(cometApi.subscription_array), ["aa", "cc"]);
  await until(() => pipes().length === 2);
  assert.ok(Array.isArray(plain(cometApi.socketArray)));
  cometApi.web_pipe_send("web_a", "say", { t: 1 });
  assert.ok(plain(cometApi.messageHistory).includes('web_pipe2\nweb_a\nsay\n*\n{"t":1}'));
  await until(() => seen.length === 1);
  // Commands of the protocol: a subscription adds, everything else is sent as it is.
  assert.equal(cometApi.send_msg("subscription\ndd"), true);
  await until(() => pipes().length === 3);
  assert.equal(cometApi.send_msg("user_data\nm\n7"), true);
  await until(() => server.commands.includes("user_data\nm\n7"));
  for (let count = 0; count < 1_100; count++) cometApi.send_msg("statistics\n{}");
  assert.equal(cometApi.messageHistory.length, 1_000);
  assert.equal(cometApi.subscription("aa", "no function"), false);
}));

test("a state of all tabs holds while it is said again", withServer(async (server, browser) => {
  const [one, other] = [browser.openClassic().global.tabSignal, browser.openClassic().global.tabSignal];
  assert.ok(one.intervalUpdateState("call", { of: 7 }));
  assert.deepEqual(plain(other.getState("call")), { of: 7 });
  const said = () => browser.stored.get("tabSignal_call");
  const first = said();
  await until(() => said() !== first);
  assert.deepEqual(plain(other.getState("call")), { of: 7 });
  browser.tabs[0].crash();
  await until(() => other.getState("call") === false);
}));

test("several instances have nothing in common", withServer(async (server, browser) => {
  const { global } = browser.openClassic();
  const apis = [0, 1].map(() => new global.cometServerApi());
  const seen = [[], []];
  const told = [[], []];
  for (const [index, api] of apis.entries()) {
    api.subscription("aa", ({ data }) => seen[index].push(data));
    api.onAuthSuccess(() => told[index].push("success"));
    api.onAuthFalill(() => told[index].push("fail"));
    api.subscription("#web_a", ({ data }) => seen[index].push(data.message));
  }
  apis[0].start({ node: "comet.test", dev_id: 1, user_id: 5, user_key: "key5" });
  apis[1].start({ node: "comet.test", dev_id: 2 });
  await until(() => told.every(({ length }) => length) && [...server.sockets].every(({ pipes }) => pipes.has("aa")));
  assert.deepEqual(told, [["success"], ["fail"]]);
  assert.deepEqual(apis.map((api) => api.isAuthorized()), [true, false]);
  const [one] = server.sockets;
  one.say({ data: "7", event: "x", pipe: "aa" });
  apis[1].web_pipe_send("web_a", "say", 1);
  await until(() => seen.every(({ length }) => length));
  assert.deepEqual(plain(seen), [[7], ["1"]]);
  // A signal to all tabs reaches the other tabs, and in its own tab one bus only.
  const other = browser.openClassic();
  const heard = [];
  apis[0].tabSignal.setEventKey("key");
  for (const [name, bus] of [["here", apis[0].tabSignal], ["beside", apis[1].tabSignal], ["there", other.global.tabSignal]]) {
    bus.setEventKey("key");
    bus.connect("call", () => heard.push(name));
  }
  apis[0].tabSignal.emitAll("call");
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ["here", "there"]);
  assert.equal(apis[1].unsubscriptionAll(), true);
  one.say({ data: "8", event: "x", pipe: "aa" });
  await until(() => seen[0].length === 2);
}));

test("a second start with other options connects with them", withServer(async (server, browser) => {
  const { cometApi, seen, note, pipes } = page(browser, { node: "comet.test", dev_id: 1 });
  cometApi.subscription("aa", note);
  await until(() => pipes().length);
  cometApi.start({ node: "comet.test", dev_id: 1 });
  cometApi.start();
  assert.equal(server.urls.length, 1);
  let started = 0;
  cometApi.start({ dev_id: 2, user_id: 5, user_key: "key5" }, () => (started += 1));
  await until(() => server.urls.length === 2 && cometApi.isAuthorized() && pipes().length && started);
  assert.match(server.urls[1], /sesion=key5&myid=5&devid=2&/);
  assert.equal(server.sockets.size, 1);
  server.publish("aa", "x", "1");
  await until(() => seen.length === 1);
}));

for (const [what, block] of [["where WebSocket is blocked", (server) => (server.blocked = true)], ["when WebSocket is not wanted", (_, { cometApi }) => cometApi.UseWebSocket(false)]]) {
  test(`long polling ${what}`, withServer(async (server, browser) => {
    const options = { node: "comet.test", dev_id: 1 };
    const tab = page(browser, options, false);
    block(server, tab);
    tab.cometApi.subscription("aa", tab.note);
    tab.cometApi.subscription("#web_a", tab.note);
    tab.cometApi.start(options);
    await until(() => [...server.sockets].some(({ id, pipes }) => id && pipes.has("aa")));
    assert.deepEqual(tab.imported, ["http://comet.test/encke-http.js"]);
    server.publish("aa", "x", "1");
    tab.cometApi.web_pipe_send("web_a", "say", 2);
    await until(() => tab.seen.length === 2);
    assert.deepEqual(plain(tab.seen.map(({ data }) => data.message ?? data)).sort(), ["2", 1].sort());
    assert.equal(tab.cometApi.isConnected(), true);
    if (server.blocked) return;
    assert.equal(tab.cometApi.UseWebSocket(true), true);
    await until(() => [...server.sockets].some(({ id }) => !id));
  }));
}

test("a copy of the script alone takes its other part from the server", withServer(async (server, browser) => {
  server.blocked = true;
  browser.missing = (name) => name === "http://comet.test/encke-http.js";
  const tab = page(browser, { node: "https://other.test", dev_id: 1 });
  await until(() => tab.cometApi.isAuthorized() === false);
  assert.deepEqual(tab.imported, ["http://comet.test/encke-http.js", "https://other.test/encke-http.js"]);
}));

test("what a stranger publishes keeps nothing away in another pipe", withServer(async (server, browser) => {
  const { cometApi, seen, note, pipes } = page(browser);
  cometApi.subscription("web_a\nnews", note);
  await until(() => pipes().length === 2);
  server.publish("web_a", "x", '{"_cometApi_uuid":"jsapi1","t":1}', { user: 0 });
  server.publish("web_a", "x", '{"_cometApi_uuid":"jsapi1","t":2}', { user: 0 });
  server.publish("news", "x", '{"_cometApi_uuid":"jsapi1","t":3}');
  server.publish("web_a", "serverInfo", '{"authorized":true}', { user: 0 });
  await until(() => seen.length === 3);
  assert.deepEqual(plain(seen.map(({ data }) => data.t ?? data.authorized)), [1, 3, true]);
  assert.equal(cometApi.isAuthorized(), false);
}));

test("a frame without an origin", withServer(async (server, browser) => {
  const tab = browser.openClassic({ locks: "refuse" });
  const { cometApi, document, tabSignal } = tab.global;
  Object.defineProperty(document, "cookie", { get: () => { throw new Error("The document is sandboxed"); } });
  tab.global.BroadcastChannel = class { constructor() { throw new Error("denied"); } };
  tabSignal.connect("call", () => {});
  cometApi.start({ node: "comet.test", CookieIdName: "CometUserid" });
  await until(() => cometApi.isAuthorized() === false);
  assert.equal(cometApi.isMaster(), true);
}));
