use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::sqlite::{OpenError, Sqlite};
use super::{Durability, GROUP_BYTES_MAX, Job, Outcome, Read, Request, Retention, StorageError, Store, Ticket, Write};
use crate::model::{DevId, UserId};

#[macro_use]
mod any;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("encke-storage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn open(&self, retention: Retention) -> Result<Sqlite, OpenError> {
        Sqlite::open(&self.0, Durability::Full, retention)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn in_sqlite(name: &str, test: fn(any::Open<'_>)) {
    let folder = Folder::new(name);
    test(&mut |retention| -> Box<dyn Store> { Box::new(folder.open(retention).unwrap()) });
}

tests_of_any_engine!(in_sqlite);

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
    let mut store = folder.open(Retention::default()).unwrap();
    check(&mut store, vec![Request::Write(vec![data(1, 600), data(2, 400)])]);
    let group = vec![
        Request::Write(vec![put(1, 5, "written")]),
        data_of(&[1, 2], 1000),
        data_of(&[1, 2], 999),
        data_of(&[2, 3], 400),
    ];
    let results: Vec<_> = store.run(&jobs(group)).into_iter().map(|completion| completion.result).collect();
    assert_eq!(results[0], Ok(Outcome::Written { rows: 1 }));
    assert!(matches!(&results[1], Ok(Outcome::Texts(rows)) if rows.len() == 2));
    assert_eq!(results[2], Err(StorageError::TooLarge { bytes_max: 999 }));
    assert!(matches!(&results[3], Ok(Outcome::Texts(rows)) if rows.len() == 1));
    assert_eq!(check(&mut store, vec![hashes(1, &[5])]), [Outcome::Texts(vec![(user(5), "written".into())])]);
}

#[test]
fn a_group_ends_when_its_results_weigh_enough() {
    const ROW: usize = GROUP_BYTES_MAX / 4;
    let folder = Folder::new("ends");
    let mut store = folder.open(Retention::default()).unwrap();
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

/// The modes of the files in a folder, and their names.
fn modes(folder: &Folder) -> Vec<(String, u32)> {
    let mode = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777)
    };
    let mut modes: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(mode).collect();
    modes.sort();
    modes
}

#[test]
fn only_their_owner_can_read_the_files() {
    let folder = Folder::new("modes");
    let expected = ["encke.db", "encke.db-shm", "encke.db-wal", "encke.lock"].map(|name| (name.to_owned(), 0o600));
    let mut store = folder.open(Retention::default()).unwrap();
    check(&mut store, vec![Request::Write(vec![put(1, 5, "secret")])]);
    assert_eq!(modes(&folder), expected);
    assert_eq!(std::fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777, 0o700);
    // What an earlier version left behind, which another program still uses.
    let other = other_program(&folder);
    other.execute("DELETE FROM users_auth WHERE dev_id = 77", []).unwrap();
    for (name, _) in &expected {
        std::fs::set_permissions(folder.0.join(name), Permissions::from_mode(0o644)).unwrap();
    }
    drop(store);
    let _store = folder.open(Retention::default()).unwrap();
    assert_eq!(modes(&folder), expected);
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
        let mut store = folder.open(Retention::default()).unwrap();
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
                assert_eq!(*written, Err(StorageError::Unfit("no".to_owned())), "{harm} {id}");
                assert_eq!(*read, Ok(Outcome::Texts(Vec::new())), "{harm} {id}: nothing of it is kept");
            } else {
                assert_eq!(*written, Ok(Outcome::Written { rows: 1 }), "{harm} {id}");
                assert_eq!(*read, Ok(Outcome::Texts(vec![(user(id), "good".into())])), "{harm} {id}");
            }
        }
        drop(store);
        let mut store = folder.open(Retention::default()).unwrap();
        let ids: Vec<u32> = (1..=150).collect();
        let found = check(&mut store, vec![hashes(1, &ids)]);
        assert!(matches!(&found[0], Outcome::Texts(rows) if rows.len() == 47), "{harm}: {found:?}");
    }
}

#[test]
fn reads_are_answered_while_another_program_holds_the_file() {
    let folder = Folder::new("held");
    let mut store = folder.open(Retention::default()).unwrap();
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
    let _first = folder.open(Retention::default()).unwrap();
    assert!(matches!(folder.open(Retention::default()), Err(OpenError::InUse { .. })));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = Folder::new("newer");
    drop(folder.open(Retention::default()).unwrap());
    let connection = rusqlite::Connection::open(folder.0.join("encke.db")).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    drop(connection);
    assert!(matches!(folder.open(Retention::default()), Err(OpenError::TooNew { version: 1000, .. })));
}

#[test]
fn a_file_of_the_first_version_gets_the_tables_it_lacks() {
    let folder = Folder::new("first");
    std::fs::create_dir_all(&folder.0).unwrap();
    let connection = rusqlite::Connection::open(folder.0.join("encke.db")).unwrap();
    let tables = [
        "users_auth (dev_id, user_id, hash)",
        "users_data (dev_id, user_id, data)",
        "users_time (dev_id, user_id, time)",
    ];
    for table in tables {
        connection.execute_batch(&format!("CREATE TABLE {table}; INSERT INTO {table} VALUES (1, 2, 3);")).unwrap();
    }
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let mut store = folder.open(Retention::default()).unwrap();
    assert_eq!(store.beginning().unwrap().settings, []);
}
