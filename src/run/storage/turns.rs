//! Whose turn it is: writes in their order and before all reads; then reads of everybody in turns, some of each kind.
//!
//! A read never overtakes a write that was given before it, so it sees what was acknowledged, and a recovery finds what was
//! published before. It may come behind later writes. Within one address or tenant, reads keep their order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;

use crate::model::DevId;
use crate::storage::Request;

use super::client::{Given, Whose};

/// Jobs that wait on the storage thread.
#[derive(Debug)]
pub(super) struct Turns {
    writes: VecDeque<(u64, Given)>,
    logins: ByTurns<IpAddr>,
    backends: ByTurns<DevId>,
    asked: ByTurns<IpAddr>,
    /// Jobs so far: the number of the next one.
    number: u64,
    /// What they hold.
    bytes: usize,
}

impl Turns {
    pub(super) fn new(logins_max: usize, asked_max: usize) -> Self {
        Self {
            writes: VecDeque::new(),
            logins: ByTurns::new(logins_max),
            // What backends may have under way is bounded by the whole.
            backends: ByTurns::new(usize::MAX),
            asked: ByTurns::new(asked_max),
            number: 0,
            bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len() + self.logins.len + self.backends.len + self.asked.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a job that has to be refused, to make room.
    #[must_use]
    pub(super) fn push(&mut self, given: Given) -> Option<Given> {
        self.number += 1;
        self.bytes += weight(&given);
        let entry = (self.number, given);
        let refused = match entry.1.whose {
            Whose::Write => {
                self.writes.push_back(entry);
                None
            }
            Whose::Login(address) => self.logins.push(address, entry),
            Whose::Backend(dev) => self.backends.push(dev, entry),
            Whose::Asked(address) => self.asked.push(address, entry),
        };
        self.bytes -= refused.as_ref().map_or(0, weight);
        refused
    }

    /// The next writes, in their order.
    pub(super) fn take_writes(&mut self, most: usize) -> Vec<Given> {
        let most = most.min(self.writes.len());
        let taken: Vec<Given> = self.writes.drain(..most).map(|(_, given)| given).collect();
        self.bytes -= taken.iter().map(weight).sum::<usize>();
        taken
    }

    /// Some reads of each kind, none of them given behind a write that waits still.
    pub(super) fn take_reads(&mut self) -> Vec<Given> {
        let before = self.writes.front().map_or(u64::MAX, |(number, _)| *number);
        let mut reads = Vec::new();
        self.logins.take(LOGINS_PER_ROUND, before, &mut reads);
        self.backends.take(BACKENDS_PER_ROUND, before, &mut reads);
        self.asked.take(ASKED_PER_ROUND, before, &mut reads);
        self.bytes -= reads.iter().map(weight).sum::<usize>();
        reads
    }
}

fn weight(given: &Given) -> usize {
    size_of::<Given>() + given.job.request.bytes()
}

/// Steps of reads of each kind in one round, and the last one: some milliseconds of work, for which writes wait. That is, for
/// example, 256 logins, 32 pages for backends of a quarter of a megabyte each at the most, and 256 browsers that come back to
/// a pipe.
const LOGINS_PER_ROUND: usize = 512;
const BACKENDS_PER_ROUND: usize = 512;
const ASKED_PER_ROUND: usize = 1024;

type Numbered = (u64, Given);

fn steps_of(given: &Given) -> usize {
    match &given.job.request {
        Request::Read { read, .. } => read.steps().max(1),
        Request::Write(_) => 1,
    }
}

/// A queue for each of many, who take turns.
#[derive(Debug)]
struct ByTurns<K> {
    queues: HashMap<K, VecDeque<Numbered>>,
    /// Who has something, in the order of their turns.
    order: VecDeque<K>,
    /// The same by how much they have.
    by_length: BTreeSet<(usize, K)>,
    len: usize,
    len_max: usize,
}

impl<K: Copy + Eq + Ord + Hash> ByTurns<K> {
    fn new(len_max: usize) -> Self {
        Self { queues: HashMap::new(), order: VecDeque::new(), by_length: BTreeSet::new(), len: 0, len_max }
    }

    /// Beyond the maximum the newest job goes of whoever has most.
    fn push(&mut self, key: K, entry: Numbered) -> Option<Given> {
        let queue = self.queues.entry(key).or_default();
        queue.push_back(entry);
        let length = queue.len();
        self.len += 1;
        self.by_length.remove(&(length - 1, key));
        self.by_length.insert((length, key));
        if length == 1 {
            self.order.push_back(key);
        }
        if self.len <= self.len_max {
            return None;
        }
        let (_, most) = *self.by_length.last()?;
        let (_, gone) = self.pop(most, VecDeque::pop_back)?;
        if !self.queues.contains_key(&most) {
            self.order.retain(|key| *key != most);
        }
        Some(gone)
    }

    /// Everybody's first job in turns, those that were given before one of this number.
    fn take(&mut self, mut steps: usize, before: u64, taken: &mut Vec<Given>) {
        let mut passed_over = 0;
        while steps > 0 && passed_over < self.order.len() {
            let Some(key) = self.order.pop_front() else { break };
            let is_early = |queue: &VecDeque<Numbered>| queue.front().is_some_and(|(number, _)| *number < before);
            if self.queues.get(&key).is_some_and(is_early) {
                let given = self.pop(key, VecDeque::pop_front).map(|(_, given)| given);
                steps = steps.saturating_sub(given.as_ref().map_or(0, steps_of));
                taken.extend(given);
                passed_over = 0;
            } else {
                passed_over += 1;
            }
            if self.queues.contains_key(&key) {
                self.order.push_back(key);
            }
        }
    }

    fn pop(&mut self, key: K, from: impl Fn(&mut VecDeque<Numbered>) -> Option<Numbered>) -> Option<Numbered> {
        let queue = self.queues.get_mut(&key)?;
        let length = queue.len();
        let entry = from(queue)?;
        self.len -= 1;
        self.by_length.remove(&(length, key));
        if length > 1 {
            self.by_length.insert((length - 1, key));
        } else {
            self.queues.remove(&key);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::{ShardId, UserId};
    use crate::storage::{Job, Page, Read, Ticket, Write};

    const A: Whose = Whose::Asked(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));
    const B: Whose = Whose::Asked(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2)));
    const LOGIN: Whose = Whose::Login(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));

    fn given(whose: Whose, ticket: u64) -> Given {
        let (dev, user) = (DevId(0), UserId::default());
        let request = match whose {
            Whose::Write => Request::Write(vec![Write::DeleteHash { dev, user }]),
            Whose::Backend(dev) => {
                let page = Page { rows: 1, bytes: 1 };
                Request::Read { read: Read::Queue { dev, user, after: None, page }, bytes_max: 1 }
            }
            Whose::Login(_) => Request::Read { read: Read::Login { dev, user, token: None }, bytes_max: 1 },
            Whose::Asked(_) => {
                Request::Read { read: Read::UserData { dev, users: vec![user; ASKED_PER_ROUND / 8] }, bytes_max: 1 }
            }
        };
        Given { shard: ShardId(0), since: Instant::now(), whose, job: Job { ticket: Ticket(ticket), request } }
    }

    fn push(turns: &mut Turns, whose: Whose, tickets: std::ops::Range<u64>) {
        for ticket in tickets {
            assert!(turns.push(given(whose, ticket)).is_none());
        }
    }

    fn tickets(given: &[Given]) -> Vec<u64> {
        given.iter().map(|given| given.job.ticket.0).collect()
    }

    #[test]
    fn whoever_asks_much_does_not_keep_others_waiting() {
        let mut turns = Turns::new(1000, 1000);
        push(&mut turns, A, 0..500);
        push(&mut turns, B, 500..502);
        push(&mut turns, LOGIN, 600..601);
        push(&mut turns, Whose::Backend(DevId(3)), 700..800);
        push(&mut turns, Whose::Backend(DevId(4)), 800..801);
        let first = tickets(&turns.take_reads());
        assert_eq!(first[..3], [600, 700, 800]);
        let pages = BACKENDS_PER_ROUND / 16;
        assert_eq!(first[1 + pages..][..5], [0, 500, 1, 501, 2]);
        assert_eq!(first.len(), 1 + pages + 8, "a bound of work and not of jobs");
        let mut left = turns.len();
        while !turns.is_empty() {
            left -= turns.take_reads().len();
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn a_read_never_overtakes_a_write_that_was_before_it() {
        let mut turns = Turns::new(1000, 1000);
        push(&mut turns, A, 1..2);
        push(&mut turns, Whose::Write, 2..4);
        push(&mut turns, A, 4..5);
        push(&mut turns, LOGIN, 5..6);
        push(&mut turns, Whose::Write, 6..7);
        assert_eq!(tickets(&turns.take_writes(1)), [2]);
        assert_eq!(tickets(&turns.take_reads()), [1], "3 is to be written first");
        assert_eq!(tickets(&turns.take_reads()), [0; 0]);
        assert_eq!(tickets(&turns.take_writes(1)), [3]);
        assert_eq!(tickets(&turns.take_reads()), [5, 4]);
        assert!(turns.bytes() > 0);
        assert_eq!(tickets(&turns.take_writes(9)), [6]);
        assert!(turns.is_empty() && turns.bytes() == 0);
    }

    #[test]
    fn whoever_holds_most_makes_room() {
        let mut turns = Turns::new(1000, 10);
        push(&mut turns, A, 0..9);
        push(&mut turns, B, 10..11);
        assert_eq!(turns.push(given(B, 11)).map(|gone| gone.job.ticket.0), Some(8));
        assert_eq!(turns.push(given(A, 12)).map(|gone| gone.job.ticket.0), Some(12));
        assert_eq!(turns.len(), 10);
        let mut one = Turns::new(1000, 0);
        assert_eq!(one.push(given(A, 1)).map(|gone| gone.job.ticket.0), Some(1));
        assert!(one.is_empty() && one.take_reads().is_empty());
    }
}
