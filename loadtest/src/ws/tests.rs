use super::*;
use crate::cometql::CometQl;
use crate::fake::{Behaviour, FakeServer, PASSWORD, recite_frames, server_frame};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_browser_gets_what_is_published() {
    for behaviour in [Behaviour::Honest, Behaviour::Splits(1), Behaviour::Pings] {
        let server = FakeServer::start(behaviour);
        let mut browser = WsClient::connect_anonymous(server.ws).unwrap();
        assert!(browser.server_info().contains("\"authorized\":false"));
        assert_eq!(browser.response_head().header("sec-websocket-version"), Some("13"));
        browser.subscribe(&["one", "two"]).unwrap();
        browser.send_text("echo").unwrap();
        assert_eq!(browser.need_text(LONG, "the echo").unwrap(), "echo");
        let mut backend = CometQl::connect(server.cometql, "root", PASSWORD, None).unwrap();
        let long = "x".repeat(200);
        backend.execute("INSERT INTO pipes_messages (name, event, message) VALUES ('two','e','hi')").unwrap();
        let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('one','','{long}')");
        backend.execute(&insert).unwrap();
        let time = "\"message_send_time\":1700000000";
        let first = browser.recv_text(LONG).unwrap().unwrap();
        assert_eq!(first, format!("{{\"data\":\"hi\",\"event\":\"e\",{time},\"pipe\":\"two\"}}"));
        let second = browser.recv_text(LONG).unwrap().unwrap();
        assert_eq!(second, format!("{{\"data\":\"{long}\",\"event\":\"\",{time},\"pipe\":\"one\"}}"));
        assert_eq!(browser.recv_text(SHORT).unwrap(), None);
        assert_eq!(browser.close(1000).unwrap(), []);
    }
}

#[test]
fn a_refused_handshake_is_told() {
    let server = FakeServer::start(Behaviour::NoWebSocket);
    let error = WsClient::connect(server.ws, "/ws/").unwrap_err();
    assert!(matches!(&error, Error::HandshakeRefused { head } if head.contains("404")), "{error}");
    let server = FakeServer::start(Behaviour::NoServerInfo);
    let error = WsClient::connect(server.ws, "/ws/").unwrap_err();
    assert!(error.to_string().contains("where serverInfo was due"), "{error}");
    let address = recite_frames(b"", 1, true);
    let error = WsClient::connect(address, "/ws/").unwrap_err();
    assert!(matches!(&error, Error::Closed { waiting_for } if waiting_for == "serverInfo"), "{error}");
}

/// What a client receives when the server sends `frames` and then closes.
#[track_caller]
fn check(frames: &[u8], expected: Result<&[Received], &str>) {
    for piece in [1, 7, 4096] {
        let mut client = WsClient::upgrade(recite_frames(frames, piece, true), "/ws/").unwrap();
        match (client.recv_until_end(LONG), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn frames_become_messages() {
    check(b"", Ok(&[]));
    check(b"\x81\x02hi\x81\x00", Ok(&[Received::Text("hi".into()), Received::Text(String::new())]));
    check(
        b"\x01\x01a\x89\x01p\x00\x01b\x80\x01c\x82\x01d",
        Ok(&[Received::Ping(b"p".into()), Received::Text("abc".into()), Received::Binary(b"d".into())]),
    );
    check(b"\x8a\x00\x88\x00", Ok(&[Received::Pong(vec![]), Received::Close { code: 1005, reason: String::new() }]));
    check(b"\x88\x04\x03\xe9by", Ok(&[Received::Close { code: 1001, reason: "by".into() }]));
}

#[test]
fn broken_frames_are_told() {
    check(b"\x81\x02h", Err("before the rest of a frame came"));
    check(b"\x81\x01\xff", Err("a text message that is not UTF-8"));
    check(b"\x80\x00", Err("a continuation of nothing"));
    check(b"\x01\x00\x81\x00", Err("a new message within an unfinished one"));
    check(b"\x88\x01\x03", Err("half a code"));
    check(b"\x81\x80", Err("masked"));
}

#[test]
fn silence_has_a_limit() {
    let address = recite_frames(&server_frame(0x81, b"one"), 4096, false);
    let mut client = WsClient::upgrade(address, "/ws/").unwrap();
    assert_eq!(client.need_text(LONG, "the first").unwrap(), "one");
    assert_eq!(client.recv(SHORT).unwrap(), None);
    let error = client.need_text(SHORT, "the second").unwrap_err();
    assert!(matches!(&error, Error::TimedOut { waiting_for, .. } if waiting_for == "the second"), "{error}");
    let error = client.recv_until_end(SHORT).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    client.disconnect();
}

#[test]
fn an_address_without_server() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = WsClient::connect_anonymous(unused).unwrap_err();
    assert!(error.to_string().starts_with(&format!("could not connect to {unused}: ")), "{error}");
}
