// Publishes one message: node publish.mjs PIPE EVENT MESSAGE

import { readFileSync } from "node:fs";
import mysql from "mysql2/promise";

const { COMET_HOST, COMET_PORT, COMET_PASSWORD, COMET_PASSWORD_FILE = "data/cometql.password" } = process.env;
const [pipe, event, message] = process.argv.slice(2);
if (message === undefined) {
  console.error("node publish.mjs PIPE EVENT MESSAGE");
  process.exit(2);
}

const comet = await mysql.createConnection({
  host: COMET_HOST ?? "127.0.0.1",
  port: Number(COMET_PORT ?? 3300),
  user: "root",
  password: COMET_PASSWORD ?? readFileSync(COMET_PASSWORD_FILE, "utf8").trim(),
  database: "CometQL_v1",
});
// Placeholders, so that no message can be taken for SQL.
await comet.execute("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", [pipe, event, message]);
await comet.end();
