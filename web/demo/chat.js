// Fills in the lines of the chat page; the chat itself is html_chat.js.

import { quoted, shell } from "./lines.js";

const fill = (id, text) => (document.getElementById(id).textContent = text);
const message = quoted(JSON.stringify({ name: "Backend", text: "Hello from MySQL" }));

fill("plugin", `<div data-encke-chat="demo"></div>\n<script src="${new URL("html_chat.js", location.href).href}"></script>`);
fill("keep", shell("INSERT INTO pipes_settings (name, length) VALUES ('web_demo', 100)"));
fill("backend", shell(`INSERT INTO pipes_messages (name, event, message) VALUES ('web_demo', 'newMessage', ${message})`));
