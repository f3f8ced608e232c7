//! `siege`: one attack at a time against a server with work to do. Good clients read what a backend publishes by the clock,
//! newcomers log in, poll and fetch a file all the while. It is measured before and during the attack what they notice and
//! what the server holds: the attack may cost nobody but itself.

mod attacks;
mod newcomers;
mod watch;

use super::fanout::Audience;
use super::report::{Record, Report};
use super::statistics::ratio;
use super::window::{InsertPublisher, Outcome, drive, listen, rest};
use super::{Target, add_users};
use crate::error::Error;
use crate::system;
use clap::ValueEnum as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

pub use attacks::Attack;

/// What the p99 of the good clients may be during an attack: a multiple of before, and milliseconds.
pub const BAR_RATIO: f64 = 2.0;
pub const BAR_MS: f64 = 50.0;

/// Publications that may wait for their arrival.
const UNDER_WAY_MAX: u32 = 1000;

/// The pipe of the good clients. It tells who comes and goes, because one of the attacks is to do that all the time.
const PIPE: &str = "track_siege";

/// How long an attack has been going on when the measurement begins.
const RAMP: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What is tried; all of it, one after the other, if nothing is named
    #[arg(value_enum)]
    pub attacks: Vec<Attack>,
    /// Good clients
    #[arg(long, default_value_t = 200)]
    pub subscribers: usize,
    /// Publications per second
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    /// Bytes of each message
    #[arg(long, default_value_t = 256)]
    pub size: usize,
    /// Seconds of quiet before each attack
    #[arg(long, default_value_t = 15)]
    pub before: u32,
    /// Seconds of each attack
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
    /// What the server may hold, in MiB
    #[arg(long, default_value_t = 512.0)]
    pub memory_cap: f64,
    /// What the system may hold for its sockets, in MiB
    #[arg(long, default_value_t = 256.0)]
    pub kernel_cap: f64,
    /// A tenant with a password of its own, and that password
    #[arg(long, default_value_t = 7)]
    pub attacker: u32,
    #[arg(long, default_value = "attacker")]
    pub attacker_password: String,
}

/// What all attackers know.
pub(crate) struct Field {
    pub(crate) ws: SocketAddr,
    pub(crate) cometql: SocketAddr,
    pub(crate) attacker: u32,
    pub(crate) password: String,
    /// From where on polls are given what they missed.
    pub(crate) position: AtomicU64,
    is_over: AtomicBool,
    /// Rounds of attackers that went through, and that did not.
    rounds: AtomicU64,
    refused: AtomicU64,
}

impl Field {
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits, but not longer than the attack lasts.
    pub(crate) fn wait(&self, limit: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while waited < limit && !self.is_over() {
            thread::sleep(STEP);
            waited += STEP;
        }
    }
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if !(0.1..=1e5).contains(&options.rate) {
        return Err(Error::usage("a rate is 0.1 to 100000 publications per second"));
    }
    system::pin_to_core(target.client_core)?;
    add_users(&mut target.log_in()?, newcomers::USERS)?;
    let mut audience = Audience::gather(target, 1, options.subscribers, PIPE, options.size)?;
    let all = if options.attacks.is_empty() { Attack::value_variants() } else { &options.attacks };
    for attack in all {
        let (before, _) = measure(target, options, &mut audience, options.before)?;
        let field = Field {
            ws: target.ws,
            cometql: target.cometql,
            attacker: options.attacker,
            password: options.attacker_password.clone(),
            position: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        attack.prepare(&field, &mut target.log_in()?)?;
        let during = thread::scope(|scope| {
            for worker in 0..attack.workers() {
                let field = &field;
                scope.spawn(move || work(*attack, field, worker));
            }
            thread::sleep(RAMP);
            let during = measure(target, options, &mut audience, options.seconds);
            field.is_over.store(true, Ordering::Relaxed);
            during
        });
        let (during, seen) = during?;
        let mut record = Record::new(format!("siege {}", attack.name()));
        let rounds = (field.rounds.into_inner(), field.refused.into_inner());
        tell(&mut record, options, &before, &during, &seen, rounds);
        report.add(record);
        thread::sleep(RAMP);
    }
    audience.crowd.close()
}

/// Attacks until it is over. Errors are the server's way to refuse: that is what it should do.
fn work(attack: Attack, field: &Field, worker: usize) {
    // What the attackers themselves need must not look like what the server does to others.
    let _ = system::be_nice();
    while !field.is_over() {
        if attack.act(field, worker).is_ok() {
            field.rounds.fetch_add(1, Ordering::Relaxed);
        } else {
            field.refused.fetch_add(1, Ordering::Relaxed);
            field.wait(Duration::from_millis(20));
        }
    }
}

/// What everybody saw while it was measured.
struct Seen {
    newcomers: newcomers::Summary,
    held: watch::Held,
}

/// Publishes by the clock and looks meanwhile what newcomers and memory do.
fn measure(
    target: &Target,
    options: &Options,
    audience: &mut Audience<InsertPublisher>,
    seconds: u32,
) -> Result<(Outcome, Seen), Error> {
    let publications = (options.rate * f64::from(seconds)).max(1.0) as u32;
    let mut plan = audience.plan(target.limit(), publications, UNDER_WAY_MAX);
    plan.interval = Some(Duration::from_secs_f64(1.0 / options.rate));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let newcomers = scope.spawn(|| newcomers::come(target, &is_over));
        let watching = scope.spawn(|| watch::watch(target, &is_over));
        let listening = listen(&audience.crowd, &plan)?;
        let outcome = drive(&mut audience.publisher, &plan, &listening);
        is_over.store(true, Ordering::Relaxed);
        let gone = || Error::Worker { what: "who looked on has panicked".into() };
        let newcomers = newcomers.join().map_err(|_| gone())?;
        let held = watching.join().map_err(|_| gone())??;
        rest();
        Ok((outcome?, Seen { newcomers, held }))
    })
}

fn tell(
    record: &mut Record,
    options: &Options,
    before: &Outcome,
    during: &Outcome,
    seen: &Seen,
    (rounds, refused): (u64, u64),
) {
    let p99 = |outcome: &Outcome| outcome.summary.latency_us.value_at_quantile(0.99) as f64 / 1e3;
    let (quiet, loud) = (p99(before), p99(during));
    record.count("attacks", rounds).count("refused", refused);
    record.number("p99_ms_before", quiet).number("p99_ms", loud).number("ratio", ratio(loud, quiet));
    record.number("max_ms", during.summary.latency_us.max() as f64 / 1e3);
    let tally = &during.summary.tally;
    let expected = (options.subscribers as u64) * (options.rate * f64::from(options.seconds)).max(1.0) as u64;
    record.count("delivered", tally.delivered).count("missing", expected.saturating_sub(tally.delivered));
    record.count("other_frames", tally.foreign).count("ended_connections", tally.ended);
    seen.newcomers.tell(record);
    record.number("memory_mib", seen.held.memory_mib).number("kernel_mib", seen.held.kernel_mib);
    if tally.delivered != expected || tally.ended > 0 || tally.repeated + tally.disordered > 0 {
        record.fail(format!("good clients suffered: {tally:?}"));
    }
    let is_met = loud <= BAR_MS
        && loud <= (BAR_RATIO * quiet).max(LEAST_MS)
        && seen.newcomers.failed() == 0
        && seen.held.memory_mib <= options.memory_cap
        && seen.held.kernel_mib <= options.kernel_cap;
    record.number("bar_ratio", BAR_RATIO).number("bar_ms", BAR_MS);
    record.number("memory_cap_mib", options.memory_cap).number("kernel_cap_mib", options.kernel_cap);
    record.text("verdict", if is_met { "met" } else { "missed" });
}

/// What is below this is no difference that anybody notices, however much more than nearly nothing it is.
const LEAST_MS: f64 = 10.0;

#[cfg(test)]
mod tests;
