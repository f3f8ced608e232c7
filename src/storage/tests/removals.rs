//! Removals in pieces.

use encke::storage::Removal;

use super::*;

fn begin(write: Write) -> Removal {
    Removal::of(&Request::Write(vec![write])).expect("something that is removed in pieces")
}

/// Carries a removal out to its end; returns the number of pieces and what was removed.
fn finish(store: &mut dyn Store, removal: Removal) -> (usize, Option<u64>) {
    let mut removals = [removal];
    let mut pieces = 0;
    while !removals[0].is_done() {
        store.remove(&mut removals).unwrap();
        pieces += 1;
        assert!(pieces < 100);
    }
    (pieces, removals[0].rows())
}

fn long(pipe: &PipeKey, number: u64) -> Write {
    let message = StoredMessage { message: "x".repeat(1024 * 1024).into(), ..late(number) };
    Write::PutHistory { pipe: pipe.clone(), message, trim: false }
}

pub(crate) fn what_comes_while_a_history_is_removed_stays(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("trust_news");
    writes(&mut *store, (1..=10).map(|number| long(&news, number)).collect());
    writes(&mut *store, (0..700).map(|number| queued(5, number)).collect());
    for (delete, put) in [
        (Write::DeleteHistory { pipe: news.clone() }, put_late(&news, 20..=21)),
        (Write::DeleteQueue { dev: ONE, user: user(5) }, vec![queued(5, 800), queued(5, 801)]),
    ] {
        let mut removals = [begin(delete)];
        store.remove(&mut removals).unwrap();
        assert!(!removals[0].is_done());
        writes(&mut *store, put);
        let [removal] = removals;
        finish(&mut *store, removal);
    }
    assert_eq!(history(&mut *store, &news), [late(20), late(21)]);
    assert_eq!(queue(&mut *store, 5), of_numbers([800, 801]));
}

/// A bound of work: some rows, some bytes, whichever comes first.
pub(crate) fn what_is_removed_goes_in_pieces(open: Open<'_>) {
    let retention = Retention { queue_messages_max: 5_000, ..Retention::default() };
    let mut store = open(retention);
    let news = pipe("trust_news");
    writes(&mut *store, (1..=10).map(|number| long(&news, number)).collect());
    writes(&mut *store, (0..1_300).map(|number| queued(5, number)).collect());
    let (pieces, rows) = finish(&mut *store, begin(Write::DeleteHistory { pipe: news }));
    assert!((3..=5).contains(&pieces) && rows == Some(10), "{pieces} {rows:?}");
    let (pieces, rows) = finish(&mut *store, begin(Write::DeleteQueue { dev: ONE, user: user(5) }));
    assert!((3..=4).contains(&pieces) && rows == Some(1_300), "{pieces} {rows:?}");
    // What is small shares a piece.
    let mut many: Vec<Removal> = (100..200).map(|id| begin(Write::DeleteQueue { dev: ONE, user: user(id) })).collect();
    store.remove(&mut many).unwrap();
    assert!(many.iter().all(Removal::is_done));
}

pub(crate) fn what_is_removed_is_counted(open: Open<'_>) {
    let mut store = open(Retention { queue_messages_max: 5, ..Retention::default() });
    writes(&mut *store, (0..5).map(|number| queued(5, number)).collect());
    let two = vec![Write::DeleteQueue { dev: ONE, user: user(5) }, Write::DeleteQueue { dev: ONE, user: user(6) }];
    let removal = Removal::of(&Request::Write(two)).unwrap();
    assert_eq!(finish(&mut *store, removal).1, Some(5));
    // The length of the queue is known still.
    writes(&mut *store, (10..17).map(|number| queued(5, number)).collect());
    assert_eq!(queue(&mut *store, 5), of_numbers(12..17));
    let trust = pipe("trust_a");
    writes(&mut *store, (1..=600).map(|number| put_history(&trust, number, false)).collect());
    let ids: Vec<MessageId> = (1..=600).map(|number| numbered(number).id).collect();
    let few = Write::DeleteFromHistory { dev: ONE, pipes: None, ids: ids[..3].to_vec() };
    assert_eq!(Removal::of(&Request::Write(vec![few])), None);
    let all = Write::DeleteFromHistory { dev: ONE, pipes: None, ids };
    assert_eq!(finish(&mut *store, begin(all)), (2, Some(600)));
}

pub(crate) fn a_history_that_is_removed_is_not_whole(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    write(&mut *store, set_late(&news, 100, 0));
    writes(&mut *store, (1..=10).map(|number| long(&news, number)).collect());
    for keep in [5, 0] {
        let removal =
            begin(if keep > 0 { set_late(&news, keep, 0) } else { Write::DeleteHistory { pipe: news.clone() } });
        let mut removals = [removal];
        store.remove(&mut removals).unwrap();
        // Some of it is there still, but nobody is told that it is all there was.
        assert_eq!(missed(&mut *store, &news, late_position(0)), None);
        let [removal] = removals;
        finish(&mut *store, removal);
        assert_eq!(history(&mut *store, &news).len() as u32, keep);
    }
    assert_eq!(missed(&mut *store, &news, late_position(9)), None);
    assert_eq!(missed(&mut *store, &news, late_position(10)), Some(vec![]));
}

pub(crate) fn settings_change_when_what_is_beyond_them_is_gone(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    writes(&mut *store, vec![setting(&news, 10)]);
    writes(&mut *store, (1..=10).map(|number| put_history(&news, number, false)).collect());
    for change in [setting(&news, 20), setting(&news, 10)] {
        assert_eq!(finish(&mut *store, begin(change)), (1, None), "the job itself is to be carried out");
    }
    assert_eq!(history(&mut *store, &news).len(), 10);
    let shorter = setting(&news, 4);
    finish(&mut *store, begin(shorter.clone()));
    assert_eq!(write(&mut *store, shorter), 1);
    assert_eq!(history(&mut *store, &news), of_numbers(7..=10));
    let gone = Write::DeleteSetting { pipe: news.clone(), begun: Position::default() };
    finish(&mut *store, begin(gone.clone()));
    assert_eq!(write(&mut *store, gone), 1);
    assert_eq!(history(&mut *store, &news), []);
}

/// Between the deletion of a setting and its end a `trust_` pipe may get messages, which go with the rest.
pub(crate) fn what_goes_with_a_setting_is_not_taken_for_whole(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("trust_news");
    write(&mut *store, set_late(&news, 100, 0));
    writes(&mut *store, put_late(&news, 1..=3));
    let gone = Write::DeleteSetting { pipe: news.clone(), begun: late_position(4) };
    finish(&mut *store, begin(gone.clone()));
    writes(&mut *store, put_late(&news, 5..=6));
    assert_eq!(write(&mut *store, gone), 1);
    assert_eq!(missed(&mut *store, &news, late_position(4)), None);
    assert_eq!(missed(&mut *store, &news, late_position(6)), Some(vec![]));
}
