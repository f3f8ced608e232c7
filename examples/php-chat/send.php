<?php

// Takes a private message from whoever is logged in and publishes it to both, as users_chat.js expects it. A user who is not
// here gets it later: the server keeps it.

declare(strict_types=1);

require __DIR__ . '/session.php';

function refuse(int $status, string $why): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit($why);
}

$account = account() ?? refuse(403, 'Please log in again.');
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) {
    refuse(400, 'A POST with JSON is needed.');
}
$asked = json_decode(file_get_contents('php://input'), true);
$to = is_array($asked) ? $asked['to'] ?? null : null;
$text = is_array($asked) ? sent_text($asked['text'] ?? null, 2000) : '';
if (!in_array($to, array_column(accounts(), 'id'), true) || $text === '') {
    refuse(400, 'A user of this site and a text of up to 2000 characters are needed.');
}
// The sender is what the session says, not what the browser says.
$message = json_encode(['from' => $account['id'], 'to' => $to, 'text' => $text, 'id' => bin2hex(random_bytes(8))]);
comet(
    "INSERT INTO users_messages (id, event, message) VALUES (?, 'private', ?), (?, 'private', ?)",
    [(string) $to, $message, (string) $account['id'], $message],
);
http_response_code(204);
