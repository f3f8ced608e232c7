//! The command line client, fed with a file and typed into on a terminal.

use super::{LIMIT, PIPE, script, strings};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) fn program(test: &str) -> Option<PathBuf> {
    tools::need(test, &["mariadb", "mysql"])
}

pub(super) fn command(program: &Path, server: &Server, password: &str) -> Command {
    let mut command = Command::new(program);
    // The user's own settings are none of ours.
    command.arg("--no-defaults");
    command.args(["--skip-ssl", "--default-character-set=utf8mb4", "--user=root", "--database=CometQL_v1"]);
    command.arg(format!("--host={}", server.cometql.ip())).arg(format!("--port={}", server.cometql.port()));
    command.arg(format!("--password={password}"));
    command
}

#[test]
fn mariadb_batch() {
    let Some(program) = program("mariadb_batch") else { return };
    let server = Server::start(&Setup::default());
    let refused = tools::run_with_input(&mut command(&program, &server, "wrong"), "SHOW TABLES;\n", PATIENCE);
    assert!(!refused.status.success());
    assert!(refused.stderr.starts_with("ERROR 16 (HY000)"), "{}", refused.stderr);
    for (wrong, error) in [
        ("SELECT id FROM no_such_table WHERE id = 1;\n", "ERROR 15 (HY000) at line 1"),
        ("DELETE FROM users_data;\n", "ERROR 13 (HY000) at line 1"),
        ("USE no_such_database;\n", "ERROR 15 (HY000) at line 1"),
    ] {
        let finished = tools::run_with_input(&mut command(&program, &server, &server.password), wrong, PATIENCE);
        assert!(finished.stderr.contains(error), "{wrong}{}", finished.stderr);
    }

    check(&program, &server, &strings::table());
}

/// Strings that the client sends reach a subscriber, and are read back by the client itself from wherever they are kept.
fn check(program: &Path, server: &Server, strings: &[String]) {
    let mut browser = server.browser();
    browser.send(&format!("subscription\n{PIPE}"));
    server.await_subscribers(PIPE, 1);
    let statements = strings.iter().enumerate().flat_map(|(index, string)| {
        let (id, literal) = (index + 1, literal(string));
        [
            format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{PIPE}', 'batch', {literal});\n"),
            format!("INSERT INTO users_messages (id, event, message) VALUES (7000, 'batch', {literal});\n"),
            format!("INSERT INTO users_data (id, data) VALUES ({id}, {literal});\n"),
            format!("SELECT data FROM users_data WHERE id = {id};\n"),
        ]
    });
    let keep = format!("INSERT INTO pipes_settings (name, length) VALUES ('{PIPE}', 1000);\n");
    let kept = ["FROM users_messages WHERE id = 7000".to_owned(), format!("FROM pipes_messages WHERE name = '{PIPE}'")];
    let kept = kept.map(|from| format!("SELECT message {from};\n"));
    let input = std::iter::once(keep).chain(statements).chain(kept).collect::<String>();
    let mut batch = command(program, server, &server.password);
    batch.args(["--batch", "--skip-column-names"]);
    let finished = tools::run_with_input(&mut batch, &input, LIMIT);
    assert!(finished.status.success(), "{}", finished.stderr);
    let read: Vec<String> = finished.stdout.split_terminator('\n').map(unescape).collect();
    assert_eq!(read, [strings, strings, strings].concat());
    for string in strings {
        assert_eq!(browser.receive()["data"], string.as_str());
    }
}

/// It asks for compression only where that is offered.
#[test]
fn mariadb_that_may_compress_goes_without() {
    let Some(program) = program("mariadb_that_may_compress_goes_without") else { return };
    let server = Server::start(&Setup::default());
    let mut client = command(&program, &server, &server.password);
    let finished = tools::run(client.args(["--compress", "--skip-column-names", "--execute", "SELECT 7"]), PATIENCE);
    assert_eq!((finished.stdout.trim(), finished.status.success()), ("7", true), "{}", finished.stderr);
}

/// The client cuts the line and sends one statement after the other.
#[test]
fn mariadb_runs_a_hundred_statements_of_one_line() {
    let Some(program) = program("mariadb_runs_a_hundred_statements_of_one_line") else { return };
    let server = Server::start(&Setup::default());
    let statements: Vec<String> = (0..50)
        .map(|number| {
            format!(
                "INSERT INTO users_data (id, data) VALUES (1, 'n{number}'); SELECT data FROM users_data WHERE id = 1;"
            )
        })
        .collect();
    let input = statements.join(" ");
    let expected: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
    let mut batch = command(&program, &server, &server.password);
    let finished = tools::run(batch.args(["--batch", "--skip-column-names", "--execute", &input]), PATIENCE);
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(finished.stdout.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn mariadb_on_a_terminal() {
    let test = "mariadb_on_a_terminal";
    let Some(program) = program(test) else { return };
    let Some(python) = tools::need(test, &["python3"]) else { return };
    let server = Server::start(&Setup::default());
    let client = command(&program, &server, &server.password);
    let mut typing = Command::new(python);
    typing.arg(script("terminal.py")).arg(client.get_program()).args(client.get_args());
    // Which editor keys there are depends on the terminal, what is a character on the language.
    typing.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env("MYSQL_HISTFILE", "/dev/null");
    let awkward = "it's \"quoted\" \\ 😀";
    let store = format!("INSERT INTO users_data (id, data) VALUES (1, {});", literal(awkward));
    let lines = json!([
        store,
        // Names are completed from SHOW TABLES and the list of each table's fields; the editor rings and writes the
        // rest.
        ["SELECT * FROM users_da\t", "users_da[^a-z]*ta ", "WHERE id = 1;"],
        "status",
        "use no_such_database",
        "use CometQL_v1",
        "DESCRIBE users_auth;",
        "SHOW TABLES;",
    ]);
    let job = json!({ "prompt": r"(MySQL|MariaDB) \[CometQL_v1\]> ", "lines": lines });
    let finished = tools::run_with_input(&mut typing, &job.to_string(), LIMIT);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    let screens: Vec<String> = serde_json::from_str(&finished.stdout).expect("what was on the screen");
    let expected: [&[&str]; 8] = [
        &["Welcome to the MariaDB monitor", "Reading table information for completion", "Server version:"],
        &["Query OK, 1 row affected"],
        &[awkward, "1 row in set"],
        &["Current database:\tCometQL_v1", "Current user:", "Protocol version:\t10", "Server characterset:\tutf8mb4"],
        &["ERROR 15 (HY000)"],
        &["Database changed"],
        &["| id ", "| hash ", "PRI"],
        &["| users_auth ", "| pipes_messages "],
    ];
    assert_eq!(screens.len(), expected.len(), "{screens:#?}");
    for (screen, expected) in screens.iter().zip(expected) {
        for text in expected {
            assert!(screen.contains(text), "{text} is missing in {screen}\nof {screens:#?}");
        }
    }
}

/// As this client's users write a string.
fn literal(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        match character {
            '\0' => literal.push_str("\\0"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\u{1a}' => literal.push_str("\\Z"),
            '\'' => literal.push_str("''"),
            '\\' => literal.push_str("\\\\"),
            _ => literal.push(character),
        }
    }
    literal + "'"
}

/// What the client makes of a value in a batch, undone.
fn unescape(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                other => other.unwrap_or('\\'),
            },
            _ => character,
        });
    }
    text
}
