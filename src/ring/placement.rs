//! Which shard owns what. One function of the key, the same on every shard of a process.

use std::net::IpAddr;

use ahash::RandomState;

use crate::model::{DevId, PipeKey, ShardId, UserId};

/// Seeded per process, so that nobody outside can aim names at one shard or one bucket. What the hasher gives must not be
/// shown to anybody, see [`super::GivenOut`].
#[derive(Clone, Debug)]
pub struct Placement {
    shards: u16,
    hasher: RandomState,
}

impl Placement {
    /// `shards`: connection shards, at least 1. The CometQL shard is number `shards`.
    /// The seeds are generated at random, each by itself.
    pub fn new(shards: u16, seeds: [u64; 4]) -> Self {
        let [a, b, c, d] = seeds;
        let hasher = RandomState::with_seeds(a, b, c, d);
        Self { shards: shards.max(1), hasher }
    }

    pub fn connection_shards(&self) -> u16 {
        self.shards
    }

    /// Whether this is a connection shard. A number that a client names may be no shard's at all.
    pub fn has_connections(&self, shard: ShardId) -> bool {
        shard.0 < self.shards
    }

    pub fn cometql_shard(&self) -> ShardId {
        ShardId(self.shards)
    }

    pub fn owner_of_pipe(&self, key: &PipeKey) -> ShardId {
        self.place(self.hasher.hash_one(key))
    }

    pub fn owner_of_user(&self, dev: DevId, user: UserId) -> ShardId {
        self.place(self.hasher.hash_one((dev, user)))
    }

    /// Who counts what an address does; `address` is what [`counted_address`](crate::model::counted_address) makes of it.
    pub fn owner_of_address(&self, address: IpAddr) -> ShardId {
        self.place(self.hasher.hash_one(address))
    }

    /// For maps whose keys come from outside.
    pub fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// The high bits choose the shard; the maps of a shard use the low ones.
    fn place(&self, hash: u64) -> ShardId {
        ShardId(((u128::from(hash) * u128::from(self.shards)) >> 64) as u16)
    }
}
