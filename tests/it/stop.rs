//! A stop under load: what was answered with OK before it was delivered or is kept, and everybody is told goodbye in the way
//! that its transport has.

use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::Http;
use jsonwebtoken::{EncodingKey, Header, encode};
use loadtest::{Answer, CometQl};
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};
use tungstenite::{Message, WebSocket};

/// Statements that a writer sends ahead of their answers.
const AHEAD: usize = 100;
/// The stop begins when each writer had so many answers.
const ANSWERS_BEFORE: usize = 200;
/// Messages at the end of a history or queue that are looked for: more than are under way, and fewer than it keeps.
const KEPT: usize = 400;

const HASH: &str = "0123456789abcdef0123456789abcdef";

/// What somebody who listens was sent, and how it was told goodbye.
struct Heard {
    messages: BTreeSet<String>,
    goodbye: Option<u16>,
}

/// Somebody who publishes as fast as it is answered, until the server is gone. Returns what was answered with OK.
struct Writer {
    answers: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<String>>,
}

impl Writer {
    fn start(server: &Server, name: &'static str, insert: impl Fn(&str) -> String + Send + 'static) -> Self {
        let answers = Arc::new(AtomicUsize::new(0));
        let (mut backend, counted) = (server.backend(), Arc::clone(&answers));
        let thread = thread::spawn(move || {
            let mut acknowledged = Vec::new();
            for group in 0.. {
                let texts: Vec<String> =
                    (0..AHEAD).map(|number| format!("{name}-{}", group * AHEAD + number)).collect();
                let statements: Vec<String> = texts.iter().map(|text| insert(text)).collect();
                if backend.send_queries(statements.iter().map(String::as_str)).is_err() {
                    break;
                }
                for text in texts {
                    match backend.read_answer() {
                        Ok(Answer::Ok { .. }) => acknowledged.push(text),
                        Ok(answer) => panic!("{answer:?}"),
                        Err(_) => return acknowledged,
                    }
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
            acknowledged
        });
        Self { answers, thread }
    }

    fn is_busy(&self) -> bool {
        self.answers.load(Ordering::Relaxed) >= ANSWERS_BEFORE
    }

    fn acknowledged(self) -> Vec<String> {
        self.thread.join().expect("a writer")
    }
}

fn into_pipe(pipe: &'static str) -> impl Fn(&str) -> String + Send + 'static {
    move |text| format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{pipe}', 'e', '{text}')")
}

fn to_user(user: u32) -> impl Fn(&str) -> String + Send + 'static {
    move |text| format!("INSERT INTO users_messages (id, event, message) VALUES ({user}, 'e', '{text}')")
}

fn connect(server: &Server, who: &str, api: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(server.browsers).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}/ws/{who}&devid=0&v=4.09&uuid=&api={api}", server.browsers);
    tungstenite::client(url, stream).unwrap().0
}

fn listen(server: &Server, who: &str, api: &'static str, pipes: &str) -> JoinHandle<Heard> {
    let mut socket = connect(server, who, api);
    socket.send(Message::text(format!("subscription\n{pipes}"))).unwrap();
    thread::spawn(move || {
        let mut heard = Heard { messages: BTreeSet::new(), goodbye: None };
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => note(&mut heard.messages, &text),
                Ok(Message::Close(frame)) => heard.goodbye = frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return heard,
            }
        }
    })
}

fn note(messages: &mut BTreeSet<String>, json: &str) {
    let message: serde_json::Value = serde_json::from_str(json).unwrap();
    if message["pipe"] != "sys"
        && let Some(text) = message["data"].as_str()
    {
        assert!(messages.insert(text.to_owned()), "twice: {text}");
    }
}

fn listen_to_events(server: &Server, pipes: &str) -> JoinHandle<Heard> {
    let mut stream = TcpStream::connect(server.browsers).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /sse?pipes={pipes} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    thread::spawn(move || {
        let mut heard = Heard { messages: BTreeSet::new(), goodbye: None };
        let mut is_goodbye = false;
        for line in BufReader::new(stream).lines() {
            let line = line.expect("a stream that ends is ended cleanly");
            match line.strip_prefix("data: ") {
                Some(data) if is_goodbye => {
                    let data: serde_json::Value = serde_json::from_str(data).unwrap();
                    heard.goodbye = data["code"].as_u64().map(|code| code as u16);
                }
                Some(data) => note(&mut heard.messages, data),
                None => is_goodbye |= line == "event: close",
            }
        }
        heard
    })
}

/// A page that publishes one message after the other. Returns those of which it was told how many got them.
fn publish_from_a_page(server: &Server, receivers: u64) -> JoinHandle<Vec<String>> {
    let mut socket = connect(server, "sesion=&myid=", "js2");
    thread::spawn(move || {
        let mut reported = Vec::new();
        for number in 0.. {
            let text = format!("page-{number}");
            if socket.send(Message::text(format!("web_pipe2\nweb_room\ne\n*\n{text}"))).is_err() {
                break;
            }
            loop {
                let Ok(message) = socket.read() else { return reported };
                let Ok(text) = message.into_text() else { continue };
                let Ok(answer) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
                if answer["pipe"] == "_answer_to_web_room" {
                    assert_eq!(answer["data"]["number_messages"], receivers, "{answer}");
                    reported.push(format!("page-{number}"));
                    break;
                }
            }
        }
        reported
    })
}

fn rows(server: &Server, query: &str, column: &str) -> BTreeSet<String> {
    let Answer::Rows { columns, rows } = server.backend().query(query).unwrap() else { panic!("no rows") };
    let place = columns.iter().position(|name| name == column).unwrap_or_else(|| panic!("{columns:?}"));
    rows.into_iter().filter_map(|row| row[place].clone()).collect()
}

/// A machine that is busy with other tests needs longer than the second that is the default.
fn patient(shards: u32) -> Setup {
    Setup { shards, more: "[main]\nstop_grace_ms = 20000\n".to_owned(), ..Setup::default() }
}

#[test]
fn what_was_acknowledged_before_a_stop_was_delivered_or_is_kept() {
    let _alone = tools::alone();
    for shards in [1, 2, 3, 1, 2, 3] {
        let server = Server::start(&patient(shards));
        let mut backend = server.backend();
        backend.query("INSERT INTO pipes_settings (name, length) VALUES ('kept', 1000)").unwrap();
        backend.query(&format!("INSERT INTO users_auth (id, hash) VALUES (5, '{HASH}')")).unwrap();
        let pipes = "live\nkept\nweb_room";
        let mut modern: Vec<_> = (0..4).map(|_| listen(&server, "sesion=&myid=", "js2", pipes)).collect();
        let mut classic: Vec<_> = (0..4).map(|_| listen(&server, "sesion=&myid=", "js", pipes)).collect();
        let mut events: Vec<_> = (0..2).map(|_| listen_to_events(&server, "live,kept,web_room")).collect();
        server.await_subscribers("web_room", 10);
        let user = listen(&server, &format!("sesion={HASH}&myid=5"), "js2", "");
        let online = tools::until(PATIENCE, || {
            rows(&server, "SELECT * FROM connections", "user_id").contains("5").then_some(())
        });
        assert!(online.is_some());
        let page = publish_from_a_page(&server, 10);
        let writers = [
            Writer::start(&server, "live", into_pipe("live")),
            Writer::start(&server, "more", into_pipe("live")),
            Writer::start(&server, "busy", into_pipe("live")),
            Writer::start(&server, "kept", into_pipe("kept")),
            Writer::start(&server, "here", to_user(5)),
            Writer::start(&server, "gone", to_user(6)),
        ];
        assert!(tools::until(PATIENCE, || writers.iter().all(Writer::is_busy).then_some(())).is_some());
        let (status, folder) = server.stop();
        assert_eq!(status.code(), Some(0));

        let [live, more, busy, kept, here, gone] = writers.map(Writer::acknowledged);
        let reported = page.join().unwrap();
        let expected: BTreeSet<String> =
            [live, more, busy].iter().flatten().chain(&kept).chain(&reported).cloned().collect();
        for (goodbye, listeners) in [(Some(1001), &mut modern), (None, &mut classic), (Some(1001), &mut events)] {
            for listener in listeners.drain(..) {
                let heard = listener.join().unwrap();
                let missing: Vec<_> = expected.difference(&heard.messages).collect();
                assert!(missing.is_empty(), "{shards} shards, {goodbye:?}: not delivered: {missing:?}");
                assert_eq!(heard.goodbye, goodbye);
            }
        }
        let taken = user.join().unwrap().messages;

        let server = Server::start_in(folder, &Setup { shards, ..Setup::default() });
        let history = rows(&server, "SELECT * FROM pipes_messages WHERE name = 'kept'", "message");
        let queue = |user: u32| rows(&server, &format!("SELECT * FROM users_messages WHERE id = {user}"), "message");
        let last = |texts: &[String]| texts[texts.len().saturating_sub(KEPT)..].to_vec();
        assert!(last(&kept).iter().all(|text| history.contains(text)), "{} of {}", history.len(), kept.len());
        let waiting = queue(6);
        assert!(last(&gone).iter().all(|text| waiting.contains(text)), "{} of {}", waiting.len(), gone.len());
        let waiting = queue(5);
        assert!(here.iter().all(|text| taken.contains(text) || waiting.contains(text)));
        assert!(taken.is_disjoint(&waiting), "{:?}", taken.intersection(&waiting).collect::<Vec<_>>());
    }
}

/// A poll that waits is answered.
#[test]
fn a_poll_is_told_goodbye() {
    let server = Server::start(&Setup::default());
    let mut requests = 0;
    let mut get = |http: &mut Http, target: &str| -> serde_json::Value {
        requests += 1;
        let answer = http.get(target, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(answer.text()).unwrap()
    };
    // On both shards, and each asked by connections that may be on the other one.
    let mut targets = Vec::new();
    for _ in 0..8 {
        let mut http = Http::connect(&server);
        let id = get(&mut http, "/poll/sign?pipes=room&api=js2")["id"].as_str().unwrap().to_owned();
        let mut sequence = 0;
        loop {
            let messages = get(&mut http, &format!("/poll?id={id}&seq={sequence}"));
            let messages = messages.as_array().unwrap();
            sequence += messages.len();
            if messages.iter().any(|message| message["event"] == "subscribed") {
                break;
            }
        }
        targets.push(format!("/poll?id={id}&seq={sequence}"));
    }
    let ask = |target: String| {
        let mut http = Http::connect(&server);
        http.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"));
        http
    };
    let polls: Vec<Http> = targets.into_iter().map(ask).collect();
    // Each request is small enough for one read.
    requests += polls.len();
    let mut backend = server.backend();
    let read = tools::until(PATIENCE, || {
        let rows = backend.rows("SHOW GLOBAL STATUS").unwrap();
        let row = rows.iter().find(|row| row[0].as_deref() == Some("frontend_messages")).unwrap();
        (row[1].as_deref().unwrap().parse::<usize>().unwrap() >= requests).then_some(())
    });
    assert!(read.is_some(), "the last polls were not read");
    let (status, _folder) = server.stop();
    assert_eq!(status.code(), Some(0));
    for mut poll in polls {
        let answer = poll.response();
        assert_eq!(answer.status, 410, "{}", answer.text());
        assert!(answer.text().contains("the server stops"), "{}", answer.text());
        poll.expect_end();
    }
}

/// What ends one connection, and nobody else's.
#[test]
fn whoever_is_ended_by_a_backend_is_told_why() {
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    backend.query(&format!("INSERT INTO users_auth (id, hash) VALUES (5, '{HASH}')")).unwrap();
    for (api, expected) in [("js2", Some((1008, "hash"))), ("js", None)] {
        let mut socket = connect(&server, &format!("sesion={HASH}&myid=5"), api);
        assert!(socket.read().unwrap().is_text());
        backend.query("DELETE FROM users_auth WHERE id = 5").unwrap();
        check_goodbye(socket, expected);
        backend.query(&format!("INSERT INTO users_auth (id, hash) VALUES (5, '{HASH}')")).unwrap();
    }
    for (api, expected) in [("js2", Some((1008, "backend"))), ("js", None)] {
        let mut socket = connect(&server, "sesion=&myid=", api);
        assert!(socket.read().unwrap().is_text());
        kill_the_only_one(&mut backend);
        check_goodbye(socket, expected);
    }
    let mut events = TcpStream::connect(server.browsers).unwrap();
    events.set_read_timeout(Some(PATIENCE)).unwrap();
    events.write_all(b"GET /sse?pipes=room HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.await_subscribers("room", 1);
    kill_the_only_one(&mut backend);
    let mut text = String::new();
    events.read_to_string(&mut text).expect("a clean end");
    let goodbye = "event: close\ndata: {\"code\":1008,\"reason\":\"a backend ended this connection\"}\n\n";
    assert!(text.ends_with(goodbye), "{text}");
}

/// By the server's password and the tenant's number, as CppComet signed them.
fn token(server: &Server, seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let key = EncodingKey::from_secret(format!("{}0", server.password).as_bytes());
    encode(&Header::default(), &json!({ "user_id": 5, "exp": now + seconds }), &key).unwrap()
}

#[test]
fn whoever_came_with_a_token_is_told_that_it_counts_no_more() {
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    for (api, code) in [("js2", Some(1008)), ("js", None)] {
        for (seconds, word) in [(1000, "revoked"), (2, "expired")] {
            let token = token(&server, seconds);
            let mut socket = connect(&server, &format!("sesion={token}&myid=5"), api);
            let first = socket.read().unwrap().into_text().unwrap();
            assert!(first.contains("\"authorized\":true"), "{first}");
            if word == "revoked" {
                backend.query(&format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')")).unwrap();
            }
            check_goodbye(socket, code.map(|code| (code, word)));
        }
    }
}

fn kill_the_only_one(backend: &mut CometQl) {
    let id = tools::until(PATIENCE, || {
        let rows = backend.rows("SELECT id FROM connections").unwrap();
        (rows.len() == 1).then(|| rows[0][0].clone().unwrap())
    });
    backend.query(&format!("KILL {}", id.expect("one connection"))).unwrap();
}

/// The code and a word of the reason; `None`: no close frame.
fn check_goodbye(mut socket: WebSocket<TcpStream>, expected: Option<(u16, &str)>) {
    let mut goodbye = None;
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => goodbye = frame.map(|frame| (u16::from(frame.code), frame.reason.to_string())),
            Ok(message) => assert!(!message.is_text(), "{message:?}"),
            Err(_) => break,
        }
    }
    assert_eq!(goodbye.as_ref().map(|(code, _)| *code), expected.map(|(code, _)| code));
    if let (Some((_, reason)), Some((_, word))) = (goodbye, expected) {
        assert!(reason.contains(word), "{reason}");
    }
}

/// Idle backends and pages that never close their side do not make a stop unclean.
#[test]
fn whoever_never_closes_does_not_keep_a_stop_from_being_clean() {
    let server = Server::start(&Setup { more: "[main]\nstop_grace_ms = 4000\n".to_owned(), ..Setup::default() });
    let _sockets: Vec<_> = (0..10).map(|number| connect(&server, "sesion=&myid=", ["js", "js2"][number % 2])).collect();
    let _backends: Vec<_> = (0..3).map(|_| server.backend()).collect();
    server.signal(Signal::TERM);
    let (status, _folder) = server.stop();
    assert_eq!(status.code(), Some(0));
}
