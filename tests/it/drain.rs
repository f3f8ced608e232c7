//! A server that sends its connections elsewhere: what those are told who are here, who come, and who only look.
//!
//! That pages lose nothing on their way is in `web/e2e/drain.test.mjs`.

use crate::server::{PATIENCE, Server, Setup, program};
use crate::tools;
use crate::transports::Http;
use loadtest::{Answer, CometQl};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use tungstenite::{Message, WebSocket};

/// What a command of the program says, run in the server's folder.
fn encke(server: &Server, arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.args(["--conf", "comet.ini"]).args(arguments).current_dir(server.folder());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Its exit status, and what it said.
fn finished(mut child: Child) -> (Option<i32>, String) {
    let status = tools::wait(&mut child, PATIENCE).expect("it ends");
    let mut said = String::new();
    for pipe in [&mut child.stdout.take().unwrap() as &mut dyn Read, &mut child.stderr.take().unwrap()] {
        pipe.read_to_string(&mut said).unwrap();
    }
    (status.code(), said)
}

fn connect(server: &Server, api: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(server.browsers).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("ws://{}/ws/sesion=&myid=&devid=0&v=4.09&uuid=&api={api}", server.browsers);
    let mut socket = tungstenite::client(url, stream).unwrap().0;
    assert!(socket.read().unwrap().is_text());
    socket
}

/// The texts until the end, and the code of the close frame.
fn rest(mut socket: WebSocket<TcpStream>) -> (Vec<String>, Option<u16>) {
    let (mut texts, mut code) = (Vec::new(), None);
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => texts.push(text.to_string()),
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(_) => return (texts, code),
        }
    }
}

fn status_of(server: &Server, target: &str) -> u16 {
    Http::connect(server).get(target, "").status
}

fn await_phase(server: &Server, phase: &str) {
    server.await_line(|line| line.contains("draining") && line.contains(phase), phase);
}

#[test]
fn everybody_is_told_in_the_way_of_its_transport() {
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    let (modern, classic) = (connect(&server, "js2"), connect(&server, "js"));
    let mut events = TcpStream::connect(server.browsers).unwrap();
    events.set_read_timeout(Some(PATIENCE)).unwrap();
    events.write_all(b"GET /sse?pipes=room HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.await_subscribers("room", 1);
    let mut poll = Http::connect(&server);
    let signed = poll.get("/poll/sign?pipes=room", "");
    let id = serde_json::from_str::<serde_json::Value>(signed.text()).unwrap()["id"].as_str().unwrap().to_owned();
    poll.get(&format!("/poll?id={id}&seq=0"), "");
    let mut last = Http::connect(&server);
    server.await_subscribers("room", 2);
    last.send(&format!("GET /poll?id={id}&seq=1 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"));

    // In the time of notice nothing changes but what balancers see.
    backend.execute("SET GLOBAL offline_mode = 'on, notice=2, over=1'").unwrap();
    let not_ready = tools::until(PATIENCE, || (status_of(&server, "/ready") == 503).then_some(()));
    assert!(not_ready.is_some());
    assert_eq!(status_of(&server, "/health"), 200);
    assert_eq!(Http::connect(&server).get("/ready", "").text(), "draining\n");
    connect(&server, "js2");
    await_phase(&server, "leaving");
    for target in ["/poll/sign", "/sse", "/ws/sesion=&myid=&devid=0&v=4.09&uuid=&api=js2"] {
        let answer = Http::connect(&server).get(target, "Upgrade: websocket\r\nConnection: Upgrade\r\n");
        assert_eq!((answer.status, answer.field("retry-after")), (503, "2"), "{target}");
    }

    let (texts, code) = rest(classic);
    assert_eq!((texts, code), (Vec::new(), None), "it comes back after an unclean end only");
    let mut stream = String::new();
    events.read_to_string(&mut stream).expect("a clean end");
    let goodbye = "retry: 500\n\nevent: close\ndata: {\"code\":1012,\"reason\":\"this server sends its connections elsewhere\"}\n\n";
    assert!(stream.ends_with(goodbye), "{stream}");
    let answer = last.response();
    assert_eq!((answer.status, answer.field("retry-after")), (410, "1"), "{}", answer.text());
    // It does not move, so it is ended when its time is over.
    let (texts, code) = rest(modern);
    assert_eq!(texts, [r#"{"data":{"within_ms":5000},"event":"moving","pipe":"sys"}"#]);
    assert_eq!(code, Some(1012));

    await_phase(&server, "empty");
    let told = backend.query("SELECT 1");
    assert!(matches!(told, Ok(Answer::Error { code: 1053, .. })), "{told:?}");
    assert!(backend.query("SELECT 1").is_err(), "and then the session is over");
    let refused = CometQl::connect(server.cometql, "root", &server.password, None);
    assert!(refused.is_err());
    // By its own socket the server is told to go on.
    let (status, said) = finished(encke(&server, &["drain", "--cancel"]));
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(status_of(&server, "/ready"), 200);
    connect(&server, "js");
    server.backend();
}

#[test]
fn the_command_waits_until_nobody_is_left() {
    let mut server = Server::start(&Setup::default());
    let page = connect(&server, "js");
    let begun = encke(&server, &["drain", "--notice", "0", "--over", "1h"]);
    await_phase(&server, "leaving");
    let (status, said) = finished(encke(&server, &["drain", "--cancel"]));
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = finished(begun);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("was given up"), "{said}");
    drop(page);
    let (status, said) = finished(encke(&server, &["drain", "--notice", "0", "--over", "1m"]));
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("empty"), "{said}");
    let (status, said) = finished(encke(&server, &["drain", "--notice", "0s", "--over", "60", "--stop"]));
    assert_eq!(status, Some(0), "{said}");
    assert!(said.ends_with("stopped\n"), "{said}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_stop_may_be_a_drain_first() {
    let more = "[main]\nstop_drain_s = 60\n".to_owned();
    let mut server = Server::start(&Setup { more: more.clone(), ..Setup::default() });
    let page = connect(&server, "js2");
    server.signal(Signal::TERM);
    // Some programs send it twice.
    server.signal(Signal::TERM);
    await_phase(&server, "connections begin to leave");
    assert_eq!(status_of(&server, "/ready"), 503);
    assert_eq!(status_of(&server, "/health"), 200);
    // Nobody is left when the time of notice is over.
    drop(page);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    server.await_line(|line| line.contains("drained, stopping"), "why it stops");

    let mut server = Server::start(&Setup { more, ..Setup::default() });
    let _page = connect(&server, "js2");
    server.signal(Signal::TERM);
    await_phase(&server, "connections begin to leave");
    // The second one, if it does not come together with the first.
    let stops = tools::until(PATIENCE, || {
        let stops = server.log().lines().any(|line| line.contains(" stopping"));
        if !stops {
            server.signal(Signal::TERM);
        }
        stops.then_some(())
    });
    assert!(stops.is_some(), "{}", server.log());
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
}

#[test]
fn whoever_is_old_is_asked_to_move_or_ended() {
    let server = Server::start(&Setup { more: "[ws]\nconnection_age_max_s = 2\n".into(), ..Setup::default() });
    let (modern, classic) = (connect(&server, "js2"), connect(&server, "js"));
    let (texts, code) = rest(classic);
    assert_eq!((texts, code), (Vec::new(), None));
    let (texts, code) = rest(modern);
    assert_eq!(texts, [r#"{"data":{"within_ms":10000},"event":"moving","pipe":"sys"}"#]);
    assert_eq!(code, Some(1012));
    assert_eq!(status_of(&server, "/ready"), 200, "others are welcome");
    connect(&server, "js2");
}
