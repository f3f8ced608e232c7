//! `idle-sessions`: what a logged-in CometQL session costs that asks for nothing: memory to hold, CPU to keep.

use super::Target;
use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::ratio;
use crate::cometql::CometQl;
use crate::error::Error;
use crate::process::Process;
use crate::publication::PublicationShape;
use crate::system;
use std::thread;
use std::time::{Duration, Instant};

/// The most a session may take of the server's memory.
pub const BAR_BYTES: f64 = 1024.0;
const PIPE: &str = "bench_sessions";
/// How long the server may stay busy after its work is done.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// Statements of the round that warms the server up, more than its queues between threads have places.
const WARM_UP_STATEMENTS: u32 = 4096;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 1000)]
    pub connections: usize,
    /// Sessions of the round that warms the server up: few, since the others get the memory they leave
    #[arg(long, default_value_t = 16)]
    pub warm_up: usize,
    /// Seconds to watch the server while it holds
    #[arg(long, default_value_t = 5)]
    pub hold_seconds: u64,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if options.connections == 0 {
        return Err(Error::usage("idle sessions need a connection"));
    }
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let settle = || process.map(|process| process.settle(SETTLE_LIMIT)).transpose();
    let memory = || process.map(Process::memory).transpose();
    let open = |count| (0..count).map(|_| used_session(target)).collect::<Result<Vec<_>, _>>();

    let mut warm_up = open(options.warm_up)?;
    if let Some(session) = warm_up.first_mut() {
        let statement = PublicationShape::new(PIPE, "tick", 128)?.insert(0);
        for _ in 0..WARM_UP_STATEMENTS {
            session.execute(&statement)?;
        }
    }
    drop(warm_up);
    settle()?;
    let before = memory()?;
    let start = Instant::now();
    let meter = Meter::start(process)?;
    let mut sessions = open(options.connections)?;
    let elapsed = start.elapsed();
    settle()?;
    let mut logging_in = meter.stop()?;
    // The rest at the end is no part of the time in which the server was busy.
    logging_in.elapsed = elapsed;
    let held = memory()?;

    let mut record = Record::new("idle-sessions");
    record.count("connections", options.connections as u64);
    record.number("logins_per_second", ratio(options.connections as f64, elapsed.as_secs_f64()));
    logging_in.tell(&mut record, "login", options.connections as u64);
    if let (Some(before), Some(held)) = (before, held) {
        let each = |after: u64, before: u64| (after as f64 - before as f64) * 1024.0 / options.connections as f64;
        let rss = each(held.rss_kib, before.rss_kib);
        record.number("rss_bytes_per_session", rss).number("bar", BAR_BYTES);
        record.text("verdict", if rss <= BAR_BYTES { "met" } else { "missed" });
        record.number("anonymous_bytes_per_session", each(held.anonymous_kib, before.anonymous_kib));
        record.memory("before", before).memory("held", held);
    }
    let meter = Meter::start(process)?;
    thread::sleep(Duration::from_secs(options.hold_seconds));
    if let Some(cpu) = &meter.stop()?.server {
        record.number("idle_cpu_ms", cpu.total_ns as f64 / 1e6).count("idle_seconds", options.hold_seconds);
        record.threads("idle", cpu);
    }
    // All of them were really there to the end.
    let lost = sessions.iter_mut().map(CometQl::ping).filter(Result::is_err).count();
    record.count("lost", lost as u64);
    if lost > 0 {
        record.fail(format!("{lost} sessions did not answer at the end"));
    }
    report.add(record);
    Ok(())
}

/// A session that has been used: a pool's connections have all said something before they rest.
fn used_session(target: &Target) -> Result<CometQl, Error> {
    let mut session = target.log_in()?;
    session.rows("SELECT 1")?;
    session.execute(&PublicationShape::new(PIPE, "tick", 128)?.insert(0))?;
    Ok(session)
}
