//! What collections of the standard library take, as far as that follows from how much they hold.

/// A hash table: one byte more for each place, an eighth of the places free, and a power of two of them.
pub fn table<T>(capacity: usize) -> usize {
    let places = match capacity {
        0 => return 0,
        1..=3 => 4,
        4..=7 => 8,
        _ => (capacity * 8 / 7).next_power_of_two(),
    };
    places * (size_of::<T>() + 1) + GROUP
}

/// Control bytes at the end of a table.
const GROUP: usize = 16;

/// A tree: leaves have room for eleven entries and are two thirds full, about, or half where entries come in their order.
pub fn tree<T>(entries: usize) -> usize {
    entries * size_of::<T>() * 8 / 5 + entries * 4
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    /// Against what the allocator says.
    fn check(what: &str, told: usize, taken: usize) {
        let wrong = told.abs_diff(taken);
        assert!(wrong * 100 <= taken * 25 + 40_000, "{what}: {told} for {taken}");
    }

    #[test]
    fn the_sizes_are_about_right() {
        for count in [1, 3, 5, 8, 100, 1_000, 14_336, 14_337, 50_000] {
            let (map, taken) = shards::weighed(|| (0..count).map(|key| (key, key)).collect::<HashMap<u64, u64>>());
            check("table", table::<(u64, u64)>(map.capacity()), taken);
            let (map, taken) = shards::weighed(|| {
                let mut map = BTreeMap::new();
                map.extend((0..count).map(|key| (key, key)));
                map
            });
            check("sorted tree", tree::<(u64, u64)>(map.len()), taken);
            let mixed = (0..count).map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (map, taken) = shards::weighed(|| {
                let mut map = BTreeMap::new();
                map.extend(mixed.map(|key| (key, key)));
                map
            });
            check("mixed tree", tree::<(u64, u64)>(map.len()), taken);
        }
        assert_eq!((table::<u64>(0), tree::<u64>(0)), (0, 0));
    }
}
