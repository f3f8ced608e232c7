<?php

// A plugin, as a file, in a WordPress of its own: installed into an empty database, with one post. Comments that are approved
// must be published once, others not; the post's page must have the script, others not.

error_reporting(E_ALL & ~E_DEPRECATED & ~E_NOTICE);
ini_set('display_errors', 'stderr');
$_SERVER += ['HTTP_HOST' => 'site.example', 'REQUEST_URI' => '/', 'SERVER_NAME' => 'site.example', 'REQUEST_METHOD' => 'GET', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
[$host, $user, $name, $root] = array_map('getenv', ['SITE_HOST', 'SITE_USER', 'SITE_NAME', 'ENCKE_ROOT']);
define('DB_HOST', $host);
define('DB_USER', $user);
define('DB_PASSWORD', getenv('MYSQL_PWD'));
define('DB_NAME', $name);
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('ABSPATH', "$root/.test-deps/wordpress/");
define('WP_CONTENT_DIR', getcwd() . '/wp-content');
define('WP_INSTALLING', true);
define('WP_DISABLE_FATAL_ERROR_HANDLER', true);
// No requests of its own while it is tested.
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT'] as $key) {
    define($key, 'of this test only');
}
require 'wp-config-comet.php';
@mkdir('wp-content/mu-plugins', recursive: true);
@mkdir('wp-content/themes', recursive: true);
copy($argv[1], 'wp-content/mu-plugins/comet.php');
$table_prefix = 'wp_';
require ABSPATH . 'wp-settings.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
add_filter('pre_wp_mail', fn () => true);
wp_install('Site', 'admin', 'admin@site.example', true, '', 'a password');

$comet = new mysqli(COMET_HOST, COMET_USER, COMET_PASSWORD, 'CometQL_v1', COMET_PORT);
$number = wp_insert_post(['post_title' => 'A post', 'post_content' => 'Text', 'post_status' => 'publish'], true);
$comet->query("INSERT INTO pipes_settings (name, length) VALUES ('post_$number', 10)");
$kept = function () use ($comet, $number): array {
    $rows = $comet->query("SELECT event, message FROM pipes_messages WHERE name = 'post_$number'")->fetch_all();
    return array_map(fn (array $row) => $row[0] . ' ' . json_decode($row[1], true)['text'], $rows);
};
$fail = fn (string $why) => throw new RuntimeException($why);
$comment = fn (string $text, int $approved) => wp_insert_comment([
    'comment_post_ID' => $number, 'comment_author' => "O'Neill", 'comment_content' => $text, 'comment_approved' => $approved,
]);
$comment("It's \\\\ good", 1);
// WordPress takes off one level of slashes.
$kept() === ["comment It's \\ good"] || $fail('after a comment there is ' . json_encode($kept()));
$waiting = $comment('Later', 0);
count($kept()) === 1 || $fail('what waits for approval was published');
wp_set_comment_status($waiting, 'approve');
count($kept()) === 2 || $fail('an approved comment was not published');

$footer = function (array $query): string {
    $GLOBALS['wp_query'] = new WP_Query($query);
    $GLOBALS['wp_query']->have_posts() && $GLOBALS['wp_query']->the_post();
    // As the head of a page makes it.
    wp_styles();
    ob_start();
    do_action('wp_footer');
    return ob_get_clean();
};
$script = $footer(['p' => $number]);
str_contains($script, "subscribe(\"post_$number.comment\"") && str_contains($script, '"dev":5') || $fail("the page has $script");
str_contains($footer(['post_type' => 'post', 'posts_per_page' => 5]), 'subscribe') && $fail('a list has the script');
