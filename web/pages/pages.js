// What the server's own pages share: asking for the password, requests with it, and small helpers. All addresses are
// relative, so that the pages work behind a prefix.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; texts are texts, never markup. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Whether the text is in the clipboard now; if not, the element that shows it is selected at least. */
export async function copyText(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages without TLS have no clipboard; the old way needs a selection.
    const range = document.createRange();
    range.selectNodeContents(shown);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return document.execCommand("copy");
  }
}

export async function copy(button) {
  const code = byId(button.dataset.copy);
  const name = button.textContent;
  button.textContent = (await copyText(code.textContent, code)) ? "Copied" : "Press Ctrl+C";
  setTimeout(() => { button.textContent = name; }, 1500);
}

/** What the server has written into this page. */
const said = (name) => document.body.dataset[name] ?? "";

/** Where backends connect. MySQL clients take "localhost" for a Unix socket, which this server does not have. */
export function backendHost() {
  const told = said("cometqlHost");
  if (told) return told;
  const host = location.hostname.replace(/^\[|\]$/g, "");
  return host === "" || host === "localhost" ? "127.0.0.1" : host;
}

/** The MySQL client with its login; without a file it asks for the password. */
export const mysqlClient = (port, passwordFile) =>
  `mysql -h ${backendHost()} -P ${port} -u root ${passwordFile ? `-p"$(cat ${passwordFile})"` : "-p"} CometQL_v1`;

/** What a state of the library's connection is called on a page. */
export const STATES = {
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  offline: "Offline",
  refused: "The server refused this page",
  closed: "Closed",
};

export function tellState(place, state) {
  place.dataset.state = state;
  if (place.textContent !== STATES[state]) place.textContent = STATES[state];
}

// ---- numbers for people

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
export const number = (value) => (Math.abs(value) < 10_000 ? exact.format(value) : compact.format(value));

/** In units of 1024, and so called. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  while (value >= 1024 && place < units.length - 1) {
    value /= 1024;
    place += 1;
  }
  return `${place && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[place]}`;
}

/** Seconds, in the two largest units that fit. */
export function duration(seconds) {
  const parts = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2)
    .map(([size, unit], place) => [Math.floor(place ? (seconds % parts[first][0]) / size : seconds / size), unit])
    .filter(([count], place) => place === 0 || count > 0)
    .map(([count, unit]) => `${count} ${unit}`).join(" ");
}

// ---- the password, kept for this tab only

const KEPT = "encke.credentials";

const encoded = (user, password) =>
  btoa(Array.from(new TextEncoder().encode(`${user}:${password}`), (byte) => String.fromCharCode(byte)).join(""));

export const isSignedIn = () => sessionStorage.getItem(KEPT) !== null;

/** Why nobody can sign in from here, with the shell's line that helps; undefined if one can. */
export function whyNotHere() {
  const allowed = said("signIn");
  const isLocal = /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(location.hostname);
  if (allowed === "on" || (allowed === "local" && isLocal)) return undefined;
  if (allowed === "off") return { text: "This server takes no password by HTTP: cometql = off in [ws] of comet.ini. Set it to local to sign in from the server itself." };
  const port = location.port || (location.protocol === "https:" ? 443 : 80);
  return {
    text: "The password is taken only from the server itself, so that it never goes over the network in the clear. Forward a port to it and open the page there:",
    line: `ssh -L 8087:127.0.0.1:${port} ${location.hostname}`,
    link: `http://localhost:8087${location.pathname}`,
    more: "Or set cometql = on in [ws] of comet.ini, if a proxy with https stands before this server.",
  };
}

/** Shows in a form that one cannot sign in from here, and how one can. Whether it did. */
export function explainSignIn(form) {
  const why = whyNotHere();
  if (!why) return false;
  const parts = [element("p", { textContent: why.text })];
  if (why.line) {
    parts.push(element("pre", { tabIndex: 0 }, element("code", { textContent: why.line })),
      element("p", {}, "Then: ", element("a", { href: why.link, textContent: why.link })), element("p", { className: "hint", textContent: why.more }));
  }
  form.replaceChildren(form.querySelector("h2") ?? "", ...parts);
  form.classList.add("elsewhere");
  form.hidden = false;
  return true;
}

export function forget() {
  sessionStorage.removeItem(KEPT);
}

/** Why a request got nothing. `status` is 0 if the server was not reached. */
export class Refused extends Error {
  constructor(status, text, seconds) {
    super(text);
    this.status = status;
    this.seconds = seconds;
  }
}

/** Sends a body with the password; returns what the JSON of the answer says. */
export async function post(path, body, contentType, credentials = sessionStorage.getItem(KEPT)) {
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { Authorization: `Basic ${credentials ?? ""}`, "Content-Type": contentType },
      body,
      cache: "no-store",
      credentials: "omit",
    });
    answer = await response.json();
  } catch {
    throw new Refused(response?.status ?? 0, "The server cannot be reached, or something in between answers for it.");
  }
  if (response.ok) return answer;
  throw new Refused(response.status, answer.error?.text ?? `The server answers ${response.status}.`,
    Number(response.headers.get("Retry-After")) || 0);
}

/** Carries out one statement; its result. An error of it is thrown. */
export async function statement(sql, params = []) {
  const { results: [result] } = await post("cometql", JSON.stringify({ sql, params }), "application/json");
  if (result?.error) throw Object.assign(new Error(`ERROR ${result.error.number}: ${result.error.text}`), { number: result.error.number });
  return result;
}

/** The rows of a question, each as an object. */
export async function ask(sql, params) {
  const { columns, rows } = await statement(sql, params);
  return rows.map((row) => Object.fromEntries(columns.map(({ name }, place) => [name, row[place]])));
}

/**
 * Makes the form `sign-in` ask for a password until `enter(credentials)` takes it; then the form goes. What the tab knows
 * from before is tried first. Behind each try `entered()` is called. A form with `data-quiet` is a part of a page that works
 * without it: it neither shows itself nor takes the keyboard.
 */
export async function signIn(enter, entered = () => {}) {
  const form = byId("sign-in");
  const isQuiet = form.dataset.quiet !== undefined;
  if (whyNotHere()) return isQuiet ? undefined : explainSignIn(form);
  const said = byId("sign-in-said");
  const attempt = async (credentials) => {
    const button = form.querySelector("button");
    button.disabled = true;
    said.textContent = "";
    try {
      await enter(credentials);
      sessionStorage.setItem(KEPT, credentials);
      form.hidden = true;
    } catch (error) {
      // A server that is away says nothing of the password.
      if (error.status === 401 || error.status === 403) forget();
      form.hidden = false;
      said.textContent = error.message;
      form.elements.password.select();
      if (!isQuiet) form.elements.password.focus();
    } finally {
      button.disabled = false;
      entered();
    }
  };
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    attempt(encoded(form.elements.user?.value.trim() || "root", form.elements.password.value));
  });
  const kept = sessionStorage.getItem(KEPT);
  if (kept) await attempt(kept);
  else if (!isQuiet) {
    form.hidden = false;
    form.elements.password.focus();
  }
}
