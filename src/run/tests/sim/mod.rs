//! The deterministic simulator: the edge of every shard, and with it hubs, CometQL core, codecs and rings, in one thread
//! under one seed. What is simulated is what lies below the edge: kernel, clock, storage and the loop of the runtime.
//!
//! Time, the order in which shards take turns, how full the rings are, how bytes are cut, when storage answers and who
//! vanishes are all chosen by the seed. A shard takes a turn only when the real one would wake. What every client sees is
//! held against a naive model:
//!
//! * **order, no loss, no duplicate**: within one subscription the numbers of a pipe's publications follow each
//!   other without a gap (a sender's own excepted), and after everything has settled each subscriber has the last one;
//! * **exact counts**: a delivery report tells how many connections got the publication, `SELECT users FROM pipes` how
//!   many are subscribed;
//! * **answers**: every statement, by HTTP as well, and every command gets exactly one answer, in order, and none waits for
//!   a timer;
//! * **personal messages**: one that was acknowledged was taken by a connection or waits in the queue, none comes to a
//!   connection twice, and nothing waits for a user who is here;
//! * **presence**: the last that was heard of a user, or of who is in a pipe, is true at rest;
//! * **history**: what was acknowledged is in it, in the order of positions, and what is told of it has no gaps;
//! * **times**: of whoever went storage knows when, however often it failed, and no time comes before an earlier one;
//! * **wake-ups**: when all shards sleep, nothing is left to do;
//! * **no starvation**: while many publish without an end, neither input nor messages are passed over for long;
//! * **bounds**: what a turn joins stays within the bounds of a round;
//! * **levels**: handling a ring message causes messages of later levels only.
//!
//! A failure prints its seed; `ENCKE_SIM_SEED=n` runs that one alone, `ENCKE_SIM_SEEDS=n` sets how many are run
//! and `ENCKE_SIM_FIRST=n` with which they begin; `scripts/simulate` runs a million.

mod browser;
mod database;
mod http;
mod machine;
mod page;
mod pages;
mod past;
mod people;
mod published;
#[path = "../../../../tests/it/random.rs"]
mod random;
mod session;
mod world;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use world::{Totals, World};

const SEEDS: u64 = 5000;

#[test]
fn clients_see_what_a_naive_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("ENCKE_SIM_SEED") {
        println!("{:?}", World::new(seed).run());
        return;
    }
    let seeds = number("ENCKE_SIM_SEEDS").unwrap_or(SEEDS);
    let first = number("ENCKE_SIM_FIRST").unwrap_or(0);
    let (next, end) = (AtomicU64::new(first), first + seeds);
    let totals = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| run_until(&next, end))).collect();
        let mut totals = Totals::default();
        for worker in workers {
            totals.add(&worker.join().unwrap_or_else(|failure| resume_unwind(failure)));
        }
        totals
    });
    println!("{totals:?}");
    // Fewer may well miss something.
    if seeds >= SEEDS {
        totals.assert_that_everything_was_exercised();
    }
}

/// Runs seeds that nobody else has taken.
fn run_until(next: &AtomicU64, end: u64) -> Totals {
    let mut totals = Totals::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return totals;
        }
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
            Ok(run) => totals.add(&run),
            Err(failure) => {
                eprintln!("the simulation failed: run it again with ENCKE_SIM_SEED={seed}");
                next.store(end, Ordering::Relaxed);
                resume_unwind(failure);
            }
        }
    }
}

/// The first so many bytes of a queue, as far as it has them.
fn take(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let rest = queue.split_off(count.min(queue.len()));
    std::mem::replace(queue, rest).into()
}
