//! Plain HTTP of the running program, and the transports that need nothing else: Server-Sent Events and long polling.

use crate::server::{PATIENCE, Server, Setup};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A client that believes nothing: it sends what it is told and reads by the length that the answer names.
struct Http(BufReader<TcpStream>);

#[derive(Debug)]
struct Response {
    status: u16,
    fields: HashMap<String, String>,
    body: Vec<u8>,
}

impl Response {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Http {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.browsers).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("the server takes it");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn head(&mut self) -> Response {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {line:?}"));
        let mut fields = HashMap::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            fields.insert(name.to_lowercase(), value.trim().to_owned());
        }
        Response { status, fields, body: Vec::new() }
    }

    fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.field("content-length").parse().unwrap_or(0);
        response.body = vec![0; length];
        self.0.read_exact(&mut response.body).expect("the body");
        response
    }

    fn get(&mut self, target: &str, fields: &str) -> Response {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n{fields}\r\n"));
        self.response()
    }

    /// The next event of a stream: its id and its data.
    fn event(&mut self) -> (String, Value) {
        let mut id = String::new();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("id: ") {
                text.clone_into(&mut id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).unwrap_or_else(|error| panic!("{data}: {error}"));
                assert_eq!(self.line(), "", "an event is one line of data");
                return (id, data);
            } else {
                assert!(line.is_empty() || line == ":" || line.starts_with("retry: "), "{line}");
            }
        }
    }

    /// Nothing more comes.
    fn expect_end(mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("an end");
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

#[test]
fn connections_stay_and_pipelined_requests_are_answered_in_order() {
    let server = Server::start(&Setup::default());
    fs::write(server.folder().join("static/a.js"), "x".repeat(300_000)).expect("a file");
    let mut http = Http::connect(&server);
    let keep = "HTTP/1.1\r\nConnection: keep-alive\r\n\r\n";
    http.send(&format!("GET /info {keep}GET /a.js {keep}GET /health HTTP/1.1\r\n\r\nHEAD /a.js {keep}GET /no {keep}"));
    assert!(http.response().text().contains("it________"));
    let file = http.response();
    assert_eq!((file.status, file.body.len(), file.field("connection")), (200, 300_000, "keep-alive"));
    assert_eq!(http.response().text(), "ok");
    let head = http.head();
    assert_eq!((head.status, head.field("content-length")), (200, "300000"));
    assert_eq!(http.response().status, 404);
    http.send("GET /info HTTP/1.1\r\nConnection: close\r\n\r\nGET /info HTTP/1.1\r\n\r\n");
    assert_eq!(http.response().field("connection"), "close");
    http.expect_end();

    // The predecessor's clients read to the end, and a body that nobody reads must not become the next request.
    for request in [
        "GET /info HTTP/1.1\r\n\r\n",
        "POST /info HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 20\r\n\r\nGET /info HTTP/1.1\r\n\r\n",
    ] {
        let mut http = Http::connect(&server);
        http.send(request);
        assert_eq!(http.response().field("connection"), "close");
        http.expect_end();
    }

    // A connection has a last request.
    let mut http = Http::connect(&server);
    for number in 1..=100 {
        let expected = if number < 100 { "keep-alive" } else { "close" };
        assert_eq!(http.get("/health", "").field("connection"), expected, "{number}");
    }
    http.expect_end();
}

#[test]
fn files_are_sent_once_in_parts_and_compressed() {
    let server = Server::start(&Setup::default());
    fs::write(server.folder().join("static/a.js"), "0123456789").expect("a file");
    let mut http = Http::connect(&server);
    let whole = http.get("/a.js", "");
    assert_eq!((whole.status, whole.text(), whole.field("vary")), (200, "0123456789", ""));
    let tag = whole.field("etag").to_owned();
    assert_eq!(http.get("/a.js", &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(http.get("/a.js", &format!("If-Modified-Since: {}\r\n", whole.field("last-modified"))).status, 304);
    for (range, status, body, field) in [
        ("2-4", 206, "234", "bytes 2-4/10"),
        ("-3", 206, "789", "bytes 7-9/10"),
        ("8-", 206, "89", "bytes 8-9/10"),
        ("10-", 416, "", "bytes */10"),
        ("0-1,3-4", 200, "0123456789", ""),
    ] {
        let part = http.get("/a.js", &format!("Range: bytes={range}\r\n"));
        assert_eq!((part.status, part.text(), part.field("content-range")), (status, body, field), "{range}");
    }
    fs::write(server.folder().join("static/a.js.gz"), "packed").expect("a file");
    let packed = http.get("/a.js", "Accept-Encoding: br, gzip\r\n");
    assert_eq!(
        (packed.text(), packed.field("content-encoding"), packed.field("vary")),
        ("packed", "gzip", "Accept-Encoding")
    );
    assert_eq!(packed.field("content-type"), "application/javascript; charset=UTF-8");
    let plain = http.get("/a.js", "");
    assert_eq!(
        (plain.text(), plain.field("vary"), plain.field("etag")),
        ("0123456789", "Accept-Encoding", tag.as_str())
    );
}

#[test]
fn pages_of_other_hosts_may_not_read_the_answers() {
    let server = Server::start(&Setup { more: "[ws]\nhost = a.example\n".into(), ..Setup::default() });
    let mut http = Http::connect(&server);
    for (origin, allowed) in [("https://a.example", "https://a.example"), ("https://b.example", ""), ("null", "")] {
        let answer = http.get("/health", &format!("Origin: {origin}\r\n"));
        assert_eq!((answer.field("access-control-allow-origin"), answer.field("vary")), (allowed, "Origin"));
    }
}

#[test]
fn a_stream_of_events_is_a_connection_like_any_other() {
    let server = Server::start(&Setup { more: "[ws]\nping_interval_s = 1\n".into(), ..Setup::default() });
    let mut backend = server.backend();
    let mut execute = |sql: &str| {
        backend.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    };
    execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5')");
    execute("INSERT INTO users_messages (id, event, message) VALUES (5, 'early', 'queued')");
    let mut page = server.browser();
    page.send("subscription\nuser_status_5");
    server.await_subscribers("user_status_5", 1);

    let mut stream = Http::connect(&server);
    let fields = "sesion=key5&myid=5&devid=0&v=4&api=js2&pipes=private_a%2Cweb_b,track_c";
    stream.send(&format!("GET /sse?{fields} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"));
    let head = stream.head();
    assert_eq!((head.status, head.field("content-type")), (200, "text/event-stream; charset=UTF-8"));
    assert_eq!((head.field("x-accel-buffering"), head.field("access-control-allow-origin")), ("no", "*"));
    assert!(head.field("cache-control").starts_with("no-cache"));
    let (_, info) = stream.event();
    assert_eq!(
        (&info["event"], &info["authorized"], &info["data"]),
        (&"serverInfo".into(), &true.into(), &"key5".into())
    );
    server.await_subscribers("private_a", 1);
    assert_eq!(page.receive()["event"], "online");

    // The queue comes after the subscription or before it.
    let (_, queued) = stream.event();
    assert_eq!((&queued["pipe"], &queued["data"]), (&"msg".into(), &"queued".into()));
    execute("INSERT INTO users_messages (id, event, message) VALUES (5, 'late', 'line\nbreak')");
    let (_, personal) = stream.event();
    assert_eq!((&personal["event"], &personal["data"]), (&"late".into(), &"line\nbreak".into()));
    execute(
        "INSERT INTO pipes_messages (name, event, message) VALUES ('private_a', 'e', 'first'), ('private_a', 'e', 'second')",
    );
    let ((first_id, first), (second_id, second)) = (stream.event(), stream.event());
    assert_eq!((&first["data"], &second["data"]), (&"first".into(), &"second".into()));
    assert!(first_id.parse::<u64>().unwrap() < second_id.parse::<u64>().unwrap(), "{first_id} {second_id}");

    // A publication of a page comes with the same JSON as over WebSocket.
    let mut other = server.browser();
    other.send("subscription\nweb_b");
    server.await_subscribers("web_b", 2);
    page.send("web_pipe2\nweb_b\nsaid\n*\n{\"text\":\"it's \\u0434\"}");
    assert_eq!(stream.event().1, other.receive());
    assert_eq!(page.receive()["data"]["number_messages"], 2);

    // A ping is a comment.
    let mut seen = String::new();
    while seen != ":" {
        seen = stream.line();
    }
    drop(stream);
    assert_eq!(page.receive()["event"], "offline");
    server.await_subscribers("private_a", 0);

    // The manner of the WebSocket address, anonymous.
    let mut stream = Http::connect(&server);
    stream.send("GET /comet-server/sse/sesion=&myid=&devid=0&v=3.25&uuid=u&api=js&pipes=web_b HTTP/1.1\r\n\r\n");
    assert_eq!(stream.head().status, 200);
    assert_eq!(stream.event().1["authorized"], "false");
}

#[test]
fn streams_that_cannot_be_are_refused() {
    let server = Server::start(&Setup { more: "[ws]\nhost = a.example\n".into(), ..Setup::default() });
    for (request, status, text) in [
        ("GET /sse?pipes=a HTTP/1.0\r\n\r\n", 505, "HTTP/1.1"),
        ("GET /sse?v=x HTTP/1.1\r\n\r\n", 400, "418"),
        ("GET /sse HTTP/1.1\r\nOrigin: https://b.example\r\n\r\n", 403, "423"),
        ("POST /sse HTTP/1.1\r\n\r\n", 404, "nothing"),
    ] {
        let mut http = Http::connect(&server);
        http.send(request);
        let answer = http.response();
        assert!(answer.status == status && answer.text().contains(text), "{request}: {answer:?}");
        http.expect_end();
    }
}

#[test]
fn a_page_that_does_not_read_its_events_is_dropped() {
    let server = Server::start(&Setup { more: "[ws]\nqueue_bytes_max = 65536\n".into(), ..Setup::default() });
    let mut stream = Http::connect(&server);
    stream.send("GET /sse?pipes=flood HTTP/1.1\r\n\r\n");
    server.await_subscribers("flood", 1);
    let mut backend = server.backend();
    let insert =
        format!("INSERT INTO pipes_messages (name, event, message) VALUES ('flood', 'e', '{}')", "x".repeat(60_000));
    for _ in 0..200 {
        backend.execute(&insert).expect("a publication");
    }
    server.await_subscribers("flood", 0);
}
