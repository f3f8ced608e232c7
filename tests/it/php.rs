//! A backend in PHP, as the manuals of comet servers show it: mysqli, an escaped JSON text, one INSERT.

use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use std::process::Command;

/// The address and the password come from the environment, so that the script is the one a page would have.
const PUBLISH: &str = r#"<?php
mysqli_report(MYSQLI_REPORT_OFF);
$comet = mysqli_connect(getenv('COMET_HOST'), 'root', getenv('COMET_PASSWORD'), 'CometQL_v1', (int)getenv('COMET_PORT'));
if (!$comet) {
    echo 'connect: ', mysqli_connect_errno(), ' ', mysqli_connect_error();
    exit(1);
}
$text = json_encode(['name' => 'Bob', 'text' => "It's \"quoted\", <b>bold</b>, Привет 😀\nnext line \\ end"]);
$escaped = mysqli_real_escape_string($comet, $text);
$query = "INSERT INTO pipes_messages (name, event, message) VALUES ('simplechat', 'newMessage', '" . $escaped . "')";
if (!mysqli_query($comet, $query)) {
    echo 'insert: ', mysqli_errno($comet), ' ', mysqli_error($comet);
    exit(1);
}
echo $text;
"#;

const WRONG_PASSWORD: &str = r"<?php
mysqli_report(MYSQLI_REPORT_OFF);
$comet = @mysqli_connect(getenv('COMET_HOST'), 'root', 'wrong', 'CometQL_v1', (int)getenv('COMET_PORT'));
echo $comet === false ? 'refused ' : 'connected ', mysqli_connect_errno();
";

const COMPRESSED: &str = r"<?php
mysqli_report(MYSQLI_REPORT_OFF);
$comet = mysqli_init();
$connected = @mysqli_real_connect($comet, getenv('COMET_HOST'), 'root', getenv('COMET_PASSWORD'), null,
    (int)getenv('COMET_PORT'), null, MYSQLI_CLIENT_COMPRESS);
echo $connected ? 'connected ' : 'refused ', mysqli_connect_errno(), ' ', mysqli_connect_error();
";

/// Quotes a value that ends in SQL of its own, by each character set that the client has, whether told at the login or later.
const QUOTED: &str = r#"<?php
mysqli_report(MYSQLI_REPORT_OFF);
$others = ['你', 'の', 'あ', 'é', '中', '€', 'Я', '😀', 'ア', '한', 'ß'];
$sets = ['utf8', 'utf8mb4', 'latin1', 'cp1251', 'koi8r', 'ascii', 'binary', 'euckr', 'ujis', 'eucjpms', 'gb2312', 'gbk',
    'gb18030', 'big5', 'sjis', 'cp932', 'ucs2', 'utf16'];
$taken = [];
foreach ($sets as $set) {
    foreach ([true, false] as $early) {
        $comet = mysqli_init();
        if ($early) {
            mysqli_options($comet, MYSQLI_SET_CHARSET_NAME, $set);
        }
        $in = @mysqli_real_connect($comet, getenv('COMET_HOST'), 'root', getenv('COMET_PASSWORD'), 'CometQL_v1',
            (int)getenv('COMET_PORT'));
        if (!$in || !($early || mysqli_set_charset($comet, $set))) {
            continue;
        }
        $taken[$set] = 1;
        foreach ($others as $other) {
            $value = "$other\\'), (2, '$other\\";
            mysqli_query($comet, "INSERT INTO users_data (id, data) VALUES (1, 'before'), (2, 'before')");
            $quoted = mysqli_real_escape_string($comet, $value);
            $ok = mysqli_query($comet, "INSERT INTO users_data (id, data) VALUES (1, '$quoted')");
            $rows = mysqli_fetch_all(mysqli_query($comet, 'SELECT data FROM users_data WHERE id IN (1, 2)'));
            if (!$ok || $rows !== [[$value], ['before']]) {
                echo "$set $other: ", json_encode($rows, JSON_UNESCAPED_UNICODE), "\n";
            }
        }
    }
}
echo implode(' ', array_keys($taken));
"#;

pub(crate) fn php(server: &Server, name: &str, script: &str) -> tools::Finished {
    let file = server.folder().join(name);
    std::fs::write(&file, script).expect("a script for the test");
    let mut command = Command::new("php");
    command.arg(file).current_dir(server.folder()).env("COMET_HOST", server.cometql.ip().to_string());
    command.env("COMET_PORT", server.cometql.port().to_string()).env("COMET_PASSWORD", &server.password);
    tools::run(&mut command, PATIENCE)
}

/// Whether PHP is here with its mysqli.
pub(crate) fn have_php(test: &str) -> bool {
    if tools::need(test, &["php"]).is_none() {
        return false;
    }
    let modules = tools::run(Command::new("php").arg("-m"), PATIENCE).stdout;
    let have = modules.lines().any(|line| line.trim() == "mysqli");
    if !have {
        tools::skip(test, "php", "php has no mysqli");
    }
    have
}

#[test]
fn what_php_inserts_reaches_a_subscriber() {
    if !have_php("what_php_inserts_reaches_a_subscriber") {
        return;
    }
    for shards in [1, 2] {
        let server = Server::start(&Setup { shards, ..Setup::default() });
        let mut browsers = [server.browser(), server.browser(), server.browser()];
        for browser in &mut browsers {
            browser.send("subscription\nsimplechat");
        }
        server.await_subscribers("simplechat", 3);
        let published = php(&server, "publish.php", PUBLISH);
        assert!(published.status.success(), "{}{}", published.stdout, published.stderr);
        for browser in &mut browsers {
            let message = browser.receive();
            assert_eq!(message["pipe"], "simplechat", "{message}");
            assert_eq!(message["event"], "newMessage", "{message}");
            // What arrives is, byte for byte, what PHP encoded.
            assert_eq!(message["data"], published.stdout.as_str(), "{message}");
        }
    }
}

#[test]
fn php_is_told_that_its_password_is_wrong() {
    if !have_php("php_is_told_that_its_password_is_wrong") {
        return;
    }
    let server = Server::start(&Setup::default());
    let refused = php(&server, "wrong.php", WRONG_PASSWORD);
    assert_eq!(refused.stdout, "refused 16", "{}", refused.stderr);
}

/// It compresses although nobody offers that, so it is told before it can.
#[test]
fn php_that_compresses_is_refused_with_the_reason() {
    if !have_php("php_that_compresses_is_refused_with_the_reason") {
        return;
    }
    let server = Server::start(&Setup::default());
    let finished = php(&server, "compressed.php", COMPRESSED);
    assert!(finished.stdout.starts_with("refused 16 Compression is not offered"), "{}", finished.stdout);
}

/// A client quotes by the character set that it named; a value must not become SQL by that, nor another value.
#[test]
fn php_quotes_a_value_by_whatever_set_it_is_let_in_with() {
    if !have_php("php_quotes_a_value_by_whatever_set_it_is_let_in_with") {
        return;
    }
    let server = Server::start(&Setup::default());
    let finished = php(&server, "quoted.php", QUOTED);
    assert_eq!(finished.stdout, "utf8 utf8mb4 latin1 cp1251 koi8r ascii binary", "{}", finished.stderr);
}
