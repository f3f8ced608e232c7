use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{SLOTS, Wheel};

#[test]
fn places_come_out_at_their_tick_and_not_before() {
    let mut wheel = Wheel::new();
    wheel.insert(1, 5);
    wheel.insert(2, 5);
    wheel.insert(3, 70);
    assert_eq!(wheel.ticks_to_next(), Some(5));
    assert_eq!(wheel.take_until(4), None);
    assert_eq!((wheel.now(), wheel.ticks_to_next()), (4, Some(1)));
    assert_eq!(wheel.take_until(100), Some((5, vec![1, 2])));
    assert_eq!(wheel.take_until(100), Some((70, vec![3])));
    assert_eq!(wheel.take_until(100), None);
    assert_eq!((wheel.now(), wheel.ticks_to_next()), (100, None));
}

#[test]
fn what_lies_too_far_ahead_comes_early_and_the_past_comes_next() {
    let mut wheel = Wheel::new();
    wheel.insert(1, 1_000_000);
    wheel.insert(2, 0);
    assert_eq!(wheel.take_until(1), Some((1, vec![2])));
    assert_eq!(wheel.ticks_to_next(), Some(SLOTS - 2));
    assert_eq!(wheel.take_until(SLOTS), Some((SLOTS - 1, vec![1])));
}

#[test]
fn an_empty_wheel_skips_and_a_filled_one_does_not() {
    let mut wheel = Wheel::new();
    wheel.skip_to(1_000_000);
    assert_eq!(wheel.now(), 1_000_000);
    wheel.insert(1, 3);
    wheel.skip_to(2_000_000);
    assert_eq!(wheel.now(), 1_000_000);
    assert_eq!(wheel.take_until(2_000_000), Some((1_000_003, vec![1])));
}

#[test]
fn memory_is_that_of_the_places() {
    let mut wheel = Wheel::new();
    let empty = wheel.bytes();
    for place in 0..1000 {
        wheel.insert(place, 10);
    }
    assert!(wheel.bytes() >= empty + 4000 && wheel.bytes() <= empty + 8192);
    while wheel.take_until(10).is_some() {}
    assert_eq!(wheel.bytes(), empty);
}

proptest! {
    #[test]
    fn it_agrees_with_a_sorted_map(steps in proptest::collection::vec((0_u64..1200, 0_u64..300, any::<bool>()), 1..200)) {
        let mut wheel = Wheel::new();
        let mut naive: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (place, (ahead, passed, insert)) in (0..).zip(steps) {
            if insert {
                let tick = wheel.now() + ahead.clamp(1, Wheel::AHEAD_MAX);
                naive.entry(tick).or_default().push(place);
                wheel.insert(place, ahead);
            }
            prop_assert_eq!(wheel.ticks_to_next(), naive.keys().next().map(|tick| tick - wheel.now()));
            if !insert {
                let until = wheel.now() + passed;
                while let Some((tick, places)) = wheel.take_until(until) {
                    prop_assert!(tick <= until);
                    prop_assert_eq!(naive.remove(&tick), Some(places));
                }
                prop_assert!(naive.keys().next().is_none_or(|tick| *tick > until));
                prop_assert_eq!(wheel.now(), until);
            }
        }
    }
}
