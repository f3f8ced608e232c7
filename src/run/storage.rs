//! The storage thread: takes jobs of all shards, runs them in groups, hands completions back and wakes who asked.
//!
//! While the database cannot be reached, reads fail at once and writes wait here, in their order, for some time and up to
//! some size. A commit that was cut off is tried again with them: writes may be repeated.

use std::collections::VecDeque;
use std::fmt;
use std::sync::PoisonError;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use shards::Waker;
use tracing::{debug, error, info, warn};

use crate::config::{self, Config};
use crate::metrics::Counters;
use crate::model::{DevId, ShardId, UserId};
use crate::storage::mysql::{self, Mysql};
use crate::storage::sqlite::{self, Sqlite};
use crate::storage::{Completion, Durability, Expired, Job, Read, Request, Retention, StorageError, Store, Ticket};

use super::host::Board;

/// Why storage cannot be used; `Display` is one sentence.
#[derive(Debug)]
pub enum OpenError {
    Sqlite(sqlite::OpenError),
    Mysql(mysql::OpenError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Mysql(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// The engine that is configured. One that is not there yet is waited for, as `[db] connection_attempts` says; `None` if
/// the caller gave up meanwhile.
pub(super) fn open(
    config: &Config,
    give_up: &mut dyn FnMut() -> bool,
) -> Result<Option<Box<dyn Store + Send>>, OpenError> {
    let retention = retention(&config.storage);
    let Some(place) = place(&config.db) else {
        let durability = match config.storage.durability {
            config::Durability::Full => Durability::Full,
            config::Durability::Lazy => Durability::Lazy,
        };
        let store = Sqlite::open(&config.storage.dir, durability, retention).map_err(OpenError::Sqlite)?;
        return Ok(Some(Box::new(store)));
    };
    let mut left = config.db.connection_attempts;
    loop {
        left = left.saturating_sub(1);
        match Mysql::open(&place, retention) {
            Ok(store) => return Ok(Some(Box::new(store))),
            Err(error) if error.is_unreachable() && left > 0 => warn!(left, "{error} Trying again."),
            Err(error) => return Err(OpenError::Mysql(error)),
        }
        let next = Instant::now() + ATTEMPTS_INTERVAL;
        while Instant::now() < next {
            if give_up() {
                return Ok(None);
            }
            std::thread::sleep(GIVE_UP_INTERVAL);
        }
    }
}

/// Between two tries to reach the database at the start.
const ATTEMPTS_INTERVAL: Duration = Duration::from_secs(5);
/// How soon a start that waits ends when it is to.
const GIVE_UP_INTERVAL: Duration = Duration::from_millis(100);

/// The database of `[db]`, if it names one.
pub(super) fn place(db: &config::Db) -> Option<mysql::Place> {
    let config::Db { host, port, socket, user, password, name, .. } = db.clone();
    name.map(|name| mysql::Place { host, port, socket, user, password, name })
}

fn retention(storage: &config::Storage) -> Retention {
    const DAY: u64 = 24 * 60 * 60;
    Retention {
        queue_seconds: u64::from(storage.queue_days) * DAY,
        queue_messages_max: storage.queue_messages_max,
        trust_seconds: u64::from(storage.trust_days) * DAY,
        trust_messages_max: storage.trust_messages_max,
    }
}

/// Jobs in one group, that is, behind one fsync.
const GROUP_MAX: usize = 4096;

/// A job, whose it is, and since when it waits.
pub(super) type Given = (ShardId, Instant, Job);

/// A shard's end: jobs out, completions in. Completions never outnumber the jobs sent, and those are bounded by the
/// queue.
pub(super) struct StorageClient {
    shard: ShardId,
    jobs: Sender<Given>,
    completions: Receiver<Completion>,
    /// Jobs sent and not yet answered.
    waiting: usize,
    waiting_max: usize,
    /// Beyond as many of its own jobs, or in the queue of all, no read is handed over.
    reads_max: usize,
}

impl StorageClient {
    /// Without storage: every job is refused.
    pub(super) fn nowhere() -> Self {
        let (jobs, _) = bounded(0);
        let (_, completions) = bounded(0);
        Self { shard: ShardId::default(), jobs, completions, waiting: 0, waiting_max: 0, reads_max: 0 }
    }

    /// Hands a job over, or gives back the completion that says why not.
    pub(super) fn send(&mut self, job: Job) -> Result<(), Completion> {
        let refused = |job: Job| Completion { ticket: job.ticket, result: Err(StorageError::Overloaded) };
        let is_read = matches!(job.request, Request::Read { .. });
        if self.waiting >= self.waiting_max
            || is_read && (self.waiting >= self.reads_max || self.jobs.len() >= self.reads_max)
        {
            return Err(refused(job));
        }
        match self.jobs.try_send((self.shard, Instant::now(), job)) {
            Ok(()) => {
                self.waiting += 1;
                Ok(())
            }
            Err(TrySendError::Full((.., job)) | TrySendError::Disconnected((.., job))) => Err(refused(job)),
        }
    }

    /// Hands over the last job, however long the queue is: the storage thread goes on until all clients are gone.
    pub(super) fn send_last(&self, job: Job) {
        if self.jobs.send((self.shard, Instant::now(), job)).is_err() {
            error!("storage has ended before the last writes");
        }
    }

    pub(super) fn poll(&mut self) -> Option<Completion> {
        let completion = self.completions.try_recv().ok()?;
        self.waiting -= 1;
        Some(completion)
    }
}

/// Made before the shards, because they get their ends; the thread starts when the wakers exist.
pub(super) struct StorageSetup {
    pub(super) jobs: Receiver<Given>,
    pub(super) completions: Vec<Sender<Completion>>,
}

/// `queue_max`: jobs that may wait; beyond, they are refused as overloaded. The last shard is that of the backends; the
/// browsers of the others may fill half of the queue with what they want to know, so that however many of them come at
/// once, writes and backends find room.
pub(super) fn channels(shards: u16, queue_max: usize) -> (StorageSetup, Vec<StorageClient>) {
    let (job_sender, jobs) = bounded(queue_max);
    let mut completions = Vec::new();
    let clients = (0..shards)
        .map(|shard| {
            let (sender, receiver) = unbounded();
            completions.push(sender);
            StorageClient {
                shard: ShardId(shard),
                jobs: job_sender.clone(),
                completions: receiver,
                waiting: 0,
                waiting_max: queue_max,
                reads_max: if shard + 1 == shards { queue_max } else { queue_max.div_ceil(2) },
            }
        })
        .collect();
    (StorageSetup { jobs, completions }, clients)
}

/// Ends by itself, after the last job, when the last [`StorageClient`] is gone.
pub(super) struct StorageThread {
    handle: JoinHandle<()>,
}

impl StorageThread {
    /// `retry`: how long writes wait for a database that cannot be reached, from when they were given. The thread's figures are the last of `board`.
    pub(super) fn start(
        setup: StorageSetup,
        store: Box<dyn Store + Send>,
        wakers: Vec<Waker>,
        board: Board,
        retry: Duration,
    ) -> std::io::Result<Self> {
        let StorageSetup { jobs, completions } = setup;
        let handle = Builder::new().name("storage".into()).spawn(move || {
            let answers = Answers { completions, woken: vec![false; wakers.len()], wakers };
            Keeper {
                store,
                answers,
                waiting: Waiting::default(),
                outage: None,
                failing: false,
                expire_at: Instant::now() + EXPIRE_FIRST,
                expired: Expired::default(),
                jobs: 0,
                give_back_at: None,
                give_back_after: Instant::now(),
                counters: Counters::default(),
                board,
                retry,
            }
            .run(&jobs);
        })?;
        Ok(Self { handle })
    }

    pub(super) fn join(self) {
        if self.handle.join().is_err() {
            error!("the storage thread ended by a fault of its own");
        }
    }
}

/// The ways back to the shards.
struct Answers {
    completions: Vec<Sender<Completion>>,
    wakers: Vec<Waker>,
    /// Shards that have got something since the last wake.
    woken: Vec<bool>,
}

impl Answers {
    fn send(&mut self, shard: ShardId, completion: Completion) {
        let shard = usize::from(shard.0);
        // A shard that is gone needs no answer.
        let sent = self.completions.get(shard).is_some_and(|sender| sender.send(completion).is_ok());
        if let (true, Some(woken)) = (sent, self.woken.get_mut(shard)) {
            *woken = true;
        }
    }

    fn refuse(&mut self, shard: ShardId, ticket: Ticket, why: String) {
        self.send(shard, Completion { ticket, result: Err(StorageError::Unavailable(why)) });
    }

    fn wake(&mut self) {
        for (waker, woken) in self.wakers.iter().zip(&mut self.woken) {
            if std::mem::take(woken) {
                waker.wake();
            }
        }
    }
}

/// Writes that wait for the database, in their order.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// Of each job: whose it is, since when it waits, what it weighs.
    whose: VecDeque<(ShardId, Instant, usize)>,
    bytes: usize,
}

impl Waiting {
    /// Gives the job back if there is no room.
    fn push(&mut self, (shard, since, job): Given) -> Result<(), Job> {
        let bytes = job.request.bytes();
        if self.jobs.len() >= WAITING_JOBS_MAX || self.bytes + bytes > WAITING_BYTES_MAX {
            return Err(job);
        }
        self.bytes += bytes;
        self.jobs.push_back(job);
        self.whose.push_back((shard, since, bytes));
        Ok(())
    }

    fn pop(&mut self) -> Option<(ShardId, Job)> {
        let (shard, _, bytes) = self.whose.pop_front()?;
        self.bytes -= bytes;
        Some((shard, self.jobs.pop_front()?))
    }

    fn oldest(&self) -> Option<Instant> {
        self.whose.front().map(|(_, since, _)| *since)
    }

    fn first(&mut self) -> &[Job] {
        let jobs = self.jobs.make_contiguous();
        jobs.get(..GROUP_MAX).unwrap_or(jobs)
    }
}

/// The time in which the database cannot be reached: reads fail at once, writes wait.
struct Outage {
    since: Instant,
    next_try: Instant,
    reason: String,
}

/// What the thread knows.
struct Keeper {
    store: Box<dyn Store + Send>,
    answers: Answers,
    waiting: Waiting,
    outage: Option<Outage>,
    /// Whether the last group had failures.
    failing: bool,
    /// When to look for what is too old.
    expire_at: Instant,
    /// What this look has removed so far.
    expired: Expired,
    /// Jobs since memory was given back; when to do that, if there were many and then none.
    jobs: usize,
    give_back_at: Option<Instant>,
    /// Not before this: it takes a thousandth of the time at the most.
    give_back_after: Instant,
    counters: Counters,
    board: Board,
    retry: Duration,
}

impl Keeper {
    fn run(mut self, jobs: &Receiver<Given>) {
        let mut group = Vec::new();
        loop {
            match jobs.recv_deadline(self.deadline()) {
                Ok(first) => {
                    group.push(first);
                    group.extend(jobs.try_iter().take(GROUP_MAX - 1));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.jobs += group.len();
            if self.jobs >= MANY_JOBS && !group.is_empty() {
                self.give_back_at = Some((Instant::now() + QUIET).max(self.give_back_after));
            }
            self.carry_out(&mut group);
            self.work_on_time();
            self.answers.wake();
            self.counters.storage_queue = jobs.len() as u64;
            self.show();
        }
        if self.outage.is_some() && !self.waiting.jobs.is_empty() {
            self.try_again();
            let lost = self.waiting.jobs.len();
            if lost > 0 {
                error!(writes = lost, "the database could not be reached before the end; these writes are lost");
            }
        }
    }

    /// When there is something to do without a job.
    fn deadline(&self) -> Instant {
        let next = self.outage.as_ref().map_or(self.expire_at, |outage| outage.next_try);
        let give_up = self.outage.as_ref().and_then(|_| self.waiting.oldest()).map(|since| since + self.retry);
        [give_up, self.give_back_at].into_iter().flatten().fold(next, Instant::min)
    }

    fn work_on_time(&mut self) {
        if self.give_back_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.jobs = 0;
            let began = Instant::now();
            shards::give_back_memory();
            self.give_back_after = Instant::now() + 1000 * began.elapsed();
        }
        if let Some(outage) = &self.outage {
            if Instant::now() >= outage.next_try {
                self.try_again();
            }
            self.give_up();
        } else if Instant::now() >= self.expire_at {
            self.expire();
        }
    }

    /// Leaves the group empty.
    fn carry_out(&mut self, group: &mut Vec<Given>) {
        let (whose, jobs): (Vec<_>, Vec<Job>) =
            group.drain(..).map(|(shard, since, job)| ((shard, since), job)).unzip();
        // Which jobs are answered: first all up to some place, and behind an interruption single ones.
        let mut answered = vec![false; jobs.len()];
        let mut done = 0;
        // More than once when results are large: those there are go out before the rest is read.
        while self.outage.is_none()
            && let Some(rest @ [_, ..]) = jobs.get(done..)
        {
            let begun = Instant::now();
            let completions = self.store.run(rest);
            let count = completions.len();
            self.counters.storage_groups += 1;
            self.counters.storage_jobs += count as u64;
            self.counters.storage_busy_us += begun.elapsed().as_micros() as u64;
            self.report_health(&completions);
            for (place, completion) in (done..).zip(completions) {
                let (Some((shard, _)), Some(answered)) = (whose.get(place), answered.get_mut(place)) else { break };
                if let Err(StorageError::Unavailable(reason)) = &completion.result {
                    self.begin_outage(reason.clone());
                } else {
                    *answered = true;
                    self.answers.send(*shard, completion);
                }
            }
            self.answers.wake();
            done += count.max(1);
        }
        let Some(reason) = self.outage.as_ref().map(|outage| outage.reason.clone()) else { return };
        let left = whose.into_iter().zip(jobs).zip(answered).filter(|(_, answered)| !*answered);
        for (((shard, since), job), _) in left {
            if matches!(job.request, Request::Read { .. }) {
                self.answers.refuse(shard, job.ticket, reason.clone());
            } else if let Err(job) = self.waiting.push((shard, since, job)) {
                self.counters.storage_given_up += 1;
                self.answers.refuse(shard, job.ticket, format!("{reason}; too many writes wait for it already"));
            }
        }
    }

    fn begin_outage(&mut self, reason: String) {
        if self.outage.is_none() {
            let now = Instant::now();
            error!(reason, "the database cannot be reached: reads fail and writes wait until it can");
            self.outage = Some(Outage { since: now, next_try: now + RETRY_INTERVAL, reason });
        }
    }

    /// Carries out what waits; the outage ends when all of it is done.
    fn try_again(&mut self) {
        self.counters.storage_retries += 1;
        let mut reached = false;
        while !self.waiting.jobs.is_empty() {
            let completions = self.store.run(self.waiting.first());
            // Behind the first one that could not be carried out none is, so that the order holds.
            let unreached = |completion: &Completion| matches!(completion.result, Err(StorageError::Unavailable(_)));
            let done = completions.iter().position(unreached);
            for completion in completions.into_iter().take(done.unwrap_or(usize::MAX)) {
                reached = true;
                if let Some((shard, _)) = self.waiting.pop() {
                    self.answers.send(shard, completion);
                }
            }
            self.answers.wake();
            if done.is_some() {
                break;
            }
        }
        let reached = self.waiting.jobs.is_empty() && (reached || self.is_reachable());
        let Some(outage) = &mut self.outage else { return };
        if reached {
            let seconds = outage.since.elapsed().as_secs();
            info!(seconds, "the database can be reached again");
            self.outage = None;
        } else {
            outage.next_try = Instant::now() + RETRY_INTERVAL;
        }
    }

    fn is_reachable(&mut self) -> bool {
        let read = Read::Hashes { dev: DevId::default(), users: vec![UserId::ANONYMOUS] };
        let job = Job { ticket: Ticket(0), request: Request::Read { read, bytes_max: 1024 } };
        let completions = self.store.run(&[job]);
        completions.first().is_some_and(|only| !matches!(only.result, Err(StorageError::Unavailable(_))))
    }

    /// Answers writes that have waited long enough.
    fn give_up(&mut self) {
        let Some(reason) = self.outage.as_ref().map(|outage| outage.reason.clone()) else { return };
        while self.waiting.oldest().is_some_and(|since| since.elapsed() >= self.retry) {
            let Some((shard, job)) = self.waiting.pop() else { break };
            self.counters.storage_given_up += 1;
            self.answers.refuse(shard, job.ticket, reason.clone());
        }
    }

    /// Removes a piece of what is too old; the next one soon, if there is more.
    fn expire(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        let more = match self.store.expire(now) {
            Ok(Expired { queued, history, tokens, more }) => {
                self.counters.storage_expired += queued + history + tokens;
                self.expired.queued += queued;
                self.expired.history += history;
                self.expired.tokens += tokens;
                more
            }
            Err(StorageError::Unavailable(reason)) => {
                self.begin_outage(reason);
                false
            }
            Err(error) => {
                warn!(?error, "what is too old could not be removed");
                false
            }
        };
        if !more {
            let Expired { queued, history, tokens, .. } = std::mem::take(&mut self.expired);
            if queued + history + tokens > 0 {
                debug!(queued, history, tokens, "removed what was too old");
            }
        }
        self.expire_at = Instant::now() + if more { EXPIRE_PAUSE } else { EXPIRE_INTERVAL };
    }

    /// One line when storage begins to fail and one when it works again.
    fn report_health(&mut self, completions: &[Completion]) {
        let failure = completions.iter().find_map(failure_of_storage);
        if let Some(error) = &failure {
            if !self.failing {
                error!(?error, "storage fails; what needs it is refused until it works again");
            }
        } else if self.failing {
            info!("storage works again");
        }
        self.failing = failure.is_some();
    }

    fn show(&mut self) {
        self.counters.storage_down = u64::from(self.outage.is_some());
        self.counters.storage_waiting = self.waiting.jobs.len() as u64;
        self.counters.storage_waiting_bytes = self.waiting.bytes as u64;
        if let Some(place) = self.board.last() {
            place.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.counters);
        }
    }
}

/// Nobody else's fault; and an outage has lines of its own.
fn failure_of_storage(completion: &Completion) -> Option<StorageError> {
    match &completion.result {
        Ok(_) | Err(StorageError::TooLarge { .. } | StorageError::Unavailable(_)) => None,
        Err(error) => Some(error.clone()),
    }
}

/// Writes that wait for a database that cannot be reached, and their bytes; more fail at once.
const WAITING_JOBS_MAX: usize = 65_536;
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Between two tries to reach it.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// From the start to the first look for what is too old; between two looks; between two pieces of one.
/// A crowd has come or gone: so many jobs, and then none for so long. What was in use for a moment then goes back to the
/// system. In between nobody looks, because whoever allocates would be held up.
const MANY_JOBS: usize = 2_000;
const QUIET: Duration = Duration::from_secs(2);
const EXPIRE_FIRST: Duration = Duration::from_secs(1);
const EXPIRE_INTERVAL: Duration = Duration::from_mins(1);
const EXPIRE_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
