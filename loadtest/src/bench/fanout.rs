//! `fanout`: one pipe, N subscribers, a publisher that keeps W publications under way.

use super::meter::{Meter, Reading};
use super::report::{Record, Report};
use super::statistics::ratio;
use super::window::{InsertPublisher, Outcome, Publisher, Round, drive, listen, rest};
use super::{Target, wait_for_subscribers};
use crate::crowd::{Crowd, Pipes};
use crate::error::Error;
use crate::process::Process;
use crate::publication::PublicationShape;
use crate::system;
use std::sync::Arc;
use std::time::Duration;

/// How long repetitions are listened for when all has come.
const LISTEN: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Publications under way at most
    #[arg(long, default_value_t = 1)]
    pub window: u32,
    /// Publications in a round; as many as make a round of about a second if left out
    #[arg(long)]
    pub messages: Option<u32>,
    /// Bytes of each message
    #[arg(long, default_value_t = 128)]
    pub size: usize,
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Receiving threads
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    #[arg(long, default_value = "bench_fanout")]
    pub pipe: String,
}

pub fn run(target: &Target, options: &Options, report: &mut Report) -> Result<(), Error> {
    system::pin_to_core(target.client_core)?;
    let process = target.process()?;
    let mut audience = Audience::gather(target, options.threads, options.subscribers, &options.pipe, options.size)?;
    audience.warm_up(target)?;
    let publications = options.messages.unwrap_or(publications_for(options.subscribers, options.window));
    let mut costs = Vec::new();
    let mut rates = Vec::new();
    for round in 0..options.rounds.max(1) {
        let measured = audience.round(target, process, publications, options.window)?;
        let mut record = Record::new("fanout");
        record.count("round", u64::from(round) + 1).count("size_bytes", options.size as u64);
        measured.tell(&mut record, options.subscribers as u64, publications, options.window);
        rates.push(measured.rate());
        costs.extend(measured.reading.server_us_per(measured.outcome.summary.tally.delivered));
        let failed = record.is_failed();
        report.add(record);
        if failed {
            return Ok(());
        }
    }
    let mut record = Record::new("fanout median");
    record.count("subscribers", options.subscribers as u64).count("window", u64::from(options.window));
    record.rounds("deliveries_per_second", &rates);
    if !costs.is_empty() {
        record.rounds("server_cpu_us_per_delivery", &costs);
    }
    audience.finish(&mut record)?;
    report.add(record);
    Ok(())
}

/// So many publications that a round takes about a second on a slow core.
pub fn publications_for(subscribers: usize, window: u32) -> u32 {
    let deliveries = if window > 1 { 800_000 } else { 200_000 };
    (deliveries / subscribers.max(1)).clamp(20, 20_000) as u32
}

/// Subscribers of one pipe with their publisher.
#[derive(Debug)]
pub struct Audience<P> {
    pub crowd: Crowd,
    pub publisher: P,
    shape: Arc<PublicationShape>,
    /// The next sequence number.
    next: u32,
}

impl Audience<InsertPublisher> {
    /// Connects and subscribes, and waits until the server counts everybody.
    pub fn gather(target: &Target, threads: usize, subscribers: usize, pipe: &str, size: usize) -> Result<Self, Error> {
        let shape = Arc::new(PublicationShape::new(pipe, "tick", size)?);
        let threads = threads.max(system::threads_for(subscribers));
        let mut crowd = Crowd::start(threads, target.client_core)?;
        let mut client = target.log_in()?;
        let pipes = Pipes::Shared(pipe.to_owned());
        crowd.connect(&target.plan(subscribers, pipes.clone()))?;
        wait_for_subscribers(&mut client, &pipes, subscribers, subscribers as u64, target.limit())?;
        let publisher = InsertPublisher { client, shape: shape.clone() };
        Ok(Self::new(crowd, publisher, shape))
    }
}

impl<P: Publisher> Audience<P> {
    pub fn new(crowd: Crowd, publisher: P, shape: Arc<PublicationShape>) -> Self {
        Self { crowd, publisher, shape, next: 0 }
    }

    /// The sequence numbers of another round.
    pub fn plan(&mut self, limit: Duration, publications: u32, window: u32) -> Round {
        let first = self.next;
        self.next = self.next.wrapping_add(publications);
        Round {
            shape: self.shape.clone(),
            first,
            publications,
            window,
            interval: None,
            stall_limit: limit,
            linger: Duration::ZERO,
        }
    }

    /// A few publications that no number is taken from; they must arrive all the same.
    pub fn warm_up(&mut self, target: &Target) -> Result<(), Error> {
        let measured = self.round(target, None, 10, 2)?;
        let (tally, expected) = (&measured.outcome.summary.tally, 10 * self.crowd.connections() as u64);
        if tally.is_exact(expected) {
            return Ok(());
        }
        Err(Error::protocol(format!("of {expected} deliveries to warm up, this came: {tally:?}")))
    }

    pub fn round(
        &mut self,
        target: &Target,
        process: Option<Process>,
        publications: u32,
        window: u32,
    ) -> Result<Measured, Error> {
        let round = self.plan(target.limit(), publications, window);
        let listening = listen(&self.crowd, &round)?;
        let meter = Meter::start(process)?;
        let outcome = drive(&mut self.publisher, &round, &listening)?;
        rest();
        Ok(Measured { outcome, reading: meter.stop()? })
    }

    /// Listens for repetitions and ended connections, then lets everybody go.
    pub fn finish(&mut self, record: &mut Record) -> Result<(), Error> {
        let late = self.crowd.listen(&self.shape, self.next, LISTEN)?;
        if !late.tally.is_exact(0) {
            record.fail(format!("after the last round this came: {:?}", late.tally));
        }
        self.crowd.close()
    }
}

/// A round and its cost.
#[derive(Clone, Debug)]
pub struct Measured {
    pub outcome: Outcome,
    pub reading: Reading,
}

impl Measured {
    /// Deliveries per second.
    pub fn rate(&self) -> f64 {
        ratio(self.outcome.summary.tally.delivered as f64, self.outcome.elapsed.as_secs_f64())
    }

    pub fn tell(&self, record: &mut Record, subscribers: u64, publications: u32, window: u32) {
        let summary = &self.outcome.summary;
        record.count("subscribers", subscribers).count("window", u64::from(window));
        record.count("publications", u64::from(publications));
        record.number("deliveries_per_second", self.rate());
        self.reading.tell(record, "delivery", summary.tally.delivered);
        record.number("client_cores_busy", ratio(summary.cpu_ns as f64, self.reading.elapsed.as_nanos() as f64));
        record.latency("latency", &summary.latency_us);
        record.received(summary, subscribers * u64::from(publications));
    }
}
