//! Rows that may be there already, as ORMs write them.

use super::*;

#[test]
fn what_replaces_the_row_is_an_insert() {
    let insert = run("INSERT INTO users_auth (id, hash) VALUES (5, 'abc')");
    assert!(insert.is_ok());
    for update in [
        "hash = VALUES(hash)",
        "`hash` = VALUES(`hash`)",
        "id = VALUES(id), HASH = values(hash)",
        "hash = 'abc'",
        "users_auth.hash = VALUES(hash)",
    ] {
        let query = format!("INSERT INTO users_auth (id, hash) VALUES (5, 'abc') ON DUPLICATE KEY UPDATE {update}");
        assert_eq!(run(&query), insert, "{query}");
    }
    let named = "INSERT INTO users_auth (id, hash) VALUES (5, 'abc') AS new ON DUPLICATE KEY UPDATE hash = new.hash";
    assert_eq!(run(named), insert);
}

#[test]
fn other_tables_with_one_row_for_a_key_take_it_too() {
    for (insert, update) in [
        ("pipes_settings (name, length) VALUES ('abc', 5)", "length = VALUES(length)"),
        ("users_data (id, data) VALUES (5, 'x')", "data = VALUES(data)"),
        ("revoked_tokens (token) VALUES ('t')", "token = VALUES(token)"),
    ] {
        let plain = run(&format!("INSERT INTO {insert}"));
        assert!(plain.is_ok(), "{insert}");
        assert_eq!(run(&format!("INSERT INTO {insert} ON DUPLICATE KEY UPDATE {update}")), plain, "{insert}");
    }
    let message =
        "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'm') ON DUPLICATE KEY UPDATE event = 'e'";
    assert_eq!(run(message).map_err(|error| error.code), Err(Code::Syntax));
}

#[test]
fn what_would_need_the_old_row_is_refused() {
    for (query, code) in [
        ("users_auth (id, hash) VALUES (5, 'abc') ON DUPLICATE KEY UPDATE hash = 'other'", 2),
        ("users_auth (id, hash) VALUES (5, 'abc') ON DUPLICATE KEY UPDATE id = id", 2),
        ("users_auth (id, hash) VALUES (5, 'abc') ON DUPLICATE KEY UPDATE id = VALUES(id)", 2),
        ("users_auth (id, hash) VALUES (5, 'abc'), (6, 'd') ON DUPLICATE KEY UPDATE hash = 'abc'", 2),
        ("users_auth (id, hash) VALUES (5, 'abc') ON DUPLICATE KEY UPDATE colour = 1", 14),
        ("users_auth (id, hash) VALUES (5, 'abc') ON DUPLICATE KEY UPDATE hash = VALUES(id)", 3),
        ("users_auth (id) VALUES (5) ON DUPLICATE KEY UPDATE id = VALUES(id)", 12),
        ("users_time (id, time) VALUES (5, 1) ON DUPLICATE KEY UPDATE time = VALUES(time)", 10),
        ("nothing (id) VALUES (5) ON DUPLICATE KEY UPDATE id = VALUES(id)", 15),
    ] {
        let outcome = run(&format!("INSERT INTO {query}"));
        assert_eq!(outcome.map_err(|error| error.code.number()).err(), Some(code), "{query}");
    }
}

/// The value to insert and the one to update are two placeholders, and often the same.
#[test]
fn prepared_upserts_compare_what_is_bound() {
    let text = "INSERT INTO users_data (id, data) VALUES (?, ?) ON DUPLICATE KEY UPDATE data = ?";
    let prepared = prepare(text, StringEscapes::Mysql).unwrap();
    let bound = |data: &str| {
        let values = ["5", "x", data].map(|text| Value::Text(text.to_owned().into()));
        plan(&prepared.bind(&values).unwrap(), &session()).map_err(|error| error.code)
    };
    assert_eq!(bound("x").ok(), run("INSERT INTO users_data (id, data) VALUES (5, 'x')").ok());
    assert_eq!(bound("y"), Err(Code::NotImplemented));
}
