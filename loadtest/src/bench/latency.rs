//! `latency`: publications by the clock; the time that counts is when each should have gone out.

use super::Target;
use super::fanout::{Audience, Measured};
use super::meter::Meter;
use super::report::{Record, Report};
use super::window::{drive, listen, rest};
use crate::error::Error;
use crate::system;
use std::time::Duration;

/// Publications that may wait for their arrival; a server that falls further behind holds up the clock.
const UNDER_WAY_MAX: u32 = 1000;

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Publications per second
    #[arg(long, default_value_t = 50.0)]
    pub rate: f64,
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    #[arg(long, default_value = "bench_latency")]
    pub pipe: String,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    if !(options.rate.is_finite() && options.rate >= 0.01 && options.rate <= 1e6) {
        return Err(Error::usage("a rate is 0.01 to 1000000 publications per second"));
    }
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let mut audience = Audience::gather(target, 1, options.subscribers, &options.pipe, options.size)?;
    audience.warm_up(target)?;
    let publications = (options.rate * f64::from(options.seconds)).max(1.0) as u32;
    let mut round = audience.plan(target.limit(), publications, UNDER_WAY_MAX);
    round.interval = Some(Duration::from_secs_f64(1.0 / options.rate));
    let listening = listen(&audience.crowd, &round)?;
    let meter = Meter::start(process)?;
    let outcome = drive(&mut audience.publisher, &round, &listening)?;
    rest();
    let measured = Measured { outcome, reading: meter.stop()? };
    let mut record = Record::new("latency");
    record.number("publications_per_second", options.rate).count("size_bytes", options.size as u64);
    measured.tell(&mut record, options.subscribers as u64, publications, UNDER_WAY_MAX);
    audience.finish(&mut record)?;
    report.add(record);
    Ok(())
}
