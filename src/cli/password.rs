//! The CometQL password: from the configuration, else from a file in the data folder, else generated and kept there.
//!
//! The password itself is never printed nor logged. How its file is written is a matter of `encke::run::kept`.

use encke::run::kept;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where a password is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Configured,
    /// In this file since an earlier start.
    Kept(PathBuf),
    /// In this file, generated a moment ago.
    Generated(PathBuf),
}

/// The environment's fault; each is shown as one sentence.
#[derive(Debug)]
pub(crate) enum PasswordError {
    Folder { path: PathBuf, error: io::Error },
    Unreadable { path: PathBuf, error: io::Error },
    NotAPassword { path: PathBuf },
    TooShort { path: PathBuf },
    Unwritable { path: PathBuf, error: io::Error },
    NoRandomness(getrandom::Error),
    NoGroup { group: String },
    NotGiven { path: PathBuf, group: String, error: io::Error },
}

/// Makes the data folder if it is missing, readable by its owner only.
pub(crate) fn make_folder(dir: &Path) -> Result<(), PasswordError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| PasswordError::Folder { path: dir.to_owned(), error })
}

/// The password of the server whose data folder is `dir`, which exists.
pub(crate) fn load_or_generate(configured: Option<&str>, dir: &Path) -> Result<(String, Origin), PasswordError> {
    if let Some(password) = configured {
        return Ok((password.to_owned(), Origin::Configured));
    }
    let path = dir.join(kept::PASSWORD_FILE);
    if let Some(password) = read(&path)? {
        return Ok((password, Origin::Kept(path)));
    }
    let generated = generate(&mut |bytes| getrandom::fill(bytes)).map_err(PasswordError::NoRandomness)?;
    if kept::keep(&path, &generated).map_err(|error| PasswordError::Unwritable { path: path.clone(), error })? {
        return Ok((generated, Origin::Generated(path)));
    }
    // Another start was faster; its password counts.
    match read(&path)? {
        Some(password) => Ok((password, Origin::Kept(path))),
        None => Err(PasswordError::Unreadable { path, error: io::ErrorKind::NotFound.into() }),
    }
}

/// The password of a server that was started before; `None` if there is no such file. Nothing is generated.
pub(crate) fn find(configured: Option<&str>, dir: &Path) -> Result<Option<(String, Origin)>, PasswordError> {
    if let Some(password) = configured {
        return Ok(Some((password.to_owned(), Origin::Configured)));
    }
    let path = dir.join(kept::PASSWORD_FILE);
    Ok(read(&path)?.map(|password| (password, Origin::Kept(path))))
}

/// Lets the group read the password's file, if it has one. `dir` is the data folder.
pub(crate) fn give(group: &str, origin: &Origin, dir: &Path) -> Result<(), PasswordError> {
    let (Origin::Kept(path) | Origin::Generated(path)) = origin else {
        tracing::warn!("[main] password_group has no effect: the password is in the configuration, not in a file");
        return Ok(());
    };
    let known = fs::read_to_string("/etc/group").unwrap_or_default();
    let number = number_of(group, &known).ok_or_else(|| PasswordError::NoGroup { group: group.to_owned() })?;
    kept::give_to_group(dir, path, number).map_err(|error| PasswordError::NotGiven {
        path: path.clone(),
        group: group.to_owned(),
        error,
    })
}

/// The number of a group that is named, or that is a number; `known` has lines as `/etc/group`.
fn number_of(group: &str, known: &str) -> Option<u32> {
    let named = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    named.or_else(|| group.parse().ok())
}

/// Whether others than its owner, or than the group that it was given to, may read the file.
pub(crate) fn is_open_to_others(path: &Path, has_group: bool) -> bool {
    let others = if has_group { 0o037 } else { 0o077 };
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & others != 0)
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>, PasswordError> {
    let mut bytes = Vec::new();
    let result = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(PasswordError::Unreadable { path: path.to_owned(), error }),
        Ok(_) => {}
    }
    // A line end, as an editor leaves it, is not part of the password.
    let text = std::str::from_utf8(&bytes).ok().map(|text| text.trim_end_matches(['\r', '\n']));
    match text {
        Some(text) if bytes.len() as u64 <= FILE_BYTES_MAX && !text.chars().any(char::is_control) => {
            if text.chars().count() < CHARS_MIN {
                return Err(PasswordError::TooShort { path: path.to_owned() });
            }
            Ok(Some(text.to_owned()))
        }
        _ => Err(PasswordError::NotAPassword { path: path.to_owned() }),
    }
}

/// Letters and digits, each equally likely: a byte that would favour some of them is generated again.
fn generate<E>(fill: &mut dyn FnMut(&mut [u8]) -> Result<(), E>) -> Result<String, E> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut password = String::with_capacity(CHARS_GENERATED);
    let mut bytes = [0; CHARS_GENERATED];
    while password.len() < CHARS_GENERATED {
        fill(&mut bytes)?;
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        password.extend(fair.take(CHARS_GENERATED - password.len()));
    }
    Ok(password)
}

/// Characters of a generated password.
const CHARS_GENERATED: usize = 64;
/// A password file with fewer characters was damaged or is a mistake.
const CHARS_MIN: usize = 16;
/// A larger file holds something else.
const FILE_BYTES_MAX: u64 = 1024;

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, error } => {
                write!(f, "the data folder {} cannot be made: {error}", path.display())
            }
            Self::Unreadable { path, error } => {
                write!(f, "the password file {} cannot be read: {error}", path.display())
            }
            Self::NotAPassword { path } => write!(
                f,
                "the password file {} does not hold a password on one line; remove it and a new one is generated",
                path.display()
            ),
            Self::TooShort { path } => write!(
                f,
                "the password in {} has fewer than {CHARS_MIN} characters; remove the file and a new one is generated",
                path.display()
            ),
            Self::Unwritable { path, error } => {
                write!(f, "the password file {} cannot be written: {error}", path.display())
            }
            Self::NoGroup { group } => write!(
                f,
                "there is no group {group}, which [main] password_group names: groupadd {group}, or give its number"
            ),
            Self::NotGiven { path, group, error } => write!(
                f,
                "the password file {} cannot be given to the group {group}: {error}; the server must be a member of it, and \
                 systemd must allow it (SystemCallFilter=@chown)",
                path.display()
            ),
            Self::NoRandomness(error) => write!(f, "no password can be generated: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
