//! What an address or a user may do at most: how many connections, how often. The owner of each counts it for all
//! shards, so a limit is what it says however connections are spread.
//!
//! A pace is a bucket of tokens that is as large as a second fills it. It is kept as the one time at which the bucket will
//! be full again, so whoever keeps still is forgotten at no cost.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{Network, Now, Publication, ShardId, Time, counted_address};
use crate::ring::{Publisher, RingMessage, Submit};

use super::super::effects::Effects;
use super::pipes::shrink;

/// What is configured; each 0: no limit.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Connections that an address has at the same time.
    pub connections_per_address_max: u32,
    /// Connections that an address begins in a second.
    pub connects_per_address_per_s: u32,
    /// Messages that a user publishes in a second; whoever is anonymous is as many users as there are addresses.
    pub publications_per_user_per_s: u32,
    /// Wrong keys of users from one address after which users whose keys were wrong have to wait.
    pub key_attempts_max: u32,
    /// Addresses that are not limited: the proxies themselves.
    pub exempt: Arc<[Network]>,
    /// The number of this counting of connections by address, 0 while there is none. When counting begins, or other addresses
    /// are exempt, there is a later one, which begins with nothing: every shard reports its connections. Shards hear of
    /// that at different times, and a message of an earlier counting means nothing in a later one.
    pub counting: u16,
    /// The last one that there was, so that an owner which did not hear of it does not begin it after its end.
    pub last_counting: u16,
}

impl Limits {
    /// Whether anybody has to be asked before a connection begins.
    pub fn counts_connections(&self) -> bool {
        self.connections_per_address_max > 0 || self.connects_per_address_per_s > 0
    }

    /// As what an address is counted, if it is.
    pub(in crate::hub) fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        (!self.exempt.iter().any(|network| network.contains(address))).then(|| counted_address(address))
    }
}

/// What this shard counts for the addresses and users that it owns.
#[derive(Debug)]
pub(super) struct Counts {
    connections_max: u32,
    /// As [`Limits::counting`]; the last one, once it is over.
    counting: u16,
    is_over: bool,
    /// Connections by address.
    connections: HashMap<IpAddr, u32, RandomState>,
    connects: Pace<IpAddr>,
    publications: Pace<Publisher>,
}

impl Counts {
    pub(super) fn new(limits: &Limits, hasher: RandomState) -> Self {
        Self {
            connections_max: limits.connections_per_address_max,
            counting: limits.counting,
            is_over: limits.counting == 0,
            connections: HashMap::with_hasher(hasher.clone()),
            connects: Pace::new(limits.connects_per_address_per_s, hasher.clone()),
            publications: Pace::new(limits.publications_per_user_per_s, hasher),
        }
    }

    pub(super) fn reconfigure(&mut self, limits: &Limits) {
        self.connections_max = limits.connections_per_address_max;
        self.connects.set(limits.connects_per_address_per_s);
        self.publications.set(limits.publications_per_user_per_s);
        if limits.counting == 0 {
            let _ = self.counts_in(limits.last_counting);
            self.is_over = true;
            self.connections = HashMap::with_hasher(self.connections.hasher().clone());
        } else {
            let _ = self.counts_in(limits.counting);
        }
    }

    /// Whether a message of this counting means something now. With the first one of a later counting that begins.
    fn counts_in(&mut self, counting: u16) -> bool {
        let later = counting.wrapping_sub(self.counting).cast_signed();
        if counting > 0 && later > 0 {
            (self.counting, self.is_over) = (counting, false);
            self.connections = HashMap::with_hasher(self.connections.hasher().clone());
        }
        counting > 0 && later >= 0 && !self.is_over
    }

    /// So many connections of a shard were there before the counting began.
    pub(super) fn address_has(&mut self, address: IpAddr, connections: u32, counting: u16) {
        if self.counts_in(counting) {
            *self.connections.entry(address).or_default() += connections;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.connections.capacity() * size_of::<(IpAddr, u32)>() + self.connects.bytes() + self.publications.bytes()
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.connections.values().map(|connections| *connections as usize).sum()
    }

    /// Counts a connection more; otherwise says in how many seconds to ask again.
    pub(super) fn admit(&mut self, address: IpAddr, counting: u16, now: Time) -> Result<(), u16> {
        let counts = self.counts_in(counting);
        let is_full = self.connections.get(&address).is_some_and(|connections| *connections >= self.connections_max);
        if self.connections_max > 0 && is_full {
            return Err(FULL_WAIT_S);
        }
        self.connects.take(address, now).map_err(|wait| wait.div_ceil(SECOND).max(1) as u16)?;
        if counts {
            *self.connections.entry(address).or_default() += 1;
        }
        Ok(())
    }

    /// A connection that was admitted is no more.
    pub(super) fn address_left(&mut self, address: IpAddr, counting: u16) {
        if !self.counts_in(counting) {
            return;
        }
        let Some(connections) = self.connections.get_mut(&address) else {
            return never!("a connection that ends was counted when it was admitted");
        };
        *connections -= 1;
        if *connections == 0 {
            self.connections.remove(&address);
            shrink(&mut self.connections);
        }
    }

    /// A message of a publisher whom this shard owns. `None`: it came too fast, and the publisher is told.
    pub(super) fn submitted(
        &mut self,
        from: ShardId,
        submit: Submit,
        now: Now,
        effects: &mut Effects,
    ) -> Option<Box<Publication>> {
        let Submit { publisher, publication } = submit;
        let taken = self.publications.take(publisher, now.time);
        if let (Err(wait), Some((_, conn))) = (taken, publication.origin) {
            effects.send(from, RingMessage::NotPublished { conn, wait_ms: wait.div_ceil(1_000) as u32 });
            return None;
        }
        Some(publication)
    }

    /// One publication more of a publisher who is not asked.
    pub(super) fn count(&mut self, publisher: Publisher, now: Now) {
        let _ = self.publications.take(publisher, now.time);
    }
}

/// Connections come and go; an address that has all it may have is asked to try again after so many seconds.
const FULL_WAIT_S: u16 = 5;

/// In the unit of [`Time`].
const SECOND: u64 = 1_000_000;

/// Those who were active in the last second, at most; with more, those whose buckets are fullest are forgotten first.
const ACTIVE_MAX: usize = 65_536;

#[derive(Debug)]
struct Pace<K> {
    per_s: u32,
    /// By the time at which each bucket will be full again.
    buckets: Aged<K, ()>,
}

impl<K: Copy + Eq + Hash> Pace<K> {
    fn new(per_s: u32, hasher: RandomState) -> Self {
        Self { per_s, buckets: Aged::new(hasher) }
    }

    /// Whoever used up what the old pace gave has that behind: all buckets are full.
    fn set(&mut self, per_s: u32) {
        if self.per_s != per_s {
            self.per_s = per_s;
            while self.buckets.pop_first().is_some() {}
        }
    }

    fn bytes(&self) -> usize {
        self.buckets.bytes()
    }

    /// Takes one token, or says after how many microseconds there will be one.
    fn take(&mut self, key: K, now: Time) -> Result<(), u64> {
        if self.per_s == 0 {
            return Ok(());
        }
        self.forget(now);
        let each = SECOND / u64::from(self.per_s);
        let full_at = self.buckets.moment(&key).map_or(now, |full_at| full_at.max(now)) + each;
        // Rounding must not take one of the tokens of a second away.
        let size = each * u64::from(self.per_s);
        if full_at - now > size {
            return Err(full_at - now - size);
        }
        self.buckets.insert(key, full_at, ());
        Ok(())
    }

    fn forget(&mut self, now: Time) {
        while self.buckets.next_moment().is_some_and(|full_at| full_at <= now || self.buckets.len() > ACTIVE_MAX) {
            self.buckets.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_s: u32) -> Pace<u32> {
        Pace::new(per_s, RandomState::with_seed(1))
    }

    /// Tokens that can be had at a time.
    fn taken(pace: &mut Pace<u32>, key: u32, at: u64) -> usize {
        (0..100).take_while(|_| pace.take(key, Time(at)).is_ok()).count()
    }

    #[test]
    fn a_bucket_has_a_seconds_worth_and_fills_evenly() {
        for per_s in [1, 3, 7, 50] {
            let mut pace = pace(per_s);
            let each = SECOND / u64::from(per_s);
            assert_eq!(taken(&mut pace, 1, 5), per_s as usize);
            assert_eq!(pace.take(1, Time(5)), Err(each));
            assert_eq!(pace.take(1, Time(4 + each)), Err(1));
            assert_eq!(taken(&mut pace, 1, 5 + each), 1);
            assert_eq!(taken(&mut pace, 2, 5 + each), per_s as usize, "others have their own");
            assert_eq!(taken(&mut pace, 1, 10 * SECOND), per_s as usize, "no more than a second's worth");
        }
    }

    #[test]
    fn whoever_keeps_still_is_forgotten_and_without_a_limit_nothing_is_kept() {
        let mut none = pace(0);
        assert_eq!((taken(&mut none, 1, 0), none.bytes()), (100, 0));
        let mut one = pace(1);
        (0..ACTIVE_MAX as u32 + 500).for_each(|key| assert_eq!(one.take(key, Time(u64::from(key))), Ok(())));
        assert!(one.buckets.len() <= ACTIVE_MAX + 1);
        assert_eq!(one.take(0, Time(9_000_000)), Ok(()));
        assert_eq!(one.buckets.len(), 1);
        assert!(one.bytes() < 4_096, "{}", one.bytes());
    }

    #[test]
    fn connections_are_counted_until_they_are_gone() {
        let limits =
            Limits { connections_per_address_max: 3, connects_per_address_per_s: 5, counting: 1, ..Limits::default() };
        let mut counts = Counts::new(&limits, RandomState::with_seed(1));
        let [a, b] = [[1, 2, 3, 4], [1, 2, 3, 5]].map(IpAddr::from);
        for _ in 0..3 {
            assert_eq!(counts.admit(a, 1, Time(0)), Ok(()));
        }
        assert_eq!(counts.admit(a, 1, Time(0)), Err(FULL_WAIT_S));
        assert_eq!(counts.admit(b, 1, Time(0)), Ok(()));
        counts.address_left(a, 1);
        assert_eq!(counts.admit(a, 1, Time(0)), Ok(()));
        counts.address_left(a, 1);
        assert_eq!(counts.admit(a, 1, Time(0)), Ok(()));
        counts.address_left(a, 1);
        assert_eq!(counts.admit(a, 1, Time(0)), Err(1), "five in this second");
        (0..2).for_each(|_| counts.address_left(a, 1));
        counts.address_left(b, 1);
        assert!(counts.connections.is_empty());
    }

    /// Shards hear of a later counting at different times.
    #[test]
    fn what_belongs_to_an_earlier_counting_means_nothing() {
        let limits = |counting| Limits {
            connections_per_address_max: if counting == 0 { 0 } else { 3 },
            counting,
            ..Limits::default()
        };
        let a = IpAddr::from([1, 2, 3, 4]);
        let mut counts = Counts::new(&limits(0), RandomState::with_seed(1));
        assert_eq!(counts.admit(a, 0, Time(0)), Ok(()));
        assert_eq!(counts.connections(), 0);
        // Another shard knows of the new limit already.
        counts.address_has(a, 2, 1);
        assert_eq!(counts.admit(a, 0, Time(0)), Ok(()), "of a shard that does not");
        assert_eq!(counts.connections(), 2);
        counts.reconfigure(&limits(1));
        assert_eq!((counts.connections(), counts.admit(a, 1, Time(0))), (2, Ok(())));
        assert_eq!(counts.admit(a, 1, Time(0)), Err(FULL_WAIT_S));
        // The limit is gone, and one of the shards does not know it.
        counts.reconfigure(&limits(0));
        counts.address_left(a, 1);
        counts.address_has(a, 5, 1);
        assert_eq!(counts.connections(), 0);
        // There is one again, and the shard has slept all that time.
        counts.reconfigure(&limits(2));
        counts.address_left(a, 1);
        counts.address_has(a, 1, 2);
        counts.address_left(a, 2);
        assert_eq!(counts.connections(), 0);
        // The shard slept while there was a third, and what was said in that comes late.
        counts.reconfigure(&Limits { last_counting: 3, ..limits(0) });
        counts.address_has(a, 1, 3);
        assert_eq!(counts.connections(), 0);
        // Numbers are used again after very many reloads.
        counts.reconfigure(&limits(30_000));
        counts.reconfigure(&limits(60_000));
        counts.reconfigure(&limits(5));
        counts.address_has(a, 1, 60_000);
        assert_eq!(counts.connections(), 0);
        counts.address_has(a, 1, 5);
        assert_eq!(counts.connections(), 1);
    }
}
