//! Quoted tokens: where they end, and which text they stand for.
//!
//! Where a quoted token ends never depends on the configured escapes, only what it means does: a value that a
//! client escaped by MySQL's rules stays one token in either mode. It does depend on what the session has set: a client
//! that sets `NO_BACKSLASH_ESCAPES` writes a backslash as it is.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::modes::Reading;

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
pub(super) fn quoted(bytes: &[u8], open: usize, reading: Reading) -> Option<Quoted> {
    let quote = *bytes.get(open)?;
    let escapes = reading.escapes_in(quote);
    let mut at = open.checked_add(1)?;
    let mut plain = true;
    let mut run = 0_usize;
    loop {
        let byte = *bytes.get(at)?;
        if !is_special(byte, quote, escapes) {
            at = at.checked_add(1)?;
            run = run.saturating_add(1);
            if run == NEAR {
                at = at.checked_add(far_special(bytes.get(at..)?, quote, escapes)?)?;
                run = 0;
            }
            continue;
        }
        run = 0;
        if byte == quote && bytes.get(at.checked_add(1)?) != Some(&quote) {
            return Some(Quoted { close: at, plain });
        }
        plain = false;
        at = at.checked_add(2)?;
    }
}

/// Escaped JSON has a special character every few bytes; a vector search pays only after so many without one.
const NEAR: usize = 16;

fn far_special(bytes: &[u8], quote: u8, escapes: bool) -> Option<usize> {
    if escapes { memchr2(quote, b'\\', bytes) } else { memchr(quote, bytes) }
}

/// Whether this byte may end or escape something. In a quoted name a backslash is an ordinary character.
fn is_special(byte: u8, quote: u8, escapes: bool) -> bool {
    byte == quote || escapes && byte == b'\\'
}

/// The text that `inner`, the characters between two `quote`s, stands for.
pub(super) fn decode(inner: &str, quote: u8, reading: Reading) -> Cow<'_, str> {
    let bytes = inner.as_bytes();
    let escapes = reading.escapes_in(quote);
    let Some(first) = far_special(bytes, quote, escapes) else {
        return Cow::Borrowed(inner);
    };
    // Nothing that is decoded grows, not even under the old rules.
    let mut text = Vec::with_capacity(bytes.len());
    text.extend_from_slice(bytes.get(..first).unwrap_or_default());
    let mut rest = bytes.get(first..).unwrap_or_default();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if !is_special(*byte, quote, escapes) {
            text.push(*byte);
            continue;
        }
        // What comes behind a quote is its twin, or the literal would have ended there.
        let [second, tail @ ..] = rest else {
            text.push(*byte);
            continue;
        };
        rest = tail;
        match (reading.escapes, unescaped(*second)) {
            (StringEscapes::Mysql, Some(decoded)) if *byte == b'\\' => text.push(decoded),
            (StringEscapes::Legacy, _) if escapes => text.extend([b'\\', *second]),
            _ if *byte == b'\\' => text.extend([b'\\', *second]),
            _ => text.push(*second),
        }
    }
    // Only ASCII was taken out, so what remains is the text it was.
    Cow::Owned(match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// What a backslash and this character stand for in MySQL; `None` when the backslash stays.
fn unescaped(escaped: u8) -> Option<u8> {
    Some(match escaped {
        b'0' => 0,
        // Some clients put the backslash before the character itself: Connector/J and the Node driver of MariaDB before
        // NUL, Connector/Python before 0x1a. JSON cannot hold either, so pasted JSON loses nothing.
        b'\'' | b'"' | b'\\' | 0 | 0x1a => escaped,
        b'b' => 0x08,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'Z' => 0x1a,
        _ => return None,
    })
}
