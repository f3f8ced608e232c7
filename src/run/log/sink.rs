//! Where lines go: standard error, or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) enum Sink {
    Stderr,
    File(File),
}

impl Sink {
    /// The file is made if it is missing, for this account only.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stderr) };
        append(path).map(Self::File)
    }
}

/// A FIFO or a device would not come back before somebody reads it.
fn append(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(nonblocking).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr => io::stderr().write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().flush(),
            Self::File(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("encke-sink-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_rotated_file_is_left_alone() {
        let (path, old) = (folder().join("a.log"), folder().join("a.log.1"));
        let mut sink = Sink::open(Some(&path)).unwrap();
        sink.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        sink.write_all(b"two\n").unwrap();
        sink = Sink::open(Some(&path)).unwrap();
        sink.write_all(b"three\n").unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(&old), read(&path)), ("one\ntwo\n".into(), "three\n".into()));
        std::fs::remove_file(old).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn only_files_are_opened() {
        assert!(Sink::open(Some(&folder())).is_err());
        assert!(Sink::open(Some(Path::new("/dev/null"))).is_err());
        assert!(Sink::open(Some(&folder().join("missing/a.log"))).is_err());
    }
}
