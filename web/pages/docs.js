// The documentation: the search, colours and copying of code.

import { colour } from "./encke-colours.js";
import { byId, copyText, element } from "./encke-pages.js";

const RESULTS_MAX = 12;
const AROUND = 70;
const IS_RUSSIAN = document.documentElement.lang === "ru";
const WORDS = IS_RUSSIAN
  ? { copy: "Копировать", copied: "Скопировано", none: "Ничего не найдено", wait: "Загружается …", away: "Сервер недоступен", link: "Ссылка на раздел" }
  : { copy: "Copy", copied: "Copied", none: "Nothing found", wait: "Loading …", away: "The server cannot be reached", link: "Link to this part" };

// ---- code and headings

for (const code of document.querySelectorAll("pre > code")) {
  const text = code.textContent;
  const { parentElement: pre } = code;
  colour(code, text, code.dataset.language);
  const button = element("button", { type: "button", className: "small", textContent: WORDS.copy });
  button.addEventListener("click", async () => {
    button.textContent = (await copyText(text, code)) ? WORDS.copied : "Ctrl+C";
    setTimeout(() => { button.textContent = WORDS.copy; }, 1500);
  });
  const sample = element("div", { className: "sample" });
  pre.replaceWith(sample);
  sample.append(pre, button);
}
for (const heading of document.querySelectorAll(".prose :is(h2, h3)[id]")) {
  const link = element("a", { className: "anchor", href: `#${heading.id}`, textContent: "#" });
  link.setAttribute("aria-label", `${WORDS.link}: ${heading.textContent}`);
  heading.append(link);
}

// ---- the search

const { index: INDEX, docs: DOCS } = document.body.dataset;
const box = byId("find");
const found = byId("found");
let parts;

/** Asked for when somebody wants to search, and once. */
async function load() {
  parts ??= fetch(INDEX).then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.status))));
  try {
    return await parts;
  } catch (error) {
    parts = undefined;
    throw error;
  }
}

/** How well a part answers, or 0 if a word is missing. */
function weight({ title, heading, text }, words) {
  const [inTitle, inHeading, inText] = [title, heading, text].map((one) => one.toLowerCase());
  let sum = 0;
  for (const word of words) {
    const times = inText.split(word).length - 1;
    const score = (inHeading.includes(word) ? 12 : 0) + (inTitle.includes(word) ? 5 : 0) + Math.min(times, 5);
    if (score === 0) return 0;
    sum += score;
  }
  return sum;
}

/** The place of the first word, with the words marked. */
function excerpt(text, words) {
  const lower = text.toLowerCase();
  const at = Math.max(0, Math.min(...words.map((word) => lower.indexOf(word)).filter((place) => place >= 0), text.length) - AROUND / 2);
  const shown = `${at > 0 ? "… " : ""}${text.slice(at, at + 2 * AROUND)}${at + 2 * AROUND < text.length ? " …" : ""}`;
  const line = element("span");
  let rest = shown;
  while (rest) {
    const small = rest.toLowerCase();
    const [place, word] = words.map((one) => [small.indexOf(one), one]).filter(([where]) => where >= 0).sort((a, b) => a[0] - b[0])[0] ?? [-1];
    if (place < 0) break;
    line.append(rest.slice(0, place), element("mark", { textContent: rest.slice(place, place + word.length) }));
    rest = rest.slice(place + word.length);
  }
  line.append(rest);
  return line;
}

async function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter((word) => word.length > 1);
  found.hidden = words.length === 0;
  if (found.hidden) return;
  const say = (text) => found.replaceChildren(element("p", { textContent: text }));
  if (!found.firstChild) say(WORDS.wait);
  let all;
  try {
    all = await load();
  } catch {
    return say(WORDS.away);
  }
  const best = all.map((part) => [weight(part, words), part]).filter(([score]) => score > 0)
    .sort((one, other) => other[0] - one[0]).slice(0, RESULTS_MAX);
  if (best.length === 0) return say(WORDS.none);
  const entry = ([, part]) => {
    const name = part.heading === part.title ? part.title : `${part.title}: ${part.heading}`;
    const link = element("a", { href: `${DOCS}${part.page}#${encodeURIComponent(part.id)}` }, element("b", { textContent: name }), excerpt(part.text, words));
    return element("li", {}, link);
  };
  found.replaceChildren(element("ul", {}, ...best.map(entry)));
}

box.addEventListener("input", search);
box.addEventListener("focus", () => load().catch(() => {}), { once: true });
box.addEventListener("keydown", (event) => {
  const first = found.querySelector("a");
  if (event.key === "ArrowDown" && first) {
    event.preventDefault();
    first.focus();
  } else if (event.key === "Enter" && first) first.click();
  else if (event.key === "Escape") {
    box.value = "";
    found.hidden = true;
  }
});
found.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const links = [...found.querySelectorAll("a")];
  const next = links[links.indexOf(document.activeElement) + step];
  (next ?? (step < 0 ? box : links.at(-1))).focus();
});
found.addEventListener("click", () => { found.hidden = true; });
addEventListener("keydown", (event) => {
  const isTyping = document.activeElement?.matches("input, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    box.focus();
  }
});
