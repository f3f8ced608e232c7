//! What waits for all connections together has a maximum, and whoever holds most of it pays.

use shards::End;

use crate::support::{Client, Server, engines, settings};

const MIB: usize = 1024 * 1024;

/// One shard that keeps so much for all connections, and as good as nothing in the system's buffers.
fn server(engine: shards::EngineChoice, waiting_bytes_max: usize) -> Server {
    let mut settings = settings(1);
    settings.engine = engine;
    let shard = &mut settings.shards[0];
    shard.queue_bytes_max = 64 * MIB;
    shard.unread_bytes_max = 64 * MIB;
    shard.waiting_bytes_max = waiting_bytes_max;
    shard.unsent_low_water = Some(16 * 1024);
    Server::start(settings)
}

fn expect_alive(client: &mut Client) {
    client.send("echo alive\n");
    client.expect("alive\n");
}

#[test]
fn whoever_holds_most_of_what_is_unsent_makes_room() {
    for engine in engines() {
        let server = server(engine, 40 * MIB);
        // More than the system takes for a reader that has stopped.
        let (small, large) = (12 * MIB, 24 * MIB);
        let mut readers: Vec<Client> = (0..3).map(|_| server.connect()).collect();
        readers[0].send(&format!("big {small} 1\n"));
        readers[1].send(&format!("big {large} 2\n"));
        readers[2].send(&format!("big {small} 3\n"));
        let mut last = server.connect();
        last.send(&format!("big {small} 4\n"));
        assert_eq!(server.wait_for_ends(1), [End::NoRoom]);
        assert!(server.log.memory(0).waiting <= 40 * MIB);
        for (reader, seed) in [(0, 1), (2, 3)] {
            readers[reader].expect_pattern(small, seed);
            expect_alive(&mut readers[reader]);
        }
        last.expect_pattern(small, 4);
        expect_alive(&mut last);
        assert_eq!(server.log.memory(0).waiting, 0);
    }
}

#[test]
fn whoever_holds_most_of_what_is_unread_makes_room() {
    let server = server(shards::EngineChoice::Plain, 4 * MIB);
    let mut talkers: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    let piece = "x".repeat(MIB);
    // Lines without an end.
    talkers[0].send(&piece);
    talkers[1].send(&format!("{piece}{piece}{piece}"));
    talkers[2].send(&piece);
    assert_eq!(server.wait_for_ends(1), [End::NoRoom]);
    for talker in [0, 2] {
        talkers[talker].send("\n");
        talkers[talker].expect("what?\n");
    }
    expect_alive(&mut talkers[3]);
}

#[test]
fn what_many_wait_for_counts_about_once() {
    for engine in engines() {
        let server = server(engine, 40 * MIB);
        let mut readers: Vec<Client> = (0..100).map(|_| server.connect()).collect();
        for reader in &mut readers {
            reader.send("join\n");
            reader.expect("joined\n");
        }
        // Beyond what the system takes, for a hundred readers: 600 MiB if each had its own.
        let bytes = 6 * MIB;
        readers[0].send(&format!("cast {bytes} 5\n"));
        for reader in &mut readers {
            reader.expect_pattern(bytes, 5);
            expect_alive(reader);
        }
        assert!(server.log.ends().is_empty());
        assert_eq!(server.log.memory(0).waiting, 0);
    }
}
