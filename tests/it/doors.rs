//! Every address of the browsers' port: who may ask there, and in what form.

use crate::server::{Folder, Server, Setup};
use crate::transports::Http;
use std::io::Write;
use std::net::TcpStream;

const WS: &str = "/ws/sesion=&myid=&devid=0&v=4.0&uuid=u&api=js2";
const WS_FIELDS: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Whether a request with these fields comes in. A WebSocket is refused in a message, all others by their status.
fn comes_in(server: &Server, method: &str, target: &str, fields: &str) -> bool {
    let mut http = Http::connect(server);
    let more = if target.starts_with("/ws") { WS_FIELDS } else { "" };
    http.send(&format!("{method} {target} HTTP/1.1\r\n{fields}{more}\r\n"));
    let head = http.head();
    match head.status {
        101 => !http.frame().contains("423"),
        403 => false,
        200 | 401 | 301 => !http.script_says_403(&head),
        other => panic!("{method} {target} {fields}: {other}"),
    }
}

/// A missing Origin is no proof that no page asks: scripts of other sites have none, nor has a page whose name leads here.
#[test]
fn a_foreign_page_comes_in_by_no_door() {
    let folder = Folder::new();
    folder.file("page.js", "inside");
    let more =
        format!("[main]\nbase_dir = {}\n[ws]\ncometql = on\nhost = a.example, *.b.example\n", folder.path().display());
    let server = Server::start(&Setup { shards: 1, more, ..Setup::default() });
    let connections =
        [("GET", WS), ("GET", "/sse?v=4"), ("GET", "/poll?v=4"), ("POST", "/cometql"), ("POST", "/dashboard/key")];
    let scripts = [("GET", "/poll?v=4&callback=f"), ("GET", "/poll/sign?v=4&callback=f")];
    let contents = ["/", "/dashboard", "/console", "/demo/", "/demo", "/page.js"].map(|target| ("GET", target));
    let check = |doors: &[(&str, &str)], fields: &str, expected: bool| {
        for (method, target) in doors {
            assert_eq!(comes_in(&server, method, target, fields), expected, "{method} {target} {fields}");
        }
    };
    for fields in [
        "Host: comet.example\r\nReferer: https://evil.example/\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: comet.example\r\nSec-Fetch-Site: cross-site\r\n",
        "Host: evil.example:8087\r\nSec-Fetch-Site: same-origin\r\nReferer: http://evil.example:8087/\r\n",
        "Host: evil.example:8087\r\n",
        "Host: comet.example\r\nOrigin: https://evil.example\r\n",
    ] {
        check(&connections, fields, false);
        check(&scripts, fields, false);
        check(&contents, fields, false);
    }
    check(&scripts, "Host: a.example\r\n", false);
    check(&scripts, "Host: comet.example\r\nReferer: https://a.example/x\r\nSec-Fetch-Site: cross-site\r\n", true);
    check(
        &connections[..3],
        "Host: comet.example\r\nOrigin: https://x.b.example\r\nSec-Fetch-Site: cross-site\r\n",
        true,
    );
    for host in ["a.example", "127.0.0.1:8087", "comet"] {
        check(&connections, &format!("Host: {host}\r\nSec-Fetch-Site: same-origin\r\n"), true);
        check(&contents, &format!("Host: {host}\r\nSec-Fetch-Site: cross-site\r\n"), true);
    }
    // What is no secret and is asked by any name.
    let open = ["/encke.js", "/CometServerApi.js", "/info", "/health", "/favicon.ico"].map(|target| ("GET", target));
    check(&open, "Host: evil.example\r\nSec-Fetch-Site: cross-site\r\n", true);
}

/// What is behind a request of another length than a proxy saw would be somebody else's.
#[test]
fn a_head_that_can_be_read_in_two_ways_is_refused() {
    let server = Server::start(&Setup { shards: 1, ..Setup::default() });
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut http = Http::connect(&server);
        http.send(text);
        assert_eq!(http.head().status, 400, "{text:?}");
    }
    let mut stream = TcpStream::connect(server.browsers).expect("the server accepts");
    stream.write_all(b"GET /info HTTP/1.0\r\n\r\n").expect("sent");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.1 200 "), "a client without a name for the server: {text}");
}

/// A key is the same key at every address, in whatever encoding it comes.
#[test]
fn an_encoded_key_is_right_or_wrong_everywhere() {
    let server = Server::start(&Setup { shards: 1, ..Setup::default() });
    server.backend().execute("INSERT INTO users_auth (id, hash) VALUES (5, 'a+b/c==')").expect("stored");
    for (key, is_right) in
        [("a+b/c==", true), ("a%2Bb%2fc%3D%3d", true), ("a%252Bb%2fc%3D%3d", false), ("a%2Bb%2fc", false)]
    {
        let who = format!("sesion={key}&myid=%35&devid=0&v=4.0&uuid=u&api=js2");
        let mut socket = Http::connect(&server);
        socket.send(&format!("GET /ws/{who} HTTP/1.1\r\nHost: x\r\n{WS_FIELDS}\r\n"));
        assert_eq!(socket.head().status, 101);
        let mut events = Http::connect(&server);
        events.send(&format!("GET /sse?{who} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(events.head().status, 200);
        let mut poll = Http::connect(&server);
        let begun = poll.get(&format!("/poll?{who}"), "");
        let begun: serde_json::Value = serde_json::from_str(begun.text()).expect("JSON");
        let id = begun[0]["data"]["id"].as_str().expect("an id");
        let polled = poll.get(&format!("/poll?id={id}&seq=0"), "");
        let told = [socket.frame(), events.event().1.to_string(), polled.text().to_owned()];
        for text in told {
            assert!(text.contains(&format!("\"authorized\":{is_right}")), "{key}: {text}");
        }
    }
}
