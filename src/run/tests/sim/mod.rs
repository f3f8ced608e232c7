//! The deterministic simulator: the edge of every shard, and with it hubs, CometQL core, codecs and rings, in one thread
//! under one seed. The loop of the shards, their rings, wakers, timers and the barriers of their stop are those of production;
//! simulated is what lies below: kernel, clock and storage (`kernel`, `clock`, `database`).
//!
//! Time, the order in which shards take turns, how full the rings are, how bytes are cut, when storage answers and who
//! vanishes are all chosen by the seed. A shard takes a turn only when the real one would wake, now and then for no reason. What
//! every client sees is held against a naive model:
//!
//! * **order, no loss, no duplicate**: within one subscription the numbers of a pipe's publications follow each
//!   other without a gap (a sender's own excepted), and after everything has settled each subscriber has the last one;
//! * **exact counts**: a delivery report tells how many connections got the publication, `SELECT users FROM pipes` how
//!   many are subscribed;
//! * **answers**: every statement, by HTTP as well, and every command gets exactly one answer, in order, and none waits for
//!   a timer;
//! * **personal messages**: one that was acknowledged was taken by a connection or waits in the queue, none comes to a
//!   connection twice or behind a later one of its sender, whatever ended meanwhile, and nothing waits for a user who is here;
//! * **presence**: the last that was heard of a user, or of who is in a pipe, is true at rest;
//! * **recovery**: a page that comes back, over whichever transport, has all that it missed, once and in order, or is told of
//!   a gap; and no gap is told that has no cause;
//! * **polls**: what was not acknowledged is told again in the same words, whichever shard is asked, and ends only after a
//!   minute without a poll;
//! * **logins**: nobody is here with a hash that was deleted, or with a token that was revoked or has expired;
//! * **history**: what was acknowledged is in it, in the order of positions, and what is told of it has no gaps;
//! * **times**: of whoever went storage knows when, however often it failed, and no time comes before an earlier one;
//! * **wake-ups**: when all shards sleep, nothing is left to do;
//! * **no starvation**: while many publish without an end, neither input nor messages are passed over for long;
//! * **stop**: everything that was answered with OK or reported before the goodbye has reached whoever was subscribed;
//! * **drains**: whoever is sent away in one comes back as from any other end, and nobody stays who should go;
//! * **bounds**: what a turn joins stays within the bounds of a round;
//! * **levels**: handling a ring message causes messages of later levels only.
//!
//! The server is broken on purpose, in one place at a time, to see that this fails: `scripts/mutate` does it, the places stand in
//! `tests/mutations.txt`, and docs/decisions/simulator.md says which seed found each.
//!
//! A failure prints its seed; `ENCKE_SIM_SEED=n` runs that one alone, `ENCKE_SIM_SEEDS=n` sets how many are run
//! and `ENCKE_SIM_FIRST=n` with which they begin; `scripts/simulate` runs a million. What was exercised is counted, printed, and
//! has to have occurred.

mod browser;
mod clients;
mod clock;
mod database;
mod draining;
mod edge;
mod http;
mod kernel;
mod page;
mod pages;
mod past;
mod people;
mod published;
#[path = "../../../../tests/it/random.rs"]
mod random;
mod reloads;
mod rest;
mod seen;
mod session;
mod setup;
mod shard;
mod stopping;
mod storing;
mod totals;
mod watching;
mod world;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::model::ShardId;
use crate::ring::{Placement, RingMessage};
use crate::run::host::Kind;
use crate::run::in_force::InForce;
use crate::run::notice::Notice;
use crate::run::storage;
use crate::storage::Beginning;

use random::Random;
use shard::{Limits, Shard, shard_settings};
use totals::Totals;
use world::World;

const SEEDS: u64 = 5000;

/// With so many failed seeds there is enough to look at.
const FAILURES_MAX: usize = 20;

/// What all threads take seeds from.
struct Seeds {
    next: AtomicU64,
    end: u64,
    /// Said after each so many.
    step: u64,
    failed: Mutex<Vec<u64>>,
    failures_max: usize,
}

#[test]
fn clients_see_what_a_naive_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("ENCKE_SIM_SEED") {
        return World::new(seed).run().print();
    }
    let (first, count) = (number("ENCKE_SIM_FIRST").unwrap_or(0), number("ENCKE_SIM_SEEDS").unwrap_or(SEEDS));
    let seeds = Seeds {
        next: AtomicU64::new(first),
        end: first + count,
        step: (count / 100).max(SEEDS),
        failed: Mutex::default(),
        failures_max: if count > SEEDS { FAILURES_MAX } else { 1 },
    };
    let totals = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| seeds.run())).collect();
        let mut totals = Totals::default();
        for worker in workers {
            totals.add(&worker.join().expect("a thread that catches what fails"));
        }
        totals
    });
    totals.print();
    let mut failed = seeds.failed.into_inner().expect("nobody failed while holding it");
    failed.sort_unstable();
    for seed in &failed {
        println!("failed: ENCKE_SIM_SEED={seed} cargo test --lib sim::");
    }
    assert!(failed.is_empty(), "{} seeds failed", failed.len());
    // Fewer may well miss something.
    if count >= SEEDS {
        totals.assert_that_everything_was_exercised();
    }
}

impl Seeds {
    /// Runs seeds that nobody else has taken.
    fn run(&self) -> Totals {
        let mut totals = Totals::default();
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return totals;
            }
            if let Ok(run) = catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
                totals.add(&run);
            } else {
                eprintln!("the simulation failed: run it again with ENCKE_SIM_SEED={seed}");
                let mut failed = self.failed.lock().expect("nobody failed while holding it");
                failed.push(seed);
                if failed.len() >= self.failures_max {
                    self.next.store(self.end, Ordering::Relaxed);
                }
            }
            if (seed + 1).is_multiple_of(self.step) {
                eprintln!("{} seeds are left", self.end.saturating_sub(self.next.load(Ordering::Relaxed)));
            }
        }
    }
}

/// A hub that storage refuses a read has its answer at the end of a turn, behind the fan-outs; a shard that slept then kept
/// the page waiting until something else woke it.
#[test]
fn an_answer_that_comes_last_in_a_turn_does_not_wait_for_another_wake() {
    let placement = Placement::new(1, [1, 2, 3, 4]);
    let (_storage, mut clients) = storage::channels(2, 0);
    let config = setup::browser_config(ShardId(0), &placement, 1_000_000, Duration::ZERO, 1_000_000);
    let configure = move |_: &InForce| panic!("nothing else is in force");
    let news = Notice::default().reader();
    let browsers = setup::front(config, Beginning::default(), clients.swap_remove(0), news, Box::new(configure));
    let limits = Limits {
        ring_capacity: 4,
        slice: 10,
        messages_per_turn: 10,
        tick: Duration::from_secs(1),
        shards: vec![shard_settings(1_000_000, 10, 4096)],
    };
    let now = clock::clock(0);
    let edges = vec![Kind::Browsers(Box::new(browsers))];
    let mut shard = Shard::all(limits, edges, &mut Random::new(1), now).swap_remove(0);
    let socket = shard.kernel().connect(100_000);
    let request = b"GET /sse?api=js2&pipes=trust_a,trust_b,trust_c&last=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    shard.turn(now);
    shard.kernel().client_sends(socket, request);
    // Time stands still.
    while shard.would_turn(now) {
        shard.turn(now);
    }
    let answer = String::from_utf8(shard.kernel().client_reads(socket, usize::MAX)).expect("text");
    assert!(answer.contains(r#""recovered":false"#), "{answer}");
}

/// Whether the end of a connection, or a change of its subscriptions, may cause it.
fn is_of_an_end(message: &RingMessage) -> bool {
    matches!(
        message,
        RingMessage::Interest { .. }
            | RingMessage::Interests(_)
            | RingMessage::StopRecovering { .. }
            | RingMessage::UserWent { .. }
    )
}

/// The first so many bytes of a queue, as far as it has them.
fn take(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let rest = queue.split_off(count.min(queue.len()));
    std::mem::replace(queue, rest).into()
}
