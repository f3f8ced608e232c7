//! One value's text to its type, and why that can fail.

use core::net::IpAddr;
use std::fmt;

/// Always the fault of whoever wrote the file; shown beside file and line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    NotANumber { min: u64, max: u64 },
    OutOfRange { min: u64, max: u64 },
    NotABoolean,
    NotAnAddress,
    NotAWord(&'static [&'static str]),
    TooLong { bytes_max: usize },
    ControlCharacter,
    BadHost,
    BadNetwork,
    TooMany { max: usize },
    BadExtension,
    BadContentType,
    NotAList,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber { min, max } => write!(f, "not a whole number; {min} to {max} is allowed"),
            Self::OutOfRange { min, max } => write!(f, "out of range; {min} to {max} is allowed"),
            Self::NotABoolean => f.write_str("write true or false"),
            Self::NotAnAddress => {
                f.write_str("not an IP address, such as 127.0.0.1, or 0.0.0.0 for all of this machine's addresses")
            }
            Self::NotAWord(words) => write!(f, "write one of: {}", words.join(", ")),
            Self::TooLong { bytes_max } => write!(f, "longer than {bytes_max} bytes"),
            Self::ControlCharacter => f.write_str("contains a control character"),
            Self::BadHost => f.write_str("not a host name, such as example.com or *.example.com"),
            Self::BadNetwork => f.write_str("not an IP address or a range of them, such as 10.0.0.0/8"),
            Self::TooMany { max } => write!(f, "more than {max} entries"),
            Self::BadExtension => f.write_str("a file extension is 1 to 10 letters, digits, - or _, without a dot"),
            Self::BadContentType => {
                f.write_str("not a media type, such as text/html (the character set is added by the server)")
            }
            Self::NotAList => f.write_str("takes one value; []value adds to a list"),
        }
    }
}

/// What begins a comment.
const MARKS: [char; 2] = [';', '#'];

/// A value that cannot contain a mark ends before the first one, as all values did in CppComet.
pub(super) fn before_mark(text: &str) -> &str {
    text.split(MARKS).next().unwrap_or_default().trim_end()
}

/// A name or a path ends before a mark that looks like the beginning of a comment.
pub(super) fn before_comment(text: &str) -> &str {
    text.get(..comment(text).unwrap_or(text.len())).unwrap_or(text).trim_end()
}

/// Where a comment seems to begin: at a mark with a blank or nothing before it, or behind it and the marks that follow it. So
/// what is in front of a comment never ends in one of them, and is read as it is when it is written again.
fn comment(text: &str) -> Option<usize> {
    let is_blank = |text: Option<char>| text.is_none_or(|char| matches!(char, ' ' | '\t'));
    text.match_indices(MARKS).map(|(at, _)| at).find(|at| {
        let (before, behind) = text.split_at(*at);
        is_blank(before.chars().next_back()) || is_blank(behind.trim_start_matches(MARKS).chars().next())
    })
}

/// Whether the text has something that CppComet took for a comment, and whether it looks like one.
pub(super) fn mark(text: &str) -> Option<Mark> {
    text.contains(MARKS).then(|| if comment(text).is_some() { Mark::LikeComment } else { Mark::Inside })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    LikeComment,
    Inside,
}

pub(super) fn number(text: &str, min: u64, max: u64) -> Result<u64, ValueError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::NotANumber { min, max });
    }
    // Digits that do not fit 64 bits are a number all the same.
    let number = text.parse().unwrap_or(u64::MAX);
    if (min..=max).contains(&number) { Ok(number) } else { Err(ValueError::OutOfRange { min, max }) }
}

/// Only these spellings: CppComet took `1` and `yes` for false, and nobody who writes them means that.
pub(super) fn boolean(text: &str) -> Result<bool, ValueError> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(ValueError::NotABoolean),
    }
}

pub(super) fn address(text: &str) -> Result<IpAddr, ValueError> {
    text.parse().map_err(|_| ValueError::NotAnAddress)
}

pub(super) fn word(text: &str, words: &'static [&'static str]) -> Result<&'static str, ValueError> {
    words.iter().find(|word| **word == text).copied().ok_or(ValueError::NotAWord(words))
}

pub(super) fn line_of_text(text: &str, bytes_max: usize) -> Result<&str, ValueError> {
    if text.len() > bytes_max {
        Err(ValueError::TooLong { bytes_max })
    } else if text.chars().any(char::is_control) {
        Err(ValueError::ControlCharacter)
    } else {
        Ok(text)
    }
}

/// A host of `[ws] host` in lower case, without scheme and port, which the old documentation allowed;
/// `None` for `*`, every host.
pub(super) fn host(text: &str) -> Result<Option<String>, ValueError> {
    if text == "*" {
        return Ok(None);
    }
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")).unwrap_or(&lower);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let bare = match bare.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => bare,
    };
    if is_host_name(bare.strip_prefix("*.").unwrap_or(bare)) {
        Ok(Some(bare.to_owned()))
    } else {
        Err(ValueError::BadHost)
    }
}

fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

pub(super) fn extension(text: &str) -> Result<&str, ValueError> {
    let fits = (1..=10).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(text) } else { Err(ValueError::BadExtension) }
}

/// `type/subtype`. It goes into a response head, so nothing that could end a header line gets through.
pub(super) fn content_type(text: &str) -> Result<&str, ValueError> {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if text.len() <= 127 && is_token(kind) && is_token(subtype) => Ok(text),
        _ => Err(ValueError::BadContentType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_front_of_a_comment_has_none() {
        for (text, expected) in [
            ("a#", "a"),
            ("a##", "a"),
            ("a #b", "a"),
            ("a;# b", "a"),
            ("a#b", "a#b"),
            ("a##b", "a##b"),
            ("a#;b;", "a#;b"),
            ("#", ""),
        ] {
            assert_eq!(before_comment(text), expected, "{text}");
            assert_eq!(before_comment(expected), expected, "and once more");
        }
    }
}
