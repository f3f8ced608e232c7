//! Keys under which backends published lately: a publication with a key that its pipe has is the same one again, of a backend
//! that did not hear the answer, and is not published.
//!
//! Who repeats what is still on its way to storage hears what becomes of that, and nothing earlier.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{DevId, PipeKey, ShardId, UnixTime};
use crate::ring::StatementId;
use crate::storage::{KEYS_KEPT_S, StoredKey};

/// A pipe and a key in it.
pub(super) type Name = Arc<(PipeKey, Box<str>)>;

/// A statement, and the shard of its session.
pub(super) type Sender = (ShardId, StatementId);

#[derive(Debug)]
enum State {
    Holds,
    /// Storage has yet to say; these have published the same again.
    Waits(Vec<Sender>),
}

/// What a publication with a key is.
#[derive(Debug)]
pub(super) enum Look {
    /// To be published, and settled under this name.
    New(Name),
    /// Published, and it holds.
    Repeated,
    /// Published, and whether it holds is told later.
    Waits,
    /// There is no place for the key.
    Full,
}

/// Keys that an owner remembers, and those of one tenant among them.
pub(super) const KEYS_MAX: usize = 262_144;
const TENANT_KEYS_MAX: usize = KEYS_MAX / 2;

#[derive(Debug)]
pub(super) struct Keys {
    /// By the second in which they are forgotten.
    known: Aged<Name, State, i64>,
    of_tenants: HashMap<DevId, usize, RandomState>,
    text_bytes: usize,
}

impl Keys {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { known: Aged::new(hasher.clone()), of_tenants: HashMap::with_hasher(hasher), text_bytes: 0 }
    }

    /// What storage had at the start.
    pub(super) fn begin(&mut self, keys: Vec<StoredKey>) {
        for StoredKey { pipe, key, time } in keys {
            if self.has_room(pipe.dev) {
                self.insert(Arc::new((pipe, key)), time, State::Holds);
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.known.bytes() + self.text_bytes + self.of_tenants.capacity() * size_of::<(DevId, usize)>()
    }

    pub(super) fn look(&mut self, pipe: &PipeKey, key: Box<str>, sender: Sender, now: UnixTime) -> Look {
        self.forget_old(now);
        let name = Arc::new((pipe.clone(), key));
        match self.known.get_mut(&name) {
            Some(State::Holds) => return Look::Repeated,
            Some(State::Waits(senders)) => {
                senders.push(sender);
                return Look::Waits;
            }
            None => {}
        }
        if !self.has_room(pipe.dev) {
            return Look::Full;
        }
        self.insert(name.clone(), now.0, State::Waits(Vec::new()));
        Look::New(name)
    }

    /// The publication holds, or it does not and may be tried again. Returns who published the same meanwhile.
    pub(super) fn settle(&mut self, name: &Name, holds: bool) -> Vec<Sender> {
        let Some(state) = self.known.get_mut(name) else {
            never!("a key stays until its publication is settled");
            return Vec::new();
        };
        let senders = std::mem::replace(state, State::Holds);
        if !holds {
            self.known.remove(name);
            self.one_less(name);
        }
        if let State::Waits(senders) = senders { senders } else { Vec::new() }
    }

    fn has_room(&self, dev: DevId) -> bool {
        let of_tenant = self.of_tenants.get(&dev).copied().unwrap_or_default();
        self.known.len() < KEYS_MAX && of_tenant < TENANT_KEYS_MAX
    }

    fn insert(&mut self, name: Name, time: i64, state: State) {
        let dev = name.0.dev;
        let bytes = text_bytes(&name);
        if self.known.insert(name, time.saturating_add(KEYS_KEPT_S), state).is_none() {
            self.text_bytes += bytes;
            *self.of_tenants.entry(dev).or_default() += 1;
        }
    }

    fn forget_old(&mut self, now: UnixTime) {
        while let Some((name, state)) = self.known.pop_due(now.0) {
            if matches!(state, State::Waits(_)) {
                // Its answer is owed still.
                self.known.insert(name, now.0.saturating_add(KEYS_KEPT_S), state);
            } else {
                self.one_less(&name);
            }
        }
    }

    fn one_less(&mut self, name: &Name) {
        self.text_bytes -= text_bytes(name);
        let dev = name.0.dev;
        let Some(count) = self.of_tenants.get_mut(&dev) else {
            return never!("a tenant with a key is counted");
        };
        *count -= 1;
        if *count == 0 {
            self.of_tenants.remove(&dev);
        }
    }
}

fn text_bytes(name: &Name) -> usize {
    2 * size_of::<usize>() + size_of::<(PipeKey, Box<str>)>() + name.0.name.as_str().len() + name.1.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConnId, PipeName};

    fn pipe(dev: u32) -> PipeKey {
        PipeKey { dev: DevId(dev), name: PipeName::new(b"orders").unwrap() }
    }

    fn sender(number: u32) -> Sender {
        (ShardId(9), StatementId { session: ConnId::default(), number })
    }

    #[test]
    fn keys_are_remembered_for_five_minutes_and_leave_nothing() {
        let mut keys = Keys::new(RandomState::with_seed(1));
        let look = |keys: &mut Keys, key: &str, now| keys.look(&pipe(1), key.into(), sender(0), UnixTime(now));
        let Look::New(name) = look(&mut keys, "a", 1000) else { panic!("nobody had it") };
        assert!(keys.settle(&name, true).is_empty());
        assert!(matches!(look(&mut keys, "a", 1000 + KEYS_KEPT_S - 1), Look::Repeated));
        // One that waits is kept, however long storage takes.
        let Look::New(waits) = look(&mut keys, "b", 1000) else { panic!("nobody had it") };
        let Look::New(again) = look(&mut keys, "a", 1000 + KEYS_KEPT_S) else { panic!("it is old") };
        keys.settle(&again, true);
        assert!(matches!(look(&mut keys, "b", 1000 + 3 * KEYS_KEPT_S), Look::Waits));
        assert_eq!(keys.settle(&waits, false), [sender(0)]);
        assert_eq!((keys.known.len(), keys.text_bytes, keys.of_tenants.len()), (0, 0, 0));
    }

    #[test]
    fn one_tenant_does_not_take_all_places() {
        let mut keys = Keys::new(RandomState::with_seed(1));
        let stored = |dev, number: usize| StoredKey { pipe: pipe(dev), key: number.to_string().into(), time: 1000 };
        keys.begin((0..KEYS_MAX).map(|number| stored(1, number)).collect());
        assert_eq!(keys.known.len(), TENANT_KEYS_MAX);
        assert!(matches!(keys.look(&pipe(1), "more".into(), sender(0), UnixTime(1000)), Look::Full));
        assert!(matches!(keys.look(&pipe(1), "5".into(), sender(0), UnixTime(1000)), Look::Repeated));
        assert!(matches!(keys.look(&pipe(2), "more".into(), sender(0), UnixTime(1000)), Look::New(_)));
        let Look::New(name) = keys.look(&pipe(1), "x".into(), sender(0), UnixTime(1000 + KEYS_KEPT_S)) else {
            panic!()
        };
        keys.settle(&name, false);
        assert_eq!(keys.of_tenants.get(&DevId(1)), None, "all are old");
    }
}
