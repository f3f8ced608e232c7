use std::path::PathBuf;

use super::sqlite::{OpenError, Sqlite};
use super::{Durability, Job, Outcome, Read, Request, Retention, Store, Ticket, Write};
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

fn open(folder: &Folder) -> Result<Sqlite, OpenError> {
    Sqlite::open(&folder.0, Durability::Full, Retention::default())
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

fn hashes(dev: u32, ids: &[u32]) -> Request {
    Request::Read(Read::Hashes { dev: DevId(dev), users: ids.iter().copied().map(user).collect() })
}

#[test]
fn rows_survive_a_reopening_and_tenants_stay_apart() {
    let folder = Folder::new("reopen");
    let mut store = open(&folder).unwrap();
    let written =
        check(&mut store, vec![Request::Write(vec![put(1, 5, "first"), put(2, 5, "other"), put(1, 6, "six")])]);
    assert_eq!(written, [Outcome::Written { rows: 3 }]);
    check(&mut store, vec![Request::Write(vec![put(1, 5, "second")])]);
    drop(store);
    let mut store = open(&folder).unwrap();
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
    let mut store = open(&folder).unwrap();
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
    let mut store = open(&folder).unwrap();
    let text: Box<str> = "\u{1f600} \"'\\ \0 \n".into();
    let (dev, nine) = (DevId(3), user(9));
    let writes = vec![
        Write::PutUserData { dev, user: nine, data: text.clone() },
        Write::PutLastSeen { dev, user: nine, time: 1_700_000_000 },
    ];
    check(&mut store, vec![Request::Write(writes)]);
    let reads = vec![
        Request::Read(Read::UserData { dev, users: vec![nine] }),
        Request::Read(Read::LastSeen { dev, users: vec![nine, user(1)] }),
    ];
    assert_eq!(
        check(&mut store, reads),
        [Outcome::Texts(vec![(nine, text)]), Outcome::Times(vec![(nine, 1_700_000_000)])]
    );
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = Folder::new("lock");
    let _first = open(&folder).unwrap();
    assert!(matches!(open(&folder), Err(OpenError::InUse { .. })));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = Folder::new("newer");
    drop(open(&folder).unwrap());
    let connection = rusqlite::Connection::open(folder.0.join("encke.db")).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    drop(connection);
    assert!(matches!(open(&folder), Err(OpenError::TooNew { version: 1000, .. })));
}
