//! `encke import`: a database that CppComet made, into the data folder and from there into a new database.

use crate::mariadb::{MariaDb, PASSWORD, make_old, section};
use crate::server::{Folder, PATIENCE, Server, Setup, program};
use crate::tools::{self, Finished};
use encke::storage::mysql::Place;
use mysql::prelude::Queryable;
use std::process::Command;

/// More than a page of each, so that pages have to follow one another.
const MANY: usize = 2_500;

fn import(folder: &Folder, arguments: &[&str]) -> Finished {
    let mut command = Command::new(program());
    command.arg("import").args(arguments).args(["--conf", "comet.ini"]).current_dir(folder.path());
    tools::run(command.env("MYSQL_PWD", PASSWORD), PATIENCE)
}

fn url(place: &Place) -> String {
    format!("mysql://{}@{}:{}/{}", place.user, place.host, place.port, place.name)
}

/// All rows of all tables that are kept, in an order.
fn rows(session: &mut mysql::Conn) -> Vec<String> {
    let mut found = Vec::new();
    for (table, columns) in [
        ("users_auth", "dev_id, user_id, hash"),
        ("users_time", "dev_id, user_id, time"),
        ("users_data", "dev_id, user_id, data"),
        ("users_messages", "id, time, dev_id, user_id, event, message"),
        ("pipes_settings", "dev_id, name, type, length"),
        ("pipe_messages", "id, time, dev_id, pipe_name, event, message, user_id"),
        ("revoked_tokens", "dev_id, token, time"),
        ("conference", "dev_id, name, user_id, caller_id, message, profile, stream, node, time"),
    ] {
        let sql = format!("SELECT CONCAT_WS('|', '{table}', {columns}) FROM {table}");
        found.extend(session.query::<String, _>(sql).unwrap());
    }
    found.sort();
    found
}

fn fill(session: &mut mysql::Conn) {
    make_old(session);
    for (first, step) in [("INSERT INTO users_auth VALUES ", 1), ("INSERT INTO users_time VALUES ", 2)] {
        let rows: Vec<String> = (0..MANY).map(|n| format!("({}, {}, {n})", 1 + n % 7, 100 + n * step)).collect();
        session.query_drop(format!("{first}{}", rows.join(", "))).unwrap();
    }
    let messages: Vec<String> = (0..MANY)
        .map(|n| {
            let id = format!("{:08x}-0000-4000-8000-{n:012x}", n.wrapping_mul(2_654_435_761) as u32);
            format!("('{id}', {}, 0, 6, 'e', 'message {n} {}')", 1_700_000_000 + n / 1000, "x".repeat(n % 50))
        })
        .collect();
    session.query_drop(format!("INSERT INTO users_messages VALUES {}", messages.join(", "))).unwrap();
    let history = "INSERT INTO pipe_messages SELECT id, time, 1 + time % 2, 'many', 'e', message, 3 FROM users_messages WHERE user_id = 6";
    session.query_drop(history).unwrap();
}

#[test]
fn a_database_of_cppcomet_goes_in_and_out_again() {
    let Some(database) = MariaDb::shared("import::a_database_of_cppcomet_goes_in_and_out_again") else { return };
    let (old, new) = (database.database(), database.database());
    let mut session = database.session(&old);
    fill(&mut session);
    let server = Server::start(&Setup::default());
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");

    // Twice, because it may be interrupted and begun again.
    for _ in 0..2 {
        let finished = import(&folder, &["--from", &url(&old)]);
        assert!(finished.status.success(), "{}", finished.stderr);
        for line in [
            "  users_auth      2503 rows\n",
            "  users_messages  2503 rows, 1 left out: not what a server can use\n",
            "  pipes_settings  2 rows, 1 left out: not what a server can use\n",
            "  pipe_messages   2503 rows\n",
            "  conference      1 rows\n",
        ] {
            assert!(finished.stderr.contains(line), "{}", finished.stderr);
        }
        assert!(!finished.stderr.contains(PASSWORD), "{}", finished.stderr);
    }
    let server = Server::start_in(folder, &Setup::default());
    let found = server.backend().rows("SELECT hash FROM users_auth WHERE id = 1").expect("the row");
    assert_eq!(found, [[Some("old hash".to_owned())]]);
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");

    let ini = folder.file("database.ini", &section(&new));
    let finished = import(&folder, &["--to", ini.to_str().unwrap()]);
    assert!(finished.status.success(), "{}", finished.stderr);
    let unusable = "DELETE FROM users_messages WHERE id = 'not a uuid'; DELETE FROM pipes_settings WHERE name = 'no name of a pipe'";
    unusable.split(';').for_each(|sql| session.query_drop(sql).unwrap());
    // The server has noted nothing of its own meanwhile.
    let (before, after) = (rows(&mut session), rows(&mut database.session(&new)));
    assert_eq!(before.len(), after.len());
    let different = before.iter().zip(&after).find(|(before, after)| before != after);
    assert_eq!(different, None);
}

/// Tables that CppComet made take `News` for `news`.
#[test]
fn names_that_differ_in_case_are_not_merged() {
    let Some(database) = MariaDb::shared("import::names_that_differ_in_case_are_not_merged") else { return };
    let (old, new) = (database.database(), database.database());
    let mut session = database.session(&old);
    make_old(&mut session);
    session.query_drop("INSERT INTO pipes_settings VALUES (0, 'Letters', '0', 3)").unwrap();
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    backend
        .execute("INSERT INTO pipes_settings (name, length) VALUES ('Letters', 7), ('letters', 9)")
        .expect("settings");
    backend.execute("INSERT INTO revoked_tokens (token) VALUES ('aBc'), ('AbC'), ('abc')").expect("tokens");
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");

    let finished = import(&folder, &["--to", &url(&old)]);
    assert!(finished.status.success(), "{}", finished.stderr);
    let words = "left out: there the name is the same as one in other letters\n";
    for line in [
        format!("  pipes_settings  1 rows, 1 {words}"),
        "  revoked_tokens  3 rows\n".to_owned(),
        format!("4 rows copied, 1 {words}"),
    ] {
        assert!(finished.stderr.contains(&line), "{}", finished.stderr);
    }
    let found: Vec<String> =
        session.query("SELECT CONCAT(name, length) FROM pipes_settings WHERE name = 'letters'").unwrap();
    assert_eq!(found, ["Letters7"]);
    // A database of our own has all of them, and gives them back.
    let finished = import(&folder, &["--to", &url(&new)]);
    assert!(finished.stderr.ends_with("5 rows copied\n"), "{}", finished.stderr);
    let finished = import(&folder, &["--from", &url(&new)]);
    assert!(finished.stderr.ends_with("5 rows copied\n"), "{}", finished.stderr);
}

#[test]
fn what_cannot_be_imported_is_told() {
    let Some(database) = MariaDb::shared("import::what_cannot_be_imported_is_told") else { return };
    let place = database.database();
    let server = Server::start(&Setup::default());
    let running = Folder::new();
    let conf = format!("[storage]\ndir = {}\n", server.folder().join("data").display());
    running.file("comet.ini", &conf);
    let folder = Folder::new();
    folder.file("comet.ini", "[storage]\ndir = data\n");
    folder.file("none.ini", "[main]\nnode_name = x\n");
    let closed = "mysql://encke:hunter2@127.0.0.1:1/x";
    for (folder, from, said) in [
        (&running, url(&place).as_str(), "encke: Another server is running on the storage folder "),
        (&folder, "mysql://nobody", "encke: the database must be given as mysql://USER:PASSWORD@HOST:PORT/DATABASE"),
        (&folder, "postgres://a:hunter2@b/c", "encke: the database must be given as "),
        (&folder, "none.ini", "encke: none.ini names no database in [db]"),
        (&folder, "nowhere.ini", "encke: the configuration file nowhere.ini does not exist"),
        (&folder, closed, "encke: The database x at 127.0.0.1:1 cannot be used: "),
    ] {
        let finished = import(folder, &["--from", from]);
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains(said), "{from}: {}", finished.stderr);
        assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
    }
}
