//! Quoted tokens: where they end, and which text they stand for.
//!
//! Where a quoted token ends never depends on the configured escapes, only what it means does: a value that a
//! client escaped by MySQL's rules stays one token in either mode.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// What string literals stand for (`[cometql] string_escapes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StringEscapes {
    /// As MySQL: `\0 \' \" \b \n \r \t \Z \\` and doubled quotes are decoded; before any other character the
    /// backslash stays, so that JSON pasted with `\u` or `\/` survives.
    #[default]
    Mysql,
    /// As CppComet 4.09: backslashes are never removed, a doubled quote becomes backslash and quote.
    Legacy,
}

/// A quoted token that begins at some opening quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    /// Where the closing quote stands.
    pub(super) close: usize,
    /// Whether the bytes between the quotes are the text itself.
    pub(super) plain: bool,
}

/// The quoted token whose opening quote (`'`, `"` or a backtick) stands at `open`; `None` if it is never closed.
pub(super) fn quoted(bytes: &[u8], open: usize) -> Option<Quoted> {
    let quote = *bytes.get(open)?;
    let mut from = open.checked_add(1)?;
    let mut plain = true;
    loop {
        let rest = bytes.get(from..)?;
        // A backslash is an ordinary character in a backticked name.
        let hit = if quote == b'`' { memchr(quote, rest)? } else { memchr2(quote, b'\\', rest)? };
        let at = from.checked_add(hit)?;
        let escape = *bytes.get(at)? != quote;
        if !escape && bytes.get(at.checked_add(1)?) != Some(&quote) {
            return Some(Quoted { close: at, plain });
        }
        plain = false;
        from = at.checked_add(2)?;
    }
}

/// The text that `inner`, the characters between two `quote`s, stands for.
pub(super) fn decode(inner: &str, quote: u8, escapes: StringEscapes) -> Cow<'_, str> {
    let mut text = String::new();
    let mut rest = inner;
    while let Some(at) = memchr2(quote, b'\\', rest.as_bytes()) {
        let (before, special) = rest.split_at(at);
        text.push_str(before);
        let mut characters = special.chars();
        let (first, second) = (characters.next(), characters.next());
        match (first, second) {
            (Some('\\'), Some(escaped)) if quote != b'`' => {
                match escapes {
                    StringEscapes::Legacy => text.extend(['\\', escaped]),
                    StringEscapes::Mysql => match unescaped(escaped) {
                        Some(character) => text.push(character),
                        None => text.extend(['\\', escaped]),
                    },
                }
                rest = characters.as_str();
            }
            (Some(first), Some(second)) if first == second && first != '\\' => {
                if escapes == StringEscapes::Legacy && quote != b'`' {
                    text.push('\\');
                }
                text.push(first);
                rest = characters.as_str();
            }
            (Some(first), _) => {
                text.push(first);
                rest = special.get(first.len_utf8()..).unwrap_or_default();
            }
            (None, _) => rest = "",
        }
    }
    if text.is_empty() && rest.len() == inner.len() {
        return Cow::Borrowed(inner);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// What a backslash and this character stand for in MySQL; `None` when the backslash stays.
fn unescaped(escaped: char) -> Option<char> {
    Some(match escaped {
        '0' => '\0',
        '\'' | '"' | '\\' => escaped,
        'b' => '\u{8}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\u{1a}',
        _ => return None,
    })
}
