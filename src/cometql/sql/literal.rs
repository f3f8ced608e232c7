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
        let at = next_special(bytes, from, quote)?;
        let escape = *bytes.get(at)? != quote;
        if !escape && bytes.get(at.checked_add(1)?) != Some(&quote) {
            return Some(Quoted { close: at, plain });
        }
        plain = false;
        from = at.checked_add(2)?;
    }
}

/// Where the next quote or backslash stands. In a backticked name a backslash is an ordinary character.
fn next_special(bytes: &[u8], from: usize, quote: u8) -> Option<usize> {
    // Escaped JSON has a special character every few bytes; a vector search pays only beyond them.
    const NEAR: usize = 16;
    let special = |byte: u8| byte == quote || byte == b'\\' && quote != b'`';
    let rest = bytes.get(from..)?;
    let hit = match rest.iter().take(NEAR).position(|byte| special(*byte)) {
        Some(hit) => hit,
        None => {
            let far = rest.get(NEAR..)?;
            let hit = if quote == b'`' { memchr(quote, far)? } else { memchr2(quote, b'\\', far)? };
            hit.checked_add(NEAR)?
        }
    };
    from.checked_add(hit)
}

/// The text that `inner`, the characters between two `quote`s, stands for.
pub(super) fn decode(inner: &str, quote: u8, escapes: StringEscapes) -> Cow<'_, str> {
    let bytes = inner.as_bytes();
    let Some(mut special) = next_special(bytes, 0, quote) else {
        return Cow::Borrowed(inner);
    };
    // Nothing that is decoded grows, not even under the old rules.
    let mut text = String::with_capacity(inner.len());
    let mut from = 0;
    loop {
        text.push_str(inner.get(from..special).unwrap_or_default());
        let (first, second) = (bytes.get(special), bytes.get(special.saturating_add(1)).copied().unwrap_or_default());
        // Where to look on, and from where to copy: what stays is copied with what follows it.
        let next = special.saturating_add(2);
        from = match (first, escapes) {
            (Some(b'\\'), StringEscapes::Mysql) => match unescaped(second) {
                Some(character) => {
                    text.push(character);
                    next
                }
                None => special,
            },
            (Some(b'\\'), StringEscapes::Legacy) => special,
            // A doubled quote.
            (_, escapes) => {
                if escapes == StringEscapes::Legacy && quote != b'`' {
                    text.push('\\');
                }
                special.saturating_add(1)
            }
        };
        match next_special(bytes, next, quote) {
            Some(found) => special = found,
            None => {
                text.push_str(inner.get(from..).unwrap_or_default());
                return Cow::Owned(text);
            }
        }
    }
}

/// What a backslash and this character stand for in MySQL; `None` when the backslash stays.
fn unescaped(escaped: u8) -> Option<char> {
    Some(match escaped {
        b'0' => '\0',
        b'\'' | b'"' | b'\\' => char::from(escaped),
        b'b' => '\u{8}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'Z' => '\u{1a}',
        _ => return None,
    })
}
