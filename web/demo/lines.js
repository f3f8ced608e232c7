// The lines for a shell that the demo pages show, filled with the address that the page came from.

/** A text within SQL, and within the here-document of the line. */
export const quoted = (text) => `'${text.replace(/\\/g, "\\\\").replace(/'/g, "''")}'`;

/** One line per statement; nothing in a quoted here-document means anything to the shell. */
export function shell(...statements) {
  const host = location.hostname.replace(/^\[|\]$/g, "");
  const [port, file] = ["cometql-port", "password-file"].map((name) => document.querySelector(`meta[name=${name}]`).content);
  // MySQL clients take "localhost" for a Unix socket, which the server does not have.
  const address = `-h ${host === "localhost" ? "127.0.0.1" : host} -P ${port}`;
  return `mysql ${address} -u root ${file ? `-p"$(cat ${file})"` : "-p"} CometQL_v1 <<'SQL'\n${statements.map((one) => `${one};\n`).join("")}SQL`;
}

async function copy(button) {
  const code = document.getElementById(button.dataset.copy);
  let done = false;
  try {
    await navigator.clipboard.writeText(code.textContent);
    done = true;
  } catch {
    // Pages without https have no clipboard; the old way needs a selection.
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
