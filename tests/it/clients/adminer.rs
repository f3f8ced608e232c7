//! A graphical client: the pages of Adminer, from the login to an export.

use super::{LIMIT, json_job, php, script};
use crate::server::{Server, Setup};
use crate::tools;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Where Debian has it.
const FOLDER: &str = "/usr/share/adminer";

#[test]
fn adminer_pages() {
    let test = "adminer_pages";
    if !Path::new(FOLDER).join("adminer.php").is_file() {
        return tools::skip(test, "adminer", &format!("there is no Adminer in {FOLDER}"));
    }
    if php(test, "mysqli", "adminer.py").is_none() {
        return;
    }
    let Some(python) = tools::need(test, &["python3"]) else { return };
    let server = Server::start(&Setup::default());
    let mut browser = server.browser();
    browser.send("subscription\nadminer");
    server.await_subscribers("adminer", 1);
    let finished = tools::run_with_input(
        Command::new(python).arg(script("adminer.py")).arg(FOLDER),
        &json_job(&server, &[]),
        LIMIT,
    );
    let pages: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr));
    let pages = pages.as_object().expect("pages by name");
    for (name, page) in pages {
        let errors = page["errors"].as_array().expect("a list");
        // Behind some forms it shows the whole table, as it does behind the first click.
        assert_eq!(errors.len(), usize::from(name == "wrong password"), "{name}: {page}");
    }
    for (page, text) in [
        ("wrong password", "Authentication failed"),
        ("login", "Logged as: root@localhost"),
        ("login", "information_schema"),
        ("processlist", "Browser"),
        ("processlist", "10,000 in total"),
        ("variables", "max_connections"),
        ("status", "user_online"),
        ("database", "users_in_pipes"),
        ("revoked_tokens table", "varchar(600)"),
        ("connections", "127.0.0.1"),
        ("insert", "Item 5 has been inserted"),
        ("edit", "hash md5 sha1"),
        ("save", "Item has been updated"),
        ("select", "second"),
        ("SELECT 1; SELECT 2 AS two", "two"),
        ("UPDATE users_auth SET hash = 'third' WHERE id = 5", "1 row affected"),
        ("delete", "Item has been deleted"),
        ("information_schema", "PROCESSLIST"),
        ("TABLES", "users_auth"),
        ("COLUMNS", "TABLE_CATALOG"),
        ("export", "CREATE TABLE `users_auth`"),
    ] {
        let seen = pages[page]["text"].as_str().unwrap_or_default();
        assert!(seen.contains(text), "{page} has no {text}: {seen}");
    }
}
