//! The deterministic simulator: the server's own hubs, CometQL core, codecs and rings in one thread under one seed.
//!
//! Time, the order in which shards take turns, how full the rings are, how bytes are cut, when storage answers and who
//! vanishes are all chosen by the seed. What every client sees is held against a naive model:
//!
//! * **order, no loss, no duplicate**: within one subscription the positions of a pipe's publications follow each
//!   other without a gap (a sender's own excepted), and after everything has settled each subscriber has the last one;
//! * **exact counts**: a delivery report tells how many connections got the publication, `SELECT users FROM pipes` how
//!   many are subscribed;
//! * **answers**: every statement gets exactly one answer, in order, and no connection stays busy.
//!
//! A failure prints its seed; `ENCKE_SIM_SEED=n` runs that one alone, `ENCKE_SIM_SEEDS=n` sets how many are run.

mod browser;
pub(crate) mod random;
mod session;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::World;

const SEEDS: u64 = 2000;

#[test]
fn clients_see_what_a_naive_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("ENCKE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ENCKE_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut totals = world::Totals::default();
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
            Ok(run) => totals.add(&run),
            Err(failure) => {
                eprintln!("the simulation failed: run it again with ENCKE_SIM_SEED={seed}");
                resume_unwind(failure);
            }
        }
    }
    println!("{totals:?}");
    if number("ENCKE_SIM_SEED").is_none() {
        totals.assert_that_everything_was_exercised();
    }
}
