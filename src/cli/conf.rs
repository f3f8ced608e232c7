//! Finds the configuration file and reads it.

use super::banner;
use encke::config::{self, Config, Places, Problem, Read, Severity};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where to look without `--conf`, first hit wins.
const PLACES: [&str; 2] = ["./config/comet.ini", "/etc/encke/comet.ini"];

/// A file that was read, whatever is wrong in it.
pub(crate) struct Loaded {
    pub path: PathBuf,
    pub config: Config,
    pub problems: Vec<Problem>,
    /// Where each key stands.
    pub places: Places,
}

/// Why there is nothing to parse. Each is shown as one sentence.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// None of the usual places has one.
    Nowhere,
    Unreadable {
        path: PathBuf,
        error: io::Error,
    },
    NoFile {
        path: PathBuf,
    },
    TooLarge {
        path: PathBuf,
    },
    NotText {
        path: PathBuf,
        line: usize,
    },
}

impl LoadError {
    /// Whether the file is there but cannot be a configuration.
    pub(crate) fn is_bad_file(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::NotText { .. })
    }
}

pub(crate) fn load(given: Option<&Path>) -> Result<Loaded, LoadError> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => PLACES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or(LoadError::Nowhere)?,
    };
    let text = read(&path)?;
    let Read { config, problems, places } = config::read(&text);
    Ok(Loaded { path, config, problems, places })
}

/// The same file as at the start, for a server that runs: nothing that it could wait for is opened.
pub(crate) fn load_again(path: &Path) -> Result<Loaded, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    let is_file = std::fs::metadata(path).map_err(unreadable)?.is_file();
    if !is_file {
        return Err(LoadError::NoFile { path: path.to_owned() });
    }
    load(Some(path))
}

fn read(path: &Path) -> Result<String, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large; a device without an end is not read for ever.
    File::open(path)
        .and_then(|file| file.take(config::FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > config::FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    text(&bytes).map_err(|line| LoadError::NotText { path: path.to_owned(), line })
}

/// What is written in these bytes. A line of comment may be in any encoding, as those of old files are, and keeps its place.
/// Error: the first other line that is no UTF-8, counted from 1.
fn text(bytes: &[u8]) -> Result<String, usize> {
    let mut text = String::with_capacity(bytes.len());
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match std::str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) if line.trim_ascii_start().starts_with(b";") || line.trim_ascii_start().starts_with(b"#") => {
                text.push_str(&String::from_utf8_lossy(line));
            }
            Err(_) => return Err(index + 1),
        }
    }
    Ok(text)
}

impl Loaded {
    /// Why a running server does not take this configuration: the first error, and how many there are. The log has all.
    pub(crate) fn refusal(&self) -> Option<String> {
        let errors = self.count(Severity::Error);
        let file = banner::shown(&self.path);
        let first = self.problems.iter().find(|problem| problem.severity() == Severity::Error)?.in_file(&file);
        Some(if errors > 1 { format!("{first} (and {} more errors, see the log)", errors - 1) } else { first })
    }

    /// All problems, one line each, as `FILE:LINE: SEVERITY: TEXT`.
    pub(crate) fn report(&self) -> String {
        let file = banner::shown(&self.path);
        self.problems.iter().map(|problem| problem.in_file(&file) + "\n").collect()
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity() == severity).count()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => write!(
                f,
                "there is no configuration: neither {} nor {} exists; name a file with --conf FILE",
                PLACES[0], PLACES[1]
            ),
            Self::Unreadable { path, error } if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "the configuration file {} does not exist", path.display())
            }
            Self::Unreadable { path, error } => {
                write!(f, "the configuration file {} cannot be read: {error}", path.display())
            }
            Self::NoFile { path } => write!(f, "the configuration {} is no file", path.display()),
            Self::TooLarge { path } => {
                let bytes_max = config::FILE_BYTES_MAX;
                write!(f, "the configuration file {} is larger than {bytes_max} bytes", path.display())
            }
            Self::NotText { path, line } => {
                let path = path.display();
                write!(f, "{path}:{line}: error: not UTF-8 text, which only comments on lines of their own may be")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Old files have comments in whatever encoding their authors' editors had; values must be known to the letter.
    #[test]
    fn only_comments_may_be_in_another_encoding() {
        let mine = b"; \xcf\xee\n[ws]\r\n\t# \xff\xfe\nport = 1\n;\xe9";
        let text_of = |bytes: &[u8]| text(bytes).map(|text| text.replace(char::REPLACEMENT_CHARACTER, "?"));
        assert_eq!(text_of(mine).as_deref(), Ok("; ??\n[ws]\r\n\t# ??\nport = 1\n;?"));
        assert_eq!(text_of("; \u{41f}\n".as_bytes()).as_deref(), Ok("; \u{41f}\n"));
        assert_eq!(text_of(b""), Ok(String::new()));
        assert_eq!(text_of(b"[ws]\nport = 1 ; \xcf"), Err(2));
        assert_eq!(text_of(b"; \xcf\n[main]\npassword = \xcf\n"), Err(3));
        assert_eq!(text_of(b"\xff\xfe["), Err(1));
    }
}
