//! What connections, users and addresses may do at most; who counts as present; lists in pages.

use crate::hostile::{await_status, status};
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::{Http, Poller, Response};
use std::collections::BTreeSet;

#[test]
fn who_sends_too_many_commands_is_read_more_slowly_and_loses_nothing() {
    let more = "[ws]\nmessages_per_connection_per_s = 4\n".to_owned();
    let server = Server::start(&Setup { shards: 2, password: None, more });
    let (mut hasty, mut calm) = (server.browser(), server.browser());
    for number in 0..12 {
        hasty.send(&format!("pipe_count\nweb_room\nmark{number}"));
    }
    calm.send("pipe_count\nweb_room\ncalm");
    assert_eq!(calm.receive()["marker"], "calm");
    for number in 0..12 {
        assert_eq!(hasty.receive()["marker"], format!("mark{number}"));
    }
    let rows = server.backend().rows("SHOW GLOBAL STATUS").expect("figures");
    let slowed = rows.iter().find(|row| row[0].as_deref() == Some("encke_commands_slowed"));
    assert!(slowed.is_some_and(|row| row[1].as_deref() != Some("0")), "{rows:?}");
}

/// Where a proxy on this machine says whom it speaks for.
const PROXY: &str = "trusted_proxies = 127.0.0.1\n";

/// The status of an attempt to connect through the proxy, and what is open then.
fn attempt(server: &Server, target: &str, address: &str) -> (Response, Http) {
    let mut http = Http::connect(server);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    http.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\nX-Real-IP: {address}\r\n{upgrade}\r\n"));
    let is_answered = target.starts_with("/poll");
    (if is_answered { http.response() } else { http.head() }, http)
}

const WEBSOCKET: &str = "/ws/sesion=&myid=&devid=0&v=4.09&uuid=it&api=js";
const TRANSPORTS: [&str; 3] = [WEBSOCKET, "/sse?pipes=web_limits", "/poll/sign?pipes=web_limits"];

#[test]
fn an_address_has_so_many_connections_and_no_more() {
    let more = format!("[ws]\nconnections_per_address_max = 6\n{PROXY}");
    let server = Server::start(&Setup { shards: 3, more, ..Setup::default() });
    let [a, b] = ["198.51.100.1", "2001:db8::1"];
    let opened = |address: &str| -> Vec<(Response, Http)> {
        (0..6).map(|number| attempt(&server, TRANSPORTS[number % 3], address)).collect()
    };
    let of_a = opened(a);
    assert!(of_a.iter().all(|(answer, _)| [101, 200].contains(&answer.status)), "{:?}", of_a[0].0);
    for target in TRANSPORTS {
        let (answer, _) = attempt(&server, target, a);
        assert_eq!((answer.status, answer.field("connection")), (429, "close"), "{target}");
        if target.starts_with("/poll") {
            assert!(answer.text().starts_with("[{\"data\":{\"code\":\"429\""), "{answer:?}");
        }
        assert!(answer.field("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{answer:?}");
    }
    let (script, _) = attempt(&server, "/poll?callback=f", a);
    assert!(script.status == 200 && script.text().starts_with("/**/f([{\"data\":{\"code\":\"429\""), "{script:?}");
    // Everybody else is let in: other networks, and the proxy for itself.
    let of_b = opened(b);
    assert_eq!(attempt(&server, WEBSOCKET, "2001:db8::2").0.status, 429, "the same network of 64 bits");
    assert_eq!(attempt(&server, WEBSOCKET, "2001:db8:0:1::1").0.status, 101);
    for _ in 0..8 {
        server.browser();
    }
    // Plain requests are no connections.
    assert_eq!(attempt(&server, "/info", a).0.status, 200);
    assert_eq!(attempt(&server, "/ws/x", "198.51.100.7").0.status, 101, "an error of the protocol");
    let rows = server.backend().rows("SELECT ip FROM users_in_pipes WHERE name = 'web_limits'").expect("rows");
    let addresses: Vec<&str> = rows.iter().filter_map(|row| row[0].as_deref()).collect();
    let of = |address: &str| addresses.iter().filter(|seen| **seen == address).count();
    assert_eq!((addresses.len(), of(a), of(b)), (8, 4, 4));

    // Whoever goes makes room.
    drop(of_b);
    drop(of_a);
    let back = tools::until(PATIENCE, || {
        let (answer, open) = attempt(&server, WEBSOCKET, a);
        (answer.status == 101).then_some(open)
    });
    assert!(back.is_some());
    let counted = tools::until(PATIENCE, || {
        let rows = server.backend().rows("SHOW GLOBAL STATUS LIKE 'encke_connections_refused'").expect("figures");
        rows[0][1].as_deref().is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count >= 5)).then_some(())
    });
    assert!(counted.is_some());
}

#[test]
fn without_proxies_nobody_says_for_whom_it_speaks() {
    let more = "[ws]\nconnections_per_address_max = 2\n".to_owned();
    let server = Server::start(&Setup { shards: 2, more, ..Setup::default() });
    let open = ["198.51.100.1", "198.51.100.2"].map(|address| attempt(&server, WEBSOCKET, address));
    assert_eq!(attempt(&server, WEBSOCKET, "198.51.100.3").0.status, 429);
    drop(open);
}

#[test]
fn an_address_begins_so_many_connections_in_a_second() {
    const ATTEMPTS: usize = 60;
    let more = format!("[ws]\nconnects_per_address_per_s = 1\n{PROXY}");
    let server = Server::start(&Setup { shards: 3, more, ..Setup::default() });
    let answers: Vec<u16> =
        (0..ATTEMPTS).map(|number| attempt(&server, TRANSPORTS[number % 3], "198.51.100.1").0.status).collect();
    let refused = answers.iter().filter(|status| **status == 429).count();
    // However slow this machine is, it did not take a second for each.
    assert!(refused > 0 && refused < ATTEMPTS, "{answers:?}");
    assert_eq!(attempt(&server, WEBSOCKET, "198.51.100.2").0.status, 101);
    let again = tools::until(PATIENCE, || (attempt(&server, WEBSOCKET, "198.51.100.1").0.status == 101).then_some(()));
    assert!(again.is_some(), "a second later it may");
}

#[test]
fn a_user_publishes_so_much_in_a_second_and_hears_what_was_not() {
    const MESSAGES: usize = 60;
    let more = "[ws]\npublications_per_user_per_s = 1\n".to_owned();
    let server = Server::start(&Setup { shards: 3, more, ..Setup::default() });
    server.backend().execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5')").expect("stored");
    let mut reader = server.browser();
    reader.send("subscription\nweb_room");
    server.await_subscribers("web_room", 1);
    let (mut one, _) = server.browser_with_key(0, "5", "key5");
    let (mut other, _) = server.browser_with_key(0, "5", "key5");
    let mut published = Vec::new();
    for number in 0..MESSAGES {
        let writer = if number % 2 == 0 { &mut one } else { &mut other };
        writer.send(&format!("web_pipe2\nweb_room\ne\n*\n{number}"));
        let answer = writer.receive();
        if answer["event"] == "answer" {
            published.push(number.to_string());
        } else {
            assert_eq!((&answer["event"], &answer["pipe"]), (&"error".into(), &"sys".into()), "{answer}");
            let wait = answer["data"]["retry_after_ms"].as_u64();
            assert!(wait.is_some_and(|wait| (1..=1_000).contains(&wait)), "{answer}");
        }
    }
    assert!(!published.is_empty() && published.len() < MESSAGES, "{published:?}");
    for expected in &published {
        assert_eq!(reader.receive()["data"], expected.as_str());
    }
    // Backends have no such limit, and other commands neither.
    for number in 0..20 {
        let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('web_room', 'e', 'b{number}')");
        server.backend().execute(&insert).expect("accepted");
        assert_eq!(reader.receive()["data"], format!("b{number}"));
        one.send("pipe_count\nweb_room\nm");
        assert_eq!(one.receive()["event"], "user_in_pipe");
    }
}

#[test]
fn a_user_has_so_many_connections() {
    let more = "[ws]\nconnections_per_user_max = 3\n".to_owned();
    let server = Server::start(&Setup { shards: 2, more, ..Setup::default() });
    server.backend().execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5')").expect("stored");
    let _three: Vec<_> = (0..3).map(|_| server.browser_with_key(0, "5", "key5")).collect();
    let (mut fourth, _) = server.browser_with_key(0, "5", "key5");
    assert!(fourth.is_dropped());
    let counted = tools::until(PATIENCE, || {
        let rows = server.backend().rows("SHOW GLOBAL STATUS LIKE 'encke_closed_limited'").expect("figures");
        (rows[0][1].as_deref() == Some("1")).then_some(())
    });
    assert!(counted.is_some());
}

#[test]
fn who_is_back_before_the_grace_is_over_was_never_away() {
    let setup =
        |grace: u32| Setup { shards: 3, more: format!("[main]\noffline_grace_s = {grace}\n"), ..Setup::default() };
    let long = setup(3_600);
    let server = Server::start(&long);
    let mut backend = server.backend();
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5')").expect("stored");
    let mut watcher = server.browser();
    watcher.send("subscription\nuser_status_5");
    server.await_subscribers("user_status_5", 1);
    let here = |server: &Server, count: u32| {
        let counted = tools::until(PATIENCE, || {
            let rows = server.backend().rows("SELECT user_id FROM connections").expect("rows");
            (rows.iter().filter(|row| row[0].as_deref() == Some("5")).count() as u32 == count).then_some(())
        });
        assert!(counted.is_some());
    };
    // A page that is loaded anew, over each transport.
    let (page, _) = server.browser_with_key(0, "5", "key5");
    assert_eq!(watcher.receive()["event"], "online");
    drop(page);
    here(&server, 0);
    let mut stream = Http::connect(&server);
    stream.send("GET /sse?sesion=key5&myid=5&v=4 HTTP/1.1\r\n\r\n");
    assert_eq!((stream.head().status, &stream.event().1["authorized"]), (200, &true.into()));
    drop(stream);
    here(&server, 0);
    let mut poller = Poller::sign(&server, "sesion=key5&myid=5&v=4");
    assert_eq!(poller.take(1)[0]["authorized"], true);
    here(&server, 1);
    let rows = backend.rows("SELECT id, user_id FROM connections").expect("rows");
    let row = rows.iter().find(|row| row[1].as_deref() == Some("5")).expect("the poller");
    backend.execute(&format!("KILL {}", row[0].as_deref().expect("a number"))).expect("it is ended");
    here(&server, 0);
    // To whoever asks it is online as well, and nothing is written of its going.
    let time = |server: &Server| {
        let rows = server.backend().rows("SELECT time FROM users_time WHERE id = 5").expect("rows");
        rows[0][0].as_deref().expect("a time").parse::<i64>().expect("a number")
    };
    assert_eq!(time(&server), 0);
    backend
        .execute("INSERT INTO pipes_messages (name, event, message) VALUES ('user_status_5', 'e', 'last')")
        .expect("ok");
    assert_eq!(watcher.receive()["data"], "last", "nothing was told between");

    // A server that stops keeps when it went; the next one tells so.
    let (ended, folder) = server.stop();
    assert!(ended.success());
    let server = Server::start_in(folder, &setup(1));
    assert!(time(&server) > 1_600_000_000);
    let mut watcher = server.browser();
    watcher.send("subscription\nuser_status_5");
    server.await_subscribers("user_status_5", 1);
    drop(server.browser_with_key(0, "5", "key5"));
    assert_eq!(watcher.receive()["event"], "online");
    assert_eq!(watcher.receive()["event"], "offline");
}

#[test]
fn a_track_pipe_is_listed_in_pages() {
    const MEMBERS: u32 = 700;
    let server = Server::start(&Setup { shards: 3, ..Setup::default() });
    let members: Vec<Http> = (0..MEMBERS)
        .map(|number| {
            let mut stream = Http::connect(&server);
            stream.send(&format!("GET /sse?v=4&uuid=member{number}&pipes=track_room HTTP/1.1\r\n\r\n"));
            assert_eq!(stream.head().status, 200);
            stream
        })
        .collect();
    server.await_subscribers("track_room", MEMBERS);
    let mut page = server.browser_of("js2");
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        page.send(&format!("track_pipe_page\ntrack_room\nm{pages}\n{cursor}"));
        let answer = page.receive();
        assert_eq!((&answer["event"], &answer["marker"]), (&"track_page".into(), &format!("m{pages}").into()));
        let users = answer["data"]["users"].as_array().expect("a list");
        assert!(users.len() <= 512);
        seen.extend(users.iter().map(|user| user["uuid"].as_str().expect("an id").to_owned()));
        pages += 1;
        match answer["data"]["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, (0..MEMBERS).map(|number| format!("member{number}")).collect());
    page.send("track_pipe_page\ntrack_room\nm\n9-9");
    assert_eq!(page.receive()["event"], "error");
    page.send("pipe_count\ntrack_room\nm");
    assert_eq!(page.receive()["data"]["user_in_pipe"], MEMBERS);
    // To a classic page it is an unknown command.
    let mut classic = server.browser();
    classic.send("track_pipe_page\ntrack_room\nm\n");
    assert!(classic.is_dropped());
    drop(members);
}

/// Thousands of keys could be tried in a second. The others at the address, which may be a whole company, notice nothing.
#[test]
fn keys_of_users_cannot_be_guessed_at_speed() {
    let server =
        Server::start(&Setup { shards: 2, more: "[ws]\nkey_attempts_max = 5\n".to_owned(), ..Setup::default() });
    let mut backend = server.backend();
    backend.execute("INSERT INTO users_auth (id, hash) VALUES (5, 'key5'), (6, 'key6')").expect("stored");
    let greeting = |user: u32, key: &str| {
        let who = format!("/ws/sesion={key}&myid={user}&devid=0&v=4.0&uuid=u&api=js");
        let mut http = Http::connect(&server);
        http.send(&format!("GET {who} HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
        // A connection that is put off ends before or behind its handshake.
        if http.is_over() || http.head().status != 101 || http.is_over() { None } else { Some(http.frame()) }
    };
    let told: Vec<_> = (0..100).map(|number| greeting(5, &format!("guess{number}"))).collect();
    let looked_at = told.iter().flatten().count();
    assert!((10..=12).contains(&looked_at), "{looked_at} keys were looked at");
    assert_eq!(greeting(5, "key5"), None, "a right one is not looked at either, or guessing would go on");
    for _ in 0..20 {
        assert!(greeting(6, "key6").is_some_and(|text| text.contains("\"authorized\":true")));
    }
    let warnings = server.log().lines().filter(|line| line.contains("wrong keys of users")).count();
    assert_eq!(warnings, 1, "{}", server.log());
    // Shards tell their counters now and then.
    let expected = Some((100 - looked_at + 1).to_string());
    let counted = tools::until(PATIENCE, || {
        let rows = backend.rows("SHOW GLOBAL STATUS LIKE 'encke_logins_put_off'").expect("figures");
        (rows[0][1] == expected).then_some(())
    });
    assert!(counted.is_some(), "not {expected:?}");
}

/// A system call costs more than all the rest of an answer.
#[test]
fn answers_to_one_command_are_written_together() {
    const NAMES: usize = 300;
    let server = Server::start(&Setup { shards: 1, password: None, more: String::new() });
    let mut browser = server.browser_of("js2");
    let mut backend = server.backend();
    for prefix in ["trust_none_", "web_room_"] {
        let answers = status(&mut backend, "encke_answers") + NAMES as u64;
        let before = status(&mut backend, "encke_sends");
        let lines: Vec<_> = (0..NAMES).map(|number| format!("{prefix}{number} 5")).collect();
        browser.send(&format!("subscription2\n{}", lines.join("\n")));
        for _ in 0..NAMES {
            assert_eq!(browser.receive()["event"], "subscribed");
        }
        await_status(&mut backend, "encke_answers", answers);
        let sends = status(&mut backend, "encke_sends") - before;
        // Those of the other transports and of CometQL are among them.
        assert!(sends < NAMES as u64 / 10, "{sends} sends for {NAMES} answers");
    }
}
