//! The storage thread: takes jobs of all shards, runs them in groups, hands completions back and wakes who asked.
//!
//! ```text
//!  shards --Given--> Turns --all writes--> one group, one commit --> answers
//!                     |  |---a piece of what is removed ----------> answers, when all is gone
//!                     |------some reads of everybody -------------> answers, and again from the beginning
//! ```
//!
//! While the database cannot be reached, reads fail at once and writes wait here, in their order, for some time and up to
//! some size. A commit that was cut off is tried again with them: writes may be repeated.

mod client;
mod health;
mod open;
mod turns;
mod waiting;

use std::collections::VecDeque;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use shards::Waker;
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::metrics::Counters;
use crate::model::{DevId, ShardId, UserId};
use crate::storage::{
    Completion, Expired, Job, Outcome, Read, Removal, Request, Retention, StorageError, Store, Ticket,
};

use super::board::{Board, Part};
use super::pulse::Pulse;

use client::{AnswerSenders, Whose};
pub(super) use client::{AnswersOnTheirWay, Given, StorageClient, StorageSetup, channels};
use health::Health;
pub(super) use open::OpenError;
pub(super) use open::open;
#[cfg(feature = "mysql")]
pub(super) use open::place;
use turns::Turns;
use waiting::{Outage, Waiting};

/// Jobs in one group, that is, behind one fsync.
const GROUP_MAX: usize = 4096;

/// Ends by itself, after the last job, when the last [`StorageClient`] is gone.
pub(super) struct StorageThread {
    handle: JoinHandle<()>,
}

impl StorageThread {
    /// `retry`: how long writes wait for a database that cannot be reached, from when they were given. The thread's figures are those of storage on `board`.
    pub(super) fn start(
        setup: StorageSetup,
        store: Box<dyn Store + Send>,
        wakers: Vec<Waker>,
        board: Board,
        pulse: Pulse,
        retry: Duration,
        news: News,
    ) -> std::io::Result<Self> {
        let StorageSetup { jobs, answers, asked_max, logins_max } = setup;
        let handle = Builder::new().name("storage".into()).spawn(move || {
            let answers = Answers { shards: answers, woken: vec![false; wakers.len()], wakers };
            Keeper {
                store,
                answers,
                turns: Turns::new(logins_max, asked_max),
                removing: VecDeque::new(),
                remove_alone: false,
                waiting: Waiting::default(),
                outage: None,
                health: Health::default(),
                probe_at: Instant::now(),
                expire_at: Instant::now() + EXPIRE_FIRST,
                expired: Expired::default(),
                clocks: Clocks::now(),
                jobs: 0,
                give_back_at: None,
                give_back_after: Instant::now(),
                counters: Counters::default(),
                board,
                pulse,
                retry,
                news,
                retention: None,
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
    shards: AnswerSenders,
    wakers: Vec<Waker>,
    /// Shards that have got something since the last wake.
    woken: Vec<bool>,
}

impl Answers {
    fn send(&mut self, shard: ShardId, whose: Whose, completion: Completion) {
        let sent = self.shards.send(shard, whose, completion);
        if let (true, Some(woken)) = (sent, self.woken.get_mut(usize::from(shard.0))) {
            *woken = true;
        }
    }

    fn tell(&mut self, given: &Given, result: Result<Outcome, StorageError>) {
        self.send(given.shard, given.whose, Completion { ticket: given.job.ticket, result });
    }

    fn wake(&mut self) {
        for (waker, woken) in self.wakers.iter().zip(&mut self.woken) {
            if std::mem::take(woken) {
                waker.wake();
            }
        }
    }
}

/// What the thread knows.
struct Keeper {
    store: Box<dyn Store + Send>,
    answers: Answers,
    turns: Turns,
    /// Jobs that remove much, and how far each has come.
    removing: VecDeque<(Given, Removal)>,
    /// One of them is at fault: they are tried one by one.
    remove_alone: bool,
    waiting: Waiting,
    outage: Option<Outage>,
    health: Health,
    /// While writes fail: when it is tried whether they do still.
    probe_at: Instant,
    /// When to look for what is too old.
    expire_at: Instant,
    /// What this look has removed so far.
    expired: Expired,
    clocks: Clocks,
    /// Jobs since memory was given back; when to do that, if there were many and then none.
    jobs: usize,
    give_back_at: Option<Instant>,
    /// Not before this: it takes a thousandth of the time at the most.
    give_back_after: Instant,
    counters: Counters,
    board: Board,
    pulse: Pulse,
    retry: Duration,
    news: News,
    /// How long and how much is to be kept from now on, if the engine does not know it yet.
    retention: Option<Retention>,
}

/// How long writes wait for a database that cannot be reached.
pub(super) fn retry(config: &Config) -> Duration {
    Duration::from_secs(u64::from(config.storage.retry_s))
}

/// What a running storage thread is told when the configuration is another.
pub(super) struct Told {
    retry: Duration,
    retention: Retention,
}

impl Told {
    pub(super) fn of(config: &Config) -> Self {
        Self { retry: retry(config), retention: open::retention(&config.storage) }
    }
}

/// Asked before each group of jobs: what is new, if anything is.
pub(super) type News = Box<dyn FnMut() -> Option<Told> + Send>;

impl Keeper {
    fn run(mut self, jobs: &Receiver<Given>) {
        loop {
            if self.turns.is_empty() && self.removing.is_empty() {
                match jobs.recv_deadline(self.deadline()) {
                    Ok(first) => self.take(first),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            jobs.try_iter().take(GROUP_MAX).for_each(|given| self.take(given));
            self.hear_news();
            let writes = self.turns.take_writes(GROUP_MAX);
            self.carry_out(writes);
            self.remove_a_piece();
            let reads = self.turns.take_reads();
            self.carry_out(reads);
            self.work_on_time();
            self.answers.wake();
            self.counters.storage_queue = (jobs.len() + self.turns.len() + self.removing.len()) as u64;
            self.show();
            self.pulse.storage_turned();
        }
        self.end();
    }

    /// What is configured may be another. Whoever needs it comes with a job, so nobody wakes this thread for it.
    fn hear_news(&mut self) {
        if let Some(told) = (self.news)() {
            (self.retry, self.retention) = (told.retry, Some(told.retention));
        }
        let Some(retention) = self.retention.filter(|_| self.outage.is_none()) else { return };
        match self.store.keep(retention) {
            Ok(()) => self.retention = None,
            Err(error) => debug!(%error, "how long messages are kept could not be changed yet"),
        }
    }

    fn end(mut self) {
        if self.outage.is_some() && !self.waiting.jobs.is_empty() {
            self.try_again();
            let lost = self.waiting.jobs.len();
            if lost > 0 {
                error!(writes = lost, "the database could not be reached before the end; these writes are lost");
            }
        }
        if self.outage.is_none()
            && let Err(error) = self.store.note_clock(Clocks::now().unix)
        {
            debug!(%error, "the time of the end could not be written down");
        }
    }

    fn take(&mut self, given: Given) {
        self.jobs += 1;
        if self.jobs >= MANY_JOBS {
            self.give_back_at = Some((Instant::now() + QUIET).max(self.give_back_after));
        }
        if let Some(refused) = self.turns.push(given) {
            self.counters.storage_refusals += 1;
            self.answers.tell(&refused, Err(StorageError::Overloaded));
        }
    }

    /// When there is something to do without a job.
    fn deadline(&self) -> Instant {
        let next = self.outage.as_ref().map_or(self.expire_at, |outage| outage.next_try);
        let give_up = self.outage.as_ref().and_then(|_| self.waiting.oldest()).map(|since| since + self.retry);
        let fails = self.health.writes_fail() || self.health.reads_fail();
        let probe = fails.then_some(self.probe_at);
        let pulse = self.pulse.sleep_max().map(|sleep| Instant::now() + sleep);
        [give_up, self.give_back_at, probe, pulse].into_iter().flatten().fold(next, Instant::min)
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
            return self.give_up();
        }
        if Instant::now() >= self.probe_at {
            if self.health.writes_fail() {
                self.try_a_write();
            }
            if self.health.reads_fail() && self.outage.is_none() {
                self.try_a_read();
            }
        }
        if Instant::now() >= self.expire_at {
            self.expire();
        }
    }

    /// Carries out what is all writes or all reads.
    fn carry_out(&mut self, group: Vec<Given>) {
        let group = self.put_removals_aside(group);
        self.run_group(group);
    }

    fn run_group(&mut self, group: Vec<Given>) {
        let split = |Given { shard, since, whose, job }| ((shard, since, whose), job);
        let (mut whose, mut jobs): (VecDeque<_>, VecDeque<Job>) = group.into_iter().map(split).unzip();
        let mut left = Vec::new();
        // More than once when results are large: those there are go out before the rest is read.
        while self.outage.is_none() && !jobs.is_empty() {
            let begun = Instant::now();
            let completions = self.store.run(jobs.make_contiguous());
            self.counters.storage_groups += 1;
            self.counters.storage_jobs += completions.len() as u64;
            self.counters.storage_busy_us += begun.elapsed().as_micros() as u64;
            for completion in completions {
                let (Some((shard, since, whose)), Some(job)) = (whose.pop_front(), jobs.pop_front()) else { break };
                self.health.note(whose == Whose::Write, &completion.result, &mut self.counters);
                if let Err(StorageError::Unavailable(reason)) = &completion.result {
                    self.begin_outage(reason.clone());
                    left.push(Given { shard, since, whose, job });
                } else {
                    self.answers.send(shard, whose, completion);
                }
            }
            self.answers.wake();
        }
        let join = |((shard, since, whose), job)| Given { shard, since, whose, job };
        self.wait_or_fail(left.into_iter().chain(whose.into_iter().zip(jobs).map(join)));
    }

    /// What an outage leaves: reads fail, writes wait for its end.
    fn wait_or_fail(&mut self, left: impl IntoIterator<Item = Given>) {
        let Some(reason) = self.outage.as_ref().map(|outage| outage.reason.clone()) else { return };
        for given in left {
            if given.whose != Whose::Write {
                self.answers.tell(&given, Err(StorageError::Unavailable(reason.clone())));
            } else if let Some(given) = self.waiting.push(given) {
                self.counters.storage_given_up += 1;
                let why = format!("{reason}; too many writes wait for it already");
                self.answers.tell(&given, Err(StorageError::Unavailable(why)));
            }
        }
    }

    // Removals

    /// What may remove much is not done with the others, whose commit would wait for it.
    fn put_removals_aside(&mut self, group: Vec<Given>) -> Vec<Given> {
        let mut others = Vec::with_capacity(group.len());
        for given in group {
            match Removal::of(&given.job.request).filter(|_| self.outage.is_none()) {
                Some(removal) => self.removing.push_back((given, removal)),
                None => others.push(given),
            }
        }
        others
    }

    fn remove_a_piece(&mut self) {
        if self.removing.is_empty() {
            return;
        }
        if self.outage.is_some() {
            return self.removals_wait();
        }
        let begun = Instant::now();
        let most = if self.remove_alone { 1 } else { REMOVALS_AT_ONCE };
        let mut now: Vec<Removal> = self.removing.iter().take(most).map(|(_, removal)| removal.clone()).collect();
        let result = self.store.remove(&mut now);
        self.counters.storage_groups += 1;
        self.counters.storage_busy_us += begun.elapsed().as_micros() as u64;
        if let Err(StorageError::Unavailable(reason)) = result {
            self.begin_outage(reason);
            return self.removals_wait();
        }
        let noted = result.clone().map(|()| Outcome::Written { rows: 0 });
        self.health.note(true, &noted, &mut self.counters);
        match result {
            Ok(()) => {
                self.remove_alone = false;
                self.removing.iter_mut().zip(now).for_each(|((_, removal), piece)| *removal = piece);
                self.finish_removals();
            }
            Err(_) if self.removing.len() > 1 && !self.remove_alone => self.remove_alone = true,
            Err(error) => {
                self.remove_alone = false;
                if let Some((given, _)) = self.removing.pop_front() {
                    self.counters.storage_jobs += 1;
                    self.answers.tell(&given, Err(error));
                }
            }
        }
    }

    /// They begin anew when the outage is over, each in one piece.
    fn removals_wait(&mut self) {
        let jobs = std::mem::take(&mut self.removing);
        self.wait_or_fail(jobs.into_iter().map(|(given, _)| given));
    }

    /// Answers those of which everything is gone, and carries out those that do more than remove.
    fn finish_removals(&mut self) {
        let mut then = Vec::new();
        while let Some((given, removal)) = self.removing.pop_front_if(|(_, removal)| removal.is_done()) {
            if let Some(rows) = removal.rows() {
                self.counters.storage_jobs += 1;
                self.answers.tell(&given, Ok(Outcome::Written { rows }));
            } else {
                then.push(given);
            }
        }
        if !then.is_empty() {
            self.run_group(then);
        }
    }

    // Outages

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
                self.health.note(true, &completion.result, &mut self.counters);
                if let Some((shard, _)) = self.waiting.pop() {
                    self.answers.send(shard, Whose::Write, completion);
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
        self.read_something().is_some_and(|result| !matches!(result, Err(StorageError::Unavailable(_))))
    }

    fn try_a_read(&mut self) {
        self.probe_at = Instant::now() + PROBE_INTERVAL;
        match self.read_something() {
            Some(Err(StorageError::Unavailable(reason))) => self.begin_outage(reason),
            Some(result) => self.health.note(false, &result, &mut self.counters),
            None => {}
        }
    }

    fn read_something(&mut self) -> Option<Result<Outcome, StorageError>> {
        let read = Read::Hashes { dev: DevId::default(), users: vec![UserId::ANONYMOUS] };
        let job = Job { ticket: Ticket(0), request: Request::Read { read, bytes_max: 1024 } };
        self.store.run(&[job]).pop().map(|only| only.result)
    }

    /// Answers writes that have waited long enough.
    fn give_up(&mut self) {
        let Some(reason) = self.outage.as_ref().map(|outage| outage.reason.clone()) else { return };
        while self.waiting.oldest().is_some_and(|since| since.elapsed() >= self.retry) {
            let Some((shard, job)) = self.waiting.pop() else { break };
            self.counters.storage_given_up += 1;
            let result = Err(StorageError::Unavailable(reason.clone()));
            self.answers.send(shard, Whose::Write, Completion { ticket: job.ticket, result });
        }
    }

    /// While writes fail, somebody has to try one: when browsers and backends have gone elsewhere, nobody does.
    fn try_a_write(&mut self) {
        self.probe_at = Instant::now() + PROBE_INTERVAL;
        match self.store.note_clock(Clocks::now().unix) {
            Err(StorageError::Unavailable(reason)) => self.begin_outage(reason),
            result => {
                let result = result.map(|()| Outcome::Written { rows: 0 });
                self.health.note(true, &result, &mut self.counters);
            }
        }
    }

    // Time

    /// Removes a piece of what is too old; the next one soon, if there is more.
    fn expire(&mut self) {
        let now = Clocks::now();
        let jumped = now.jumped_since(std::mem::replace(&mut self.clocks, now));
        if jumped >= JUMP_S {
            warn!(
                seconds = jumped,
                "the clock went ahead: for {} minutes nothing is removed for its age",
                JUMP_WAIT.as_secs() / 60
            );
            self.expire_at = now.at + JUMP_WAIT;
            return self.try_a_write();
        }
        let more = match self.store.expire(now.unix) {
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
                self.health.note(true, &Err(error), &mut self.counters);
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

    fn show(&mut self) {
        self.counters.storage_down = u64::from(self.outage.is_some());
        self.counters.storage_waiting = self.waiting.jobs.len() as u64;
        self.counters.storage_waiting_bytes = self.waiting.bytes as u64;
        self.counters.memory_storage_waiting = (self.turns.bytes() + self.waiting.bytes) as u64;
        self.health.show(&mut self.counters);
        self.board.put(Part::Storage, self.counters.clone());
    }
}

/// The clock that may be set, and one that cannot be.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    /// Unix seconds.
    unix: i64,
    at: Instant,
}

impl Clocks {
    fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
        Self { unix, at: Instant::now() }
    }

    /// Seconds that somebody set the clock ahead since then, or back.
    fn jumped_since(self, before: Self) -> i64 {
        let passed = i64::try_from(self.at.saturating_duration_since(before.at).as_secs()).unwrap_or(i64::MAX);
        self.unix.saturating_sub(before.unix).saturating_sub(passed)
    }
}

/// Writes that wait for a database that cannot be reached, and their bytes; more fail at once.
const WAITING_JOBS_MAX: usize = 65_536;
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Between two tries to reach it.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Between two tries to write, while writes fail.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Removals that share a commit, if they are small.
const REMOVALS_AT_ONCE: usize = 256;
/// A crowd has come or gone: so many jobs, and then none for so long. What was in use for a moment then goes back to the
/// system. In between nobody looks, because whoever allocates would be held up.
const MANY_JOBS: usize = 2_000;
const QUIET: Duration = Duration::from_secs(2);
/// From the start to the first look for what is too old; between two looks; between two pieces of one.
const EXPIRE_FIRST: Duration = Duration::from_secs(1);
const EXPIRE_INTERVAL: Duration = Duration::from_mins(1);
const EXPIRE_PAUSE: Duration = Duration::from_millis(20);
/// Seconds by which a clock that goes ahead at once is not believed, and for how long: if it was set wrong, somebody may set
/// it right before what is not old is gone.
const JUMP_S: i64 = 60;
const JUMP_WAIT: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests;
