//! Which of the owned pipes keep a history, how long it is, and from where on it has everything that was delivered.
//!
//! The histories themselves are in storage. What stands here is what an owner has to know before it asks there, and what
//! storage cannot say: which publications were delivered and are in no history.

use std::collections::HashMap;

use ahash::RandomState;

use crate::model::{DevId, PipeClass, PipeKey, Position, Publication, PublicationKind};
use crate::storage::{PipeSetting, Trusted};

use super::pipes::shrink;
use super::trusted::{TRUSTED_MAX, TrustedPipes};

/// Of a pipe whose length is set.
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

/// How a publication is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keep {
    pub(super) trim: bool,
}

/// What an owner knows of a history without asking storage.
pub(super) enum Past {
    /// Nothing was missed.
    Whole,
    Gap,
    Stored,
}

#[derive(Debug)]
pub(super) struct Histories {
    settings: HashMap<PipeKey, Setting, RandomState>,
    settings_max: usize,
    /// Pipes whose settings storage is changing: no more than storage has jobs for this shard.
    changing: HashMap<PipeKey, Changing, RandomState>,
    /// How many settings each tenant has.
    of_tenants: HashMap<DevId, usize, RandomState>,
    of_tenant_max: usize,
    /// The newest publication, of whichever pipe without a setting, that was delivered and that storage did not take into the
    /// history.
    unkept: Position,
    /// `None`: any `trust_` pipe may have a history.
    trusted: Option<TrustedPipes>,
    hasher: RandomState,
}

impl Histories {
    pub(super) fn new(settings_max: usize, of_tenant_max: usize, hasher: RandomState) -> Self {
        Self {
            settings: HashMap::with_hasher(hasher.clone()),
            settings_max,
            changing: HashMap::with_hasher(hasher.clone()),
            of_tenants: HashMap::with_hasher(hasher.clone()),
            of_tenant_max,
            unkept: Position::default(),
            trusted: None,
            hasher,
        }
    }

    /// What storage had at the start. `position`: before it goes on behind those that were given before the start, because
    /// nothing of what was published then passed without being kept.
    pub(super) fn begin(&mut self, settings: Vec<PipeSetting>, trusted: Option<Trusted>, position: Position) {
        for PipeSetting { pipe, length } in settings {
            self.set_length(pipe, Some(length), position);
        }
        self.trusted = trusted.map(|trusted| TrustedPipes::new(trusted, TRUSTED_MAX, self.hasher.clone()));
    }

    pub(super) fn bytes(&self) -> usize {
        self.settings.capacity() * (size_of::<(PipeKey, Setting)>() + 1)
            + self.settings.len() * NAME_BYTES
            + self.changing.capacity() * (size_of::<(PipeKey, Changing)>() + 1)
            + self.of_tenants.capacity() * (size_of::<(DevId, usize)>() + 1)
            + self.trusted.as_ref().map_or(0, TrustedPipes::bytes)
    }

    /// Whether the publication is to be put into a history, and how.
    pub(super) fn keep(&mut self, publication: &Publication) -> Option<Keep> {
        if publication.kind != PublicationKind::Message {
            return None;
        }
        let is_trusted = publication.pipe.name.class() == PipeClass::Trust;
        match self.settings.get_mut(&*publication.pipe) {
            Some(setting) if setting.length > 0 => {
                setting.untrimmed += 1;
                let trim = setting.untrimmed > setting.length / 4;
                if trim {
                    setting.untrimmed = 0;
                }
                Some(Keep { trim })
            }
            // Storage may have removed the setting already and keep the pipe's messages again. What it is not given is missing
            // then in a history that looks whole. What it is given and does not keep does no harm.
            Some(_) if is_trusted && self.changing.contains_key(&*publication.pipe) => Some(Keep { trim: false }),
            None if is_trusted => {
                if let Some(trusted) = &mut self.trusted {
                    trusted.add(&publication.pipe);
                }
                Some(Keep { trim: publication.position.0.is_multiple_of(TRUST_TRIM_EVERY) })
            }
            _ => None,
        }
    }

    /// A publication was delivered and is not in the history. One that does not fit into the database must not make all other
    /// histories doubtful.
    pub(super) fn not_kept(&mut self, key: &PipeKey, position: Position) {
        let since = self.settings.get_mut(key).map_or(&mut self.unkept, |setting| &mut setting.since);
        *since = position.max(*since);
        if let Some(changing) = self.changing.get_mut(key) {
            changing.unkept = position.max(changing.unkept);
        }
    }

    // What there is

    /// Whether the pipe has a history.
    pub(super) fn has(&self, key: &PipeKey) -> bool {
        self.settings.get(key).map_or(key.name.class() == PipeClass::Trust, |setting| setting.length > 0)
    }

    /// Whether its history may have something in it.
    pub(super) fn may_have_history(&self, pipe: &PipeKey) -> bool {
        let is_trusted = pipe.name.class() == PipeClass::Trust && !self.settings.contains_key(pipe);
        self.has(pipe) && (!is_trusted || self.trusted.as_ref().is_none_or(|trusted| trusted.may_have(pipe)))
    }

    /// Behind this position everything that was delivered of a pipe with history is stored or on its way there.
    pub(super) fn kept_since(&self, key: &PipeKey) -> Position {
        self.settings.get(key).map_or(self.unkept, |setting| setting.since.max(self.unkept))
    }

    /// What there is behind a position that a client has of a pipe.
    pub(super) fn past(&self, pipe: &PipeKey, after: Position) -> Past {
        if !self.has(pipe) || after < self.kept_since(pipe) {
            return Past::Gap;
        }
        match &self.trusted {
            Some(trusted) if !self.settings.contains_key(pipe) && !trusted.may_have(pipe) => {
                if trusted.is_whole(after) { Past::Whole } else { Past::Gap }
            }
            _ => Past::Stored,
        }
    }

    // Settings

    /// Whether a setting for this pipe has a place.
    pub(super) fn has_room_for(&self, pipe: &PipeKey) -> bool {
        let of_tenant = self.of_tenants.get(&pipe.dev).copied().unwrap_or_default();
        self.settings.len() < self.settings_max && of_tenant < self.of_tenant_max || self.settings.contains_key(pipe)
    }

    /// Storage is given another change of this pipe's setting.
    pub(super) fn change_begins(&mut self, pipe: &PipeKey) {
        self.changing.entry(pipe.clone()).or_default().count += 1;
    }

    /// Storage has made such a change, which was noted, or has not.
    pub(super) fn change_ended(&mut self, pipe: &PipeKey) {
        let Some(changing) = self.changing.get_mut(pipe) else {
            return never!("a change of a setting that ends has begun");
        };
        changing.count -= 1;
        if pipe.name.class() == PipeClass::Trust && !self.settings.contains_key(pipe) {
            self.unkept = changing.unkept.max(self.unkept);
        }
        if changing.count == 0 {
            self.changing.remove(pipe);
            shrink(&mut self.changing);
        }
    }

    /// So many are kept from now on; `None`: the pipe has no setting any more. `position`: the last one that was given.
    pub(super) fn set_length(&mut self, pipe: PipeKey, length: Option<u32>, position: Position) {
        // With its setting a pipe loses its history, and what is gone is not whole.
        if let (PipeClass::Trust, Some(trusted)) = (pipe.name.class(), &mut self.trusted) {
            trusted.add(&pipe);
        }
        let Some(length) = length else { return self.remove_setting(&pipe) };
        let before = self.settings.get(&pipe).filter(|before| before.length > 0);
        let since = before.map_or(position, |before| before.since);
        let dev = pipe.dev;
        if self.settings.insert(pipe, Setting { length, untrimmed: 0, since }).is_none() {
            *self.of_tenants.entry(dev).or_default() += 1;
        }
    }

    fn remove_setting(&mut self, pipe: &PipeKey) {
        // There was none: whoever removes a setting need not know.
        if self.settings.remove(pipe).is_none() {
            return;
        }
        shrink(&mut self.settings);
        let Some(count) = self.of_tenants.get_mut(&pipe.dev) else {
            return never!("a tenant with a setting is counted");
        };
        *count -= 1;
        if *count == 0 {
            self.of_tenants.remove(&pipe.dev);
        }
    }

    #[cfg(test)]
    pub(super) fn has_setting(&self, pipe: &PipeKey) -> bool {
        self.settings.contains_key(pipe)
    }
}

/// A `trust_` pipe's history is trimmed after about so many publications. Positions are as good as random.
const TRUST_TRIM_EVERY: u64 = 64;

/// What a pipe's name takes on the heap, about.
const NAME_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventName, PipeName};
    use std::sync::Arc;

    fn key(dev: u32, name: &str) -> PipeKey {
        PipeKey { dev: DevId(dev), name: PipeName::new(name.as_bytes()).unwrap() }
    }

    /// One tenant could take the places of all.
    #[test]
    fn one_tenant_does_not_take_all_places_for_settings() {
        let mut histories = Histories::new(4, 3, RandomState::with_seed(1));
        let set = |histories: &mut Histories, dev, name, length| {
            histories.set_length(key(dev, name), length, Position::default());
        };
        for name in ["aaa", "bbb", "ccc", "ccc"] {
            assert!(histories.has_room_for(&key(1, name)));
            set(&mut histories, 1, name, Some(1));
        }
        assert!(!histories.has_room_for(&key(1, "ddd")) && histories.has_room_for(&key(1, "aaa")));
        assert!(histories.has_room_for(&key(2, "ddd")));
        for _ in 0..2 {
            set(&mut histories, 1, "aaa", None);
        }
        assert!(histories.has_room_for(&key(1, "ddd")));
        set(&mut histories, 1, "ddd", Some(0));
        set(&mut histories, 2, "ddd", Some(1));
        assert!(!histories.has_room_for(&key(2, "eee")), "the bound of all holds as well");
    }
    /// Storage removes a setting before the owner of the pipe hears of it. From then on it reads the history as that of any
    /// `trust_` pipe: a publication that it was not given in between was missing in a history that looked whole.
    #[test]
    fn while_its_setting_goes_a_pipe_is_kept_as_without_one() {
        let mut histories = Histories::new(4, 3, RandomState::with_seed(1));
        let pipe = key(1, "trust_x");
        histories.set_length(pipe.clone(), Some(0), Position::default());
        let event = EventName::new(b"e").unwrap();
        let publication = Publication::new(Arc::new(pipe.clone()), event, "hello".into());
        assert!(histories.keep(&publication).is_none(), "its length is 0");
        histories.change_begins(&pipe);
        histories.change_begins(&pipe);
        assert!(histories.keep(&publication).is_some());
        // This one was lost on the way to storage.
        let lost = Position(9);
        histories.not_kept(&pipe, lost);
        histories.set_length(pipe.clone(), None, Position::default());
        histories.change_ended(&pipe);
        assert_eq!(histories.kept_since(&pipe), lost, "its history is not whole, with or without the setting");
        histories.set_length(pipe.clone(), Some(0), Position::default());
        histories.change_ended(&pipe);
        assert!(histories.keep(&publication).is_none(), "nothing is under way any more");
    }
}
