//! Messages between shards with their own descriptor tables, under rings that are always full.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Client, Server, settings, wait_until};

#[test]
fn nothing_is_lost_under_full_rings() {
    for (shards, capacity, busy_poll) in [(2, 1, 0), (4, 2, 0), (3, 64, 0), (2, 4, 50)] {
        let mut settings = settings(shards);
        settings.ring_capacity = capacity;
        settings.busy_poll = Duration::from_micros(busy_poll);
        let server = Server::start(settings);
        let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(&"spread 5\n".repeat(10));
        }
        // Each line asks every shard 5 times, each of these answers to every shard, and each answer is confirmed.
        let expected = (8 * 10 * 5 * shards * shards) as u64;
        wait_until(|| server.log.replies.load(Ordering::Relaxed) == expected);
        assert_eq!(server.log.delivered.load(Ordering::Relaxed), expected);
        // Congestion has passed: sockets are read again.
        for client in &mut clients {
            client.send("echo alive\n");
            client.expect("alive\n");
        }
        drop(clients);
        let log = server.stop();
        assert_eq!(log.order_broken.load(Ordering::Relaxed), 0);
        let undeliverable: u64 = log.all_counters().iter().map(|counters| counters.messages_undeliverable).sum();
        assert_eq!(undeliverable, 0);
    }
}

#[test]
fn a_cast_reaches_the_connections_of_all_shards() {
    let server = Server::start(settings(4));
    let mut clients: Vec<Client> = (0..64).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("join\n");
        client.expect("joined\n");
    }
    for seed in 0..20 {
        clients[seed].send(&format!("cast 1000 {seed}\n"));
        for client in &mut clients {
            client.expect_pattern(1000, seed);
        }
    }
    let accepted: Vec<u64> = server.log.all_counters().iter().map(|counters| counters.accepted).collect();
    assert!(accepted.iter().all(|accepted| *accepted > 0), "the port must be shared: {accepted:?}");
}

#[test]
fn outside_threads_wake_a_shard() {
    let server = Server::start(settings(2));
    for round in 1..=100 {
        server.wakers[0].wake();
        wait_until(|| server.log.woken.load(Ordering::Relaxed) == round);
    }
}

#[test]
fn a_shard_with_nothing_to_do_takes_no_turns() {
    let server = Server::start(settings(2));
    let mut client = server.connect();
    client.send("echo ready\n");
    client.expect("ready\n");
    let turns = || -> u64 { server.log.all_counters().iter().map(|counters| counters.turns).sum() };
    let before = turns();
    std::thread::sleep(Duration::from_millis(300));
    // A loop that does not sleep takes thousands; what is left of the connect takes a few.
    assert!(turns() - before < 20, "{} turns", turns() - before);
}
