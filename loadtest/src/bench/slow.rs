//! `slow`: what readers that have stopped cost the others. Rounds without and with them alternate; the latency of those
//! who read must stay what it was, and what waits for the stopped ones must stay below the server's cap.

use super::Target;
use super::fanout::{Audience, Measured};
use super::meter::Meter;
use super::report::{Record, Report};
use super::statistics::{median, ratio};
use super::window::{drive, listen, rest};
use crate::cometql::CometQl;
use crate::crowd::{ConnectPlan, Crowd, Pipes};
use crate::error::Error;
use crate::system;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What the p99 of the others may rise by, in percent.
pub const BAR_PERCENT: f64 = 10.0;

/// Publications that may wait for their arrival.
const UNDER_WAY_MAX: u32 = 1000;

/// How often the server is asked what waits; its figures are a tenth of a second old.
const LOOK: Duration = Duration::from_millis(200);

const STOPPED_RECEIVE_BYTES: usize = 4_096;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Subscribers that read
    #[arg(long, default_value_t = 200)]
    pub subscribers: usize,
    /// Subscribers that never read
    #[arg(long, default_value_t = 2)]
    pub stopped: usize,
    /// Publications per second
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// Seconds of each round
    #[arg(long, default_value_t = 5)]
    pub seconds: u32,
    #[arg(long, default_value_t = 9)]
    pub rounds: u32,
    /// Bytes of each message
    #[arg(long, default_value_t = 8_192)]
    pub size: usize,
    /// `[ws] queue_bytes_max` of the server
    #[arg(long, default_value_t = 1 << 20)]
    pub queue_bytes_max: u64,
    #[arg(long, default_value = "bench_slow")]
    pub pipe: String,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if !(0.1..=1e5).contains(&options.rate) {
        return Err(Error::usage("a rate is 0.1 to 100000 publications per second"));
    }
    system::pin_to_core(target.client_core)?;
    let mut status = target.log_in()?;
    let mut audience = Audience::gather(target, 1, options.subscribers, &options.pipe, options.size)?;
    audience.warm_up(target)?;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut queued_max, mut closed_all) = (0, 0);
    for round in 1..=options.rounds.max(1) {
        let (record, without) = one_round(target, options, &mut audience, round, 0)?;
        let is_failed = record.is_failed();
        report.add(record);
        let mut stopped = Crowd::start(1, target.client_core)?;
        let plan = target.plan(options.stopped, Pipes::Shared(options.pipe.clone()));
        // The system must not take for a reader what the server would have to keep.
        stopped.connect(&ConnectPlan { receive_bytes: Some(STOPPED_RECEIVE_BYTES), ..plan })?;
        let before = figure(&mut status, "encke_closed_slow_consumer")?;
        let ((mut record, with), queued) =
            while_watching(&mut status, || one_round(target, options, &mut audience, round, options.stopped))?;
        let closed = figure(&mut status, "encke_closed_slow_consumer")?.saturating_sub(before);
        record.count("queued_bytes", queued).count("closed", closed);
        queued_max = queued_max.max(queued);
        closed_all += closed;
        let is_failed = is_failed || record.is_failed();
        report.add(record);
        stopped.close()?;
        rest();
        if is_failed {
            return Ok(());
        }
        ratios.push(ratio(with, without));
        alone.push(without);
        beside.push(with);
    }
    let mut record = Record::new("slow median");
    record.count("subscribers", options.subscribers as u64).count("stopped", options.stopped as u64);
    record.rounds("p99_ms_alone", &alone).rounds("p99_ms_beside", &beside);
    record.rounds("ratio", &ratios);
    let cap = options.queue_bytes_max * options.stopped as u64;
    record.count("queued_bytes_max", queued_max).count("cap_bytes", cap).count("closed", closed_all);
    if queued_max == 0 && closed_all == 0 {
        record.fail("nothing waited for the stopped readers: nothing was measured");
    }
    if queued_max > cap {
        record.fail("more waited for the stopped readers than their caps allow");
    }
    let is_met = median(&ratios) <= 1.0 + BAR_PERCENT / 100.0;
    record.number("bar_ratio", 1.0 + BAR_PERCENT / 100.0).text("verdict", if is_met { "met" } else { "missed" });
    audience.finish(&mut record)?;
    report.add(record);
    Ok(())
}

/// Publications by the clock. Returns the p99 of those who read, in milliseconds.
fn one_round(
    target: &Target,
    options: &Options,
    audience: &mut Audience<super::window::InsertPublisher>,
    round: u32,
    stopped: usize,
) -> Result<(Record, f64), Error> {
    let publications = (options.rate * f64::from(options.seconds)).max(1.0) as u32;
    let mut plan = audience.plan(target.limit(), publications, UNDER_WAY_MAX);
    plan.interval = Some(Duration::from_secs_f64(1.0 / options.rate));
    let listening = listen(&audience.crowd, &plan)?;
    let meter = Meter::start(target.process()?)?;
    let outcome = drive(&mut audience.publisher, &plan, &listening)?;
    rest();
    let measured = Measured { outcome, reading: meter.stop()? };
    let mut record = Record::new("slow");
    record.count("round", round.into()).count("stopped", stopped as u64).count("size_bytes", options.size as u64);
    measured.tell(&mut record, options.subscribers as u64, publications, UNDER_WAY_MAX);
    let p99 = measured.outcome.summary.latency_us.value_at_quantile(0.99) as f64 / 1e3;
    Ok((record, p99))
}

/// Does `work`, and looks meanwhile how many bytes wait to be sent at most.
fn while_watching<T>(status: &mut CometQl, work: impl FnOnce() -> Result<T, Error>) -> Result<(T, u64), Error> {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !is_done.load(Ordering::Relaxed) {
                most = figure(status, "encke_memory_queues")?.max(most);
                thread::sleep(LOOK);
            }
            Ok(most)
        });
        let outcome = work();
        is_done.store(true, Ordering::Relaxed);
        let most = watching.join().map_err(|_| Error::Worker { what: "the watcher panicked".into() })??;
        Ok((outcome?, most))
    })
}

/// A row of `SHOW GLOBAL STATUS`.
fn figure(client: &mut CometQl, name: &str) -> Result<u64, Error> {
    let rows = client.rows(&format!("SHOW GLOBAL STATUS LIKE '{name}'"))?;
    let value = rows.first().and_then(|row| row.get(1)).and_then(Option::as_deref).and_then(|text| text.parse().ok());
    value.ok_or_else(|| Error::protocol(format!("{rows:?} has no figure {name}")))
}
