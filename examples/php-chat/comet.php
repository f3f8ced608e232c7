<?php

// How the pages of this folder reach the server.

declare(strict_types=1);

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

/** Where browsers connect. */
function comet_url(): string
{
    return rtrim(getenv('COMET_URL') ?: 'http://127.0.0.1:8087', '/');
}

/** Runs one statement of CometQL; its rows, if it has any. */
function comet(string $statement, array $values = []): array
{
    static $connection = null;
    $connection ??= new mysqli(
        getenv('COMET_HOST') ?: '127.0.0.1',
        'root',
        getenv('COMET_PASSWORD') ?: comet_password(),
        'CometQL_v1',
        (int) (getenv('COMET_PORT') ?: 3300),
    );
    $prepared = $connection->prepare($statement);
    if ($values) {
        $prepared->bind_param(str_repeat('s', count($values)), ...$values);
    }
    $prepared->execute();
    $result = $prepared->get_result();
    return $result ? $result->fetch_all(MYSQLI_ASSOC) : [];
}

/**
 * The password that the server keeps in a file. PHP's web server runs a script in the script's own folder, so the file is
 * also looked for where this folder is: in the server's folder, as examples/php-chat.
 */
function comet_password(): string
{
    $file = getenv('COMET_PASSWORD_FILE') ?: 'data/cometql.password';
    foreach ([$file, dirname(__DIR__, 2) . "/$file"] as $place) {
        if (is_readable($place)) {
            return trim(file_get_contents($place));
        }
    }
    throw new RuntimeException("$file cannot be read here: set COMET_PASSWORD_FILE to its whole path, or COMET_PASSWORD");
}

/** A text that a visitor sent: without blanks around it and not longer than this; empty if it is none. */
function sent_text(mixed $value, int $length_max): string
{
    $text = is_string($value) ? trim($value) : '';
    return preg_match('//u', $text) === 1 && iconv_strlen($text, 'UTF-8') <= $length_max ? $text : '';
}

function html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

/** A value in a script of a page. */
function js(mixed $value): string
{
    return json_encode($value, JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT | JSON_THROW_ON_ERROR);
}
