//! The pipes that have subscribers on this shard, and who they are. A pipe without subscribers is freed at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;
use slab::Slab;

use crate::model::{DevId, PipeKey, PipeName, Position, Publication};
use crate::ring::{InterestId, OneInterest};

use super::super::HubConfig;
use super::conns::{Conns, Membership};
use super::fan_out::weight;

#[derive(Debug)]
struct LocalPipe {
    key: Arc<PipeKey>,
    interest: InterestId,
    /// Places of the subscribers; order means nothing, a leaver's slot is filled by the last one.
    members: Vec<u32>,
    /// Exists while there are newcomers.
    newcomers: Option<Box<Newcomers>>,
}

impl LocalPipe {
    fn subscribers(&self) -> u32 {
        self.members.len() as u32 + self.newcomers.as_ref().map_or(0, |newcomers| newcomers.count)
    }
}

/// Connections that are subscribers, but of whom the owner has not said yet from which position on; and what was published
/// meanwhile, which they must not get before that.
#[derive(Debug, Default)]
struct Newcomers {
    count: u32,
    held: VecDeque<Arc<Publication>>,
    bytes: usize,
    /// The newest that there was no room for.
    dropped: Position,
}

/// Publications held for the newcomers of one pipe, and their bytes; beyond, the oldest go.
const HELD_MAX: usize = 1_024;
const HELD_BYTES_MAX: usize = 256 * 1024;
/// Bytes held for all newcomers of a shard.
const HELD_BYTES_OF_ALL_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Pipes {
    slab: Slab<LocalPipe>,
    index: HashMap<Arc<PipeKey>, u32, RandomState>,
    /// Pipes at the same time.
    most: usize,
    last_interest: u32,
    /// Bytes of keys and member lists.
    heap_bytes: usize,
    /// Bytes of what is held for newcomers.
    held_bytes: usize,
}

/// Places that are looked at for one list of names, whoever's they are.
const NAMED_PLACES_MAX: usize = 4_096;

impl Pipes {
    /// Names of a tenant's pipes in the order of their places, from behind one on, and where to go on if there may be more.
    pub(super) fn names(&self, dev: DevId, after: Option<u32>, rows: u32) -> (Vec<PipeName>, Option<u32>) {
        let begin = after.map_or(0, |after| after as usize + 1);
        let end = self.slab.capacity().min(begin.saturating_add(NAMED_PLACES_MAX));
        let mut names = Vec::new();
        for place in begin..end {
            if names.len() >= rows as usize {
                return (names, (place as u32).checked_sub(1));
            }
            names.extend(self.slab.get(place).filter(|pipe| pipe.key.dev == dev).map(|pipe| pipe.key.name.clone()));
        }
        (names, (end < self.slab.capacity()).then(|| (end as u32).saturating_sub(1)))
    }

    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            slab: Slab::new(),
            index: HashMap::with_hasher(config.placement.hasher()),
            most: config.pipes_max,
            last_interest: 0,
            heap_bytes: 0,
            held_bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.slab.capacity() * size_of::<LocalPipe>()
            + self.index.capacity() * (size_of::<(Arc<PipeKey>, u32)>() + 1)
            + self.heap_bytes
            + self.held_bytes
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
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

    /// The pipes in these places, and how many subscribers each has here.
    pub(super) fn between(&self, from: usize, to: usize) -> impl Iterator<Item = (&Arc<PipeKey>, u32)> {
        let places = from..to.min(self.end());
        places.filter_map(|place| self.slab.get(place)).map(|pipe| (&pipe.key, pipe.subscribers()))
    }

    /// Behind the last place.
    pub(super) fn end(&self) -> usize {
        self.slab.capacity()
    }

    /// The pipe of this name, if it has subscribers here.
    pub(super) fn find_name(&self, key: &PipeKey) -> Option<u32> {
        self.index.get(key).copied()
    }

    /// As above, by name; nobody, if there is no such pipe here.
    pub(super) fn members_of(&self, key: &PipeKey) -> &[u32] {
        self.index.get(key).map(|pipe| self.members(*pipe)).unwrap_or_default()
    }

    /// Adds a connection that is not a member yet; its own list is the caller's. `None`: the pipe would be one more than
    /// the shard may hold.
    pub(super) fn join(&mut self, key: PipeKey, index: u32) -> Option<(Membership, OneInterest)> {
        let pipe = self.find_or_create(key)?;
        let membership = self.push(pipe, index);
        Some((membership, self.interest(pipe)))
    }

    fn push(&mut self, pipe: u32, index: u32) -> Membership {
        let local = &mut self.slab[pipe as usize];
        let slot = local.members.len() as u32;
        let before = local.members.capacity();
        local.members.push(index);
        self.heap_bytes += (local.members.capacity() - before) * size_of::<u32>();
        Membership { pipe, slot }
    }

    fn interest(&self, pipe: u32) -> OneInterest {
        let local = &self.slab[pipe as usize];
        (local.key.clone(), local.subscribers(), local.interest)
    }

    /// Counts a connection as a subscriber that is to be made a member later. `None` as with [`Pipes::join`].
    pub(super) fn expect(&mut self, key: PipeKey) -> Option<(u32, OneInterest)> {
        let pipe = self.find_or_create(key)?;
        self.slab[pipe as usize].newcomers.get_or_insert_default().count += 1;
        Some((pipe, self.interest(pipe)))
    }

    /// One that was expected will not come.
    pub(super) fn give_up(&mut self, pipe: u32) -> OneInterest {
        self.one_newcomer_less(pipe);
        let interest = self.interest(pipe);
        if interest.1 == 0 {
            self.free(pipe);
        }
        interest
    }

    /// One that was expected is a member now.
    pub(super) fn make_member(&mut self, pipe: u32, index: u32) -> Membership {
        self.one_newcomer_less(pipe);
        self.push(pipe, index)
    }

    fn one_newcomer_less(&mut self, pipe: u32) {
        let newcomers = &mut self.slab[pipe as usize].newcomers;
        let Some(some) = newcomers else { return never!("a pipe that somebody is expected in has newcomers") };
        some.count -= 1;
        if some.count == 0 {
            self.held_bytes -= some.bytes;
            *newcomers = None;
        }
    }

    /// Holds a publication of the pipe back for its newcomers, if there are any.
    pub(super) fn hold_for_newcomers(&mut self, pipe: u32, publication: &Arc<Publication>) {
        let Some(newcomers) = &mut self.slab[pipe as usize].newcomers else { return };
        let bytes = weight(publication);
        newcomers.held.push_back(publication.clone());
        newcomers.bytes += bytes;
        self.held_bytes += bytes;
        while newcomers.held.len() > HELD_MAX
            || newcomers.bytes > HELD_BYTES_MAX
            || self.held_bytes > HELD_BYTES_OF_ALL_MAX
        {
            // Without any of its own the pipe makes no room; those of other pipes stay.
            let Some(oldest) = newcomers.held.pop_front() else { break };
            let bytes = weight(&oldest);
            newcomers.bytes -= bytes;
            self.held_bytes -= bytes;
            newcomers.dropped = oldest.position;
        }
    }

    /// What is held behind a position, and from which position on that is all: the same one, or a later one if there was
    /// no room.
    pub(super) fn held_behind(&self, pipe: u32, position: Position) -> (Position, Vec<Arc<Publication>>) {
        let Some(newcomers) = &self.slab[pipe as usize].newcomers else { return (position, Vec::new()) };
        let held = newcomers.held.iter().filter(|publication| publication.position > position);
        (position.max(newcomers.dropped), held.cloned().collect())
    }

    fn find_or_create(&mut self, key: PipeKey) -> Option<u32> {
        match self.index.get(&key) {
            Some(pipe) => Some(*pipe),
            None if self.slab.len() >= self.most => None,
            None => Some(self.create(key)),
        }
    }

    /// Takes a member out; the connection's own list is the caller's.
    pub(super) fn leave(&mut self, membership: Membership, conns: &mut Conns) -> OneInterest {
        let Membership { pipe, slot } = membership;
        let local = &mut self.slab[pipe as usize];
        local.members.swap_remove(slot as usize);
        if let Some(moved) = local.members.get(slot as usize) {
            conns.moved(*moved, pipe, slot);
        }
        let left = local.members.len();
        let (key, id, subscribers) = (local.key.clone(), local.interest, local.subscribers());
        if subscribers == 0 {
            self.free(pipe);
        } else if local.members.capacity() > 64 && left * 4 < local.members.capacity() {
            // After a crowd has left, its memory goes too.
            let before = local.members.capacity();
            local.members.shrink_to(left * 2);
            self.heap_bytes -= (before - local.members.capacity()) * size_of::<u32>();
        }
        (key, subscribers, id)
    }

    fn create(&mut self, key: PipeKey) -> u32 {
        let key = Arc::new(key);
        self.heap_bytes += key_bytes(&key);
        self.last_interest = self.last_interest.wrapping_add(1);
        let interest = InterestId(self.last_interest);
        let pipe =
            self.slab.insert(LocalPipe { key: key.clone(), interest, members: Vec::new(), newcomers: None }) as u32;
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
