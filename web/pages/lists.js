// What the dashboard shows of one pipe, one user, and all connections: by CometQL, as any backend could.

import { ask, byId, bytes, element, number, statement } from "./encke-pages.js";

const ROWS_MAX = 100;

const ago = (seconds) => new Date(Number(seconds) * 1000).toLocaleString();

function table(head, rows) {
  const cell = (value, name) => {
    const isNode = value instanceof Node;
    const made = element(name, { className: !isNode && /^[\d.,]+( .?i?B)?$/.test(value) ? "number" : "" }, value);
    if (name === "th") made.scope = "col";
    return made;
  };
  const line = (values, name) => element("tr", {}, ...values.map((value) => cell(value ?? "", name)));
  const place = element("div", { className: "table", tabIndex: 0 }, element("table", {}, element("thead", {}, line(head, "th")), element("tbody", {}, ...rows.map((row) => line(row, "td")))));
  place.setAttribute("role", "region");
  place.setAttribute("aria-label", head.join(", "));
  return place;
}

const none = (text) => element("p", { className: "empty", textContent: text });
const heading = (text) => element("h3", { textContent: text });

function facts(entries) {
  return element("dl", {}, ...entries.map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
}

export function link(text, act) {
  const made = element("button", { type: "button", className: "link", textContent: text });
  made.addEventListener("click", act);
  return made;
}

/** A line with fields and a button; what came of it stands behind. */
function action(name, fields, act) {
  const said = element("p", { className: "said" });
  said.setAttribute("role", "status");
  const inputs = fields.map(([label, value]) => {
    const made = element("input", { value });
    made.setAttribute("aria-label", label);
    made.placeholder = label;
    return made;
  });
  const form = element("form", {}, ...inputs, element("button", { type: "submit", className: "small", textContent: name }), said);
  form.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    try {
      said.className = "said good";
      said.textContent = await act(...inputs.map(({ value }) => value));
    } catch (error) {
      said.className = "said error";
      said.textContent = error.message;
    }
  });
  return form;
}

let asked = 0;

/** Shows what `read` puts together, unless something else was asked for meanwhile. */
async function show(read) {
  asked += 1;
  const mine = asked;
  const place = byId("looked");
  try {
    const parts = await read();
    if (mine === asked) place.replaceChildren(...parts);
  } catch (error) {
    if (mine === asked) place.replaceChildren(element("p", { className: "error", textContent: error.message }));
  }
  if (mine === asked) place.scrollIntoView({ block: "nearest" });
}

/** A part of an answer that others do not depend on. */
const rows = (sql, params) => ask(sql, params).catch(() => []);

export function pipe(name) {
  return show(async () => {
    const [counted, settings, members, history] = await Promise.all([
      ask("SELECT users FROM pipes WHERE name = ?", [name]),
      rows("SELECT length FROM pipes_settings WHERE name = ?", [name]),
      rows(`SELECT user_id, ip, user_agent FROM users_in_pipes WHERE name = ? LIMIT ${ROWS_MAX}`, [name]),
      rows("SELECT id, time, event, message, user_id FROM pipes_messages WHERE name = ? ORDER BY time DESC LIMIT 20", [name]),
    ]);
    const length = Number(settings[0]?.length ?? 0);
    return [
      heading(`Pipe ${name}`),
      facts([["Subscribers", number(Number(counted[0]?.users ?? 0))], ["Messages that it keeps", length ? number(length) : "none"]]),
      action("Publish", [["Event", "hello"], ["Message", ""]], async (event, message) => {
        await statement("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", [name, event, message]);
        const [row] = await ask("SELECT users FROM pipes WHERE name = ?", [name]);
        return `Published to ${number(Number(row?.users ?? 0))}`;
      }),
      action("Keep so many messages", [["Number, 0 for none", String(length)]], async (text) => {
        if (Number(text) === 0) await statement("DELETE FROM pipes_settings WHERE name = ?", [name]);
        else await statement("INSERT INTO pipes_settings (name, length) VALUES (?, ?)", [name, text]);
        return Number(text) === 0 ? "It keeps none any more" : `It keeps the last ${text}`;
      }),
      heading("Last messages that are kept"),
      history.length ? table(["Time", "Event", "Message", "User"], history.map((row) => [ago(row.time), row.event, row.message, row.user_id])) : none("None"),
      heading("Who listens"),
      members.length ? table(["User", "Address", "Browser"], members.map((row) => [row.user_id === "0" ? "not logged in" : link(row.user_id, () => user(row.user_id)), row.ip, row.user_agent])) : none("Nobody"),
    ];
  });
}

export function user(id) {
  return show(async () => {
    const [time, queue, data, devices] = await Promise.all([
      ask("SELECT time FROM users_time WHERE id = ?", [id]),
      rows("SELECT event, message FROM users_messages WHERE id = ? LIMIT 100", [id]),
      rows("SELECT data FROM users_data WHERE id = ?", [id]),
      rows("SELECT id, ip, queued_bytes, since FROM connections WHERE user_id = ? LIMIT 100", [id]),
    ]);
    const seen = Number(time[0]?.time ?? -1);
    return [
      heading(`User ${id}`),
      facts([["Last seen", seen === 0 ? "here now" : seen < 0 ? "never, as far as is known" : ago(seen)],
        ["Messages that wait", queue.length === 100 ? "100 or more" : number(queue.length)], ["Data", data[0]?.data || "none"]]),
      action("Send", [["Event", "hello"], ["Message", ""]], async (event, message) => {
        await statement("INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)", [id, event, message]);
        return seen === 0 ? "Sent" : "Sent; it waits until the user comes";
      }),
      heading("Devices"),
      devices.length ? connectionsTable(devices.map((row) => ({ ...row, user_id: id }))) : none("None is connected"),
      heading("Messages that wait"),
      queue.length ? table(["Event", "Message"], queue.map((row) => [row.event, row.message])) : none("None"),
    ];
  });
}

function connectionsTable(list) {
  return table(["Connection", "User", "Address", "Pipes", "Waits to be sent", "Since", "KILL"], list.map((row) => {
    const end = element("button", { type: "button", className: "small", textContent: "End" });
    end.setAttribute("aria-label", `End connection ${row.id}`);
    end.addEventListener("click", async () => {
      if (end.textContent === "End") {
        end.textContent = "Really?";
        return;
      }
      end.disabled = true;
      try {
        await statement(`KILL ${Number(row.id)}`);
        end.textContent = "Ended";
      } catch (error) {
        end.textContent = error.message;
      }
    });
    return [row.id, row.user_id === "0" ? "not logged in" : link(row.user_id, () => user(row.user_id)), row.ip, row.pipes, bytes(Number(row.queued_bytes)), ago(row.since), end];
  }));
}

export function connections() {
  return show(async () => {
    const list = await ask(`SELECT id, user_id, ip, pipes, queued_bytes, since FROM connections LIMIT ${ROWS_MAX}`);
    const more = list.length === ROWS_MAX ? element("p", { className: "hint", textContent: `The first ${ROWS_MAX}; the SQL console finds others.` }) : "";
    return [heading("Connections of browsers"), more, list.length ? connectionsTable(list) : none("None")];
  });
}

export function listen() {
  for (const [form, act] of [["look-pipe", pipe], ["look-user", user]]) {
    byId(form).addEventListener("submit", (submit) => {
      submit.preventDefault();
      act(byId(form).querySelector("input").value.trim());
    });
  }
  byId("list").addEventListener("click", connections);
}
