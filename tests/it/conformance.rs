//! The conformance suite, recorded from CppComet 4.09, against the real program: on one shard, on two and on four with
//! plain sends, and on a MariaDB.
//!
//! Runner and cases are in `tests/conformance`. No case is run again: one that fails is a fault of the server or of the case.
//! The program under test is the debug build, whose checks for overflow and broken invariants a release lacks.

use crate::mariadb::{MariaDb, section};
use crate::server::{Server, Setup};
use crate::tools;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The files of the suite, of which every case must pass: behaviour of CppComet that applications rely on, and what it
/// got wrong.
const GROUPS: [&str; 15] = [
    "cases/01_handshake",
    "cases/02_http",
    "cases/03_subscription",
    "cases/04_insert",
    "cases/05_history",
    "cases/06_users_auth",
    "cases/07_users_messages",
    "cases/08_presence_data",
    "cases/09_track",
    "cases/10_web_pipes",
    "cases/11_jwt",
    "cases/12_sql",
    "cases/13_protocol",
    "cases/14_php",
    "cases-reference-bugs/reference_bugs",
];

/// A whole run; only a server that hangs takes so long.
const RUN_LIMIT: Duration = Duration::from_mins(10);

#[test]
fn suite_on_one_shard() {
    check("suite_on_one_shard", 1, "");
}

#[test]
fn suite_on_two_shards() {
    check("suite_on_two_shards", 2, "");
}

#[test]
fn suite_on_four_shards_with_plain_sends() {
    check("suite_on_four_shards_with_plain_sends", 4, "[ws]\nsend_engine = plain\n");
}

#[test]
fn suite_on_mariadb() {
    let Some(database) = MariaDb::shared("suite_on_mariadb") else { return };
    check("suite_on_mariadb", 2, &section(&database.database()));
}

fn check(test: &str, shards: u32, more: &str) {
    let suite = suite();
    let Some(python) = find_python(test) else { return };
    let _alone = tools::alone();
    // The suite logs in with wrong passwords beside right ones, all from one address, and must not wait for either.
    let more = format!("{more}[cometql]\nlogin_attempts_max = 0\n");
    let server = Server::start(&Setup { shards, password: Some("conformance password"), more });
    let cases = server.folder().join("cases.json");
    fs::write(&cases, Value::Array(all_cases(&suite)).to_string()).expect("the cases in one file");
    let mut command = Command::new(python);
    command.arg(suite.join("conformance.py"));
    command.args(["--host", &server.browsers.ip().to_string(), "--ws-port", &server.browsers.port().to_string()]);
    command.args(["--cometql-port", &server.cometql.port().to_string(), "--password", &server.password]);
    command.arg("--cases").arg(&cases).arg("--static-dir").arg(server.folder().join("static"));
    command.arg("--known").arg(known_file());
    command.args(["--jobs", "8", "--timeout", "20"]);
    let finished = tools::run(&mut command, RUN_LIMIT);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    let summary = finished.stdout.lines().last().unwrap_or_default();
    println!("{test}: {summary}");
    assert!(summary.contains(" 0 failed"), "{}", finished.stdout);
}

/// Every name in the list of known differences is a case that is run, with a reason.
#[test]
fn known_differences_are_cases() {
    let text = fs::read_to_string(known_file()).expect("the list of known differences");
    let known: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("a JSON object");
    let cases = all_cases(&suite());
    for (name, reason) in &known {
        assert!(reason.as_str().is_some_and(|reason| reason.len() > 20), "{name} needs a reason");
        assert!(cases.iter().any(|case| case["name"] == *name), "{name} is no case that is run");
    }
}

fn all_cases(suite: &Path) -> Vec<Value> {
    GROUPS.iter().flat_map(|group| load(suite, &format!("{group}.json"))).collect()
}

fn load(suite: &Path, file: &str) -> Vec<Value> {
    let path = suite.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn suite() -> PathBuf {
    tools::root().join("tests/conformance")
}

/// Python with the client libraries that `scripts/test` installs, else any; the suite skips what it lacks.
fn find_python(test: &str) -> Option<PathBuf> {
    let own = tools::root().join(".test-deps/venv/bin/python");
    if own.is_file() { Some(own) } else { tools::need(test, &["python3"]) }
}

fn known_file() -> PathBuf {
    suite().join("known.json")
}
