//! Bytes to lexical elements: quoted tokens, words, numbers, symbols. Blanks and comments are skipped.
//!
//! This is the one place that knows where strings and comments end; the lexer, the splitter of statements and,
//! through [`super::literal`], the fast path all stand on it.

use memchr::memchr;
use memchr::memmem;

use super::SyntaxError;
use super::literal::quoted;
use super::modes::Reading;

/// `/*!NNNNN … */` is executed up to this version and skipped above it; it is MySQL's way of offering a statement to
/// newer servers only. The number is the newest version whose dialect this server imitates.
const HINT_VERSION_MAX: u32 = 80_099;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its quotes; `plain` when the bytes between them are the text itself.
    Quoted {
        plain: bool,
    },
    /// A name or keyword: letters, digits, `_`, `$`, bytes above 0x7f, and leading `@`s.
    Word,
    /// Digits with an optional fraction and exponent; never a sign.
    Number,
    Symbol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    reading: Reading,
    /// Inside an executable comment, whose end is then to be skipped.
    in_hint: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8], reading: Reading) -> Self {
        Self { bytes, at: 0, reading, in_hint: false }
    }

    /// The next element, or `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Element>, SyntaxError> {
        self.skip()?;
        let start = self.at;
        let Some(first) = self.peek(0) else {
            return if self.in_hint { Err(SyntaxError::UnclosedComment) } else { Ok(None) };
        };
        let kind = match first {
            b'\'' | b'"' if self.is_last(start) => {
                self.at = self.bytes.len();
                return self.next();
            }
            b'\'' | b'"' | b'`' => {
                let token = quoted(self.bytes, start, self.reading).ok_or(SyntaxError::UnclosedQuote)?;
                self.at = token.close.saturating_add(1);
                Kind::Quoted { plain: token.plain }
            }
            b'0'..=b'9' => {
                self.number()?;
                Kind::Number
            }
            b'@' => {
                self.skip_while(|byte| byte == b'@');
                self.skip_while(is_word_byte);
                Kind::Word
            }
            _ if is_word_byte(first) => {
                self.skip_while(is_word_byte);
                Kind::Word
            }
            _ => {
                self.at = start.saturating_add(self.symbol(first)?);
                Kind::Symbol
            }
        };
        Ok(Some(Element { kind, start, end: self.at }))
    }

    /// Whether nothing but blanks follows the byte in this place. A quote there is ignored, as CppComet did: applications
    /// that put a stray one behind each of their statements work with it. What stands before must be complete all the
    /// same, so a text that was cut off within a value is an error.
    fn is_last(&self, place: usize) -> bool {
        self.bytes.get(place.saturating_add(1)..).is_none_or(|rest| rest.iter().all(|byte| is_blank(*byte)))
    }

    /// Whether this element is this one byte.
    pub(super) fn is_symbol(&self, element: Element, symbol: u8) -> bool {
        element.kind == Kind::Symbol && self.bytes.get(element.start..element.end) == Some(&[symbol])
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at.saturating_add(ahead)).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn skip_while(&mut self, accepts: impl Fn(u8) -> bool) {
        let count = self.rest().iter().take_while(|byte| accepts(**byte)).count();
        self.at = self.at.saturating_add(count);
    }

    fn skip(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.skip_while(is_blank);
            let rest = self.rest();
            let line_comment = match rest {
                [b'#', ..] | [b'-', b'-'] => true,
                [b'-', b'-', next, ..] => is_blank(*next) || next.is_ascii_control(),
                _ => false,
            };
            if line_comment {
                let length = memchr(b'\n', rest).map_or(rest.len(), |end| end.saturating_add(1));
                self.at = self.at.saturating_add(length);
            } else if rest.starts_with(b"/*!") && !self.in_hint && self.hint_is_executed() {
                self.at = self.at.saturating_add(3);
                self.skip_while(|byte| byte.is_ascii_digit());
                self.in_hint = true;
            } else if rest.starts_with(b"/*") {
                let body = rest.get(2..).unwrap_or_default();
                let end = memmem::find(body, b"*/").ok_or(SyntaxError::UnclosedComment)?;
                self.at = self.at.saturating_add(end).saturating_add(4);
            } else if self.in_hint && rest.starts_with(b"*/") {
                self.at = self.at.saturating_add(2);
                self.in_hint = false;
            } else {
                return Ok(());
            }
        }
    }

    fn hint_is_executed(&self) -> bool {
        let digits = self.rest().get(3..).unwrap_or_default().iter().take(7).take_while(|byte| byte.is_ascii_digit());
        let version = digits.fold(0_u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit & 0x0f)));
        version <= HINT_VERSION_MAX
    }

    /// `12`, `12.5`, `12e-3`. A number that runs into a word is an error: MySQL would see one name, CppComet two
    /// tokens, and no backend means either.
    fn number(&mut self) -> Result<(), SyntaxError> {
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.peek(0) == Some(b'.') {
            self.at = self.at.saturating_add(1);
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(sign.saturating_add(1)).is_some_and(|byte| byte.is_ascii_digit()) {
                self.at = self.at.saturating_add(1).saturating_add(sign);
                self.skip_while(|byte| byte.is_ascii_digit());
            }
        }
        match self.peek(0) {
            Some(byte) if is_word_byte(byte) => Err(SyntaxError::UnexpectedByte(byte)),
            _ => Ok(()),
        }
    }

    /// How many bytes the symbol at the present place has.
    fn symbol(&self, first: u8) -> Result<usize, SyntaxError> {
        const LONG: [&[u8]; 8] = [b"<=>", b"<=", b">=", b"<>", b"!=", b":=", b"||", b"&&"];
        let rest = self.rest();
        if let Some(symbol) = LONG.iter().find(|symbol| rest.starts_with(symbol)) {
            return Ok(symbol.len());
        }
        if memchr(first, b"(),;.=<>+-*/%?!").is_some() { Ok(1) } else { Err(SyntaxError::UnexpectedByte(first)) }
    }
}

/// Whether a name or keyword may hold this byte.
pub(super) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}
