//! What can be wrong with a file, and how it is said. The text of a line is never repeated, since it may hold the
//! password; a bad value is, unless its key is secret.

use super::values::ValueError;
use std::fmt;

/// Something to tell about one line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; 0 is the file as a whole.
    pub line: u32,
    pub kind: ProblemKind,
}

/// How bad it is. With an error the server does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Note,
    Warning,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Neither section, key nor comment.
    BadLine,
    UnclosedSection,
    KeyOutsideSection,
    UnknownSection {
        name: String,
        nearest: Option<&'static str>,
    },
    UnknownKey {
        section: &'static str,
        key: String,
        nearest: Option<Nearest>,
    },
    /// The later one wins.
    Repeated {
        key: String,
        first_line: u32,
    },
    /// `key =`: the default is used, as CppComet did.
    Empty {
        key: String,
    },
    BadValue {
        key: String,
        /// `None` for a secret.
        shown: Option<String>,
        error: ValueError,
    },
    /// A key or section of CppComet without a meaning here.
    Ignored {
        name: String,
        because: &'static str,
        severity: Severity,
    },
    /// A key of ours that a later release will act on.
    WithoutEffect {
        key: &'static str,
        because: &'static str,
    },
    /// `;` or `#` inside a text: CppComet cut the value there. With a blank beside it, it was probably meant as a comment.
    MarkInValue {
        key: String,
        like_comment: bool,
    },
    /// A name or a path that ends before a comment.
    CommentCut {
        key: String,
    },
    ShortPassword {
        chars_min: usize,
    },
    /// `smaller` must be at least `larger` for everything that `larger` admits to get through.
    Smaller {
        smaller: &'static str,
        larger: &'static str,
        severity: Severity,
    },
    SamePort {
        port: u16,
    },
    /// Two keys that belong together.
    Alone {
        given: &'static str,
        missing: &'static str,
    },
    /// A limit by address where all browsers seem to have the address of a proxy.
    OneAddress {
        key: &'static str,
    },
    /// An old numeric level.
    LogLevel {
        number: u64,
        word: &'static str,
    },
    /// More problems than a reader can use; the rest was left out.
    More,
}

/// A key with a name like the unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearest {
    pub section: &'static str,
    pub key: &'static str,
}

impl Problem {
    pub fn severity(&self) -> Severity {
        match &self.kind {
            ProblemKind::BadLine
            | ProblemKind::UnclosedSection
            | ProblemKind::KeyOutsideSection
            | ProblemKind::BadValue { .. }
            | ProblemKind::SamePort { .. }
            | ProblemKind::Alone { .. }
            | ProblemKind::More => Severity::Error,
            ProblemKind::UnknownSection { .. }
            | ProblemKind::UnknownKey { .. }
            | ProblemKind::Repeated { .. }
            | ProblemKind::MarkInValue { like_comment: true, .. }
            | ProblemKind::ShortPassword { .. }
            | ProblemKind::OneAddress { .. } => Severity::Warning,
            ProblemKind::Empty { .. }
            | ProblemKind::WithoutEffect { .. }
            | ProblemKind::MarkInValue { like_comment: false, .. }
            | ProblemKind::CommentCut { .. }
            | ProblemKind::LogLevel { .. } => Severity::Note,
            ProblemKind::Ignored { severity, .. } | ProblemKind::Smaller { severity, .. } => *severity,
        }
    }

    /// `FILE:LINE: SEVERITY: TEXT`, the form that editors jump to.
    pub fn in_file(&self, file: &str) -> String {
        match self.line {
            0 => format!("{file}: {}: {}", self.severity(), self.kind),
            line => format!("{file}:{line}: {}: {}", self.severity(), self.kind),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLine => {
                f.write_str("not a section, a key or a comment (write [section], key = value, or ; in front)")
            }
            Self::UnclosedSection => f.write_str("a section's line must end with ]; comments stand on their own line"),
            Self::KeyOutsideSection => f.write_str("a key before the first [section]"),
            Self::UnknownSection { name, nearest } => {
                write!(f, "unknown section [{name}], left out")?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean [{nearest}]?"))
            }
            Self::UnknownKey { section, key, nearest } => {
                write!(f, "unknown key {key} in [{section}], left out")?;
                match nearest {
                    Some(nearest) if nearest.section == *section => write!(f, "; did you mean {}?", nearest.key),
                    Some(nearest) => write!(f, "; did you mean {} in [{}]?", nearest.key, nearest.section),
                    None => Ok(()),
                }
            }
            Self::Repeated { key, first_line } => {
                write!(f, "{key} was given in line {first_line} already; this one counts")
            }
            Self::Empty { key } => write!(f, "{key} is empty; the default is used"),
            Self::BadValue { key, shown: Some(shown), error } => write!(f, "{key} = {shown}: {error}"),
            Self::BadValue { key, shown: None, error } => write!(f, "{key}: {error}"),
            Self::Ignored { name, because, .. } => write!(f, "ignored: {name}, because {because}"),
            Self::WithoutEffect { key, because } => write!(f, "{key} has no effect yet: {because}"),
            Self::MarkInValue { key, like_comment: true } => write!(
                f,
                "{key} contains ; or # beside a blank, which is part of the value; if it begins a comment, give that a line \
                 of its own"
            ),
            Self::MarkInValue { key, like_comment: false } => {
                write!(f, "{key} contains ; or #, which is part of the value; CppComet cut it off there")
            }
            Self::CommentCut { key } => write!(f, "{key} ends before ; or #, where a comment begins"),
            Self::ShortPassword { chars_min } => {
                write!(f, "password is shorter than {chars_min} characters and can be guessed")
            }
            Self::Smaller { smaller, larger, .. } => write!(f, "{smaller} is smaller than {larger}"),
            Self::SamePort { port } => write!(f, "browsers and CometQL cannot both listen on port {port}"),
            Self::Alone { given, missing } => write!(f, "{given} needs {missing}: give both or neither"),
            Self::OneAddress { key } => {
                write!(f, "{key} counts all browsers as one behind a proxy of this machine; name it in trusted_proxies")
            }
            Self::LogLevel { number, word } => write!(f, "level {number} is read as {word}"),
            Self::More => f.write_str("more problems than are worth listing; mend these first"),
        }
    }
}

/// A value or name as it is shown: on one line, of bounded length.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    shown
}
