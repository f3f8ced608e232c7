//! What proxies and polyfills make of requests: old versions of HTTP, chunks, long idle connections, other fields.

use crate::nginx::{self, Nginx, await_bytes, connect};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::Http;
use serde_json::Value;
use std::io::{Read, Write};

/// As people write it, with nothing that the proxy would have to be told: HTTP/1.0, and answers in chunks of its own.
const BARE: &str = "upstream encke { server 127.0.0.1:8087; }\nserver {\nlisten 80;\n\
    location / { proxy_pass http://encke; }\n\
    location /chunks/ { proxy_pass http://encke/; proxy_http_version 1.1; proxy_request_buffering off; }\n}\n";

#[test]
fn a_bare_nginx_is_enough_for_events_and_polls() {
    let Some(program) = nginx::find("a_bare_nginx_is_enough_for_events_and_polls") else { return };
    let server = Server::start(&Setup::default());
    let nginx = Nginx::start(&program, &server, BARE);
    let mut events = connect(nginx.address);
    events.write_all(b"GET /sse?v=4&pipes=web_old HTTP/1.1\r\nHost: example.com\r\n\r\n").expect("sent");
    await_bytes(&mut events, "serverInfo");
    server.await_subscribers("web_old", 1);

    let mut poll = connect(nginx.address);
    poll.write_all(b"GET /poll/sign?v=4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    poll.read_to_string(&mut text).expect("an answer");
    let body: Value = serde_json::from_str(text.rsplit("\r\n\r\n").next().expect("a body")).expect("JSON");
    let id = body["id"].as_str().expect("an id");
    // A client that does not know how long its message will be, through a proxy that passes that on.
    for (place, message) in [("", "buffered"), ("/chunks", "in chunks")] {
        let mut publish = connect(nginx.address);
        let head = format!("POST {place}/poll/pub?id={id}&pipe=web_old&event=e HTTP/1.1\r\nHost: a\r\n");
        let (first, second) = message.split_at(3);
        publish
            .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{first}\r\n").as_bytes())
            .expect("sent");
        publish.write_all(format!("{:x}\r\n{second}\r\n0\r\n\r\n", second.len()).as_bytes()).expect("sent");
        await_bytes(&mut publish, "200 OK");
        await_bytes(&mut events, message);
    }
}

#[test]
fn bodies_in_chunks_are_bodies() {
    let server = Server::start(&Setup {
        shards: 2,
        more: "[ws]\nconnections_per_address_max = 10\n".into(),
        ..Setup::default()
    });
    let mut http = Http::connect(&server);
    // Asked for an admission, and with another request behind it.
    let chunks = "8;x=y\r\nv=4&devi\r\n3\r\nd=0\r\n0\r\nTrailer: x\r\n\r\n";
    let head = "POST /poll/sign HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    http.send(&format!("{head}\r\n{chunks}GET /health HTTP/1.1\r\nHost: a\r\n\r\n"));
    let signed: Value = serde_json::from_str(http.response().text()).expect("JSON");
    assert_eq!(signed["seq"], 0);
    assert_eq!(http.response().text(), "ok");
    // Byte by byte, after a word from the server.
    http.send(&format!("{head}Expect: 100-continue\r\n\r\n"));
    assert_eq!(http.head().status, 100);
    chunks.chars().for_each(|c| http.send(&c.to_string()));
    assert_eq!(http.response().status, 200);
    let authorization = format!("Authorization: Bearer {}\r\n", server.password);
    http.send(&format!(
        "POST /cometql HTTP/1.1\r\nHost: localhost\r\n{authorization}Transfer-Encoding: chunked\r\n\r\n8\r\nSELECT 7\r\n0\r\n\r\n"
    ));
    assert!(http.response().text().contains("[[\"7\"]]"));
}

/// What a proxy and the server could read in two ways, a stranger could use to speak for the next browser.
#[test]
fn a_body_whose_end_is_not_clear_is_refused() {
    let server = Server::start(&Setup { shards: 1, ..Setup::default() });
    let check = |fields: &str, body: &str, status: u16| {
        let mut http = Http::connect(&server);
        http.send(&format!(
            "POST /poll/sign HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}GET /info HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        let answer = http.response();
        assert_eq!(answer.status, status, "{fields}{body}{}", answer.text());
        http.expect_end();
    };
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
    ] {
        check(fields, "0\r\n\r\n", 400);
    }
    check("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", 411);
    check("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", 411);
    for body in ["1\na\r\n0\r\n\r\n", "1\r\nab\r\n0\r\n\r\n", "-1\r\n\r\n", "0\r\n\n"] {
        check("Transfer-Encoding: chunked\r\n", body, 400);
    }
    check("Transfer-Encoding: chunked\r\n", "fffff\r\n", 413);
}

/// What stands for an `EventSource` sends the last id in the address, and fields that the browser asks about first.
#[test]
fn what_stands_for_an_event_source_recovers() {
    let server = Server::start(&Setup { more: "[ws]\nhost = a.example\n".into(), ..Setup::default() });
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('kept', 10)").expect("set");
    let insert =
        |text: &str| format!("INSERT INTO pipes_messages (name, event, message) VALUES ('kept', 'e', '{text}')");
    let page = "Host: comet.example\r\nOrigin: https://a.example\r\n";
    let target = "/sse?v=4&api=js2&pipes=kept";
    let mut stream = Http::connect(&server);
    stream.send(&format!("GET {target} HTTP/1.1\r\n{page}\r\n"));
    let head = stream.head();
    assert_eq!(
        (head.field("access-control-allow-origin"), head.field("access-control-allow-credentials")),
        ("https://a.example", "true")
    );
    let told = |stream: &mut Http| {
        let found = tools::until(PATIENCE, || Some(stream.event()).filter(|(_, event)| event["event"] == "subscribed"));
        found.expect("subscribed").1["data"].clone()
    };
    told(&mut stream);
    backend.execute(&insert("one")).expect("kept");
    let (id, event) = stream.event();
    assert_eq!(event["data"], "one");
    backend.execute(&insert("two")).expect("kept");
    drop(stream);
    for fields in ["lastEventId", "last-event-id"] {
        let mut stream = Http::connect(&server);
        stream.send(&format!("GET {target}&{fields}={} HTTP/1.1\r\n{page}\r\n", id.replace(':', "%3A")));
        assert_eq!(stream.head().status, 200);
        let missed = tools::until(PATIENCE, || Some(stream.event().1).filter(|event| event["event"] == "e"));
        assert_eq!(missed.expect("what was missed")["data"], "two", "{fields}");
        assert_eq!(told(&mut stream)["recovered"], true);
    }
    for (query, field) in
        [("&lastEventId=%zz", ""), ("&lastEventId=undefined", ""), ("", "Last-Event-ID: x\r\n"), ("&last=kept:x", "")]
    {
        let mut stream = Http::connect(&server);
        stream.send(&format!("GET {target}{query} HTTP/1.1\r\n{page}{field}\r\n"));
        assert_eq!(stream.head().status, 200);
        assert_eq!(told(&mut stream)["recovered"], false, "a gap is told: {query}{field}");
    }
    let mut preflight = Http::connect(&server);
    preflight.send(&format!(
        "OPTIONS {target} HTTP/1.1\r\n{page}Access-Control-Request-Headers: cache-control,x-requested-with\r\n\r\n"
    ));
    let allowed = preflight.response();
    for field in ["cache-control", "x-requested-with", "last-event-id"] {
        assert!(allowed.field("access-control-allow-headers").split(", ").any(|allowed| allowed == field), "{field}");
    }
    assert_eq!(allowed.field("keep-alive"), "timeout=65", "longer than balancers keep a connection");
}
