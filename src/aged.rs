//! A map whose entries stand in an order of time as well: what waits until a moment, or what is the oldest when there
//! is no room.
//!
//! [`Aged`] owns both sides, the map and the order, so that no caller can change one and forget the other. What an
//! entry means, how many there may be and what happens when there are too many are the caller's to decide.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use ahash::RandomState;

use crate::model::Time;

/// Where an entry stands: at its moment, and behind the entries of the same moment that came before it.
type Place<M> = (M, u64);

/// Entries by key, and in the order of their moments. Entries of the same moment keep the order in which they came, so
/// a caller that has no clock gives all of them the same moment and gets the order of arrival.
///
/// Moments are [`Time`]s, unless an order of another kind is wanted, like that of the seconds at which tokens expire.
///
/// Costs a hash lookup and a step in a tree for each change. Holds no memory while it is empty.
#[derive(Debug)]
pub struct Aged<K, V, M = Time> {
    entries: HashMap<K, (Place<M>, V), RandomState>,
    order: BTreeMap<Place<M>, K>,
    next: u64,
}

impl<K: Clone + Eq + Hash, V, M: Copy + Ord> Aged<K, V, M> {
    pub fn new(hasher: RandomState) -> Self {
        Self { entries: HashMap::with_hasher(hasher), order: BTreeMap::new(), next: 0 }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the two sides; what keys and values hold on the heap is the caller's to count.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() * (size_of::<(K, (Place<M>, V))>() + 1) + self.order.len() * size_of::<(Place<M>, K)>()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// The moment of an entry.
    pub fn moment(&self, key: &K) -> Option<M> {
        self.entries.get(key).map(|((moment, _), _)| *moment)
    }

    /// Puts an entry at a moment, behind all others of it. Returns the value that the key had before.
    pub fn insert(&mut self, key: K, moment: M, value: V) -> Option<V> {
        let place = self.place(moment);
        self.order.insert(place, key.clone());
        let (before, value) = self.entries.insert(key, (place, value))?;
        self.order.remove(&before);
        Some(value)
    }

    /// Moves an entry to another moment, behind all others of it. Returns whether there is such an entry.
    pub fn touch(&mut self, key: &K, moment: M) -> bool {
        let place = self.place(moment);
        let Some((key, (before, _))) = self.entries.get_key_value(key).map(|(key, entry)| (key.clone(), entry)) else {
            return false;
        };
        self.order.remove(before);
        self.order.insert(place, key.clone());
        if let Some((at, _)) = self.entries.get_mut(&key) {
            *at = place;
        }
        true
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (place, value) = self.entries.remove(key)?;
        self.order.remove(&place);
        self.give_back();
        Some(value)
    }

    /// The key that stands first: the oldest entry, or the one that is due next.
    pub fn first(&self) -> Option<&K> {
        self.order.first_key_value().map(|(_, key)| key)
    }

    /// The moment of the first entry.
    pub fn next_moment(&self) -> Option<M> {
        self.order.first_key_value().map(|((moment, _), _)| *moment)
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let (_, key) = self.order.pop_first()?;
        let (_, value) = self.entries.remove(&key)?;
        self.give_back();
        Some((key, value))
    }

    /// Takes the first entry out if its moment has come.
    pub fn pop_due(&mut self, now: M) -> Option<(K, V)> {
        self.next_moment().filter(|moment| *moment <= now)?;
        self.pop_first()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    fn place(&mut self, moment: M) -> Place<M> {
        self.next += 1;
        (moment, self.next)
    }

    /// A crowd that has gone takes its memory with it.
    fn give_back(&mut self) {
        let (length, capacity) = (self.entries.len(), self.entries.capacity());
        if length == 0 || capacity > SMALL && length * 8 < capacity {
            self.entries.shrink_to(length * 2);
        }
    }
}

/// A map of this capacity is not worth making smaller, unless nothing is in it.
const SMALL: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, u64),
        Touch(u8, u64),
        Remove(u8),
        PopFirst,
        PopDue(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..12_u8, 0..8_u64).prop_map(|(key, moment)| Step::Insert(key, moment)),
            (0..12_u8, 0..8_u64).prop_map(|(key, moment)| Step::Touch(key, moment)),
            (0..12_u8).prop_map(Step::Remove),
            Just(Step::PopFirst),
            (0..8_u64).prop_map(Step::PopDue),
        ];
        vec(step, 0..200)
    }

    /// A list in which the entries stand as they are to be popped.
    #[derive(Default)]
    struct Model(Vec<(u64, u8, usize)>);

    impl Model {
        fn put(&mut self, key: u8, moment: u64, value: usize) -> Option<usize> {
            let before = self.take(key);
            let place = self.0.partition_point(|(other, ..)| *other <= moment);
            self.0.insert(place, (moment, key, value));
            before
        }

        fn take(&mut self, key: u8) -> Option<usize> {
            let place = self.0.iter().position(|(_, other, _)| *other == key)?;
            Some(self.0.remove(place).2)
        }
    }

    proptest! {
        #[test]
        fn both_sides_say_what_a_sorted_list_says(steps in steps()) {
            let mut aged = Aged::new(RandomState::with_seed(1));
            let mut model = Model::default();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(key, moment) => {
                        prop_assert_eq!(aged.insert(key, Time(moment), number), model.put(key, moment, number));
                    }
                    Step::Touch(key, moment) => {
                        let value = model.0.iter().find(|(_, other, _)| *other == key).map(|(.., value)| *value);
                        prop_assert_eq!(aged.touch(&key, Time(moment)), value.is_some());
                        if let Some(value) = value {
                            model.put(key, moment, value);
                        }
                    }
                    Step::Remove(key) => prop_assert_eq!(aged.remove(&key), model.take(key)),
                    Step::PopFirst => {
                        let first = (!model.0.is_empty()).then(|| model.0.remove(0));
                        prop_assert_eq!(aged.pop_first(), first.map(|(_, key, value)| (key, value)));
                    }
                    Step::PopDue(now) => {
                        let is_due = model.0.first().is_some_and(|(moment, ..)| *moment <= now);
                        let first = is_due.then(|| model.0.remove(0));
                        prop_assert_eq!(aged.pop_due(Time(now)), first.map(|(_, key, value)| (key, value)));
                    }
                }
                prop_assert_eq!(aged.len(), model.0.len());
                prop_assert_eq!(aged.order.len(), model.0.len());
                prop_assert_eq!(aged.next_moment(), model.0.first().map(|(moment, ..)| Time(*moment)));
                prop_assert_eq!(aged.first().copied(), model.0.first().map(|(_, key, _)| *key));
            }
        }
    }

    #[test]
    fn a_crowd_that_has_gone_takes_its_memory_with_it() {
        let mut aged = Aged::new(RandomState::with_seed(1));
        (0..10_000_u32).for_each(|key| assert_eq!(aged.insert(key, Time(u64::from(key)), ()), None));
        let full = aged.bytes();
        (0..9_990).for_each(|key| assert_eq!(aged.remove(&key), Some(())));
        assert!(aged.bytes() < full / 100, "{} of {full}", aged.bytes());
        while aged.pop_first().is_some() {}
        assert_eq!(aged.bytes(), 0);
    }
}
