//! `idle`: what an idle subscribed connection costs: CPU to connect, memory to hold, CPU to keep.

use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::ratio;
use super::{Target, wait_for_subscribers};
use crate::crowd::{Crowd, Pipes};
use crate::error::Error;
use crate::process::Process;
use crate::publication::PublicationShape;
use crate::system;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of user memory that an idle connection of a user with two pipes may take.
pub const USERS_BAR: f64 = 256.0;
/// Connections of the round that warms the server up.
const WARM_UP_CONNECTIONS: usize = 256;
/// How long the server is watched while it holds.
const HOLD: Duration = Duration::from_secs(5);
/// How long the server may stay busy after its work is done.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 18_000)]
    pub connections: usize,
    #[arg(long, default_value = "bench_idle")]
    pub pipe: String,
    /// A pipe of its own for each connection, the name above being the prefix
    #[arg(long)]
    pub distinct_pipes: bool,
    /// Each connection is an authorised user's, with a second pipe and the name of a program
    #[arg(long)]
    pub users: bool,
    /// Seconds to watch the server while it holds
    #[arg(long, default_value_t = HOLD.as_secs())]
    pub hold_seconds: u64,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let (connections, limit) = (options.connections, target.limit());
    let pipes = if options.distinct_pipes {
        Pipes::Distinct(options.pipe.clone())
    } else {
        Pipes::Shared(options.pipe.clone())
    };
    let second = options.users.then(|| format!("{}_second", options.pipe));
    let shape = Arc::new(PublicationShape::new(&options.pipe, "tick", 10)?);
    let mut crowd = Crowd::start(system::threads_for(connections), target.client_core)?;
    let mut client = target.log_in()?;

    if options.users {
        super::add_users(&mut client, connections)?;
    }

    let warm_up = WARM_UP_CONNECTIONS.min(connections);
    crowd.connect(&target.plan_of(warm_up, pipes.clone(), second.clone()))?;
    wait_for_subscribers(&mut client, &pipes, warm_up, warm_up as u64, limit)?;
    crowd.close()?;
    wait_for_subscribers(&mut client, &pipes, warm_up, 0, limit)?;
    let settle = || process.map(|process| process.settle(SETTLE_LIMIT)).transpose();
    let memory = || process.map(Process::memory).transpose();
    settle()?;
    let before = memory()?;

    let mut record = Record::new(match (options.users, options.distinct_pipes) {
        (true, _) => "idle users",
        (false, true) => "idle, distinct pipes",
        (false, false) => "idle",
    });
    let meter = Meter::start(process)?;
    let summary = crowd.connect(&target.plan_of(connections, pipes.clone(), second))?;
    // What the server still does for the last of them belongs to connecting; counting them does not.
    settle()?;
    let mut connecting = meter.stop()?;
    // The rest at the end is no part of the time in which the server was busy.
    connecting.elapsed = summary.elapsed;
    wait_for_subscribers(&mut client, &pipes, connections, connections as u64, limit)?;
    record.count("connections", connections as u64);
    record.number("connects_per_second", ratio(connections as f64, summary.elapsed.as_secs_f64()));
    connecting.tell(&mut record, "connect", connections as u64);
    record.latency("handshake", &summary.handshake_us);

    settle()?;
    let held = memory()?;
    if let (Some(before), Some(held)) = (before, held) {
        let each = |after: u64, before: u64| (after as f64 - before as f64) * 1024.0 / connections as f64;
        let rss = each(held.rss_kib, before.rss_kib);
        record.number("rss_bytes_per_connection", rss);
        if options.users {
            record.number("bar", USERS_BAR).text("verdict", if rss <= USERS_BAR { "met" } else { "missed" });
        }
        record.number("pss_bytes_per_connection", each(held.pss_kib, before.pss_kib));
        record.number("anonymous_bytes_per_connection", each(held.anonymous_kib, before.anonymous_kib));
        record.memory("before", before).memory("held", held);
    }
    let meter = Meter::start(process)?;
    let surprises = crowd.listen(&shape, 0, Duration::from_secs(options.hold_seconds))?;
    let holding = meter.stop()?;
    if let Some(cpu) = &holding.server {
        record.number("idle_cpu_ms", cpu.total_ns as f64 / 1e6).count("idle_seconds", options.hold_seconds);
        record.threads("idle", cpu);
    }
    if !surprises.tally.is_exact(0) {
        record.fail(format!("while idle this came: {:?}", surprises.tally));
    }

    crowd.close()?;
    wait_for_subscribers(&mut client, &pipes, connections, 0, limit)?;
    settle()?;
    if let Some(after) = memory()? {
        record.memory("closed", after);
    }
    report.add(record);
    Ok(())
}
