//! What a shard owns for all shards: the order and history of its pipes, its users and their queues, what addresses may do.
//!
//! [`Owned`] is the wing of the hub for that. It knows connections by their names only, also those of its own shard; what
//! becomes of them it hears by ring messages like every owner.

mod busiest;
mod departed;
mod guesses;
mod histories;
mod keys;
mod leaving;
mod limits;
mod pipes;
mod presence;
#[cfg(test)]
mod probe;
mod recovery;
mod trusted;
mod users;

use std::net::IpAddr;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use crate::model::{ConnId, DevId, Now, PipeKey, Publication, PublicationKind, ShardId, Time, UserId, counted_address};
use crate::ring::{
    AskId, AskKey, Flush, KeyTried, OneInterest, Publisher, Recover, Replies, RingMessage, Send, SetLength,
    StatementId, Submit,
};
use crate::storage::{Beginning, Completion, Job};

use super::effects::{Asker, Effects};
use super::readings::Missing;
use super::tops::Top;
use super::{HubConfig, HubMemory};

use busiest::Busiest;
use guesses::Guesses;
use limits::Counts;
pub use limits::Limits;
use pipes::Pipes;
use presence::Presence;
use recovery::Recoveries;
use users::{Users, Who};

pub(in crate::hub) struct Owned {
    config: Arc<HubConfig>,
    pipes: Pipes,
    recoveries: Recoveries,
    users: Users,
    presence: Presence,
    counts: Counts,
    guesses: Guesses,
    /// While somebody looks.
    busiest: Option<Box<Busiest>>,
}

impl Owned {
    pub(in crate::hub) fn new(config: Arc<HubConfig>) -> Self {
        let hasher = config.placement.hasher();
        Self {
            pipes: Pipes::new(&config),
            recoveries: Recoveries::new(hasher.clone()),
            users: Users::new(config.clone()),
            presence: Presence::new(hasher.clone()),
            counts: Counts::new(&config.limits, hasher.clone()),
            guesses: Guesses::new(config.limits.key_attempts_max, config.placement.connection_shards(), &hasher),
            busiest: None,
            config,
        }
    }

    pub(in crate::hub) fn reconfigure(&mut self, config: Arc<HubConfig>) {
        self.users.reconfigure(config.clone());
        self.counts.reconfigure(&config.limits);
        self.guesses.set_attempts_max(config.limits.key_attempts_max);
        self.config = config;
    }

    pub(in crate::hub) fn begin(&mut self, beginning: Beginning) {
        self.pipes.begin(beginning);
    }

    /// Storage has answered one of these.
    pub(in crate::hub) fn stored(&mut self, asker: Asker, completion: Completion, now: Now, effects: &mut Effects) {
        match asker {
            Asker::Pipes => self.pipes.stored(completion, effects),
            Asker::Recoveries => self.recoveries.stored(completion, &self.pipes, effects),
            Asker::Users => self.users.stored(completion, now, effects),
            Asker::Departed => self.users.departed_stored(&completion, now, effects),
            Asker::Local => never!("what a connection asked is for the other wing"),
        }
    }

    pub(in crate::hub) fn time_passed(&mut self, now: Now, effects: &mut Effects) {
        self.users.time_passed(now, effects);
    }

    pub(in crate::hub) fn next_deadline(&self) -> Option<Time> {
        self.users.next_deadline()
    }

    /// All connections are about to end; these users are on this shard.
    pub(in crate::hub) fn stopping(&mut self, here: impl Iterator<Item = Who>, now: Now, effects: &mut Effects) {
        self.users.stopping(here, now, effects);
    }

    pub(in crate::hub) fn last_job(&mut self, effects: &mut Effects) -> Option<Job> {
        self.users.last_job(effects)
    }

    /// Users who have gone and of whom storage does not know it yet.
    pub(in crate::hub) fn departed(&self) -> usize {
        self.users.departed()
    }

    pub(in crate::hub) fn owes_answers(&self) -> bool {
        self.pipes.owes_answers() || self.recoveries.owes_answers() || self.users.owes_answers()
    }

    pub(in crate::hub) fn add_memory(&self, memory: &mut HubMemory) {
        memory.owned_pipes += self.pipes.bytes();
        memory.users += self.users.bytes() + self.counts.bytes() + self.presence.bytes() + self.guesses.bytes();
        memory.waiting += self.pipes.waiting_bytes() + self.recoveries.bytes() + self.users.waiting_bytes();
    }

    // Publications

    /// Somebody publishes into a pipe of this shard.
    pub(in crate::hub) fn publish(
        &mut self,
        mut publication: Box<Publication>,
        statement: Option<(ShardId, StatementId)>,
        now: Now,
        effects: &mut Effects,
    ) {
        let Some(sender) = statement else {
            self.count_publication(&publication, effects);
            return self.presence.publish(publication, &mut self.pipes, now, effects);
        };
        if let Continue(asked) = self.pipes.look_for_key(&mut publication, sender, now, effects) {
            self.count_publication(&publication, effects);
            self.pipes.publish(publication, Some(asked), now, effects);
        }
    }

    /// The server itself publishes.
    pub(in crate::hub) fn announce(&mut self, publication: Box<Publication>, now: Now, effects: &mut Effects) {
        self.pipes.publish(publication, None, now, effects);
    }

    /// Only messages count; the server's own words about comings and goings do not.
    fn count_publication(&mut self, publication: &Publication, effects: &mut Effects) {
        if publication.kind != PublicationKind::Message {
            return;
        }
        effects.counters.publications += 1;
        if let Some(busiest) = &mut self.busiest {
            busiest.count(&publication.pipe);
        }
    }

    pub(in crate::hub) fn count_busiest(&mut self, on: bool) {
        let hasher = self.config.placement.hasher();
        self.busiest = on.then(|| Box::new(Busiest::new(hasher)));
    }

    /// Since the last time.
    pub(in crate::hub) fn take_busiest(&mut self) -> Vec<Top> {
        self.busiest.as_mut().map(|busiest| busiest.take()).unwrap_or_default()
    }

    // Subscribers

    pub(in crate::hub) fn interest(&mut self, from: ShardId, interest: OneInterest) {
        let (pipe, subscribers, interest) = interest;
        self.pipes.interest(&pipe, from, subscribers, interest);
        self.presence.note_comer(&pipe);
    }

    pub(in crate::hub) fn recover(&mut self, from: ShardId, recover: Recover, now: Now, effects: &mut Effects) {
        self.recoveries.recover(from, recover, &mut self.pipes, now, effects);
    }

    /// It is the turn of these to be read.
    pub(in crate::hub) fn begin_reading(&mut self, missing: Box<Missing>, now: Now, effects: &mut Effects) {
        self.recoveries.begin_reading(missing, &mut self.pipes, now, effects);
    }

    pub(in crate::hub) fn stop_recovering(&mut self, from: ShardId, conn: ConnId) {
        self.recoveries.stop(from, conn);
    }

    pub(in crate::hub) fn set_length(&mut self, from: ShardId, set: SetLength, now: Now, effects: &mut Effects) {
        self.pipes.set_length(from, set, now, effects);
    }

    pub(in crate::hub) fn subscribers(&self, pipes: &[PipeKey]) -> Replies {
        Replies::Counts(pipes.iter().map(|pipe| self.pipes.subscribers(pipe)).collect())
    }

    /// Subscribers of each pipe, but 0 for one that a shard before this one has named already.
    pub(in crate::hub) fn subscribers_from(&self, pipes: &[PipeKey], shard: ShardId) -> Replies {
        Replies::Counts(pipes.iter().map(|pipe| self.pipes.subscribers_from(pipe, shard)).collect())
    }

    pub(in crate::hub) fn has_history(&self, pipe: &PipeKey) -> Replies {
        Replies::HasHistory(self.pipes.histories().may_have_history(pipe))
    }

    pub(in crate::hub) fn watch(&mut self, pipe: Arc<PipeKey>) {
        self.pipes.watch(pipe);
    }

    pub(in crate::hub) fn watchers(&self) -> u32 {
        self.pipes.watchers()
    }

    // Users

    /// One more authorised connection.
    pub(in crate::hub) fn user_came(&mut self, who: Who, shard: ShardId, conn: ConnId, effects: &mut Effects) {
        self.users.came(who, shard, conn, effects);
    }

    /// One connection less.
    pub(in crate::hub) fn user_went(
        &mut self,
        who: Who,
        shard: ShardId,
        conn: ConnId,
        now: Now,
        effects: &mut Effects,
    ) {
        self.users.went(who, shard, conn, now, effects);
    }

    pub(in crate::hub) fn online(&self, dev: DevId, users: &[UserId]) -> Replies {
        Replies::Online(users.iter().map(|user| self.users.is_online((dev, *user))).collect())
    }

    pub(in crate::hub) fn send_personal(&mut self, from: ShardId, send: Send, now: Now, effects: &mut Effects) {
        if send.user.is_anonymous() {
            return effects.send(from, RingMessage::Accepted { statement: send.statement, rows: 0 });
        }
        let position = self.pipes.next_position(now);
        self.users.send_personal(from, send, position, self.pipes.message_id(position), now, effects);
    }

    pub(in crate::hub) fn personal_taken(&mut self, ask: AskId, connections: u32, effects: &mut Effects) {
        self.users.personal_taken(ask, connections, effects);
    }

    pub(in crate::hub) fn flushed(&mut self, from: ShardId, flush: Flush, taken: bool, effects: &mut Effects) {
        self.users.flushed(from, flush, taken, effects);
    }

    /// Tells of users whose grace is over, and of those who came and went while a pipe had its pace; of some at a time.
    pub(in crate::hub) fn tell_presence(&mut self, now: Now, effects: &mut Effects) {
        self.users.end_graces(now, effects);
        self.presence.end_windows(&mut self.pipes, now, effects);
    }

    pub(in crate::hub) fn presence_deadline(&self) -> Option<Time> {
        self.users.grace_deadline().into_iter().chain(self.presence.next_deadline()).min()
    }

    // Addresses and publishers

    /// A shard asks whether a connection from this address may begin.
    pub(in crate::hub) fn decide_admission(
        &mut self,
        from: ShardId,
        conn: ConnId,
        (address, counting): (IpAddr, u16),
        now: Now,
        effects: &mut Effects,
    ) {
        let admitted = self.counts.admit(counted_address(address), counting, now.time);
        effects.send(from, RingMessage::Admitted { address, conn, wait_s: admitted.err(), counting });
    }

    pub(in crate::hub) fn address_left(&mut self, address: IpAddr, counting: u16) {
        self.counts.address_left(address, counting);
    }

    pub(in crate::hub) fn address_has(&mut self, address: IpAddr, connections: u32, counting: u16) {
        self.counts.address_has(address, connections, counting);
    }

    #[cfg(test)]
    pub(in crate::hub) fn counted_connections(&self) -> usize {
        self.counts.connections()
    }

    /// On its way from the owner of its publisher to the owner of its pipe.
    pub(in crate::hub) fn submitted(&mut self, from: ShardId, submit: Submit, now: Now, effects: &mut Effects) {
        if let Some(publication) = self.counts.submitted(from, submit, now, effects) {
            let to = self.config.placement.owner_of_pipe(&publication.pipe);
            effects.send(to, RingMessage::Announce { publication });
        }
    }

    /// One publication more of a publisher who is not asked: it is told in any case, and takes the place of another one.
    pub(in crate::hub) fn count(&mut self, publisher: Publisher, now: Now) {
        self.counts.count(publisher, now);
    }

    pub(in crate::hub) fn key_asked(&mut self, from: ShardId, ask: &AskKey, now: Now, effects: &mut Effects) {
        self.guesses.asked(from, ask, now, effects);
    }

    pub(in crate::hub) fn key_tried(&mut self, tried: &KeyTried, now: Now, effects: &mut Effects) {
        self.guesses.tried(tried, now, effects);
    }
}
