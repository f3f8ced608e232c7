// Every demo page at the widths of a desktop and a phone, light and dark: it fits, its fields have names, and a picture of it is kept.

import assert from "node:assert/strict";
import { test } from "node:test";
import { until, withWorld } from "./world.mjs";

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const KEYS = ["a1".repeat(16), "b2".repeat(16)];

/** Each: its name, its address, and what is done before it is looked at. */
const PAGES = [
  ["demos", "/demo/"],
  ["chat", "/demo/chat", talk],
  ["users-login", "/demo/users"],
  ["users", `/demo/users#user=101&key=${KEYS[0]}`, meet],
  ["private", `/demo/users#user=101&key=${KEYS[0]}`, confide],
];

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    test(`pages: ${size}, ${colorScheme}`, withWorld(async (world) => {
      const { server } = world;
      await server.keep("web_demo");
      await server.query("INSERT INTO users_auth (id, hash) VALUES (101, ?), (102, ?)", KEYS);
      await server.query("INSERT INTO users_data (id, data) VALUES (101, ?), (102, ?)", ['{"name":"Ada"}', '{"name":"Boris"}']);
      await server.publish("web_demo", { name: "Ada", text: "Is anybody here?" });
      await server.publish("web_demo", { name: "Борис", text: "Да! <b>Markup</b> stays text, and averylongwordwithoutanyblank".padEnd(160, "x") });
      for (const [name, address, prepare] of PAGES) {
        const person = await world.person({ viewport, colorScheme, hasTouch: size === "phone", reducedMotion: "reduce" });
        const page = await world.page(address, person);
        await prepare?.(world, page);
        const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
        assert.ok(wide <= viewport.width, `${name} is ${wide} wide`);
        assert.deepEqual(await nameless(page), [], `${name}: controls without a name`);
        await world.screenshot(page, `${name}-${size}-${colorScheme}`);
        await person.close();
      }
    }));
  }
}

async function talk(world, page) {
  await page.getByText("Is anybody here?").waitFor();
  await page.getByLabel("Your name").fill("Clara");
  await page.getByLabel("Message", { exact: true }).fill("Yes, I am.");
  await page.keyboard.press("Enter");
  await page.locator("li.own", { hasText: "Yes, I am." }).waitFor();
  await until(async () => !(await page.locator(".chat").innerText()).includes("sending"));
}

async function meet(world, page) {
  const { server } = world;
  await page.getByText("Everyone (1)").waitFor();
  const other = await world.page(`/demo/users#user=102&key=${KEYS[1]}`);
  await page.getByText("Everyone (2)").waitFor();
  await other.getByLabel("Message to everyone").fill("Hello, Ada.");
  await other.keyboard.press("Enter");
  await page.getByText("Hello, Ada.").waitFor();
  const message = JSON.stringify({ from: 102, to: 101, text: "Just for you.", id: "1" });
  await server.query("INSERT INTO users_messages (id, event, message) VALUES (101, 'private', ?)", [message]);
  await page.locator(".people .unread").waitFor();
  await page.getByLabel("Message to everyone").fill("Hello, Boris! How are you?");
  await page.keyboard.press("Enter");
  await other.getByText("Hello, Boris! How are you?").waitFor();
}

async function confide(world, page) {
  await page.getByRole("button", { name: /^Boris/ }).click();
  await page.getByLabel("Private message to Boris").fill("Thank you, it's here.");
  await page.keyboard.press("Enter");
  await page.getByText("Send it, as the backend").waitFor();
}

/** Buttons, links and fields that a screen reader could not name, in the chat's shadow as well. */
function nameless(page) {
  return page.evaluate(() => {
    const roots = [document, ...[...document.querySelectorAll("*")].flatMap(({ shadowRoot }) => shadowRoot ?? [])];
    return roots
      .flatMap((root) => [...root.querySelectorAll("button, a, input")])
      .filter((one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim()))
      .map((one) => one.outerHTML);
  });
}
