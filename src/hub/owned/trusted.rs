//! Which `trust_` pipes without a setting have a history. Any name that begins so might have one, so whoever asks for what was
//! missed of a thousand names that nobody ever published to would have storage look for each.
//!
//! A pipe is known by a hash of its key. Two with the same hash cost a reading of storage and nothing else; so does every pipe of a tenant
//! that has more of them than are remembered.

use std::collections::{HashMap, HashSet};

use ahash::RandomState;

use crate::model::{DevId, PipeKey, Position};
use crate::storage::Trusted;

#[derive(Debug)]
pub(super) struct TrustedPipes {
    known: HashSet<u64, RandomState>,
    /// How many of these each tenant has.
    tenants: HashMap<DevId, usize, RandomState>,
    /// Tenants of whom not all are known.
    more: HashSet<DevId, RandomState>,
    begun: Position,
    hasher: RandomState,
    most: usize,
}

impl TrustedPipes {
    /// Of what there was at the start, the pipes of this owner. With more than `most` pipes, or a quarter of them of one
    /// tenant, further ones are not remembered.
    pub(super) fn new(trusted: Trusted, most: usize, hasher: RandomState) -> Self {
        let Trusted { pipes, more, begun } = trusted;
        let mut known = Self {
            known: HashSet::with_hasher(hasher.clone()),
            tenants: HashMap::with_hasher(hasher.clone()),
            more: HashSet::with_hasher(hasher.clone()),
            begun,
            hasher,
            most,
        };
        known.more.extend(more);
        for pipe in &pipes {
            known.add(pipe);
        }
        known
    }

    /// The pipe has a history from now on, or has lost one.
    pub(super) fn add(&mut self, pipe: &PipeKey) {
        let hash = self.hasher.hash_one(pipe);
        if self.known.contains(&hash) || self.more.contains(&pipe.dev) {
            return;
        }
        let of_tenant = self.tenants.entry(pipe.dev).or_default();
        if self.known.len() >= self.most || *of_tenant >= self.most / 4 {
            self.more.insert(pipe.dev);
            return;
        }
        *of_tenant += 1;
        self.known.insert(hash);
    }

    /// Whether storage has to be asked about a pipe.
    pub(super) fn may_have(&self, pipe: &PipeKey) -> bool {
        self.more.contains(&pipe.dev) || self.known.contains(&self.hasher.hash_one(pipe))
    }

    /// Of a pipe without a history: whether none was there behind this position that is gone.
    pub(super) fn is_whole(&self, after: Position) -> bool {
        after >= self.begun
    }

    pub(super) fn bytes(&self) -> usize {
        self.known.capacity() * (size_of::<u64>() + 1)
            + self.tenants.capacity() * (size_of::<(DevId, usize)>() + 1)
            + self.more.capacity() * (size_of::<DevId>() + 1)
    }
}

/// Pipes that an owner remembers.
pub(super) const TRUSTED_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PipeName;

    fn pipe(dev: u32, number: usize) -> PipeKey {
        PipeKey { dev: DevId(dev), name: PipeName::new(format!("trust_{number}").as_bytes()).unwrap() }
    }

    #[test]
    fn a_tenant_with_a_great_many_pipes_is_asked_about_and_no_other() {
        let listed = Trusted { pipes: vec![pipe(1, 7)], more: vec![DevId(9)], begun: Position(5) };
        let mut known = TrustedPipes::new(listed, 100, RandomState::with_seed(1));
        assert!(known.may_have(&pipe(1, 7)) && known.may_have(&pipe(9, 1)));
        assert!(!known.may_have(&pipe(1, 8)) && !known.may_have(&pipe(2, 7)));
        (0..1000).for_each(|number| known.add(&pipe(2, number)));
        assert!((0..2000).all(|number| known.may_have(&pipe(2, number))), "not all are known, so any may be there");
        assert!(!known.may_have(&pipe(1, 8)));
        assert!(known.known.len() <= 100);
        known.add(&pipe(1, 8));
        assert!(known.may_have(&pipe(1, 8)));
        assert!(known.is_whole(Position(5)) && !known.is_whole(Position(4)));
    }
}
