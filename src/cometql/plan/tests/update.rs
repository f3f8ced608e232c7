//! Rows that are changed where they are.

use super::*;

#[test]
fn the_column_beside_the_key_is_set() {
    check(&[
        ("UPDATE users_auth SET hash = 'x' WHERE id = 1", "~hash 7:1=x"),
        ("update `CometQL_v1`.`users_auth` SET `hash` = 'x' WHERE `id` IN (5, 6) AND id > 5", "~hash 7:6=x"),
        ("UPDATE users_auth u SET u.hash = 'x' WHERE u.id = 1 OR u.id = 2", "~hash 7:1=x ~hash 7:2=x"),
        ("UPDATE users_auth SET hash = '' WHERE id = '5' LIMIT 1", "~hash 7:5="),
        ("UPDATE users_data SET data = '{\"a\": 1}' WHERE id = 5", "~data 7:5={\"a\": 1}"),
        ("UPDATE pipes_settings SET length = 5000 WHERE name IN ('abc', 'abd')", "~abc=1000 ~abd=1000"),
        ("UPDATE pipes_settings SET length = 0 WHERE name = 'abc'", "~abc=0"),
        // As graphical clients save a row.
        ("UPDATE users_auth SET id = '5', hash = 'x' WHERE id = 5 LIMIT 1", "~hash 7:5=x"),
        ("UPDATE users_auth SET id = 5 WHERE id = 5", "ok 0 0"),
        // Rows that cannot be.
        ("UPDATE users_auth SET hash = 'x' WHERE id = 0", "ok 0 0"),
        ("UPDATE users_auth SET hash = 'x' WHERE id = 'five'", "ok 0 0"),
        ("UPDATE users_auth SET hash = 'x' WHERE id = 5 AND id = 6", "ok 0 0"),
        ("UPDATE users_auth SET hash = 'x' WHERE id = 5 LIMIT 0", "ok 0 0"),
        ("UPDATE pipes_settings SET length = 5 WHERE name = 'a.c'", "ok 0 0"),
    ]);
}

#[test]
fn what_cannot_be_updated_is_refused() {
    let long = "x".repeat(101);
    check(&[
        ("UPDATE users_auth SET hash = 'x'", "error 13"),
        ("UPDATE users_auth SET hash = 'x' WHERE hash = 'y'", "error 13"),
        ("UPDATE users_auth SET hash = 'x' WHERE id > 5", "error 13"),
        ("UPDATE users_auth SET hash = 'x' WHERE id = 5 AND hash = 'y'", "error 2"),
        ("UPDATE users_auth SET hash = 'x' WHERE id = 5 OR hash = 'y'", "error 2"),
        ("UPDATE users_auth SET hash = 'x' WHERE id IN (5, 6) LIMIT 1", "error 2"),
        ("UPDATE users_auth SET id = 6 WHERE id = 5", "error 2"),
        ("UPDATE users_auth SET id = 5, hash = 'x' WHERE id IN (5, 6)", "error 2"),
        ("UPDATE users_auth SET id = NULL, hash = 'x' WHERE id = 5", "error 2"),
        ("UPDATE users_auth SET hash = 'x', hash = 'y' WHERE id = 5", "error 13"),
        ("UPDATE users_auth SET colour = 'x' WHERE id = 5", "error 14"),
        ("UPDATE users_auth SET hash = 'x' WHERE colour = 5", "error 14"),
        // As for an INSERT.
        ("UPDATE users_auth SET hash = 'x.' WHERE id = 5", "error 12"),
        ("UPDATE users_auth SET hash = NULL WHERE id = 5", "error 12"),
        (&format!("UPDATE users_data SET data = '{long}' WHERE id = 5"), "error 11"),
        // The value that is there is not known.
        ("UPDATE users_data SET data = data WHERE id = 5", "error 3"),
        ("UPDATE users_data SET data = CONCAT(data, 'x') WHERE id = 5", "error 3"),
        ("UPDATE pipes_settings SET length = length + 1 WHERE name = 'abc'", "error 3"),
        ("UPDATE users_auth, users_data SET hash = 'x' WHERE id = 5", "error 3"),
        // Rows that do not change.
        ("UPDATE pipes_messages SET message = 'x' WHERE name = 'abc'", "error 3"),
        ("UPDATE users_messages SET message = 'x' WHERE id = 5", "error 3"),
        ("UPDATE revoked_tokens SET token = 'x' WHERE token = 'y'", "error 3"),
        ("UPDATE users_time SET time = 0 WHERE id = 5", "error 3"),
        ("UPDATE connections SET user_id = 0 WHERE id = 5", "error 3"),
        ("UPDATE dialogs SET id = 0 WHERE id = 5", "error 15"),
        ("UPDATE nothing SET id = 0 WHERE id = 5", "error 15"),
    ]);
    // One text for many rows weighs what as many INSERTs would.
    let ids = |count: u32| (1..=count).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    let update = |count| format!("UPDATE users_auth SET hash = '{}' WHERE id IN ({})", "h".repeat(5_000), ids(count));
    assert_eq!(run(&update(40)).unwrap_err().text, "The field `hash` is longer than 32 bytes");
    assert!(run(&update(41)).unwrap_err().text.starts_with("The rows would hold more than 200000 bytes"));
    let error = run("UPDATE pipes_messages SET message = 'x' WHERE name = 'abc'").unwrap_err();
    assert!(error.text.contains("INSERT sends another"), "{error}");
}

/// Drivers put every value behind a question mark.
#[test]
fn a_prepared_update_takes_its_values() {
    let prepared = prepare("UPDATE users_auth SET hash = ? WHERE id = ?", StringEscapes::Mysql).unwrap();
    let bound = |values: [Value<'static>; 2]| show(plan(&prepared.bind(&values).unwrap(), &session()));
    assert_eq!(bound([Value::Text("x".into()), Value::Number("5".into())]), "~hash 7:5=x");
    assert_eq!(bound([Value::Null, Value::Number("5".into())]), "error 12");
    assert_eq!(bound([Value::Text("x".into()), Value::Null]), "ok 0 0");
}
