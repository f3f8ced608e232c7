// What the server's own pages share: asking for the password, requests with it, and small helpers. All addresses are
// relative, so that the pages work behind a prefix.

export const byId = (id) => document.getElementById(id);

/** An element with properties and children; texts are texts, never markup. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export async function copy(button) {
  const code = byId(button.dataset.copy);
  let done = false;
  try {
    await navigator.clipboard.writeText(code.textContent);
    done = true;
  } catch {
    // Pages without TLS have no clipboard; the old way needs a selection.
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

/** Where backends connect. MySQL clients take "localhost" for a Unix socket, which this server does not have. */
export function backendHost() {
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

// ---- the password, kept for this tab only

const KEPT = "encke.credentials";

const encoded = (user, password) =>
  btoa(Array.from(new TextEncoder().encode(`${user}:${password}`), (byte) => String.fromCharCode(byte)).join(""));

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

/**
 * Makes the form `sign-in` ask for a password until `enter(credentials)` takes it; then the form goes. What the tab knows
 * from before is tried first.
 */
export async function signIn(enter) {
  const form = byId("sign-in");
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
      forget();
      form.hidden = false;
      said.textContent = error.message;
      form.elements.password.select();
      form.elements.password.focus();
    } finally {
      button.disabled = false;
    }
  };
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    attempt(encoded(form.elements.user?.value.trim() || "root", form.elements.password.value));
  });
  const kept = sessionStorage.getItem(KEPT);
  if (kept) await attempt(kept);
  else {
    form.hidden = false;
    form.elements.password.focus();
  }
}
