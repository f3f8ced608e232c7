//! The server's socket in its data folder: CometQL without a password for processes of its own user.
//!
//! Whoever may read the data folder may do everything there is to do, so nothing is proved here but who asks. The shard of the
//! sessions opens it; here is looked at what stands in its place, and it is removed at the end.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tracing::warn;

/// In the data folder.
pub const SOCKET_FILE: &str = "encke.sock";

/// The longest path of a socket, in bytes.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Somebody listens there.
#[derive(Debug)]
pub(super) struct Taken;

/// Where the socket is to be. `None`: there will be none, and the log says why.
pub(super) fn place(dir: &Path) -> Result<Option<PathBuf>, Taken> {
    let path = dir.join(SOCKET_FILE);
    if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
        warn!(
            path = %path.display(),
            "no socket: its path is longer than {SOCKET_PATH_BYTES_MAX} bytes, which is what the system allows; a shorter \
             dir in [storage] gives one"
        );
        return Ok(None);
    }
    match fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => {
            if somebody_listens(&path) {
                Err(Taken)
            } else {
                Ok(Some(path))
            }
        }
        Ok(_) => {
            warn!(path = %path.display(), "no socket: a file that is none has its name; remove it and start again");
            Ok(None)
        }
        Err(_) => Ok(Some(path)),
    }
}

/// A server that has ended without a word leaves its socket behind, and nobody listens there.
fn somebody_listens(path: &Path) -> bool {
    let try_it = || {
        let address = SocketAddrUnix::new(path)?;
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
        connect(&socket, &address)
    };
    // With too many in its queue it says that it must be asked again.
    matches!(try_it(), Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS))
}

/// The socket of this server, to be removed at its end.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// By these numbers it is known that no later server has put its own in its place.
    file: (u64, u64),
}

impl Socket {
    /// The one that was opened at this path.
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        let file = file(&path)?;
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn remove(&self) {
        if file(&self.path).is_ok_and(|found| found == self.file) {
            // It is of no use to anybody, so it may as well stay.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_stands_in_its_place_is_looked_at() {
        let dir = std::env::temp_dir().join(format!("encke-door-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(SOCKET_FILE);
        assert_eq!(place(&dir).unwrap(), Some(path.clone()));
        fs::write(&path, "mine").unwrap();
        assert_eq!(place(&dir).unwrap(), None);
        fs::remove_file(&path).unwrap();
        let living = UnixListener::bind(&path).unwrap();
        assert!(place(&dir).is_err());
        let socket = Socket::at(path.clone()).unwrap();
        drop(living);
        assert_eq!(place(&dir).unwrap(), Some(path.clone()));
        fs::remove_file(&path).unwrap();
        let later = UnixListener::bind(&path).unwrap();
        socket.remove();
        // Numbers of files are used again, and then it is as if it were ours.
        let is_another = file(&path).is_ok_and(|found| found != socket.file);
        assert!(path.exists() || !is_another);
        drop(later);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(place(&dir.join("d".repeat(SOCKET_PATH_BYTES_MAX))).unwrap(), None);
    }
}
