//! Stock client libraries, each driven through the same exercise: a wrong password, one table of awkward and random strings
//! published and stored and read back, two mistakes, a hundred statements in a row.
//!
//! The exercise in a client's own language is in `clients/`; a script reads a job on standard input and prints what it
//! saw as JSON, which is compared as a whole with what is right.

mod adminer;
mod expected;
mod frameworks;
mod greeting;
mod introspection;
mod mariadb;
mod rust;
mod strings;

use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where Debian has its Java libraries.
const CONNECTOR_J: &str = "/usr/share/java/mariadb-java-client.jar";

/// A whole exercise is some thousand statements, each insert written to a disk that others may keep busy.
const LIMIT: Duration = Duration::from_mins(5);

/// Where the subscriber listens.
const PIPE: &str = "clients";

#[test]
fn php_mysqli() {
    let Some(mut command) = php("php_mysqli", "mysqli", "mysqli.php") else { return };
    check(&mut command, &["escaped", "prepared"]);
}

#[test]
fn php_pdo() {
    let Some(mut command) = php("php_pdo", "pdo_mysql", "pdo.php") else { return };
    check(&mut command, &["emulated", "prepared"]);
}

#[test]
fn python_pymysql() {
    let Some(mut command) = python("python_pymysql", "pymysql", "pymysql") else { return };
    check(&mut command, &["placeholders"]);
}

#[test]
fn python_mysqlclient() {
    let Some(mut command) = python("python_mysqlclient", "MySQLdb", "mysqlclient") else { return };
    check(&mut command, &["placeholders"]);
}

#[test]
fn python_mysql_connector() {
    let Some(mut command) = python("python_mysql_connector", "mysql.connector", "connector") else { return };
    // It writes this one as a backslash and the character itself, and the server leaves the backslash.
    check(&mut command, &["placeholders", "prepared"]);
}

/// It compresses although nobody offers that, so it is told before it can.
#[test]
fn python_mysql_connector_that_compresses_is_refused_with_the_reason() {
    let test = "python_mysql_connector_that_compresses_is_refused_with_the_reason";
    let Some(backend) = python(test, "mysql.connector", "connector") else { return };
    let mut command = Command::new(backend.get_program());
    let server = Server::start(&classic());
    let finished = tools::run_with_input(command.arg(script("compressed.py")), &json_job(&server, &[]), PATIENCE);
    let refused: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
    assert_eq!(refused["code"], 16, "{}{}", finished.stdout, finished.stderr);
    assert!(refused["text"].as_str().is_some_and(|text| text.contains("Compression is not offered")), "{refused}");
}

#[test]
fn python_sqlalchemy() {
    let Some(mut command) = python("python_sqlalchemy", "sqlalchemy", "sqlalchemy") else { return };
    check(&mut command, &["placeholders"]);
}

#[test]
fn node_mysql() {
    let Some(mut command) = node("node_mysql", "mysql") else { return };
    check(&mut command, &["placeholders"]);
}

#[test]
fn node_mysql2() {
    let Some(mut command) = node("node_mysql2", "mysql2") else { return };
    check(&mut command, &["placeholders", "prepared"]);
}

#[test]
fn node_mariadb() {
    let Some(mut command) = node("node_mariadb", "mariadb") else { return };
    // It writes this one as a backslash and the character itself, and the server leaves the backslash.
    check(&mut command, &["placeholders", "prepared"]);
}

#[test]
fn java_connector() {
    let test = "java_connector";
    let Some(java) = tools::need(test, &["java"]) else { return };
    if !Path::new(CONNECTOR_J).is_file() {
        return tools::skip(test, "connector-j", &format!("there is no {CONNECTOR_J}"));
    }
    let modules = tools::run(Command::new(&java).arg("--list-modules"), PATIENCE).stdout;
    if !modules.lines().any(|line| line.starts_with("jdk.compiler")) {
        return tools::skip(test, "connector-j", "this java cannot run a source file");
    }
    let mut command = Command::new(java);
    // One file is run, not served: the quickest start counts.
    command.args(["-XX:TieredStopAtLevel=1", "-cp", CONNECTOR_J]).arg(script("Backend.java"));
    // It writes this one as a backslash and the character itself, and the server leaves the backslash.
    check(&mut command, &["emulated", "prepared"]);
}

fn script(name: &str) -> PathBuf {
    tools::root().join("tests/it/clients").join(name)
}

fn php(test: &str, module: &str, name: &str) -> Option<Command> {
    let mut command = Command::new(tools::need(test, &["php"])?);
    let modules = tools::run(Command::new("php").arg("-m"), PATIENCE).stdout;
    if !modules.lines().any(|line| line.trim() == module) {
        tools::skip(test, "php", &format!("php has no {module}"));
        return None;
    }
    command.arg(script(name));
    Some(command)
}

/// The Python of `scripts/test`, if it has this module.
fn python(test: &str, module: &str, client: &str) -> Option<Command> {
    let python = tools::root().join(".test-deps/venv/bin/python");
    let import = format!("import {module}");
    if !python.is_file() || !tools::run(Command::new(&python).args(["-c", &import]), PATIENCE).status.success() {
        tools::skip(test, client, &format!("{} has no {module}", python.display()));
        return None;
    }
    let mut command = Command::new(python);
    command.arg(script("backend.py")).arg(client);
    Some(command)
}

fn node(test: &str, library: &str) -> Option<Command> {
    let node = tools::need(test, &["node"])?;
    let folder = tools::root().join(".test-deps/node");
    if !folder.join("node_modules").join(library).is_dir() {
        tools::skip(test, &format!("node-{library}"), &format!("{} has no {library}", folder.display()));
        return None;
    }
    let mut command = Command::new(node);
    command.arg(script("backend.js")).arg(library).arg(folder);
    Some(command)
}

/// Runs a client's script against a server of its own and judges what it saw.
fn check(command: &mut Command, modes: &[&str]) {
    let strings = &strings::table();
    let is_java = command.get_args().any(|argument| Path::new(argument).extension().is_some_and(|end| end == "java"));
    judge(modes, strings, |server| {
        let job = if is_java { lines(server, strings) } else { json_job(server, strings) };
        let finished = tools::run_with_input(command, &job, LIMIT);
        assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
        serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr))
    });
}

/// Judges what a client saw and what a subscriber received from it. `modes` are the client's ways of running a
/// statement; each is also the event it publishes with.
fn judge(modes: &[&str], strings: &[String], client: impl FnOnce(&Server) -> Value) {
    let server = Server::start(&classic());
    let mut browser = server.browser();
    browser.send(&format!("subscription\n{PIPE}"));
    server.await_subscribers(PIPE, 1);
    let mut backend = server.backend();
    let keep = format!("INSERT INTO pipes_settings (name, length) VALUES ('{PIPE}', 1000)");
    assert_eq!(backend.execute(&keep).expect("the pipe keeps history"), (1, 0));
    let seen = client(&server);
    for mode in modes {
        for (string, read) in strings.iter().zip(seen[mode]["read"].as_array().into_iter().flatten()) {
            assert_eq!(read.as_str(), Some(string.as_str()), "{mode}: read back");
        }
    }
    assert_eq!(seen, expected(modes, strings));
    for mode in modes {
        for string in strings {
            let publication = browser.receive();
            assert_eq!(publication["event"], *mode, "{publication}");
            assert_eq!(publication["data"], string.as_str(), "{mode}: received");
        }
    }
    // And as it was kept, for those who were not there.
    let history = format!("SELECT event, message FROM pipes_messages WHERE name = '{PIPE}'");
    for (query, kept) in [(&*history, "history"), (QUEUE, "queue")] {
        let kept_rows = backend.rows(query).expect(kept);
        assert_eq!(kept_rows.len(), modes.len() * strings.len(), "{kept}");
        let sent = modes.iter().flat_map(|mode| strings.iter().map(move |string| (*mode, string.as_str())));
        for (row, (mode, string)) in kept_rows.iter().zip(sent) {
            let row: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
            assert_eq!(row, [mode, string], "{kept}");
        }
    }
}

/// What clients see of a SELECT without a key as CppComet answered it.
fn classic() -> Setup {
    Setup { more: "[cometql]\nselect_without_key = off\n".to_owned(), ..Setup::default() }
}

/// What was sent to a user who never comes.
const QUEUE: &str = "SELECT event, message FROM users_messages WHERE id = 7000";

fn expected(modes: &[&str], strings: &[String]) -> Value {
    let mut expected = Map::new();
    expected.insert("refused".to_owned(), json!(16));
    for mode in modes {
        let seen = json!({ "read": strings, "unknown_table": 15, "no_key": 13, "in_a_row": 100 });
        expected.insert((*mode).to_owned(), seen);
    }
    Value::Object(expected)
}

fn json_job(server: &Server, strings: &[String]) -> String {
    let address = server.cometql;
    let host = address.ip().to_string();
    json!({ "host": host, "port": address.port(), "password": server.password, "pipe": PIPE, "strings": strings })
        .to_string()
}

/// The job for a language that has no JSON.
fn lines(server: &Server, strings: &[String]) -> String {
    let mut lines = vec![server.cometql.ip().to_string(), server.cometql.port().to_string()];
    let texts = [server.password.as_str(), PIPE].into_iter().chain(strings.iter().map(String::as_str));
    lines.extend(texts.map(|text| STANDARD.encode(text)));
    // Each line has its end: the last string may be empty.
    lines.push(String::new());
    lines.join("\n")
}
