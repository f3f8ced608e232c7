//! Who may read the files of the data folder: their owner alone, whatever the umask was when they were made.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Opens a file for writing. One that is missing is made for its owner alone, and one that is there is closed to others.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    close_to_others(path)?;
    Ok(file)
}

/// Takes a file that exists away from others; answers whether they could reach it before. A file that is missing, or that
/// belongs to somebody else who lets this program in by its group, stays as it is.
pub fn close_to_others(path: &Path) -> io::Result<bool> {
    let mode = match fs::metadata(path) {
        Ok(data) => data.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS & 0o7777)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        result => result.map(|()| true),
    }
}

/// Whether others than its owner may look into a folder or change what is in it.
pub fn is_open_to_others(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & OTHERS != 0)
}

/// The files that SQLite makes beside its own. They get the mode of the database, but may be older than its mode.
pub(super) fn beside(database: &Path) -> impl Iterator<Item = PathBuf> {
    ["-wal", "-shm", "-journal"].into_iter().map(|end| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}
