<?php

// Who is logged in at this site, and that user's key for the comet server.

declare(strict_types=1);

require __DIR__ . '/comet.php';

// Other sites' pages cannot send the cookie, so they cannot write in a user's name.
session_set_cookie_params(['httponly' => true, 'samesite' => 'Strict', 'secure' => isset($_SERVER['HTTPS'])]);
session_start();

/** The account that is logged in. */
function account(): ?array
{
    return accounts()[$_SESSION['login'] ?? ''] ?? null;
}

/** By login. */
function accounts(): array
{
    return require __DIR__ . '/accounts.php';
}

/**
 * The key by which the comet server knows the user. All pages of a user have the same one, so it is made once; deleting it
 * ends all of the user's connections.
 */
function comet_key(array $account): string
{
    $rows = comet('SELECT hash FROM users_auth WHERE id = ?', [(string) $account['id']]);
    if ($rows) {
        return $rows[0]['hash'];
    }
    $key = bin2hex(random_bytes(16));
    comet('INSERT INTO users_auth (id, hash) VALUES (?, ?)', [(string) $account['id'], $key]);
    comet('INSERT INTO users_data (id, data) VALUES (?, ?)', [(string) $account['id'], json_encode(['name' => $account['name']])]);
    return $key;
}
