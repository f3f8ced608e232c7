//! CometQL by HTTP: `POST /cometql` of the running program.

use crate::random::Random;
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::{Http, Response};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;

const JSON: &str = "Content-Type: application/json\r\n";

fn posted(http: &mut Http, target: &str, fields: &str, body: &str) -> Response {
    http.send(&format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    ));
    http.response()
}

fn bearer(server: &Server) -> String {
    format!("Authorization: Bearer {}\r\n", server.password)
}

/// The results of statements that the server takes.
fn results(server: &Server, http: &mut Http, body: &Value) -> Vec<Value> {
    let response = posted(http, "/cometql", &format!("{}{JSON}", bearer(server)), &body.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    parsed(&response)["results"].as_array().expect("results").clone()
}

fn parsed(response: &Response) -> Value {
    assert_eq!(response.field("content-type"), "application/json; charset=UTF-8");
    assert_eq!(response.field("cache-control"), "no-store");
    serde_json::from_str(response.text()).expect("JSON")
}

#[test]
fn curl_publishes_and_reads() {
    let Some(curl) = tools::need("curl_publishes_and_reads", &["curl"]) else { return };
    let server = Server::start(&Setup::default());
    let mut browser = server.browser();
    browser.send("subscription\nnews");
    server.await_subscribers("news", 1);
    let url = format!("http://{}/cometql", server.browsers);
    let ask = |arguments: &[&str]| -> Value {
        let authorization = format!("Authorization: Bearer {}", server.password);
        let mut command = Command::new(&curl);
        command.args(["-sS", "--fail-with-body", &url, "-H", &authorization]).args(arguments);
        let finished = tools::run(&mut command, PATIENCE);
        assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
        serde_json::from_str(&finished.stdout).expect("JSON")
    };
    let answer =
        ask(&["-d", "SELECT name, users FROM pipes WHERE name = 'news'; SELECT 1 AS one; SELECT * FROM nowhere"]);
    let column = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let expected = json!([
        { "columns": [column("name", "text"), column("users", "number")], "rows": [["news", "1"]] },
        { "columns": [column("one", "number")], "rows": [["1"]] },
    ]);
    assert_eq!(answer["results"].as_array().map(|results| &results[..2]), expected.as_array().map(Vec::as_slice));
    assert_eq!(answer["results"][2]["error"]["number"], 15);
    assert_eq!(answer["results"][2]["error"]["sqlstate"], "HY000");
    let insert = json!({
        "sql": "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)",
        "params": ["news", "hello", "it's \"so\" \\ far"],
    });
    let answer = ask(&["-H", "Content-Type: application/json", "-d", &insert.to_string()]);
    assert_eq!(answer, json!({ "results": [{ "affected": 0, "insert_id": 0 }] }));
    let message = browser.receive();
    assert_eq!((&message["event"], &message["data"]), (&"hello".into(), &"it's \"so\" \\ far".into()));
}

#[test]
fn whatever_values_are_bound_comes_back() {
    let server = Server::start(&Setup::default());
    let (mut http, mut backend) = (Http::connect(&server), server.backend());
    let mut random = Random::new(20_261_121);
    let alphabet: Vec<char> = "'\"\\;?`%-/*#\0\n\r\u{1a}\u{7f} aZ09()ящ€😀".chars().collect();
    for user in 1..60 {
        let length = random.below(40);
        let text: String = (0..length).filter_map(|_| random.pick(&alphabet)).collect();
        let found = results(
            &server,
            &mut http,
            &json!([
                { "sql": "INSERT INTO users_data (id, data) VALUES (?, ?)", "params": [user, text] },
                { "sql": "SELECT data FROM users_data WHERE id = ?", "params": [user.to_string()] },
            ]),
        );
        assert_eq!(found.len(), 2, "{text:?}: {found:?}");
        assert_eq!(found[1]["rows"], json!([[text]]));
        let rows = backend.rows(&format!("SELECT data FROM users_data WHERE id = {user}")).expect("a row");
        assert_eq!(rows, [[Some(text)]]);
    }
}

#[test]
fn every_status() {
    let server = Server::start(&Setup { more: "[cometql]\nquery_bytes_max = 65536\n".to_owned(), ..Setup::default() });
    let password = bearer(&server);
    let ask = |target: &str, fields: &str, body: &str| posted(&mut Http::connect(&server), target, fields, body);
    let check = |fields: &str, body: &str, status: u16| {
        let response = ask("/cometql", fields, body);
        assert_eq!(response.status, status, "{fields}{}", response.text());
        let number = parsed(&response)["error"]["number"].as_u64();
        assert_eq!(number.is_some(), status != 200, "{}", response.text());
        // Pages of other sites cannot read any of it.
        assert_eq!(response.field("access-control-allow-origin"), "");
        response
    };
    check(&password, "SELECT 1", 200);
    check(&format!("{password}Origin: http://localhost\r\n"), "SELECT 1", 200);
    let refused = check("", "SELECT 1", 401);
    assert_eq!(refused.field("www-authenticate"), "Bearer realm=\"CometQL\"");
    for wrong in ["Bearer wrong", "Bearer", "Basic cm9vdDp3cm9uZw==", "Digest x"] {
        check(&format!("Authorization: {wrong}\r\n"), "SELECT 1", 401);
    }
    for other in ["http://evil.example", "http://localhost:8080", "null"] {
        check(&format!("{password}Origin: {other}\r\n"), "SELECT 1", 403);
    }
    check(&format!("{password}Sec-Fetch-Site: cross-site\r\n"), "SELECT 1", 403);
    check(&format!("{password}X-Forwarded-For: 192.0.2.1\r\n"), "SELECT 1", 403);
    for body in ["", "SELECT 1", "{}", "[]", "{\"sql\":\"SELECT ?\",\"params\":[{}]}"] {
        check(&format!("{password}{JSON}"), body, 400);
    }
    check(&password, &"x".repeat(200_000), 413);
    let ask_as = |target: &str| ask(target, &password, "SELECT 1").status;
    assert_eq!([ask_as("/cometql?user=5&database=db_6"), ask_as("/comet-server/cometql")], [200, 200]);
    assert_eq!([ask_as("/cometql?user=bob"), ask_as("/cometql?database=mysql")], [403, 403]);

    let mut http = Http::connect(&server);
    http.send(&format!("POST /cometql HTTP/1.1\r\n{password}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"));
    assert_eq!(http.response().status, 411);
    http.expect_end();
    let mut http = Http::connect(&server);
    http.send(&format!("GET /cometql HTTP/1.1\r\n{password}\r\n"));
    assert_eq!(http.response().status, 405);
    let mut http = Http::connect(&server);
    http.send("OPTIONS /cometql HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n");
    assert_eq!(http.response().field("access-control-allow-origin"), "");

    let off = Server::start(&Setup { more: "[ws]\ncometql = off\n".to_owned(), ..Setup::default() });
    assert_eq!(posted(&mut Http::connect(&off), "/cometql", &bearer(&off), "SELECT 1").status, 403);
    let on = Server::start(&Setup { more: "[ws]\ncometql = on\n".to_owned(), ..Setup::default() });
    let fields = format!("{}X-Forwarded-For: 192.0.2.1\r\n", bearer(&on));
    assert_eq!(posted(&mut Http::connect(&on), "/cometql", &fields, "SELECT 1").status, 200);
}

#[test]
fn tenants_have_their_own_passwords() {
    let more = "[tenant 5]\npassword = the password of tenant five\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let own = "Authorization: Bearer the password of tenant five\r\n";
    let mut http = Http::connect(&server);
    let insert = "INSERT INTO users_data (id, data) VALUES (1, 'of five')";
    assert_eq!(posted(&mut http, "/cometql?user=5", own, insert).status, 200);
    assert_eq!(posted(&mut http, "/cometql", own, insert).status, 401);
    let read = "SELECT data FROM users_data WHERE id = 1";
    let read_as = |http: &mut Http, target: &str| {
        parsed(&posted(http, target, &bearer(&server), read))["results"][0]["rows"].clone()
    };
    assert_eq!(read_as(&mut http, "/cometql"), json!([]));
    assert_eq!(read_as(&mut http, "/cometql?user=5"), json!([["of five"]]));
    assert_eq!(read_as(&mut http, "/cometql?database=db_5"), json!([["of five"]]));
    // `curl -u 5:password`.
    let basic = "Authorization: Basic NTp0aGUgcGFzc3dvcmQgb2YgdGVuYW50IGZpdmU=\r\n";
    assert_eq!(parsed(&posted(&mut http, "/cometql", basic, read))["results"][0]["rows"], json!([["of five"]]));
    let answer = parsed(&posted(&mut http, "/cometql", basic, "USE db_6; SELECT 1"));
    assert_eq!(
        (&answer["results"][0]["error"]["number"], answer["results"].as_array().map(Vec::len)),
        (&16.into(), Some(1))
    );
}

#[test]
fn wrong_passwords_make_their_address_wait() {
    let more = "[cometql]\nlogin_attempts_max = 3\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut http = Http::connect(&server);
    let mut ask = |password: &str| {
        let response = posted(&mut http, "/cometql", &format!("Authorization: Bearer {password}\r\n"), "SELECT 1");
        (response.status, response.field("retry-after").to_owned())
    };
    for _ in 0..3 {
        assert_eq!(ask("wrong").0, 401);
    }
    // The right one neither, or guessing would go on.
    let (status, after) = ask(&server.password);
    assert!(status == 200 || status == 429 && after == "1", "{status} {after}");
    if status == 429 {
        server.await_line(|line| line.contains("have to wait"), "that logins have to wait");
    }
    let let_in = tools::until(PATIENCE, || (ask(&server.password).0 == 200).then_some(()));
    assert!(let_in.is_some(), "the wait does not end");
    assert_eq!(ask("wrong").0, 401, "it begins anew");
}

#[test]
fn wrong_passwords_by_http_hold_off_no_backend() {
    let more = "[cometql]\nlogin_attempts_max = 3\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut http = Http::connect(&server);
    let statuses: Vec<u16> =
        (0..8).map(|_| posted(&mut http, "/cometql", "Authorization: Bearer wrong\r\n", "SELECT 1").status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    server.backend().execute("INSERT INTO pipes_messages (name, event, message) VALUES ('abc', 'e', 'm')").expect("OK");
}

#[test]
fn a_name_of_somebody_else_is_not_this_machine() {
    let server = Server::start(&Setup::default());
    let mut http = Http::connect(&server);
    // As a browser asks whose page has made its own name lead here.
    let fields = format!("Host: evil.example:80\r\nOrigin: http://evil.example:80\r\n{}", bearer(&server));
    http.send(&format!("POST /cometql HTTP/1.1\r\n{fields}Content-Length: 8\r\n\r\nSELECT 1"));
    assert_eq!(http.response().status, 403);
}

#[test]
fn who_has_said_all_still_gets_the_answer() {
    let server = Server::start(&Setup::default());
    let mut stream = TcpStream::connect(server.browsers).expect("the server accepts");
    let head = format!("POST /cometql HTTP/1.1\r\nHost: localhost\r\n{}", bearer(&server));
    stream.write_all(format!("{head}Content-Length: 15\r\n\r\nSELECT 7 AS one").as_bytes()).expect("it is taken");
    stream.shutdown(Shutdown::Write).expect("it ends");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and the end");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"[["7"]]}]}"#), "{answer}");
}

#[test]
fn mixed_values_are_sorted() {
    // More than twenty rows, by values whose comparison is no order: a sort may not take them as they are.
    let server = Server::start(&Setup::default());
    let query = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='information_schema'
        ORDER BY CASE LENGTH(TABLE_NAME) % 4 WHEN 0 THEN '10' WHEN 1 THEN '9' ELSE '1a' END";
    let results = results(&server, &mut Http::connect(&server), &json!({ "sql": query }));
    let rows = results[0]["rows"].as_array().expect("rows");
    assert!(rows.len() > 20, "{rows:?}");
    let kinds = rows.iter().map(|row| match row[0].as_str().map_or(0, str::len) % 4 {
        1 => 0,
        0 => 1,
        _ => 2,
    });
    assert!(kinds.is_sorted(), "{rows:?}");
}

#[test]
fn connections_stay_also_behind_large_bodies_and_large_answers() {
    let server = Server::start(&Setup::default());
    let mut http = Http::connect(&server);
    let password = bearer(&server);
    let large = "x".repeat(900_000);
    for user in 1..=6 {
        let body = json!({ "sql": "INSERT INTO users_data (id, data) VALUES (?, ?)", "params": [user, large] });
        assert_eq!(results(&server, &mut http, &body), [json!({ "affected": 1, "insert_id": user })]);
    }
    let read = |http: &mut Http, users: &str| {
        let sql = format!("SELECT id, data FROM users_data WHERE id IN ({users})");
        results(&server, http, &json!([{ "sql": sql }, { "sql": "SELECT 1" }]))
    };
    let found = read(&mut http, "1, 2, 3, 4");
    assert_eq!((found.len(), found[0]["rows"].as_array().map(Vec::len)), (2, Some(4)));
    assert!(found[0]["rows"].as_array().is_some_and(|rows| rows.iter().all(|row| row[1] == large.as_str())));
    // One more is too much, and what follows is not carried out.
    let found = read(&mut http, "1, 2, 3, 4, 5, 6");
    assert_eq!((found.len(), &found[0]["error"]["number"]), (1, &11.into()));

    // Pipelined, and a client that waits for a word before it sends its body.
    let one = format!("POST /cometql HTTP/1.1\r\nHost: localhost\r\n{password}Content-Length: 8\r\n\r\nSELECT 1");
    http.send(&one.repeat(20));
    for _ in 0..20 {
        assert_eq!(http.response().status, 200);
    }
    http.send(&format!(
        "POST /cometql HTTP/1.1\r\nHost: localhost\r\n{password}Content-Length: 8\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(http.response().status, 100);
    http.send("SELECT 1");
    assert_eq!(http.response().status, 200);
}

#[test]
fn bodies_that_never_come_hold_up_nobody() {
    let server = Server::start(&Setup::default());
    let head =
        format!("POST /cometql HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 2000000\r\n\r\n", bearer(&server));
    // More than is collected for all of them: those that began first are dropped.
    let piece = vec![b'x'; 1_900_000];
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..90 {
        let mut stream = TcpStream::connect(server.browsers).expect("the server accepts");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("the head is taken");
        // The server may have ended it meanwhile.
        let _ = stream.write_all(&piece);
        slow.push(stream);
    }
    let dropped = tools::until(PATIENCE, || {
        let rows = server.backend().rows("SHOW GLOBAL STATUS").expect("figures");
        let closed = rows.iter().find(|row| row[0].as_deref() == Some("encke_closed_no_room"));
        closed.is_some_and(|row| row[1].as_deref() != Some("0")).then_some(())
    });
    assert!(dropped.is_some(), "none was dropped");
    assert_eq!(results(&server, &mut Http::connect(&server), &json!({ "sql": "SELECT 1" })).len(), 1);
    drop(slow);
    // Cut off amid the body, and gone before the answer.
    for body in ["", "SEL", "SELECT SLEE"] {
        let mut stream = TcpStream::connect(server.browsers).expect("the server accepts");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("it is taken");
    }
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.browsers).expect("the server accepts");
        let text = format!(
            "POST /cometql HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 8\r\n\r\nSELECT 1",
            bearer(&server)
        );
        stream.write_all(text.as_bytes()).expect("it is taken");
    }
    let gone = tools::until(PATIENCE, || {
        let rows = server.backend().rows("SHOW FULL PROCESSLIST").expect("sessions");
        (rows.len() == 1).then_some(())
    });
    assert!(gone.is_some(), "sessions stay");
    assert_eq!(results(&server, &mut Http::connect(&server), &json!({ "sql": "SELECT 1" })).len(), 1);
}

#[test]
fn many_at_once_lose_nothing() {
    let server = Server::start(&Setup { shards: 4, ..Setup::default() });
    let mut browser = server.browser();
    browser.send("subscription\nmany");
    server.await_subscribers("many", 1);
    let accepted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..40)
            .map(|_| {
                scope.spawn(|| {
                    let mut http = Http::connect(&server);
                    let one = json!({
                        "sql": "INSERT INTO pipes_messages (name, event, message) VALUES (?, 'e', ?)",
                        "params": ["many", "m"],
                    });
                    let body = json!([one, one, one]).to_string();
                    let mut accepted = 0;
                    for _ in 0..20 {
                        let response = posted(&mut http, "/cometql", &format!("{}{JSON}", bearer(&server)), &body);
                        match response.status {
                            200 => accepted += parsed(&response)["results"].as_array().map_or(0, Vec::len),
                            503 => assert_eq!(response.field("retry-after"), "1"),
                            status => panic!("{status}: {}", response.text()),
                        }
                    }
                    accepted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a client")).sum()
    });
    assert!(accepted > 0);
    for _ in 0..accepted {
        assert_eq!(browser.receive()["event"], "e");
    }
    // None beside those: what was refused was not begun. The figures are a moment behind.
    let counted = tools::until(PATIENCE, || {
        let rows = server.backend().rows("SHOW GLOBAL STATUS").expect("figures");
        let inserts = rows.iter().find(|row| row[0].as_deref() == Some("encke_inserts")).expect("a figure");
        inserts[1].as_ref()?.parse().ok().filter(|inserts: &usize| *inserts >= accepted)
    });
    assert_eq!(counted, Some(accepted));
}
