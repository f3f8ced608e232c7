//! Reading: splits, rests, pauses, half-closed connections, timeouts.

use std::net::Shutdown;
use std::sync::atomic::Ordering;

use shards::End;

use crate::support::{Server, settings, wait_until};

#[test]
fn lines_survive_every_split() {
    let server = Server::start(settings(1));
    let text = "echo one\necho two and more\necho \necho last\n";
    for at in 0..=text.len() {
        let mut client = server.connect();
        client.send(&text[..at]);
        client.send(&text[at..]);
        client.expect("one\ntwo and more\n\nlast\n");
    }
    let mut client = server.connect();
    for at in 0..text.len() {
        client.send(&text[at..=at]);
    }
    client.expect("one\ntwo and more\n\nlast\n");
}

#[test]
fn a_line_longer_than_the_buffer_is_put_together() {
    let mut settings = settings(1);
    settings.shards[0].read_buffer = 4096;
    let server = Server::start(settings);
    let long = "x".repeat(300_000);
    let mut client = server.connect();
    client.send(&format!("echo {long}\necho behind\n"));
    client.expect(&format!("{long}\nbehind\n"));
    drop(client);
    assert_eq!(server.wait_for_ends(1), [End::PeerClosed]);
    let memory = server.log.memory(0);
    assert_eq!((memory.unread, memory.write_queues, memory.write_queues_shared), (0, 0, 0));
}

#[test]
fn a_peer_that_never_ends_its_line_is_ended() {
    let mut settings = settings(1);
    settings.shards[0].unread_bytes_max = 100_000;
    let server = Server::start(settings);
    let mut other = server.connect();
    let mut client = server.connect();
    let piece = vec![b'x'; 50_000];
    while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {}
    assert_eq!(server.wait_for_ends(1), [End::TooMuchUnread]);
    other.send("echo alive\n");
    other.expect("alive\n");
}

#[test]
fn one_fast_sender_does_not_keep_others_waiting() {
    let server = Server::start(settings(1));
    let mut fast = server.connect();
    let sender = std::thread::spawn(move || {
        let lines = "unknown\n".repeat(8192);
        for _ in 0..20 {
            fast.send(&lines);
            fast.expect(&"what?\n".repeat(8192));
        }
    });
    for _ in 0..100 {
        let mut client = server.connect();
        client.send("echo between\n");
        client.expect("between\n");
    }
    sender.join().unwrap();
}

/// All of them are readable in one turn: the one that is held up in a long turn before it.
#[test]
fn who_has_enough_reads_the_others_in_later_turns() {
    let server = Server::start(settings(1));
    let mut clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for _ in 0..50 {
        for client in &mut clients {
            client.send("enough\n");
        }
        for client in &mut clients {
            client.expect("first\n");
        }
    }
}

#[test]
fn a_paused_connection_keeps_its_bytes_until_it_is_resumed() {
    let server = Server::start(settings(1));
    let mut paused = server.connect();
    let mut other = server.connect();
    // In the same segment, behind it, and after the peer has closed its side.
    paused.send("pause\necho kept\n");
    wait_until(|| server.log.lines.load(Ordering::Relaxed) == 1);
    paused.send("echo later\n");
    paused.stream.shutdown(Shutdown::Write).unwrap();
    other.send("echo alive\n");
    other.expect("alive\n");
    assert_eq!(server.log.lines.load(Ordering::Relaxed), 2);
    assert_eq!(server.log.ends(), []);
    other.send("resume\n");
    paused.expect("kept\nlater\n");
    assert_eq!(paused.rest(), b"");
    assert_eq!(server.wait_for_ends(1), [End::PeerClosed]);
}

#[test]
fn a_paused_connection_that_breaks_is_ended() {
    let server = Server::start(settings(1));
    let mut paused = server.connect();
    // Unread bytes at the client's close make it a reset.
    paused.send("echo unread\npause\n");
    wait_until(|| server.log.lines.load(Ordering::Relaxed) == 2);
    drop(paused);
    assert_eq!(server.wait_for_ends(1), [End::Reset]);
}

#[test]
fn a_half_closed_connection_gets_all_its_answers() {
    let server = Server::start(settings(1));
    let mut client = server.connect();
    let count: usize = 30_000;
    let lines = |start: &str| (0..count).map(|number| [start, &number.to_string(), "\n"].concat()).collect::<String>();
    let (questions, answers) = (lines("echo "), lines(""));
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, questions.as_bytes()).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(client.rest() == answers.as_bytes());
    sender.join().unwrap();
    assert_eq!(server.wait_for_ends(1), [End::PeerClosed]);
}

#[test]
fn what_was_sent_before_a_close_is_handed_in_although_answers_fail() {
    let server = Server::start(settings(1));
    for round in 1..=50 {
        let mut client = server.connect();
        client.send(&"echo nobody reads this\n".repeat(200));
        drop(client);
        server.wait_for_ends(round);
        assert_eq!(server.log.lines.load(Ordering::Relaxed), 200 * round as u64);
    }
}

#[test]
fn deadlines_come_once_and_idle_timeouts_again_and_again() {
    let server = Server::start(settings(1));
    let mut client = server.connect();
    client.send("deadline 20\n");
    client.expect("timeout\n");
    client.send("idle 20\n");
    client.expect("timeout\ntimeout\ntimeout\n");
    // Replaced by a deadline that lies far ahead: nothing more comes before the answer.
    client.send("deadline 600000\n");
    client.send("bye now\n");
    let rest = String::from_utf8(client.rest()).unwrap();
    assert_eq!(rest.replace("timeout\n", ""), "now\n");
}
