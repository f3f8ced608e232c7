//! A round of publications with at most W of them under way: the next goes out when the oldest has arrived everywhere.
//!
//! Who publishes is a [`Publisher`]: the server by `CometQL`, or the bare send loop. Both are driven by this same code, so
//! that their numbers can be compared.

use crate::cometql::{Answer, CometQl};
use crate::crowd::{Crowd, PublishTimes, ReceivePlan, ReceiveSummary, Report};
use crate::error::Error;
use crate::publication::PublicationShape;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// One round. Sequence numbers go on from round to round, so that a delivery that comes late is recognised.
#[derive(Clone, Debug)]
pub struct Round {
    pub shape: Arc<PublicationShape>,
    pub first: u32,
    pub publications: u32,
    /// Publications under way at most, 1 or more.
    pub window: u32,
    /// Publish by the clock, this far apart, whatever has arrived (but within the window).
    pub interval: Option<Duration>,
    pub stall_limit: Duration,
    pub linger: Duration,
}

impl Round {
    pub fn sequences(&self) -> Range<u32> {
        self.first..self.first + self.publications
    }
}

/// Sends publications to all subscribers.
pub trait Publisher {
    /// Publishes these, in order, without waiting for anything.
    fn publish(&mut self, sequences: Range<u32>) -> Result<(), Error>;
    /// The oldest `count` publications have arrived: takes whatever the publisher is still owed for them.
    fn arrived(&mut self, count: u32) -> Result<(), Error>;
}

/// Publishes by INSERT.
#[derive(Debug)]
pub struct InsertPublisher {
    pub client: CometQl,
    pub shape: Arc<PublicationShape>,
}

impl Publisher for InsertPublisher {
    fn publish(&mut self, sequences: Range<u32>) -> Result<(), Error> {
        let queries: Vec<String> = sequences.map(|sequence| self.shape.insert(sequence)).collect();
        self.client.send_queries(queries.iter().map(String::as_str))
    }

    fn arrived(&mut self, count: u32) -> Result<(), Error> {
        for _ in 0..count {
            match self.client.read_answer()? {
                Answer::Ok { .. } => {}
                other => {
                    return Err(Error::Statement { query: self.shape.insert(0), answer: format!("{other:?}") });
                }
            }
        }
        Ok(())
    }
}

/// What a round took.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the first publication until the last subscriber had the last one.
    pub elapsed: Duration,
    pub summary: ReceiveSummary,
}

/// The receiving side of a round: workers that were told to receive, and their reports.
#[derive(Debug)]
pub struct Listening {
    workers: usize,
    reports: Receiver<Report>,
    times: Arc<PublishTimes>,
}

/// Tells the crowd to receive this round.
pub fn listen(crowd: &Crowd, round: &Round) -> Result<Listening, Error> {
    let (sender, reports): (Sender<Report>, _) = channel();
    let times = Arc::new(PublishTimes::new(round.publications));
    let plan = ReceivePlan {
        shape: round.shape.clone(),
        first: round.first,
        publications: round.publications,
        times: times.clone(),
        stall_limit: round.stall_limit,
        linger: round.linger,
    };
    crowd.receive(&plan, &sender)?;
    Ok(Listening { workers: crowd.workers(), reports, times })
}

/// Publishes the round and waits for its end. Lost deliveries are no error here: the summary tells them.
pub fn drive(publisher: &mut dyn Publisher, round: &Round, listening: &Listening) -> Result<Outcome, Error> {
    let mut progress = Progress { complete: vec![0; listening.workers], done: 0, summary: ReceiveSummary::new() };
    let (mut published, mut settled) = (0, 0);
    let start = Instant::now();
    loop {
        let everywhere = progress.everywhere();
        let allowed = round.publications.min(everywhere.saturating_add(round.window.max(1)));
        let due = round.interval.map_or(allowed, |interval| due(start.elapsed(), interval).min(allowed));
        if due > published && progress.done == 0 {
            for index in published..due {
                // By the clock, the time that counts is when it should have gone out.
                let time = round.interval.map_or_else(Instant::now, |interval| start + interval * index);
                listening.times.stamp(index, time);
            }
            publisher.publish(round.first + published..round.first + due)?;
            published = due;
        }
        if everywhere > settled {
            publisher.arrived(everywhere - settled)?;
            settled = everywhere;
        }
        if progress.done == listening.workers {
            break;
        }
        progress.take(&listening.reports, wait_for(round, start, published, allowed))?;
    }
    if published > settled {
        // Something was lost. The answers may say why, and must not be taken for those of a later round.
        if let Err(error) = publisher.arrived(published - settled) {
            progress.summary.tally.first_trouble = Some(error.to_string());
        }
    }
    let last = progress.summary.last_arrival.unwrap_or(start);
    Ok(Outcome { elapsed: last.saturating_duration_since(start), summary: progress.summary })
}

/// How many publications are due by the clock: the first at once.
fn due(elapsed: Duration, interval: Duration) -> u32 {
    let intervals = elapsed.as_nanos() / interval.as_nanos().max(1);
    u32::try_from(intervals).unwrap_or(u32::MAX).saturating_add(1)
}

/// How long there is nothing to do but to wait for reports.
fn wait_for(round: &Round, start: Instant, published: u32, allowed: u32) -> Duration {
    let longest = round.stall_limit + round.linger + Duration::from_secs(30);
    match round.interval {
        Some(interval) if published < allowed => {
            (start + interval * published).saturating_duration_since(Instant::now()).min(longest)
        }
        _ => longest,
    }
}

struct Progress {
    /// By worker, how many publications all its connections have.
    complete: Vec<u32>,
    /// Workers that have stopped receiving.
    done: usize,
    summary: ReceiveSummary,
}

impl Progress {
    fn everywhere(&self) -> u32 {
        self.complete.iter().copied().min().unwrap_or(0)
    }

    /// Waits for a report and takes all that are there, so that publications that arrived together count together.
    fn take(&mut self, reports: &Receiver<Report>, limit: Duration) -> Result<(), Error> {
        let mut next = match reports.recv_timeout(limit) {
            Ok(report) => Some(report),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Worker { what: "while a round was received".into() });
            }
        };
        while let Some(report) = next {
            match report {
                Report::Complete { worker, count } => {
                    if let Some(complete) = self.complete.get_mut(worker) {
                        *complete = count;
                    }
                }
                Report::Done { summary, .. } => {
                    self.done += 1;
                    self.summary.add(*summary);
                }
            }
            next = reports.try_recv().ok();
        }
        Ok(())
    }
}

/// Lets the machine come to rest, so that run times of sleeping threads can be read exactly.
pub fn rest() {
    thread::sleep(Duration::from_millis(20));
}

#[cfg(test)]
mod tests;
