//! Fan-outs to many connections, some of which do not read.

use shards::End;

use crate::support::{Client, Server, engines, pattern, settings};

const CLIENTS: usize = 2000;
const STOPPED: usize = 5;

#[test]
fn two_thousand_receivers_get_every_byte_in_order() {
    for engine in engines() {
        let mut settings = settings(1);
        settings.engine = engine;
        settings.shards[0].send_buffer = Some(32 * 1024);
        settings.shards[0].queue_bytes_max = 64 * 1024 * 1024;
        let server = Server::start(settings);
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("join\n");
        }
        for client in &mut clients {
            client.expect("joined\n");
        }
        let mut publisher = server.connect();
        // Small ones, one that fills every send buffer, and small ones behind it: those must wait their turn.
        let casts: Vec<(usize, usize)> = (0..12).map(|seed| (if seed == 4 { 120_000 } else { 700 }, seed)).collect();
        for (len, seed) in &casts {
            publisher.send(&format!("cast {len} {seed}\n"));
        }
        publisher.send("echo sent\n");
        publisher.expect("sent\n");
        let stream: Vec<u8> = casts.iter().flat_map(|(len, seed)| pattern(*len, *seed)).collect();
        let (stopped, reading) = clients.split_at_mut(STOPPED);
        for client in reading.iter_mut().chain(stopped) {
            client.expect_bytes(&stream);
        }
        drop(clients);
        drop(publisher);
        let ends = server.wait_for_ends(CLIENTS + 1);
        assert_eq!(ends, vec![End::PeerClosed; CLIENTS + 1]);
        let counters = server.log.counters(0);
        assert!(counters.short_sends > 0, "the large one must have been too large for somebody");
        assert!(counters.fan_out_sends > 4 * CLIENTS as u64);
    }
}

#[test]
fn receivers_that_do_not_read_are_ended_and_the_others_get_everything() {
    for engine in engines() {
        let mut settings = settings(2);
        settings.engine = engine;
        settings.shards[0].send_buffer = Some(32 * 1024);
        settings.shards[1].send_buffer = Some(32 * 1024);
        settings.shards[0].queue_bytes_max = 100_000;
        settings.shards[1].queue_bytes_max = 100_000;
        let server = Server::start(settings);
        let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send("join\n");
            client.expect("joined\n");
        }
        let mut publisher = server.connect();
        let stopped: Vec<Client> = clients.drain(..STOPPED).collect();
        let mut seed = 0;
        // One after the other, so that those who read never have more than one waiting.
        while server.log.ends().len() < STOPPED {
            publisher.send(&format!("cast 20000 {seed}\n"));
            for client in &mut clients {
                client.expect_pattern(20_000, seed);
            }
            seed += 1;
        }
        assert_eq!(server.log.ends(), vec![End::SlowConsumer; STOPPED]);
        drop(stopped);
    }
}

#[test]
fn connections_that_end_during_a_fan_out_harm_nobody() {
    for engine in engines() {
        let mut settings = settings(1);
        settings.engine = engine;
        settings.fan_out_slice = 7;
        let server = Server::start(settings);
        let mut staying: Vec<Client> = (0..50).map(|_| server.connect()).collect();
        let mut leaving: Vec<Client> = (0..50).map(|_| server.connect()).collect();
        for client in staying.iter_mut().chain(&mut leaving) {
            client.send("join\n");
            client.expect("joined\n");
        }
        let mut publisher = server.connect();
        for seed in 0..100 {
            publisher.send(&format!("cast 3000 {seed}\n"));
            if seed % 2 == 0 {
                leaving.pop();
            }
        }
        for client in &mut staying {
            for seed in 0..100 {
                client.expect_pattern(3000, seed);
            }
        }
    }
}
