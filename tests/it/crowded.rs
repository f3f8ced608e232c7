//! What all clients share has a maximum, and whoever fills it does not keep it from others.

use crate::hostile::{Bystanders, UPGRADE, await_status, connect, masked, status};
use crate::server::{Server, Setup};
use loadtest::{Answer, CometQl};
use std::io::{Read, Write};
use std::net::TcpStream;

const MIB: usize = 1024 * 1024;

/// A pipe with a history of half a mebibyte.
fn fill_history(backend: &mut CometQl, pipe: &str) {
    let setting = format!("INSERT INTO pipes_settings (name, length) VALUES ('{pipe}', 99)");
    assert!(matches!(backend.query(&setting).unwrap(), Answer::Ok { .. }));
    let body = "x".repeat(5_000);
    let rows: Vec<String> = (0..99).map(|number| format!("('{pipe}', 'e{number}', '{body}')")).collect();
    let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES {}", rows.join(","));
    assert!(matches!(backend.query(&insert).unwrap(), Answer::Ok { .. }));
}

/// A browser that asks for a history and does not read it.
fn ask_for_history(server: &Server, pipe: &str) -> TcpStream {
    let mut stream = connect(server.browsers);
    // The system must not take for a reader what the server would have to keep.
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 16 * 1024).expect("a small buffer");
    stream.write_all(UPGRADE.as_bytes()).expect("a head");
    let question = format!("pipe_log\n{pipe}\nmark");
    stream.write_all(&masked(0x81, question.as_bytes())).expect("a question");
    stream
}

#[test]
fn one_history_for_many_slow_readers_is_in_memory_once() {
    const READERS: usize = 60;
    let more = "[ws]\nwaiting_bytes_max = 16777216\n".to_owned();
    let server = Server::start(&Setup { shards: 1, more, ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let mut backend = server.backend();
    fill_history(&mut backend, "popular");
    let readers: Vec<TcpStream> = (0..READERS).map(|_| ask_for_history(&server, "popular")).collect();
    // Each of them counts there as if it had its own.
    await_status(&mut backend, "encke_queued_bytes", (READERS * 400_000) as u64);
    let waiting = status(&mut backend, "encke_waiting_bytes");
    assert!(waiting < 12 * MIB as u64, "{waiting} bytes wait for {READERS} readers of one answer");
    assert_eq!(status(&mut backend, "encke_closed_no_room"), 0);
    bystanders.check();
    drop(readers);
}

#[test]
fn what_waits_for_slow_readers_has_a_maximum_that_the_largest_pay_for() {
    const READERS: usize = 60;
    let more = "[ws]\nwaiting_bytes_max = 16777216\n".to_owned();
    let server = Server::start(&Setup { shards: 1, more, ..Setup::default() });
    let mut bystanders = Bystanders::new(&server);
    let mut backend = server.backend();
    let mut readers = Vec::new();
    for number in 0..READERS {
        let pipe = format!("pipe_{number}");
        fill_history(&mut backend, &pipe);
        readers.push(ask_for_history(&server, &pipe));
        let waiting = status(&mut backend, "encke_waiting_bytes");
        assert!(waiting <= 12 * MIB as u64, "{waiting} bytes wait");
    }
    await_status(&mut backend, "encke_closed_no_room", 1);
    bystanders.check();
    // Whoever made room was the first, and nobody is kept out.
    let mut rest = Vec::new();
    let _ = readers.remove(0).read_to_end(&mut rest);
    assert!(rest.len() < MIB / 2, "the first made room");
    let mut last = readers.pop().expect("the last reader");
    let mut answer = vec![0; MIB / 4];
    last.read_exact(&mut answer).expect("the last one is served");
}

#[test]
fn slow_readers_of_parts_keep_nobody_from_large_files() {
    let server = Server::start(&Setup::default());
    let length = 16 * MIB;
    let file = std::fs::File::create(server.folder().join("static/large.js")).expect("a file");
    file.set_len(length as u64).expect("room on the disk");
    std::fs::write(server.folder().join("static/other.js"), vec![b'o'; MIB]).expect("a file");
    let mut slow = Vec::new();
    for first in 0..40 {
        let mut stream = connect(server.browsers);
        let request = format!("GET /large.js HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut beginning = [0; 12];
        stream.read_exact(&mut beginning).expect("an answer");
        assert_eq!(&beginning, b"HTTP/1.1 206", "reader {first}");
        slow.push(stream);
    }
    for (file, length) in [("other.js", MIB), ("large.js", length)] {
        let mut stream = connect(server.browsers);
        let request = format!("GET /{file} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > length, "{file}: {} bytes", answer.len());
    }
    // Parts of one content are right, whoever else is sent it.
    let mut stream = connect(server.browsers);
    let request = "GET /other.js HTTP/1.1\r\nHost: a\r\nRange: bytes=1000-200999\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.ends_with(&vec![b'o'; 200_000]) && answer.starts_with(b"HTTP/1.1 206"));
    drop(slow);
}
