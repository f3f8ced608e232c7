//! The conformance suite, recorded from CppComet 4.09, against the real program on one shard and on two.
//!
//! The suite is not part of this repository: it is looked for in `ENCKE_CONFORMANCE`, else in `../shared/conformance`.
//! The program under test is the debug build, whose checks for overflow and broken invariants a release lacks.

use crate::server::{Server, Setup};
use crate::tools;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Groups of which every case must pass.
const GROUPS: [&str; 8] = [
    "01_handshake",
    "02_http",
    "03_subscription",
    "04_insert",
    "06_users_auth",
    "10_web_pipes",
    "12_sql",
    "13_protocol",
];

/// Cases of other groups that are about what this release has.
const CASES: [&str; 33] = [
    "time_never",
    "time_offline",
    "time_in",
    "time_insert",
    "data_replace",
    "data_delete",
    "data_bad_id",
    "data_json",
    "data_unicode",
    "data_js",
    "data_js_missing",
    "data_js_v3",
    "data_empty",
    "pipes_none",
    "pipes_in",
    "pipes_read_only",
    "count_other",
    "php_chat",
    "php_unicode",
    "php_newline",
    "php_wrong_password",
    "php_wrong_db",
    "php_set_charset",
    "php_ping",
    "php_pdo_emulated",
    "php_many",
    "php_server_info",
    "php_insert_id",
    "php_persistent",
    "status_command_offline",
    "data_no_where",
    "pipes_no_where",
    "time_no_where",
];

/// Cases that CppComet fails: its mistakes on the same subjects.
const REFERENCE_BUGS: [&str; 46] = [
    "auth_hash_empty",
    "count_track",
    "count_web",
    "count_zero",
    "data_js_bad_id",
    "frame_binary",
    "frame_fragmented",
    "frame_len_123",
    "frame_len_124",
    "frame_len_125",
    "frame_ping",
    "frame_unmasked",
    "http_static_prefix",
    "http_static_query",
    "ins_100k",
    "ins_invalid_utf8",
    "ins_negative_number",
    "ins_pipelined",
    "ins_unclosed_quote",
    "my_pipelined",
    "my_pymysql",
    "my_pymysql_autocommit",
    "my_pymysql_delivery",
    "my_pymysql_wrong",
    "my_status_flags",
    "my_user_word",
    "my_version",
    "php_escape_twice",
    "php_prepare",
    "sql_big_id",
    "sql_columns_21",
    "sql_conditions_11",
    "sql_greater",
    "sql_like",
    "sql_limit_offset",
    "sql_limit_zero",
    "sql_negative_id",
    "sql_not_equal",
    "status_command_online",
    "status_command_unknown",
    "sub_100_pipes",
    "sub_one_letter",
    "sub_private_mixed",
    "sub_same_pipe_twice",
    "web_report_one",
    "web_report_three",
];

/// A whole run; only a server that hangs takes so long.
const RUN_LIMIT: Duration = Duration::from_mins(10);

#[test]
fn suite_on_one_shard() {
    check("suite_on_one_shard", 1);
}

#[test]
fn suite_on_two_shards() {
    check("suite_on_two_shards", 2);
}

fn check(test: &str, shards: u32) {
    let Some(suite) = find_suite(test) else { return };
    let Some(python) = find_python(test) else { return };
    let _alone = tools::alone();
    // The suite logs in with wrong passwords beside right ones, all from one address, and must not wait for either.
    let more = "[cometql]\nlogin_attempts_max = 0\n".to_owned();
    let server = Server::start(&Setup { shards, password: Some("conformance password"), more });
    let cases = server.folder().join("cases.json");
    fs::write(&cases, selected(&suite)).expect("the selected cases");
    let mut command = Command::new(python);
    command.arg(suite.join("conformance.py"));
    command.args(["--host", &server.browsers.ip().to_string(), "--ws-port", &server.browsers.port().to_string()]);
    command.args(["--cometql-port", &server.cometql.port().to_string(), "--password", &server.password]);
    command.arg("--cases").arg(&cases).arg("--static-dir").arg(server.folder().join("static"));
    command.arg("--known").arg(known_file());
    // Pauses of the suite are for a fast machine: a case that fails under load is run again, with patience.
    command.args(["--jobs", "4", "--timeout", "8", "--retries", "2"]);
    let finished = tools::run(&mut command, RUN_LIMIT);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    let summary = finished.stdout.lines().last().unwrap_or_default();
    println!("{shards} shards: {summary}");
    assert!(summary.contains(" 0 failed"), "{}", finished.stdout);
}

/// Every name in the list of known differences is a case that is run, with a reason.
#[test]
fn known_differences_are_selected_cases() {
    let text = fs::read_to_string(known_file()).expect("the list of known differences");
    let known: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("a JSON object");
    for (name, reason) in &known {
        assert!(reason.as_str().is_some_and(|reason| reason.len() > 20), "{name} needs a reason");
        let by_name = CASES.iter().chain(&REFERENCE_BUGS).any(|case| case == name);
        let Some(suite) = find_suite("known_differences_are_selected_cases") else { return };
        let in_group = GROUPS
            .iter()
            .any(|group| load(&suite, &format!("cases/{group}.json")).iter().any(|case| case["name"] == *name));
        assert!(by_name || in_group, "{name} is no case that is run");
    }
}

/// The selected cases as one file. A name that the suite lacks is a mistake of the lists above.
fn selected(suite: &Path) -> String {
    let mut cases = Vec::new();
    for group in GROUPS {
        cases.extend(load(suite, &format!("cases/{group}.json")));
    }
    let mut wanted: BTreeSet<&str> = CASES.into_iter().chain(REFERENCE_BUGS).collect();
    let others = ["06_users_auth", "08_presence_data", "14_php"].map(|group| format!("cases/{group}.json"));
    let files = others.iter().map(String::as_str).chain(["cases-reference-bugs/reference_bugs.json"]);
    for case in files.flat_map(|file| load(suite, file)) {
        if case["name"].as_str().is_some_and(|name| wanted.remove(name)) {
            cases.push(case);
        }
    }
    assert!(wanted.is_empty(), "the suite has no cases {wanted:?}");
    Value::Array(cases).to_string()
}

fn load(suite: &Path, file: &str) -> Vec<Value> {
    let path = suite.join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn find_suite(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ENCKE_CONFORMANCE")
        .map_or_else(|| tools::root().join("../shared/conformance"), PathBuf::from);
    if folder.join("conformance.py").is_file() {
        return Some(folder);
    }
    tools::skip(test, "conformance", &format!("there is no conformance suite in {}", folder.display()));
    None
}

/// Python with the client libraries that `scripts/test` installs, else any; the suite skips what it lacks.
fn find_python(test: &str) -> Option<PathBuf> {
    let own = tools::root().join(".test-deps/venv/bin/python");
    if own.is_file() { Some(own) } else { tools::need(test, &["python3"]) }
}

fn known_file() -> PathBuf {
    tools::root().join("tests/conformance-known.json")
}
