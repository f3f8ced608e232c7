//! Writing to readers that are slow, and to those that are too slow.

use std::io::Read;
use std::time::Duration;

use shards::End;

use crate::support::{Server, engines, pattern, settings};

#[test]
fn a_slow_reader_gets_every_byte() {
    for engine in engines() {
        for command in ["big", "shared"] {
            let mut settings = settings(1);
            settings.engine = engine;
            settings.shards[0].queue_bytes_max = 64 * 1024 * 1024;
            settings.shards[0].send_buffer = Some(64 * 1024);
            let server = Server::start(settings);
            let mut slow = server.connect();
            let mut other = server.connect();
            let len = 8_000_000;
            slow.send(&format!("{command} {len} 1\n{command} 5 2\necho between\n{command} {len} 3\nbye end\n"));
            other.send("echo alive\n");
            other.expect("alive\n");
            let mut expected = pattern(len, 1);
            expected.extend(pattern(5, 2));
            expected.extend(b"between\n");
            expected.extend(pattern(len, 3));
            expected.extend(b"end\n");
            let mut received = Vec::new();
            let mut buffer = [0; 15_000];
            loop {
                let count = slow.stream.read(&mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                received.extend_from_slice(&buffer[..count]);
                if received.len() % 7 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            assert!(received == expected, "{engine:?} {command}: {} of {}", received.len(), expected.len());
            drop(slow);
            assert_eq!(server.wait_for_ends(1), [End::Local]);
            other.send("echo still alive\n");
            other.expect("still alive\n");
            let memory = server.log.memory(0);
            assert_eq!((memory.write_queues, memory.write_queues_shared), (0, 0));
        }
    }
}

/// Whoever waits for the reader needs no queue, however much there is to send, and holds up nobody else.
#[test]
fn a_host_may_wait_until_all_is_sent() {
    let mut settings = settings(1);
    settings.shards[0].queue_bytes_max = 256 * 1024;
    settings.shards[0].send_buffer = Some(64 * 1024);
    let server = Server::start(settings);
    let mut slow = server.connect();
    let mut other = server.connect();
    let mut gone = server.connect();
    for client in [&mut slow, &mut gone] {
        client.send("stream 200 1\n");
    }
    other.send("stream 50 2\necho between\n");
    // What is written meanwhile comes where it was written.
    other.expect("between\n");
    for _ in 0..50 {
        other.expect_pattern(100_000, 2);
    }
    drop(gone);
    server.wait_for_ends(1);
    assert!(server.log.memory(0).write_queues < 300_000);
    for _ in 0..200 {
        slow.expect_pattern(100_000, 1);
    }
    other.send("echo still alive\n");
    other.expect("still alive\n");
}

#[test]
fn a_reader_that_is_too_slow_is_ended_and_nobody_else() {
    for engine in engines() {
        let mut settings = settings(1);
        settings.engine = engine;
        settings.shards[0].queue_bytes_max = 256 * 1024;
        settings.shards[0].send_buffer = Some(64 * 1024);
        let server = Server::start(settings);
        let mut slow = server.connect();
        let mut other = server.connect();
        slow.send(&"big 50000 1\n".repeat(1000));
        assert_eq!(server.wait_for_ends(1), [End::SlowConsumer]);
        other.send("big 100000 7\n");
        other.expect_pattern(100_000, 7);
    }
}
