//! Names without a database, after `USE information_schema`.

use super::*;
use crate::cometql::sql::{Meter, parse_among};

fn there(query: &str) -> Result<Plan, Error> {
    let session = SessionView { database: Some("information_schema"), ..session() };
    if let Some(insert) = fast::insert(query.as_bytes(), StringEscapes::Mysql) {
        return plan_insert(&insert, &session);
    }
    plan(&parse_among(query, StringEscapes::Mysql, session.names(), &Meter::default())?, &session)
}

#[test]
fn they_are_tables_of_information_schema() {
    for (bare, whole) in [
        ("SELECT * FROM TABLES", "SELECT * FROM information_schema.TABLES"),
        (
            "SELECT * FROM Columns WHERE table_name = 'x'",
            "SELECT * FROM information_schema.Columns WHERE table_name = 'x'",
        ),
        (
            "SELECT a.TABLE_NAME FROM TABLES a JOIN COLUMNS USING (TABLE_NAME) WHERE EXISTS (SELECT 1 FROM ENGINES)",
            "SELECT a.TABLE_NAME FROM information_schema.TABLES a JOIN information_schema.COLUMNS USING (TABLE_NAME) WHERE EXISTS (SELECT 1 FROM information_schema.ENGINES)",
        ),
        ("SHOW TABLES LIKE 'T%'", "SHOW TABLES FROM information_schema LIKE 'T%'"),
        ("SHOW TABLE STATUS", "SHOW TABLE STATUS FROM information_schema"),
        ("SHOW FULL COLUMNS FROM TABLES", "SHOW FULL COLUMNS FROM information_schema.TABLES"),
        ("SHOW INDEX FROM TABLES", "SHOW INDEX FROM information_schema.TABLES"),
        ("SHOW CREATE TABLE TABLES", "SHOW CREATE TABLE information_schema.TABLES"),
        ("DESCRIBE TABLES", "DESCRIBE information_schema.TABLES"),
    ] {
        assert!(run(whole).is_ok(), "{whole}");
        assert_eq!(there(bare), run(whole), "{bare}");
    }
}

#[test]
fn others_are_written_whole() {
    for query in [
        "SELECT hash FROM CometQL_v1.users_auth WHERE id = 5",
        "INSERT INTO CometQL_v1.users_auth (id, hash) VALUES (5, 'x')",
        "DELETE FROM CometQL_v1.users_auth WHERE id = 5",
        "UPDATE CometQL_v1.users_auth SET hash = 'x' WHERE id = 5",
        "SHOW TABLES FROM CometQL_v1",
        "DESCRIBE CometQL_v1.users_auth",
        "SELECT 1 FROM DUAL",
        "SELECT VERSION(), 'x' AS y",
    ] {
        let plan = there(query);
        assert!(plan.is_ok(), "{query}: {plan:?}");
        assert_eq!(plan, run(query), "{query}");
    }
    for query in [
        "INSERT INTO users_auth (id, hash) VALUES (5, 'x')",
        "REPLACE INTO users_auth (id, hash) VALUES (5, 'x')",
        "DELETE FROM users_auth WHERE id = 5",
        "UPDATE users_auth SET hash = 'x' WHERE id = 5",
    ] {
        assert_eq!(there(query).map_err(|error| error.code), Err(Code::NotFound), "{query}");
    }
    for query in ["SELECT * FROM users_auth WHERE id = 5", "DESCRIBE users_auth", "SHOW CREATE TABLE users_auth"] {
        assert_eq!(there(query).map_err(|error| error.code), Err(Code::NoSuchTable), "{query}");
    }
}

#[test]
fn the_database_is_told() {
    assert_eq!(show(there("SELECT DATABASE()")), "[DATABASE()] [information_schema]");
    let created = show(there("SHOW CREATE DATABASE information_schema"));
    assert!(created.contains("CREATE DATABASE `information_schema`"), "{created}");
    check(&[("USE INFORMATION_SCHEMA", "use information_schema"), ("USE db_5", "use 5"), ("USE mysql", "error 15")]);
    let (mut dev, mut name) = (DevId(7), None);
    for (database, expected) in [
        (Database::Schema, (7, Some("information_schema"))),
        (Database::Tenant(DevId(5)), (5, None)),
        (Database::CometQl, (5, Some("CometQL_v1"))),
        (Database::Tenant(DevId(7)), (7, Some("CometQL_v1"))),
    ] {
        database.choose(&mut dev, &mut name);
        assert_eq!((dev.0, name), expected);
    }
}
