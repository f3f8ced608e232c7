//! What an engine tells at a start.

use std::time::{SystemTime, UNIX_EPOCH};

use encke::storage::{Beginning, KEYS_KEPT_S, PipeSetting, StoredKey, Trusted};

use super::*;

/// So that the same publication again is known after a restart, for five minutes.
pub(crate) fn keys_of_publications_are_told_at_the_start_and_go(open: Open<'_>) {
    let mut store = open(Retention::default());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let put = |name: &str, key: &str, time| Write::PutKey { pipe: pipe(name), key: key.into(), time };
    let stored = |name: &str, key: &str, time| StoredKey { pipe: pipe(name), key: key.into(), time };
    let (old, lately) = (now - KEYS_KEPT_S - 5, now - 60);
    let all = vec![put("news", "a", old), put("news", "b", lately), put("News", "b", lately), put("news", "b", now)];
    writes(&mut *store, vec![setting(&pipe("news"), 1), put_history(&pipe("news"), 1, true)]);
    writes(&mut *store, all);
    drop(store);
    let mut store = open(Retention::default());
    let mut keys = store.beginning().unwrap().keys;
    keys.sort_by_key(|key| key.time);
    assert_eq!(keys, [stored("News", "b", lately), stored("news", "b", now)], "one each, with its last time");
    while store.expire(now + KEYS_KEPT_S - 30).unwrap().more {}
    assert_eq!(store.beginning().unwrap().keys, [stored("news", "b", now)]);
}

pub(crate) fn settings_are_told_at_the_start(open: Open<'_>) {
    let mut store = open(Retention::default());
    let (news, other) = (pipe("News"), PipeKey { dev: DevId(9), ..pipe("news") });
    writes(&mut *store, vec![setting(&news, 7), setting(&other, 0), setting(&pipe("gone"), 1)]);
    write(&mut *store, Write::DeleteSetting { pipe: pipe("gone"), begun: Position::default() });
    drop(store);
    let mut store = open(Retention::default());
    let Beginning { mut settings, ahead_s, .. } = store.beginning().unwrap();
    settings.sort_by_key(|setting| setting.pipe.dev);
    let expected = [PipeSetting { pipe: news.clone(), length: 7 }, PipeSetting { pipe: other.clone(), length: 0 }];
    assert_eq!((settings.as_slice(), ahead_s), (expected.as_slice(), 0));
    let pipes = ["none", "News", "news"].map(|name| pipe(name).name).to_vec();
    assert_eq!(read(&mut *store, Read::Settings { dev: ONE, pipes }), Outcome::Lengths(vec![(news.name.clone(), 7)]));
}

/// Whatever has the newest message: a history with a setting, one of a `trust_` pipe, a queue, or nothing but the mark that
/// follows the clock.
pub(crate) fn after_a_clock_that_was_ahead_positions_go_on(open: Open<'_>) {
    let mut store = open(Retention::default());
    let news = pipe("news");
    let at_first = store.beginning().unwrap();
    assert_eq!((at_first.ahead_s, at_first.behind < late_position(0)), (0, true));
    let put_queued = |number| Write::PutQueued { dev: ONE, user: user(5), message: late(number) };
    write(&mut *store, set_late(&news, 10, 0));
    for (step, newest) in [3, 2_000, 4_000, 6_000].into_iter().enumerate() {
        match step {
            0 => assert_eq!(writes(&mut *store, put_late(&news, 1..=3)), 3),
            1 => assert_eq!(write(&mut *store, put_queued(newest)), 1),
            2 => assert_eq!(writes(&mut *store, put_late(&pipe("trust_news"), newest..=newest)), 1),
            _ => store.note_clock(LATER + newest.cast_signed()).unwrap(),
        }
        drop(store);
        store = open(Retention::default());
        let Beginning { behind, ahead_s, .. } = store.beginning().unwrap();
        assert!(behind > late_position(newest), "{newest}");
        assert!(behind < late_position(newest + 1_000), "{newest}: no further than it must");
        assert!(ahead_s > 1_000_000, "{ahead_s}");
    }
    // Nothing of it is in doubt: what comes now stands behind it.
    assert_eq!(missed(&mut *store, &news, late_position(2)), Some(vec![3]));
    assert_eq!(missed(&mut *store, &news, late_position(3)), Some(vec![]));
}

pub(crate) fn histories_without_a_setting_are_told_at_the_start(open: Open<'_>) {
    let mut store = open(Retention::default());
    let (trust, other) = (pipe("trust_a"), PipeKey { dev: DevId(9), ..pipe("trust_b") });
    writes(&mut *store, vec![setting(&pipe("news"), 9), setting(&pipe("trust_c"), 9)]);
    writes(&mut *store, vec![put_history(&trust, 1, false), put_history(&other, 2, false)]);
    writes(&mut *store, vec![put_history(&pipe("news"), 3, false), put_history(&pipe("trust_gone"), 4, false)]);
    write(&mut *store, Write::DeleteHistory { pipe: pipe("trust_gone") });
    // Somebody else may write into these tables at any time.
    let Some(Trusted { mut pipes, more, begun }) = store.beginning().unwrap().trusted else { return };
    pipes.sort();
    assert_eq!(pipes, [trust, pipe("trust_gone"), other], "and one that has lost its history");
    assert_eq!(more, []);
    assert!(begun > numbered(0).id.position().unwrap(), "this database was made later");
}

/// Most that a browser names may have no history.
pub(crate) fn many_pipes_are_looked_into_at_once(open: Open<'_>) {
    let mut store = open(Retention::default());
    writes(&mut *store, vec![set_late(&pipe("news"), 10, 0), set_late(&pipe("off"), 0, 0)]);
    writes(&mut *store, put_late(&pipe("news"), 1..=2));
    writes(&mut *store, put_late(&pipe("trust_a"), 11..=13));
    writes(&mut *store, put_late(&pipe("trust_gone"), 21..=22));
    write(&mut *store, Write::DeleteHistory { pipe: pipe("trust_gone") });
    let missed = |store: &mut dyn Store, after: Position| -> Vec<Option<Vec<String>>> {
        let none = (0..40).map(|number| format!("trust_{number}"));
        let names = ["news", "off", "none", "trust_a", "trust_gone"].into_iter().map(str::to_owned).chain(none);
        let until = late_position(1_000);
        let pipes = names.map(|name| Since { pipe: pipe(&name), after: Some(after), until, newest: 0 }).collect();
        let Outcome::Missed(missed) = read(store, Read::Missed { pipes, page: ALL }) else { panic!() };
        let texts = |rows: Vec<StoredMessage>| rows.into_iter().map(|row| row.message.into()).collect();
        missed.into_iter().map(|missed| missed.complete.then(|| texts(missed.rows))).collect()
    };
    let texts = |numbers: std::ops::RangeInclusive<u32>| Some(numbers.map(|n| format!("message {n}")).collect());
    let mut expected = vec![texts(1..=2), None, None, texts(11..=13), None];
    expected.extend(vec![Some(Vec::new()); 40]);
    assert_eq!(missed(&mut *store, late_position(0)), expected);
    let mut expected = vec![Some(Vec::new()), None, None, texts(13..=13), None];
    expected.extend(vec![Some(Vec::new()); 40]);
    assert_eq!(missed(&mut *store, late_position(12)), expected);
    // From before the database was made nobody knows anything.
    assert!(missed(&mut *store, Position::last_of(UnixTime(1_500_000_000))).iter().all(Option::is_none));
}
