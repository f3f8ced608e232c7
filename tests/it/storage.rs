//! What the data folder and its database look like from outside: who can read it, what a full disk and a wrong clock do.

use crate::server::{Folder, Server, Setup};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The files of a folder that others than their owner can read or write.
fn open_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the data folder").map(|entry| entry.expect("a file"));
    let is_open = |entry: &fs::DirEntry| entry.metadata().expect("its mode").permissions().mode() & 0o077 != 0;
    entries.filter(is_open).map(|entry| entry.path().display().to_string()).collect()
}

#[test]
fn files_of_the_data_folder_are_for_their_owner_alone() {
    let setup = Setup { password: None, more: "[cometql]\ntls = on\n".into(), ..Setup::default() };
    let server = Server::start(&setup);
    assert_eq!(open_files(&server.folder().join("data")), [""; 0]);
    assert!(!server.log().contains("open to others"), "{}", server.log());
    let (_, folder) = server.stop();
    // As an earlier version, or a copy, left them.
    let data = folder.path().join("data");
    fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("a folder that is open");
    for entry in fs::read_dir(&data).expect("the data folder") {
        fs::set_permissions(entry.expect("a file").path(), Permissions::from_mode(0o644)).expect("a file that is open");
    }
    let server = Server::start_in(folder, &setup);
    assert_eq!(open_files(&server.folder().join("data")), [""; 0]);
    let log = server.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("chmod 700"), lines("could read it")), (1, 3), "{log}");
}

#[test]
fn a_folder_that_exists_and_is_open_gets_closed_files() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("data")).expect("a data folder");
    fs::set_permissions(folder.path().join("data"), Permissions::from_mode(0o777)).expect("a folder that is open");
    let server = Server::start_in(folder, &Setup::default());
    assert_eq!(open_files(&server.folder().join("data")), [""; 0]);
}
