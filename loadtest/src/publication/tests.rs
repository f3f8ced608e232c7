use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn shape() -> PublicationShape {
    PublicationShape::new("bench_pipe", "tick", 20).unwrap()
}

#[test]
fn the_texts() {
    assert_eq!(
        shape().insert(7),
        "INSERT INTO pipes_messages (name, event, message) VALUES ('bench_pipe','tick','0000000007abcdefghij')"
    );
    let payload = String::from_utf8(shape().payload(7, 1_700_000_000)).unwrap();
    assert_eq!(
        payload,
        "{\"data\":\"0000000007abcdefghij\",\"event\":\"tick\",\"message_send_time\":1700000000,\"pipe\":\"bench_pipe\"}"
    );
    assert_eq!(shape().check(payload.as_bytes()), Some(7));
}

#[test]
fn sizes_and_names() {
    for size in [0, 9, MESSAGE_BYTES_MAX + 1] {
        assert!(PublicationShape::new("pipe", "e", size).is_err(), "{size}");
    }
    assert!(PublicationShape::new("pipe'", "e", 10).is_err());
    assert!(PublicationShape::new("pipe", "e\"", 10).is_err());
    assert_eq!(PublicationShape::new("pipe", "", 10).unwrap().message(3), "0000000003");
}

proptest! {
    #[test]
    fn a_publication_with_one_wrong_byte_is_foreign(sequence in any::<u32>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = shape().payload(sequence, 1_700_000_000);
        prop_assert_eq!(shape().check(&good), Some(sequence));
        let mut bad = good.clone();
        let at = at.index(bad.len());
        bad[at] = byte;
        let found = shape().check(&bad);
        // Another digit makes another number; any other change must be noticed.
        if good[at].is_ascii_digit() && byte.is_ascii_digit() {
            prop_assert!(found.is_some() || sequence > u32::MAX / 10);
        } else if bad != good {
            prop_assert_eq!(found, None);
        }
        prop_assert_eq!(shape().check(&good[..good.len() - 1]), None);
    }

    #[test]
    fn a_ledger_knows_what_a_set_knows(sequences in prop::collection::vec(0_u32..50, 0..80)) {
        let (mut ledger, mut set, mut highest) = (Ledger::new(0), HashSet::new(), None);
        for sequence in sequences {
            let expected = match (set.insert(sequence), highest) {
                (false, _) => Verdict::Repeated,
                (true, Some(before)) if sequence < before => Verdict::Late,
                (true, before) if sequence == before.map_or(0, |before| before + 1) => Verdict::InOrder,
                (true, _) => Verdict::AfterGap,
            };
            highest = highest.max(Some(sequence));
            prop_assert_eq!(ledger.note(sequence), expected);
        }
    }
}

#[test]
fn a_ledger_over_long_gaps() {
    let mut ledger = Ledger::new(5);
    assert_eq!(ledger.note(4), Verdict::Repeated, "before the run");
    assert_eq!(ledger.note(5), Verdict::InOrder);
    assert_eq!(ledger.note(5 + 64), Verdict::AfterGap);
    assert_eq!(ledger.note(6), Verdict::Late);
    assert_eq!(ledger.note(5), Verdict::Repeated, "too old to know, and seen");
    assert_eq!(ledger.note(u32::MAX), Verdict::AfterGap);
}

#[test]
fn a_tally_is_exact_or_not() {
    let good = Tally { delivered: 4, ..Tally::default() };
    assert!(good.is_exact(4));
    assert!(!good.is_exact(5));
    for bad in [
        Tally { repeated: 1, ..good.clone() },
        Tally { disordered: 1, ..good.clone() },
        Tally { foreign: 1, ..good.clone() },
        Tally { ended: 1, ..good.clone() },
    ] {
        assert!(!bad.is_exact(4), "{bad:?}");
    }
}
