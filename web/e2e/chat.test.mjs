// The chat of the demo page in real browsers: nothing is lost, whatever happens to page, line or server.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { root, run, until, withWorld } from "./world.mjs";

/** What browsers say of a server that is away. */
const AWAY = /WebSocket|ERR_|encke: no-connection/;
const CHAT = "/demo/chat";

async function open(world, { url = CHAT, person, name } = {}) {
  const page = await world.page(url, person ?? (await world.person({ complains: AWAY })));
  await state(page, "connected");
  if (name) await page.getByLabel("Your name").fill(name);
  return page;
}

const state = (page, expected) => page.locator(`.chat .state[data-state="${expected}"]`).waitFor();

async function write(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

const texts = (page) => page.locator(".chat .log li p").allInnerTexts();

/** Waits until the pages show exactly this, in this order and nothing twice. */
async function show(pages, expected) {
  for (const page of pages) {
    let seen;
    const what = `the page shows ${JSON.stringify(expected)}`;
    await until(async () => (seen = await texts(page)).length >= expected.length, what).catch((error) => {
      throw new Error(`${error.message}, but ${JSON.stringify(seen)}`);
    });
    assert.deepEqual(await texts(page), expected);
  }
}

test("two browsers chat, and a backend in PHP joins in", withWorld(async (world) => {
  const ada = await open(world, { name: "Ada" });
  const boris = await open(world, { name: "Boris" });
  await world.server.awaitSubscribers("web_demo", 2);
  await write(ada, "Hello, Boris");
  await show([ada, boris], ["Hello, Boris"]);
  assert.equal(await boris.locator(".chat .who").innerText(), "Ada");
  // Nothing of it is markup.
  await write(boris, `It's <img src=x onerror="window.struck=1"> \\ "fine"`);
  await show([ada, boris], ["Hello, Boris", `It's <img src=x onerror="window.struck=1"> \\ "fine"`]);
  const insert = `require 'examples/php-chat/comet.php'; comet("INSERT INTO pipes_messages (name, event, message) VALUES ('web_demo', 'newMessage', ?)", [json_encode(['name' => 'PHP', 'text' => "Привет, it's me"])]);`;
  await run("php", ["-r", insert], { cwd: root, env: world.server.environment });
  for (const page of [ada, boris]) await page.getByText("Привет, it's me").waitFor();
  assert.equal(await ada.locator(".chat img").count() + (await boris.locator(".chat img").count()), 0);
  assert.equal(await ada.evaluate(() => window.struck), undefined);
  // The lines that the page shows.
  await world.server.shell(await ada.locator("#backend").textContent());
  await boris.getByText("Hello from MySQL", { exact: true }).waitFor();
  await world.server.shell(await ada.locator("#keep").textContent());
  assert.equal(Number((await world.server.query("SELECT length FROM pipes_settings WHERE name = 'web_demo'"))[0].length), 100);
  // A text that is no JSON is a message as well.
  await world.server.query("INSERT INTO pipes_messages (name, event, message) VALUES ('web_demo', 'newMessage', 'plain')");
  await ada.getByText("plain", { exact: true }).waitFor();
}));

test("a reload loses nothing", withWorld(async (world) => {
  await world.server.keep("web_demo");
  const ada = await open(world, { name: "Ada" });
  const boris = await open(world, { name: "Boris" });
  await write(ada, "one");
  await show([ada, boris], ["one"]);
  await write(boris, "two");
  await show([ada, boris], ["one", "two"]);
  // Published while the page is on its way.
  await Promise.all([ada.reload(), world.server.publish("web_demo", { name: "Backend", text: "three" })]);
  await show([ada, boris], ["one", "two", "three"]);
  await write(boris, "four");
  await show([ada, boris], ["one", "two", "three", "four"]);
  assert.equal(await ada.getByLabel("Your name").inputValue(), "Ada");
  assert.deepEqual(await ada.locator("li.own p").allInnerTexts(), ["one"], "whose messages are whose is known again");
}));

test("a server that restarts loses nothing", withWorld(async (world) => {
  const { server } = world;
  await server.keep("web_demo");
  const ada = await open(world, { name: "Ada" });
  const boris = await open(world);
  await write(ada, "before");
  await show([ada, boris], ["before"]);
  await server.stop();
  await state(ada, "reconnecting");
  await write(ada, "written while it was away");
  await ada.locator(".note", { hasText: "sending" }).waitFor();
  await server.start();
  await show([ada, boris], ["before", "written while it was away"]);
  await server.publish("web_demo", { name: "Backend", text: "after" });
  await show([ada, boris], ["before", "written while it was away", "after"]);
  assert.equal(await ada.locator(".gap").count() + (await boris.locator(".gap").count()), 0);
  // Published before the browsers can be back.
  await server.restart();
  await server.publish("web_demo", { name: "Backend", text: "at once" });
  await show([ada, boris], ["before", "written while it was away", "after", "at once"]);
}));

test("a network that goes and comes loses nothing", withWorld(async (world) => {
  const { server } = world;
  await server.keep("web_demo");
  const line = await world.line();
  const person = await world.person({ complains: AWAY });
  const ada = await open(world, { url: line.url + CHAT, person, name: "Ada" });
  const boris = await open(world, { name: "Boris" });
  await write(boris, "one");
  await show([ada, boris], ["one"]);
  await person.setOffline(true);
  line.cut();
  await state(ada, "offline");
  await server.awaitSubscribers("web_demo", 1);
  await write(boris, "two");
  await write(ada, "three");
  line.mend();
  await person.setOffline(false);
  await state(ada, "connected");
  await show([boris], ["one", "two", "three"]);
  await until(async () => (await texts(ada)).length === 3);
  assert.deepEqual((await texts(ada)).sort(), ["one", "three", "two"]);
  await until(async () => (await ada.locator(".note").allInnerTexts()).join("") === "", "all is confirmed");
  // Without a history the page says that something may be missing.
  await server.query("DELETE FROM pipes_settings WHERE name = 'web_demo'");
  line.cut();
  await state(ada, "reconnecting");
  line.mend();
  await ada.getByText("Messages may be missing here.").waitFor();
}));

test("three tabs are one connection, and the next one takes over", withWorld(async (world) => {
  const { server } = world;
  await server.keep("web_demo");
  const person = await world.person();
  const tabs = [await open(world, { person, name: "Ada" })];
  for (let more = 0; more < 2; more++) tabs.push(await open(world, { person, name: "Ada" }));
  const boris = await open(world, { name: "Boris" });
  await server.awaitSubscribers("web_demo", 2);
  await write(boris, "one");
  await show([...tabs, boris], ["one"]);
  await write(tabs[1], "two");
  await show([...tabs, boris], ["one", "two"]);
  assert.equal(await server.subscribers("web_demo"), 2);
  // The first one opened the connection.
  await tabs.shift().close();
  await server.publish("web_demo", { name: "Backend", text: "three" });
  await show([...tabs, boris], ["one", "two", "three"]);
  await write(tabs[0], "four");
  await show([...tabs, boris], ["one", "two", "three", "four"]);
  await server.awaitSubscribers("web_demo", 2);
  await tabs.shift().close();
  await show([...tabs, boris], ["one", "two", "three", "four"]);
  await tabs.shift().close();
  await server.awaitSubscribers("web_demo", 1);
}));

test("the plug-in is light where the page is, whatever the visitor's system is", withWorld(async (world) => {
  const { server } = world;
  const styles = { plain: "", both: ":root { color-scheme: light dark }", black: "body { background: #000; color: oklch(0.95 0 0) }", switched: ".night { background: #111; color: #eee }" };
  const site = createServer(({ url }, answer) => {
    const style = styles[url.slice(1)] ?? "";
    answer.setHeader("Content-Type", "text/html").end(`<!doctype html><html lang="en"><title>Colours</title><style>${style}</style>
      <div data-encke-chat="demo" data-name="Ann"></div><script src="${server.url}/demo/html_chat.js"></script>`);
  });
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  world.closing.push(() => new Promise((done) => (site.close(done), site.closeAllConnections())));
  const theme = (page) => page.locator("[data-encke-chat] section.chat").getAttribute("data-theme");
  for (const [colorScheme, expected] of [["dark", { plain: "light", both: "dark", black: "dark", switched: "light" }], ["light", { plain: "light", both: "light", black: "dark", switched: "light" }]]) {
    const person = await world.person({ colorScheme });
    for (const [name, is] of Object.entries(expected)) {
      const page = await person.newPage();
      await page.goto(`http://localhost:${site.address().port}/${name}`);
      assert.equal(await theme(page), is, `${name} for a visitor who has ${colorScheme}`);
      if (name === "both") {
        const other = is === "dark" ? "light" : "dark";
        await page.emulateMedia({ colorScheme: other });
        await until(async () => (await theme(page)) === other, "the visitor's system changes");
      }
      if (name === "switched") {
        await page.evaluate(() => document.body.classList.add("night"));
        await until(async () => (await theme(page)) === "dark", "the page's switch");
      }
      await page.close();
    }
  }
}));

test("the plug-in works on a page of another site", withWorld(async (world) => {
  const { server } = world;
  const html = `<!doctype html><html lang="en"><title>Elsewhere</title><style>p, li, input { display: none; color: red }</style>
    <h1>A page of another site</h1>
    <div data-encke-chat="demo" data-theme="dark"></div><script src="${server.url}/demo/html_chat.js"></script>`;
  const site = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(html));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  world.closing.push(() => new Promise((done) => (site.close(done), site.closeAllConnections())));
  const elsewhere = await open(world, { url: `http://localhost:${site.address().port}/`, name: "Elsewhere" });
  const ada = await open(world, { name: "Ada" });
  await server.awaitSubscribers("web_demo", 2);
  await write(elsewhere, "from elsewhere");
  await show([elsewhere, ada], ["from elsewhere"]);
  await write(ada, "to elsewhere");
  await show([elsewhere, ada], ["from elsewhere", "to elsewhere"]);
  await world.screenshot(elsewhere, "plug-in");
  // One that comes later, in another language and another room, on the same connection.
  await elsewhere.evaluate(() => {
    const later = document.createElement("div");
    Object.assign(later.dataset, { enckeChat: "other", lang: "ru", name: "Вера" });
    document.body.append(later);
    window.EnckeChat.mount(later);
  });
  await server.awaitSubscribers("web_other", 1);
  await elsewhere.getByRole("button", { name: "Отправить" }).waitFor();
  assert.equal(Number((await server.query("SHOW FULL PROCESSLIST")).filter(({ User }) => User !== "root").length), 2);
}));

test("a page of CppComet with its chat changes addresses only", withWorld(async (world) => {
  const { server } = world;
  await server.keep("web_chat_pipe");
  const html = `<!doctype html><html lang="en"><title>An old page</title>
    <script>window.$ = (what) => ({ 0: document.querySelector(what), length: 1 })</script>
    <script src="${server.url}/CometServerApi.js"></script><script src="${server.url}/doc/html_chat.js"></script>
    <link rel="stylesheet" href="${server.url}/doc/html_chat.css"><h2 id="before">Before</h2><header>Header</header><form><input id="mine"></form>
    <style>.holder-html-chat { width: 600px; } .html-chat-history { max-height: 200px; }</style>
    <div id="html-chat"></div><script>CometServer().start({ dev_id: 0 }); htmljs_Chat_Init($("#html-chat"))</script>`;
  const site = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(html));
  await new Promise((done) => site.listen(0, "127.0.0.1", done));
  world.closing.push(() => new Promise((done) => (site.close(done), site.closeAllConnections())));
  const url = `http://localhost:${site.address().port}/`;
  const complains = /CometServerApi: |favicon/;
  const [ada, boris] = [await world.page(url, await world.person({ complains })), await world.page(url, await world.person({ complains }))];
  await server.awaitSubscribers("web_chat_pipe", 2);
  const send = async (page, name, text) => {
    await page.locator(".html-chat-js-name").fill(name);
    await page.locator(".html-chat-js-input").fill(text);
    await page.locator(".html-chat-js-button-holder input").click();
  };
  const lines = (page) => page.locator(".holder-html-chat .html-chat-history p.html-chat-msg").allInnerTexts();
  await send(ada, "Ada", `It's <img src=x onerror="window.struck=1"> \\ fine`);
  const first = `Ada: It's <img src=x onerror="window.struck=1"> \\ fine`;
  for (const page of [ada, boris]) await until(async () => (await lines(page)).length === 1);
  assert.deepEqual([await lines(ada), await lines(boris)], [[first], [first]]);
  await ada.getByText(/^Delivered to 1 in \d+ ms$/).waitFor();
  await server.publish("web_chat_pipe", { name: "Backend", text: "one", randomId: "17" }, "msg");
  await server.publish("web_chat_pipe", { name: "Backend", text: "again", randomId: "17" }, "msg");
  await server.publish("web_chat_pipe", "no message of this chat", "msg");
  await server.publish("web_chat_pipe", { name: "Backend", text: "two", randomId: 18 }, "msg");
  for (const page of [ada, boris]) await until(async () => (await lines(page)).length === 3);
  assert.deepEqual(await lines(boris), [first, "Backend: one", "Backend: two"]);
  // Whoever comes later sees what is kept.
  await boris.reload();
  await until(async () => (await lines(boris)).length === 3);
  // The style sheet is for the chat only.
  const own = await boris.evaluate(() => ["#before", "header", "form", "#mine"].map((what) => getComputedStyle(document.querySelector(what)).padding));
  assert.deepEqual(own.slice(0, 3), ["0px", "0px", "0px"]);
  assert.equal(await boris.evaluate(() => getComputedStyle(document.querySelector(".html-chat-history")).maxHeight), "200px");
  await server.publish("chatControl", {}, "clean");
  for (const page of [ada, boris]) await until(async () => (await lines(page)).length === 0);
  assert.equal(await ada.evaluate(() => [window.struck, typeof window.web_send_msg, window.htmljs_Chat_HtmlEncode("<b>")].join()), ",function,&lt;b&gt;");
}));

test("a room for users only", withWorld(async (world) => {
  const { server } = world;
  const key = "a1".repeat(16);
  await server.query("INSERT INTO users_auth (id, hash) VALUES (5, ?)", [key]);
  const mount = (page, options) => page.evaluate((options) => {
    const later = Object.assign(document.createElement("div"), { id: "later" });
    Object.assign(later.dataset, { enckeChat: "webauth_club", name: "Ada", ...options });
    document.querySelector("[data-encke-chat]").replaceWith(later);
    window.EnckeChat.mount(later);
  }, options);
  const complains = /encke: wrong-key/;
  const [user, guest, stranger] = [await open(world), await open(world), await open(world, { person: await world.person({ complains }) })];
  await mount(user, { user: "5", key });
  await mount(guest, {});
  await mount(stranger, { user: "5", key: "wrong" });
  await server.awaitSubscribers("webauth_club", 3);
  await stranger.getByText("The server does not know this login.").waitFor();
  await write(guest, "let me in");
  await guest.locator("li.unsent").waitFor();
  await guest.getByRole("alert").waitFor();
  await write(user, "for users");
  await show([user], ["for users"]);
  await stranger.getByText("for users").waitFor();
  await show([guest], ["let me in", "for users"]);
}));
