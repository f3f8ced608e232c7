use std::collections::HashMap;
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::model::{Network, RealIpHeader};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SITE: Site<'_> = Site {
    start_page: "<p>start",
    cometql_port: 3300,
    password_file: "data/cometql.password",
    node_name: "n1",
    cometql_host: "127.0.0.1",
    sign_in: "local",
};

fn head(text: &str) -> Head<'_> {
    match parse_head(text.as_bytes(), &HeadLimits::default()) {
        Ok(HeadStep::Head(head)) => head,
        other => panic!("{text}: {other:?}"),
    }
}

/// Of a GET or a HEAD without conditions.
fn plain(route: &Route<'_>, with_body: bool, site: &Site<'_>) -> Option<Vec<u8>> {
    let text = if with_body { "GET / HTTP/1.1\r\n\r\n" } else { "HEAD / HTTP/1.1\r\n\r\n" };
    plain_answer(route, &Conditions::of(&head(text)), site, &Terms::LAST)
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n")
}

fn asset(path: &str) -> Route<'static> {
    Route::Asset(assets::Asset::find(path).expect("an asset"))
}

#[test]
fn heads() {
    let text = "GET /a?b HTTP/1.0\r\nhost:  x \r\nX-List: a, b\r\nx-list:,c ,\r\nEmpty:\r\n\r\n\u{81}\u{85}";
    let head = head(text);
    assert_eq!((head.method, head.target, head.minor_version), (Method::Get, "/a?b", 0));
    assert_eq!(&text[head.used..], "\u{81}\u{85}");
    assert_eq!(head.header("Host"), Some(&b"x"[..]));
    assert_eq!(head.header("EMPTY"), Some(&b""[..]));
    assert_eq!(head.header("Hos"), None);
    assert_eq!(head.list("X-List").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    assert!(head.wants_body());
}

#[test]
fn refused_heads() {
    let check = |text: &str, expected: HeadError, status| {
        assert_eq!(parse_head(text.as_bytes(), &HeadLimits::default()).map(|_| ()), Err(expected), "{text}");
        let (found_status, fields, _) = parsed(&expected.answer());
        assert_eq!((found_status, fields["connection"].as_str()), (status, "close"));
    };
    for text in [
        "HELLO WORLD\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header: x\r\n\r\n",
        "GET / HTTP/1.1\r\nno-colon\r\n\r\n",
        "GET / HTTP/1.1\r\nnul: \0\r\n\r\n",
        // What a proxy may read in another way than this server.
        "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb: c\rd: e\r\n\r\n",
        "GET / HTTP/1.1\n",
    ] {
        check(text, HeadError::Malformed, 400);
    }
    check(&get("/", &"a: b\r\n".repeat(64)), HeadError::TooLarge, 431);
    check(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(16 * 1024)), HeadError::TooLarge, 431);
    check(&format!("GET / HTTP/1.1\r\na: {}", "b".repeat(16 * 1024)), HeadError::TooLarge, 431);
    let raw = parse_head(b"GET /\xff HTTP/1.1\r\n\r\n", &HeadLimits::default());
    assert_eq!(raw.map(|_| ()), Err(HeadError::Malformed));
}

#[test]
fn a_head_may_be_as_large_as_its_cap() {
    let text = get("/", &format!("a: {}\r\n", "b".repeat(16_000)));
    for (head_bytes_max, fits) in [(text.len(), true), (text.len() - 1, false)] {
        let parsed = parse_head(text.as_bytes(), &HeadLimits { head_bytes_max });
        assert_eq!(matches!(parsed, Ok(HeadStep::Head(_))), fits);
        assert_eq!(matches!(parsed, Err(HeadError::TooLarge)), !fits);
    }
    assert_eq!(head(&get("/", &"a: b\r\n".repeat(63))).headers("a").count(), 63);
}

#[test]
fn routes() {
    let check = |request: &str, expected: Route<'_>| {
        let text = format!("{request} HTTP/1.1\r\n\r\n");
        assert_eq!(route(&head(&text)), expected, "{request}");
    };
    let file = |path: &str| Route::Static(path.into());
    for target in ["/ws/sesion=0", "//ws/sesion=0", "/comet-server/ws/sesion=0", "//comet-server/ws/sesion=0", "/ws/"] {
        check(&format!("GET {target}"), Route::WebSocket(target));
        assert!(!matches!(route(&head(&format!("HEAD {target} HTTP/1.1\r\n\r\n"))), Route::WebSocket(_)));
        check(&format!("POST {target}"), Route::NotFound);
    }
    for target in ["/", "/?x=1", "/comet-server", "/comet-server/", "//"] {
        check(&format!("GET {target}"), Route::Start);
        check(&format!("HEAD {target}"), Route::Start);
    }
    check("GET /info", Route::Info);
    check("GET /comet-server/info", Route::Info);
    for target in ["/sse?a=1", "//sse?a=1", "/sse/a=1", "/comet-server/sse?a=1"] {
        check(&format!("GET {target}"), Route::Events("a=1"));
    }
    check("GET /sse", Route::Events(""));
    for method in ["GET", "POST"] {
        check(&format!("{method} /poll?a=1"), Route::Poll(PollAddress::Messages, "a=1"));
        check(&format!("{method} /comet-server/poll"), Route::Poll(PollAddress::Messages, ""));
        check(&format!("{method} //poll/sign?"), Route::Poll(PollAddress::Sign, ""));
        check(&format!("{method} /poll/pub?a"), Route::Poll(PollAddress::Publish, "a"));
    }
    check("GET /poll/other", file("poll/other"));
    check("PUT /poll", Route::NotFound);
    check("POST /sse", Route::NotFound);
    check("GET /ssex", file("ssex"));
    check("GET /health", Route::Health);
    check("HEAD /health?x", Route::Health);
    check("GET /ready", Route::Ready);
    for method in ["GET", "HEAD", "POST"] {
        check(&format!("{method} /comet-server/metrics?x"), Route::Metrics);
    }
    check("GET /favicon.ico", Route::Favicon);
    check("GET /comet-server/favicon.ico", Route::Favicon);
    for (target, expected) in [
        ("/encke.js", "/encke.js"),
        ("/encke.js?v=1", "/encke.js"),
        ("/CometServerApi.js", "/CometServerApi.js"),
        ("/api/CometServerApi.js", "/api/CometServerApi.js"),
        ("/comet-server/api/CometServerApi.js", "/api/CometServerApi.js"),
        ("/comet-server/encke-http.js", "/encke-http.js"),
        ("/api/encke-http.js", "/api/encke-http.js"),
        ("/dashboard", "/dashboard"),
        ("/comet-server/console?x", "/console"),
    ] {
        check(&format!("GET {target}"), asset(expected));
    }
    for method in ["GET", "POST", "PUT"] {
        let statements = WithPassword::Statements;
        check(&format!("{method} /cometql?user=5"), Route::WithPassword(statements, "user=5"));
        check(&format!("{method} /comet-server/cometql"), Route::WithPassword(statements, ""));
        check(&format!("{method} //dashboard/key"), Route::WithPassword(WithPassword::DashboardKey, ""));
    }
    check("GET /cometql/x", file("cometql/x"));
    check("OPTIONS /anything", Route::Options);
    check("OPTIONS *", Route::Options);
    for request in ["POST /", "POST /info", "PUT /a.js", "DELETE /a.js", "TRACE /", "CONNECT a:1", "get /"] {
        check(request, Route::NotFound);
    }
    check("GET /ws", file("ws"));
    check("GET /ws?sesion=0", file("ws"));
    check("GET /wsx/", Route::NotFound);
    check("GET /a.js", file("a.js"));
    check("GET /a.js?v=1", file("a.js"));
    check("GET /comet-server/a.js", file("a.js"));
    check("GET /comet-serverx/a.js", file("comet-serverx/a.js"));
    check("GET /sub/deep.js", file("sub/deep.js"));
    check("GET //a//b.js", file("a/b.js"));
    check("GET /%61%2Fb%20c.js", file("a/b c.js"));
    check("GET /%252e%252e/a.js", file("%2e%2e/a.js"));
    check("GET /%D1%8F.js", file("я.js"));
    check("GET /a..b.js", file("a..b.js"));
    for target in [
        "/../a.js",
        "/x/../a.js",
        "/%2e%2e/a.js",
        "/x/%2E./a.js",
        "/..",
        "/.env",
        "/x/.git/config",
        "/./a.js",
        "/a\\b.js",
        "/%5c..%5ca.js",
        "/a.js%00",
        "/a%0a.js",
        "/%ff.js",
        "/%zz.js",
        "/%+1.js",
        "/%2",
        "/a/",
        "//%2f/",
        "http://example.com/a.js",
        "a.js",
        "*",
    ] {
        check(&format!("GET {target}"), Route::NotFound);
    }
    check(&format!("GET /{}", "a".repeat(1024)), file(&"a".repeat(1024)));
    check(&format!("GET /{}", "a".repeat(1025)), Route::NotFound);
}

#[test]
fn origins() {
    let check = |hosts: &str, origin: &str, expected: bool| {
        let hosts: Vec<&str> = hosts.split(',').collect();
        assert_eq!(origin_allowed(&hosts, false, Some(origin.as_bytes())), expected, "{hosts:?} {origin}");
    };
    for hosts in ["", "*", "a.example, *", " , "] {
        check(hosts, "https://anything.example", true);
        check(hosts, "null", true);
    }
    assert!(origin_allowed(&["*"], false, None));
    let hosts = "example.com, *.example.org ,https://secure.example:8443/,[::1]";
    for origin in [
        "http://example.com",
        "https://example.com:8080",
        "https://EXAMPLE.com",
        "example.com",
        "https://a.example.org",
        "https://a.b.Example.org:1",
        "http://secure.example",
        "http://[::1]:8087",
    ] {
        check(hosts, origin, true);
    }
    for origin in [
        "",
        "null",
        "https://example.com.evil.net",
        "https://notexample.com",
        "https://a.example.com",
        "https://example.org",
        "https://.example.org",
        "https://aexample.org",
        "https://evil.net/example.com",
        "https://evil.net?.example.org",
        "https://evil.net@example.com",
        "https://example.com:80.evil.net",
        "https://example.com:80@evil.net",
        "https://evil.net#.example.org",
        "http://[::1",
        "http://[::1]x",
    ] {
        check(hosts, origin, false);
    }
    assert!(!origin_allowed(&["example.com"], true, Some(b"\xff")));
    assert!(origin_allowed(&["example.com"], true, None));
    assert!(!origin_allowed(&["example.com"], false, None));
    assert!(origin_allowed::<&str>(&[], false, None));
}

#[test]
fn browsers_behind_trusted_proxies_are_who_they_say() {
    let trusted: Vec<Network> = ["10.0.0.0/8", "::1"].iter().map(|text| Network::parse(text).unwrap()).collect();
    let check = |peer: &str, header, fields: &str, expected: &str| {
        let text = get("/", fields);
        let address = client_address(peer.parse().unwrap(), &head(&text), &Proxies { trusted: &trusted, header });
        assert_eq!(address.to_string(), expected, "{peer} {header:?} {fields}");
    };
    let (real, list) = (RealIpHeader::XRealIp, RealIpHeader::XForwardedFor);
    check("192.0.2.7", real, "X-Real-IP: 198.51.100.1\r\n", "192.0.2.7");
    check("192.0.2.7", list, "X-Forwarded-For: 198.51.100.1\r\n", "192.0.2.7");
    check("10.1.1.1", real, "x-real-ip: 198.51.100.1\r\n", "198.51.100.1");
    check("::ffff:10.1.1.1", real, "x-real-ip: ::ffff:198.51.100.1\r\n", "198.51.100.1");
    check("10.1.1.1", real, "X-Forwarded-For: 198.51.100.1\r\n", "10.1.1.1");
    check("10.1.1.1", real, "X-Real-IP: unknown\r\n", "10.1.1.1");
    check("::1", list, "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 10.9.9.9\r\n", "198.51.100.1");
    check("::1", list, "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: [2001:db8::1]:443\r\n", "2001:db8::1");
    check("::1", list, "X-Forwarded-For: 198.51.100.1, nonsense, 10.9.9.9\r\n", "10.9.9.9");
    check("::1", list, "X-Forwarded-For: 10.0.0.5, 10.9.9.9\r\n", "10.0.0.5");
    check("::1", list, "", "::1");
    check("::1", list, "X-Forwarded-For: 203.0.113.9, [2001:db8::1]\r\n", "2001:db8::1");
    check("::1", list, "X-Forwarded-For: \"[2001:db8::1]:443\"\r\n", "2001:db8::1");
    check("::1", list, "X-Forwarded-For: 198.51.100.1:443\r\n", "198.51.100.1");
    for unreadable in ["[198.51.100.1]", "[2001:db8::1", "2001:db8::1]", "[[2001:db8::1]]", "[]", "\"\""] {
        check("::1", list, &format!("X-Forwarded-For: {unreadable}\r\n"), "::1");
    }
    // Where a socket is for both versions.
    check("::ffff:192.0.2.7", real, "X-Real-IP: 198.51.100.1\r\n", "192.0.2.7");
}

#[test]
fn upgrades() {
    let check = |headers: &str, subprotocol: &str| {
        let text = get("/ws/sesion=0", headers);
        let expected = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
        );
        let answer = upgrade(&head(&text)).unwrap_or_else(|refused| panic!("{headers}: {refused:?}"));
        assert_eq!(String::from_utf8(answer.bytes).unwrap(), expected, "{headers}");
    };
    check(KEY, "");
    check(&format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}"), "");
    check(
        &format!(
            "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n{}",
            KEY.to_lowercase().replace("dghlihnhbxbszsbub25jzq", "dGhlIHNhbXBsZSBub25jZQ")
        ),
        "",
    );
    check(&KEY.replace(": ", ":\t ").replace("\r\n", "  \r\n"), "");
    check(&format!("Sec-WebSocket-Version: 8, 13\r\n{KEY}"), "");
    check(&format!("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n{KEY}"), "");
    for (offered, chosen) in [
        ("chat, superchat", "chat"),
        ("superchat,chat", "chat"),
        ("superchat", "superchat"),
        ("CHAT, b", "CHAT"),
        ("\"x\", a b, ok", "ok"),
        ("a\r\nSec-WebSocket-Protocol: chat", "chat"),
    ] {
        let expected = format!("Sec-WebSocket-Protocol: {chosen}\r\n");
        check(&format!("{KEY}Sec-WebSocket-Protocol: {offered}\r\n"), &expected);
    }
    for offered in ["", ",", "a b", "<script>", "я"] {
        check(&format!("{KEY}Sec-WebSocket-Protocol: {offered}\r\n"), "");
    }
}

#[test]
fn refused_upgrades() {
    let check = |headers: &str, expected: RefusedUpgrade, status| {
        let text = get("/ws/sesion=0", headers);
        assert_eq!(upgrade(&head(&text)), Err(expected), "{headers}");
        let answer = String::from_utf8(expected.answer()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains("\r\nConnection: close\r\n"));
        assert_eq!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), status == 426);
    };
    check("", RefusedUpgrade::MissingKey, 400);
    check("Sec-WebSocket-Key:\r\n", RefusedUpgrade::MissingKey, 400);
    for key in [
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25jZQQ==",
        "dGhlIHNhbXBsZSBub25j-Q==",
        "dGhlIHNhbXBsZSBub25 ZQ==",
        &"A".repeat(400),
    ] {
        check(&format!("Sec-WebSocket-Key: {key}\r\n"), RefusedUpgrade::InvalidKey, 400);
    }
    check(&format!("Upgrade: h2c\r\n{KEY}"), RefusedUpgrade::NotAnUpgrade, 400);
    check(&format!("Connection: close\r\n{KEY}"), RefusedUpgrade::NotAnUpgrade, 400);
    check(&format!("Sec-WebSocket-Version: 8\r\n{KEY}"), RefusedUpgrade::WrongVersion, 426);
}

/// Head fields in lower case without the status line, and the body, of an answer.
fn parsed(answer: &[u8]) -> (u16, HashMap<String, String>, String) {
    let mut storage = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut storage);
    let used = response.parse(answer).unwrap().unwrap();
    let fields = response
        .headers
        .iter()
        .map(|field| (field.name.to_lowercase(), String::from_utf8(field.value.into()).unwrap()))
        .collect();
    (response.code.unwrap(), fields, String::from_utf8(answer[used..].into()).unwrap())
}

#[test]
fn plain_answers() {
    let check = |route: &Route<'_>, status: u16, cached: bool, body: &str| {
        let (found_status, fields, found_body) = parsed(&plain(route, true, &SITE).unwrap());
        assert_eq!(found_status, status);
        assert!(found_body.contains(body), "{found_body}");
        assert_eq!(fields["content-length"], found_body.len().to_string());
        assert_eq!(fields["access-control-allow-origin"], "*");
        assert_eq!(fields["access-control-allow-methods"], "POST, GET");
        assert_eq!(fields["access-control-allow-headers"], "origin, content-type, accept");
        assert_eq!(fields["allow"], "POST, GET");
        assert_eq!(fields["connection"], "close");
        assert!(fields["server"].starts_with("Encke/"));
        let kept = if status == 404 { "no-cache" } else { "max-age=3600" };
        assert_eq!(fields.get("cache-control").map(String::as_str), cached.then_some(kept));
        let content_type = if *route == Route::Favicon { "image/svg+xml" } else { "text/html" };
        assert_eq!(fields["content-type"], format!("{content_type}; charset=UTF-8"));
        // HEAD: the same head without the body.
        assert_eq!(parsed(&plain(route, false, &SITE).unwrap()), (status, fields, String::new()));
    };
    check(&Route::Start, 200, true, "<p>start");
    check(&Route::Favicon, 200, true, "<svg");
    check(&Route::NotFound, 404, true, "nothing at this address");
    let (_, _, body) = parsed(&plain(&Route::Options, true, &SITE).unwrap());
    assert_eq!(body, "+OK\r\n");
    check(&Route::Options, 200, true, "+OK");
    check(&Route::Info, 200, false, r#"{"status":"ok","node":"n1________"}"#);
    assert_eq!(plain(&Route::WebSocket("/ws/"), true, &SITE), None);
    assert_eq!(plain(&Route::Static("a.js".into()), true, &SITE), None);
}

#[test]
fn demo_pages() {
    let answer = |target: &str| {
        let text = get(target, "");
        let route = route(&head(&text));
        plain(&route, true, &SITE).map(|answer| parsed(&answer))
    };
    for (target, content_type, inside) in [
        ("/demo/", "text/html", "<h1>Demos</h1>"),
        ("/demo/chat", "text/html", "html_chat.js"),
        ("/comet-server/demo/chat?x", "text/html", "html_chat.js"),
        ("/demo/users", "text/html", r#"name="cometql-port" content="3300""#),
        ("/demo/html_chat.js", "text/javascript", "EnckeChat"),
        ("/demo/html_chat.css", "text/css", ".chat"),
        ("/doc/html_chat.js", "text/javascript", "htmljs_Chat_Init"),
        ("/doc/html_chat.css", "text/css", ".html-chat-history"),
    ] {
        let (status, fields, body) = answer(target).unwrap();
        assert_eq!((status, &*fields["content-type"]), (200, &*format!("{content_type}; charset=UTF-8")), "{target}");
        assert!(body.contains(inside) && !body.contains("{{"), "{target}: {body}");
        let is_page = content_type == "text/html";
        assert_eq!(fields.get("content-security-policy").is_some_and(|it| it.contains("script-src 'self';")), is_page);
        let is_library = target.contains("html_chat");
        assert_eq!(fields["cache-control"], if is_library { "max-age=3600" } else { "no-cache" }, "{target}");
    }
    for (target, place) in
        [("/demo", "demo/"), ("/dashboard/", "../dashboard"), ("/console/", "../console"), ("/demo/chat/", "../chat")]
    {
        let (status, fields, _) = answer(target).unwrap();
        assert_eq!((status, &*fields["location"]), (301, place), "{target}");
        assert_eq!(answer(&format!("/comet-server{target}")).unwrap().0, 301);
    }
    // What is not embedded may be a file.
    assert_eq!(answer("/demo/mine.js"), None);
}

#[test]
fn pages_that_the_client_has_are_not_sent_again() {
    let page = get("/demo/users", "");
    for route in [Route::Start, Route::Favicon, route(&head(&page))] {
        let (_, fields, _) = parsed(&plain(&route, true, &SITE).unwrap());
        let tag = &fields["etag"];
        let text = get("/", &format!("If-None-Match: {tag}\r\n"));
        let answer = plain_answer(&route, &Conditions::of(&head(&text)), &SITE, &Terms::LAST).unwrap();
        let (status, fields, body) = parsed(&answer);
        assert_eq!((status, body.as_str(), fields.get("content-length"), &fields["etag"]), (304, "", None, tag));
    }
}

#[test]
fn what_is_part_of_the_program_is_compressed_for_who_takes_it() {
    let asset = assets::Asset::find("/encke.js").expect("the library");
    let plain = parsed(&plain(&Route::Asset(asset), true, &SITE).unwrap());
    let text = get("/encke.js", "Accept-Encoding: gzip\r\n");
    let answer = plain_answer(&Route::Asset(asset), &Conditions::of(&head(&text)), &SITE, &Terms::LAST).unwrap();
    let at = memchr::memmem::find(&answer, b"\r\n\r\n").unwrap() + 4;
    let fields = std::str::from_utf8(&answer[..at]).unwrap();
    assert!(fields.contains("Content-Encoding: gzip\r\n") && fields.contains("Vary: Accept-Encoding\r\n"), "{fields}");
    assert!(!fields.contains(&plain.1["etag"]), "{fields}");
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&answer[at..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!((unpacked.as_str(), plain.2.as_str()), (asset.body, asset.body));
    assert!(answer.len() * 2 < asset.body.len());
}

#[test]
fn terms_of_requests() {
    let terms = |request: &str, headers: &str, hosts: &[&str]| {
        let text = format!("{request}\r\n{headers}\r\n");
        let head = head(&text);
        Terms::of(&head, &route(&head), hosts)
    };
    for (request, headers, persistent) in [
        ("GET / HTTP/1.1", "", false),
        ("GET / HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("GET / HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("GET /health HTTP/1.1", "", true),
        ("GET /comet-server/health HTTP/1.1", "", true),
        ("GET /health HTTP/1.1", "Connection: close\r\n", false),
        ("GET /health HTTP/1.0", "", false),
        ("GET /health HTTP/1.1", "Content-Length: 0\r\n", true),
        ("GET /health HTTP/1.1", "Content-Length: 5\r\n", false),
        ("GET /health HTTP/1.1", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", false),
        ("OPTIONS /poll?x HTTP/1.1", "", true),
    ] {
        assert_eq!(terms(request, headers, &[]).persistent, persistent, "{request} {headers}");
    }
    let origin = "Origin: https://a.example\r\n";
    assert_eq!(terms("GET / HTTP/1.1", origin, &[]).cors, Cors::Everybody);
    assert_eq!(terms("GET / HTTP/1.1", origin, &["*"]).cors, Cors::Everybody);
    assert_eq!(terms("GET / HTTP/1.1", origin, &["a.example"]).cors, Cors::Page("https://a.example".into()));
    assert_eq!(terms("GET / HTTP/1.1", origin, &["b.example"]).cors, Cors::Nobody);
    assert_eq!(terms("GET / HTTP/1.1", "", &["b.example"]).cors, Cors::Nobody);
    let text = response_on(&terms("OPTIONS /sse HTTP/1.1", origin, &["a.example"]), 200, "text/plain", &[], b"", true);
    let (_, fields, _) = parsed(&text);
    assert_eq!(fields["access-control-allow-origin"], "https://a.example");
    assert_eq!((fields["vary"].as_str(), fields["connection"].as_str()), ("Origin", "keep-alive"));
    assert!(fields["access-control-allow-headers"].contains("last-event-id"));
    let (_, fields, _) =
        parsed(&response_on(&terms("GET / HTTP/1.1", origin, &["b.example"]), 200, "a/b", &[], b"", true));
    assert_eq!(fields.get("access-control-allow-origin"), None);
}

#[test]
fn node_names_have_ten_characters() {
    for (node_name, shown) in
        [("", "__________"), ("n1", "n1________"), ("abcdefghijkl", "abcdefghij"), ("ж\"", "ж\"________")]
    {
        let (_, _, body) = parsed(&plain(&Route::Info, true, &Site { node_name, ..SITE }).unwrap());
        let info: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&info["status"], &info["node"]), (&"ok".into(), &shown.into()));
    }
}

#[test]
fn the_libraries_are_scripts() {
    for (route, word) in [
        (asset("/encke.js"), "as connect"),
        (asset("/CometServerApi.js"), "cometApi"),
        (asset("/encke-http.js"), "as longPolling"),
    ] {
        let (status, fields, body) = parsed(&plain(&route, true, &SITE).unwrap());
        assert_eq!((status, fields["content-type"].as_str()), (200, "text/javascript; charset=UTF-8"));
        // Pages of other hosts load it as a module.
        assert_eq!(fields["access-control-allow-origin"], "*");
        assert_eq!(fields["cache-control"], "max-age=3600");
        assert!(body.contains(word) && !body.contains("sourceMappingURL"), "{body}");
    }
}

#[test]
fn the_start_page_is_whole() {
    let page = start_page(&Site { cometql_port: 3307, ..SITE });
    assert!(page.contains("3307") && !page.contains("{{"));
    assert!(page.len() < 64 * 1024);
}

#[test]
fn pages_load_nothing_from_elsewhere_and_take_no_text_for_markup() {
    let page = start_page(&Site { cometql_port: 3307, ..SITE });
    let assets = assets::ASSETS.iter().filter(|asset| !asset.is_library).map(|asset| (asset.path, asset.body));
    for (path, text) in assets.chain([("/", page.as_str())]) {
        assert!(!text.contains("https://") && !text.contains("src=\"//"), "{path}");
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick=", "style="]
        {
            assert!(!text.contains(markup), "{path} has {markup}");
        }
        // The policy forbids scripts and styles that stand in the page itself.
        assert!(!text.contains("<script>") && !text.contains("<style"), "{path}");
    }
    for route in [Route::Start, asset("/console"), asset("/dashboard")] {
        let (status, fields, _) = parsed(&plain(&route, true, &SITE).unwrap());
        assert_eq!((status, fields["content-type"].as_str()), (200, "text/html; charset=UTF-8"));
        let policy = &fields["content-security-policy"];
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"), "{policy}");
    }
}

#[test]
fn files() {
    let file = FileHead {
        wanted: Wanted::Whole,
        length: 27,
        validators: Validators::of_file(27, 784_111_777, 5, 9),
        gzip: false,
        varies: false,
    };
    let (status, fields, body) = parsed(&file_head(&file, "application/javascript", &Terms::LAST));
    assert_eq!((status, body.as_str(), fields["content-length"].as_str()), (200, "", "27"));
    assert_eq!(fields["content-type"], "application/javascript; charset=UTF-8");
    assert_eq!(fields["cache-control"], "max-age=3600");
    assert_eq!((fields["allow"].as_str(), fields["access-control-allow-methods"].as_str()), ("GET", "GET"));
    assert_eq!(fields["last-modified"], "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!((fields.get("vary"), fields["accept-ranges"].as_str()), (None, "bytes"));
    let (_, fields, _) = parsed(&file_head(&file, "text/plain; charset=KOI8-R", &Terms::LAST));
    assert_eq!(fields["content-type"], "text/plain; charset=KOI8-R");
    for (wanted, expected, length, range) in [
        (Wanted::Part(2..5), 206, Some("3"), Some("bytes 2-4/27")),
        (Wanted::Unsatisfiable, 416, Some("0"), Some("bytes */27")),
        (Wanted::Nothing, 304, None, None),
    ] {
        let file = FileHead { wanted, gzip: true, varies: true, ..file.clone() };
        let (status, fields, _) = parsed(&file_head(&file, "a/b", &Terms::LAST));
        let field = |name| fields.get(name).map(String::as_str);
        assert_eq!((status, field("content-length"), field("content-range")), (expected, length, range));
        assert_eq!((field("content-encoding"), field("vary")), (Some("gzip"), Some("Accept-Encoding")));
        assert_eq!(field("etag"), Some(file.validators.tag()));
    }

    let types = HashMap::from([("js".to_string(), "application/javascript".to_string())]);
    for (path, expected) in [
        ("a.js", Some("application/javascript")),
        ("x.y/a.min.js", Some("application/javascript")),
        ("a.JS", None),
        ("a.txt", None),
        ("js", None),
        ("x.js/a", None),
        ("a.", None),
        ("a.javascriptx", None),
    ] {
        assert_eq!(content_type(&types, path), expected, "{path}");
    }
}

proptest! {
    #[test]
    fn a_head_split_anywhere_is_the_same(target in "/[!-~]{0,40}", value in "[ -~]{0,40}", more: Vec<u8>) {
        let text = get(&target, &format!("X: {value}\r\n"));
        let mut bytes = text.clone().into_bytes();
        bytes.extend_from_slice(&more);
        let Ok(HeadStep::Head(head)) = parse_head(&bytes, &HeadLimits::default()) else { panic!("{text}") };
        prop_assert_eq!((head.used, head.target), (text.len(), target.as_str()));
        prop_assert_eq!(head.header("x"), Some(value.as_bytes().trim_ascii()));
        for split in 0..text.len() {
            let step = parse_head(&bytes[..split], &HeadLimits::default());
            prop_assert!(matches!(step, Ok(HeadStep::Incomplete)), "{split}");
        }
    }

    #[test]
    fn any_bytes_end_in_a_value(bytes: Vec<u8>, target in "(/|%2e|%2f|\\.|[!-~]){1,30}", headers in "((Upgrade|Connection|Sec-WebSocket-(Key|Version|Protocol)): [ -~]{0,30}\r\n){0,4}") {
        for bytes in [bytes, get(&target, &headers).into_bytes()] {
            let Ok(HeadStep::Head(head)) = parse_head(&bytes, &HeadLimits { head_bytes_max: 512 }) else { continue };
            prop_assert!(head.used <= bytes.len());
            if let Ok(answer) = upgrade(&head) {
                prop_assert!(answer.bytes.ends_with(b"\r\n\r\n"));
                prop_assert!(!answer.bytes[..answer.bytes.len() - 4].windows(4).any(|four| four == b"\r\n\r\n"));
            }
            if let Route::Static(path) = route(&head) {
                prop_assert!(path.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.')));
                prop_assert!(!path.contains(['\\', '\0']));
            }
        }
    }
}
