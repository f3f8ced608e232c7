//! Very many browser connections held by a few threads, each with an epoll and a descriptor table of its own.
//!
//! A [`Crowd`] is driven by one coordinator through channels: connect, receive, close. No descriptor ever crosses
//! threads (see [`system::own_descriptor_table`]). A connection costs some 50 bytes here; received bytes are checked in
//! place in one buffer per thread and kept only when a frame is incomplete.

mod connection;
mod worker;

use crate::error::Error;
use crate::publication::{PublicationShape, Tally};
use crate::system;
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a coordinator waits for a worker beyond the limit that the worker keeps itself.
const GRACE: Duration = Duration::from_secs(30);

/// How the connections of a crowd begin.
#[derive(Clone, Debug)]
pub enum Opening {
    /// As browsers of this tenant, each subscribed to its pipe after `serverInfo`. With a second pipe as users, each the one
    /// after its number, who must be let in, and with the name of a program.
    Browser { tenant: u32, pipes: Pipes, second: Option<String> },
    /// Connected is enough: the peer sends frames at once.
    Bare,
}

#[derive(Clone, Debug)]
pub enum Pipes {
    Shared(String),
    /// Each connection has a pipe of its own: this prefix and its number.
    Distinct(String),
}

impl Pipes {
    /// The pipe of connection `number`.
    pub fn name(&self, number: usize) -> String {
        match self {
            Self::Shared(name) => name.clone(),
            Self::Distinct(prefix) => format!("{prefix}_{number:07}"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct ConnectPlan {
    pub target: SocketAddr,
    pub connections: usize,
    pub opening: Opening,
    /// Handshakes under way at a time, over all threads: below the server's backlog, or requests are dropped and
    /// repeated a second later.
    pub under_way_max: usize,
    /// What the system keeps of received bytes, about; `None`: as it likes.
    pub receive_bytes: Option<usize>,
    pub limit: Duration,
}

/// What connecting took.
#[derive(Clone, Debug)]
pub struct ConnectSummary {
    pub elapsed: Duration,
    /// From the start of the TCP connect to `serverInfo`, in microseconds.
    pub handshake_us: Histogram<u64>,
}

/// When each publication was published, written by the publisher, read by the receivers.
#[derive(Debug)]
pub struct PublishTimes {
    epoch: Instant,
    nanoseconds: Vec<AtomicU64>,
}

impl PublishTimes {
    pub fn new(publications: u32) -> Self {
        Self { epoch: Instant::now(), nanoseconds: (0..publications).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Publication `index` goes out, or was due to go out, at `time`.
    pub fn stamp(&self, index: u32, time: Instant) {
        if let Some(slot) = self.nanoseconds.get(index as usize) {
            slot.store(time.saturating_duration_since(self.epoch).as_nanos() as u64, Ordering::Release);
        }
    }

    /// Microseconds from the stamp to `now`.
    fn latency_us(&self, index: u32, now: Instant) -> Option<u64> {
        let published = self.nanoseconds.get(index as usize)?.load(Ordering::Acquire);
        let now = now.saturating_duration_since(self.epoch).as_nanos() as u64;
        Some(now.saturating_sub(published) / 1000)
    }
}

/// What is to be received: publications `first` to `first + publications - 1`, each by every connection.
#[derive(Clone, Debug)]
pub struct ReceivePlan {
    pub shape: Arc<PublicationShape>,
    pub first: u32,
    pub publications: u32,
    pub times: Arc<PublishTimes>,
    /// Without any delivery for this long the rest is taken for lost.
    pub stall_limit: Duration,
    /// How long to go on listening for repetitions when all has come.
    pub linger: Duration,
}

/// What a worker tells while and after it receives.
#[derive(Debug)]
pub enum Report {
    /// All connections of this worker have the first `count` publications.
    Complete { worker: usize, count: u32 },
    /// The worker stopped receiving.
    Done { worker: usize, summary: Box<ReceiveSummary> },
}

#[derive(Clone, Debug)]
pub struct ReceiveSummary {
    pub tally: Tally,
    pub latency_us: Histogram<u64>,
    /// Reads that found bytes, and the bytes.
    pub reads: u64,
    pub bytes: u64,
    /// When the last publication was received.
    pub last_arrival: Option<Instant>,
    /// CPU of the receiving thread.
    pub cpu_ns: u64,
}

impl ReceiveSummary {
    pub fn new() -> Self {
        Self { tally: Tally::default(), latency_us: histogram(), reads: 0, bytes: 0, last_arrival: None, cpu_ns: 0 }
    }

    pub fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        merge(&mut self.latency_us, &other.latency_us);
        self.reads += other.reads;
        self.bytes += other.bytes;
        self.last_arrival = self.last_arrival.max(other.last_arrival);
        self.cpu_ns += other.cpu_ns;
    }
}

impl Default for ReceiveSummary {
    fn default() -> Self {
        Self::new()
    }
}

/// An empty histogram of microseconds that grows as needed, three digits exact.
#[expect(clippy::expect_used, reason = "the bounds are constants that the constructor accepts")]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("1 us to 120 s at three digits")
}

/// Adds `other`, which has the bounds of [`histogram`] too.
pub fn merge(into: &mut Histogram<u64>, other: &Histogram<u64>) {
    // Histograms of equal bounds always add up; anything else would be left out.
    let _ = into.add(other);
}

enum Command {
    Connect { plan: ConnectPlan, first: usize, reply: Sender<Result<ConnectSummary, Error>> },
    Receive { plan: ReceivePlan, reports: Sender<Report> },
    Close { reply: Sender<()> },
}

/// Worker threads and how many connections each holds.
#[derive(Debug)]
pub struct Crowd {
    workers: Vec<WorkerHandle>,
    connections: usize,
}

#[derive(Debug)]
struct WorkerHandle {
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Starts `threads` workers pinned to `core`, none of them connected.
    pub fn start(threads: usize, core: Option<usize>) -> Result<Self, Error> {
        let mut workers = Vec::new();
        for number in 0..threads {
            let (commands, received) = channel();
            let (started, outcome) = channel();
            let thread = std::thread::Builder::new()
                .name(format!("crowd-{number}"))
                .spawn(move || worker::run(number, core, &started, &received))
                .map_err(Error::io("start a worker thread"))?;
            wait(&outcome, GRACE, "a worker thread to start")??;
            workers.push(WorkerHandle { commands: Some(commands), thread: Some(thread) });
        }
        Ok(Self { workers, connections: 0 })
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Connections made and not closed by us.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Makes all connections, spread evenly over the threads; returns when every one is open and its
    /// subscription is sent.
    pub fn connect(&mut self, plan: &ConnectPlan) -> Result<ConnectSummary, Error> {
        let limit = system::raise_descriptor_limit().saturating_sub(system::DESCRIPTORS_SPARE);
        let (threads, already) = (self.workers.len(), self.connections);
        if (already + plan.connections).div_ceil(threads) as u64 > limit {
            let what =
                format!("{} connections need more than {threads} threads of {limit} descriptors", plan.connections);
            return Err(Error::usage(what));
        }
        let start = Instant::now();
        let mut replies = Vec::new();
        let mut first = already;
        for (number, worker) in self.workers.iter().enumerate() {
            let connections = plan.connections / threads + usize::from(number < plan.connections % threads);
            let (reply, outcome) = channel();
            let under_way_max = (plan.under_way_max / threads).max(1);
            let plan = ConnectPlan { connections, under_way_max, ..plan.clone() };
            worker.send(Command::Connect { plan, first, reply })?;
            first += connections;
            replies.push(outcome);
        }
        let mut handshake_us = histogram();
        for reply in replies {
            let summary = wait(&reply, plan.limit + GRACE, "a worker to connect")??;
            merge(&mut handshake_us, &summary.handshake_us);
        }
        self.connections += plan.connections;
        Ok(ConnectSummary { elapsed: start.elapsed(), handshake_us })
    }

    /// Lets all workers receive; they tell through `reports`, each at last with [`Report::Done`].
    pub fn receive(&self, plan: &ReceivePlan, reports: &Sender<Report>) -> Result<(), Error> {
        for worker in &self.workers {
            worker.send(Command::Receive { plan: plan.clone(), reports: reports.clone() })?;
        }
        Ok(())
    }

    /// Listens for `duration` for anything that should not come: repetitions and ended connections.
    pub fn listen(
        &self,
        shape: &Arc<PublicationShape>,
        first: u32,
        duration: Duration,
    ) -> Result<ReceiveSummary, Error> {
        let times = Arc::new(PublishTimes::new(0));
        let plan = ReceivePlan {
            shape: shape.clone(),
            first,
            publications: 0,
            times,
            stall_limit: duration,
            linger: duration,
        };
        let (reports, received) = channel();
        self.receive(&plan, &reports)?;
        let mut all = ReceiveSummary::new();
        for _ in 0..self.workers.len() {
            match wait(&received, duration + GRACE, "a worker to listen")? {
                Report::Done { summary, .. } => all.add(*summary),
                Report::Complete { .. } => {}
            }
        }
        Ok(all)
    }

    /// Ends all connections without a closing handshake, as a browser that goes away.
    pub fn close(&mut self) -> Result<(), Error> {
        for worker in &self.workers {
            let (reply, closed) = channel();
            worker.send(Command::Close { reply })?;
            wait(&closed, GRACE, "a worker to close its connections")?;
        }
        self.connections = 0;
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.commands = None;
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked has said so on standard error.
                let _ = thread.join();
            }
        }
    }
}

impl WorkerHandle {
    fn send(&self, command: Command) -> Result<(), Error> {
        let sent = self.commands.as_ref().is_some_and(|commands| commands.send(command).is_ok());
        if sent { Ok(()) } else { Err(Error::Worker { what: "it takes no more commands".into() }) }
    }
}

/// The next value of a worker, within a limit.
pub(crate) fn wait<T>(receiver: &Receiver<T>, limit: Duration, waiting_for: &str) -> Result<T, Error> {
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => Error::TimedOut { waiting_for: waiting_for.into(), limit },
        RecvTimeoutError::Disconnected => {
            Error::Worker { what: format!("while the coordinator waited for {waiting_for}") }
        }
    })
}

#[cfg(test)]
mod tests;
