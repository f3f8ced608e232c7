//! What stands in front of and between statements: the cluster prefix, and the semicolons of multi-statements.

use std::ops::Range;

use super::SyntaxError;
use super::modes::Reading;
use super::scanner::Scanner;

/// The statements of one query, for clients that asked for multi-statements: slices between the semicolons that stand
/// outside of strings and comments. Slices without any token are left out. The first slice that cannot be scanned is
/// an error, and the last item.
pub fn statements(query: &[u8], reading: impl Into<Reading>) -> impl Iterator<Item = Result<&[u8], SyntaxError>> {
    pieces(query, reading).map(|piece| piece.map(|piece| query.get(piece).unwrap_or_default()))
}

/// The same as places in the query.
pub fn pieces(query: &[u8], reading: impl Into<Reading>) -> Pieces<'_> {
    Pieces { length: query.len(), from: 0, scanner: Scanner::new(query, reading.into()), done: false }
}

/// The iterator of [`pieces`].
pub struct Pieces<'a> {
    length: usize,
    from: usize,
    scanner: Scanner<'a>,
    done: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Result<Range<usize>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut filled = false;
        while !self.done {
            let (end, next) = match self.scanner.next() {
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
                Ok(None) => {
                    self.done = true;
                    (self.length, self.length)
                }
                Ok(Some(element)) if self.scanner.is_symbol(element, b';') => (element.start, element.end),
                Ok(Some(_)) => {
                    filled = true;
                    continue;
                }
            };
            let piece = self.from..end;
            self.from = next;
            if std::mem::take(&mut filled) {
                return Some(Ok(piece));
            }
        }
        None
    }
}

/// `cometqlcluster_v1 set dev_id=<digits>;` in front of a query, and what follows it. It moves the session to that
/// tenant for good; who may do so is for the session to decide (`cometql.md` section 2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterPrefix<'a> {
    /// `None` when what is written is not a number of 32 bits.
    pub dev: Option<u32>,
    pub rest: &'a [u8],
}

/// Recognises the prefix: literal lower-case text without a leading blank.
pub fn cluster_prefix(query: &[u8]) -> Option<ClusterPrefix<'_>> {
    let tail = query.strip_prefix(b"cometqlcluster_v1 set dev_id=")?;
    let length = memchr::memchr(b';', tail).unwrap_or(tail.len());
    let (number, rest) = tail.split_at_checked(length)?;
    let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    let dev = std::str::from_utf8(number).ok().filter(|_| digits).and_then(|number| number.parse().ok());
    Some(match rest.strip_prefix(b";") {
        Some(rest) => ClusterPrefix { dev, rest },
        None => ClusterPrefix { dev: None, rest },
    })
}
