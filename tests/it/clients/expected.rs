//! What clients and frameworks expect of any server of MySQL's protocol, through a stock client: types of columns, keys
//! however they are written, and questions in the words of ORMs.

use super::rust::connect_as;
use crate::server::{Server, Setup};
use mysql::consts::ColumnType;
use mysql::prelude::Queryable;
use mysql::{Conn, Row, Value};

fn connected() -> (Server, Conn) {
    let server = Server::start(&Setup::default());
    let session = connect_as(&server, "root", &server.password, "CometQL_v1").expect("the login succeeds");
    (server, session)
}

fn code(error: &mysql::Error) -> u16 {
    match error {
        mysql::Error::MySqlError(error) => error.code,
        other => panic!("{other}"),
    }
}

#[test]
fn numbers_come_as_numbers() {
    let (_server, mut session) = connected();
    session.query_drop("INSERT INTO users_auth (id, hash) VALUES (5, 'h5')").expect("stored");
    let number = ColumnType::MYSQL_TYPE_LONGLONG;
    let text = ColumnType::MYSQL_TYPE_VAR_STRING;
    for (query, types, values) in [
        ("SELECT id, hash FROM users_auth WHERE id = 5", vec![number, text], vec![Value::Int(5), Value::from("h5")]),
        ("SELECT COUNT(*) FROM users_auth WHERE id = 5", vec![number], vec![Value::Int(1)]),
        ("SELECT EXISTS(SELECT 1 FROM users_auth WHERE id = 6)", vec![number], vec![Value::Int(0)]),
        ("SELECT 1, -7, 'x'", vec![number, number, text], vec![Value::Int(1), Value::Int(-7), Value::from("x")]),
        ("SELECT 1.5 AS half", vec![ColumnType::MYSQL_TYPE_NEWDECIMAL], vec![Value::from("1.5")]),
        ("SELECT users FROM pipes WHERE name = 'nobody'", vec![number], vec![Value::Int(0)]),
        ("SELECT time FROM users_time WHERE id = 77", vec![number], vec![Value::Int(-1)]),
        ("SELECT COUNT(*) FROM information_schema.ENGINES WHERE ENGINE = 'CometQL'", vec![number], vec![Value::Int(1)]),
    ] {
        let types_of = |row: &Row| row.columns_ref().iter().map(mysql::Column::column_type).collect::<Vec<_>>();
        let plain: Row = session.query_first(query).expect("an answer").expect("a row");
        assert_eq!(types_of(&plain), types, "{query}");
        let prepared: Row = session.exec_first(query, ()).expect("an answer").expect("a row");
        assert_eq!(types_of(&prepared), types, "{query}");
        assert_eq!(prepared.unwrap(), values, "{query}");
    }
}

/// A hash stayed behind a DELETE that was answered OK.
#[test]
fn a_key_is_the_same_however_it_is_written() {
    let (_server, mut session) = connected();
    let exists = |session: &mut Conn| -> i64 {
        session.query_first("SELECT EXISTS(SELECT 1 FROM users_auth WHERE id = 5)").expect("an answer").expect("a row")
    };
    for key in ["5.0", "'5.0'", "5e0", "(5.0)", "2 + 3"] {
        for condition in [format!("id = {key}"), format!("id IN ({key}, 6)")] {
            session.query_drop("INSERT INTO users_auth (id, hash) VALUES ('5.0', 'h5')").expect("stored");
            assert_eq!(exists(&mut session), 1);
            session.query_drop(format!("DELETE FROM users_auth WHERE {condition}")).expect("deleted");
            assert_eq!(exists(&mut session), 0, "{condition}");
        }
    }
    for key in [Value::Double(5.0), Value::Float(5.0), Value::Bytes(b"5.0".into()), Value::UInt(5), Value::Int(5)] {
        session.query_drop("INSERT INTO users_auth (id, hash) VALUES (5, 'h5')").expect("stored");
        session.exec_drop("DELETE FROM users_auth WHERE id = ?", (key.clone(),)).expect("deleted");
        assert_eq!(exists(&mut session), 0, "{key:?}");
    }
}

#[test]
fn a_row_that_is_there_stays_where_another_is_inserted_with_ignore() {
    let (_server, mut session) = connected();
    for (insert, select) in [
        ("INSERT IGNORE INTO users_auth (id, hash) VALUES (5, ?)", "SELECT hash FROM users_auth WHERE id = 5"),
        ("INSERT IGNORE INTO users_data (id, data) VALUES (5, ?)", "SELECT data FROM users_data WHERE id = 5"),
        (
            "INSERT IGNORE INTO pipes_settings (name, length) VALUES ('news', ?)",
            "SELECT length FROM pipes_settings WHERE name = 'news'",
        ),
    ] {
        for (value, affected) in [("3", 1), ("4", 0)] {
            session.exec_drop(insert, (value,)).expect("taken");
            assert_eq!(session.affected_rows(), affected, "{insert}");
            let kept: Row = session.query_first(select).expect("an answer").expect("a row");
            assert_eq!(kept.unwrap(), [Value::from("3")], "{insert}");
        }
    }
}

/// Each of these took seconds of all backends' time.
#[test]
fn short_texts_that_can_be_read_in_many_ways_are_refused_at_once() {
    let (_server, mut session) = connected();
    let nested = format!("SELECT {}1{}", "POSITION(".repeat(15), ")".repeat(15));
    for _ in 0..200 {
        assert_eq!(session.query_drop(&nested).map_err(|error| code(&error)), Err(3));
        assert_eq!(session.prep(&nested).map(|_| ()).map_err(|error| code(&error)), Err(3));
    }
    assert_eq!(session.query_first::<i64, _>("SELECT POSITION(POSITION('b' IN 'ab') IN '12')").ok(), Some(Some(2)));
}

/// Tools look whether a table is there, and at this number.
#[test]
fn tables_that_are_not_there_have_the_number_that_tools_look_for() {
    let (_server, mut session) = connected();
    for query in
        ["SHOW COLUMNS FROM nowhere", "SHOW CREATE TABLE nowhere", "SELECT * FROM mysql.user", "SELECT 1 FROM a.b"]
    {
        let Err(mysql::Error::MySqlError(error)) = session.query_drop(query) else { panic!("{query}") };
        assert_eq!((error.code, error.state.as_str()), (1146, "42S02"), "{query}");
    }
    assert_eq!(session.query_drop("SELECT * FROM nowhere WHERE id = 1").map_err(|error| code(&error)), Err(15));
}
