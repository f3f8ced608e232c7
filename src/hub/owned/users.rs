//! The users this shard owns: where their connections are, who counts as online, and what waits for them.
//!
//! A connection that logs in is given what is in the user's queue ([`queues`]), and gets personal messages as they come from
//! then on ([`personal`]). A user counts as online from the first connection until a grace after the last one.

mod personal;
mod queues;
mod undeleted;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{
    CloseReason, ConnId, DevId, EventName, Now, PipeKey, PipeName, Publication, PublicationKind, ShardId, Time,
    UnixTime, UserId,
};
use crate::ring::{AskId, Flush, RingMessage};
use crate::storage::{Completion, Job, Request};

use super::super::HubConfig;
use super::super::effects::{Asker, Effects};
use super::super::few::Few;
use super::departed::Departed;
use super::leaving::Leaving;
use super::pipes::shrink;
use personal::Sent;
use queues::{Flushing, Waiting};
use undeleted::Undeleted;

/// A tenant's user.
pub(in crate::hub) type Who = (DevId, UserId);

/// A connection of a user, on whichever shard.
#[derive(Clone, Copy, Debug)]
struct Device {
    shard: ShardId,
    conn: ConnId,
    state: DeviceState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeviceState {
    /// Was not given the queue yet, or is one too many.
    New,
    Registered,
    /// Did not take what it was given, so its end is about to be told.
    Leaving,
}

impl Device {
    fn is(&self, shard: ShardId, conn: ConnId) -> bool {
        (self.shard, self.conn) == (shard, conn)
    }
}

const _: () = assert!(size_of::<OwnedUser>() <= 16, "a user who is here must stay small");

#[derive(Debug, Default)]
struct OwnedUser {
    /// In the order in which they came; never empty, unless a flush is under way.
    devices: Few<Device>,
}

pub(super) struct Users {
    config: Arc<HubConfig>,
    here: HashMap<Who, OwnedUser, RandomState>,
    /// Connections of all of them.
    devices: usize,
    leaving: Leaving,
    departed: Departed,
    /// Of those who are given their queues now.
    flushes: HashMap<Who, Flushing, RandomState>,
    /// No more than statements are under way.
    sent: HashMap<AskId, Sent, RandomState>,
    /// How many of these are to whom.
    sent_to: HashMap<Who, u32, RandomState>,
    /// What storage was asked for.
    waiting: HashMap<u64, Waiting, RandomState>,
    undeleted: Undeleted,
    /// Users of whom a reading of the queue failed.
    unread: HashSet<Who, RandomState>,
    /// When to try again what storage did not do.
    retry_at: Option<Time>,
    /// Of all personal messages that are held.
    held_bytes: usize,
}

impl Users {
    pub(super) fn reconfigure(&mut self, config: Arc<HubConfig>) {
        self.config = config;
    }

    pub(super) fn new(config: Arc<HubConfig>) -> Self {
        let hasher = config.placement.hasher();
        Self {
            here: HashMap::with_hasher(hasher.clone()),
            devices: 0,
            leaving: Leaving::new(hasher.clone()),
            departed: Departed::new(config.departed_max, hasher.clone()),
            flushes: HashMap::with_hasher(hasher.clone()),
            sent: HashMap::with_hasher(hasher.clone()),
            sent_to: HashMap::with_hasher(hasher.clone()),
            waiting: HashMap::with_hasher(hasher.clone()),
            undeleted: Undeleted::new(hasher.clone()),
            unread: HashSet::with_hasher(hasher),
            retry_at: None,
            held_bytes: 0,
            config,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.here.capacity() * (size_of::<(Who, OwnedUser)>() + 1)
            + self.flushes.capacity() * size_of::<(Who, Flushing)>()
            // A user whose last connection went while it was given the queue has none.
            + self.devices.saturating_sub(self.here.len()) * size_of::<Device>()
            + self.sent.capacity() * size_of::<(AskId, Sent)>()
            + self.sent_to.capacity() * size_of::<(Who, u32)>()
            + self.undeleted.bytes()
            + self.unread.capacity() * size_of::<Who>()
            + self.held_bytes
            + self.leaving.bytes()
            + self.departed.bytes()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<(u64, Waiting)>()
    }

    pub(super) fn owes_answers(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_online(&self, who: Who) -> bool {
        self.here.get(&who).is_some_and(|user| !user.devices.is_empty()) || self.leaving.contains(who.0, who.1)
    }

    /// Whether nothing is left of anybody.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.sent.is_empty() && self.sent_to.is_empty() && self.devices == 0
    }

    // Comings and goings

    pub(super) fn came(&mut self, who: Who, shard: ShardId, conn: ConnId, effects: &mut Effects) {
        let (dev, user) = who;
        let entry = self.here.entry(who).or_default();
        let first = entry.devices.is_empty();
        if entry.devices.len() >= self.config.connections_per_user_max {
            // So many of one user are no user's; and each one's coming and going costs a look at the others.
            let end = Some(CloseReason::Limited);
            let flush = Flush { dev, user, conn, messages: Vec::new(), register: false, end };
            return effects.send(shard, RingMessage::Flush(Box::new(flush)));
        }
        entry.devices.push(Device { shard, conn, state: DeviceState::New });
        self.devices += 1;
        // Whoever comes back in time was never away.
        if first && !self.leaving.take(dev, user) {
            self.announce(who, true, effects);
        }
        self.start_flush(who, effects);
    }

    pub(super) fn went(&mut self, who: Who, shard: ShardId, conn: ConnId, now: Now, effects: &mut Effects) {
        // Gone before: it was one too many.
        let Some(entry) = self.here.get_mut(&who) else { return };
        let Some(place) = entry.devices.iter().position(|device| device.is(shard, conn)) else { return };
        entry.devices.remove(place);
        self.devices -= 1;
        if !entry.devices.is_empty() {
            // Somebody beyond the limit may have a place now.
            return self.start_flush(who, effects);
        }
        if !self.flushes.contains_key(&who) {
            self.forget(who);
        }
        let grace = self.config.offline_grace;
        if grace == 0 || !self.leaving.add(who.0, who.1, now.time + grace, now.unix) {
            self.left(who, now.unix, effects);
        }
    }

    fn forget(&mut self, who: Who) {
        self.here.remove(&who);
        self.unread.remove(&who);
        shrink(&mut self.here);
    }

    /// Tells of users whose grace is over; of some at a time.
    pub(super) fn end_graces(&mut self, now: Now, effects: &mut Effects) {
        for _ in 0..LEFT_AT_A_TIME {
            let Some((dev, user, since)) = self.leaving.pop_due(now.time) else { break };
            self.left((dev, user), since, effects);
        }
    }

    pub(super) fn grace_deadline(&self) -> Option<Time> {
        self.leaving.next_deadline()
    }

    /// The user counts as offline from now on, and is gone since then.
    fn left(&mut self, who: Who, since: UnixTime, effects: &mut Effects) {
        if self.config.save_last_seen {
            self.note_departure(who, since, effects);
        }
        self.announce(who, false, effects);
    }

    fn announce(&self, (dev, user): Who, online: bool, effects: &mut Effects) {
        if !(if online { self.config.announce_online } else { self.config.announce_offline }) {
            return;
        }
        let word = if online { "online" } else { "offline" };
        let name = PipeName::new(format!("user_status_{user}").as_bytes());
        let (Ok(name), Ok(event)) = (name, EventName::new(word.as_bytes())) else {
            return never!("a user's number makes a good name");
        };
        let pipe = Arc::new(PipeKey { dev, name });
        let to = self.config.placement.owner_of_pipe(&pipe);
        let mut publication = Publication::new(pipe, event, word.into());
        publication.kind = PublicationKind::Presence;
        effects.send(to, RingMessage::Announce { publication: Box::new(publication) });
    }

    // Times of leaving

    fn note_departure(&mut self, who: Who, since: UnixTime, effects: &mut Effects) {
        if !self.departed.add(who.0, who.1, since) {
            effects.counters.last_seen_lost += 1;
        }
    }

    /// Everybody goes at once. That is noted here and now, and not by the owners: what is still on its way to them when
    /// the time for stopping is over would be lost. A user who was on several shards is noted by each.
    pub(super) fn stopping(&mut self, present: impl Iterator<Item = Who>, now: Now, effects: &mut Effects) {
        if !self.config.save_last_seen {
            return;
        }
        let leaving: Vec<_> = self.leaving.all().collect();
        for (dev, user, since) in leaving {
            self.note_departure((dev, user), since, effects);
        }
        for who in present {
            self.note_departure(who, now.unix, effects);
        }
    }

    /// Users who have gone and of whom storage does not know it yet.
    pub(super) fn departed(&self) -> usize {
        self.departed.len()
    }

    pub(super) fn departed_stored(&mut self, completion: &Completion, now: Now, effects: &mut Effects) {
        let is_written = completion.result.is_ok();
        effects.counters.last_seen_lost += self.departed.answered(completion.ticket, is_written, now);
    }

    /// What storage must still be handed when this shard ends; nobody hears the answer.
    pub(super) fn last_job(&mut self, effects: &mut Effects) -> Option<Job> {
        let writes = self.departed.take_waiting();
        let ticket = effects.ticket(Asker::Departed);
        (!writes.is_empty()).then_some(Job { ticket, request: Request::Write(writes) })
    }

    // Time

    /// Tries again what storage did not do, and hands it the users who have gone, if some have and it is ready for more.
    pub(super) fn time_passed(&mut self, now: Now, effects: &mut Effects) {
        self.retry_queues(now, effects);
        if self.departed.next_deadline().is_some_and(|due| due <= now.time) {
            let ticket = effects.ticket(Asker::Departed);
            if let Some(job) = self.departed.hand_over(ticket, now) {
                effects.put(super::super::Output::Store(job));
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.departed.next_deadline().into_iter().chain(self.retry_at).min()
    }
}

/// Users of whom it is told at a time that they went.
const LEFT_AT_A_TIME: usize = 256;
