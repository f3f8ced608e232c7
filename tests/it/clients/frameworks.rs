//! What applications are built with: ORMs and abstraction layers, driver managers, a collector of figures. Each asks first
//! questions of its own and believes what it is told about transactions.
//!
//! The exercise: in a transaction a hash is stored and a message published, another transaction is rolled back, the hash
//! is read, tables are listed, and a mistake is made.

use super::greeting::{OFFERS, server_that_offers};
use super::rust::connect_as;
use super::{PIPE, script};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use mysql::prelude::Queryable;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What every layer of quoting has to bring through.
const STRING: &str = "it's \"quoted\" \\ `%_?:name` Привет 😀\nnext line";

#[test]
fn python_django() {
    let Some(command) = python("python_django", "django", "django_app.py") else { return };
    check(command, "django");
}

#[test]
fn python_pyodbc() {
    const DRIVER: &str = "libmaodbc.so";
    let test = "python_pyodbc";
    let Some(mut command) = python(test, "pyodbc", "pyodbc_app.py") else { return };
    let folders = ["/usr/lib/x86_64-linux-gnu/odbc", "/usr/lib/aarch64-linux-gnu/odbc", "/usr/lib/odbc", "/usr/lib64"];
    let Some(driver) = folders.iter().map(|folder| PathBuf::from(folder).join(DRIVER)).find(|file| file.is_file())
    else {
        return tools::skip(test, "odbc", &format!("there is no {DRIVER}"));
    };
    command.arg(driver);
    check(command, "pyodbc");
}

#[test]
fn php_doctrine() {
    const AUTOLOAD: &str = "/usr/share/php/Doctrine/DBAL/autoload.php";
    let test = "php_doctrine";
    for (driver, event) in [("pdo_mysql", "doctrine-pdo"), ("mysqli", "doctrine-mysqli")] {
        let module = driver;
        let Some(mut command) = super::php(test, module, "doctrine.php") else { return };
        if !PathBuf::from(AUTOLOAD).is_file() {
            return tools::skip(test, "doctrine", &format!("there is no {AUTOLOAD}"));
        }
        command.args([AUTOLOAD, driver]);
        check(command, event);
    }
}

/// Laravel and most others stand on it.
#[test]
fn php_pdo_transactions() {
    let Some(command) = super::php("php_pdo_transactions", "pdo_mysql", "pdo_transactions.php") else { return };
    check(command, "pdo");
}

#[test]
fn node_sequelize() {
    let test = "node_sequelize";
    let Some(node) = tools::need(test, &["node"]) else { return };
    let folder = tools::root().join(".test-deps/orm/node_modules");
    if !folder.join("sequelize").is_dir() {
        return tools::skip(test, "sequelize", &format!("{} has no sequelize", folder.display()));
    }
    let mut command = Command::new(node);
    command.arg(script("sequelize_app.js")).arg(folder);
    check(command, "sequelize");
}

#[test]
fn rust_sqlx() {
    let program = tools::root().join(".test-deps/sqlx/bin/encke-sqlx-client");
    if !program.is_file() {
        return tools::skip("rust_sqlx", "sqlx", &format!("{} is not built", program.display()));
    }
    // With what is offered by default. Of `caching_sha2_password` it knows the long way only, which asks the client for the
    // password itself: its short answer puts the salt in the wrong place.
    exercise(&mut Command::new(program), "sqlx", &server_that_offers(OFFERS[0]));
}

fn python(test: &str, module: &str, name: &str) -> Option<Command> {
    let backend = super::python(test, module, module)?;
    let mut command = Command::new(backend.get_program());
    command.arg(script(name));
    Some(command)
}

/// Runs the exercise against a server of its own, whatever the greeting offers; `event` is what it publishes with.
fn check(mut command: Command, event: &str) {
    for plugin in OFFERS {
        exercise(&mut command, event, &server_that_offers(plugin));
    }
}

fn exercise(command: &mut Command, event: &str, server: &Server) {
    let mut browser = server.browser();
    browser.send(&format!("subscription\n{PIPE}"));
    server.await_subscribers(PIPE, 1);
    let address = server.cometql;
    let job = json!({
        "host": address.ip().to_string(),
        "port": address.port(),
        "password": server.password,
        "pipe": PIPE,
        "event": event,
        "string": STRING,
    });
    let finished = tools::run_with_input(command, &job.to_string(), PATIENCE);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    let seen: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr));
    // The rolled back update holds: what is written is not undone, and the documents say so.
    let expected = json!({ "affected": 1, "hash": "second", "tables": true, "unknown_table": 15 });
    assert_eq!(seen, expected, "{}", finished.stderr);
    let publication = browser.receive();
    assert_eq!(publication["event"], event, "{publication}");
    assert_eq!(publication["data"], STRING, "{publication}");
}

/// A collector in Go, whose driver is the one of most programs in that language: every scrape has to succeed.
#[test]
fn prometheus_exporter() {
    let test = "prometheus_exporter";
    let Some(program) = tools::need(test, &["prometheus-mysqld-exporter", "mysqld_exporter"]) else { return };
    let Some(curl) = tools::need(test, &["curl"]) else { return };
    let server = Server::start(&Setup::default());
    let mut session = connect_as(&server, "root", &server.password, "CometQL_v1").expect("the login succeeds");
    // Figures are written down some times a second.
    let counted = tools::until(PATIENCE, || {
        let row: Option<(String, u64)> =
            session.query_first("SHOW GLOBAL STATUS LIKE 'Threads_connected'").expect("a row");
        row.filter(|(_, sessions)| *sessions > 0)
    });
    assert!(counted.is_some(), "the session is never counted");
    let port = tools::free_port();
    let source = format!("root:{}@({})/", server.password, server.cometql);
    let exporter = Command::new(program)
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .env("DATA_SOURCE_NAME", source)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _running = tools::Running(exporter.expect("the exporter starts"));
    let address = format!("http://127.0.0.1:{port}/metrics");
    let metrics = tools::until(PATIENCE, || {
        let finished = tools::run(Command::new(&curl).args(["--silent", &address]), PATIENCE);
        finished.stdout.contains("mysql_up").then_some(finished.stdout)
    });
    let metrics = metrics.expect("metrics");
    let figure = |name: &str| {
        let line = metrics.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    assert_eq!(figure("mysql_up"), Some(1.0), "{metrics}");
    assert_eq!(figure("mysql_exporter_last_scrape_error"), Some(0.0), "{metrics}");
    assert!(figure("mysql_global_status_uptime").is_some(), "{metrics}");
    assert!(figure("mysql_global_status_threads_connected") >= Some(1.0), "{metrics}");
    assert_eq!(figure("mysql_global_variables_port"), Some(f64::from(server.cometql.port())), "{metrics}");
}
