//! `many`: as many connections as wanted over several threads, one broadcast that all must get exactly once.

use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::ratio;
use super::window::{InsertPublisher, Round, drive, listen, rest};
use super::{Target, wait_for_subscribers};
use crate::crowd::{Crowd, Pipes};
use crate::error::Error;
use crate::process::Process;
use crate::publication::PublicationShape;
use crate::system;
use std::sync::Arc;
use std::time::Duration;

/// How long repetitions of the broadcast are listened for.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 64_000)]
    pub connections: usize,
    /// Receiving threads, each with a descriptor table of its own
    #[arg(long, default_value_t = 4)]
    pub threads: usize,
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    #[arg(long, default_value = "bench_many")]
    pub pipe: String,
    /// Seconds to watch the server while it holds
    #[arg(long, default_value_t = 5)]
    pub hold_seconds: u64,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let connections = options.connections;
    let shape = Arc::new(PublicationShape::new(&options.pipe, "tick", options.size)?);
    let pipes = Pipes::Shared(options.pipe.clone());
    let threads = options.threads.max(system::threads_for(connections));
    let mut crowd = Crowd::start(threads, target.client_core)?;
    let mut client = target.log_in()?;
    let memory = || process.map(Process::memory).transpose();

    let mut record = Record::new("many");
    let before = memory()?;
    let meter = Meter::start(process)?;
    let summary = crowd.connect(&target.plan(connections, pipes.clone()))?;
    wait_for_subscribers(&mut client, &pipes, connections, connections as u64, target.limit())?;
    rest();
    record.count("connections", connections as u64).count("threads", threads as u64);
    record.number("connects_per_second", ratio(connections as f64, summary.elapsed.as_secs_f64()));
    meter.stop()?.tell(&mut record, "connect", connections as u64);

    let round = Round {
        shape: shape.clone(),
        first: 0,
        publications: 1,
        window: 1,
        interval: None,
        stall_limit: target.limit(),
        linger: LINGER,
    };
    let listening = listen(&crowd, &round)?;
    let meter = Meter::start(process)?;
    let mut publisher = InsertPublisher { client, shape: shape.clone() };
    let outcome = drive(&mut publisher, &round, &listening)?;
    rest();
    let broadcast = meter.stop()?;
    record.number("broadcast_until_last_byte_ms", outcome.elapsed.as_secs_f64() * 1e3);
    if let Some(us) = broadcast.server_us_per(outcome.summary.tally.delivered) {
        record.number("server_cpu_us_per_delivery", us);
    }
    record.latency("broadcast", &outcome.summary.latency_us);
    record.received(&outcome.summary, connections as u64);

    if let (Some(before), Some(held)) = (before, memory()?) {
        let each = (held.rss_kib as f64 - before.rss_kib as f64) * 1024.0 / connections as f64;
        record.number("rss_bytes_per_connection", each).memory("before", before).memory("held", held);
    }
    let meter = Meter::start(process)?;
    let surprises = crowd.listen(&shape, 1, Duration::from_secs(options.hold_seconds))?;
    if let Some(cpu) = &meter.stop()?.server {
        record.number("idle_cpu_ms", cpu.total_ns as f64 / 1e6).count("idle_seconds", options.hold_seconds);
    }
    if !surprises.tally.is_exact(0) {
        record.fail(format!("while idle this came: {:?}", surprises.tally));
    }
    crowd.close()?;
    report.add(record);
    Ok(())
}
