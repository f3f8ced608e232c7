use super::*;
use crate::fake::{Behaviour, FakeServer, PASSWORD, read_packet, recite, result_set, server_packet};
use std::io::Write;

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const GREETING: &[u8] = b"\x0a8.0\0\x01\0\0\0abcdefgh\0\xff\xf7\x21\x02\0\x0f\0\x15\0\0\0\0\0\0\0\0\0\0\
    ijklmnopqrst\0mysql_native_password\0";

#[test]
fn statements_and_their_answers() {
    for behaviour in [Behaviour::Honest, Behaviour::Splits(1)] {
        let server = FakeServer::start(behaviour);
        let mut client = CometQl::connect(server.cometql, "root", PASSWORD, Some("CometQL_v1")).unwrap();
        assert_eq!(client.greeting().version, "8.0-fake");
        assert_eq!(client.status(), 2);
        let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('pipe','e','m')";
        assert_eq!(client.query(insert).unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
        let select = "SELECT name, users FROM pipes WHERE name IN ('one','two')";
        let row = |name: &str| vec![Some(name.to_owned()), Some("0".to_owned())];
        let rows = Answer::Rows { columns: vec!["name".into(), "users".into()], rows: vec![row("one"), row("two")] };
        assert_eq!(client.query(select).unwrap(), rows);
        let error = Answer::Error { code: 3, sqlstate: "42000".into(), text: "what?".into() };
        assert_eq!(client.query("SELECT 2").unwrap(), error);
        let refusal = client.execute("SELECT 2").unwrap_err();
        assert!(refusal.to_string().contains("what?"), "{refusal}");
        assert!(client.rows(insert).is_err());
        assert!(matches!(client.ping().unwrap(), Answer::Ok { .. }));

        client.send_queries([select, "nonsense", insert]).unwrap();
        client.send_query(select).unwrap();
        assert_eq!(client.pending(), 4);
        assert_eq!(client.read_answer().unwrap(), rows);
        assert_eq!(client.read_answer().unwrap(), error);
        assert!(matches!(client.read_answer().unwrap(), Answer::Ok { .. }));
        assert_eq!(client.read_answer().unwrap(), rows);
        assert!(client.read_answer().is_err(), "there is no fifth");
        client.quit().unwrap();
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let server = FakeServer::start(Behaviour::Honest);
    for password in ["1111", ""] {
        let error = CometQl::connect(server.cometql, "root", password, None).unwrap_err();
        assert!(matches!(&error, Error::LoginRefused { code: 16, sqlstate, .. } if sqlstate == "28000"), "{error}");
    }
}

/// A peer that greets, takes any login and query, and answers each with the next of these.
fn reciter(answers: Vec<Vec<u8>>) -> CometQl {
    let address = recite(move |mut stream| {
        let _ = stream.write_all(&server_packet(0, GREETING));
        for answer in &answers {
            if read_packet(&mut stream).is_none() {
                return;
            }
            let _ = stream.write_all(answer);
        }
    });
    CometQl::connect(address, "root", PASSWORD, None).unwrap()
}

#[test]
fn another_plugin_is_followed_back_to_the_native_one() {
    let request = b"\xfemysql_native_password\0saltsaltmoresaltmore\0";
    let mut client = reciter(vec![server_packet(2, request), server_packet(4, OK), server_packet(1, OK)]);
    assert!(matches!(client.query("x").unwrap(), Answer::Ok { .. }));
}

#[test]
fn broken_answers_are_told() {
    let check = |answer: &[u8], expected: &str| {
        let mut client = reciter(vec![server_packet(2, OK), answer.to_vec()]);
        let error = client.query("x").unwrap_err();
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
    };
    check(&server_packet(2, OK), "packet number 2 where 1 was due");
    check(&server_packet(1, b"\xfe\0\0\x02\0"), "an EOF packet where an answer was due");
    check(&server_packet(1, b""), "ends within its column count");
    check(&server_packet(1, b"\0\0"), "ends within its OK packet");
    check(&server_packet(1, OK)[..6], "closed the connection before the answer to a query came");
    let mut rows = result_set(&["one"], &[["value".to_owned()]]);
    rows.truncate(rows.len() - 9);
    check(&rows, "closed the connection before a row came");
    check(&[server_packet(1, b"\x01"), server_packet(2, b"\x03def")].concat(), "ends within its column definition");
    let two = [server_packet(1, b"\x01"), server_packet(2, b"\x03def\0\0\0\x01a"), server_packet(3, b"\x01b")].concat();
    check(&two, "no EOF packet after the column definitions");
}

#[test]
fn an_error_may_end_rows() {
    let mut answer = result_set(&["one"], &[["value".to_owned()]]);
    answer.truncate(answer.len() - 9);
    answer.extend_from_slice(&server_packet(5, b"\xff\x01\0#HY000stopped"));
    let mut client = reciter(vec![server_packet(2, OK), answer]);
    assert_eq!(client.query("x").unwrap(), Answer::Error { code: 1, sqlstate: "HY000".into(), text: "stopped".into() });
}

#[test]
fn silence_has_a_limit() {
    let mut client = reciter(vec![server_packet(2, OK), vec![], server_packet(1, OK)]);
    client.set_limit(Duration::from_millis(50));
    let error = client.query("x").unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

#[test]
fn a_server_may_refuse_at_once() {
    let address = recite(|mut stream| {
        let _ = stream.write_all(&server_packet(0, b"\xff\x10\x04#08004too many"));
    });
    let error = CometQl::connect(address, "root", PASSWORD, None).unwrap_err();
    assert!(matches!(&error, Error::LoginRefused { code: 1040, text, .. } if text == "too many"), "{error}");
}
