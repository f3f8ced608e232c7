//! The pipes this shard owns: their order, their settings, and which shards have subscribers of them.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::model::{DevId, MessageId, Now, PipeClass, PipeKey, Position, Publication, PublicationKind, ShardId};
use crate::storage::{Beginning, PipeSetting};

use super::super::HubConfig;
use super::trusted::{TRUSTED_MAX, TrustedPipes};
use crate::ring::InterestId;

/// Exists while there are subscribers.
#[derive(Debug)]
struct OwnedPipe {
    /// By shard: subscribers and the interest they belong to.
    shards: Box<[(u32, InterestId)]>,
    /// Publications so far.
    number: u64,
}

/// Of a pipe that keeps history.
#[derive(Clone, Copy, Debug)]
struct Setting {
    length: u32,
    /// Publications since the history was trimmed.
    untrimmed: u32,
    /// Publications up to this position may have passed without being kept.
    since: Position,
}

/// Storage is ahead of what is known of a setting here until it has answered.
#[derive(Clone, Copy, Debug, Default)]
struct Changing {
    /// Changes under way.
    count: u32,
    /// The newest publication that storage did not take meanwhile. When the setting is gone, it says so no longer.
    unkept: Position,
}

#[derive(Debug)]
pub(in crate::hub) struct Owned {
    shards: usize,
    pipes: HashMap<Arc<PipeKey>, OwnedPipe, RandomState>,
    settings: HashMap<PipeKey, Setting, RandomState>,
    settings_max: usize,
    /// Pipes whose settings storage is changing: no more than storage has jobs for this shard.
    changing: HashMap<PipeKey, Changing, RandomState>,
    /// How many settings each tenant has.
    tenants_settings: HashMap<DevId, usize, RandomState>,
    tenant_settings_max: usize,
    /// The last one given, in whichever pipe or queue.
    position: Position,
    /// The newest publication, of whichever pipe without a setting, that was delivered and that storage did not take into the
    /// history.
    unkept: Position,
    /// `None`: any `trust_` pipe may have a history.
    pub(in crate::hub) trusted: Option<TrustedPipes>,
    hasher: RandomState,
    seed: u64,
    /// The pipe whose subscribers are asked for at any time, and how many they are.
    watched: Option<Arc<PipeKey>>,
    watchers: u32,
}

/// How a publication is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) struct Keep {
    pub(in crate::hub) trim: bool,
}

impl Owned {
    pub(in crate::hub) fn new(config: &HubConfig) -> Self {
        Self {
            shards: config.placement.connection_shards() as usize,
            pipes: HashMap::with_hasher(config.placement.hasher()),
            settings: HashMap::with_hasher(config.placement.hasher()),
            settings_max: config.settings_max,
            changing: HashMap::with_hasher(config.placement.hasher()),
            tenants_settings: HashMap::with_hasher(config.placement.hasher()),
            tenant_settings_max: config.tenant_settings_max,
            position: Position::default(),
            unkept: Position::default(),
            trusted: None,
            hasher: config.placement.hasher(),
            seed: config.given_out.ids_of(config.shard),
            watched: None,
            watchers: 0,
        }
    }

    /// What storage had at the start. Positions go on behind those that were given before, whatever the clock says.
    pub(in crate::hub) fn begin(&mut self, beginning: Beginning) {
        let Beginning { settings, behind, trusted, .. } = beginning;
        // Before the position is known: nothing of what was published before passed without being kept.
        for PipeSetting { pipe, length } in settings {
            self.set_length(pipe, Some(length));
        }
        self.position = self.position.max(behind);
        self.trusted = trusted.map(|trusted| TrustedPipes::new(trusted, TRUSTED_MAX, self.hasher.clone()));
    }

    pub(in crate::hub) fn watch(&mut self, pipe: Arc<PipeKey>) {
        self.watchers = self.subscribers(&pipe);
        self.watched = Some(pipe);
    }

    pub(in crate::hub) fn watchers(&self) -> u32 {
        self.watchers
    }

    pub(in crate::hub) fn bytes(&self) -> usize {
        self.pipes.capacity() * (size_of::<(Arc<PipeKey>, OwnedPipe)>() + 1)
            + self.pipes.len() * self.shards * size_of::<(u32, InterestId)>()
            + self.settings.capacity() * (size_of::<(PipeKey, Setting)>() + 1)
            + self.settings.len() * NAME_BYTES
            + self.changing.capacity() * (size_of::<(PipeKey, Changing)>() + 1)
            + self.tenants_settings.capacity() * (size_of::<(DevId, usize)>() + 1)
            + self.trusted.as_ref().map_or(0, TrustedPipes::bytes)
    }

    /// A place behind all that were given before.
    pub(in crate::hub) fn next_position(&mut self, now: Now) -> Position {
        self.position = self.position.next(now.unix_micros());
        self.position
    }

    pub(in crate::hub) fn message_id(&self, position: Position) -> MessageId {
        MessageId::new(position, self.seed)
    }

    /// Gives the publication its time and its place in the pipe's order, and says whether it has to be stored.
    pub(in crate::hub) fn accept(
        &mut self,
        mut publication: Box<Publication>,
        now: Now,
    ) -> (Arc<Publication>, Option<Keep>) {
        publication.position = self.next_position(now);
        // Positions never go back, but the clock may: then it says when this was, not they.
        publication.time = now.unix;
        if let Some(pipe) = self.pipes.get_mut(&publication.pipe) {
            pipe.number += 1;
            publication.number = pipe.number;
        }
        let keep = self.keep(&publication);
        publication.kept = keep.is_some();
        (Arc::from(publication), keep)
    }

    /// Whether the pipe has a history.
    pub(in crate::hub) fn keeps(&self, key: &PipeKey) -> bool {
        self.settings.get(key).map_or(key.name.class() == PipeClass::Trust, |setting| setting.length > 0)
    }

    /// Whether its setting says how long it is.
    pub(in crate::hub) fn has_own_length(&self, key: &PipeKey) -> bool {
        self.settings.contains_key(key)
    }

    /// A publication was delivered and is not in the history. One that does not fit into the database must not make all other
    /// histories doubtful.
    pub(in crate::hub) fn not_kept(&mut self, key: &PipeKey, position: Position) {
        let since = self.settings.get_mut(key).map_or(&mut self.unkept, |setting| &mut setting.since);
        *since = position.max(*since);
        if let Some(changing) = self.changing.get_mut(key) {
            changing.unkept = position.max(changing.unkept);
        }
    }

    /// Behind this position everything that was delivered of a pipe with history is stored or on its way there.
    pub(in crate::hub) fn kept_since(&self, key: &PipeKey) -> Position {
        self.settings.get(key).map_or(self.unkept, |setting| setting.since.max(self.unkept))
    }

    pub(in crate::hub) fn keep(&mut self, publication: &Publication) -> Option<Keep> {
        if publication.kind != PublicationKind::Message {
            return None;
        }
        match self.settings.get_mut(&*publication.pipe) {
            Some(setting) if setting.length > 0 => {
                setting.untrimmed += 1;
                let trim = setting.untrimmed > setting.length / 4;
                if trim {
                    setting.untrimmed = 0;
                }
                Some(Keep { trim })
            }
            None if publication.pipe.name.class() == PipeClass::Trust => {
                if let Some(trusted) = &mut self.trusted {
                    trusted.add(&publication.pipe);
                }
                Some(Keep { trim: publication.position.0.is_multiple_of(TRUST_TRIM_EVERY) })
            }
            // Storage may have removed the setting already and keep the pipe's messages again. What it is not given is missing
            // then in a history that looks whole. What it is given and does not keep does no harm.
            Some(_)
                if publication.pipe.name.class() == PipeClass::Trust
                    && self.changing.contains_key(&*publication.pipe) =>
            {
                Some(Keep { trim: false })
            }
            _ => None,
        }
    }

    /// Storage is given another change of this pipe's setting.
    pub(in crate::hub) fn change_begins(&mut self, pipe: &PipeKey) {
        self.changing.entry(pipe.clone()).or_default().count += 1;
    }

    /// Storage has made such a change, which was noted, or has not.
    pub(in crate::hub) fn change_ended(&mut self, pipe: &PipeKey) {
        let Some(changing) = self.changing.get_mut(pipe) else { return };
        changing.count -= 1;
        if pipe.name.class() == PipeClass::Trust && !self.settings.contains_key(pipe) {
            self.unkept = changing.unkept.max(self.unkept);
        }
        if changing.count == 0 {
            self.changing.remove(pipe);
            shrink(&mut self.changing);
        }
    }

    /// Whether a setting for this pipe has a place.
    pub(in crate::hub) fn has_room_for(&self, pipe: &PipeKey) -> bool {
        let of_tenant = self.tenants_settings.get(&pipe.dev).copied().unwrap_or_default();
        self.settings.len() < self.settings_max && of_tenant < self.tenant_settings_max
            || self.settings.contains_key(pipe)
    }

    #[cfg(test)]
    pub(in crate::hub) fn has_setting(&self, pipe: &PipeKey) -> bool {
        self.settings.contains_key(pipe)
    }

    pub(in crate::hub) fn set_length(&mut self, pipe: PipeKey, length: Option<u32>) {
        // With its setting a pipe loses its history, and what is gone is not whole.
        if let (PipeClass::Trust, Some(trusted)) = (pipe.name.class(), &mut self.trusted) {
            trusted.add(&pipe);
        }
        let Some(length) = length else {
            if self.settings.remove(&pipe).is_some()
                && let Some(count) = self.tenants_settings.get_mut(&pipe.dev)
            {
                *count -= 1;
                if *count == 0 {
                    self.tenants_settings.remove(&pipe.dev);
                }
            }
            return shrink(&mut self.settings);
        };
        let before = self.settings.get(&pipe).filter(|before| before.length > 0);
        let since = before.map_or(self.position, |before| before.since);
        let dev = pipe.dev;
        if self.settings.insert(pipe, Setting { length, untrimmed: 0, since }).is_none() {
            *self.tenants_settings.entry(dev).or_default() += 1;
        }
    }

    pub(in crate::hub) fn interested_shards(&self, key: &PipeKey) -> impl Iterator<Item = (ShardId, InterestId)> {
        let shards = self.pipes.get(key).map(|pipe| &*pipe.shards).unwrap_or_default();
        shards
            .iter()
            .enumerate()
            .filter(|(_, (subscribers, _))| *subscribers > 0)
            .map(|(shard, (_, interest))| (ShardId(shard as u16), *interest))
    }

    pub(in crate::hub) fn subscribers(&self, key: &PipeKey) -> u32 {
        self.pipes.get(key).map_or(0, |pipe| pipe.shards.iter().map(|(subscribers, _)| subscribers).sum())
    }

    /// A shard has so many subscribers now.
    pub(in crate::hub) fn interest(
        &mut self,
        key: &Arc<PipeKey>,
        from: ShardId,
        subscribers: u32,
        interest: InterestId,
    ) {
        let pipe = self
            .pipes
            .entry(key.clone())
            .or_insert_with(|| OwnedPipe { shards: vec![(0, InterestId::default()); self.shards].into(), number: 0 });
        if let Some(shard) = pipe.shards.get_mut(from.0 as usize) {
            *shard = (subscribers, interest);
        }
        if pipe.shards.iter().all(|(subscribers, _)| *subscribers == 0) {
            self.pipes.remove(key);
            shrink(&mut self.pipes);
        }
        if self.watched.as_ref() == Some(key) {
            self.watchers = self.subscribers(key);
        }
    }
}

/// A `trust_` pipe's history is trimmed after about so many publications. Positions are as good as random.
const TRUST_TRIM_EVERY: u64 = 64;

/// What a pipe's name takes on the heap, about.
const NAME_BYTES: usize = 24;

/// Gives memory back after a crowd has left; a table that is a quarter full keeps room to grow without moving.
pub(in crate::hub) fn shrink<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V, RandomState>) {
    if map.capacity() > 1024 && map.len() * 8 < map.capacity() {
        map.shrink_to(map.len() * 2);
    }
}
