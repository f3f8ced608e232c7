//! Who is subscribed to what on this shard, and how that changes.
//!
//! A `subscription` makes members at once. With a `subscription2` a connection is a *newcomer* of each new pipe until the
//! pipe's owner has said from which position on it gets everything:
//!
//! ```text
//!  newcomer --Interest, Recover--> (owner) --Recovered--> waits behind what arrived before --> member
//!      | publications are held back        | what is held behind the position is taken along
//! ```
//!
//! Fan-outs go to members only, so nothing reaches a newcomer too early, and a pipe without newcomers pays nothing.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::model::{
    Answer, ApiError, ConnId, DevId, Had, PipeKey, PipeName, Publication, ShardId, SubscriptionError, UserId,
};
use crate::ring::{Recover, Recovered, RingMessage};

use super::super::effects::Effects;
use super::super::{Output, Subscribed};
use super::Local;
use super::conns::Membership;
use super::details::Sought;
use super::fan_out::weight;
use super::rights::NotFor;

/// A pipe that a connection wants, and what it had of it.
pub(in crate::hub) type Wanted = (PipeName, Had);

/// What is left of a connection's subscriptions, and what is to come.
struct Change {
    dev: DevId,
    user: UserId,
    memberships: Vec<Membership>,
    coming: Vec<Wanted>,
    refused: Option<SubscriptionError>,
    /// Why names were left out that are not for this connection.
    private: Option<NotFor>,
}

/// A connection on its way from newcomer to member.
#[derive(Debug)]
pub(super) struct Newcomer {
    recovered: Recovered,
    /// Behind its position.
    live: Vec<Arc<Publication>>,
}

impl Newcomer {
    pub(super) fn bytes(&self) -> usize {
        let missed: usize = self.recovered.missed.iter().map(crate::storage::StoredMessage::bytes).sum();
        let live: usize = self.live.iter().map(|publication| weight(publication)).sum();
        size_of::<Self>() + missed + live
    }
}

impl Local {
    pub(in crate::hub) fn subscribe(&mut self, conn: ConnId, names: Vec<PipeName>, effects: &mut Effects) {
        let names = names.into_iter().map(|name| (name, Had::default())).collect();
        let Some(change) = self.leave_unwanted(conn, names, effects) else { return };
        let Change { dev, user, mut memberships, coming, mut refused, .. } = change;
        // After all leaving: a shard at its limit may exchange one pipe for another.
        for (name, _) in coming {
            let Some((membership, interest)) = self.pipes.join(PipeKey { dev, name }, conn.index) else {
                effects.counters.names_refused += 1;
                refused = Some(SubscriptionError::TooManyPipes);
                continue;
            };
            memberships.push(membership);
            self.joined(conn, user, interest, effects);
        }
        self.conns.replace(conn, memberships);
        if let Some(error) = refused {
            self.answer(conn, Answer::Error(ApiError::Subscription(error)), effects);
        }
    }

    /// The same, but each new pipe is answered, with what was missed before it and what comes behind it. Until then the
    /// connection is busy: its recoveries are bounded by that, and a set is never changed half-way.
    pub(in crate::hub) fn resubscribe(&mut self, conn: ConnId, names: Vec<Wanted>, effects: &mut Effects) {
        let Some(change) = self.leave_unwanted(conn, names, effects) else { return };
        let Change { dev, user, mut memberships, coming, mut refused, private } = change;
        let asking = coming.iter().filter(|(_, had)| had.wants_past()).count();
        let bytes_max = self.config.history_bytes_max / asking.max(1);
        let mut owners: BTreeMap<ShardId, Vec<_>> = BTreeMap::new();
        for (name, had) in coming {
            let Some((pipe, interest)) = self.pipes.expect(PipeKey { dev, name }) else {
                effects.counters.names_refused += 1;
                refused = Some(SubscriptionError::TooManyPipes);
                continue;
            };
            memberships.push(Membership::expected(pipe));
            let key = interest.0.clone();
            self.joined(conn, user, interest, effects);
            owners.entry(self.config.placement.owner_of_pipe(&key)).or_default().push((key, had));
        }
        let address = self.address(conn);
        for (to, pipes) in owners {
            effects.send(to, RingMessage::Recover(Box::new(Recover { conn, address, bytes_max, pipes })));
        }
        let expected = memberships.iter().filter(|membership| membership.is_expected()).count();
        self.conns.replace(conn, memberships);
        let private = private.map(|why| match why {
            NotFor::Anonymous => SubscriptionError::NeedsAuthorisation,
            NotFor::NotNamed => SubscriptionError::NotNamed,
        });
        for error in refused.into_iter().chain(private) {
            self.answer(conn, Answer::Error(ApiError::Subscription(error)), effects);
        }
        if expected > 0 {
            self.expected.insert(conn, expected);
            self.conns.set_busy(conn, true);
        }
    }

    /// Everything that arrived before is to be out first: it is not for the new member, and what it was sent as a member
    /// some time ago must not come behind what it gets now.
    pub(in crate::hub) fn recovered(&mut self, recovered: Recovered) {
        let Some(pipe) = self.pipes.find_name(&recovered.pipe) else { return };
        let Recovered { conn, position, .. } = recovered;
        if !self.conns.is_expected(conn, pipe) {
            return;
        }
        let (begin, live) = self.pipes.held_behind(pipe, position);
        let mut newcomer = Newcomer { recovered, live };
        if begin > position {
            let Recovered { position, missed, recovered, has_newest, .. } = &mut newcomer.recovered;
            *position = begin;
            *missed = Vec::new();
            *recovered = recovered.map(|_| false).or(has_newest.then_some(false));
        }
        self.arrivals.push_newcomer(newcomer);
    }

    /// Makes it a member: what arrives from now on it gets as the others do.
    pub(super) fn make_member(&mut self, newcomer: Newcomer, effects: &mut Effects) {
        let Newcomer { recovered, mut live } = newcomer;
        let Recovered { pipe: key, conn, missed, position, has_history, recovered, has_newest: _ } = recovered;
        let Some(pipe) = self.pipes.find_name(&key) else { return };
        if !self.conns.is_expected(conn, pipe) {
            return;
        }
        let Membership { slot, .. } = self.pipes.make_member(pipe, conn.index);
        self.conns.moved(conn.index, pipe, slot);
        live.retain(|publication| {
            !publication.except().is_some_and(|uuid| self.details.is_of(conn.index, &Sought::new(uuid)))
        });
        effects.counters.recovered_messages += missed.len() as u64;
        effects.counters.deliveries += live.len() as u64;
        let position = Some(position).filter(|_| has_history);
        let answer = Answer::Subscribed { pipe: key.name.clone(), position, recovered };
        effects.put(Output::Subscribed(Box::new(Subscribed { conn, key, missed, answer, live })));
        let Entry::Occupied(mut expected) = self.expected.entry(conn) else {
            return never!("whoever is a newcomer still is expected");
        };
        *expected.get_mut() -= 1;
        if *expected.get() == 0 {
            expected.remove();
            self.resume(conn, effects);
        }
    }

    /// A connection has gone. If it was still to hear what it missed, owners need not look for it.
    pub(super) fn give_up(&mut self, conn: ConnId, effects: &mut Effects) {
        if self.expected.remove(&conn).is_some() {
            for owner in 0..self.config.placement.connection_shards() {
                effects.send(ShardId(owner), RingMessage::StopRecovering { conn });
            }
        }
    }

    /// Takes the connection out of all pipes that are not among these names. `None` if there is no such connection.
    fn leave_unwanted(&mut self, conn: ConnId, names: Vec<Wanted>, effects: &mut Effects) -> Option<Change> {
        let entry = self.conn(conn)?;
        let (dev, user) = (entry.dev, entry.user);
        let mut wanted: Vec<Wanted> = Vec::with_capacity(names.len().min(self.config.pipes_per_connection_max));
        let (mut refused, mut private) = (None, None);
        for (name, had) in names {
            if let Err(why) = self.may_hear(conn, user, &name) {
                effects.counters.names_refused += 1;
                private = Some(why);
            } else if wanted.len() >= self.config.pipes_per_connection_max {
                effects.counters.names_refused += 1;
                refused = Some(SubscriptionError::TooManyPipes);
            } else {
                wanted.push((name, had));
            }
        }
        wanted.sort_by(|(left, _), (right, _)| left.cmp(right));
        wanted.dedup_by(|(later, _), (first, _)| later == first);

        let (memberships, coming) = self.compare(conn, user, wanted, effects);
        Some(Change { dev, user, memberships, coming, refused, private })
    }

    /// Both lists are sorted by name: one pass over them tells what stays, what goes and what comes.
    fn compare(
        &mut self,
        conn: ConnId,
        user: UserId,
        wanted: Vec<Wanted>,
        effects: &mut Effects,
    ) -> (Vec<Membership>, Vec<Wanted>) {
        let mut held = self.conns.memberships(conn).to_vec();
        held.sort_unstable_by(|left, right| self.pipes.key(left.pipe).name.cmp(&self.pipes.key(right.pipe).name));
        let mut held = held.into_iter().peekable();
        let mut memberships = Vec::with_capacity(wanted.len());
        let mut coming = Vec::new();
        for (name, had) in wanted {
            while let Some(gone) = held.next_if(|membership| self.pipes.key(membership.pipe).name < name) {
                self.leave(conn, user, gone, effects);
            }
            match held.next_if(|membership| self.pipes.key(membership.pipe).name == name) {
                Some(stays) => memberships.push(stays),
                None => coming.push((name, had)),
            }
        }
        held.for_each(|gone| self.leave(conn, user, gone, effects));
        (memberships, coming)
    }

    pub(super) fn leave(&mut self, conn: ConnId, user: UserId, membership: Membership, effects: &mut Effects) {
        let interest = if membership.is_expected() {
            self.pipes.give_up(membership.pipe)
        } else {
            self.pipes.leave(membership, &mut self.conns)
        };
        self.left(conn, user, interest, effects);
    }
}
