//! Plain HTTP of the running program, and the transports that need nothing else: Server-Sent Events and long polling.

use crate::browser::{BROWSERS, Page};
use crate::server::{Browser, PATIENCE, Server, Setup};
use crate::tools;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

/// A client that believes nothing: it sends what it is told and reads by the length that the answer names.
pub(crate) struct Http(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    fields: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

impl Http {
    pub(crate) fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.browsers).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("the server takes it");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    pub(crate) fn head(&mut self) -> Response {
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

    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.field("content-length").parse().unwrap_or(0);
        response.body = vec![0; length];
        self.0.read_exact(&mut response.body).expect("the body");
        response
    }

    /// Whether nothing more comes.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.fill_buf().map_or(true, <[u8]>::is_empty)
    }

    /// The text of the next WebSocket frame, which is a short one.
    pub(crate) fn frame(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).expect("a frame");
        let mut length = usize::from(head[1]);
        if length == 126 {
            self.0.read_exact(&mut head).expect("a length");
            length = usize::from(u16::from_be_bytes(head));
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).expect("a text");
        String::from_utf8(text).expect("UTF-8")
    }

    /// Whether the body is a script that tells of a refusal: to a page it has no other status.
    pub(crate) fn script_says_403(&mut self, head: &Response) -> bool {
        let mut body = vec![0; head.field("content-length").parse().unwrap_or(0)];
        self.0.read_exact(&mut body).expect("the body");
        body.starts_with(b"/**/") && String::from_utf8_lossy(&body).contains("403")
    }

    pub(crate) fn get(&mut self, target: &str, fields: &str) -> Response {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n{fields}\r\n"));
        self.response()
    }

    /// The next event of a stream: its id and its data. Pings alone do not make it wait for ever.
    pub(crate) fn event(&mut self) -> (String, Value) {
        let deadline = Instant::now() + PATIENCE;
        let mut id = String::new();
        loop {
            assert!(Instant::now() < deadline, "no event");
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

    /// Reads a stream up to this line.
    fn await_line(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.line() != wanted {
            assert!(Instant::now() < deadline, "no line {wanted:?}");
        }
    }

    /// Nothing more comes.
    pub(crate) fn expect_end(mut self) {
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

/// Whoever gets messages without a WebSocket.
trait Receiver {
    fn next(&mut self) -> Value;
}

/// The whole stream.
impl Receiver for Http {
    fn next(&mut self) -> Value {
        self.event().1
    }
}

/// What begins such a connection with these fields of an address.
type Begin<'a, R> = &'a dyn Fn(&'a Server, &str) -> R;

/// A user without a WebSocket has all that one with a WebSocket has.
fn check_like_any_other<'a, R: Receiver>(server: &'a Server, begin: Begin<'a, R>) -> (R, Browser) {
    let mut backend = server.backend();
    let mut execute = |sql: &str| {
        backend.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    };
    execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5')");
    execute("INSERT INTO users_messages (id, event, message) VALUES (5, 'early', 'queued')");
    let mut page = server.browser();
    page.send("subscription\nuser_status_5\nweb_b");
    server.await_subscribers("user_status_5", 1);

    let mut receiver = begin(server, "sesion=key5&myid=5&devid=0&v=4&pipes=private_a%2Cweb_b,track_c");
    let info = receiver.next();
    assert_eq!(
        (&info["event"], &info["authorized"], &info["data"]),
        (&"serverInfo".into(), &true.into(), &"key5".into())
    );
    server.await_subscribers("private_a", 1);
    assert_eq!(page.receive()["event"], "online");
    // The queue comes after the subscription or before it.
    let queued = receiver.next();
    assert_eq!((&queued["pipe"], &queued["data"]), (&"msg".into(), &"queued".into()));
    execute("INSERT INTO users_messages (id, event, message) VALUES (5, 'late', 'line\nbreak')");
    let personal = receiver.next();
    assert_eq!((&personal["event"], &personal["data"]), (&"late".into(), &"line\nbreak".into()));
    // Each once and in order; long enough to be compressed where that is asked for.
    let long = "again and again ".repeat(20);
    for number in 0..40 {
        let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ";
        execute(&format!("{insert}('private_a', 'e', '{number}'), ('private_a', 'e', '{long}{number}')"));
    }
    for number in 0..40 {
        let both = [receiver.next(), receiver.next()].map(|message| message["data"].clone());
        assert_eq!(both, [number.to_string().into(), format!("{long}{number}").into()] as [Value; 2]);
    }
    // A publication of a page comes with the same JSON as over WebSocket.
    let mut other = server.browser();
    other.send("subscription\nweb_b");
    server.await_subscribers("web_b", 3);
    page.send("web_pipe2\nweb_b\nsaid\n*\n{\"text\":\"it's \\u0434\"}");
    assert_eq!(receiver.next(), other.receive());
    assert_eq!(page.receive()["data"]["number_messages"], 2);
    drop(other);
    server.await_subscribers("web_b", 2);
    (receiver, page)
}

#[test]
fn a_stream_of_events_is_a_connection_like_any_other() {
    // A browser that takes compressed frames says so for a stream too, and gets it as it is.
    for (deflate, offer) in [("off", ""), ("on", "Sec-WebSocket-Extensions: permessage-deflate\r\n")] {
        let more = format!("[ws]\nping_interval_s = 1\ndeflate = {deflate}\n");
        let server = Server::start(&Setup { more, ..Setup::default() });
        let begin = |server, fields: &str| {
            let mut stream = Http::connect(server);
            stream.send(&format!("GET /sse?{fields} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{offer}\r\n"));
            let head = stream.head();
            assert_eq!((head.status, head.field("content-type")), (200, "text/event-stream; charset=UTF-8"));
            assert_eq!((head.field("x-accel-buffering"), head.field("access-control-allow-origin")), ("no", "*"));
            assert!(head.field("cache-control").starts_with("no-cache"));
            stream
        };
        let (mut stream, mut page) = check_like_any_other(&server, &begin);
        let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('private_a', 'e', 'last')";
        server.backend().execute(insert).expect("accepted");
        assert_eq!(stream.event().0, "", "without a history there is no place to go on from");
        // A ping is a comment.
        stream.await_line(":");
        drop(stream);
        assert_eq!(page.receive()["event"], "offline");
        server.await_subscribers("private_a", 0);

        // The manner of the WebSocket address, anonymous.
        let mut stream = Http::connect(&server);
        stream.send("GET /comet-server/sse/sesion=&myid=&devid=0&v=3.25&uuid=u&api=js&pipes=web_b HTTP/1.1\r\n\r\n");
        assert_eq!(stream.head().status, 200);
        assert_eq!(stream.event().1["authorized"], "false");
    }
}

#[test]
fn streams_that_cannot_be_are_refused() {
    let server = Server::start(&Setup { more: "[ws]\nhost = a.example\n".into(), ..Setup::default() });
    for (request, status, text) in [
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

/// A page that polls, each time over a new connection: with several shards most requests arrive on a foreign one.
pub(crate) struct Poller<'a> {
    server: &'a Server,
    id: String,
    seq: usize,
    /// What came with a poll and was not asked for yet.
    rest: VecDeque<Value>,
}

impl Receiver for Poller<'_> {
    fn next(&mut self) -> Value {
        while self.rest.is_empty() {
            let messages = self.poll();
            self.rest.extend(messages);
        }
        self.rest.pop_front().expect("a message")
    }
}

impl<'a> Poller<'a> {
    pub(crate) fn sign(server: &'a Server, fields: &str) -> Self {
        let answer = Http::connect(server).get(&format!("/poll/sign?{fields}"), "");
        assert_eq!((answer.status, answer.field("cache-control")), (200, "no-store"));
        let signed: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(signed["seq"], 0);
        Self { server, id: signed["id"].as_str().expect("an id").to_owned(), seq: 0, rest: VecDeque::new() }
    }

    fn get(&self, target: &str) -> Response {
        Http::connect(self.server).get(target, "")
    }

    /// The messages of one poll.
    fn poll(&mut self) -> Vec<Value> {
        let answer = self.get(&format!("/poll?id={}&seq={}", self.id, self.seq));
        assert_eq!(answer.status, 200, "{answer:?}");
        let messages: Vec<Value> = serde_json::from_slice(&answer.body).expect("a JSON array");
        self.seq += messages.len();
        messages
    }

    /// The next messages, so many of them.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.extend(self.poll());
        }
        assert_eq!(messages.len(), count, "{messages:?}");
        messages
    }

    fn publish(&self, fields: &str, message: &str) -> Response {
        let mut http = Http::connect(self.server);
        let (id, length) = (&self.id, message.len());
        http.send(&format!("POST /poll/pub?id={id}&{fields} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{message}"));
        http.response()
    }
}

#[test]
fn polling_is_a_connection_like_any_other() {
    for deflate in ["off", "on"] {
        let more = format!("[ws]\ndeflate = {deflate}\n");
        let server = Server::start(&Setup { shards: 4, more, ..Setup::default() });
        let (poller, page) = check_like_any_other(&server, &Poller::sign);
        check_polling(&server, poller, page);
    }
}

/// What only polls have.
fn check_polling(server: &Server, mut poller: Poller<'_>, mut page: Browser) {
    let mut backend = server.backend();
    // What was not acknowledged comes again, what was cannot.
    let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('private_a', 'e', 'again')";
    backend.execute(insert).expect("accepted");
    let seen = poller.take(1);
    poller.seq -= 1;
    assert_eq!(poller.take(1), seen);
    let late = poller.get(&format!("/poll?id={}&seq=1", poller.id));
    assert!(late.status == 409 && late.text().contains("\"code\":\"409\""), "{late:?}");

    // Its own publications come with a report.
    assert_eq!(poller.publish("pipe=web_b&event=said", "from a poller").text(), "[]");
    let heard = page.receive();
    assert_eq!((&heard["data"], &heard["user_id"]), (&"from a poller".into(), &5.into()));
    assert_eq!(poller.take(1)[0]["data"]["number_messages"], 1);
    poller.publish("pipe=other&event=said", "not allowed");
    assert_eq!(poller.take(1)[0]["event"], "error");

    // Other pipes from now on.
    let (id, seq) = (poller.id.clone(), poller.seq);
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poller.get(&format!("/poll?id={id}&seq={seq}&pipes=web_c")));
        server.await_subscribers("web_c", 1);
        server.await_subscribers("private_a", 0);
        // A poll that waits gets what comes.
        backend
            .execute("INSERT INTO pipes_messages (name, event, message) VALUES ('web_c', 'e', 'c')")
            .expect("accepted");
        waiting.join().expect("an answer")
    });
    assert!(answer.text().contains("\"data\":\"c\""), "{answer:?}");

    // It is in the list of connections, and can be ended there.
    let rows = server.backend().rows("SELECT id, user_id FROM connections").expect("rows");
    let row = rows.iter().find(|row| row[1].as_deref() == Some("5")).unwrap_or_else(|| panic!("{rows:?}"));
    server.backend().execute(&format!("KILL {}", row[0].as_deref().expect("a number"))).expect("it is ended");
    let gone = poller.get(&format!("/poll?id={id}&seq={seq}"));
    assert!(gone.status == 410 && gone.text().contains("begin anew"), "{gone:?}");
    assert_eq!(page.receive()["event"], "offline");
}

#[test]
fn a_poller_that_never_acknowledges_keeps_nothing_from_the_next_one() {
    let server = Server::start(&Setup { shards: 3, ..Setup::default() });
    let mut backend = server.backend();
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5')").expect("stored");
    let insert = "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'one'), (5, 'e', 'two')";
    backend.execute(insert).expect("queued");
    let mut deaf = Poller::sign(&server, "sesion=key5&myid=5&v=4");
    // It polls on and on, and says each time that nothing has come.
    let mut seen = Vec::new();
    while seen.len() < 3 {
        deaf.seq = 0;
        seen = deaf.poll();
    }
    deaf.seq = 0;
    assert_eq!(deaf.poll(), seen, "what is not acknowledged comes again");
    let rows = backend.rows("SELECT id FROM connections").expect("rows");
    backend.execute(&format!("KILL {}", rows[0][0].as_deref().expect("a number"))).expect("it is ended");
    let mut next = Poller::sign(&server, "sesion=key5&myid=5&v=4");
    let data: Vec<Value> = next.take(3)[1..].iter().map(|message| message["data"].clone()).collect();
    assert_eq!(data, ["one", "two"]);
    next.get(&format!("/poll?id={}&seq={}&callback=acknowledged", next.id, next.seq - 1));
}

#[test]
fn a_poller_that_publishes_too_much_has_to_wait_and_loses_nothing() {
    let more = "[ws]\nmessages_per_connection_per_s = 2\n".to_owned();
    let server = Server::start(&Setup { shards: 3, more, ..Setup::default() });
    let mut page = server.browser();
    page.send("subscription\nweb_room");
    server.await_subscribers("web_room", 1);
    let mut poller = Poller::sign(&server, "v=4");
    std::thread::scope(|scope| {
        // Each request is answered when its message is begun, so they have to be sent side by side.
        for number in 0..8 {
            let poller = &poller;
            let publish = move || poller.publish("pipe=web_room&event=e", &number.to_string());
            scope.spawn(move || assert_eq!(publish().status, 200));
        }
    });
    let mut heard: Vec<String> = (0..8).map(|_| page.receive()["data"].as_str().expect("a text").to_owned()).collect();
    heard.sort();
    assert_eq!(heard, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    let reports = poller.take(9);
    assert!(reports[1..].iter().all(|report| report["data"]["number_messages"] == 1), "{reports:?}");
    let rows = server.backend().rows("SHOW GLOBAL STATUS LIKE 'encke_commands_slowed'").expect("figures");
    assert_ne!(rows[0][1].as_deref(), Some("0"), "it took seconds, and figures are as old as a tenth of one");
}

#[test]
fn polls_that_cannot_be_are_refused() {
    let server = Server::start(&Setup { more: "[ws]\nhost = a.example\n".into(), ..Setup::default() });
    let poller = Poller::sign(&server, "pipes=aa");
    let id = poller.id.clone();
    let zeros = "0".repeat(32);
    let stranger = format!("{}-{zeros}", id.rsplit_once('-').expect("a secret").0);
    for (target, fields, status, text) in [
        (format!("/poll?id={id}"), "Origin: https://b.example\r\n", 403, "this page may not"),
        (format!("/poll?id={stranger}"), "", 410, "no such connection"),
        (format!("/poll?id=99-0-1-{zeros}"), "", 400, "no id"),
        ("/poll?id=x".into(), "", 400, "no id"),
        (format!("/poll?id={id}&seq=x"), "", 400, "field"),
        (format!("/poll?id={id}&callback=a(b"), "", 400, "callback"),
        ("/poll?v=x".into(), "", 400, "address"),
        ("/poll/pub?pipe=web_a".into(), "", 400, "id is missing"),
        (format!("/poll/pub?id={id}&pipe=web_a%0Ax&message=m"), "", 400, "field"),
        (
            format!("/poll?id={id}&callback=a.b"),
            "Referer: https://a.example/\r\n",
            200,
            "/**/a.b([{\"authorized\":false",
        ),
        (
            format!("/poll?id={stranger}&callback=a.b"),
            "Referer: https://a.example/\r\n",
            200,
            "/**/a.b([{\"data\":{\"code\":\"410\"",
        ),
    ] {
        let answer = Http::connect(&server).get(&target, fields);
        assert!(answer.status == status && answer.text().contains(text), "{target}: {answer:?}");
    }
    for (fields, status) in [("Transfer-Encoding: gzip\r\n", 411), ("Content-Length: 999999999\r\n", 413)] {
        let mut http = Http::connect(&server);
        http.send(&format!("POST /poll HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(http.response().status, status);
        http.expect_end();
    }
    // The fields of a POST may be its body, and requests may be pipelined.
    let mut http = Http::connect(&server);
    let body = "pipes=bb&callback=f";
    let fields = format!("Referer: https://a.example/\r\nContent-Length: {}\r\n", body.len());
    let post = format!("POST /poll HTTP/1.1\r\n{fields}\r\n{body}");
    http.send(&format!("{post}GET /health HTTP/1.1\r\n\r\n"));
    let begun = http.response();
    assert!(begun.text().starts_with("/**/f([{\"data\":{\"id\":\""), "{begun:?}");
    assert_eq!(http.response().text(), "ok");
}

#[test]
fn a_page_that_does_not_poll_has_a_bounded_buffer() {
    let server = Server::start(&Setup::default());
    let poller = Poller::sign(&server, "pipes=flood");
    server.await_subscribers("flood", 1);
    let row = "('flood', 'e', 'x')";
    let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES {}", [row; 100].join(","));
    let mut backend = server.backend();
    for _ in 0..11 {
        backend.execute(&insert).expect("accepted");
    }
    server.await_subscribers("flood", 0);
    let gone = poller.get(&format!("/poll?id={}&seq=0", poller.id));
    assert!(gone.status == 410 && gone.text().contains("too many messages"), "{gone:?}");
}

/// What a page does, without any library.
const PAGE: &str = r"
    window.seen = [];
    const note = (how, message) => { if (message.pipe === 'demo') seen.push(how + message.data); };
    new EventSource('/sse?pipes=demo&v=4').onmessage = event => note('events ', JSON.parse(event.data));
    (async () => {
        for (;;) {
            const { id } = await (await fetch('/poll/sign?pipes=demo&v=4')).json();
            for (let seq = 0;;) {
                const answer = await fetch(`/poll?id=${id}&seq=${seq}`);
                if (!answer.ok) break;
                const messages = await answer.json();
                seq += messages.length;
                messages.forEach(message => note('poll ', message));
            }
        }
    })();
    window.called = messages => note('script ', { pipe: 'demo', data: messages[0].event });
    document.head.appendChild(Object.assign(document.createElement('script'), {
        src: '/poll?callback=called', onerror: () => seen.push('no script') }));
    ''
";

#[test]
fn a_real_browser_gets_events_and_polls() {
    let Some(program) = tools::need("a_real_browser_gets_events_and_polls", &BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut page = Page::open(&program, &format!("http://{}/info", server.browsers));
    let ready = tools::until(PATIENCE, || {
        (page.evaluate("location.pathname + document.readyState") == "/infocomplete").then_some(())
    });
    assert!(ready.is_some(), "the page is not there");
    page.evaluate(PAGE);
    server.await_subscribers("demo", 2);
    let mut backend = server.backend();
    backend
        .execute("INSERT INTO pipes_messages (name, event, message) VALUES ('demo', 'e', 'first')")
        .expect("accepted");
    await_seen(&mut page, &["events first", "poll first", "script poll"]);

    // Both come back by themselves when they are dropped.
    let rows = backend.rows("SELECT id FROM connections").expect("rows");
    for row in &rows {
        backend.execute(&format!("KILL {}", row[0].as_deref().expect("a number"))).expect("it is ended");
    }
    let back = tools::until(PATIENCE, || {
        let now = backend.rows("SELECT id FROM connections").expect("rows");
        (now.len() == 2 && now.iter().all(|row| !rows.contains(row))).then_some(())
    });
    assert!(back.is_some(), "not back: {:?}", backend.rows("SELECT * FROM connections"));
    server.await_subscribers("demo", 2);
    backend
        .execute("INSERT INTO pipes_messages (name, event, message) VALUES ('demo', 'e', 'second')")
        .expect("accepted");
    await_seen(&mut page, &["events second", "poll second"]);
}

fn await_seen(page: &mut Page, expected: &[&str]) {
    let mut seen = String::new();
    let found = tools::until(PATIENCE, || {
        seen = page.evaluate("JSON.stringify(window.seen)");
        expected.iter().all(|text| seen.contains(&format!("\"{text}\""))).then_some(())
    });
    assert!(found.is_some(), "{expected:?} of {seen}");
}

/// With the HTTP clients of Python's standard library: a stream read as it comes, and polls over one connection.
const PYTHON: &str = r#"
import http.client, json, sys
host, port = sys.argv[1], int(sys.argv[2])
stream = http.client.HTTPConnection(host, port)
stream.request("GET", "/sse?pipes=pypy")
events = stream.getresponse()
assert events.status == 200, events.status
def event():
    for line in events:
        if line.startswith(b"data: "):
            return json.loads(line[6:])
assert event()["event"] == "serverInfo"
polls = http.client.HTTPConnection(host, port)
def get(target):
    polls.request("GET", target)
    answer = polls.getresponse()
    assert answer.status == 200, answer.status
    return json.loads(answer.read())
id = get("/poll/sign?pipes=pypy")["id"]
socket = polls.sock
messages = []
while len(messages) < 2:
    messages += get("/poll?id=%s&seq=%d" % (id, len(messages)))
assert [message["data"] for message in messages] == ["", "hello"], messages
assert event()["data"] == "hello"
assert polls.sock is socket, "the connection must stay"
"#;

#[test]
fn python_gets_events_and_polls() {
    let Some(python) = tools::need("python_gets_events_and_polls", &["python3"]) else { return };
    let server = Server::start(&Setup::default());
    let (host, port) = (server.browsers.ip().to_string(), server.browsers.port().to_string());
    std::thread::scope(|scope| {
        let client = scope.spawn(|| tools::run(Command::new(python).args(["-c", PYTHON, &host, &port]), PATIENCE));
        server.await_subscribers("pypy", 2);
        let insert = "INSERT INTO pipes_messages (name, event, message) VALUES ('pypy', 'e', 'hello')";
        server.backend().execute(insert).expect("accepted");
        let finished = client.join().expect("an end");
        assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    });
}

#[test]
fn who_comes_back_gets_what_was_missed() {
    let server = Server::start(&Setup { shards: 3, ..Setup::default() });
    let mut backend = server.backend();
    let mut publish = |pipe: &str, message: &str| {
        let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{pipe}', 'e', '{message}')");
        backend.execute(&insert).expect("accepted");
    };
    let connect = |target: &str, fields: &str| {
        let mut stream = Http::connect(&server);
        stream.send(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(stream.head().status, 200);
        assert_eq!(stream.event().1["event"], "serverInfo");
        stream
    };
    let target = "/sse?v=4&api=js2&pipes=trust_a,trust_b";
    let mut stream = connect(target, "");
    for _ in 0..2 {
        assert_eq!(stream.event().1["event"], "subscribed");
    }
    // What an id says of other pipes reaches back two seconds, and nobody knows what was before the histories began.
    std::thread::sleep(std::time::Duration::from_secs(4));
    publish("trust_a", "one");
    let (id, one) = stream.event();
    assert_eq!(
        (&one["data"], id),
        (&"one".into(), format!("trust_a:{}", one["position"].as_str().expect("a position")))
    );
    drop(stream);
    publish("trust_a", "two");
    publish("trust_b", "three");

    // A browser names its last event, a page the position of each pipe.
    let position = one["position"].as_str().expect("a position");
    let id = format!("trust_a:{position}");
    for mut stream in
        [connect(target, &format!("Last-Event-ID: {id}\r\n")), connect(&format!("{target}&last={id},{position}"), "")]
    {
        let mut seen: Vec<Value> = (0..4).map(|_| stream.event().1).collect();
        seen.retain(|message| message["event"] == "e");
        let mut data: Vec<&str> = seen.iter().filter_map(|message| message["data"].as_str()).collect();
        data.sort_unstable();
        assert_eq!(data, ["three", "two"]);
    }
    let mut poller = Poller::sign(&server, &format!("v=4&api=js2&pipes=trust_a&last={id}"));
    let messages = poller.take(3);
    assert_eq!((&messages[1]["data"], &messages[2]["data"]["recovered"]), (&"two".into(), &true.into()));
}
