use std::collections::HashMap;

use proptest::prelude::*;

use super::{Endpoint, Level, Mesh};

#[test]
fn messages_arrive_in_order_higher_levels_first() {
    let mut mesh = Mesh::new(2, 8);
    let [near, far] = &mut mesh[..] else { panic!() };
    for (level, number) in [(Level::Request, 1), (Level::Reply, 2), (Level::Deliver, 3), (Level::Request, 4)] {
        near.send(level, 1, number);
    }
    assert!(far.can_receive() && !near.can_receive());
    let received: Vec<_> = std::iter::from_fn(|| far.receive()).collect();
    assert_eq!(received, [(0, 2), (0, 3), (0, 1), (0, 4)]);
}

#[test]
fn a_full_ring_fills_the_backlog_and_keeps_the_order() {
    let mut mesh = Mesh::new(2, 2);
    let [near, far] = &mut mesh[..] else { panic!() };
    for number in 0..5 {
        near.send(Level::Request, 1, number);
    }
    assert!(near.congested() && near.has_backlog(Level::Request) && !near.has_backlog(Level::Reply));
    assert_eq!(near.backlog_len(), 3);
    assert_eq!(far.receive(), Some((0, 0)));
    // There is room now, but the new message must not overtake those that wait.
    near.send(Level::Request, 1, 5);
    assert_eq!(near.backlog_len(), 4);
    assert!(!near.flush());
    assert_eq!(near.backlog_len(), 3);
    let mut received = vec![0];
    loop {
        received.extend(std::iter::from_fn(|| far.receive()).map(|(_, number)| number));
        if near.flush() && !far.can_receive() {
            break;
        }
    }
    assert_eq!(received, [0, 1, 2, 3, 4, 5]);
    assert!(!near.congested() && near.backlog_len() == 0);
}

#[test]
fn backlog_holds_back_lower_levels_only() {
    let mut mesh = Mesh::new(3, 1);
    let [first, second, _third] = &mut mesh[..] else { panic!() };
    for (level, number) in [(Level::Request, 10), (Level::Deliver, 11), (Level::Reply, 12)] {
        second.send(level, 0, number);
    }
    first.send(Level::Deliver, 2, 0);
    first.send(Level::Deliver, 2, 1);
    assert!(first.has_backlog(Level::Deliver));
    assert_eq!(first.receive(), Some((1, 12)));
    assert_eq!(first.receive(), Some((1, 11)), "the own level is not held back");
    assert_eq!(first.receive(), None);
    assert!(!first.can_receive());
    let third = &mut mesh[2];
    assert_eq!(third.receive(), Some((0, 0)));
    let first = &mut mesh[0];
    assert!(first.flush() && first.can_receive());
    assert_eq!(first.receive(), Some((1, 10)));
}

#[test]
fn sources_take_turns() {
    let mut mesh = Mesh::new(3, 100);
    for number in 0..50 {
        for from in [0, 1] {
            mesh[from].send(Level::Deliver, 2, number);
        }
        mesh[2].send(Level::Deliver, 2, number);
    }
    let received: Vec<_> = std::iter::from_fn(|| mesh[2].receive()).map(|(from, _)| from).collect();
    assert_eq!(received.len(), 150);
    assert!(received.chunks(3).all(|sources| {
        let mut sources = sources.to_vec();
        sources.sort_unstable();
        sources == [0, 1, 2]
    }));
}

#[test]
fn each_target_is_named_once() {
    let mut mesh = Mesh::new(4, 2);
    for number in 0..3 {
        mesh[1].send(Level::Request, 3, number);
        mesh[1].send(Level::Reply, 0, number);
        mesh[1].send(Level::Reply, 1, number);
    }
    let targets = |endpoint: &mut Endpoint<i32>| {
        let mut targets = Vec::new();
        endpoint.take_targets(|target| targets.push(target));
        targets
    };
    assert_eq!(targets(&mut mesh[1]), [3, 0]);
    assert_eq!(targets(&mut mesh[1]), []);
    assert_eq!(mesh[3].receive(), Some((1, 0)));
    mesh[1].flush();
    assert_eq!(targets(&mut mesh[1]), [3], "a flush is news for the target, too");
}

#[test]
fn the_local_queue_counts_as_backlog_beyond_the_capacity() {
    let mut mesh = Mesh::new(1, 2);
    let own = &mut mesh[0];
    for number in 0..2 {
        own.send(Level::Request, 0, number);
    }
    assert!(!own.congested());
    own.send(Level::Request, 0, 2);
    assert!(own.congested());
    assert_eq!(own.backlog_len(), 1);
    assert_eq!(own.receive(), Some((0, 0)));
    assert!(!own.congested());
}

#[test]
fn messages_to_a_shard_that_has_ended_do_not_congest() {
    let mut mesh = Mesh::new(2, 1);
    let gone = mesh.pop();
    mesh[0].send(Level::Request, 1, 1);
    mesh[0].send(Level::Request, 1, 2);
    assert!(!mesh[0].flush());
    drop(gone);
    assert!(mesh[0].flush());
    assert_eq!(mesh[0].undeliverable(), 1);
}

#[test]
fn memory_is_that_of_the_rings_and_the_backlog() {
    let mut mesh: Vec<Endpoint<u64>> = Mesh::new(3, 100);
    assert_eq!(mesh[0].ring_bytes(), Level::ALL.len() * 2 * 100 * 8);
    assert_eq!(mesh[0].backlog_bytes(), 0);
    for number in 0..150 {
        mesh[0].send(Level::Request, 1, number);
    }
    assert!(mesh[0].backlog_bytes() >= 50 * 8);
}

/// A message with all that its ancestors allow it to cause.
#[derive(Clone, Debug)]
struct Numbered {
    level: Level,
    number: u64,
}

/// All-to-all amplification: outside work causes a request to everybody, a request a delivery and a reply to everybody,
/// a delivery a reply to everybody. Shards act in any order, under rings as small as they get.
struct Storm {
    mesh: Vec<Endpoint<Numbered>>,
    /// Outside work not yet taken, by shard.
    work: Vec<u32>,
    sent: HashMap<(Level, u16, u16), u64>,
    received: HashMap<(Level, u16, u16), u64>,
}

impl Storm {
    fn send_to_all(&mut self, from: usize, level: Level) {
        for to in 0..self.mesh.len() as u16 {
            let number = self.sent.entry((level, from as u16, to)).or_default();
            *number += 1;
            let message = Numbered { level, number: *number };
            self.mesh[from].send(level, to, message);
        }
    }

    /// One step of one shard: a message if it may receive one, else outside work if it may take that.
    fn step(&mut self, shard: usize) {
        self.mesh[shard].flush();
        if let Some((from, message)) = self.mesh[shard].receive() {
            let number = self.received.entry((message.level, from, shard as u16)).or_default();
            *number += 1;
            assert_eq!(message.number, *number, "order per level, sender and receiver");
            // Levels may be left out; which ones changes from message to message.
            let later = &Level::ALL[message.level as usize + 1..];
            if !later.is_empty() {
                self.send_to_all(shard, later[message.number as usize % later.len()]);
            }
        } else if self.work[shard] > 0 && !self.mesh[shard].congested() {
            self.work[shard] -= 1;
            self.send_to_all(shard, Level::Request);
        }
        // One unit of work causes one message per receiver and level. A backlog of one level comes from one unit, and
        // those of different levels from different units.
        let bound = Level::ALL.len() * self.mesh.len();
        assert!(self.mesh[shard].backlog_len() <= bound, "{} of {bound}", self.mesh[shard].backlog_len());
    }

    fn is_done(&self) -> bool {
        self.work.iter().all(|work| *work == 0) && self.mesh.iter().all(|end| !end.can_receive() && !end.congested())
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nobody_waits_for_ever(
        shards in 1_u16..5,
        capacity in 1_usize..4,
        work in 1_u32..12,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..2000),
    ) {
        let count = usize::from(shards);
        let mut storm = Storm {
            mesh: Mesh::new(shards, capacity),
            work: vec![work; count],
            sent: HashMap::new(),
            received: HashMap::new(),
        };
        for index in order {
            storm.step(index.index(count));
        }
        // From here on everybody gets its turn: then the storm must come to its end.
        let messages = u64::from(work) * u64::from(shards) * u64::from(shards) * (1 + u64::from(shards)).pow(4);
        let mut rounds = 0;
        while !storm.is_done() {
            (0..count).for_each(|shard| storm.step(shard));
            rounds += 1;
            prop_assert!(rounds <= messages + 10, "deadlock");
        }
        prop_assert_eq!(&storm.sent, &storm.received);
        let requests: u64 = storm.received.iter().filter(|((level, ..), _)| *level == Level::Request).map(|(_, n)| n).sum();
        prop_assert_eq!(requests, u64::from(work) * u64::from(shards) * u64::from(shards));
    }
}

#[test]
fn a_held_shard_receives_answers_only() {
    let mut endpoints = Mesh::new::<&str>(2, 4);
    let messages = ["request", "announcement", "delivery", "report", "reply"];
    for (level, message) in Level::ALL.into_iter().zip(messages) {
        endpoints[0].send(level, 1, message);
    }
    let held = &mut endpoints[1];
    held.hold(true);
    assert!(held.congested() && held.can_receive());
    assert_eq!(held.receive(), Some((0, "reply")));
    assert_eq!(held.receive(), Some((0, "report")));
    assert!(!held.can_receive());
    assert_eq!(held.receive(), None);
    held.hold(false);
    assert!(!held.congested());
    assert_eq!(held.receive(), Some((0, "delivery")));
    assert_eq!(held.receive(), Some((0, "announcement")));
    assert_eq!(held.receive(), Some((0, "request")));
}

/// A level that could not be received while messages above it waited for room has not lost its turn.
#[test]
fn who_waits_for_room_keeps_its_turn() {
    let mut mesh = Mesh::new(2, 4);
    mesh[0].send(Level::Request, 1, "request");
    for _ in 0..4 {
        mesh[0].send(Level::Deliver, 1, "deliver");
    }
    for _ in 0..5 {
        mesh[1].send(Level::Deliver, 0, "back");
    }
    assert_eq!(mesh[1].receive(), Some((0, "deliver")));
    assert_eq!(mesh[1].receive(), Some((0, "deliver")), "requests have to wait for room");
    assert_eq!(mesh[0].receive(), Some((1, "back")));
    assert!(mesh[1].flush());
    let received: Vec<_> = std::iter::from_fn(|| mesh[1].receive()).map(|(_, message)| message).collect();
    assert_eq!(received, ["request", "deliver", "deliver"]);
}

/// Deliveries that come as fast as they are taken must not keep requests and announcements out, nor the other way round.
#[test]
fn the_lower_levels_take_turns() {
    let mut mesh = Mesh::new(2, 8);
    for number in 0..3 {
        mesh[0].send(Level::Request, 1, ("request", number));
        mesh[0].send(Level::Announce, 1, ("announce", number));
        mesh[0].send(Level::Deliver, 1, ("deliver", number));
    }
    mesh[0].send(Level::Report, 1, ("report", 0));
    mesh[0].send(Level::Reply, 1, ("reply", 0));
    let received: Vec<&str> = std::iter::from_fn(|| mesh[1].receive()).map(|(_, (what, _))| what).collect();
    let each = ["deliver", "announce", "request"];
    assert_eq!(received, [&["reply", "report"][..], &each, &each, &each].concat());
}
