//! Writes that wait for a database that cannot be reached, in their order.

use std::collections::VecDeque;
use std::time::Instant;

use crate::model::ShardId;
use crate::storage::Job;

use super::client::Given;
use super::{GROUP_MAX, WAITING_BYTES_MAX, WAITING_JOBS_MAX};

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) jobs: VecDeque<Job>,
    /// Of each job: whose it is, since when it waits, what it weighs.
    whose: VecDeque<(ShardId, Instant, usize)>,
    pub(super) bytes: usize,
}

impl Waiting {
    /// Gives the job back if there is no room.
    #[must_use]
    pub(super) fn push(&mut self, given: Given) -> Option<Given> {
        let bytes = given.job.request.bytes();
        if self.jobs.len() >= WAITING_JOBS_MAX || self.bytes + bytes > WAITING_BYTES_MAX {
            return Some(given);
        }
        self.bytes += bytes;
        self.jobs.push_back(given.job);
        self.whose.push_back((given.shard, given.since, bytes));
        None
    }

    pub(super) fn pop(&mut self) -> Option<(ShardId, Job)> {
        let (shard, _, bytes) = self.whose.pop_front()?;
        self.bytes -= bytes;
        Some((shard, self.jobs.pop_front()?))
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.whose.front().map(|(_, since, _)| *since)
    }

    pub(super) fn first(&mut self) -> &[Job] {
        let jobs = self.jobs.make_contiguous();
        jobs.get(..GROUP_MAX).unwrap_or(jobs)
    }
}

/// The time in which the database cannot be reached: reads fail at once, writes wait.
pub(super) struct Outage {
    pub(super) since: Instant,
    pub(super) next_try: Instant,
    pub(super) reason: String,
}
