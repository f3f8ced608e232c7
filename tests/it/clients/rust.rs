//! The crate `mysql`: literals that it writes, and prepared statements.

use super::{PIPE, judge, strings};
use crate::server::Server;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Params, Value};
use serde_json::json;

/// Runs a statement with its values in place of the question marks: rows of one text each, and the affected rows.
type Run = fn(&mut Conn, &str, &[Value]) -> mysql::Result<(Vec<String>, u64)>;

#[test]
fn rust_mysql() {
    check(&strings::table());
}

fn check(strings: &[String]) {
    judge(&["literals", "prepared"], strings, |server| {
        let refused = connect(server, "wrong").err().map(|error| code(&error));
        let mut session = connect(server, &server.password).expect("the login succeeds");
        json!({
            "refused": refused,
            "literals": exercise(&mut session, "literals", literals, 0, strings),
            "prepared": exercise(&mut session, "prepared", prepared, 1000, strings),
        })
    });
}

fn connect(server: &Server, password: &str) -> mysql::Result<Conn> {
    connect_as(server, "root", password, "CometQL_v1")
}

pub(super) fn connect_as(server: &Server, user: &str, password: &str, database: &str) -> mysql::Result<Conn> {
    let options = OptsBuilder::new()
        .ip_or_hostname(Some(server.cometql.ip().to_string()))
        .tcp_port(server.cometql.port())
        .user(Some(user))
        .pass(Some(password))
        .db_name(Some(database))
        // There is no socket of the system to move to.
        .prefer_socket(false);
    Conn::new(options)
}

fn exercise(session: &mut Conn, mode: &str, run: Run, first: usize, strings: &[String]) -> serde_json::Value {
    const PUBLISH: &str = "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)";
    const SEND: &str = "INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)";
    const STORE: &str = "INSERT INTO users_data (id, data) VALUES (?, ?)";
    const READ: &str = "SELECT data FROM users_data WHERE id = ?";
    let mut read = Vec::new();
    for (index, string) in strings.iter().enumerate() {
        let id = first + index + 1;
        run(session, PUBLISH, &[PIPE.into(), mode.into(), string.into()]).expect("published");
        run(session, SEND, &[7000.into(), mode.into(), string.into()]).expect("sent");
        assert_eq!(session.last_insert_id(), 7000, "{mode} {index}");
        let (_, affected) = run(session, STORE, &[id.into(), string.into()]).expect("stored");
        assert_eq!(affected, 1, "{mode} {index}");
        assert_eq!(session.last_insert_id(), id as u64, "{mode} {index}");
        read.extend(run(session, READ, &[id.into()]).expect("read").0);
    }
    let mut refusal = |sql, value: Value| run(session, sql, &[value]).err().map(|error| code(&error));
    let unknown_table = refusal("SELECT id FROM no_such_table WHERE id = ?", 1.into());
    let no_key = refusal("SELECT data FROM users_data WHERE data = ?", "x".into());
    let in_a_row = (0..100).take_while(|count| {
        let data = format!("n{count}");
        run(session, STORE, &[5000.into(), data.as_str().into()]).expect("stored");
        run(session, READ, &[5000.into()]).expect("read").0 == [data]
    });
    json!({ "in_a_row": in_a_row.count(), "read": read, "unknown_table": unknown_table, "no_key": no_key })
}

fn literals(session: &mut Conn, sql: &str, values: &[Value]) -> mysql::Result<(Vec<String>, u64)> {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (value, part) in values.iter().zip(parts) {
        text += &value.as_sql(false);
        text += part;
    }
    let rows = session.query(text)?;
    Ok((rows, session.affected_rows()))
}

fn prepared(session: &mut Conn, sql: &str, values: &[Value]) -> mysql::Result<(Vec<String>, u64)> {
    let rows = session.exec(sql, Params::Positional(values.to_vec()))?;
    Ok((rows, session.affected_rows()))
}

/// The server's number of an error.
fn code(error: &mysql::Error) -> u16 {
    match error {
        mysql::Error::MySqlError(error) => error.code,
        other => panic!("{other}"),
    }
}
