//! Keys that are written in other ways: what one statement takes for a row is that row for all of them.

use super::*;

/// A hash stayed behind a DELETE that was answered OK, because 5.0 was no key there.
#[test]
fn a_number_is_the_same_key_however_it_is_written() {
    for five in ["5", "'5'", "5.0", "'5.0'", "5.", "5e0", "'+5'", "' 5 '", "50e-1", "005.00"] {
        let delete = |table: &str| format!("DELETE FROM {table} WHERE id = {five}");
        assert_eq!(run(&delete("users_auth")), run("DELETE FROM users_auth WHERE id = 5"), "{five}");
        assert_eq!(run(&delete("users_data")), run("DELETE FROM users_data WHERE id = 5"), "{five}");
        assert_eq!(run(&delete("users_messages")), run("DELETE FROM users_messages WHERE id = 5"), "{five}");
        for condition in [
            format!("id = {five}"),
            format!("id IN ({five})"),
            format!("id IN (1, {five}) AND id != 1"),
            format!("id = 5 AND id = {five}"),
            format!("id = 5 AND id <=> {five}"),
            format!("id = 5 AND id >= {five} AND id <= {five}"),
            format!("id = 5 AND id IN ({five})"),
            format!("id = 5 AND NOT id != {five}"),
            format!("id IN (5, 6) AND id BETWEEN {five} AND {five}"),
            format!("id IN (5, 6) AND NOT id NOT IN ({five})"),
        ] {
            let query = format!("SELECT hash FROM users_auth WHERE {condition}");
            assert_eq!(show(run(&query)), "read [hash] [h5]", "{query}");
        }
        let update = format!("UPDATE users_auth SET id = {five}, hash = 'x' WHERE id = {five}");
        assert_eq!(run(&update), run("UPDATE users_auth SET hash = 'x' WHERE id = 5"), "{five}");
        for table in ["users_auth (id, hash)", "users_data (id, data)"] {
            let insert = |key: &str| run(&format!("INSERT INTO {table} VALUES ({key}, 'x')"));
            assert_eq!(insert(five), insert("5"), "{five}");
        }
        let calls = |key: &str| run(&format!("DELETE FROM conference WHERE name = 'room' AND user_id = {key}"));
        assert_eq!(calls(five), calls("5"), "{five}");
    }
    // What is none is refused where a row is made, and is no row where rows are looked for.
    for none in ["5.5", "'5 5'", "'x'", "-1", "4294967296", "1e40"] {
        assert_eq!(show(run(&format!("INSERT INTO users_auth (id, hash) VALUES ({none}, 'x')"))), "error 12", "{none}");
        assert_eq!(show(run(&format!("DELETE FROM users_auth WHERE id = {none}"))), "ok 0 0", "{none}");
    }
}

#[test]
fn bound_keys_of_each_type_are_the_same() {
    let deleted = run("DELETE FROM users_auth WHERE id = 5").unwrap();
    for query in ["DELETE FROM users_auth WHERE id = ?", "DELETE FROM users_auth WHERE id IN (?)"] {
        let prepared = prepare(query, StringEscapes::Mysql).unwrap();
        // A double, a decimal and a text, as the protocol's values become ours.
        for value in [5_f64.to_string(), 5_f32.to_string(), "5.0".to_owned(), "5.000".to_owned()] {
            for value in [Value::Number(value.clone().into()), Value::Text(value.into())] {
                let bound = prepared.bind(std::slice::from_ref(&value)).unwrap();
                assert_eq!(plan(&bound, &session()).as_ref(), Ok(&deleted), "{value:?}");
            }
        }
    }
}

/// A pipe's name is a text. A number in a form that no name can have is refused by INSERT, so it is by all.
#[test]
fn numbers_that_no_pipe_can_be_called_are_refused() {
    for (query, expected) in [
        ("INSERT INTO pipes_messages (name, event, message) VALUES (123.0, 'e', 'm')", "error 12"),
        ("SELECT * FROM pipes_messages WHERE name = 123.0", "error 12"),
        ("SELECT * FROM pipes WHERE name IN ('abc', 123.0)", "error 12"),
        ("DELETE FROM pipes_messages WHERE name = 123.0", "error 12"),
        ("DELETE FROM pipes_settings WHERE name = 1.5e+3", "error 12"),
        ("UPDATE pipes_settings SET length = 5 WHERE name = 123.0", "error 12"),
        ("DELETE FROM pipes_messages WHERE name = '123.0'", "ok 0 0"),
        ("SELECT name FROM pipes WHERE name = 123", "read [name] [123]"),
    ] {
        assert_eq!(show(run(query)), expected, "{query}");
    }
}

/// A driver writes the word where a backend has no key for a user. Stored, it let in every page that had none either.
#[test]
fn what_stands_for_no_key_is_none() {
    for word in ["NULL", "null", "'null'", "'undefined'", "None", "DEFAULT"] {
        assert_eq!(show(run(&format!("INSERT INTO users_auth (id, hash) VALUES (5, {word})"))), "error 12", "{word}");
    }
    assert_eq!(show(run("UPDATE users_auth SET hash = 'Null' WHERE id = 5")), "error 12");
    assert_eq!(show(run("INSERT INTO users_auth (id, hash) VALUES (5, 'nullx')")), "hash 7:5=nullx, ok 1 5");
}
