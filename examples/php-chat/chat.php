<?php

// A chat without logins. Browsers listen to the pipe simplechat and send what they write to this script, which publishes it.

declare(strict_types=1);

require __DIR__ . '/comet.php';

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $name = sent_text($_POST['name'] ?? null, 40);
    $text = sent_text($_POST['text'] ?? null, 2000);
    if ($name === '' || $text === '') {
        http_response_code(400);
        exit('A name of up to 40 characters and a text of up to 2000 are needed.');
    }
    $message = json_encode(['name' => $name, 'text' => $text], JSON_THROW_ON_ERROR);
    comet("INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', ?)", [$message]);
    http_response_code(204);
    exit;
}
?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat</title>
<link rel="icon" href="<?= html(comet_url()) ?>/favicon.ico">
<link rel="stylesheet" href="<?= html(comet_url()) ?>/demo/demo.css">
</head>
<body>
<main class="wrap">
  <h1>Chat</h1>
  <div id="log" class="card" role="log" aria-label="Messages"></div>
  <form id="form" class="card row">
    <label>Name <input name="name" required maxlength="40" autocomplete="nickname"></label>
    <label>Message <input name="text" required maxlength="2000" autocomplete="off"></label>
    <button>Send</button>
  </form>
  <p id="problem" class="problem" role="alert"></p>
</main>
<script type="module">
  import { connect } from <?= js(comet_url() . '/encke.js') ?>;

  const log = document.getElementById("log");
  const problem = document.getElementById("problem");

  function show({ data }) {
    const line = document.createElement("div");
    // As text: what visitors write must never be markup.
    line.textContent = `${data.name}: ${data.text}`;
    log.append(line);
  }

  const comet = connect();
  let isLoaded = false;
  const early = [];
  await comet.subscribe("simplechat.newMessage", (message) => (isLoaded ? show(message) : early.push(message)), { gap: load });
  await load();

  /** Shows the history, and what came while it was on its way. */
  async function load() {
    const found = await comet.history("simplechat");
    const positions = new Set(found.map(({ position }) => position));
    log.replaceChildren();
    [...found, ...early.splice(0).filter(({ position }) => !position || !positions.has(position))].forEach(show);
    isLoaded = true;
  }

  document.getElementById("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const answer = await fetch("chat.php", { method: "POST", body: new FormData(form) }).catch(() => undefined);
    problem.textContent = answer?.ok ? "" : "That was not sent. Please try again.";
    if (answer?.ok) form.elements.text.value = "";
  });
</script>
</body>
</html>
