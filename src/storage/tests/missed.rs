//! What is found behind a position that a client has: all of it, or that something is missing.

use encke::storage::Missed;

use super::*;

/// As [`numbered`], but one in a second, from `LATER` on.
pub(crate) fn late(number: u64) -> StoredMessage {
    let position = late_position(number);
    let message = format!("message {number}").into();
    StoredMessage { id: MessageId::new(position, number << 32), time: position.time().0, message, ..numbered(0) }
}

pub(crate) fn late_position(number: u64) -> Position {
    Position::default().next((LATER as u64 + number) * 1_000_000)
}

pub(crate) fn put_late(pipe: &PipeKey, numbers: std::ops::RangeInclusive<u64>) -> Vec<Write> {
    numbers.map(|number| Write::PutHistory { pipe: pipe.clone(), message: late(number), trim: true }).collect()
}

pub(crate) fn set_late(pipe: &PipeKey, length: u32, begun: u64) -> Write {
    Write::PutSetting { pipe: pipe.clone(), length, begun: late_position(begun) }
}

/// The numbers that were missed; `None` for a gap.
pub(crate) fn missed(store: &mut dyn Store, pipe: &PipeKey, after: Position) -> Option<Vec<u64>> {
    missed_in(store, pipe, after, ALL)
}

pub(crate) fn missed_in(store: &mut dyn Store, pipe: &PipeKey, after: Position, page: Page) -> Option<Vec<u64>> {
    let until = Position::last_of(UnixTime(LATER + 1_000_000));
    missed_up_to(store, &Since { pipe: pipe.clone(), after: Some(after), until, newest: 0 }, page)
}

pub(crate) fn missed_up_to(store: &mut dyn Store, since: &Since, page: Page) -> Option<Vec<u64>> {
    let Outcome::Missed(mut missed) = read(store, Read::Missed { pipes: vec![since.clone()], page }) else { panic!() };
    let missed = missed.remove(0);
    assert!(missed.complete || missed.rows.is_empty());
    let number = |row: StoredMessage| row.message.strip_prefix("message ").and_then(|n| n.parse().ok()).unwrap();
    missed.complete.then(|| missed.rows.into_iter().map(number).collect())
}

pub(crate) fn what_was_missed_is_found_whole_or_not_at_all(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    assert_eq!(missed(&mut *store, &news, late_position(1)), None, "no history");
    write(&mut *store, set_late(&news, 4, 0));
    assert_eq!(missed(&mut *store, &news, late_position(0)), Some(vec![]));
    writes(&mut *store, put_late(&news, 1..=3));
    assert_eq!(missed(&mut *store, &news, late_position(0)), Some(vec![1, 2, 3]));
    assert_eq!(missed(&mut *store, &news, Position(late_position(0).0 - 1)), None, "from before its history");
    assert_eq!(missed(&mut *store, &news, late_position(2)), Some(vec![3]));
    assert_eq!(missed(&mut *store, &news, Position(late_position(2).0 - 1)), Some(vec![2, 3]));
    assert_eq!(missed(&mut *store, &news, late_position(9)), Some(vec![]));
    // What was published since is on its way to the client already.
    let since = Since { pipe: news.clone(), after: Some(late_position(0)), until: late_position(2), newest: 0 };
    assert_eq!(missed_up_to(&mut *store, &since, ALL), Some(vec![1, 2]));
    assert_eq!(missed_up_to(&mut *store, &since, Page { rows: 2, ..ALL }), Some(vec![1, 2]));
    // A page that is too small for all gives nothing.
    for (page, expected) in [
        (Page { rows: 3, ..ALL }, Some(vec![1, 2, 3])),
        (Page { rows: 2, ..ALL }, None),
        (Page { bytes: 20, ..ALL }, None),
    ] {
        assert_eq!(missed_in(&mut *store, &news, late_position(0), page), expected, "{page:?}");
    }
    writes(&mut *store, put_late(&news, 4..=6));
    assert_eq!(missed(&mut *store, &news, late_position(2)), None, "3 to 6 are there, but was there something else?");
    assert_eq!(missed(&mut *store, &news, late_position(3)), Some(vec![4, 5, 6]));
    // A database that was just made knows nothing of earlier times.
    assert_eq!(missed(&mut *store, &pipe("trust_a"), Position::last_of(UnixTime(1_500_000_000))), None);
    assert_eq!(missed(&mut *store, &pipe("trust_a"), late_position(0)), Some(vec![]));
}

pub(crate) fn a_history_that_lost_messages_says_so(open: Open<'_>) {
    let mut store = open(Retention::default());
    let (news, other) = (pipe("news"), pipe("other"));
    writes(&mut *store, vec![set_late(&news, 10, 0), set_late(&other, 10, 0)]);
    writes(&mut *store, put_late(&news, 1..=6));
    writes(&mut *store, put_late(&other, 11..=12));
    let ids = vec![late(3).id, late(11).id];
    let of_news = Write::DeleteFromHistory { dev: ONE, pipes: Some(vec![news.name.clone()]), ids: ids.clone() };
    assert_eq!(write(&mut *store, of_news), 1);
    assert_eq!(missed(&mut *store, &news, late_position(2)), None);
    assert_eq!(missed(&mut *store, &news, late_position(3)), Some(vec![4, 5, 6]));
    assert_eq!(missed(&mut *store, &other, late_position(0)), Some(vec![11, 12]));
    assert_eq!(write(&mut *store, Write::DeleteFromHistory { dev: ONE, pipes: None, ids }), 1);
    assert_eq!(missed(&mut *store, &other, late_position(0)), None);
    assert_eq!(missed(&mut *store, &other, late_position(11)), Some(vec![12]));
    write(&mut *store, Write::DeleteHistory { pipe: news.clone() });
    assert_eq!(missed(&mut *store, &news, late_position(5)), None);
    assert_eq!(missed(&mut *store, &news, late_position(6)), Some(vec![]));
    // A setting that comes back begins anew; so does a length that was 0.
    write(&mut *store, Write::DeleteSetting { pipe: news.clone(), begun: late_position(7) });
    write(&mut *store, set_late(&news, 10, 8));
    assert_eq!(missed(&mut *store, &news, late_position(7)), None);
    assert_eq!(missed(&mut *store, &news, late_position(8)), Some(vec![]));
    writes(&mut *store, vec![set_late(&news, 0, 9), set_late(&news, 10, 10)]);
    assert_eq!(missed(&mut *store, &news, late_position(9)), None);
    writes(&mut *store, put_late(&news, 13..=13));
    assert_eq!(missed(&mut *store, &news, late_position(10)), Some(vec![13]));
}

pub(crate) fn a_longer_length_does_not_hide_what_went(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    write(&mut *store, set_late(&news, 3, 0));
    // As long as it was never full, it may grow without harm.
    writes(&mut *store, put_late(&news, 1..=2));
    write(&mut *store, set_late(&news, 4, 50));
    assert_eq!(missed(&mut *store, &news, late_position(0)), Some(vec![1, 2]));
    writes(&mut *store, put_late(&news, 3..=6));
    write(&mut *store, set_late(&news, 10, 50));
    assert_eq!(missed(&mut *store, &news, late_position(2)), None);
    assert_eq!(missed(&mut *store, &news, late_position(3)), Some(vec![4, 5, 6]));
    write(&mut *store, set_late(&news, 2, 50));
    assert_eq!(missed(&mut *store, &news, late_position(4)), None);
    write(&mut *store, set_late(&news, 10, 50));
    assert_eq!(missed(&mut *store, &news, late_position(4)), None);
    assert_eq!(missed(&mut *store, &news, late_position(5)), Some(vec![6]));
}

pub(crate) fn trusted_pipes_are_whole_as_far_as_the_retention_goes(open: Open<'_>) {
    let retention = Retention { trust_seconds: 100, trust_messages_max: 4, ..Retention::default() };
    let mut store = open(retention);
    let (news, other) = (pipe("trust_news"), pipe("trust_other"));
    writes(&mut *store, put_late(&news, 1..=3));
    assert_eq!(missed(&mut *store, &news, late_position(0)), Some(vec![1, 2, 3]));
    while store.expire(LATER + 103).unwrap().more {}
    // Message 3 is exactly as old as it may be.
    assert_eq!(missed(&mut *store, &news, late_position(1)), None);
    assert_eq!(missed(&mut *store, &news, late_position(2)), None);
    let last_gone = Position(late_position(3).0 - 1);
    assert_eq!(missed(&mut *store, &news, last_gone), Some(vec![3]));
    // A longer time does not bring back what went.
    drop(store);
    let mut store = open(Retention { trust_seconds: 10_000, ..retention });
    while store.expire(LATER + 104).unwrap().more {}
    assert_eq!(missed(&mut *store, &news, late_position(1)), None);
    assert_eq!(missed(&mut *store, &news, late_position(4)), Some(vec![]));
    // A setting that goes leaves a pipe behind that is kept all the same, but not what was in it.
    writes(&mut *store, put_late(&other, 5..=6));
    write(&mut *store, set_late(&other, 10, 7));
    assert_eq!(missed(&mut *store, &other, late_position(5)), Some(vec![6]));
    write(&mut *store, Write::DeleteSetting { pipe: other.clone(), begun: late_position(8) });
    assert_eq!(missed(&mut *store, &other, late_position(7)), None);
    assert_eq!(missed(&mut *store, &other, late_position(8)), Some(vec![]));
}

pub(crate) fn names_that_differ_in_case_are_different(open: Open<'_>) {
    let mut store = open(Retention::default());
    let pipes = ["news", "News", "trust_a", "trust_A"].map(pipe);
    writes(&mut *store, vec![setting(&pipes[0], 3), setting(&pipes[1], 1)]);
    for number in 0..12 {
        write(&mut *store, put_history(&pipes[number as usize % 4], number, true));
    }
    let found = pipes.each_ref().map(|pipe| history(&mut *store, pipe));
    let expected: [&[u64]; 4] = [&[0, 4, 8], &[9], &[2, 6, 10], &[3, 7, 11]];
    assert_eq!(found, expected.map(|numbers| of_numbers(numbers.iter().copied())));
    for pipe in [&pipes[1], &pipes[3]] {
        write(&mut *store, Write::DeleteHistory { pipe: pipe.clone() });
    }
    write(&mut *store, Write::DeleteSetting { pipe: pipes[1].clone(), begun: Position::default() });
    let found = pipes.each_ref().map(|pipe| history(&mut *store, pipe).len());
    assert_eq!(found, [3, 0, 3, 0]);
}

/// However much of it is of one moment or one pipe.
pub(crate) fn what_is_too_old_goes_in_pieces(open: Open<'_>) {
    let retention = Retention { trust_seconds: 50, queue_messages_max: 5_000, ..Retention::default() };
    let mut store = open(retention);
    let now = numbered(0).time + 1_000_000;
    let pipes = ["trust_a", "trust_b"].map(pipe);
    let same_time = |number| StoredMessage { time: numbered(0).time, ..numbered(number) };
    for numbers in [0..600, 600..1300] {
        let pipe = &pipes[usize::from(numbers.start > 0)];
        let put = |number| Write::PutHistory { pipe: pipe.clone(), message: same_time(number), trim: false };
        writes(&mut *store, numbers.map(put).collect());
    }
    writes(&mut *store, (0..1100).map(|number| queued(1, number)).collect());
    let revoked = |dev: u32, number: u32| {
        let expires = if number.is_multiple_of(11) { None } else { Some(1) };
        Write::PutRevoked { dev: DevId(dev), token: format!("{number}").into(), expires }
    };
    let all = (1..=3).flat_map(|dev| (0..440).map(move |number| (dev, number)));
    writes(&mut *store, all.map(|(dev, number)| revoked(dev, number)).collect());
    let expired = expire(&mut *store, now);
    assert_eq!(expired, Expired { queued: 1100, history: 1300, tokens: 1200, more: false });
    for dev in 1..=3 {
        let outcome = read(&mut *store, Read::AllRevoked { dev: DevId(dev), after: None, page: ALL });
        assert!(matches!(&outcome, Outcome::Tokens { rows, .. } if rows.len() == 40), "{outcome:?}");
    }
    // And again from the beginning.
    writes(&mut *store, vec![revoked(2, 1), revoked(1, 2)]);
    assert_eq!(expire(&mut *store, now), Expired { tokens: 2, ..Expired::default() });
}

pub(crate) fn the_newest_are_told_in_any_case(open: Open<'_>) {
    let mut store = open(Retention { trust_seconds: 0, ..Retention::default() });
    let news = pipe("news");
    let until = late_position(5);
    let read_newest = |store: &mut dyn Store, after: Option<u64>, newest, page| {
        let since = Since { pipe: pipe("news"), after: after.map(late_position), until, newest };
        // Among others, because many pipes are read in another way.
        let none = Since { pipe: pipe("none"), ..since.clone() };
        let Outcome::Missed(missed) = read(store, Read::Missed { pipes: vec![none, since], page }) else { panic!() };
        assert_eq!(missed[0], Missed::default());
        let number = |row: &StoredMessage| row.message.strip_prefix("message ").and_then(|n| n.parse().ok()).unwrap();
        (missed[1].rows.iter().map(number).collect::<Vec<u64>>(), missed[1].complete)
    };
    assert_eq!(read_newest(&mut *store, None, 3, ALL), (vec![], false), "no history");
    write(&mut *store, set_late(&news, 4, 0));
    assert_eq!(read_newest(&mut *store, None, 3, ALL), (vec![], false));
    writes(&mut *store, put_late(&news, 1..=6));
    for (after, newest, expected) in [
        (None, 1, (vec![5], false)),
        (None, 2, (vec![4, 5], false)),
        (None, 100, (vec![3, 4, 5], false)),
        (Some(4), 0, (vec![5], true)),
        (Some(4), 1, (vec![5], true)),
        (Some(4), 2, (vec![4, 5], true)),
        (Some(5), 1, (vec![5], true)),
        (Some(0), 0, (vec![], false)),
        (Some(0), 2, (vec![4, 5], false)),
    ] {
        assert_eq!(read_newest(&mut *store, after, newest, ALL), expected, "{after:?} {newest}");
    }
    assert_eq!(read_newest(&mut *store, None, 3, Page { rows: 2, ..ALL }), (vec![4, 5], false));
    assert_eq!(read_newest(&mut *store, None, 3, Page { bytes: 1, ..ALL }), (vec![5], false), "the newest at least");
}
