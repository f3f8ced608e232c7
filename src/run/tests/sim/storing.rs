//! Storage that is slow, fails, and lets reads be overtaken.

use crate::storage::{Completion, Removal, Request, StorageError};

use super::world::World;
use crate::run::storage::Given;

impl World {
    /// It carries out a group of jobs, and wakes those that it has answered later. A shard that is woken last is like one that
    /// had begun a turn before, in which it hears of what the others did then.
    pub(super) fn storage_works(&mut self) {
        for _ in 0..self.random.below(4) {
            self.storage_works_once();
        }
        self.storage_wakes(50);
    }

    /// Wakes so many of a hundred whom storage has answered.
    pub(super) fn storage_wakes(&mut self, percent: usize) {
        for shard in std::mem::take(&mut self.unwoken) {
            if self.random.chance(percent) {
                self.shards[shard].bare().waker().wake();
            } else {
                self.unwoken.insert(shard);
            }
        }
    }

    pub(super) fn storage_has_work(&mut self) -> bool {
        self.jobs.extend(self.storage.jobs.try_iter());
        !self.jobs.is_empty() || !self.unwoken.is_empty()
    }

    /// Whether there was a job.
    pub(super) fn storage_works_once(&mut self) -> bool {
        self.jobs.extend(self.storage.jobs.try_iter());
        let Some(at) = self.next_job() else { return false };
        let Some(given) = self.jobs.remove(at) else { return false };
        if Removal::of(&given.job.request).is_some() && self.random.chance(50) {
            // What may remove much takes its time, and others' jobs run meanwhile.
            self.jobs.push_back(given);
            return true;
        }
        let (shard, job) = (given.shard, given.job);
        let result = if self.random.chance(self.storage_failure_percent) {
            self.totals.storage_failures += 1;
            self.record.failed(&job.request, self.now, self.tick);
            Err(StorageError::Failed("simulated".into()))
        } else {
            Ok(self.database.run(job.request))
        };
        let completion = Completion { ticket: job.ticket, result };
        assert!(self.storage.answers.send(shard, given.whose, completion), "a shard that runs");
        self.unwoken.insert(usize::from(shard.0));
        true
    }

    /// Writes are carried out in their order, and reads in any, but none before a write that was given earlier.
    fn next_job(&mut self) -> Option<usize> {
        let is_write = |given: &Given| matches!(given.job.request, Request::Write(_));
        let first_write = self.jobs.iter().position(is_write);
        let may_be_next = first_write.map_or(self.jobs.len(), |write| write + 1);
        (may_be_next > 0).then(|| if self.random.chance(50) { may_be_next - 1 } else { self.random.below(may_be_next) })
    }

    /// Whether it ever did not do what it was asked for.
    pub(super) fn storage_failed(&self) -> bool {
        self.totals.storage_failures > 0 || self.shards.iter().any(|shard| shard.storage_refusals() > 0)
    }

    pub(super) fn assert_that_storage_failed(&self) {
        assert!(self.storage_failed(), "refused although storage works");
    }
}
