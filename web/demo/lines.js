// The lines for a shell that the demo pages show, filled with the address that the page came from.

import { copy, mysqlClient } from "../encke-pages.js";

/** A text within SQL, and within the here-document of the line. */
export const quoted = (text) => `'${text.replace(/\\/g, "\\\\").replace(/'/g, "''")}'`;

/** One line per statement; nothing in a quoted here-document means anything to the shell. */
export function shell(...statements) {
  const [port, file] = ["cometql-port", "password-file"].map((name) => document.querySelector(`meta[name=${name}]`).content);
  return `${mysqlClient(port, file)} <<'SQL'\n${statements.map((one) => `${one};\n`).join("")}SQL`;
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
