//! Small pages of two other comet servers, written to what those document and to what their scripts read.

use crate::server::{Server, Setup};
use crate::transports::Http;
use serde_json::{Value, json};

/// What a script in a page is called with.
fn called(http: &mut Http, target: &str, fields: &str, callback: &str) -> Value {
    let answer = http.get(target, fields);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert!(answer.field("content-type").starts_with("application/javascript"));
    let inside = answer.text().strip_prefix(&format!("/**/{callback}(")).and_then(|text| text.strip_suffix(");"));
    serde_json::from_str(inside.unwrap_or_else(|| panic!("{}", answer.text()))).expect("JSON")
}

/// A page of icomet: a token, and then one request after the other with the number of the next message.
struct IComet {
    http: Http,
    cname: &'static str,
    token: String,
    seq: u64,
    noop: i64,
    got: Vec<String>,
}

impl IComet {
    fn sign(server: &Server, cname: &'static str, seq: u64) -> Self {
        let mut http = Http::connect(server);
        // Its library lets jQuery add a callback of its own.
        let target = format!("/sign?cb=icomet_cb_0&cname={cname}&_=1&callback=cb");
        let sign = called(&mut http, &target, "", "icomet_cb_0");
        assert_eq!((&sign["type"], &sign["cname"], &sign["seq"]), (&json!("sign"), &json!(cname), &json!(0)));
        assert!(sign["sub_timeout"].as_u64().is_some_and(|seconds| (26..=30).contains(&seconds)));
        let token = sign["token"].as_str().expect("a token").to_owned();
        Self { http, cname, token, seq, noop: 0, got: Vec::new() }
    }

    fn sub(&mut self) -> Value {
        let Self { cname, token, seq, noop, .. } = self;
        let target = format!("/sub?cb=icomet_cb_0&cname={cname}&seq={seq}&noop={noop}&token={token}&_=1");
        called(&mut self.http, &target, "", "icomet_cb_0")
    }

    /// As its script takes it: whatever is not the next number would have been lost.
    fn take(&mut self) {
        for message in self.sub().as_array().expect("messages") {
            assert_eq!((&message["type"], &message["cname"]), (&json!("data"), &json!(self.cname)));
            assert_eq!(message["seq"], json!(self.seq.to_string()), "a gap");
            self.seq += 1;
            self.got.push(message["content"].as_str().expect("a text").to_owned());
        }
    }
}

#[test]
fn a_page_of_icomet() {
    let server = Server::start(&Setup { shards: 2, ..Setup::default() });
    let mut pages = [0, 17].map(|seq| IComet::sign(&server, "web_icomet", seq));
    server.await_subscribers("web_icomet", 2);
    let insert =
        |text: &str| format!("INSERT INTO pipes_messages (name, event, message) VALUES ('web_icomet', 'e', '{text}')");
    let mut backend = server.backend();
    for number in 0..3 {
        backend.execute(&insert(&format!("from a backend {number}"))).expect("accepted");
    }
    // Of another page, and of a backend that sends the inside of a JSON text.
    let mut other = Http::connect(&server);
    let published = other.get("/pub?cname=web_icomet&content=it%27s%20%5C%22so%5C%22", "");
    assert_eq!(published.text(), r#"{"type":"ok"}"#);
    for page in &mut pages {
        while page.got.len() < 4 {
            page.take();
        }
        assert_eq!(page.got, ["from a backend 0", "from a backend 1", "from a backend 2", "it's \"so\""]);
        // An answer that was lost comes again.
        page.seq -= 1;
        page.got.pop();
        page.take();
        assert_eq!(page.got.len(), 4);
    }
    // A token that nobody has any more says nothing, and the script asks for a new one.
    let [mut page, _] = pages;
    let last = if page.token.ends_with('0') { "1" } else { "0" };
    page.token.replace_range(page.token.len() - 1.., last);
    assert_eq!(page.sub(), Value::Null);
    page.token = "x".to_owned();
    let answer = page.http.get("/sub?cname=web_icomet&seq=0&token=x", "");
    assert_eq!((answer.status, answer.text()), (401, r#"{"type":"401"}"#));
}

/// A page of `CComet`, whose script gets a text, and says of itself only what it had last.
fn ccomet(http: &mut Http, target: &str) -> Vec<Value> {
    let text = called(http, &format!("{target}&time=1&callback=jQuery1_2&_=3"), "", "jQuery1_2");
    serde_json::from_str(text.as_str().expect("a text")).expect("JSON")
}

#[test]
fn a_page_of_ccomet() {
    let server = Server::start(&Setup { shards: 2, ..Setup::default() });
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('web_old', 100)").expect("set");
    let mut page = Http::connect(&server);
    let who = "channel=web_old&sname=ann";
    assert_eq!(ccomet(&mut page, &format!("/sign?{who}")), [json!({ "type": "SIGN" })]);
    // It waits for its first message; the other one speaks.
    page.send(&format!("GET /sub?{who}&seqid=0&callback=f HTTP/1.1\r\nHost: x\r\n\r\n"));
    server.await_subscribers("web_old", 1);
    let mut other = Http::connect(&server);
    let published = ccomet(&mut other, "/pub?channel=web_old&sname=bob&msg=one");
    assert_eq!(published, [json!({ "type": "pub" })]);
    let first = page.response();
    let inside = first.text().strip_prefix("/**/f(").and_then(|text| text.strip_suffix(");")).expect("a call");
    let inside: String = serde_json::from_str(inside).expect("a text");
    let mut got: Vec<Value> = serde_json::from_str(&inside).expect("messages");
    assert_eq!((&got[0]["msg"], &got[0]["sname"], &got[0]["type"]), (&json!("one"), &json!("bob"), &json!("MSG")));
    // Nobody waits while these come; the next request begins behind what it had.
    server.await_subscribers("web_old", 0);
    for text in ["two", "three"] {
        ccomet(&mut other, &format!("/publish?channel=web_old&sname=bob&msg={text}"));
    }
    while got.len() < 3 {
        let last: u64 = got[got.len() - 1]["seqid"].as_str().and_then(|text| text.parse().ok()).expect("a number");
        // As a number of JavaScript.
        assert!(last < 1 << 53);
        got.extend(ccomet(&mut page, &format!("/subscribe?{who}&seqid={}", last + 1)));
    }
    let texts: Vec<_> = got.iter().map(|message| message["msg"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

#[test]
fn what_such_pages_may_not() {
    let server = Server::start(&Setup { shards: 1, more: "[ws]\nhost = a.example\n".into(), ..Setup::default() });
    let mut http = Http::connect(&server);
    let listed = "Referer: http://a.example/\r\n";
    for (target, fields, word) in [
        ("/sign?cname=web_a&cb=f", "", "403"),
        ("/sign?cname=web_a&cb=f", "Referer: http://evil.example/\r\n", "403"),
        ("/sign?cname=web_a&cb=f", listed, "sign"),
        ("/pub?cname=web_a&cb=f&content=x", listed, "ok"),
        ("/pub?cname=news&cb=f&content=x", listed, "403"),
        ("/pub?cname=web_a&cb=f", listed, "403"),
        ("/sign?cname=a%20b&cb=f", listed, "404"),
        ("/sub?cname=web_a&token=1&cb=f", listed, "401"),
    ] {
        assert_eq!(called(&mut http, target, fields, "f")["type"], word, "{target} {fields}");
    }
    assert_eq!(http.get("/sign?cname=web_a&cb=f(x", listed).status, 403);
    for target in ["/sign", "/sub", "/pub?channel=", "/subscribe?x"] {
        assert_eq!(http.get(target, listed).status, 400, "{target}");
    }
}
