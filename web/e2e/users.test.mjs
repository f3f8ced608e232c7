// Users, who is here, private messages: on the demo page, and on the example site in PHP.

import assert from "node:assert/strict";
import { cpSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { test } from "node:test";
import { join } from "node:path";
import { root, run, until, withWorld } from "./world.mjs";

const KEYS = { 101: "a1".repeat(16), 102: "b2".repeat(16) };

async function register({ server }) {
  for (const [user, key] of Object.entries(KEYS)) await server.query("INSERT INTO users_auth (id, hash) VALUES (?, ?)", [user, key]);
}

const enter = async (world, user, person) => world.page(`/demo/users#user=${user}&key=${KEYS[user]}`, person);

async function write(page, text) {
  await page.locator(".users-chat input").fill(text);
  await page.keyboard.press("Enter");
}

const person = (page, name) => page.locator(".people").getByRole("button", { name: new RegExp(`^${name}`) });

test("the online list changes as users come and go", withWorld(async (world) => {
  await register(world);
  const ada = await enter(world, 101);
  await ada.getByText("Everyone (1)").waitFor();
  await person(ada, "Boris, away").waitFor();
  const boris = await enter(world, 102);
  await person(ada, "Boris, online").waitFor();
  await person(boris, "Ada, online").waitFor();
  await ada.getByText("Everyone (2)").waitFor();
  await write(boris, "Who wrote this is what the server says.");
  await ada.locator("li", { hasText: "Who wrote this" }).waitFor();
  assert.equal(await ada.locator(".log .who").innerText(), "Boris");
  await boris.close();
  await person(ada, "Boris, away").waitFor();
  await ada.getByText("Everyone (1)").waitFor();
}));

test("a private message to a user who is away arrives after the login", withWorld(async (world) => {
  await register(world);
  const ada = await enter(world, 101);
  await ada.getByText("Everyone (1)").waitFor();
  // The page shows the line that its backend would run, and it is run as it stands there.
  await person(ada, "Boris").press("Enter");
  await write(ada, "It's \"quoted\", \\ and\tПривет");
  await world.server.shell(await ada.locator("#send").textContent());
  await ada.locator("li.own", { hasText: "Привет" }).waitFor();
  const context = await world.person();
  let boris = await enter(world, 102, context);
  await boris.locator(".people .unread").waitFor();
  await person(boris, "Ada").click();
  await boris.locator("li", { hasText: "It's \"quoted\", \\ and\tПривет" }).waitFor();
  // The server has forgotten it, the page has not.
  assert.deepEqual(await world.server.query("SELECT * FROM users_messages WHERE id = 102"), []);
  await boris.reload();
  await person(boris, "Ada").click();
  await boris.locator("li", { hasText: "Привет" }).waitFor();
  assert.equal(await boris.locator(".log li").count(), 1);
}));

test("a wrong key is told", withWorld(async (world) => {
  await register(world);
  const page = await world.page("/demo/users#user=101&key=wrong", await world.person({ complains: /encke: wrong-key/ }));
  await page.getByText("The server does not know user 101 by this key.").waitFor();
  await page.getByText("1. Make two users").waitFor();
}));

test("the line that makes two users works as it stands on the page", withWorld(async (world) => {
  const page = await world.page("/demo/users");
  await world.server.shell(await page.locator("#make").textContent());
  await page.getByText("Enter as Ada").click();
  await page.getByText("You are Ada").waitFor();
  await page.getByText("Everyone (1)").waitFor();
}));

/** The example site in PHP, set up and started in the server's folder by the lines of its README. */
async function site(world) {
  const { folder, cometqlPort, url: COMET_URL } = world.server;
  cpSync(join(root, "examples"), join(folder, "examples"), { recursive: true });
  const lines = readFileSync(join(root, "examples/php-chat/README.md"), "utf8").match(/^ {4}.+$/gm).map((line) => line.trim());
  assert.equal(lines.length, 2, lines.join());
  // Other ports, and nothing else: the password is where the lines expect it.
  const port = await freePort();
  const env = { ...process.env, COMET_PORT: String(cometqlPort), COMET_URL, PHP_CLI_SERVER_WORKERS: "3" };
  for (const name of ["COMET_PASSWORD", "COMET_PASSWORD_FILE"]) delete env[name];
  const options = { cwd: folder, env };
  await run("bash", ["-c", lines[0]], options);
  assert.ok(lines[1].includes("127.0.0.1:8000"), lines[1]);
  // More than one worker, because a browser asks for two things at a time.
  world.start("bash", ["-c", lines[1].replace("127.0.0.1:8000", `127.0.0.1:${port}`)], options);
  const url = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${url}/comet.php`).then(({ ok }) => ok, () => false), "PHP serves the site");
  return url;
}

function freePort() {
  return new Promise((done) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => done(port));
    });
  });
}

test("PHP: a chat whose backend publishes", withWorld(async (world) => {
  const url = await site(world);
  const [ada, boris] = [await world.page(`${url}/chat.php`), await world.page(`${url}/chat.php`)];
  await world.server.awaitSubscribers("simplechat", 2);
  for (const [page, name] of [[ada, "Ada"], [boris, "Boris"]]) {
    await page.getByLabel("Name").fill(name);
    await page.getByLabel("Message", { exact: true }).fill(`It's <b>${name}</b> \\ Привет`);
    await page.keyboard.press("Enter");
    for (const reader of [ada, boris]) await reader.getByText(`${name}: It's <b>${name}</b> \\ Привет`).waitFor();
  }
  await ada.reload();
  await ada.getByText("Boris: It's").waitFor();
  assert.deepEqual(await ada.locator("#log div").allInnerTexts(), ["Ada: It's <b>Ada</b> \\ Привет", "Boris: It's <b>Boris</b> \\ Привет"]);
  await world.screenshot(ada, "php-chat");
  // Not even an empty message.
  const answer = await fetch(`${url}/chat.php`, { method: "POST", body: new URLSearchParams({ name: "x", text: " " }) });
  assert.equal(answer.status, 400);
}));

test("PHP: logins, and a private message that waits", withWorld(async (world) => {
  const url = await site(world);
  const login = async (name, password = `${name}-password`, person) => {
    const page = await world.page(`${url}/users.php`, person);
    await page.getByLabel("Login").fill(name);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Log in" }).click();
    return page;
  };
  const stranger = await login("ada", "wrong");
  await stranger.getByText("Login or password is wrong.").waitFor();
  const ada = await login("ada");
  await ada.getByText("Everyone (1)").waitFor();
  await person(ada, "Boris, away").click();
  await write(ada, "This is <i>for you</i>, it's private");
  await ada.locator("li.own", { hasText: "This is <i>for you</i>, it's private" }).waitFor();
  const clara = await login("clara");
  await clara.getByText("Everyone (2)").waitFor();
  const boris = await login("boris");
  await boris.getByText("Everyone (3)").waitFor();
  await boris.locator(".people .unread").waitFor();
  await person(boris, "Ada, online").click();
  await boris.locator("li", { hasText: "This is <i>for you</i>, it's private" }).waitFor();
  await write(boris, "And back");
  await ada.locator("li", { hasText: "And back" }).waitFor();
  await world.screenshot(boris, "php-users");
  assert.equal(await clara.locator(".people .unread").count(), 0, "it is not for everybody");
  // Whoever is not logged in sends nothing.
  const answer = await fetch(`${url}/send.php`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ to: 101, text: "x" }),
  });
  assert.equal(answer.status, 403);
  // After a logout the next page has no key.
  await boris.getByRole("button", { name: "Log out" }).click();
  await boris.getByLabel("Password").waitFor();
  await person(ada, "Boris, away").waitFor();
}));
