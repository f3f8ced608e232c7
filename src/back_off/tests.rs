use super::*;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;

fn back_off(attempts_max: u32, addresses_max: usize) -> BackOff {
    BackOff::new(attempts_max, addresses_max, RandomState::with_seeds(1, 2, 3, 4))
}

/// Places that are taken must not be had by asking for more of them.
#[test]
fn a_full_table_says_so_while_one_of_it_may_be_waiting() {
    let mut back_off = back_off(2, 2);
    assert!(back_off.has_room(Time(0)));
    assert_eq!(back_off.failed_as(address(1), 2, Time(0)), Some(WAIT_MIN));
    assert_eq!(back_off.failed(address(2), Time(5)), None);
    assert_eq!((back_off.wrong(address(1)), back_off.wrong(address(2)), back_off.wrong(address(3))), (2, 1, 0));
    assert!(!back_off.has_room(Time(WAIT_MAX - 1)) && back_off.has_room(Time(WAIT_MAX)));
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

#[test]
fn waits_double_up_to_a_minute_and_a_right_password_ends_them() {
    let mut back_off = back_off(3, 10);
    let mut now = Time(5 * SECOND);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let wait = back_off.failed(address(1), now).unwrap_or_default();
        assert_eq!(back_off.wait(address(1), now).unwrap_or_default(), wait);
        assert_eq!(back_off.wait(address(2), now), None, "it concerns nobody else");
        if wait > 0 {
            assert_eq!(back_off.wait(address(1), now + (wait - 1)), Some(1));
        }
        assert_eq!(back_off.wait(address(1), now + wait), None);
        waits.push(wait / SECOND);
        now = now + wait;
    }
    assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
    back_off.succeeded(address(1));
    assert_eq!(back_off.failed(address(1), now), None);
    assert_eq!(back_off.wait(address(1), now), None);
}

#[test]
fn zero_attempts_is_off() {
    let mut back_off = back_off(0, 10);
    for _ in 0..100 {
        assert_eq!(back_off.failed(address(1), Time(1)), None);
    }
    assert_eq!((back_off.len(), back_off.bytes()), (0, 0));
}

#[test]
fn old_mistakes_are_forgotten() {
    let mut back_off = back_off(2, 10);
    assert_eq!(back_off.failed(address(1), Time(0)), None);
    assert_eq!(back_off.failed(address(2), Time(FORGOTTEN_AFTER - 1)), None);
    assert_eq!(back_off.len(), 2);
    assert_eq!(back_off.failed(address(1), Time(FORGOTTEN_AFTER)), None, "it begins anew");
    assert_eq!(back_off.failed(address(2), Time(FORGOTTEN_AFTER)), Some(WAIT_MIN));
}

#[test]
fn the_address_that_was_quiet_longest_makes_room() {
    let mut back_off = back_off(1, 3);
    for (second, number) in [1, 2, 3, 1, 4].into_iter().enumerate() {
        assert!(back_off.failed(address(number), Time(second as u64)).is_some());
    }
    let waits = |number| back_off.wait(address(number), Time(5)).is_some();
    assert_eq!([1, 2, 3, 4].map(waits), [true, false, true, true]);
    assert_eq!(back_off.len(), 3);
}

#[test]
fn what_is_one_address() {
    for (left, right, same) in [
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("2001:db8::1", "2001:db8::ffff:1", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("::1", "127.0.0.1", false),
    ] {
        let mut back_off = back_off(1, 10);
        assert!(back_off.failed(left.parse().unwrap(), Time(0)).is_some());
        assert_eq!(back_off.wait(right.parse().unwrap(), Time(0)).is_some(), same, "{left} {right}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wrong(u8),
    Right(u8),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_u8..6).prop_map(Step::Wrong),
        1 => (0_u8..6).prop_map(Step::Right),
        3 => (0_u64..70 * SECOND).prop_map(Step::Pass),
        1 => (0_u64..700 * SECOND).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Against a list that is kept the slow and obvious way.
    #[test]
    fn it_counts_as_a_list_would(steps in steps(), attempts_max in 0_u32..5, addresses_max in 1_usize..6) {
        let mut back_off = back_off(attempts_max, addresses_max);
        // Address, wrong passwords, time of the last; the latest at the end.
        let mut list: Vec<(u8, u32, u64)> = Vec::new();
        let mut now = 0;
        let delay = |wrong: u32| match wrong {
            _ if attempts_max == 0 || wrong < attempts_max => 0,
            _ => (0..wrong - attempts_max).fold(SECOND, |delay, _| (2 * delay).min(60 * SECOND)),
        };
        for step in steps {
            match step {
                Step::Pass(time) => now += time,
                Step::Right(number) => {
                    back_off.succeeded(address(number));
                    list.retain(|(known, ..)| *known != number);
                }
                Step::Wrong(number) => {
                    if back_off.wait(address(number), Time(now)).is_some() {
                        continue;
                    }
                    list.retain(|(_, _, last)| now - last < FORGOTTEN_AFTER);
                    let before = list.iter().find(|(known, ..)| *known == number).map_or(0, |(_, wrong, _)| *wrong);
                    list.retain(|(known, ..)| *known != number);
                    if list.len() == addresses_max {
                        list.remove(0);
                    }
                    list.push((number, before + 1, now));
                    let begun = back_off.failed(address(number), Time(now));
                    prop_assert_eq!(begun.unwrap_or_default(), delay(before + 1));
                }
            }
            prop_assert!(back_off.len() <= addresses_max);
            for number in 0..6 {
                let known = list.iter().find(|(known, ..)| *known == number);
                let expected = known.map_or(0, |(_, wrong, last)| (last + delay(*wrong)).saturating_sub(now));
                let wait = back_off.wait(address(number), Time(now));
                prop_assert_eq!(wait.unwrap_or_default(), expected);
                prop_assert!(wait != Some(0) && wait.unwrap_or_default() <= WAIT_MAX);
            }
        }
    }
}
