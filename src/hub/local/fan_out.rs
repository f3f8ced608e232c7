//! Forming fan-outs: all publications of a turn for one connection leave in one write, in the order in which they
//! arrived, encoded once for everybody who gets the same ones.
//!
//! A connection with one subscription gets exactly its pipe's publications. A connection with several gets what
//! arrived in any of its pipes: those connections are grouped by the set of touched pipes that they are in. A sender
//! gets everything but its own and stands alone.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{ConnId, Publication, ShardId};

use super::super::Output;
use super::super::effects::Effects;
use super::conns::Conns;
use super::pipes::Pipes;
use super::subscriptions::Newcomer;
use crate::ring::InterestId;

/// Pipes in one round. Every set of them may need a buffer of its own, so they are few.
const PIPES_PER_ROUND: usize = 8;
/// Senders in one round that are connections of this shard. Each of them needs a buffer of its own.
const SENDERS_PER_ROUND: usize = 16;
/// What newcomers are given in one round, the last newcomer excepted.
pub(super) const NEWCOMERS_BYTES_PER_ROUND: usize = 256 * 1024;
/// Bytes in one round, the last publication excepted; times the two above that is what one turn may build.
const BYTES_PER_ROUND: usize = 128 * 1024;

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    queue: VecDeque<Arrived>,
    bytes: usize,
}

#[derive(Debug)]
enum Arrived {
    Publication(InterestId, Arc<Publication>),
    /// Becomes a member when everything before it is out, and gets what is behind it as all members do.
    Newcomer(Box<Newcomer>),
}

const _: () = assert!(size_of::<Arrived>() == 16, "a busy moment's publications are many");

/// One publication of a round.
struct Arrival {
    /// Place of its pipe among the touched ones.
    bit: usize,
    /// Its sender's place, if the sender is a connection of this shard.
    sender: Option<u32>,
    publication: Arc<Publication>,
}

#[derive(Default)]
struct Round {
    pipes: Vec<u32>,
    arrivals: Vec<Arrival>,
    /// Sorted places of senders that are connections of this shard.
    senders: Vec<u32>,
    bytes: usize,
}

impl Arrivals {
    pub(super) fn push(&mut self, interest: InterestId, publication: Arc<Publication>) {
        self.bytes += weight(&publication);
        self.queue.push_back(Arrived::Publication(interest, publication));
    }

    pub(super) fn push_newcomer(&mut self, newcomer: Newcomer) {
        self.bytes += newcomer.bytes();
        self.queue.push_back(Arrived::Newcomer(Box::new(newcomer)));
    }

    /// The newcomer whose turn it is.
    pub(super) fn pop_newcomer(&mut self) -> Option<Newcomer> {
        let first = self.queue.pop_front_if(|first| matches!(first, Arrived::Newcomer(_)));
        let Some(Arrived::Newcomer(newcomer)) = first else { return None };
        self.bytes -= newcomer.bytes();
        Some(*newcomer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn message_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.queue.capacity() * size_of::<Arrived>()
    }

    /// Turns what arrived before the next newcomer into [`Output::FanOut`]s, one round of it; the rest stays for the next
    /// turn. Returns each
    /// publication with the number of connections that get it.
    pub(super) fn form(
        &mut self,
        pipes: &Pipes,
        conns: &Conns,
        shard: ShardId,
        effects: &mut Effects,
    ) -> Vec<(Arc<Publication>, u32)> {
        let mut delivered = Vec::new();
        let mut round = Round::default();
        while let Some(Arrived::Publication(interest, publication)) = self.queue.front() {
            // Looked up now: the last subscriber may have left since the publication arrived, and a new one come.
            let found = pipes.find(&publication.pipe, *interest);
            let is_new = found.is_some_and(|pipe| !round.pipes.contains(&pipe));
            if is_new && round.pipes.len() == PIPES_PER_ROUND
                || round.senders.len() == SENDERS_PER_ROUND
                || round.bytes >= BYTES_PER_ROUND
            {
                break;
            }
            let Some(Arrived::Publication(_, publication)) = self.queue.pop_front() else { break };
            let weight = weight(&publication);
            self.bytes -= weight;
            round.bytes += weight;
            let Some(pipe) = found else {
                delivered.push((publication, 0));
                continue;
            };
            let bit = round.pipes.iter().position(|touched| *touched == pipe).unwrap_or_else(|| {
                round.pipes.push(pipe);
                round.pipes.len() - 1
            });
            let sender = publication
                .origin
                .filter(|(origin, conn)| *origin == shard && conns.get(*conn).is_some())
                .map(|(_, conn)| conn.index);
            round.senders.extend(sender);
            round.arrivals.push(Arrival { bit, sender, publication });
        }
        round.form(pipes, conns, effects, &mut delivered);
        if self.queue.is_empty() {
            self.queue.shrink_to(ROOM_MIN);
        }
        delivered
    }
}

/// Room that stays when a busy moment is over, in publications.
const ROOM_MIN: usize = 1024;

/// What a publication counts: about its frame. An empty message is not free.
pub(super) fn weight(publication: &Publication) -> usize {
    const ENVELOPE: usize = 128;
    ENVELOPE + publication.message.len() + publication.event.as_str().len() + publication.pipe.name.as_str().len()
}

impl Round {
    fn form(
        mut self,
        pipes: &Pipes,
        conns: &Conns,
        effects: &mut Effects,
        delivered: &mut Vec<(Arc<Publication>, u32)>,
    ) {
        if self.arrivals.is_empty() {
            return;
        }
        self.senders.sort_unstable();
        self.senders.dedup();

        let mut sets: Vec<(u32, u64)> = Vec::new();
        let mut receivers = vec![0_u32; self.pipes.len()];
        for (bit, pipe) in self.pipes.iter().enumerate() {
            let members = pipes.members(*pipe);
            receivers[bit] = members.len() as u32;
            let mut singles = Vec::with_capacity(members.len());
            for member in members {
                let Some(entry) = conns.at(*member) else {
                    never!("a member is a connection");
                    continue;
                };
                if entry.is_single() && (self.senders.is_empty() || self.senders.binary_search(member).is_err()) {
                    singles.extend(conns.id(*member));
                } else {
                    sets.push((*member, 1 << bit));
                }
            }
            self.emit(effects, singles, |arrival| arrival.bit == bit);
        }

        sets.sort_unstable();
        sets.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1 |= later.1;
            }
            same
        });
        for arrival in &self.arrivals {
            let echo = arrival.sender.is_some_and(|sender| {
                sets.binary_search_by_key(&sender, |(member, _)| *member)
                    .is_ok_and(|at| sets[at].1 & (1 << arrival.bit) != 0)
            });
            delivered.push((arrival.publication.clone(), receivers[arrival.bit] - u32::from(echo)));
        }
        for (member, set) in &sets {
            if self.senders.binary_search(member).is_ok() {
                let conn = conns.id(*member).into_iter().collect();
                self.emit(effects, conn, |arrival| set & (1 << arrival.bit) != 0 && arrival.sender != Some(*member));
            }
        }
        sets.retain(|(member, _)| self.senders.binary_search(member).is_err());
        sets.sort_unstable_by_key(|(member, set)| (*set, *member));
        for group in sets.chunk_by(|left, right| left.1 == right.1) {
            let group_conns: Vec<ConnId> = group.iter().filter_map(|(member, _)| conns.id(*member)).collect();
            self.emit(effects, group_conns, |arrival| group[0].1 & (1 << arrival.bit) != 0);
        }
    }

    fn emit(&self, effects: &mut Effects, conns: Vec<ConnId>, wanted: impl Fn(&Arrival) -> bool) {
        let publications: Arc<[Arc<Publication>]> =
            self.arrivals.iter().filter(|arrival| wanted(arrival)).map(|arrival| arrival.publication.clone()).collect();
        if !conns.is_empty() && !publications.is_empty() {
            effects.put(Output::FanOut { publications, conns });
        }
    }
}
