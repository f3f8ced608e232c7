use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;

use proptest::prelude::*;

use super::{CHUNK, Slab};
use crate::entry::{Entry, Ext, Flags};
use crate::host::Token;

fn socket() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

#[test]
fn an_entry_with_the_largest_state_holds_32_bytes() {
    assert_eq!(size_of::<Entry<u64, OwnedFd>>(), 32);
    assert_eq!(size_of::<Entry<(), OwnedFd>>(), 24);
}

#[test]
fn a_place_is_used_again_with_another_generation() {
    let mut slab: Slab<u32, OwnedFd> = Slab::new(10);
    assert_eq!(slab.get(Token::default()).map(|entry| entry.state), None);
    let first = slab.insert(socket()).unwrap();
    slab.get_mut(first).unwrap().state = 7;
    slab.get_mut(first).unwrap().ext = Some(Box::new(Ext::default()));
    slab.get_mut(first).unwrap().flags.set(Flags::PAUSED | Flags::SCHEDULED);
    assert_ne!(first, Token::default());
    let _ = slab.remove(first);
    let _ = slab.remove(first);
    assert_eq!(slab.len(), 0);
    assert!(slab.get(first).is_none() && slab.get_mut(first).is_none());
    let second = slab.insert(socket()).unwrap();
    assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
    let entry = slab.get(second).unwrap();
    assert_eq!(entry.state, 0);
    assert!(entry.ext.is_none() && !entry.flags.has(Flags::PAUSED));
    assert!(entry.flags.has(Flags::SCHEDULED), "the wheel's record belongs to the place");
    assert!(slab.get(first).is_none());
}

#[test]
fn it_is_full_at_its_maximum() {
    let mut slab: Slab<(), OwnedFd> = Slab::new(2);
    let first = slab.insert(socket()).unwrap();
    assert!(slab.insert(socket()).is_some() && slab.is_full());
    assert!(slab.insert(socket()).is_none());
    let _ = slab.remove(first);
    assert!(slab.insert(socket()).is_some());
}

#[test]
fn growing_costs_whole_chunks_of_32_bytes_per_entry() {
    let mut slab: Slab<u64, OwnedFd> = Slab::new(5000);
    assert_eq!(slab.bytes(), 0);
    for _ in 0..=CHUNK {
        slab.insert(socket()).unwrap();
    }
    assert!((2 * CHUNK * 32..2 * CHUNK * 32 + 256).contains(&slab.bytes()));
}

proptest! {
    #[test]
    fn no_token_names_a_second_connection(steps in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..300)) {
        let mut slab: Slab<u64, OwnedFd> = Slab::new(50);
        let mut live: Vec<(Token, u64)> = Vec::new();
        let mut ever = BTreeSet::new();
        let mut dead: Vec<Token> = Vec::new();
        for (number, (insert, which)) in (1..).zip(steps) {
            if insert {
                if let Some(token) = slab.insert(socket()) {
                    prop_assert!(ever.insert(token));
                    slab.get_mut(token).unwrap().state = number;
                    live.push((token, number));
                } else {
                    prop_assert_eq!(live.len(), 50);
                }
            } else if !live.is_empty() {
                let (token, _) = live.swap_remove(which.index(live.len()));
                let _ = slab.remove(token);
                dead.push(token);
            }
            prop_assert_eq!(slab.len() as usize, live.len());
            prop_assert!(live.iter().all(|(token, state)| slab.get(*token).is_some_and(|entry| entry.state == *state)));
            prop_assert!(dead.iter().all(|token| slab.get(*token).is_none()));
        }
        let listed: BTreeSet<Token> = slab.tokens().collect();
        prop_assert_eq!(listed, live.iter().map(|(token, _)| *token).collect::<BTreeSet<_>>());
    }
}
