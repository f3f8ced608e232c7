//! What a shard knows of its own connections: who they are, which pipes they are subscribed to, what leaves for them.
//!
//! [`Local`] is the wing of the hub for them. It knows nothing of what the same shard owns for all shards: what it wants of an
//! owner it sends there as a ring message, also if that is the very shard.

mod admission;
mod conns;
mod details;
mod fan_out;
mod held;
mod largest;
mod login;
mod members;
mod pipes;
mod places;
#[cfg(test)]
mod probe;
mod publishing;
mod questions;
mod report;
mod rights;
mod subscriptions;
mod tokens;
mod users;
mod waiting;
mod wary;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{
    Answer, CloseReason, ConnId, DevId, Personal, Position, Publication, PublicationKind, ShardId, Time, UnixTime,
    UserId,
};
use crate::ring::{AskId, Flush, InterestId, Replies, RingMessage};
use crate::storage::Read;

use super::effects::{Asker, Effects, ONE_ROW};
use super::{HubConfig, HubMemory, Output};

use admission::Unreported;
use conns::{Conn, Conns};
use details::AllDetails;
pub use details::Details;
use fan_out::{Arrivals, Audience, NEWCOMERS_BYTES_PER_ROUND};
use largest::Largest;
use pipes::Pipes;
pub(in crate::hub) use publishing::BrowserMessage;
pub(in crate::hub) use report::Fanned;
use report::Report;
use rights::AllRights;
use tokens::Tokens;
use users::Users;
use waiting::Waiting;
use wary::Wary;

pub(in crate::hub) struct Local {
    config: Arc<HubConfig>,
    conns: Conns,
    details: AllDetails,
    users: Users,
    tokens: Tokens,
    rights: AllRights,
    wary: Wary,
    unreported: Unreported,
    pipes: Pipes,
    /// In how many pipes a connection is a newcomer still.
    expected: HashMap<ConnId, usize, RandomState>,
    arrivals: Arrivals,
    /// Of what the last rounds of fan-outs hold.
    formed: Vec<Position>,
    reports: HashMap<ConnId, Report, RandomState>,
    /// What connections wait for, by the numbers of what storage or other shards were asked.
    waiting: HashMap<u64, Waiting, RandomState>,
    /// While somebody looks.
    largest: Option<Box<Largest>>,
    /// All connections are about to end, and their ends were noted already.
    stopping: bool,
}

impl Local {
    pub(in crate::hub) fn new(config: Arc<HubConfig>) -> Self {
        let hasher = config.placement.hasher();
        Self {
            conns: Conns::default(),
            details: AllDetails::new(hasher.clone()),
            users: Users::new(hasher.clone()),
            tokens: Tokens::new(hasher.clone()),
            rights: AllRights::new(hasher.clone()),
            wary: Wary::new(hasher.clone()),
            unreported: Unreported::new(hasher.clone()),
            pipes: Pipes::new(&config),
            expected: HashMap::with_hasher(hasher.clone()),
            arrivals: Arrivals::default(),
            formed: Vec::new(),
            reports: HashMap::with_hasher(hasher.clone()),
            waiting: HashMap::with_hasher(hasher),
            largest: None,
            stopping: false,
            config,
        }
    }

    /// `admitted`: addresses of connections that may begin and have not.
    pub(in crate::hub) fn reconfigure(&mut self, config: Arc<HubConfig>, admitted: &[IpAddr]) {
        let before = std::mem::replace(&mut self.config, config);
        if before.limits.counting != self.config.limits.counting {
            self.count_anew(admitted);
        }
    }

    // Connections

    pub(in crate::hub) fn disconnected(&mut self, conn: ConnId, effects: &mut Effects) {
        // Gone before: whoever closes a connection may hear of its end once more.
        let Some(gone) = self.conns.remove(conn) else { return };
        self.reports.remove(&conn);
        self.tokens.remove(conn);
        self.rights.remove(conn);
        if !gone.user.is_anonymous() {
            let (dev, user) = (gone.dev, gone.user);
            self.users.went(dev, user, conn);
            if !self.stopping {
                let to = self.config.placement.owner_of_user(dev, user);
                effects.send(to, RingMessage::UserWent { dev, user, conn });
            }
        }
        for membership in gone.memberships() {
            self.leave(conn, gone.user, *membership, effects);
        }
        self.give_up(conn, effects);
        if let Some(address) = self.known_address(conn) {
            self.release(address, effects);
        }
        self.details.remove(conn);
    }

    /// Everybody goes at once. The users who are here, so that it can be noted of all of them at once.
    pub(in crate::hub) fn stopping(&mut self) -> impl Iterator<Item = (DevId, UserId)> {
        self.stopping = true;
        self.users.all()
    }

    pub(in crate::hub) fn kill(&self, dev: DevId, conn: ConnId, effects: &mut Effects) -> Replies {
        let found = self.conns.get(conn).is_some_and(|entry| entry.dev == dev);
        if found {
            effects.close(conn, CloseReason::Killed);
        }
        Replies::Killed(found)
    }

    pub(in crate::hub) fn is_busy(&self, conn: ConnId) -> bool {
        self.conns.get(conn).is_some_and(|entry| entry.busy)
    }

    pub(in crate::hub) fn since(&self, conn: ConnId) -> Option<UnixTime> {
        self.conns.get(conn)?;
        self.details.get(conn.index).map(|detail| UnixTime(detail.since.into()))
    }

    pub(in crate::hub) fn connections(&self) -> usize {
        self.conns.len()
    }

    pub(in crate::hub) fn subscriptions(&self, conn: ConnId) -> usize {
        self.conns.memberships(conn).len()
    }

    pub(in crate::hub) fn owes_answers(&self) -> bool {
        !self.waiting.is_empty() || !self.reports.is_empty()
    }

    /// When a connection's token expires.
    pub(in crate::hub) fn next_deadline(&self) -> Option<Time> {
        self.tokens.due()
    }

    pub(in crate::hub) fn add_memory(&self, memory: &mut HubMemory) {
        memory.connections += self.conns.bytes() + self.details.bytes() + self.tokens.bytes() + self.rights.bytes();
        memory.pipes += self.pipes.bytes();
        memory.users += self.users.bytes() + self.wary.bytes() + self.unreported.bytes();
        memory.waiting += self.waiting.capacity() * size_of::<(u64, Waiting)>()
            + self.reports.capacity() * size_of::<(ConnId, Report)>()
            + self.expected.capacity() * size_of::<(ConnId, usize)>();
        memory.arrivals += self.arrivals.bytes();
    }

    // What comes from owners

    /// A publication for an interest of this shard.
    pub(in crate::hub) fn deliver(
        &mut self,
        publication: Arc<Publication>,
        interest: InterestId,
        effects: &mut Effects,
    ) {
        if let Some(pipe) = self.pipes.find(&publication.pipe, interest) {
            self.pipes.hold_for_newcomers(pipe, &publication);
            self.arrivals.push(interest, publication);
        } else if let (true, Some((to, conn))) = (publication.report, publication.origin) {
            // The last subscriber left while the publication was on its way.
            effects.send(to, RingMessage::Delivered { conn, connections: 0 });
        }
    }

    /// Forms the fan-outs of what arrived. Returns about how many bytes newcomers were given.
    pub(in crate::hub) fn end_turn(&mut self, effects: &mut Effects) -> usize {
        let mut given = 0;
        while given < NEWCOMERS_BYTES_PER_ROUND
            && let Some(newcomer) = self.arrivals.pop_newcomer()
        {
            given += newcomer.bytes();
            self.make_member(newcomer, effects);
        }
        let Self { pipes, conns, details, config, .. } = self;
        let audience = Audience { pipes, conns, details, shard: config.shard };
        for (publication, connections) in self.arrivals.form(audience, effects) {
            if publication.kind == PublicationKind::Figures {
                continue;
            }
            effects.counters.deliveries += u64::from(connections);
            if connections > 0 && self.formed.len() < FORMED_MAX {
                self.formed.push(publication.position);
            }
            if let (true, Some((to, conn))) = (publication.report, publication.origin) {
                let message = RingMessage::Delivered { conn, connections };
                effects.put(Output::RingAfterFanOut { to, message });
            }
        }
        given
    }

    pub(in crate::hub) fn formed(&mut self) -> impl Iterator<Item = Position> {
        self.formed.drain(..)
    }

    pub(in crate::hub) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    pub(in crate::hub) fn is_full(&self) -> bool {
        self.arrivals.message_bytes() >= self.config.arrivals_bytes_max
    }

    /// A personal message for the connections of this shard that get such.
    pub(in crate::hub) fn personal(
        &self,
        from: ShardId,
        (dev, user): (DevId, UserId),
        personal: Arc<Personal>,
        ask: AskId,
        effects: &mut Effects,
    ) {
        let conns: Vec<ConnId> = self.users.registered(dev, user).collect();
        if conns.is_empty() {
            effects.send(from, RingMessage::PersonalTaken { ask, connections: 0 });
        } else {
            effects.put(Output::Personal { personal, conns, ask, to: from });
        }
    }

    /// A part of the queue of one of this shard's users.
    pub(in crate::hub) fn flush(&mut self, from: ShardId, flush: Box<Flush>, effects: &mut Effects) {
        let here = self.conns.get(flush.conn).is_some();
        if let Some(reason) = flush.end {
            if here {
                effects.close(flush.conn, reason);
            }
            return;
        }
        if here && flush.register {
            self.users.register(flush.dev, flush.user, flush.conn);
        }
        match (flush.messages.is_empty(), here) {
            (true, _) => {}
            (false, true) => effects.put(Output::Queue { flush, to: from }),
            (false, false) => effects.send(from, RingMessage::Flushed { flush, taken: false }),
        }
    }

    // Helpers

    fn answer(&self, conn: ConnId, answer: Answer, effects: &mut Effects) {
        if self.conns.get(conn).is_some() {
            effects.put(Output::Answer { conn, answer });
        }
    }

    fn resume(&mut self, conn: ConnId, effects: &mut Effects) {
        if self.conns.set_busy(conn, false) {
            effects.put(Output::Resume { conn });
        }
    }

    /// The connection waits for other shards, which are told this number.
    fn wait(&mut self, conn: ConnId, waiting: Waiting, effects: &mut Effects) -> AskId {
        self.conns.set_busy(conn, true);
        let id = effects.ask_id();
        self.waiting.insert(id.0, waiting);
        id
    }

    /// The connection waits for storage.
    fn ask_storage(&mut self, conn: ConnId, waiting: Waiting, read: Read, effects: &mut Effects) {
        self.conns.set_busy(conn, true);
        let ticket = effects.read_for(self.address(conn), Asker::Local, read, ONE_ROW);
        self.waiting.insert(ticket.0, waiting);
    }

    fn known_address(&self, conn: ConnId) -> Option<IpAddr> {
        self.details.get(conn.index).map(|detail| self.details.address(detail))
    }

    fn address(&self, conn: ConnId) -> IpAddr {
        self.known_address(conn).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    }

    /// The connection, if it has not gone.
    fn conn(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(conn)
    }
}

/// Positions that wait for [`Local::formed`]; those of further publications are left out.
const FORMED_MAX: usize = 4096;
