//! What the server tells of itself to whoever does not know it yet: comments, HELP, what may have been meant, what is fixed.

use super::*;
use crate::cometql::tables::Table;

fn text(query: &str) -> (u16, String) {
    let error = run(query).expect_err(query);
    (error.code.number(), error.text.into_owned())
}

fn check_text(query: &str, number: u16, expected: &str) {
    assert_eq!(text(query), (number, expected.to_owned()), "{query}");
}

#[test]
fn what_may_have_been_meant_is_said() {
    let near = "The table `pipe_messages` does not exist: did you mean `pipes_messages`?";
    for (query, number) in [
        ("SELECT * FROM pipe_messages WHERE name = 'abc'", 15),
        ("INSERT INTO pipe_messages (name, event, message) VALUES ('abc', '', '')", 15),
        ("INSERT INTO pipe_messages (name) VALUES ('abc') ON DUPLICATE KEY UPDATE name = 'abc'", 15),
        ("DELETE FROM pipe_messages WHERE name = 'abc'", 15),
        ("UPDATE pipe_messages SET message = 'x' WHERE name = 'abc'", 15),
        ("DESCRIBE pipe_messages", 15),
        ("SHOW FULL COLUMNS FROM pipe_messages", 1146),
        ("SHOW CREATE TABLE pipe_messages", 1146),
    ] {
        check_text(query, number, near);
    }
    check_text("SELECT * FROM nowhere", 15, "The table `nowhere` does not exist: SHOW TABLES lists those that do");
    check_text("SELECT * FROM shop.pipes", 1146, "There is no table `pipes` in `shop`: it is in CometQL_v1");
    let view = "The table `TABLE` does not exist there: did you mean `TABLES`?";
    check_text("SELECT * FROM information_schema.`TABLE`", 1146, view);

    let near = "There is no column `messages`: did you mean `message`?";
    for query in [
        "SELECT messages FROM pipes_messages WHERE name = 'abc'",
        "SELECT COUNT(messages) FROM pipes_messages WHERE name = 'abc'",
        "SELECT * FROM pipes_messages WHERE name = 'abc' AND messages LIKE 'x'",
        "SELECT * FROM pipes_messages WHERE name = 'abc' ORDER BY messages",
        "INSERT INTO pipes_messages (name, event, messages) VALUES ('abc', '', '')",
        "DELETE FROM pipes_messages WHERE name = 'abc' AND messages = 'x'",
    ] {
        check_text(query, 14, near);
    }
    let near = "There is no column `date`: did you mean `data`?";
    check_text("UPDATE users_data SET date = 'x' WHERE id = 5", 14, near);
    let near = "There is no column `table_nam`: did you mean `TABLE_NAME`?";
    let query = "SELECT table_nam FROM information_schema.tables";
    let Ok(Plan::Catalog(catalog)) = run(query) else { panic!("{query}") };
    let error = catalog.answer(&Budget::default(), &|_| Vec::new()).rows.expect_err(query);
    assert_eq!(error.text, near);
    let none = "There is no column `nope`: DESCRIBE lists a table's columns";
    check_text("SELECT nope FROM users_data WHERE id = 5", 14, none);
}

#[test]
fn tables_are_fixed() {
    let tables = "Tables are fixed: SHOW TABLES lists them, HELP says what they are for";
    for query in [
        "CREATE TABLE IF NOT EXISTS users (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20) DEFAULT 'x')",
        "create table `pipes` (`database` int)",
        "ALTER TABLE pipes ADD COLUMN x INT",
        "DROP TABLE IF EXISTS pipes",
        "RENAME TABLE pipes TO others",
        "CREATE UNIQUE INDEX x ON pipes (name)",
        "CREATE OR REPLACE VIEW x AS SELECT 1",
    ] {
        check_text(query, 3, tables);
    }
    for query in ["CREATE DATABASE shop", "DROP SCHEMA IF EXISTS shop", "ALTER DATABASE shop CHARACTER SET utf8"] {
        assert!(text(query).1.starts_with("Databases are fixed"), "{query}");
    }
    for query in ["CREATE USER 'ann'@'%' IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO 'ann'@'%'", "DROP USER ann"] {
        assert!(text(query).1.contains("comet.ini"), "{query}");
    }
    assert!(text("TRUNCATE TABLE users_messages").1.contains("DELETE"));
    // What is no statement at all is told as that.
    assert_eq!(text("CREATES TABLE x").1, "Syntax error: `CREATES` was not expected here");
}

#[test]
fn comments_are_where_clients_look() {
    let contains = |query: &str, comment: &str| {
        let shown = show(run(query));
        assert!(shown.contains(comment), "{query}: {shown}");
    };
    contains("SHOW FULL COLUMNS FROM pipes", "Connections, nameless ones included");
    contains("SHOW TABLE STATUS LIKE 'pipes'", "How many connections are subscribed now");
    contains("SHOW CREATE TABLE pipes", "`users` int(11) NOT NULL COMMENT 'Connections, nameless ones included'");
    contains("SHOW CREATE TABLE pipes", "CHARSET=utf8mb4 COMMENT='How many connections");
    for (query, expected) in [
        ("SELECT table_comment FROM information_schema.tables WHERE table_name = 'pipes'", "subscribed now"),
        (
            "SELECT column_comment FROM information_schema.columns WHERE table_name = 'pipes' AND column_name = 'users'",
            "nameless ones included",
        ),
    ] {
        let Ok(Plan::Catalog(catalog)) = run(query) else { panic!("{query}") };
        let rows = catalog.answer(&Budget::default(), &|_| Vec::new()).rows.expect(query);
        assert!(show_set(&rows).contains(expected), "{query}");
    }
}

#[test]
fn help_is_given() {
    let contents = "[source_category_name name is_it_category] [Contents Statements Y] [Contents Tables Y]";
    let messages = "[name is_it_category] [users_messages N] [pipes_messages N]";
    let update = "[name description example] [UPDATE Changes the column beside the key, of rows that are there.\n \
                  UPDATE users_data SET data = '{}' WHERE id = 5;\n]";
    check(&[
        ("HELP", contents),
        ("help 'contents'", contents),
        ("HELP 'Update'", update),
        ("HELP 'upd%'", update),
        ("HELP messages", messages),
        ("HELP '%messages'", messages),
        ("HELP 'nothing like that'", "[name is_it_category]"),
        ("HELP nothing like that", "[name is_it_category]"),
        ("HELP (", "error 3"),
    ]);
    let told = show(run("HELP users_auth"));
    assert!(told.starts_with("[name description example] [users_auth What proves a user"), "{told}");
    assert!(
        told.contains("\n\nTakes SELECT, INSERT, UPDATE, DELETE.\n\nColumns:\n  id (key): int(11), The user\n"),
        "{told}"
    );
    assert!(show(run("HELP tables")).contains("[Tables pipes_messages N]"));
}

#[test]
fn examples_of_help_can_be_sent() {
    let topics = |category: &str| match run(&format!("HELP {category}")) {
        Ok(Plan::Reply(Reply::Rows(set))) => set.rows,
        other => panic!("{other:?}"),
    };
    let name =
        |row: &Vec<Option<Box<[u8]>>>| String::from_utf8_lossy(row[1].as_deref().unwrap_or_default()).into_owned();
    let names: Vec<String> = topics("statements").iter().chain(&topics("tables")).map(name).collect();
    assert_eq!(names.len(), 9 + Table::listed().count());
    for name in names {
        let Ok(Plan::Reply(Reply::Rows(set))) = run(&format!("HELP '{name}'")) else { panic!("{name}") };
        let row: Vec<_> =
            set.rows.concat().into_iter().map(|cell| String::from_utf8(cell.unwrap().into()).unwrap()).collect();
        let [found, _, example] = row.as_slice() else { panic!("{name}: {row:?}") };
        assert_eq!(*found, name);
        assert!(run(example).is_ok(), "{example}");
    }
}
