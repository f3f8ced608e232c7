// A chat for any page: one script and one element,
//
//   <div data-encke-chat="room"></div>
//   <script src="https://comet.example/demo/html_chat.js"></script>
//
// also on pages of other sites. The element's attributes are its options:
//
//   data-encke-chat  the room; its pipe is web_<room>, unless the name begins with web_ or webauth_
//   data-title       heading
//   data-name        the visitor's name; without it the visitor is asked
//   data-user, data-key, data-dev  a login, for rooms that begin with webauth_
//   data-server      address of the server; else where this script came from
//   data-css         a style sheet in place of html_chat.css
//   data-theme       light or dark; else as the page is, and as it changes
//   data-lang        en or ru; else the language of the page
//
// A message is {"name": ..., "text": ...} with the event newMessage, from whomever: a backend may publish the same. Names
// and texts are shown as text, never as markup. Elements that come later: EnckeChat.mount(element).
//
// Pages of CppComet have another chat: an element, CometServerApi.js, and htmljs_Chat_Init($("#html-chat")). It is here as well,
// with the names and classes that such pages style and listen to; the last part of this file.

(() => {
  "use strict";

  const SHOWN_MAX = 200;
  const TEXT_MAX = 2000;
  const NAME_MAX = 40;
  const EVENT = "newMessage";
  const NAME_KEY = "encke_chat_name";

  const TEXTS = {
    en: {
      title: "Chat", name: "Your name", text: "Message", send: "Send", messages: "Messages", below: "New messages",
      empty: "Nobody has written anything yet.", nameless: "Somebody", sending: "sending",
      unsent: "Not confirmed; nobody may have got it.", gap: "Messages may be missing here.",
      connecting: "Connecting", connected: "Connected", reconnecting: "Connecting again", offline: "Offline",
      refused: "Refused by the server", closed: "Closed", unknown: "The server does not know this login.",
    },
    ru: {
      title: "Чат", name: "Ваше имя", text: "Сообщение", send: "Отправить", messages: "Сообщения", below: "Новые сообщения",
      empty: "Пока никто ничего не написал.", nameless: "Кто-то", sending: "отправляется",
      unsent: "Не подтверждено: возможно, никто не получил.", gap: "Здесь могут быть пропущены сообщения.",
      connecting: "Соединение", connected: "На связи", reconnecting: "Соединение заново", offline: "Нет сети",
      refused: "Сервер отказал", closed: "Закрыто", unknown: "Сервер не знает этого пользователя.",
    },
  };

  const script = document.currentScript;
  const home = new URL(".", script ? script.src : location.href).href;
  /** Chats of one page with the same login share a connection. */
  const connections = new Map();

  function make(name, properties = {}, ...children) {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  }

  function kept(value) {
    try {
      if (value !== undefined) localStorage.setItem(NAME_KEY, value);
      return localStorage.getItem(NAME_KEY) || "";
    } catch {
      return value || "";
    }
  }

  const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** `../` of this script's folder is where the server has its library. */
  const baseOf = (server) => (server ? new URL(`${server.replace(/\/+$/, "")}/`, location.href) : new URL("../", home)).href;

  function connection({ server, user, key, dev }) {
    const name = JSON.stringify([server, user, key, dev]);
    if (!connections.has(name)) {
      const base = baseOf(server);
      const opened = import(`${base}encke.js`).then(({ connect }) => connect({ url: base, user, key, dev }));
      // A script that did not come may come the next time.
      opened.catch(() => connections.delete(name));
      connections.set(name, opened);
    }
    return connections.get(name);
  }

  /** What somebody published, as this chat shows it. */
  function said(message, ownId) {
    const { data } = message;
    const isOurs = data !== null && typeof data === "object";
    const text = isOurs ? data.text ?? message.text : data;
    return {
      key: message.position || (isOurs && data.id ? `${data.by}/${data.id}` : randomId()),
      id: isOurs && data.id ? `${data.by}/${data.id}` : undefined,
      name: String((isOurs && data.name) || "").slice(0, NAME_MAX),
      text: String(text),
      time: message.time ?? Date.now() / 1000,
      own: isOurs && data.by === ownId,
    };
  }

  /** Whether the text around an element is light, so that what is behind it is dark; by whatever means that came. */
  function isDark(element) {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = getComputedStyle(element).color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
    return red * 0.3 + green * 0.6 + blue * 0.1 > 127;
  }

  /** A visitor's system may be dark where the page is not, and pages have switches. */
  function followPage(element, chat) {
    const follow = () => (chat.dataset.theme = isDark(element) ? "dark" : "light");
    follow();
    const changes = new MutationObserver(() => setTimeout(follow));
    for (const around of [document.documentElement, document.body]) if (around) changes.observe(around, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(follow));
    // Its style sheets may be later than this script, and its colours may change slowly.
    addEventListener("load", follow);
    document.addEventListener("transitionend", follow);
  }

  function mount(element) {
    if (element.shadowRoot) return;
    const options = element.dataset;
    const room = options.enckeChat || "chat";
    const pipe = /^web(auth)?_/.test(room) ? room : `web_${room}`;
    const texts = TEXTS[(options.lang || document.documentElement.lang || "en").slice(0, 2)] || TEXTS.en;
    const title = options.title || texts.title;
    const { theme } = options;

    const state = make("span", { className: "state" });
    state.setAttribute("role", "status");
    const log = make("ol", { className: "log", tabIndex: 0 });
    log.setAttribute("role", "log");
    log.setAttribute("aria-label", texts.messages);
    const empty = make("p", { className: "empty", textContent: texts.empty });
    const below = make("button", { className: "below", type: "button", textContent: `${texts.below} ↓`, hidden: true });
    const name = make("input", { name: "name", value: options.name || kept(), maxLength: NAME_MAX, required: true, autocomplete: "nickname" });
    const text = make("input", { name: "text", maxLength: TEXT_MAX, required: true, autocomplete: "off", enterKeyHint: "send" });
    const nameLabel = make("label", { className: "name", hidden: Boolean(options.name) }, make("span", { textContent: texts.name }), name);
    const textLabel = make("label", { className: "text" }, make("span", { textContent: texts.text }), text);
    const problem = make("p", { className: "problem", hidden: true });
    problem.setAttribute("role", "alert");
    const form = make("form", {}, nameLabel, textLabel, make("button", { type: "submit", textContent: texts.send }), problem);
    const chat = make(
      "section",
      { className: "chat" },
      make("header", {}, make("h2", { textContent: title }), state),
      make("div", { className: "middle" }, log, empty, below),
      form,
    );
    chat.setAttribute("aria-label", title);
    if (theme) chat.dataset.theme = theme;
    else followPage(element, chat);

    const root = element.attachShadow({ mode: "open" });
    const style = make("link", { rel: "stylesheet", href: options.css || `${home}html_chat.css` });
    // Without its style sheet the chat would be seen for a moment as it should not look.
    chat.hidden = true;
    style.onload = style.onerror = () => {
      chat.hidden = false;
      toEnd();
    };
    root.append(style, chat);

    let comet;
    /** By key; in the order in which they are shown. */
    const shown = new Map();
    const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const toEnd = () => {
      log.scrollTop = log.scrollHeight;
      below.hidden = true;
    };

    function line(entry) {
      const time = make("time", { textContent: new Date(entry.time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) });
      time.dateTime = new Date(entry.time * 1000).toISOString();
      const about = make("div", { className: "about" }, make("span", { className: "who", textContent: entry.name || texts.nameless, dir: "auto" }), time);
      const item = make("li", { className: entry.own ? "own" : "" }, about, make("p", { textContent: entry.text, dir: "auto" }));
      item.dataset.key = entry.key;
      entry.item = item;
      entry.note = make("span", { className: "note" });
      about.append(entry.note);
      return item;
    }

    function put(entry) {
      // What was published here comes once more in a recovery or a history, then with its position.
      const earlier = shown.get(entry.key) || (entry.id && [...shown.values()].find(({ id }) => id === entry.id));
      if (earlier) return told(earlier, "");
      const follow = entry.own || isAtEnd();
      shown.set(entry.key, entry);
      log.append(line(entry));
      trim();
      empty.hidden = true;
      if (follow) toEnd();
      else below.hidden = false;
    }

    function trim() {
      while (log.childElementCount > SHOWN_MAX) {
        const first = log.firstElementChild;
        shown.delete(first.dataset.key);
        first.remove();
      }
    }

    function told(entry, note, isBad) {
      entry.note.textContent = note;
      entry.item.classList.toggle("unsent", Boolean(isBad));
    }

    function fail(error) {
      problem.textContent = String(error.message || error).replace(/^encke: /, "");
      problem.hidden = false;
    }

    function tellState() {
      state.dataset.state = comet.state;
      state.textContent = texts[comet.state];
      if (comet.authorized === false && options.key) fail(texts.unknown);
    }

    async function load() {
      const found = await comet.history(pipe);
      const live = [...shown.values()];
      shown.clear();
      log.replaceChildren();
      // What came meanwhile is newer than the history, or part of it.
      for (const entry of [...found.filter(({ event }) => event === EVENT).map((message) => said(message, comet.uuid)), ...live]) put(entry);
      toEnd();
    }

    async function gapped({ history }) {
      if (history) return load();
      const follow = isAtEnd();
      const last = log.lastElementChild;
      if (last && last.className !== "gap") log.append(make("li", { className: "gap", textContent: texts.gap }));
      trim();
      if (follow) toEnd();
    }

    async function open() {
      comet = await connection(options);
      comet.on("state", tellState);
      tellState();
      const subscribed = await comet.subscribe(`${pipe}.${EVENT}`, (message) => put(said(message, comet.uuid)), {
        gap: (gap) => gapped(gap).catch(fail),
      });
      await load();
      element.addEventListener("encke-chat-close", () => subscribed.unsubscribe(), { once: true });
      element.dispatchEvent(new CustomEvent("encke-chat-open", { bubbles: true }));
    }

    async function submit() {
      const words = text.value.trim();
      if (!words || !name.value.trim() || !comet) return;
      problem.hidden = true;
      const data = { name: name.value.trim(), text: words, by: comet.uuid, id: randomId() };
      const entry = said({ data, time: Date.now() / 1000 }, comet.uuid);
      put(entry);
      told(entry, texts.sending);
      text.value = "";
      text.focus();
      try {
        await comet.publish(pipe, data, { event: EVENT });
        told(entry, "");
      } catch (error) {
        told(entry, texts.unsent, true);
        fail(error);
      }
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    name.addEventListener("change", () => kept(name.value.trim()));
    below.addEventListener("click", toEnd);
    log.addEventListener("scroll", () => isAtEnd() && (below.hidden = true), { passive: true });
    state.textContent = texts.connecting;
    state.dataset.state = "connecting";
    open().catch(fail);
  }

  // The chat of CppComet's pages. All of them write to one pipe, and what is on the page has fixed names, so there is one.

  const OLD = { pipe: "web_chat_pipe", event: "msg", control: "chatControl.clean", signal: "AddToChat" };
  const OLD_TEXTS = {
    en: { name: "Your name...", text: "Your message...", send: "Send", told: (count, ms) => `Delivered to ${count} in ${ms} ms` },
    ru: { name: "Ваше имя...", text: "Ваше сообщение...", send: "Отправить", told: (count, ms) => `Доставлено ${count} получателям за ${ms} мс` },
  };
  /** The messages that the old chat shows, by the number that their sender gave them. */
  const oldShown = new Set();
  let oldSent = 0;

  const byId = (id) => document.getElementById(id);

  function oldLine({ name, text, randomId: number }, isOurs) {
    const history = byId("WebChatFormForm");
    if (!history || (number && oldShown.has(number))) return;
    if (number) oldShown.add(number);
    // The oldest number is the first one.
    if (oldShown.size > 10 * SHOWN_MAX) oldShown.delete(oldShown.values().next().value);
    const follows = isOurs || history.scrollHeight - history.scrollTop - history.clientHeight < 60;
    history.append(make("p", { className: "html-chat-msg" }, make("b", { textContent: `${name}: ` }), String(text)));
    while (history.childElementCount > SHOWN_MAX) history.firstElementChild.remove();
    if (follows) history.scrollTop = history.scrollHeight;
  }

  /** What is not a message of this chat is not shown. */
  const oldMessage = (data) => data && data.randomId && data.text !== undefined && oldLine({ ...data, randomId: String(data.randomId) });

  function oldSend() {
    const [name, text] = ["WebChatNameID", "WebChatTextID"].map((id) => byId(id).value);
    if (!text.trim()) return;
    byId("WebChatTextID").value = "";
    const message = { text, name, randomId: String(Math.random()).slice(2) };
    oldSent = Date.now();
    oldLine(message, true);
    window.CometServer().web_pipe_send(`${OLD.pipe}.${OLD.event}`, message);
    // Tabs with connections of their own hear of it from the server, those that share one from the library.
    window.comet_server_signal().send_emit(OLD.signal, message);
  }

  /** `holder` is an element, what jQuery found, or a selector. */
  function oldInit(holder) {
    const element = typeof holder === "string" ? document.querySelector(holder) : holder && (holder.nodeType ? holder : holder[0]);
    if (!element) return console.error("htmljs_Chat_Init: there is no such element on the page");
    if (typeof window.CometServer !== "function") return console.error("htmljs_Chat_Init: the page needs CometServerApi.js before html_chat.js");
    const texts = OLD_TEXTS[(document.documentElement.lang || navigator.language || "en").slice(0, 2)] || OLD_TEXTS.en;
    const button = make("input", { type: "button", value: texts.send, onclick: oldSend });
    const answer = make("div", { className: "html-chat-js-answer" }, make("a", { id: "answer" }));
    element.replaceChildren(
      make(
        "div",
        { className: "holder-html-chat" },
        make("div", { id: "WebChatFormForm", className: "html-chat-history" }),
        make("input", { type: "text", id: "WebChatNameID", className: "html-chat-js-name", placeholder: texts.name }),
        make("textarea", { id: "WebChatTextID", className: "html-chat-js-input", placeholder: texts.text }),
        make("div", { className: "html-chat-js-button-holder" }, button, answer),
      ),
    );
    const api = window.CometServer();
    api.subscription(`${OLD.pipe}.${OLD.event}`, ({ data }) => oldMessage(data));
    api.subscription(`#${OLD.pipe}`, ({ data }) => {
      byId("answer").textContent = data.error || texts.told(data.number_messages, Date.now() - oldSent);
    });
    api.subscription("sys.error", ({ data }) => oldSent && (byId("answer").textContent = data.error));
    api.subscription(OLD.control, () => byId("WebChatFormForm").replaceChildren());
    window.comet_server_signal().connect(OLD.signal, oldMessage);
    api.get_pipe_log(OLD.pipe);
  }

  function oldEncode(text) {
    return make("div", { textContent: text }).innerHTML;
  }

  Object.assign(window, { htmljs_Chat_Init: oldInit, web_send_msg: oldSend, htmljs_Chat_HtmlEncode: oldEncode });

  const mountAll = () => document.querySelectorAll("[data-encke-chat]").forEach(mount);
  window.EnckeChat = { mount };
  mountAll();
  document.addEventListener("DOMContentLoaded", mountAll);
})();
