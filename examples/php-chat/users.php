<?php

// A chat with logins. This script knows who is logged in; it hands the page and the user's key out together.

declare(strict_types=1);

require __DIR__ . '/session.php';

$problem = '';
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    if (isset($_POST['logout'])) {
        $_SESSION = [];
    } else {
        $login = sent_text($_POST['login'] ?? null, 40);
        $known = accounts()[$login] ?? null;
        if ($known && password_verify((string) ($_POST['password'] ?? ''), $known['password'])) {
            session_regenerate_id(true);
            $_SESSION['login'] = $login;
        } else {
            $problem = 'Login or password is wrong.';
        }
    }
    if ($problem === '') {
        header('Location: users.php', true, 303);
        exit;
    }
}
$account = account();
header('Cache-Control: no-store');
?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat of users</title>
<link rel="icon" href="<?= html(comet_url()) ?>/favicon.ico">
<link rel="stylesheet" href="<?= html(comet_url()) ?>/demo/demo.css">
</head>
<body>
<main class="wrap">
  <h1>Chat of users</h1>
<?php if (!$account): ?>
  <form method="post" class="card row">
    <label>Login <input name="login" required maxlength="40" autocomplete="username"></label>
    <label>Password <input name="password" type="password" required autocomplete="current-password"></label>
    <button>Log in</button>
  </form>
  <p class="problem" role="alert"><?= html($problem) ?></p>
  <p>There are ada, boris and clara; their passwords are ada-password and so on.</p>
<?php else: ?>
  <div id="chat"></div>
  <p id="problem" class="problem" role="alert"></p>
  <form method="post"><button name="logout" class="small">Log out</button></form>
  <script type="module">
    import { usersChat } from <?= js(comet_url() . '/demo/users_chat.js') ?>;

    async function send(to, text) {
      const body = JSON.stringify({ to, text });
      const answer = await fetch("send.php", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (!answer.ok) throw new Error(await answer.text());
    }

    const chat = document.getElementById("chat");
    const people = <?= js(array_map(fn ($one) => ['id' => $one['id'], 'name' => $one['name']], array_values(accounts()))) ?>;
    usersChat(chat, { user: <?= js($account['id']) ?>, key: <?= js(comet_key($account)) ?>, people, send }).catch((error) => {
      document.getElementById("problem").textContent = error.message;
    });
  </script>
<?php endif ?>
</main>
</body>
</html>
