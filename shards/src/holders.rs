//! Who holds how much of something that is bounded in all, so that whoever holds most can be made to give it back.
//!
//! Amounts are kept in classes, four to each power of two: a holder moves when its amount changes by a fifth or more, and
//! everything between costs nothing. Within a class whoever came first is first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Where a holder stands. Kept by the holder, and given back with the next change.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    class: u16,
    younger: Reverse<u64>,
}

/// The holders of something.
#[derive(Debug)]
pub struct Holders<K> {
    places: BTreeMap<Place, K>,
    came: u64,
}

impl<K> Default for Holders<K> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), came: 0 }
    }
}

impl<K: Copy> Holders<K> {
    /// Says that `key`, which had this place, holds so much now. Returns its new place; whoever holds nothing has none.
    #[must_use]
    pub fn put(&mut self, key: K, place: Option<Place>, amount: usize) -> Option<Place> {
        let class = class(amount);
        if place.map(|place| place.class) == class {
            return place;
        }
        if let Some(place) = place {
            self.places.remove(&place);
        }
        let younger = place.map_or_else(
            || {
                self.came += 1;
                Reverse(self.came)
            },
            |place| place.younger,
        );
        let place = class.map(|class| Place { class, younger })?;
        self.places.insert(place, key);
        Some(place)
    }

    /// Whoever holds most; among several whoever has held something longest.
    pub fn first(&self) -> Option<K> {
        self.places.last_key_value().map(|(_, key)| *key)
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all places, about.
    pub fn bytes(&self) -> usize {
        self.places.len() * (size_of::<Place>() + size_of::<K>()) * 3 / 2
    }
}

/// Grows with the amount. `None` for nothing.
fn class(amount: usize) -> Option<u16> {
    let power = amount.checked_ilog2()?;
    let quarter = if power < 2 { 0 } else { (amount >> (power - 2)) & 3 };
    Some((power * 4) as u16 + quarter as u16)
}

#[cfg(test)]
mod tests {
    use super::{Holders, class};

    #[test]
    fn classes_grow_with_the_amount() {
        assert_eq!(class(0), None);
        let classes: Vec<_> = (1..100_000).map(|amount| class(amount).unwrap()).collect();
        assert!(classes.is_sorted());
        for amount in [100_usize, 1_000, 65_536, usize::MAX / 2] {
            assert!(class(amount + amount / 4) > class(amount), "{amount}");
            assert!(class(amount + amount / 9).unwrap() <= class(amount).unwrap() + 1, "{amount}");
        }
        assert!(class(usize::MAX).is_some());
    }

    #[test]
    fn whoever_holds_most_is_first() {
        let mut holders = Holders::default();
        let small = holders.put('a', None, 100);
        let large = holders.put('b', None, 5_000);
        let other = holders.put('c', None, 5_001);
        assert_eq!((holders.first(), holders.len()), (Some('b'), 3), "the older of two that hold about as much");
        let other = holders.put('c', other, 9_000);
        assert_eq!(holders.first(), Some('c'));
        assert_eq!(holders.put('b', large, 5_002), large, "a small change is none");
        assert_eq!(holders.put('c', other, 0), None);
        assert_eq!(holders.put('b', large, 0), None);
        assert_eq!(holders.first(), Some('a'));
        assert_eq!(holders.put('a', small, 0), None);
        assert!(holders.is_empty() && holders.bytes() == 0);
    }
}
