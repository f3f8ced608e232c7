//! What bad clients do costs only themselves: they get a clear end, everybody else notices nothing, and memory stays
//! where it was.

use crate::server::{Browser, PATIENCE, Server, Setup};
use crate::tools;
use loadtest::{Answer, CometQl};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const UPGRADE: &str = "GET /ws/sesion=&myid=&devid=0&v=4.09&uuid=&api=js HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

/// Sends and reads until the server ends the connection; a reset is an end as well.
pub(crate) fn until_the_end(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The server may have closed before it took everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(
            !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
            "it never ends"
        );
    }
    answer
}

/// A browser and a backend that behave, and go on working whatever others do.
pub(crate) struct Bystanders {
    browser: Browser,
    backend: CometQl,
    count: usize,
}

impl Bystanders {
    pub(crate) fn new(server: &Server) -> Self {
        let mut browser = server.browser();
        browser.send("subscription\nbystanders");
        server.await_subscribers("bystanders", 1);
        Self { browser, backend: server.backend(), count: 0 }
    }

    pub(crate) fn check(&mut self) {
        self.count += 1;
        let sql =
            format!("INSERT INTO pipes_messages (name, event, message) VALUES ('bystanders', 'e', '{}')", self.count);
        assert_eq!(self.backend.query(&sql).unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
        assert_eq!(self.browser.receive()["data"], self.count.to_string());
    }
}

/// A row of `SHOW GLOBAL STATUS`.
pub(crate) fn status(backend: &mut CometQl, name: &str) -> u64 {
    let Answer::Rows { rows, .. } = backend.query("SHOW GLOBAL STATUS").unwrap() else { panic!("no rows") };
    let row = rows.iter().find(|row| row[0].as_deref() == Some(name)).unwrap_or_else(|| panic!("no row {name}"));
    row[1].as_deref().unwrap().parse().unwrap()
}

pub(crate) fn await_status(backend: &mut CometQl, name: &str, least: u64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let value = status(backend, name);
        if value >= least {
            return;
        }
        assert!(Instant::now() < end, "{name} is {value} and not {least}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0xfe);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([1, 2, 3, 4]);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ (at as u8 % 4 + 1)));
    frame
}

#[test]
fn garbage_costs_only_its_sender() {
    let server = Server::start(&Setup::default());
    let mut bystanders = Bystanders::new(&server);
    let noise: Vec<u8> = (0_u32..5000).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let long_head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let after_upgrade = |frame: &[u8]| [UPGRADE.as_bytes(), frame].concat();
    let requests: Vec<(&str, Vec<u8>, &str)> = vec![
        ("noise", noise.clone(), ""),
        ("not HTTP", b"HELLO WORLD\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("a long head", long_head.into_bytes(), "HTTP/1.1 431"),
        ("NULs in the head", b"GET /\0\0 HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("an unmasked frame", after_upgrade(b"\x81\x02hi"), "HTTP/1.1 101"),
        ("a reserved bit", after_upgrade(&masked(0xc1, b"hi")), "HTTP/1.1 101"),
        ("an unknown opcode", after_upgrade(&masked(0x83, b"hi")), "HTTP/1.1 101"),
        ("a frame over the cap", after_upgrade(&masked(0x81, &[b'x'; 70_000])), "HTTP/1.1 101"),
        ("text that is not UTF-8", after_upgrade(&masked(0x81, b"subscription\n\xff\xfe")), "HTTP/1.1 101"),
        ("an unknown command", after_upgrade(&masked(0x81, b"nonsense")), "HTTP/1.1 101"),
        ("a continuation of nothing", after_upgrade(&masked(0x80, b"hi")), "HTTP/1.1 101"),
    ];
    for (what, bytes, expected) in requests {
        let answer = until_the_end(server.browsers, &bytes);
        assert!(answer.starts_with(expected.as_bytes()), "{what}: {}", String::from_utf8_lossy(&answer));
        bystanders.check();
    }
    let packets: Vec<(&str, Vec<u8>)> = vec![
        ("noise", noise),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("a packet over the cap", [&[0xff, 0xff, 0xff, 1][..], &[0; 20_000]].concat()),
        ("an empty login", vec![0, 0, 0, 1]),
        ("a login cut short", vec![4, 0, 0, 1, 0, 2, 0, 0]),
        ("a request for TLS", [&[32, 0, 0, 1, 0, 0x8a, 0, 0][..], &[0; 28]].concat()),
    ];
    for (what, bytes) in packets {
        let answer = until_the_end(server.cometql, &bytes);
        assert_eq!(answer.get(4), Some(&10), "{what}: the greeting comes first");
        bystanders.check();
    }
}

#[test]
fn wrong_passwords_are_error_16_and_nothing_else() {
    let server = Server::start(&Setup::default());
    for (user, password) in
        [("root", "wrong"), ("root", ""), ("bob", server.password.as_str()), ("100000", &server.password)]
    {
        let error = CometQl::connect(server.cometql, user, password, Some("CometQL_v1")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("16") && text.contains("HY000"), "{user}: {text}");
    }
    let mut backend = server.backend();
    await_status(&mut backend, "encke_session_logins_refused", 4);
    assert!(!server.log().contains(&server.password), "the password is in the log");
}

/// The address is the same for all, so this is the one test that lets it happen.
#[test]
fn guessing_passwords_has_to_wait() {
    let server = Server::start(&Setup { more: "[cometql]\nlogin_attempts_max = 2\n".to_owned(), ..Setup::default() });
    let mut backend = server.backend();
    let refusal = |password: &str| {
        let refused = CometQl::connect(server.cometql, "root", password, None).err();
        refused.map(|error| error.to_string())
    };
    for _ in 0..2 {
        let text = refusal("wrong").expect("refused");
        assert!(text.contains("16") && !text.contains("wait"), "{text}");
    }
    // Within the first second; a machine that needs longer for one more login only makes the next wait longer.
    let mut held_off = false;
    for _ in 0..8 {
        let text = refusal("wrong").expect("refused");
        held_off = text.contains("16") && text.contains("wait");
        if held_off {
            break;
        }
    }
    assert!(held_off, "nobody has to wait");
    await_status(&mut backend, "encke_session_logins_held_off", 1);
    let line = server.await_line(|line| line.contains("logins from this address have to wait"), "who has to wait");
    assert!(line.contains("127.0.0.1"), "{line}");
    // Whoever is logged in goes on working, and the right password is heard in the end.
    assert_eq!(
        backend.query("SELECT 1").unwrap(),
        Answer::Rows { columns: vec!["1".into()], rows: vec![vec![Some("1".into())]] }
    );
    assert!(tools::until(PATIENCE, || refusal(&server.password).is_none().then_some(())).is_some());
    assert!(refusal("wrong").is_some_and(|text| !text.contains("wait")), "a right password ends the count");
}

/// A question of a few kilobytes cannot make the server gather a gigabyte.
#[test]
fn large_results_are_refused_and_repeated_keys_cost_nothing() {
    let more = "[cometql]\nresult_bytes_max = 3000000\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let mut backend = server.backend();
    let data = "x".repeat(1_000_000);
    for id in 1..=4 {
        let sql = format!("INSERT INTO users_data (id, data) VALUES ({id}, '{data}')");
        assert_eq!(backend.query(&sql).unwrap(), Answer::Ok { affected: 1, insert_id: id });
    }
    let select = |ids: &[&str]| format!("SELECT data FROM users_data WHERE id IN ({})", ids.join(","));
    assert_eq!(backend.rows(&select(&["3"; 1000])).unwrap(), [[Some(data)]]);
    assert_eq!(backend.rows(&select(&["1", "2", "3"])).unwrap().len(), 3);
    let refused = backend.rows(&select(&["1", "2", "3", "4"])).unwrap_err().to_string();
    assert!(refused.contains("11") && refused.contains("3000000 bytes"), "{refused}");
    assert_eq!(backend.rows(&select(&["4", "2"])).unwrap().len(), 2, "the session goes on");
    bystanders.check();
}

#[test]
fn half_open_connections_end_by_themselves() {
    let more = "[ws]\nhandshake_timeout_ms = 1000\n[cometql]\nlogin_timeout_ms = 1000\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let half_open: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut stream = connect(if number % 3 == 2 { server.cometql } else { server.browsers });
            if number % 3 == 1 {
                stream.write_all(&UPGRADE.as_bytes()[..UPGRADE.len() / 2]).expect("half a head");
            }
            stream
        })
        .collect();
    bystanders.check();
    for mut stream in half_open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    await_status(&mut bystanders.backend, "encke_closed_timed_out", 600);
    bystanders.check();
}

#[test]
fn half_open_connections_make_room_for_the_next() {
    let more = "[ws]\nconnections_max = 8\nhandshake_timeout_ms = 600000\n\
                [cometql]\nsessions_max = 4\nlogin_timeout_ms = 600000\n";
    let server = Server::start(&Setup { shards: 1, more: more.to_owned(), ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let fill = |address: SocketAddr, count: usize| -> Vec<TcpStream> { (0..count).map(|_| connect(address)).collect() };
    let mut sessions = fill(server.cometql, 12);
    let mut browsers = fill(server.browsers, 24);
    server.backend().query("SELECT 1").expect("a session");
    server.browser().send("subscription\nroom");
    // Whoever has come furthest stays; of the others the oldest went first.
    bystanders.check();
    for streams in [&mut sessions, &mut browsers] {
        let mut rest = Vec::new();
        streams[0]
            .read_to_end(&mut rest)
            .or_else(|error| match error.kind() {
                std::io::ErrorKind::ConnectionReset => Ok(0),
                _ => Err(error),
            })
            .expect("the oldest is ended");
    }
    let mut newest = sessions.pop().expect("the newest");
    let mut greeting = [0; 5];
    newest.read_exact(&mut greeting).expect("the newest stays");
    await_status(&mut bystanders.backend, "encke_closed_no_room", 12 - 3 + 1 + 24 - 7 + 1);
    // Wrong passwords linger for their clients to read the answer, and do not keep anybody out either.
    for _ in 0..4 {
        let refused = CometQl::connect(server.cometql, "nobody", "wrong", None);
        assert!(refused.is_err());
    }
    server.backend().query("SELECT 1").expect("a session");
}

#[test]
fn a_reader_that_stops_is_closed_and_nobody_else_is_held_up() {
    const PUBLICATIONS: usize = 200;
    let more = "[ws]\nqueue_bytes_max = 200000\n".to_owned();
    for shards in [1, 2] {
        let server = Server::start(&Setup { shards, more: more.clone(), ..Setup::default() });
        let mut reader = server.browser();
        let mut stopped = connect(server.browsers);
        stopped.write_all(UPGRADE.as_bytes()).expect("a head");
        stopped.write_all(&masked(0x81, b"subscription\nbusy")).expect("a subscription");
        reader.send("subscription\nbusy");
        server.await_subscribers("busy", 2);
        let mut backend = server.backend();
        let body = "x".repeat(100_000);
        for number in 0..PUBLICATIONS {
            let sql =
                format!("INSERT INTO pipes_messages (name, event, message) VALUES ('busy', 'e{number}', '{body}')");
            assert_eq!(backend.query(&sql).unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
            let publication = reader.receive();
            assert_eq!(publication["event"], format!("e{number}"));
        }
        await_status(&mut backend, "encke_closed_slow_consumer", 1);
        assert_eq!(backend.rows("SELECT users FROM pipes WHERE name = 'busy'").unwrap(), [[Some("1".to_owned())]]);
        // What the server had sent it is whole up to the cut: an end, and no message that was never published.
        let mut sent = Vec::new();
        let _ = stopped.read_to_end(&mut sent);
        assert!(sent.starts_with(b"HTTP/1.1 101"));
    }
}

#[test]
fn everything_may_arrive_byte_by_byte() {
    let server = Server::start(&Setup::default());
    let mut browser = connect(server.browsers);
    browser.set_nodelay(true).expect("no delay");
    for byte in [UPGRADE.as_bytes(), &masked(0x81, b"subscription\nslowly"), &masked(0x89, b"alive")].concat() {
        browser.write_all(&[byte]).expect("a byte");
    }
    server.await_subscribers("slowly", 1);
    let mut seen = Vec::new();
    let mut chunk = [0; 1000];
    while !seen.ends_with(b"\x8a\x05alive") {
        let count = browser.read(&mut chunk).expect("the pong comes");
        assert!(count > 0, "the connection ended");
        seen.extend_from_slice(&chunk[..count]);
    }
}

#[test]
fn a_browser_that_half_closes_is_heard_to_the_end() {
    let server = Server::start(&Setup::default());
    let mut watcher = server.browser();
    watcher.send("subscription\nweb_last");
    server.await_subscribers("web_last", 1);
    let mut leaver = connect(server.browsers);
    let last = masked(0x81, b"web_pipe2\nweb_last\nbye\n*\n\"last words\"");
    leaver.write_all(&[UPGRADE.as_bytes(), &last].concat()).expect("everything at once");
    leaver.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(watcher.receive()["data"], "\"last words\"");
}

#[test]
fn a_server_with_open_connections_stops_cleanly() {
    let server = Server::start(&Setup::default());
    let browsers: Vec<Browser> = (0..50).map(|_| server.browser()).collect();
    let sessions: Vec<CometQl> = (0..5).map(|_| server.backend()).collect();
    let (status, _folder) = server.stop();
    assert!(status.success(), "{status}");
    drop((browsers, sessions));
}

#[test]
fn a_publisher_faster_than_its_subscribers_is_slowed_and_nothing_is_lost() {
    const PUBLICATIONS: usize = 20_000;
    // Less than makes a consumer slow: a reader that this machine does not let run must not be closed for that.
    const AHEAD_MAX: usize = 400;
    for shards in [1, 3] {
        let server = Server::start(&Setup { shards, ..Setup::default() });
        let read = Arc::new((Mutex::new([0_usize; 3]), Condvar::new()));
        let readers: Vec<thread::JoinHandle<()>> = (0..3)
            .map(|reader| {
                let mut browser = server.browser();
                browser.send("subscription\nflood");
                let read = read.clone();
                thread::spawn(move || {
                    for number in 0..PUBLICATIONS {
                        assert_eq!(browser.receive()["event"], format!("e{number}"));
                        read.0.lock().unwrap()[reader] = number + 1;
                        read.1.notify_one();
                    }
                })
            })
            .collect();
        server.await_subscribers("flood", 3);
        let mut backend = server.backend();
        let body = "x".repeat(2000);
        let mut answered = 0;
        for number in 0..PUBLICATIONS {
            let sql =
                format!("INSERT INTO pipes_messages (name, event, message) VALUES ('flood', 'e{number}', '{body}')");
            let behind = |read: &mut [usize; 3]| number >= read.iter().min().unwrap() + AHEAD_MAX;
            let (_all, waited) = read.1.wait_timeout_while(read.0.lock().unwrap(), PATIENCE, behind).unwrap();
            assert!(!waited.timed_out(), "the readers stand still");
            backend.send_query(&sql).unwrap();
            // As many under way as fit between; the server stops reading when it has enough.
            if number >= AHEAD_MAX / 2 {
                assert_eq!(backend.read_answer().unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
                answered += 1;
            }
        }
        for _ in answered..PUBLICATIONS {
            assert_eq!(backend.read_answer().unwrap(), Answer::Ok { affected: 0, insert_id: 0 });
        }
        for reader in readers {
            reader.join().expect("every publication came, in order");
        }
        assert_eq!(status(&mut backend, "encke_closed_slow_consumer"), 0);
    }
}

/// Turns of all shards so far, once this many browser commands were carried out.
fn turns_after(backend: &mut CometQl, commands: u64) -> u64 {
    await_status(backend, "encke_commands", commands);
    status(backend, "encke_turns")
}

#[test]
fn the_frames_of_one_connection_cannot_fill_a_turn() {
    const FRAMES: u64 = 64_000;
    let server = Server::start(&Setup { shards: 1, ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let mut busy = connect(server.browsers);
    busy.write_all(UPGRADE.as_bytes()).expect("a head");
    let (commands, turns) =
        (status(&mut bystanders.backend, "encke_commands"), status(&mut bystanders.backend, "encke_turns"));
    busy.write_all(&masked(0x81, b"statistics\n").repeat(FRAMES as usize)).expect("the server reads on");
    bystanders.check();
    let turns = turns_after(&mut bystanders.backend, commands + FRAMES) - turns;
    assert!(turns >= FRAMES / 64, "{FRAMES} frames in {turns} turns");
    bystanders.check();
}

#[test]
fn long_lists_that_replace_each_other_take_a_turn_each() {
    const LISTS: usize = 200;
    for shards in [1, 3] {
        let server = Server::start(&Setup { shards, ..Setup::default() });
        let mut bystanders = Bystanders::new(&server);
        let list = |letter: &str| {
            let names: Vec<String> = (0..1024).map(|number| format!("{letter}{number:x}")).collect();
            masked(0x81, format!("subscription\n{}", names.join("\n")).as_bytes())
        };
        let mut swapper = connect(server.browsers);
        swapper.write_all(UPGRADE.as_bytes()).expect("a head");
        let backend = &mut bystanders.backend;
        let (commands, turns) = (status(backend, "encke_commands"), status(backend, "encke_turns"));
        swapper.write_all(&[list("a"), list("b")].concat().repeat(LISTS / 2)).expect("the server reads on");
        bystanders.check();
        let turns = turns_after(&mut bystanders.backend, commands + LISTS as u64) - turns;
        assert!(turns >= LISTS as u64, "{LISTS} lists in {turns} turns");
        server.await_subscribers("a3ff", 0);
        server.await_subscribers("b3ff", 1);
        bystanders.check();
    }
}

/// A subscriber of the pipe that speaks the newer protocol, in which connections end with a handshake.
fn modern_subscriber(server: &Server, pipe: &str) -> TcpStream {
    let mut stream = connect(server.browsers);
    stream.write_all(UPGRADE.replace("api=js", "api=js2").as_bytes()).expect("a head");
    stream.write_all(&masked(0x81, format!("subscription\n{pipe}").as_bytes())).expect("a subscription");
    server.await_subscribers(pipe, 1);
    stream
}

/// Connections that have ended, as the predecessor named them. One that is closing ends after five seconds.
const BROWSERS_ENDED: &str = "frontend_delete_client";

#[test]
fn whoever_says_goodbye_is_no_subscriber_any_more() {
    let server = Server::start(&Setup::default());
    let mut leaver = modern_subscriber(&server, "goodbye");
    leaver.write_all(&masked(0x88, &1000_u16.to_be_bytes())).expect("a close frame");
    server.await_subscribers("goodbye", 0);
    assert_eq!(status(&mut server.backend(), BROWSERS_ENDED), 0, "it was forgotten before it ended");
    // The server goes on waiting for the other side, and then the place is used again.
    let mut rest = Vec::new();
    leaver.read_to_end(&mut rest).expect("a close frame comes back");
    assert!(rest.ends_with(&[0x88, 2, 0x03, 0xe8]));
    let _next = modern_subscriber(&server, "goodbye");
    drop(leaver);
    await_status(&mut server.backend(), "encke_ended", 1);
    server.await_subscribers("goodbye", 1);
}

#[test]
fn whoever_half_closes_is_no_subscriber_any_more() {
    let more = "[ws]\nqueue_bytes_max = 100000000\n".to_owned();
    let server = Server::start(&Setup { more, ..Setup::default() });
    let leaver = modern_subscriber(&server, "half");
    let mut backend = server.backend();
    let insert =
        format!("INSERT INTO pipes_messages (name, event, message) VALUES ('half', 'e', '{}')", "x".repeat(100_000));
    // More than the system keeps for a reader that does not read.
    let mut number = 0;
    while status(&mut backend, "encke_memory_queues") < 1_000_000 {
        backend.query(&insert).expect("it is published");
        number += 1;
        assert!(number < 1000, "nothing is queued");
    }
    leaver.shutdown(Shutdown::Write).expect("half closed");
    server.await_subscribers("half", 0);
    assert_eq!(status(&mut backend, BROWSERS_ENDED), 0, "it was forgotten before it ended");
}

#[test]
fn messages_left_open_make_room_for_those_that_end() {
    // All open messages of a shard may hold 64 MiB together.
    const PART: usize = 8_000_000;
    let more = format!("[ws]\nmessage_bytes_max = {}\n", 2 * PART);
    let server = Server::start(&Setup { shards: 1, more, ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let part = masked(0x01, &vec![b'x'; PART]);
    let mut idle: Vec<TcpStream> = Vec::new();
    for number in 1..=9 {
        let mut stream = connect(server.browsers);
        stream.write_all(&[UPGRADE.as_bytes(), &part].concat()).expect("half a message");
        idle.push(stream);
        // A message is open from when all of its first part has come, which may be long after it was sent. So the next one
        // waits for that, or nobody could say which one is open longest; and whoever behaves is heard and answers its pings.
        if number < 9 {
            await_status(&mut bystanders.backend, "encke_memory_edge", (number * PART) as u64);
        }
        bystanders.check();
    }
    let mut rest = Vec::new();
    idle[0].read_to_end(&mut rest).expect("the one that is open longest ends");
    await_status(&mut bystanders.backend, "encke_closed_no_room", 1);
    let mut whole = connect(server.browsers);
    let parts = [masked(0x01, b"subscription\nin_pa"), masked(0x80, b"rts")].concat();
    whole.write_all(&[UPGRADE.as_bytes(), &parts].concat()).expect("a message in two parts");
    server.await_subscribers("in_parts", 1);
    assert!(status(&mut bystanders.backend, "encke_memory_edge") < 80_000_000);
    bystanders.check();
}

/// Asks for a file and reads the beginning of the answer only.
fn ask_for(server: &Server, file: &str) -> (TcpStream, String) {
    let mut stream = connect(server.browsers);
    stream.write_all(format!("GET /{file} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("a request");
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).expect("an answer");
    (stream, String::from_utf8_lossy(&beginning).into_owned())
}

#[test]
fn files_that_nobody_reads_take_a_bounded_amount_of_memory() {
    const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
    let server = Server::start(&Setup::default());
    let mut bystanders = Bystanders::new(&server);
    for number in 0..8 {
        let file = std::fs::File::create(server.folder().join(format!("static/{number}.js"))).expect("a file");
        file.set_len(FILE_BYTES_MAX).expect("room on the disk");
    }
    // All of them have the same content in memory: it would not fit so often.
    let same: Vec<TcpStream> = (0..40)
        .map(|_| {
            let (stream, status) = ask_for(&server, "0.js");
            assert_eq!(status, "HTTP/1.1 200");
            stream
        })
        .collect();
    bystanders.check();
    let mut others: Vec<TcpStream> = Vec::new();
    for number in 1..8 {
        let (stream, status) = ask_for(&server, &format!("{number}.js"));
        assert_eq!(status, "HTTP/1.1 200", "file {number}");
        others.push(stream);
    }
    // Who asked for most makes room itself: the oldest of what nobody else is sent.
    let mut rest = Vec::new();
    let _ = others.remove(0).read_to_end(&mut rest);
    assert!(rest.len() < FILE_BYTES_MAX as usize, "the first of seven made room for the last");
    assert_eq!(ask_for(&server, "0.js").1, "HTTP/1.1 200", "what is being sent anyway costs nothing more");
    bystanders.check();
    drop((same, others));
    let found = tools::until(PATIENCE, || (ask_for(&server, "7.js").1 == "HTTP/1.1 200").then_some(()));
    assert!(found.is_some(), "contents that nobody is sent any more take room");
}

#[test]
fn an_answered_request_does_not_hold_its_connection() {
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    let mut stream = connect(server.browsers);
    stream.write_all(b"GET /info HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    let begun = Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer and its end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    // The client has not closed.
    await_status(&mut backend, "encke_ended", 1);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// This many users, 1 and up, each with a connection that has proved who it is.
fn users(server: &Server, count: usize) -> Vec<TcpStream> {
    let mut backend = server.backend();
    for user in 1..=count {
        backend.query(&format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'key')")).expect("it is stored");
    }
    let streams = (1..=count)
        .map(|user| {
            let mut stream = connect(server.browsers);
            let head = UPGRADE.replace("sesion=&myid=&", &format!("sesion=key&myid={user}&"));
            stream.write_all(head.as_bytes()).expect("a head");
            // One after the other: a login that storage has no place for would be refused.
            let mut answer = Vec::new();
            while !answer.windows(10).any(|word| word == b"serverInfo") {
                let mut chunk = [0; 1000];
                let read = stream.read(&mut chunk).expect("a first message");
                assert!(read > 0, "user {user} was not let in");
                answer.extend_from_slice(&chunk[..read]);
            }
            stream
        })
        .collect();
    await_status(&mut backend, "encke_logins", count as u64);
    streams
}

/// How many of the users storage knows to have gone.
fn users_gone(server: &Server, count: usize) -> usize {
    let ids: Vec<String> = (1..=count).map(|user| user.to_string()).collect();
    let rows = server.backend().rows(&format!("SELECT time FROM users_time WHERE id IN ({})", ids.join(",")));
    let is_time = |row: &&Vec<Option<String>>| row[0].as_deref().is_some_and(|time| time.parse::<i64>().unwrap() > 0);
    rows.expect("times").iter().filter(is_time).count()
}

#[test]
fn users_who_all_go_at_once_are_all_seen_last() {
    const USERS: usize = 300;
    // Far fewer places in storage's queue than users.
    let more = "[storage]\nqueue_max = 16\n".to_owned();
    let server = Server::start(&Setup { shards: 3, more, ..Setup::default() });
    let streams = users(&server, USERS);
    assert_eq!(users_gone(&server, USERS), 0);
    drop(streams);
    let found = tools::until(PATIENCE, || (users_gone(&server, USERS) == USERS).then_some(()));
    assert!(found.is_some(), "only {} of {USERS}", users_gone(&server, USERS));
    // A shard hears that its users are stored when they are, and figures are as old as a tenth of a second.
    let mut backend = server.backend();
    let none_waits = || (status(&mut backend, "encke_last_seen_waiting") == 0).then_some(());
    assert!(tools::until(PATIENCE, none_waits).is_some(), "some wait still");
    assert_eq!(status(&mut backend, "encke_last_seen_lost"), 0);
}

#[test]
fn users_who_are_there_when_the_server_stops_are_seen_last() {
    const USERS: usize = 300;
    let more = "[storage]\nqueue_max = 16\n".to_owned();
    let setup = Setup { shards: 3, more, ..Setup::default() };
    let server = Server::start(&setup);
    let streams = users(&server, USERS);
    let (ended, folder) = server.stop();
    assert!(ended.success(), "{ended}");
    drop(streams);
    let server = Server::start_in(folder, &setup);
    assert_eq!(users_gone(&server, USERS), USERS);
}

#[test]
fn what_stands_behind_a_fatal_frame_is_not_carried_out() {
    let server = Server::start(&Setup::default());
    let mut watcher = server.browser();
    watcher.send("subscription\nweb_behind");
    server.await_subscribers("web_behind", 1);
    let publish = |message: &str| masked(0x81, format!("web_pipe2\nweb_behind\ne\n*\n\"{message}\"").as_bytes());
    let mut good = server.browser();
    let fatal: [(&str, Vec<u8>); 5] = [
        ("an unknown command", masked(0x81, b"nonsense")),
        ("an unmasked frame", b"\x81\x02hi".to_vec()),
        ("text that is not UTF-8", masked(0x81, b"subscription\n\xff")),
        ("a continuation of nothing", masked(0x80, b"hi")),
        ("a close frame", masked(0x88, &1000_u16.to_be_bytes())),
    ];
    for api in ["js", "js2"] {
        let upgrade = UPGRADE.replace("api=js", &format!("api={api}"));
        for (what, frame) in &fatal {
            let bytes = [upgrade.as_bytes(), &publish("before"), frame, &publish("behind")].concat();
            until_the_end(server.browsers, &bytes);
            // Its report has to wait for the owner, and what stands behind waits for the report.
            good.send("web_pipe2\nweb_behind\ne\n*\n\"after\"");
            let seen: Vec<String> = std::iter::from_fn(|| {
                let message = watcher.receive()["data"].as_str().expect("a text").to_owned();
                (message != "\"after\"").then_some(message)
            })
            .collect();
            assert_eq!(seen, ["\"before\""], "{api}: {what}");
            assert_eq!(good.receive()["event"], "answer", "a report");
        }
    }
}

#[test]
fn a_report_without_receivers_does_not_wait_for_a_timer() {
    const PUBLICATIONS: usize = 50;
    for shards in [1, 3] {
        let server = Server::start(&Setup { shards, ..Setup::default() });
        let mut alone = server.browser();
        for subscribers in [0, 1] {
            if subscribers == 1 {
                alone.send("subscription\nweb_alone");
                server.await_subscribers("web_alone", 1);
            }
            let times: Vec<Duration> = (0..PUBLICATIONS)
                .map(|_| {
                    let begun = Instant::now();
                    alone.send("web_pipe2\nweb_alone\ne\n*\n\"hello\"");
                    let report = alone.receive();
                    assert_eq!(report["event"], "answer", "{report}");
                    begun.elapsed()
                })
                .collect();
            // Timers are a tenth of a second apart, so whoever waits for them waits that long for all but the first. A busy machine
            // takes its time for some, and not for each pair of them.
            let fastest = times.windows(2).map(|two| two[0] + two[1]).min();
            assert!(fastest < Some(Duration::from_millis(100)), "{times:?}");
        }
    }
}
