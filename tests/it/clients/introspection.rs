//! What graphical clients, BI tools and ORMs ask when they connect and when a table is opened: the statements of
//! `tools.sql`, against the running server.

use super::rust::connect_as;
use crate::server::{Server, Setup};
use mysql::prelude::Queryable;

struct Statement {
    text: String,
    /// Names of the columns, and perhaps the number of rows.
    answer: Option<String>,
}

fn statements() -> Vec<Statement> {
    let blocks = include_str!("tools.sql").split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.starts_with("# "));
        let (answer, text): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("-> "));
        Statement {
            text: text.join("\n"),
            answer: answer.first().map(|line| line.trim_start_matches("-> ").to_owned()),
        }
    });
    blocks.filter(|statement| !statement.text.trim().is_empty()).collect()
}

/// Names of the columns and the number of rows, as text; the error if there is one.
fn seen(session: &mut mysql::Conn, text: &str) -> Result<(String, usize), mysql::Error> {
    let mut result = session.query_iter(text)?;
    let columns = result.columns();
    let names: Vec<String> = columns.as_ref().iter().map(|column| column.name_str().into_owned()).collect();
    let rows = result.by_ref().collect::<Result<Vec<mysql::Row>, _>>()?;
    Ok((names.join(", "), rows.len()))
}

#[test]
fn tools_connect_and_look_around() {
    let server = Server::start(&Setup::default());
    let mut session = connect_as(&server, "root", &server.password, "CometQL_v1").expect("the login succeeds");
    let mut wrong = Vec::new();
    let statements = statements();
    assert!(statements.len() > 100, "{}", statements.len());
    for Statement { text, answer } in statements {
        match (seen(&mut session, &text), answer) {
            (Err(error), _) => wrong.push(format!("{text}\n{error}")),
            (Ok((columns, rows)), Some(answer)) if answer != columns && answer != format!("{columns} ({rows})") => {
                wrong.push(format!("{text}\n{columns} ({rows})"));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Figures that only the running server has.
#[test]
fn the_process_list_and_the_status_are_tables() {
    let server = Server::start(&Setup::default());
    let mut first = connect_as(&server, "root", &server.password, "CometQL_v1").expect("the login succeeds");
    let mut second = connect_as(&server, "7", &server.password, "CometQL_v1").expect("the login succeeds");
    let users = "SELECT USER FROM information_schema.PROCESSLIST ORDER BY ID";
    assert_eq!(first.query::<String, _>(users).expect("a list"), ["root", "7"]);
    assert_eq!(second.query::<String, _>(users).expect("a list"), ["7"]);
    let uptime = "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = ?";
    let uptime: Option<u64> = first.exec_first(uptime, ("uptime",)).expect("a figure");
    assert!(uptime.is_some());
}

#[test]
fn a_tenant_with_its_own_password_stays_where_it_is() {
    const OWN: &str = "a password of tenant five";
    let more = format!("[tenant 5]\npassword = {OWN}\n[cometql]\nmaster_password_for_tenants = off\n");
    let server = Server::start(&Setup { more, ..Setup::default() });
    let refused = |user: &str, password: &str, database: &str| {
        connect_as(&server, user, password, database).err().map(|error| code(&error))
    };
    assert_eq!(refused("5", &server.password, "CometQL_v1"), Some(16));
    assert_eq!(refused("6", OWN, "CometQL_v1"), Some(16));
    assert_eq!(refused("5", OWN, "db_6"), Some(16));
    assert_eq!(refused("6", &server.password, "CometQL_v1"), None);
    let mut session = connect_as(&server, "5", OWN, "db_5").expect("the login succeeds");
    let mut outcome = |text: &str| session.query_drop(text).err().map(|error| code(&error));
    assert_eq!(outcome("INSERT INTO users_data (id, data) VALUES (1, 'five')"), None);
    assert_eq!(outcome("USE db_6"), Some(16));
    assert_eq!(outcome("cometqlcluster_v1 set dev_id=6; SELECT 1"), Some(16));
    assert_eq!(outcome("KILL 1"), Some(16));
    let mut root = connect_as(&server, "root", &server.password, "db_5").expect("the login succeeds");
    let data: Option<String> = root.query_first("SELECT data FROM users_data WHERE id = 1").expect("a row");
    assert_eq!(data.as_deref(), Some("five"));
    assert!(!server.log().contains(OWN));
}

fn code(error: &mysql::Error) -> u16 {
    match error {
        mysql::Error::MySqlError(error) => error.code,
        other => panic!("{other}"),
    }
}
