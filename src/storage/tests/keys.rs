//! Which users and pipes have rows in a table.

use encke::storage::{PipeTable, UserTable};

use super::*;

fn users(store: &mut dyn Store, table: UserTable, after: Option<UserId>, rows: u32) -> (Vec<u32>, Option<UserId>) {
    match read(store, Read::Users { dev: ONE, table, after, rows }) {
        Outcome::Users { rows, after } => (rows.into_iter().map(UserId::get).collect(), after),
        other => panic!("{other:?}"),
    }
}

fn names(store: &mut dyn Store, table: PipeTable, after: Option<&str>, rows: u32) -> (Vec<String>, Option<Box<str>>) {
    match read(store, Read::Names { dev: ONE, table, after: after.map(Box::from), rows }) {
        Outcome::Names { rows, after } => (rows.iter().map(ToString::to_string).collect(), after),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn keys_come_in_their_order_page_by_page(open: Open<'_>) {
    let mut store = open(Retention::default());
    let data = |dev, id: u32| Write::PutUserData { dev, user: user(id), data: "x".into() };
    let mut rows = vec![put_hash(1, 300, "c"), put_hash(1, 5, "a"), put_hash(1, 20, "b"), put_hash(2, 6, "other")];
    rows.extend([data(ONE, 9), data(DevId(2), 8)]);
    // Many rows of one key are one key.
    rows.extend((0..50).map(|number| queued(7, number)));
    rows.extend([queued(3, 60), queued(0, 61)]);
    for (name, begin) in [("zulu", 100), ("alpha", 110), ("Mike", 120)] {
        rows.push(setting(&pipe(name), 5));
        rows.extend((begin..begin + 5).map(|number| put_history(&pipe(name), number, false)));
    }
    writes(&mut *store, rows);
    let store = &mut *store;
    assert_eq!(users(store, UserTable::Hashes, None, 2), (vec![5, 20], Some(user(20))));
    assert_eq!(users(store, UserTable::Hashes, Some(user(20)), 2), (vec![300], None));
    assert_eq!(users(store, UserTable::Data, None, 100), (vec![9], None));
    assert_eq!(users(store, UserTable::Times, None, 100), (vec![], None));
    assert_eq!(users(store, UserTable::Queues, None, 2), (vec![0, 3], Some(user(3))));
    assert_eq!(users(store, UserTable::Queues, Some(user(3)), 2), (vec![7], None));
    for table in [PipeTable::Settings, PipeTable::Histories] {
        let (first, after) = names(store, table, None, 2);
        assert_eq!((first.len(), after.as_deref()), (2, first.last().map(String::as_str)));
        let (second, end) = names(store, table, after.as_deref(), 2);
        assert_eq!((second.len(), end), (1, None));
        let mut all: Vec<String> = first.into_iter().chain(second).collect();
        all.sort();
        assert_eq!(all, ["Mike", "alpha", "zulu"]);
    }
}
