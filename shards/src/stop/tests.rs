//! The barriers with shards that take their turns in any order, as slowly as they like.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{HALF, PHASES, Step, Stop, Stopping, View};
use crate::core::Random;
use crate::linux::EventFd;
use crate::mesh::{Endpoint, Level, Mesh};
use crate::waker::Waker;

const GRACE: Duration = Duration::from_secs(10);

/// A shard without sockets: questions are answered at the end of a chain of messages through all levels, and what messages
/// cause may wait in it for a turn.
struct Node {
    stop: Stop<EventFd>,
    endpoint: Endpoint<Level>,
    /// Of later turns.
    held_back: Vec<(Level, u16)>,
    /// Answers that it waits for.
    owed: u64,
    connections: u32,
    handled: u64,
    farewells: usize,
    over: bool,
}

impl Node {
    fn send(&mut self, random: &mut Random, level: Level, shards: u16) {
        let to = random.below(u32::from(shards)) as u16;
        if random.below(3) == 0 {
            self.held_back.push((level, to));
        } else {
            self.endpoint.send(level, to, level);
        }
    }

    /// Takes some of its messages, or all, or none.
    fn turn(&mut self, random: &mut Random, shards: u16, answered: &mut u64, number: u16, now: Instant) {
        for (level, to) in std::mem::take(&mut self.held_back) {
            self.endpoint.send(level, to, level);
        }
        for _ in 0..random.below(4) {
            let Some((_, level)) = self.endpoint.receive() else { break };
            self.handled += 1;
            match Level::ALL.into_iter().find(|other| *other > level) {
                Some(next) => self.send(random, next, shards),
                None => *answered += 1,
            }
        }
        self.endpoint.flush();
        let settled = self.held_back.is_empty() && !self.endpoint.congested() && !self.endpoint.can_receive();
        let view = View { now, settled, answered: self.owed == 0, connections: self.connections };
        match self.stop.step(number, view) {
            Step::Farewell => {
                self.farewells += 1;
                // Each of its connections says something by its end.
                for _ in 0..std::mem::take(&mut self.connections) {
                    self.send(random, Level::Request, shards);
                }
            }
            Step::Over => self.over = true,
            Step::Wait | Step::Again => {}
            Step::EndAll => panic!("the time is not over"),
        }
    }
}

fn nodes(shards: u16, capacity: usize, now: Instant) -> (Arc<Stopping<EventFd>>, Vec<Node>) {
    let stopping = Stopping::new((0..shards).map(|_| Waker::new().unwrap()).collect());
    let nodes = Mesh::new::<Level>(shards, capacity).into_iter().map(|endpoint| {
        let mut stop = Stop::new(Arc::clone(&stopping), GRACE);
        stop.begin(now);
        Node { stop, endpoint, held_back: Vec::new(), owed: 0, connections: 3, handled: 0, farewells: 0, over: false }
    });
    let nodes = nodes.collect();
    (stopping, nodes)
}

#[test]
fn no_message_is_left_in_whatever_order_shards_take_their_turns() {
    let now = Instant::now();
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let shards = 1 + random.below(4) as u16;
        let (_stopping, mut nodes) = nodes(shards, 1 + random.below(3) as usize, now);
        // What was asked before the stop, all of it on the way.
        let questions = random.below(6);
        for _ in 0..questions {
            let from = random.below(u32::from(shards)) as usize;
            nodes[from].send(&mut random, Level::Request, shards);
        }
        let (mut answered, mut turns) = (0, 0);
        let in_halves = |nodes: &[Node]| nodes.iter().map(|node| node.farewells).collect::<Vec<_>>();
        while !nodes.iter().all(|node| node.over) {
            let number = random.below(u32::from(shards)) as u16;
            // One is much slower than the others.
            if number == 0 && random.below(8) > 0 {
                continue;
            }
            let before = in_halves(&nodes);
            nodes[usize::from(number)].turn(&mut random, shards, &mut answered, number, now);
            if before.iter().all(|farewells| *farewells == 0) && in_halves(&nodes) != before {
                assert_eq!(answered, u64::from(questions), "seed {seed}: a farewell before the answers");
            }
            turns += 1;
            assert!(turns < 100_000, "seed {seed}: it never ends");
        }
        assert_eq!(in_halves(&nodes), vec![1; usize::from(shards)]);
        let ends = 3 * u64::from(shards);
        assert_eq!(answered, u64::from(questions) + ends, "seed {seed}: messages were left behind");
        let handled: u64 = nodes.iter().map(|node| node.handled).sum();
        assert_eq!(handled, (u64::from(questions) + ends) * Level::ALL.len() as u64);
    }
}

#[test]
fn who_owes_answers_holds_all_up_for_half_of_the_grace_time() {
    let now = Instant::now();
    let (stopping, mut nodes) = nodes(2, 1, now);
    nodes[0].owed = 1;
    for node in &mut nodes {
        node.connections = 0;
    }
    let mut random = Random::new(1);
    let mut at = |nodes: &mut Vec<Node>, time| {
        for _ in 0..50 {
            for number in 0..2 {
                nodes[usize::from(number)].turn(&mut random, 2, &mut 0, number, time);
            }
        }
        nodes.iter().map(|node| (node.farewells, node.over)).collect::<Vec<_>>()
    };
    let just_before = Duration::from_millis(4_999);
    assert_eq!(at(&mut nodes, now + just_before), [(0, false), (0, false)]);
    assert_eq!(nodes[0].stop.deadline(), Some(now + GRACE / 2));
    assert!(!stopping.have_passed(1));
    assert_eq!(at(&mut nodes, now + GRACE / 2), [(1, true), (1, true)]);
    let view = View { now: now + GRACE, settled: false, answered: false, connections: 1 };
    assert_eq!(nodes[0].stop.step(0, view), Step::EndAll);
}

#[test]
fn there_is_a_barrier_for_every_level() {
    assert_eq!((HALF, PHASES), (1 + Level::ALL.len(), 2 + 2 * Level::ALL.len()));
}
