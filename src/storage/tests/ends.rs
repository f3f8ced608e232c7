//! Messages that live for a time.

use super::*;

const PAST: i64 = 1_700_000_500;
const FUTURE: i64 = i32::MAX as i64;

fn until(number: u64, expires: i64) -> StoredMessage {
    StoredMessage { expires, ..late(number) }
}

fn put(pipe: &PipeKey, number: u64, expires: i64, trim: bool) -> Write {
    Write::PutHistory { pipe: pipe.clone(), message: until(number, expires), trim }
}

fn numbers(rows: &[StoredMessage]) -> Vec<String> {
    rows.iter().map(|row| row.message.to_string()).collect()
}

fn texts(wanted: impl IntoIterator<Item = u64>) -> Vec<String> {
    wanted.into_iter().map(|number| late(number).message.to_string()).collect()
}

pub(crate) fn what_has_expired_is_told_to_nobody_and_goes(open: Open<'_>) {
    let mut store = open(Retention { queue_seconds: 0, trust_seconds: 0, ..Retention::default() });
    let news = pipe("news");
    writes(&mut *store, vec![setting(&news, 10)]);
    let queued = |number, expires| Write::PutQueued { dev: ONE, user: user(5), message: until(number, expires) };
    // Alone and in groups.
    write(&mut *store, put(&news, 1, PAST, false));
    writes(&mut *store, vec![put(&news, 2, 0, false), put(&news, 3, PAST, false), put(&news, 4, FUTURE, true)]);
    write(&mut *store, queued(1, PAST));
    writes(&mut *store, vec![queued(2, FUTURE), queued(3, PAST), queued(4, 0)]);
    let page = Page { rows: 10, bytes: 10_000 };
    let told = |store: &mut dyn Store| {
        let (queue, _) = messages(read(store, Read::Queue { dev: ONE, user: user(5), after: None, page }));
        let (history, _) = messages(read(store, Read::History { pipe: pipe("news"), after: None, page }));
        let (newest, _) = messages(read(store, Read::NewestHistory { pipe: pipe("news"), page }));
        [numbers(&queue), numbers(&history), numbers(&newest)]
    };
    assert_eq!(told(&mut *store), [texts([2, 4]), texts([2, 4]), texts([2, 4])]);
    let ends: Vec<i64> = messages(read(&mut *store, Read::History { pipe: news, after: None, page }))
        .0
        .iter()
        .map(|row| row.expires)
        .collect();
    assert_eq!(ends, [0, FUTURE]);
    let expired = store.expire(PAST - 1).unwrap();
    assert_eq!((expired.queued, expired.history), (0, 0), "not before its time");
    let expired = store.expire(PAST).unwrap();
    assert_eq!((expired.queued, expired.history, expired.more), (2, 2, false));
    assert_eq!(told(&mut *store), [texts([2, 4]), texts([2, 4]), texts([2, 4])]);
    let expired = store.expire(PAST + 1).unwrap();
    assert_eq!((expired.queued, expired.history), (0, 0));
}

/// Who comes back misses nothing by what is told to nobody. But what went before because of the length is not forgotten.
pub(crate) fn a_history_that_something_expired_from_is_as_whole_as_before(open: Open<'_>) {
    let mut store = open(Retention { queue_seconds: 0, trust_seconds: 0, ..Retention::default() });
    let news = pipe("news");
    writes(&mut *store, vec![setting(&news, 3)]);
    writes(&mut *store, (1..=3).map(|number| put(&news, number, 0, true)).collect());
    write(&mut *store, put(&news, 4, PAST, true));
    let missed = |store: &mut dyn Store, after| {
        let since = Since { pipe: pipe("news"), after: Some(late_position(after)), until: late_position(9), newest: 0 };
        let read_missed = Read::Missed { pipes: vec![since], page: Page { rows: 10, bytes: 10_000 } };
        match read(store, read_missed) {
            Outcome::Missed(missed) => missed[0].complete.then(|| numbers(&missed[0].rows)),
            other => panic!("{other:?}"),
        }
    };
    for swept in [false, true] {
        if swept {
            assert_eq!(store.expire(PAST).unwrap().history, 1);
        }
        assert_eq!(missed(&mut *store, 0), None, "the first one went, {swept}");
        assert_eq!(missed(&mut *store, 2), Some(texts([3])), "{swept}");
    }
    write(&mut *store, put(&news, 5, 0, true));
    assert_eq!(missed(&mut *store, 0), None);
    assert_eq!(missed(&mut *store, 2), Some(texts([3, 5])));
}
