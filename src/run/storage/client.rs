//! The shards' ends: jobs out, completions in; and what is refused at the door.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use tracing::error;

use crate::model::{DevId, ShardId};
use crate::storage::{Completion, Job, Read, Request, StorageError};

/// For whom a job is, and with that whose turn it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::run) enum Whose {
    /// Writes, whoever wants them: in their order, before all reads.
    Write,
    /// What a login needs, and the queues of those who are let in.
    Login(IpAddr),
    /// A tenant's backends.
    Backend(DevId),
    /// What browsers ask: histories, what was missed, users.
    Asked(IpAddr),
}

impl Whose {
    /// An address of version 6 stands for its network: whoever has one has all of them.
    fn of(job: &Job, address: Option<IpAddr>, is_backends: bool) -> Self {
        let network = match address.unwrap_or(NOBODY) {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address @ IpAddr::V4(_) => address,
        };
        match &job.request {
            Request::Write(_) => Self::Write,
            Request::Read { read, .. } if is_backends => Self::Backend(read.dev()),
            Request::Read { read: Read::Login { .. } | Read::Queue { .. }, .. } => Self::Login(network),
            Request::Read { .. } => Self::Asked(network),
        }
    }
}

/// The hub's own work is for no address.
const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A job, whose it is, and since when it waits.
#[derive(Debug)]
pub(in crate::run) struct Given {
    pub(in crate::run) shard: ShardId,
    pub(super) since: Instant,
    pub(in crate::run) whose: Whose,
    pub(in crate::run) job: Job,
}

/// Jobs of all shards that were sent and whose answers no shard has taken.
#[derive(Debug, Default)]
struct Load {
    all: AtomicUsize,
    logins: AtomicUsize,
    asked: AtomicUsize,
    /// Bytes of answers that no shard has taken.
    answers_bytes: AtomicUsize,
}

/// How many of each there may be.
#[derive(Clone, Copy, Debug)]
struct LoadMax {
    all: usize,
    logins: usize,
    asked: usize,
}

/// A shard's end. Completions never outnumber the jobs sent, and those are bounded.
pub(in crate::run) struct StorageClient {
    shard: ShardId,
    is_backends: bool,
    jobs: Sender<Given>,
    completions: Receiver<(Whose, Completion)>,
    load: Arc<Load>,
    most: LoadMax,
}

impl StorageClient {
    /// Without storage: every job is refused.
    pub(in crate::run) fn nowhere() -> Self {
        let (jobs, _) = bounded(0);
        let (_, completions) = bounded(0);
        let most = LoadMax { all: 0, logins: 0, asked: 0 };
        Self { shard: ShardId::default(), is_backends: false, jobs, completions, load: Arc::default(), most }
    }

    /// Hands a job over, or gives back the completion that says why not. `address`: of the browser that wants it.
    pub(in crate::run) fn send(&mut self, job: Job, address: Option<IpAddr>) -> Result<(), Completion> {
        let refused = |job: Job| Completion { ticket: job.ticket, result: Err(StorageError::Overloaded) };
        let whose = Whose::of(&job, address, self.is_backends);
        let (load, most) = (&self.load, &self.most);
        let is_full = match whose {
            Whose::Write | Whose::Backend(_) => false,
            Whose::Login(_) => load.logins.load(Ordering::Relaxed) >= most.logins,
            Whose::Asked(_) => load.asked.load(Ordering::Relaxed) >= most.asked,
        };
        if is_full || load.all.load(Ordering::Relaxed) >= most.all {
            return Err(refused(job));
        }
        match self.jobs.send(Given { shard: self.shard, since: Instant::now(), whose, job }) {
            Ok(()) => {
                self.count(whose, |count| count.fetch_add(1, Ordering::Relaxed));
                Ok(())
            }
            Err(given) => Err(refused(given.0.job)),
        }
    }

    /// Hands over the last job, however long the queue is: the storage thread goes on until all clients are gone.
    pub(in crate::run) fn send_last(&self, job: Job) {
        let given = Given { shard: self.shard, since: Instant::now(), whose: Whose::Write, job };
        if self.jobs.send(given).is_err() {
            error!("storage has ended before the last writes");
        }
    }

    pub(in crate::run) fn poll(&mut self) -> Option<Completion> {
        let (whose, completion) = self.completions.try_recv().ok()?;
        self.load.answers_bytes.fetch_sub(completion.bytes(), Ordering::Relaxed);
        self.count(whose, |count| count.fetch_sub(1, Ordering::Relaxed));
        Some(completion)
    }

    fn count(&self, whose: Whose, change: impl Fn(&AtomicUsize) -> usize) {
        change(&self.load.all);
        match whose {
            Whose::Write | Whose::Backend(_) => {}
            Whose::Login(_) => drop(change(&self.load.logins)),
            Whose::Asked(_) => drop(change(&self.load.asked)),
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.load.all.load(Ordering::Relaxed)
    }

    /// As if the job had been given at another time.
    #[cfg(test)]
    pub(super) fn send_as_of(&mut self, job: Job, since: Instant) {
        self.count(Whose::Write, |count| count.fetch_add(1, Ordering::Relaxed));
        self.jobs.send(Given { shard: self.shard, since, whose: Whose::Write, job }).expect("a thread");
    }
}

/// Made before the shards, because they get their ends; the thread starts when the wakers exist.
pub(in crate::run) struct StorageSetup {
    pub(in crate::run) jobs: Receiver<Given>,
    pub(in crate::run) answers: AnswerSenders,
    /// What browsers ask may be so much; beyond, those who ask most have it refused.
    pub(super) asked_max: usize,
    /// The same for their logins.
    pub(super) logins_max: usize,
}

/// The ways back to the shards.
pub(in crate::run) struct AnswerSenders {
    shards: Vec<Sender<(Whose, Completion)>>,
    load: Arc<Load>,
}

impl AnswerSenders {
    /// False: the shard is gone, and needs no answer.
    pub(in crate::run) fn send(&self, shard: ShardId, whose: Whose, completion: Completion) -> bool {
        let Some(sender) = self.shards.get(usize::from(shard.0)) else { return false };
        let bytes = completion.bytes();
        self.load.answers_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = sender.send((whose, completion)).is_ok();
        if !sent {
            self.load.answers_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }

    /// Says how much is under way, for as long as anybody wants to know.
    pub(in crate::run) fn watched(&self) -> AnswersOnTheirWay {
        AnswersOnTheirWay(self.load.clone())
    }
}

/// Answers that no shard has taken.
pub(in crate::run) struct AnswersOnTheirWay(Arc<Load>);

impl AnswersOnTheirWay {
    pub(in crate::run) fn bytes(&self) -> usize {
        self.0.answers_bytes.load(Ordering::Relaxed)
    }
}

/// `queue_max`: jobs that may be under way; beyond, they are refused as overloaded. The last shard is that of the backends. Of
/// browsers, logins may fill three eighths and everything else that they ask as much, so that however many of them come at
/// once, writes and backends find room, and logins do beside those who ask.
pub(in crate::run) fn channels(shards: u16, queue_max: usize) -> (StorageSetup, Vec<StorageClient>) {
    // Their number is bounded by the load. A channel with a bound of its own would take all of its memory at once: 8 MB.
    let (job_sender, jobs) = unbounded();
    let load = Arc::new(Load::default());
    let share = (3 * queue_max).div_ceil(8);
    let mut answers = AnswerSenders { shards: Vec::new(), load: load.clone() };
    let clients = (0..shards)
        .map(|shard| {
            let (sender, receiver) = unbounded();
            answers.shards.push(sender);
            StorageClient {
                shard: ShardId(shard),
                is_backends: shard + 1 == shards,
                jobs: job_sender.clone(),
                completions: receiver,
                load: load.clone(),
                most: LoadMax { all: queue_max, logins: share, asked: share },
            }
        })
        .collect();
    // Whoever holds most makes room before anybody is refused at the door.
    let most = share - share / 8;
    (StorageSetup { jobs, answers, asked_max: most, logins_max: most }, clients)
}
