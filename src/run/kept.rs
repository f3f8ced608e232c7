//! Files that hold a secret: never readable by others, not even for a moment, and there either whole or not at all; and the
//! look at the whole data folder when the server starts.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use tracing::warn;

use crate::storage::sqlite::{close_to_others, is_open_to_others};

use super::certificate::{CERTIFICATE_FILE, KEY_FILE};

/// In the data folder: the CometQL password, unless it is configured.
pub const PASSWORD_FILE: &str = "cometql.password";

/// Puts the content at `path`, in a folder that exists, unless something is there already, which answers false.
///
/// It is written under another name first and appears at `path` whole, by a link, which never replaces anything.
pub fn keep(path: &Path, content: &str) -> io::Result<bool> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut draft = OsString::from(name);
    draft.push(format!(".{}.new", std::process::id()));
    let draft = dir.join(draft);
    // Left over by a process of this number that was killed in between; nothing else uses this name.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let linked = write_new(&draft, content).and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Some file systems have no links; there the file is moved, at the price of the race that a link avoids.
        Err(_) => fs::rename(&draft, path).map(|()| true),
    });
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if linked? {
        // Without this a power cut could take the new name away, and others would know a secret that is gone.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()?;
        return Ok(true);
    }
    Ok(false)
}

fn write_new(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Lets a group read the password in its folder. Of the folder the group sees nothing: it may only pass through.
pub fn give_to_group(folder: &Path, password: &Path, group: u32) -> io::Result<()> {
    for (path, mode) in [(folder, FOLDER_FOR_GROUP), (password, PASSWORD_FOR_GROUP)] {
        // Not asked for in vain: a service manager may forbid it.
        if fs::metadata(path)?.gid() != group {
            chown(path, None, Some(group))?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

const FOLDER_FOR_GROUP: u32 = 0o710;
const PASSWORD_FOR_GROUP: u32 = 0o640;

/// Closes files of ours to others that an earlier version, a copy or a backup left open, and warns of a folder in which others
/// can look around. The database's own files are closed by who opens it.
///
/// `has_group`: the password was given to a group.
pub(super) fn guard(folder: &Path, has_group: bool) {
    let names = [PASSWORD_FILE, KEY_FILE, CERTIFICATE_FILE];
    for name in names.into_iter().skip(usize::from(has_group)) {
        let file = folder.join(name);
        match close_to_others(&file) {
            Ok(false) => {}
            Ok(true) => warn!(file = %file.display(), "others on this machine could read it; now they cannot"),
            Err(error) => warn!(file = %file.display(), %error, "others on this machine may be able to read it"),
        }
    }
    let for_group = has_group && fs::metadata(folder).is_ok_and(|data| data.mode() & 0o777 == FOLDER_FOR_GROUP);
    if is_open_to_others(folder) && !for_group {
        let folder = folder.display();
        warn!(%folder, "the data folder is open to others on this machine: chmod 700 closes it");
    }
}
