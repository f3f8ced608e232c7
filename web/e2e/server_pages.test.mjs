// Every page of the server at the widths of a desktop and a phone, light and dark: empty, used, with an error, with the server
// stopped. Each fits, axe finds no fault in it, and a picture is kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { axe, PASSWORD, until, withWorld } from "./world.mjs";

const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
/** As if somebody had signed in; an empty page has nothing to keep it in. */
const remember = (kept) => location.protocol === "http:" && sessionStorage.setItem("encke.credentials", kept);
const CREDENTIALS = Buffer.from(`root:${PASSWORD}`).toString("base64");
/** What pages say of requests that are refused on purpose, or that nobody answers. */
const COMPLAINS = /Failed to load resource|WebSocket connection|ERR_CONNECTION|no-connection/;

/** Each: name, address, whether somebody is signed in, and what is done before it is looked at. */
const PAGES = [
  ["start-empty", "/", false, (page) => page.getByText("Listening to simplechat").waitFor()],
  ["start", "/", true, sendOne],
  ["start-web", "/#web_room", false, sendOpen],
  ["start-elsewhere", "/", false, elsewhere],
  ["dashboard-sign-in", "/dashboard", false, (page) => page.getByLabel("CometQL password").waitFor()],
  ["dashboard-refused", "/dashboard", false, wrongPassword],
  ["dashboard", "/dashboard", true, lookAtAll],
  ["console-sign-in", "/console", false, (page) => page.getByLabel("CometQL password").waitFor()],
  ["console-empty", "/console", true, (page) => page.getByText("Begin with one of these").waitFor()],
  ["console", "/console", true, runSome],
  ["docs", "/docs/", false],
  ["docs-page", "/docs/cometql", false, search],
  ["docs-russian", "/docs/ru/faq", false],
  ["not-found", "/there/is/nothing", false, (page) => page.getByRole("heading", { name: "Not found" }).waitFor()],
];

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    test(`the server's pages: ${size}, ${colorScheme}`, withWorld(async (world) => {
      const { server } = world;
      await server.keep("news", 10);
      await server.publish("news", { title: "Kept" });
      const options = { viewport, colorScheme, reducedMotion: "reduce", complains: COMPLAINS };
      const open = async (address, isSignedIn) => {
        const person = await world.person(options);
        if (isSignedIn) await person.addInitScript(remember, CREDENTIALS);
        return [await world.page(address, person), person];
      };
      for (const [name, address, isSignedIn, prepare] of PAGES) {
        const [page, person] = await open(address, isSignedIn);
        await prepare?.(page, world);
        await look(world, page, `${name}-${size}-${colorScheme}`, viewport);
        await person.close();
      }
      const [dashboard] = await open("/dashboard", true);
      await dashboard.locator("#attention li").first().waitFor();
      const [start] = await open("/", false);
      await start.getByText("Listening to simplechat").waitFor();
      await server.stop();
      await dashboard.getByText(/Last figures .* ago/).waitFor();
      await look(world, dashboard, `dashboard-stopped-${size}-${colorScheme}`, viewport);
      await until(async () => (await start.locator("#state").innerText()) !== "Connected");
      await look(world, start, `start-stopped-${size}-${colorScheme}`, viewport);
      await server.start();
      await dashboard.locator("#stale").waitFor({ state: "hidden" });
    }));
  }
}

async function look(world, page, name, viewport) {
  const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
  assert.ok(wide <= viewport.width, `${name} is ${wide} wide`);
  await page.evaluate(axe());
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("\n")}`);
  assert.deepEqual(told, [], name);
  await world.screenshot(page, name, { fullPage: true });
}

async function sendOne(page) {
  await page.getByText("Listening to simplechat").waitFor();
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("Published to 1 connection").waitFor();
  // JSON is laid out.
  await page.locator(".log pre", { hasText: "\"text\": \"It's alive\"" }).waitFor();
}

async function sendOpen(page) {
  await page.getByText("Listening to web_room").waitFor();
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("Published to").waitFor();
}

/** As by another name than that of the machine itself: the page says so before a password is typed. */
async function elsewhere(page) {
  await page.evaluate(() => { document.body.dataset.signIn = "off"; });
  await page.getByLabel("Pipe", { exact: true }).fill("other");
  await page.getByRole("button", { name: "Listen" }).click();
  await page.getByText("takes no password by HTTP").waitFor();
}

async function wrongPassword(page) {
  await page.getByLabel("CometQL password").fill("this is not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("wrong user name or password").waitFor();
}

async function lookAtAll(page, { server }) {
  await page.locator("#attention li").first().waitFor();
  await server.query("SELECT nothing FROM pipes").catch(() => {});
  await page.locator("#attention .level-wait", { hasText: "with an error" }).waitFor();
  // With the keyboard, through time.
  await page.locator(".plot").first().focus();
  await page.keyboard.press("End");
  await page.locator(".chart .legend").first().getByText(/at \d/).waitFor();
  await page.locator("summary").first().click();
  await page.locator(".chart details td").first().waitFor();
  await page.locator("#look-pipe input").fill("news");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Pipe news" }).waitFor();
  await page.getByText("\"title\":\"Kept\"").waitFor();
  await page.locator("#look-user input").fill("7");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "User 7" }).waitFor();
  await page.getByRole("button", { name: "List connections" }).click();
  await page.getByRole("button", { name: /^End connection/ }).first().waitFor();
}

async function runSome(page) {
  await page.locator("#questions button", { hasText: "Connections" }).waitFor();
  await page.locator("#sql").pressSequentially("select na");
  await page.keyboard.press("Tab");
  assert.equal(await page.locator("#sql").inputValue(), "select name");
  for (const [statement, said] of [
    ["INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'hello', 'x')", "OK, published to 0."],
    ["SELECT * FROM pipes_messages WHERE name = 'news'", "2 rows"],
    ["SELECT * FROM nowhere", "ERROR 15"],
  ]) {
    await page.locator("#sql").fill(statement);
    await page.keyboard.press("Control+Enter");
    await page.locator(".result").first().getByText(said).waitFor();
  }
  // What people read stands beside the number of a time.
  await page.locator(".result td small").first().waitFor();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as CSV" }).first().click();
  assert.equal((await saved).suggestedFilename(), "encke.csv");
}

async function search(page) {
  await page.getByRole("searchbox").fill("offline queue");
  await page.locator("#found a").first().waitFor();
}

/** No page asks another host, and the start page is small. */
test("the start page weighs less than 60 KB", withWorld(async (world) => {
  const person = await world.person();
  const page = await person.newPage();
  const answers = [];
  page.on("response", (response) => answers.push(response));
  await page.goto(world.server.url);
  await page.getByText("Listening to simplechat").waitFor();
  let sum = 0;
  for (const answer of answers) {
    assert.ok(answer.url().startsWith(world.server.url), answer.url());
    const { responseBodySize, responseHeadersSize } = await answer.request().sizes();
    sum += responseBodySize + responseHeadersSize;
  }
  assert.ok(answers.length >= 6 && sum < 60_000, `${answers.length} answers have ${sum} bytes`);
}));
