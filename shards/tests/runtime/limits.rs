//! Full slabs, and a system without descriptors.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::Ordering;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::{Client, Lines, Server, settings, wait_until};

#[test]
fn a_full_shard_takes_the_next_when_one_leaves() {
    let mut settings = settings(1);
    settings.shards[0].connections_max = 10;
    let server = Server::start(settings);
    let mut clients: Vec<Client> = (0..25).map(|_| server.connect()).collect();
    wait_until(|| server.log.counters(0).refused_full > 0);
    assert_eq!(server.log.accepted.load(Ordering::Relaxed), 10);
    for mut client in clients.drain(..) {
        client.send("bye seen\n");
        client.expect("seen\n");
    }
    wait_until(|| server.log.accepted.load(Ordering::Relaxed) == 25);
}

#[test]
fn a_full_shard_may_give_way_to_the_next() {
    let mut settings = settings(1);
    settings.shards[0].connections_max = 2;
    let server = Server::start_with(settings, |shard, log| Lines::new(shard, log).giving_way());
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..10 {
        let mut client = server.connect();
        client.send("echo here\n");
        client.expect("here\n");
        assert_eq!(server.log.ends().len(), usize::saturating_sub(number + 1, 2), "nobody goes before somebody waits");
        clients.push(client);
    }
    // Its last words take a place as well, until somebody waits for it.
    clients[8].send("bye seen\n");
    clients[8].expect("seen\n");
    let mut last = server.connect();
    last.send("echo here\n");
    last.expect("here\n");
    clients[9].send("echo still\n");
    clients[9].expect("still\n");
    assert_eq!(server.log.counters(0).refused_full, 0);
}

/// The limit belongs to a process, so the test runs itself again in one of its own.
#[test]
fn a_shard_without_descriptors_goes_on_when_it_has_some() {
    const CHILD: &str = "SHARDS_TEST_DESCRIPTORS";
    if std::env::var_os(CHILD).is_some() {
        return without_descriptors();
    }
    let name = "limits::a_shard_without_descriptors_goes_on_when_it_has_some";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn without_descriptors() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum: Some(100) }).unwrap();
    // The shard's table is a copy of this one, so these places are taken there for ever.
    let occupied: Vec<File> = (0..60).map(|_| File::open("/dev/null").unwrap()).collect();
    let server = Server::start(settings(1));
    drop(occupied);
    if !server.running().own_descriptor_tables() {
        // One table for both sides: then there is nobody left to connect.
        return;
    }
    let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    wait_until(|| server.log.counters(0).refused_by_system > 0);
    assert!(server.log.accepted.load(Ordering::Relaxed) < 50);
    for mut client in clients.drain(..) {
        client.send("bye seen\n");
        client.expect("seen\n");
    }
    wait_until(|| server.log.accepted.load(Ordering::Relaxed) == 50);
}
