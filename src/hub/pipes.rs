//! The pipes that have subscribers on this shard, and who they are. A pipe without subscribers is freed at once.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use slab::Slab;

use crate::model::PipeKey;

use super::HubConfig;
use super::conns::{Conns, Membership};
use super::ring::InterestId;

#[derive(Debug)]
struct LocalPipe {
    key: Arc<PipeKey>,
    interest: InterestId,
    /// Places of the subscribers; order means nothing, a leaver's slot is filled by the last one.
    members: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Pipes {
    slab: Slab<LocalPipe>,
    index: HashMap<Arc<PipeKey>, u32, RandomState>,
    /// Pipes at the same time.
    most: usize,
    last_interest: u32,
    /// Bytes of keys and member lists.
    heap_bytes: usize,
}

/// What the owner of a pipe has to know after a change.
pub(super) struct Interest {
    pub(super) key: Arc<PipeKey>,
    pub(super) subscribers: u32,
    pub(super) id: InterestId,
}

impl Pipes {
    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            slab: Slab::new(),
            index: HashMap::with_hasher(config.placement.hasher()),
            most: config.pipes_max,
            last_interest: 0,
            heap_bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.slab.capacity() * size_of::<LocalPipe>()
            + self.index.capacity() * (size_of::<(Arc<PipeKey>, u32)>() + 1)
            + self.heap_bytes
    }

    /// The pipe, if it is still the same interest.
    pub(super) fn find(&self, key: &PipeKey, interest: InterestId) -> Option<u32> {
        self.index.get(key).copied().filter(|pipe| self.slab[*pipe as usize].interest == interest)
    }

    /// The key of a pipe that exists.
    pub(super) fn key(&self, pipe: u32) -> &PipeKey {
        &self.slab[pipe as usize].key
    }

    pub(super) fn members(&self, pipe: u32) -> &[u32] {
        self.slab.get(pipe as usize).map(|pipe| pipe.members.as_slice()).unwrap_or_default()
    }

    /// As above, by name; nobody, if there is no such pipe here.
    pub(super) fn members_of(&self, key: &PipeKey) -> &[u32] {
        self.index.get(key).map(|pipe| self.members(*pipe)).unwrap_or_default()
    }

    /// Adds a connection that is not a member yet; its own list is the caller's. `None`: the pipe would be one more than
    /// the shard may hold.
    pub(super) fn join(&mut self, key: PipeKey, index: u32) -> Option<(Membership, Interest)> {
        let pipe = match self.index.get(&key) {
            Some(pipe) => *pipe,
            None if self.slab.len() >= self.most => return None,
            None => self.create(key),
        };
        let local = &mut self.slab[pipe as usize];
        let slot = local.members.len() as u32;
        let before = local.members.capacity();
        local.members.push(index);
        self.heap_bytes += (local.members.capacity() - before) * size_of::<u32>();
        let interest = Interest { key: local.key.clone(), subscribers: slot + 1, id: local.interest };
        Some((Membership { pipe, slot }, interest))
    }

    /// Takes a member out; the connection's own list is the caller's.
    pub(super) fn leave(&mut self, membership: Membership, conns: &mut Conns) -> Interest {
        let Membership { pipe, slot } = membership;
        let local = &mut self.slab[pipe as usize];
        local.members.swap_remove(slot as usize);
        if let Some(moved) = local.members.get(slot as usize) {
            conns.moved(*moved, pipe, slot);
        }
        let (key, id, left) = (local.key.clone(), local.interest, local.members.len());
        if left == 0 {
            self.free(pipe);
        } else if local.members.capacity() > 64 && left * 4 < local.members.capacity() {
            // After a crowd has left, its memory goes too.
            let before = local.members.capacity();
            local.members.shrink_to(left * 2);
            self.heap_bytes -= (before - local.members.capacity()) * size_of::<u32>();
        }
        Interest { key, subscribers: left as u32, id }
    }

    fn create(&mut self, key: PipeKey) -> u32 {
        let key = Arc::new(key);
        self.heap_bytes += key_bytes(&key);
        self.last_interest = self.last_interest.wrapping_add(1);
        let interest = InterestId(self.last_interest);
        let pipe = self.slab.insert(LocalPipe { key: key.clone(), interest, members: Vec::new() }) as u32;
        self.index.insert(key, pipe);
        pipe
    }

    fn free(&mut self, pipe: u32) {
        let local = self.slab.remove(pipe as usize);
        self.heap_bytes -= key_bytes(&local.key) + local.members.capacity() * size_of::<u32>();
        self.index.remove(&local.key);
        if self.slab.is_empty() {
            self.slab.shrink_to_fit();
            self.index.shrink_to_fit();
        }
    }
}

fn key_bytes(key: &Arc<PipeKey>) -> usize {
    2 * size_of::<usize>() + size_of::<PipeKey>() + key.name.as_str().len()
}
