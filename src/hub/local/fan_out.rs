//! Forming fan-outs: all publications of a turn for one connection leave in one write, in the order in which they
//! arrived, encoded once for everybody who gets the same ones.
//!
//! A connection with one subscription gets exactly its pipe's publications. A connection with several gets what
//! arrived in any of its pipes: those connections are grouped by the set of touched pipes that they are in. A sender
//! gets everything but its own and stands alone. Connections of a browser that a publication is not for are grouped by that
//! as well.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{ConnId, Publication, ShardId};

use super::super::Output;
use super::super::effects::Effects;
use super::conns::Conns;
use super::details::{AllDetails, Sought};
use super::pipes::Pipes;
use super::subscriptions::Newcomer;
use crate::ring::InterestId;

/// Buffers of one round, those of senders excepted. Every set of its pipes may need one, and another for each browser that
/// a publication is not for; so pipes and such browsers are few.
const BUFFERS_PER_ROUND: usize = 256;
/// Browsers in one round that a publication is not for. Each member of a pipe is compared with each of them.
const SOUGHT_PER_ROUND: usize = 16;
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
    /// The browser that it is not for, among those that are sought; or [`NOBODY`].
    except: u8,
    publication: Arc<Publication>,
}

impl Arrival {
    /// Whether it is for members of these pipes that are of this browser.
    fn is_for(&self, set: u64, browser: u8) -> bool {
        set & (1 << self.bit) != 0 && (browser == NOBODY || self.except != browser)
    }
}

/// Who is none of the browsers that are sought.
const NOBODY: u8 = u8::MAX;

/// Who may get something.
#[derive(Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) pipes: &'a Pipes,
    pub(super) conns: &'a Conns,
    pub(super) details: &'a AllDetails,
    pub(super) shard: ShardId,
}

#[derive(Default)]
struct Round {
    pipes: Vec<u32>,
    arrivals: Vec<Arrival>,
    /// Sorted places of senders that are connections of this shard.
    senders: Vec<u32>,
    /// Browsers that some publication is not for.
    sought: Vec<Sought>,
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
    pub(super) fn form(&mut self, audience: Audience<'_>, effects: &mut Effects) -> Vec<(Arc<Publication>, u32)> {
        let mut delivered = Vec::new();
        let mut round = Round::default();
        while let Some(Arrived::Publication(interest, publication)) = self.queue.front() {
            // Looked up now: the last subscriber may have left since the publication arrived, and a new one come.
            let found = audience.pipes.find(&publication.pipe, *interest);
            if found.is_some_and(|pipe| !round.has_room_for(pipe, publication))
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
                .filter(|(origin, conn)| *origin == audience.shard && audience.conns.get(*conn).is_some())
                .map(|(_, conn)| conn.index);
            round.senders.extend(sender);
            let except = publication.except().map_or(NOBODY, |uuid| round.seek(uuid));
            round.arrivals.push(Arrival { bit, sender, except, publication });
        }
        round.form(audience, effects, &mut delivered);
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
    fn has_room_for(&self, pipe: u32, publication: &Publication) -> bool {
        let is_new = |uuid| !self.sought.iter().any(|sought| sought.is(uuid));
        let pipes = self.pipes.len() + usize::from(!self.pipes.contains(&pipe));
        let sought = self.sought.len() + usize::from(publication.except().is_some_and(is_new));
        sought <= SOUGHT_PER_ROUND && (1 << pipes) * (1 + sought) <= BUFFERS_PER_ROUND
    }

    /// The number of a browser that a publication is not for.
    fn seek(&mut self, uuid: &str) -> u8 {
        let known = self.sought.iter().position(|sought| sought.is(uuid));
        let number = known.unwrap_or_else(|| {
            self.sought.push(Sought::new(uuid));
            self.sought.len() - 1
        });
        number as u8
    }

    /// Which of the browsers that are sought this connection is of.
    fn browser(&self, member: u32, details: &AllDetails) -> u8 {
        let number = self.sought.iter().position(|sought| details.is_of(member, sought));
        number.map_or(NOBODY, |number| number as u8)
    }

    fn form(mut self, audience: Audience<'_>, effects: &mut Effects, delivered: &mut Vec<(Arc<Publication>, u32)>) {
        if self.arrivals.is_empty() {
            return;
        }
        let Audience { pipes, conns, details, .. } = audience;
        self.senders.sort_unstable();
        self.senders.dedup();

        let mut sets: Vec<(u32, u64)> = Vec::new();
        let mut receivers = vec![0_u32; self.pipes.len()];
        // By pipe, then by browser: members that are of it.
        let mut spared = vec![0_u32; self.pipes.len() * self.sought.len()];
        for (bit, pipe) in self.pipes.iter().enumerate() {
            let members = pipes.members(*pipe);
            receivers[bit] = members.len() as u32;
            let seeks = self.arrivals.iter().any(|arrival| arrival.bit == bit && arrival.except != NOBODY);
            let mut singles = Vec::with_capacity(members.len());
            for member in members {
                let Some(entry) = conns.at(*member) else {
                    never!("a member is a connection");
                    continue;
                };
                let browser = if seeks { self.browser(*member, details) } else { NOBODY };
                if browser != NOBODY {
                    spared[bit * self.sought.len() + usize::from(browser)] += 1;
                }
                let is_sender = !self.senders.is_empty() && self.senders.binary_search(member).is_ok();
                if entry.is_single() && browser == NOBODY && !is_sender {
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
            let spared = spared.get(arrival.bit * self.sought.len() + usize::from(arrival.except));
            let spared = spared.filter(|_| arrival.except != NOBODY).copied().unwrap_or_default();
            delivered.push((arrival.publication.clone(), receivers[arrival.bit] - u32::from(echo) - spared));
        }
        let mut groups: Vec<(u64, u8, u32)> = Vec::with_capacity(sets.len());
        for (member, set) in sets {
            let browser = self.browser(member, details);
            if self.senders.binary_search(&member).is_err() {
                groups.push((set, browser, member));
                continue;
            }
            let conn = conns.id(member).into_iter().collect();
            let is_own = |arrival: &Arrival| arrival.sender == Some(member);
            self.emit(effects, conn, |arrival| arrival.is_for(set, browser) && !is_own(arrival));
        }
        groups.sort_unstable();
        for group in groups.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
            let (set, browser, _) = group[0];
            let conns: Vec<ConnId> = group.iter().filter_map(|(.., member)| conns.id(*member)).collect();
            self.emit(effects, conns, |arrival| arrival.is_for(set, browser));
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
