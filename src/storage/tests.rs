use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::sqlite::{OpenError, Sqlite};
use super::{GROUP_BYTES_MAX, Job, Outcome, Read, Request, StorageError, Store, Ticket, Write};
use crate::model::{DevId, UserId};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("encke-storage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn user(id: u32) -> UserId {
    UserId::new(id).unwrap()
}

fn check(store: &mut Sqlite, requests: Vec<Request>) -> Vec<Outcome> {
    let jobs: Vec<Job> =
        requests.into_iter().enumerate().map(|(n, request)| Job { ticket: Ticket(n as u64), request }).collect();
    let completions = store.run(&jobs);
    assert!(completions.iter().zip(&jobs).all(|(completion, job)| completion.ticket == job.ticket));
    completions.into_iter().map(|completion| completion.result.unwrap()).collect()
}

fn put(dev: u32, id: u32, hash: &str) -> Write {
    Write::PutHash { dev: DevId(dev), user: user(id), hash: hash.into() }
}

fn read(read: Read) -> Request {
    Request::Read { read, bytes_max: usize::MAX }
}

fn hashes(dev: u32, ids: &[u32]) -> Request {
    read(Read::Hashes { dev: DevId(dev), users: ids.iter().copied().map(user).collect() })
}

#[test]
fn rows_survive_a_reopening_and_tenants_stay_apart() {
    let folder = Folder::new("reopen");
    let mut store = Sqlite::open(&folder.0).unwrap();
    let written =
        check(&mut store, vec![Request::Write(vec![put(1, 5, "first"), put(2, 5, "other"), put(1, 6, "six")])]);
    assert_eq!(written, [Outcome::Written]);
    check(&mut store, vec![Request::Write(vec![put(1, 5, "second")])]);
    drop(store);
    let mut store = Sqlite::open(&folder.0).unwrap();
    assert_eq!(
        check(&mut store, vec![hashes(1, &[6, 7, 5])]),
        [Outcome::Texts(vec![(user(6), "six".into()), (user(5), "second".into())])]
    );
    check(&mut store, vec![Request::Write(vec![Write::DeleteHash { dev: DevId(1), user: user(5) }])]);
    assert_eq!(
        check(&mut store, vec![hashes(1, &[5]), hashes(2, &[5])]),
        [Outcome::Texts(vec![]), Outcome::Texts(vec![(user(5), "other".into())])]
    );
}

#[test]
fn a_group_sees_its_own_writes_in_order() {
    let folder = Folder::new("order");
    let mut store = Sqlite::open(&folder.0).unwrap();
    let outcomes = check(
        &mut store,
        vec![
            Request::Write(vec![put(0, 1, "a")]),
            hashes(0, &[1]),
            Request::Write(vec![put(0, 1, "b")]),
            hashes(0, &[1]),
        ],
    );
    assert_eq!(outcomes[1], Outcome::Texts(vec![(user(1), "a".into())]));
    assert_eq!(outcomes[3], Outcome::Texts(vec![(user(1), "b".into())]));
}

#[test]
fn public_texts_and_last_seen_times_are_kept_whole() {
    let folder = Folder::new("texts");
    let mut store = Sqlite::open(&folder.0).unwrap();
    let text: Box<str> = "\u{1f600} \"'\\ \0 \n".into();
    let (dev, nine) = (DevId(3), user(9));
    let writes = vec![
        Write::PutUserData { dev, user: nine, data: text.clone() },
        Write::PutLastSeen { dev, user: nine, time: 1_700_000_000 },
    ];
    check(&mut store, vec![Request::Write(writes)]);
    let reads =
        vec![read(Read::UserData { dev, users: vec![nine] }), read(Read::LastSeen { dev, users: vec![nine, user(1)] })];
    assert_eq!(
        check(&mut store, reads),
        [Outcome::Texts(vec![(nine, text)]), Outcome::Times(vec![(nine, 1_700_000_000)])]
    );
}

fn data(id: u32, length: usize) -> Write {
    Write::PutUserData { dev: DevId(1), user: user(id), data: "x".repeat(length).into() }
}

fn data_of(ids: &[u32], bytes_max: usize) -> Request {
    let users = ids.iter().copied().map(user).collect();
    Request::Read { read: Read::UserData { dev: DevId(1), users }, bytes_max }
}

fn jobs(requests: Vec<Request>) -> Vec<Job> {
    requests.into_iter().enumerate().map(|(n, request)| Job { ticket: Ticket(n as u64), request }).collect()
}

#[test]
fn a_read_that_weighs_too_much_fails_alone() {
    let folder = Folder::new("weight");
    let mut store = Sqlite::open(&folder.0).unwrap();
    check(&mut store, vec![Request::Write(vec![data(1, 600), data(2, 400)])]);
    let group = vec![
        Request::Write(vec![put(1, 5, "written")]),
        data_of(&[1, 2], 1000),
        data_of(&[1, 2], 999),
        data_of(&[2, 3], 400),
    ];
    let results: Vec<_> = store.run(&jobs(group)).into_iter().map(|completion| completion.result).collect();
    assert_eq!(results[0], Ok(Outcome::Written));
    assert!(matches!(&results[1], Ok(Outcome::Texts(rows)) if rows.len() == 2));
    assert_eq!(results[2], Err(StorageError::TooLarge { bytes_max: 999 }));
    assert!(matches!(&results[3], Ok(Outcome::Texts(rows)) if rows.len() == 1));
    assert_eq!(check(&mut store, vec![hashes(1, &[5])]), [Outcome::Texts(vec![(user(5), "written".into())])]);
}

#[test]
fn a_group_ends_when_its_results_weigh_enough() {
    const ROW: usize = GROUP_BYTES_MAX / 4;
    let folder = Folder::new("ends");
    let mut store = Sqlite::open(&folder.0).unwrap();
    check(&mut store, vec![Request::Write(vec![data(1, ROW)])]);
    let mut group: Vec<Request> = (0..10).map(|_| data_of(&[1], usize::MAX)).collect();
    group.push(Request::Write(vec![put(1, 5, "last")]));
    let group = jobs(group);
    let mut sizes = Vec::new();
    let mut left = &group[..];
    while !left.is_empty() {
        let completions = store.run(left);
        assert!(completions.iter().zip(left).all(|(done, job)| done.ticket == job.ticket && done.result.is_ok()));
        sizes.push(completions.len());
        left = &left[completions.len()..];
    }
    assert_eq!(sizes, [4, 4, 3]);
}

/// The file as another program opens it.
fn other_program(folder: &Folder) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.0.join("encke.db")).unwrap()
}

#[test]
fn a_write_that_fails_takes_nothing_with_it() {
    // Also when the failure ends the whole transaction, as that of a full disk may.
    for harm in ["ABORT", "ROLLBACK"] {
        let folder = Folder::new(harm);
        let mut store = Sqlite::open(&folder.0).unwrap();
        let trigger = format!(
            "CREATE TRIGGER harm BEFORE INSERT ON users_auth WHEN NEW.hash = 'bad' BEGIN SELECT RAISE({harm}, 'no'); END"
        );
        other_program(&folder).execute_batch(&trigger).unwrap();
        let group = (1..=50).flat_map(|id| {
            let write = match id {
                7 | 8 | 31 => vec![put(1, 100 + id, "lost"), put(1, id, "bad")],
                _ => vec![put(1, id, "good")],
            };
            [Request::Write(write), hashes(1, &[id, 100 + id])]
        });
        let completions = store.run(&jobs(group.collect()));
        assert_eq!(completions.len(), 100);
        for (id, pair) in (1..=50).zip(completions.chunks(2)) {
            let (written, read) = (&pair[0].result, &pair[1].result);
            if [7, 8, 31].contains(&id) {
                assert_eq!(*written, Err(StorageError::Failed("no".to_owned())), "{harm} {id}");
                assert_eq!(*read, Ok(Outcome::Texts(Vec::new())), "{harm} {id}: nothing of it is kept");
            } else {
                assert_eq!(*written, Ok(Outcome::Written), "{harm} {id}");
                assert_eq!(*read, Ok(Outcome::Texts(vec![(user(id), "good".into())])), "{harm} {id}");
            }
        }
        drop(store);
        let mut store = Sqlite::open(&folder.0).unwrap();
        let ids: Vec<u32> = (1..=150).collect();
        let found = check(&mut store, vec![hashes(1, &ids)]);
        assert!(matches!(&found[0], Outcome::Texts(rows) if rows.len() == 47), "{harm}: {found:?}");
    }
}

#[test]
fn reads_are_answered_while_another_program_holds_the_file() {
    let folder = Folder::new("held");
    let mut store = Sqlite::open(&folder.0).unwrap();
    check(&mut store, vec![Request::Write(vec![put(1, 5, "before")])]);
    let other = other_program(&folder);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let mut group = vec![hashes(1, &[5])];
    group.extend((0..20).map(|id| Request::Write(vec![put(1, 5 + id, "after")])));
    group.push(hashes(1, &[5, 6]));
    let completions = store.run(&jobs(group.clone()));
    assert!(begun.elapsed() < Duration::from_secs(10), "one wait and not one for each write");
    for (job, completion) in group.iter().zip(&completions) {
        match job {
            Request::Read { .. } => {
                assert_eq!(completion.result, Ok(Outcome::Texts(vec![(user(5), "before".into())])));
            }
            Request::Write(_) => assert!(matches!(completion.result, Err(StorageError::Failed(_)))),
        }
    }
    other.execute_batch("ROLLBACK").unwrap();
    assert!(store.run(&jobs(group)).iter().all(|completion| completion.result.is_ok()));
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = Folder::new("lock");
    let _first = Sqlite::open(&folder.0).unwrap();
    assert!(matches!(Sqlite::open(&folder.0), Err(OpenError::InUse { .. })));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = Folder::new("newer");
    drop(Sqlite::open(&folder.0).unwrap());
    let connection = rusqlite::Connection::open(folder.0.join("encke.db")).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    drop(connection);
    assert!(matches!(Sqlite::open(&folder.0), Err(OpenError::TooNew { version: 1000, .. })));
}
