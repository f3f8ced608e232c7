//! Answers of any size, and the lists of sessions and connections, on the running program.

use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use loadtest::{Answer, CometQl};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use std::process::Command;

const TOKENS: usize = 120_000;

/// More than a client may have unread, a storage thread reads at once, and a page holds; far less than the answers below.
const GROWTH_MAX: usize = 24 * 1024 * 1024;

/// A token's text: in the order of its number, and long enough that all of them are tens of megabytes.
fn token(number: usize) -> String {
    format!("{number:06}{}", "t".repeat(400))
}

fn insert_tokens(backend: &mut CometQl) {
    for first in (0..TOKENS).step_by(1_000) {
        let rows = (first..first + 1_000).map(|number| format!("('{}')", token(number))).collect::<Vec<_>>().join(",");
        let insert = format!("INSERT INTO revoked_tokens (token) VALUES {rows}");
        assert_eq!(backend.execute(&insert).expect("revoked"), (1_000, 1));
    }
}

#[test]
fn long_answers_are_sent_as_their_rows_come() {
    let _alone = tools::alone();
    let server = Server::start(&Setup { more: "[cometql]\ntls = on\n".to_owned(), ..Setup::default() });
    let mut backend = server.backend();
    insert_tokens(&mut backend);
    // Whatever storage keeps in memory, it has by now.
    assert_eq!(backend.rows("SELECT COUNT(*) FROM revoked_tokens").unwrap(), [[Some(TOKENS.to_string())]]);
    let before = server.resident_bytes();
    let check_growth = |what: &str| {
        let growth = server.resident_bytes().saturating_sub(before);
        assert!(growth < GROWTH_MAX, "{what}: {growth} bytes more");
    };

    // Whoever does not read holds up nobody else, and costs no more than what is under way.
    let mut slow: Vec<CometQl> = (0..8).map(|_| server.backend()).collect();
    for session in &mut slow {
        session.send_queries(["SELECT * FROM revoked_tokens", "SELECT 1"]).unwrap();
    }
    let rows = backend.rows("SELECT token FROM revoked_tokens").unwrap();
    assert!(rows.len() == TOKENS && rows.iter().zip(0..).all(|(row, number)| row == &[Some(token(number))]));
    drop(rows);
    check_growth("text");
    for mut session in slow.drain(..2) {
        let Answer::Rows { rows, .. } = session.read_answer().unwrap() else { panic!("no rows") };
        assert_eq!((rows.len(), &rows[TOKENS - 1]), (TOKENS, &vec![Some(token(TOKENS - 1))]));
        assert!(
            matches!(session.read_answer().unwrap(), Answer::Rows { rows, .. } if rows == [[Some("1".to_owned())]])
        );
    }
    check_growth("slow");

    let options = OptsBuilder::new()
        .ip_or_hostname(Some(server.cometql.ip().to_string()))
        .tcp_port(server.cometql.port())
        .user(Some("root"))
        .pass(Some(&server.password))
        .prefer_socket(false);
    let mut prepared = Conn::new(options).unwrap();
    let query = "SELECT token FROM revoked_tokens WHERE token >= ? LIMIT 100000 OFFSET 5";
    let mut count = 0;
    for row in prepared.exec_iter(query, (token(7),)).unwrap() {
        let (text,): (String,) = mysql::from_row(row.unwrap());
        assert_eq!(text, token(7 + 5 + count));
        count += 1;
    }
    assert_eq!(count, 100_000);
    check_growth("prepared");

    // What must be sorted is held, and refused when it is too much; then nothing of it is left.
    let sorted = "SELECT token FROM revoked_tokens ORDER BY token DESC LIMIT 1";
    assert!(matches!(backend.query(sorted).unwrap(), Answer::Rows { .. } | Answer::Error { code: 11, .. }));
    slow.clear();

    let Some(client) = tools::need("long_answers_are_sent_as_their_rows_come", &["mysql"]) else { return };
    let mut command = Command::new(client);
    command.args(["--ssl", "--skip-ssl-verify-server-cert", "--quick", "-N", "-u", "root", "-e"]);
    command.arg("SELECT token FROM revoked_tokens").env("MYSQL_PWD", &server.password);
    command.args(["-h", &server.cometql.ip().to_string(), "-P", &server.cometql.port().to_string()]);
    let finished = tools::run(&mut command, PATIENCE);
    assert!(finished.stdout.lines().zip(0..TOKENS).all(|(line, number)| line == token(number)), "{}", finished.stderr);
    assert_eq!(finished.stdout.lines().count(), TOKENS, "{}", finished.stderr);
}

/// A `trust_` pipe keeps its messages without a setting; they come in the order in which they were sent.
#[test]
fn a_long_history_is_read_whole() {
    let _alone = tools::alone();
    let sent = 20_000;
    let server =
        Server::start(&Setup { more: format!("[storage]\ntrust_messages_max = {sent}\n"), ..Setup::default() });
    let mut backend = server.backend();
    for first in (0..sent).step_by(1_000) {
        let rows = (first..first + 1_000).map(|number| format!("('trust_long', 'e', '{number}')"));
        let rows = rows.collect::<Vec<_>>().join(",");
        let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES {rows}");
        assert_eq!(backend.execute(&insert).expect("published"), (0, 0));
    }
    let rows = backend.rows("SELECT `index`, message FROM pipes_messages WHERE name = 'trust_long'").unwrap();
    assert_eq!(rows.len(), sent);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row, &[Some(index.to_string()), Some(index.to_string())]);
    }
    // In whichever order, and as many as are wanted.
    let newest = "SELECT message FROM pipes_messages WHERE name = 'trust_long' ORDER BY `index` DESC LIMIT 2";
    assert_eq!(backend.rows(newest).unwrap(), [19_999, 19_998].map(|number: usize| [Some(number.to_string())]));
    assert_eq!(backend.execute("DELETE FROM pipes_messages WHERE name = 'trust_long'").unwrap(), (0, 0));
    let left = "SELECT COUNT(*) FROM pipes_messages WHERE name = 'trust_long'";
    assert_eq!(backend.rows(left).unwrap(), [[Some("0".to_owned())]]);
}

#[test]
fn connections_are_listed_and_ended() {
    let server = Server::start(&Setup::default());
    let mut browsers: Vec<_> = (0..3).map(|_| server.browser()).collect();
    for (number, browser) in browsers.iter_mut().enumerate() {
        browser.send(&format!("subscription\nlisted\nlisted_{number}"));
    }
    server.await_subscribers("listed", 3);
    let mut backend = server.backend();
    let rows = backend.rows("SELECT id, ip, pipes, queued_bytes FROM connections").unwrap();
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row[1..], ["127.0.0.1", "2", "0"].map(|text| Some(text.to_owned())));
    }
    let processes = backend.rows("SHOW FULL PROCESSLIST").unwrap();
    let commands: Vec<&str> = processes.iter().map(|row| row[4].as_deref().unwrap()).collect();
    assert_eq!(commands.iter().filter(|command| **command == "Browser").count(), 3, "{commands:?}");
    assert_eq!(commands[0], "Query");

    // Of another tenant nothing is seen and nothing is ended.
    let mut other = CometQl::connect(server.cometql, "1", &server.password, Some("CometQL_v1")).unwrap();
    assert!(other.rows("SELECT * FROM connections").unwrap().is_empty());
    let id = rows[0][0].clone().unwrap();
    assert!(matches!(other.query(&format!("KILL {id}")).unwrap(), Answer::Error { code: 1094, .. }));
    assert_eq!(backend.execute(&format!("KILL {id}")).unwrap(), (0, 0));
    server.await_subscribers("listed", 2);
    assert!(matches!(backend.query(&format!("KILL {id}")).unwrap(), Answer::Error { code: 1094, .. }));
    assert_eq!(backend.rows("SELECT COUNT(*) FROM connections").unwrap(), [[Some("2".to_owned())]]);
    // The other tenant's session can be ended by tenant 0, as the list shows it.
    let session = processes.len();
    let others = backend.rows("SHOW FULL PROCESSLIST WHERE User = '1'").unwrap();
    assert_eq!(others.len(), 1, "{session} before");
    assert_eq!(backend.execute(&format!("KILL {}", others[0][0].as_deref().unwrap())).unwrap(), (0, 0));
    assert!(other.ping().is_err());
}

#[test]
fn deleted_rows_are_counted_where_that_is_wanted() {
    let server = Server::start(&Setup { more: "[cometql]\ndelete_counts = on\n".to_owned(), ..Setup::default() });
    let mut backend = server.backend();
    for insert in [
        "INSERT INTO users_data (id, data) VALUES (5, 'a'), (6, 'b')",
        "INSERT INTO users_auth (id, hash) VALUES (5, 'a')",
        "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'a'), (5, 'e', 'b'), (5, 'e', 'c')",
        "INSERT INTO pipes_settings (name, length) VALUES ('kept', 10)",
        "INSERT INTO pipes_messages (name, event, message) VALUES ('kept', 'e', 'a'), ('kept', 'e', 'b')",
        "INSERT INTO revoked_tokens (token) VALUES ('a')",
    ] {
        backend.execute(insert).expect(insert);
    }
    for (delete, rows) in [
        ("DELETE FROM users_data WHERE id IN (5, 6, 7)", 2),
        ("DELETE FROM users_auth WHERE id = 5", 1),
        ("DELETE FROM users_auth WHERE id = 5", 0),
        ("DELETE FROM users_messages WHERE id = 5", 3),
        ("DELETE FROM pipes_messages WHERE name = 'kept'", 2),
        ("DELETE FROM pipes_settings WHERE name IN ('kept', 'other')", 1),
        ("DELETE FROM revoked_tokens WHERE token IN ('a', 'b')", 1),
    ] {
        assert_eq!(backend.execute(delete).expect(delete), (rows, 0), "{delete}");
    }
}

/// Every number of the error table, from the running program. Two more are the protocol's own: 1421 and 1835.
#[test]
fn every_error_is_sent() {
    let server = Server::start(&Setup { more: "[main]\ndev_index_size = 10\n".to_owned(), ..Setup::default() });
    let list = |item: &str, count: usize| vec![item; count].join(",");
    let names = (0..21).map(|number| format!("n{number}")).collect::<Vec<_>>().join(",");
    let mut backend = server.backend();
    for (code, sql) in [
        (2, "DELETE FROM users_messages WHERE id = 5 AND event = 'e'".to_owned()),
        (2, "SELECT id FROM users_auth WHERE id = 5 OR hash = 'x'".to_owned()),
        (3, "garbage in here".to_owned()),
        (10, "INSERT INTO connections (id) VALUES (5)".to_owned()),
        (11, format!("INSERT INTO pipes_settings (name, length) VALUES ('{}', 1)", "n".repeat(65))),
        (11, format!("INSERT INTO revoked_tokens (token) VALUES ('{}')", "t".repeat(601))),
        (12, "INSERT INTO users_messages (id, event, message) VALUES (5, 'a.b', 'm')".to_owned()),
        (13, "DELETE FROM revoked_tokens".to_owned()),
        (13, "DELETE FROM conference WHERE name = '1'".to_owned()),
        (14, "SELECT nothing FROM users_in_pipes WHERE name = 'abc'".to_owned()),
        (15, "SELECT * FROM dialogs".to_owned()),
        (16, "cometqlcluster_v1 set dev_id=10; SELECT 1".to_owned()),
        (17, "abc".to_owned()),
        (17, "INSERT INTO pipes_settings (name, length) VALUES ('ab', 1)".to_owned()),
        (18, format!("SELECT id FROM users_auth WHERE {}", ["id = 5"; 11].join(" AND "))),
        (19, format!("SELECT id FROM users_auth WHERE id IN ({})", list("5", 4001))),
        (20, format!("SELECT {} FROM users_auth WHERE id = 5", list("id", 21))),
        (21, format!("INSERT INTO users_auth ({names}) VALUES ({})", list("1", 21))),
        (500, "INSERT INTO conference (name, user_id, message) VALUES ('1', 5, 'm')".to_owned()),
        (1094, "KILL 77".to_owned()),
    ] {
        check_code(&backend.query(&sql).unwrap(), code, &sql);
    }
    // Prepare and execute; no types were ever bound.
    check_code(&backend.command(0xc8, b"").unwrap(), 1047, "command 200");
    check_code(&backend.command(0x17, b"\x07\0\0\0\0\x01\0\0\0").unwrap(), 1243, "execute");
    check_code(&backend.command(0x1c, b"\x01\0\0\0\x01\0\0\0").unwrap(), 1421, "fetch");
    // What prepares without placeholders and columns is one packet.
    for number in 0..1024 {
        backend.send_packet(0, b"\x16SET NAMES utf8").unwrap();
        let prepared = backend.read_payload(&mut 1, "a statement's number").unwrap();
        assert_eq!(prepared.first(), Some(&0), "{number}");
    }
    check_code(&backend.command(0x16, b"SET NAMES utf8").unwrap(), 1461, "prepare");

    let mut other = server.backend();
    let insert = b"DELETE FROM users_data WHERE id = ?";
    other.send_packet(0, &[&[0x16], &insert[..]].concat()).unwrap();
    let mut sequence = 1;
    for part in ["OK", "the placeholder", "the end"] {
        other.read_payload(&mut sequence, part).unwrap();
    }
    check_code(&other.command(0x17, b"\x01\0\0\0\0\x01\0\0\0\0\0").unwrap(), 1210, "execute");

    let mut probe = CometQl::connect(server.cometql, "haproxy_check", "", None).unwrap();
    check_code(&probe.query("SHOW DATABASES").unwrap(), 403, "a query of a probe");
    for (user, password, database, code) in [
        ("root", "wrong", None, 16),
        ("bob", &*server.password, None, 16),
        ("root", &server.password, Some("db_10"), 15),
    ] {
        let refused = CometQl::connect(server.cometql, user, password, database).unwrap_err().to_string();
        assert!(refused.contains(&code.to_string()), "{refused}");
    }
}

fn check_code(answer: &Answer, expected: u16, what: &str) {
    match answer {
        Answer::Error { code, sqlstate, .. } => {
            assert_eq!((*code, sqlstate.as_str()), (expected, "HY000"), "{what:.200}");
        }
        other => panic!("{what:.200}: {other:?}"),
    }
}
