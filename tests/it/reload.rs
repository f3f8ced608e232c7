//! Another configuration for the running server: what counts at once, for whom, and what changes nothing.

use crate::server::{Browser, PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::Http;
use jsonwebtoken::{EncodingKey, Header, encode};
use loadtest::{Answer, CometQl};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn setup(more: &str) -> Setup {
    Setup { more: more.to_owned(), ..Setup::default() }
}

/// What the server says of it.
fn reload(server: &Server, more: &str) -> String {
    let told = server.reload(&setup(more));
    assert!(told.status.success(), "{more}: {}", told.stderr);
    told.stdout.trim_end().to_owned()
}

/// The number of the error that a statement is answered with; 0: none.
fn error_of(session: &mut CometQl, sql: &str) -> u16 {
    match session.query(sql).expect("an answer") {
        Answer::Error { code, .. } => code,
        _ => 0,
    }
}

fn status_of(server: &Server, request: &str) -> u16 {
    let mut http = Http::connect(server);
    http.send(request);
    http.head().status
}

/// The status of a handshake, and whether messages are compressed then.
fn handshake(server: &Server, more: &str) -> (u16, bool) {
    let mut http = Http::connect(server);
    http.send(&format!(
        "GET /ws/sesion=&myid=&devid=0&v=4.09&uuid=it&api=js HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: \
         websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    ));
    let head = http.head();
    (head.status, !head.field("sec-websocket-extensions").is_empty())
}

/// The status of a stream of events for a page of another host. What refuses a WebSocket is said behind its handshake.
fn stream(server: &Server) -> u16 {
    status_of(server, "GET /sse?pipes=web_pages HTTP/1.1\r\nHost: x\r\nOrigin: https://b.example\r\n\r\n")
}

#[test]
fn what_concerns_browsers_counts_at_once() {
    let server = Server::start(&setup(""));
    fs::write(server.folder().join("static/a.txt"), "a file").unwrap();
    let mut open = server.browser();
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let get = |path: &str| status_of(&server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    assert_eq!((stream(&server), handshake(&server, deflate)), (200, (101, false)));
    assert_eq!((get("/a.txt"), get("/metrics")), (404, 200));
    let told = reload(&server, "[ws]\nhost = a.example\n");
    assert_eq!(told, "reloaded: 1 changed ([ws] host)");
    assert_eq!(stream(&server), 403);
    let told = reload(&server, "[ws]\ndeflate = on\nthread_num = 4\n");
    assert_eq!(
        told,
        "reloaded: 2 changed ([ws] host, [ws] deflate for new connections); [ws] thread_num waits for a restart"
    );
    assert_eq!((stream(&server), handshake(&server, deflate)), (200, (101, true)));
    reload(&server, "[ws]\nmetrics = off\n[content-type]\ntxt = text/plain\n");
    assert_eq!((get("/a.txt"), get("/metrics")), (200, 404));
    reload(&server, "[ws]\npipes_max = 1\n");
    open.send("subscription\npipe_one\npipe_two");
    server.await_subscribers("pipe_one", 1);
    server.await_subscribers("pipe_two", 0);
    reload(&server, "[ws]\nmessage_bytes_max = 1024\n[main]\nnode_name = another\n");
    let info = tools::run(Command::new("curl").args(["-s", &format!("http://{}/info", server.browsers)]), PATIENCE);
    assert!(info.stdout.contains("another"), "{}", info.stdout);
    open.send(&format!("web_pipe_publication\nweb_x\ne\n{}", "x".repeat(2_000)));
    assert!(is_ended(&mut open), "a message that is too long now ends the connection");
}

fn is_ended(browser: &mut Browser) -> bool {
    tools::until(PATIENCE, || browser.is_dropped().then_some(())).is_some()
}

#[test]
fn connections_that_were_there_before_a_limit_count() {
    let proxy = "trusted_proxies = 127.0.0.1\n";
    let server = Server::start(&Setup { shards: 3, more: format!("[ws]\n{proxy}"), ..Setup::default() });
    let from = |address: &str| {
        let mut http = Http::connect(&server);
        http.send(&format!("GET /sse?pipes=web_limits HTTP/1.1\r\nHost: x\r\nX-Real-IP: {address}\r\n\r\n"));
        (http.head().status, http)
    };
    let mut of_a: Vec<_> = (0..5).map(|_| from("198.51.100.1")).collect();
    assert!(of_a.iter().all(|(status, _)| *status == 200));
    let limited = format!("[ws]\nconnections_per_address_max = 5\n{proxy}");
    let reload = |more: &str| {
        let told = server.reload(&Setup { shards: 3, more: more.to_owned(), ..Setup::default() });
        assert!(told.status.success(), "{}", told.stderr);
    };
    reload(&limited);
    let is_full = tools::until(PATIENCE, || (from("198.51.100.1").0 == 429).then_some(()));
    assert!(is_full.is_some(), "shards tell owners who is there");
    assert_eq!(from("198.51.100.2").0, 200);
    of_a.pop();
    let has_room = tools::until(PATIENCE, || {
        let (status, http) = from("198.51.100.1");
        (status == 200).then_some(http)
    });
    assert!(has_room.is_some(), "whoever leaves makes room");
    reload(&format!("[ws]\n{proxy}"));
    let more: Vec<_> = (0..5).map(|_| from("198.51.100.1")).collect();
    assert!(more.iter().all(|(status, _)| *status == 200), "there is no limit any more");
}

#[test]
fn what_concerns_backends_counts_at_once() {
    let server = Server::start(&setup("[tenant 5]\npassword = the password of 5.\n"));
    let login = |user: &str, password: &str| CometQl::connect(server.cometql, user, password, Some("CometQL_v1"));
    let mut session = server.backend();
    let mut of_tenant = login("5", "the password of 5.").unwrap();
    of_tenant.execute("SET @x = 1").unwrap();
    let long = format!("SELECT '{}'", "x".repeat(8_000));
    assert_eq!((error_of(&mut session, &long), error_of(&mut session, "SELECT * FROM users_data")), (0, 0));
    session.execute("INSERT INTO users_data (id, data) VALUES (1, 'a'), (2, 'b')").unwrap();
    let tenant = "[tenant 5]\npassword = the password of 5.\n";
    let told = reload(
        &server,
        &format!(
            "[cometql]\nquery_bytes_max = 4096\nselect_without_key = off\ndelete_counts = on\nstring_escapes = legacy\n{tenant}"
        ),
    );
    assert!(told.contains("[cometql] string_escapes for new connections"), "{told}");
    assert_eq!((error_of(&mut session, &long), error_of(&mut session, "SELECT * FROM users_data")), (11, 13));
    assert_eq!(session.execute("DELETE FROM users_data WHERE id IN (1, 2, 3)").unwrap().0, 2);
    let escaped = |session: &mut CometQl| session.rows("SELECT 'a\\nb'").unwrap().remove(0).remove(0).unwrap();
    assert_eq!((escaped(&mut session), escaped(&mut server.backend())), ("a\nb".to_owned(), "a\\nb".to_owned()));
    // A tenant's password goes, and another one comes.
    assert!(login("6", "the password of 6.").is_err());
    reload(&server, "[tenant 6]\npassword = the password of 6.\n");
    assert!(login("6", "the password of 6.").is_ok() && login("5", "the password of 5.").is_err());
    let gone = tools::until(PATIENCE, || of_tenant.query("SELECT 1").is_err().then_some(()));
    assert!(gone.is_some(), "whoever came in by a password that is gone is ended");
    reload(&server, "[main]\ndev_index_size = 3\n[cometql]\ntls = on\n");
    assert!(login("5", &server.password).is_err() && login("2", &server.password).is_ok());
    assert_ne!(CometQl::greet(server.cometql).unwrap().greeting().capabilities & (1 << 11), 0, "TLS is offered");
    session.execute("SET @x = 1").unwrap();
}

#[test]
fn another_password_counts_for_logins() {
    let server = Server::start(&setup(""));
    let mut session = server.backend();
    let login = |password: &str| CometQl::connect(server.cometql, "root", password, None);
    let told = server.reload(&Setup { password: Some("another one of the tests"), ..Setup::default() });
    let sentence = "reloaded: 1 changed ([main] password); the password of [main] is also the key of tokens for tenants \
                    without one of their own\n";
    assert_eq!(told.stdout, sentence, "{}", told.stderr);
    assert!(login(&server.password).is_err() && login("another one of the tests").is_ok());
    session.execute("SET @x = 1").unwrap();
    assert!(!server.log().contains("another one of the tests"), "{}", server.log());
}

#[test]
fn tokens_of_the_key_before_are_good_for_a_while() {
    let jwt = |secret: &str, previous: &str| format!("[jwt]\nsecret = {secret}\n{previous}");
    let [first, second, third] = ["the first secret of all", "the second secret of it", "the third secret of them"];
    let server = Server::start(&setup(&jwt(first, "")));
    let opens = |secret: &str| {
        let claims = json!({ "user_id": 5, "exp": 4_000_000_000_u64, "dev": 0 });
        let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap();
        server.browser_with_key(0, "5", &token).1["authorized"] == true
    };
    assert!(opens(first) && !opens(second));
    reload(&server, &jwt(second, ""));
    assert!(opens(first) && opens(second) && !opens(third));
    // Of what was replaced now nothing is good any more; what was replaced before has its time.
    assert_eq!(
        reload(&server, &jwt(third, "previous_s = 0\n")),
        "reloaded: 2 changed ([jwt] secret, [jwt] previous_s)"
    );
    let over = tools::until(PATIENCE, || (!opens(second)).then_some(()));
    assert!(over.is_some() && opens(third) && opens(first));
}

#[test]
fn a_log_can_go_elsewhere_and_in_another_form() {
    let server = Server::start(&setup("[log]\nlevel = info\n"));
    reload(&server, "[log]\nfile = b.log\nformat = json\nlevel = error, cometql=debug\n");
    assert_eq!(fs::read_to_string(server.folder().join("b.log")).unwrap(), "");
    reload(&server, "[log]\nfile = b.log\nformat = json\n");
    let line = tools::until(PATIENCE, || {
        fs::read_to_string(server.folder().join("b.log")).ok().filter(|text| text.ends_with('\n'))
    });
    let line: serde_json::Value = serde_json::from_str(line.unwrap().lines().next().unwrap()).unwrap();
    assert_eq!((&line["asked"], &line["msg"]), (&json!("FLUSH SETTINGS"), &json!("reloaded: 1 changed ([log] level)")));
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let server = Server::start(&setup("[ws]\nhost = a.example\n"));
    let conf = server.folder().join("comet.ini");
    let good = fs::read_to_string(&conf).unwrap();
    let lines = good.lines().count();
    let wrong = |more: &str, what: &str| {
        fs::write(&conf, format!("{good}host = b.example\n{more}")).unwrap();
        let told = server.command(&["reload"]);
        assert!(told.stderr.contains(what) && told.stderr.contains("nothing was changed"), "{what}: {}", told.stderr);
        assert_eq!(stream(&server), 403, "{what}");
    };
    wrong("port = many\n", &format!("comet.ini:{}: error:", lines + 2));
    wrong("[cometql]\ntls_cert = nothing.pem\n", "tls_key");
    wrong("[cometql]\ntls = on\ntls_cert = nothing.pem\ntls_key = nothing.pem\n", "nothing.pem");
    wrong("[jwt]\nalgorithm = EdDSA\npublic_key = nothing.pem\n", "nothing.pem");
    wrong("[log]\nfile = /dev/null\n", "/dev/null");
    // From here on the file cannot be read by the command either, so a signal asks.
    let by_signal = |what: &str| {
        server.signal(Signal::HUP);
        server.await_line(|line| line.contains(what) && line.contains("nothing was changed"), what);
        assert_eq!(stream(&server), 403, "{what}");
    };
    fs::write(&conf, ";".repeat(2 << 20)).unwrap();
    by_signal("larger than");
    fs::remove_file(&conf).unwrap();
    by_signal("does not exist");
    fs::create_dir(&conf).unwrap();
    by_signal("is no file");
    fs::remove_dir(&conf).unwrap();
    let fifo = tools::run(Command::new("mkfifo").arg(&conf), PATIENCE);
    assert!(fifo.status.success());
    let before = server.log().matches("is no file").count();
    server.signal(Signal::HUP);
    let told = tools::until(PATIENCE, || (server.log().matches("is no file").count() > before).then_some(()));
    assert!(told.is_some(), "nobody waits for who writes into a FIFO");
    assert!(!server.log().contains("repeated="), "what came of a signal is told each time, not counted");
    fs::remove_file(&conf).unwrap();
    fs::write(&conf, &good).unwrap();
    assert_eq!(server.command(&["reload"]).stdout, "reloaded: nothing changed\n");
}

/// Nobody is lost by it, and nothing stays of it.
#[test]
fn many_reloads_under_load() {
    const RELOADS: usize = 200;
    let _alone = tools::alone();
    let server = Server::start(&setup(""));
    let mut browsers: Vec<Browser> = (0..50).map(|_| server.browser()).collect();
    for browser in &mut browsers {
        browser.send("subscription\nreloaded");
    }
    server.await_subscribers("reloaded", 50);
    let stop = AtomicBool::new(false);
    let mut session = server.backend();
    let mut asks = server.backend();
    let resident = thread::scope(|scope| {
        let published = scope.spawn(|| {
            let mut published = 0;
            while !stop.load(Ordering::Relaxed) {
                let sql = format!(
                    "INSERT INTO pipes_messages (name, event, message) VALUES ('reloaded', 'e', '{published}')"
                );
                session.execute(&sql).expect("published");
                published += 1;
            }
            published
        });
        let readers: Vec<_> = browsers
            .iter_mut()
            .map(|browser| {
                scope.spawn(|| {
                    for expected in 0.. {
                        let message = browser.receive();
                        if message["data"] == "the end" {
                            return expected;
                        }
                        assert_eq!(message["data"], expected.to_string(), "none is lost or doubled");
                    }
                    0
                })
            })
            .collect();
        let files = ["", "[ws]\nhost = a.example\nconnections_per_address_max = 1000\ntrusted_proxies = 192.0.2.1\n"]
            .map(|more| {
                server.reload(&setup(more));
                fs::read_to_string(server.folder().join("comet.ini")).unwrap()
            });
        let mut resident = Vec::new();
        for number in 0..RELOADS {
            fs::write(server.folder().join("comet.ini"), &files[number % 2]).unwrap();
            asks.execute("FLUSH SETTINGS").expect("reloaded");
            if number == RELOADS / 4 || number + 1 == RELOADS {
                resident.push(server.resident_bytes());
            }
        }
        stop.store(true, Ordering::Relaxed);
        let published = published.join().unwrap();
        asks.execute("INSERT INTO pipes_messages (name, event, message) VALUES ('reloaded', 'e', 'the end')").unwrap();
        for reader in readers {
            assert_eq!(reader.join().unwrap(), published);
        }
        resident
    });
    let grown = resident[1].saturating_sub(resident[0]);
    assert!(grown < 2 << 20, "{grown} bytes more after {RELOADS} reloads");
}
