//! What this shard owns: for its share of the pipes the order and the subscriber counts, for its share of the users
//! the number of their connections. Both exist only while somebody is there.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{DevId, PipeKey, Publication, ShardId, UnixTime, UserId};

use super::HubConfig;
use super::ring::InterestId;

#[derive(Debug)]
struct OwnedPipe {
    /// By shard: subscribers and the interest they belong to.
    shards: Box<[(u32, InterestId)]>,
    /// Of the last publication; 0 before the first.
    position: u64,
}

#[derive(Debug)]
pub(super) struct Owned {
    shards: usize,
    pipes: HashMap<Arc<PipeKey>, OwnedPipe, RandomState>,
    users: HashMap<(DevId, UserId), u32, RandomState>,
}

impl Owned {
    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            shards: config.placement.connection_shards() as usize,
            pipes: HashMap::with_hasher(config.placement.hasher()),
            users: HashMap::with_hasher(config.placement.hasher()),
        }
    }

    pub(super) fn pipe_bytes(&self) -> usize {
        self.pipes.capacity() * (size_of::<(Arc<PipeKey>, OwnedPipe)>() + 1)
            + self.pipes.len() * self.shards * size_of::<(u32, InterestId)>()
    }

    pub(super) fn user_bytes(&self) -> usize {
        self.users.capacity() * (size_of::<((DevId, UserId), u32)>() + 1)
    }

    /// Gives the publication its time and its place in the pipe's order.
    pub(super) fn accept(&mut self, mut publication: Box<Publication>, time: UnixTime) -> Arc<Publication> {
        publication.time = time;
        if let Some(pipe) = self.pipes.get_mut(&publication.pipe) {
            pipe.position += 1;
            publication.position = pipe.position;
        }
        Arc::from(publication)
    }

    pub(super) fn interested_shards(&self, key: &PipeKey) -> impl Iterator<Item = (ShardId, InterestId)> {
        let shards = self.pipes.get(key).map(|pipe| &*pipe.shards).unwrap_or_default();
        shards
            .iter()
            .enumerate()
            .filter(|(_, (subscribers, _))| *subscribers > 0)
            .map(|(shard, (_, interest))| (ShardId(shard as u16), *interest))
    }

    pub(super) fn subscribers(&self, key: &PipeKey) -> u32 {
        self.pipes.get(key).map_or(0, |pipe| pipe.shards.iter().map(|(subscribers, _)| subscribers).sum())
    }

    /// A shard has so many subscribers now.
    pub(super) fn interest(&mut self, key: &Arc<PipeKey>, from: ShardId, subscribers: u32, interest: InterestId) {
        let pipe = self
            .pipes
            .entry(key.clone())
            .or_insert_with(|| OwnedPipe { shards: vec![(0, InterestId::default()); self.shards].into(), position: 0 });
        if let Some(shard) = pipe.shards.get_mut(from.0 as usize) {
            *shard = (subscribers, interest);
        }
        if pipe.shards.iter().all(|(subscribers, _)| *subscribers == 0) {
            self.pipes.remove(key);
            shrink(&mut self.pipes);
        }
    }

    pub(super) fn user_came(&mut self, dev: DevId, user: UserId) {
        *self.users.entry((dev, user)).or_default() += 1;
    }

    /// Whether that was the last connection of the user.
    pub(super) fn user_went(&mut self, dev: DevId, user: UserId) -> bool {
        let Some(connections) = self.users.get_mut(&(dev, user)) else { return false };
        *connections -= 1;
        let last = *connections == 0;
        if last {
            self.users.remove(&(dev, user));
            shrink(&mut self.users);
        }
        last
    }

    pub(super) fn is_online(&self, dev: DevId, user: UserId) -> bool {
        self.users.contains_key(&(dev, user))
    }
}

/// Gives memory back after a crowd has left; a table that is a quarter full keeps room to grow without moving.
fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V, RandomState>) {
    if map.capacity() > 1024 && map.len() * 8 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}
