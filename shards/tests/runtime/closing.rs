//! Ends: by the host, after a flush, by the stop of the server.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shards::End;

use crate::support::{Client, Lines, Server, settings, wait_until};

#[test]
fn a_close_is_local() {
    let server = Server::start(settings(1));
    let mut client = server.connect();
    client.send("close\n");
    assert_eq!(client.rest(), b"");
    assert_eq!(server.wait_for_ends(1), [End::Local]);
}

#[test]
fn unread_input_does_not_destroy_the_last_answer() {
    let server = Server::start(settings(1));
    for round in 1..=20 {
        let mut client = server.connect();
        client.send("bye answer\n");
        // These bytes come when nobody reads them any more; answered with a reset, they would cost the answer.
        for _ in 0..20 {
            let _ = std::io::Write::write_all(&mut client.stream, &[b'x'; 10_000]);
        }
        assert_eq!(client.rest(), b"answer\n");
        drop(client);
        assert_eq!(server.wait_for_ends(round), vec![End::Local; round]);
    }
}

#[test]
fn a_peer_that_never_closes_is_closed_after_its_time() {
    let mut settings = settings(1);
    settings.shards[0].close_time_max = Duration::from_millis(50);
    settings.shards[0].send_buffer = Some(16 * 1024);
    settings.shards[0].queue_bytes_max = 64 * 1024 * 1024;
    let server = Server::start(settings);
    let mut lingering = server.connect();
    let mut flushing = server.connect();
    lingering.send("bye answer\n");
    flushing.send("big 30000000 1\nbye never read\n");
    assert_eq!(server.wait_for_ends(2), [End::Local, End::Local]);
    lingering.expect("answer\n");
}

#[test]
fn who_has_everything_and_never_closes_does_not_keep_the_time_for_sending() {
    let mut settings = settings(1);
    settings.shards[0].close_time_max = Duration::from_millis(50);
    settings.shards[0].send_buffer = Some(16 * 1024);
    let server = Server::start(settings);
    let mut slow = server.connect();
    slow.send("last 3000000 1\n");
    let mut quick = server.connect();
    quick.send("last 5 2\n");
    assert_eq!(server.wait_for_ends(1), [End::Local]);
    // Who still reads has the whole time.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(slow.rest().len(), 3_000_000);
    assert_eq!(server.wait_for_ends(2), [End::Local, End::Local]);
}

#[test]
fn a_stop_flushes_and_ends_everything() {
    for shards in [1, 3] {
        let server = Server::start(settings(shards));
        let mut clients: Vec<Client> = (0..30).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("echo hello\n");
            client.expect("hello\n");
        }
        let address = server.address();
        let readers = std::thread::spawn(move || {
            for mut client in clients {
                client.expect("stopped\n");
                assert_eq!(client.rest(), b"");
            }
        });
        let log = server.stop();
        readers.join().unwrap();
        assert_eq!(log.ends(), vec![End::Local; 30]);
        // Every end caused a message, and every one of these another of the next level: none was forgotten by the stop.
        assert_eq!(log.farewells.load(Ordering::Relaxed), 30);
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}

/// What was handed in before the stop is answered, through all levels of messages, on connections that are open until then.
#[test]
fn a_stop_answers_what_was_asked_before() {
    for (shards, capacity) in [(1, 1024), (3, 1), (4, 2)] {
        let mut settings = settings(shards);
        settings.ring_capacity = capacity;
        let server = Server::start(settings);
        let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
        // Whom nobody has accepted yet is not heard.
        wait_until(|| server.log.accepted.load(Ordering::Relaxed) == 20);
        for client in &mut clients {
            client.send(&"ask\n".repeat(100));
        }
        wait_until(|| server.log.asked.load(Ordering::Relaxed) > 0);
        let readers: Vec<_> = clients
            .into_iter()
            .map(|mut client| std::thread::spawn(move || String::from_utf8(client.rest()).unwrap()))
            .collect();
        let log = server.stop();
        let mut answers = 0;
        for reader in readers {
            let text = reader.join().unwrap();
            let answered = text.strip_suffix("stopped\n").expect("answers come before the goodbye");
            assert_eq!(answered.replace("answer\n", ""), "");
            answers += answered.lines().count() as u64;
        }
        assert_eq!(answers, log.asked.load(Ordering::Relaxed));
        assert_eq!(log.ends(), vec![End::Local; 20]);
    }
}

#[test]
fn a_stop_does_not_wait_longer_than_its_grace() {
    let mut settings = settings(2);
    settings.stop_grace = Duration::from_millis(50);
    let server = Server::start_with(settings, |shard, log| Lines::new(shard, log).disobedient());
    let mut clients: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    wait_until(|| server.log.accepted.load(Ordering::Relaxed) == 10);
    let log = server.stop();
    assert_eq!(log.ends(), vec![End::Stopped; 10]);
    for client in &mut clients {
        assert!(matches!(client.stream.read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_broken_shard_stops_the_others_and_is_told() {
    let mut server = Server::start(settings(3));
    let mut client = server.connect();
    client.send("panic\n");
    let failure = server.take_running().join().unwrap_err();
    assert_eq!(failure.text, "asked for");
    assert!(failure.to_string().starts_with(&format!("shard {} failed", failure.shard)));
}
