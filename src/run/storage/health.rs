//! Whether storage works, as its answers show: one line in the log when it begins to fail and one when that is over, however
//! often it is asked meanwhile.
//!
//! What cannot be written and what cannot be read are two things: a full disk refuses every write and answers every read. A
//! write that does not fit into its column is the fault of whoever wrote it, and of neither.

use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::metrics::Counters;
use crate::storage::{Outcome, StorageError};

#[derive(Debug, Default)]
pub(super) struct Health {
    writes: Side,
    reads: Side,
    unfit: Unfit,
}

/// Works unless it has failed.
#[derive(Debug, Default)]
struct Side(Option<Failing>);

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    is_full: bool,
    count: u64,
}

/// Writes that did not fit, since the last line about them.
#[derive(Debug, Default)]
struct Unfit {
    count: u64,
    said: Option<Instant>,
}

impl Health {
    pub(super) fn note(&mut self, is_write: bool, result: &Result<Outcome, StorageError>, counters: &mut Counters) {
        let now = Instant::now();
        let (side, name) = if is_write { (&mut self.writes, "writes") } else { (&mut self.reads, "reads") };
        match result {
            Ok(_) => side.works(name, now),
            // An outage has lines of its own; the others say nothing about storage.
            Err(StorageError::Unavailable(_) | StorageError::TooLarge { .. } | StorageError::Overloaded) => {}
            Err(StorageError::Unfit(why)) => {
                counters.storage_unfit += 1;
                self.unfit.note(why, now);
            }
            Err(StorageError::Full(why)) => {
                counters.storage_failures += 1;
                side.fails(name, why, true, now);
            }
            Err(StorageError::Failed(why)) => {
                counters.storage_failures += 1;
                side.fails(name, why, false, now);
            }
        }
    }

    /// Whether it is to be tried whether something can be written: nobody may do so by himself any more.
    pub(super) fn writes_fail(&self) -> bool {
        self.writes.0.is_some()
    }

    /// The same with reads.
    pub(super) fn reads_fail(&self) -> bool {
        self.reads.0.is_some()
    }

    pub(super) fn show(&self, counters: &mut Counters) {
        let is_full = self.writes.0.as_ref().is_some_and(|failing| failing.is_full);
        counters.storage_full = u64::from(is_full);
        counters.storage_write_fails = u64::from(self.writes.0.is_some() && !is_full);
        counters.storage_read_fails = u64::from(self.reads.0.is_some());
    }
}

impl Side {
    fn works(&mut self, name: &str, now: Instant) {
        if let Some(over) = self.0.take_if(|failing| now >= failing.last + CALM) {
            let (seconds, failures) = (over.since.elapsed().as_secs(), over.count);
            info!(seconds, failures, "storage works again: no {name} fail any more");
        }
    }

    fn fails(&mut self, name: &str, why: &str, is_full: bool, now: Instant) {
        match &mut self.0 {
            Some(failing) => {
                failing.last = now;
                failing.count += 1;
                failing.is_full |= is_full;
            }
            none => {
                if is_full {
                    error!(why, "the disk is full: nothing is written until there is room; reads and deliveries go on");
                } else {
                    error!(why, "storage fails: {name} are refused until it works again");
                }
                *none = Some(Failing { since: now, last: now, is_full, count: 1 });
            }
        }
    }
}

impl Unfit {
    fn note(&mut self, why: &str, now: Instant) {
        self.count += 1;
        if self.said.is_none_or(|said| now >= said + UNFIT_INTERVAL) {
            let writes = std::mem::take(&mut self.count);
            warn!(writes, why, "the database did not take what was written: it does not fit");
            self.said = Some(now);
        }
    }
}

/// Without a failure for so long, and with a success, storage works again: on a disk that is nearly full small writes succeed
/// between large ones that do not.
const CALM: Duration = Duration::from_secs(5);
/// Between two lines about writes that do not fit.
const UNFIT_INTERVAL: Duration = Duration::from_mins(1);
