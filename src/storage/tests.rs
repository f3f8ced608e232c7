use std::path::PathBuf;

use super::sqlite::{OpenError, Sqlite};
use super::{Durability, Retention, Store};

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
    assert_eq!(store.settings().unwrap(), []);
}
