//! Users whose last connection went and whose time storage does not have yet.
//!
//! ```text
//!            add                    hand_over                 written
//!   (gone) -------> waiting ------------------> under way ------------> (nobody's)
//!                      ^                            |
//!                      +------ refused, failed -----+   and not again before a second has passed
//! ```
//!
//! One job at a time: a thousand users who leave together cost one place in storage's queue and one commit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;

use crate::model::{DevId, Now, Time, UnixTime, UserId};
use crate::storage::{Job, Request, Ticket, Write};

/// Users in one job: others wait for its commit.
const USERS_PER_JOB: usize = 4096;

/// How long storage is left alone after it did not take or not do a job, in microseconds.
const RETRY_AFTER_US: u64 = 1_000_000;

type Gone = ((DevId, UserId), UnixTime);

#[derive(Debug)]
pub(super) struct Departed {
    waiting: HashMap<(DevId, UserId), UnixTime, RandomState>,
    /// What storage has now, and the ticket it answers with.
    under_way: Option<(Ticket, Vec<Gone>)>,
    waiting_max: usize,
    not_before: Time,
}

impl Departed {
    /// With more than `waiting_max` users the time of a further one is lost.
    pub(super) fn new(waiting_max: usize, hasher: RandomState) -> Self {
        Self { waiting: HashMap::with_hasher(hasher), under_way: None, waiting_max, not_before: Time::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.under_way.as_ref().map_or(0, |(_, users)| users.len())
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting.capacity() * (size_of::<Gone>() + 1)
            + self.under_way.as_ref().map_or(0, |(_, users)| users.capacity() * size_of::<Gone>())
    }

    /// The latest time of a user counts. False: it is lost, because there is no room.
    #[must_use]
    pub(super) fn add(&mut self, dev: DevId, user: UserId, time: UnixTime) -> bool {
        let has_room = self.waiting.len() < self.waiting_max;
        match self.waiting.entry((dev, user)) {
            Entry::Occupied(mut known) => {
                let latest = time.max(*known.get());
                known.insert(latest);
            }
            Entry::Vacant(place) if has_room => {
                place.insert(time);
            }
            Entry::Vacant(_) => return false,
        }
        true
    }

    /// When there is something to hand over; a time in the past: now.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        (self.under_way.is_none() && !self.waiting.is_empty()).then_some(self.not_before)
    }

    /// The next job, under this ticket, if it is time for one.
    pub(super) fn hand_over(&mut self, ticket: Ticket, now: Now) -> Option<Job> {
        self.next_deadline().filter(|due| *due <= now.time)?;
        let users: Vec<Gone> = self.waiting.extract_if(|_, _| true).take(USERS_PER_JOB).collect();
        if self.waiting.is_empty() {
            self.waiting.shrink_to_fit();
        }
        let request = Request::Write(users.iter().map(put_last_seen).collect());
        self.under_way = Some((ticket, users));
        Some(Job { ticket, request })
    }

    /// Storage has answered a job. Returns the number of users whose times are lost by that.
    #[must_use]
    pub(super) fn answered(&mut self, ticket: Ticket, is_written: bool, now: Now) -> u64 {
        // Gone: nobody waits for the last job of a shard that ends.
        let Some((_, users)) = self.under_way.take_if(|(asked, _)| *asked == ticket) else { return 0 };
        if is_written {
            return 0;
        }
        self.not_before = now.time + RETRY_AFTER_US;
        users.into_iter().map(|((dev, user), time)| u64::from(!self.add(dev, user, time))).sum()
    }

    /// All that storage was not handed yet.
    pub(super) fn take_waiting(&mut self) -> Vec<Write> {
        self.waiting.drain().map(|gone| put_last_seen(&gone)).collect()
    }
}

fn put_last_seen(((dev, user), time): &Gone) -> Write {
    Write::PutLastSeen { dev: *dev, user: *user, time: time.0 }
}
